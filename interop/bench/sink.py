"""A broker that does nothing but copy: what the load generator reaches with it is the generator's own ceiling.

It knows one publisher's packets by their size, and hands them on, unread, to whoever asked for their topics.

Belongs here: the least that keeps a generator busy. Does not belong here: rules of MQTT.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from interop.bench.cell import Cell, Mode
from interop.bench.inbox import acknowledgements
from interop.bench.measure import Target
from interop.bench.stream import READ_BYTES
from interop.lifeline import beside
from reference_broker.net.address import Address, Transport
from reference_broker.wire.decode import Reader, decode
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, Publish, SubAck, Subscribe
from reference_broker.wire.types import PacketType, QoS, Version

HOST = "127.0.0.1"
_START_SECONDS = 20.0
_GROUP_CHARACTERS = len("bench/000/")


def can_copy(cell: Cell) -> bool:
    """Whether copying is all the cell needs: what arrives is what was sent, and there is nothing to be released."""
    return (
        cell.mode not in {Mode.CONNECT, Mode.IDLE}
        and cell.transport is Transport.TCP
        and cell.qos is not QoS.EXACTLY_ONCE
        and not (cell.mode is Mode.MESH and cell.qos)
        and cell.subscriber_version in {None, cell.version}
        and cell.subscription_identifier is None
        and (cell.topics == 1 or cell.mode is Mode.PAIRS)
    )


@contextmanager
def running_sink() -> Iterator[Target]:
    """A sink in a process of its own."""
    with beside(_serve) as (pipe, pid):
        if not pipe.poll(_START_SECONDS):
            raise TimeoutError("the sink of the load generator did not start")
        yield Target("sink", "", Address(HOST, pipe.recv()), pid)


def _serve(parent: Connection) -> None:
    with socket.create_server((HOST, 0), backlog=1024) as listener, selectors.DefaultSelector() as selector:
        parent.send(listener.getsockname()[1])
        clients = _Clients()
        selector.register(listener, selectors.EVENT_READ)
        with suppress(KeyboardInterrupt):
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        raw, _ = listener.accept()
                        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        selector.register(raw, selectors.EVENT_READ, _Client(raw, clients))
                    elif not key.data.receive():
                        selector.unregister(key.fileobj)


class _Clients:
    """Who asked for which group of topics."""

    def __init__(self) -> None:
        self.by_group: dict[str, list[socket.socket]] = {}


class _Client:
    """One connection; its publishing begins with its first PUBLISH and never ends."""

    def __init__(self, raw: socket.socket, clients: _Clients) -> None:
        self._raw = raw
        self._clients = clients
        self._reader = Reader()
        self._packet_bytes = 0
        self._identifier_at = 0
        self._qos = QoS.AT_MOST_ONCE
        self._carry = b""
        self._receivers: list[socket.socket] = []

    def receive(self) -> bool:
        """Take what came; False when the client has left."""
        try:
            data = self._raw.recv(READ_BYTES)
            if data and self._packet_bytes:
                self._copy(data)
            elif data:
                self._greet(data)
        except OSError:
            data = b""
        if not data:
            self._raw.close()
        return bool(data)

    def _greet(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        while (packet_type := reader.peek_type()) is not None:
            if packet_type == PacketType.PUBACK:
                reader.take_rest()
            elif packet_type == PacketType.PUBLISH:
                frame = reader.next_frame()
                if frame is None:
                    return
                self._learn(frame)
                self._copy(frame + reader.take_rest())
                return
            else:
                packet = reader.next_packet()
                if packet is None:
                    return
                version = reader.version or Version.V311
                if isinstance(packet, Connect):
                    self._raw.sendall(encode(ConnAck(), version))
                elif isinstance(packet, Subscribe):
                    self._subscribe(packet)
                    granted = tuple(each.qos for each in packet.subscriptions)
                    self._raw.sendall(encode(SubAck(packet.packet_id, granted), version))

    def _subscribe(self, packet: Subscribe) -> None:
        for subscription in packet.subscriptions:
            group = subscription.topic_filter[:_GROUP_CHARACTERS]
            self._clients.by_group.setdefault(group, []).append(self._raw)

    def _learn(self, frame: bytes) -> None:
        packet = decode(frame, self._reader.version)
        assert isinstance(packet, Publish)
        self._packet_bytes, self._qos = len(frame), packet.qos
        topic = packet.topic.encode()
        self._identifier_at = frame.index(topic) + len(topic)
        self._receivers = self._clients.by_group.get(packet.topic[:_GROUP_CHARACTERS], [])

    def _copy(self, data: bytes) -> None:
        data, size = self._carry + data, self._packet_bytes
        end = len(data) // size * size
        self._carry = data[end:]
        whole = memoryview(data)[:end]
        for receiver in self._receivers:
            receiver.sendall(whole)
        if self._qos and end:
            identifiers = bytearray(2 * (end // size))
            identifiers[::2] = data[self._identifier_at : end : size]
            identifiers[1::2] = data[self._identifier_at + 1 : end : size]
            self._raw.sendall(acknowledgements(PacketType.PUBACK, bytes(identifiers)))
