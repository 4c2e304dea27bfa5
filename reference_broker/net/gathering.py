"""How long to wait between reads, so that packets that come one by one are read together.

Belongs here: finding out how much waiting carries more, from what was read and when.
Does not belong here: waiting itself (`server`), any MQTT.

A peer that sends each packet by itself wakes the broker for each, and pays for the waking; while nobody waits in the
kernel's poll its sends cost a fraction. Network cards wait with their interrupts for the same reason. Whether more gets
through is tried, because only that tells a peer that would send faster from one that sends as fast as it wants to, or
that waits for each answer: those would get nothing but the delay.
"""

from __future__ import annotations

from typing import Final

STEPS_SECONDS: Final = (0.0, 60e-6, 120e-6, 240e-6)
"""What is tried, each step after the one before was worth it; most systems add some 50 microseconds."""

_WINDOW_SECONDS: Final = 0.004
"""So long what is read is counted before anything is decided."""
_FREQUENT_PER_SECOND: Final = 30_000
_SMALL_BYTES: Final = 1024
"""Reads so frequent and, on average, so small are worth a trial."""
_GAIN: Final = 1.1
_FURTHER_GAIN: Final = 1.05
"""So much more has to get through by the first step than without, and by each further one than by that before."""
_WINDOWS_BEFORE_LOOK: Final = 100
"""After so many windows it is looked at anew what gets through without waiting."""
_SHORTEST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 4.0
"""How long nothing is tried after a trial in vain; each one doubles it."""


class Gathering:
    """Counts the reads of one event loop; tell it of each one by `note`."""

    __slots__ = (
        "_began",
        "_bytes",
        "_earliest_trial",
        "_floor",
        "_is_settled",
        "_pause_seconds",
        "_reads",
        "_step",
        "_wanted",
        "_windows",
    )

    def __init__(self) -> None:
        self._step = 0
        self._is_settled = False
        """Whether no further step is tried for now."""
        self._floor = 0.0
        """Less than so many bytes a second would get through without waiting, too."""
        self._wanted = 0.0
        """So many bytes a second make the step that is tried worth it."""
        self._began = 0.0
        self._reads = 0
        self._bytes = 0
        self._windows = 0
        self._earliest_trial = 0.0
        self._pause_seconds = _SHORTEST_PAUSE_SECONDS

    def note(self, size_bytes: int, now: float) -> float:
        """Count one read; gives how many seconds to wait before the next one."""
        self._reads += 1
        self._bytes += size_bytes
        if (seconds := now - self._began) >= _WINDOW_SECONDS:
            self._decide(seconds, now)
            self._began = now
            self._reads = self._bytes = 0
        return STEPS_SECONDS[self._step]

    def _decide(self, seconds: float, now: float) -> None:
        rate = self._bytes / seconds
        if not self._step:
            is_frequent = self._reads >= _FREQUENT_PER_SECOND * seconds
            if is_frequent and self._bytes < _SMALL_BYTES * self._reads and now >= self._earliest_trial:
                self._floor = _GAIN * rate
                self._try_next(self._floor)
        elif self._is_settled:
            self._windows += 1
            if rate < self._floor or self._windows == _WINDOWS_BEFORE_LOOK:
                self._step = 0
        elif rate < self._wanted:
            self._step -= 1
            self._settle(now)
        elif self._step + 1 < len(STEPS_SECONDS):
            self._try_next(_FURTHER_GAIN * rate)
        else:
            self._settle(now)

    def _try_next(self, wanted: float) -> None:
        self._step += 1
        self._wanted = wanted
        self._is_settled = False

    def _settle(self, now: float) -> None:
        self._is_settled = True
        self._windows = 0
        if self._step:
            self._pause_seconds = _SHORTEST_PAUSE_SECONDS
        else:
            self._earliest_trial = now + self._pause_seconds
            self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
