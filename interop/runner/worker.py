"""A worker of the matrix: turns cells into tests, plays its share of them, and says how each came out.

Belongs here: the hooks of the process that plays cells, a pytest-xdist worker or the only one.
Does not belong here: playing (`engine`), who plays what (`schedule`), showing and reporting (`controller`).
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from interop.brokers.broker import BrokerFault
from interop.brokers.registry import broker_spec
from interop.drivers.registry import DriverStarter
from interop.exit_codes import HARNESS_FELL_SHORT
from interop.lifeline import end_with_parent, interrupt_on
from interop.runner.cell import Cell
from interop.runner.ending import NO_VERDICT
from interop.runner.engine import Engine
from interop.runner.failures import RunIsOver
from interop.runner.known_failures import KnownFailures
from interop.runner.parts import CannotKeep, Parts, id_of
from interop.runner.preflight import Absent
from interop.runner.schedule import shard, worker_number
from interop.runner.shards import Shard, selection_of
from interop.tap.network import network_of
from reports.outcome import is_red, why
from reports.record import Record, Verdict

RECORD = "record"
"""The property of a test's report that has its record, in brief."""
ABSENT = "absent"
"""What a worker is told in the beginning: the versions that brokers at addresses do not speak."""
CLIENTS = "clients"
"""And what the clients are called, with what starts each."""
UNKEPT, STOPPED, GONE, LEFT_OUT, SELECTION = "unkept", "stopped", "gone", "left-out", "selection"
"""What a worker says in the end: records not on disk, why the run has to end, which broker is gone, how many slow cells
were left out, and of which cells its shard is a part."""

SLOW = "slow"
"""The marker of cells that are played only when asked for: by the option of that name, or where `-m` speaks of it."""

ANY_CLIENT = "any_client"
"""The marker of cells for which any client does, so that a run with several plays them with the first of them alone."""

KINDS = (SLOW, ANY_CLIENT)
"""Markers that `-m` may speak of whether a cell of this run has one or not, which nobody can know before."""

_PYTESTS_OWN = frozenset({SLOW, "skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings"})
"""What a client cannot be selected by, though it may be called so: such a marker means something else."""


def marks_of(cell: Cell) -> list[str]:
    """The markers of a cell's test: what it has to do with."""
    names = [cell.loaded.area, cell.client, cell.broker, f"mqtt{cell.mqtt.replace('.', '')}", cell.transport]
    heading = cell.loaded.heading
    kinds = [SLOW] * heading.slow + [ANY_CLIENT] * heading.any_client
    return [name for name in names if name.isidentifier() and name not in _PYTESTS_OWN] + kinds


@cache  # each is checked against those that are registered
def _mark(name: str) -> pytest.MarkDecorator:
    return cast(pytest.MarkDecorator, getattr(pytest.mark, name))


def _asks_for_slow(config: pytest.Config) -> bool:
    return bool(config.getoption("--slow") or re.search(rf"\b{SLOW}\b", config.getoption("markexpr", "")))


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to do: a place among the others, or what another left that ended by itself.

    `share` names an heir's cells, `suspects` those to be played by themselves, `kept_by` whose records are there.
    """

    worker: str = "gw0"
    count: int = 1
    place: int = 0
    share: Sequence[str] | None = None
    suspects: Sequence[str] = ()
    kept_by: Sequence[str] = ()

    @classmethod
    def of(cls, config: pytest.Config) -> Task:
        """The task of this process."""
        given: dict[str, Any] | None = getattr(config, "workerinput", None)
        if given is None:
            return cls()
        place = given.get("place", worker_number(given["workerid"]))
        inherited = [given.get(name) or () for name in ("suspects", "kept_by")]
        return cls(given["workerid"], given["workercount"], place, given.get("share"), *inherited)

    def cells(self, all_cells: Sequence[Cell]) -> list[Cell]:
        """Its own of all."""
        if self.share is None:
            return list(shard(all_cells, self.place, self.count))
        share = set(self.share)
        return [cell for cell in all_cells if cell.id in share]


_OWN_FIXTURES = frozenset({"cell", "play", "record_property", "request"})

_WATCHED = ("usepdb", "setupshow", "setuponly", "setupplan")
"""Pytest's options that show its own steps or stop in them."""

_CHANGING = frozenset({"skip", "skipif", "xfail", "usefixtures"})
"""Marks by which a test comes out otherwise."""


class Worker:
    """Turns cells into tests, plays its share of them, and says how each came out."""

    def __init__(
        self,
        config: pytest.Config,
        cells: Iterable[Cell],
        known_failures: KnownFailures,
        folder: Path,
        brokers: Mapping[str, str],
        absent: Absent,
        drivers: DriverStarter,
    ) -> None:
        """`brokers`: what the brokers of the cells were named on the command line, which may be more than they show."""
        self._drivers = drivers
        self._absent = absent
        self._config = config
        self._is_watched = any(map(config.getoption, _WATCHED))
        self._shard = Shard.of(text) if (text := config.getoption("--shard")) else None
        self._brokers = brokers
        self._task = Task.of(config)
        self._cells = list(cells)
        self._known_failures = known_failures
        self._parts = Parts(folder)
        self._engine: Engine | None = None
        self._kept: dict[str, Record] = {}
        """What is there already: by whom this worker inherits from."""
        self.unkept: list[Record] = []
        """Once it has ended: what could not be kept on disk."""
        self.gone = ""
        """The broker that is gone for good, if one is."""
        self.left_out = 0
        """Slow cells of the selection that nobody asked for."""
        self.selection = ""
        """With shards: the same for all that share these cells."""
        if hasattr(config, "workerinput"):
            with contextlib.suppress(ValueError):
                interrupt_on(signal.SIGINT, signal.SIGTERM)  # a terminal sends the one, the controller then the other
            end_with_parent(self._stop)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per cell."""
        if "cell" in metafunc.fixturenames:
            marked = [pytest.param(cell, id=cell.id, marks=[*map(_mark, marks_of(cell))]) for cell in self._cells]
            metafunc.parametrize("cell", marked)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out of what is selected what is slow, unless it is asked for, and what other shards play."""
        slow = [] if _asks_for_slow(config) else [item for item in items if item.get_closest_marker(SLOW)]
        if slow:
            config.hook.pytest_deselected(items=slow)
            items[:] = [item for item in items if item not in slow]
        self.left_out = len(slow)
        if self._shard is not None:
            share = self._shard.share(_cells_of(items))
            self.selection = selection_of(_cells_of(items))
            others = [item for item in items if any(cell.id not in share for cell in _cells_of([item]))]
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if all(cell.id in share for cell in _cells_of([item]))]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All that is selected is known: begin this worker's whole share."""
        if session.config.option.collectonly or not session.items:
            return
        keep, loop = self._parts.of(self._task.worker), session.config.getoption("--loop")
        try:
            specs = {name: broker_spec(self._brokers[name]) for name in {cell.broker for cell in self._cells}}
            network = network_of(session.config.getoption("--network"))
            self._engine = Engine(
                self._known_failures,
                specs,
                keep,
                loop=loop,
                network=network,
                absent=self._absent,
                drivers=self._drivers,
            )
        except (CannotKeep, BrokerFault) as problem:
            self._end(str(problem))
        mine = self._task.cells(list(_cells_of(session.items)))
        self._kept = {id_of(record): record.whole for record in self._parts.records(self._task.kept_by)}
        self._engine.begin(cell for cell in mine if cell.id not in self._kept and cell.id not in self._task.suspects)

    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """A cell is one step with one report: pytest's three, and its fixtures, took a tenth of a run.

        A test around which somebody put something, a fixture or a mark that changes how it comes out, is pytest's.
        """
        cell = next(_cells_of([item]), None)
        if cell is None or self._is_watched or not _is_plain(item):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        played = pytest.CallInfo.from_call(
            lambda: self._play(cell, lambda *told: item.user_properties.append(told)),
            when="call",
            reraise=(pytest.exit.Exception, KeyboardInterrupt),
        )
        report = item.ihook.pytest_runtest_makereport(item=item, call=played)
        item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.fixture
    def play(self, record_property: Callable[[str, object], None]) -> Callable[[Cell], None]:
        """Play a cell and let the test come out as its verdict says."""
        return lambda cell: self._play(cell, record_property)

    def _play(self, cell: Cell, record_property: Callable[[str, object], None]) -> None:
        assert self._engine is not None
        try:
            record = self._kept.get(cell.id) or self._engine.record(cell)
        except CannotKeep as problem:
            self._end(str(problem))
        except RunIsOver as problem:
            self.gone = problem.broker
            self._end(str(problem))
        brief = record.model_copy(update={"trace": (), "steps": (), "log": ""})
        record_property(RECORD, brief.model_dump_json())
        _come_out(record, strict_known=self._config.getoption("--strict-known"))

    def pytest_sessionfinish(self) -> None:
        """End what is still under way."""
        self._stop()
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[UNKEPT] = [record.model_dump_json() for record in self.unkept]
            output |= {LEFT_OUT: self.left_out, SELECTION: self.selection}

    def pytest_unconfigure(self) -> None:
        """From here on nothing has to end in order."""
        if hasattr(self._config, "workerinput"):
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _stop(self) -> None:
        if self._engine is not None:
            self._engine.stop()
            self.unkept = self._engine.unkept()

    def _end(self, why: str) -> NoReturn:
        """End the whole run; the controller is told why."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output |= {STOPPED: why, GONE: self.gone}
        pytest.exit(why, returncode=HARNESS_FELL_SHORT)


def _cells_of(items: Iterable[pytest.Item]) -> Iterator[Cell]:
    """The cells that tests play; a test of somebody else's beside the matrix plays none."""
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            cell = item.callspec.params.get("cell")
            if isinstance(cell, Cell):
                yield cell


def _is_plain(item: pytest.Item) -> bool:
    """Whether a test is a cell and nothing else: no fixtures but its own, no marks that change how it comes out."""
    fixtures = set(getattr(item, "fixturenames", ()))
    return fixtures <= _OWN_FIXTURES and not any(mark.name in _CHANGING for mark in item.iter_markers())


def _come_out(record: Record, *, strict_known: bool) -> None:
    text = f"{record.verdict}: {record.reason}" + (f" [{', '.join(record.cites)}]" if record.cites else "")
    if record.known_failure is not None:
        pytest.xfail(f"{text} (known: {record.known_failure.reason})")
    if record.verdict is Verdict.UNSUPPORTED:
        pytest.skip(text)
    if is_red(record, strict_known=strict_known):
        text = why(record) if record.unexpected_pass else text
        pytest.fail(f"{text}\n{record.log[-2000:] if record.verdict in NO_VERDICT else record.rerun}", pytrace=False)
