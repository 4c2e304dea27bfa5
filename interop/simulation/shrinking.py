"""A failing run with ever fewer steps, until each one that is left is needed.

Belongs here: leaving out, making simpler, telling it as a story. Does not belong here: doing steps (`episode`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.simulation.episode import Failure, replay
from interop.simulation.medium import MakeBroker, reference_broker
from interop.simulation.steps import AMOUNTS_BYTES, Kind, Step, in_words

_SIMPLEST = {Kind.PUBLISH: 1, Kind.TO_BROKER: AMOUNTS_BYTES[-1], Kind.TO_CLIENT: AMOUNTS_BYTES[-1], Kind.WAIT: 1}


def shrunk(failure: Failure, make_broker: MakeBroker = reference_broker) -> Failure:
    """The same invariant broken by as few steps as can be found, each of them as simple as it can be."""
    while True:
        fewer = _without_needless(failure, make_broker)
        fewer = _simpler(fewer, make_broker)
        if fewer.steps == failure.steps:
            return failure
        failure = fewer


def story(failure: Failure) -> Iterator[str]:
    """A failure as lines: the world, what was done in it, what came of it."""
    yield failure.setup.in_words()
    for number, step in enumerate(failure.steps, 1):
        yield f"{number:5}. {in_words(step)}"
    yield "       everybody is connected and everything arrives"
    yield f"{failure.book}: {failure.sentence}"


def _without_needless(failure: Failure, make_broker: MakeBroker) -> Failure:
    """Leave out halves, then quarters, ... then single steps, as long as it fails alike."""
    size = max(1, len(failure.steps) // 2)
    while True:
        begin = len(failure.steps)
        while begin > 0:
            begin = max(0, min(begin, len(failure.steps)) - size)
            fewer = failure.steps[:begin] + failure.steps[begin + size :]
            failure = _if_alike(failure, fewer, make_broker) or failure
        if size == 1:
            return failure
        size //= 2


def _simpler(failure: Failure, make_broker: MakeBroker) -> Failure:
    for number, step in enumerate(failure.steps):
        amount = _SIMPLEST.get(step.kind, step.amount)
        if step.amount != amount and number < len(failure.steps):
            steps = (*failure.steps[:number], step._replace(amount=amount), *failure.steps[number + 1 :])
            failure = _if_alike(failure, steps, make_broker) or failure
    return failure


def _if_alike(failure: Failure, steps: tuple[Step, ...], make_broker: MakeBroker) -> Failure | None:
    """What comes of other steps, if it is the same invariant that breaks."""
    other = replay(failure.seed, failure.setup, steps, make_broker)
    return other if other is not None and other.book == failure.book else None
