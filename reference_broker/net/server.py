"""The sans-IO broker on sockets: TCP, TLS, WebSocket and secure WebSocket at once.

Belongs here: feeding bytes, times and back-pressure to the broker, and writing what it answers.
Does not belong here: any MQTT decision (`broker`), settings' files (`config`), processes and signals (`command`).

One read of up to 256 KiB is one call of the broker, and all it answers leaves in one write per connection.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from reference_broker.broker import Broker, Link
from reference_broker.broker.keeping.former import changes_of
from reference_broker.broker.outgoing.output import Buffer
from reference_broker.broker.values.seldom import Seldom
from reference_broker.net import handles
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.connection import Connection, peer_of
from reference_broker.net.errors import BadPeer
from reference_broker.net.gathering import Gathering
from reference_broker.net.keeping import Keeping, OpenStore
from reference_broker.net.listening import serve, server_wrapping
from reference_broker.net.memory import MemoryWatch
from reference_broker.net.turns import FEWEST_BYTES, MOST_BYTES, TURN_SECONDS, Share
from reference_broker.net.websocket import DEFAULT_MAXIMUM_FRAME_SIZE, WebSocketWrapping
from reference_broker.net.wrapping import Wrapping
from reference_broker.store.records import Change, StoreError
from reference_broker.store.snapshot import Snapshot
from reference_broker.store.sqlite import SqliteStore
from reference_broker.wire.types import ReasonCode

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
    purpose. `open_store` gives where the broker's changes are kept.
    """

    websocket_type: type[WebSocketWrapping] = WebSocketWrapping

    def __init__(
        self, config: ServerConfig | None = None, *, broker: Broker | None = None, open_store: OpenStore | None = None
    ) -> None:
        self.config = config or ServerConfig()
        self._open_store = open_store or _store(self.config)
        self.broker = broker or Broker(self.config.broker, keeps=self._open_store is not None)
        self.broker.log = LOGGER.warning
        self.addresses: dict[Transport, Address] = {}
        self._connection_count = 0
        self._ending: set[BrokerConnection] = set()
        """Those whose links have ended and whose sockets are still open."""
        self._servers: list[asyncio.Server] = []
        self._paused: set[BrokerConnection] = set()
        self._timer: asyncio.Handle | None = None
        self._wakes_at = math.inf  # kept here, because uvloop's handle of a deadline that is due has no `when`
        self._memory: MemoryWatch | None = None
        self._all_gone: asyncio.Future[None] | None = None
        self._is_open = False
        self._keeping: Keeping | None = None
        self.is_behind = False
        """Whether more is to be kept than the store can keep up with: who adds to it is not read."""
        self.unkept: StoreError | None = None
        """Why something was not kept, once the server is closed."""
        self.is_taken_in = asyncio.Event()
        """Set once all is there that was kept before, or when it turns out that not all of it can be read."""
        self.now = time.monotonic
        self._gathering = Gathering()
        self._wait: asyncio.Handle | None = None

    @property
    def address(self) -> Address:
        """Where the broker listens on TCP, or on its first listener where TCP is off."""
        return next(iter(self.addresses.values()))

    @property
    def connections(self) -> dict[Link, BrokerConnection]:
        """All whose sockets are open, by their links."""
        with_open_links = [connection for link in self.broker.links if (connection := _connection_of(link)) is not None]
        return {connection.link: connection for connection in (*with_open_links, *self._ending)}

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
        if self._open_store is not None:
            await self._open(self._open_store)
        else:
            self.is_taken_in.set()
        self._is_open = True
        self.addresses.clear()
        try:
            await self._listen_everywhere()
        except BaseException:
            await self.close()
            raise
        self._set_timer()
        if self.config.memory_maximum_bytes is not None:
            self._memory = MemoryWatch(self.broker, self.config.memory_maximum_bytes)
            self._memory.look()

    async def _open(self, open_store: OpenStore) -> None:
        keeping = Keeping(self.broker, self, open_store)
        await keeping.open()
        try:
            self.broker.load(self.now(), time.time())
            await keeping.load(self.now)
        except BaseException:
            await keeping.close()
            raise
        self._keeping = keeping

    def abort(self) -> None:
        """Be gone at once, as if the process had been killed: nobody is told, and nothing more is saved."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        self._is_open = False
        self._watch_no_more()
        if self._keeping is not None:
            self._keeping.kill()
            self._keeping = None
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
        self._watch_no_more()
        for address in self.addresses.values():
            if address.unix_socket is not None:
                address.unix_socket.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self.broker.shutdown(self.now())
        self.flush()
        if self._keeping is not None:
            await self._keeping.drain()
        for connection in list(self.connections.values()):
            connection.close()
        if self._connection_count:
            self._all_gone = loop.create_future()
            await asyncio.wait([self._all_gone], timeout=_GOODBYE_SECONDS)
            for connection in list(self.connections.values()):
                connection.abandon()
        if self._keeping is not None:
            self.unkept = await self._keeping.close()
            self._keeping = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _listen_everywhere(self) -> None:
        for address in self.config.listeners():
            await self._listen(address)

    def _watch_no_more(self) -> None:
        if self._memory is not None:
            self._memory.end()
            self._memory = None

    async def _listen(self, address: Address) -> None:
        make_wrapping = server_wrapping(
            address, self.config.cert, self.config.key, self._maximum_frame_size(), self.websocket_type
        )
        await self._accept(address, lambda: BrokerConnection(self, make_wrapping()))

    async def _accept(self, address: Address, protocol: Callable[[], BrokerConnection]) -> Address:
        """Have connections to an address be `protocol`'s; give the address with its port."""
        server, where = await serve(address, protocol, self.config.tcp_keepalive_seconds)
        self._servers.append(server)
        self.addresses.setdefault(address.transport, where)
        return where

    def _maximum_frame_size(self) -> int:
        packet = self.config.broker.maximum_packet_size
        return DEFAULT_MAXIMUM_FRAME_SIZE if packet is None else packet + _FRAME_SLACK

    # What the connections call.

    @property
    def keeps(self) -> bool:
        """Whether answers may have to wait until something is kept."""
        return self._keeping is not None

    def has_room(self) -> bool:
        """Count a connection; whether there are enough file handles for it."""
        self._connection_count += 1
        return self._connection_count <= handles.most_connections()

    def flush(self, active: Link | None = None) -> None:
        """Write what the broker answered, obey its back-pressure and its next deadline.

        `active` is the link whose bytes it answered, if it was one's.
        """
        keeping = self._keeping
        ticket = 0 if keeping is None else keeping.note()
        output = self.broker.take_output()
        if len(output) > 1 and output[-1][0] is active and sum(map(len, output[-1][1])) >= _MANY_ANSWERS_BYTES:
            output.insert(0, output.pop())
        for link, pieces, close in output:
            connection = _connection_of(link)
            if connection is None:
                continue
            if close:
                self.note_ending(connection)
            if keeping is not None:
                if keeping.holds(link, pieces, close, ticket if link.is_promise else 0):
                    continue
                connection.is_unanswered = False
            if pieces:
                connection.write_pieces(pieces)
            if close:
                connection.close()
        if ticket and keeping is not None:
            keeping.refuse_held()
        if self._paused:
            self.resume()
        if self.broker.has_output:  # more than could be held at once
            asyncio.get_running_loop().call_soon(self.flush)
        self._set_timer()

    def pause(self, connection: BrokerConnection) -> None:
        """Read no more from a connection until the broker wants to."""
        connection.pause_reading()
        self._paused.add(connection)

    def has_to_wait(self) -> bool:
        """Whether the store is behind, and whose bytes were just worked on adds to that.

        Others go on: they would wait for a disk of which they want nothing.
        """
        return self.is_behind and self._keeping is not None and self._keeping.has_grown

    def note_ending(self, connection: BrokerConnection) -> None:
        """A connection's link has ended, and its socket is still to be closed."""
        self._ending.add(connection)

    def end(self, connection: BrokerConnection) -> None:
        """Close a connection whose link has ended, behind all that it is still to get."""
        self.note_ending(connection)
        if self._keeping is None or not self._keeping.holds(connection.link, [], True, 0):
            connection.close()

    def note_read(self, size_bytes: int, now: float) -> None:
        """Let packets gather before the next read where that carries more."""
        seconds = self._gathering.note(size_bytes, now)
        if seconds and self._wait is None:
            self._wait = asyncio.get_running_loop().call_soon(self._gather, seconds)  # once all is read that is there

    def _gather(self, seconds: float) -> None:
        """Hold the whole loop: in its poll each packet would wake it, which is what is to be saved."""
        self._wait = None
        time.sleep(seconds)

    def forget(self, connection: BrokerConnection) -> None:
        """Drop a connection that is gone."""
        self._paused.discard(connection)
        self._ending.discard(connection)
        connection.link.adapter = ""  # or they would hold each other until Python looks for garbage
        self._connection_count -= 1
        if not self._connection_count and self._all_gone is not None and not self._all_gone.done():
            self._all_gone.set_result(None)

    def resume(self) -> None:
        """Read from whom nobody has to wait for any more."""
        if self.is_behind:
            return
        for connection in [paused for paused in self._paused if not paused.link.reading_paused]:
            self._paused.discard(connection)
            connection.resume_reading()

    # What keeping calls.

    def write(self, link: Link, pieces: list[Buffer], close: bool) -> None:
        """Write what waited to be kept."""
        connection = _connection_of(link)
        if connection is None:
            return
        connection.is_unanswered = False
        if pieces:
            connection.write_pieces(pieces)
        if close:
            connection.close()

    def refuse(self, links: Iterable[Link]) -> None:
        """End connections whose answer cannot be given: 5.0 clients get DISCONNECT 0x97. [5.0 3.14.2.1]

        Who would have got its CONNACK gets nothing, because that has to be the first packet. [5.0 MQTT-3.2.0-1]
        """
        keeping = self._keeping
        refused = {link: connection for link in links if (connection := _connection_of(link)) is not None}
        if keeping is None or not refused:
            return
        for link, connection in refused.items():
            if connection.is_unanswered:
                connection.abandon()
            else:
                link.disconnect(ReasonCode.QUOTA_EXCEEDED, "it cannot be kept", self.now())
        ticket = keeping.note()
        for link, pieces, close in self.broker.take_output():
            if close and (connection := _connection_of(link)) is not None:
                self.note_ending(connection)
            if link in refused or not keeping.holds(link, pieces, close, ticket if link.is_promise else 0):
                self.write(link, pieces, close)
        keeping.refuse_held()
        self._set_timer()

    def tell_unkept(self, error: StoreError) -> None:
        """Log what is wrong with the store."""
        LOGGER.error("not kept: %s", error)

    def tell_kept(self) -> None:
        """Log that it is over."""
        LOGGER.warning("everything is kept again")

    def tell_taken_in(self) -> None:
        """Let those know who wait for it."""
        self.is_taken_in.set()

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

    __slots__ = ("_rest", "_server", "link")

    link: Link
    is_unanswered = Seldom(False)
    """Whether the client got nothing yet; noted only where answers may have to wait."""
    _share: Seldom[Share | None] = Seldom(None)
    """How much is worked on at once, of which nobody has to know who sends little."""

    def __init__(self, server: BrokerServer, wrapping: Wrapping | None) -> None:
        super().__init__(wrapping)
        self._server = server
        self._rest = b""
        """What was read and is still to be worked on: it is others' turn before."""

    @property
    def peer(self) -> str:
        """The client as `host:port`; the transport knows it to its end."""
        return "" if self._transport is None else peer_of(self._transport)

    def __str__(self) -> str:
        return self.peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the broker's link at once: its connect timeout bounds the wrapping's handshake too."""
        super().connection_made(transport)
        server = self._server
        self.link = server.broker.connect(server.now(), self)
        self.is_unanswered = server.keeps
        LOGGER.debug("%s connected", self)
        if not server.has_room():
            LOGGER.warning("%s: closed, because the system lets the process have no more file handles", self.peer)
            self.abandon()
            return
        server.flush()
        if self.link.reading_paused:  # too many come from there; uvloop begins to read behind this call
            asyncio.get_running_loop().call_soon(server.pause, self)

    @property
    def data_received(self) -> Callable[[bytes], None]:  # called as the method is
        """What works on a read: the event loop keeps it, and a bound method would be another 64 bytes."""
        return self

    def __call__(self, data: bytes) -> None:
        """Work on one read, as far as a turn allows."""
        size = len(data)
        if self._rest:
            self._rest += data
            return
        if self.link.reading_paused and self.link.version is None:  # it came too early, with its CONNECT at once
            self._rest = data
            self._server.pause(self)
            return
        if size <= FEWEST_BYTES:
            super().data_received(data)
            return
        share = self._its_share()
        if size <= MOST_BYTES == share.size_bytes:  # a clock that is cheap will do for who has been cheap
            began = time.perf_counter()
            super().data_received(data)
            share.took(time.perf_counter() - began)
        else:
            self._work_on(data)
        if self._rest or size >= _FULL_READ:
            self.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def resume_reading(self) -> None:
        """Go on with what is left of the last read, when it is this peer's turn again; then take more."""
        if self._rest:
            asyncio.get_running_loop().call_soon(self._go_on)
        else:
            super().resume_reading()

    def _go_on(self) -> None:
        if self.link.reading_paused or self._server.is_behind:
            self._server.pause(self)
        elif not self._owes_replies:
            rest, self._rest = self._rest, b""
            self._work_on(rest)
            self._read_on()

    def _work_on(self, data: bytes) -> None:
        """Do a share after the other until the turn is over; what is left is the rest."""
        position, size, share = 0, len(data), self._its_share()
        began = now = time.thread_time()
        while position < size:
            if position and (now - began >= TURN_SECONDS or self._has_to_wait()):
                self._rest = data[position:]
                return
            end = position + share.size_bytes
            super().data_received(data[position:end])  # no copy where it is all
            position = end
            before, now = now, time.thread_time()
            share.took(now - before)

    def _its_share(self) -> Share:
        share = self._share
        if share is None:
            share = self._share = Share()
        return share

    def _has_to_wait(self) -> bool:
        return self.link.reading_paused or self._server.is_behind or self._owes_replies

    def on_data(self, data: bytes) -> None:
        """Let the broker work on one read, or a share of it."""
        server = self._server
        now = server.now()
        self.link.receive_data(data, now)
        server.flush(self.link)
        if self.link.reading_paused or server.has_to_wait():
            server.pause(self)
        server.note_read(len(data), now)

    def on_end(self) -> None:
        """An MQTT client that ended its side is gone. [5.0 3.14]"""
        self._lose_link()
        self._server.end(self)

    def on_bad_peer(self, error: BadPeer) -> None:
        """Log what was wrong; the client is gone."""
        LOGGER.warning("%s: %s", self.peer, error)
        self._lose_link()
        self._server.note_ending(self)

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
        LOGGER.debug("%s disconnected%s", self, f": {error}" if error else "")
        self._lose_link()
        self._server.forget(self)

    def abandon(self) -> None:
        """Tear the socket down without waiting for the client's end."""
        if self._transport is not None:
            self._transport.abort()

    def _read_on(self) -> None:
        if self._server.is_behind:
            self._server.pause(self)
        elif not self.link.reading_paused:
            self.resume_reading()

    def _lose_link(self) -> None:
        has_ended = self.link.is_closed()  # by DISCONNECT, say: whom that concerned knows it
        self.link.connection_lost(self._server.now())
        if not has_ended:
            self._server.flush()


def _connection_of(link: Link) -> BrokerConnection | None:
    """What has the socket of a link, while that is open."""
    connection = link.adapter
    return connection if isinstance(connection, BrokerConnection) else None


def _store(config: ServerConfig) -> OpenStore | None:
    path = config.store
    return None if path is None else lambda run_beside: SqliteStore(path, migrate=_migrate, run_beside=run_beside)


def _migrate(snapshot: Snapshot) -> list[Change]:
    """A store of before, as it would be today."""
    return changes_of(snapshot, time.time())
