"""The controller of the matrix: shows the live table, merges what workers kept, writes the reports, sets the exit code.

Belongs here: the hooks of the process a user started, and how a run ends, in order or not.
Does not belong here: playing cells (`worker`, `engine`), drawing reports (`reports`).

A run ends early for many reasons: Ctrl-C, SIGTERM, records that cannot be kept, workers that end by themselves. All of
them lead here: workers are told to end, what they have is gathered, and the reports say what did not run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from interop.brokers.registry import shown_command
from interop.coverage.coverage import coverage, ran
from interop.exit_codes import FELL_SHORT, HARNESS_FELL_SHORT, OK
from interop.installed import environment, own_version
from interop.lifeline import interrupt_on
from interop.requirements.requirements import sentences
from interop.runner.cell import Cell
from interop.runner.ending import exit_code_of
from interop.runner.known_failures import BadKnownFailures
from interop.runner.noted import noted, write_known_failures
from interop.runner.parts import Parts, id_of
from interop.runner.preflight import Absent, in_words
from interop.runner.presence import last_alive
from interop.runner.schedule import LIVES, ShardScheduling, cell_id
from interop.runner.worker import (
    ABSENT,
    CLIENTS,
    GONE,
    LEFT_OUT,
    RECORD,
    SELECTION,
    STOPPED,
    UNKEPT,
    Worker,
)
from reports.again import Again
from reports.claim import Claim
from reports.defects import find_defects
from reports.github import tell_github
from reports.record import Record, Verdict, read_in_brief
from reports.resting import resting_collector
from reports.summary import RunInfo
from reports.terminal import LiveTable
from reports.write import CannotWrite, write_all

_ENOUGH = "stopping after"
"""How pytest begins to say that `-x` or `--maxfail` ends a run."""

_END_SECONDS = 10.0
"""How long workers may take to end in order, once told to."""


class Controller:
    """One run, from the claim on its folder to its exit code."""

    def __init__(
        self,
        config: pytest.Config,
        cells: Iterable[Cell],
        folder: Path,
        brokers: Mapping[str, str],
        absent: Absent,
        clients: Mapping[str, str],
        doubts: Sequence[str] = (),
    ) -> None:
        """`doubts`: what brokers say otherwise than the files they speak for themselves in."""
        self._doubts = doubts
        """Make the folder ours; raises CannotWrite. `brokers`: what they were named on the command line."""
        self._absent = absent
        self._clients = clients
        self._config = config
        self._cells = {cell.id: cell for cell in cells}
        self._folder = folder
        self._command = shown_command(["pytest", *config.invocation_params.args], brokers.values())
        self._parts = Parts(folder)
        self._claim = None if config.option.collectonly else Claim(folder, self._command)
        if self._claim is not None:
            self._prepare()
        self._began = time.monotonic()
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._table: LiveTable | None = None
        self._chosen: list[Cell] = []
        self._scheduler: ShardScheduling | None = None
        self._workers: list[Any] = []
        """pytest-xdist's nodes, ended ones too."""
        self._shown: dict[str, Record] = {}
        """By cell: what tests and the scheduler brought, in brief."""
        self._stopped = ""
        self._had_enough = False
        """Whether the failures were as many as `-x` or `--maxfail` allows."""
        self._lost = 0
        """How many workers ended by themselves."""
        self._terminate: Any = None
        """What SIGTERM did before."""

    def _prepare(self) -> None:
        try:
            self._parts.prepare()
        except OSError as error:
            raise CannotWrite(self._folder, error.strerror or str(error), "choose another with --out") from error

    def pytest_sessionstart(self) -> None:
        """From here on SIGTERM, as a CI job's end sends it, is what Ctrl-C is: a reason to stop and report."""
        before = signal.getsignal(signal.SIGTERM)
        with contextlib.suppress(ValueError):
            interrupt_on(signal.SIGTERM)
            self._terminate = before

    def pytest_report_header(self) -> list[str]:
        """What brokers said of themselves before the run."""
        return [*in_words(self._absent), *(f"mismatch: {each}" for each in self._doubts)]

    # --- with pytest-xdist: workers -----------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> ShardScheduling:
        """Every worker gets its whole share at once."""
        self._scheduler = ShardScheduling(config, log, self._parts, self._give_up)
        return self._scheduler

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker is about to start; one that starts later takes the place of one that ended by itself."""
        self._workers.append(node)
        node.workerinput |= {ABSENT: self._absent, CLIENTS: dict(self._clients)}
        if self._scheduler is not None:
            node.workerinput |= self._scheduler.heir(node.gateway.id)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker has ended; one that was told to, or cannot go on, ends the run."""
        self._lost += error is not None
        output: dict[str, Any] = getattr(node, "workeroutput", {})
        if error is None and output.get("exitstatus") == pytest.ExitCode.INTERRUPTED:
            why = output.get(STOPPED) or f"worker {node.gateway.id} was interrupted"
            pytest.exit(why, returncode=HARNESS_FELL_SHORT)

    def _give_up(self, lost: str) -> None:
        """Give a cell up that was under way whenever its worker ended."""
        cell = self._cells[lost]
        record = Record(
            scenario=cell.loaded.name,
            title=cell.loaded.scenario.title,
            about=cell.loaded.scenario.about,
            file=cell.loaded.shown_file,
            area=cell.loaded.area,
            client=cell.client,
            broker=cell.broker,
            mqtt=cell.mqtt,
            transport=cell.transport,
            verdict=Verdict.HARNESS_ERROR,
            reason=f"{LIVES} workers ended by themselves while they played this cell",
            level=cell.clause.level.value,
            seconds=0.0,
            implementations=environment(),
            rerun=cell.rerun,
        )
        self._show(record)

    def _end_workers(self) -> None:
        """Tell workers that are still at work to end in order, and wait for what they have to say."""
        at_work = [node for node in self._workers if hasattr(node, "channel") and not node.channel.isclosed()]
        for node in at_work:
            if node.gateway.spec.popen and not hasattr(node, "workeroutput"):  # else it runs elsewhere, or has ended
                with contextlib.suppress(ProcessLookupError):
                    os.kill(node.gateway._rinfo().pid, signal.SIGTERM)  # noqa: SLF001 - pytest-xdist asked for it before
        deadline = time.monotonic() + _END_SECONDS
        for node in at_work:
            with contextlib.suppress(Exception):  # pytest-xdist's own errors of a worker that has gone, or a timeout
                node.channel.waitclose(max(0.0, deadline - time.monotonic()))

    def _unkept(self) -> Iterable[Record]:
        """The records that are on no disk."""
        for node in self._workers:
            yield from map(Record.model_validate_json, getattr(node, "workeroutput", {}).get(UNKEPT, ()))
        if (worker := self._own_worker) is not None:
            yield from worker.unkept

    def _gone(self) -> str:
        """The broker that ended the run by being gone, if one did."""
        if (worker := self._own_worker) is not None:
            return worker.gone
        return next(filter(None, (getattr(node, "workeroutput", {}).get(GONE) for node in self._workers)), "")

    def _left_out(self) -> int:
        """How many slow cells were left out; every worker collects all there are."""
        if (worker := self._own_worker) is not None:
            return worker.left_out
        return max((getattr(node, "workeroutput", {}).get(LEFT_OUT, 0) for node in self._workers), default=0)

    def _selection(self) -> str:
        """Of which cells a shard is a part."""
        if (worker := self._own_worker) is not None:
            return worker.selection
        return next(filter(None, (getattr(node, "workeroutput", {}).get(SELECTION) for node in self._workers)), "")

    @property
    def _strict_known(self) -> bool:
        return bool(self._config.getoption("--strict-known"))

    @property
    def _own_worker(self) -> Worker | None:
        """This process, where it plays itself."""
        worker = self._config.pluginmanager.get_plugin("mqtt-interop-worker")
        return worker if isinstance(worker, Worker) else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Load what drawing the pages will take, while the first cells wait for their adapters."""
        from reports import ctrf, html, junit  # noqa: F401, PLC0415  # loaded, not used

        html.compile_templates()

    # --- what is seen meanwhile ---------------------------------------------------------------------------------------

    @property
    def _shows_table(self) -> bool:
        option = self._config.option
        return not (option.collectonly or option.verbose > 0 or option.verbose < -1)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """With pytest-xdist: what is selected is known."""
        self._choose(ids)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without pytest-xdist: what is selected is known."""
        self._choose([item.nodeid for item in session.items])

    def _choose(self, node_ids: list[str]) -> None:
        if self._chosen or not node_ids:
            return
        self._chosen = [self._cells[cell_id(node_id)] for node_id in node_ids]
        if self._shows_table:
            self._table = LiveTable(Console(file=sys.__stdout__))
            self._table.start(Counter((cell.loaded.area, cell.client) for cell in self._chosen))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """The table stands for pytest's dots."""
        if self._table is None or report.when != "call" or hasattr(report, "wasxfail"):
            return None
        return report.outcome, "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One cell is over."""
        for name, value in report.user_properties if report.when == "call" else ():
            if name == RECORD:
                self._show(Record.model_validate_json(str(value)))

    def _show(self, record: Record) -> None:
        if id_of(record) not in self._shown and self._table is not None:
            self._table.add(record)
        self._shown[id_of(record)] = record

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None]:
        """Where the table tells of a failure, pytest need not tell it twice more; it still counts it."""
        failed = terminalreporter.stats.get("failed", [])
        if self._table is not None:
            terminalreporter.stats["failed"] = []
        yield
        terminalreporter.stats["failed"] = failed

    # --- the end ------------------------------------------------------------------------------------------------------

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """The run ends early, and this is why."""
        self._stopped = str(excinfo.value) or "it was interrupted"
        self._had_enough = bool(self._config.getoption("maxfail")) and self._stopped.startswith(_ENOUGH)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Write the reports of what ran, also after an interrupt, and set the exit code."""
        if "hypothesis" not in sys.modules:  # its plugin would import all of it for a summary of nothing
            self._config.pluginmanager.unregister(name="hypothesispytest")
        if not session.config.option.collectonly:
            self._end_workers()
        yield  # workers and the engine have stopped after this
        if self._terminate is not None and signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            signal.signal(signal.SIGTERM, self._terminate)
        if session.config.option.collectonly:
            return
        if session.shouldfail:
            self._stopped, self._had_enough = str(session.shouldfail), True
        with resting_collector():
            records = self._records()
            not_run = self._not_run(records)
            if gone := self._gone():
                self._stopped += f"; {last_alive(records, gone)}"
            exit_code = _exit_code(session, records, not_run, self._strict_known, had_enough=self._had_enough)
            is_worth_it = bool(records or not_run or self._selection())
            is_written = is_worth_it and self._write(records, replace(self._run_info(not_run), exit_code=exit_code))
        self._close_table(records, self._folder / "report.html" if is_written else None)
        if self._config.getoption("--write-known-failures") and not self._is_noted(records):
            exit_code = HARNESS_FELL_SHORT
        if is_written:
            self._tell_github(records, replace(self._run_info(not_run), exit_code=exit_code))
        session.exitstatus = HARNESS_FELL_SHORT if is_worth_it and not is_written else exit_code

    def pytest_unconfigure(self) -> None:
        """Let others have the folder."""
        if self._claim is not None:
            self._claim.release()

    def _records(self) -> list[Record]:
        """All there are: as kept on disk, as handed over by a worker, and of the rest what its test told."""
        records = {id_of(record): record for record in self._parts.records()}
        records |= {id_of(record): record for record in self._unkept()}
        return list((self._shown | records).values())

    def _not_run(self, records: Iterable[Record]) -> list[Cell]:
        have = {id_of(record) for record in records}
        return [cell for cell in self._chosen if cell.id not in have]

    def _write(self, records: list[Record], info: RunInfo) -> bool:
        """Write all reports, or say what cannot be written; what workers kept stays until the results are safe."""
        statements, elsewhere = coverage(ran(records)), None
        try:
            try:
                write_all(records, self._folder, info, statements, sentences())
            except CannotWrite as error:
                elsewhere = error.results
                if elsewhere is None:
                    raise
                records[:] = read_in_brief(elsewhere)  # before, they held what workers kept open
                self._parts.remove()  # that may be all the room it takes
                write_all(records, self._folder, info, statements, sentences())
        except CannotWrite as error:
            self._say(f"mqtt-interop: {error}")
            return False
        finally:
            if elsewhere is not None and elsewhere.parent != self._folder:
                elsewhere.unlink(missing_ok=True)  # the second attempt has brought them home, or to a place of its own
        self._parts.remove()
        return True

    def _close_table(self, records: list[Record], page: Path | None) -> None:
        info = self._run_info(self._not_run(records))
        if self._table is None:
            for sentence in filter(None, (info.left_out_sentence, Again.of(records).sentence, info.not_run_sentence)):
                self._say(sentence)
            return
        for record in records:  # over, but with an interrupt before its test was
            self._show(record)
        self._table.finish(page, info.stopped, info.left_out_sentence, find_defects(records), sentences())
        self._table = None

    def _is_noted(self, records: list[Record]) -> bool:
        """Write down what has to be expected for this run to be green; gives whether that could be done."""
        path = self._config.getoption("--write-known-failures")
        try:
            count = write_known_failures(path, records, self._config.getoption("--known-failures"))
        except (OSError, BadKnownFailures) as error:
            self._say(f"mqtt-interop: cannot write {path}: {getattr(error, 'strerror', None) or error}")
            return False
        self._say(noted(path, count))
        return True

    def _tell_github(self, records: list[Record], info: RunInfo) -> None:
        """Where GitHub runs us, say it on its pages, too."""
        try:
            for line in tell_github(records, info, os.environ, sentences()):
                self._say(line)
        except OSError as error:
            self._say(f"mqtt-interop: {error.filename}: {error.strerror}")

    def _say(self, text: str) -> None:
        Console(file=sys.__stdout__).print(text, markup=False, highlight=False, soft_wrap=True)

    def _run_info(self, not_run: Iterable[Cell]) -> RunInfo:
        return RunInfo(
            started_at=self._started_at,
            wall_seconds=time.monotonic() - self._began,
            harness_version=own_version(),
            command=self._command,
            workers=len(self._config.getoption("tx", None) or [None]),
            not_run=tuple(
                f"{cell.loaded.name}, {cell.client} with {cell.broker}, MQTT {cell.mqtt} over {cell.transport}"
                for cell in not_run
            ),
            stopped=self._why_short(),
            left_out=self._left_out(),
            shard=self._config.getoption("--shard") or "",
            selection=self._selection(),
            strict_known=self._strict_known,
        )

    def _why_short(self) -> str:
        """Why cells did not run, if any did not."""
        if self._stopped or not self._lost:
            return self._stopped
        return f"{self._lost} {'worker' if self._lost == 1 else 'workers'} ended early, with nobody to go on for them"


def _exit_code(
    session: pytest.Session, records: list[Record], not_run: list[Cell], strict_known: bool, *, had_enough: bool
) -> int:
    """That of the records; a test of somebody else's that fails beside the matrix counts as one that fell short."""
    expected = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    if session.exitstatus not in expected and not had_enough:
        return HARNESS_FELL_SHORT
    all_ran = not not_run or had_enough  # with -x the first failure is meant to end it
    exit_code = exit_code_of(records, all_ran=all_ran, strict_known=strict_known)
    return FELL_SHORT if exit_code == OK and session.exitstatus == pytest.ExitCode.TESTS_FAILED else exit_code
