"""The sans-IO broker on sockets: TCP, TLS, WebSocket and secure WebSocket at once.

Belongs here: feeding bytes, times and back-pressure to the broker, and writing what it answers.
Does not belong here: any MQTT decision (`broker`), settings' files (`config`), processes and signals (`command`).

One read of up to 256 KiB is one call of the broker, and all it answers leaves in one write per connection.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import time
from types import TracebackType

from reference_broker.broker import Broker, Link
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.connection import Connection
from reference_broker.net.errors import BadPeer
from reference_broker.net.listening import bind, server_wrapping
from reference_broker.net.websocket import DEFAULT_MAXIMUM_FRAME_SIZE, WebSocketWrapping
from reference_broker.net.wrapping import Wrapping
from reference_broker.store import SqliteStore, StoreError

LOGGER = logging.getLogger("reference_broker")
"""One warning for each peer that was refused or broke the rules; connections come and go at debug level."""

_FULL_READ = 131_072
"""So many bytes at once mean that more are waiting: others come first, because uvloop would read up to 32 times."""

_MANY_ANSWERS_BYTES = 256
"""Answers of this size go before what they let others have: who published much goes on while that is written.

Where it is little, the message goes first, because somebody waits for it.
"""

_GOODBYE_SECONDS = 0.5  # how long shutting down waits for clients to end their side

_FRAME_SLACK = 65_536  # a client may put more than one packet in a frame, so a frame may exceed the largest packet


class BrokerServer:
    """A broker that listens; an async context manager, also to be started and closed by hand.

    `broker` replaces the one made from `config.broker`, and `websocket_type` its WebSocket, for brokers that deviate on
    purpose.
    """

    websocket_type: type[WebSocketWrapping] = WebSocketWrapping

    def __init__(self, config: ServerConfig | None = None, *, broker: Broker | None = None) -> None:
        self.config = config or ServerConfig()
        self.broker = broker or Broker(self.config.broker, store=_store(self.config))
        self.broker.log = LOGGER.warning
        self.addresses: dict[Transport, Address] = {}
        self.connections: dict[Link, BrokerConnection] = {}
        self._servers: list[asyncio.Server] = []
        self._paused: set[BrokerConnection] = set()
        self._timer: asyncio.Handle | None = None
        self._wakes_at = math.inf  # kept here, because uvloop's handle of a deadline that is due has no `when`
        self._all_gone: asyncio.Future[None] | None = None
        self._is_open = False
        self._saves_before_answering = False
        self.now = time.monotonic

    @property
    def address(self) -> Address:
        """Where the broker listens on TCP, or on its first listener where TCP is off."""
        return next(iter(self.addresses.values()))

    async def __aenter__(self) -> BrokerServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Take over what the store holds, then open every listener or none.

        Raises AddressInUse, CertificateUnusable or another ListenFailed, and StoreError for an unusable store.
        """
        self.now = asyncio.get_running_loop().time
        self.broker.load(self.now(), time.time())
        self._saves_before_answering = self.broker.saves_before_answering
        self.broker.save(self.now())  # a file that cannot be written is told now, not when all is lost
        self._is_open = True
        try:
            for address in self.config.listeners():
                await self._listen(address)
        except BaseException:
            await self.close()
            raise
        self._set_timer()

    def abort(self) -> None:
        """Be gone at once, as if the process had been killed: nobody is told, and nothing more is saved."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        self._is_open = False
        self._saves_before_answering = False
        for connection in list(self.connections.values()):
            connection.abandon()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def close(self) -> None:
        """Accept no more, say goodbye to every client (5.0: DISCONNECT 0x8B), and end all connections with FIN."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        if not self._is_open:
            return
        self._is_open = False
        loop = asyncio.get_running_loop()
        try:
            self.broker.shutdown(self.now())
        except StoreError as error:
            LOGGER.error("state not saved: %s", error)
        self.flush()
        for connection in list(self.connections.values()):
            connection.close()
        if self.connections:
            self._all_gone = loop.create_future()
            await asyncio.wait([self._all_gone], timeout=_GOODBYE_SECONDS)
            for connection in list(self.connections.values()):
                connection.abandon()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _listen(self, address: Address) -> None:
        make_wrapping = server_wrapping(
            address, self.config.cert, self.config.key, self._maximum_frame_size(), self.websocket_type
        )
        sock = bind(address)
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(lambda: BrokerConnection(self, make_wrapping()), sock=sock))
        self.addresses[address.transport] = dataclasses.replace(address, port=sock.getsockname()[1])

    def _maximum_frame_size(self) -> int:
        packet = self.config.broker.maximum_packet_size
        return DEFAULT_MAXIMUM_FRAME_SIZE if packet is None else packet + _FRAME_SLACK

    # What the connections call.

    def flush(self, active: Link | None = None) -> None:
        """Write what the broker answered, obey its back-pressure and its next deadline.

        `active` is the link whose bytes it answered, if it was one's.
        """
        connections = self.connections
        if self._saves_before_answering and not self._save():
            return
        output = self.broker.take_output()
        if len(output) > 1 and output[-1][0] is active and sum(map(len, output[-1][1])) >= _MANY_ANSWERS_BYTES:
            output.insert(0, output.pop())
        for link, pieces, close in output:
            connection = connections.get(link)
            if connection is None:
                continue
            if pieces:
                connection.write_pieces(pieces)
            if close:
                connection.close()
        if self._paused:
            self._resume_paused()
        if self.broker.has_output:  # more than could be held at once
            asyncio.get_running_loop().call_soon(self.flush)
        self._set_timer()

    def _save(self) -> bool:
        """Save what was done; where that fails, whoever would now be told that it was done loses its connection."""
        try:
            self.broker.save(self.now())
        except StoreError as error:
            LOGGER.error("state not saved: %s", error)
            for link, _, _ in self.broker.take_output():
                if link in self.connections:
                    self.connections[link].abandon()
            self._set_timer()
            return False
        return True

    def pause(self, connection: BrokerConnection) -> None:
        """Read no more from a connection until the broker wants to."""
        connection.pause_reading()
        self._paused.add(connection)

    def forget(self, connection: BrokerConnection) -> None:
        """Drop a connection that is gone."""
        self._paused.discard(connection)
        self.connections.pop(connection.link, None)
        if not self.connections and self._all_gone is not None and not self._all_gone.done():
            self._all_gone.set_result(None)

    def _resume_paused(self) -> None:
        for connection in [paused for paused in self._paused if not paused.link.reading_paused]:
            self._paused.discard(connection)
            connection.resume_reading()

    def _set_timer(self) -> None:
        """Wake up no later than the broker's next deadline; deadlines mostly move away, and then the timer stays."""
        deadline = self.broker.next_deadline()
        if deadline is None or deadline >= self._wakes_at or not self._is_open:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = deadline
        self._timer = asyncio.get_running_loop().call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wakes_at = math.inf
        self.broker.handle_timer(self.now())
        self.flush()


class BrokerConnection(Connection):
    """One client's connection and the broker's link for it."""

    __slots__ = ("_server", "link")

    link: Link

    def __init__(self, server: BrokerServer, wrapping: Wrapping | None) -> None:
        super().__init__(wrapping)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the broker's link at once: its connect timeout bounds the wrapping's handshake too."""
        super().connection_made(transport)
        self.link = self._server.broker.connect(self._server.now(), self.peer)
        self._server.connections[self.link] = self
        LOGGER.debug("%s connected", self.peer)
        self._server.flush()

    def on_data(self, data: bytes) -> None:
        """Let the broker work on one read."""
        self.link.receive_data(data, self._server.now())
        self._server.flush(self.link)
        if self.link.reading_paused:
            self._server.pause(self)
        elif len(data) >= _FULL_READ:
            self.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def on_end(self) -> None:
        """An MQTT client that ended its side is gone. [5.0 3.14]"""
        self._lose_link()
        self.close()

    def on_bad_peer(self, error: BadPeer) -> None:
        """Log what was wrong; the client is gone."""
        LOGGER.warning("%s: %s", self.peer, error)
        self._lose_link()

    def on_write_paused(self) -> None:
        """The client reads slower than we write."""
        self.link.pause_writing()

    def on_write_resumed(self) -> None:
        """The client caught up: give it what waits."""
        self.link.resume_writing()
        self._server.flush()

    def on_read_resumed(self) -> None:
        """The client read its pongs: go on, unless it has to wait for others."""
        self._read_on()

    def on_lost(self, error: Exception | None) -> None:
        """Tell the broker, if it does not know yet."""
        LOGGER.debug("%s disconnected%s", self.peer, f": {error}" if error else "")
        self._lose_link()
        self._server.forget(self)

    def abandon(self) -> None:
        """Tear the socket down without waiting for the client's end."""
        if self._transport is not None:
            self._transport.abort()

    def _read_on(self) -> None:
        if not self.link.reading_paused:
            self.resume_reading()

    def _lose_link(self) -> None:
        self.link.connection_lost(self._server.now())
        self._server.flush()


def _store(config: ServerConfig) -> SqliteStore | None:
    return None if config.store is None else SqliteStore(config.store)
