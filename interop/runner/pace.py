"""Keeps a cell's work and its waiting apart: for honest timings, and so that waiting cells overlap.

Belongs here: the cell's clock, its stretches of waiting, how many cells of a worker work at once, and how much longer
everything takes with a broker that is far away.
Does not belong here: what is waited for.

A new cell begins only while few others work, and while the scenario demands that time passes a cell does not count
as working. So keep-alive cells wait side by side, and a cell's overhead is not inflated by its neighbours'. A cell that
comes back from waiting goes on at once, whoever works: what it does next may be due at that very moment.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

LONG_SECONDS = 0.4
"""A cell that waits longer than this is started early and fills others' time."""


BUSY_SECONDS = 0.25
"""An answer that takes longer than this is waited for without keeping others from work."""

NEAR_SECONDS = 0.02
"""A broker whose answers are under way for longer is far away: they are waited for without keeping others from work.

Then every cell counts among those that wait long, because a cell that waits keeps no other from beginning.
"""

ANSWER_ROUND_TRIPS = 4
"""How many round trips a step may take until its answer is there: TCP's own, that of CONNECT, and the two of QoS 2.

A window is what a scenario grants the implementation; the way of packets comes on top.
"""

TIMED_ROUND_TRIPS = 1
"""How many of them it takes until something is seen at a time that a scenario names: its cause there, it back.

With more, what comes too late by little less than that would pass.
"""

EXCHANGE_ROUND_TRIPS = 2
"""How many of them are one message more's, where each waits for the one before: those of QoS 2."""

QUIET_ROUND_TRIPS = 2
"""How many round trips later than the last thing that was seen a message may come that must not come.

One takes what the actor did last to the broker and its effect back; where that was a PUBREC, what comes back is PUBREL,
and what follows the PUBCOMP takes another.
"""


class Slots:
    """Who may begin: at most `at_once` cells work, and at most `long_under_way` of those that wait long are under way.

    Cells that wait long go first, so that the short ones fill the time in which they wait. Those that have to be alone
    go last, one by one, and nobody begins beside them.
    """

    def __init__(self, at_once: int, long_under_way: int) -> None:
        self._at_once = at_once
        self._long_under_way = long_under_way
        self._working = 0
        self._under_way = 0
        self._is_one_alone = False
        self._long_cells: deque[asyncio.Future[None]] = deque()
        self._short_cells: deque[asyncio.Future[None]] = deque()
        self._lone_cells: deque[asyncio.Future[None]] = deque()

    async def begin(self, *, long: bool = False, alone: bool = False) -> None:
        """Wait for room for one more cell, and count it as working."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._lone_cells if alone else self._long_cells if long else self._short_cells).append(turn)
        self._give_turns()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had its turn, and is ended before it could go on
                self.end(long=long, alone=alone)
            raise

    def end(self, *, long: bool = False, alone: bool = False) -> None:
        """The cell is over."""
        self._under_way -= 1
        if alone:
            self._is_one_alone = False
        elif long:
            self._long_under_way += 1
        self.rest()

    def rest(self) -> None:
        """The cell waits: somebody else may begin."""
        self._working -= 1
        self._give_turns()

    def go_on(self) -> None:
        """The cell works again, at once."""
        self._working += 1

    def _give_turns(self) -> None:
        while self._working < self._at_once and not self._is_one_alone:
            if self._long_cells and self._long_under_way > 0:
                turn = self._long_cells.popleft()
                self._long_under_way -= not turn.done()
            elif self._short_cells:
                turn = self._short_cells.popleft()
            elif self._lone_cells and not self._under_way:
                turn = self._lone_cells.popleft()
                self._is_one_alone = not turn.done()
            else:
                return
            if not turn.done():  # done means cancelled: the run is being ended
                self._working += 1
                self._under_way += 1
                turn.set_result(None)


class Pace:
    """The time account of one cell; `now()` is the clock of its trace."""

    def __init__(
        self,
        slots: Slots,
        expected_wait_seconds: float = 0.0,
        round_trip_seconds: float = 0.0,
        *,
        alone: bool = False,
    ) -> None:
        """`round_trip_seconds`: how long a request and its answer are under way."""
        self.round_trip_seconds = round_trip_seconds
        self._slots = slots
        is_long = expected_wait_seconds > LONG_SECONDS or round_trip_seconds >= NEAR_SECONDS
        self._kind = {"long": is_long, "alone": alone}
        self._began = 0.0
        self._rests = 0
        self.waiting_seconds = 0.0
        self._waited_until = 0.0  # on the monotonic clock

    def now(self) -> float:
        """Seconds since the cell began."""
        return self.at(time.monotonic())

    def at(self, moment: float) -> float:
        """A moment of the monotonic clock on the cell's."""
        return moment - self._began

    def answer_seconds(self, count: int = 1, *, is_timed: bool = False) -> float:
        """How much longer than on loopback an answer may take, or so many of them, each behind the one before."""
        first = TIMED_ROUND_TRIPS if is_timed else ANSWER_ROUND_TRIPS
        return (first + (count - 1) * EXCHANGE_ROUND_TRIPS) * self.round_trip_seconds

    @property
    def quiet_seconds(self) -> float:
        """How much longer than on loopback to listen for what must not come."""
        return QUIET_ROUND_TRIPS * self.round_trip_seconds

    @property
    def patient_seconds(self) -> float:
        """How long to wait for an answer as part of the work."""
        return BUSY_SECONDS if self.round_trip_seconds < NEAR_SECONDS else 0.0

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """The whole cell, once there is room for it."""
        await self._slots.begin(**self._kind)
        self._began = time.monotonic()
        try:
            yield
        finally:
            self._slots.end(**self._kind)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A stretch in which the scenario demands that time passes: it is not overhead."""
        since = time.monotonic()
        try:
            with self.resting():
                yield
        finally:
            self._wait_ended(since)

    def waited(self, since: float) -> None:
        """What passed since then, on the cell's clock, was waiting, as it turned out."""
        self._wait_ended(self._began + since)

    def _wait_ended(self, since: float) -> None:
        now = time.monotonic()
        self.waiting_seconds += now - max(since, self._waited_until)  # a wait within a wait is one
        self._waited_until = now

    @contextmanager
    def resting(self) -> Iterator[None]:
        """A stretch with nothing to do until somebody answers: others may work, and it is overhead all the same."""
        self._rests += 1
        if self._rests == 1:
            self._slots.rest()
        try:
            yield
        finally:
            self._rests -= 1
            if self._rests == 0:
                self._slots.go_on()
