"""One session: all that outlives a connection for one client id, and what it subscribes to. [3.1.1 3.1.2.4, 5.0 4.1]

Belongs here: a session's state, and its subscriptions, each as the reason why it gets something (`Target`).
Does not belong here: its outgoing half (`outgoing.mailbox`), its life (`sessions`), finding and merging targets
(`routing`).
"""

from __future__ import annotations

from collections.abc import Sequence

from reference_broker.broker.outgoing.mailbox import Mailbox
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.values.terms import Terms
from reference_broker.broker.values.timers import Timer
from reference_broker.session.delivery import Inbound
from reference_broker.wire.packets import Subscription, Will
from reference_broker.wire.types import QoS, Version


class ManyInbound(Inbound):
    """Received QoS 2 messages by the run instead of one at a time."""

    __slots__ = ()

    def restore_new(self, packet_ids: Sequence[int]) -> int:
        """Store identifiers up to the first that is 0 or stored already; how many."""
        received = self._received
        new = dict.fromkeys(packet_ids)
        if len(new) == len(packet_ids) and 0 not in new and received.keys().isdisjoint(new):
            received.update(new)
            return len(new)
        for count, packet_id in enumerate(packet_ids):
            if not packet_id or packet_id in received:
                return count
            received[packet_id] = None
        return len(packet_ids)

    def forget_known(self, packet_ids: Sequence[int]) -> int:
        """Forget identifiers up to the first that is not stored; how many."""
        received = self._received
        for count, packet_id in enumerate(packet_ids):
            if packet_id not in received:
                return count
            del received[packet_id]
        return len(packet_ids)


class Session(Mailbox):
    """All that outlives a connection for one client id. [5.0 4.1]

    `sender` sends what it gets while its client is connected. `expiry_interval` is in seconds after the connection's
    end: 0 for none, `NEVER_EXPIRES` for ever.
    """

    __slots__ = (
        "_inbound",
        "expiry_interval",
        "expiry_timer",
        "sender",
        "subscriptions",
        "will",
        "will_timer",
    )

    def __init__(self, client_id: str, version: Version) -> None:
        super().__init__(client_id, version)
        self.expiry_interval = 0
        self.sender: Sender | None = None
        self.subscriptions: dict[str, Subscribed] = {}
        self._inbound: ManyInbound | None = None
        self.will: Will | None = None
        self.expiry_timer: Timer | None = None
        self.will_timer: Timer | None = None

    @property
    def inbound(self) -> ManyInbound:
        """QoS 2 messages received and not released."""
        if self._inbound is None:
            self._inbound = ManyInbound(self.version)
        return self._inbound

    def has_received(self, packet_id: int) -> bool:
        """Whether an identifier belongs to a QoS 2 message that is not released."""
        return self._inbound is not None and packet_id in self._inbound

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

    __slots__ = ("share",)

    def __init__(
        self,
        session: Session,
        options: Subscription,
        granted: QoS,
        subscription_ids: tuple[int, ...] = (),
        share: str | None = None,
    ) -> None:
        super().__init__(session, granted, options.no_local, options.retain_as_published, subscription_ids)
        self.share = share
