"""The asyncio face of the client: commands are awaited, messages are iterated.

Belongs here: matching answers to those who wait for them, and coming back after a lost connection.
Does not belong here: anything MQTT decides (`client`), bytes (`client_link`), scripts without asyncio (`blocking`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

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
    ServerLimits,
    Session,
    State,
    Subscribed,
    Unsubscribed,
)
from reference_broker.net.address import Address
from reference_broker.net.client_link import ClientLink
from reference_broker.net.errors import ConnectFailed
from reference_broker.net.reconnection import Reconnection, is_final
from reference_broker.net.stream import dial
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Packet, Publish, Subscription
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.sender import Side
from reference_broker.wire.types import QoS, ReasonCode

__all__ = ["AsyncClient", "Authenticator", "ConnectionEnded", "Reconnection", "RequestFailed"]

Authenticator = Callable[[AuthChallenge], bytes | Awaitable[bytes | None] | None]
"""Gives the data that answers a challenge. [5.0 4.12]"""


_MESSAGE_BYTES = 500
"""What a message takes beside topic and payload."""
_FAR_TOO_MUCH = 4


class ConnectionEnded(ConnectionError):
    """The MQTT connection is over, or never came about; `end` says why."""

    def __init__(self, end: Disconnected) -> None:
        super().__init__(str(end))
        self.end = end


class RequestFailed(ConnectionError):
    """A command will not be completed, because its connection or its session ended."""


class AsyncClient:
    """An MQTT client for asyncio; `async with` connects and disconnects.

    Commands raise LocalError for what may not be sent, and RequestFailed or ConnectionEnded (both ConnectionError) when
    the connection ends first. The session stays with the client: `connect` may be called again after an end, and then
    goes on with it if `options` ask for that. For one event loop; for threads there is `BlockingClient`.
    """

    def __init__(
        self,
        address: Address | str,
        options: ClientOptions | None = None,
        *,
        session: Session | None = None,
        reconnection: Reconnection | None = None,
        connect_timeout_seconds: float = 10.0,
        inbox_maximum_bytes: int = 64 * 1024 * 1024,
        authenticator: Authenticator | None = None,
        on_message: Callable[[Message], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_packet: Callable[[Side, Packet], None] | None = None,
    ) -> None:
        """`address` may be `host`, `host:port` or a URL; `options` default to 5.0 with a clean start.

        A user name and password of the URL are sent where `options` have none.

        `reconnection`: come back by itself after an established connection was lost; commands wait meanwhile, and
        messages in flight go on where the session was kept. `connect_timeout_seconds` bounds the network's part of
        connecting. `inbox_maximum_bytes` is about how much may wait for `receive` or `messages`: past it the server is
        not read while no command waits for an answer, and four times that ends the connection. `on_message` takes the
        messages instead of those two; `on_event` is told everything, before anyone who awaits it; `on_packet` sees
        every packet. None of them may raise.
        """
        self.address = Address.parse(address) if isinstance(address, str) else address
        self.options = ClientOptions() if options is None else options
        if (login := self.address.login) and self.options.username is None and self.options.password is None:
            self.options = replace(self.options, username=login.username, password=login.password)
        self.session = Session() if session is None else session
        self._reconnection = reconnection
        self._connect_timeout = connect_timeout_seconds
        self._authenticator = authenticator
        self._on_message = on_message
        self._on_event = on_event
        self._on_packet = on_packet

        self._task: asyncio.Task[None] | None = None
        self._link: ClientLink | None = None
        # Pending while a connection is being made or will be made again; then `_over` is None.
        self._connection: asyncio.Future[Connected] | None = None
        self._over: Exception | None = None  # why there is no connection and will be none
        self._end = Disconnected(Cause.REQUESTED)  # of the last connection
        self._failures: int | None = None  # attempts in a row; None: there was no connection yet
        self._is_stopping = False
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._authentication: asyncio.Future[Authenticated] | None = None
        self._challenge: asyncio.Task[None] | None = None
        self._challenge_error: Exception | None = None
        self._inbox: deque[Message] = deque()
        self._inbox_bytes = 0
        self._inbox_maximum_bytes = inbox_maximum_bytes
        self._news = asyncio.Event()

    # --- the connection ----------------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether commands are sent at once."""
        return self._link is not None and self._link.is_connected

    @property
    def limits(self) -> ServerLimits:
        """What the server of this connection allows."""
        return self._link.core.limits if self._link is not None else ServerLimits()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def connect(self) -> Connected:
        """Connect and wait for the server to accept.

        Raises ConnectFailed when there is no network connection, ConnectionEnded when the server refuses or is silent.
        """
        if self._task is not None:
            if self._over is None:
                raise LocalError("already connected")
            await asyncio.wait({self._task})  # it only waits for the old socket to close
        loop = asyncio.get_running_loop()
        self._over = self._failures = self._challenge_error = None
        self._is_stopping = False
        self._connection = loop.create_future()
        self._task = loop.create_task(self._run())
        try:
            return await asyncio.shield(self._connection)
        except asyncio.CancelledError:
            self.drop()
            raise
        except Exception:
            await asyncio.wait({self._task})  # nothing is left behind when the caller ends its loop over it
            raise

    async def disconnect(self, reason: int = 0, properties: Properties = NO_PROPERTIES) -> None:
        """Send DISCONNECT, then wait until the socket is closed; does nothing when there is no connection."""
        if self._task is None:
            return
        self._is_stopping = True
        if self.is_connected:
            link = self._link
            assert link is not None
            link.core.disconnect(link.now(), reason, properties)
            link.update()
        else:
            self.drop()
        await asyncio.wait({self._task})

    def drop(self) -> None:
        """End the connection with RST and without DISCONNECT, as a client that crashes does; nothing comes back."""
        self._is_stopping = True
        if self._link is not None:
            self._link.drop()
        elif self._task is not None:
            self._task.cancel()  # it is dialing, or sleeping before the next attempt

    async def wait_ended(self) -> Disconnected:
        """Wait until the connection is over for good; says why."""
        if self._task is not None:
            await asyncio.wait({self._task})
        return self._end

    # --- commands ----------------------------------------------------------------------------------------------------

    async def publish(
        self,
        topic: str,
        payload: bytes | str = b"",
        qos: int = 0,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> Published:
        """Publish and wait until it is settled: sent at QoS 0, acknowledged at QoS 1, carried through at QoS 2.

        Look at `reason` of what is returned: 0x80 or greater means that the server refused the message.
        """
        data = payload.encode() if isinstance(payload, str) else payload
        publish = Publish(topic, data, _qos(qos), retain, properties=properties)
        link = await self._connected_link()
        if link.stream.is_write_paused:
            await link.stream.drain()
        published: Published = await self._answer(link, link.core.publish(publish, link.now()))
        return published

    async def subscribe(
        self,
        *subscriptions: str | Subscription,
        qos: int = 0,
        properties: Properties = NO_PROPERTIES,
    ) -> Subscribed:
        """Subscribe and wait for the answer: `reasons` has the granted QoS or an error for each, in order.

        A plain string is a topic filter with `qos`.
        """
        wanted = [Subscription(each, _qos(qos)) if isinstance(each, str) else each for each in subscriptions]
        link = await self._connected_link()
        subscribed: Subscribed = await self._answer(link, link.core.subscribe(wanted, link.now(), properties))
        return subscribed

    async def unsubscribe(self, *topic_filters: str, properties: Properties = NO_PROPERTIES) -> Unsubscribed:
        """Unsubscribe and wait for the answer."""
        link = await self._connected_link()
        ticket = link.core.unsubscribe(topic_filters, link.now(), properties)
        unsubscribed: Unsubscribed = await self._answer(link, ticket)
        return unsubscribed

    def acknowledge(self, message: Message, reason: int = 0, properties: Properties = NO_PROPERTIES) -> bool:
        """Acknowledge a message where `manual_acknowledgement` is on; False: it needs none (any more).

        Raises LocalError while there is no connection.
        """
        if self._link is None:
            raise LocalError("cannot acknowledge without a connection")
        done = self._link.core.acknowledge(message, self._link.now(), reason, properties)
        self._link.update()
        return done

    async def re_authenticate(self, data: bytes | None, properties: Properties = NO_PROPERTIES) -> Authenticated:
        """Authenticate anew and wait until the server accepts; the authenticator answers challenges. [5.0 4.12.1]"""
        link = await self._connected_link()
        link.core.authenticate(data, link.now(), properties)
        self._authentication = asyncio.get_running_loop().create_future()
        link.update()
        link.release()
        return await self._authentication

    async def receive(self) -> Message:
        """Wait for the next message; raises ConnectionEnded when there will be none."""
        while not self._inbox:
            self._require_hope()
            self._news.clear()
            await self._news.wait()
        message = self._inbox.popleft()
        self._inbox_bytes -= _inbox_bytes(message)
        if self._link is not None and self._inbox_bytes <= self._inbox_maximum_bytes:
            self._link.release()
        return message

    async def messages(self) -> AsyncIterator[Message]:
        """The messages as they come; ends with `disconnect`, raises ConnectionEnded at any other end."""
        while True:
            try:
                message = await self.receive()
            except ConnectionEnded as error:
                if error.end.cause is Cause.REQUESTED:
                    return
                raise
            yield message

    # --- inside ------------------------------------------------------------------------------------------------------

    def _require_hope(self) -> None:
        """Raise unless there is a connection or will be one."""
        if isinstance(self._over, ConnectionEnded):
            raise ConnectionEnded(self._over.end) from self._over.__cause__  # a new one has its own traceback
        if self._over is not None:
            raise self._over
        if self._connection is None:
            raise LocalError("not connected")

    async def _connected_link(self) -> ClientLink:
        """The link to send on; waits while the client is coming back."""
        while self._link is None or not self._link.is_connected:
            self._require_hope()
            assert self._connection is not None
            await asyncio.shield(self._connection)
        return self._link

    async def _answer(self, link: ClientLink, ticket: int) -> Any:
        """The event that answers a command just given to the link's core."""
        answer = self._answers[ticket] = asyncio.get_running_loop().create_future()
        link.update()
        link.release()  # the answer may stand behind messages that nobody takes
        try:
            return await answer
        finally:
            self._answers.pop(ticket, None)

    async def _run(self) -> None:
        """Connect, and again as long as the policy says so."""
        try:
            while True:
                await self._run_once()
                delay = self._delay()
                if delay is None:
                    return
                assert self._failures is not None
                self._failures += 1
                await asyncio.sleep(delay)
        except asyncio.CancelledError:  # while dialing, or before the next attempt
            self._give_up(ConnectionEnded(Disconnected(Cause.REQUESTED)))
        except Exception as error:
            self._give_up(error)

    async def _run_once(self) -> None:
        """One connection from dialing to the closed socket."""
        try:
            stream = await dial(self.address, self._connect_timeout)
        except ConnectFailed as error:
            if self._delay() is None:
                self._give_up(error)
            return
        # Coming back is going on with the session, however it began.
        resume = self._failures is not None and self.session.established
        core = ClientCore(replace(self.options, clean_start=False) if resume else self.options, self.session)
        core.watch = self._on_packet
        self._link = ClientLink(core, stream, self._take)
        try:
            await self._link.run()
        finally:
            self._link = None
            await stream.wait_closed()

    def _delay(self) -> float | None:
        """How long to wait before coming back; None: the last connection was the last."""
        policy, failures = self._reconnection, self._failures
        if policy is None or failures is None or self._is_stopping or is_final(self._end, self.options.version):
            return None
        return policy.delay(failures)

    def _take(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)
        match event:
            case Connected():
                self._failures = 0
                self._settle(self._connection, event)
            case Published() | Subscribed() | Unsubscribed():
                self._settle(self._answers.pop(event.ticket, None), event)
            case Failed():
                self._settle(self._answers.pop(event.ticket, None), RequestFailed(event.why))
            case Message() if self._on_message is not None:
                self._on_message(event)
            case Message():
                self._put(event)
            case AuthChallenge():
                assert self._link is not None
                self._challenge = asyncio.get_running_loop().create_task(self._meet(self._link, event))
            case Authenticated():
                self._settle(self._authentication, event)
            case Disconnected():
                self._end = event
                self._take_end(ConnectionEnded(event))

    def _put(self, message: Message) -> None:
        """Let a message wait for `receive`, within bounds."""
        self._inbox.append(message)
        self._inbox_bytes += _inbox_bytes(message)
        self._news.set()
        link = self._link
        if link is None or self._inbox_bytes <= self._inbox_maximum_bytes:
            return
        if self._inbox_bytes > _FAR_TOO_MUCH * self._inbox_maximum_bytes and link.is_connected:
            link.core.overwhelmed(link.now())
        elif not self._answers and (self._authentication is None or self._authentication.done()):
            link.hold()

    def _take_end(self, error: ConnectionEnded) -> None:
        error.__cause__ = self._challenge_error
        if self._challenge is not None and self._challenge is not asyncio.current_task():
            self._challenge.cancel()  # nobody wants its answer any more
        self._settle(self._authentication, error)
        if self._delay() is None:
            self._give_up(error)
        elif self._connection is not None and self._connection.done():
            self._connection = asyncio.get_running_loop().create_future()

    def _give_up(self, error: Exception) -> None:
        """Tell everyone who waits that there will be no connection."""
        if self._over is not None:
            return
        self._over = error
        self._settle(self._connection, error)
        for answer in self._answers.values():
            self._settle(answer, error)
        self._answers.clear()
        self._news.set()

    @staticmethod
    def _settle(future: asyncio.Future[Any] | None, outcome: Event | Exception) -> None:
        """Give a waiting future its result, unless it was cancelled or nobody waits."""
        if future is None or future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
            future.exception()  # it counts as looked at: there may be nobody left to do so
        else:
            future.set_result(outcome)

    async def _meet(self, link: ClientLink, challenge: AuthChallenge) -> None:
        """Answer the server's challenge, or end the connection over it. [5.0 4.12, MQTT-4.12.1-2]"""
        try:
            if self._authenticator is None:
                raise LocalError("the server wants authentication data and there is no authenticator")
            data = self._authenticator(challenge)
            if inspect.isawaitable(data):
                data = await data
            link.core.authenticate(data, link.now())
        except Exception as error:
            if link.core.state is State.CLOSED:
                return
            self._challenge_error = error
            self._is_stopping = True
            link.core.disconnect(link.now(), ReasonCode.UNSPECIFIED_ERROR)
        link.update()


def _inbox_bytes(message: Message) -> int:
    return len(message.payload) + len(message.topic) + _MESSAGE_BYTES


def _qos(value: int) -> QoS:
    try:
        return QoS(value)
    except ValueError:
        raise LocalError(f"QoS is 0, 1 or 2; asked for {value}") from None
