"""The pages again, from results that are there: what `report` and `merge` share.

Belongs here: their arguments, drawing. Does not belong here: joining results (`joining`), what either comes to.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from interop.coverage.coverage import coverage, ran
from interop.exit_codes import CommandError
from interop.requirements.requirements import sentences
from interop.results.joining import Part, joined, run_of
from interop.runner.ending import exit_code_of, gravest
from reports.claim import Claim
from reports.record import Record
from reports.summary import RunInfo
from reports.write import write_all


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which results, and where the pages go."""
    parser.add_argument(
        "results", nargs="+", type=Path, metavar="RESULTS", help="the folder of a run, or its results.jsonl"
    )
    parser.add_argument("--out", type=Path, default=Path("compat"), metavar="FOLDER", help="where to (%(default)s)")


def draw(parts: list[Part], out: Path, name: str, *, strict_known: bool = False) -> tuple[list[Record], RunInfo]:
    """Draw all pages, and say where; gives what they show, and the run with its exit code. Raises CommandError."""
    records = joined(parts)
    run = run_of(parts, records, f"mqtt-interop {name} {' '.join(str(part.path) for part in parts)}")
    if not records and not run.gaps:
        raise CommandError(f"no results in {', '.join(str(part.path) for part in parts)}")
    told = [part.run.exit_code for part in parts if part.run is not None and part.run.exit_code is not None]
    exit_code = exit_code_of(records, all_ran=not run.missing_shards, strict_known=strict_known)
    run = replace(run, strict_known=strict_known, exit_code=gravest(exit_code, *told))
    with Claim(out, run.command):
        page = write_all(records, out, run, coverage(ran(records)), sentences())
    sys.stdout.write(f"{len(records)} results: {page}\n")
    return records, run
