"""How much of what one peer sent is worked on before it is the others' turn.

Belongs here: how many bytes, by what those before them took. Does not belong here: the bytes themselves (`server`).

What bytes cost depends on what is in them: 256 KiB are a millisecond's work as one packet, and seconds as frames of no
payload, pings, or packets of a few bytes that have to be taken one by one. So time is measured, whatever the attack:
the thread's own, which others on the machine do not make longer.
"""

from __future__ import annotations

from typing import Final

TURN_SECONDS: Final = 0.01
"""How long one peer may have the loop at a time."""
FEWEST_BYTES: Final = 256
"""A share is never smaller: 64 acknowledgements, each of which may have a message taken from the store and sent."""
FIRST_BYTES: Final = 2048
"""The share of a peer of which nothing is known yet."""
MOST_BYTES: Final = 262_144
"""No read of either event loop is larger."""

_CHEAP_SECONDS, _DEAR_SECONDS = TURN_SECONDS / 8, TURN_SECONDS / 2


class Share:
    """How many of one peer's bytes are worked on at once; grows while they are cheap, shrinks when they are not."""

    __slots__ = ("size_bytes",)

    def __init__(self) -> None:
        self.size_bytes = FIRST_BYTES

    def took(self, seconds: float) -> None:
        """Take note of what the last share cost."""
        if seconds < _CHEAP_SECONDS:
            self.size_bytes = min(2 * self.size_bytes, MOST_BYTES)
        elif seconds > _DEAR_SECONDS:
            self.size_bytes = max(int(self.size_bytes * _DEAR_SECONDS / seconds), FEWEST_BYTES)
