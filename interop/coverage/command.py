"""`mqtt-interop coverage`: which statements there is evidence for, and which there is none for.

Belongs here: options and the printed table. Does not belong here: what counts as evidence (`coverage`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import get_args

from interop.coverage.coverage import Line, coverage, declared, ran
from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.scenario.load import load_scenarios
from interop.scenario.values import MqttLabel, Side
from reports.record import BadResults, merge_records, resting_collector

_RESULTS = Path("compat/results.jsonl")
_SHOWN = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `coverage`."""
    parser.add_argument(
        "results", nargs="*", type=Path, metavar="RESULTS", help=f"results.jsonl of one or more runs ({_RESULTS})"
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
        write(json.dumps([asdict(line) | {"standing": line.standing} for line in shown], indent=1) + "\n")
    else:
        if options.declared:
            write("What scenarios cite, run or not:\n")
        write("".join(f"{text}\n" for text in _table(shown)))
        write("".join(f"{text}\n" for text in _totals(lines)))
    return FELL_SHORT if options.missing and shown else OK


def _evidence(paths: list[Path]) -> dict[tuple[MqttLabel, Side, str], list[str]]:
    if not paths and not _RESULTS.exists():
        raise CommandError(f"no results at {_RESULTS}: run the matrix first, name a results.jsonl, or use --declared")
    try:
        with resting_collector():
            return ran(merge_records(paths or [_RESULTS]))
    except BadResults as error:
        raise CommandError(str(error)) from None


def _table(lines: Iterable[Line]) -> Iterator[str]:
    for (mqtt, side), group in groupby(lines, key=lambda line: (line.mqtt, line.side)):
        yield f"MQTT {mqtt}, {side} under test"
        for line in group:
            yield f"  {line.statement.id:16} {line.statement.level:6} {_said(line)}"
            yield f"      {line.statement.summary}"


def _said(line: Line) -> str:
    if line.standing == "covered":
        names = line.evidence
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return ", ".join(names[:_SHOWN]) + more
    if line.standing == "missing" and line.watched_by:
        return f"MISSING (watched by the judge: {', '.join(line.watched_by)})"
    return line.standing.upper() if line.standing == "missing" else "not observable from outside"


def _totals(lines: Iterable[Line]) -> Iterator[str]:
    for (mqtt, side), group in groupby(lines, key=lambda line: (line.mqtt, line.side)):
        counts = Counter(line.standing for line in group)
        total = counts["covered"] + counts["missing"]
        unseen = f"; {counts['not-observable']} not observable" if counts["not-observable"] else ""
        yield f"MQTT {mqtt}, {side}: {counts['covered']} of {total} statements covered{unseen}"
