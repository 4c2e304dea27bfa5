"""The fifteen control packets as values, the same for all three versions.

Belongs here: one frozen dataclass per packet with the specification's field names, and nothing they could compute.
Does not belong here: bytes (`encode`, `decode`), checks of field values (`decode`), or any state.

`reason` fields are plain ints, because the meaning depends on the version (`ConnectReturnCode` in a 3.x CONNACK,
granted QoS or 0x80 in a 3.x SUBACK, `ReasonCode` in 5.0); in 3.x acknowledgements that have none it is 0.
`properties` is `NO_PROPERTIES` in 3.x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import PacketType, QoS, RetainHandling, Version


@dataclass(frozen=True, slots=True)
class Will:
    """The message a server publishes for a client that went away. [3.1.1 3.1.2.5, 5.0 3.1.2.5]"""

    topic: str
    payload: bytes = b""
    qos: QoS = QoS.AT_MOST_ONCE
    retain: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connect:
    """CONNECT; `clean_start` is the Clean Session flag of 3.x. [3.1.1 3.1, 5.0 3.1]"""

    type: ClassVar[PacketType] = PacketType.CONNECT
    version: Version
    client_id: str
    clean_start: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class ConnAck:
    """CONNACK. [3.1.1 3.2, 5.0 3.2]"""

    type: ClassVar[PacketType] = PacketType.CONNACK
    session_present: bool = False
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Publish:
    """PUBLISH; `packet_id` is None at QoS 0 and 1 to 65,535 otherwise. [3.1.1 3.3, 5.0 3.3]"""

    type: ClassVar[PacketType] = PacketType.PUBLISH
    topic: str
    payload: bytes = b""
    qos: QoS = QoS.AT_MOST_ONCE
    retain: bool = False
    dup: bool = False
    packet_id: int | None = None
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class PubAck:
    """PUBACK, the answer to a QoS 1 PUBLISH. [3.1.1 3.4, 5.0 3.4]"""

    type: ClassVar[PacketType] = PacketType.PUBACK
    packet_id: int
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class PubRec:
    """PUBREC, the first answer to a QoS 2 PUBLISH. [3.1.1 3.5, 5.0 3.5]"""

    type: ClassVar[PacketType] = PacketType.PUBREC
    packet_id: int
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class PubRel:
    """PUBREL, the answer to PUBREC. [3.1.1 3.6, 5.0 3.6]

    `dup` exists in 3.1 only, where a repeated PUBREL may carry it. [3.1 3.6]
    """

    type: ClassVar[PacketType] = PacketType.PUBREL
    packet_id: int
    reason: int = 0
    properties: Properties = NO_PROPERTIES
    dup: bool = False


@dataclass(frozen=True, slots=True)
class PubComp:
    """PUBCOMP, the answer to PUBREL. [3.1.1 3.7, 5.0 3.7]"""

    type: ClassVar[PacketType] = PacketType.PUBCOMP
    packet_id: int
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic filter of a SUBSCRIBE with its options; 3.x knows only `qos`. [5.0 3.8.3.1]"""

    topic_filter: str
    qos: QoS = QoS.AT_MOST_ONCE
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: RetainHandling = RetainHandling.SEND


@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE. [3.1.1 3.8, 5.0 3.8]"""

    type: ClassVar[PacketType] = PacketType.SUBSCRIBE
    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NO_PROPERTIES
    dup: bool = False


@dataclass(frozen=True, slots=True)
class SubAck:
    """SUBACK, one reason for each subscription in order. [3.1.1 3.9, 5.0 3.9]"""

    type: ClassVar[PacketType] = PacketType.SUBACK
    packet_id: int
    reasons: tuple[int, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """UNSUBSCRIBE. [3.1.1 3.10, 5.0 3.10]"""

    type: ClassVar[PacketType] = PacketType.UNSUBSCRIBE
    packet_id: int
    topic_filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES
    dup: bool = False


@dataclass(frozen=True, slots=True)
class UnsubAck:
    """UNSUBACK; `reasons` is empty in 3.x. [3.1.1 3.11, 5.0 3.11]"""

    type: ClassVar[PacketType] = PacketType.UNSUBACK
    packet_id: int
    reasons: tuple[int, ...] = ()
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class PingReq:
    """PINGREQ. [3.1.1 3.12, 5.0 3.12]"""

    type: ClassVar[PacketType] = PacketType.PINGREQ


@dataclass(frozen=True, slots=True)
class PingResp:
    """PINGRESP. [3.1.1 3.13, 5.0 3.13]"""

    type: ClassVar[PacketType] = PacketType.PINGRESP


@dataclass(frozen=True, slots=True)
class Disconnect:
    """DISCONNECT; servers send it in 5.0 only. [3.1.1 3.14, 5.0 3.14]"""

    type: ClassVar[PacketType] = PacketType.DISCONNECT
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH, 5.0 only. [5.0 3.15]"""

    type: ClassVar[PacketType] = PacketType.AUTH
    reason: int = 0
    properties: Properties = NO_PROPERTIES


Packet = (
    Connect
    | ConnAck
    | Publish
    | PubAck
    | PubRec
    | PubRel
    | PubComp
    | Subscribe
    | SubAck
    | Unsubscribe
    | UnsubAck
    | PingReq
    | PingResp
    | Disconnect
    | Auth
)

PACKET_CLASSES: dict[str, type[Any]] = {each.type.name: each for each in get_args(Packet)}
"""By the name of its type."""
