"""What a broker that crashes goes back to: all as it was before each turn that its store has not kept yet.

Belongs here: which turns are kept, the state before the others, until when the store knows that the broker lived.
Does not belong here: what packets and time do to that state (`ledger`).
"""

from __future__ import annotations

from collections import deque

from interop.simulation.shares import SharedDue
from interop.simulation.wires import Due, Seat

ALIVE_SECONDS = 5.0
"""A broker notes that it lives when it starts and this often from then on."""

Seats = dict[str, Seat]
Retained = dict[str, int]


class _Past:
    """What there was before a turn."""

    __slots__ = ("_retained", "_seats", "_states", "turn")

    def __init__(self, turn: int, seats: Seats, retained: Retained) -> None:
        self.turn = turn
        self._seats = dict(seats)
        self._retained = dict(retained)
        self._states = [
            (
                seat,
                (seat.version, seat.expiry_seconds, seat.wire, seat.will, seat.will_at, seat.end_at),
                dict(seat.subscriptions),
                dict(seat.identifiers),
                dict(seat.received),
            )
            for seat in seats.values()
        ]

    def restored(self) -> tuple[Seats, Retained]:
        for seat, scalars, subscriptions, identifiers, received in self._states:
            seat.version, seat.expiry_seconds, seat.wire, seat.will, seat.will_at, seat.end_at = scalars
            seat.subscriptions, seat.identifiers, seat.received = subscriptions, identifiers, received
            seat.has_ended = False
        return self._seats, self._retained


class Turns:
    """The turns of a broker, which are kept in their order."""

    def __init__(self) -> None:
        self.number = 0
        """The turn's that comes."""
        self._committed = 0
        self._pasts: deque[_Past] = deque()
        self._uncertain: deque[tuple[int, Due | SharedDue]] = deque()
        self._published: dict[int, int] = {}
        """By will, the turn in which it was published."""
        self._acknowledged: deque[tuple[int, int]] = deque()
        """Wills the witness has acknowledged, each with the turn in which it did."""
        self._ended_at: deque[float] = deque()
        self._started_at = self._alive_at = 0.0

    def remember(self, seats: Seats, retained: Retained) -> None:
        """Something is about to change in the turn that comes."""
        if not (self._pasts and self._pasts[-1].turn == self.number):
            self._pasts.append(_Past(self.number, seats, retained))

    def took_over(self, due: Due | SharedDue) -> None:
        """A message was taken over in this turn."""
        self._uncertain.append((self.number, due))

    def published(self, will: int) -> None:
        """A will is published in this turn."""
        self._published[will] = self.number

    def acknowledged(self, will: int) -> None:
        """The witness acknowledges a will in this turn."""
        self._acknowledged.append((self.number, will))

    def over(self, now: float) -> None:
        """What happened so far is one turn."""
        self.number += 1
        self._ended_at.append(now)

    def commit(self, count: int) -> None:
        """So many turns more will be remembered whatever happens."""
        self._committed += count
        for kept in (self._uncertain, self._acknowledged):
            while kept and kept[0][0] < self._committed:
                kept.popleft()
        while self._pasts and self._pasts[0].turn < self._committed:
            self._pasts.popleft()
        for _ in range(count):
            ended_at = self._ended_at.popleft()
            self._alive_at = ended_at - (ended_at - self._started_at) % ALIVE_SECONDS

    def go_back(self, seats: Seats, retained: Retained) -> tuple[Seats, Retained]:
        """All that was there after the last turn committed, of what there is now. What came since may come.

        What a broker does as it starts is not kept either: if it crashes again before, all is as it was once more.
        """
        if self._pasts:
            seats, retained = self._pasts[0].restored()
        self._pasts.clear()
        for _, due in self._uncertain:
            due.is_optional = True
        self._uncertain.clear()
        self.remember(seats, retained)
        return seats, retained

    def start(self, now: float) -> tuple[float, list[int]]:
        """Another broker starts: until when connections may have lasted, for all it knows; what the witness has to get.

        It knows when it noted for the last time that it lived, of the notes that were committed. It takes them to have
        lasted until the next note, so that nothing happens too early (as long as no turn takes longer than that to be
        committed); the time since then counts, as long as it was down. So a will's delay may end up to `ALIVE_SECONDS`
        late, which a server that failed may be [5.0 3.1.2.5], and so may a session. [5.0 3.1.2.11.2]
        To get are wills that were published in a turn committed, and whose acknowledgements were not.
        """
        repeated = [will for _, will in self._acknowledged if self._published[will] < self._committed]
        self._acknowledged.clear()
        self._ended_at.clear()
        self._committed = self.number
        self._started_at = now
        return min(self._alive_at + ALIVE_SECONDS, now), repeated
