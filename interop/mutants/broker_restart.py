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
from reference_broker.broker.broker import Broker
from reference_broker.broker.keeping.belongings import Bodies
from reference_broker.broker.keeping.moving_in import MovingIn
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.rows import (
    ENTRY,
    NUMBER,
    RECEIVED,
    RETAINED,
    SESSION,
    SESSION_WILL,
    SUBSCRIPTION,
    EntryRow,
    SessionRow,
    Stage,
    SubscriptionRow,
)
from reference_broker.store.records import Change, Changes, Removal
from reference_broker.wire.properties import NEVER_EXPIRES
from reference_broker.wire.types import QoS

Rows = dict[bytes, bytes]
Changed = Callable[[bytes, Any, Rows], list[Change]]
"""What is kept instead of one change: its key, its value or removal, and what was kept before."""


def keeping(changed: Changed) -> Patch:
    """Other rows are kept than those the broker has."""

    def take_changes(real: Any, self: Any) -> Changes | None:
        right: Changes | None = real(self)
        if right is None:
            return None
        rows: Rows = self.house.memory.setdefault("rows", {})
        kept: list[Change] = []
        for key, value in right.changes:
            for change in changed(key, value, rows):
                _apply(change, rows)
                kept.append(change)
        return right._replace(changes=kept)

    return around(Broker, "take_changes", take_changes)


def _apply(change: Change, rows: Rows) -> None:
    key, value = change
    if value is Removal.ALL:
        for other in [other for other in rows if other.startswith(key)]:
            del rows[other]
    elif value is Removal.ONE:
        rows.pop(key, None)
    else:
        assert isinstance(value, bytes)
        rows[key] = value


def row(kind: bytes, decode: Callable[[bytes], Any], change: Callable[[Any], Any]) -> Patch:
    """Rows of one kind say something else, or are not kept where `change` gives None."""

    def changed(key: bytes, value: Any, _rows: Rows) -> list[Change]:
        if not key.startswith(kind) or not isinstance(value, bytes):
            return [(key, value)]
        other = change(decode(value))
        return [] if other is None else [(key, other.encoded())]

    return keeping(changed)


def _without(*kinds: bytes) -> Patch:
    return keeping(lambda key, value, _: [] if key[:1] in kinds else [(key, value)])


def _subscription(**fields: Any) -> Patch:
    return row(SUBSCRIPTION, SubscriptionRow.decoded, lambda each: replace(each, **fields))


def _session(**fields: Any) -> Patch:
    return row(SESSION, SessionRow.decoded, lambda each: replace(each, **fields))


def _entry(*stages: Stage, **fields: Any) -> Patch:
    """What is in these stages is kept with other values; without values it is not kept."""

    def change(entry: EntryRow) -> EntryRow | None:
        if entry.stage not in stages:
            return entry
        return replace(entry, **fields) if fields else None

    return row(ENTRY, EntryRow.decoded, change)


def _backwards(stage: Stage) -> Patch:
    """What is in a stage has numbers that fall."""

    def changed(key: bytes, value: Any, rows: Rows) -> list[Change]:
        if not key.startswith(ENTRY) or len(key) != 17:
            return [(key, value)]
        (number,) = NUMBER.unpack_from(key, 9)
        other = key[:9] + NUMBER.pack(number ^ 0xFFFFFFFF)
        is_meant = EntryRow.decoded(value).stage is stage if isinstance(value, bytes) else other in rows
        return [(other if is_meant else key, value)]

    return keeping(changed)


def _once(key: bytes, value: Any, rows: Rows) -> list[Change]:
    """A session is kept as it was when it began to hold something, until it ends."""
    is_whole = any(other.startswith(SUBSCRIPTION + key[1:9]) for other in rows)
    is_of_it = key[:1] in (SESSION, SUBSCRIPTION, RECEIVED, SESSION_WILL, ENTRY) and not isinstance(value, Removal)
    return [] if is_of_it and is_whole else [(key, value)]


def _for_good(key: bytes, value: Any, _rows: Rows) -> list[Change]:
    is_removed = isinstance(value, Removal) and key[:1] in (SESSION, SUBSCRIPTION, RECEIVED, SESSION_WILL, RETAINED)
    return [] if is_removed else [(key, value)]


def _first_retained(key: bytes, value: Any, rows: Rows) -> list[Change]:
    return [] if key[:1] == RETAINED and isinstance(value, bytes) and key in rows else [(key, value)]


def _first_subscription(key: bytes, value: Any, rows: Rows) -> list[Change]:
    is_second = any(other.startswith(key[:9]) and other != key for other in rows)
    return [] if key[:1] == SUBSCRIPTION and isinstance(value, bytes) and is_second else [(key, value)]


def _wills_of_kept_sessions(key: bytes, value: Any, rows: Rows) -> list[Change]:
    if key[:1] != SESSION_WILL or not isinstance(value, bytes):
        return [(key, value)]
    return [(key, value)] if SessionRow.decoded(rows[SESSION + key[1:9]]).is_kept else []


def _only_at_the_end(real: Any, self: Any) -> Changes | None:
    changes: Changes | None = real(self)
    later: list[Change] = self.house.memory.setdefault("later", [])
    later += changes.changes if changes is not None else ()
    if self.links:
        return None
    self.house.memory["later"] = []  # all were told that it is shutting down
    return Changes(later, is_promised=True)


def _standing_still(real: Any, self: Any, now: float) -> None:
    if self._alive_at is not None:
        self._unix_time = self._alive_at
    real(self, now)


def _all_is_new(real: Any, self: Any, rows: Any, now: float) -> None:
    real(self, rows, now)
    for _, content in (each for bodies in self._parts.values() for each in bodies.values()):
        content.accepted_at = now
        if isinstance(content, Message) and content.properties.message_expiry_interval is not None:
            content.expires_at = now + content.properties.message_expiry_interval


RESTART = table("broker", "restart subscription retained delivery properties ordering shared", {
    "keeps nothing over a restart": around(Broker, "take_changes", nothing),
    "saves only as it shuts down": around(Broker, "take_changes", _only_at_the_end),
    "saves each session once": keeping(_once),
    "brings back what had ended": keeping(_for_good),
    "keeps no session over a restart": keeping(
        lambda key, value, _: [(key, value)] if key[:1] in (b"A", b"B", RETAINED) else []),
    "keeps no retained message over a restart": _without(RETAINED),
    "keeps the first retained message over a restart": keeping(_first_retained),
    "keeps no subscription over a restart": _without(SUBSCRIPTION),
    "keeps one subscription over a restart": keeping(_first_subscription),
    "keeps no queue over a restart": _entry(Stage.WAITING),
    "keeps nothing in flight over a restart": _entry(Stage.SENT, Stage.RELEASED),
    "keeps no PUBREL over a restart": _entry(Stage.RELEASED),
    "keeps no received QoS 2 id over a restart": _without(RECEIVED),
    "keeps no will over a restart": _without(SESSION_WILL),
    "keeps no identifier of a subscription over a restart": _subscription(subscription_id=0),
    "keeps no No Local over a restart": _subscription(no_local=False),
    "keeps no Retain As Published over a restart": _subscription(retain_as_published=False),
    "keeps subscriptions at QoS 0 over a restart": _subscription(qos=QoS.AT_MOST_ONCE),
    "keeps subscriptions at QoS 1 over a restart": row(
        SUBSCRIPTION, SubscriptionRow.decoded, lambda each: replace(each, qos=min(each.qos, QoS.AT_LEAST_ONCE))
    ),
    "keeps shared subscriptions as ordinary ones over a restart": _subscription(is_shared=False),
    "keeps no identifier of what waited over a restart": _entry(Stage.WAITING, Stage.SENT, subscription_ids=()),
    "keeps no RETAIN of what waited over a restart": _entry(Stage.WAITING, Stage.SENT, retain=False),
    "keeps what waited at QoS 1 over a restart": _entry(Stage.WAITING, Stage.SENT, qos=QoS.AT_LEAST_ONCE),
    "keeps what waited backwards over a restart": _backwards(Stage.WAITING),
    "keeps what was in flight backwards over a restart": _backwards(Stage.SENT),
    "keeps sessions for ever over a restart": _session(expiry_interval=NEVER_EXPIRES, expires_at=None),
    "lets messages age only while it runs": around(MovingIn, "_open", _standing_still),
    "lets messages begin anew at a restart": around(Bodies, "_take_bodies", _all_is_new),
    "lets wills of clean sessions go with it": keeping(_wills_of_kept_sessions),
})  # fmt: skip

MUTANTS = RESTART
