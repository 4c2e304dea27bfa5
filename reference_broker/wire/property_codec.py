"""Properties of 5.0 as bytes, driven by the table in `properties`. [5.0 2.2.2]

Belongs here: reading and writing the properties of any packet, their place, number and range.
Does not belong here: rules between a property and the rest of its packet (`decode`, `encode`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from reference_broker.wire.properties import (
    NO_PROPERTIES,
    PROPERTY_BY_NAME,
    PROPERTY_RULES,
    WILL,
    Properties,
    PropertyRule,
    PropertyType,
)
from reference_broker.wire.rules import Rule
from reference_broker.wire.topics import topic_name_violation
from reference_broker.wire.types import PacketType, Version
from reference_broker.wire.utf8 import decode_binary, decode_string, encode_binary, encode_string
from reference_broker.wire.varint import MAXIMUM_VARINT, decode_varint, encode_varint

Place = PacketType | str
"""A packet type, or `WILL`."""

_MANY = 64
_REMEMBERED = 8

_V5 = Version.V5
_RESPONSE_TOPIC_RULES = {
    Rule.TOPIC_EMPTY: Rule.RESPONSE_TOPIC_EMPTY,
    Rule.TOPIC_WILDCARD: Rule.RESPONSE_TOPIC_WILDCARD,
}


def _integer_reader(size: int) -> Callable[[bytes, int, int], tuple[Any, int]]:
    def read(data: bytes, position: int, end: int) -> tuple[int, int]:
        if position + size > end:
            raise Rule.TRUNCATED.broken(_V5)
        return int.from_bytes(data[position : position + size], "big"), position + size

    return read


def _read_pair(data: bytes, position: int, end: int) -> tuple[tuple[str, str], int]:
    name, position = decode_string(data, position, end, _V5)
    value, position = decode_string(data, position, end, _V5)
    return (name, value), position


_READERS: dict[PropertyType, Callable[[bytes, int, int], tuple[Any, int]]] = {
    PropertyType.BYTE: _integer_reader(1),
    PropertyType.TWO_BYTE_INTEGER: _integer_reader(2),
    PropertyType.FOUR_BYTE_INTEGER: _integer_reader(4),
    PropertyType.VARIABLE_BYTE_INTEGER: decode_varint,
    PropertyType.UTF8_STRING: lambda data, position, end: decode_string(data, position, end, _V5),
    PropertyType.UTF8_STRING_PAIR: _read_pair,
    PropertyType.BINARY_DATA: lambda data, position, end: decode_binary(data, position, end, _V5),
}
_WRITERS: dict[PropertyType, Callable[[Any], bytes]] = {
    PropertyType.BYTE: lambda value: value.to_bytes(1, "big"),
    PropertyType.TWO_BYTE_INTEGER: lambda value: value.to_bytes(2, "big"),
    PropertyType.FOUR_BYTE_INTEGER: lambda value: value.to_bytes(4, "big"),
    PropertyType.VARIABLE_BYTE_INTEGER: encode_varint,
    PropertyType.UTF8_STRING: encode_string,
    PropertyType.UTF8_STRING_PAIR: lambda value: encode_string(value[0]) + encode_string(value[1]),
    PropertyType.BINARY_DATA: encode_binary,
}
_LARGEST = {
    PropertyType.BYTE: 0xFF,
    PropertyType.TWO_BYTE_INTEGER: 0xFFFF,
    PropertyType.FOUR_BYTE_INTEGER: 0xFFFF_FFFF,
    PropertyType.VARIABLE_BYTE_INTEGER: MAXIMUM_VARINT,
}
_HOLDS_TUPLE = frozenset(rule.name for rule in PROPERTY_RULES if rule.repeatable)


class _Layout(NamedTuple):
    """A property at one place, with what is needed to read it or write it looked up beforehand."""

    rule: PropertyRule
    name: str
    read: Callable[[bytes, int, int], tuple[Any, int]]
    write: Callable[[Any], bytes]
    holds_tuple: bool
    repeatable: bool
    minimum: int
    maximum: int | None  # None: not a number


def _layout(rule: PropertyRule, place: Place) -> _Layout:
    largest = _LARGEST.get(rule.type)
    maximum = largest if rule.maximum is None else rule.maximum
    return _Layout(
        rule=rule,
        name=rule.name,
        read=_READERS[rule.type],
        write=_WRITERS[rule.type],
        holds_tuple=bool(rule.repeatable),
        repeatable=place in rule.repeatable,
        minimum=rule.minimum,
        maximum=None if largest is None else maximum,
    )


_LAYOUTS: dict[Place, dict[int, _Layout]] = {
    place: {rule.identifier: _layout(rule, place) for rule in PROPERTY_RULES if place in rule.places}
    for place in (*PacketType, WILL)
}


def decode_properties(data: bytes, position: int, end: int, place: Place) -> tuple[Properties, int]:
    """The property length at `position` with the properties behind it, and the position behind those.

    Raises MalformedPacket for an identifier not listed for `place` or a value that does not parse, ProtocolError for
    one that stands twice or is out of range. [5.0 2.2.2.2]
    """
    if position >= end:
        raise Rule.PROPERTY_LENGTH.broken(_V5)
    if data[position] == 0:
        return NO_PROPERTIES, position + 1
    length, position = decode_varint(data, position, end)
    if position + length > end:
        raise Rule.TRUNCATED.broken(_V5, f"a property length of {length}")
    end = position + length
    layouts = _LAYOUTS[place]
    values: dict[str, Any] = {}
    while position < end:
        identifier, position = decode_varint(data, position, end)
        layout = layouts.get(identifier)
        if layout is None:
            raise Rule.PROPERTY_PLACE.broken(_V5, f"property {identifier:#04x}")
        name = layout.name
        if name in values and not layout.repeatable:
            raise Rule.PROPERTY_ONCE.broken(_V5, f"{name} twice")
        value, position = layout.read(data, position, end)
        if broken := _value_violation(layout, value):
            raise broken.broken(_V5, f"{name} {value!r}")
        if not layout.holds_tuple:
            values[name] = value
        elif name in values:
            values[name].append(value)
        else:
            values[name] = [value]
    for name in values.keys() & _HOLDS_TUPLE:
        values[name] = tuple(values[name])
    return Properties(**values), position


def encode_properties(properties: Properties, place: Place) -> bytes:
    """Property length and properties in table order; raises LocalError for what `place` or a value's range forbids."""
    if properties is NO_PROPERTIES:
        return b"\0"
    encoded = bytearray()
    layouts = _LAYOUTS[place]
    for name, held in properties.present().items():
        layout = layouts.get(PROPERTY_BY_NAME[name].identifier)
        if layout is None:
            raise Rule.PROPERTY_PLACE.forbids(
                _V5, f"{name} in {place.name if isinstance(place, PacketType) else place}"
            )
        values: Any = held if layout.holds_tuple else (held,)
        if len(values) > 1 and not layout.repeatable:
            raise Rule.PROPERTY_ONCE.forbids(_V5, f"{name} {len(values)} times")
        is_remembered = len(values) > _MANY and layout.maximum is not None
        encoded += (_encode_many if is_remembered else _encode_values)(layout, values)
    return encode_varint(len(encoded)) + bytes(encoded)


def _encode_values(layout: _Layout, values: tuple[Any, ...]) -> bytes:
    encoded = bytearray()
    for value in values:
        if broken := _value_violation(layout, value):
            raise broken.forbids(_V5, f"{layout.name} {value!r}")
        encoded.append(layout.rule.identifier)
        encoded += layout.write(value)
    return bytes(encoded)


_encode_many = lru_cache(_REMEMBERED)(_encode_values)
"""For the subscription identifiers of messages that match very many subscriptions: mostly the same as the last time."""


def _value_violation(layout: _Layout, value: Any) -> Rule | None:
    if layout.maximum is not None:
        return None if layout.minimum <= value <= layout.maximum else layout.rule.range_rule
    if layout.name == "response_topic" and (broken := topic_name_violation(value)):
        return _RESPONSE_TOPIC_RULES[broken]
    return None
