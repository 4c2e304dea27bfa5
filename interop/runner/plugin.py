"""The matrix as pytest tests: options, one test per cell, its outcome, the live table, the reports at the end.

Belongs here: everything that knows pytest and pytest-xdist.
Does not belong here: playing cells (`engine`), which worker plays which (`schedule`), drawing reports (`reports`).

Roles: the *controller* shows the table and writes the reports; *workers* play cells. Without pytest-xdist one process
is both. A record is kept on disk the moment its cell is over, so that an interrupted run loses none.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

from interop.brokers.broker import BrokerFault
from interop.brokers.registry import broker_spec
from interop.coverage.coverage import coverage, ran
from interop.drivers.registry import UnknownDriver, check_driver_name
from interop.installed import own_version
from interop.runner.cell import DEFAULT_BROKERS, DEFAULT_CLIENTS, Cell, Selection, plan
from interop.runner.engine import Engine
from interop.runner.known_failures import BadKnownFailures, KnownFailures, load_known_failures
from interop.runner.loops import DEFAULT_LOOP, LOOPS, LoopNotThere, loop_factory
from interop.runner.schedule import ShardScheduling, shard, worker_number
from interop.scenario.lint import lint
from interop.scenario.load import load_scenarios
from interop.scenario.problems import ScenarioError
from interop.scenario.values import MqttLabel, TransportName
from reports.record import Record, Verdict, merge_records, resting_collector
from reports.summary import RunInfo
from reports.terminal import LiveTable
from reports.write import write_all

DEFAULT_OUT = Path("compat")
HARNESS_FELL_SHORT = 2
NOTHING_RAN = 3
_PARTS = ".parts"
_RECORD = "record"
_FELL_SHORT = frozenset({Verdict.FAIL, Verdict.FLAKY})
_NO_VERDICT = frozenset({Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR})


# --- options ----------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the matrix; each that takes a name may be repeated or take a list with commas."""
    group = parser.getgroup("mqtt-interop", "MQTT compatibility matrix")

    def several(option: str, text: str) -> None:
        group.addoption(option, action="append", default=[], metavar="NAME", help=text)

    several("--client", f"client under test: builtin, paho, gmqtt, command:./adapter ({', '.join(DEFAULT_CLIENTS)})")
    several(
        "--broker",
        "broker under test: reference, mosquitto, ejabberd, nats, rumqttd, host:port, docker:IMAGE "
        f"({', '.join(DEFAULT_BROKERS)})",
    )
    several("--mqtt", "protocol version: 3.1, 3.1.1, 5.0 (all)")
    several("--transport", "tcp, tls, ws, wss (those each scenario names)")
    several("--scenario", "scenario by name or shell pattern, e.g. qos2/* (all)")
    group.addoption(
        "--scenarios", action="append", type=Path, metavar="FOLDER", help="scenario files or folders of your own"
    )
    group.addoption(
        "--loop",
        default=DEFAULT_LOOP,
        metavar="NAME",
        help=f"event loop of reference broker, taps and built-in client: {', '.join(LOOPS)} ({DEFAULT_LOOP})",
    )
    group.addoption(
        "--known-failures", type=Path, metavar="FILE", help="list of expected failures (the one that ships)"
    )
    group.addoption(
        "--out", type=Path, default=DEFAULT_OUT, metavar="FOLDER", help=f"where the reports go ({DEFAULT_OUT})"
    )


def _names(config: pytest.Config, option: str) -> tuple[str, ...]:
    return tuple(name for given in config.getoption(option) for name in given.split(",") if name)


def _selection(config: pytest.Config) -> Selection:
    return Selection(
        clients=_names(config, "--client") or DEFAULT_CLIENTS,
        brokers=_names(config, "--broker") or DEFAULT_BROKERS,
        versions=_names(config, "--mqtt"),
        transports=_names(config, "--transport"),
        scenarios=_names(config, "--scenario"),
    )


# --- set-up -----------------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Read scenarios and lists; what is wrong with them ends the run with one line each."""
    if config.option.help or config.option.markers:
        return
    is_worker = hasattr(config, "workerinput")
    try:
        scenarios = load_scenarios(config.getoption("--scenarios"))
        known_failures = load_known_failures(config.getoption("--known-failures"))
        selection = _selection(config)
        cells = plan(scenarios, selection)
        if not is_worker and (problems := lint(scenarios)):
            raise ScenarioError(problems)
        if not is_worker:
            _check_names(selection)
            loop_factory(config.getoption("--loop"))
        if not cells:
            pytest.exit(f"nothing to play: none of {len(scenarios)} scenarios fits {_said(selection)}", NOTHING_RAN)
        folder = config.getoption("--out").absolute()
        if not is_worker:
            _prepare(folder)
        for mark in sorted({mark for cell in cells for mark in _marks(cell)}):
            config.addinivalue_line("markers", f"{mark}: cells of the matrix that have to do with {mark}")
        if not is_worker:
            config.pluginmanager.register(Controller(config, cells, folder), "mqtt-interop-controller")
        if is_worker or config.getoption("dist", "no") == "no":
            config.pluginmanager.register(Worker(config, cells, known_failures, folder), "mqtt-interop-worker")
    except _USERS_MISTAKES as error:
        pytest.exit(str(error), returncode=HARNESS_FELL_SHORT)


class UnknownChoice(Exception):
    """An option names something there is none of; the message lists what there is."""


class UnusableFolder(Exception):
    """The output folder cannot be written to; the message says which and why."""


_USERS_MISTAKES = (
    ScenarioError, BadKnownFailures, BrokerFault, UnknownDriver, UnusableFolder, UnknownChoice, LoopNotThere,
)  # fmt: skip


def _said(selection: Selection) -> str:
    given = {"--scenario": selection.scenarios, "--mqtt": selection.versions, "--transport": selection.transports}
    return " ".join(f"{option} {','.join(names)}" for option, names in given.items() if names) or "the selection"


_CHOICES = {"--mqtt": get_args(MqttLabel), "--transport": get_args(TransportName)}


def _check_names(selection: Selection) -> None:
    for option, given in (("--mqtt", selection.versions), ("--transport", selection.transports)):
        for name in given:
            if name not in _CHOICES[option]:
                raise UnknownChoice(f"{option} {name}: expected one of {', '.join(_CHOICES[option])}")
    for client in selection.clients:
        check_driver_name(client)
    for broker in selection.brokers:
        broker_spec(broker).check()


def _prepare(folder: Path) -> None:
    try:
        parts = folder / _PARTS
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
    except OSError as error:
        raise UnusableFolder(
            f"cannot write reports to {folder}: {error.strerror}; choose another with --out"
        ) from error


def _marks(cell: Cell) -> list[str]:
    names = [cell.loaded.area, cell.client, cell.broker, f"mqtt{cell.mqtt.replace('.', '')}", cell.transport]
    return [name for name in names if name.isidentifier()]


# --- a worker: plays cells --------------------------------------------------------------------------------------------


class Worker:
    """Turns cells into tests, plays its share of them, and says how each came out."""

    def __init__(
        self, config: pytest.Config, cells: Iterable[Cell], known_failures: KnownFailures, folder: Path
    ) -> None:
        given: dict[str, Any] = getattr(config, "workerinput", {"workerid": "gw0", "workercount": 1})
        self._number, self._count = worker_number(given["workerid"]), given["workercount"]
        self._cells = list(cells)
        self._known_failures = known_failures
        self._keep = folder / _PARTS / f"{given['workerid']}.jsonl"
        self._engine: Engine | None = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per cell."""
        if "cell" in metafunc.fixturenames:
            marked = [
                pytest.param(cell, id=cell.id, marks=[getattr(pytest.mark, m) for m in _marks(cell)])
                for cell in self._cells
            ]
            metafunc.parametrize("cell", marked)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All that is selected is known: begin this worker's whole share."""
        if session.config.option.collectonly or not session.items:
            return
        brokers = {cell.broker for cell in self._cells}
        self._engine = Engine(self._known_failures, brokers, self._keep, loop=session.config.getoption("--loop"))
        values = [item.callspec.params["cell"] for item in session.items if isinstance(item, pytest.Function)]
        cells = [value for value in values if isinstance(value, Cell)]
        self._engine.begin(shard(cells, self._number, self._count))

    @pytest.fixture
    def play(self, record_property: Callable[[str, object], None]) -> Callable[[Cell], None]:
        """Play a cell and let the test come out as its verdict says."""

        def played(cell: Cell) -> None:
            assert self._engine is not None
            record = self._engine.record(cell)
            brief = record.model_copy(update={"trace": (), "steps": (), "log": ""})
            record_property(_RECORD, brief.model_dump_json())
            _come_out(record)

        return played

    def pytest_sessionfinish(self) -> None:
        """End what is still under way."""
        if self._engine is not None:
            self._engine.stop()


def _come_out(record: Record) -> None:
    text = f"{record.verdict}: {record.reason}" + (f" [{', '.join(record.cites)}]" if record.cites else "")
    if record.known_failure is not None:
        pytest.xfail(f"{text} (known: {record.known_failure.reason})")
    if record.verdict is Verdict.UNSUPPORTED:
        pytest.skip(text)
    if record.verdict in _FELL_SHORT | _NO_VERDICT:
        pytest.fail(f"{text}\n{record.log[-2000:] if record.verdict in _NO_VERDICT else record.rerun}", pytrace=False)


# --- the controller: shows and reports --------------------------------------------------------------------------------


class Controller:
    """Shows the live table, merges what workers kept, writes the reports and sets the exit code."""

    def __init__(self, config: pytest.Config, cells: Iterable[Cell], folder: Path) -> None:
        self._config = config
        self._cells = {cell.id: cell for cell in cells}
        self._folder = folder
        self._began = time.monotonic()
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._table: LiveTable | None = None
        self._shown: set[str] = set()
        self._terminate: Any = None
        """What SIGTERM did before."""

    def pytest_sessionstart(self) -> None:
        """From here on SIGTERM, as a CI job's end sends it, is what Ctrl-C is: a reason to stop and report."""
        with contextlib.suppress(ValueError):  # not the main thread: whoever started us there sees to signals
            self._terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)

    @property
    def _shows_table(self) -> bool:
        option = self._config.option
        return not (option.collectonly or option.verbose > 0 or option.verbose < -1)

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> ShardScheduling:
        """Every worker gets its whole share at once."""
        return ShardScheduling(config, log)

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """With pytest-xdist: what is selected is known."""
        self._start_table(ids)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without pytest-xdist: what is selected is known."""
        self._start_table([item.nodeid for item in session.items])

    def _start_table(self, node_ids: list[str]) -> None:
        if self._table is None and node_ids and self._shows_table:
            chosen = [self._cells[node_id.partition("[")[2].removesuffix("]")] for node_id in node_ids]
            self._table = LiveTable(Console(file=sys.__stdout__))
            self._table.start(Counter((cell.loaded.area, cell.client) for cell in chosen))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """The table stands for pytest's dots."""
        if self._table is None or report.when != "call" or hasattr(report, "wasxfail"):
            return None
        return report.outcome, "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One cell is over."""
        if report.when == "call" and self._table is not None:
            for name, value in report.user_properties:
                if name == _RECORD:
                    record = Record.model_validate_json(str(value))
                    self._shown.add(record.cell_id)
                    self._table.add(record)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Write the reports of what ran, also after an interrupt, and set the exit code."""
        yield  # workers and the engine have stopped after this
        if self._terminate is not None:
            signal.signal(signal.SIGTERM, self._terminate)
        if session.config.option.collectonly:
            return
        with resting_collector():
            records = _kept_records(self._folder)
            if records:
                write_all(records, self._folder, self._run_info(), coverage(ran(records)))
        shutil.rmtree(self._folder / _PARTS, ignore_errors=True)
        if self._table is not None:
            for record in records:  # over, but with an interrupt before its test was
                if record.cell_id not in self._shown:
                    self._table.add(record)
            self._table.finish(self._folder / "report.html" if records else None)
            self._table = None
        session.exitstatus = _exit_status(session.exitstatus, records)

    def _run_info(self) -> RunInfo:
        return RunInfo(
            started_at=self._started_at,
            wall_seconds=time.monotonic() - self._began,
            harness_version=own_version(),
            command=" ".join(["pytest", *self._config.invocation_params.args]),
            workers=len(self._config.getoption("tx", None) or [None]),
        )


def _kept_records(folder: Path) -> list[Record]:
    """What the workers kept; a line that a killed worker left half written is no record."""
    parts = sorted((folder / _PARTS).glob("*.jsonl"))
    for part in parts:
        whole = part.read_text(encoding="utf-8").rpartition("\n")[0]
        part.write_text(whole + "\n" if whole else "", encoding="utf-8")
    return merge_records(parts)


def _exit_status(pytest_status: int, records: list[Record]) -> int:
    """0 all as expected, 1 an implementation fell short, 2 the harness did (or was interrupted), 3 nothing ran."""
    if pytest_status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        return HARNESS_FELL_SHORT
    if not records:
        return NOTHING_RAN
    if any(record.verdict in _NO_VERDICT for record in records):
        return HARNESS_FELL_SHORT
    unexpected = any(record.verdict in _FELL_SHORT and record.known_failure is None for record in records)
    return int(unexpected or pytest_status == pytest.ExitCode.TESTS_FAILED)
