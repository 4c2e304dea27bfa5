"""`mqtt-interop diff`: verdicts against verdicts, and which changes fail a build.

Belongs here: the command. Does not belong here: the comparison (`reports.diff`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from interop.exit_codes import FELL_SHORT, OK
from interop.results.joining import told_in_a_line
from reports.diff import Change, compare, in_words, only_of, read_verdicts, write_expected

FAILS_ON: dict[str, frozenset[Change]] = {
    "any": frozenset(Change),
    "worse": frozenset({Change.WORSE}),
    "gone": frozenset({Change.GONE}),
    "new": frozenset({Change.NEW}),
}
"""What `--fail-on` may name, and the changes that are meant."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.epilog = "Exit code 1 when a verdict changed in a way that --fail-on names."
    parser.add_argument("before", type=Path, metavar="OLD", help="results.jsonl, or a CSV of expected verdicts")
    parser.add_argument("after", type=Path, metavar="NEW", help="the same")
    parser.add_argument(
        "--fail-on", action="append", choices=FAILS_ON,
        help="worse: a verdict is worse than it was; gone, new: a cell is there no more, or was not; repeatable (any)",
    )  # fmt: skip
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--client", action="append", metavar="NAME", help="only cells of this client; may be repeated")
    which.add_argument("--write", action="store_true", help="make OLD the CSV of NEW's verdicts instead of comparing")


def run(options: argparse.Namespace) -> int:
    """Compare, or write what is expected; gives the exit code. Raises CommandError."""
    with told_in_a_line():
        after = read_verdicts(options.after)
        if options.write:
            write_expected(options.before, after)
            sys.stdout.write(f"{options.before}: {len(after)} verdicts\n")
            return OK
        before = read_verdicts(options.before)
    if options.client:
        before, after = only_of(before, options.client), only_of(after, options.client)
    differences = compare(before, after)
    sys.stdout.write(f"{in_words(differences)}\n")
    fatal = frozenset[Change]().union(*(FAILS_ON[each] for each in options.fail_on or ["any"]))
    return FELL_SHORT if any(each.change in fatal for each in differences) else OK
