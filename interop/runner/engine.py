"""Plays many cells at once in a thread of its own, so that those that wait overlap.

Belongs here: the worker's thread and loop, the order cells begin in, keeping each record the moment it is there, and
an answer to whoever waits for one, also when something goes wrong.
Does not belong here: one cell's play (`play`), which cells (`cell`), files (`parts`), pytest (`plugin`).
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path

from interop.brokers.broker import BrokerSpec
from interop.drivers.pool import DriverPool
from interop.drivers.registry import DriverStarter
from interop.runner.again import settled
from interop.runner.cell import Cell
from interop.runner.known_failures import KnownFailures
from interop.runner.loops import DEFAULT_LOOP, loop_factory
from interop.runner.pace import Slots
from interop.runner.parts import CannotKeep, Keeper
from interop.runner.play import Workshop, play_watched
from interop.runner.preflight import Absences, Absent
from interop.tap.network import LOOPBACK, Network
from reference_broker.net.tls import make_test_certificates
from reports.record import Record

CELLS_AT_WORK = 2
"""How many cells work at once in one worker; more would only make each of them look slow."""

LONG_CELLS_UNDER_WAY = 12
"""How many cells that wait long are under way in one worker, each with its adapters."""

FAR_CELLS_UNDER_WAY = 32
"""The most of them where a broker is far away and every cell waits."""

WAITING_CELLS_PER_SECOND = 170
"""How many cells of a broker one second away would keep half of a processor busy: they work 30 ms each, and wait for
some ten round trips."""

DRIVERS_OF_A_CELL = 4
"""More than the cells under way can want: they must never wait for one another's drivers."""

_STOP_SECONDS = 10.0


def cells_under_way(round_trip_seconds: float) -> int:
    """How many cells that wait long may be under way: with more the machine would be what they wait for."""
    return min(FAR_CELLS_UNDER_WAY, max(LONG_CELLS_UNDER_WAY, int(WAITING_CELLS_PER_SECOND * round_trip_seconds)))


class Engine:
    """The cells of one worker; `begin` them all, then ask for each `record`.

    `brokers` are those its cells name, `absent` the versions that are known not to be there, `drivers` starts the
    clients. Raises CannotKeep when nothing can be kept in the file `keep`, LoopNotThere for the `loop`.
    """

    def __init__(
        self,
        known_failures: KnownFailures,
        brokers: Mapping[str, BrokerSpec],
        keep: Path,
        *,
        loop: str = DEFAULT_LOOP,
        absent: Absent | None = None,
        network: Network = LOOPBACK,
        drivers: DriverStarter | None = None,
    ) -> None:
        self._absent = absent
        self._known_failures = known_failures
        self._brokers = dict(brokers)
        self._keeper = Keeper(keep)
        self._records: dict[str, Future[Record]] = {}
        self._loop_name = loop
        self._network = network
        self._drivers = drivers
        self._loop = loop_factory(loop)()
        self._stopping = asyncio.Event()
        self._failure: Exception | None = None
        self._began = threading.Event()
        self._workshop: Workshop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_doubt = 0  # cells that wait to be played again
        self._quiet = asyncio.Event()
        self._alone = asyncio.Lock()
        self._thread = threading.Thread(target=self._run, name="mqtt-interop-engine", daemon=True)
        self._thread.start()
        self._began.wait()

    def begin(self, cells: Iterable[Cell]) -> None:
        """Play these cells, those that wait longest first, so that the others fill the time."""
        for cell in sorted(cells, key=lambda each: -each.expected_wait_seconds):
            if cell.id not in self._records:
                self._records[cell.id] = Future()
                self._call(self._begin, cell)

    def record(self, cell: Cell) -> Record:
        """The cell's record, once it is there; it is not kept in memory for a second time.

        Raises CannotKeep when it, or one before it, could not be kept, and RunIsOver when no more cells are played.
        """
        if cell.id not in self._records:
            self.begin([cell])
        record = self._records[cell.id].result()
        del self._records[cell.id]
        return record

    def stop(self) -> None:
        """End what is under way; records that are there are kept."""
        self._call(self._stopping.set)
        self._thread.join(_STOP_SECONDS)

    def unkept(self) -> list[Record]:
        """Once it is stopped: the records that are there but not on disk."""
        return self._keeper.unkept()

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call something in the engine's own thread; where that has ended, nobody is left waiting."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed
            self._answer_all(self._failure or RuntimeError("the engine has ended"))

    # --- in the engine's own thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:  # no temporary folder, say: whoever waits has to know
            self._fail(error)
        finally:
            self._loop.close()
            self._answer_all(self._failure or RuntimeError("the engine has ended"))
            self._keeper.close()
            self._began.set()

    async def _serve(self) -> None:
        with tempfile.TemporaryDirectory(prefix="mqtt-interop-") as folder:
            farthest_seconds = max((broker.round_trip_seconds for broker in self._brokers.values()), default=0.0)
            long_under_way = cells_under_way(self._network.round_trip_seconds + farthest_seconds)
            self._workshop = Workshop(
                drivers=DriverPool(limit=DRIVERS_OF_A_CELL * (CELLS_AT_WORK + long_under_way), starter=self._drivers),
                brokers=self._brokers,
                known_failures=self._known_failures,
                certificates=lambda: make_test_certificates(Path(folder) / "certificates"),
                slots=Slots(CELLS_AT_WORK, long_under_way),
                loop=self._loop_name,
                absences=Absences(self._absent),
                network=self._network,
            )
            self._began.set()
            beats = asyncio.create_task(self._workshop.heartbeat.beat())
            try:
                await self._stopping.wait()
            finally:
                beats.cancel()
                self._cancel_all()
                await self._workshop.drivers.close()  # cells would first ask theirs, which may hang, to be reset
                await asyncio.gather(*self._tasks, return_exceptions=True)
                for broker in self._brokers.values():
                    await broker.close()

    def _begin(self, cell: Cell) -> None:
        if self._failure is not None:
            self._answer_all(self._failure)
            return
        task = self._loop.create_task(self._play(cell))
        self._tasks.add(task)
        task.add_done_callback(self._over)
        self._look_for_quiet()

    async def _play(self, cell: Cell) -> None:
        assert self._workshop is not None
        waiting = self._records[cell.id]
        try:
            record = await self._settled(cell, self._workshop)
            self._keeper.keep(record)
        except CannotKeep as problem:  # nor will others be kept: they need not be played
            self._fail(problem)
        except Exception as error:  # a bug of ours must cost one cell, not the run
            waiting.set_exception(error)
        except asyncio.CancelledError:
            waiting.cancel()
            raise
        else:
            if not waiting.done():  # else the end came while the cell was tidying up, and who waited was told
                waiting.set_result(record)
            if self._workshop.over is not None:
                self._fail(self._workshop.over)

    async def _settled(self, cell: Cell, workshop: Workshop) -> Record:
        """The record of a cell; one that is in doubt is played again when all others are over, alone."""
        played = await play_watched(cell, workshop, self._keeper.begin)
        if not played.is_in_doubt:
            return played.record
        self._in_doubt += 1
        self._look_for_quiet()
        async with self._alone:
            await self._quiet.wait()
            again = await play_watched(cell, workshop, self._keeper.begin)
        self._in_doubt -= 1
        return settled(played, again)

    def _look_for_quiet(self) -> None:
        """All that is under way is in doubt, or over."""
        if len(self._tasks) <= self._in_doubt:
            self._quiet.set()
        else:
            self._quiet.clear()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._look_for_quiet()

    def _fail(self, error: Exception) -> None:
        """End everything; who waits for a record, or will, gets `error`."""
        if self._failure is None:
            self._failure = error
            self._answer_all(error)
            self._cancel_all()

    def _answer_all(self, error: Exception) -> None:
        for waiting in list(self._records.values()):
            if not waiting.done():
                waiting.set_exception(error)

    def _cancel_all(self) -> None:
        for task in self._tasks:
            if task is not asyncio.current_task(self._loop):
                task.cancel()
