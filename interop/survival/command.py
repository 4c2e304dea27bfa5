"""`mqtt-interop survive`: kill the reference broker again and again, and balance the books.

Belongs here: the options, what is printed, the exit code. Does not belong here: the rounds (`rounds`).
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import randrange
from statistics import median

from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.survival.process import BrokerProcess
from interop.survival.rounds import Failure, Rounds

_MOST_SHOWN = 5
_STORY_LINES = 60
_TELL_SECONDS = 20.0

_EPILOG = """\
The broker runs as a process with a store. At a random moment it is killed (SIGKILL) and started again on the same file,
and its clients go on as their version demands. Exit code 0 when whatever was acknowledged is true, 1 when something is
not: then the story of the message or session is printed, and the store is kept as it was found."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop survive`."""
    parser.epilog = _EPILOG
    parser.add_argument("--times", type=int, default=100, metavar="N", help="kills (%(default)s)")
    parser.add_argument("--seed", type=int, metavar="S", help="what clients do and when the kill comes (a random one)")
    parser.add_argument(
        "--broker-option", action="append", default=[], metavar="TEXT",
        help="an option of `mqtt-interop broker`, e.g. --broker-option=--maximum-inflight=10; may be repeated",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("compat/survive"), metavar="FOLDER", help="(%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Kill and balance; raises CommandError where the broker cannot be started or does not end."""
    if options.times < 1:
        raise CommandError("--times: at least 1")
    seed = randrange(1 << 32) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix="mqtt-interop-survive-"))
    process = BrokerProcess(folder / "store.sqlite", folder / "broker.log", options.broker_option)
    began = time.monotonic()
    try:
        rounds, failures = asyncio.run(_run(process, seed, options.times))
        if not failures:
            _say(_summary(rounds, process, seed, time.monotonic() - began))
            return OK
        _tell(rounds, failures, seed)
        (folder / "book.txt").write_text("\n".join(rounds.book.lines()), encoding="utf-8")
        kept = options.out / f"seed-{seed}"
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        _say(f"all that happened, the store and what the broker said: {kept}")
        return FELL_SHORT
    finally:
        shutil.rmtree(folder)


async def _run(process: BrokerProcess, seed: int, times: int) -> tuple[Rounds, list[Failure]]:
    rounds = Rounds(process, seed)
    told_at = time.monotonic()

    def tell(number: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _TELL_SECONDS:
            told_at = time.monotonic()
            _say(f"{number} kills, {rounds.messages:,} messages: the books balance")

    try:
        return rounds, await rounds.run(times, tell)
    finally:
        if process.is_running:
            await process.kill()


def _summary(rounds: Rounds, process: BrokerProcess, seed: int, seconds: float) -> str:
    starts = [1000 * each for each in process.start_seconds]
    return (
        f"seed {seed}: {rounds.kills} kills in {seconds:.0f} s, {rounds.messages:,} messages: the books balance\n"
        f"start {median(starts):.0f} ms (longest {max(starts):.0f} ms), exit {1000 * rounds.exit_seconds:.0f} ms"
    )


def _tell(rounds: Rounds, failures: list[Failure], seed: int) -> None:
    for failure in failures[:_MOST_SHOWN]:
        invariant, breach = failure.invariant, failure.breach
        _say(f"\nround {failure.round}: {breach.text}\n  {invariant.sentence} [{invariant.statement}]")
        story = list(rounds.book.story(breach.names))
        _say("\n".join(f"    {line}" for line in story[-_STORY_LINES:]))
    if len(failures) > _MOST_SHOWN:
        _say(f"\nand {len(failures) - _MOST_SHOWN} more")
    _say(f"\nseed {seed}, round {failures[0].round}: the books do not balance")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
