"""PUBLISH and PUBREL from a client: checks, acceptance, acknowledgement. [3.1.1 3.3, 4.3, 5.0 3.3, 4.3]

Belongs here: what the broker demands of a PUBLISH, and the answer its QoS asks for.
Does not belong here: who gets the message (`broker`, `routing`), messages going out (`sending`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reference_broker.broker.connecting import is_payload_well_formed
from reference_broker.broker.message import Message
from reference_broker.broker.sending import Sender
from reference_broker.session.topic_aliases import InboundAliases
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import PubAck, Publish, PubRec, PubRel
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import PacketType, QoS, ReasonCode, Version

if TYPE_CHECKING:
    from reference_broker.broker.link import Link

_REASON_TEXTS: dict[int, str] = {
    ReasonCode.NOT_AUTHORIZED: "publishing to this topic is not allowed",
    ReasonCode.TOPIC_NAME_INVALID: "the topic has too many levels",
    ReasonCode.PACKET_IDENTIFIER_IN_USE: "the packet identifier belongs to an unfinished QoS 2 message",
    ReasonCode.QUOTA_EXCEEDED: "no room for another retained message",
    ReasonCode.PAYLOAD_FORMAT_INVALID: "the payload is not the UTF-8 it is said to be",
}


def on_publish(link: Link, packet: Publish, now: float) -> None:
    """Take one application message and answer as its QoS asks. [5.0 MQTT-3.3.4-1]"""
    packet = _checked(link, packet)
    if packet.qos == QoS.AT_MOST_ONCE:
        reason = _accept(link, packet, now)
        if reason == ReasonCode.PAYLOAD_FORMAT_INVALID:  # no acknowledgement could say so
            raise ProtocolError(_REASON_TEXTS[reason], "5.0 3.3.2.3.2", reason)
        return
    assert packet.packet_id is not None
    quota = link.open_receive_quota()
    if quota is not None:
        quota.take(packet.packet_id)  # [5.0 MQTT-3.3.4-7]
    if packet.qos == QoS.AT_LEAST_ONCE:
        _receive_qos1(link, packet, packet.packet_id, now)
    else:
        _receive_qos2(link, packet, packet.packet_id, now)


def on_pubrel(link: Link, packet: PubRel, _now: float) -> None:
    """The client lets go of a QoS 2 message: answer PUBCOMP, always. [5.0 MQTT-4.3.3-11]"""
    session, sender = link.parts()
    sender.send(session.inbound.release(packet))
    if link.receive_quota is not None:
        link.receive_quota.give_back(packet.packet_id)


def _receive_qos1(link: Link, packet: Publish, packet_id: int, now: float) -> None:
    session, sender = link.parts()
    if link.version is Version.V5 and session.has_received(packet_id):
        # The identifier stays charged to the QoS 2 message it belongs to. [5.0 MQTT-2.2.1-3]
        reason = ReasonCode.PACKET_IDENTIFIER_IN_USE
    else:
        reason = _accept(link, packet, now)
        if link.receive_quota is not None:
            link.receive_quota.give_back(packet_id)
    sender.answer(PubAck(packet_id, *_outcome(sender, PacketType.PUBACK, reason)))


def _receive_qos2(link: Link, packet: Publish, packet_id: int, now: float) -> None:
    session, sender = link.parts()
    if not session.inbound.receive(packet):  # a repeat: acknowledged again, not delivered again [5.0 MQTT-4.3.3-10]
        sender.answer(PubRec(packet_id))
        return
    reason = _accept(link, packet, now)
    answer = PubRec(packet_id, *_outcome(sender, PacketType.PUBREC, reason))
    if answer.reason >= ReasonCode.UNSPECIFIED_ERROR:
        session.inbound.forget(packet_id)  # [5.0 MQTT-4.3.3-9]
        if link.receive_quota is not None:
            link.receive_quota.give_back(packet_id)
    sender.answer(answer)


def _outcome(sender: Sender, answer: PacketType, reason: ReasonCode) -> tuple[int, Properties]:
    """Reason code and properties of an acknowledgement; 3.x has neither, refused or not. [3.1.1 MQTT-3.3.5-2]"""
    if sender.version is not Version.V5:
        return 0, NO_PROPERTIES
    return reason, sender.diagnostics(answer, _REASON_TEXTS[reason]) if reason.is_error else NO_PROPERTIES


def _checked(link: Link, packet: Publish) -> Publish:
    """The PUBLISH with its topic in place, after the checks that need the connection or the configuration."""
    config = link.broker.config
    if packet.qos > config.maximum_qos:
        raise ProtocolError(f"PUBLISH of QoS {int(packet.qos)}", "5.0 MQTT-3.2.2-11", ReasonCode.QOS_NOT_SUPPORTED)
    if packet.retain and not config.retain_available:
        if link.version is Version.V5:
            raise ProtocolError("retained PUBLISH", "5.0 MQTT-3.2.2-14", ReasonCode.RETAIN_NOT_SUPPORTED)
        packet = replace(packet, retain=False)  # 3.x clients cannot know
    if link.version is Version.V5:
        if link.inbound_aliases is None:
            if packet.topic and packet.properties.topic_alias is None:
                return packet
            link.inbound_aliases = InboundAliases(config.topic_alias_maximum)
        packet = link.inbound_aliases.resolve(packet)
    return packet


def _accept(link: Link, packet: Publish, now: float) -> ReasonCode:
    """Hand the message to the broker; the reason a 5.0 acknowledgement carries."""
    broker, session = link.broker, link.session
    assert session is not None
    refusal = broker.admission.topic_refusal(session.username, packet.topic)
    if refusal is not None:
        link.log(f"refused to publish to {packet.topic!r}: {_REASON_TEXTS[refusal]}")
        return refusal
    if broker.config.validate_payload_format and not is_payload_well_formed(packet.payload, packet.properties):
        link.log(f"payload to {packet.topic!r} is not the UTF-8 it is said to be")
        return ReasonCode.PAYLOAD_FORMAT_INVALID
    message = Message(
        packet.topic, packet.payload, packet.qos, packet.retain, packet.properties, now, session.client_id
    )
    return broker.accept(message, now)
