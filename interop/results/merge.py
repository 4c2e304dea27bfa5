"""`mqtt-interop merge`: one run of its shards: pages and exit code are those of a run on one machine.

Belongs here: the command. Does not belong here: joining results (`joining`), drawing them (`drawing`).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from interop.exit_codes import CommandError
from interop.requirements.requirements import sentences as statements
from interop.results import drawing
from interop.results.joining import read_parts, told_in_a_line
from interop.runner.ending import gravest
from interop.runner.known_failures import BadKnownFailures
from interop.runner.noted import noted, write_known_failures
from reports.github import tell_github
from reports.resting import resting_collector
from reports.summary import Summary


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of the pages, and what a run knows."""
    drawing.add_options(parser)
    parser.add_argument(
        "--known-failures", type=Path, metavar="FILE", help="the list that the shards had (the one that ships)"
    )
    parser.add_argument(
        "--write-known-failures", type=Path, metavar="FILE", help="write the list by which it would be as expected"
    )
    parser.add_argument("--strict-known", action="store_true", help="fail where a known failure does not show any more")


def run(options: argparse.Namespace) -> int:
    """Merge them; gives the exit code of the run. Raises CommandError."""
    with resting_collector(), told_in_a_line():
        parts = read_parts(options.results, options.out)
        records, whole = drawing.draw(parts, options.out, "merge", strict_known=options.strict_known)
    if (path := options.write_known_failures) is not None:
        try:
            sys.stdout.write(f"{noted(path, write_known_failures(path, records, options.known_failures))}\n")
        except BadKnownFailures as error:
            raise CommandError(str(error)) from None
    sentences = (Summary.of(records, not_run=len(whole.not_run)).headline, whole.not_run_sentence)
    told = tell_github(records, whole, os.environ, statements())
    sys.stdout.writelines(f"{each}\n" for each in (*sentences, *told) if each)
    return gravest() if whole.exit_code is None else whole.exit_code
