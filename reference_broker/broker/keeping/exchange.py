"""The way of an accepted message: into the store of retained ones, and to everybody who gets it.

Belongs here: passing one message on, to subscriptions, shares and single sessions.
Does not belong here: whether it may be published (`values.admission`), who subscribes to its topic (`routing`), many
messages that begin alike (`fast.forwarding`), sending (`outgoing.sending`).
"""

from __future__ import annotations

from itertools import chain

from reference_broker.broker.keeping.retained import RetainedMessages
from reference_broker.broker.keeping.routing import Router
from reference_broker.broker.keeping.session import Session
from reference_broker.broker.keeping.shared import SharedSubscription
from reference_broker.broker.values.access import AccessControl
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.wire.types import QoS, ReasonCode, Version

_AT_MOST_ONCE = QoS.AT_MOST_ONCE


class Exchange:
    """Passes messages on between sessions."""

    def __init__(self, config: BrokerConfig, access: AccessControl, router: Router, retained: RetainedMessages) -> None:
        self._config = config
        self._access = access
        self._router = router
        self._retained = retained

    def accept(self, message: Message, now: float) -> ReasonCode:
        """Take a published message over: retain it if asked, deliver it to all who subscribe. [5.0 MQTT-4.5.0-1]"""
        if message.retain and not self._config.retain_available:
            message.retain = False  # from a 3.x client, which cannot know [5.0 3.2.2.3.5]
        kept = not message.retain or self._retained.keep(message)
        receivers = self._deliver(message, now)
        message.forget_encoded()
        if not kept:
            return ReasonCode.QUOTA_EXCEEDED
        if not receivers and self._config.no_matching_subscribers_reason:
            return ReasonCode.NO_MATCHING_SUBSCRIBERS
        return ReasonCode.SUCCESS

    def has_to_be_kept(self, topic: str) -> bool:
        """Whether somebody gets messages of this topic whose session outlives the broker."""
        route = self._router.route(topic)
        sessions = chain((each.session for each in route.targets), chain.from_iterable(route.shared))
        return any(session.ledger is not None for session in sessions)

    def deliver_to_share(self, share: str, message: Message, now: float) -> None:
        """Deliver to a member of the shared subscription with this filter, if it has one still. [5.0 4.8.2]"""
        shared = self._router.shared_subscription(share)
        if shared is not None:
            self.deliver_shared(shared, message, now)

    def deliver_shared(self, shared: SharedSubscription, message: Message, now: float) -> bool:
        """Deliver to the one member whose turn it is; False when there is none. [5.0 4.8.2]"""
        access, topic, topic_filter = self._access, message.topic, shared.topic_filter
        chosen = shared.choose(lambda session: access.may_receive_shared(session, topic, topic_filter))
        if chosen is None:
            return False
        retain = message.retain and chosen.retain_as_published and chosen.session.version >= Version.V5
        qos = min(message.qos, chosen.qos)  # [5.0 MQTT-4.8.2-3]
        self.deliver_to(chosen.session, message, qos, retain, chosen.subscription_ids, now, topic_filter)
        return True

    def deliver_to(
        self,
        session: Session,
        message: Message,
        qos: QoS,
        retain: bool,
        subscription_ids: tuple[int, ...],
        now: float,
        share: str | None = None,
    ) -> None:
        """Deliver one message to one session: send it, queue it, or drop it where the rules say so."""
        sender = session.sender
        if sender is not None:
            if qos == _AT_MOST_ONCE:
                sender.send_qos0(message, retain, subscription_ids, now)
            else:
                sender.deliver(Delivery(message, qos, retain, subscription_ids, share), now)
        elif qos != _AT_MOST_ONCE or self._config.queue_qos0_offline or (message.retain and session.owes_retained()):
            session.enqueue(Delivery(message, qos, retain, subscription_ids, share), self._config, now)

    def _deliver(self, message: Message, now: float) -> int:
        """Deliver to all who subscribe; how many there are."""
        route = self._router.route(message.topic)
        receivers = 0
        for anybody in route.targets:
            session = anybody.session
            target = anybody.own if session.client_id == message.publisher else anybody
            if target is None:
                continue
            receivers += 1
            qos = min(message.qos, target.qos)  # [5.0 MQTT-3.8.4-8]
            # RETAIN goes on only to who asked for it, and not to 3.x if that was in 5.0.
            # [3.1.1 MQTT-3.3.1-9, 5.0 MQTT-3.3.1-12, MQTT-3.3.1-13]
            retain = message.retain and target.retain_as_published and session.version >= Version.V5
            self.deliver_to(session, message, qos, retain, target.subscription_ids, now)
        for shared in route.shared:
            receivers += self.deliver_shared(shared, message, now)
        return receivers
