"""One connection through the tap: its two lanes, and what concerns both. Without I/O or a clock.

Belongs here: cut, freeze, thaw, how each side ended, and the version both lanes decode by.
Does not belong here: single packets (`lane`), sockets and timers (`link`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from interop.tap.faults import Cut, Freeze, How, Plan
from interop.tap.lane import Effect, End, Fired, Lane, Write
from interop.tap.trace import Fate, Kind, Sender, Trace
from reference_broker.wire.types import Version


class Crossing:
    """One connection of a link; every method gives the effects to carry out, in order.

    `number` counts the link's connections from 1. `version` is the one to decode by until a CONNECT says otherwise.
    """

    def __init__(self, trace: Trace, link: str, number: int, version: Version, plan: Plan) -> None:
        self.number = number
        self._record = partial(trace.record, link, number)
        self._lanes = {side: Lane(side, version, plan, self._record) for side in (Sender.CLIENT, Sender.BROKER)}
        self._open = {Sender.CLIENT: True, Sender.BROKER: True}

    @property
    def version(self) -> Version:
        """The protocol version of the connection."""
        return self._lanes[Sender.CLIENT].version

    @property
    def failures(self) -> list[Exception]:
        """Rewrites that could not be carried out."""
        return [failure for lane in self._lanes.values() for failure in lane.failures]

    def is_open(self, side: Sender) -> bool:
        """Whether neither that side nor the tap has ended that side's connection."""
        return self._open[side]

    @property
    def carries(self) -> bool:
        """Whether what a side sends now may still arrive: no side has ended, and nothing is silent."""
        return all(self._open.values()) and not any(lane.is_silent for lane in self._lanes.values())

    def receive(self, side: Sender, data: bytes, now: float) -> list[Effect]:
        """Take bytes read from that side."""
        if not self._open[side]:
            return []
        return self._carry_out(self._lanes[side].receive(data, now), now)

    def end(self, side: Sender, how: How, now: float, note: str = "") -> list[Effect]:
        """Take that side's end: FIN or RST; `note` says more."""
        if not self._open[side]:
            return []
        self._open[side] = False
        lane = self._lanes[side]
        effects = self._carry_out(lane.end(how, note or str(how), now), now)
        # Nobody is told, but the socket is done with.
        return [*effects, End(side, how)] if lane.is_silent else effects

    def handle_timer(self, now: float) -> list[Effect]:
        """Let go what is due."""
        return [effect for side in self._lanes for effect in self._handle_timer_of(side, now)]

    def _handle_timer_of(self, side: Sender, now: float) -> list[Effect]:
        return self._carry_out(self._lanes[side].handle_timer(now), now)

    def next_deadline(self) -> float | None:
        """When `handle_timer` is due."""
        deadlines = (lane.next_deadline() for lane in self._lanes.values())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def cut(self, how: How, now: float) -> list[Effect]:
        """End the connection now; a silent one stays open on both sides, connected to nothing."""
        self._record(Kind.FAULT, Sender.HARNESS, at=now, note=str(Cut(how)))
        return self._cut(how, now)

    def freeze(self, freeze: Freeze, now: float) -> None:
        """Stop bytes now."""
        self._freeze(freeze)
        self._record(Kind.FAULT, Sender.HARNESS, at=now, note=str(freeze))

    def thaw(self, now: float) -> list[Effect]:
        """Let everything go that a freeze or a hold kept back."""
        self._record(Kind.FAULT, Sender.HARNESS, at=now, fate=Fate.RELEASED, note="thaw")
        return [effect for lane in self._lanes.values() for effect in self._carry_out(lane.thaw(now), now)]

    def inject(self, to: Sender, data: bytes, now: float, *, beneath: bool = False) -> list[Effect]:
        """Bytes that nobody sent go to that side, `beneath` the WebSocket if so wished."""
        return list(self._lanes[to.peer].inject(data, now, arrives=self._open[to], beneath=beneath))

    def refuse(self, reason: str, now: float) -> list[Effect]:
        """There is no broker to connect to: the client's connection ends."""
        self._open = dict.fromkeys(self._open, False)
        self._record(Kind.CLOSE, Sender.HARNESS, at=now, note=f"no broker: {reason}")
        return [End(Sender.CLIENT, How.FIN)]

    def give_up(self, now: float) -> None:
        """The link closes: nothing is open any more, and that is nobody's doing."""
        if any(self._open.values()):
            self._record(Kind.CLOSE, Sender.HARNESS, at=now, note="the link closes")
        self._open = dict.fromkeys(self._open, False)

    def _carry_out(self, happenings: Iterable[Effect | Fired], now: float) -> list[Effect]:
        effects: list[Effect] = []
        for happening in happenings:
            if isinstance(happening, Freeze):
                self._freeze(happening)
            elif isinstance(happening, Cut):
                effects += self._cut(happening.how, now)
            else:
                if isinstance(happening, End):
                    self._open[happening.to] = False
                effects.append(happening)
            self._share_version()
        return effects

    def _share_version(self) -> None:
        self._lanes[Sender.BROKER].version = self._lanes[Sender.CLIENT].version

    def _freeze(self, freeze: Freeze) -> None:
        for side, lane in self._lanes.items():
            if freeze.only_from in (None, side):
                lane.freeze()

    def _cut(self, how: How, now: float) -> list[Effect]:
        for lane in self._lanes.values():
            lane.silence()
        if how is How.SILENCE:
            return []
        self._open = dict.fromkeys(self._open, False)
        self._record(Kind.CLOSE, Sender.HARNESS, at=now, note=str(how))
        return [End(Sender.CLIENT, how), End(Sender.BROKER, how)]


__all__ = ["Crossing", "Effect", "End", "Write"]
