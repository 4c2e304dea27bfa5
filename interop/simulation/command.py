"""`mqtt-interop simulate`: many worlds from one seed, and the story of the first one that fails.

Belongs here: the options, spreading worlds over processes, what is printed.
Does not belong here: one world (`episode`), fewer steps (`shrinking`), the mutants (`wrong`).
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import gc
import itertools
import math
import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

from interop.exit_codes import FELL_SHORT, NOTHING_RAN, OK, CommandError
from interop.lifeline import end_with_parent
from interop.simulation.episode import EPISODE_STEPS, Failure, run_episode
from interop.simulation.shrinking import shrunk, story
from interop.simulation.wrong import killed_by, state_mutants

_EPILOG = """\
Each world has a seed of its own, the first one that of --seed; after so many steps all clients come together,
everything arrives, and what is left is looked at. Exit code 0 when every invariant held, 1 when one did not: then its
steps are made as few as they can be and told, with the command that does the same again."""

_WORLDS_OF_ONE_JOB = 5
T = TypeVar("T")
R = TypeVar("R")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop simulate`."""
    parser.epilog = _EPILOG
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the first world's (%(default)s)")
    parser.add_argument("--steps", type=int, metavar="N", help="how many in all (100000, or what --seconds allow)")
    parser.add_argument("--seconds", type=float, metavar="T", help="begin no world any more after so long")
    parser.add_argument(
        "--mutant", action="append", metavar="PATTERN",
        help="instead: which of the mutants about state are killed within --steps? repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--crashes", action="store_true", help="the broker crashes, over a store that loses what was not committed"
    )
    parser.add_argument("-n", type=int, default=os.cpu_count() or 1, metavar="WORKERS", help="processes (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Simulate; raises CommandError for what cannot be done."""
    if options.n < 1 or (options.steps is not None and options.steps < 1):
        raise CommandError("-n and --steps: at least 1")
    if options.mutant:
        return _run_mutants(options)
    steps = options.steps or (math.inf if options.seconds is not None else 100_000)
    began = time.monotonic()
    until = math.inf if options.seconds is None else began + options.seconds
    done = 0
    work = functools.partial(_some_worlds, has_crashes=options.crashes)
    for count, failure in _in_processes(work, _jobs(options.seed, steps, until), options.n):
        done += count
        if failure is not None:
            _say(_told(failure))
            return FELL_SHORT
    seconds = time.monotonic() - began
    _say([f"{done:,} steps from seed {options.seed} on, {done / seconds:,.0f} steps/s: every invariant held"])
    return OK


def _jobs(seed: int, steps: float, until: float) -> Iterator[tuple[int, int]]:
    """Seeds and steps of some worlds each."""
    while steps > 0 and time.monotonic() < until:
        count = int(min(steps, EPISODE_STEPS * _WORLDS_OF_ONE_JOB))
        yield seed, count
        steps -= count
        seed += _WORLDS_OF_ONE_JOB


def _some_worlds(job: tuple[int, int], *, has_crashes: bool) -> tuple[int, Failure | None]:
    seed, steps = job
    done = 0
    gc.disable()  # all of a world is garbage at once, and until then hardly any of it
    try:
        while done < steps:
            count, failure = run_episode(seed, min(EPISODE_STEPS, steps - done), has_crashes=has_crashes)
            done += count
            if failure is not None:
                return done, failure
            seed += 1
    finally:
        gc.enable()
        gc.collect()
    return done, None


def _told(failure: Failure) -> Iterator[str]:
    yield f"seed {failure.seed} fails after {len(failure.steps)} steps: {failure.book}"
    yield from story(shrunk(failure))
    options = " --crashes" * failure.setup.has_crashes
    yield f"again: mqtt-interop simulate --seed {failure.seed} --steps {max(1, len(failure.steps))}{options}"


def _run_mutants(options: argparse.Namespace) -> int:
    known = state_mutants(has_crashes=options.crashes)
    names = [name for name in known if any(fnmatch.fnmatchcase(name, each) for each in options.mutant)]
    if not names:
        _say(["no mutant about state has such a name"])
        return NOTHING_RAN
    steps = options.steps or 100_000
    work = functools.partial(killed_by, seed=options.seed, steps=steps, has_crashes=options.crashes)
    killed = 0
    for name, kill in zip(names, _in_processes(work, names, options.n), strict=True):
        killed += kill is not None
        _say([f"{'killed' if kill else 'lives '}  {name}{f': {kill}' if kill else ''}"])
    _say([f"{killed} of {len(names)} mutants about state are killed by the invariants"])
    return OK


def _in_processes(work: Callable[[T], R], jobs: Iterable[T], count: int) -> Iterator[R]:
    """What comes of each job, in their order; no more of them are begun than there are processes, and as many wait."""
    if count == 1:
        yield from map(work, jobs)
        return
    upcoming = iter(jobs)
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), end_with_parent) as pool:
        waiting: deque[Future[R]] = deque(pool.submit(work, job) for job in itertools.islice(upcoming, 2 * count))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(work, job) for job in itertools.islice(upcoming, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
