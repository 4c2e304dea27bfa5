"""The report page: one HTML file that holds everything and opens offline.

Belongs here: putting together the page from its template, its style, its scripts and the packed cells.
Does not belong here: counting (`summary`), or how a cell is drawn (`static/*.js`, run by the reader's browser).

What can be read without JavaScript (sentences, matrix, failures) is written as HTML here. The cells themselves are
packed in chunks (JSON, deflate, base64) that the browser unpacks one at a time, when a cell is opened; so thousands of
traces stay a file of a few megabytes that opens at once. Neighbours of one scenario share a chunk, because their
traces are alike and pack well together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from markupsafe import Markup

from reports.again import Again
from reports.coverage import StatementLine, by_side
from reports.defects import NO_SENTENCES, Sentences, find_defects, in_numbers
from reports.matrix import Matrix
from reports.packing import Packed, of_results, what_scripts_know
from reports.record import Record, Verdict
from reports.summary import Outcome, RunInfo, Summary
from reports.templating import asset, environment, json_in_html

CELL_SCRIPTS = ("dom", "data", "packet", "sequence", "pcapng", "timing", "cells", "case", "reader")
"""what shows cells, wherever they come from"""
_STATIC_ROWS = 400
"""how many failures are listed for a reader without JavaScript"""
_OPEN_UP_TO = 5
"""how many known defects, or warnings, are shown without being asked for"""


def write_html(records: Iterable[Record], path: Path, *, run: RunInfo | None = None) -> None:
    """Write the report page of `records`; raises OSError."""
    path.write_text(render(Summary.of(records, not_run=len(run.not_run) if run else 0), run=run), encoding="utf-8")


def render(
    summary: Summary,
    *,
    run: RunInfo | None = None,
    statements: Sequence[StatementLine] = (),
    sentences: Sentences = NO_SENTENCES,
) -> str:
    """The whole page; `statements` by version and side, in that order."""
    defects = find_defects(summary.records)
    packed = Packed.of(summary.records, defects)
    versions = {record.mqtt for record in summary.records if record.verdict is not Verdict.UNSUPPORTED}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            summary=summary,
            run=run,
            again=Again.of(summary.records),
            defects=defects,
            defects_in_numbers=in_numbers(defects),
            sentences=sentences,
            open_up_to=_OPEN_UP_TO,
            matrix=Matrix.of(summary),
            listed=summary.attention[:_STATIC_ROWS],
            unlisted=len(summary.attention[_STATIC_ROWS:]),
            outcomes=list(Outcome),
            sides=[side for side in by_side(statements) if side.mqtt in versions],
            metadata=json_in_html(what_scripts_know() | of_results(summary.records, defects, sentences)),
            index=Markup(packed.index),
            chunks=[Markup(chunk) for chunk in packed.chunks],
            style=Markup(asset("static/report.css")),
            script=Markup("\n".join(asset(f"static/{name}.js") for name in (*CELL_SCRIPTS, "main"))),
        )
    )
