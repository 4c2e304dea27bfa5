"""How reports write numbers, durations, and which cell something is about.

Belongs here: words that several pages share. Does not belong here: what is counted, sentences of one page.
"""

from __future__ import annotations

from urllib.parse import quote

from reports.record import Record


def place(record: Record) -> str:
    """`qos1/delivered  paho with reference, 5.0, tcp`: which cell it is, for a line of text."""
    return f"{record.scenario}  {record.client} with {record.broker}, {record.mqtt}, {record.transport}"


def cell_link(record: Record) -> str:
    """Where the page of a cell is, within the report page."""
    return f"#cell/{quote(record.cell_id, safe='/')}"


def not_run_sentence(count: int, stopped: str = "") -> str:
    """`5 cells did not run.`, with why the run was `stopped` if that is known; empty for none."""
    if not count:
        return ""
    return f"{cells(count)} did not run." + (f" The run was ended: {stopped}." if stopped else "")


def number(count: int) -> str:
    """`1,290`."""
    return f"{count:,}"


def cells(count: int) -> str:
    """`1 cell`, `1,290 cells`."""
    return f"{number(count)} {'cell' if count == 1 else 'cells'}"


def milliseconds(value: float) -> str:
    """`0.4 ms` below ten, `41 ms` above."""
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def duration(seconds: float) -> str:
    """`0.31 s`, `12.4 s`, `1 min 23 s`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
