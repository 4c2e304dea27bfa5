"""The statements of the specifications and the evidence for each: data beside the results, and what it adds up to.

Belongs here: the line of one statement for one side, counting lines, reading and writing `coverage.json`.
Does not belong here: what counts as evidence (`interop.coverage`), markup.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Literal

Standing = Literal["covered", "missing", "not-observable"]


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One statement of one version, for one side under test.

    `evidence`: the scenarios and corpus cases that put it to the test. `judged_cells`: in how many cells the judge held
    packets against it. `rules`: the judge's rules that watch it; they alone make no statement covered. `reason`: why
    nobody can see it from outside, where that is so.
    """

    mqtt: str
    side: str
    id: str
    level: str
    section: str
    summary: str
    standing: Standing
    evidence: tuple[str, ...] = ()
    judged_cells: int = 0
    rules: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SideCoverage:
    """The lines of one version and side, in the table's order."""

    mqtt: str
    side: str
    lines: tuple[StatementLine, ...]

    def count(self, standing: Standing) -> int:
        """How many statements stand so."""
        return Counter(line.standing for line in self.lines)[standing]

    @property
    def testable(self) -> int:
        """Statements that can be seen from outside."""
        return len(self.lines) - self.count("not-observable")

    @property
    def sentence(self) -> str:
        """`MQTT 5.0, broker: 233 of 298 statements covered`, and how many cannot be seen."""
        unseen = self.count("not-observable")
        more = f"; {unseen} not observable" if unseen else ""
        return f"MQTT {self.mqtt}, {self.side}: {self.count('covered')} of {self.testable} statements covered{more}"


def by_side(lines: Iterable[StatementLine]) -> Iterator[SideCoverage]:
    """The lines by version and side; `lines` are in that order."""
    for (mqtt, side), group in groupby(lines, key=lambda line: (line.mqtt, line.side)):
        yield SideCoverage(mqtt, side, tuple(group))


def write_coverage(lines: Sequence[StatementLine], path: Path) -> None:
    """Write `coverage.json`, a list with one object for each line, each in a line of its own; raises OSError."""
    names = [field.name for field in fields(StatementLine)]
    objects = (json.dumps({name: getattr(line, name) for name in names}) for line in lines)
    path.write_text("[\n" + ",\n".join(objects) + "\n]\n", encoding="utf-8")
