"""The values scenario fields are made of: payloads, property maps, packet patterns, times.

Belongs here: types that several verbs share, and how each is written in YAML.
Does not belong here: the verbs (`steps`), the scenario (`model`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from interop.scenario.problems import unknown
from reference_broker.wire.properties import PROPERTY_BY_NAME, PropertyType
from reference_broker.wire.types import PacketType

MqttLabel = Literal["3.1", "3.1.1", "5.0"]
TransportName = Literal["tcp", "tls", "ws", "wss"]
Side = Literal["client", "broker"]
QoSLevel = Annotated[int, Field(ge=0, le=2, strict=True)]
Seconds = Annotated[float, Field(ge=0, le=30)]
Reason = Annotated[int, Field(ge=0, le=255)]


class Strict(BaseModel):
    """What all parts of a scenario share: unknown keys are refused, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Level(StrEnum):
    """How binding a requirement is."""

    MUST = "must"
    SHOULD = "should"
    MAY = "may"


class Sized(Strict):
    """A payload of that many bytes, a fixed pattern."""

    size_bytes: Annotated[int, Field(ge=0, le=1_048_576)]


def _is_hex(text: object) -> bool:
    try:
        return isinstance(text, str) and bytes.fromhex(text) is not None
    except ValueError:
        return False


def _check_hex(text: str) -> str:
    if not _is_hex(text):
        raise ValueError(f"found {text!r}; expected hexadecimal bytes, e.g. '00 ff'")
    return text


HexBytes = Annotated[str, AfterValidator(_check_hex)]
"""Bytes in hexadecimal, spaces between them allowed: `30 05 00 01 74 68 69`."""


class Hex(Strict):
    """A payload given byte by byte."""

    hex: HexBytes

    def value(self) -> bytes:
        """The bytes; spaces between digits are allowed."""
        return bytes.fromhex(self.hex)


def _payload_form(value: object) -> str:
    """Which of the three forms is meant, so that an error speaks of that one only."""
    if isinstance(value, Hex) or (isinstance(value, dict) and "hex" in value):
        return "hex"
    return "sized" if isinstance(value, dict | Sized) else "text"


Payload = Annotated[
    Annotated[str, Tag("text")] | Annotated[Sized, Tag("sized")] | Annotated[Hex, Tag("hex")],
    Discriminator(_payload_form),
]
"""Text (sent as UTF-8), `{size_bytes: 65536}`, or `{hex: "00 ff"}`."""


def payload_bytes(payload: Payload) -> bytes:
    """The bytes a payload stands for."""
    if isinstance(payload, str):
        return payload.encode("utf-8")
    if isinstance(payload, Hex):
        return payload.value()
    pattern = bytes(range(256))
    return (pattern * (payload.size_bytes // len(pattern) + 1))[: payload.size_bytes]


_PROPERTY_NAMES = sorted(PROPERTY_BY_NAME)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_integer_or_integers(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, list) and bool(value) and all(map(_is_integer, value)))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_binary(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and set(value) == {"hex"} and _is_hex(value["hex"]))


def _is_pairs(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_text, pair)) for pair in value
    )


_WRITTEN: dict[PropertyType, tuple[Callable[[object], bool], str]] = {
    PropertyType.BYTE: (_is_integer, "an integer"),
    PropertyType.TWO_BYTE_INTEGER: (_is_integer, "an integer"),
    PropertyType.FOUR_BYTE_INTEGER: (_is_integer, "an integer"),
    PropertyType.VARIABLE_BYTE_INTEGER: (_is_integer_or_integers, "an integer, or a list of integers"),
    PropertyType.UTF8_STRING: (_is_text, "text"),
    PropertyType.UTF8_STRING_PAIR: (_is_pairs, "a list of [name, value]"),
    PropertyType.BINARY_DATA: (_is_binary, 'text, or {hex: "00 ff"}'),
}


def _check_properties(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if name not in PROPERTY_BY_NAME:
            raise ValueError(unknown("property", name, _PROPERTY_NAMES, "properties"))
        fits, expected = _WRITTEN[PROPERTY_BY_NAME[name].type]
        if not fits(value):
            raise ValueError(f"{name}: found {value!r}; expected {expected}")
    return values


PropertyMap = Annotated[dict[str, Any], AfterValidator(_check_properties)]
"""5.0 properties by the specification's names in snake case: strings, integers (for `subscription_identifier` also a
list of them), for `user_property` a list of [name, value]; `correlation_data` and `authentication_data` are text
(UTF-8) or `{hex: ...}`; `response_topic` is relative.
"""

PacketName = Literal[
    "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
    "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
]  # fmt: skip
assert set(PacketName.__args__) == {kind.name for kind in PacketType}  # type: ignore[attr-defined]  # Literal has __args__


class PacketPattern(BaseModel):
    """A packet to look for: its kind and any of its fields by the specification's names: `{packet: PUBLISH, qos: 1}`.

    Fields are those of `reference_broker.wire.packets`; `topic` is relative, `payload` is a Payload, `properties` is a
    subset that must be present with these values, `present` lists properties that must be there whatever their value,
    `without` lists properties that must be absent, `reason` may be a list of alternatives, `reason_other_than` is any
    but these. `one_identifier` is a Subscription Identifier that must be there, alone or among others. `hex` is the
    whole packet as it was sent, where a field cannot say it: what a version reserves is not decoded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    packet: PacketName
    sender: Side | None = Field(None, alias="from")
    topic: str | None = None
    payload: Payload | None = None
    qos: QoSLevel | None = None
    dup: bool | None = None
    retain: bool | None = None
    packet_id: int | None = None
    reason: Reason | tuple[Reason, ...] | None = None
    reason_other_than: Reason | tuple[Reason, ...] | None = None
    reasons: tuple[Reason, ...] | None = None
    session_present: bool | None = None
    clean_start: bool | None = None
    keep_alive: int | None = None
    client_id: str | None = None
    properties: PropertyMap = Field(default_factory=dict)
    present: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    one_identifier: int | None = None
    hex: HexBytes | None = None


Pattern = PacketName | PacketPattern
