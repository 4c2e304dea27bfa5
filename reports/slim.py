"""Records without what takes room: verdicts and what was found, and of each defect the one smallest trace.

Belongs here: what is left out of records that are to be kept for years. Does not belong here: files (`record`).

Of a log, which is often all that a broker wrote since it began, the beginning is kept, where clients have their say,
and the end, which is about the cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from reports.defects import find_defects, is_bad, told
from reports.record import Record, TraceEntry

_LOG_BEGINS, _LOG_ENDS = 500, 1500
"""How many characters of a log are kept at most at either end."""
_ROOM_FOR_A_NOTE = 100
_OF_NO_USE_LATER = {"rerun": "", "about": "", "file": "", "lag_seconds": 0.0, "cpu_pressure": 0.0}

_DIGITS = {"seconds": 1, "waiting_seconds": 1, "overhead_seconds": 2}
"""How many decimals of what a cell took are kept: what is finer says more of that day's machine than of the cell."""


def slimmed(records: Iterable[Record]) -> Iterator[Record]:
    """The same cells in the same order; who reads them comes to the same counts, defects and statements.

    What is slim already stays as it is, but for what a defect that has become one with another has no more use of.
    """
    given = list(records)
    smallest = {defect.smallest.cell_id for defect in find_defects(given)}
    for record in given:
        shows = {"log": _ends(record.log)} if record.cell_id in smallest else {"steps": (), "log": "", **_gist(record)}
        times = {name: round(getattr(record, name), digits) for name, digits in _DIGITS.items()}
        when = _minute(record.started_at)
        yield record.model_copy(update={**_OF_NO_USE_LATER, **times, "started_at": when, **shows})


def _minute(moment: str) -> str:
    """Of an ISO 8601 time with seconds, which differ in each cell, the time without them; anything else as it is."""
    try:
        return datetime.fromisoformat(moment).replace(second=0, microsecond=0).isoformat()
    except ValueError:
        return moment


def _ends(log: str) -> str:
    left_out = len(log) - _LOG_BEGINS - _LOG_ENDS
    if left_out <= _ROOM_FOR_A_NOTE:
        return log
    return f"{log[:_LOG_BEGINS]}\n[{left_out} characters are not kept]\n{log[-_LOG_ENDS:]}"


def _gist(record: Record) -> dict[str, Any]:
    """What makes cells ones of the same defect: the links by name, and the entry that diverges, after a gap."""
    if not is_bad(record) or not record.trace:
        return {"trace": ()}
    if record.trace[0].kind == "gap":
        return {}
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
