"""Plays trials over several processes, those that wait side by side.

Belongs here: one process's share, what can be spared, who else would have been red.
Does not belong here: which trials (`plan`), how a cell is played (`interop.runner`), what a mutant does (`wrong_ends`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import multiprocessing
import signal
import tempfile
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from interop.brokers.broker import BrokerSpec
from interop.brokers.reference import ReferenceSpec
from interop.drivers.driver import Driver
from interop.drivers.in_process import InProcessDriver
from interop.drivers.pool import DriverPool
from interop.drivers.registry import DriverStarter
from interop.lifeline import end_with_parent
from interop.mutants.mutant import take_crashes
from interop.mutants.registry import MUTANTS
from interop.mutants.trial import Kill, Trial, kill_of
from interop.mutants.wrong_ends import WrongBrokerSpec, wrong_adapter
from interop.runner.cell import Cell
from interop.runner.known_failures import KnownFailures
from interop.runner.pace import Slots
from interop.runner.play import Workshop, play
from interop.runner.verdict import REFERENCE_BROKER, REFERENCE_CLIENT
from interop.scenario.load import LoadedScenario, load_named
from interop.scenario.values import Level, MqttLabel
from interop.tap.network import LOOPBACK, Network
from reference_broker.net.tls import make_test_certificates

_UNDER_WAY = 192
"""Cells of one process under way at once; most of them wait."""

_AT_WORK = 16

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_LOOKS = 2
"""How often the right pair is played before it is called red: once may be the crowd."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What needs no more proof: a trial is spared when both its mutant and its scenario are settled."""

    mutants: frozenset[str] = frozenset()
    scenarios: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Played:
    """What was seen: the trials that turned red, and how many cells were played.

    `left_out` counts trials that came too late, `red_anyway` names cells that are red for the right pair too, though
    nothing there is left open; `crashes` the mutants that fell over instead of being wrong. `interrupted`: a signal
    came, and what was under way or not begun then is left out.
    """

    kills: tuple[Kill, ...] = ()
    cells: int = 0
    left_out: int = 0
    red_anyway: tuple[str, ...] = ()
    crashes: tuple[str, ...] = ()
    interrupted: bool = False

    def __add__(self, other: Played) -> Played:
        """Both together."""
        return Played(
            self.kills + other.kills,
            self.cells + other.cells,
            self.left_out + other.left_out,
            tuple(sorted({*self.red_anyway, *other.red_anyway})),
            tuple(sorted({*self.crashes, *other.crashes})),
            self.interrupted or other.interrupted,
        )


def play_trials(
    trials: Iterable[Trial],
    *,
    processes: int,
    settled: Settled | None = None,
    until: float = math.inf,
    network: Network = LOOPBACK,
) -> Played:
    """Play trials, spread over processes by scenario; after `until` (monotonic clock) none is begun any more.

    All of them are played behind `network`. With `settled`, which grows by what turns red, a trial that would tell
    nothing new is spared; without it none is.
    SIGINT or SIGTERM ends it with what was seen so far.
    """
    shares: list[list[Trial]] = [[] for _ in range(processes)]
    for trial in trials:
        shares[zlib.crc32(trial.scenario.encode()) % processes].append(trial)
    jobs = [(share, settled, until, network) for share in shares if share]
    if len(jobs) < 2:
        return _share(jobs[0]) if jobs else Played()
    with ProcessPoolExecutor(len(jobs), multiprocessing.get_context("spawn"), _begin_process) as pool:
        results = [pool.submit(_share, job) for job in jobs]
        try:
            wait(results)
        except KeyboardInterrupt:  # a terminal told them too, who told only us did not
            for process in multiprocessing.active_children():
                process.terminate()
            with suppress(BrokenProcessPool):  # one was only about to begin
                return sum((result.result() for result in results), Played())
            return Played(interrupted=True)
        return sum((result.result() for result in results), Played())


_told_early = threading.Event()
"""Set when a signal came before there was anything to be cancelled."""


def _begin_process() -> None:
    """Have a process that plays nothing yet, or nothing any more, only note that it was told to end."""
    end_with_parent()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: _told_early.set())


@contextmanager
def _cancelled_by_signals(work: asyncio.Future[None]) -> Iterator[asyncio.Event]:
    """Let the first SIGINT or SIGTERM cancel `work`; gives what says whether one came."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def cancel(_number: int, _frame: object) -> None:
        if not told.is_set():
            told.set()
            loop.call_soon_threadsafe(work.cancel)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in _SIGNALS:
            signal.signal(number, cancel)
        if _told_early.is_set():
            cancel(0, None)
    except ValueError:  # not the main thread: whoever started us there sees to signals
        yield told
        return
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _share(job: tuple[Sequence[Trial], Settled | None, float, Network]) -> Played:
    logging.getLogger("reference_broker").addHandler(logging.NullHandler())  # what mutants provoke is no news
    return asyncio.run(_Run(*job).play())


class _Run:
    """One process's share; `play` it once."""

    def __init__(self, trials: Sequence[Trial], settled: Settled | None, until: float, network: Network) -> None:
        self._network = network
        self._loaded = load_named(trial.scenario for trial in trials)
        self._mutants = {trial.mutant: MUTANTS[trial.mutant] for trial in trials}
        self._queue: Iterator[Trial] = iter([each for each in trials if not self._is_slow(each)])
        self._slow_ones: Iterator[Trial] = iter([each for each in trials if self._is_slow(each)])
        self._until = until
        self._settled = None if settled is None else (set(settled.mutants), set(settled.scenarios))
        self._kills: list[Kill] = []
        self._cells = 0
        self._left_out = 0
        self._right_pair: dict[tuple[str, MqttLabel], asyncio.Task[bool]] = {}

    async def play(self) -> Played:
        """Play it all, or what can be begun in time, and give what was seen."""
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # `take_crashes` has them
        brokers: dict[str, BrokerSpec] = {REFERENCE_BROKER: ReferenceSpec()}
        brokers |= {name: WrongBrokerSpec(each) for name, each in self._mutants.items() if each.side == "broker"}
        with tempfile.TemporaryDirectory(prefix="mqtt-interop-") as folder:
            workshop = Workshop(
                drivers=DriverPool(limit=4 * _UNDER_WAY, start=self._start_driver),
                brokers=brokers,
                known_failures=KnownFailures(()),
                certificates=lambda: make_test_certificates(Path(folder) / "certificates"),
                slots=Slots(_AT_WORK, _UNDER_WAY),
                network=self._network,
            )
            at_work = asyncio.ensure_future(self._work_through(workshop))
            try:
                with _cancelled_by_signals(at_work) as told:
                    await asyncio.wait({at_work})
            finally:
                await workshop.drivers.close()
                for broker in brokers.values():
                    await broker.close()
        if not told.is_set():
            at_work.result()  # raises what went wrong
        left_out = self._left_out + sum(1 for _ in chain(self._queue, self._slow_ones))
        checks = ((key, check) for key, check in self._right_pair.items() if check.done() and not check.cancelled())
        red_anyway = tuple(" ".join(key) for key, check in checks if self._is_wrong(key, check))
        return Played(tuple(self._kills), self._cells, left_out, red_anyway, take_crashes(), told.is_set())

    async def _start_driver(self, name: str) -> Driver:
        mutant = self._mutants.get(name)
        if mutant is None:
            return await DriverStarter().start(name)
        return await InProcessDriver.start(name, wrong_adapter(mutant))

    async def _work_through(self, workshop: Workshop) -> None:
        """Many at once; then what is slow one after another, so that what one settles spares the next."""
        await asyncio.gather(*(self._work(self._queue, workshop) for _ in range(_UNDER_WAY)))
        await self._work(self._slow_ones, workshop)

    async def _work(self, trials: Iterator[Trial], workshop: Workshop) -> None:
        for trial in trials:
            if self._is_spared(trial):
                continue
            if time.monotonic() > self._until:
                self._left_out += 1
                continue
            self._cells += 1
            cell = trial.cell(self._scenario(trial), self._mutants[trial.mutant].side)
            record = await play(cell, workshop)
            if not record.findings and cell.clause.level is not Level.MAY:
                continue  # as right as can be
            kill = kill_of(trial, record, right_is_red=await self._is_right_pair_red(cell, workshop))
            if kill is not None:
                self._kills.append(kill)
                if self._settled is not None:
                    self._settled[0].add(trial.mutant)
                    if kill.by_step:
                        self._settled[1].add(trial.scenario)

    def _is_wrong(self, key: tuple[str, MqttLabel], check: asyncio.Task[bool]) -> bool:
        scenario, mqtt = key
        return check.result() and self._loaded[scenario].scenario.versions[mqtt].level is not Level.MAY

    def _is_spared(self, trial: Trial) -> bool:
        return self._settled is not None and trial.mutant in self._settled[0] and trial.scenario in self._settled[1]

    def _scenario(self, trial: Trial) -> LoadedScenario:
        return self._loaded[trial.scenario]

    def _is_slow(self, trial: Trial) -> bool:
        return self._scenario(trial).scenario.slow

    async def _is_right_pair_red(self, cell: Cell, workshop: Workshop) -> bool:
        """Whether the right pair fares no better: then it is not the mutant that was caught."""
        key = (cell.loaded.name, cell.mqtt)
        if key not in self._right_pair:
            self._right_pair[key] = asyncio.create_task(self._play_right_pair(cell, workshop))
        return await self._right_pair[key]

    async def _play_right_pair(self, cell: Cell, workshop: Workshop) -> bool:
        self._cells += 1
        right = replace(cell, client=REFERENCE_CLIENT, broker=REFERENCE_BROKER)
        for _ in range(_LOOKS):
            if not (await play(right, workshop)).findings:
                return False
        return True
