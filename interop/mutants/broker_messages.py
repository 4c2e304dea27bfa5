"""Brokers that are wrong about messages: delivery, acknowledgement, order, subscriptions, retained ones, properties.

Belongs here: faults of a broker between SUBSCRIBE or PUBLISH coming in and PUBLISH going out.
Does not belong here: connections (`broker_connect`, `broker_ending`), sessions (`broker_sessions`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Change, Hears, Patch, Says, Set, around, table
from interop.mutants.words import having, having_properties, nothing, swap_pairs, twice, when
from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.retained import RetainedMessages
from reference_broker.broker.keeping.retained_tree import RetainedTree, _Walk
from reference_broker.broker.keeping.routing import Merged, Router
from reference_broker.broker.keeping.shared import SharedSubscription
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.peers import subscribing
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.message import Message
from reference_broker.session import delivery
from reference_broker.session.delivery import Inbound, Outbound, Sending
from reference_broker.session.flow_control import ReceiveQuota, SendQuota
from reference_broker.session.topic_aliases import InboundAliases, OutboundAliases
from reference_broker.wire import decoders
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from reference_broker.wire.types import PacketType, QoS, ReasonCode, RetainHandling


def with_qos(*levels: int) -> Change:
    """Condition: a PUBLISH of one of these."""
    return lambda packet, _end: packet.qos in levels


def is_repeat(packet: Publish, _end: Any) -> bool:
    """Condition: a PUBLISH with DUP."""
    return packet.dup


def subscribed_with(**values: Any) -> Hears:
    """Subscriptions are taken with other options than were asked for."""
    return Hears(Subscribe, lambda p, _: replace(p, subscriptions=tuple(replace(s, **values) for s in p.subscriptions)))


# --- QoS --------------------------------------------------------------------------------------------------------------


def _publish_again(packet: PubRel, end: Any) -> Any:
    delivered = end.session.inflight.get(packet.packet_id)
    if delivered is None:
        return packet
    return packet, replace(delivered.publish(end.version, 0.0), packet_id=packet.packet_id, dup=True)


def _wrong_kind(packet: Any, _end: Any) -> Any:
    return PubAck(packet.packet_id) if isinstance(packet, PubRec) else PubRec(packet.packet_id)


def _every_repeat_is_new(real: Any, self: Any, publish: Any) -> bool:
    real(self, publish)
    return True


def _repeats_by_dup(real: Any, self: Any, publish: Any) -> bool:
    real(self, publish)
    return not publish.dup


def _resumed_backwards(real: Any, self: Any) -> Any:
    return iter(list(real(self))[::-1])


def _first_only(packet: Any, end: Any) -> Any:
    seen = end.memory.setdefault(type(packet), set())
    known = packet.packet_id in seen
    seen.add(packet.packet_id)
    return None if known else packet


def _raw_dup(packet: Publish, end: Any) -> bytes:
    data = bytearray(encode(packet, end.version))
    data[0] |= 0x08
    return bytes(data)


def _give_back(packet: PubRec, end: Any) -> PubRec:
    if end.receive_quota is not None:
        end.receive_quota.give_back(packet.packet_id)
    return packet


QOS = table("broker", "qos1 qos2 delivery ordering session flow_control shared malformed", {
    "acknowledges no QoS 1 message": Says(PubAck, nothing),
    "acknowledges QoS 1 twice": Says(PubAck, twice),
    "acknowledges no QoS 2 message": Says(PubRec, nothing),
    "answers QoS 2 with PUBACK": Says(PubRec, _wrong_kind),
    "answers QoS 1 with PUBREC": Says(PubAck, _wrong_kind),
    "answers PUBREL with nothing": Says(PubComp, nothing),
    "answers a second PUBREL with nothing": Says(PubComp, _first_only),
    "answers a repeated QoS 2 message with nothing": Says(PubRec, _first_only),
    "acknowledges another packet id": Says(PubAck, lambda p, _: replace(p, packet_id=p.packet_id % 65535 + 1)),
    "completes another packet id": Says(PubComp, lambda p, _: replace(p, packet_id=p.packet_id % 65535 + 1)),
    "sends no PUBREL": Says(PubRel, nothing),
    "answers every PUBREL with success": Says(PubComp, having(reason=0)),
    "answers every PUBREL with not found": Says(
        PubComp, lambda p, end: replace(p, reason=0x92) if end.version == 5 else p
    ),
    "sends PUBREL with success for an unknown message": Says(PubRel, having(reason=0)),
    "sends PUBLISH again after PUBREC": Says(PubRel, _publish_again),
    "delivers repeated QoS 2 messages": around(Inbound, "receive", _every_repeat_is_new),
    "knows repeats by DUP": around(Inbound, "receive", _repeats_by_dup),
    "keeps a QoS 2 id that it refused": around(Inbound, "forget", nothing),
    "forgets DUP": Says(Publish, having(dup=False)),
    "sets DUP at once": Says(Publish, when(with_qos(1, 2), having(dup=True))),
    "sets DUP at QoS 0": Says(Publish, when(with_qos(0), _raw_dup)),
    "sends nothing again": around(Outbound, "resume", lambda real, self: iter(())),
    "sends no PUBLISH again": Says(Publish, when(is_repeat, nothing)),
    "sends no PUBREL again": around(
        Outbound, "resume", lambda real, self: iter([p for p in real(self) if p.type is PacketType.PUBLISH])
    ),
    "sends again in the wrong order": around(Outbound, "resume", _resumed_backwards),
    "sends again with another packet id": Says(
        Publish, when(is_repeat, lambda p, _: replace(p, packet_id=p.packet_id % 65535 + 1000))
    ),
    "uses one packet id for all": Says(Publish, when(with_qos(1, 2), having(packet_id=1))),
    "closes over unknown acknowledgements": tuple(
        Patch(delivery.SENDER, (Sending.UNKNOWN, kind, refused), None)
        for kind in (PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBCOMP) for refused in (False, True)
    ),
    "takes no notice of an unknown PUBREC": Patch(
        delivery.SENDER, (Sending.UNKNOWN, PacketType.PUBREC, False), (Sending.UNKNOWN, None)
    ),
    "takes PUBREC with an error for success": Patch(
        delivery.SENDER, (Sending.PUBREC, PacketType.PUBREC, True), (Sending.PUBCOMP, PacketType.PUBREL)
    ),
    "takes PUBACK for QoS 2": Patch(
        delivery.SENDER, (Sending.PUBREC, PacketType.PUBACK, False), (Sending.UNKNOWN, None)
    ),
    "takes PUBREC for QoS 1": Patch(
        delivery.SENDER, (Sending.PUBACK, PacketType.PUBREC, False), (Sending.PUBCOMP, PacketType.PUBREL)
    ),
    "takes PUBCOMP for PUBREC": Patch(
        delivery.SENDER, (Sending.PUBREC, PacketType.PUBCOMP, False), (Sending.UNKNOWN, None)
    ),
    "acknowledges in pairs, the second first": Says((PubAck, PubRec), swap_pairs),
    "releases in pairs, the second first": Says(PubRel, swap_pairs),
    "delivers in pairs, the second first": Says(Publish, swap_pairs),
    "delivers everything twice": around(
        Exchange, "deliver_to", lambda real, *a, **n: (real(*a, **n), real(*a, **n))[0]
    ),
    "delivers nothing": around(Exchange, "deliver_to", nothing),
    "delivers at QoS 0": around(
        Exchange, "deliver_to", lambda real, self, s, m, qos, *rest: real(self, s, m, QoS.AT_MOST_ONCE, *rest)
    ),
    "delivers at the publisher's QoS": around(
        Exchange, "deliver_to", lambda real, self, s, m, qos, *rest: real(self, s, m, m.qos, *rest)
    ),
    "delivers at QoS 1 what should be QoS 2": around(
        Exchange, "deliver_to", lambda real, self, s, m, qos, *rest: real(self, s, m, QoS(min(qos, 1)), *rest)
    ),
    "cuts payloads at 100 bytes": Says(Publish, lambda p, _: replace(p, payload=p.payload[:100])),
    "cuts payloads at their first null": Says(Publish, lambda p, _: replace(p, payload=p.payload.partition(b"\0")[0])),
    "delivers no empty payloads": Says(Publish, lambda p, _: p if p.payload else None),
    "ignores Receive Maximum": around(SendQuota, "take", lambda real, self: True),
    "never gives Receive Maximum back": around(SendQuota, "give_back", nothing),
    "takes more than its Receive Maximum": around(ReceiveQuota, "take", nothing),
    "never frees its own Receive Maximum": around(ReceiveQuota, "give_back", nothing),
    "has a Receive Maximum of one less": around(
        ReceiveQuota, "take", lambda real, self, i: real(_less(self), i)
    ),
    "gives quota back at PUBREC": Says(PubRec, _give_back),
})  # fmt: skip


def _less(quota: Any) -> Any:
    if quota.receive_maximum > 1 and not getattr(quota, "_unanswered", None):
        quota.receive_maximum -= 1
    return quota


# --- what the receiver takes ------------------------------------------------------------------------------------------


def _alias_before_topic(real: Any, self: Any, publish: Any) -> Any:
    aliased = real(self, publish)
    return replace(aliased, topic="") if aliased.properties.topic_alias else aliased


def _never_replaced(real: Any, self: Any, publish: Any) -> Any:
    known = self._topics.get(publish.properties.topic_alias)
    return real(self, replace(publish, topic=known) if known else publish)


def _too_large_anyway(real: Any, self: Any, *others: Any) -> None:
    real(self, *others[:-1], replace(others[-1], maximum_packet_size=None))


def _aliases_beyond(real: Any, self: Any, link: Any, version: Any, *others: Any) -> None:
    announced = replace(others[-1], topic_alias_maximum=9 if version == 5 else None)
    real(self, link, version, *others[:-1], announced)


ALIASES = table("broker", "topic_alias flow_control delivery properties malformed retained", {
    "ignores Maximum Packet Size": around(Sender, "__init__", _too_large_anyway),
    "uses aliases nobody allowed": around(Sender, "__init__", _aliases_beyond),
    "uses an alias it never set": around(OutboundAliases, "apply", _alias_before_topic),
    "passes on the publisher's alias": around(InboundAliases, "resolve", lambda real, self, p: replace(
        real(self, p), properties=p.properties)),
    "keeps the first topic of an alias": around(InboundAliases, "resolve", _never_replaced),
    "takes any alias": around(InboundAliases, "__init__", lambda real, self, maximum=0: real(self, 65535)),
    "takes no alias": around(InboundAliases, "__init__", lambda real, self, maximum=0: real(self, 0)),
})  # fmt: skip

# --- subscriptions ----------------------------------------------------------------------------------------------------


def _matches_dollar(real: Any, self: Any, topic: str) -> Any:
    return real(self, topic.replace("$", "d", 1)) if topic.startswith("$") else real(self, topic)


def _all_members(real: Any, self: Any, shared: Any, message: Any, now: float) -> bool:
    delivered = False
    for _ in range(len(shared)):
        delivered = real(self, shared, message, now)
    return delivered


def _lowest_qos(real: Any, self: Any, subscriptions: Any) -> None:
    real(self, subscriptions)
    self.qos = min(each.qos for each in subscriptions)


def _first_id_only(real: Any, self: Any, subscriptions: Any) -> None:
    real(self, subscriptions)
    self.subscription_ids = self.subscription_ids[:1]


def _to_everybody(_real: Any, self: Any, message: Any, now: float) -> int:
    for session in self.house.sessions:
        self.deliver_to(session, message, message.qos, False, (), now)
    return len(self.house.sessions)


def _first_of_all(real: Any, self: Any, may_receive: Any) -> Any:
    self._turn = 0
    return real(self, may_receive)


SUBSCRIPTIONS = table("broker", "subscription topics shared retained "
                      "delivery auth properties session malformed/topic_filters*", {
    "answers no SUBSCRIBE": Says(SubAck, nothing),
    "answers SUBSCRIBE twice": Says(SubAck, twice),
    "answers no UNSUBSCRIBE": Says(UnsubAck, nothing),
    "answers another SUBSCRIBE": Says(SubAck, lambda p, _: replace(p, packet_id=p.packet_id % 65535 + 1)),
    "answers another UNSUBSCRIBE": Says(UnsubAck, lambda p, _: replace(p, packet_id=p.packet_id % 65535 + 1)),
    "says QoS 0 was granted": Says(SubAck, lambda p, _: replace(p, reasons=tuple(0 for _ in p.reasons))),
    "says QoS 2 was granted": Says(SubAck, lambda p, _: replace(p, reasons=tuple(2 for _ in p.reasons))),
    "grants QoS 1 at most": subscribed_with(qos=QoS.AT_LEAST_ONCE),
    "answers with one code too few": Says(SubAck, lambda p, _: replace(p, reasons=p.reasons[:-1] or p.reasons)),
    "answers with the codes reversed": Says(SubAck, lambda p, _: replace(p, reasons=p.reasons[::-1])),
    "answers UNSUBSCRIBE with success always": Says(
        UnsubAck, lambda p, _: replace(p, reasons=tuple(0 for _ in p.reasons))
    ),
    "answers UNSUBSCRIBE with none existed always": Says(
        UnsubAck, lambda p, _: replace(p, reasons=tuple(0x11 for _ in p.reasons))
    ),
    "subscribes the first filter only": Hears(Subscribe, lambda p, _: replace(p, subscriptions=p.subscriptions[:1])),
    "unsubscribes the first filter only": Hears(
        Unsubscribe, lambda p, _: replace(p, topic_filters=p.topic_filters[:1])),
    "unsubscribes nothing": around(
        Router, "unsubscribe", lambda real, self, session, name: name in session.subscriptions),
    "unsubscribes everything": around(Router, "unsubscribe", lambda real, self, session, name: [
        real(self, session, each) for each in list(session.subscriptions)] != []),
    "keeps the older of two subscriptions": around(Router, "subscribe", lambda real, self, session, options, *rest: (
        options.topic_filter not in session.subscriptions and real(self, session, options, *rest))),
    "lets # match $": (Set(dollar_topics_between_clients=True), around(Router, "_find", _matches_dollar)),
    "lets nothing match $": around(Router, "_find", lambda real, self, topic: real(
        self, "/none/" if topic.startswith("$") else topic)),
    "sees no difference of case in topics": (
        around(Router, "_find", lambda real, self, topic: real(self, topic.lower())),
        around(Router, "subscribe", lambda real, self, *rest: real(self, *rest[:-1], rest[-1].lower())),
    ),
    "overlooks empty levels": around(Router, "_find", lambda real, self, topic: real(self, re.sub("/+", "/", topic))),
    "lets clients exchange messages on topics with $": Set(dollar_topics_between_clients=True),
    "overlooks a final slash": around(
        Router, "_find", lambda real, self, topic: real(self, topic.rstrip("/") or topic)),
    "ignores No Local": subscribed_with(no_local=False),
    "takes every subscription for No Local": subscribed_with(no_local=True),
    "ignores Retain As Published": subscribed_with(retain_as_published=False),
    "always keeps RETAIN": subscribed_with(retain_as_published=True),
    "ignores Retain Handling": subscribed_with(retain_handling=RetainHandling.SEND),
    "sends retained messages to new subscriptions only": subscribed_with(retain_handling=RetainHandling.SEND_IF_NEW),
    "sends retained messages to nobody": subscribed_with(retain_handling=RetainHandling.DO_NOT_SEND),
    "leaves out subscription identifiers": Says(Publish, having_properties(subscription_identifier=())),
    "sends one subscription identifier only": around(Merged, "__init__", _first_id_only),
    "invents subscription identifiers": Says(Publish, having_properties(subscription_identifier=(77,))),
    "delivers at the lowest QoS of several subscriptions": around(Merged, "__init__", _lowest_qos),
    "delivers to all who share": around(Exchange, "deliver_shared", _all_members),
    "delivers to nobody who shares": around(Exchange, "deliver_shared", lambda *_: False),
    "always shares with the first": around(SharedSubscription, "choose", _first_of_all),
    "keeps members that left": around(SharedSubscription, "leave", nothing),
    "takes shared filters for ordinary ones": around(subscribing, "_request", lambda real, link, options, packet: (
        _not_shared(real(link, options, packet)))),
    "sends retained messages to shared subscriptions": around(subscribing, "_brings_retained", lambda *_: True),
    "takes any filter": (
        Patch(decoders, "topic_filter_violation", nothing), Patch(decoders, "shared_filter_violation", nothing),
        Patch(subscribing, "split_shared", lambda topic_filter: (None, topic_filter)),
    ),
    "takes filters it says it has no room for": around(subscribing, "_check_available", nothing),
    "delivers to everybody": around(Exchange, "_deliver", _to_everybody),
    "refuses every filter": Says(SubAck, lambda p, end: replace(
        p, reasons=tuple(0x80 if end.version >= 4 else 0 for _ in p.reasons))),
})  # fmt: skip


def _not_shared(request: Any) -> Any:
    return replace(request, share=None)


# --- retained messages and properties ---------------------------------------------------------------------------------


def _under_dollar_too(real: Any, self: Any, name: str, now: float) -> Any:
    yield from real(self, name, now)
    if name.startswith("#"):
        yield from self._walk(_Walk(self._dollar_root, name), self._changes, now)


def _retain_first(real: Any, self: Any, message: Any, **age: Any) -> None:
    if self.get(message.topic) is None:
        real(self, message, **age)


def _stored_later(real: Any, self: Any, message: Any) -> bool:
    return bool(real(self, message)) if message.qos else True


_PASSED_ON: dict[str, Any] = {
    "payload_format_indicator": None, "content_type": None, "response_topic": None, "correlation_data": None,
    "user_property": (), "message_expiry_interval": None,
}  # fmt: skip

RETAINED = table("broker", "retained expiry will properties request_response delivery subscription shared session", {
    "retains nothing": around(RetainedMessages, "keep", lambda *_: True),
    "retains everything": around(Exchange, "accept", lambda real, self, message, now: (
        self.house.retained.set(message) if message.payload else None, real(self, message, now))[1]),
    "retains the first message": around(RetainedTree, "set", _retain_first),
    "retains QoS 1 and 2 only": around(RetainedMessages, "keep", _stored_later),
    "clears no retained message": around(RetainedTree, "clear", nothing),
    "clears retained messages at any empty payload": around(Exchange, "accept", lambda real, self, message, now: (
        None if message.payload else self.house.retained.clear(message.topic), real(self, message, now))[1]),
    "does not pass on what clears": around(Exchange, "_deliver", lambda real, self, message, now: (
        0 if message.retain and not message.payload else real(self, message, now))),
    "sends RETAIN to everybody": around(Exchange, "deliver_to", lambda real, self, s, m, q, retain, *rest: real(
        self, s, m, q, m.retain, *rest)),
    "sends RETAIN always": Says(Publish, having(retain=True)),
    "sends RETAIN never": Says(Publish, having(retain=False)),
    "sends retained messages of exact topics only": around(RetainedTree, "match", lambda real, self, name, now: (
        iter(()) if "#" in name or "+" in name else real(self, name, now))),
    "sends one retained message": around(RetainedTree, "match", lambda real, self, name, now: iter(
        list(real(self, name, now))[:1])),
    "lets # find retained messages under $": (
        Set(dollar_topics_between_clients=True),
        around(RetainedTree, "match", _under_dollar_too),
    ),
    "sends retained messages before SUBACK at any QoS": around(
        subscribing, "_send_retained", lambda real, link, r, g, now: real(link, r, QoS.EXACTLY_ONCE, now)),
    "sends retained messages at QoS 0": around(
        subscribing, "_send_retained", lambda real, link, r, g, now: real(link, r, QoS.AT_MOST_ONCE, now)),
    "forgets retained messages with their publisher": around(Peer, "end", lambda real, link, now, *, publish_will: (
        [link.house.retained.clear(m.topic) for m in list(link.house.retained) if m.publisher == link.client_id],
        real(link, now, publish_will=publish_will))[1]),
    "does not count expiry down": around(Message, "properties_for", lambda real, self, version, ids, now: real(
        self, version, ids, self.accepted_at)),
    "lets messages expire sixty times as fast": around(
        Message, "is_expired", lambda real, self, now: real(self, self.accepted_at + 60 * (now - self.accepted_at))),
    "delivers what expired": around(Message, "is_expired", lambda *_: False),
    "lets messages expire at once": around(Message, "is_expired", lambda real, self, now: self.expires_at is not None),
    "never expires retained messages": (
        around(RetainedMessages, "_expire", nothing), around(Message, "is_expired", lambda *_: False)),
    **{f"loses {name}": Says(Publish, having_properties(**{name: value})) for name, value in _PASSED_ON.items()},
    "invents a user property": Says(Publish, having_properties(user_property=(("mutant", "yes"),))),
    "reverses user properties": Says(Publish, lambda p, _: replace(
        p, properties=replace(p.properties, user_property=p.properties.user_property[::-1]))),
    "takes payloads that are not the UTF-8 they claim": Set(validate_payload_format=False),
    "says nobody subscribes": Says((PubAck, PubRec), lambda p, end: replace(
        p, reason=ReasonCode.NO_MATCHING_SUBSCRIBERS) if end.version == 5 and not p.reason else p),
    "says what was refused succeeded": Says((PubAck, PubRec), having(reason=0)),
    "refuses every publish": Says((PubAck, PubRec), lambda p, end: replace(p, reason=0x80) if end.version == 5 else p),
})  # fmt: skip

MUTANTS = [*QOS, *ALIASES, *SUBSCRIPTIONS, *RETAINED]
