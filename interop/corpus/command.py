"""`mqtt-interop corpus`: malformed packets to brokers and clients.

Belongs here: its options, its output, its exit code. Does not belong here: cases, runs, records.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

from interop import subjects
from interop.brokers.broker import BrokerFault
from interop.brokers.registry import broker_names, broker_spec, shown_command, shown_name
from interop.corpus.broker_run import play_all_on_broker, version_of_watch
from interop.corpus.cases import corpus
from interop.corpus.client_run import AT_ONCE, play_all_on_client
from interop.corpus.model import Case, NoStart, Played, UnderTest
from interop.corpus.results import Run, record, watch_record, with_known
from interop.coverage.coverage import coverage, ran
from interop.drivers.choice import UnusableClient, chosen_clients
from interop.drivers.driver import DriverFault
from interop.drivers.pool import DriverPool
from interop.drivers.registry import DriverStarter, UnknownDriver
from interop.exit_codes import FELL_SHORT, HARNESS_FELL_SHORT, NOTHING_RAN, OK, CommandError
from interop.installed import environment, own_version
from interop.requirements.requirements import sentences
from interop.runner.known_failures import BadKnownFailures, load_known_failures
from interop.runner.verdict import REFERENCE_BROKER, REFERENCE_CLIENT
from interop.scenario.features import missing
from interop.scenario.values import MqttLabel
from reports.claim import Claim
from reports.record import Record, Verdict
from reports.summary import RunInfo
from reports.write import CannotWrite, write_all

DEFAULT_OUT = Path("compat/corpus")
_VERSIONS = get_args(MqttLabel)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand; names may be repeated or come with commas."""

    def several(option: str, metavar: str, text: str) -> None:
        parser.add_argument(option, action="append", default=[], metavar=metavar, help=text)

    several("--broker", "NAME", subjects.BROKER)
    several("--client", "NAME", subjects.CLIENT)
    several("--mqtt", "VERSION", f"{', '.join(_VERSIONS)} (all)")
    several("--case", "PATTERN", "case by id or shell pattern, e.g. '5.0/connect/*' (all)")
    parser.add_argument("--list", action="store_true", help="print the cases instead of sending them")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="FOLDER", help="reports (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Play the corpus and write the reports; gives the exit code."""
    versions, patterns = _names(options.mqtt), tuple(options.case)
    if unknown := [name for name in versions if name not in _VERSIONS]:
        raise CommandError(f"--mqtt {unknown[0]}: expected one of {', '.join(_VERSIONS)}")
    plan = [(UnderTest.BROKER, name) for name in broker_names(options.broker)]
    clients = {} if options.list else _clients(options.client)
    plan += [(UnderTest.CLIENT, name) for name in (_names(options.client) if options.list else clients)]
    plan = plan or [(UnderTest.BROKER, REFERENCE_BROKER), (UnderTest.CLIENT, REFERENCE_CLIENT)]
    cases = {tested: corpus(tested, versions, patterns) for tested in dict.fromkeys(tested for tested, _ in plan)}
    if not any(cases.values()):
        raise CommandError(f"no case fits {', '.join(patterns) or 'these options'}")
    if options.list:
        _list(cases)
        return OK
    command = shown_command(["mqtt-interop", *sys.argv[1:]], broker_names(options.broker))
    try:
        with Claim(options.out, command):
            return _played(plan, clients, cases, options.out, command, whole=not (versions or patterns))
    except CannotWrite as error:
        raise CommandError(str(error)) from None


@dataclass(slots=True)
class _Progress:
    """What there is of one broker or client: the cases it is put to, and the records so far."""

    wanted: list[Case] = field(default_factory=list)
    played: set[str] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)

    def add(self, run: Run, played: Played) -> None:
        """Take one more case."""
        self.played.add(played.case.id)
        self.records.append(record(run, played))


def _clients(given: Sequence[str]) -> dict[str, str]:
    """What starts each client, by name."""
    try:
        return asyncio.run(chosen_clients(_names(given)))
    except (UnknownDriver, UnusableClient) as problem:
        raise CommandError(str(problem)) from None


def _played(
    plan: Sequence[tuple[UnderTest, str]],
    clients: Mapping[str, str],
    cases: dict[UnderTest, list[Case]],
    out: Path,
    command: str,
    *,
    whole: bool,
) -> int:
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    try:
        brokers = [name for tested, name in plan if tested is UnderTest.BROKER]
        known = load_known_failures(clients=clients, brokers=brokers)
    except BadKnownFailures as problem:
        raise CommandError(str(problem)) from None
    records: list[Record] = []
    not_run: list[str] = []
    stopped = ""
    for tested, name in plan:
        clock, shown = time.monotonic(), shown_name(name)
        progress = _Progress(list(cases[tested]))
        if not stopped:
            play = _on_broker if tested is UnderTest.BROKER else partial(_on_client, clients)
            stopped = _stopped_by(play(name, started_at, progress))
            some = with_known(progress.records, known, whole=whole and not stopped)
            _say(f"{shown}: {_counts(some)} in {time.monotonic() - clock:.1f} s")
            records += some
        not_run += [f"{case.id} to {shown}" for case in progress.wanted if case.id not in progress.played]
    if records:  # also of a run that was cut short
        info = RunInfo(
            started_at, time.monotonic() - began, own_version(), command, not_run=tuple(not_run), stopped=stopped
        )
        _say(f"report: {write_all(records, out, info, coverage(ran(records)), sentences())}")
    if stopped:
        raise CommandError(f"the run was ended: {stopped}" if records else stopped)
    return _exit_code(records)


def _stopped_by(play: Coroutine[Any, Any, None]) -> str:
    """Play what is wanted of one broker or client; gives why that was cut short, if it was."""
    try:
        asyncio.run(play)
    except (BrokerFault, NoStart, DriverFault) as problem:
        return str(problem)
    except KeyboardInterrupt:
        return "it was interrupted"
    return ""


async def _on_broker(name: str, started_at: str, progress: _Progress) -> None:
    spec = broker_spec(name)
    progress.wanted = wanted = [
        case
        for case in progress.wanted
        if case.version.label in spec.versions and not missing(case.needs, spec.unsupported, case.version.label)
    ]
    broker = await spec.start({})
    try:
        versions = {"broker": f"{broker.name} {broker.version}"} | environment()
        run = Run(UnderTest.BROKER, spec.name, versions, started_at)
        numbers = itertools.count(1)
        async for batch, lost in play_all_on_broker(wanted, broker.address(), spec.login):
            for played in batch:
                progress.add(run, played)
            progress.records.append(watch_record(run, version_of_watch(wanted), next(numbers), batch, lost))
    finally:
        await broker.stop()
        await spec.close()


async def _on_client(clients: Mapping[str, str], name: str, started_at: str, progress: _Progress) -> None:
    pool = DriverPool(limit=AT_ONCE, starter=DriverStarter(clients))
    try:
        driver = await pool.acquire(name)
        said = driver.hello
        await pool.release(driver)
        versions = {"client": f"{said.client} {said.version}"} | environment()
        run = Run(UnderTest.CLIENT, name, versions, started_at)
        progress.wanted = [case for case in progress.wanted if case.version.label in said.mqtt]
        async for played in play_all_on_client(progress.wanted, name, pool):
            progress.add(run, played)
    finally:
        await pool.close()


# --- output -----------------------------------------------------------------------------------------------------------


def _list(cases: dict[UnderTest, list[Case]]) -> None:
    _say("\n".join(f"{case.id}  [{', '.join(case.expected.cites)}]" for some in cases.values() for case in some))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _counts(records: Sequence[Record]) -> str:
    counted = Counter(one.verdict for one in records)
    known = sum(one.known_failure is not None for one in records)
    words = ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict if counted[verdict])
    unexpected = sum(one.unexpected_pass for one in records)
    more = [f"{known} known"] if known else []
    more += [f"{unexpected} passed although listed as known failures"] if unexpected else []
    return f"{len(records)} results: {words}" + (f" ({', '.join(more)})" if more else "")


def _exit_code(records: Sequence[Record]) -> int:
    if not records:
        return NOTHING_RAN
    if any(one.verdict in (Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR) for one in records):
        return HARNESS_FELL_SHORT
    failed = any(one.verdict is Verdict.FAIL and one.known_failure is None for one in records)
    return FELL_SHORT if failed else OK


def _names(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for text in given for name in text.split(",") if name)
