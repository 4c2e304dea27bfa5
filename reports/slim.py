"""Records without what takes room: verdicts and what was found, and of each defect the one smallest trace.

Belongs here: what is left out of records that are to be kept for years. Does not belong here: files (`record`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from reports.defects import find_defects, is_bad, told
from reports.record import Record, TraceEntry

_OF_NO_USE_LATER = {"rerun": "", "about": "", "file": "", "lag_seconds": 0.0, "cpu_pressure": 0.0}


def slimmed(records: Iterable[Record]) -> Iterator[Record]:
    """The same cells in the same order; who reads them comes to the same counts, defects and statements."""
    given = list(records)
    smallest = {defect.smallest.cell_id for defect in find_defects(given)}
    for record in given:
        left_out = {} if record.cell_id in smallest else {"steps": (), "log": "", **_gist(record)}
        yield record.model_copy(update={**_OF_NO_USE_LATER, **left_out})


def _gist(record: Record) -> dict[str, Any]:
    """What makes cells ones of the same defect: the links by name, and the entry that diverges, after a gap."""
    if not is_bad(record) or not record.trace:
        return {"trace": ()}
    finding = told(record)
    kept = {entry.link: place for place, entry in reversed([*enumerate(record.trace)])}  # the first of each
    diverging = finding.trace_index if finding is not None else None
    places = sorted({*kept.values(), *([] if diverging is None else [diverging])} & {*range(len(record.trace))})
    gap = TraceEntry(
        at=0.0, link=record.trace[0].link, connection=1, kind="gap", sender="harness",
        summary=f"{len(record.trace) - len(places)} entries are not kept",
    )  # fmt: skip
    moved: dict[int | None, int] = {place: new for new, place in enumerate(places, start=1)}
    return {
        "trace": (gap, *(record.trace[place] for place in places)),
        "findings": tuple(
            each.model_copy(update={"trace_index": moved.get(each.trace_index)}) for each in record.findings
        ),
    }
