"""What a set of results adds up to: the one model behind every page and the terminal.

Belongs here: pure functions over all records of a run; implementations, overhead, the environment, sentences.
Does not belong here: counting (`counts`), one record's outcome (`outcome`), markup, files, clocks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from operator import attrgetter
from statistics import median
from typing import Literal, TypeVar

from reports.counts import CellsOf, Column, Counts, Sums, column_of
from reports.outcome import Outcome, outcome_of, reading_order
from reports.record import Record, Verdict
from reports.words import cells, milliseconds, not_run_sentence, number

Role = Literal["client", "broker"]
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The run the records come from; `started_at` is UTC in ISO 8601."""

    started_at: str
    wall_seconds: float
    harness_version: str
    command: str = ""
    workers: int = 1
    not_run: tuple[str, ...] = ()
    """The cells that were selected and have no result, as `place` names them."""
    stopped: str = ""
    """Why there are any, in a few words, if it is known."""
    left_out: int = 0
    """Slow cells that were selected and not asked for."""
    shard: str = ""
    """Which part of the selection it played, `2/4`; empty for all of it."""
    selection: str = ""
    """The same for all shards of one run: a digest of the cells they share."""
    missing_shards: tuple[str, ...] = ()
    """Where shards were joined: those that were not there."""
    strict_known: bool = False
    """Whether a cell must not pass that is listed to fail."""
    exit_code: int | None = None
    """What it came to; none where it is no run of the matrix."""

    @property
    def gaps(self) -> tuple[str, ...]:
        """What has no result: single cells, and the cells of whole shards."""
        return (*self.not_run, *(f"every cell of shard {shard}" for shard in self.missing_shards))

    @property
    def not_run_sentence(self) -> str:
        """`5 cells did not run.`, perhaps with a reason; and which shards are missing. Empty when all did."""
        missing = f"Missing: shard {', '.join(self.missing_shards)}." if self.missing_shards else ""
        return f"{not_run_sentence(len(self.not_run), self.stopped)} {missing}".strip()

    @property
    def left_out_sentence(self) -> str:
        """`5 slow cells were left out (--slow plays them).`; empty when none was."""
        if not self.left_out:
            return ""
        were = "cell was" if self.left_out == 1 else "cells were"
        return f"{number(self.left_out)} slow {were} left out (--slow plays them)."


@dataclass(frozen=True, slots=True)
class Implementation:
    """One client or one broker over all its cells; `label` carries its version."""

    role: Role
    name: str
    label: str
    counts: Counts
    blamed_elsewhere: int
    """failures in its cells where the other side is to blame"""

    @property
    def rest(self) -> str:
        """What follows the semicolon of its sentence, without the full stop."""
        words = [self.counts.besides_passes()] if self.counts.besides_passes() else []
        if unexpected := self.counts[Outcome.UNEXPECTED_PASS]:
            words.append(f"{number(unexpected)} of the passes {'was' if unexpected == 1 else 'were'} not expected")
        if self.blamed_elsewhere:
            other = "broker" if self.role == "client" else "client"
            words.append(f"the {other} is to blame for {_some_of(self.blamed_elsewhere, self.counts.failed)}")
        return "; ".join(words)

    @property
    def sentence(self) -> str:
        """`paho-mqtt 2.2.0 (client) passes 412 of 427 cells that apply; 9 fail (7 known), 3 unsupported.`"""
        head = f"{self.label} ({self.role}) passes {number(self.counts.passed)} {self.counts.of_applying}"
        return f"{head}; {self.rest}." if self.rest else f"{head}."


def _some_of(part: int, failures: int) -> str:
    if part == failures:
        return "the failure" if failures == 1 else f"all {number(failures)} failures"
    return f"{number(part)} of the {number(failures)} failures"


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a cell costs apart from the waiting its scenario demands, in milliseconds."""

    median_ms: float
    p95_ms: float

    @classmethod
    def of(cls, records: Iterable[Record]) -> Overhead | None:
        """Over all records; none if there are none."""
        values = sorted(1000 * record.overhead_seconds for record in records)
        return cls(median(values), values[ceil(0.95 * len(values)) - 1]) if values else None

    @property
    def sentence(self) -> str:
        """The line every report prints."""
        return (
            f"Median overhead per cell: {milliseconds(self.median_ms)} (waiting not counted), "
            f"p95 {milliseconds(self.p95_ms)}."
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the reports say about a set of records, apart from the single cell."""

    records: tuple[Record, ...]
    """in reading order"""
    counts: Counts
    implementations: tuple[Implementation, ...]
    """clients, then brokers, each by name"""
    areas: tuple[str, ...]
    columns: tuple[Column, ...]
    """those that have a cell that applies"""
    matrix: Mapping[CellsOf, Counts]
    sums: Sums
    """of the matrix"""
    overhead: Overhead | None
    environment: Mapping[str, str]
    """versions of everything else: harness, python, ...; and the network, if cells were played behind one"""
    not_run: int = 0
    """cells that were selected and have no result"""

    @classmethod
    def of(cls, records: Iterable[Record], *, not_run: int = 0) -> Summary:
        """Count them; the order of the records does not matter."""
        ordered = tuple(sorted(records, key=reading_order))
        groups = _grouped(ordered, lambda r: (r.area, column_of(r)))
        matrix = {key: Counts(map(outcome_of, group)) for key, group in groups.items()}
        sums = Sums(matrix)
        return cls(
            records=ordered,
            counts=sums.where({}),
            implementations=(*_implementations(ordered, "client", sums), *_implementations(ordered, "broker", sums)),
            areas=tuple(sorted({area for area, _ in matrix})),
            columns=tuple(sorted({column_of(r) for r in ordered if r.verdict is not Verdict.UNSUPPORTED})),
            matrix=matrix,
            sums=sums,
            overhead=Overhead.of(ordered),
            environment=_environment(ordered),
            not_run=not_run,
        )

    @property
    def unsupported_sentence(self) -> str:
        """`Not shown, because unsupported: gmqtt with reference, MQTT 3.1.`; empty where all columns have cells."""
        missing = sorted({column for _, column in self.matrix} - {*self.columns})
        if not missing:
            return ""
        names = "; ".join(f"{client} with {broker}, MQTT {mqtt}" for client, broker, mqtt in missing)
        return f"Not shown, because unsupported: {names}."

    def counts_where(self, **wanted: str) -> Counts:
        """Counts of the cells whose area, client, broker or mqtt is as given."""
        return self.sums.where(wanted)

    def with_outcome(self, *outcomes: Outcome) -> tuple[Record, ...]:
        """The records of these outcomes, in reading order."""
        return tuple(record for record in self.records if outcome_of(record) in outcomes)

    @property
    def attention(self) -> tuple[Record, ...]:
        """The records that need a look: failures first, new before known, unexpected passes, warnings."""
        return tuple(record for record in self.records if not outcome_of(record).is_quiet)

    @property
    def slowest(self) -> tuple[Record, ...]:
        """By wall time, the slowest first."""
        return tuple(sorted(self.records, key=lambda record: -record.seconds))

    @property
    def headline(self) -> str:
        """One sentence for the whole run, the worst news first."""
        news = [
            f"{number(self.counts[outcome])} {singular if self.counts[outcome] == 1 else plural}"
            for outcome, singular, plural in _NEWS
            if self.counts[outcome]
        ]
        ran = (
            f"{', '.join(news) or 'Nothing new failed'} in {cells(self.counts.total)}"
            if self.records
            else "Nothing ran"
        )
        return f"{ran}; {cells(self.not_run)} did not run." if self.not_run else f"{ran}."


_NEWS = (
    (Outcome.FAIL, "new failure", "new failures"),
    (Outcome.HARNESS_ERROR, "harness error", "harness errors"),
    (Outcome.SETUP_FAILED, "failed setup", "failed setups"),
    (Outcome.FLAKY, "flaky cell", "flaky cells"),
    (Outcome.UNEXPECTED_PASS, "unexpected pass", "unexpected passes"),
)


def _grouped(records: Iterable[Record], key: Callable[[Record], Key]) -> dict[Key, list[Record]]:
    groups: defaultdict[Key, list[Record]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return groups


def _implementations(records: Iterable[Record], role: Role, sums: Sums) -> list[Implementation]:
    groups = _grouped(records, attrgetter(role))
    other = "broker" if role == "client" else "client"
    return [
        Implementation(
            role=role,
            name=name,
            label=_label(name, {r.implementations.get(role, "") for r in group}),
            counts=sums.where({role: name}),
            blamed_elsewhere=sum(r.verdict is Verdict.FAIL and r.blame == other for r in group),
        )
        for name, group in sorted(groups.items())
    ]


def _label(name: str, versions: set[str]) -> str:
    """`paho` with `2.2.0` is `paho 2.2.0`; a version that names its product (`paho-mqtt 2.2.0`) stands alone.

    So does one that names its address, `127.0.0.1:1883 version unknown`.
    """
    known = sorted(versions - {""})
    if not known:
        return name
    joined = ", ".join(known)
    return f"{name} {joined}" if known[0][0].isdigit() and " " not in known[0] else joined


def _environment(records: Iterable[Record]) -> dict[str, str]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        for name, version in record.implementations.items():
            if name not in ("client", "broker"):
                found[name].add(version)
        if record.network:
            found["network"].add(record.network)
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}
