"""Properties of 5.0 as bytes, driven by the table in `properties`. [5.0 2.2.2]

Belongs here: reading and writing the properties of any packet, their place, number and range.
Does not belong here: rules between a property and the rest of its packet (`decode`, `encode`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
_RULES_BY_PLACE: dict[Place, dict[int, PropertyRule]] = {
    place: {rule.identifier: rule for rule in PROPERTY_RULES if place in rule.places} for place in (*PacketType, WILL)
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
    rules = _RULES_BY_PLACE[place]
    values: dict[str, Any] = {}
    while position < end:
        identifier, position = decode_varint(data, position, end)
        rule = rules.get(identifier)
        if rule is None:
            raise Rule.PROPERTY_PLACE.broken(_V5, f"property {identifier:#04x}")
        value, position = _READERS[rule.type](data, position, end)
        if broken := _value_violation(rule, value):
            raise broken.broken(_V5, f"{rule.name} {value!r}")
        if rule.name in _HOLDS_TUPLE:
            if rule.name in values and place not in rule.repeatable:
                raise Rule.PROPERTY_ONCE.broken(_V5, f"{rule.name} twice")
            values.setdefault(rule.name, []).append(value)
        elif rule.name in values:
            raise Rule.PROPERTY_ONCE.broken(_V5, f"{rule.name} twice")
        else:
            values[rule.name] = value
    for name in _HOLDS_TUPLE & values.keys():
        values[name] = tuple(values[name])
    return Properties(**values), position


def encode_properties(properties: Properties, place: Place) -> bytes:
    """Property length and properties in table order; raises LocalError for what `place` or a value's range forbids."""
    if properties is NO_PROPERTIES:
        return b"\0"
    encoded = bytearray()
    for name, held in properties.present().items():
        rule = PROPERTY_BY_NAME[name]
        if place not in rule.places:
            raise Rule.PROPERTY_PLACE.forbids(
                _V5, f"{name} in {place.name if isinstance(place, PacketType) else place}"
            )
        values: tuple[Any, ...] = held if name in _HOLDS_TUPLE else (held,)  # type: ignore[assignment]  # a tuple by its field
        if len(values) > 1 and place not in rule.repeatable:
            raise Rule.PROPERTY_ONCE.forbids(_V5, f"{name} {len(values)} times")
        for value in values:
            if broken := _value_violation(rule, value):
                raise broken.forbids(_V5, f"{name} {value!r}")
            encoded.append(rule.identifier)
            encoded += _WRITERS[rule.type](value)
    return encode_varint(len(encoded)) + bytes(encoded)


def _value_violation(rule: PropertyRule, value: Any) -> Rule | None:
    largest = _LARGEST.get(rule.type)
    if largest is not None:
        maximum = largest if rule.maximum is None else rule.maximum
        return None if rule.minimum <= value <= maximum else rule.range_rule
    if rule.name == "response_topic" and (broken := topic_name_violation(value)):
        return _RESPONSE_TOPIC_RULES[broken]
    return None
