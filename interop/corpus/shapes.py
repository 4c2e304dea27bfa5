"""Well-formed packets as named parts: what the rules take apart.

Belongs here: one packet of each kind, for each version and sender, and its encoding part by part.
Does not belong here: what is wrong with a packet (`rules_*`). The bytes are put together here rather than by the wire
encoder, which refuses to make most of what the rules need.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from interop.corpus.model import USER_NAME, UnderTest
from reference_broker.wire.properties import WILL
from reference_broker.wire.types import PacketType, Version

CLIENT_ID = b"corpus-00000000"
"""Stands in every CONNECT, and is replaced by an identifier of the case's own: at most 23 characters. [3.1 3.1]"""
PACKET_ID = b"\0\1"
TOPIC = b"corpus/t"
_P = PacketType
_V31, _V5 = Version.V31, Version.V5
_PROTOCOLS = {_V31: b"MQIsdp", Version.V311: b"MQTT", _V5: b"MQTT"}
USER_PROPERTY = b"\x26\0\1k\0\1v"


class Kind(Enum):
    """How a part is laid out."""

    BYTE = "byte"
    TWO_BYTES = "two bytes"
    STRING = "string"
    BINARY = "binary"
    PROPERTIES = "properties"
    REST = "up to the end"


@dataclass(frozen=True, slots=True)
class Part:
    """One field as it stands on the wire; a packet may end before an `optional` one."""

    name: str
    kind: Kind
    data: bytes
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """One well-formed packet; `answer` is what it is answered with, if it is."""

    name: str
    type: PacketType
    flags: int
    parts: tuple[Part, ...] = ()
    answer: PacketType | None = None

    @property
    def first_byte(self) -> int:
        """Type and flags."""
        return self.type << 4 | self.flags

    @property
    def body(self) -> bytes:
        """Everything behind the fixed header."""
        return b"".join(part.data for part in self.parts)

    def encoded(self, body: bytes | None = None, *, first_byte: int | None = None) -> bytes:
        """The packet, with another body or first byte if they are given; the remaining length is right."""
        body = self.body if body is None else body
        return bytes((self.first_byte if first_byte is None else first_byte,)) + varint(len(body)) + body

    def replacing(self, name: str, data: bytes) -> bytes:
        """The packet with other bytes for one part."""
        return self.encoded(b"".join(data if part.name == name else part.data for part in self.parts))

    def of(self, *kinds: Kind) -> tuple[Part, ...]:
        """The parts of some kinds."""
        return tuple(part for part in self.parts if part.kind in kinds)

    def place(self, part: Part) -> PacketType | str:
        """Where the properties of a part stand."""
        return WILL if part.name == "will-properties" else self.type


def varint(value: int) -> bytes:
    """A variable byte integer, as short as can be."""
    encoded = b""
    while value > 127:
        encoded += bytes((value & 127 | 128,))
        value >>= 7
    return encoded + bytes((value,))


def prefixed(data: bytes) -> bytes:
    """Bytes behind their two-byte length."""
    return len(data).to_bytes(2, "big") + data


def property_block(content: bytes) -> bytes:
    """Properties behind their length."""
    return varint(len(content)) + content


def _properties(version: Version, name: str = "properties", *, optional: bool = False) -> tuple[Part, ...]:
    if version is not _V5:
        return ()
    return (Part(name, Kind.PROPERTIES, property_block(USER_PROPERTY), optional),)


def _string(name: str, text: bytes, *, optional: bool = False) -> Part:
    return Part(name, Kind.STRING, prefixed(text), optional)


def _packet_id() -> Part:
    return Part("packet-identifier", Kind.TWO_BYTES, PACKET_ID)


def connect(version: Version, *, bare: bool = False) -> Shape:
    """A CONNECT with all fields, or one with none but the client identifier."""
    lenient = version is _V31  # the remaining length takes precedence over the flags [3.1 MQTT31-9]
    parts = (
        _string("protocol-name", _PROTOCOLS[version]),
        Part("protocol-version", Kind.BYTE, bytes((version,))),
        Part("connect-flags", Kind.BYTE, b"\x02" if bare else b"\xc6"),
        Part("keep-alive", Kind.TWO_BYTES, b"\0\x3c"),
        *_properties(version),
        _string("client-identifier", CLIENT_ID),
    )
    if not bare:
        parts += (
            *_properties(version, "will-properties"),
            _string("will-topic", b"corpus/will"),
            Part("will-payload", Kind.BINARY, prefixed(b"gone")),
            _string("user-name", USER_NAME, optional=lenient),
            Part("password", Kind.BINARY, prefixed(b"pass"), lenient),
        )
    return Shape("connect", _P.CONNECT, 0, parts, _P.CONNACK)


def publish(version: Version, qos: int) -> Shape:
    """A PUBLISH."""
    parts = (_string("topic-name", TOPIC), *((_packet_id(),) if qos else ()), *_properties(version))
    payload = Part("payload", Kind.REST, b"hello")
    answer = {0: None, 1: _P.PUBACK, 2: _P.PUBREC}[qos]
    return Shape(f"publish-qos-{qos}", _P.PUBLISH, qos << 1, (*parts, payload), answer)


def _acknowledgement(version: Version, kind: PacketType) -> Shape:
    parts: tuple[Part, ...] = (_packet_id(),)
    if version is _V5:
        parts += (
            Part("reason-code", Kind.BYTE, b"\0", optional=True),
            *_properties(version, optional=True),
        )
    answer = _P.PUBCOMP if kind is _P.PUBREL else None
    return Shape(kind.name.lower(), kind, 2 if kind is _P.PUBREL else 0, parts, answer)


def _request(version: Version, kind: PacketType) -> Shape:
    parts = [_packet_id(), *_properties(version)]
    for number in (1, 2):
        parts.append(_string(f"topic-filter-{number}", b"corpus/f%d" % number, optional=number == 2))
        if kind is _P.SUBSCRIBE:
            parts.append(Part(f"subscription-options-{number}", Kind.BYTE, b"\0"))
    answer = _P.SUBACK if kind is _P.SUBSCRIBE else _P.UNSUBACK
    return Shape(kind.name.lower(), kind, 2, tuple(parts), answer)


def _with_reason(version: Version, kind: PacketType) -> Shape:
    """DISCONNECT, and AUTH of a client that named no method."""
    if version is not _V5:
        return Shape(kind.name.lower(), kind, 0)
    optional = kind is _P.DISCONNECT
    reason = b"\0" if optional else b"\x18"
    properties = Part("properties", Kind.PROPERTIES, property_block(USER_PROPERTY), optional)
    if not optional:
        properties = Part("properties", Kind.PROPERTIES, property_block(b"\x15\0\1m" + USER_PROPERTY))
    return Shape(kind.name.lower(), kind, 0, (Part("reason-code", Kind.BYTE, reason, optional), properties))


def _connack(version: Version) -> Shape:
    parts = (Part("acknowledge-flags", Kind.BYTE, b"\0"), Part("reason-code", Kind.BYTE, b"\0"))
    return Shape("connack", _P.CONNACK, 0, (*parts, *_properties(version)))


def _suback(version: Version) -> Shape:
    parts = (_packet_id(), *_properties(version), Part("reason-codes", Kind.REST, b"\0"))
    return Shape("suback", _P.SUBACK, 0, parts)


def _unsuback(version: Version) -> Shape:
    codes = (Part("reason-codes", Kind.REST, b"\0"),) if version is _V5 else ()
    return Shape("unsuback", _P.UNSUBACK, 0, (_packet_id(), *_properties(version), *codes))


def shapes(version: Version, tested: UnderTest) -> tuple[Shape, ...]:
    """One packet of each kind that goes to who is under test."""
    common = (
        *(publish(version, qos) for qos in (0, 1, 2)),
        *(_acknowledgement(version, kind) for kind in (_P.PUBACK, _P.PUBREC, _P.PUBREL, _P.PUBCOMP)),
    )
    last = (_with_reason(version, _P.AUTH),) if version is _V5 else ()
    if tested is UnderTest.BROKER:
        return (
            connect(version),
            *common,
            _request(version, _P.SUBSCRIBE),
            _request(version, _P.UNSUBSCRIBE),
            Shape("pingreq", _P.PINGREQ, 0),
            _with_reason(version, _P.DISCONNECT),
            *last,
        )
    disconnect = (_with_reason(version, _P.DISCONNECT),) if version is _V5 else ()
    return (
        _connack(version),
        *common,
        _suback(version),
        _unsuback(version),
        Shape("pingresp", _P.PINGRESP, 0),
        *disconnect,
        *last,
    )
