"""`mqtt-interop defect`: one defect of a run, for whoever is to mend it.

Belongs here: the command. Does not belong here: which cells are one defect (`reports.defects`), the words
(`reports.issue`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from interop.exit_codes import OK, CommandError
from interop.requirements.requirements import sentences
from interop.results.joining import joined, read_parts, told_in_a_line
from reports.defects import Defect, find_defects
from reports.issue import issue
from reports.resting import resting_collector


def add_options(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "number", nargs="?", type=int, metavar="N", help="its number in the report; without one, all are listed"
    )
    parser.add_argument("--issue", action="store_true", help="what a maintainer asks for, in Markdown, with a replay")
    parser.add_argument(
        "--results", type=Path, default=Path("compat"), metavar="RESULTS",
        help="the folder of a run, or its results.jsonl (%(default)s)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print it; gives the exit code. Raises CommandError."""
    if options.issue and options.number is None:
        raise CommandError("--issue is of one defect: say which, by its number")
    with resting_collector(), told_in_a_line():
        defects = find_defects(joined(read_parts([options.results])))
    if options.number is None:
        lines = [_in_a_line(defect) for defect in defects] or [f"no defects in {options.results}"]
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return OK
    if not 1 <= options.number <= len(defects):
        there_are = f"defects 1 to {len(defects)}" if defects else "no defects"
        raise CommandError(f"there is no defect {options.number} in {options.results}: it has {there_are}")
    defect = defects[options.number - 1]
    with told_in_a_line():
        sys.stdout.write(issue(defect, sentences()) if options.issue else f"{_in_a_line(defect)}\n{_cells(defect)}")
    return OK


def _in_a_line(defect: Defect) -> str:
    cited = f" [{defect.statements[0].mqtt} {defect.statements[0].id}]" if defect.statements else ""
    return f"{defect.number:3}  {defect.blamed}: {defect.headline}{cited} ({defect.extent})"


def _cells(defect: Defect) -> str:
    return "".join(f"     {record.rerun}\n" for record in defect.records)
