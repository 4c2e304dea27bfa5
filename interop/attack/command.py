"""`mqtt-interop attack`: every bound of the reference broker is attacked, while a bystander is served.

Belongs here: the options, the lines, the page. Does not belong here: attacks and what has to hold (`playing`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from interop.attack.attacks import NOT_ATTACKED
from interop.attack.bystander import running_bystander
from interop.attack.playing import ATTACKS, MOST_P99_SECONDS, Arena, Outcome
from interop.bench.proc import raise_file_limit
from interop.bench.table import as_markdown
from interop.exit_codes import FELL_SHORT, OK, CommandError


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop attack`."""
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="for each attack (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="one wave of each attack; its figures mean little")
    parser.add_argument("--bound", default="*", metavar="PATTERN", help="only attacks on bounds of this name")
    parser.add_argument("--unbounded", action="store_true", help="without each bound: all attacks have to be caught")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures there, e.g. benchmarks/attacks.md")


def run(options: argparse.Namespace) -> int:
    """Attack one bound after the other; raises CommandError where no broker can be started."""
    chosen = [attack for attack in ATTACKS if fnmatch(attack.bound, options.bound)]
    if options.unbounded:
        chosen = [attack for attack in chosen if attack.raised]
    if not chosen:
        raise CommandError(f"no attack is on a bound {options.bound!r}")
    raise_file_limit()
    outcomes = []
    with running_bystander() as bystander, Arena(bystander) as arena:
        for attack in chosen:
            seconds = 0.0 if options.quick else options.seconds
            outcome = arena.play(attack, seconds, attack.raised if options.unbounded else None)
            outcomes.append(outcome)
            sys.stdout.write(" | ".join(_cells(outcome)) + "\n")
            sys.stdout.flush()
    if options.out is not None:
        options.out.write_text(page(outcomes), encoding="utf-8")
    if options.unbounded:
        fell_short = sum(not outcome.breaches for outcome in outcomes)
        sys.stdout.write(f"{len(outcomes)} bounds taken away, {fell_short} not missed\n")
    else:
        fell_short = sum(bool(outcome.faults) for outcome in outcomes)
        sys.stdout.write(f"{len(outcomes)} bounds attacked, {fell_short} did not hold\n")
    return FELL_SHORT if fell_short else OK


def page(outcomes: Sequence[Outcome]) -> str:
    """The figures as Markdown."""
    left_out = "; ".join(f"`{name}`: {why}" for name, why in NOT_ATTACKED.items())
    made = f"Made by `mqtt-interop attack`, on {time.strftime('%Y-%m-%d')}. Not attacked: {left_out}."
    table = as_markdown([_HEAD, *map(_cells, outcomes)])
    return "\n\n".join(("# Attacks", _HOW, made, table)) + "\n"


_HEAD = [
    *(
        "bound",
        "attack",
        "settings",
        "answered",
        "MiB before",
        "grown by",
        "at most",
        "bystander's p99, ms",
        "on the wall",
    ),
    "what did not hold",
]
_HOW = f"""\
Each bound of the reference broker's [table](../README.md#what-bounds-a-peer) is attacked in waves by clients over
sockets, in a broker process of its own, while a bystander publishes at QoS 1 to itself. What the process grows by is
its highest resident memory during the attack, less that before it; at most the bound and what any client may cost. A
round trip of the bystander's may take {MOST_P99_SECONDS * 1e3:.0f} ms at the 99th percentile, without the time that
others, attackers among them, had the cores while it or the broker could have run. Settings are lowered
where the default would take long to reach."""


def _cells(outcome: Outcome) -> list[str]:
    attack = outcome.attack
    words = [word for word in (attack.expects, *attack.at_most) if word]
    return [
        attack.bound,
        f"{attack.does}; {outcome.waves} times in {outcome.seconds:.1f} s",
        ", ".join(f"{name} {value}" for name, value in attack.settings.items()),
        ", ".join(f"{word}: {outcome.answers[word]:,}" for word in words),
        f"{outcome.before_bytes / 2**20:.0f}",
        f"{outcome.grown_bytes / 2**20:.1f}",
        f"{attack.most_bytes / 2**20:.0f}",
        f"{outcome.p99_seconds * 1e3:.1f}",
        f"{outcome.p99_with_others_seconds * 1e3:.1f}",
        "; ".join(outcome.faults) or "-",
    ]
