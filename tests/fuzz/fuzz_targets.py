"""What is fuzzed: each target takes any bytes, and raises only where something is wrong with the project.

Belongs here: the targets, and what has to hold behind each. Does not belong here: who makes bytes (`run`), what was
found before (`test_fuzz`).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from websockets.frames import Frame, Opcode

from interop.drivers.contract import COMMAND, EVENT
from interop.scenario.load import load_file
from interop.scenario.problems import ScenarioError
from interop.tap.crossing import Crossing
from interop.tap.faults import Plan
from interop.tap.framed import FramedCrossing
from interop.tap.lane import Write
from interop.tap.trace import Sender, Trace
from reference_broker.broker import Broker
from reference_broker.client import ClientCore, ClientOptions
from reference_broker.net.websocket import WebSocketWrapping
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import KeyRange, StoreError
from reference_broker.store.sqlite import SqliteStore
from reference_broker.wire.decode import Reader, decode
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError, RemoteError
from reference_broker.wire.packets import Connect, Packet, Publish, Subscribe, Subscription, Will
from reference_broker.wire.properties import Properties
from reference_broker.wire.sender import Side
from reference_broker.wire.types import QoS, Version

VERSIONS: Final = (Version.V31, Version.V311, Version.V5)
UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)


class Choices:
    """Bytes as a row of choices; when they are used up, all further ones are 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self, below: int) -> int:
        """One choice of so many."""
        first, self._data = self._data[:1], self._data[1:]
        return (first[0] if first else 0) % below

    def some(self) -> bytes:
        """A few bytes."""
        size = self.number(64)
        some, self._data = self._data[:size], self._data[size:]
        return some

    def text(self) -> str:
        """Text, not all of which UTF-8 can hold."""
        return self.some().decode("utf-8", "surrogateescape")

    def rest(self) -> bytes:
        """All that is left."""
        return self._data

    def pieces(self) -> list[bytes]:
        """The rest, in pieces."""
        size = (1, 2, 7, 64, 1 << 20)[self.number(5)]
        rest = self.rest()
        return [rest[start : start + size] for start in range(0, len(rest), size)]


def wire_decode(data: bytes) -> None:
    """Bytes are packets or a RemoteError; a packet goes the way back, and comes out the same."""
    choices = Choices(data)
    version = (None, *VERSIONS)[choices.number(4)]
    sender = (None, Side.CLIENT, Side.SERVER)[choices.number(3)]
    reader = Reader(version, sender=sender)
    with contextlib.suppress(RemoteError, LocalError):  # what 3.1 lets a peer send we do not send ourselves
        for piece in choices.pieces():
            reader.feed(piece)
            for packet in reader:
                assert reader.version is not None
                spoken = (
                    packet.version if isinstance(packet, Connect) else reader.version
                )  # a second CONNECT says its own
                assert decode(encode(packet, spoken), spoken) == packet


def wire_encode(data: bytes) -> None:
    """A packet of any values is encoded to what decodes to it, or it is a LocalError."""
    choices = Choices(data)
    version = VERSIONS[choices.number(3)]
    with contextlib.suppress(LocalError):
        packet = _packet(choices, version)
        assert decode(encode(packet, version), version) == packet


def _packet(choices: Choices, version: Version) -> Packet:
    properties = Properties()
    if version is Version.V5 and choices.number(2):
        properties = Properties(
            content_type=choices.text(),
            user_property=((choices.text(), choices.text()),),
            correlation_data=choices.some(),
        )
    kind = choices.number(3)
    if kind == 0:
        qos = QoS(choices.number(3))
        flags = bool(choices.number(2)), bool(choices.number(2))
        return Publish(choices.text(), choices.some(), qos, *flags, choices.number(256) if qos else None, properties)
    if kind == 1:
        options = QoS(choices.number(3)), bool(choices.number(2))
        return Subscribe(choices.number(256), (Subscription(choices.text(), *options),))
    will = Will(choices.text(), choices.some(), QoS(choices.number(3)), bool(choices.number(2)), properties)
    return Connect(
        version, choices.text(), bool(choices.number(2)), choices.number(256), choices.text(), choices.some(),
        will if choices.number(2) else None,
    )  # fmt: skip


def broker(data: bytes) -> None:
    """A broker takes anything from two clients, one by the fast path, and answers with whole packets."""
    choices = Choices(data)
    version = VERSIONS[choices.number(3)]
    core = Broker(seed=1, fast_path=bool(choices.number(2)))
    link, other = core.connect(0.0), core.connect(0.0)
    hello = Subscribe(1, (Subscription("#", QoS.EXACTLY_ONCE),))
    other.receive_data(encode(Connect(Version.V5, "other"), Version.V5) + encode(hello, Version.V5), 0.0)
    if choices.number(4):
        link.receive_data(encode(Connect(version, "c"), version), 0.0)
    written: dict[object, Reader] = {other: Reader(Version.V5, sender=Side.SERVER)}
    for now, piece in enumerate(choices.pieces()):
        link.receive_data(piece, float(now))
        for to, pieces, _ in core.take_output():
            if reader := written.get(to):
                reader.feed(b"".join(pieces))
                assert all(reader)


def client(data: bytes) -> None:
    """A client takes anything from a server, and answers with whole packets."""
    choices = Choices(data)
    version = VERSIONS[choices.number(3)]
    core = ClientCore(ClientOptions("c", version, clean_start=bool(choices.number(2))))
    core.connect(0.0)
    if choices.number(4):
        core.receive_data(b"\x20\x03\0\0\0" if version is Version.V5 else b"\x20\x02\0\0", 0.0)
    sent = Reader(None, sender=Side.CLIENT)
    for now, piece in enumerate(choices.pieces()):
        core.receive_data(piece, float(now))
        sent.feed(core.data_to_send())
        assert all(sent)


def tap(data: bytes) -> None:
    """Whatever a side says goes through as it is where no fault is armed; in frames it may go on in others."""
    choices = Choices(data)
    kind = (Crossing, FramedCrossing)[choices.number(2)]
    crossing = kind(Trace(lambda: 0.0), "link", 1, VERSIONS[choices.number(3)], Plan())
    side, other = Sender.CLIENT, Sender.BROKER
    if kind is FramedCrossing and choices.number(4):
        crossing.receive(side, UPGRADE, 0.0)
        crossing.receive(other, b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", 0.0)
    sent = went_on = b""
    for piece in choices.pieces():
        sent += piece
        effects = crossing.receive(side, piece, 0.0)
        went_on += b"".join(each.data for each in effects if isinstance(each, Write) and each.to is other)
    assert kind is FramedCrossing or sent.startswith(went_on)


def websocket(data: bytes) -> None:
    """A server's end takes anything, before its handshake is over and behind it, and keeps next to nothing of it."""
    choices = Choices(data)
    wrapping = WebSocketWrapping.server()
    if choices.number(4):
        wrapping.receive(UPGRADE)
        assert wrapping.is_open
    sent = received = 0
    for piece in choices.pieces():
        sent += len(piece)
        received += len(wrapping.receive(piece))
        wrapping.take_reply()
        assert len(wrapping._begun) < 20_000
    assert received <= sent


def websocket_payloads(data: bytes) -> None:
    """What a client puts into frames of any size comes out, however the frames come."""
    choices = Choices(data)
    payloads = [choices.some() for _ in range(choices.number(8))]
    frames = b"".join(
        Frame(Opcode.BINARY if not number else Opcode.CONT, payload, fin=number == len(payloads) - 1).serialize(
            mask=True
        )
        for number, payload in enumerate(payloads)
    )
    wrapping = WebSocketWrapping.server()
    wrapping.receive(UPGRADE)
    size = choices.number(9) + 1
    received = b"".join(wrapping.receive(frames[start : start + size]) for start in range(0, len(frames), size))
    assert wrapping.error is None
    assert received == b"".join(payloads)


def contract(data: bytes) -> None:
    """A line of an adapter, or to one, is what the contract has or a ValidationError."""
    for kind in (COMMAND, EVENT):
        with contextlib.suppress(ValidationError):
            value = kind.validate_json(data)
            assert kind.validate_json(kind.dump_json(value)) == value


def scenario(data: bytes) -> None:
    """A file is scenarios or a ScenarioError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.yaml"
        path.write_bytes(data)
        with contextlib.suppress(ScenarioError):
            load_file(path)


def store_file(data: bytes) -> None:
    """A file is a store or a StoreError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        path.write_bytes(data)
        with contextlib.suppress(StoreError):
            store = SqliteStore(path)
            store.read(b"", b"\xff" * 9, 100)
            store.close()


def store_rows(data: bytes) -> None:
    """Rows of a store that was changed by another hand are taken in, or a StoreError says that they are none."""
    choices = Choices(data)
    rows = {choices.some(): choices.some() for _ in range(choices.number(16))}
    store, core = MemoryStore(rows), Broker(seed=1, keeps=True)
    with contextlib.suppress(StoreError):
        core.load(0.0, 1e6)
        while (wanted := core.next_read()) is not None:
            core.take_rows(KeyRange(*wanted), store.read(*wanted, 100), 0.0)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        wire_decode, wire_encode, broker, client, tap, websocket, websocket_payloads, contract, scenario, store_file,
        store_rows,
    )
}  # fmt: skip
