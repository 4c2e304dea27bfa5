"""`mqtt-interop mutants`: play scenarios against wrong brokers and clients, and print who was caught by what.

Belongs here: the options, what a run is to show, the exit code.
Does not belong here: the trials (`plan`), playing (`run`), counting (`kill_table`).
"""

from __future__ import annotations

import argparse
import fnmatch
import math
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.judge import RULES
from interop.mutants import suite_command
from interop.mutants.kill_table import KillTable
from interop.mutants.mutant import Mutant
from interop.mutants.plan import in_turns, known_trials, worth_knowing, write_known
from interop.mutants.registry import MUTANTS
from interop.mutants.run import Played, Settled, play_trials
from interop.mutants.serving import serve
from interop.runner.about import About, UnknownSubject
from interop.scenario.load import LoadedScenario, load_scenarios
from interop.tap.network import BadNetwork, Network, network_of
from reports.claim import Claim
from reports.write import CannotWrite

_EPILOG = """\
Without patterns every mutant must be caught, every scenario and every rule of the judge broken. With --mutant these
must be caught, with --scenario, --statement or --rule (as in `run`) these scenarios be broken; with both, each is put
to each. A slow scenario is put only to the mutants that name it. Exit code 0 when nothing is missing, 1 otherwise."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop mutants`."""
    parser.epilog = _EPILOG
    for option, what in (("--mutant", "mutant"), ("--scenario", "scenario")):
        parser.add_argument(
            option, action="append", default=[], metavar="PATTERN", help=f"{what} by name or shell pattern; repeatable"
        )
    for option, what in (("--statement", "scenarios that cite it"), ("--rule", "scenarios that have to do with it")):
        parser.add_argument(option, action="append", default=[], metavar="NAME", help=f"{what}; repeatable")
    parser.add_argument("--all", action="store_true", help="play every trial there is, known or not: takes hours")
    parser.add_argument("--missing", action="store_true", help="print only what was not caught or not broken")
    parser.add_argument("--list", action="store_true", help="list the mutants and play nothing")
    parser.add_argument("-n", type=int, default=os.cpu_count() or 1, metavar="WORKERS", help="processes (%(default)s)")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="a sample: each K-th of these mutants")
    parser.add_argument("--network", metavar="TEXT", help="play behind a worse network, as in `run`")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="begin no cell after so long")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write kills.txt and kills.json there")
    parser.add_argument("--serve", metavar="NAME", help="be this mutant until a signal comes, and play nothing")
    parser.add_argument(
        "--port", type=int, metavar="N", help="where a served broker listens (1883), or a served client connects to"
    )
    suite_command.add_options(parser)
    parser.add_argument("--remember", action="store_true", help="keep in known.csv what this run found")


@dataclass(frozen=True, slots=True)
class _Aim:
    """The mutants and scenarios to play, and whether they were picked."""

    mutants: tuple[Mutant, ...]
    scenarios: tuple[LoadedScenario, ...]
    picked_mutants: bool
    picked_scenarios: bool

    @property
    def is_complete(self) -> bool:
        """Whether it is everything there is."""
        return not (self.picked_mutants or self.picked_scenarios)

    def table(self, played: Played) -> KillTable:
        """What was played, beside what there should be a kill for."""
        mutants = tuple(each.name for each in self.mutants)
        scenarios = tuple(each.name for each in self.scenarios)
        return KillTable(
            mutants if self.picked_mutants or not self.picked_scenarios else (),
            scenarios if not self.picked_mutants else (),
            tuple(RULES) if self.is_complete else (),
            played.kills,
        )

    def settled(self, played: Played) -> Settled:
        """What needs no search after these kills."""
        table = self.table(played)
        return Settled(
            frozenset({each.name for each in self.mutants} - set(table.survivors)),
            frozenset({each.name for each in self.scenarios} - set(table.unbroken_scenarios)),
        )


def run(options: argparse.Namespace) -> int:
    """Play and print; raises CommandError for patterns that fit nothing."""
    if options.serve is not None:
        serve(options.serve, options.port, lambda line: _print([line]))
        return OK
    if options.n < 1:
        raise CommandError(f"-n {options.n}: at least one process is needed")
    if options.every < 1:
        raise CommandError(f"--every {options.every}: at least 1")
    if options.suite is not None:
        return suite_command.run(options, _mutants(options))
    aim = _aim(options)
    if options.list:
        _print(f"{each.side}  {each.name}  ({', '.join(each.subjects)})" for each in aim.mutants)
        return OK
    if options.remember and not aim.is_complete:
        raise CommandError("--remember needs a complete run, without --mutant, --scenario, --statement and --rule")
    if options.out is None:
        return _run(aim, options)
    try:
        with Claim(options.out, " ".join(["mqtt-interop", *sys.argv[1:]])):
            return _run(aim, options)
    except CannotWrite as error:
        raise CommandError(str(error)) from None


def _run(aim: _Aim, options: argparse.Namespace) -> int:
    began = time.monotonic()
    played = _play(aim, options, math.inf if options.limit is None else began + options.limit)
    table = aim.table(played)
    if not options.missing:
        _print(table.lines())
    _print(table.missing())
    _print(f"red for the right pair too: {cell}" for cell in played.red_anyway)
    _print(f"fell over: {crash}" for crash in played.crashes)
    late = f", {played.left_out} left out for want of time" if played.left_out else ""
    _print([table.summary(), f"{played.cells} cells in {time.monotonic() - began:.0f} s{late}"])
    if options.out is not None:
        _print(str(path) for path in table.write(options.out))
    if played.interrupted:
        raise CommandError("interrupted: what was not played by then is counted as missing")
    if options.remember:
        write_known(worth_knowing(played.kills))
    return OK if table.is_complete else FELL_SHORT


def _aim(options: argparse.Namespace) -> _Aim:
    loaded = {each.name: each for each in _about(options).rows(load_scenarios(None))}
    if not loaded:
        raise CommandError("no scenario cites that (`mqtt-interop coverage` says what is cited)")
    return _Aim(
        _mutants(options),
        tuple(loaded[name] for name in _chosen(loaded, options.scenario, "scenario")),
        bool(options.mutant) or options.every > 1,
        bool(options.scenario or options.statement or options.rule),
    )


def _about(options: argparse.Namespace) -> About:
    try:
        return About(tuple(options.statement), tuple(options.rule))
    except UnknownSubject as error:
        raise CommandError(str(error)) from None


def _mutants(options: argparse.Namespace) -> tuple[Mutant, ...]:
    return tuple(MUTANTS[name] for name in _chosen(MUTANTS, options.mutant, "mutant"))[:: options.every]


def _play(aim: _Aim, options: argparse.Namespace, until: float) -> Played:
    network = _network(options)
    if options.all or (aim.picked_mutants and aim.picked_scenarios):
        trials = in_turns(aim.mutants, aim.scenarios, everything=True)
        return play_trials(trials, processes=options.n, until=until, network=network)
    known = known_trials({each.name for each in aim.mutants}, {each.name: each for each in aim.scenarios})
    played = play_trials(known, processes=options.n, until=until, network=network)
    if played.interrupted:
        return played
    search = in_turns(aim.mutants, aim.scenarios, everything=False)
    found = play_trials(search, processes=options.n, settled=aim.settled(played), until=until, network=network)
    if found.interrupted:
        return played + found
    again = play_trials((kill.trial for kill in found.kills), processes=options.n, network=network)
    return played + replace(found, kills=()) + again  # a search is a crowd: who was red in it only came too late


def _network(options: argparse.Namespace) -> Network:
    try:
        return network_of(options.network)
    except BadNetwork as error:
        raise CommandError(str(error)) from None


def _chosen(names: Iterable[str], patterns: Sequence[str], what: str) -> list[str]:
    known = list(names)
    for pattern in patterns:
        if not fnmatch.filter(known, pattern) and pattern not in known:
            raise CommandError(f"no {what} fits {pattern!r}; see `mqtt-interop mutants --list`, `list scenarios`")
    return [
        name
        for name in known
        if not patterns or any(name == each or fnmatch.fnmatchcase(name, each) for each in patterns)
    ]


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
