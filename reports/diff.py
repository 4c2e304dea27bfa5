"""Verdicts against verdicts: what a run should have said, or what another run said.

Belongs here: the `expected-verdicts` file (CSV), reading verdicts from it or from `results.jsonl`, the comparison.
Does not belong here: known failures (the runner applies them), or anything about a cell beyond its verdict.
"""

from __future__ import annotations

import csv
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from reports.record import BadResults, Record, Verdict, read_in_brief
from reports.write import write_whole


class Cell(NamedTuple):
    """A cell's identity; its fields are the first columns of the CSV and its order the order of the lines."""

    scenario: str
    client: str
    broker: str
    mqtt: str
    transport: str

    @classmethod
    def of(cls, record: Record) -> Cell:
        """The cell a record is about."""
        return cls(record.scenario, record.client, record.broker, record.mqtt, record.transport)


Verdicts = Mapping[Cell, Verdict]
_HEADER = (*Cell._fields, "verdict")


class Change(StrEnum):
    """In which way two verdicts of a cell differ, in the order in which a reader wants to see them."""

    WORSE = "got worse"
    GONE = "gone"
    BETTER = "got better"
    CHANGED = "changed"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Difference:
    """One cell whose verdicts differ; a side that does not have the cell is none."""

    cell: Cell
    change: Change
    before: Verdict | None
    after: Verdict | None

    def __str__(self) -> str:
        """`got worse: qos2/resume paho reference 5.0 tcp: pass -> fail`."""
        return f"{self.change}: {' '.join(self.cell)}: {self.before or 'absent'} -> {self.after or 'absent'}"


# How much a verdict leaves to be wished for: a step to a higher number got worse. Equal numbers are a mere change.
BADNESS = {
    Verdict.PASS: 0,
    Verdict.OBSERVED: 0,
    Verdict.WARN: 1,
    Verdict.UNSUPPORTED: 2,
    Verdict.FLAKY: 3,
    Verdict.FAIL: 4,
    Verdict.SETUP_FAILED: 5,
    Verdict.HARNESS_ERROR: 6,
}
_CHANGES = list(Change)


def verdicts_of(records: Iterable[Record]) -> dict[Cell, Verdict]:
    """The verdict of each record's cell; of a cell that occurs twice, the last."""
    return {Cell.of(record): record.verdict for record in records}


def read_expected(path: Path) -> dict[Cell, Verdict]:
    """Read an `expected-verdicts` CSV; raises BadResults with file and line for whatever is wrong with it."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise BadResults(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not rows or tuple(rows[0]) != _HEADER:
        raise BadResults(f"{path}:1: the first line must be: {','.join(_HEADER)}")
    verdicts: dict[Cell, Verdict] = {}
    for line, row in enumerate(rows[1:], start=2):
        cell, verdict = _parse(row, f"{path}:{line}")
        if cell in verdicts:
            raise BadResults(f"{path}:{line}: this cell was given a verdict above: {' '.join(cell)}")
        verdicts[cell] = verdict
    return verdicts


def _parse(row: list[str], where: str) -> tuple[Cell, Verdict]:
    if len(row) != len(_HEADER):
        raise BadResults(f"{where}: {len(row)} columns, expected {len(_HEADER)}")
    if row[-1] not in set(Verdict):
        raise BadResults(f"{where}: unknown verdict {row[-1]!r}, expected one of: {', '.join(Verdict)}")
    return Cell(*row[:-1]), Verdict(row[-1])


def write_expected(path: Path, verdicts: Verdicts) -> None:
    """Write an `expected-verdicts` CSV, sorted by cell, so that a review shows only what changed."""
    rows = [_HEADER, *((*cell, verdict.value) for cell, verdict in sorted(verdicts.items()))]

    def write(beside: Path) -> None:
        with beside.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    write_whole(path, write)


def read_verdicts(path: Path) -> dict[Cell, Verdict]:
    """Verdicts from either kind of file: `*.jsonl` are results, all else is CSV; raises BadResults."""
    return verdicts_of(read_in_brief(path)) if path.suffix == ".jsonl" else read_expected(path)


def only_of(verdicts: Verdicts, clients: Container[str]) -> dict[Cell, Verdict]:
    """The verdicts of the cells that these clients played, as where a run was one of a part of the matrix."""
    return {cell: verdict for cell, verdict in verdicts.items() if cell.client in clients}


def compare(before: Verdicts, after: Verdicts) -> list[Difference]:
    """What differs between two sets of verdicts, the worst first; empty when they say the same."""
    found = [
        Difference(cell, _change(before.get(cell), after.get(cell)), before.get(cell), after.get(cell))
        for cell in before.keys() | after.keys()
        if before.get(cell) is not after.get(cell)
    ]
    return sorted(found, key=lambda difference: (_CHANGES.index(difference.change), difference.cell))


def _change(before: Verdict | None, after: Verdict | None) -> Change:
    if before is None:
        return Change.NEW
    if after is None:
        return Change.GONE
    step = BADNESS[after] - BADNESS[before]
    return Change.WORSE if step > 0 else Change.BETTER if step < 0 else Change.CHANGED


def in_words(differences: Iterable[Difference]) -> str:
    """A text for the terminal: each kind of change with its number and its cells; says so when nothing differs."""
    lines: list[str] = []
    for change, group in groupby(differences, key=lambda difference: difference.change):
        members = list(group)
        lines.append(f"{change} ({len(members)}):")
        lines += [f"  {' '.join(d.cell)}: {d.before or 'absent'} -> {d.after or 'absent'}" for d in members]
    return "\n".join(lines) if lines else "No verdict differs."
