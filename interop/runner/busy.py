"""How late this worker runs, so that a machine that is too busy is not taken for a slow client or broker.

Belongs here: measuring the worker's own lag, and when it is too much for what was seen to be believed.
Does not belong here: what becomes of a cell then (`again`), the scenario's waiting (`pace`).

A heartbeat in the worker's loop is due at known moments; how much later it comes is what everything else in this loop
was late, too. What takes hundreds of turns of the loop may lose seconds by delays each too short for a beat to show: on
Linux the worker knows for how long it was ready and had no processor. Programs of others wait for one just as we do,
unseen; for how much of the time somebody on the machine had to, Linux tells as well.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BEAT_SECONDS = 0.05
"""How often the heartbeat is due."""

_NOTED_SECONDS = 0.02
_KEPT_SECONDS = 120.0
"""Longer than a cell may take."""

_PRESSURE = Path("/proc/pressure/cpu")
_THIS_THREAD = Path("/proc/thread-self")


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the monotonic clock, and how long somebody, and this thread, had waited for a processor by then."""

    at: float
    pressed_seconds: float
    waited_seconds: float = 0.0


_NOTICEABLE_SECONDS = 1.0
"""Twice what a worker has that keeps two cores at work alone: half a second, where it begins its share at once."""

_ALWAYS_PRESSED = 0.97
_LONG_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Lag:
    """How late a worker ran in a span of `seconds`.

    That is the worst single delay, all delays together, and the share of the span in which somebody was kept waiting.
    """

    worst_seconds: float
    lost_seconds: float
    pressed: float
    seconds: float

    @property
    def is_noticeable(self) -> bool:
        """Whether it is worth another look, because this machine may have had a share in what was seen."""
        return self.worst_seconds >= _NOTICEABLE_SECONDS or (
            self.pressed >= _ALWAYS_PRESSED and self.seconds >= _LONG_SECONDS
        )

    def explains(self, window_seconds: float) -> bool:
        """Whether something may be missing from a window for it: one delay took a quarter, or all took half of it."""
        return self.worst_seconds >= window_seconds / 4 or self.lost_seconds >= window_seconds / 2

    def __str__(self) -> str:
        return (
            f"lag {self.worst_seconds:.1f} s at worst, {self.lost_seconds:.1f} s in all; "
            f"{self.pressed:.0%} of the time somebody waited for a processor"
        )


NO_LAG = Lag(0.0, 0.0, 0.0, 0.0)
"""Of what is no matter of time."""


class Heartbeat:
    """The lag of one loop; `beat` runs in it as long as the loop does."""

    def __init__(
        self, pressed_seconds: Callable[[], float] | None = None, waited_seconds: Callable[[], float] | None = None
    ) -> None:
        self._pressed_seconds = cpu_pressed_seconds if pressed_seconds is None else pressed_seconds
        self._waited_seconds = cpu_waited_seconds if waited_seconds is None else waited_seconds
        self._late: deque[tuple[float, float]] = deque()

    async def beat(self) -> None:
        """Note how late each beat is."""
        while True:
            due = time.monotonic() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self.came(time.monotonic(), due)

    def came(self, now: float, due: float) -> None:
        """A beat that was due came."""
        if now - due >= _NOTED_SECONDS:
            self._late.append((now, now - due))
        while self._late and self._late[0][0] < now - _KEPT_SECONDS:
            self._late.popleft()

    def moment(self) -> Moment:
        """This one."""
        return Moment(time.monotonic(), self._pressed_seconds(), self._waited_seconds())

    def since(self, begin: Moment) -> Lag:
        """The lag from then on."""
        now = self.moment()
        passed = now.at - begin.at
        late = [late for at, late in self._late if at >= begin.at]
        pressed = now.pressed_seconds - begin.pressed_seconds
        lost = max(sum(late), now.waited_seconds - begin.waited_seconds)  # a late beat waited for a processor, mostly
        return Lag(max(late, default=0.0), lost, min(1.0, pressed / passed) if passed > 0 else 0.0, passed)


def cpu_pressed_seconds() -> float:
    """For how long, since the machine began, somebody waited for a processor; 0 where the system does not tell."""
    try:
        some = _told(_PRESSURE).partition(b"\n")[0]
        return int(some.rpartition(b"total=")[2]) / 1e6
    except (OSError, ValueError):
        return 0.0


def cpu_waited_seconds(thread: Path = _THIS_THREAD) -> float:
    """For how long a thread, by its folder, was ready and waited for a processor; 0 where the system does not tell."""
    try:
        return int(_told(thread / "schedstat").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _told(file: Path) -> bytes:
    """What a file of the kernel's says at this moment; four are read for each cell, by no more calls than it takes."""
    number = os.open(file, os.O_RDONLY)
    try:
        return os.read(number, 1024)
    finally:
        os.close(number)
