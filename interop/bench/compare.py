"""Cells against one broker, or two in turn.

Belongs here: the order of things, and what a broker needs so that nothing is lost.
Does not belong here: one measurement (`measure`), starting a broker (`targets`).
"""

from __future__ import annotations

from dataclasses import replace

from interop.bench.cell import Cell, Mode
from interop.bench.connects import measure_connections
from interop.bench.measure import measure
from interop.bench.result import Result
from interop.bench.table import Row
from interop.bench.targets import running

AUTOMATIC = -1
"""`outstanding` that lets the broker's own need decide."""

_OUTSTANDING = {"mosquitto": 50_000}
"""QoS 0 deliveries that may be under way to a broker that drops what a subscriber's socket does not take at once."""


def compare(cell: Cell, broker: str, against: str | None) -> Row:
    """Measure a cell with each broker; raises CommandError."""
    return Row(run(cell, broker), run(cell, against) if against else None)


def run(cell: Cell, broker: str) -> Result:
    """Measure a cell with a broker started for it; raises CommandError."""
    if cell.outstanding == AUTOMATIC:
        cell = replace(cell, outstanding=0 if cell.qos else _OUTSTANDING.get(broker, 0))
    with running(broker, cell.transport) as target:
        if cell.mode in {Mode.CONNECT, Mode.IDLE}:
            return measure_connections(cell, target)
        return measure(cell, target)
