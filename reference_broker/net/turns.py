"""How much of what one peer sent is worked on before it is the others' turn.

Belongs here: how long, and how many frames. Does not belong here: the bytes themselves (`broker_connection`).

What bytes cost depends on what is in them: 256 KiB are a millisecond's work as one packet, and seconds as frames of no
payload, pings, or packets of a few bytes that have to be taken one by one. So packets are handled until the clock says
that it is enough, and so many frames are taken apart before them.
"""

from __future__ import annotations

import time
from typing import Final

TURN_SECONDS: Final = 0.01
"""How long one peer may have the loop at a time."""
RUNS_OF_FRAMES: Final = 256
"""So many runs of WebSocket frames, or frames by themselves, are taken apart at a time: some milliseconds of pings."""


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
