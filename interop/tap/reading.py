"""Bytes as evidence: what was wrong with a packet, and what it says all the same where that can be told.

Belongs here: mending a packet the codec refuses, by leaving out or putting right the one thing that is wrong.
Does not belong here: the codec (`reference_broker.wire`), which stays strict; who is to blame (`interop.judge`).

A mend is right when the codec takes the result: no field is guessed. What the codec takes as it is never comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reference_broker.wire.decode import decode
from reference_broker.wire.decoders import read_protocol
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.header import DUP, FIXED_FLAGS, PACKET_TYPES
from reference_broker.wire.packets import Packet
from reference_broker.wire.properties import PROPERTY_RULES, PropertyType
from reference_broker.wire.property_codec import decode_properties
from reference_broker.wire.rules import Rule
from reference_broker.wire.types import PacketType, Version
from reference_broker.wire.utf8 import decode_binary
from reference_broker.wire.varint import decode_varint, encode_varint, read_remaining_length

_P = PacketType
_TYPES = {rule.identifier: rule.type for rule in PROPERTY_RULES}
_SIZES = {PropertyType.BYTE: 1, PropertyType.TWO_BYTE_INTEGER: 2, PropertyType.FOUR_BYTE_INTEGER: 4}
_FIELDS_BEFORE_PROPERTIES = {
    _P.CONNACK: 2, _P.PUBACK: 3, _P.PUBREC: 3, _P.PUBREL: 3, _P.PUBCOMP: 3, _P.SUBSCRIBE: 2, _P.SUBACK: 2,
    _P.UNSUBSCRIBE: 2, _P.UNSUBACK: 2, _P.DISCONNECT: 1, _P.AUTH: 1,
}  # fmt: skip
"""Bytes of the variable header in front of the properties; those of CONNECT and PUBLISH depend on what they hold."""
_SIZE_IN_3 = {_P.CONNACK: 2, _P.PUBACK: 2, _P.PUBREC: 2, _P.PUBREL: 2, _P.PUBCOMP: 2, _P.UNSUBACK: 2, _P.DISCONNECT: 0}
"""Remaining lengths of packets that end there in 3.x; the same packet of 5.0 may go on."""


_UNKNOWN_VERSION = b"\x20\x02\x00\x01"
"""CONNACK 0x01 of 3.1.1, the answer to a version that is not spoken. [3.1.1 MQTT-3.1.2-2]"""


def decode_as_sent(frame: bytes, version: Version) -> Packet:
    """Read a packet of a connection of `version`; raises RemoteError.

    Who does not speak that version cannot answer in its form: a broker's refusal of it is in that of 3.1.1.
    """
    return decode(frame, Version.V311 if frame == _UNKNOWN_VERSION else version)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was wrong with the bytes of a packet; `packet` is it with that put right, None where nobody can."""

    fault: RemoteError
    packet: Packet | None = None


def read_on(frame: bytes, version: Version, fault: RemoteError) -> Reading:
    """Read a packet that the codec refused with `fault`; the first mend that makes it one decides."""
    body = _body(frame)
    kind = PACKET_TYPES[frame[0] >> 4] if frame else None
    if kind is None or body is None:
        return Reading(fault)
    for named, mended in _mends(_Broken(kind, frame[0], body, version), fault):
        try:
            return Reading(named, decode(mended, version))
        except RemoteError:
            continue
    return Reading(fault)


def _body(frame: bytes) -> bytes | None:
    """What is behind the remaining length, if it tells the truth."""
    try:
        header = read_remaining_length(frame, 0, None)
    except RemoteError:
        return None
    return frame[header[1] :] if header is not None and sum(header) == len(frame) else None


@dataclass(frozen=True, slots=True)
class _Broken:
    """A packet in parts: its type, first byte, and all behind the remaining length."""

    kind: PacketType
    first: int
    body: bytes
    version: Version

    def with_body(self, body: bytes) -> bytes:
        """The packet with another body."""
        return bytes([self.first]) + encode_varint(len(body)) + body

    def properties_at(self) -> int | None:
        """Where the properties begin in the body; None where that cannot be told."""
        if self.kind is _P.PUBLISH:
            position = 2 + int.from_bytes(self.body[:2], "big") + (2 if self.first & 0x06 else 0)
        elif self.kind is _P.CONNECT:
            position = read_protocol(self.body, 0, len(self.body))[1] + 3
        else:
            position = _FIELDS_BEFORE_PROPERTIES.get(self.kind, len(self.body) + 1)
        return position if position <= len(self.body) else None


Mend = Callable[[_Broken, RemoteError], Iterator[tuple[RemoteError, bytes]]]
"""Gives the rule that was broken, and the packet without that, as often as it knows one."""


def _mends(broken: _Broken, fault: RemoteError) -> Iterator[tuple[RemoteError, bytes]]:
    try:
        for mend in (_header, _flags, _answer, _properties, _property_length):
            yield from mend(broken, fault)
    except RemoteError:  # not even its beginning can be read
        return


def _header(broken: _Broken, fault: RemoteError) -> Iterator[tuple[RemoteError, bytes]]:
    """A remaining length of more bytes than it needs."""
    yield fault, broken.with_body(broken.body)


def _flags(broken: _Broken, fault: RemoteError) -> Iterator[tuple[RemoteError, bytes]]:
    """Flags that are fixed, DUP at QoS 0."""
    first = broken.first
    if broken.kind is _P.PUBLISH:
        first &= ~DUP
    elif broken.kind in FIXED_FLAGS[broken.version]:
        first = first & 0xF0 | FIXED_FLAGS[broken.version][broken.kind].value
    yield fault, _Broken(broken.kind, first, broken.body, broken.version).with_body(broken.body)


def _answer(broken: _Broken, fault: RemoteError) -> Iterator[tuple[RemoteError, bytes]]:
    """Reserved bits of CONNACK, its Session Present with an error; bytes behind an answer's end in 3.x."""
    if broken.kind is _P.CONNACK and broken.body:
        for flags in (broken.body[0] & 1, 0):
            yield fault, broken.with_body(bytes([flags]) + broken.body[1:])
    if broken.version is not Version.V5 and broken.kind in _SIZE_IN_3:
        yield fault, broken.with_body(broken.body[: _SIZE_IN_3[broken.kind]])


def _properties(broken: _Broken, fault: RemoteError) -> Iterator[tuple[RemoteError, bytes]]:
    """Properties that have no place there, stand twice, or have a value they cannot have: without them."""
    start = broken.properties_at() if broken.version is Version.V5 else None
    if start is None or start == len(broken.body):
        return
    length, begin = decode_varint(broken.body, start, len(broken.body))
    end = begin + length
    if end > len(broken.body):
        return
    kept = b""
    for each in _single_properties(broken.body, begin, end):
        section = encode_varint(len(kept + each)) + kept + each
        try:
            decode_properties(section, 0, len(section), broken.kind)
        except RemoteError:
            continue
        kept += each
    yield fault, broken.with_body(broken.body[:start] + encode_varint(len(kept)) + kept + broken.body[end:])


def _single_properties(body: bytes, position: int, end: int) -> Iterator[bytes]:
    """The bytes of each property, to the first whose end cannot be told."""
    while position < end:
        try:
            identifier, value = decode_varint(body, position, end)
            behind = _behind(_TYPES[identifier], body, value, end)
        except (RemoteError, KeyError):
            return
        yield body[position:behind]
        position = behind


def _behind(kind: PropertyType, body: bytes, position: int, end: int) -> int:
    """Where a property's value ends; raises RemoteError when that is not in its packet."""
    if kind is PropertyType.VARIABLE_BYTE_INTEGER:
        return decode_varint(body, position, end)[1]
    if kind is PropertyType.UTF8_STRING_PAIR:
        position = decode_binary(body, position, end, Version.V5)[1]
    if kind in _SIZES:
        return position + _SIZES[kind]
    return decode_binary(body, position, end, Version.V5)[1]


def _property_length(broken: _Broken, _fault: RemoteError) -> Iterator[tuple[RemoteError, bytes]]:
    """A 5.0 packet in the form of 3.x, without the length of its properties. [5.0 MQTT-2.2.2-1]"""
    start = broken.properties_at() if broken.version is Version.V5 else None
    if start is not None:
        named = Rule.PROPERTY_LENGTH.broken(broken.version, f"none in {broken.kind.name}")
        yield named, broken.with_body(broken.body[:start] + b"\0" + broken.body[start:])
