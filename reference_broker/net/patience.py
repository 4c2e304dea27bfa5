"""Whether to wait with the store for acknowledgements, which may leave nothing to be kept.

Belongs here: finding out whether waiting is worth it, from how it went before. Does not belong here: waiting itself,
and what is kept (`keeping`).

A message that all who get it have acknowledged is done with: its publisher may be told so, and no disk has to turn for
it. A client on the same machine or the next one acknowledges within less time than a commit takes; a client far away
does not, and then the time was lost.
"""

from __future__ import annotations

from typing import Final

PATIENCE_SECONDS: Final = 150e-6
"""So long it is worth waiting: about what a commit takes."""
_MOST_PASSED_BY: Final = 1023


class Patience:
    """Remembers how waiting went: after each time in vain twice as many occasions are passed by."""

    __slots__ = ("_left", "_passed_by")

    def __init__(self) -> None:
        self._passed_by = 0
        self._left = 0

    def has_any(self) -> bool:
        """Whether to wait on this occasion."""
        if self._left:
            self._left -= 1
            return False
        return True

    def note(self, *, was_worth_it: bool) -> None:
        """Remember how it went."""
        self._passed_by = 0 if was_worth_it else min(2 * self._passed_by + 1, _MOST_PASSED_BY)
        self._left = self._passed_by
