"""PUBLISH and PUBREL from a client: checks, acceptance, acknowledgement. [3.1.1 3.3, 4.3, 5.0 3.3, 4.3]

Belongs here: what the broker demands of a PUBLISH, and the answer its QoS asks for.
Does not belong here: whether it may be published (`values.admission`), who gets it (`keeping.exchange`).
"""

from __future__ import annotations

from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.message import Message
from reference_broker.session.topic_aliases import InboundAliases
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import PubAck, Publish, PubRec, PubRel
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import PacketType, QoS, ReasonCode, Version, is_error

_REASON_TEXTS: dict[int, str] = {
    ReasonCode.PACKET_IDENTIFIER_IN_USE: "the packet identifier belongs to an unfinished QoS 2 message",
    ReasonCode.QUOTA_EXCEEDED: "no room for another retained message",
}
"""What an acknowledgement says beside what `admission` refuses."""


def on_publish(link: Peer, packet: Publish, now: float) -> None:
    """Take one application message and answer as its QoS asks. [5.0 MQTT-3.3.4-1]"""
    packet = _checked(link, packet)
    if packet.qos != QoS.AT_MOST_ONCE and link.version is not Version.V5 and (text := _why_not_kept(link, packet)):
        link.disconnect(ReasonCode.QUOTA_EXCEEDED, text, now)  # 3.x has no way to say so [3.1.1 MQTT-3.3.5-2]
        return
    if packet.qos == QoS.AT_MOST_ONCE:
        reason, text = _accept(link, packet, now)
        if reason == ReasonCode.PAYLOAD_FORMAT_INVALID:  # no acknowledgement could say so
            raise ProtocolError(text, "5.0 3.3.2.3.2", reason)
        return
    assert packet.packet_id is not None
    quota = link.open_receive_quota()
    if quota is not None:
        quota.take(packet.packet_id)  # [5.0 MQTT-3.3.4-7]
    if packet.qos == QoS.AT_LEAST_ONCE:
        _receive_qos1(link, packet, packet.packet_id, now)
    else:
        _receive_qos2(link, packet, packet.packet_id, now)


def on_pubrel(link: Peer, packet: PubRel, _now: float) -> None:
    """The client lets go of a QoS 2 message: answer PUBCOMP, always. [5.0 MQTT-4.3.3-11]"""
    session, sender = link.parts()
    sender.send(session.inbound.release(packet))
    if link.receive_quota is not None:
        link.receive_quota.give_back(packet.packet_id)


def _receive_qos1(link: Peer, packet: Publish, packet_id: int, now: float) -> None:
    session, sender = link.parts()
    if link.version is Version.V5 and session.has_received(packet_id):
        # The identifier stays charged to the QoS 2 message it belongs to. [5.0 MQTT-2.2.1-3]
        reason, text = _with_text(ReasonCode.PACKET_IDENTIFIER_IN_USE)
    else:
        reason, text = _accept(link, packet, now)
        if link.receive_quota is not None:
            link.receive_quota.give_back(packet_id)
    sender.answer(PubAck(packet_id, *_outcome(sender, PacketType.PUBACK, reason, text)))


def _receive_qos2(link: Peer, packet: Publish, packet_id: int, now: float) -> None:
    session, sender = link.parts()
    if not session.inbound.receive(packet):  # a repeat: acknowledged again, not delivered again [5.0 MQTT-4.3.3-10]
        sender.answer(PubRec(packet_id))
        return
    reason, text = _accept(link, packet, now)
    answer = PubRec(packet_id, *_outcome(sender, PacketType.PUBREC, reason, text))
    if is_error(answer.reason):
        session.inbound.forget(packet_id)  # [5.0 MQTT-4.3.3-9]
        if link.receive_quota is not None:
            link.receive_quota.give_back(packet_id)
    sender.answer(answer)


def _why_not_kept(link: Peer, packet: Publish) -> str:
    """Why a message cannot be promised; nothing where it can."""
    house, session = link.house, link.session
    assert session is not None
    if not (house.admission.store_is_full or house.admission.memory_is_full):
        return ""
    is_noted = packet.qos == QoS.EXACTLY_ONCE and session.ledger is not None
    has_to_be_kept = packet.retain or is_noted or house.exchange.has_to_be_kept(packet.topic)
    refusal = house.admission.keeping_refusal(has_to_be_kept=has_to_be_kept)
    return "" if refusal is None else refusal.text


def _with_text(reason: ReasonCode) -> tuple[ReasonCode, str]:
    return reason, _REASON_TEXTS.get(reason, "")


def _outcome(sender: Sender, answer: PacketType, reason: ReasonCode, text: str) -> tuple[int, Properties]:
    """Reason code and properties of an acknowledgement; 3.x has neither, refused or not. [3.1.1 MQTT-3.3.5-2]"""
    if sender.version is not Version.V5:
        return 0, NO_PROPERTIES
    return reason, sender.diagnostics(answer, text) if reason.is_error else NO_PROPERTIES


def _checked(link: Peer, packet: Publish) -> Publish:
    """The PUBLISH with its topic in place, after the checks that need the connection or the configuration."""
    assert link.version is not None
    refusal = link.house.admission.announced_refusal(packet.qos, packet.retain, link.version)
    if refusal is not None:
        raise ProtocolError(f"PUBLISH: {refusal.text}", refusal.statement, refusal.reason)
    if link.version is Version.V5:
        if link.inbound_aliases is None:
            if packet.topic and packet.properties.topic_alias is None:
                return packet
            link.inbound_aliases = InboundAliases(link.house.config.topic_alias_maximum)
        packet = link.inbound_aliases.resolve(packet)
    return packet


def _accept(link: Peer, packet: Publish, now: float) -> tuple[ReasonCode, str]:
    """Pass the message on; what a 5.0 acknowledgement says, in its code and in words."""
    house, session = link.house, link.session
    assert session is not None
    refusal = house.admission.refusal(session, packet.topic, packet.payload, packet.properties)
    if refusal is not None:
        link.log(f"refused to publish to {packet.topic!r}: {refusal.text}")
        return refusal.reason, refusal.text
    if packet.qos != QoS.AT_MOST_ONCE and (text := _why_not_kept(link, packet)):
        return ReasonCode.QUOTA_EXCEEDED, text
    message = Message(
        packet.topic, packet.payload, packet.qos, packet.retain, packet.properties, now, session.client_id
    )
    return _with_text(house.exchange.accept(message, now))
