"""What of a broker has to survive it, as plain values: the same before a crash and after."""

from __future__ import annotations

from collections import Counter
from typing import Any

from reference_broker.broker import Broker
from reference_broker.broker.keeping.session import Session
from reference_broker.broker.values.journal import BODY, COUNT
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.broker.values.rows import (
    BRINGING,
    BROUGHT,
    ENTRY,
    RECEIVED,
    SESSION,
    SESSION_WILL,
    SUBSCRIPTION,
    EntryRow,
    Stage,
)
from reference_broker.wire.decode import decode
from reference_broker.wire.packets import PubRel


def kept_view(broker: Broker, unix_time: float, now: float) -> dict[str, Any]:
    """All sessions that outlive their connection, by client id, and the retained messages by topic."""
    zero = unix_time - now
    return {
        "sessions": {each.client_id: _session(each, zero) for each in broker.house.sessions if each.expiry_interval},
        "retained": {each.topic: _message(each, zero) for each in broker.house.retained},
    }


def _session(session: Session, zero: float) -> dict[str, Any]:
    queue = session.queue
    return {
        "version": session.version,
        "username": session.username,
        "expiry_interval": session.expiry_interval,
        "will": session.will,
        "subscriptions": {
            topic_filter: (s.qos, s.no_local, s.retain_as_published, s.subscription_ids, s.share)
            for topic_filter, s in session.subscriptions.items()
        },
        "received": set(session.inbound),
        "in flight": _in_flight(session),
        "waiting": [_delivery(each, zero) for each in queue or ()],
        "bringing": set(queue.retained or ()) if queue is not None else set(),
    }


def _in_flight(session: Session) -> list[tuple[Any, ...]]:
    """In the order in which it would be sent again, whatever form it has."""
    releases, publishes = [], []
    for packet in session.outbound.resume():
        if isinstance(packet, PubRel):
            releases.append(packet.packet_id)
        else:
            delivery = session.inflight[packet.packet_id or 0]
            publishes.append(
                (packet.packet_id, packet.qos, packet.topic, packet.payload, packet.retain, delivery.share)
            )
    flight = session.flight
    if flight is not None:
        for numbers in flight.releases:
            releases += numbers.packet_ids[numbers.settled :]
        for run in flight.in_order():
            share = None if run.origin is None else run.origin.share
            for packet_id, data in run.packets():
                publish: Any = decode(data, session.version)
                publishes.append((packet_id, publish.qos, publish.topic, publish.payload, publish.retain, share))
    return [*releases, *publishes]


def _delivery(delivery: Delivery, zero: float) -> tuple[Any, ...]:
    message = _message(delivery.message, zero)
    return message, delivery.qos, delivery.retain, delivery.subscription_ids, delivery.share


def _message(message: Message, zero: float) -> tuple[Any, ...]:
    return (
        message.topic, message.payload, message.qos, message.retain, message.properties, message.publisher,
        round(message.accepted_at + zero, 3),
    )  # fmt: skip


def assert_nothing_is_left_over(rows: dict[bytes, bytes]) -> None:
    """Every row belongs to a session that is there, and every body is needed as often as it says."""
    sessions = {key[1:9] for key in rows if key.startswith(SESSION)}
    needed: Counter[bytes] = Counter()
    for key, value in rows.items():
        if key[:1] in (SUBSCRIPTION, RECEIVED, SESSION_WILL, ENTRY, BROUGHT, BRINGING):
            assert key[1:9] in sessions, key
        if key.startswith(ENTRY) and (row := EntryRow.decoded(value)).stage is not Stage.RELEASED:
            needed[row.body] += 1
    assert needed.keys() == {key[1:] for key in rows if key.startswith(BODY)}
    counts = {key[1:]: int.from_bytes(value, "big") for key, value in rows.items() if key.startswith(COUNT)}
    assert counts == {identity: count for identity, count in needed.items() if count > 1}
    brought = {key[1:11] + key[11 : 11 + key[10]] for key in rows if key.startswith(BROUGHT)}
    bringing = {key[1:9] + len(key[9:]).to_bytes(2, "big") + key[9:] for key in rows if key.startswith(BRINGING)}
    assert brought <= bringing
