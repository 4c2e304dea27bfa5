"""A store that lives as long as the object does: for tests, and for a broker restarted within one process."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from reference_broker.store.records import Change, Removal, Row


class MemoryStore:
    """Keeps `rows`; a copy of them is what a crash after the last commit would leave."""

    def __init__(self, rows: dict[bytes, bytes] | None = None) -> None:
        self.rows: dict[bytes, bytes] = {} if rows is None else dict(rows)
        self._keys: list[bytes] | None = None  # in order, None: to be sorted

    def read(self, begin: bytes, end: bytes, limit: int) -> list[Row]:
        """The first `limit` rows with begin <= key < end, in the order of keys."""
        if self._keys is None:
            self._keys = sorted(self.rows)
        first = bisect_left(self._keys, begin)
        last = min(bisect_left(self._keys, end), first + limit)
        return [(key, self.rows[key]) for key in self._keys[first:last]]

    def commit(self, changes: Sequence[Change]) -> None:
        """Keep all of them."""
        self._keys = None
        for key, value in changes:
            if value is Removal.ONE:
                self.rows.pop(key, None)
            elif value is Removal.ALL:
                for other in [other for other in self.rows if other.startswith(key)]:
                    del self.rows[other]
            else:
                self.rows[key] = value

    def tend(self, *, is_idle: bool) -> bool:  # noqa: ARG002
        """Nothing to do."""
        return False

    def close(self) -> None:
        """Nothing to let go of: the rows stay, for the next broker."""
