"""`mqtt-interop mutants`: play scenarios against wrong brokers and clients, and print who was caught by what.

Belongs here: the options and the exit code. Does not belong here: playing (`run`), counting (`table`).
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.judge import RULES
from interop.mutants.run import play_mutants
from interop.mutants.table import KillTable
from interop.mutants.tables import MUTANTS
from interop.scenario.load import load_scenarios


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop mutants`."""
    parser.epilog = "Exit code 0 when every mutant was caught, 1 otherwise."
    for option, what in (("--mutant", "mutant"), ("--scenario", "scenario")):
        parser.add_argument(
            option, action="append", default=[], metavar="PATTERN", help=f"{what} by name or shell pattern; repeatable"
        )
    parser.add_argument("--all", action="store_true", help="play each mutant against every scenario: takes long")
    parser.add_argument("--missing", action="store_true", help="print only what was not caught or not broken")
    parser.add_argument("--list", action="store_true", help="list the mutants and play nothing")
    parser.add_argument("-n", type=int, default=os.cpu_count() or 1, metavar="WORKERS", help="processes (%(default)s)")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="begin no cell after so long")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write kills.json there")


def run(options: argparse.Namespace) -> int:
    """Play and print; raises CommandError for patterns that fit nothing."""
    mutants = [MUTANTS[name] for name in _chosen(MUTANTS, options.mutant, "mutant")]
    if options.list:
        _print(f"{mutant.side}  {mutant.name}  ({', '.join(mutant.subjects)})" for mutant in mutants)
        return OK
    loaded = {each.name: each for each in load_scenarios(None)}
    scenarios = [loaded[name] for name in _chosen(loaded, options.scenario, "scenario")]
    if options.n < 1:
        raise CommandError(f"-n {options.n}: at least one process is needed")
    began = time.monotonic()
    played = play_mutants(
        mutants,
        scenarios,
        processes=min(options.n, len(mutants)),
        everything=options.all,
        limit_seconds=options.limit,
    )
    table = KillTable(
        tuple(mutant.name for mutant in mutants), tuple(each.name for each in scenarios), tuple(RULES), played.kills
    )
    _print(table.lines(missing_only=options.missing))
    _print(f"red for the right pair too: {cell}" for cell in played.red_anyway)
    _print(f"fell over: {crash}" for crash in played.crashes)
    late = f", {played.left_out} left out for want of time" if played.left_out else ""
    _print([f"{played.cells} cells in {time.monotonic() - began:.0f} s{late}"])
    if options.out is not None:
        _print([str(table.write(options.out))])
    return FELL_SHORT if table.survivors else OK


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
