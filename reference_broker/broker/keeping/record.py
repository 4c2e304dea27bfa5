"""What the store has of one session beside what it has to get: its head, subscriptions, will, and received identifiers.

Belongs here: which row comes, changes and goes when the session does.
Does not belong here: what the session has to get (`outgoing.ledger`), the form of rows (`values.rows`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from reference_broker.broker.values.journal import Journal
from reference_broker.broker.values.rows import (
    RECEIVED,
    SESSION,
    SESSION_WILL,
    SUBSCRIPTION,
    SessionRow,
    SubscriptionRow,
    WillRow,
)
from reference_broker.wire.packets import Will

PAGE = 256
"""So many packet identifiers of received QoS 2 messages share a row."""


class Record:
    """The rows of one session; its head and its received identifiers are written down at the end of a turn."""

    __slots__ = ("_has_will", "_journal", "_pages", "_received", "number")

    def __init__(self, journal: Journal, number: bytes, *, has_will: bool = False) -> None:
        """`number` is the session's, 8 bytes; `has_will` when a will has a row from before the broker's start."""
        self._journal = journal
        self.number = number
        self._has_will = has_will
        self._received: Container[int] = ()
        self._pages: set[int] = set()

    def unix_time(self, at: float | None) -> float | None:
        """A time of the broker's clock as it stands in rows."""
        return None if at is None else self._journal.unix_time(at)

    def changed(self, head: SessionRow, will: Will | None, due_at: float | None) -> None:
        """The session is so now; its will is due at that Unix time, None while its client is connected."""
        self._journal.put(SESSION + self.number, head.encoded())
        key = SESSION_WILL + self.number
        if will is not None:
            self._has_will = True
            self._journal.put(key, WillRow(will, due_at).encoded())
        elif self._has_will:
            self._has_will = False
            self._journal.drop(key)

    def subscribed(self, topic_filter: str, row: SubscriptionRow) -> None:
        """It has this subscription."""
        self._journal.put(SUBSCRIPTION + self.number + topic_filter.encode(), row.encoded())
        self._journal.promise()

    def unsubscribed(self, topic_filter: str) -> None:
        """It has it no more."""
        self._journal.drop(SUBSCRIPTION + self.number + topic_filter.encode())
        self._journal.promise()

    def received(self, packet_ids: Iterable[int], all_received: Container[int]) -> None:
        """QoS 2 messages with these identifiers came or were released; `all_received` are those that are not."""
        self._received = all_received
        self._pages.update({packet_id // PAGE for packet_id in packet_ids})
        self._journal.unsettle(self)
        self._journal.promise()

    def ended(self, *, had_subscriptions: bool) -> None:
        """The session is over."""
        self._pages.clear()
        for kind in (SESSION, SESSION_WILL):
            self._journal.drop(kind + self.number)
        if had_subscriptions:
            self._journal.drop_all(SUBSCRIPTION + self.number)
        self._journal.drop_all(RECEIVED + self.number)
        self._journal.promise()

    def settle(self, journal: Journal) -> None:
        """Write down which identifiers are received, a bit for each."""
        for page in self._pages:
            first = page * PAGE
            bits = 0
            for packet_id in range(first, first + PAGE):
                if packet_id in self._received:
                    bits |= 1 << packet_id - first
            key = RECEIVED + self.number + bytes((page,))
            if bits:
                journal.put(key, bits.to_bytes(PAGE // 8, "big"))
            else:
                journal.drop(key)
        self._pages.clear()
        self._received = ()  # nothing of a session that is put away stays


def identifiers_of(page: int, value: bytes) -> list[int]:
    """The identifiers a row of received ones has."""
    bits = int.from_bytes(value, "big")
    return [page * PAGE + index for index in range(PAGE) if bits >> index & 1]
