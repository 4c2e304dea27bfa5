"""The small vocabulary every other module speaks: protocol versions, packet types, QoS, reason codes.

Belongs here: enumerations the three specifications define, with their numeric values on the wire.
Does not belong here: packets (`packets`), properties (`properties`), or anything that reads or writes bytes.
"""

from __future__ import annotations

from enum import IntEnum


class Version(IntEnum):
    """An MQTT protocol version; the value is the protocol level byte in CONNECT. [3.1.1 3.1.2.2, 5.0 3.1.2.2]"""

    V31 = 3
    V311 = 4
    V5 = 5

    @property
    def label(self) -> str:
        """The name people use: `3.1`, `3.1.1` or `5.0`."""
        return _VERSION_LABELS[self]

    @classmethod
    def from_label(cls, label: str) -> Version:
        """The version a person calls `3.1`, `3.1.1` or `5.0`; raises ValueError for any other text."""
        for version, name in _VERSION_LABELS.items():
            if name == label:
                return version
        raise ValueError(f"unknown MQTT version {label!r}; expected one of {', '.join(_VERSION_LABELS.values())}")


_VERSION_LABELS = {Version.V31: "3.1", Version.V311: "3.1.1", Version.V5: "5.0"}


class PacketType(IntEnum):
    """The upper four bits of a packet's first byte. [3.1.1 2.2.1, 5.0 2.1.2]"""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class QoS(IntEnum):
    """Delivery guarantee of one message. [3.1.1 4.3, 5.0 4.3]"""

    AT_MOST_ONCE = 0
    AT_LEAST_ONCE = 1
    EXACTLY_ONCE = 2


class RetainHandling(IntEnum):
    """When a SUBSCRIBE asks for retained messages. [5.0 3.8.3.1]"""

    SEND = 0
    SEND_IF_NEW = 1
    DO_NOT_SEND = 2


class ConnectReturnCode(IntEnum):
    """CONNACK return codes of 3.1 and 3.1.1. [3.1.1 3.2.2.3]"""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL_VERSION = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_USER_NAME_OR_PASSWORD = 4
    NOT_AUTHORIZED = 5


SUBACK_FAILURE = 0x80
"""The one failure code of a 3.1.1 SUBACK. [3.1.1 3.9.3]"""


def is_error(code: int) -> bool:
    """Whether a reason code, or the code of a SUBACK in any version, reports a failure. [5.0 2.4, 3.1.1 3.9.3]"""
    return code >= 0x80


class ReasonCode(IntEnum):
    """Reason codes of 5.0; a name shared by several packets stands once. [5.0 2.4]"""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL_MESSAGE = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    RE_AUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2

    @property
    def is_error(self) -> bool:
        """As the function, for a code that is one of 5.0."""
        return is_error(self)
