"""Cells against one broker, or several in turn, beside the generator's own ceiling.

Belongs here: the order of things, and what a broker needs so that nothing is lost.
Does not belong here: one measurement (`measure`), starting a broker (`targets`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from interop.bench.cell import Cell, Mode
from interop.bench.connects import measure_connections
from interop.bench.measure import Target, measure
from interop.bench.result import Result
from interop.bench.sink import can_copy, running_sink
from interop.bench.table import Row, figure
from interop.bench.targets import running, spec_of
from interop.brokers.registry import shown_name

AUTOMATIC = -1
"""`outstanding` that lets the broker's own need decide."""

CEILING_SECONDS = 1.0

_DROPS_WHEN_FLOODED = "mosquitto"
"""It drops QoS 0 messages that a subscriber's socket does not take at once, whether a program or a container."""

_OUTSTANDING = 50_000


def compare(cell: Cell, broker: str, others: Iterable[str], *, repeat: int = 1, with_ceiling: bool = True) -> Row:
    """Measure a cell with each broker, then the generator's ceiling; raises CommandError."""
    ours, *theirs = (run(cell, name, repeat=repeat) for name in (broker, *others))
    return Row(replace(ours, ceiling_per_second=ceiling(cell) if with_ceiling else None), tuple(theirs))


def run(cell: Cell, broker: str, *, repeat: int = 1) -> Result:
    """Measure a cell `repeat` times, each with a broker started for it; gives the median. Raises CommandError.

    A run that fell short stands for all.
    """
    if lacking := lacks(cell, broker):
        return Result(cell.name, shown_name(broker), "", lacks=lacking, offered_per_second=cell.rate)
    if cell.outstanding == AUTOMATIC:
        bound = _OUTSTANDING if _DROPS_WHEN_FLOODED in broker and not cell.qos else 0
        cell = replace(cell, outstanding=bound)
    results = []
    for _ in range(repeat):
        with running(broker, cell.transport, is_durable=cell.is_durable) as target:
            results.append(_measure(cell, target))
        if results[-1].fell_short:
            return results[-1]
    return sorted(results, key=figure)[len(results) // 2]


def lacks(cell: Cell, broker: str) -> str:
    """What a cell needs and the broker says it has not, in a line; empty where it has all. Raises CommandError."""
    spec = spec_of(broker)
    versions = {cell.version.label, (cell.subscriber_version or cell.version).label}
    if foreign := sorted(versions - set(spec.versions)):
        return f"does not speak MQTT {', '.join(foreign)}"
    if cell.transport not in spec.transports:
        return f"has no {cell.transport}"
    return f"has no QoS {cell.qos}" if f"qos{cell.qos}" in spec.unsupported else ""


def ceiling(cell: Cell) -> float | None:
    """Deliveries per second the generator reaches with a broker that only copies; None where that cannot be."""
    if cell.is_latency or not can_copy(cell):
        return None
    with running_sink() as target:
        result = measure(replace(cell, outstanding=0, seconds=min(cell.seconds, CEILING_SECONDS)), target)
    return None if result.failure else result.per_second


def _measure(cell: Cell, target: Target) -> Result:
    connecting = cell.mode in {Mode.CONNECT, Mode.IDLE}
    return measure_connections(cell, target) if connecting else measure(cell, target)
