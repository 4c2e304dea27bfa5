"""Cells for the scripts of a page: packed, and what the scripts have to know of them.

Belongs here: the index and the chunks, the metadata beside them. Does not belong here: markup, how a cell is drawn
(`static/*.js`).
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import BaseModel

from reports.again import first_time
from reports.defects import Defect, Sentences
from reports.record import Finding, Record, StepResult, TraceEntry
from reports.summary import Outcome, outcome_of, why

_CHUNK_BYTES = 400_000
_AT_ONCE = 8
"""How many chunks are packed at the same time."""
_INDEX_FIELDS = (
    *("scenario", "title", "area", "client", "broker", "mqtt", "transport"),
    *("verdict", "reason", "cites", "seconds", "overhead_seconds"),
)


def of_results(records: Iterable[Record], defects: Iterable[Defect], sentences: Sentences) -> dict[str, Any]:
    """What the scripts need to know of these results: the defects, and the sentences of what is cited."""
    return {"defects": [defect.headline for defect in defects], "sentences": _cited(records, sentences)}


def _cited(records: Iterable[Record], sentences: Sentences) -> dict[str, dict[str, str]]:
    """The sentences of all statements that records cite, by version and id."""
    found: dict[str, dict[str, str]] = {}
    for record in records:
        for cites in (record.cites, *(finding.cites for finding in record.findings)):
            for cite in cites:
                if sentence := sentences.get((record.mqtt, cite)):
                    found.setdefault(record.mqtt, {})[cite] = sentence
    return found


def what_scripts_know() -> dict[str, Any]:
    """Of any results: the outcomes, and the defaults of what results of an earlier version do not have."""
    models: dict[str, type[BaseModel]] = {
        "record": Record,
        "trace": TraceEntry,
        "steps": StepResult,
        "findings": Finding,
    }
    return {
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


@dataclass(frozen=True, slots=True)
class Packed:
    """All cells for the browser: an index of what lists show, and the full records in chunks."""

    index: str
    chunks: list[str]

    @classmethod
    def of(cls, ordered: Sequence[Record], defects: Iterable[Defect]) -> Packed:
        """`ordered` is the reading order; chunks hold neighbours by name."""
        shows = {id(record): defect.number for defect in defects for record in defect.records}
        places: dict[int, tuple[int, int]] = {}
        chunks: list[str] = []
        by_name = sorted(ordered, key=lambda record: record.cell_id)
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # zlib works without the interpreter's lock
            waiting = _chunked(by_name)
            while some := list(islice(waiting, _AT_ONCE)):  # never all of them, which is all that cells have to show
                for number_of_chunk, (chunk, _) in enumerate(some, start=len(chunks)):
                    places |= {id(record): (number_of_chunk, place) for place, record in enumerate(chunk)}
                chunks += pool.map(pack, (b"[%s]" % b",".join(lines) for _, lines in some))
        index = [_index_entry(record, shows.get(id(record)), *places[id(record)]) for record in ordered]
        return cls(pack(json.dumps(index, ensure_ascii=False).encode()), chunks)


def _chunked(records: Iterable[Record]) -> Iterator[tuple[list[Record], list[bytes]]]:
    chunk: list[Record] = []
    lines: list[bytes] = []
    size_bytes = 0
    for record in records:
        chunk.append(record)
        lines.append(record.line)
        size_bytes += len(lines[-1])
        if size_bytes > _CHUNK_BYTES:
            yield chunk, lines
            chunk, lines, size_bytes = [], [], 0
    if chunk:
        yield chunk, lines


def _index_entry(record: Record, defect: int | None, chunk: int, place: int) -> dict[str, Any]:
    entry = {name: getattr(record, name) for name in _INDEX_FIELDS}
    listed = None if record.unexpected_pass else record.known_failure
    known = listed.reason if listed else None
    entry |= {"reason": why(record), "first_time": first_time(record), "defect": defect}
    return entry | {"id": record.cell_id, "outcome": outcome_of(record), "known": known, "chunk": chunk, "place": place}


def pack(text: bytes) -> str:
    """UTF-8 as the scripts unpack it: base64 of deflate, at a level that takes a third more room and half the time."""
    return base64.b64encode(zlib.compress(text, 4)).decode()
