"""One decoder per packet type: from behind the fixed header to the packet's end.

Belongs here: the layout of each packet's variable header and payload, and the rules that need nothing else.
Does not belong here: the fixed header and streams (`decode`), properties (`property_codec`), directions (`sender`).

3.1 is read as leniently as its text asks: unused bits, a repeated SUBSCRIBE with DUP, flags without fields.
"""

from __future__ import annotations

from collections.abc import Callable

from reference_broker.wire import packets
from reference_broker.wire.errors import UnacceptableProtocolVersion
from reference_broker.wire.header import DUP, RETAIN
from reference_broker.wire.packets import Packet
from reference_broker.wire.properties import NO_PROPERTIES, WILL, Properties
from reference_broker.wire.property_codec import decode_properties
from reference_broker.wire.reasons import REASON_RULES, REASONS, V31_SUBACK_ACCEPTED
from reference_broker.wire.rules import Rule
from reference_broker.wire.topics import (
    SHARE_PREFIX,
    shared_filter_violation,
    topic_filter_violation,
    topic_name_violation,
)
from reference_broker.wire.types import PacketType, QoS, RetainHandling, Version
from reference_broker.wire.utf8 import decode_binary, decode_string

_V31, _V311, _V5 = Version.V31, Version.V311, Version.V5
_QOS = tuple(QoS)
_RETAIN_HANDLING = tuple(RetainHandling)
_VERSION_BY_PROTOCOL = {(b"MQIsdp", 3): _V31, (b"MQTT", 4): _V311, (b"MQTT", 5): _V5}
_UNKNOWN_PROTOCOL_STATEMENT = {b"MQIsdp": "3.1 MQTT31-2", b"MQTT": "3.1.1 MQTT-3.1.2-2"}


# --- fields several packets share ------------------------------------------------------------------------------------


def _byte(data: bytes, position: int, end: int, version: Version) -> int:
    if position >= end:
        raise Rule.TRUNCATED.broken(version)
    return data[position]


def _two_bytes(data: bytes, position: int, end: int, version: Version) -> int:
    if position + 2 > end:
        raise Rule.TRUNCATED.broken(version)
    return data[position] << 8 | data[position + 1]


def _packet_id(data: bytes, position: int, end: int, version: Version) -> int:
    packet_id = _two_bytes(data, position, end, version)
    if packet_id == 0:
        raise Rule.PACKET_ID.broken(version, "0")
    return packet_id


def _properties(
    data: bytes, position: int, end: int, version: Version, place: PacketType | str
) -> tuple[Properties, int]:
    return decode_properties(data, position, end, place) if version is _V5 else (NO_PROPERTIES, position)


def _topic_filter(data: bytes, position: int, end: int, version: Version) -> tuple[str, int]:
    topic_filter, position = decode_string(data, position, end, version)
    violation = shared_filter_violation if version is _V5 else topic_filter_violation
    if broken := violation(topic_filter):
        raise broken.broken(version, repr(topic_filter))
    return topic_filter, position


def _check_reason(packet_type: PacketType, reason: int, version: Version) -> None:
    if reason not in REASONS[version][packet_type]:
        raise REASON_RULES[packet_type].broken(version, f"{reason:#04x}")


# --- CONNECT and CONNACK ---------------------------------------------------------------------------------------------


def read_protocol(data: bytes, position: int, end: int) -> tuple[Version, int]:
    """The version a CONNECT asks for, and the position of its connect flags; raises UnacceptableProtocolVersion."""
    name, position = decode_binary(data, position, end, _V5)
    level = _byte(data, position, end, _V5)
    version = _VERSION_BY_PROTOCOL.get((name, level))
    if version is None:
        statement = _UNKNOWN_PROTOCOL_STATEMENT.get(name, "3.1.1 MQTT-3.1.2-1")
        raise UnacceptableProtocolVersion(name, level, statement)
    return version, position + 1


def _decode_connect(data: bytes, position: int, end: int, _: int, version: Version) -> tuple[packets.Connect, int]:
    flags = _byte(data, position, end, version)
    _check_connect_flags(flags, version)
    keep_alive = _two_bytes(data, position + 1, end, version)
    properties, position = _properties(data, position + 3, end, version, PacketType.CONNECT)
    if properties.authentication_data is not None and properties.authentication_method is None:
        raise Rule.AUTHENTICATION_DATA.broken(version)
    client_id, position = decode_string(data, position, end, version)
    will = username = password = None
    if flags & 0x04:
        will, position = _decode_will(data, position, end, flags, version)
    # 3.1: the remaining length takes precedence over these two flags. [3.1 MQTT31-9]
    if flags & 0x80 and not (version is _V31 and position == end):
        if position == end:
            raise Rule.USER_NAME_FIELD.broken(version)
        username, position = decode_string(data, position, end, version)
    if flags & 0x40 and not (version is _V31 and position == end):
        if position == end:
            raise Rule.PASSWORD_FIELD.broken(version)
        password, position = decode_binary(data, position, end, version)
    if version is _V31:
        position = end  # fields whose flag is 0 are disregarded, not refused [3.1 2.2 User name and password flags]
    packet = packets.Connect(version, client_id, bool(flags & 0x02), keep_alive, username, password, will, properties)
    return packet, position


def _check_connect_flags(flags: int, version: Version) -> None:
    if flags & 0x01 and version is not _V31:
        raise Rule.CONNECT_RESERVED.broken(version, f"connect flags {flags:#04x}")
    if flags & 0x40 and not flags & 0x80 and version is not _V5:
        raise Rule.PASSWORD_WITHOUT_USER_NAME.broken(version)
    if flags & 0x04:
        if flags & 0x18 == 0x18:
            raise Rule.WILL_QOS.broken(version, "3")
    elif version is not _V31:  # 3.1 disregards them [3.1 MQTT31-12]
        if flags & 0x18:
            raise Rule.WILL_QOS_WITHOUT_WILL.broken(version)
        if flags & 0x20:
            raise Rule.WILL_RETAIN_WITHOUT_WILL.broken(version)


def _decode_will(data: bytes, position: int, end: int, flags: int, version: Version) -> tuple[packets.Will, int]:
    if position == end:
        raise Rule.WILL_FIELDS.broken(version)
    properties, position = _properties(data, position, end, version, WILL)
    topic, position = decode_string(data, position, end, version)
    if broken := topic_name_violation(topic):
        raise broken.broken(version, f"will topic {topic!r}")
    payload, position = decode_binary(data, position, end, version)
    return packets.Will(topic, payload, _QOS[flags >> 3 & 3], bool(flags & 0x20), properties), position


def _decode_connack(data: bytes, position: int, end: int, _: int, version: Version) -> tuple[packets.ConnAck, int]:
    flags = _byte(data, position, end, version)
    reason = _byte(data, position + 1, end, version)
    if version is _V31:
        flags = 0  # a reserved byte [3.1 MQTT31-6]
    elif flags > 1:
        raise Rule.CONNACK_FLAGS.broken(version, f"{flags:#04x}")
    _check_reason(PacketType.CONNACK, reason, version)
    if flags and reason:
        raise Rule.SESSION_PRESENT.broken(version, f"Session Present 1 with {reason:#04x}")
    properties, position = _properties(data, position + 2, end, version, PacketType.CONNACK)
    if properties.authentication_data is not None and properties.authentication_method is None:
        raise Rule.AUTHENTICATION_DATA.broken(version)
    return packets.ConnAck(bool(flags), reason, properties), position


# --- PUBLISH and its answers -----------------------------------------------------------------------------------------


def _decode_publish(data: bytes, position: int, end: int, flags: int, version: Version) -> tuple[packets.Publish, int]:
    qos = flags >> 1 & 3
    if qos == 3:
        raise Rule.PUBLISH_QOS.broken(version, "3")
    if flags & DUP and not qos and version is not _V31:
        raise Rule.PUBLISH_DUP.broken(version)
    topic, position = decode_string(data, position, end, version)
    packet_id = None
    if qos:
        packet_id = _packet_id(data, position, end, version)
        position += 2
    properties = NO_PROPERTIES
    if version is _V5:
        properties, position = decode_properties(data, position, end, PacketType.PUBLISH)
    if "#" in topic or "+" in topic:
        raise Rule.PUBLISH_TOPIC_WILDCARD.broken(version, repr(topic))
    if not topic and properties.topic_alias is None:
        raise (Rule.TOPIC_OR_ALIAS if version is _V5 else Rule.TOPIC_EMPTY).broken(version)
    packet = packets.Publish(
        topic, data[position:end], _QOS[qos], bool(flags & RETAIN), bool(flags & DUP), packet_id, properties
    )
    return packet, end


def _answer(
    data: bytes, position: int, end: int, version: Version, packet_type: PacketType
) -> tuple[int, int, Properties, int]:
    """Packet identifier, reason and properties of PUBACK, PUBREC, PUBREL or PUBCOMP; 5.0 may leave out the last two."""
    packet_id = _packet_id(data, position, end, version)
    position += 2
    if version is not _V5 or position == end:
        return packet_id, 0, NO_PROPERTIES, position
    reason = data[position]
    _check_reason(packet_type, reason, version)
    position += 1
    if position == end:  # a remaining length of 3: no property length either [5.0 3.4.2.2.1]
        return packet_id, reason, NO_PROPERTIES, position
    properties, position = decode_properties(data, position, end, packet_type)
    return packet_id, reason, properties, position


def _decode_puback(data: bytes, position: int, end: int, _: int, version: Version) -> tuple[packets.PubAck, int]:
    packet_id, reason, properties, position = _answer(data, position, end, version, PacketType.PUBACK)
    return packets.PubAck(packet_id, reason, properties), position


def _decode_pubrec(data: bytes, position: int, end: int, _: int, version: Version) -> tuple[packets.PubRec, int]:
    packet_id, reason, properties, position = _answer(data, position, end, version, PacketType.PUBREC)
    return packets.PubRec(packet_id, reason, properties), position


def _decode_pubrel(data: bytes, position: int, end: int, flags: int, version: Version) -> tuple[packets.PubRel, int]:
    packet_id, reason, properties, position = _answer(data, position, end, version, PacketType.PUBREL)
    return packets.PubRel(packet_id, reason, properties, bool(flags & DUP)), position


def _decode_pubcomp(data: bytes, position: int, end: int, _: int, version: Version) -> tuple[packets.PubComp, int]:
    packet_id, reason, properties, position = _answer(data, position, end, version, PacketType.PUBCOMP)
    return packets.PubComp(packet_id, reason, properties), position


# --- SUBSCRIBE, UNSUBSCRIBE and their answers ------------------------------------------------------------------------


def _decode_subscribe(
    data: bytes, position: int, end: int, flags: int, version: Version
) -> tuple[packets.Subscribe, int]:
    packet_id = _packet_id(data, position, end, version)
    properties, position = _properties(data, position + 2, end, version, PacketType.SUBSCRIBE)
    subscriptions = []
    while position < end:
        topic_filter, position = _topic_filter(data, position, end, version)
        options = _byte(data, position, end, version)
        position += 1
        subscriptions.append(_OPTIONS[version](topic_filter, options))
    if not subscriptions:
        raise Rule.SUBSCRIBE_EMPTY.broken(version)
    return packets.Subscribe(packet_id, tuple(subscriptions), properties, bool(flags & DUP)), position


def _options_v31(topic_filter: str, options: int) -> packets.Subscription:
    if options & 0x03 == 3:  # the upper bits are unused and go unchecked [3.1 MQTT31-14]
        raise Rule.SUBSCRIBE_QOS_3.broken(_V31)
    return packets.Subscription(topic_filter, _QOS[options & 0x03])


def _options_v311(topic_filter: str, options: int) -> packets.Subscription:
    if options & 0xFC:
        raise Rule.SUBSCRIBE_RESERVED.broken(_V311, f"{options:#04x}")
    if options == 3:
        raise Rule.SUBSCRIBE_QOS_3.broken(_V311)
    return packets.Subscription(topic_filter, _QOS[options])


def _options_v5(topic_filter: str, options: int) -> packets.Subscription:
    if options & 0xC0:
        raise Rule.SUBSCRIBE_RESERVED.broken(_V5, f"{options:#04x}")
    if options & 0x03 == 3:
        raise Rule.MAXIMUM_QOS_3.broken(_V5)
    if options & 0x30 == 0x30:
        raise Rule.RETAIN_HANDLING.broken(_V5, "3")
    no_local = bool(options & 0x04)
    if no_local and topic_filter.startswith(SHARE_PREFIX):
        raise Rule.SHARED_NO_LOCAL.broken(_V5, repr(topic_filter))
    return packets.Subscription(
        topic_filter, _QOS[options & 0x03], no_local, bool(options & 0x08), _RETAIN_HANDLING[options >> 4]
    )


_OPTIONS: dict[Version, Callable[[str, int], packets.Subscription]] = {
    _V31: _options_v31,
    _V311: _options_v311,
    _V5: _options_v5,
}


def _decode_suback(data: bytes, position: int, end: int, _: int, version: Version) -> tuple[packets.SubAck, int]:
    packet_id = _packet_id(data, position, end, version)
    properties, position = _properties(data, position + 2, end, version, PacketType.SUBACK)
    reasons = tuple(data[position:end])
    if not reasons:
        raise Rule.SUBACK_EMPTY.broken(version)
    accepted = V31_SUBACK_ACCEPTED if version is _V31 else REASONS[version][PacketType.SUBACK]
    if not accepted.issuperset(reasons):
        raise Rule.SUBACK_REASON.broken(version, data[position:end].hex(" "))
    return packets.SubAck(packet_id, reasons, properties), end


def _decode_unsubscribe(
    data: bytes, position: int, end: int, flags: int, version: Version
) -> tuple[packets.Unsubscribe, int]:
    packet_id = _packet_id(data, position, end, version)
    properties, position = _properties(data, position + 2, end, version, PacketType.UNSUBSCRIBE)
    topic_filters = []
    while position < end:
        topic_filter, position = _topic_filter(data, position, end, version)
        topic_filters.append(topic_filter)
    if not topic_filters:
        raise Rule.UNSUBSCRIBE_EMPTY.broken(version)
    return packets.Unsubscribe(packet_id, tuple(topic_filters), properties, bool(flags & DUP)), position


def _decode_unsuback(data: bytes, position: int, end: int, _: int, version: Version) -> tuple[packets.UnsubAck, int]:
    packet_id = _packet_id(data, position, end, version)
    if version is not _V5:
        return packets.UnsubAck(packet_id), position + 2
    properties, position = decode_properties(data, position + 2, end, PacketType.UNSUBACK)
    reasons = tuple(data[position:end])
    if not reasons:
        raise Rule.UNSUBACK_EMPTY.broken(version)
    if not REASONS[_V5][PacketType.UNSUBACK].issuperset(reasons):
        raise Rule.UNSUBACK_REASON.broken(version, data[position:end].hex(" "))
    return packets.UnsubAck(packet_id, reasons, properties), end


# --- the rest --------------------------------------------------------------------------------------------------------


def _decode_pingreq(_data: bytes, position: int, _end: int, _: int, _version: Version) -> tuple[packets.PingReq, int]:
    return packets.PingReq(), position


def _decode_pingresp(_data: bytes, position: int, _end: int, _: int, _version: Version) -> tuple[packets.PingResp, int]:
    return packets.PingResp(), position


def _decode_disconnect(
    data: bytes, position: int, end: int, _: int, version: Version
) -> tuple[packets.Disconnect, int]:
    if version is not _V5 or position == end:
        return packets.Disconnect(), position
    reason = data[position]
    _check_reason(PacketType.DISCONNECT, reason, version)
    position += 1
    if position == end:  # a remaining length of 1: no property length either [5.0 3.14.2.2.1]
        return packets.Disconnect(reason), position
    properties, position = decode_properties(data, position, end, PacketType.DISCONNECT)
    return packets.Disconnect(reason, properties), position


def _decode_auth(data: bytes, position: int, end: int, _: int, version: Version) -> tuple[packets.Auth, int]:
    # The empty form is spelled out for AUTH, although it cannot name the method every AUTH has. [5.0 3.15.2.1]
    if position == end:
        return packets.Auth(), position
    reason = data[position]
    _check_reason(PacketType.AUTH, reason, version)
    properties, position = decode_properties(data, position + 1, end, PacketType.AUTH)
    if properties.authentication_method is None:
        raise Rule.AUTHENTICATION_METHOD.broken(version)
    return packets.Auth(reason, properties), position


Decoder = Callable[[bytes, int, int, int, Version], tuple[Packet, int]]
"""Reads (data, position of the variable header, end, flags, version); returns the packet and where it stopped."""

DECODERS: dict[PacketType, Decoder] = {
    PacketType.CONNECT: _decode_connect,
    PacketType.CONNACK: _decode_connack,
    PacketType.PUBLISH: _decode_publish,
    PacketType.PUBACK: _decode_puback,
    PacketType.PUBREC: _decode_pubrec,
    PacketType.PUBREL: _decode_pubrel,
    PacketType.PUBCOMP: _decode_pubcomp,
    PacketType.SUBSCRIBE: _decode_subscribe,
    PacketType.SUBACK: _decode_suback,
    PacketType.UNSUBSCRIBE: _decode_unsubscribe,
    PacketType.UNSUBACK: _decode_unsuback,
    PacketType.PINGREQ: _decode_pingreq,
    PacketType.PINGRESP: _decode_pingresp,
    PacketType.DISCONNECT: _decode_disconnect,
    PacketType.AUTH: _decode_auth,
}
