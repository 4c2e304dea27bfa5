"""A store that lives as long as the object does: for tests, and for a broker restarted within one process."""

from __future__ import annotations

from reference_broker.store.records import Snapshot


class MemoryStore:
    """Keeps the last snapshot as it is."""

    def __init__(self) -> None:
        self._snapshot = Snapshot()

    def load(self) -> Snapshot:
        """The last snapshot saved."""
        return self._snapshot

    def save(self, snapshot: Snapshot) -> None:
        """Keep this one instead."""
        self._snapshot = snapshot
