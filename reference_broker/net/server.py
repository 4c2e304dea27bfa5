"""The sans-IO broker on sockets: TCP, TLS, WebSocket and secure WebSocket at once.

Belongs here: feeding bytes, times and back-pressure to the broker, and writing what it answers.
Does not belong here: any MQTT decision (`broker`), one connection (`broker_connection`), settings' files (`config`),
processes and signals (`command`).

One read of up to 256 KiB is one call of the broker, and all it answers leaves in one write per connection.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from reference_broker.broker import Broker, Link
from reference_broker.broker.keeping.former import changes_of
from reference_broker.broker.outgoing.output import Buffer
from reference_broker.net import handles
from reference_broker.net.address import Address, Transport
from reference_broker.net.broker_connection import LOGGER, BrokerConnection, connection_of
from reference_broker.net.config import ServerConfig
from reference_broker.net.gathering import Gathering
from reference_broker.net.keeping import Keeping, OpenStore
from reference_broker.net.listening import serve, server_wrapping
from reference_broker.net.memory import MemoryWatch
from reference_broker.net.turns import Turn
from reference_broker.net.websocket import DEFAULT_MAXIMUM_FRAME_SIZE, WebSocketWrapping
from reference_broker.store.records import Change, StoreError
from reference_broker.store.snapshot import Snapshot
from reference_broker.store.sqlite import SqliteStore
from reference_broker.wire.types import ReasonCode

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
        self.turn = Turn()
        """Of the connection whose packets are being worked on."""
        self.broker.is_turn_over = self.turn.is_over
        self._gathering = Gathering()
        self._wait: asyncio.Handle | None = None
        self._unread: list[BrokerConnection] = []

    @property
    def address(self) -> Address:
        """Where the broker listens on TCP, or on its first listener where TCP is off."""
        return next(iter(self.addresses.values()))

    @property
    def connections(self) -> dict[Link, BrokerConnection]:
        """All whose sockets are open, by their links."""
        with_open_links = [connection for link in self.broker.links if (connection := connection_of(link)) is not None]
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
        self._come_back()
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
            connection = connection_of(link)
            if connection is None:
                continue
            if link.has_more:  # the peer was let in, and had sent more than CONNECT
                connection.go_on_soon()
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
        self._come_back()

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

    def note_read(self, connection: BrokerConnection, size_bytes: int, now: float) -> None:
        """Let packets gather before the next read where that carries more."""
        seconds = self._gathering.note(id(connection), size_bytes, now)  # not itself, which would stay when it is gone
        if not seconds:
            return
        if not self._gathering.is_for_one:
            connection.pause_reading()
            self._unread.append(connection)
            if self._wait is None:
                self._wait = asyncio.get_running_loop().call_later(seconds, self._read_unread)
        elif self._wait is None:
            self._wait = asyncio.get_running_loop().call_soon(self._hold, seconds)  # once all is read that is there

    def _hold(self, seconds: float) -> None:
        """Hold the whole loop: in its poll each packet would wake it, which is what is to be saved."""
        self._wait = None
        time.sleep(seconds)

    def _read_unread(self) -> None:
        """Read from those on whose connections packets were to gather, while others were served."""
        self._wait = None
        self._gathering.note_waited(self.now())
        unread, self._unread = self._unread, []
        for connection in unread:
            connection.read_on()

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
        connection = connection_of(link)
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
        refused = {link: connection for link in links if (connection := connection_of(link)) is not None}
        if keeping is None or not refused:
            return
        for link, connection in refused.items():
            if connection.is_unanswered:
                connection.abandon()
            else:
                link.disconnect(ReasonCode.QUOTA_EXCEEDED, "it cannot be kept", self.now())
        ticket = keeping.note()
        for link, pieces, close in self.broker.take_output():
            if close and (connection := connection_of(link)) is not None:
                self.note_ending(connection)
            if link in refused or not keeping.holds(link, pieces, close, ticket if link.is_promise else 0):
                self.write(link, pieces, close)
        keeping.refuse_held()
        self._come_back()

    def tell_unkept(self, error: StoreError) -> None:
        """Log what is wrong with the store."""
        LOGGER.error("not kept: %s", error)

    def tell_kept(self) -> None:
        """Log that it is over."""
        LOGGER.warning("everything is kept again")

    def tell_taken_in(self) -> None:
        """Let those know who wait for it."""
        self.is_taken_in.set()

    def _come_back(self) -> None:
        """See to it that the broker is asked again: soon where it has more output, else by its next deadline.

        Deadlines mostly move away, and then the timer stays.
        """
        if self.broker.has_output:  # more than could be held at once
            asyncio.get_running_loop().call_soon(self.flush)
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


def _store(config: ServerConfig) -> OpenStore | None:
    path = config.store
    return None if path is None else lambda run_beside: SqliteStore(path, migrate=_migrate, run_beside=run_beside)


def _migrate(snapshot: Snapshot) -> list[Change]:
    """A store of before, as it would be today."""
    return changes_of(snapshot, time.time())
