"""One run from a seed, and the same run again from its steps.

Belongs here: making a world, doing steps in it, what came of it.
Does not belong here: many runs (`command`), fewer steps (`shrinking`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from interop.simulation.book import Broken
from interop.simulation.medium import MakeBroker, reference_broker
from interop.simulation.script import Script
from interop.simulation.setup import Setup
from interop.simulation.steps import Step
from interop.simulation.world import World

EPISODE_STEPS = 2_000
"""After so many steps everything is brought to an end and looked at, and another world begins."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An invariant that did not hold: its name, what happened, and the steps that led there."""

    seed: int
    setup: Setup
    book: str
    sentence: str
    steps: tuple[Step, ...]
    is_crash: bool = False
    """Whether broker or client fell over, which is no invariant."""


def run_episode(
    seed: int,
    count: int = EPISODE_STEPS,
    make_broker: MakeBroker = reference_broker,
    *,
    has_crashes: bool = False,
) -> tuple[int, Failure | None]:
    """Do so many steps from a seed and settle; how many were done, and what failed."""
    rng = random.Random(seed)
    setup = Setup.drawn(rng, has_crashes=has_crashes)
    done: list[Step] = []
    try:
        world = World(setup, make_broker)
        do, next_step = world.do, Script(world, rng).next_step
        while len(done) < count:
            step = next_step()
            done.append(step)
            if not do(step):
                done.pop()
        world.settle()
    except Exception as error:
        return len(done), _failure(seed, setup, error, done)
    return len(done), None


def replay(
    seed: int, setup: Setup, steps: Sequence[Step], make_broker: MakeBroker = reference_broker
) -> Failure | None:
    """Do these steps, without those that make no sense, and settle; what failed."""
    done: list[Step] = []
    try:
        world = World(setup, make_broker)
        for step in steps:
            done.append(step)
            if not world.do(step):
                done.pop()
        world.settle()
    except Exception as error:
        return _failure(seed, setup, error, done)
    return None


def _failure(seed: int, setup: Setup, error: Exception, done: list[Step]) -> Failure:
    """What a broken invariant, or a crash of broker or client, amounts to."""
    if isinstance(error, Broken):
        return Failure(seed, setup, error.book, str(error), tuple(done))
    return Failure(seed, setup, f"crash: {type(error).__name__}", repr(error), tuple(done), is_crash=True)
