"""TCP connections put together from segments: what each side said, in order, with the times.

Belongs here: order, retransmissions, holes, which side is the broker, and what is not known.
Does not belong here: files (`segments`), what the bytes mean (`tls`, `connections`).

Libraries that reassemble TCP give the bytes without their times, and a judge needs those. So this is done here.

Bytes are heard when all before them are. Where some are missing for good, all that is known of their side ends with the
last moment at which nothing was missing yet: from then on it may have said anything. What is acknowledged was sent,
whether the capture has it or not, and so is whatever lies before a segment's number. [RFC 9293 3.4]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from interop.capture.segments import SEQUENCES, Endpoint, Segment

_CONNECT_BYTE = 0x10
_NOT_CAPTURED = "the capture does not have them"


@dataclass(frozen=True, slots=True)
class Heard:
    """Something one end said; `number` is the place of the segment by which it was known, `at` seconds since 1970.

    `end` is `FIN` or `RST` where it ended; `unknown` says why it is not known what it said from here on.
    """

    number: int
    at: float
    is_client: bool
    data: bytes = b""
    end: str = ""
    unknown: str = ""


@dataclass(slots=True)
class Conversation:
    """One TCP connection; `heard` is in order. `is_whole` if it was seen from its beginning."""

    client: Endpoint
    broker: Endpoint
    began: float
    is_whole: bool
    heard: list[Heard]
    round_trip_seconds: float = 0.0
    """How long a packet and its answer may be under way beyond where they were captured, whatever the direction."""
    interface: str = ""

    def first_bytes(self, *, of_client: bool, limit_bytes: int = 4096) -> bytes:
        """The beginning of what one side said."""
        found = bytearray()
        for heard in self.heard:
            if heard.is_client is of_client:
                found += heard.data
                if len(found) >= limit_bytes:
                    break
        return bytes(found)


@dataclass(slots=True)
class _Way:
    """What one end sends."""

    expected: int | None = None
    start: int | None = None
    pending: list[Segment] = field(default_factory=list)  # what came too early
    heard: list[tuple[int, float, bytes, str]] = field(default_factory=list)
    known: tuple[int, float] | None = None  # number and time at which nothing was missing
    acknowledged: int | None = None
    first_seen: dict[int, float] = field(default_factory=dict)
    late_seconds: float = 0.0
    fin: int | None = None
    is_ended: bool = False
    size_bytes: int = 0

    def begin(self, sequence: int) -> None:
        """Note that this is the number of the first byte there can be, unless one is known."""
        if self.expected is None:
            self.expected = self.start = sequence

    def ahead(self, sequence: int) -> int:
        """How far a number is ahead of what is expected; below 0 where it was heard."""
        assert self.expected is not None
        return (sequence - self.expected + SEQUENCES // 2) % SEQUENCES - SEQUENCES // 2

    def take(self, segment: Segment) -> None:
        """Take a segment of this end."""
        sequence = (segment.sequence + segment.syn) % SEQUENCES
        self.begin(sequence)
        self.size_bytes += len(segment.data)
        if segment.fin:
            self.fin = segment.end
        if segment.size_bytes > 1:  # one byte, or none, may only ask whether the peer is there
            first = self.first_seen.setdefault(sequence, segment.at)
            self.late_seconds = max(self.late_seconds, segment.at - first)
        if self.ahead(sequence) > 0:
            self.pending.append(segment)
            return
        self._hear(segment, segment)
        while (due := next((each for each in self.pending if self.ahead(each.sequence) <= 0), None)) is not None:
            self.pending.remove(due)
            self._hear(due, segment)
        if not self.has_hole:
            self.known = segment.number, segment.at
        if self.fin is not None and self.ahead(self.fin) == 0 and not self.is_ended:
            self.is_ended = True
            self.heard.append((segment.number, segment.at, b"", "FIN"))

    def _hear(self, segment: Segment, by: Segment) -> None:
        """Take what is new in a segment, which is known `by` one that may have come later."""
        assert self.expected is not None
        old = -self.ahead((segment.sequence + segment.syn) % SEQUENCES)
        data = segment.data[old:]
        if data:
            self.heard.append((by.number, by.at, data, ""))
            self.expected = (self.expected + len(data)) % SEQUENCES
        if segment.size_bytes > len(segment.data):
            self.acknowledge(segment.end)

    def acknowledge(self, sequence: int) -> None:
        """Note that all up to there was sent."""
        self.begin(sequence)
        if self.acknowledged is None or (sequence - self.acknowledged) % SEQUENCES < SEQUENCES // 2:
            self.acknowledged = sequence

    def reset(self, segment: Segment) -> None:
        """End."""
        if not self.is_ended:
            self.is_ended = True
            self.heard.append((segment.number, segment.at, b"", "RST"))

    @property
    def has_hole(self) -> bool:
        """Whether bytes are missing for good."""
        if self.expected is None:
            return False
        acknowledged = self.acknowledged
        is_owed = acknowledged is not None and self.ahead(acknowledged) - (self.fin is not None) > 0
        return bool(self.pending) or is_owed


@dataclass(slots=True)
class _Connection:
    """A connection while its segments come; `first` is who spoke first."""

    first: Endpoint
    second: Endpoint
    beginning: Segment
    opened_by: Endpoint | None = None
    opened_at: float | None = None
    answered_at: float | None = None
    round_trip_seconds: float = 0.0
    ways: dict[Endpoint, _Way] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ways = {self.first: _Way(), self.second: _Way()}

    def is_another(self, segment: Segment) -> bool:
        """Whether a segment begins another connection between the same ends."""
        way = self.ways[segment.source]
        if not segment.syn or segment.acknowledged is not None:
            return False
        return way.start is not None and (segment.sequence + 1) % SEQUENCES != way.start

    def take(self, segment: Segment, limit_bytes: int) -> None:
        """Take a segment of either end."""
        if segment.syn:
            self._open(segment)
        elif self.answered_at is not None and segment.source == self.opened_by:
            if not segment.size_bytes:  # what carries bytes may have waited for them
                self.round_trip_seconds += segment.at - self.answered_at
            self.answered_at = None
        own, other = self.ways[segment.source], self.ways[segment.target]
        if segment.acknowledged is not None and not segment.rst:
            other.acknowledge(segment.acknowledged)
        if segment.rst:
            own.reset(segment)
        elif own.size_bytes <= limit_bytes:
            own.take(segment)
        else:
            own.acknowledge(segment.end)

    def _open(self, segment: Segment) -> None:
        if segment.acknowledged is None:
            self.opened_by, self.opened_at = segment.source, segment.at
        else:
            self.opened_by, self.answered_at = segment.target, segment.at
            self.round_trip_seconds = segment.at - (self.opened_at or segment.at)

    def conversation(self) -> Conversation:
        """What it came to: the broker is the one that was connected to, else the one that got a CONNECT."""
        client = self.opened_by or self._connecting() or max(self.first, self.second, key=lambda each: each.port)
        broker = self.second if client == self.first else self.first
        heard = [*_told(self.ways[client], is_client=True), *_told(self.ways[broker], is_client=False)]
        late_seconds = sum(way.late_seconds for way in self.ways.values())
        return Conversation(
            client,
            broker,
            self.beginning.at,
            self.opened_by is not None,
            sorted(heard, key=lambda each: each.number),
            self.round_trip_seconds + late_seconds,
            self.beginning.interface,
        )

    def _connecting(self) -> Endpoint | None:
        for end, way in self.ways.items():
            if next((data[0] for _, _, data, _ in way.heard if data), None) == _CONNECT_BYTE:
                return end
        return None


def _told(way: _Way, *, is_client: bool) -> Iterator[Heard]:
    unknown_from = (way.known or (-1, 0.0)) if way.has_hole else None
    for number, at, data, end in way.heard:
        if unknown_from is None or number <= unknown_from[0]:
            yield Heard(number, at, is_client, data, end)
    if unknown_from is not None:
        yield Heard(*unknown_from, is_client, unknown=_NOT_CAPTURED)


def conversations(segments: Iterable[Segment], limit_bytes: int) -> list[Conversation]:
    """The connections in order of their beginnings; of each side, no more than about so many bytes are kept."""
    current: dict[frozenset[Endpoint], _Connection] = {}
    found: list[_Connection] = []
    for segment in segments:
        if segment.source == segment.target:
            continue
        key = frozenset((segment.source, segment.target))
        connection = current.get(key)
        if connection is None or connection.is_another(segment):
            connection = current[key] = _Connection(segment.source, segment.target, segment)
            found.append(connection)
        connection.take(segment, limit_bytes)
    return [each.conversation() for each in found]
