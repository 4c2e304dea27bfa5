"""The client for scripts: the same surface as `AsyncClient`, with calls that wait.

Belongs here: a thread with an event loop, and handing calls to it.
Does not belong here: anything of its own; see `client` for what the methods mean.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from reference_broker.client import (
    Authenticated,
    Cause,
    ClientOptions,
    Connected,
    Disconnected,
    Event,
    Message,
    Published,
    Session,
    Subscribed,
    Unsubscribed,
)
from reference_broker.net.address import Address
from reference_broker.net.client import AsyncClient, Authenticator, ConnectionEnded, Reconnection
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Packet, Subscription
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.sender import Side

_Result = TypeVar("_Result")


class BlockingClient:
    """An MQTT client for scripts; `with` connects and disconnects, and PINGREQ is sent in time meanwhile.

    Every call waits for its answer, at most `timeout_seconds` (None: for ever), and then raises TimeoutError; other
    errors are those of `AsyncClient`. May be used from several threads. Callbacks run in the client's own thread and
    must not call the client.
    """

    def __init__(
        self,
        address: Address | str,
        options: ClientOptions | None = None,
        *,
        session: Session | None = None,
        reconnection: Reconnection | None = None,
        connect_timeout_seconds: float = 10.0,
        timeout_seconds: float | None = 60.0,
        authenticator: Authenticator | None = None,
        on_message: Callable[[Message], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_packet: Callable[[Side, Packet], None] | None = None,
    ) -> None:
        """See `AsyncClient`."""
        self._timeout = timeout_seconds
        self._client = AsyncClient(
            address,
            options,
            session=session,
            reconnection=reconnection,
            connect_timeout_seconds=connect_timeout_seconds,
            authenticator=authenticator,
            on_message=on_message,
            on_event=on_event,
            on_packet=on_packet,
        )
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def __enter__(self) -> Self:
        try:
            self.connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_connected(self) -> bool:
        """Whether commands are sent at once."""
        return self._client.is_connected

    @property
    def session(self) -> Session:
        """What lasts longer than a connection."""
        return self._client.session

    def connect(self) -> Connected:
        """Connect and wait for the server to accept; may be called again after an end, but not after `close`."""
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._loop.run_forever, name="mqtt-client", daemon=True)
            self._thread.start()
        return self._wait(self._client.connect())

    def disconnect(self, reason: int = 0, properties: Properties = NO_PROPERTIES) -> None:
        """Send DISCONNECT and wait until the socket is closed."""
        if self._thread is not None:
            self._wait(self._client.disconnect(reason, properties))

    def drop(self) -> None:
        """End the connection with RST and without DISCONNECT, as a client that crashes does."""
        if self._thread is not None:
            self._wait(self._drop())

    def close(self) -> None:
        """Disconnect if connected, and end the thread for good."""
        try:
            self.disconnect()
        finally:
            self._is_closed = True
            if self._thread is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._thread = None
            self._loop.close()

    def publish(
        self,
        topic: str,
        payload: bytes | str = b"",
        qos: int = 0,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> Published:
        """Publish and wait until it is settled."""
        return self._wait(self._client.publish(topic, payload, qos, retain, properties))

    def subscribe(
        self, *subscriptions: str | Subscription, qos: int = 0, properties: Properties = NO_PROPERTIES
    ) -> Subscribed:
        """Subscribe and wait for the answer."""
        return self._wait(self._client.subscribe(*subscriptions, qos=qos, properties=properties))

    def unsubscribe(self, *topic_filters: str, properties: Properties = NO_PROPERTIES) -> Unsubscribed:
        """Unsubscribe and wait for the answer."""
        return self._wait(self._client.unsubscribe(*topic_filters, properties=properties))

    def acknowledge(self, message: Message, reason: int = 0, properties: Properties = NO_PROPERTIES) -> bool:
        """Acknowledge a message where `manual_acknowledgement` is on."""
        return self._wait(self._acknowledge(message, reason, properties))

    def re_authenticate(self, data: bytes | None, properties: Properties = NO_PROPERTIES) -> Authenticated:
        """Authenticate anew and wait until the server accepts."""
        return self._wait(self._client.re_authenticate(data, properties))

    def receive(self, timeout_seconds: float | None = None) -> Message:
        """Wait for the next message, for ever by default; raises TimeoutError, or ConnectionEnded at the end."""
        return self._wait(self._client.receive(), math.inf if timeout_seconds is None else timeout_seconds)

    def messages(self, timeout_seconds: float | None = None) -> Iterator[Message]:
        """The messages as they come, until `disconnect` or until none comes for `timeout_seconds`."""
        while True:
            try:
                yield self.receive(timeout_seconds)
            except TimeoutError:
                return
            except ConnectionEnded as error:
                if error.end.cause is Cause.REQUESTED:
                    return
                raise

    def wait_ended(self) -> Disconnected:
        """Wait until the connection is over for good; says why."""
        return self._wait(self._client.wait_ended(), math.inf)

    def _wait(self, call: Coroutine[Any, Any, _Result], timeout_seconds: float | None = None) -> _Result:
        """Run a call in the client's thread, for at most the time given or else `timeout_seconds` of the client."""
        if self._thread is None:
            call.close()
            raise LocalError("not connected")
        limit = self._timeout if timeout_seconds is None else timeout_seconds
        if limit == math.inf:
            limit = None
        future = asyncio.run_coroutine_threadsafe(_bounded(call, limit), self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # whoever interrupted the wait wants no answer any more

    async def _drop(self) -> None:
        self._client.drop()

    async def _acknowledge(self, message: Message, reason: int, properties: Properties) -> bool:
        return self._client.acknowledge(message, reason, properties)


async def _bounded(call: Coroutine[Any, Any, _Result], limit: float | None) -> _Result:
    # The limit is kept in the loop, where a message cannot get lost between its arrival and the end of the time.
    try:
        async with asyncio.timeout(limit):
            return await call
    except TimeoutError:
        raise TimeoutError(f"no answer within {limit:g} s") from None
