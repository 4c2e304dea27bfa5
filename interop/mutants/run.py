"""Plays scenarios against mutants: which cells, in which order, over several processes.

Belongs here: the choice of cells, one process's share, what a cell showed.
Does not belong here: how a cell is played (`interop.runner`), what a mutant does (`wrong_ends`), the table (`table`).
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

from interop.brokers.broker import BrokerSpec
from interop.brokers.reference import ReferenceSpec
from interop.drivers.driver import Driver
from interop.drivers.in_process import InProcessDriver
from interop.drivers.pool import DriverPool
from interop.drivers.registry import DriverStarter
from interop.mutants.mutant import Mutant, take_crashes
from interop.mutants.tables import MUTANTS
from interop.mutants.wrong_ends import WrongBrokerSpec, wrong_adapter
from interop.runner.cell import Cell
from interop.runner.known_failures import KnownFailures
from interop.runner.pace import Slots
from interop.runner.play import Workshop, play
from interop.runner.verdict import REFERENCE_BROKER, REFERENCE_CLIENT
from interop.scenario.load import LoadedScenario, load_scenarios
from reference_broker.net.tls import make_test_certificates
from reports.record import Record, Verdict

_FRUITLESS_CELLS = 40
"""A mutant that is caught is left alone after so many cells in which it broke nothing new."""

_UNDER_WAY = 96
"""Cells of one process under way at once; most of them wait."""

_AT_WORK = 16
_WAITING_LONG = _UNDER_WAY

_SAYS_NOTHING = frozenset({Verdict.UNSUPPORTED, Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR})


@dataclass(frozen=True, slots=True)
class Kill:
    """A cell that a mutant turned red: the scenario's name, and the judge's rules its side broke."""

    mutant: str
    scenario: str
    mqtt: str
    steps: tuple[str, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """What was seen: the cells that turned red, and how many were played.

    `left_out` counts those that came too late, `red_anyway` names those red for the right pair too, `crashes` the
    mutants that fell over instead of being wrong.
    """

    kills: tuple[Kill, ...]
    cells: int
    left_out: int
    red_anyway: tuple[str, ...]
    crashes: tuple[str, ...]


def cells_against(mutant: Mutant, scenarios: Iterable[LoadedScenario], *, everything: bool) -> list[Cell]:
    """The cells a mutant is put to: those of its subjects, in each version, over one transport.

    By turns from each area, in an order of each mutant's own, and first in the newest version: so all mutants together
    come soon to every scenario, and each soon to one that catches it.
    """
    client = mutant.name if mutant.side == "client" else REFERENCE_CLIENT
    broker = mutant.name if mutant.side == "broker" else REFERENCE_BROKER
    by_area: dict[str, list[LoadedScenario]] = {}
    for loaded in sorted(scenarios, key=lambda each: zlib.crc32(f"{mutant.name} {each.name}".encode())):
        if everything or mutant.concerns(loaded.name):
            by_area.setdefault(loaded.area, []).append(loaded)
    ordered = [each for group in zip_longest(*by_area.values()) for each in group if each is not None]
    versions = [list(reversed(each.scenario.versions)) for each in ordered]
    return [
        Cell(loaded, client, broker, its_versions[turn], loaded.scenario.transports[0])
        for turn in range(max(map(len, versions), default=0))
        for loaded, its_versions in zip(ordered, versions, strict=True)
        if turn < len(its_versions)
    ]


def play_mutants(
    mutants: Sequence[Mutant],
    scenarios: Sequence[LoadedScenario],
    *,
    processes: int,
    everything: bool,
    limit_seconds: float | None = None,
) -> Played:
    """Play all, spread over processes; after `limit_seconds` no cell is begun any more.

    Unless `everything`, a cell is left out when its mutant is caught already and it would hardly tell more.
    """
    names = tuple(loaded.name for loaded in scenarios)
    shares = [tuple(mutant.name for mutant in mutants[number::processes]) for number in range(processes)]
    jobs = [(share, names, everything, limit_seconds) for share in shares]
    if processes == 1:
        return _share(jobs[0])
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(_share, jobs))
    return Played(
        tuple(kill for part in parts for kill in part.kills),
        sum(part.cells for part in parts),
        sum(part.left_out for part in parts),
        tuple(sorted({cell for part in parts for cell in part.red_anyway})),
        tuple(crash for part in parts for crash in part.crashes),
    )


# --- one process ------------------------------------------------------------------------------------------------------


def _share(job: tuple[tuple[str, ...], tuple[str, ...], bool, float | None]) -> Played:
    mutants, scenarios, everything, limit_seconds = job
    wanted = set(scenarios)
    loaded = [each for each in load_scenarios(None) if each.name in wanted]
    run = Run([MUTANTS[name] for name in mutants], loaded, everything=everything)
    return asyncio.run(run.play(limit_seconds))


class Run:
    """One process's share; `play` it once."""

    def __init__(self, mutants: Sequence[Mutant], scenarios: Sequence[LoadedScenario], *, everything: bool) -> None:
        self._everything = everything
        self._mutants = {mutant.name: mutant for mutant in mutants}
        self._kills: list[Kill] = []
        self._caught: set[str] = set()
        self._broken: set[str] = set()
        self._cells = 0
        self._right_pair: dict[tuple[str, str], asyncio.Task[bool]] = {}
        by_mutant = [cells_against(mutant, scenarios, everything=everything) for mutant in mutants]
        rounds = chain.from_iterable(zip_longest(*by_mutant))  # by turns, so that those that wait overlap
        self._queue: Iterator[Cell] = (cell for cell in rounds if cell is not None)
        self._until = math.inf
        self._left_out = 0
        self._fruitless: Counter[str] = Counter()
        self._tried: set[tuple[str, str]] = set()

    async def play(self, limit_seconds: float | None = None) -> Played:
        """Play it all, or what can be begun within the limit, and give what was seen."""
        self._until = math.inf if limit_seconds is None else time.monotonic() + limit_seconds
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # `take_crashes` has them
        brokers: dict[str, BrokerSpec] = {REFERENCE_BROKER: ReferenceSpec()}
        brokers |= {name: WrongBrokerSpec(each) for name, each in self._mutants.items() if each.side == "broker"}
        with tempfile.TemporaryDirectory(prefix="mqtt-interop-") as folder:
            workshop = Workshop(
                drivers=DriverPool(limit=4 * _UNDER_WAY, start=self._start_driver),
                brokers=brokers,
                known_failures=KnownFailures(()),
                certificates=lambda: make_test_certificates(Path(folder) / "certificates"),
                slots=Slots(_AT_WORK, _WAITING_LONG),
            )
            try:
                await asyncio.gather(*(self._work(workshop) for _ in range(_UNDER_WAY)))
            finally:
                await workshop.drivers.close()
                for broker in brokers.values():
                    await broker.close()
        red_anyway = tuple(" ".join(key) for key, check in self._right_pair.items() if check.result())
        return Played(tuple(self._kills), self._cells, self._left_out, red_anyway, take_crashes())

    async def _start_driver(self, name: str) -> Driver:
        mutant = self._mutants.get(name)
        if mutant is None:
            return await DriverStarter().start(name)
        return await InProcessDriver.start(name, wrong_adapter(mutant))

    async def _work(self, workshop: Workshop) -> None:
        for cell in self._queue:
            if time.monotonic() > self._until:
                self._left_out += 1
                continue
            name = mutant_of(cell)
            if self._can_be_spared(name, cell.loaded.name):
                continue
            self._cells += 1
            self._fruitless[name] += 1
            self._tried.add((name, cell.loaded.name))
            kill = kill_of(name, await play(cell, workshop))
            if kill is not None and not await self._is_red_anyway(cell, workshop):
                self._kills.append(kill)
                self._caught.add(name)
                if cell.loaded.name not in self._broken:
                    self._fruitless[name] = 0
                self._broken.add(cell.loaded.name)

    def _can_be_spared(self, mutant: str, scenario: str) -> bool:
        """Whether a cell would hardly tell anything new: its mutant is caught, and the scenario broken or tried."""
        return (
            not self._everything
            and mutant in self._caught
            and (
                scenario in self._broken
                or (mutant, scenario) in self._tried
                or self._fruitless[mutant] > _FRUITLESS_CELLS
            )
        )

    async def _is_red_anyway(self, cell: Cell, workshop: Workshop) -> bool:
        """Whether the right pair fares no better: then it is not the mutant that was caught."""
        key = (cell.loaded.name, cell.mqtt)
        if key not in self._right_pair:
            self._right_pair[key] = asyncio.create_task(self._play_right_pair(cell, workshop))
        return await self._right_pair[key]

    async def _play_right_pair(self, cell: Cell, workshop: Workshop) -> bool:
        self._cells += 1
        right = replace(cell, client=REFERENCE_CLIENT, broker=REFERENCE_BROKER)
        return kill_of("", await play(right, workshop)) is not None


def mutant_of(cell: Cell) -> str:
    """The mutant a cell is about."""
    return cell.client if cell.client != REFERENCE_CLIENT else cell.broker


def kill_of(mutant: str, record: Record) -> Kill | None:
    """What a record proves of its mutant; None for a cell that is not red."""
    if record.verdict in _SAYS_NOTHING or not record.findings:
        return None
    side = "client" if record.client != REFERENCE_CLIENT else "broker"
    rules = (each.rule for each in record.findings if each.source == "judge" and each.blame == side)
    steps = (each.rule for each in record.findings if each.source == "step")
    return Kill(mutant, record.scenario, record.mqtt, tuple(dict.fromkeys(steps)), tuple(dict.fromkeys(rules)))
