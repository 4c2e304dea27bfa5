"""What was played with what: releases of clients and brokers, and the cells of each two of them in each run.

Belongs here: finding the implementation and its release in records, the plays of runs, which of them are the newest.
Does not belong here: counting (`reports.summary`), what a page shows of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, get_args

from reports.counts import Counts
from reports.defects import Defect, find_defects
from reports.outcome import outcome_of, reading_order
from reports.record import Record
from reports.summary import Role

ROLES: tuple[Role, ...] = get_args(Role)

_VERSION = re.compile(r"^(?P<product>.*?)[ /]*\bv?(?P<version>\d\S*)$")
_PARTS = re.compile(r"\d+|[a-z]+")
_END, _NUMBER, _WORD = 1, 2, 0


class Implementation(NamedTuple):
    """A client or a broker, whatever its release."""

    role: Role
    name: str

    @property
    def page(self) -> str:
        """Where its page is in the site."""
        return f"{self.role}s/{file_name(self.name)}.html"


@dataclass(frozen=True, slots=True)
class Release:
    """One release of an implementation; `version` is empty where nobody said it."""

    implementation: Implementation
    version: str

    @classmethod
    def of(cls, name: str, said: str, role: Role) -> Release:
        """What was played by a name, and said what it is: `mqttjs 5.16.0` is of mqttjs, whatever its name."""
        found = _VERSION.match(said)
        if not found:
            return cls(Implementation(role, said or name), "")
        return cls(Implementation(role, found["product"] or name), found["version"])

    @property
    def label(self) -> str:
        """`paho 2.2.0`."""
        return f"{self.implementation.name} {self.version}".strip()

    @property
    def order(self) -> tuple[tuple[int, int, str], ...]:
        """A sort key: numbers by their value, and `2.0.0-beta` before `2.0.0`, `2.0.0-1` after."""
        parts = _PARTS.findall(self.version.lower())
        numbers = [(_NUMBER, int(part), "") if part.isdigit() else (_WORD, 0, part) for part in parts]
        return (*numbers, (_END, 0, ""))


def file_name(text: str) -> str:
    """A text as the name of a file."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip(".-") or "-"


@dataclass(frozen=True)
class Play:
    """The cells of one release of a client with one of a broker in one run."""

    number: int
    run: str
    client: Release
    broker: Release
    records: tuple[Record, ...] = field(repr=False)
    """in reading order"""

    def release(self, role: Role) -> Release:
        """That of its client or broker."""
        return self.client if role == "client" else self.broker

    @property
    def label(self) -> str:
        """`paho 2.2.0 with mosquitto 2.0.11`."""
        return f"{self.client.label} with {self.broker.label}"

    @cached_property
    def started_at(self) -> str:
        """When its first cell began."""
        return min((record.started_at for record in self.records), default="")

    @cached_property
    def counts(self) -> Counts:
        """Of its cells."""
        return Counts(map(outcome_of, self.records))

    @cached_property
    def defects(self) -> tuple[Defect, ...]:
        """What its cells show, numbered as they are in its list of cells."""
        return find_defects(self.records)


Pair = tuple[Implementation, Implementation]


@dataclass(frozen=True)
class Plays:
    """All that was played."""

    all: tuple[Play, ...]
    """in the order of the runs"""

    @classmethod
    def of(cls, runs: Iterable[tuple[str, Iterable[Record]]]) -> Plays:
        """The plays of runs, each with its name."""
        found: defaultdict[tuple[str, Release, Release], list[Record]] = defaultdict(list)
        for run, given in runs:
            records = list(given)
            clients, brokers = (_releases(records, role) for role in ROLES)
            for record in records:
                found[run, clients[_named(record, "client")], brokers[_named(record, "broker")]].append(record)
        return cls(
            tuple(
                Play(number, *which, records=tuple(sorted(records, key=reading_order)))
                for number, (which, records) in enumerate(found.items())
            )
        )

    @cached_property
    def newest(self) -> dict[Pair, Play]:
        """Of each client with each broker: the newest release of the client, then of the broker, then the last run."""
        by_pair: defaultdict[Pair, list[Play]] = defaultdict(list)
        for play in self.all:
            by_pair[play.client.implementation, play.broker.implementation].append(play)
        return {pair: max(plays, key=_newness) for pair, plays in sorted(by_pair.items())}

    def implementations(self, role: Role) -> list[Implementation]:
        """All clients or brokers, by name."""
        return sorted({play.release(role).implementation for play in self.all})

    def releases(self, implementation: Implementation) -> list[Release]:
        """The releases of one, the oldest first."""
        found = {play.release(implementation.role) for play in self.all}
        return sorted((each for each in found if each.implementation == implementation), key=lambda each: each.order)

    def with_release(self, release: Release) -> list[Play]:
        """What a release was played with: with each other side's newest release, the last run of it."""
        role = release.implementation.role
        best: dict[Implementation, Play] = {}
        for play in sorted(self.all, key=_newness):
            if play.release(role) == release:
                best[play.release(other(role)).implementation] = play
        return [best[each] for each in sorted(best)]

    def runs(self) -> Iterator[tuple[str, Sequence[Play]]]:
        """The plays by run."""
        by_run: defaultdict[str, list[Play]] = defaultdict(list)
        for play in self.all:
            by_run[play.run].append(play)
        yield from by_run.items()


def _named(record: Record, role: Role) -> tuple[str, str]:
    return getattr(record, role), record.implementations.get(role, "")


def _releases(records: Iterable[Record], role: Role) -> dict[tuple[str, str], Release]:
    """Of each name and what it said in a run; of a cell that never got so far as to ask, what it said elsewhere."""
    named = {_named(record, role) for record in records}
    said = {name: {words for other_name, words in named if other_name == name and words} for name, _ in named}
    return {
        (name, words): Release.of(name, words or (next(iter(said[name])) if len(said[name]) == 1 else ""), role)
        for name, words in named
    }


def other(role: Role) -> Role:
    """The other side."""
    return "broker" if role == "client" else "client"


def _newness(play: Play) -> tuple[object, object, str]:
    return play.client.order, play.broker.order, play.started_at
