"""Whether answers leave in the order of what they answer.

Belongs here: one queue of what waits for an answer.
Does not belong here: which packets answer which (`flows`, `acknowledgements`).
"""

from __future__ import annotations

from interop.judge.view import Event


class AnswerOrder:
    """Asked in order; an answer overtakes when something asked earlier is answered only after it.

    What is never answered is not overtaken: it may have been dropped for a reason of its own.
    """

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._overtaken: dict[int, Event] = {}

    def asked(self, packet_id: int) -> None:
        """An answer is due; asking again while one is due changes nothing."""
        if packet_id not in self._waiting:
            self._waiting.append(packet_id)

    def answered(self, packet_id: int, answer: Event) -> Event | None:
        """An answer leaves; gives the answer to something asked later that left before this one, if any."""
        if packet_id not in self._waiting:
            return None
        place = self._waiting.index(packet_id)
        for earlier in self._waiting[:place]:
            self._overtaken.setdefault(earlier, answer)
        self._waiting.pop(place)
        return self._overtaken.pop(packet_id, None)
