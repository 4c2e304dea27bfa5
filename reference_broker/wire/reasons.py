"""Which reason codes each packet may carry, who may send them, and what they are called.

Belongs here: the specification's tables of codes. [3.1 3.2, 3.9, 3.1.1 3.2.2.3, 3.9.3, 5.0 2.4 and each packet's table]
Does not belong here: the numbers themselves (`types`), or when to use one.
"""

from __future__ import annotations

from reference_broker.wire.rules import Rule
from reference_broker.wire.types import SUBACK_FAILURE, ConnectReturnCode, PacketType, ReasonCode, Version

_R = ReasonCode
_PUBLISH_ANSWERS = frozenset({
    _R.SUCCESS, _R.NO_MATCHING_SUBSCRIBERS, _R.UNSPECIFIED_ERROR, _R.IMPLEMENTATION_SPECIFIC_ERROR, _R.NOT_AUTHORIZED,
    _R.TOPIC_NAME_INVALID, _R.PACKET_IDENTIFIER_IN_USE, _R.QUOTA_EXCEEDED, _R.PAYLOAD_FORMAT_INVALID,
})  # fmt: skip
_RELEASES = frozenset({_R.SUCCESS, _R.PACKET_IDENTIFIER_NOT_FOUND})
_UNSUBSCRIBE_ANSWERS = frozenset({
    _R.SUCCESS, _R.NO_SUBSCRIPTION_EXISTED, _R.UNSPECIFIED_ERROR, _R.IMPLEMENTATION_SPECIFIC_ERROR, _R.NOT_AUTHORIZED,
    _R.TOPIC_FILTER_INVALID, _R.PACKET_IDENTIFIER_IN_USE,
})  # fmt: skip

# What a client may send in DISCONNECT. 0x9B is listed for servers, but 5.0 3.3.4 tells clients to use it too.
_CLIENT_DISCONNECTS = frozenset({
    _R.SUCCESS, _R.DISCONNECT_WITH_WILL_MESSAGE, _R.UNSPECIFIED_ERROR, _R.MALFORMED_PACKET, _R.PROTOCOL_ERROR,
    _R.IMPLEMENTATION_SPECIFIC_ERROR, _R.TOPIC_NAME_INVALID, _R.RECEIVE_MAXIMUM_EXCEEDED, _R.TOPIC_ALIAS_INVALID,
    _R.PACKET_TOO_LARGE, _R.MESSAGE_RATE_TOO_HIGH, _R.QUOTA_EXCEEDED, _R.ADMINISTRATIVE_ACTION,
    _R.PAYLOAD_FORMAT_INVALID, _R.QOS_NOT_SUPPORTED,
})  # fmt: skip
# 0x8C is missing from DISCONNECT's own table, but table 2-6 lists it and re-authentication needs it. [5.0 2.4, 4.12.1]
_SERVER_DISCONNECTS = (_CLIENT_DISCONNECTS - {_R.DISCONNECT_WITH_WILL_MESSAGE}) | {
    _R.NOT_AUTHORIZED, _R.SERVER_BUSY, _R.SERVER_SHUTTING_DOWN, _R.BAD_AUTHENTICATION_METHOD, _R.KEEP_ALIVE_TIMEOUT,
    _R.SESSION_TAKEN_OVER, _R.TOPIC_FILTER_INVALID, _R.RETAIN_NOT_SUPPORTED, _R.USE_ANOTHER_SERVER, _R.SERVER_MOVED,
    _R.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, _R.CONNECTION_RATE_EXCEEDED, _R.MAXIMUM_CONNECT_TIME,
    _R.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, _R.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
}  # fmt: skip

V5_REASONS: dict[PacketType, frozenset[int]] = {
    PacketType.CONNACK: frozenset({
        _R.SUCCESS, _R.UNSPECIFIED_ERROR, _R.MALFORMED_PACKET, _R.PROTOCOL_ERROR, _R.IMPLEMENTATION_SPECIFIC_ERROR,
        _R.UNSUPPORTED_PROTOCOL_VERSION, _R.CLIENT_IDENTIFIER_NOT_VALID, _R.BAD_USER_NAME_OR_PASSWORD,
        _R.NOT_AUTHORIZED, _R.SERVER_UNAVAILABLE, _R.SERVER_BUSY, _R.BANNED, _R.BAD_AUTHENTICATION_METHOD,
        _R.TOPIC_NAME_INVALID, _R.PACKET_TOO_LARGE, _R.QUOTA_EXCEEDED, _R.PAYLOAD_FORMAT_INVALID,
        _R.RETAIN_NOT_SUPPORTED, _R.QOS_NOT_SUPPORTED, _R.USE_ANOTHER_SERVER, _R.SERVER_MOVED,
        _R.CONNECTION_RATE_EXCEEDED,
    }),
    PacketType.PUBACK: _PUBLISH_ANSWERS,
    PacketType.PUBREC: _PUBLISH_ANSWERS,
    PacketType.PUBREL: _RELEASES,
    PacketType.PUBCOMP: _RELEASES,
    PacketType.SUBACK: frozenset({
        _R.SUCCESS, _R.GRANTED_QOS_1, _R.GRANTED_QOS_2, _R.UNSPECIFIED_ERROR, _R.IMPLEMENTATION_SPECIFIC_ERROR,
        _R.NOT_AUTHORIZED, _R.TOPIC_FILTER_INVALID, _R.PACKET_IDENTIFIER_IN_USE, _R.QUOTA_EXCEEDED,
        _R.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, _R.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
        _R.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
    }),
    PacketType.UNSUBACK: _UNSUBSCRIBE_ANSWERS,
    PacketType.DISCONNECT: _CLIENT_DISCONNECTS | _SERVER_DISCONNECTS,
    PacketType.AUTH: frozenset({_R.SUCCESS, _R.CONTINUE_AUTHENTICATION, _R.RE_AUTHENTICATE}),
}  # fmt: skip
"""Codes of 5.0 by packet, whoever sends it."""

REASONS: dict[Version, dict[PacketType, frozenset[int]]] = {
    # Granted QoS only: 3.1 has no failure code. [MQTT31-7]
    Version.V31: {PacketType.CONNACK: frozenset(ConnectReturnCode), PacketType.SUBACK: frozenset({0, 1, 2})},
    Version.V311: {
        PacketType.CONNACK: frozenset(ConnectReturnCode),
        PacketType.SUBACK: frozenset({0, 1, 2, SUBACK_FAILURE}),
    },
    Version.V5: V5_REASONS,
}
"""What may be sent; a packet that is not listed carries no code in that version."""

REASON_RULES: dict[PacketType, Rule] = {
    PacketType.CONNACK: Rule.CONNACK_REASON,
    PacketType.PUBACK: Rule.PUBACK_REASON,
    PacketType.PUBREC: Rule.PUBREC_REASON,
    PacketType.PUBREL: Rule.PUBREL_REASON,
    PacketType.PUBCOMP: Rule.PUBCOMP_REASON,
    PacketType.SUBACK: Rule.SUBACK_REASON,
    PacketType.UNSUBACK: Rule.UNSUBACK_REASON,
    PacketType.DISCONNECT: Rule.DISCONNECT_REASON,
    PacketType.AUTH: Rule.AUTH_REASON,
}
"""The rule a packet with any other code breaks."""

V31_SUBACK_ACCEPTED = frozenset(code for code in range(256) if code & 3 != 3)
"""What is accepted in a 3.1 SUBACK: the upper six bits are unused and nothing obliges a receiver to check them."""

CLIENT_REASONS: dict[PacketType, frozenset[int]] = {
    PacketType.PUBACK: _PUBLISH_ANSWERS - {_R.NO_MATCHING_SUBSCRIBERS},
    PacketType.PUBREC: _PUBLISH_ANSWERS - {_R.NO_MATCHING_SUBSCRIBERS},
    PacketType.DISCONNECT: _CLIENT_DISCONNECTS,
    PacketType.AUTH: frozenset({_R.CONTINUE_AUTHENTICATION, _R.RE_AUTHENTICATE}),
}
"""Codes of 5.0 a client may send, where a server may send others."""

SERVER_REASONS: dict[PacketType, frozenset[int]] = {
    PacketType.DISCONNECT: _SERVER_DISCONNECTS,
    PacketType.AUTH: frozenset({_R.SUCCESS, _R.CONTINUE_AUTHENTICATION}),
}
"""Codes of 5.0 a server may send, where a client may send others."""

_RETURN_CODES = frozenset(ConnectReturnCode)
_REASON_CODES = frozenset(ReasonCode)
_ZERO = {PacketType.DISCONNECT: "Normal disconnection", PacketType.SUBACK: "Granted QoS 0"}


def reason_name(packet_type: PacketType, code: int, version: Version | None = None) -> str:
    """What people call a reason code, e.g. `Not authorized`; an unlisted code is `unknown`.

    Without a version, codes below 0x80 in CONNACK are read as 3.x return codes and 0x80 and up as 5.0's.
    """
    three = version in (Version.V31, Version.V311)
    if packet_type is PacketType.CONNACK and (three or (version is None and 0 < code < 0x80)):
        return _words(ConnectReturnCode(code).name) if code in _RETURN_CODES else "unknown"
    if packet_type is PacketType.SUBACK and three and code == SUBACK_FAILURE:
        return "Failure"
    if code == 0:
        return _ZERO.get(packet_type, "Success")
    return _words(ReasonCode(code).name) if code in _REASON_CODES else "unknown"


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize().replace("qos", "QoS").replace("Qos", "QoS")
