"""All reports of a run into one folder.

Belongs here: the names of the files and what happens when they cannot be written.
Does not belong here: what stands in them, who may write there (`claim`).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path

from reports.badge import write_badge, write_shields
from reports.coverage import StatementLine, write_coverage
from reports.defects import NO_SENTENCES, Sentences, find_defects
from reports.markdown import write_markdown
from reports.record import Record, write_records
from reports.run_file import write_run
from reports.summary import RunInfo, Summary

RESULTS, RUN, COVERAGE, PAGE = "results.jsonl", "run.json", "coverage.json", "report.html"
JUNIT, CTRF, MARKDOWN, SHIELDS, BADGE = "junit.xml", "ctrf.json", "summary.md", "badge.json", "badge.svg"


class CannotWrite(OSError):
    """A report that cannot be written; the message is one line and names the path.

    `results`: the file that has the results all the same, if there is one.
    """

    def __init__(self, path: Path, why: str, what_then: str = "", results: Path | None = None) -> None:
        super().__init__(f"cannot write the report to {path}: {why}{f'; {what_then}' if what_then else ''}")
        self.results = results


def write_all(
    records: Iterable[Record],
    out: Path,
    run: RunInfo | None = None,
    statements: Sequence[StatementLine] = (),
    sentences: Sentences = NO_SENTENCES,
) -> Path:
    """Write results, coverage, page, JUnit, CTRF, Markdown, badges into `out`, made if need be; gives the page's path.

    `statements` is the evidence that is in `records`; without any there is no coverage to write. `sentences` is what
    the statements say that records cite. Raises CannotWrite, once it has written what can be: each file is whole, or
    what it was before. Results that have no room in `out` are kept elsewhere, and the message says where: everything
    else can be made from them again.
    """
    from reports.ctrf import write_ctrf  # noqa: PLC0415
    from reports.html import write_html  # noqa: PLC0415  # templates are of no use where nothing is written
    from reports.junit import write_junit  # noqa: PLC0415

    summary = Summary.of(records, not_run=len(run.not_run) if run else 0)

    defects = cache(lambda: find_defects(summary.records))  # not before the results are written, whatever they show
    writers: dict[str, Callable[[Path], object]] = {
        RESULTS: lambda path: write_records(path, summary.records),
        **({RUN: partial(write_run, run)} if run else {}),
        **({COVERAGE: partial(write_coverage, statements)} if statements else {}),
        PAGE: lambda path: write_html(
            summary, path, run=run, statements=statements, sentences=sentences, defects=defects()
        ),
        JUNIT: lambda path: write_junit(summary.records, path, run=run),
        CTRF: lambda path: write_ctrf(summary.records, path, run=run),
        MARKDOWN: lambda path: write_markdown(summary, path, run=run, sentences=sentences, defects=defects()),
        SHIELDS: partial(write_shields, summary),
        BADGE: partial(write_badge, summary),
    }
    failed: dict[str, str] = {}
    for name, write in writers.items():
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_whole(out / name, write)
        except OSError as error:
            failed[name] = error.strerror or str(error)
    if failed:
        results = out / RESULTS if RESULTS not in failed else _rescued(summary.records)
        then = "the results could not be kept elsewhere either" if summary.records else ""
        if results is not None:
            then = f"the results are in {results}: make room, then `mqtt-interop report {results} --out {out}`"
        only = "" if RESULTS in failed else f" ({', '.join(failed)})"
        raise CannotWrite(out, next(iter(failed.values())) + only, then, results)
    return out / PAGE


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written beside its place and put there when it is whole; raises OSError and leaves nothing then.

    What is no ordinary file (`/dev/stdout`) is written to as it is.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        write(path)
        return
    beside = path.with_name(f".{path.name}.new")
    try:
        write(beside)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def _rescued(records: Sequence[Record]) -> Path | None:
    """Keep the results where there is room, if there is; gives the file."""
    if not records:
        return None
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="mqtt-interop-results-", suffix=".jsonl")
        os.close(handle)
        try:
            write_records(Path(name), records)
        except OSError:
            Path(name).unlink()
        else:
            return Path(name)
    return None


def check_writable(out: Path) -> None:
    """Find out before a run whether `out` can be written to; raises CannotWrite, leaves only the folder behind."""
    probe = out / ".writable"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotWrite(out, error.strerror or str(error)) from error
