"""What of a broker survives a crash, and a broker that goes on from there.

Belongs here: turns that are kept one after the other, later than they happened, as a store with group commit does.
Does not belong here: what may leave before it is kept, the crash itself (`medium`), what is owed (`ledger`).
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from reference_broker.broker import Broker
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import Change


class Keeper(Protocol):
    """Keeps what turns of a broker have changed. A turn is noted before its output is taken."""

    def note(self, broker: Broker, now: float) -> bool:
        """A turn is over, nothing of it is kept yet; whether its output has to wait until it is."""

    def commit(self, count: int) -> None:
        """Keep the oldest turns that were noted, so many of them."""

    def go_on(self, broker: Broker, now: float) -> None:
        """Everything that is not kept is lost; have a new broker take over the rest."""


class RowKeeper:
    """Keeps the rows that a broker says have changed, in a store that outlives it."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self._noted: deque[list[Change]] = deque()

    def note(self, broker: Broker, _now: float) -> bool:
        """A turn is over."""
        changes = broker.take_changes()
        self._noted.append([] if changes is None else changes.changes)
        return changes is not None and changes.is_promised

    def commit(self, count: int) -> None:
        """Keep the oldest turns."""
        for _ in range(count):
            self._store.commit(self._noted.popleft())

    def go_on(self, broker: Broker, now: float) -> None:
        """A new broker takes over."""
        self._noted.clear()
        broker.load(now, now)
        while (wanted := broker.next_read()) is not None:
            broker.take_rows(wanted, self._store.read(wanted.begin, wanted.end, _ALL_ROWS), now)


_ALL_ROWS = 1 << 30
