"""`mqtt-interop fairness`: play the matrix undisturbed and under disturbances, and print every verdict that differs.

Belongs here: the options, what is played, the exit code.
Does not belong here: the disturbances, playing (`play`).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.fairness.disturbances import DISTURBANCES, UNDISTURBED, Disturbance
from interop.fairness.play import play
from interop.scenario.load import load_scenarios
from reports.claim import Claim
from reports.diff import in_words
from reports.record import BadResults
from reports.write import CannotWrite

_EPILOG = """\
A verdict must depend on the implementations and on nothing else. Exit code 0 when none differs, 1 otherwise. On a busy
machine a verdict may be withheld; there only a fail or warn counts that is none undisturbed."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop fairness`."""
    parser.epilog = _EPILOG
    parser.add_argument("--client", action="append", default=[], metavar="NAME", help="as in `run`; repeatable")
    parser.add_argument("--scenario", action="append", default=[], metavar="PATTERN", help="as in `run`; repeatable")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="a sample: each K-th row of the collection")
    parser.add_argument(
        "--disturbance", action="append", choices=tuple(DISTURBANCES), help="only this one (default: all); repeatable"
    )
    parser.add_argument("--times", type=int, default=1, metavar="N", help="play each disturbance so often")
    parser.add_argument("-n", default=str(os.cpu_count() or 1), metavar="WORKERS", help="processes (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("compat/fairness"), metavar="FOLDER", help="(%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Play and compare; raises CommandError for what cannot be played."""
    if options.every < 1 or options.times < 1:
        raise CommandError("--every and --times: at least 1")
    run_options = [*_run_options(options), "-n", options.n]
    try:
        with Claim(options.out, " ".join(["mqtt-interop", *sys.argv[1:]])):
            return _run(options, run_options)
    except (CannotWrite, BadResults) as error:
        raise CommandError(str(error)) from None


def _run(options: argparse.Namespace, run_options: list[str]) -> int:
    began = time.monotonic()
    undisturbed = play(UNDISTURBED, run_options, options.out / UNDISTURBED.name)
    _say(f"{UNDISTURBED.name}: {len(undisturbed)} cells in {time.monotonic() - began:.0f} s")
    is_fair = True
    for disturbance, name in _rounds(options):
        began = time.monotonic()
        disturbed = play(disturbance, run_options, options.out / name)
        unfair = disturbance.unfair(undisturbed, disturbed)
        is_fair = is_fair and not unfair
        _say(f"{name} ({disturbance.about}): {len(disturbed)} cells in {time.monotonic() - began:.0f} s")
        _say(in_words(unfair))
    return OK if is_fair else FELL_SHORT


def _rounds(options: argparse.Namespace) -> Iterator[tuple[Disturbance, str]]:
    """What is to be played, and the name of its folder."""
    for name in options.disturbance or DISTURBANCES:
        for number in range(1, options.times + 1):
            yield DISTURBANCES[name], name if options.times == 1 else f"{name}-{number}"


def _run_options(options: argparse.Namespace) -> Iterator[str]:
    for client in options.client:
        yield from ("--client", client)
    patterns = options.scenario
    if options.every > 1:
        if patterns:
            raise CommandError("--every takes its sample from the whole collection; leave --scenario out")
        patterns = [loaded.name for loaded in load_scenarios()[:: options.every]]
    for pattern in patterns:
        yield from ("--scenario", pattern)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
