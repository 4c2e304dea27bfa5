"""What a suite made of the mutants: kept line by line, so that a run can go on, and told as a table and as JSON.

Belongs here: the outcome, its file, the table. Does not belong here: running (`suite`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from reports.write import write_whole

_SHOWN_TESTS = 3
_SHOWN_CHARACTERS = 120


class Noticed(StrEnum):
    """Whether a suite noticed a mutant."""

    YES = "noticed"
    NO = "not noticed"
    HUNG = "hung"
    """It did not end, as a person would notice, too."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out for one mutant: the tests that failed which pass on the right end, or the suite's last words."""

    mutant: str
    side: str
    subjects: tuple[str, ...]
    noticed: Noticed
    failed: tuple[str, ...] = ()
    said: str = ""
    seconds: float = 0.0


class OfAnotherSuite(Exception):
    """A file has the outcomes of another suite."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The file a run can go on from: what it is about, then an outcome in each line."""

    file: Path
    about: dict[str, Any]

    def read(self) -> tuple[frozenset[str], list[Outcome]] | None:
        """What fails on the right end, and the outcomes there are; None where there is no such file.

        Raises OfAnotherSuite. A last line that was cut off is left out.
        """
        if not self.file.exists():
            return None
        first, *lines = self.file.read_text("utf-8").splitlines() or [""]
        about = _parsed(first)
        if about is None or {name: about.get(name) for name in self.about} != self.about:
            raise OfAnotherSuite(f"{self.file} has outcomes of another suite, or of other options")
        rows = [row for line in lines if (row := _parsed(line)) is not None]
        return frozenset(about["subtracted"]), [_outcome(row) for row in rows]

    def begin(self, subtracted: Iterable[str]) -> None:
        """Begin anew."""
        text = json.dumps({**self.about, "subtracted": sorted(subtracted)}) + "\n"
        write_whole(self.file, lambda path: path.write_text(text, "utf-8"))

    def add(self, outcome: Outcome) -> None:
        """Keep one more."""
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(dataclasses.asdict(outcome)) + "\n")


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _outcome(row: dict[str, Any]) -> Outcome:
    lists = {name: tuple(row[name]) for name in ("subjects", "failed")}
    return Outcome(**row | lists | {"noticed": Noticed(row["noticed"])})


@dataclass(frozen=True, slots=True)
class SuiteTable:
    """All outcomes of a suite."""

    about: dict[str, Any]
    subtracted: frozenset[str]
    outcomes: Sequence[Outcome]
    crashes: tuple[str, ...] = ()
    """Mutants that fell over instead of being wrong: being noticed says little then."""

    @property
    def unnoticed(self) -> list[str]:
        """The mutants it would not notice."""
        return [each.mutant for each in self.outcomes if each.noticed is Noticed.NO]

    def lines(self) -> Iterator[str]:
        """A line for each mutant, those of a kind together, then for each subject, then the sum."""
        for noticed in Noticed:
            for each in sorted(self.outcomes, key=lambda each: each.mutant):
                if each.noticed is noticed:
                    yield f"{noticed:11}  {each.mutant}{_by(each)}"
        yield ""
        yield from self._by_subject()
        yield ""
        if self.subtracted:
            yield f"subtracted, as they fail on the right one: {', '.join(sorted(self.subtracted))}"
        yield from (f"fell over: {crash}" for crash in self.crashes)
        yield self.summary()

    def summary(self) -> str:
        """The sum in a line."""
        hung = sum(each.noticed is Noticed.HUNG for each in self.outcomes)
        noticed = len(self.outcomes) - len(self.unnoticed)
        return f"{noticed:,} of {len(self.outcomes):,} mutants noticed" + (
            f", {hung} of them by hanging" if hung else ""
        )

    def _by_subject(self) -> Iterator[str]:
        """How many are noticed of those that are wrong in each area; a mutant may be of several."""
        of: dict[str, list[Outcome]] = {}
        for each in self.outcomes:
            for area in dict.fromkeys(subject.partition("/")[0] for subject in each.subjects):
                of.setdefault(area, []).append(each)
        for area, outcomes in sorted(of.items()):
            noticed = sum(each.noticed is not Noticed.NO for each in outcomes)
            yield f"{area:20} {noticed:4} of {len(outcomes):4}"

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write `suite.txt`, to be read, and `suite.json`; gives their paths."""
        text, data = folder / "suite.txt", folder / "suite.json"
        lines = "".join(f"{line}\n" for line in self.lines())
        write_whole(text, lambda path: path.write_text(lines, "utf-8"))
        document = {
            **self.about,
            "subtracted": sorted(self.subtracted),
            "mutants": [dataclasses.asdict(each) for each in self.outcomes],
            "crashes": self.crashes,
        }
        write_whole(data, lambda path: path.write_text(json.dumps(document, indent=2) + "\n", "utf-8"))
        return text, data


def _by(outcome: Outcome) -> str:
    shown = outcome.failed[:_SHOWN_TESTS]
    more = f" and {len(outcome.failed) - _SHOWN_TESTS} more" if len(outcome.failed) > _SHOWN_TESTS else ""
    text = ", ".join(shown) + more or outcome.said[:_SHOWN_CHARACTERS]
    return f": {text}" if text else ""
