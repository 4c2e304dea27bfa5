"""Which step comes next: drawn at random, so that something can happen.

Belongs here: how often what happens. Does not belong here: what it does (`world`).
"""

from __future__ import annotations

import random
from bisect import bisect
from itertools import accumulate

from interop.simulation.steps import (
    AMOUNTS_BYTES,
    CONNECTIONS,
    GOODBYES,
    PUBLICATIONS,
    SUBSCRIPTIONS,
    Kind,
    Step,
)
from interop.simulation.world import World

_MESSAGES = (1,) * 20 + (2, 5, 20)
_SECONDS = (1, 1, 2, 3, 5, 11, 40)
_USUAL = {Kind.TO_BROKER: 340, Kind.TO_CLIENT: 360, Kind.PUBLISH: 160, Kind.NOTICE: 4, Kind.WAIT: 4}
_FAULTS = {
    Kind.SUBSCRIBE: 10, Kind.UNSUBSCRIBE: 3, Kind.CUT: 4, Kind.VANISH: 5, Kind.CONNECT: 3, Kind.DISCONNECT: 4,
}  # fmt: skip
"""What happens the more often the rougher a world is."""
_PAUSES = 4
_COMMITS, _COMMITS_UNWIRED = 200, 20
_UNWIRED = {Kind.CONNECT: 30, Kind.NOTICE: 40, Kind.WAIT: 12}


class _Wheel:
    """Kinds of steps, each as often as its weight says."""

    def __init__(self, weights: dict[Kind, int]) -> None:
        self._kinds = tuple(weights)
        self._sums = tuple(accumulate(weights.values()))

    def turn(self, rng: random.Random) -> Kind:
        return self._kinds[bisect(self._sums, rng.random() * self._sums[-1])]


_CHOICES = {
    Kind.CONNECT: len(CONNECTIONS), Kind.PUBLISH: len(PUBLICATIONS), Kind.SUBSCRIBE: len(SUBSCRIPTIONS),
    Kind.UNSUBSCRIBE: len(SUBSCRIPTIONS), Kind.DISCONNECT: len(GOODBYES), Kind.NOTICE: 2,
}  # fmt: skip
_AMOUNTS = {
    Kind.PUBLISH: _MESSAGES, Kind.TO_BROKER: AMOUNTS_BYTES, Kind.TO_CLIENT: AMOUNTS_BYTES, Kind.WAIT: _SECONDS,
    Kind.COMMIT: (1, 2, 5, 100), Kind.CRASH: (0, 0, 1, 5, 20),
}  # fmt: skip


class Script:
    """Draws steps for one world."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        faults = {kind: weight * world.setup.roughness for kind, weight in _FAULTS.items()}
        if world.setup.has_pauses:
            faults |= {Kind.PAUSE: _PAUSES}
        if world.setup.has_crashes:
            faults |= {Kind.COMMIT: _COMMITS, Kind.CRASH: world.setup.roughness}
        self._wheels = {
            True: _Wheel(_USUAL | faults),
            False: _Wheel(_UNWIRED | ({Kind.COMMIT: 20} if world.setup.has_crashes else {})),
        }

    def next_step(self) -> Step:
        """A step that may make sense in the world as it is."""
        peers, rng = self._world.peers, self._rng
        number = int(rng.random() * len(peers))
        peer = peers[number]
        wire = peer.wire
        kind = self._wheels[wire is not None].turn(rng)
        if wire is not None and kind is Kind.TO_BROKER and not wire.up.data:
            kind = Kind.TO_CLIENT
        if kind is Kind.PUBLISH and len(peer.session) > _BUSY_MESSAGES:
            kind = Kind.TO_BROKER
        if peer.is_paused and rng.random() < _READS_AGAIN:
            kind = Kind.RESUME
        choices, amounts = _CHOICES.get(kind), _AMOUNTS.get(kind)
        choice = 0 if choices is None else int(rng.random() * choices)
        amount = 0 if amounts is None else amounts[int(rng.random() * len(amounts))]
        return Step(kind, number, choice, amount)


_BUSY_MESSAGES = 20
_READS_AGAIN = 0.2
