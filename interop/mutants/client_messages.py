"""Clients that are wrong about messages: publishing, receiving, acknowledging, packet identifiers, aliases.

Belongs here: faults of a connected client in the exchange of messages.
Does not belong here: the connection and its limits (`client_connections`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.broker_counts import FORGETTING_AT_THE_LAST_PACKET_ID
from interop.mutants.broker_messages import is_repeat, with_qos
from interop.mutants.mutant import Hears, Patch, Says, Tells, around, table
from interop.mutants.words import having, having_properties, nothing, swap_pairs, twice, when
from reference_broker.client import receiving
from reference_broker.client.events import Message, Published, Unsubscribed
from reference_broker.client.publishing import Publisher
from reference_broker.session import delivery
from reference_broker.session.delivery import Inbound, Outbound, Sending
from reference_broker.session.flow_control import ReceiveQuota, SendQuota
from reference_broker.session.packet_ids import PacketIds
from reference_broker.session.topic_aliases import InboundAliases
from reference_broker.wire import encode
from reference_broker.wire.packets import (
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Unsubscribe,
)
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import PacketType, QoS


def _kept(packet: Publish, end: Any) -> Publish:
    end.memory[packet.packet_id] = packet
    return packet


def _publish_again(packet: PubRel, end: Any) -> Any:
    publish = end.memory.get(packet.packet_id)
    return packet if publish is None else (packet, replace(publish, dup=True))


def _every_repeat_is_new(real: Any, self: Any, publish: Any) -> bool:
    real(self, publish)
    return True


def _ready_backwards(real: Any, answers: Any) -> Any:
    ready = [answer for answer in answers.values() if answer is not None]
    for ticket in [ticket for ticket, answer in answers.items() if answer is not None]:
        del answers[ticket]
    return ready[::-1]


def _aliased_only(publish: Publish) -> Publish:
    return replace(publish, topic="") if publish.properties.topic_alias else publish


def _same_again(real: Any, self: Any) -> int:
    self._in_use.clear()
    self._last = 0
    return int(real(self))


PUBLISHING = table("client", "qos1 qos2 ordering session flow_control delivery retained properties "
                   "topic_alias expiry request_response topics", {
    "publishes at QoS 0": Says(Publish, lambda p, _: replace(p, qos=QoS.AT_MOST_ONCE, packet_id=None, dup=False)),
    "publishes without RETAIN": Says(Publish, having(retain=False)),
    "publishes with RETAIN": Says(Publish, having(retain=True)),
    "publishes without properties": Says(Publish, having(properties=NO_PROPERTIES)),
    "publishes everything twice": Says(Publish, twice),
    "publishes an empty payload": Says(Publish, having(payload=b"")),
    "publishes with DUP at once": Says(Publish, when(with_qos(1, 2), having(dup=True))),
    "publishes again without DUP": Says(Publish, having(dup=False)),
    "publishes again with another packet id": Says(
        Publish, when(is_repeat, lambda p, _: replace(p, packet_id=p.packet_id % 65535 + 1000))
    ),
    "publishes nothing again": Says(Publish, when(is_repeat, nothing)),
    "publishes in pairs, the second first": Says(Publish, swap_pairs),
    "publishes again after PUBREC": (Says(Publish, _kept), Says(PubRel, _publish_again)),
    "resumes in the wrong order": around(Outbound, "resume", lambda real, self: iter(list(real(self))[::-1])),
    "resumes without PUBREL": around(Outbound, "resume", lambda real, self: iter(
        [packet for packet in real(self) if packet.type is PacketType.PUBLISH])),
    "takes packet ids in flight": around(PacketIds, "allocate", _same_again),
    "releases nothing": Says(PubRel, nothing),
    "releases twice": Says(PubRel, twice),
    "releases another packet id": Says(PubRel, lambda p, _: replace(p, packet_id=p.packet_id % 65535 + 1)),
    "releases in pairs, the second first of them": Says(PubRel, swap_pairs),
    "takes a refused PUBREC for success": Patch(
        delivery.SENDER, (Sending.PUBREC, PacketType.PUBREC, True), (Sending.PUBCOMP, PacketType.PUBREL)
    ),
    "takes a PUBACK for QoS 2": Patch(
        delivery.SENDER, (Sending.PUBREC, PacketType.PUBACK, False), (Sending.UNKNOWN, None)
    ),
    "takes a PUBREC for QoS 1": Patch(
        delivery.SENDER, (Sending.PUBACK, PacketType.PUBREC, False), (Sending.PUBCOMP, PacketType.PUBREL)
    ),
    "takes a PUBCOMP for PUBREC": Patch(
        delivery.SENDER, (Sending.PUBREC, PacketType.PUBCOMP, False), (Sending.UNKNOWN, None)
    ),
    "does not answer an unknown PUBREC": Patch(
        delivery.SENDER, (Sending.UNKNOWN, PacketType.PUBREC, False), (Sending.UNKNOWN, None)
    ),
    "answers an unknown PUBREC with success": Says(PubRel, having(reason=0)),
    "is confused by unknown acknowledgements": tuple(
        Patch(delivery.SENDER, (Sending.UNKNOWN, kind, False), None)
        for kind in (PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBCOMP)
    ),
    "takes PUBLISH for granted at once": Tells(Published, nothing),
    "tells that what was refused succeeded": Tells(Published, having(reason=0)),
    "sends more than Receive Maximum": around(SendQuota, "take", lambda real, self: True),
    "never frees Receive Maximum": around(SendQuota, "give_back", nothing),
    "uses aliases it never set": around(Publisher, "_on_the_wire", lambda real, self, p, ticket: _aliased_only(
        real(self, p, ticket))),
    "cuts strings that are too long": around(encode, "encode_string", lambda real, text: real(text[:65535])),
    "publishes to any topic": Patch(encode, "_check_publish_topic", nothing),
    "subscribes with any filter": (
        Patch(encode, "topic_filter_violation", nothing), Patch(encode, "shared_filter_violation", nothing),
    ),
    "publishes without topic": Says(Publish, having(topic="")),
    "publishes with a subscription identifier": Says(Publish, having_properties(subscription_identifier=(7,))),
})  # fmt: skip

RECEIVING = table("client", "qos1 qos2 ordering session flow_control delivery retained topic_alias "
                  "properties subscription expiry request_response", {
    "sends no PUBACK": Says(PubAck, nothing),
    "sends PUBACK twice": Says(PubAck, twice),
    "sends no PUBREC": Says(PubRec, nothing),
    "sends no PUBCOMP": Says(PubComp, nothing),
    "sends PUBACK for QoS 2": Says(PubRec, lambda p, _: PubAck(p.packet_id)),
    "sends PUBREC for QoS 1": Says(PubAck, lambda p, _: PubRec(p.packet_id)),
    "sends PUBACK for another packet id": Says(PubAck, lambda p, _: replace(p, packet_id=p.packet_id % 65535 + 1)),
    "sends PUBCOMP for another packet id": Says(PubComp, lambda p, _: replace(p, packet_id=p.packet_id % 65535 + 1)),
    "sends PUBACK and PUBREC in pairs, the second first": Says((PubAck, PubRec), swap_pairs),
    "acknowledges as the application does": around(receiving, "_take_ready", _ready_backwards),
    "sends PUBCOMP with success always": Says(PubComp, having(reason=0)),
    "tells QoS 2 messages again": around(Inbound, "receive", _every_repeat_is_new),
    "tells repeats by DUP": around(Inbound, "receive", lambda real, self, p: (real(self, p), not p.dup)[1]),
    "takes a message after PUBCOMP for a repeat": around(
        Inbound, "release", lambda real, self, p: PubComp(p.packet_id)),
    "tells no messages": Tells(Message, nothing),
    "tells messages twice": Tells(Message, twice),
    "tells messages without properties": Tells(Message, having(properties=NO_PROPERTIES)),
    "tells messages without RETAIN": Tells(Message, having(retain=False)),
    "tells payloads up to their first null": Tells(
        Message, lambda m, _: replace(m, payload=m.payload.partition(b"\0")[0])),
    "tells every message at QoS 0": Tells(Message, having(qos=QoS.AT_MOST_ONCE)),
    "takes more than its own Receive Maximum": around(ReceiveQuota, "take", nothing),
    "never gives its own Receive Maximum back": around(ReceiveQuota, "give_back", nothing),
    "takes any alias of the server": around(
        InboundAliases, "__init__", lambda real, self, maximum=0: real(self, 65535)),
    "takes no alias of the server": around(InboundAliases, "__init__", lambda real, self, maximum=0: real(self, 0)),
    "keeps the first topic of the server's alias": around(InboundAliases, "resolve", lambda real, self, p: real(
        self, replace(p, topic=self._topics.get(p.properties.topic_alias, p.topic)))),
    "hears no QoS 0 messages": Hears(Publish, lambda p, _: p if p.qos else None),
    "tells that nothing was unsubscribed": Tells(Unsubscribed, nothing),
    "sends SUBSCRIBE twice": Says(Subscribe, twice),
    "sends UNSUBSCRIBE twice": Says(Unsubscribe, twice),
    "unsubscribes one filter": Says(Unsubscribe, lambda p, _: replace(p, topic_filters=p.topic_filters[:1])),
})  # fmt: skip

ROUND = table("client", "qos1/packet_ids_of_publishes_come_round", {
    "forgets at packet id 65,535 what it has in flight": FORGETTING_AT_THE_LAST_PACKET_ID,
})  # fmt: skip

MUTANTS = [*PUBLISHING, *RECEIVING, *ROUND]
