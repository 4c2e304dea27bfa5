"""Checks of packets that scenarios describe: fields, directions, and where a property may stand.

Belongs here: what the wire's own tables know about a packet a step names.
Does not belong here: versions (`lint_versions`); packets that are wrong on purpose are written in `hex`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from interop.scenario.load import LoadedScenario
from interop.scenario.problems import unknown
from interop.scenario.steps import (
    AnyStep,
    Auth,
    Connect,
    Disconnect,
    Fault,
    Inject,
    Publish,
    Receive,
    Rewrite,
    Subscribe,
    Unsubscribe,
    Wire,
)
from interop.scenario.values import PacketPattern
from interop.scenario.yaml12 import Where
from reference_broker.wire.packets import PACKET_CLASSES
from reference_broker.wire.properties import PROPERTY_BY_NAME, WILL
from reference_broker.wire.sender import ONLY_FROM, Side
from reference_broker.wire.types import PacketType

Found = Iterator[tuple[Where, str]]

_P = PacketType
_SENT_BY_CLIENTS, _SENT_BY_BROKERS = ONLY_FROM[Side.CLIENT], ONLY_FROM[Side.SERVER]

_NO_FIELDS_OF_PACKETS = {"packet", "sender", "present", "without", "one_identifier", "hex", "reason_other_than"}
"""What a pattern has and a packet has not, or not by this name."""

_PROPERTY_FIELDS: dict[type[AnyStep], tuple[tuple[str, PacketType], ...]] = {
    Connect: (("properties", _P.CONNECT), ("answer", _P.CONNACK)),
    Disconnect: (("properties", _P.DISCONNECT),),
    Subscribe: (("properties", _P.SUBSCRIBE), ("answer", _P.SUBACK)),
    Unsubscribe: (("properties", _P.UNSUBSCRIBE),),
    Publish: (("properties", _P.PUBLISH),),
    Auth: (("properties", _P.AUTH),),
    Receive: (("properties", _P.PUBLISH), ("without", _P.PUBLISH)),
}
"""The packet whose properties each field of a verb holds."""


def packet_problems(one: LoadedScenario) -> Found:
    """Every packet a scenario describes has the fields and properties it is said to have, and a sender."""
    for name, actor in one.scenario.actors.items():
        yield from _misplaced(actor.properties, _P.CONNECT, ("actors", name, "properties"))
        if actor.will is not None:
            yield from _misplaced(actor.will.properties, WILL, ("actors", name, "will", "properties"))
    for index, step in enumerate(one.scenario.steps):
        where: Where = ("steps", index)
        for field, packet in _PROPERTY_FIELDS.get(type(step), ()):
            yield from _misplaced(getattr(step, field) or (), packet, (*where, field))
        if isinstance(step, Wire):
            yield from _patterns(step, where)
        elif isinstance(step, Fault):
            yield from _sender(step, where)
            if isinstance(step, Rewrite):
                yield from _rewritten(step, where)
        elif isinstance(step, Inject):
            yield from _injected(step, where)


def _misplaced(names: Iterable[str], packet: PacketType | str, where: Where) -> Found:
    for name in names:
        rule = PROPERTY_BY_NAME.get(name)
        place = packet if isinstance(packet, str) else packet.name
        if rule is None:
            yield where, unknown("property", name, sorted(PROPERTY_BY_NAME), "properties")
        elif packet not in rule.places:
            allowed = ", ".join(sorted(each if isinstance(each, str) else each.name for each in rule.places))
            yield where, f"{name} is no property of {place} (it stands in {allowed})"


def _patterns(step: Wire, where: Where) -> Found:
    for key in ("exactly", "contains", "never"):
        for place, pattern in enumerate(getattr(step, key) or ()):
            if isinstance(pattern, PacketPattern):
                packet = PacketType[pattern.packet]
                inner = (*where, key, place)
                yield from _misplaced(pattern.properties, packet, (*inner, "properties"))
                yield from _misplaced(pattern.present, packet, (*inner, "present"))
                yield from _misplaced(pattern.without, packet, (*inner, "without"))
                given = pattern.model_fields_set - _NO_FIELDS_OF_PACKETS | (
                    {"reason"} if pattern.reason_other_than is not None else set()
                )
                yield from _fields(given, PACKET_CLASSES[pattern.packet], inner)


def _sender(step: Fault, where: Where) -> Found:
    if step.at is None:
        return
    packet = PacketType[step.at]
    if step.sender is None:
        if packet not in _SENT_BY_CLIENTS | _SENT_BY_BROKERS:
            yield where, f"both sides can send {step.at}; say `from: client` or `from: broker`"
    elif packet in (_SENT_BY_BROKERS if step.sender == "client" else _SENT_BY_CLIENTS):
        yield (*where, "from"), f"a {step.sender} never sends {step.at}"


def _rewritten(step: Rewrite, where: Where) -> Found:
    if bool(step.set) == (step.hex is not None):
        yield where, "give either `set` or `hex`"
    yield from _fields(step.set, PACKET_CLASSES[step.at], (*where, "set"))


def _injected(step: Inject, where: Where) -> Found:
    if step.set and step.repeat is None:
        yield (*where, "set"), "`set` changes a packet that is repeated; say `repeat` as well"
    if step.repeat is not None:
        yield from _fields(step.set, PACKET_CLASSES[step.repeat], (*where, "set"))
    if step.packet is None:
        return
    kind = step.packet.get("type")
    if kind not in PACKET_CLASSES:
        yield (*where, "packet"), unknown("packet type", kind, list(PACKET_CLASSES))
        return
    yield from _fields([key for key in step.packet if key != "type"], PACKET_CLASSES[kind], (*where, "packet"))
    yield from _packet_id(step.packet.get("packet_id"), (*where, "packet", "packet_id"))
    properties = step.packet.get("properties", {})
    if isinstance(properties, Mapping):
        yield from _misplaced(properties, PacketType[kind], (*where, "packet", "properties"))


def _packet_id(written: object, where: Where) -> Found:
    if not isinstance(written, Mapping):
        return
    named = written.get("of") if len(written) == 1 else None
    with_one = [name for name, kind in PACKET_CLASSES.items() if any(f.name == "packet_id" for f in fields(kind))]
    if named not in with_one:
        yield where, f"found {dict(written)!r}; expected a number, or {{of: one of {', '.join(with_one)}}}"


def _fields(given: Iterable[str], packet: type[Any], where: Where) -> Found:
    allowed = [field.name for field in fields(packet)]
    for name in given:
        if name not in allowed:
            yield where, unknown(f"field of {packet.type.name}", name, allowed, "fields")
