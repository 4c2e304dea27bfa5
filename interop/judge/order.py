"""Whether answers leave in the order of what they answer.

Belongs here: one queue of what waits for an answer.
Does not belong here: which packets answer which (`flows`, `acknowledgements`).
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter

from interop.judge.view import Event


class AnswerOrder:
    """Asked in order; an answer overtakes when something asked earlier is answered only after it.

    What is never answered is not overtaken: it may have been dropped for a reason of its own.
    """

    def __init__(self) -> None:
        self._asked = 0
        self._waiting: dict[int, int] = {}  # by identifier: as which one it was asked
        self._farthest: list[tuple[int, Event]] = []  # answers to what was asked later than all answered before

    def asked(self, packet_id: int) -> None:
        """An answer is due; asking again while one is due changes nothing."""
        if packet_id not in self._waiting:
            self._asked += 1
            self._waiting[packet_id] = self._asked

    def answered(self, packet_id: int, answer: Event) -> Event | None:
        """An answer leaves; gives the first one to something asked later that left while this one was due, if any."""
        number = self._waiting.pop(packet_id, None)
        if number is None:
            return None
        if not self._farthest or self._farthest[-1][0] < number:
            self._farthest.append((number, answer))
            return None
        return self._farthest[bisect_right(self._farthest, number, key=itemgetter(0))][1]
