"""`mqtt-interop soak`: thousands of clients of all kinds for minutes, then the books, the memory and the file handles.

Belongs here: the options, the groups, what is measured and demanded, the page. Does not belong here: clients (`parts`),
what is right (`invariants`), kills (`rounds`).

A group is the cast of `parts`, with a book and topics of its own. It plays for a while, settles, balances its book, and
goes on; groups are out of step, so that some always play.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, randrange
from statistics import median
from typing import Final

from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.survival.book import Book
from interop.survival.process import BrokerProcess
from interop.survival.rounds import Failure, Rounds

_PLAY_SECONDS: Final = 20.0
_CUT_EVERY_SECONDS: Final = 3.0
_CLIENTS_IN_GROUP: Final = 21
_LOG_LINES: Final = 4000
_LOOK_SECONDS: Final = 1.0
_WARM_SECONDS: Final = 3.0
_SETTLE_SECONDS: Final = 120.0
"""For what waits for the slowest on a busy machine; mostly it takes one."""
_PARTS_OF_TIME: Final = 10
"""Of ten minutes the last is compared with the third."""
_LONG_SECONDS: Final = 300.0
_MOST_GROWTH: Final = 1.05
_MOST_GROWTH_OF_SHORT: Final = 1.25
"""The last part of the time compared with the third, of a run that is long enough for caches to have filled, and of one
that is not."""
_PACE: Final = 25.0
"""Whoever publishes takes so much longer than between two kills: the slowest subscriber has to keep up."""
_BUSY_GROUPS: Final = 15
"""So many groups one process can play at that pace; of more each is slower."""
_GONE_SECONDS: Final = 5.0


@dataclass(slots=True)
class Outcome:
    """What came of one broker; memory in bytes."""

    loop: str
    store: str
    clients: int
    seconds: float = 0.0
    messages: int = 0
    handles_before: int = 0
    handles_after: int = 0
    sizes: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the beginning, and the process's resident memory."""
    failures: list[tuple[Rounds, Failure]] = field(default_factory=list)

    def size_bytes(self, part: int) -> float:
        """The median size in one of ten parts of the time, the first is 0; the last one known where none was taken."""
        width = self.seconds / _PARTS_OF_TIME
        sizes = [size for at, size in self.sizes if part * width <= at <= (part + 1) * width]
        return median(sizes or [size for _, size in self.sizes[-1:]] or [0.0])

    def faults(self) -> list[str]:
        """What is wrong, in words."""
        third, last = self.size_bytes(2), self.size_bytes(_PARTS_OF_TIME - 1)
        found = [failure.breach.text for _, failure in self.failures]
        allowed = _MOST_GROWTH if self.seconds >= _LONG_SECONDS else _MOST_GROWTH_OF_SHORT
        if third and last > allowed * third:
            found.append(f"memory grew from {third / 2**20:.1f} to {last / 2**20:.1f} MiB")
        if self.handles_after != self.handles_before:
            found.append(f"{self.handles_before} file handles were {self.handles_after} at the end")
        return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop soak`."""
    parser.add_argument("--clients", type=int, default=5000, metavar="N", help="clients at once (%(default)s)")
    parser.add_argument("--seconds", type=float, default=600, metavar="S", help="for each broker (%(default)s)")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), help="only on this event loop (on both)")
    parser.add_argument("--store", choices=("memory", "sqlite"), help="only with this store (with each)")
    parser.add_argument("--seed", type=int, metavar="S", help="what clients do (a random one)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures there, e.g. benchmarks/soak.md")


def run(options: argparse.Namespace) -> int:
    """Soak one broker after the other; raises CommandError where one cannot be started."""
    if options.clients < 1 or options.seconds <= 0:
        raise CommandError("--clients, --seconds: more than nothing")
    seed = randrange(1 << 32) if options.seed is None else options.seed
    loops = [options.loop] if options.loop else ["asyncio", "uvloop"]
    stores = [options.store] if options.store else ["memory", "sqlite"]
    outcomes = []
    for loop, store in itertools.product(loops, stores):
        outcome = asyncio.run(_soak(Outcome(loop, store, options.clients), options.seconds, seed))
        outcomes.append(outcome)
        sys.stdout.write(_row(outcome) + "\n")
        for text in outcome.faults()[:5]:
            sys.stdout.write(f"  {text}\n")
        for rounds, failure in outcome.failures[:1]:
            sys.stdout.writelines(f"    {line}\n" for line in list(rounds.book.story(failure.breach.names))[-60:])
        sys.stdout.flush()
    if options.out is not None:
        options.out.write_text(page(outcomes, seed), encoding="utf-8")
    return FELL_SHORT if any(outcome.faults() for outcome in outcomes) else OK


async def _soak(outcome: Outcome, seconds: float, seed: int) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="mqtt-interop-soak-"))
    store = folder / "store.sqlite" if outcome.store == "sqlite" else None
    process = BrokerProcess(store, folder / "broker.log", (), has_uvloop=outcome.loop == "uvloop")
    try:
        await process.start()
        await _play(outcome, process, seconds, Random(seed))
        await process.stop()
    finally:
        if process.is_running:
            await process.kill()
        shutil.rmtree(folder)
    return outcome


async def _play(outcome: Outcome, process: BrokerProcess, seconds: float, random: Random) -> None:
    count = max(1, round(outcome.clients / _CLIENTS_IN_GROUP))
    outcome.clients = count * _CLIENTS_IN_GROUP
    pace = _PACE * max(1.0, count / _BUSY_GROUPS)
    groups = []
    for number in range(count):
        book = Book(root=f"g{number}/", pace=pace)
        book.shorten_log(_LOG_LINES)
        groups.append(Rounds(process, random.randrange(1 << 32), book))
    await groups[0].play(_WARM_SECONDS, _CUT_EVERY_SECONDS)  # what is opened once for all
    outcome.failures += [(groups[0], Failure(0, *each)) for each in await groups[0].balance(_SETTLE_SECONDS)]
    await groups[0].leave()
    await asyncio.sleep(_LOOK_SECONDS)
    outcome.handles_before = _handles(process.pid)
    began = time.monotonic()
    watching = asyncio.create_task(_watch(outcome, process.pid, began))
    try:
        async with asyncio.TaskGroup() as tasks:
            for group in groups:
                tasks.create_task(_go_on(group, outcome, began + seconds, random.uniform(0, min(1.0, seconds / 4))))
    finally:
        watching.cancel()
    outcome.seconds = time.monotonic() - began
    outcome.messages = sum(group.messages for group in groups)
    for group in groups:
        await group.leave()
    deadline = time.monotonic() + _GONE_SECONDS
    while (handles := _handles(process.pid)) > outcome.handles_before and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    outcome.handles_after = handles


async def _go_on(group: Rounds, outcome: Outcome, end: float, first_rest: float) -> None:
    await asyncio.sleep(first_rest)
    number = 0
    while (left := end - time.monotonic()) > 0:
        number += 1
        await group.play(min(left, _PLAY_SECONDS), _CUT_EVERY_SECONDS * group.book.pace / _PACE)
        if found := await group.balance(_SETTLE_SECONDS):
            outcome.failures += [(group, Failure(number, *each)) for each in found]
            return


async def _watch(outcome: Outcome, pid: int, began: float) -> None:
    while True:
        outcome.sizes.append((time.monotonic() - began, _resident_bytes(pid)))
        await asyncio.sleep(_LOOK_SECONDS)


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _handles(pid: int) -> int:
    """How many, aside from those of the store's files, of which one more is opened when there is work for it."""
    count = 0
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += "store.sqlite" not in str(handle.readlink())
    return count


def page(outcomes: Sequence[Outcome], seed: int) -> str:
    """The figures as Markdown."""
    head = (
        "# A soak\n\nClients of all versions and QoS, with wills, shared subscriptions, churn and cuts; then the books:"
        "\nevery QoS 1 and 2 message is accounted for, nobody was dropped who behaved.\n\n"
        f"Made by `mqtt-interop soak`, seed {seed}, on {time.strftime('%Y-%m-%d')}.\n\n"
        "| loop | store | clients | seconds | messages | MiB in the third tenth | in the last (at most 5% more) | "
        "handles before, after | what is wrong |\n|---|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(f"{_row(outcome)}\n" for outcome in outcomes)


def _row(outcome: Outcome) -> str:
    third, last = (outcome.size_bytes(part) / 2**20 for part in (2, _PARTS_OF_TIME - 1))
    handles = f"{outcome.handles_before}, {outcome.handles_after}"
    wrong = "; ".join(outcome.faults()[:3]) or "nothing"
    return (
        f"| {outcome.loop} | {outcome.store} | {outcome.clients:,} | {outcome.seconds:.0f} | {outcome.messages:,} | "
        f"{third:.1f} | {last:.1f} | {handles} | {wrong} |"
    )
