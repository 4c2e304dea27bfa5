"""The values scenario fields are made of: payloads, property maps, packet patterns, times.

Belongs here: types that several verbs share, and how each is written in YAML.
Does not belong here: the verbs (`steps`), the scenario (`model`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from reference_broker.wire.properties import PROPERTY_BY_NAME
from reference_broker.wire.types import PacketType

MqttLabel = Literal["3.1", "3.1.1", "5.0"]
TransportName = Literal["tcp", "tls", "ws", "wss"]
Side = Literal["client", "broker"]
QoSLevel = Annotated[int, Field(ge=0, le=2, strict=True)]
Seconds = Annotated[float, Field(ge=0, le=30)]
Reason = Annotated[int, Field(ge=0, le=255)]


class Strict(BaseModel):
    """What all parts of a scenario share: unknown keys are refused, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Level(StrEnum):
    """How binding a requirement is."""

    MUST = "must"
    SHOULD = "should"
    MAY = "may"


class Sized(Strict):
    """A payload of that many bytes, a fixed pattern."""

    size_bytes: Annotated[int, Field(ge=0, le=1_048_576)]


class Hex(Strict):
    """A payload given byte by byte."""

    hex: str

    def value(self) -> bytes:
        """The bytes; spaces between digits are allowed."""
        return bytes.fromhex(self.hex)


Payload = str | Sized | Hex
"""Text (sent as UTF-8), `{size_bytes: 65536}`, or `{hex: "00 ff"}`."""


def payload_bytes(payload: Payload) -> bytes:
    """The bytes a payload stands for."""
    if isinstance(payload, str):
        return payload.encode("utf-8")
    if isinstance(payload, Hex):
        return payload.value()
    pattern = bytes(range(256))
    return (pattern * (payload.size_bytes // len(pattern) + 1))[: payload.size_bytes]


def _known_properties(values: dict[str, Any]) -> dict[str, Any]:
    for name in values:
        if name not in PROPERTY_BY_NAME:
            raise ValueError(f"unknown property {name!r}; expected one of {', '.join(sorted(PROPERTY_BY_NAME))}")
    return values


PropertyMap = Annotated[dict[str, Any], AfterValidator(_known_properties)]
"""5.0 properties by the specification's names in snake case. Strings, integers; `user_property` is a list of [name, value];
binary ones (`correlation_data`, `authentication_data`) are text (UTF-8) or `{hex: ...}`. A `topic`-like one (`response_topic`) is relative."""

PacketName = Literal[
    "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
    "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
]  # fmt: skip
assert set(PacketName.__args__) == {kind.name for kind in PacketType}  # type: ignore[attr-defined]  # Literal has __args__


class PacketPattern(BaseModel):
    """A packet to look for: its kind and any of its fields by the specification's names, e.g. `{packet: PUBLISH, dup: true}`.

    Fields are those of `reference_broker.wire.packets`; `topic` is relative, `payload` is a Payload, `properties` is a
    subset that must be present, `without` lists properties that must be absent, `reason` may be a list of alternatives.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    packet: PacketName
    sender: Side | None = Field(None, alias="from")
    topic: str | None = None
    payload: Payload | None = None
    qos: QoSLevel | None = None
    dup: bool | None = None
    retain: bool | None = None
    packet_id: int | None = None
    reason: Reason | tuple[Reason, ...] | None = None
    reasons: tuple[Reason, ...] | None = None
    session_present: bool | None = None
    clean_start: bool | None = None
    keep_alive: int | None = None
    client_id: str | None = None
    properties: PropertyMap = Field(default_factory=dict)
    without: tuple[str, ...] = ()


Pattern = PacketName | PacketPattern
