"""Cells against one broker, or two in turn.

Belongs here: the order of things, and what a broker needs so that nothing is lost.
Does not belong here: one measurement (`measure`), starting a broker (`targets`).
"""

from __future__ import annotations

from dataclasses import replace

from interop.bench.cell import Cell
from interop.bench.measure import measure
from interop.bench.result import Result
from interop.bench.table import Row
from interop.bench.targets import running

AUTOMATIC = -1
"""`outstanding` that lets the broker's own need decide."""

_OUTSTANDING = {"mosquitto": (50_000, 900)}
"""Deliveries that may be on their way to a broker that drops what it cannot pass on in time: at QoS 0, and above.

mosquitto drops at QoS 0 what the socket does not take, and above what exceeds max_queued_messages, 1,000."""


def compare(cell: Cell, broker: str, against: str | None) -> Row:
    """Measure a cell with each broker; raises CommandError."""
    return Row(run(cell, broker), run(cell, against) if against else None)


def run(cell: Cell, broker: str) -> Result:
    """Measure a cell with a broker started for it; raises CommandError."""
    if cell.outstanding == AUTOMATIC:
        at_most_once, above = _OUTSTANDING.get(broker, (0, 0))
        cell = replace(cell, outstanding=above if cell.qos else at_most_once)
    with running(broker, cell.transport) as target:
        return measure(cell, target)
