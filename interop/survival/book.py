"""What clients were promised and what came of it, as they saw it themselves.

Belongs here: publications, subscriptions, arrivals, sessions and their order in time; the story of a name.
Does not belong here: what has to be true of them (`invariants`), clients (`player`).

Time is a count of what was seen, so that before and after are certain. A payload is its publication's name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from reference_broker.wire.types import QoS

_LOG_LINES = 400_000


class Arrival(NamedTuple):
    """A publication at a receiver; `is_resent` is its DUP."""

    at: int
    receiver: str
    name: str
    topic: str
    qos: QoS
    is_resent: bool
    is_retained: bool


@dataclass(slots=True)
class Publication:
    """What a client sent, or had the broker send as its will; `acknowledged` when it was carried through."""

    name: str
    topic: str
    qos: QoS
    publisher: str
    number: int
    """Its place among all of this publisher."""
    began: int
    acknowledged: int | None = None


@dataclass(slots=True)
class Grant:
    """A subscription of one session, from the request to the time from which nothing published may come by it."""

    receiver: str
    topic_filter: str
    share: str
    qos: QoS
    asked: int
    granted: int | None = None
    unasked: int | None = None
    over: int | None = None
    is_session_over: bool = False
    """Whether it ended with its session: then what was queued by it is gone as well."""

    def is_for(self, topic: str) -> bool:
        """Whether it matches; filters here are a topic or a first level with `/#`."""
        return topic == self.topic_filter or (
            self.topic_filter.endswith("#") and topic.startswith(self.topic_filter[:-1])
        )


@dataclass(slots=True)
class WillBook:
    """A will that the broker took; what has to become of it is `must`: True, False, or None for either."""

    publication: Publication
    must: bool | None = True


@dataclass(slots=True)
class PresenceBook:
    """What a CONNACK said of the session, and what was certain before; None where neither was acknowledged."""

    client: str
    at: int
    expected: bool | None
    said: bool


class RetainedReading(NamedTuple):
    """What a new subscriber got of a topic, and which publications it may be; None stands for no retained message."""

    at: int
    topic: str
    got: str | None
    possible: tuple[str | None, ...]


@dataclass(slots=True)
class Book:
    """All of it since the books were balanced last."""

    root: str = ""
    """What every topic and client identifier begins with on the wire, where several books share a broker."""
    pace: float = 1.0
    """By how much everybody takes longer between two steps."""
    now: int = 0
    is_broker_alive: bool = False
    """Otherwise the end of a connection says nothing."""
    publications: dict[str, Publication] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    """Names of those that were balanced before."""
    grants: list[Grant] = field(default_factory=list)
    arrivals: dict[str, list[Arrival]] = field(default_factory=dict)
    """By name."""
    wills: list[WillBook] = field(default_factory=list)
    presences: list[PresenceBook] = field(default_factory=list)
    readings: list[RetainedReading] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    """What broke the protocol: the client, and what its core said."""
    _log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))

    def shorten_log(self, lines: int) -> None:
        """Remember no more than so many lines."""
        self._log = deque(self._log, maxlen=lines)

    def tell(self, text: str) -> int:
        """Something happened; gives its place in time."""
        self.now += 1
        self._log.append(f"{self.now} {text}")
        return self.now

    def story(self, names: tuple[str, ...]) -> Iterator[str]:
        """What happened to the messages or the sessions of these names, and every start and end of the broker between.

        A session's name ends with a space; its messages are not told.
        """
        began = False
        for line in self._log:
            is_told = any(name in line for name in names if not name.endswith(" ") or ":" not in line)
            began = began or is_told
            if is_told or (began and " the broker " in line):
                yield line

    def lines(self) -> Iterator[str]:
        """Everything."""
        yield from self._log

    def arrived(self, arrival: Arrival) -> None:
        """A publication came."""
        self.arrivals.setdefault(arrival.name, []).append(arrival)

    def _may_still_come(self, will: WillBook) -> bool:
        """One that must not be published may be later; so may one that was owed to nobody who asked in time for it."""
        return will.must is False or will.publication.name not in self.arrivals

    def close(self) -> None:
        """The books balance: what was is over, and only what still goes on is looked at from now on."""
        going_on = {will.publication.name for will in self.wills if self._may_still_come(will)}
        self.closed |= self.publications.keys() - going_on
        self.publications = {name: self.publications[name] for name in going_on}
        self.wills = [will for will in self.wills if will.publication.name in going_on]
        self.arrivals = {}
        self.presences.clear()
        self.readings.clear()
        self.grants = [grant for grant in self.grants if grant.over is None]
