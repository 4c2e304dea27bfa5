"""Cells for the scripts of a page: packed, and what the scripts have to know of them.

Belongs here: the index and the chunks, the metadata beside them. Does not belong here: markup, how a cell is drawn
(`static/*.js`).
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json
from zlib_ng import zlib_ng

from reports.again import first_time
from reports.defects import Defect, Sentences
from reports.outcome import Outcome, outcome_of, why
from reports.record import Finding, Record, StepResult, TraceEntry, in_pieces

_CHUNK_BYTES = 400_000
_AT_ONCE = 2
"""How many chunks are packed at the same time."""
_INDEX_FIELDS = (
    *("scenario", "title", "area", "client", "broker", "mqtt", "transport"),
    *("verdict", "reason", "cites", "seconds", "overhead_seconds"),
)
_of_index = attrgetter(*_INDEX_FIELDS)


def of_results(records: Iterable[Record], defects: Iterable[Defect], sentences: Sentences) -> dict[str, Any]:
    """What the scripts need to know of these results: the defects, and the sentences of what is cited."""
    return {"defects": [defect.headline for defect in defects], "sentences": _cited(records, sentences)}


def _cited(records: Iterable[Record], sentences: Sentences) -> dict[str, dict[str, str]]:
    """The sentences of all statements that records cite, by version and id."""
    found: dict[str, dict[str, str]] = {}
    for mqtt, cites in dict.fromkeys(
        (record.mqtt, cites)
        for record in records
        for cites in (record.cites, *(finding.cites for finding in record.findings))
    ):
        for cite in cites:
            if sentence := sentences.get((mqtt, cite)):
                found.setdefault(mqtt, {})[cite] = sentence
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
        packing: deque[Future[str]] = deque()
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # zlib works without the interpreter's lock
            by_name = sorted(ordered, key=lambda record: record.cell_id)
            for number, (chunk, lines) in enumerate(in_pieces(by_name, _CHUNK_BYTES)):
                places |= {id(record): (number, place) for place, record in enumerate(chunk)}
                packing.append(pool.submit(pack, (b"[", lines.replace(b"\n", b","), b"]")))
                if len(packing) > _AT_ONCE:  # never all of them, which is all that cells have to show
                    chunks.append(packing.popleft().result())
            index = pack(_index((record, shows.get(id(record)), places[id(record)]) for record in ordered))
            chunks += [each.result() for each in packing]
        return cls(index, chunks)


def _index(cells: Iterable[tuple[Record, int | None, tuple[int, int]]]) -> Iterator[bytes]:
    """The index, piece by piece, of cells with the defect that they show and their chunk and place in it."""
    before = b"["
    for record, defect, place in cells:
        yield before + to_json(_index_entry(record, defect, *place))
        before = b","
    yield b"]" if before == b"," else b"[]"


def _index_entry(record: Record, defect: int | None, chunk: int, place: int) -> dict[str, Any]:
    listed = None if record.unexpected_pass else record.known_failure
    entry = dict(zip(_INDEX_FIELDS, _of_index(record), strict=True))
    entry["reason"] = why(record)
    entry["first_time"] = first_time(record)
    entry["defect"] = defect
    entry["id"] = record.cell_id
    entry["outcome"] = outcome_of(record)
    entry["known"] = listed.reason if listed else None
    entry["chunk"], entry["place"] = chunk, place
    return entry


def pack(pieces: Iterable[bytes]) -> str:
    """UTF-8 as the scripts unpack it: base64 of deflate, at a level that takes a third more room and half the time."""
    squeezer = zlib_ng.compressobj(4)
    return base64.b64encode(b"".join([*map(squeezer.compress, pieces), squeezer.flush()])).decode()
