"""Shared subscriptions: of several sessions one gets each message. [5.0 4.8.2]

Belongs here: membership of one share and choosing who is next.
Does not belong here: delivering, or what becomes of undelivered messages (`sessions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from reference_broker.broker.keeping.session import Session, Subscribed


class SharedSubscription:
    """One `$share/{name}/{filter}` with its members; it lasts as long as it has any."""

    __slots__ = ("_members", "_order", "_turn", "topic_filter")

    def __init__(self, topic_filter: str) -> None:
        """`topic_filter` is the whole one, `$share/...` included, which identifies the subscription."""
        self.topic_filter = topic_filter
        self._members: dict[Session, Subscribed] = {}
        self._order: list[Subscribed] = []
        self._turn = 0

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._members)

    def join(self, subscribed: Subscribed) -> None:
        """Add a session, or replace what it was granted; it is a member once in either case. [5.0 4.8.2]"""
        self._members[subscribed.session] = subscribed
        self._order = list(self._members.values())

    def leave(self, session: Session) -> None:
        """Remove a session."""
        self._members.pop(session, None)
        self._order = list(self._members.values())

    def has_any(self) -> bool:
        """Whether it has a member whose session has not ended: those of one that has may take a while to go."""
        return any(session.subscribed is not None for session in self._members)

    def deal(self, count: int) -> list[Subscribed]:
        """As many turns as `choose` would give to that many messages which all may receive, up to the first repetition.

        Message number i is for member i modulo the length; the turn is set behind the last one.
        """
        order = self._order
        turn = min(self._turn, len(order))
        positions = [*range(turn, len(order)), *range(turn)]
        connected = [position for position in positions if order[position].session.sender is not None]
        chosen = connected or [place for place in positions if order[place].session.subscribed is not None]
        self._turn = chosen[(count - 1) % len(chosen)] + 1
        return [order[position] for position in chosen[:count]]

    def __contains__(self, session: object) -> bool:
        return session in self._members

    def choose(self, may_receive: Callable[[Session], bool]) -> Subscribed | None:
        """Whose turn it is: connected members in rotation, and only if there is none the absent ones.

        None when nobody may receive it. The specification leaves the choice free. [5.0 4.8.2]
        """
        order = self._order
        turn = min(self._turn, len(order))  # it may be behind the end, when members have left
        absent: Subscribed | None = None
        absent_position = 0
        for position in chain(range(turn, len(order)), range(turn)):
            member = order[position]
            if member.session.subscribed is None or not may_receive(member.session):
                continue
            if member.session.sender is not None:
                self._turn = position + 1
                return member
            if absent is None:
                absent, absent_position = member, position
        self._turn = absent_position + 1
        return absent
