"""The matrix as pytest tests: options, one test per cell, its outcome, the live table, the reports at the end.

Belongs here: the options, and what is wrong with them in one line each.
Does not belong here: the two roles (`controller`, `worker`), handing out shares (`schedule`), playing (`engine`).

Roles: the *controller* shows the table and writes the reports; *workers* play cells. Without pytest-xdist one process
is both. A record is kept on disk the moment its cell is over, so that an interrupted run loses none; what could not be
kept is handed to the controller in the end.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import get_args

import pytest

from interop import subjects
from interop.brokers.broker import BrokerFault
from interop.brokers.profiled import ProfiledSpec
from interop.brokers.registry import PROFILE_PREFIX, broker_names, broker_spec, shown_name
from interop.drivers.choice import Choice, UnusableClient, chosen_clients
from interop.drivers.registry import COMMAND_PREFIX, DriverStarter, UnknownDriver
from interop.exit_codes import HARNESS_FELL_SHORT, NOTHING_RAN
from interop.runner.about import About, UnknownSubject
from interop.runner.cell import DEFAULT_BROKERS, DEFAULT_CLIENTS, BadCells, Selection, named_cells, plan
from interop.runner.known_failures import BadKnownFailures, load_known_failures
from interop.runner.loops import DEFAULT_LOOP, LOOPS, LoopNotThere, loop_factory
from interop.runner.preflight import ask_brokers, doubts_about
from interop.runner.shards import BadShard, Shard
from interop.runner.worker import ABSENT, CLIENTS, KINDS, Worker, marks_of
from interop.scenario.lint import lint
from interop.scenario.load import load_scenarios
from interop.scenario.problems import ScenarioError, closest
from interop.scenario.values import MqttLabel, TransportName
from interop.tap.network import BadNetwork, network_of
from reports.resting import resting_collector
from reports.write import CannotWrite

DEFAULT_OUT = Path("compat")


# --- options ----------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the matrix; each that takes a name may be repeated or take a list with commas."""
    group = parser.getgroup("mqtt-interop", "MQTT compatibility matrix")

    def several(option: str, text: str) -> None:
        group.addoption(option, action="append", default=[], metavar="NAME", help=text)

    several(
        "--client",
        f"{subjects.CLIENT} ({', '.join(DEFAULT_CLIENTS)})",
    )
    several(
        "--broker",
        f"{subjects.BROKER} ({', '.join(DEFAULT_BROKERS)})",
    )
    group.addoption(
        "--broker-profile", action="append", default=[], metavar="FILE",
        help="a broker by the file it speaks for itself in: addresses, versions, login, what it lacks",
    )  # fmt: skip
    several("--mqtt", "protocol version: 3.1, 3.1.1, 5.0 (all)")
    several("--transport", "tcp, tls, ws, wss (those each scenario names)")
    several("--scenario", "scenario by name or shell pattern, e.g. qos2/* (all)")
    several("--statement", "cells that cite this statement, e.g. MQTT-4.3.3-10 or 5.0:MQTT-4.3.3-10")
    several("--rule", "cells that cite a statement this rule of the judge can find broken")
    group.addoption("--cells", type=Path, metavar="FILE", help="only cells whose ids stand in this file, one a line")
    group.addoption(
        "--shard", metavar="I/N", help="part I of N of what is selected, split by expected seconds; then merge"
    )
    group.addoption("--slow", action="store_true", help="slow scenarios, too; -m slow plays them alone")
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
        "--network",
        metavar="TEXT",
        help="play behind a worse network, e.g. 'delay=50ms jitter=20ms'; also to-subscriber=40ms, pieces=1, gather, "
        "answers=together, seed=1",
    )
    group.addoption(
        "--known-failures", type=Path, metavar="FILE", help="list of expected failures (the one that ships)"
    )
    group.addoption(
        "--write-known-failures", type=Path, metavar="FILE",
        help="write the list by which this run would be as expected: the one in use, and an entry for what is new",
    )  # fmt: skip
    group.addoption("--strict-known", action="store_true", help="fail where a known failure does not show any more")
    group.addoption(
        "--out", type=Path, default=DEFAULT_OUT, metavar="FOLDER", help=f"where the reports go ({DEFAULT_OUT})"
    )


def _names(config: pytest.Config, option: str) -> tuple[str, ...]:
    return tuple(name for given in config.getoption(option) for name in given.split(",") if name)


def _brokers(config: pytest.Config) -> tuple[str, ...]:
    """The brokers as they were named, which nobody but `broker_spec` may see."""
    profiles = tuple(f"{PROFILE_PREFIX}{file}" for file in config.getoption("--broker-profile"))
    return (*broker_names(config.getoption("--broker")), *profiles) or DEFAULT_BROKERS


def _clients(config: pytest.Config) -> tuple[str, ...]:
    """The clients as they were named, which may be the command lines of adapters: these may have commas."""
    named = list[str]()
    for given in config.getoption("--client"):
        before, command, line = given.partition(COMMAND_PREFIX)
        *names, last = before.split(",")
        named += [*names, f"{last}{command}{line}"]
    return tuple(filter(None, named)) or DEFAULT_CLIENTS


def _selection(config: pytest.Config, clients: Mapping[str, str]) -> Selection:
    return Selection(
        clients=tuple(clients),
        adapters={name: adapter for name, adapter in clients.items() if adapter != name},
        brokers=tuple(map(shown_name, _brokers(config))),
        profiles={
            shown_name(name): name.removeprefix(PROFILE_PREFIX)
            for name in _brokers(config)
            if name.startswith(PROFILE_PREFIX)
        },
        versions=_names(config, "--mqtt"),
        transports=_names(config, "--transport"),
        scenarios=_names(config, "--scenario"),
        about=About(_names(config, "--statement"), _names(config, "--rule")),
        cells=named_cells(file) if (file := config.getoption("--cells")) is not None else None,
    )


# --- set-up -----------------------------------------------------------------------------------------------------------

_CELLS_FOR_ALL_PROCESSORS = 150
"""From so many on, what they take less with all processors is more than starting workers takes."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's, which starts as many as there are to be
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Where there is much to play, have all processors play it, unless it was said how many are to."""
    options = config.option
    if hasattr(config, "workerinput") or getattr(options, "numprocesses", 0) is not None or options.dist != "no":
        return
    looks_on = options.usepdb or options.capture == "no"
    plays = not (options.collectonly or options.help or options.markers)
    if plays and not looks_on and (os.cpu_count() or 1) > 1 and _is_much(config):
        options.numprocesses = "auto"


def _is_much(config: pytest.Config) -> bool:
    """Whether many cells are selected and several workers may play them; what is wrong with options is said later."""
    try:
        if any(ProfiledSpec(Path(file)).is_single for file in config.getoption("--broker-profile")):
            return False
        scenarios = load_scenarios(config.getoption("--scenarios"), _names(config, "--scenario"))
        selection = _selection(config, {name: name for name in _clients(config)})
        return len(plan(scenarios, selection)) >= _CELLS_FOR_ALL_PROCESSORS
    except _USERS_MISTAKES:
        return False


def pytest_configure(config: pytest.Config) -> None:
    """Read scenarios and lists; what is wrong with them ends the run with one line each."""
    if config.option.help or config.option.markers:
        return
    is_worker = hasattr(config, "workerinput")
    try:
        if is_worker:
            clients = config.workerinput[CLIENTS]  # type: ignore[attr-defined]  # pytest-xdist's
        else:
            _check_names(config)
            if config.getoption("--shard"):
                Shard.of(config.getoption("--shard"))
            network_of(config.getoption("--network"))
            clients = asyncio.run(chosen_clients(_clients(config)))
        selection = _selection(config, clients)
        drivers = DriverStarter(selection.adapters)
        plays = is_worker or config.getoption("dist", "no") == "no"
        if plays and not config.option.collectonly:
            config.add_cleanup(drivers.abandon_unused)
            drivers.load_ahead(clients)  # by the time we know what to play, they are there
        scenarios = load_scenarios(config.getoption("--scenarios"), _names(config, "--scenario"))
        known_failures = load_known_failures(
            config.getoption("--known-failures"),
            profiles=selection.profiles,
            clients=clients,
            brokers=selection.brokers,
        )
        cells = plan(scenarios, selection)
        if not is_worker and (problems := lint(scenarios)):
            raise ScenarioError(problems)
        if not cells:
            pytest.exit(f"nothing to play: no scenario fits {_said(selection)}", NOTHING_RAN)
        folder = config.getoption("--out").absolute()
        named = {shown_name(name): name for name in _brokers(config)}
        for mark in sorted({*KINDS, *(mark for cell in cells for mark in marks_of(cell))}):
            config.addinivalue_line("markers", f"{mark}: cells of the matrix that have to do with {mark}")
        _check_expressions(config)
        if is_worker:
            absent = config.workerinput[ABSENT]  # type: ignore[attr-defined]  # pytest-xdist's
        else:
            from interop.runner.controller import Controller  # noqa: PLC0415  # a worker does without its reports

            absent = {} if config.option.collectonly else ask_brokers(cells, named)
            doubts = [] if config.option.collectonly else doubts_about(selection.profiles.values())
            controller = Controller(config, cells, folder, named, absent, clients, doubts)
            config.pluginmanager.register(controller, "mqtt-interop-controller")
        if plays:
            worker = Worker(config, cells, known_failures, folder, named, absent, drivers)
            config.pluginmanager.register(worker, "mqtt-interop-worker")
    except _USERS_MISTAKES as error:
        pytest.exit(str(error), returncode=HARNESS_FELL_SHORT)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Tests stay to the end, scenarios with them: looking among them for what does not takes a third of the time."""
    with resting_collector():
        return (yield)


class UnknownChoice(Exception):
    """An option names something there is none of; the message lists what there is."""


_USERS_MISTAKES = (
    ScenarioError, BadKnownFailures, BrokerFault, UnknownDriver, UnusableClient, CannotWrite, UnknownChoice,
    LoopNotThere, BadNetwork, BadShard, BadCells, UnknownSubject,
)  # fmt: skip


def _said(selection: Selection) -> str:
    given = {
        "--scenario": selection.scenarios,
        "--statement": selection.about.statements,
        "--rule": selection.about.rules,
        "--mqtt": selection.versions,
        "--transport": selection.transports,
    }
    said = [f"{option} {','.join(names)}" for option, names in given.items() if names]
    return " ".join([*said, *["--cells"] * (selection.cells is not None)]) or "the selection"


def _check_expressions(config: pytest.Config) -> None:
    """Before a run has its folder: what pytest finds wrong with them later costs the reports of the run before."""
    markers = {re.split(r"[:(]", line)[0].strip() for line in config.getini("markers")}
    names = set(re.findall(r"\w+", re.sub(r"\([^()]*=[^()]*\)", "", config.option.markexpr or "")))
    for name in sorted(names - markers - {"and", "or", "not"}):
        close = closest(name, markers)
        guess = f"; did you mean {close}?" if close else ""
        text = config.option.markexpr
        raise UnknownChoice(f"-m {text!r}: there is no marker {name}{guess} (`pytest --markers` has them all)")
    pytests_own = config.pluginmanager.get_plugin("mark")
    assert pytests_own is not None
    try:
        pytests_own.pytest_collection_modifyitems(items=[], config=config)
    except pytest.UsageError as error:
        raise UnknownChoice(str(error)) from None


_CHOICES = {"--mqtt": get_args(MqttLabel), "--transport": get_args(TransportName)}


def _check_names(config: pytest.Config) -> None:
    for option, choices in _CHOICES.items():
        for name in _names(config, option):
            if name not in choices:
                raise UnknownChoice(f"{option} {name}: expected one of {', '.join(choices)}")
    if config.getoption("--loop") != DEFAULT_LOOP:  # which is there, and takes long to load
        loop_factory(config.getoption("--loop"))
    for text in _clients(config):
        Choice.of(text)
    brokers = _brokers(config)
    workers = len(config.getoption("tx", None) or [])
    for name in brokers:
        if broker_spec(name).is_single and workers > 1:
            raise UnknownChoice(
                f"{shown_name(name)}: cells have it to themselves, as its profile says (alone), so one worker has to "
                "play them: leave -n out, or say -n 1"
            )
    for name, count in Counter(map(shown_name, brokers)).items():
        if count > 1:
            raise UnknownChoice(
                f"--broker {name}: named {count} times, with different logins perhaps; play each by itself"
            )
