"""Packets for people: a packet as JSON values for a trace, and as one line for a chart or a log.

Belongs here: names, numbers and previews.
Does not belong here: a verdict about the packet, or its bytes.

Passwords and authentication data show their size only, because traces are published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from typing import Any

from reference_broker.wire import packets
from reference_broker.wire.packets import Packet
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.reasons import reason_name
from reference_broker.wire.types import PacketType, Version

JsonValue = None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]

PREVIEW_BYTES = 64
_AS_THEY_ARE = frozenset({bool, int, str})
_SECRETS = frozenset({"password", "authentication_data"})


def describe(packet: Packet, version: Version | None = None) -> dict[str, JsonValue]:
    """The packet as JSON values: `type`, then its fields by name, leaving out absent ones.

    Binary fields are {"bytes": size, "text" or "hex": the first 64 bytes}, with "truncated" when there are more;
    reason codes are {"code": number, "name": text}; properties are nested by name. `version` decides between the
    return codes of 3.x and the reason codes of 5.0; without it CONNACK is told apart by the number.
    """
    described: dict[str, JsonValue] = {"type": packet.type.name}
    described.update(_fields(packet, packet.type, version))
    return described


def _fields(value: Any, packet_type: PacketType, version: Version | None) -> dict[str, JsonValue]:
    described: dict[str, JsonValue] = {}
    for name in _names(value.__class__):
        held = getattr(value, name)
        if held is None or held is NO_PROPERTIES or (isinstance(held, Properties) and not held.present()):
            continue
        described[name] = _field(name, held, packet_type, version)
    return described


@cache  # there are as many as there are kinds of packets, and many packets
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _field(name: str, held: Any, packet_type: PacketType, version: Version | None) -> JsonValue:
    if name == "reason":
        return _reason(packet_type, held, version)
    if type(held) in _AS_THEY_ARE:  # most are
        as_it_is: JsonValue = held
        return as_it_is
    if name == "reasons":
        return [_reason(packet_type, code, version) for code in held]
    if isinstance(held, bytes):
        return {"bytes": len(held)} if name in _SECRETS else _preview(held)
    return _plain(held, packet_type, version)


def _plain(held: Any, packet_type: PacketType, version: Version | None) -> JsonValue:
    if isinstance(held, Version):
        return held.label
    if isinstance(held, IntEnum):
        return int(held)
    if isinstance(held, tuple):
        return [_plain(item, packet_type, version) for item in held]
    if isinstance(held, Properties):
        return {name: _field(name, item, packet_type, version) for name, item in held.present().items()}
    if is_dataclass(held):
        return _fields(held, packet_type, version)
    plain: JsonValue = held
    return plain


def _reason(packet_type: PacketType, code: int, version: Version | None) -> dict[str, JsonValue]:
    return {"code": int(code), "name": reason_name(packet_type, code, version)}


def _preview(data: bytes) -> dict[str, JsonValue]:
    shown: dict[str, JsonValue] = {"bytes": len(data)}
    head = data[:PREVIEW_BYTES]
    text = _printable(head, cut=len(data) > PREVIEW_BYTES)
    if text is None:
        shown["hex"] = head.hex(" ")
    else:
        shown["text"] = text
    if len(data) > PREVIEW_BYTES:
        shown["truncated"] = True
    return shown


def _printable(head: bytes, *, cut: bool) -> str | None:
    """`head` as text if it is readable text; a character cut in two at the end of a preview is left out."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if not (cut and error.reason == "unexpected end of data"):
            return None
        text = head[: error.start].decode()
    return text if text.replace("\n", "").replace("\t", "").isprintable() else None


def summary(packet: Packet, version: Version | None = None) -> str:
    """The packet in one line, e.g. `PUBLISH q2 id 7 dup "a/b" 4 bytes`."""
    return " ".join((packet.type.name, *_SUMMARIES[packet.type](packet, version)))


def _quoted(text: str) -> str:
    if text.isprintable() and '"' not in text and "\\" not in text:  # as nearly all are
        return f'"{text}"'
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text) + '"'


def _codes(packet_type: PacketType, codes: tuple[int, ...], version: Version | None) -> str:
    return ", ".join(f"{code:#04x} {reason_name(packet_type, code, version)}" for code in codes)


def _connect(packet: packets.Connect, _: Version | None) -> list[str]:
    words = [packet.version.label, _quoted(packet.client_id)]
    if packet.clean_start:
        words.append("clean")
    words.append(f"keep alive {packet.keep_alive}")
    if packet.username is not None:
        words.append(f"user {_quoted(packet.username)}")
    if packet.password is not None:
        words.append("password")
    if will := packet.will:
        retain = ["retain"] if will.retain else []
        words += ["will", f"q{will.qos}", *retain, _quoted(will.topic), f"{len(will.payload)} bytes"]
    return words


def _connack(packet: packets.ConnAck, version: Version | None) -> list[str]:
    present = ["session present"] if packet.session_present else []
    return [*present, _codes(packet.type, (packet.reason,), version)]


def _publish(packet: packets.Publish, _: Version | None) -> list[str]:
    words = [f"q{packet.qos}"]
    if packet.packet_id is not None:
        words.append(f"id {packet.packet_id}")
    words += [name for name, is_set in (("dup", packet.dup), ("retain", packet.retain)) if is_set]
    words.append(_quoted(packet.topic))
    if packet.properties.topic_alias is not None:
        words.append(f"alias {packet.properties.topic_alias}")
    words.append(f"{len(packet.payload)} bytes")
    return words


def _answer(
    packet: packets.PubAck | packets.PubRec | packets.PubRel | packets.PubComp, version: Version | None
) -> list[str]:
    words = [f"id {packet.packet_id}"]
    if isinstance(packet, packets.PubRel) and packet.dup:
        words.append("dup")
    if packet.reason:
        words.append(_codes(packet.type, (packet.reason,), version))
    return words


def _subscribe(packet: packets.Subscribe, _: Version | None) -> list[str]:
    dup = ["dup"] if packet.dup else []
    return [f"id {packet.packet_id}", *dup, ", ".join(map(_subscription, packet.subscriptions))]


def _subscription(subscription: packets.Subscription) -> str:
    words = [_quoted(subscription.topic_filter), f"q{subscription.qos}"]
    if subscription.no_local:
        words.append("no local")
    if subscription.retain_as_published:
        words.append("retain as published")
    if subscription.retain_handling:
        words.append(f"retain handling {subscription.retain_handling}")
    return " ".join(words)


def _unsubscribe(packet: packets.Unsubscribe, _: Version | None) -> list[str]:
    dup = ["dup"] if packet.dup else []
    return [f"id {packet.packet_id}", *dup, ", ".join(map(_quoted, packet.topic_filters))]


def _acknowledged(packet: packets.SubAck | packets.UnsubAck, version: Version | None) -> list[str]:
    codes = [_codes(packet.type, packet.reasons, version)] if packet.reasons else []
    return [f"id {packet.packet_id}", *codes]


def _ended(packet: packets.Disconnect | packets.Auth, version: Version | None) -> list[str]:
    if not packet.reason and version in (Version.V31, Version.V311):
        return []
    return [_codes(packet.type, (packet.reason,), version)]


def _ping(_packet: packets.PingReq | packets.PingResp, _: Version | None) -> list[str]:
    return []


# The key fixes the packet's class, which the type of a dict cannot say; hence Any.
_SUMMARIES: dict[PacketType, Callable[[Any, Version | None], list[str]]] = {
    PacketType.CONNECT: _connect,
    PacketType.CONNACK: _connack,
    PacketType.PUBLISH: _publish,
    PacketType.PUBACK: _answer,
    PacketType.PUBREC: _answer,
    PacketType.PUBREL: _answer,
    PacketType.PUBCOMP: _answer,
    PacketType.SUBSCRIBE: _subscribe,
    PacketType.SUBACK: _acknowledged,
    PacketType.UNSUBSCRIBE: _unsubscribe,
    PacketType.UNSUBACK: _acknowledged,
    PacketType.PINGREQ: _ping,
    PacketType.PINGRESP: _ping,
    PacketType.DISCONNECT: _ended,
    PacketType.AUTH: _ended,
}
