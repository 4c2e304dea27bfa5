"""The folder of the site.

Belongs here: which files there are and what happens to those of an earlier time.
Does not belong here: what stands in them (`pages`, `data`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reports.coverage import StatementLine
from reports.defects import NO_SENTENCES, Sentences
from reports.html import CELL_SCRIPTS
from reports.record import Record
from reports.site import data
from reports.site.pages import Pages
from reports.site.plays import Plays
from reports.templating import asset

_OWN_FOLDERS = ("assets", "brokers", "clients", "data", "statements")
_SCRIPTS = ("load", "matrix", "statements", "search", "compare", "play", "yours", "site")


def write_site(
    runs: Iterable[tuple[str, Iterable[Record]]],
    out: Path,
    statements: Sequence[StatementLine] = (),
    sentences: Sentences = NO_SENTENCES,
) -> Path:
    """Write the site of runs, each with its name, into `out`; gives the first page's path. Raises OSError.

    The folders of an earlier site there are removed first, because its pages would stay; other files are not touched.
    """
    plays = Plays.of(runs)
    pages = Pages.of(plays, statements, sentences)
    for folder in _OWN_FOLDERS:
        shutil.rmtree(out / folder, ignore_errors=True)
    for path, text in _files(plays, pages, sentences):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text, encoding="utf-8")
    return out / "index.html"


def _files(plays: Plays, pages: Pages, sentences: Sentences) -> Iterator[tuple[str, str]]:
    yield "assets/site.css", asset("static/report.css") + asset("static/site.css", "reports.site")
    yield "assets/site.js", _script()
    yield from pages.all()
    for name, text in (*data.common(plays), data.search(pages.entries_to_search())):
        yield f"data/{name}.js", text
    for play in plays.all:
        for name, text in data.of_play(play, sentences):
            yield f"data/{name}.js", text


def _script() -> str:
    """All scripts as one: a page that was opened from a disk may load no modules."""
    shared = (asset(f"static/{name}.js") for name in CELL_SCRIPTS)
    own = (asset(f"static/{name}.js", "reports.site") for name in _SCRIPTS)
    return '(() => {\n"use strict";\n' + "\n".join((*shared, *own)) + "\n})();\n"
