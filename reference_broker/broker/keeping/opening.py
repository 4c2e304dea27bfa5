"""Connections that are not let in yet, and how long they may take.

Belongs here: which there are, and one timer for them all: they have the same time, so the oldest is overdue first.
Does not belong here: how many there may be (`broker`), how one is let in (`peers`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from reference_broker.broker.outgoing.output import Output
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.timers import Timer, Timers


class Opening:
    """Accepted connections without a session yet, the oldest first."""

    def __init__(self, config: BrokerConfig, timers: Timers) -> None:
        self._timeout_seconds = config.connect_timeout_seconds
        self._timers = timers
        self._deadlines: OrderedDict[Output, float] = OrderedDict()  # whose first is found at once, unlike a dict's
        self._timer: Timer | None = None
        self._excused: set[Output] = set()

    def __len__(self) -> int:
        """How many have still to show who they are."""
        return len(self._deadlines)

    def __iter__(self) -> Iterator[Output]:
        yield from self._deadlines
        yield from self._excused

    def add(self, output: Output, now: float) -> None:
        """One was accepted."""
        deadline = self._deadlines[output] = now + self._timeout_seconds
        if self._timer is None:
            self._timer = self._timers.at(deadline, self._look)

    def excuse(self, output: Output) -> None:
        """It has done its part and waits for this broker: that takes as long as it takes, and is no half-open one."""
        self.discard(output)
        self._excused.add(output)

    def discard(self, output: Output) -> None:
        """It is let in, or closed; nothing happens where it is not here any more."""
        self._excused.discard(output)
        self._deadlines.pop(output, None)
        if not self._deadlines and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, now: float) -> None:
        """End those whose time is over. The timer may be for one that is let in: then the next one is waited for."""
        self._timer = None
        while self._deadlines:
            output, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                self._timer = self._timers.at(deadline, self._look)
                break
            del self._deadlines[output]
            output.opening_overdue(now)
