"""One session: all that outlives a connection for one client id, and what it subscribes to. [3.1.1 3.1.2.4, 5.0 4.1]

Belongs here: a session's state, and its subscriptions, each as the reason why it gets something (`Target`).
Does not belong here: its outgoing half (`outgoing.mailbox`), its life (`sessions`), finding and merging targets
(`routing`).
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

from reference_broker.broker.keeping.record import Record
from reference_broker.broker.outgoing.mailbox import Mailbox
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.outgoing.waiting import Queues
from reference_broker.broker.values.rows import SessionRow, SubscriptionRow
from reference_broker.broker.values.seldom import Seldom
from reference_broker.broker.values.terms import Terms
from reference_broker.broker.values.timers import Timer
from reference_broker.session.delivery import Inbound
from reference_broker.wire.packets import Subscription, Will
from reference_broker.wire.types import PacketType, QoS, Version


class ManyInbound(Inbound):
    """Received QoS 2 messages by the run instead of one at a time; `record` is told, where there is one."""

    __slots__ = ("record",)

    def __init__(self, version: Version, record: Record | None = None) -> None:
        super().__init__(version)
        self.record = record

    def restore_new(self, packet_ids: Sequence[int]) -> int:
        """Store identifiers up to the first that is 0 or stored already; how many."""
        received = self._received
        new = dict.fromkeys(packet_ids)
        if len(new) == len(packet_ids) and 0 not in new and received.keys().isdisjoint(new):
            received.update(new)
            count = len(new)
        else:
            count = len(packet_ids)
            for place, packet_id in enumerate(packet_ids):
                if not packet_id or packet_id in received:
                    count = place
                    break
                received[packet_id] = None
        if self.record is not None:
            self._note(packet_ids[:count])
        return count

    def forget_known(self, packet_ids: Sequence[int]) -> int:
        """Forget identifiers up to the first that is not stored; how many."""
        received = self._received
        count = len(packet_ids)
        for place, packet_id in enumerate(packet_ids):
            if packet_id not in received:
                count = place
                break
            del received[packet_id]
        if self.record is not None:
            self._note(packet_ids[:count])
        return count

    def forget(self, packet_id: int) -> None:
        """A PUBREC with an error was sent."""
        super().forget(packet_id)
        self._note((packet_id,))

    def _step(self, packet_id: int, packet_type: PacketType) -> bool:
        is_news = super()._step(packet_id, packet_type)
        if is_news:
            self._note((packet_id,))
        return is_news

    def _note(self, changed: Sequence[int]) -> None:
        if self.record is not None and changed:
            self.record.received(changed, self._received)


class Session(Mailbox):
    """All that outlives a connection for one client id. [5.0 4.1]

    `sender` sends what it gets while its client is connected. `expiry_interval` is in seconds after the connection's
    end: 0 for none, `NEVER_EXPIRES` for ever.
    """

    __slots__ = (
        "_inbound",
        "expiry_interval",
        "record",
        "seldom_set",
        "sender",
        "subscribed",
        "will",
    )

    expiry_timer: Seldom[Timer | None] = Seldom(None)
    will_timer: Seldom[Timer | None] = Seldom(None)

    def __init__(self, client_id: str, version: Version, queues: Queues | None = None) -> None:
        super().__init__(client_id, version, queues)
        self.seldom_set: dict[str, Any] | None = None
        self.expiry_interval = 0
        self.sender: Sender | None = None
        self.subscribed: Subscribed | dict[str, Subscribed] | None = None
        """What `subscriptions` shows."""
        self._inbound: ManyInbound | None = None
        self.will: Will | None = None
        self.record: Record | None = None
        """What the store is told of it, beside what it has to get."""

    @property
    def subscriptions(self) -> Subscriptions:
        """Its subscriptions by their filters, `$share/...` included."""
        return Subscriptions(self)

    @property
    def inbound(self) -> ManyInbound:
        """QoS 2 messages received and not released."""
        if self._inbound is None:
            self._inbound = ManyInbound(self.version, self.record if self.ledger is not None else None)
        return self._inbound

    def has_received(self, packet_id: int) -> bool:
        """Whether an identifier belongs to a QoS 2 message that is not released."""
        return self._inbound is not None and packet_id in self._inbound

    def keep(self) -> None:
        """Tell the store how the session is now, subscriptions and messages aside."""
        record = self.record
        if record is None:
            return
        is_connected = self.sender is not None
        expires_at = None if self.expiry_timer is None else record.unix_time(self.expiry_timer.deadline)
        due_at = None if self.will_timer is None else record.unix_time(self.will_timer.deadline)
        row = SessionRow(
            self.client_id, self.version, self.username, self.expiry_interval, self.ledger is not None, is_connected,
            expires_at,
        )  # fmt: skip
        record.changed(row, self.will, due_at)

    def keep_subscription(self, topic_filter: str) -> None:
        """Tell the store of a subscription, as it is now: granted, or none."""
        if self.ledger is None or self.record is None:
            return
        subscribed = self.subscriptions.get(topic_filter)
        if subscribed is None:
            self.record.unsubscribed(topic_filter)
            return
        subscription_id = subscribed.subscription_ids[0] if subscribed.subscription_ids else 0
        row = SubscriptionRow(
            subscribed.qos, subscribed.no_local, subscribed.retain_as_published, subscription_id,
            subscribed.share is not None,
        )  # fmt: skip
        self.record.subscribed(topic_filter, row)

    def put_away(self) -> None:
        """As `Mailbox.put_away`, and what it received."""
        super().put_away()
        if self._inbound is not None and not len(self._inbound):
            self._inbound = None

    def set_version(self, version: Version) -> None:
        """The client may return with another version of the protocol."""
        super().set_version(version)
        if self._inbound is not None:
            self._inbound.version = version


class Target(Terms):
    """What one session gets of a topic's messages, and why."""

    __slots__ = ("session",)

    def __init__(
        self, session: Session, qos: QoS, no_local: bool, retain_as_published: bool, subscription_ids: tuple[int, ...]
    ) -> None:
        super().__init__(qos, no_local, retain_as_published, subscription_ids)
        self.session = session

    @property
    def own(self) -> Target | None:
        """What the session gets of what it published itself, None for nothing. [5.0 MQTT-3.8.3-3]"""
        return None if self.no_local else self


class Subscribed(Target):
    """One subscription as granted, which is all its session gets where no other matches; at most one identifier."""

    __slots__ = ("topic_filter",)

    def __init__(
        self, session: Session, options: Subscription, granted: QoS, subscription_ids: tuple[int, ...] = ()
    ) -> None:
        super().__init__(session, granted, options.no_local, options.retain_as_published, subscription_ids)
        self.topic_filter = options.topic_filter


class SubscribedShare(Subscribed):
    """Membership of a shared subscription, which is its filter. [5.0 4.8.2]"""

    __slots__ = ("share",)

    def __init__(
        self, session: Session, options: Subscription, granted: QoS, subscription_ids: tuple[int, ...] = ()
    ) -> None:
        super().__init__(session, options, granted, subscription_ids)
        self.share = options.topic_filter


class Subscriptions(MutableMapping[str, Subscribed]):
    """A session's subscriptions by their filters: most have one, for which a dict would take more room than it."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getitem__(self, topic_filter: str) -> Subscribed:
        subscribed = self._session.subscribed
        if isinstance(subscribed, dict):
            return subscribed[topic_filter]
        if subscribed is None or subscribed.topic_filter != topic_filter:
            raise KeyError(topic_filter)
        return subscribed

    def __setitem__(self, topic_filter: str, new: Subscribed) -> None:
        subscribed = self._session.subscribed
        if isinstance(subscribed, dict):
            subscribed[topic_filter] = new
        elif subscribed is None or subscribed.topic_filter == topic_filter:
            self._session.subscribed = new
        else:
            self._session.subscribed = {subscribed.topic_filter: subscribed, topic_filter: new}

    def __delitem__(self, topic_filter: str) -> None:
        subscribed = self._session.subscribed
        if isinstance(subscribed, dict):
            del subscribed[topic_filter]
        elif topic_filter in self:
            self._session.subscribed = None
        else:
            raise KeyError(topic_filter)

    def __iter__(self) -> Iterator[str]:
        subscribed = self._session.subscribed
        if isinstance(subscribed, dict):
            return iter(subscribed)
        return iter(() if subscribed is None else (subscribed.topic_filter,))

    def __len__(self) -> int:
        subscribed = self._session.subscribed
        return len(subscribed) if isinstance(subscribed, dict) else int(subscribed is not None)
