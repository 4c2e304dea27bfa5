"""Brokers that are wrong about exchanges a lost connection left half done, and about what outlives a session.

Belongs here: faults in sending again, packet identifiers, QoS 2 messages received, and what a new session inherits.
Does not belong here: subscriptions and what waits (`broker_carried`), the exchange itself (`broker_messages`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.moments import (
    Ended,
    Resumption,
    at_each_moment,
    inheriting,
    mark,
    once_marked,
    resent,
    resuming,
)
from interop.mutants.mutant import Says, around, table
from interop.mutants.words import having, having_properties, when
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.outgoing.waiting import Waiting
from reference_broker.session.packet_ids import HIGHEST_PACKET_ID, PacketIds
from reference_broker.wire.packets import PubComp, Publish, PubRel
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import PacketType, QoS, ReasonCode, Version

_AREAS = "session takeover qos1 qos2 ordering expiry flow_control shared disconnect subscription properties retained"

# --- in flight --------------------------------------------------------------------------------------------------------


def _lose(session: Any, packet_id: int) -> None:
    session.outbound._publishes.pop(packet_id, None)
    session.outbound._releases.pop(packet_id, None)
    session.packet_ids.release(packet_id)
    session.inflight.pop(packet_id, None)


def _losing(which: Any) -> Any:
    """Act: what is in flight and chosen by `which` (packet to send again, resumption) is forgotten."""

    def act(resumption: Resumption) -> None:
        for packet in list(resumption.session.outbound.resume()):
            if which(packet, resumption):
                _lose(resumption.session, packet.packet_id)

    return act


def _is_expired(packet: Any, resumption: Resumption) -> bool:
    delivery = resumption.session.inflight.get(packet.packet_id)
    return delivery is not None and delivery.message.is_expired(resumption.now)


def _is_unsubscribed(packet: Any, resumption: Resumption) -> bool:
    if packet.type is not PacketType.PUBLISH:
        return False
    route = resumption.house.router.route(packet.topic)
    return not any(target.session is resumption.session for target in route.targets)


def _behind_the_first(packet: Any, resumption: Resumption) -> bool:
    return bool(packet.packet_id != next(iter(resumption.session.outbound.resume())).packet_id)


def _released_as_publish(resumption: Resumption) -> None:
    outbound = resumption.session.outbound
    for packet_id in list(outbound._releases):
        delivery = resumption.session.inflight.get(packet_id)
        if delivery is not None:
            del outbound._releases[packet_id]
            publish = delivery.publish(resumption.sender.version, resumption.now)
            outbound._publishes[packet_id] = replace(publish, packet_id=packet_id)


def _backwards(resumption: Resumption) -> None:
    outbound = resumption.session.outbound
    outbound._publishes = dict(reversed(outbound._publishes.items()))


def _queued_again(resumption: Resumption) -> None:
    """What is in flight goes behind what waits."""
    session = resumption.session
    again = [session.inflight[packet_id] for packet_id in list(session.outbound._publishes)]
    for packet_id in list(session.outbound._publishes):
        _lose(session, packet_id)
    session.queue = Waiting([*(session.queue or ()), *again])


def _from_1(resumption: Resumption) -> None:
    resumption.session.packet_ids._in_use.clear()
    resumption.session.packet_ids._last = 0


def _ids_from_1(resumption: Resumption) -> None:
    """A connection's own counter, that asks nobody what is in use."""
    resumption.session.packet_ids._last = 0
    resumption.link.memory["marked"] = True


def _counting_on(_real: Any, self: Any) -> int:
    self._last = self._last % HIGHEST_PACKET_ID + 1
    return int(self._last)


def _after_expiry(_real: Any, _self: Any, publish: Any, _now: float) -> Any:
    return publish


def _counted_from_now(resumption: Resumption) -> None:
    for delivery in resumption.session.inflight.values():
        delivery.message.accepted_at = resumption.now


def _other_id(packet: Publish, _end: Any) -> Publish:
    assert packet.packet_id is not None
    return replace(packet, packet_id=packet.packet_id % HIGHEST_PACKET_ID + 1000)


def _is_repeat(packet: Publish, _end: Any) -> bool:
    return packet.dup


IN_FLIGHT = table("broker", _AREAS, {
    **at_each_moment("forgets what is in flight", _losing(lambda *_: True)),
    **at_each_moment("forgets the PUBLISH in flight", _losing(lambda p, _: p.type is PacketType.PUBLISH)),
    **at_each_moment("forgets the PUBREL it owes", _losing(lambda p, _: p.type is PacketType.PUBREL)),
    **at_each_moment("forgets QoS 1 in flight", _losing(lambda p, _: getattr(p, "qos", 0) == 1)),
    **at_each_moment("forgets QoS 2 in flight", _losing(lambda p, _: getattr(p, "qos", 0) == 2)),
    **at_each_moment("sends the first in flight again only", _losing(_behind_the_first)),
    **at_each_moment("sends again backwards", _backwards),
    **at_each_moment("sends again behind what waited", _queued_again),
    **at_each_moment("sends PUBLISH for PUBREL", _released_as_publish),
    **at_each_moment("sends again without DUP", mark, Says(Publish, once_marked(having(dup=False)))),
    **at_each_moment("sends again under another id", mark, Says(Publish, once_marked(when(_is_repeat, _other_id)))),
    **at_each_moment("takes packet ids from 1 again", _from_1),
    "lets QoS 1 expire in flight": resuming(_losing(lambda p, r: getattr(p, "qos", 0) == 1 and _is_expired(p, r))),
    "lets QoS 2 expire in flight": resuming(_losing(lambda p, r: getattr(p, "qos", 0) == 2 and _is_expired(p, r))),
    "lets PUBREL expire": resuming(_losing(lambda p, r: p.type is PacketType.PUBREL and _is_expired(p, r))),
    "sends again what is subscribed still": resuming(_losing(_is_unsubscribed)),
    "sends again without properties": resent(having(properties=NO_PROPERTIES)),
    "sends again without identifiers": resent(having_properties(subscription_identifier=())),
    "sends again without user properties": resent(having_properties(user_property=())),
    "sends again with the first expiry": around(Sender, "_refreshed", _after_expiry),
    "counts expiry of what it sends again from each resumption": resuming(_counted_from_now),
    "sends again without RETAIN": resent(having(retain=False)),
    "sends again with RETAIN": resent(having(retain=True)),
    "sends again at QoS 1": resent(having(qos=QoS.AT_LEAST_ONCE)),
    "sends again without payload": resent(having(payload=b"")),
    "numbers messages from 1 at each connection": (
        *resuming(_ids_from_1), around(PacketIds, "allocate", _counting_on)),
})  # fmt: skip

# --- what was received ------------------------------------------------------------------------------------------------


def _forget_received(resumption: Resumption) -> None:
    resumption.session.inbound.drop_all()


def _remember_received(resumption: Resumption) -> None:
    resumption.link.memory["received"] = set(resumption.session.inbound)


def _is_old(packet: PubComp, end: Any) -> bool:
    return packet.packet_id in end.memory.get("received", ())


def _not_found(packet: PubComp, end: Any) -> PubComp:
    unknown = ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
    return replace(packet, reason=unknown) if end.version is Version.V5 else packet


def _kept_for_ever(packet: PubComp, end: Any) -> PubComp:
    end.session.inbound.restore(packet.packet_id)
    return packet


def _first_release_only(packet: PubRel, end: Any) -> Any:
    return None if "marked" in end.memory else packet


RECEIVED = table("broker", _AREAS, {
    **at_each_moment("forgets what it received", _forget_received),
    **at_each_moment("knows no PUBREL", _remember_received, Says(PubComp, when(_is_old, _not_found))),
    **at_each_moment("releases nothing it received", _remember_received,
                     Says(PubComp, when(_is_old, _kept_for_ever))),
    **at_each_moment("answers no PUBREL", mark, Says(PubComp, once_marked(lambda *_: None))),
})  # fmt: skip

# --- what outlives a session ------------------------------------------------------------------------------------------


def _queue(_house: Any, ended: Ended, session: Any) -> None:
    session.queue = Waiting(ended.queue)


def _unsettled(_house: Any, ended: Ended, session: Any) -> None:
    session.queue = Waiting(ended.inflight)


def _received(_house: Any, ended: Ended, session: Any) -> None:
    for packet_id in ended.received:
        session.inbound.restore(packet_id)


def _subscriptions(house: Any, ended: Ended, session: Any) -> None:
    for name, subscribed in ended.subscriptions.items():
        if subscribed.share is None:
            subscribed.session = session
            session.subscriptions[name] = subscribed
            house.router._tree.set(name, subscribed)
    house.router.cut()


def _numbers(_house: Any, ended: Ended, session: Any) -> None:
    session.packet_ids._last = len(ended.inflight)


INHERITED = table("broker", f"{_AREAS} will connect", {
    f"keeps {what} over {end}": inheriting(take, clean_start=is_clean)
    for end, is_clean in (("a clean start", True), ("the end of a session", False))
    for what, take in (
        ("what waited", _queue), ("what was in flight", _unsettled), ("what it received", _received),
        ("subscriptions", _subscriptions),
    )
})  # fmt: skip

MUTANTS = [*IN_FLIGHT, *RECEIVED, *INHERITED]
