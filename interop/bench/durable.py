"""What it costs that nothing is answered before it is kept: `mqtt-interop bench --suite durable`.

The same cell is measured in turn at a broker that keeps nothing and at one with a store, with sessions that outlive
their connections at both ends, so that what else the machine does meets both.

Belongs here: which cells, a bystander beside them, and what the disk alone takes.
Does not belong here: measuring a cell (`measure`), the command line (`command`).
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from interop.bench.cell import Cell
from interop.bench.inbox import BadStream
from interop.bench.measure import Target, measure
from interop.bench.peer import Handshake
from interop.bench.result import percentile
from interop.bench.table import in_words
from interop.bench.targets import running
from interop.exit_codes import CommandError
from reference_broker.wire.packets import Publish
from reference_broker.wire.types import QoS, Version

_CELLS = (
    (Cell(qos=QoS.AT_LEAST_ONCE, window=100), 0.2, 0.0),
    (Cell(qos=QoS.AT_LEAST_ONCE, window=1_000), 0.0, 300_000.0),
    (Cell(qos=QoS.EXACTLY_ONCE, window=100), 0.0, 0.0),
)
"""What is measured, and at least which part of the rate without a store, and which rate, it must have."""
_BYSTANDER_MILLISECONDS = 20.0
_ROUND_TRIPS_EVERY_SECONDS = 0.004  # apart, so that each meets the disk at another moment
_SYNC_BYTES = 8 * 1024
_SYNCS = 500


@dataclass(frozen=True, slots=True)
class Cost:
    """One figure without a store and with one; `bound` says what it must be, in words, and `holds` whether it is."""

    what: str
    unit: str
    in_memory: float
    kept: float
    bound: str = ""
    holds: bool = True


def measure_durable(broker: str, seconds: float, rounds: int, tell: Callable[[Cost], None]) -> list[Cost]:
    """Measure everything, and `tell` each figure at once; raises CommandError."""
    costs = []
    with ExitStack() as stack:
        memory = stack.enter_context(running(broker))
        store = stack.enter_context(running(broker, is_durable=True))
        try:
            for cost in _costs(memory, store, seconds, rounds):
                tell(cost)
                costs.append(cost)
        except BadStream as problem:
            raise CommandError(str(problem)) from None
    return costs


def _costs(memory: Target, store: Target, seconds: float, rounds: int) -> Iterator[Cost]:
    yield Cost(f"fdatasync of {_SYNC_BYTES // 1024} KiB, median", "us", 0.0, _microseconds_to_sync())
    for cell, part, rate in _CELLS:
        kept_cell = Cell(qos=cell.qos, window=cell.window, seconds=seconds, is_durable=True)
        rates, trips = [], []
        for _ in range(rounds):
            (plain, plain_trip), (kept, kept_trip) = (_beside(kept_cell, target) for target in (memory, store))
            rates.append((plain, kept))
            trips.append((plain_trip, kept_trip))
        in_memory, kept = (median(each) for each in zip(*rates, strict=True))
        name = f"QoS {cell.qos}, window {cell.window:,}"
        bound = f"at least {part:g} of it" if part else f"at least {rate:,.0f}" if rate else ""
        yield Cost(f"{name}, 1 to 1", "deliveries/s", in_memory, kept, bound, kept >= max(part * in_memory, rate))
        in_memory, kept = (median(each) for each in zip(*trips, strict=True))
        bound = f"below {_BYSTANDER_MILLISECONDS:g} ms"
        yield Cost(f"a bystander's QoS 1 round trip beside it, p99 ({name})", "ms", in_memory, kept, bound,
                   kept < _BYSTANDER_MILLISECONDS)  # fmt: skip


def _beside(cell: Cell, target: Target) -> tuple[float, float]:
    """Deliveries per second, and the p99 (ms) of somebody else's QoS 1 round trip to itself meanwhile."""
    is_over = threading.Event()
    took: list[int] = []
    with ExitStack() as stack:
        bystander = Handshake(target.address, Version.V311)
        stack.callback(bystander.carrier.close)
        bystander.connect("bystander", is_kept=True)
        thread = threading.Thread(target=_trips, args=(bystander, is_over, took), daemon=True)
        thread.start()
        try:
            result = measure(cell, target)
        finally:
            is_over.set()
            thread.join()
    if result.fell_short:
        raise CommandError(f"{target.name}: {result.flaws}")
    if not took:
        raise CommandError(f"{target.name} answered a bystander nothing")
    return result.per_second, percentile(sorted(took), 99) / 1e6


def _trips(client: Handshake, is_over: threading.Event, took: list[int]) -> None:
    packet_id = 0
    while not is_over.wait(_ROUND_TRIPS_EVERY_SECONDS):
        packet_id = packet_id % 60_000 + 1
        began = time.monotonic_ns()
        client.ask(Publish("bystander/kept", bytes(16), QoS.AT_LEAST_ONCE, True, packet_id=packet_id))
        took.append(time.monotonic_ns() - began)


def _microseconds_to_sync() -> float:
    """What the disk takes for one short write that is there to stay."""
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(_SYNCS):
            began = time.monotonic_ns()
            os.write(file.fileno(), bytes(_SYNC_BYTES))
            os.fdatasync(file.fileno())
            took.append(time.monotonic_ns() - began)
    return median(took) / 1e3


def durable_table(costs: list[Cost]) -> list[list[str]]:
    """Cells of the table with its head."""
    return [["what", "unit", "in memory", "with a store", "store / memory", "must"], *map(_cells, costs)]


def _cells(cost: Cost) -> list[str]:
    ratio = f"{cost.kept / cost.in_memory:.2f}" if cost.in_memory else "-"
    bound = cost.bound if cost.holds else f"**{cost.bound}**"
    return [cost.what, cost.unit, in_words(cost.in_memory), in_words(cost.kept), ratio, bound]
