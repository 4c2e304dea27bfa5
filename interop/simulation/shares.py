"""What the broker owes to shared subscriptions: each message to one member, whoever that is. [5.0 4.8.2]

Belongs here: which messages a share is to get, who may have them, and when nobody has to.
Does not belong here: what a session is to get for itself (`ledger`), whether it is right (`books_shares`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from interop.simulation.wires import Seat, Wire
from reference_broker.wire.packets import Publish, Subscription
from reference_broker.wire.topics import SHARE_PREFIX, matches
from reference_broker.wire.types import QoS, Version


@dataclass(slots=True, eq=False)
class SharedDue:
    """One message that one member of a share is to get, each time it was accepted.

    It came `told` times, of which `told_once` at another QoS than 1. `begun` are the sessions to which the broker sent
    it at QoS 2, `perhaps_begun` those to which it may have, because what it sent may be for another subscription of
    theirs, `sent_on` the connections it was last sent on. It must come unless `is_optional`.
    """

    share: str
    number: int
    publisher: str
    copies: int = 0
    told: int = 0
    told_once: int = 0
    is_optional: bool = False
    begun: set[Seat] = field(default_factory=set)
    perhaps_begun: set[Seat] = field(default_factory=set)
    sent_on: dict[Seat, Wire] = field(default_factory=dict)


class Shares:
    """All messages of all shares, by number."""

    def __init__(self, *, may_drop: bool) -> None:
        """`may_drop`: queues are so short that any message may be dropped."""
        self._may_drop = may_drop
        self._dues: dict[int, dict[str, SharedDue]] = {}
        self._by_share: dict[str, list[SharedDue]] = {}
        """What is not delivered yet, and more."""

    def accept(self, publisher: str, number: int, packet: Publish, seats: Iterable[Seat]) -> list[SharedDue]:
        """The broker took a message over; what shares are to get of it."""
        members: dict[str, list[Seat]] = {}
        for seat in seats:
            for share in seat.shares:
                if share in seat.subscriptions and matches(_bare(share), packet.topic):
                    members.setdefault(share, []).append(seat)
        for share, those in members.items():
            due = self._dues.setdefault(number, {}).get(share)
            if due is None:
                due = self._dues[number][share] = SharedDue(share, number, publisher)
                self._by_share.setdefault(share, []).append(due)
            due.copies += 1
            due.is_optional = (
                due.is_optional
                or self._may_drop
                or packet.qos == QoS.AT_MOST_ONCE
                or packet.properties.message_expiry_interval is not None
                or any(seat.shares[share] & 1 or seat.maximum_packet_size is not None for seat in those)
            )
        return [self._dues[number][share] for share in members]

    def subscribe(self, seat: Seat, subscription: Subscription) -> None:
        """A session joins a share, or asks for another QoS."""
        share = subscription.topic_filter
        seat.shares[share] = seat.shares.get(share, 0) | 1 << subscription.qos
        if not subscription.qos or seat.maximum_packet_size is not None:
            self._let_off(share)  # what another member leaves may come to it, at QoS 0, or be too large

    def left(self, seat: Seat, remaining: Collection[Seat], *, has_ended: bool) -> None:
        """A session is over, or has left a share: what it began goes to nobody else, and if it was the last nothing."""
        for share in [each for each in seat.shares if each in self._by_share]:
            if not any(share in each.shares and share in each.subscriptions for each in remaining):
                self._let_off(share)
            for due in self._by_share.get(share, ()):
                if (
                    not has_ended or seat in due.begun | due.perhaps_begun
                ):  # buffered for it, it may come or not [5.0 MQTT-3.10.4-1]
                    due.is_optional = True

    def of(self, seat: Seat, number: int) -> SharedDue | None:
        """What a session may get of a message for one of its shares: the least delivered."""
        dues = [due for share, due in self._dues.get(number, {}).items() if share in seat.shares]
        return min(dues, key=lambda due: due.told, default=None)

    def missing(self) -> Iterable[SharedDue]:
        """What came to nobody, and has to."""
        for dues in self._by_share.values():
            yield from (due for due in dues if not due.told and not due.is_optional)

    def _let_off(self, share: str) -> None:
        """Nobody has to get what there is so far."""
        for due in self._by_share.pop(share, ()):
            due.is_optional = True


def is_shared(topic_filter: str, version: Version) -> bool:
    """Whether the filter names a share; to 3.x it is a filter as any other."""
    return version is Version.V5 and topic_filter.startswith(SHARE_PREFIX)


def _bare(share: str) -> str:
    return share.split("/", 2)[2]
