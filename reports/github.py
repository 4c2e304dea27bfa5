"""What GitHub Actions shows of a run on its own pages: annotations at scenario files, and the job's summary.

Belongs here: the workflow commands, and where GitHub says it wants them. Does not belong here: the words (`markdown`).

Nothing happens where GitHub is not. A run without faults adds its summary and annotates nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.at import line_of
from reports.defects import NO_SENTENCES, Sentences, find_defects
from reports.markdown import markdown
from reports.outcome import Outcome, outcome_of, why
from reports.record import Record
from reports.summary import RunInfo, Summary
from reports.words import place

SHOWN = 10
"""Annotations of a kind that GitHub shows of one step."""

_KINDS = {
    Outcome.FAIL: "error",
    Outcome.HARNESS_ERROR: "error",
    Outcome.SETUP_FAILED: "error",
    Outcome.FLAKY: "error",
    Outcome.UNEXPECTED_PASS: "warning",
    Outcome.WARN: "warning",
}
_TEXT = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_VALUE = _TEXT | str.maketrans({":": "%3A", ",": "%2C"})


@dataclass(frozen=True, slots=True)
class Annotation:
    """One line beside a line of a file."""

    kind: str
    file: str
    line: int
    title: str
    message: str

    def __str__(self) -> str:
        """The workflow command, in one line whatever is in it."""
        values = {"file": self.file, "line": str(self.line), "title": self.title}
        given = ",".join(f"{name}={value.translate(_VALUE)}" for name, value in values.items() if value)
        return f"::{self.kind} {given}::{self.message.translate(_TEXT)}"


def annotations_of(
    records: Sequence[Record], sentences: Sentences = NO_SENTENCES, *, strict_known: bool = False
) -> list[Annotation]:
    """One for each defect that is new, at its smallest trace, and for each cell that needs a look besides."""
    found = [*_of_defects(records, sentences), *_of_cells(records, strict_known=strict_known)]
    return [each for kind in ("error", "warning") for each in [one for one in found if one.kind == kind][:SHOWN]]


def _of_defects(records: Sequence[Record], sentences: Sentences) -> Iterator[Annotation]:
    for defect in find_defects(records):
        if defect.is_known or defect.outcome not in _KINDS:
            continue
        cites = [f"{mqtt} {cite}: {defect.sentence(sentences)}".rstrip(": ") for mqtt, cite in defect.statements[:1]]
        lines = [f"{defect.headline} ({defect.extent})", *cites, place(defect.smallest), defect.smallest.rerun]
        smallest = defect.smallest
        yield Annotation(
            _KINDS[defect.outcome], smallest.file, line_of(smallest), f"{defect.outcome.label}: {defect.blamed}",
            "\n".join(filter(None, lines)),
        )  # fmt: skip


def _of_cells(records: Sequence[Record], *, strict_known: bool) -> Iterator[Annotation]:
    for record in Summary.of(records).with_outcome(
        Outcome.HARNESS_ERROR, Outcome.SETUP_FAILED, Outcome.FLAKY, Outcome.UNEXPECTED_PASS
    ):
        if record.known_failure is None:
            outcome = outcome_of(record)
            kind = "error" if strict_known else _KINDS[outcome]
            lines = [why(record), place(record), record.rerun]
            yield Annotation(kind, record.file, line_of(record), outcome.label, "\n".join(filter(None, lines)))


def tell_github(
    records: Sequence[Record], run: RunInfo, environment: Mapping[str, str], sentences: Sentences = NO_SENTENCES
) -> list[str]:
    """Add to the job's summary where GitHub names a file for it; gives the lines to print, none where GitHub is not.

    Raises OSError.
    """
    if summary := environment.get("GITHUB_STEP_SUMMARY"):
        text = markdown(Summary.of(records, not_run=len(run.not_run)), run=run, sentences=sentences, has_page=False)
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    if environment.get("GITHUB_ACTIONS") != "true":
        return []
    workspace = Path(environment.get("GITHUB_WORKSPACE") or ".").absolute()
    return [
        str(Annotation(each.kind, _in(workspace, each.file), each.line, each.title, each.message))
        for each in annotations_of(records, sentences, strict_known=run.strict_known)
    ]


def _in(workspace: Path, file: str) -> str:
    """The file as GitHub names it: from the repository's root, where it is in it."""
    path = Path(file).absolute()
    return str(path.relative_to(workspace)) if file and path.is_relative_to(workspace) else file
