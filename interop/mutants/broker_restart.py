"""Brokers that are wrong about what outlasts them.

Belongs here: faults of a broker in keeping its state over its own end, and in taking it over again.
Does not belong here: what a session keeps while the broker runs (`broker_sessions`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Patch, around, table
from interop.mutants.words import nothing
from reference_broker.broker import broker
from reference_broker.broker.broker import Broker
from reference_broker.broker.keeping import persistence
from reference_broker.store import MemoryStore, Snapshot, StoredSession, StoredSubscription
from reference_broker.wire.types import QoS


def _keeping(change: Callable[[Snapshot], Snapshot]) -> Patch:
    """What is kept is another state than that of the broker."""
    return around(MemoryStore, "save", lambda real, self, snapshot: real(self, change(snapshot)))


def _sessions(change: Callable[[StoredSession], StoredSession]) -> Patch:
    return _keeping(lambda kept: replace(kept, sessions=tuple(map(change, kept.sessions))))


def _without(**fields: Any) -> Patch:
    return _sessions(lambda session: replace(session, **fields))


def _subscriptions(change: Callable[[StoredSubscription], StoredSubscription]) -> Patch:
    return _sessions(lambda session: replace(session, subscriptions=tuple(map(change, session.subscriptions))))


def _option(**values: Any) -> Patch:
    return _subscriptions(lambda each: replace(each, options=replace(each.options, **values)))


def _waiting(**values: Any) -> Patch:
    """What waited or was in flight is kept with other values."""

    def changed(session: StoredSession) -> StoredSession:
        in_flight = tuple(
            entry if entry.waiting is None else replace(entry, waiting=replace(entry.waiting, **values))
            for entry in session.in_flight
        )
        return replace(session, in_flight=in_flight, waiting=tuple(replace(each, **values) for each in session.waiting))

    return _sessions(changed)


def _only_at_the_end(real: Any, self: Any, now: float) -> None:
    if not self.links:  # all were told that it is shutting down
        real(self, now)


def _published_twice(session: StoredSession) -> StoredSession:
    """PUBREL is forgotten, and the message is begun again."""
    return replace(session, in_flight=tuple(each for each in session.in_flight if each.waiting is not None))


def _first_of_each(real: Any, self: Any, snapshot: Snapshot) -> None:
    """A session is written once, when it begins to hold something, and not again."""
    known = {session.client_id: session for session in self.load().sessions if session.subscriptions}
    real(self, replace(snapshot, sessions=tuple(known.get(each.client_id, each) for each in snapshot.sessions)))


def _nothing_is_removed(real: Any, self: Any, snapshot: Snapshot) -> None:
    now = {session.client_id for session in snapshot.sessions}
    topics = {message.topic for message in snapshot.retained}
    ended = tuple(each for each in self.load().sessions if each.client_id not in now)
    cleared = tuple(each for each in self.load().retained if each.topic not in topics)
    real(self, replace(snapshot, sessions=(*snapshot.sessions, *ended), retained=(*snapshot.retained, *cleared)))


def _old_retained(real: Any, self: Any, snapshot: Snapshot) -> None:
    first = {message.topic: message for message in self.load().retained}
    real(self, replace(snapshot, retained=tuple(first.get(each.topic, each) for each in snapshot.retained)))


def _standing_still(real: Any, house: Any, snapshot: Snapshot, now: float, _down_seconds: float) -> None:
    real(house, snapshot, now, 0.0)


def _all_is_new(session: StoredSession) -> StoredSession:
    fresh = [replace(each, message=replace(each.message, age_seconds=0.0)) for each in session.waiting]
    return replace(session, waiting=tuple(fresh))


def _without_will(real: Any, self: Any, session: Any) -> StoredSession:
    kept: StoredSession = real(self, session)
    return replace(kept, will=None)


def _first_subscription(session: StoredSession) -> StoredSession:
    return replace(session, subscriptions=session.subscriptions[:1])


RESTART = table("broker", "restart subscription retained delivery properties ordering shared", {
    "keeps nothing over a restart": around(MemoryStore, "save", nothing),
    "saves only as it shuts down": around(Broker, "save", _only_at_the_end),
    "saves each session once": around(MemoryStore, "save", _first_of_each),
    "brings back what had ended": around(MemoryStore, "save", _nothing_is_removed),
    "keeps no session over a restart": _keeping(lambda kept: replace(kept, sessions=())),
    "keeps no retained message over a restart": _keeping(lambda kept: replace(kept, retained=())),
    "keeps the first retained message over a restart": around(MemoryStore, "save", _old_retained),
    "keeps no subscription over a restart": _without(subscriptions=()),
    "keeps one subscription over a restart": _sessions(_first_subscription),
    "keeps no queue over a restart": _without(waiting=()),
    "keeps nothing in flight over a restart": _without(in_flight=()),
    "keeps no PUBREL over a restart": _sessions(_published_twice),
    "keeps no received QoS 2 id over a restart": _without(received=()),
    "keeps no will over a restart": _without(will=None),
    "keeps no identifier of a subscription over a restart": _subscriptions(lambda s: replace(s, subscription_id=0)),
    "keeps no No Local over a restart": _option(no_local=False),
    "keeps no Retain As Published over a restart": _option(retain_as_published=False),
    "keeps subscriptions at QoS 0 over a restart": _subscriptions(lambda s: replace(s, granted=QoS.AT_MOST_ONCE)),
    "keeps subscriptions at QoS 1 over a restart": _subscriptions(
        lambda s: replace(s, granted=min(s.granted, QoS.AT_LEAST_ONCE))
    ),
    "keeps shared subscriptions as ordinary ones over a restart": _subscriptions(lambda s: replace(s, is_shared=False)),
    "keeps no identifier of what waited over a restart": _waiting(subscription_ids=()),
    "keeps no RETAIN of what waited over a restart": _waiting(retain=False),
    "keeps what waited at QoS 1 over a restart": _waiting(qos=QoS.AT_LEAST_ONCE),
    "keeps what waited backwards over a restart": _sessions(lambda s: replace(s, waiting=s.waiting[::-1])),
    "keeps what was in flight backwards over a restart": _sessions(lambda s: replace(s, in_flight=s.in_flight[::-1])),
    "keeps sessions for ever over a restart": _without(expires_seconds=None),
    "lets messages age only while it runs": around(broker, "restore_snapshot", _standing_still),
    "lets messages begin anew at a restart": _sessions(_all_is_new),
    "lets wills of clean sessions go with it": around(persistence._Taker, "_no_more_than_its_will", _without_will),
})  # fmt: skip

MUTANTS = RESTART
