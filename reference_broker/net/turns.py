"""How much of what one peer sent is worked on before it is the others' turn.

Belongs here: how long, how many frames, and how many bytes, by what those before them took. Does not belong here: the
bytes themselves (`broker_connection`).

What bytes cost depends on what is in them: 256 KiB are a millisecond's work as one packet, and seconds as frames of no
payload, pings, or packets of a few bytes that have to be taken one by one. So packets are handled until the clock says
that it is enough, and so many frames are taken apart before them. Thousands of packets that are alike are handled as
one, which is dear where each has to be made anew for its receiver: so they come in shares.
"""

from __future__ import annotations

import time
from typing import Final

TURN_SECONDS: Final = 0.01
"""How long one peer may have the loop at a time."""
FEWEST_BYTES: Final = 2048
"""A share is never smaller, and a peer of which nothing is known yet begins with it: nothing dearer is known."""
MOST_BYTES: Final = 262_144
"""No read of either event loop is larger."""
RUNS_OF_FRAMES: Final = 256
"""So many runs of WebSocket frames, or frames by themselves, are taken apart at a time: some milliseconds of pings."""

_CHEAP_SECONDS, _DEAR_SECONDS = TURN_SECONDS / 8, TURN_SECONDS / 2


class Turn:
    """When the turn of the peer is over whose packets are being worked on."""

    __slots__ = ("_ends_seconds",)

    def __init__(self) -> None:
        self._ends_seconds = 0.0

    def begin(self) -> None:
        """The next peer's turn."""
        self._ends_seconds = time.perf_counter() + TURN_SECONDS

    def is_over(self) -> bool:
        """Whether the others are to be served before the next packet."""
        return time.perf_counter() >= self._ends_seconds


class Share:
    """How many of one peer's bytes are worked on at once; grows while they are cheap, shrinks when they are not."""

    __slots__ = ("size_bytes",)

    def __init__(self) -> None:
        self.size_bytes = FEWEST_BYTES

    def took(self, seconds: float) -> None:
        """Take note of what the last share cost."""
        if seconds < _CHEAP_SECONDS:
            self.size_bytes = min(2 * self.size_bytes, MOST_BYTES)
        elif seconds > _DEAR_SECONDS:
            self.size_bytes = max(self.size_bytes // 2, FEWEST_BYTES)
