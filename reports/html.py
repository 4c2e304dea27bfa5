"""The report page: one HTML file that holds everything and opens offline.

Belongs here: putting together the page from its template, its style, its scripts and the packed cells.
Does not belong here: counting (`summary`), or how a cell is drawn (`static/*.js`, run by the reader's browser).

What can be read without JavaScript (sentences, matrix, failures) is written as HTML here. The cells themselves are
packed in chunks (JSON, deflate, base64) that the browser unpacks one at a time, when a cell is opened; so thousands of
traces stay a file of a few megabytes that opens at once. Neighbours of one scenario share a chunk, because their
traces are alike and pack well together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from reports.again import Again
from reports.coverage import StatementLine, by_side
from reports.defects import NO_SENTENCES, Defect, Sentences, find_defects, in_numbers
from reports.matrix import Matrix
from reports.outcome import Outcome
from reports.packing import Packed, of_results, what_scripts_know
from reports.record import Verdict
from reports.summary import RunInfo, Summary
from reports.templating import asset, environment, json_in_html

CELL_SCRIPTS = ("dom", "data", "packet", "sequence", "pcapng", "timing", "cells", "case", "reader")
"""what shows cells, wherever they come from"""
_TEMPLATES = ("report.html.j2", "icons.html.j2", "parts.html.j2", "statements.html.j2")
"""The page's first, and what it is made of."""
_STATIC_ROWS = 400
"""how many failures are listed for a reader without JavaScript"""
_OPEN_UP_TO = 5
"""how many known defects, or warnings, are shown without being asked for"""


def compile_templates() -> None:
    """Do now what takes longest of a small page, where there is time for it."""
    for name in _TEMPLATES:
        _templates().get_template(name)


@cache  # with it what is compiled
def _templates() -> Environment:
    return environment()


def write_html(
    summary: Summary,
    path: Path,
    *,
    run: RunInfo | None = None,
    statements: Sequence[StatementLine] = (),
    sentences: Sentences = NO_SENTENCES,
    defects: Sequence[Defect] | None = None,
) -> None:
    """Write the report page; raises OSError."""
    page = _pieces(summary, run, statements, sentences, find_defects(summary.records) if defects is None else defects)
    with path.open("w", encoding="utf-8") as out:
        out.writelines(page)


def render(
    summary: Summary,
    *,
    run: RunInfo | None = None,
    statements: Sequence[StatementLine] = (),
    sentences: Sentences = NO_SENTENCES,
) -> str:
    """The whole page; `statements` by version and side, in that order."""
    return "".join(_pieces(summary, run, statements, sentences, find_defects(summary.records)))


def _pieces(
    summary: Summary,
    run: RunInfo | None,
    statements: Sequence[StatementLine],
    sentences: Sentences,
    defects: Sequence[Defect],
) -> Iterator[str]:
    packed = Packed.of(summary.records, defects)
    versions = {record.mqtt for record in summary.records if record.verdict is not Verdict.UNSUPPORTED}
    attention = summary.attention
    return (
        _templates()
        .get_template(_TEMPLATES[0])
        .generate(
            summary=summary,
            run=run,
            again=Again.of(summary.records),
            defects=defects,
            defects_in_numbers=in_numbers(defects),
            sentences=sentences,
            open_up_to=_OPEN_UP_TO,
            matrix=Matrix.of(summary),
            listed=attention[:_STATIC_ROWS],
            unlisted=len(attention[_STATIC_ROWS:]),
            outcomes=list(Outcome),
            sides=[side for side in by_side(statements) if side.mqtt in versions],
            metadata=json_in_html(what_scripts_know() | of_results(summary.records, defects, sentences)),
            index=Markup(packed.index),
            chunks=map(Markup, packed.chunks),
            style=Markup(asset("static/report.css")),
            script=Markup("\n".join(asset(f"static/{name}.js") for name in (*CELL_SCRIPTS, "main"))),
        )
    )
