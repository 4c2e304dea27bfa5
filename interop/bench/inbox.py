"""Reads what a broker sends: counts messages, checks every byte, answers acknowledgements; many packets at a time.

All PUBLISH packets of a run have one size, so a column of them (say, the packet identifiers) is a slice with a
step, and a run of one publisher's messages must be a slice of its ring. Only where that fails packets are looked at
one by one, which tells lost from repeated.

Belongs here: bytes of one connection in, counts and replies out. Does not belong here: sockets (`peer`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from interop.bench.stream import (
    PUBLISHER_OFFSET,
    READ_BYTES,
    STAMP,
    TIME_OFFSET,
    Form,
    Head,
    Ring,
    Topics,
    head_of,
    ring,
)
from reference_broker.wire.decode import Reader
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import Publish
from reference_broker.wire.types import PacketType, QoS, is_error

_RUNS = re.compile(rb"(.)\1*+", re.DOTALL)


class BadStream(Exception):
    """A broker sent what it must not; the text is one line."""


class ClientDropped(BadStream):
    """A broker ended the connection of a client, which had done nothing wrong; the others go on."""


@dataclass(slots=True)
class Counts:
    """What came: messages, gaps in a publisher's sequence, and messages behind their turn."""

    delivered: int = 0
    lost: int = 0
    repeated: int = 0
    latencies_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a subscriber must get: messages of these publishers, on all topics or `only` one.

    With `timed`, payloads carry the time they were sent at.
    """

    form: Form
    topics: Topics
    publishers: tuple[int, ...]
    only: int | None = None
    timed: bool = False


class Arrivals:
    """The messages of one subscriber."""

    def __init__(self, expected: Expected, counts: Counts) -> None:
        self.counts = counts
        self._expected = expected
        self._at: dict[int, int] = dict.fromkeys(expected.publishers, 0)
        self._build(head_of(expected.form, expected.topics))

    @property
    def qos(self) -> QoS:
        """The QoS messages arrive with."""
        return self._expected.form.qos

    @property
    def packet_bytes(self) -> int:
        """The size every PUBLISH has."""
        return self._any.packet_bytes

    @property
    def read_bytes(self) -> int:
        """How much may be taken at a time."""
        return self._any.read_bytes

    def learn(self, data: bytes) -> bool:
        """Take the layout from the first packet: a broker may order properties as it likes. False: more is needed."""
        reader = Reader(self._expected.form.version)
        reader.feed(data)
        try:
            packet = reader.next_packet()
        except RemoteError as error:
            raise BadStream(f"the first packet is wrong: {error}") from None
        if packet is None:
            return False
        if isinstance(packet, Publish):
            self._check_like(packet)
            self._build(Head.of(data[: len(data) - len(reader)], packet))
        return True

    def take(self, buffer: bytearray, start: int, end: int, now_ns: int) -> bytes:
        """Count and check the whole PUBLISH packets in a stretch; gives their packet identifiers, two bytes each."""
        size = self.packet_bytes
        count = (end - start) // size
        if self._expected.timed:
            self._take_times(buffer, start, end, now_ns)
        identifiers = self._take_identifiers(buffer, start, end) if self._expected.form.qos else b""
        self.counts.delivered += count
        with memoryview(buffer) as view:
            for publisher, first, last in self._runs(buffer, start, end):
                source = self._rings.get(publisher)
                if source is None:
                    raise BadStream(f"a message of publisher {publisher}, whom nobody asked for")
                at = self._at[publisher]
                if source.stream.startswith(view[first:last], at):
                    self._at[publisher] = (at + last - first) % source.cycle_bytes
                else:
                    self._walk(publisher, source, bytes(view[first:last]))
        return identifiers

    def _build(self, head: Head) -> None:
        wanted = self._expected
        self._rings: dict[int, Ring] = {
            publisher: ring(head, wanted.topics, wanted.form.payload_bytes, publisher, only=wanted.only)
            for publisher in wanted.publishers
        }
        self._any = next(iter(self._rings.values()))
        self._payload_at = self._any.packet_bytes - wanted.form.payload_bytes
        self._identifier_at = self._payload_at - len(head.properties) - 2

    def _check_like(self, packet: Publish) -> None:
        publisher, position, _ = STAMP.unpack_from(packet.payload) if len(packet.payload) >= STAMP.size else (0, 0, 0)
        wanted = self._expected.form.message(self._expected.topics, publisher, position)
        for name in ("topic", "qos", "retain", "dup", "properties"):
            if getattr(packet, name) != getattr(wanted, name):
                raise BadStream(f"{name} is {getattr(packet, name)!r}, not {getattr(wanted, name)!r}")
        if len(packet.payload) != len(wanted.payload):
            raise BadStream(f"a payload of {len(packet.payload)} bytes, not {len(wanted.payload)}")

    def _take_times(self, buffer: bytearray, start: int, end: int, now_ns: int) -> None:
        size, offset = self.packet_bytes, self._payload_at + TIME_OFFSET
        one = struct.Struct(f">{offset}xQ{size - offset - 8}x")
        self.counts.latencies_ns += [now_ns - sent for (sent,) in one.iter_unpack(buffer[start:end])]
        for column in range(start + offset, start + offset + 8):
            buffer[column:end:size] = bytes((end - start) // size)

    def _take_identifiers(self, buffer: bytearray, start: int, end: int) -> bytes:
        size, offset, count = self.packet_bytes, start + self._identifier_at, (end - start) // self.packet_bytes
        identifiers = bytearray(2 * count)
        for half in (0, 1):
            identifiers[half::2] = buffer[offset + half : end : size]
            buffer[offset + half : end : size] = bytes(count)
        return bytes(identifiers)

    def _runs(self, buffer: bytearray, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Stretches of one publisher's messages: its number, begin, end."""
        if len(self._rings) == 1:
            yield self._expected.publishers[0], start, end
            return
        size = self.packet_bytes
        for run in _RUNS.finditer(buffer[start + self._payload_at + PUBLISHER_OFFSET : end : size]):
            first, last = run.span()
            yield run[0][0], start + first * size, start + last * size

    def _walk(self, publisher: int, source: Ring, data: bytes) -> None:
        """Look at packets one by one, to tell what is missing, comes twice, or is wrong.

        A gap of more than half a ring looks like a repetition; the totals of sent and delivered tell it all the same.
        """
        size, cycle, counts = source.packet_bytes, source.cycle_bytes, self.counts
        step, first = (1, 0) if self._expected.only is None else (self._expected.topics.count, self._expected.only)
        at = self._at[publisher]
        for offset in range(0, len(data), size):
            packet = data[offset : offset + size]
            if not source.stream.startswith(packet, at):
                _, position, _ = STAMP.unpack_from(packet, self._payload_at)
                found = (position - first) // step * size
                if not (0 <= found < cycle and source.stream.startswith(packet, found)):
                    raise BadStream(f"not the message that was published: {packet[:48].hex(' ')} ...")
                skipped = (found - at) % cycle
                if skipped > cycle // 2:
                    counts.repeated += 1
                    counts.delivered -= 1
                    continue
                counts.lost += skipped // size
                at = found
            at = (at + size) % cycle
        self._at[publisher] = at


# --- everything that comes on a connection ----------------------------------------------------------------------------

Acknowledged = Callable[[PacketType, bytes], bytes]
"""Takes PUBACK, PUBREC or PUBCOMP and packet identifiers, two bytes each; gives what to send."""

_ANSWERS = {QoS.AT_LEAST_ONCE: PacketType.PUBACK, QoS.EXACTLY_ONCE: PacketType.PUBREC}
_ACKNOWLEDGEMENTS = {
    first: re.compile(b"(?:\\x%02x\\x02..)++" % first, re.DOTALL)
    for first in (PacketType.PUBACK << 4, PacketType.PUBREC << 4, PacketType.PUBREL << 4 | 2, PacketType.PUBCOMP << 4)
}
"""Runs of acknowledgements without a reason code, by their first byte."""


def acknowledgements(packet_type: PacketType, identifiers: bytes) -> bytes:
    """One acknowledgement for each packet identifier."""
    count = len(identifiers) // 2
    packets = bytearray(bytes((packet_type << 4 | (packet_type is PacketType.PUBREL) << 1, 2, 0, 0)) * count)
    packets[2::4], packets[3::4] = identifiers[::2], identifiers[1::2]
    return bytes(packets)


class Inbox:
    """The bytes one connection receives; `acknowledged` hears what a publisher is told."""

    def __init__(self, arrivals: Arrivals | None, acknowledged: Acknowledged | None) -> None:
        self._arrivals = arrivals
        self._acknowledged = acknowledged
        self._buffer = bytearray(arrivals.read_bytes if arrivals else READ_BYTES // 4)
        self._filled = 0
        qos = arrivals.qos if arrivals else QoS.AT_MOST_ONCE
        self._answer = _ANSWERS.get(qos)
        self._only_publishes = acknowledged is None and qos is not QoS.EXACTLY_ONCE
        self._publishes: re.Pattern[bytes] | None = None

    def space(self) -> memoryview:
        """Where the next bytes go."""
        return memoryview(self._buffer)[self._filled :]

    def take(self, count: int, now_ns: int) -> bytes:
        """Deal with `count` bytes that came; gives what to reply. Raises BadStream."""
        self._filled += count
        buffer, filled, at = self._buffer, self._filled, 0
        replies = []
        while at < filled:
            if buffer[at] >> 4 == PacketType.PUBLISH:
                end = self._publishes_end(at, filled)
                if end > at:
                    replies.append(self._take_publishes(at, end, now_ns))
            else:
                end = self._take_acknowledgements(at, filled, replies)
            if end == at:
                break
            at = end
        rest = filled - at
        buffer[:rest] = buffer[at:filled]
        self._filled = rest
        return b"".join(replies)

    def _publishes_end(self, at: int, filled: int) -> int:
        """Where a run of whole PUBLISH packets ends."""
        arrivals = self._arrivals
        if arrivals is None:
            raise BadStream("PUBLISH to a client without a subscription")
        if self._publishes is None:
            if not arrivals.learn(bytes(self._buffer[at:filled])):
                return at
            first, size = re.escape(bytes(self._buffer[at : at + 1])), arrivals.packet_bytes
            self._publishes = re.compile(b"(?:%b.{%d})++" % (bytes(first), size - 1), re.DOTALL)
        if self._only_publishes:
            return at + (filled - at) // arrivals.packet_bytes * arrivals.packet_bytes
        found = self._publishes.match(self._buffer, at, filled)
        if found is None and filled - at >= arrivals.packet_bytes:
            raise BadStream(f"another kind of PUBLISH than before: first byte {self._buffer[at]:#04x}")
        return found.end() if found else at

    def _take_publishes(self, start: int, end: int, now_ns: int) -> bytes:
        assert self._arrivals is not None
        identifiers = self._arrivals.take(self._buffer, start, end, now_ns)
        return acknowledgements(self._answer, identifiers) if self._answer else b""

    def _take_acknowledgements(self, at: int, filled: int, replies: list[bytes]) -> int:
        """Deal with a run of one kind of acknowledgement; gives where it ends."""
        buffer = self._buffer
        first = buffer[at]
        runs = _ACKNOWLEDGEMENTS.get(first)
        if runs is None:
            kind = ClientDropped if first >> 4 == PacketType.DISCONNECT else BadStream
            raise kind(f"unexpected {_describe(bytes(buffer[at:filled]))}")
        found = runs.match(buffer, at, filled)
        if found:
            end, run = found.end(), buffer[at : found.end()]
            identifiers = bytearray(len(run) // 2)
            identifiers[::2], identifiers[1::2] = run[2::4], run[3::4]
        else:  # with a reason code, or not whole yet [5.0 3.4.2.1]
            end = at + 2 + buffer[at + 1] if filled - at >= 2 else filled + 1
            if end > filled:
                return at
            if is_error(buffer[at + 4]):
                raise BadStream(f"refused: {_describe(bytes(buffer[at:end]))}")
            identifiers = buffer[at + 2 : at + 4]
        packet_type = PacketType(first >> 4)
        if packet_type is PacketType.PUBREL:
            replies.append(acknowledgements(PacketType.PUBCOMP, bytes(identifiers)))
        elif self._acknowledged is None:
            raise BadStream(f"{packet_type.name} to a client that publishes nothing")
        else:
            replies.append(self._acknowledged(packet_type, bytes(identifiers)))
        return end


def _describe(data: bytes) -> str:
    try:
        name = PacketType(data[0] >> 4).name
    except ValueError:
        name = "packet"
    return f"{name}: {data[:24].hex(' ')}"
