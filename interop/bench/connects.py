"""Connections themselves: how many per second a broker takes, and what an idle one costs in memory.

Belongs here: many handshakes at a time. Does not belong here: messages (`worker`).
"""

from __future__ import annotations

import secrets
import selectors
import socket
import sys
import time
from collections.abc import Iterator

from interop.bench.cell import Cell, Mode
from interop.bench.inbox import BadStream, ClientDropped
from interop.bench.measure import Target
from interop.bench.peer import connect_packet
from interop.bench.proc import usage
from interop.bench.result import Result
from reference_broker.net.address import Address
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import ConnAck, Disconnect, SubAck, Subscribe, Subscription
from reference_broker.wire.types import Version, is_error

_STALL_SECONDS = 10.0
_LOOPBACK = "127.0.0.1"
_CONNECTIONS_OF_ONE_SOURCE = 10_000
_IP_BIND_ADDRESS_NO_PORT = 24
"""The port is chosen with the connection, for which it need not be unique. [ip(7)]"""
_SETTLE_SECONDS = 0.5
"""How long connections are held before the broker's memory is looked at."""


def measure_connections(cell: Cell, target: Target) -> Result:
    """Run a connect or idle cell; a broker that refuses gives a result with a `failure`."""
    before, began = usage(target.pid), time.monotonic()
    cpu_before = time.process_time()
    crowd = Crowd(cell, target.address)
    try:
        crowd.run()
        seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu_before
        if cell.mode is Mode.IDLE:
            time.sleep(_SETTLE_SECONDS)
            crowd.look_after_held()
        after = usage(target.pid)
    except (BadStream, OSError) as problem:
        return Result(cell.name, target.name, target.version, failure=str(problem))
    finally:
        crowd.close()
    held = cell.mode is Mode.IDLE and before and after
    return Result(
        cell=cell.name,
        broker=target.name,
        broker_version=target.version,
        seconds=seconds,
        dropped=len(crowd.drops),
        first_drop=crowd.drops[0] if crowd.drops else "",
        per_second=(cell.connections - len(crowd.drops)) / seconds,
        broker_cores=(after.cpu_seconds - before.cpu_seconds) / seconds if before and after else None,
        rss_bytes=after.rss_bytes if after else None,
        bytes_per_connection=(after.rss_bytes - before.rss_bytes) / cell.connections
        if held and before and after
        else None,
        generator_cores=cpu_seconds / seconds,
    )


class Handshaking:
    """A connection on its way to a CONNACK and, to be held, to a SUBACK of one topic."""

    def __init__(self, client_id: str, version: Version, address: Address, topic: str | None, source: str = "") -> None:
        """From a port of `source`, or where the system thinks fit."""
        self.client_id = client_id
        self._version = version
        self._reader = Reader(version)
        self._to_send = [encode(connect_packet(address, version, client_id), version)]
        if topic is not None:
            self._to_send.append(encode(Subscribe(1, (Subscription(topic),)), version))
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            self.socket.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            self.socket.bind((source, 0))
        self.socket.connect_ex((address.host, address.port))

    def send_next(self) -> bool:
        """Send CONNECT, then SUBSCRIBE; False when everything was sent and answered. Raises ClientDropped."""
        if not self._to_send:
            return False
        self._send(self._to_send.pop(0))
        return True

    def receive(self) -> bool:
        """Take what came; whether it was a whole answer. Raises BadStream when that is no, ClientDropped at the end."""
        try:
            data = self.socket.recv(4096)
        except OSError as error:
            raise ClientDropped(f"{self.client_id}: {error.strerror} during its handshake") from None
        if not data:
            raise ClientDropped(f"{self.client_id}: the broker closed the connection during its handshake")
        self._reader.feed(data)
        try:
            answer = self._reader.next_packet()
        except RemoteError as error:
            raise BadStream(f"an answer is wrong: {error}") from None
        if answer is None:
            return False
        refused = not isinstance(answer, ConnAck | SubAck) or (isinstance(answer, ConnAck) and answer.reason)
        if refused or (isinstance(answer, SubAck) and is_error(max(answer.reasons))):
            raise BadStream(f"the broker refused: {answer}")
        return True

    def stay(self) -> None:
        """Raise ClientDropped unless the connection stands: to a client that only waits nothing else comes."""
        try:
            data = self.socket.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            raise ClientDropped(f"{self.client_id}: {error.strerror}") from None
        what = f"sent {data[:24].hex(' ')} to" if data else "closed the connection of"
        raise ClientDropped(f"the broker {what} {self.client_id}, which was idle")

    def leave(self) -> None:
        """Say DISCONNECT; raises ClientDropped."""
        self._send(encode(Disconnect(), self._version))

    def _send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)  # small: the socket's buffer is empty
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ClientDropped(f"{self.client_id}: {error.strerror}") from None


class Crowd:
    """As many connections as the cell wants, so many handshakes at a time.

    Those that are held subscribe to `topic`, or each to one of its own.
    """

    def __init__(self, cell: Cell, address: Address, topic: str | None = None) -> None:
        self._cell = cell
        self._address = address
        self._topic = topic
        self._run = secrets.token_hex(3)
        self._selector = selectors.DefaultSelector()
        self._begun = 0
        self._done = 0
        self._held: list[Handshaking] = []
        self.drops: list[str] = []
        """A line for each client whose connection the broker ended."""

    def run(self) -> None:
        """Connect them all; raises BadStream."""
        for _ in range(min(self._cell.at_a_time, self._cell.connections)):
            self._begin()
        while self._done < self._cell.connections:
            events = self._selector.select(_STALL_SECONDS)
            if not events:
                raise BadStream(f"nothing happened for {_STALL_SECONDS:g} s, {self._done} connections were accepted")
            for key, mask in events:
                try:
                    self._go_on(key.data, mask)
                except ClientDropped as problem:
                    self._drop(key.data, problem)

    def look_after_held(self) -> None:
        """Find out who of those that are held has lost its connection."""
        for each in self._held:
            try:
                each.stay()
            except ClientDropped as problem:
                self.drops.append(str(problem))

    def sockets(self) -> Iterator[socket.socket]:
        """Those that are held."""
        return (each.socket for each in self._held)

    def say(self, data: bytes) -> None:
        """Have each of those that are held send this, which is short."""
        for each in self._held:
            each.socket.sendall(data)

    def close(self) -> None:
        """Close what is open."""
        for each in [key.data for key in self._selector.get_map().values()] + self._held:
            each.socket.close()
        self._selector.close()

    def _begin(self) -> None:
        self._begun += 1
        client_id = f"{self._run}c{self._begun}"
        topic = (self._topic or f"bench/idle/{client_id}") if self._cell.mode is Mode.IDLE else None
        one = Handshaking(client_id, self._cell.version, self._address, topic, self._source())
        self._selector.register(one.socket, selectors.EVENT_WRITE, one)

    def _source(self) -> str:
        """Another loopback address for each ten thousand: Linux searches long for a port where most are taken."""
        crowd = self._begun // _CONNECTIONS_OF_ONE_SOURCE
        return f"127.0.0.{1 + crowd}" if crowd and sys.platform == "linux" and self._address.host == _LOOPBACK else ""

    def _drop(self, one: Handshaking, problem: ClientDropped) -> None:
        self._let_go(one)
        self.drops.append(str(problem))
        if len(self.drops) == self._cell.connections:
            raise BadStream(f"every client was dropped, the first: {self.drops[0]}")
        self._is_done()

    def _let_go(self, one: Handshaking) -> None:
        self._selector.unregister(one.socket)
        one.socket.close()

    def _is_done(self) -> None:
        self._done += 1
        if self._begun < self._cell.connections:
            self._begin()

    def _go_on(self, one: Handshaking, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            one.send_next()
            self._selector.modify(one.socket, selectors.EVENT_READ, one)
        elif one.receive() and not one.send_next():
            if self._cell.mode is Mode.IDLE:
                self._held.append(one)
                self._selector.unregister(one.socket)
            else:
                one.leave()
                self._let_go(one)
            self._is_done()
