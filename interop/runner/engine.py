"""Plays many cells at once in a thread of its own, so that those that wait overlap.

Belongs here: the worker's thread and loop, the order cells begin in, keeping each record the moment it is there.
Does not belong here: one cell's play (`play`), which cells (`cell`), pytest (`plugin`).
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import TextIO

from interop.brokers.registry import broker_spec
from interop.drivers.pool import DriverPool
from interop.runner.cell import Cell
from interop.runner.known_failures import KnownFailures
from interop.runner.loops import DEFAULT_LOOP, loop_factory
from interop.runner.pace import Slots
from interop.runner.play import Workshop, play
from reference_broker.net.tls import make_test_certificates
from reports.record import Record

CELLS_AT_WORK = 2
"""How many cells work at once in one worker; more would only make each of them look slow."""

LONG_CELLS_UNDER_WAY = 12
"""How many cells that wait long are under way in one worker, each with its adapters."""

DRIVERS_OF_A_KIND = 4 * (CELLS_AT_WORK + LONG_CELLS_UNDER_WAY)
"""More than the cells under way can want: they must never wait for one another's drivers."""

_STOP_SECONDS = 10.0


class Engine:
    """The cells of one worker; `begin` them all, then ask for each `record`. Raises LoopNotThere for the `loop`."""

    def __init__(
        self, known_failures: KnownFailures, brokers: Iterable[str], keep: Path, *, loop: str = DEFAULT_LOOP
    ) -> None:
        self._known_failures = known_failures
        self._brokers = {name: broker_spec(name) for name in brokers}
        self._keep = keep
        self._records: dict[str, Future[Record]] = {}
        self._loop_name = loop
        self._loop = loop_factory(loop)()
        self._stopping = asyncio.Event()
        self._kept: TextIO | None = None
        self._began = threading.Event()
        self._workshop: Workshop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="mqtt-interop-engine", daemon=True)
        self._thread.start()
        self._began.wait()

    def begin(self, cells: Iterable[Cell]) -> None:
        """Play these cells, those that wait longest first, so that the others fill the time."""
        for cell in sorted(cells, key=lambda each: -each.expected_wait_seconds):
            if cell.id not in self._records:
                self._records[cell.id] = Future()
                self._loop.call_soon_threadsafe(self._begin, cell)

    def record(self, cell: Cell) -> Record:
        """The cell's record, once it is there."""
        self.begin([cell])
        return self._records[cell.id].result()

    def stop(self) -> None:
        """End what is under way; records that are there are kept."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_SECONDS)

    # --- in the engine's own thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        with tempfile.TemporaryDirectory(prefix="mqtt-interop-") as folder, self._keep.open("a") as self._kept:
            self._workshop = Workshop(
                drivers=DriverPool(limit=DRIVERS_OF_A_KIND),
                brokers=self._brokers,
                known_failures=self._known_failures,
                certificates=lambda: make_test_certificates(Path(folder) / "certificates"),
                slots=Slots(CELLS_AT_WORK, LONG_CELLS_UNDER_WAY),
                loop=self._loop_name,
            )
            self._began.set()
            try:
                await self._stopping.wait()
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await self._workshop.drivers.close()
                for broker in self._brokers.values():
                    await broker.close()

    def _begin(self, cell: Cell) -> None:
        task = self._loop.create_task(self._play(cell))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, cell: Cell) -> None:
        assert self._workshop is not None
        waiting = self._records[cell.id]
        try:
            record = await play(cell, self._workshop)
        except asyncio.CancelledError:
            waiting.cancel()
            raise
        assert self._kept is not None
        self._kept.write(record.model_dump_json() + "\n")
        self._kept.flush()
        waiting.set_result(record)
