"""What takes so long that nobody else should wait, such as a password's hash: one at a time, and who waits for it.

Belongs here: whose turn it is. Does not belong here: what is looked at (`values.access`), where (the adapter), and what
becomes of it (`peers.connecting`).

One, because a hash takes 64 MiB of memory and all cores for a moment. Who waits is not let in yet, so that there are no
more than half-open connections, and of each what counts there as an incomplete packet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

Work = Callable[[], bool]
"""Tells whether something is right; may run in another thread."""

DoElsewhere = Callable[[Work, Callable[[bool, float], None]], None]
"""Does what takes long, and says later what came of it and what time it is then."""


class Checks:
    """Those that wait for something to be looked at, in their order."""

    def __init__(self, do_elsewhere: DoElsewhere) -> None:
        self.do_elsewhere = do_elsewhere
        """How the adapter does it."""
        self._waiting: deque[tuple[Callable[[float], Work | None], Callable[[bool, float], None]]] = deque()
        self._is_busy = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def ask(self, begin: Callable[[float], Work | None], done: Callable[[bool, float], None], now: float) -> None:
        """Have something looked at: `begin` gives it when its turn comes, or None where nobody wants to know then."""
        self._waiting.append((begin, done))
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        while self._waiting and not self._is_busy:
            begin, done = self._waiting.popleft()
            work = begin(now)
            if work is not None:
                self._is_busy = True
                self.do_elsewhere(work, partial(self._done, done))

    def _done(self, done: Callable[[bool, float], None], is_right: bool, now: float) -> None:
        self._is_busy = False
        done(is_right, now)
        self._go_on(now)
