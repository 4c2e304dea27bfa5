"""The report page: one HTML file that holds everything and opens offline.

Belongs here: putting together the page from its template, its style, its scripts and the packed cells.
Does not belong here: counting (`summary`), or how a cell is drawn (`static/*.js`, run by the reader's browser).

What can be read without JavaScript (sentences, matrix, failures) is written as HTML here. The cells themselves are
packed in chunks (JSON, deflate, base64) that the browser unpacks one at a time, when a cell is opened; so thousands of
traces stay a file of a few megabytes that opens at once. Neighbours of one scenario share a chunk, because their
traces are alike and pack well together.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from pydantic import BaseModel

from reports.again import Again, first_time
from reports.coverage import StatementLine, by_side
from reports.defects import NO_SENTENCES, Defect, Sentences, find_defects, in_numbers
from reports.record import Finding, Record, StepResult, TraceEntry, Verdict
from reports.summary import (
    Column,
    Counts,
    Outcome,
    RunInfo,
    Summary,
    cell_link,
    cells,
    duration,
    milliseconds,
    number,
    outcome_of,
    why,
)

_SCRIPTS = ("dom", "data", "packet", "sequence", "pcapng", "timing", "cells", "case", "main")
_CHUNK_CHARACTERS = 400_000
_STATIC_ROWS = 400
"""how many failures are listed for a reader without JavaScript"""
_OPEN_UP_TO = 5
"""how many known defects, or warnings, are shown without being asked for"""
_INDEX_FIELDS = (
    *("scenario", "title", "area", "client", "broker", "mqtt", "transport"),
    *("verdict", "reason", "cites", "seconds", "overhead_seconds"),
)


Member = TypeVar("Member", Record, Defect)


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
    packed = _Packed.of(summary.records, defects)
    versions = {record.mqtt for record in summary.records if record.verdict is not Verdict.UNSUPPORTED}
    return (
        _environment()
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
            metadata=_json_in_html(_metadata(summary.records, defects, sentences)),
            index=Markup(packed.index),
            chunks=[Markup(chunk) for chunk in packed.chunks],
            style=Markup(_asset("static/report.css")),
            script=Markup("\n".join(_asset(f"static/{name}.js") for name in _SCRIPTS)),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(lambda name: _asset(f"templates/{name}")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "cells": cells,
        "duration": duration,
        "milliseconds": milliseconds,
        "outcome": outcome_of,
        "why": why,
        "cell_link": cell_link,
        "groupby_outcome": _by_outcome,
    }
    environment.globals["filter_link"] = filter_link
    return environment


def _asset(name: str) -> str:
    return resources.files("reports").joinpath(name).read_text(encoding="utf-8")


def filter_link(**wanted: str) -> str:
    """Where the list of cells is that have these values; without any, of all cells."""
    return f"#cells?{urlencode(wanted or {'verdict': 'all'})}"


@dataclass(frozen=True, slots=True)
class _Group(Generic[Member]):
    outcome: Outcome
    members: list[Member]


def _by_outcome(ordered: Iterable[Member]) -> list[_Group[Member]]:
    groups = groupby(ordered, key=lambda each: each.outcome if isinstance(each, Defect) else outcome_of(each))
    return [_Group(outcome, list(group)) for outcome, group in groups]


def _cited(records: Iterable[Record], sentences: Sentences) -> dict[str, dict[str, str]]:
    """The sentences of all statements that records cite, by version and id."""
    found: dict[str, dict[str, str]] = {}
    for record in records:
        for cites in (record.cites, *(finding.cites for finding in record.findings)):
            for cite in cites:
                if sentence := sentences.get((record.mqtt, cite)):
                    found.setdefault(record.mqtt, {})[cite] = sentence
    return found


def _metadata(records: Iterable[Record], defects: Iterable[Defect], sentences: Sentences) -> dict[str, Any]:
    """What the scripts need to know: what is cited, the outcomes, and the defaults that packed cells leave out."""
    models: dict[str, type[BaseModel]] = {
        "record": Record,
        "trace": TraceEntry,
        "steps": StepResult,
        "findings": Finding,
    }
    return {
        "defects": [defect.headline for defect in defects],
        "sentences": _cited(records, sentences),
        "outcomes": [
            {"id": outcome, "label": outcome.label, "meaning": outcome.meaning, "quiet": outcome.is_quiet}
            for outcome in Outcome
        ],
        "defaults": {
            name: {
                key: field.get_default(call_default_factory=True, validated_data={})
                for key, field in model.model_fields.items()
                if not field.is_required()
            }
            for name, model in models.items()
        },
    }


def _json_in_html(value: object) -> Markup:
    return Markup(json.dumps(value, ensure_ascii=False).replace("<", "\\u003c"))


@dataclass(frozen=True, slots=True)
class _Packed:
    """All cells for the browser: an index of what lists show, and the full records in chunks."""

    index: str
    chunks: list[str]

    @classmethod
    def of(cls, ordered: Sequence[Record], defects: Iterable[Defect]) -> _Packed:
        """`ordered` is the reading order; chunks hold neighbours by name."""
        shows = {id(record): defect.number for defect in defects for record in defect.records}
        places: dict[int, tuple[int, int]] = {}
        texts: list[str] = []
        for number_of_chunk, chunk in enumerate(_chunked(sorted(ordered, key=lambda record: record.cell_id))):
            texts.append(f"[{','.join(text for _, text in chunk)}]")
            places |= {id(record): (number_of_chunk, place) for place, (record, _) in enumerate(chunk)}
        index = [_index_entry(record, shows.get(id(record)), *places[id(record)]) for record in ordered]
        with ThreadPoolExecutor() as pool:  # zlib works without the interpreter's lock
            return cls(_pack(json.dumps(index, ensure_ascii=False)), list(pool.map(_pack, texts)))


def _chunked(records: Iterable[Record]) -> Iterator[list[tuple[Record, str]]]:
    chunk: list[tuple[Record, str]] = []
    size = 0
    for record in records:
        text = record.model_dump_json(exclude_defaults=True)
        chunk.append((record, text))
        size += len(text)
        if size > _CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _index_entry(record: Record, defect: int | None, chunk: int, place: int) -> dict[str, Any]:
    entry = {name: getattr(record, name) for name in _INDEX_FIELDS}
    listed = None if record.unexpected_pass else record.known_failure
    known = listed.reason if listed else None
    entry |= {"reason": why(record), "first_time": first_time(record), "defect": defect}
    return entry | {"id": record.cell_id, "outcome": outcome_of(record), "known": known, "chunk": chunk, "place": place}


def _pack(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 7)).decode()


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of the matrix: what it counts, in words, and where its cells are listed."""

    counts: Counts
    words: str
    link: str

    @property
    def worst(self) -> Outcome:
        """The outcome that colours it."""
        return self.counts.present()[0][0]

    @property
    def notes(self) -> list[tuple[Outcome, int]]:
        """What stands beside the passes."""
        return [(outcome, count) for outcome, count in self.counts.present() if outcome is not Outcome.PASS]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Areas by client, broker and version, with sums; a field without cells is none."""

    columns: tuple[Column, ...]
    groups: list[tuple[str, str, int]]
    """client, broker, number of versions"""
    names_brokers: bool
    """whether there is more than one broker, so that they must be named"""
    rows: list[tuple[str, list[Entry | None]]]

    @classmethod
    def of(cls, summary: Summary) -> Matrix:
        """The matrix with a last row and a last column that sum up."""
        pairs = [(column.client, column.broker) for column in summary.columns]
        groups = [(client, broker, pairs.count((client, broker))) for client, broker in dict.fromkeys(pairs)]
        wheres: list[dict[str, str]] = [column._asdict() for column in summary.columns]
        rows = [
            (area or "all", [_entry(summary, {**({"area": area} if area else {}), **where}) for where in [*wheres, {}]])
            for area in [*summary.areas, ""]
        ]
        return cls(summary.columns, groups, len({broker for _, broker in pairs}) > 1, rows)


def _entry(summary: Summary, where: dict[str, str]) -> Entry | None:
    counts = summary.counts_where(**where)
    if not counts.total:
        return None
    pair = f"{where['client']} with {where['broker']}, MQTT {where['mqtt']}" if "client" in where else "all clients"
    others = counts.besides_passes()
    words = f"{where.get('area', 'all areas')}, {pair}: {number(counts.passed)} {counts.of_applying} pass"
    return Entry(counts, f"{words}; {others}" if others else words, filter_link(**where))
