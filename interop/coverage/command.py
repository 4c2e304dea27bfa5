"""`mqtt-interop coverage`: which statements there is evidence for, and which there is none for.

Belongs here: options and the printed table. Does not belong here: what counts as evidence (`coverage`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from interop.coverage.coverage import Evidence, coverage, declared, ran
from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.scenario.load import load_scenarios
from interop.scenario.values import MqttLabel, Side
from reports.coverage import StatementLine, by_side
from reports.record import BadResults, merge_records
from reports.resting import resting_collector

_RESULTS = Path("compat/results.jsonl")
_CORPUS = Path("compat/corpus/results.jsonl")
_SHOWN = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `coverage`."""
    parser.add_argument(
        "results",
        nargs="*",
        type=Path,
        metavar="RESULTS",
        help=f"results.jsonl of one or more runs ({_RESULTS} and, if it is there, {_CORPUS})",
    )
    parser.add_argument("--mqtt", choices=get_args(MqttLabel), help="only this version")
    parser.add_argument("--role", choices=get_args(Side), help="only statements about this side")
    parser.add_argument("--missing", action="store_true", help="only what nothing covers; exit code 1 if there is any")
    parser.add_argument("--declared", action="store_true", help="what scenarios cite, without asking whether they ran")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print the table; with `--missing`, 1 when something is missing."""
    lines = [
        line
        for line in coverage(declared(load_scenarios()) if options.declared else _evidence(options.results))
        if options.mqtt in (None, line.mqtt) and options.role in (None, line.side)
    ]
    shown = [line for line in lines if line.standing == "missing"] if options.missing else lines
    write = sys.stdout.write
    if options.json:
        write(json.dumps([asdict(line) for line in shown], indent=1) + "\n")
    else:
        if options.declared:
            write("What scenarios cite, run or not:\n")
        write("".join(f"{text}\n" for text in _table(shown)))
        write("".join(f"{side.sentence}\n" for side in by_side(lines)))
    return FELL_SHORT if options.missing and shown else OK


def _evidence(paths: list[Path]) -> Evidence:
    if not paths and not _RESULTS.exists():
        raise CommandError(f"no results at {_RESULTS}: run the matrix first, name a results.jsonl, or use --declared")
    try:
        with resting_collector():
            return ran(merge_records(paths or [each for each in (_RESULTS, _CORPUS) if each.exists()]))
    except BadResults as error:
        raise CommandError(str(error)) from None


def _table(lines: Iterable[StatementLine]) -> Iterator[str]:
    for side in by_side(lines):
        yield f"MQTT {side.mqtt}, {side.side} under test"
        for line in side.lines:
            yield f"  {line.id:16} {line.level:6} {_said(line)}"
            yield f"      {line.summary}"


def _said(line: StatementLine) -> str:
    if line.standing == "not-observable":
        return f"not observable from outside: {line.reason}"
    if line.standing == "missing":
        return "MISSING" + (f" (watched by the judge: {', '.join(line.rules)})" if line.rules else "")
    said = list(line.evidence[:_SHOWN])
    more = len(line.evidence) - _SHOWN
    said += [f"{more} more"] if more > 0 else []
    said += [f"the judge in {line.judged_cells} cells"] if line.judged_cells else []
    return ", ".join(said)
