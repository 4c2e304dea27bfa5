"""How many cells came to which outcome, and the matrix added up by area, client, broker and version.

Belongs here: counting. Does not belong here: one outcome (`outcome`), what is said of a whole run (`summary`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from reports.outcome import Outcome
from reports.record import Record
from reports.words import cells, number


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


def column_of(record: Record) -> Column:
    """The matrix column a record counts in."""
    return Column(record.client, record.broker, record.mqtt)
