"""Packets -> bytes: one encoder per packet type.

Belongs here: refusing, as LocalError, every packet the specification forbids to send that one can tell from the packet
alone; nothing is dropped silently, so what was encoded decodes to the same value.
Does not belong here: who sends it (`sender`), and client identifiers that a server may refuse: the specification gives
those an answer, so they can be sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reference_broker.wire import packets
from reference_broker.wire.errors import LocalError
from reference_broker.wire.header import DUP, FIXED_FLAGS, RETAIN
from reference_broker.wire.packets import Packet
from reference_broker.wire.properties import NO_PROPERTIES, WILL, Properties
from reference_broker.wire.property_codec import encode_properties
from reference_broker.wire.reasons import REASON_RULES, REASONS
from reference_broker.wire.rules import Rule
from reference_broker.wire.topics import (
    SHARE_PREFIX,
    shared_filter_violation,
    topic_filter_violation,
    topic_name_violation,
)
from reference_broker.wire.types import PacketType, QoS, RetainHandling, Version
from reference_broker.wire.utf8 import encode_binary, encode_string
from reference_broker.wire.varint import encode_varint

_V31, _V311, _V5 = Version.V31, Version.V311, Version.V5
_PROTOCOLS = {_V31: b"\0\6MQIsdp\3", _V311: b"\0\4MQTT\4", _V5: b"\0\4MQTT\5"}
_QOS_VALUES = frozenset(QoS)
_RETAIN_HANDLING_VALUES = frozenset(RetainHandling)


def encode(packet: Packet, version: Version) -> bytes:
    """The bytes of `packet` in `version`; raises LocalError for what that version does not know or forbids to send."""
    packet_type = packet.type
    flags, body = _ENCODERS[packet_type](packet, version)
    return (
        bytes((packet_type << 4 | FIXED_FLAGS[version][packet_type].value | flags,)) + encode_varint(len(body)) + body
    )


# --- fields several packets share ------------------------------------------------------------------------------------


def _packet_id(packet_id: int | None, version: Version) -> bytes:
    if packet_id is None or not 1 <= packet_id <= 65_535:
        raise Rule.PACKET_ID.forbids(version, str(packet_id))
    return packet_id.to_bytes(2, "big")


def _properties(properties: Properties, version: Version, place: PacketType | str) -> bytes:
    if version is _V5:
        return encode_properties(properties, place)
    if properties is not NO_PROPERTIES and properties != NO_PROPERTIES:
        raise LocalError(f"MQTT {version.label} has no properties; asked for {', '.join(properties.present())}")
    return b""


def _check_reason(packet_type: PacketType, reason: int, version: Version) -> None:
    allowed = REASONS[version].get(packet_type)
    if allowed is None:
        if reason:
            raise LocalError(f"{packet_type.name} has no reason code in MQTT {version.label}; asked for {reason:#04x}")
    elif reason not in allowed:
        raise REASON_RULES[packet_type].forbids(version, f"{reason:#04x}")


def _dup_in_v31(dup: bool, version: Version, rule: Rule) -> int:
    """The DUP flag of PUBREL, SUBSCRIBE and UNSUBSCRIBE, which exists in 3.1 only. [3.1 MQTT31-13]"""
    if dup and version is not _V31:
        raise rule.forbids(version, "DUP")
    return DUP if dup else 0


def _topic_filter(topic_filter: str, version: Version) -> bytes:
    violation = shared_filter_violation if version is _V5 else topic_filter_violation
    if broken := violation(topic_filter):
        raise broken.forbids(version, repr(topic_filter))
    return encode_string(topic_filter)


def _check_authentication(properties: Properties, version: Version) -> None:
    if properties.authentication_data is not None and properties.authentication_method is None:
        raise Rule.AUTHENTICATION_DATA.forbids(version)


# --- CONNECT and CONNACK ---------------------------------------------------------------------------------------------


def _encode_connect(packet: packets.Connect, version: Version) -> tuple[int, bytes]:
    if packet.version is not version:
        raise LocalError(f"a CONNECT of MQTT {packet.version.label} cannot be sent as {version.label}")
    if not 0 <= packet.keep_alive <= 65_535:
        raise Rule.KEEP_ALIVE.forbids(version, str(packet.keep_alive))
    _check_authentication(packet.properties, version)
    flags = 0x02 if packet.clean_start else 0
    payload = encode_string(packet.client_id)
    if packet.will is not None:
        will_flags, will = _encode_will(packet.will, version)
        flags |= will_flags
        payload += will
    if packet.username is not None:
        flags |= 0x80
        payload += encode_string(packet.username)
    if packet.password is not None:
        _check_password(packet, version)
        flags |= 0x40
        payload += encode_binary(packet.password)
    properties = _properties(packet.properties, version, PacketType.CONNECT)
    return 0, _PROTOCOLS[version] + bytes((flags,)) + packet.keep_alive.to_bytes(2, "big") + properties + payload


def _encode_will(will: packets.Will, version: Version) -> tuple[int, bytes]:
    if broken := topic_name_violation(will.topic):
        raise broken.forbids(version, f"will topic {will.topic!r}")
    if will.qos not in _QOS_VALUES:
        raise Rule.WILL_QOS.forbids(version, str(will.qos))
    if version is _V31 and not will.payload.isascii():
        raise Rule.WILL_MESSAGE_ASCII.forbids(version)
    flags = 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
    properties = _properties(will.properties, version, WILL)
    return flags, properties + encode_string(will.topic) + encode_binary(will.payload)


def _check_password(packet: packets.Connect, version: Version) -> None:
    if packet.username is None and version is not _V5:
        raise Rule.PASSWORD_WITHOUT_USER_NAME.forbids(version)
    if version is _V31 and packet.password is not None:
        try:
            packet.password.decode()
        except UnicodeDecodeError as error:
            raise Rule.PASSWORD_TEXT.forbids(version) from error


def _encode_connack(packet: packets.ConnAck, version: Version) -> tuple[int, bytes]:
    if packet.session_present and version is _V31:
        raise Rule.SESSION_PRESENT_UNKNOWN.forbids(version, "1")
    if packet.session_present and packet.reason:
        raise Rule.SESSION_PRESENT.forbids(version, f"Session Present 1 with {packet.reason:#04x}")
    _check_reason(PacketType.CONNACK, packet.reason, version)
    _check_authentication(packet.properties, version)
    properties = _properties(packet.properties, version, PacketType.CONNACK)
    return 0, bytes((packet.session_present, packet.reason)) + properties


# --- PUBLISH and its answers -----------------------------------------------------------------------------------------


def _encode_publish(packet: packets.Publish, version: Version) -> tuple[int, bytes]:
    qos = packet.qos
    if qos not in _QOS_VALUES:
        raise Rule.PUBLISH_QOS.forbids(version, str(qos))
    if packet.dup and not qos:
        raise Rule.PUBLISH_DUP.forbids(version)
    if not qos and packet.packet_id is not None:
        raise Rule.PUBLISH_PACKET_ID.forbids(version, str(packet.packet_id))
    _check_publish_topic(packet, version)
    flags = (DUP if packet.dup else 0) | qos << 1 | (RETAIN if packet.retain else 0)
    packet_id = _packet_id(packet.packet_id, version) if qos else b""
    properties = _properties(packet.properties, version, PacketType.PUBLISH)
    return flags, b"".join((encode_string(packet.topic), packet_id, properties, packet.payload))


def _check_publish_topic(packet: packets.Publish, version: Version) -> None:
    topic = packet.topic
    if not topic and packet.properties.topic_alias is None:
        raise (Rule.TOPIC_OR_ALIAS if version is _V5 else Rule.TOPIC_EMPTY).forbids(version)
    if not topic and version is not _V5:
        raise Rule.TOPIC_EMPTY.forbids(version)
    if "#" in topic or "+" in topic:
        raise Rule.PUBLISH_TOPIC_WILDCARD.forbids(version, repr(topic))


def _encode_answer(
    packet: packets.PubAck | packets.PubRec | packets.PubRel | packets.PubComp, version: Version
) -> bytes:
    packet_type, reason = packet.type, packet.reason
    packet_id = _packet_id(packet.packet_id, version)
    _check_reason(packet_type, reason, version)
    properties = _properties(packet.properties, version, packet_type)
    return packet_id + _tail(reason, properties)


def _tail(reason: int, properties: bytes) -> bytes:
    """Reason and properties in the shortest of the three forms 5.0 allows; empty in 3.x. [5.0 3.4.2.1, 3.14.2.1]"""
    if len(properties) > 1:
        return bytes((reason,)) + properties
    return bytes((reason,)) if reason else b""


def _encode_puback(packet: packets.PubAck, version: Version) -> tuple[int, bytes]:
    return 0, _encode_answer(packet, version)


def _encode_pubrec(packet: packets.PubRec, version: Version) -> tuple[int, bytes]:
    return 0, _encode_answer(packet, version)


def _encode_pubrel(packet: packets.PubRel, version: Version) -> tuple[int, bytes]:
    return _dup_in_v31(packet.dup, version, Rule.PUBREL_FLAGS), _encode_answer(packet, version)


def _encode_pubcomp(packet: packets.PubComp, version: Version) -> tuple[int, bytes]:
    return 0, _encode_answer(packet, version)


# --- SUBSCRIBE, UNSUBSCRIBE and their answers ------------------------------------------------------------------------


def _encode_subscribe(packet: packets.Subscribe, version: Version) -> tuple[int, bytes]:
    if not packet.subscriptions:
        raise Rule.SUBSCRIBE_EMPTY.forbids(version)
    body = bytearray(_packet_id(packet.packet_id, version))
    body += _properties(packet.properties, version, PacketType.SUBSCRIBE)
    for subscription in packet.subscriptions:
        body += _topic_filter(subscription.topic_filter, version)
        body.append(_subscription_options(subscription, version))
    return _dup_in_v31(packet.dup, version, Rule.SUBSCRIBE_FLAGS), bytes(body)


def _subscription_options(subscription: packets.Subscription, version: Version) -> int:
    qos, retain_handling = subscription.qos, subscription.retain_handling
    if qos not in _QOS_VALUES:
        raise (Rule.MAXIMUM_QOS_3 if version is _V5 else Rule.SUBSCRIBE_QOS_3).forbids(version, str(qos))
    if retain_handling not in _RETAIN_HANDLING_VALUES:
        raise Rule.RETAIN_HANDLING.forbids(version, str(retain_handling))
    options = qos | subscription.no_local << 2 | subscription.retain_as_published << 3 | retain_handling << 4
    if version is not _V5 and options != qos:
        raise Rule.SUBSCRIBE_RESERVED.forbids(version, f"{options:#04x}")
    if subscription.no_local and subscription.topic_filter.startswith(SHARE_PREFIX):
        raise Rule.SHARED_NO_LOCAL.forbids(version, repr(subscription.topic_filter))
    return options


def _encode_suback(packet: packets.SubAck, version: Version) -> tuple[int, bytes]:
    if not packet.reasons:
        raise Rule.SUBACK_EMPTY.forbids(version)
    for reason in packet.reasons:
        _check_reason(PacketType.SUBACK, reason, version)
    properties = _properties(packet.properties, version, PacketType.SUBACK)
    return 0, _packet_id(packet.packet_id, version) + properties + bytes(packet.reasons)


def _encode_unsubscribe(packet: packets.Unsubscribe, version: Version) -> tuple[int, bytes]:
    if not packet.topic_filters:
        raise Rule.UNSUBSCRIBE_EMPTY.forbids(version)
    body = bytearray(_packet_id(packet.packet_id, version))
    body += _properties(packet.properties, version, PacketType.UNSUBSCRIBE)
    for topic_filter in packet.topic_filters:
        body += _topic_filter(topic_filter, version)
    return _dup_in_v31(packet.dup, version, Rule.UNSUBSCRIBE_FLAGS), bytes(body)


def _encode_unsuback(packet: packets.UnsubAck, version: Version) -> tuple[int, bytes]:
    if version is _V5 and not packet.reasons:
        raise Rule.UNSUBACK_EMPTY.forbids(version)
    if version is not _V5 and packet.reasons:
        raise LocalError(f"UNSUBACK has no reason codes in MQTT {version.label}; asked for {packet.reasons}")
    for reason in packet.reasons:
        _check_reason(PacketType.UNSUBACK, reason, version)
    properties = _properties(packet.properties, version, PacketType.UNSUBACK)
    return 0, _packet_id(packet.packet_id, version) + properties + bytes(packet.reasons)


# --- the rest --------------------------------------------------------------------------------------------------------


def _encode_ping(_packet: packets.PingReq | packets.PingResp, _version: Version) -> tuple[int, bytes]:
    return 0, b""


def _encode_disconnect(packet: packets.Disconnect, version: Version) -> tuple[int, bytes]:
    _check_reason(PacketType.DISCONNECT, packet.reason, version)
    return 0, _tail(packet.reason, _properties(packet.properties, version, PacketType.DISCONNECT))


def _encode_auth(packet: packets.Auth, version: Version) -> tuple[int, bytes]:
    if version is not _V5:
        raise LocalError(f"AUTH does not exist in MQTT {version.label}")
    _check_reason(PacketType.AUTH, packet.reason, version)
    properties = encode_properties(packet.properties, PacketType.AUTH)
    if not packet.reason and properties == b"\0":
        return 0, b""
    if packet.properties.authentication_method is None:
        raise Rule.AUTHENTICATION_METHOD.forbids(version)
    return 0, bytes((packet.reason,)) + properties


# The key fixes the packet's class, which the type of a dict cannot say; hence Any.
_ENCODERS: dict[PacketType, Callable[[Any, Version], tuple[int, bytes]]] = {
    PacketType.CONNECT: _encode_connect,
    PacketType.CONNACK: _encode_connack,
    PacketType.PUBLISH: _encode_publish,
    PacketType.PUBACK: _encode_puback,
    PacketType.PUBREC: _encode_pubrec,
    PacketType.PUBREL: _encode_pubrel,
    PacketType.PUBCOMP: _encode_pubcomp,
    PacketType.SUBSCRIBE: _encode_subscribe,
    PacketType.SUBACK: _encode_suback,
    PacketType.UNSUBSCRIBE: _encode_unsubscribe,
    PacketType.UNSUBACK: _encode_unsuback,
    PacketType.PINGREQ: _encode_ping,
    PacketType.PINGRESP: _encode_ping,
    PacketType.DISCONNECT: _encode_disconnect,
    PacketType.AUTH: _encode_auth,
}
"""Each returns the flags it adds to the fixed ones, and everything behind the fixed header."""
