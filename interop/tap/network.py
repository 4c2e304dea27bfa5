"""The network between the tap and a broker, where a run asks for a worse one than loopback.

Belongs here: its text form (`--network`), and when what is sent on one way arrives. Without I/O or a clock.
Does not belong here: sockets (`distant`, `outlet`), the faults of a scenario (`faults`).

Nobody under test is to blame for it: a run behind it must come to the verdicts it comes to without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from random import Random
from typing import Any

from interop.tap.websocket import Form, FrameReader, Upgrade
from reference_broker.wire.types import PacketType

MOST_SECONDS = 1.0
"""The most a packet may be kept by any one part: with more, keep alive and expiry of a second or two mean nothing."""
GATHER_SECONDS = 0.005
"""How long `gather` waits for more: what a peer sends in one go, on a machine that is busy."""


class BadNetwork(Exception):
    """A network that cannot be; the message says which part of the text, why, and what is expected."""


@dataclass(frozen=True, slots=True)
class Network:
    """What happens to bytes on their way, each way; by default nothing.

    `delay_seconds` later, and up to `jitter_seconds` more, in order; a PUBLISH of the broker `to_subscriber_seconds`
    more, and what follows it stays behind it. At the receiver bytes come in pieces of `piece_bytes` (0: as they were
    sent), or what comes within `gather_seconds` at once; `answers_together` does that to what the broker sends at a
    time, without any wait. `seed` chooses another course of the jitter.
    """

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    to_subscriber_seconds: float = 0.0
    piece_bytes: int = 0
    gather_seconds: float | None = None
    answers_together: bool = False
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> Network:
        """Read e.g. `delay=50ms jitter=20ms`; raises BadNetwork."""
        given: dict[str, Any] = {}
        for word in text.split():
            name, _, value = word.partition("=")
            part = _PARTS.get(name)
            if part is None:
                raise BadNetwork(f"--network: there is no {name!r}; expected {_expected(_PARTS.values())}")
            if part.field in given:
                raise BadNetwork(f"--network: {name} is given twice")
            try:
                given[part.field] = part.read(value)
            except ValueError as problem:
                raise BadNetwork(f"--network: {word}: expected {part.form}{problem}") from None
        if not given:
            raise BadNetwork(f"--network names nothing; expected {_expected(_PARTS.values())}")
        network = cls(**given)
        if network.piece_bytes and (network.gather_seconds is not None or network.answers_together):
            raise BadNetwork("--network: pieces takes apart what gather and answers put together; give one of them")
        if network.seed and not network.jitter_seconds:
            raise BadNetwork("--network: seed chooses a course of the jitter; give jitter=20ms, too")
        return network

    def __str__(self) -> str:
        shown = []
        for name, part in _PARTS.items():
            value = getattr(self, part.field)
            if value != _DEFAULTS[part.field]:
                shown.append(part.show(name, value))
        return " ".join(shown)

    @property
    def is_distant(self) -> bool:
        """Whether bytes take time."""
        return bool(self.delay_seconds or self.jitter_seconds or self.to_subscriber_seconds)

    @property
    def round_trip_seconds(self) -> float:
        """The longest that a request and its answer are under way."""
        to_and_fro = 2 * (self.delay_seconds + self.jitter_seconds + (self.gather_seconds or 0.0))
        return to_and_fro + self.to_subscriber_seconds

    def timetable(self, journey: str) -> Timetable:
        """When things arrive on one way; the same `journey` has the same course of the jitter."""
        return Timetable(self.delay_seconds, self.jitter_seconds, Random(f"{self.seed} {journey}"))


class Timetable:
    """When what is sent on one way of one connection arrives: never before what was sent earlier. [5.0 4.2]"""

    def __init__(self, delay_seconds: float, jitter_seconds: float, random: Random) -> None:
        self._delay_seconds = delay_seconds
        self._jitter_seconds = jitter_seconds
        self._random = random
        self._latest = 0.0

    def arrival(self, now: float, more_seconds: float = 0.0) -> float:
        """The moment at which what is sent now arrives; `more_seconds` are its own."""
        travel_seconds = self._delay_seconds + self._random.uniform(0.0, self._jitter_seconds) + more_seconds
        self._latest = max(self._latest, now + travel_seconds)
        return self._latest


class PublishFinder:
    """Finds where a broker's PUBLISH packets begin, without keeping a byte; over WebSocket, in which read one ends."""

    def __init__(self, *, has_frames: bool) -> None:
        self._frames = FrameReader(False, Upgrade()) if has_frames else None
        self._type: int | None = None  # of the packet whose header is read
        self._length = 0
        self._shift = 0
        self._body_bytes = 0  # of the packet under way, still to come
        self._is_lost = False

    def cut(self, data: bytes) -> list[tuple[bytes, bool]]:
        """What was read, in front of the first PUBLISH in it and from there on; each with whether it has one."""
        if self._frames is not None:
            places = [self._find(piece.payload) for piece in self._frames.feed(data) if piece.form is Form.DATA]
            return [(data, any(place is not None for place in places))]
        place = self._find(data)
        if place is None:
            return [(data, False)]
        return [(data[:place], False), (data[place:], True)] if place else [(data, True)]

    def _find(self, data: bytes) -> int | None:
        """Where the first PUBLISH begins that begins in these bytes."""
        found = None
        position = 0
        while position < len(data) and not self._is_lost:
            if self._body_bytes:
                step = min(self._body_bytes, len(data) - position)
                self._body_bytes -= step
                position += step
                continue
            byte = data[position]
            if self._type is None:
                self._type, self._length, self._shift = byte >> 4, 0, 0
                if self._type == PacketType.PUBLISH and found is None:
                    found = position
            else:
                self._length |= (byte & 0x7F) << self._shift
                self._shift += 7
                if byte < 0x80:
                    self._type, self._body_bytes = None, self._length
                else:
                    self._is_lost = self._shift == _LENGTH_BITS
            position += 1
        return found


_LENGTH_BITS = 28  # four bytes of seven [5.0 2.1.4]


# --- the text ---------------------------------------------------------------------------------------------------------

_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
_UNITS = {"ms": 0.001, "s": 1.0}


@dataclass(frozen=True, slots=True)
class _Part:
    field: str
    form: str
    read: Callable[[str], Any]
    """Raises ValueError, whose text says more than what is expected, or nothing."""

    def show(self, name: str, value: Any) -> str:
        """The part as it is written."""
        if isinstance(value, bool):
            return f"{name}=together"
        return f"{name}={value}" if isinstance(value, int) else f"{name}={value * 1000:g}ms"


def _seconds(text: str) -> float:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > MOST_SECONDS:
        raise ValueError(f", at most {MOST_SECONDS:g}s")
    return seconds


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise ValueError("")
    return int(text)


def _together(text: str) -> bool:
    if text != "together":
        raise ValueError("")
    return True


_PARTS = {
    "delay": _Part("delay_seconds", "delay=50ms", _seconds),
    "jitter": _Part("jitter_seconds", "jitter=20ms", _seconds),
    "to-subscriber": _Part("to_subscriber_seconds", "to-subscriber=40ms", _seconds),
    "pieces": _Part("piece_bytes", "pieces=1 (bytes)", _whole_number),
    "gather": _Part("gather_seconds", "gather or gather=5ms", lambda text: _seconds(text) if text else GATHER_SECONDS),
    "answers": _Part("answers_together", "answers=together", _together),
    "seed": _Part("seed", "seed=1", _whole_number),
}
_DEFAULTS = {each.name: each.default for each in fields(Network)}


def _expected(parts: Iterable[_Part]) -> str:
    return ", ".join(part.form for part in parts)


LOOPBACK = Network()
"""Nothing between tap and broker but what is there."""


def network_of(text: str | None) -> Network:
    """The network that an option names, LOOPBACK where it was not given; raises BadNetwork."""
    return LOOPBACK if text is None else Network.parse(text)
