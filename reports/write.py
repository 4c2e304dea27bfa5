"""All reports of a run into one folder.

Belongs here: the names of the files and what happens when they cannot be written.
Does not belong here: what stands in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reports.html import render
from reports.junit import write_junit
from reports.markdown import write_markdown
from reports.record import Record, write_records
from reports.summary import RunInfo, Summary

RESULTS, PAGE, JUNIT, MARKDOWN = "results.jsonl", "report.html", "junit.xml", "summary.md"


class CannotWrite(OSError):
    """A report that cannot be written; the message is one line and names the path."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"cannot write the report to {path}: {why}")


def write_all(records: Iterable[Record], out: Path, run: RunInfo | None = None) -> Path:
    """Write results, page, JUnit and Markdown into `out`, made if need be; gives the page's path, raises CannotWrite.

    The results come first, because everything else can be made from them again.
    """
    summary = Summary.of(records)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_records(out / RESULTS, summary.records)
        (out / PAGE).write_text(render(summary, run=run), encoding="utf-8")
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
