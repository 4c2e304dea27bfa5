"""Plays one cell from its first connection to its record.

Belongs here: setting the stage, the run of the steps, the end, and the record.
Does not belong here: what a verb does (`act`, `fault`, `observe`), how cells share a worker (`engine`).
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from interop.brokers.broker import BrokerFault, BrokerNotThere, BrokerSpec, RunningBroker
from interop.drivers.driver import Driver, DriverFault
from interop.drivers.pool import DriverPool
from interop.installed import environment
from interop.judge import judge
from interop.judge.evidence import statements_shown
from interop.judge.view import BROKER, CLIENT, Case
from interop.runner.able import check_broker_can, check_client_can
from interop.runner.act import ACTS
from interop.runner.adapters import Adapters
from interop.runner.again import Played
from interop.runner.busy import NO_LAG, Heartbeat, Lag
from interop.runner.cell import Cell
from interop.runner.failures import BrokerGone, RunIsOver, SetupFailed, StepFailed, Unsupported
from interop.runner.fault import FAULTS
from interop.runner.known_failures import KnownFailures, explanation
from interop.runner.loops import DEFAULT_LOOP
from interop.runner.matching import shown_payload
from interop.runner.names import Names
from interop.runner.observe import OBSERVATIONS
from interop.runner.pace import Pace, Slots
from interop.runner.player import Player
from interop.runner.preflight import Absences
from interop.runner.presence import Presence, check_presence, last_heard
from interop.runner.reliance import rely_on_acknowledgements, rely_on_faults
from interop.runner.repeats import who_repeats
from interop.runner.secrets import Secret
from interop.runner.stage import GRACE_SECONDS, Stage
from interop.runner.tracing import kept
from interop.runner.verdict import (
    REFERENCE_CLIENT,
    Blame,
    Outcome,
    is_about_the_other_side,
    judge_finding,
    step_finding,
    step_rule,
    weigh,
)
from interop.scenario.steps import AnyStep, Observation
from interop.scenario.values import Side
from interop.tap.link import Link
from interop.tap.network import LOOPBACK, Network
from interop.tap.trace import Trace
from reference_broker.net.address import Transport
from reference_broker.net.tls import TestCertificates
from reference_broker.wire.types import Version
from reports.record import Finding, Record, StepResult, Verdict


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the cells of one worker share."""

    drivers: DriverPool
    brokers: dict[str, BrokerSpec]
    known_failures: KnownFailures
    certificates: Callable[[], TestCertificates]
    slots: Slots
    loop: str = DEFAULT_LOOP
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    absences: Absences = field(default_factory=Absences)
    presence: Presence = field(default_factory=Presence)
    adapters: Adapters = field(default_factory=Adapters)
    network: Network = LOOPBACK

    @property
    def over(self) -> RunIsOver | None:
        """Why no more cells need be played, if so."""
        return self.presence.over or self.adapters.over

    def round_trip_seconds(self, cell: Cell) -> float:
        """How long a request of the cell and its answer are under way."""
        return self.network.round_trip_seconds + self.brokers[cell.broker].round_trip_seconds


@dataclass(slots=True)
class Notes:
    """What is gathered while a cell is played; nothing of it is lost when the cell breaks off."""

    steps: list[StepResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    implementations: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    judged: dict[Side, tuple[str, ...]] = field(default_factory=dict)
    early_end: Outcome | None = None
    unheld: list[str] = field(default_factory=list)
    """The steps that kept the cell from its start: what they expected is not what is put to the test."""
    excused: list[str] | None = None
    """The rules that are broken where nothing is held against anybody; a list may say that it is known."""

    @property
    def ran(self) -> set[int]:
        """The 0-based places of the steps that were carried out."""
        return {step.number - 1 for step in self.steps if step.status in ("passed", "failed")}


async def play(cell: Cell, workshop: Workshop, begin: Callable[[Cell], None] | None = None) -> Record:
    """Play a cell and give its record; whatever happens, there is one. `begin` is told when its turn comes."""
    return (await play_watched(cell, workshop, begin)).record


async def play_watched(cell: Cell, workshop: Workshop, begin: Callable[[Cell], None] | None = None) -> Played:
    """As `play`, and how late the worker ran meanwhile."""
    round_trip_seconds = workshop.round_trip_seconds(cell)
    scenario = cell.loaded.scenario
    alone = scenario.slow or (scenario.own_broker and workshop.brokers[cell.broker].is_single)
    pace = Pace(workshop.slots, cell.expected_wait_seconds, round_trip_seconds, alone=alone)
    trace = Trace(pace.now)
    notes = Notes()
    async with pace.working():
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        if begin is not None:
            begin(cell)
        began, lag = workshop.heartbeat.moment(), None
        broken: DriverFault | None = None
        try:
            async with asyncio.timeout(cell.limit_seconds):
                await _play_on_stage(cell, workshop, Stage(cell, Names(), pace, trace), notes)
        except Unsupported as reason:
            notes.early_end = Outcome(Verdict.UNSUPPORTED, str(reason), cell.clause.cites, "none")
        except BrokerGone as gone:
            _give_up_on(gone, notes)
            lag = NO_LAG  # playing it again would not bring the broker back
            if gone.for_good:
                workshop.presence.missed(cell.broker, began.at, str(gone))
        except (SetupFailed, BrokerFault) as failure:
            notes.early_end = _failed_setup(cell, notes, str(failure))
            if isinstance(failure, BrokerNotThere) and not cell.is_alone:
                workshop.presence.missed(cell.broker, began.at, str(failure))
        except DriverFault as fault:
            broken = fault
            _hold_against_nobody(notes, "the adapter broke")
            notes.log.append(fault.log)
            notes.early_end = Outcome(Verdict.HARNESS_ERROR, f"adapter of {cell.client}: {fault}", (), "none")
        except TimeoutError:
            reason_text = f"the cell did not end within {cell.limit_seconds:g} s"
            notes.early_end = Outcome(Verdict.HARNESS_ERROR, reason_text, (), "none")
        except Exception as error:  # a bug of ours must cost one cell, not the run
            notes.log.append(traceback.format_exc())
            notes.early_end = Outcome(Verdict.HARNESS_ERROR, f"{type(error).__name__}: {error}", (), "none")
        workshop.adapters.seen(cell.client, broken, said_hello="client" in notes.implementations)
        lag = lag or workshop.heartbeat.since(began)
        return Played(_record(cell, workshop, pace, trace, notes, started_at, lag), lag)


def _failed_setup(cell: Cell, notes: Notes, why: str) -> Outcome:
    """What a cell comes to that never began: where a MUST was broken on the way, that is said, and who broke it."""
    if all(finding.level != "must" for finding in notes.findings):
        notes.excused = [finding.rule for finding in notes.findings] + notes.unheld or None
        return Outcome(Verdict.SETUP_FAILED, why, cell.clause.cites, "unknown")
    notes.log.append(f"not brought to its start: {why}")
    return weigh(cell, notes.findings)


def _give_up_on(gone: BrokerGone, notes: Notes) -> None:
    """Hold nothing against anybody: what a broker that is gone did not do is no finding."""
    blame: Blame = "broker" if gone.died_alone else "unknown"
    if not gone.for_good:
        notes.excused = [finding.rule for finding in notes.findings] + notes.unheld
    _hold_against_nobody(notes, "the broker is gone")
    notes.early_end = Outcome(Verdict.SETUP_FAILED, str(gone), (), blame)


def _hold_against_nobody(notes: Notes, why: str) -> None:
    notes.log += [f"held against nobody, as {why}: {finding.message}" for finding in notes.findings]
    notes.findings, notes.judged = [], {}


async def _play_on_stage(cell: Cell, workshop: Workshop, stage: Stage, notes: Notes) -> None:
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(_running_broker(cell, workshop, notes))
        stage.broker = broker
        stage.login = workshop.brokers[cell.broker].login
        for name, actor in cell.loaded.scenario.actors.items():
            client = cell.client if not stage.players else REFERENCE_CLIENT
            driver = await workshop.drivers.acquire(client)
            stack.push_async_callback(workshop.drivers.release, driver)
            player = Player(name, actor, driver, stage.pace, stage.changed.set, cell.limit_seconds)
            stack.push_async_callback(player.close)
            if not stage.players:
                notes.implementations |= {"client": _shown(cell, driver)}
                check_client_can(cell, player.driver.hello, player.name)
            stage.players[name] = player
            link = Link(
                name,
                upstream=broker.address(Transport(cell.transport)),
                version=Version.from_label(cell.mqtt_of(name)),
                trace=stage.trace,
                server_tls=workshop.certificates() if Transport(cell.transport).is_encrypted else None,
                network=workshop.network,
                journey=cell.id,
            )
            stack.push_async_callback(link.close)
            stage.links[name] = link
        try:
            await _run_to_the_end(cell, workshop, stage, notes)
        finally:
            notes.log += [
                f"[{name}]\n{player.driver.log}" for name, player in stage.players.items() if player.driver.log
            ]
            notes.log += [f"[broker]\n{broker.log}"] if broker.log else []


def _shown(cell: Cell, driver: Driver) -> str:
    """The client with its version: by the name it was given, too, where it has another of its own."""
    said = f"{driver.hello.client} {driver.hello.version}"
    if cell.adapter and cell.client != driver.hello.client:
        said = f"{cell.client} ({said})"
    return f"{said}, {driver.made_of}" if driver.made_of else said


async def _run_to_the_end(cell: Cell, workshop: Workshop, stage: Stage, notes: Notes) -> None:
    """The steps, the judge, and whether broker and adapters were there for both.

    Raises SetupFailed, BrokerGone or DriverFault.
    """
    failure: SetupFailed | None = None
    try:
        await _run_steps(cell, stage, notes)
    except SetupFailed as problem:
        failure = problem
    _judge(cell, stage, notes)  # what kept it from its start may be named
    if failure or notes.findings:
        for player in stage.players.values():
            await player.check_adapter()
    if (heard := last_heard(stage.trace)) is not None:
        workshop.presence.heard(cell.broker, time.monotonic() - stage.pace.now() + heard)
    await check_presence(cell, stage, is_bad=bool(failure or notes.findings))
    if failure is not None:
        raise failure


def _judge(cell: Cell, stage: Stage, notes: Notes) -> None:
    """Hold the whole trace against all rules, and note what it is evidence for: of the client, only its own packets."""
    until = stage.pace.now()
    broken = judge(
        stage.trace,
        stage.version,
        until=until,
        asked=stage.version_asked,
        round_trip_seconds=stage.pace.round_trip_seconds,
    )
    notes.findings += map(judge_finding, broken)
    own = () if cell.loaded.scenario.any_client else (next(iter(stage.players)),)
    case = Case(list(stage.trace), stage.version)
    notes.judged = {"client": statements_shown(case, CLIENT, own), "broker": statements_shown(case, BROKER)}


@asynccontextmanager
async def _running_broker(cell: Cell, workshop: Workshop, notes: Notes) -> AsyncIterator[RunningBroker]:
    spec = workshop.brokers[cell.broker]
    scenario = cell.loaded.scenario
    check_broker_can(cell, spec)
    settings, transport = dict(scenario.broker), Transport(cell.transport)
    if scenario.own_broker:
        broker = await spec.start_own(settings, transport=transport, persistent=scenario.is_restarted())
    else:
        broker = await spec.start(settings, transport=transport)
    notes.implementations["broker"] = f"{broker.name} {broker.version}"
    try:
        if spec.shared and not cell.is_alone:  # its settings might be in the way
            await workshop.absences.learn(cell, spec, broker)
        if why := workshop.absences.why(cell):
            raise Unsupported(why)
        yield broker
    finally:
        await broker.stop()


# --- steps ------------------------------------------------------------------------------------------------------------


async def _run_steps(cell: Cell, stage: Stage, notes: Notes) -> None:
    chosen = dict(cell.steps())
    failed = False
    for place, text in enumerate(cell.loaded.step_texts):
        line = cell.loaded.step_lines[place]
        number = place + 1
        if place not in chosen:
            notes.steps.append(StepResult(number=number, text=text, line=line, status="skipped"))
        elif failed:
            notes.steps.append(StepResult(number=number, text=text, line=line, status="not-run"))
        else:
            failed = not await _run_step(cell, stage, notes, chosen[place], number)
    if not failed:
        await _check_the_end(cell, stage, notes)


async def _run_step(cell: Cell, stage: Stage, notes: Notes, step: AnyStep, number: int) -> bool:
    began = stage.pace.now()
    window, observed_at, status = None, None, "failed"
    try:
        await rely_on_faults(stage, step)
        await rely_on_acknowledgements(stage, step)
        if isinstance(step, Observation):
            observed = await OBSERVATIONS[type(step)](stage, step)
            window, observed_at = (observed.after, observed.within), observed.at
        else:
            stage.begin_action()
            await (ACTS | FAULTS)[type(step)](stage, step)
        status = "passed"
    except StepFailed as failure:
        if is_about_the_other_side(cell, failure):
            notes.unheld.append(step_rule(step))
            raise SetupFailed(f"{failure} (the {failure.by}'s own doing)") from failure
        notes.findings.append(step_finding(cell, step, number, failure))
    except SetupFailed:
        notes.unheld.append(step_rule(step))
        raise
    finally:
        loaded = cell.loaded
        notes.steps.append(
            StepResult(
                number=number,
                text=loaded.step_texts[number - 1],
                line=loaded.step_lines[number - 1],
                status="passed" if status == "passed" else "failed",
                at=round(began, 4),
                seconds=round(stage.pace.now() - began, 4),
                window=window,
                observed_at=None if observed_at is None else round(observed_at, 4),
            )
        )
    return status == "passed"


_UNEXPECTED = "unexpected-message"
"""The rule that is broken by a message which no step expected."""


async def _check_the_end(cell: Cell, stage: Stage, notes: Notes) -> None:
    """Everything an actor receives must have been expected."""
    await rely_on_faults(stage, None)
    await stage.quiet_until(stage.pace.now() + GRACE_SECONDS)
    last = cell.loaded.scenario.steps[-1]
    for player in stage.players.values():
        if (message := player.inbox.oldest()) is not None:
            what = f"{shown_payload(message.event.payload)} on {stage.names.relative(message.event.topic)!r}"
            by = who_repeats(stage, player, message.event)
            failure = StepFailed(f"no further message for {player.name}", f"it got {what}", by=by)
            if is_about_the_other_side(cell, failure):
                notes.unheld.append(_UNEXPECTED)
                raise SetupFailed(f"{failure} (the {failure.by}'s own doing)")
            finding = step_finding(cell, last, len(cell.loaded.step_texts), failure)
            notes.findings.append(finding.model_copy(update={"rule": _UNEXPECTED, "step": None}))


# --- the record -------------------------------------------------------------------------------------------------------


def _record(
    cell: Cell, workshop: Workshop, pace: Pace, trace: Trace, notes: Notes, started_at: str, lag: Lag
) -> Record:
    outcome = notes.early_end or weigh(cell, notes.findings)
    known = workshop.known_failures.entry_for(cell, notes.implementations)
    is_held = outcome.verdict in {Verdict.FAIL, Verdict.WARN}
    wrong = [finding.rule for finding in notes.findings] if is_held else notes.excused
    log = "\n".join(notes.log)
    explained = (
        None if wrong is None else workshop.known_failures.entry_that_explains(cell, notes.implementations, wrong, log)
    )
    loaded = cell.loaded
    spec = workshop.brokers[cell.broker]
    secret = Secret(spec.login) if spec.login_is_secret and spec.login is not None else None
    seconds = pace.now()
    is_ambiguous = explained is not None and explained.kind == "ambiguous"
    found = (
        [each.model_copy(update={"blame": "unknown"}) for each in notes.findings] if is_ambiguous else notes.findings
    )
    shown, findings = kept(trace.entries, found, *([] if secret is None else [secret.entry]))
    record = Record(
        scenario=loaded.name,
        title=loaded.scenario.title,
        about=loaded.scenario.about,
        file=loaded.shown_file,
        area=loaded.area,
        client=cell.client,
        broker=cell.broker,
        mqtt=cell.mqtt,
        transport=cell.transport,
        verdict=outcome.verdict,
        reason=outcome.reason,
        cites=outcome.cites,
        covered={} if notes.early_end else loaded.scenario.covers(cell.mqtt, notes.ran),
        judged=notes.judged,
        level=cell.clause.level.value,
        blame="none" if is_ambiguous else outcome.blame,
        seconds=round(seconds, 4),
        waiting_seconds=round(pace.waiting_seconds, 4),
        overhead_seconds=round(max(0.0, seconds - pace.waiting_seconds), 4),
        lag_seconds=round(lag.worst_seconds, 4),
        cpu_pressure=round(lag.pressed, 3),
        started_at=started_at,
        findings=findings,
        steps=tuple(notes.steps),
        trace=shown,
        known_failure=explanation(explained) if explained else None,
        unexpected_pass=known is not None and outcome.verdict is Verdict.PASS,
        implementations=notes.implementations | _HARNESS,
        log=log,
        network=str(workshop.network),
        rerun=_rerun(cell, workshop),
    )
    return record if secret is None else _without(secret, record)


def _rerun(cell: Cell, workshop: Workshop) -> str:
    """The command that plays the cell again as it was played."""
    loop = [] if workshop.loop == DEFAULT_LOOP else ["--loop", workshop.loop]
    network = ["--network", str(workshop.network)] if workshop.network != LOOPBACK else []
    return cell.rerun_with(*loop, *network)


def _without(secret: Secret, record: Record) -> Record:
    """The record with nothing in it that others said of a secret."""
    hide = secret.text
    findings = tuple(
        each.model_copy(update={name: hide(getattr(each, name)) for name in ("message", "expected", "observed")})
        for each in record.findings
    )
    said = {"reason": hide(record.reason), "log": hide(record.log), "findings": findings}
    told = {name: hide(version) for name, version in record.implementations.items()}
    return record.model_copy(update=said | {"implementations": told})


_HARNESS = environment()
