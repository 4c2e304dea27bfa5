"""All reports of a run into one folder.

Belongs here: the names of the files and what happens when they cannot be written.
Does not belong here: what stands in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from reports.coverage import StatementLine, write_coverage
from reports.html import render
from reports.junit import write_junit
from reports.markdown import write_markdown
from reports.record import Record, write_records
from reports.summary import RunInfo, Summary

RESULTS, COVERAGE, PAGE, JUNIT, MARKDOWN = "results.jsonl", "coverage.json", "report.html", "junit.xml", "summary.md"


class CannotWrite(OSError):
    """A report that cannot be written; the message is one line and names the path."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"cannot write the report to {path}: {why}")


def write_all(
    records: Iterable[Record], out: Path, run: RunInfo | None = None, statements: Sequence[StatementLine] = ()
) -> Path:
    """Write results, coverage, page, JUnit and Markdown into `out`, made if need be; gives the page's path.

    `statements` is the evidence that is in `records`; without any there is no coverage to write. Raises CannotWrite.
    The results come first, because everything else can be made from them again.
    """
    summary = Summary.of(records)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_records(out / RESULTS, summary.records)
        if statements:
            write_coverage(statements, out / COVERAGE)
        (out / PAGE).write_text(render(summary, run=run, statements=statements), encoding="utf-8")
        write_junit(summary.records, out / JUNIT, run=run)
        write_markdown(summary, out / MARKDOWN, run=run)
    except OSError as error:
        raise CannotWrite(out, error.strerror or str(error)) from error
    return out / PAGE


def check_writable(out: Path) -> None:
    """Find out before a run whether `out` can be written to; raises CannotWrite, leaves only the folder behind."""
    probe = out / ".writable"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotWrite(out, error.strerror or str(error)) from error
