"""A broker's state as a snapshot, and a broker from a snapshot.

Belongs here: which parts of the running state survive it. [3.1.1 4.1, 5.0 4.1, 3.1 MQTT31-49]
Does not belong here: where a snapshot is kept (`store`), or when it is taken (`broker`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import dropwhile

from reference_broker.broker.keeping.house import House
from reference_broker.broker.keeping.session import Session, Subscribed
from reference_broker.broker.outgoing.waiting import Waiting, WaitingRetained
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.store import (
    Snapshot,
    StoredInFlight,
    StoredMessage,
    StoredRetained,
    StoredSession,
    StoredSubscription,
    StoredWaiting,
    StoredWill,
)
from reference_broker.wire.packets import Publish, PubRel, Subscription
from reference_broker.wire.properties import NEVER_EXPIRES


def take_snapshot(house: House, now: float, saved_at: float | None = None) -> Snapshot:
    """The sessions that outlive their connection, the wills of the others, and the retained messages.

    A connection that is open counts as lost now: its will is due as if it were, which a restart may delay.
    [5.0 3.1.2.5] `saved_at` is Unix time in seconds.
    """
    return replace(_Taker(now).take(house), saved_at=saved_at)


class _Taker:
    def __init__(self, now: float) -> None:
        self._now = now
        self._messages: dict[Message, StoredMessage] = {}

    def take(self, house: House) -> Snapshot:
        sessions = tuple(
            self._session(session) if session.expiry_interval else self._no_more_than_its_will(session)
            for session in house.sessions
            if session.expiry_interval or session.will is not None
        )
        return Snapshot(sessions, tuple(self._message(message) for message in house.retained))

    def _no_more_than_its_will(self, session: Session) -> StoredSession:
        """A session that ends with its connection: all that is left to do is to publish its will. [5.0 MQTT-3.1.2-8]"""
        return StoredSession(
            session.client_id, session.version, session.username, 0, 0.0, (), (), (), (), self._will(session)
        )

    def _session(self, session: Session) -> StoredSession:
        session.unpack(self._now)
        expires: float | None = session.expiry_interval
        if session.expiry_interval == NEVER_EXPIRES:
            expires = None
        elif session.expiry_timer is not None:
            expires = session.expiry_timer.deadline - self._now
        return StoredSession(
            session.client_id,
            session.version,
            session.username,
            session.expiry_interval,
            expires,
            tuple(_subscription(topic_filter, s) for topic_filter, s in session.subscriptions.items()),
            tuple(self._in_flight(session, packet) for packet in session.outbound.resume()),
            tuple(self._waiting(delivery) for delivery in session.queue or ()),
            tuple(session.inbound),
            self._will(session),
            tuple(_retained(session.queue)),
        )

    def _in_flight(self, session: Session, packet: Publish | PubRel) -> StoredInFlight:
        assert packet.packet_id is not None
        if isinstance(packet, PubRel):
            return StoredInFlight(packet.packet_id, None)
        return StoredInFlight(packet.packet_id, self._waiting(session.inflight[packet.packet_id]))

    def _waiting(self, delivery: Delivery) -> StoredWaiting:
        message = self._message(delivery.message)
        return StoredWaiting(message, delivery.qos, delivery.retain, delivery.subscription_ids, delivery.share)

    def _message(self, message: Message) -> StoredMessage:
        if message not in self._messages:
            self._messages[message] = StoredMessage(
                message.topic, message.payload, message.qos, message.retain, message.properties, message.publisher,
                self._now - message.accepted_at,
            )  # fmt: skip
        return self._messages[message]

    def _will(self, session: Session) -> StoredWill | None:
        if session.will is None:
            return None
        if session.will_timer is not None:
            return StoredWill(session.will, session.will_timer.deadline - self._now)
        delay = session.will.properties.will_delay_interval or 0
        return StoredWill(session.will, min(delay, session.expiry_interval))


def _retained(queue: Waiting | None) -> Iterator[StoredRetained]:
    if queue is not None and queue.retained:
        for waiting in queue.retained.values():
            while waiting.upcoming is None and not waiting.is_over:
                waiting.go_on()
            if waiting.upcoming is not None:
                yield StoredRetained(waiting.topic_filter, waiting.upcoming.topic, queue.ahead_of(waiting))


def _subscription(topic_filter: str, s: Subscribed) -> StoredSubscription:
    options = Subscription(topic_filter, s.qos, s.no_local, s.retain_as_published)
    subscription_id = s.subscription_ids[0] if s.subscription_ids else 0
    return StoredSubscription(options, s.qos, subscription_id, s.share is not None)


def restore_snapshot(house: House, snapshot: Snapshot, now: float, down_seconds: float = 0.0) -> None:
    """Put a snapshot into a house that is new; time goes on from where it stood, messages aged by `down_seconds`."""
    messages: dict[int, Message] = {}

    def message(stored: StoredMessage) -> Message:
        if id(stored) not in messages:
            messages[id(stored)] = Message(
                stored.topic, stored.payload, stored.qos, stored.retain, stored.properties,
                now - stored.age_seconds - down_seconds, stored.publisher,
            )  # fmt: skip
        return messages[id(stored)]

    for retained in snapshot.retained:
        house.retained.keep(message(retained))
    sessions = [(stored, _restore_session(house, stored)) for stored in snapshot.sessions]
    for stored, session in sessions:

        def delivery(waiting: StoredWaiting) -> Delivery:
            return Delivery(
                message(waiting.message), waiting.qos, waiting.retain, waiting.subscription_ids, waiting.shared
            )

        for entry in stored.in_flight:
            if entry.waiting is None:
                session.outbound.restore(PubRel(entry.packet_id))
            else:
                sent = session.inflight[entry.packet_id] = delivery(entry.waiting)
                session.outbound.restore(replace(sent.publish(session.version, now), packet_id=entry.packet_id))
        for waiting in stored.waiting:
            session.enqueue(delivery(waiting), house.config, now)
        for retained_to_come in stored.retained:
            _restore_retained(house, session, retained_to_come)
        house.sessions.ask_rules_again(session, now)  # they may be others since
        house.sessions.wait_for_return(session, stored.expires_seconds, now)
        if stored.will is not None:
            session.will = stored.will.will
            house.wills.publish_later(session, stored.will.due_seconds, now)
        house.sessions.weigh(session)


def _restore_retained(house: House, session: Session, stored: StoredRetained) -> None:
    """Let a subscription bring the rest of its retained messages."""
    subscribed = session.subscriptions.get(stored.topic_filter)
    if subscribed is None:
        return
    # The store was filled in the order in which it was read: those that were sent come first again.
    found = house.retained.match(stored.topic_filter, float("-inf"))
    rest = dropwhile(lambda message: message is None or message.topic != stored.topic, found)
    waiting = WaitingRetained(
        stored.topic_filter, rest, subscribed.qos, subscribed.no_local, subscribed.subscription_ids
    )
    if not waiting.is_over:
        session.bring(waiting)
        waiting.turn = stored.ahead


def _restore_session(house: House, stored: StoredSession) -> Session:
    session = house.sessions.add(stored.client_id, stored.version)
    session.username = stored.username
    session.expiry_interval = stored.expiry_interval
    for packet_id in stored.received:
        session.inbound.restore(packet_id)
    for s in stored.subscriptions:
        share, bare = None, s.options.topic_filter
        if s.is_shared:
            _, share, bare = s.options.topic_filter.split("/", 2)
        subscription_ids = (s.subscription_id,) if s.subscription_id else ()
        house.router.subscribe(session, s.options, s.granted, subscription_ids, share, bare)
    return session
