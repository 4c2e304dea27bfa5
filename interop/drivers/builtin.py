"""The built-in client behind the contract, in the harness's process or in its own.

Belongs here: the contract's commands given to a `ClientCore`, and its events as the contract's.
Does not belong here: anything MQTT decides. Run as `python -m interop.drivers.builtin`.

It stands on `ClientLink`, as `AsyncClient` does, because here a publish is answered even when a later connection of the
same session completes it, and that takes the ticket.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main
from interop.drivers.contract import PropertyValues
from interop.installed import own_version
from reference_broker.client import (
    AuthChallenge,
    Authenticated,
    Cause,
    ClientCore,
    ClientOptions,
    Connected,
    Disconnected,
    Event,
    Failed,
    Message,
    Published,
    Session,
    Subscribed,
    Unsubscribed,
)
from reference_broker.net.address import Address, Transport
from reference_broker.net.client_link import ClientLink
from reference_broker.net.stream import dial
from reference_broker.net.websocket import WebSocketWrapping
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Publish, Subscription, Will
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, RetainHandling, Version, is_error

_ENDED_BY = {Cause.BY_SERVER: "broker", Cause.LOST: "network"}
"""Who ended a connection; all other causes are the client's decisions."""


class BuiltinAdapter(Adapter):
    """One built-in client: a session, and a link for each connection."""

    core: type[ClientCore] = ClientCore
    """A subclass may speak MQTT in another way, even a wrong one."""
    websocket_type: type[WebSocketWrapping] = WebSocketWrapping
    """And WebSocket."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._session = Session()
        self._client_id = ""
        self._link: ClientLink | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_5 = False
        self._secret: bytes | None = None
        self._end_wanted = False
        self._to_ack: dict[int, Message] = {}

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """It can do everything."""
        return contract.HelloEvent(
            client="builtin",
            version=own_version(),
            mqtt=("3.1", "3.1.1", "5.0"),
            transports=("tcp", "tls", "ws", "wss"),
        )

    # --- commands ---------------------------------------------------------------------------------------------------

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Dial, then CONNECT; the session of the last connection goes on where its client id is the same."""
        await self._leave()
        if command.client_id != self._client_id:
            self.pending.cut_off(everything=True)
            self._session, self._client_id = Session(), command.client_id
        self._is_5 = command.mqtt == "5.0"
        self._secret = command.properties.authentication_data
        ca_file = Path(command.ca_file) if command.ca_file else None
        address = Address(command.host, command.port, Transport(command.transport), command.path, ca_file)
        stream = await dial(address, websocket_type=self.websocket_type)
        self._link = link = ClientLink(self.core(_options(command), self._session), stream, self._take)
        self._end_wanted = False
        answer = self.pending.expect("connect")
        self._task = asyncio.create_task(link.run())
        self._task.add_done_callback(self._check_run)
        connected: Connected = await answer
        present = None if command.mqtt == "3.1" else connected.session_present  # 3.1 has no such flag
        return contract.Connected(session_present=present, reason=0, properties=self._values(connected.properties))

    async def subscribe(self, command: contract.Subscribe) -> contract.Subscribed:
        """One SUBSCRIBE."""
        wanted = [
            Subscription(
                each.topic_filter,
                QoS(each.qos),
                each.no_local,
                each.retain_as_published,
                RetainHandling(each.retain_handling),
            )
            for each in command.subscriptions
        ]
        answer: Subscribed = await self._request(
            lambda link: link.core.subscribe(wanted, link.now(), _properties(command.properties))
        )
        return contract.Subscribed(reasons=answer.reasons, properties=self._values(answer.properties))

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """One UNSUBSCRIBE."""
        answer: Unsubscribed = await self._request(
            lambda link: link.core.unsubscribe(command.topic_filters, link.now(), _properties(command.properties))
        )
        return contract.Unsubscribed(reasons=answer.reasons, properties=self._values(answer.properties))

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message; the answer may come over a later connection."""
        publish = Publish(
            command.topic,
            command.payload,
            QoS(command.qos),
            command.retain,
            properties=_properties(command.properties),
        )
        answer: Published = await self._request(
            lambda link: link.core.publish(publish, link.now()), outlives_connection=command.qos > 0
        )
        if is_error(answer.reason):
            raise Unsuccessful("refused", reason=answer.reason, properties=self._values(answer.properties))
        return contract.Published(reason=answer.reason, properties=self._values(answer.properties))

    async def ack(self, command: contract.Ack) -> contract.Acked:
        """PUBACK or PUBREC, in the order the specification demands."""
        message = self._to_ack.get(command.message)
        if message is None:
            raise Unsuccessful("failed", f"there is no message {command.message} to acknowledge")
        link = self._need_link()
        with _told():
            link.core.acknowledge(message, link.now(), command.reason)
        link.update()
        return contract.Acked()

    async def auth(self, command: contract.Auth) -> contract.Authenticated:
        """Re-authenticate."""
        link = self._need_link()
        self._secret = command.properties.authentication_data
        with _told():
            link.core.authenticate(self._secret, link.now(), _properties(command.properties))
        answer = self.pending.expect("auth")
        link.update()
        authenticated: Authenticated = await answer
        return contract.Authenticated(properties=self._values(authenticated.properties))

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:
        """DISCONNECT, then the end of the stream."""
        link = self._need_link()
        with _told():
            link.core.disconnect(link.now(), command.reason, _properties(command.properties))
        self._end_wanted = True
        link.update()
        await self._leave()
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """RST."""
        await self._leave()
        return contract.Dropped()

    async def abandon(self) -> None:
        """Drop the connection."""
        await self._leave()

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        """End the connection, if there is one, without the application being told."""
        link, task = self._link, self._task
        self._end_wanted = True
        if link is not None:
            link.drop()
        if task is not None:
            await asyncio.wait({task})

    def _need_link(self) -> ClientLink:
        if self._link is None:
            raise Unsuccessful("cut-off", "there is no connection")
        return self._link

    async def _request(self, send: Callable[[ClientLink], int], *, outlives_connection: bool = False) -> Any:
        link = self._need_link()
        with _told():
            ticket = send(link)
        answer = self.pending.expect(ticket, outlives_connection=outlives_connection)
        link.update()
        return await answer

    def _take(self, event: Event) -> None:
        match event:
            case Connected():
                self.pending.settle("connect", event)
            case Subscribed() | Unsubscribed() | Published():
                self.pending.settle(event.ticket, event)
            case Failed():
                self.pending.fail(event.ticket, Unsuccessful("cut-off", event.why))
            case Message():
                self._take_message(event)
            case AuthChallenge():
                self._meet_challenge()
            case Authenticated():
                self.pending.settle("auth", event)
            case Disconnected():
                self._take_end(event)

    def _take_message(self, message: Message) -> None:
        number = self.deliver(
            topic=message.topic,
            payload=message.payload,
            qos=message.qos,
            retain=message.retain,
            dup=message.dup,
            packet_id=message.packet_id,
            properties=self._values(message.properties),
        )
        if message.qos:
            self._to_ack[number] = message

    def _meet_challenge(self) -> None:
        link = self._need_link()
        link.core.authenticate(self._secret, link.now())
        asyncio.get_running_loop().call_soon(link.update)  # `update` is what called us

    def _take_end(self, end: Disconnected) -> None:
        self._link = None
        properties = self._values(end.properties)
        if end.cause is Cause.REFUSED:
            problem = Unsuccessful("refused", end.explanation, reason=end.reason, properties=properties)
        else:
            problem = Unsuccessful("cut-off", str(end))
        if self.pending.fail("connect", problem):
            self.pending.cut_off()
            return
        if end.cause is Cause.BY_SERVER:  # a server that does not accept a re-authentication disconnects [5.0 4.12.1]
            self.pending.fail("auth", Unsuccessful("refused", end.explanation, reason=end.reason))
        if self._end_wanted:
            self.pending.cut_off()
        else:
            by: Any = _ENDED_BY.get(end.cause, "client")
            self.report_loss(by, None if by == "network" else end.reason, properties)

    def _check_run(self, task: asyncio.Task[None]) -> None:
        """A CONNECT that may not be sent ends the run with an exception."""
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            self._link = None
            self.pending.fail("connect", Unsuccessful("failed", str(problem)))

    def _values(self, properties: Properties) -> PropertyValues | None:
        return PropertyValues.model_validate(properties.present()) if self._is_5 else None


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the client refuses to send is the command's answer."""
    try:
        yield
    except LocalError as problem:
        raise Unsuccessful("failed", str(problem)) from None


def _options(command: contract.Connect) -> ClientOptions:
    will = command.will
    return ClientOptions(
        client_id=command.client_id,
        version=Version.from_label(command.mqtt),
        clean_start=command.clean_start,
        keep_alive=command.keep_alive,
        username=command.username,
        password=command.password,
        will=None
        if will is None
        else Will(will.topic, will.payload, QoS(will.qos), will.retain, _properties(will.properties)),
        properties=_properties(command.properties),
        manual_acknowledgement=command.manual_ack,
    )


def _properties(values: PropertyValues) -> Properties:
    return Properties(**values.model_dump())


ADAPTER = BuiltinAdapter

if __name__ == "__main__":
    main(ADAPTER)
