"""What a set of results adds up to: the one counting model behind every page and the terminal.

Belongs here: pure functions over records; counts, the matrix, the order failures are read in, overhead, sentences.
Does not belong here: markup, files, clocks, or how a verdict came about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from operator import attrgetter
from statistics import median
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import quote

from reports.record import Record, Verdict

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


class Outcome(StrEnum):
    """A verdict against what was expected of it, in the order in which a reader wants to see them.

    It is the verdict, with four kinds set apart: a `fail` and a set-up that failed where they are listed as known, what
    is listed as ambiguous, and a pass that is listed as failing.
    """

    FAIL = "fail"
    HARNESS_ERROR = "harness-error"
    SETUP_FAILED = "setup-failed"
    FLAKY = "flaky"
    UNEXPECTED_PASS = "unexpected-pass"
    KNOWN_FAILURE = "known-failure"
    AMBIGUOUS = "ambiguous"
    KNOWN_SETUP_FAILED = "known-setup-failed"
    WARN = "warn"
    UNSUPPORTED = "unsupported"
    OBSERVED = "observed"
    PASS = "pass"

    @property
    def label(self) -> str:
        """Short words for a chip or a column."""
        return _LABELS[self]

    @property
    def meaning(self) -> str:
        """One line for a legend."""
        return _MEANINGS.get(self) or Verdict(self.value).meaning

    @property
    def rank(self) -> int:
        """0 is read first."""
        return _RANKS[self]

    @property
    def is_quiet(self) -> bool:
        """Nothing about it needs a look."""
        return self in (Outcome.PASS, Outcome.OBSERVED, Outcome.UNSUPPORTED)


_LABELS = {
    Outcome.FAIL: "fail",
    Outcome.HARNESS_ERROR: "harness error",
    Outcome.SETUP_FAILED: "setup failed",
    Outcome.FLAKY: "flaky",
    Outcome.UNEXPECTED_PASS: "unexpected pass",
    Outcome.KNOWN_FAILURE: "known failure",
    Outcome.AMBIGUOUS: "ambiguous",
    Outcome.KNOWN_SETUP_FAILED: "known setup failure",
    Outcome.WARN: "warn",
    Outcome.UNSUPPORTED: "unsupported",
    Outcome.OBSERVED: "observed",
    Outcome.PASS: "pass",
}
_MEANINGS = {
    Outcome.FAIL: "a MUST of the specification was broken, and this is not listed as known",
    Outcome.KNOWN_FAILURE: "a MUST was broken, as the list of known failures says it would be",
    Outcome.AMBIGUOUS: "by one reading of the specification it was broken, by another not: nobody is blamed",
    Outcome.KNOWN_SETUP_FAILED: "the case could not be brought to its start, as the list of known failures says",
    Outcome.UNEXPECTED_PASS: "it passed although it is listed as a known failure: the list is out of date",
}
_OF_VERDICT = {verdict: Outcome(verdict.value) for verdict in Verdict}
_RANKS = {outcome: rank for rank, outcome in enumerate(Outcome)}
_RED = frozenset({Outcome.FAIL, Outcome.HARNESS_ERROR, Outcome.SETUP_FAILED, Outcome.FLAKY})
_MAY_BE_KNOWN = frozenset({Verdict.FAIL, Verdict.WARN, Verdict.SETUP_FAILED, Verdict.FLAKY})


def outcome_of(record: Record) -> Outcome:
    """Where a record stands; every record has exactly one outcome."""
    verdict, known = record.verdict, record.known_failure
    if known is None and not record.unexpected_pass:  # most of them, and this is asked very often
        return _OF_VERDICT[verdict]
    if verdict is Verdict.PASS and record.unexpected_pass:
        return Outcome.UNEXPECTED_PASS
    if known and known.is_ambiguous and verdict in (Verdict.FAIL, Verdict.WARN):
        return Outcome.AMBIGUOUS
    if known and verdict is Verdict.FAIL:
        return Outcome.KNOWN_FAILURE
    if known and verdict is Verdict.SETUP_FAILED:
        return Outcome.KNOWN_SETUP_FAILED
    return _OF_VERDICT[verdict]


def is_known(record: Record) -> bool:
    """Whether its shortcoming is listed; a harness error never is, it says nothing about the implementation."""
    return record.known_failure is not None and record.verdict in _MAY_BE_KNOWN


def is_red(record: Record, *, strict_known: bool = False) -> bool:
    """Whether it is not as expected and fails a build; with `strict_known` also where a listed failure is gone."""
    outcome = outcome_of(record)
    if outcome is Outcome.UNEXPECTED_PASS:
        return strict_known
    return outcome in _RED and record.known_failure is None


def why(record: Record) -> str:
    """One line: what is the matter with it; empty for a plain pass."""
    if outcome_of(record) is not Outcome.UNEXPECTED_PASS:
        return record.reason
    return (
        f"it passed, but is listed to fail: {record.known_failure.reason}"
        if record.known_failure
        else ("it passed, but is listed to fail")
    )


def reading_order(record: Record) -> tuple[int, bool, str, str, str, str, str]:
    """A sort key: failures before passes, new before known, then by cell."""
    r = record
    return outcome_of(r).rank, is_known(r), r.scenario, r.client, r.broker, r.mqtt, r.transport


class Counts:
    """How many cells came to which outcome; the outcomes add up to `total`."""

    __slots__ = ("by_outcome",)

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self.by_outcome: Counter[Outcome] = Counter(outcomes)

    def __getitem__(self, outcome: Outcome) -> int:
        return self.by_outcome[outcome]

    @property
    def total(self) -> int:
        """All cells."""
        return self.by_outcome.total()

    @property
    def applying(self) -> int:
        """Cells that apply to the implementations: all that they do not declare unsupported; passes are of these."""
        return self.total - self[Outcome.UNSUPPORTED]

    @property
    def passed(self) -> int:
        """Cells whose verdict is `pass`, expected or not."""
        return self[Outcome.PASS] + self[Outcome.UNEXPECTED_PASS]

    @property
    def failed(self) -> int:
        """Cells whose verdict is `fail`, known or not."""
        return self[Outcome.FAIL] + self[Outcome.KNOWN_FAILURE]

    @property
    def of_applying(self) -> str:
        """`of 430 cells`, and `that apply` where others are there that do not."""
        return f"of {cells(self.applying)}" + (" that apply" if self[Outcome.UNSUPPORTED] else "")

    def present(self) -> list[tuple[Outcome, int]]:
        """The outcomes that occur, in reading order."""
        return [(outcome, self[outcome]) for outcome in Outcome if self[outcome]]

    def besides_passes(self) -> str:
        """What the cells that did not pass came to: `9 fail (7 known), 3 unsupported`; empty if all passed."""
        parts = [_failures_phrase(self)] if self.failed else []
        for outcome, singular, plural in _PHRASES:
            if count := self[outcome]:
                parts.append(f"{number(count)} {singular if count == 1 else plural}")
        return ", ".join(parts)


_PHRASES = (
    (Outcome.HARNESS_ERROR, "harness error", "harness errors"),
    (Outcome.SETUP_FAILED, "setup failed", "setups failed"),
    (Outcome.FLAKY, "flaky", "flaky"),
    (Outcome.AMBIGUOUS, "ambiguous", "ambiguous"),
    (Outcome.KNOWN_SETUP_FAILED, "known setup failure", "known setup failures"),
    (Outcome.WARN, "warning", "warnings"),
    (Outcome.UNSUPPORTED, "unsupported", "unsupported"),
    (Outcome.OBSERVED, "observed", "observed"),
)


def _failures_phrase(counts: Counts) -> str:
    failed, known = counts.failed, counts[Outcome.KNOWN_FAILURE]
    aside = (
        "" if not known else "known" if failed == 1 else "all known" if failed == known else f"{number(known)} known"
    )
    return f"{number(failed)} {'fails' if failed == 1 else 'fail'}" + (f" ({aside})" if aside else "")


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


class Column(NamedTuple):
    """One column of the matrix."""

    client: str
    broker: str
    mqtt: str


CellsOf = tuple[str, Column]
"""An area, and a column of the matrix."""
_FIELDS = ("area", *Column._fields)


class Sums:
    """A matrix added up by some of area, client, broker and version: each way once, when it is first asked for."""

    __slots__ = ("_by_names", "_matrix")

    def __init__(self, matrix: Mapping[CellsOf, Counts]) -> None:
        self._matrix = matrix
        self._by_names: dict[tuple[str, ...], dict[tuple[str, ...], Counts]] = {}

    def where(self, wanted: Mapping[str, str]) -> Counts:
        """Counts of the cells that have these values."""
        assert wanted.keys() <= {*_FIELDS}, wanted
        names = tuple(sorted(wanted))
        if names not in self._by_names:
            self._by_names[names] = self._added_up([_FIELDS.index(name) for name in names])
        return self._by_names[names].get(tuple(wanted[name] for name in names), Counts())

    def _added_up(self, places: Sequence[int]) -> dict[tuple[str, ...], Counts]:
        found: defaultdict[tuple[str, ...], Counts] = defaultdict(Counts)
        for (area, column), counts in self._matrix.items():
            values = (area, *column)
            found[tuple(values[place] for place in places)].by_outcome.update(counts.by_outcome)
        return dict(found)


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


def place(record: Record) -> str:
    """`qos1/delivered  paho with reference, 5.0, tcp`: which cell it is, for a line of text."""
    return f"{record.scenario}  {record.client} with {record.broker}, {record.mqtt}, {record.transport}"


def cell_link(record: Record) -> str:
    """Where the page of a cell is, within the report page."""
    return f"#cell/{quote(record.cell_id, safe='/')}"


def column_of(record: Record) -> Column:
    """The matrix column a record counts in."""
    return Column(record.client, record.broker, record.mqtt)


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


def not_run_sentence(count: int, stopped: str = "") -> str:
    """`5 cells did not run.`, with why the run was `stopped` if that is known; empty for none."""
    if not count:
        return ""
    return f"{cells(count)} did not run." + (f" The run was ended: {stopped}." if stopped else "")


def number(count: int) -> str:
    """`1,290`."""
    return f"{count:,}"


def cells(count: int) -> str:
    """`1 cell`, `1,290 cells`."""
    return f"{number(count)} {'cell' if count == 1 else 'cells'}"


def milliseconds(value: float) -> str:
    """`0.4 ms` below ten, `41 ms` above."""
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def duration(seconds: float) -> str:
    """`0.31 s`, `12.4 s`, `1 min 23 s`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
