"""The 27 properties of MQTT 5.0 as one table, and the value that carries them.

Belongs here: which property exists, its identifier, its type, where it may stand and how often.
Does not belong here: the bytes of a property (`encode`, `decode`), or what a broker or client does with one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from operator import attrgetter

from reference_broker.wire.rules import Rule
from reference_broker.wire.types import PacketType

WILL = "WILL"
"""Stands beside the packet types: the Will Properties inside a CONNECT payload. [5.0 3.1.3.2]"""


class PropertyType(Enum):
    """How a property's value is laid out. [5.0 2.2.2.2]"""

    BYTE = "byte"
    TWO_BYTE_INTEGER = "two byte integer"
    FOUR_BYTE_INTEGER = "four byte integer"
    VARIABLE_BYTE_INTEGER = "variable byte integer"
    UTF8_STRING = "utf-8 string"
    UTF8_STRING_PAIR = "utf-8 string pair"
    BINARY_DATA = "binary data"


@dataclass(frozen=True, slots=True, repr=False)
class Properties:
    """The properties of one packet, `None` or an empty tuple where absent; seconds and bytes. [5.0 2.2.2.2]

    Booleans on the wire (`request_problem_information` and the `..._available` ones, `payload_format_indicator`) are
    ints 0 or 1 here, as the specification gives them. Repeatable properties are tuples in wire order.
    """

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifier: tuple[int, ...] = ()
    session_expiry_interval: int | None = None
    assigned_client_identifier: str | None = None
    server_keep_alive: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay_interval: int | None = None
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user_property: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcard_subscription_available: int | None = None
    subscription_identifier_available: int | None = None
    shared_subscription_available: int | None = None

    def present(self) -> dict[str, object]:
        """The properties that are set, by name, in table order."""
        values: tuple[object, ...] = _VALUES(self)
        return {name: value for name, value in zip(_NAMES, values, strict=True) if value is not None and value != ()}

    def __repr__(self) -> str:
        return f"Properties({', '.join(f'{name}={value!r}' for name, value in self.present().items())})"


_NAMES = tuple(field.name for field in fields(Properties))
_VALUES = attrgetter(*_NAMES)
NO_PROPERTIES = Properties()

NEVER_EXPIRES = 0xFFFF_FFFF
"""As a Session Expiry Interval: the session never expires. [5.0 3.1.2.11.2]"""


@dataclass(frozen=True, slots=True)
class PropertyRule:
    """One row of the specification's table of properties. [5.0 table 2-4]"""

    identifier: int
    name: str
    type: PropertyType
    places: frozenset[PacketType | str]
    repeatable: frozenset[PacketType | str] = frozenset()
    minimum: int = 0
    maximum: int | None = None
    range_rule: Rule = Rule.PROPERTY_RANGE


def _rule(
    identifier: int,
    name: str,
    kind: PropertyType,
    *places: PacketType | str,
    repeatable: tuple[PacketType | str, ...] = (),
    minimum: int = 0,
    maximum: int | None = None,
    range_rule: Rule = Rule.PROPERTY_RANGE,
) -> PropertyRule:
    return PropertyRule(identifier, name, kind, frozenset(places), frozenset(repeatable), minimum, maximum, range_rule)


_T = PropertyType
_P = PacketType
_EVERYWHERE_BUT_PING = (
    _P.CONNECT, _P.CONNACK, _P.PUBLISH, WILL, _P.PUBACK, _P.PUBREC, _P.PUBREL, _P.PUBCOMP,
    _P.SUBSCRIBE, _P.SUBACK, _P.UNSUBSCRIBE, _P.UNSUBACK, _P.DISCONNECT, _P.AUTH,
)  # fmt: skip

PROPERTY_RULES: tuple[PropertyRule, ...] = (
    _rule(0x01, "payload_format_indicator", _T.BYTE, _P.PUBLISH, WILL, maximum=1),
    _rule(0x02, "message_expiry_interval", _T.FOUR_BYTE_INTEGER, _P.PUBLISH, WILL),
    _rule(0x03, "content_type", _T.UTF8_STRING, _P.PUBLISH, WILL),
    _rule(0x08, "response_topic", _T.UTF8_STRING, _P.PUBLISH, WILL),
    _rule(0x09, "correlation_data", _T.BINARY_DATA, _P.PUBLISH, WILL),
    # A server may send one for each matching subscription; a SUBSCRIBE has at most one. [5.0 3.8.2.1.2, 3.3.2.3.8]
    _rule(
        0x0B, "subscription_identifier", _T.VARIABLE_BYTE_INTEGER, _P.PUBLISH, _P.SUBSCRIBE,
        repeatable=(_P.PUBLISH,), minimum=1,
    ),
    _rule(0x11, "session_expiry_interval", _T.FOUR_BYTE_INTEGER, _P.CONNECT, _P.CONNACK, _P.DISCONNECT),
    _rule(0x12, "assigned_client_identifier", _T.UTF8_STRING, _P.CONNACK),
    _rule(0x13, "server_keep_alive", _T.TWO_BYTE_INTEGER, _P.CONNACK),
    _rule(0x15, "authentication_method", _T.UTF8_STRING, _P.CONNECT, _P.CONNACK, _P.AUTH),
    _rule(0x16, "authentication_data", _T.BINARY_DATA, _P.CONNECT, _P.CONNACK, _P.AUTH),
    _rule(0x17, "request_problem_information", _T.BYTE, _P.CONNECT, maximum=1),
    _rule(0x18, "will_delay_interval", _T.FOUR_BYTE_INTEGER, WILL),
    _rule(0x19, "request_response_information", _T.BYTE, _P.CONNECT, maximum=1),
    _rule(0x1A, "response_information", _T.UTF8_STRING, _P.CONNACK),
    _rule(0x1C, "server_reference", _T.UTF8_STRING, _P.CONNACK, _P.DISCONNECT),
    _rule(
        0x1F, "reason_string", _T.UTF8_STRING, _P.CONNACK, _P.PUBACK, _P.PUBREC, _P.PUBREL, _P.PUBCOMP,
        _P.SUBACK, _P.UNSUBACK, _P.DISCONNECT, _P.AUTH,
    ),
    _rule(0x21, "receive_maximum", _T.TWO_BYTE_INTEGER, _P.CONNECT, _P.CONNACK, minimum=1),
    _rule(0x22, "topic_alias_maximum", _T.TWO_BYTE_INTEGER, _P.CONNECT, _P.CONNACK),
    _rule(0x23, "topic_alias", _T.TWO_BYTE_INTEGER, _P.PUBLISH, minimum=1, range_rule=Rule.TOPIC_ALIAS_ZERO),
    _rule(0x24, "maximum_qos", _T.BYTE, _P.CONNACK, maximum=1),
    _rule(0x25, "retain_available", _T.BYTE, _P.CONNACK, maximum=1),
    _rule(0x26, "user_property", _T.UTF8_STRING_PAIR, *_EVERYWHERE_BUT_PING, repeatable=_EVERYWHERE_BUT_PING),
    _rule(0x27, "maximum_packet_size", _T.FOUR_BYTE_INTEGER, _P.CONNECT, _P.CONNACK, minimum=1),
    _rule(0x28, "wildcard_subscription_available", _T.BYTE, _P.CONNACK, maximum=1),
    _rule(0x29, "subscription_identifier_available", _T.BYTE, _P.CONNACK, maximum=1),
    _rule(0x2A, "shared_subscription_available", _T.BYTE, _P.CONNACK, maximum=1),
)  # fmt: skip

PROPERTY_BY_NAME = {rule.name: rule for rule in PROPERTY_RULES}
