"""The changes that make a store of format 1, a snapshot of the whole state, one of today.

Belongs here: what the parts of a snapshot are called today. Does not belong here: reading one (`store.format_1`).

Times of a snapshot are seconds from the moment it was taken; where nobody noted when that was, it was now.
"""

from __future__ import annotations

import math
from dataclasses import replace

from reference_broker.broker.keeping.house import House
from reference_broker.broker.keeping.session import Session
from reference_broker.broker.outgoing.ledger import Bringing, Ledger
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.store.records import Change
from reference_broker.store.snapshot import Snapshot, StoredMessage, StoredRetained, StoredSession, StoredWaiting
from reference_broker.wire.packets import PubRel


def changes_of(snapshot: Snapshot, unix_time: float) -> list[Change]:
    """What a snapshot says as changes of an empty store; `unix_time` is now."""
    return _Translator(snapshot.saved_at or unix_time).translated(snapshot)


class _Translator:
    """Puts a snapshot into a house that notes all of it; its clock is Unix time."""

    def __init__(self, saved_at: float) -> None:
        self._now = saved_at
        self._house = House(BrokerConfig(), keeps=True)
        self._messages: dict[int, Message] = {}

    def translated(self, snapshot: Snapshot) -> list[Change]:
        journal = self._house.journal
        assert journal is not None
        journal.begin(1)
        for retained in snapshot.retained:
            self._house.retained.keep(self._message(retained))
        for stored in snapshot.sessions:
            self._add(stored)
        changes = journal.take(self._now)
        return [] if changes is None else changes.changes

    def _message(self, stored: StoredMessage) -> Message:
        """One message, which many sessions may share."""
        if id(stored) not in self._messages:
            self._messages[id(stored)] = Message(
                stored.topic, stored.payload, stored.qos, stored.retain, stored.properties,
                self._now - stored.age_seconds, stored.publisher,
            )  # fmt: skip
        return self._messages[id(stored)]

    def _delivery(self, waiting: StoredWaiting) -> Delivery:
        message = self._message(waiting.message)
        return Delivery(message, waiting.qos, waiting.retain, waiting.subscription_ids, waiting.shared)

    def _add(self, stored: StoredSession) -> None:
        house, now = self._house, self._now
        session = house.sessions.add(stored.client_id, stored.version)
        session.username = stored.username
        session.expiry_interval = stored.expiry_interval
        if stored.will is not None:
            session.will = stored.will.will
            house.wills.publish_later(session, stored.will.due_seconds, now)
        house.sessions.wait_for_return(session, stored.expires_seconds, now)
        house.sessions.keep(session)
        if session.ledger is not None:
            self._fill(session, stored)

    def _fill(self, session: Session, stored: StoredSession) -> None:
        """All that a session has that outlives its connection."""
        ledger, now = session.ledger, self._now
        assert ledger is not None
        for s in stored.subscriptions:
            share, bare = None, s.options.topic_filter
            if s.is_shared:
                _, share, bare = s.options.topic_filter.split("/", 2)
            subscription_ids = (s.subscription_id,) if s.subscription_id else ()
            self._house.router.subscribe(session, s.options, s.granted, subscription_ids, share, bare)
        session.inbound.restore_new(stored.received)
        for entry in stored.in_flight:
            if entry.waiting is None:
                session.outbound.restore(PubRel(entry.packet_id))
                ledger.was_released(entry.packet_id)
            else:
                delivery = session.inflight[entry.packet_id] = self._delivery(entry.waiting)
                session.outbound.restore(replace(delivery.publish(session.version, now), packet_id=entry.packet_id))
                ledger.sent(entry.packet_id, delivery)
        for place in range(len(stored.waiting) + 1):
            for retained in stored.retained:
                if retained.ahead == place:
                    self._bring(ledger, retained)
            for waiting in stored.waiting[place : place + 1]:
                ledger.waits(self._delivery(waiting))

    def _bring(self, ledger: Ledger, stored: StoredRetained) -> None:
        """A subscription had come so far with its retained messages."""
        bringing = Bringing(ledger.journal, ledger.session_number, stored.topic_filter)
        bringing.begin(self._now)
        for message in self._house.retained.match(stored.topic_filter, -math.inf):
            if message is not None:
                if message.topic == stored.topic:
                    return
                bringing.brought(message.topic)
