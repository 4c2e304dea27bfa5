"""What a profile asks for, played: scenarios by the matrix, stages with a closed device.

Belongs here: from a profile and whom it is about to records.
Does not belong here: the command line (`command`), weighing (`weighing`).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from interop.brokers.registry import broker_spec
from interop.certify import digests
from interop.certify.profile import Profile
from interop.certify.subject import Subject
from interop.exit_codes import HARNESS_FELL_SHORT, OK, CommandError
from interop.hands_off.play import Device, run_hands_off
from interop.installed import own_version
from interop.requirements.requirements import sentences
from interop.runner.cell import Selection, plan
from interop.runner.matrix import run_matrix
from interop.scenario.load import LoadedScenario, load_scenarios
from reference_broker.net.address import Address
from reference_broker.net.errors import ListenFailed
from reports.claim import Claim
from reports.record import BadResults, Record, read_records
from reports.resting import resting_collector
from reports.summary import RunInfo
from reports.write import RESULTS, CannotWrite, write_all


@dataclass(frozen=True, slots=True)
class Played:
    """The exit code of the run, its records, how many cells came to none, and the digests of the scenario files."""

    code: int
    records: Sequence[Record]
    missing: int
    scenarios: str


def play_scenarios(options: argparse.Namespace, profile: Profile, subject: Subject) -> Played:
    """Play exactly what `run` plays; the results are in the folder then."""
    rows = profile.select(load_scenarios(), subject.side)
    chosen = _selection(profile, subject, rows)
    code = run_matrix(_run_options(options, profile, chosen))
    results = options.out / RESULTS
    try:
        with resting_collector():
            records = list(read_records(results)) if results.is_file() else []
    except BadResults as error:
        raise CommandError(str(error)) from None
    missing = len(plan(rows, chosen)) - len(records)
    listing = digests.scenario_listing({row.path.absolute() for row in rows})
    return Played(code or (HARNESS_FELL_SHORT if missing else OK), records, missing, listing)


def _selection(profile: Profile, subject: Subject, rows: Sequence[LoadedScenario]) -> Selection:
    """The cells, with the reference on the other side: it has to be without a fault, for no other is certified."""
    is_client = subject.side == "client"
    return Selection(
        clients=(subject.name if is_client else "builtin",),
        brokers=("reference" if is_client else subject.name,),
        versions=profile.selects.mqtt,
        transports=profile.selects.transports,
        scenarios=tuple(row.name for row in rows),
        about=profile.selects.about,
    )


def _run_options(options: argparse.Namespace, profile: Profile, chosen: Selection) -> Iterator[str]:
    """As `run` takes them; whom it is about in the words it was named with."""
    broker = options.broker or chosen.brokers[0]
    yield from ("--client", options.client or chosen.clients[0], "--broker", broker)
    for option, values in (
        ("--mqtt", chosen.versions),
        ("--transport", chosen.transports),
        ("--scenario", chosen.scenarios),
        ("--statement", chosen.about.statements),
        ("--rule", chosen.about.rules),
        ("--known-failures", (options.known_failures,) if options.known_failures else ()),
        ("--network", (options.network,) if options.network else ()),
    ):
        for value in values:
            yield from (option, str(value))
    workers = options.n or (1 if broker_spec(broker).is_single else os.cpu_count() or 1)
    yield from ("-n", str(workers), "--out", str(options.out))
    if profile.selects.slow:
        yield "--slow"


def device_of(name: str, listen: str) -> Device:
    """A closed device from `NAME VERSION` and where it is told to connect to; raises CommandError."""
    try:
        listening = Address.parse(f"127.0.0.1:{listen}" if listen.isdigit() else listen)
    except ValueError as problem:
        raise CommandError(f"--listen: {problem}") from None
    called, _, version = name.partition(" ")
    return Device(called, version, listening)


def play_device(
    device: Device, profile: Profile, out: Path, say: Callable[[str], None], page_port: int, command: str
) -> Played:
    """Play the stages with the device and the person beside it, and write the reports."""
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    stages = profile.hands_off
    try:
        with Claim(out, command):
            records = run_hands_off(device, stages.stages, stages.patience, say, page_port)
            info = RunInfo(started_at, time.monotonic() - began, own_version(), command)
            write_all(records, out, info, sentences=sentences())
    except (CannotWrite, ListenFailed) as error:
        raise CommandError(str(error)) from None
    return Played(OK, records, 0, digests.listing({}))
