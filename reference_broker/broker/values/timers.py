"""Everything that happens because time passed, in one heap.

Belongs here: calling something at a time. Does not belong here: clocks (times are arguments), or what is called.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Timer:
    """One thing to do at one time; `cancel` may be called at any moment, also after it fired."""

    __slots__ = ("callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[[float], None]) -> None:
        self.deadline = deadline
        self.callback: Callable[[float], None] | None = callback

    def cancel(self) -> None:
        """Do nothing when the time comes."""
        self.callback = None


class Timers:
    """A heap of timers; cancelled ones are thrown out when they are due or when they are the majority."""

    _SMALL = 64

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._prune_at = self._SMALL

    def at(self, deadline: float, callback: Callable[[float], None]) -> Timer:
        """Call `callback(now)` once `run` is told a time of `deadline` or later."""
        if len(self._heap) >= self._prune_at:
            self._prune()
        timer = Timer(deadline, callback)
        self._count += 1  # equal deadlines fire in the order they were set
        heapq.heappush(self._heap, (deadline, self._count, timer))
        return timer

    def next_deadline(self) -> float | None:
        """When `run` has something to do; None if never."""
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run(self, now: float) -> None:
        """Fire what is due, in order of deadlines; a callback may set new timers, due ones included."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback(now)

    def _prune(self) -> None:
        self._heap = [entry for entry in self._heap if entry[2].callback is not None]
        heapq.heapify(self._heap)
        self._prune_at = max(self._SMALL, 2 * len(self._heap))
