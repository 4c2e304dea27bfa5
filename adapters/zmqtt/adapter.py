"""zmqtt behind the contract.

Belongs here: the contract's commands in its calls, what it tells as events. Does not belong here: mending it.
"""

from __future__ import annotations

import asyncio
import ssl
from importlib.metadata import version
from typing import Any

import zmqtt
from values import fields, values

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main

_NEVER_SECONDS = 1e6


class ZmqttAdapter(Adapter):
    """One client instance; of a connection, nothing outlasts it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._client: Any = None
        self._manual_ack = False
        self._subscriptions: dict[tuple[str, ...], Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_ack: dict[int, Any] = {}

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """It begins each connection without a memory of the last, and shows reason codes only of what is refused."""
        return contract.HelloEvent(
            client="zmqtt",
            version=version("zmqtt"),
            mqtt=("3.1.1", "5.0"),
            transports=("tcp", "tls"),
            unsupported=(
                "kept-session", "topic-alias", "topic-alias-inbound", "auth", "disconnect-reason", "refuse-message",
                "disconnect-properties", "subscribe-properties", "publish-offline", "reason-codes",
            ),
        )  # fmt: skip

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Connect, with a client of its own: it keeps nothing for the next connection anyway."""
        await self.abandon()
        given, will = fields(command.properties), command.will
        if will is not None:
            properties = fields(will.properties)
            given["will"] = zmqtt.Will(
                topic=will.topic, payload=will.payload, qos=zmqtt.QoS(will.qos), retain=will.retain,
                properties=zmqtt.WillProperties(**properties) if properties else None,
            )  # fmt: skip
        try:
            client = zmqtt.MQTTClient(
                command.host,
                command.port,
                client_id=command.client_id,
                keepalive=command.keep_alive,
                clean_session=command.clean_start,
                username=command.username,
                password=None if command.password is None else command.password.decode(),
                tls=ssl.create_default_context(cafile=command.ca_file) if command.ca_file else None,
                reconnect=zmqtt.ReconnectConfig(enabled=False),
                mqtt_connect_timeout=_NEVER_SECONDS,
                version=command.mqtt,  # type: ignore[arg-type]  # never 3.1
                **given,
            )
        except TypeError as problem:  # a property that it has no argument for
            raise Unsuccessful("unsupported", str(problem)) from None
        try:
            await client.connect()
        except zmqtt.MQTTConnectError as refused:
            properties = values(refused.properties)
            raise Unsuccessful("refused", str(refused), reason=refused.return_code, properties=properties) from None
        except zmqtt.MQTTError as problem:
            raise Unsuccessful("cut-off", str(problem)) from None
        self._client, self._manual_ack = client, command.manual_ack
        self._watch(self._notice_end(client))
        info = client.connection_info
        return contract.Connected(session_present=info.session_present, reason=0, properties=values(info.properties))

    async def subscribe(self, command: contract.Subscribe) -> contract.Subscribed:
        """One SUBSCRIBE; all its filters have the same options."""
        first = command.subscriptions[0]
        filters = tuple(each.topic_filter for each in command.subscriptions)
        if any(each.model_copy(update={"topic_filter": first.topic_filter}) != first for each in command.subscriptions):
            raise Unsuccessful("unsupported", "all filters of a SUBSCRIBE have the same QoS and options")
        identifiers = command.properties.subscription_identifier
        wanted = self._there().subscribe(
            *filters, qos=zmqtt.QoS(first.qos), auto_ack=not self._manual_ack, receive_buffer_size=0,
            no_local=first.no_local, retain_as_published=first.retain_as_published,
            retain_handling=zmqtt.RetainHandling(first.retain_handling),
            subscription_identifier=identifiers[0] if identifiers else None,
        )  # fmt: skip
        self._watch(self._read(wanted))
        try:
            await self._asked(wanted.start())
        except zmqtt.MQTTSubscribeError as refused:
            return contract.Subscribed(reasons=tuple(refused.failures.get(each, first.qos) for each in filters))
        self._subscriptions[filters] = wanted
        return contract.Subscribed()

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """What ends a subscription, with all its filters."""
        self._there()
        subscription = self._subscriptions.pop(command.topic_filters, None)
        if subscription is None:
            raise Unsuccessful("unsupported", "it unsubscribes from what it subscribed to in one SUBSCRIBE")
        ack = await subscription.stop()
        if ack is None:
            raise Unsuccessful("cut-off")
        return contract.Unsubscribed(reasons=ack.reason_codes or None, properties=values(ack.properties))

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message; the reason code of a success is not told."""
        given = fields(command.properties)
        properties = zmqtt.PublishProperties(**given) if given else None
        said = (command.topic, command.payload)
        send = self._there().publish
        try:
            await self._asked(send(*said, qos=zmqtt.QoS(command.qos), retain=command.retain, properties=properties))
        except zmqtt.MQTTPublishError as refused:
            raise Unsuccessful("refused", str(refused), reason=refused.reason_code) from None
        return contract.Published()

    async def ack(self, command: contract.Ack) -> contract.Acked:
        """PUBACK or PUBREC; with success only."""
        if command.reason:
            raise Unsuccessful("unsupported", "it acknowledges with success only")
        self._there()
        await self._asked(self._to_ack.pop(command.message).ack())
        return contract.Acked()

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:
        """DISCONNECT, without a word."""
        if command.reason or command.properties != contract.NONE:
            raise Unsuccessful("unsupported", "zmqtt disconnects without a word")
        client, self._client = self._there(), None
        await client.disconnect()
        await self.abandon()
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """Abort the connection beneath it."""
        await self.abandon()
        return contract.Dropped()

    async def abandon(self) -> None:
        """Abort the connection, and wait until the client noticed."""
        client, self._client = self._client, None
        if client is not None:
            client._protocol._transport._writer.transport.abort()  # noqa: SLF001 - there is no public way to its socket
            await asyncio.wait({client._run_task})  # noqa: SLF001 - nor another sign that it noticed
        for task in self._tasks:
            task.cancel()
        self._subscriptions.clear()

    # ------------------------------------------------------------------------------------------------------------------

    def _there(self) -> Any:
        if self._client is None:
            raise Unsuccessful("cut-off", "there is no connection")
        return self._client

    async def _asked(self, call: Any) -> Any:
        try:
            return await call
        except zmqtt.MQTTDisconnectedError:
            raise Unsuccessful("cut-off") from None

    def _watch(self, call: Any) -> None:
        task = asyncio.ensure_future(call)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notice_end(self, client: Any) -> None:
        await asyncio.wait({client._run_task})  # noqa: SLF001 - its callback comes only where it was to reconnect
        if self._client is client:
            self._client = None
            self.report_loss(None)

    async def _read(self, subscription: Any) -> None:
        while True:
            message = await subscription.get_message()
            number = self.deliver(
                topic=message.topic, payload=message.payload, qos=int(message.qos), retain=message.retain,
                properties=values(message.properties),
            )  # fmt: skip
            self._to_ack[number] = message


ADAPTER = ZmqttAdapter

if __name__ == "__main__":
    main(ADAPTER)
