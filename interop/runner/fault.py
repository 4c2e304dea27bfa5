"""The verbs that happen on a link: cut, freeze, hold, inject, ...; and what befalls the broker.

Belongs here: a scenario's fault handed to the recording proxy; marks, the passing of time, the broker's restart.
Does not belong here: how a fault is done (`interop.tap`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import TypeAdapter

from interop.runner.connecting import ready
from interop.runner.failures import StepFailed
from interop.runner.matching import wire_properties
from interop.runner.stage import Stage
from interop.scenario import steps
from interop.scenario.values import Payload, payload_bytes
from interop.tap.faults import Frames
from interop.tap.link import How, When
from interop.tap.trace import Kind, Sender
from reference_broker.wire.packets import PACKET_CLASSES, Connect, Packet, Subscription, Will
from reference_broker.wire.sender import ONLY_FROM, Side
from reference_broker.wire.types import PacketType, QoS, RetainHandling, Version

_SIDES = {"client": Sender.CLIENT, "broker": Sender.BROKER}
_OPPOSITE = {"client": Sender.BROKER, "broker": Sender.CLIENT}
_PAYLOAD: TypeAdapter[Payload] = TypeAdapter(Payload)


def when(step: steps.Fault) -> When | None:
    """The moment a fault waits for; None is now."""
    if step.at is None:
        return None
    kind = PacketType[step.at]
    sender = _SIDES[step.sender] if step.sender else _usual_sender(kind)
    return When(kind, sender, nth=step.nth, every=getattr(step, "every", False), optional=step.optional)


def _usual_sender(kind: PacketType) -> Sender:
    if kind in ONLY_FROM[Side.SERVER]:
        return Sender.BROKER
    if kind in ONLY_FROM[Side.CLIENT]:
        return Sender.CLIENT
    raise StepFailed(f"`from` beside `at: {kind.name}`", "both sides can send it")


def _at_once(step: steps.Fault) -> When:
    moment = when(step)
    if moment is None:
        raise StepFailed("`at`", "the step names no packet")
    return moment


async def cut(stage: Stage, step: steps.Cut) -> None:
    """The link is cut; what follows a cut by FIN happens once the broker knows of it."""
    link, how, moment = stage.links[step.link], How[step.how.upper()], when(step)
    link.cut(how, when=moment, deliver=step.packet == "delivered")
    if moment is None and how is How.FIN:
        await stage.broker_notices(step.link)


async def freeze(stage: Stage, step: steps.Freeze) -> None:
    """Bytes stop, the sockets stay."""
    only_from = _SIDES[step.only_from] if step.only_from else None
    stage.links[step.link].freeze(only_from=only_from, when=when(step))


async def thaw(stage: Stage, step: steps.Thaw) -> None:
    """What was kept back goes on."""
    stage.links[step.link].thaw()


async def hold(stage: Stage, step: steps.Hold) -> None:
    """A packet is kept back."""
    stage.links[step.link].hold(_at_once(step))


async def drop(stage: Stage, step: steps.Drop) -> None:
    """A packet never arrives."""
    stage.links[step.link].drop(_at_once(step))


async def duplicate(stage: Stage, step: steps.Duplicate) -> None:
    """A packet arrives twice."""
    stage.links[step.link].duplicate(_at_once(step), dup=step.dup)


async def delay(stage: Stage, step: steps.Delay) -> None:
    """A packet arrives later."""
    stage.links[step.link].delay(_at_once(step), step.seconds)


async def split(stage: Stage, step: steps.Split) -> None:
    """Bytes arrive one by one."""
    stage.links[step.link].split(_SIDES[step.sender])


async def reframe(stage: Stage, step: steps.Reframe) -> None:
    """What a side sends arrives in other WebSocket frames."""
    frames = Frames(step.frame_bytes, step.form == "fragments", step.together, step.between)
    stage.links[step.link].reframe(_SIDES[step.sender], frames)


async def throttle(stage: Stage, step: steps.Throttle) -> None:
    """What a side sends arrives slowly."""
    stage.links[step.link].throttle(_SIDES[step.sender], step.bytes_per_second)


async def rewrite(stage: Stage, step: steps.Rewrite) -> None:
    """A packet arrives changed."""
    if step.hex is not None:
        stage.links[step.link].rewrite(_at_once(step), bytes.fromhex(step.hex))
    else:
        stage.links[step.link].rewrite(_at_once(step), lambda packet: changed(packet, step.set, stage))


async def inject(stage: Stage, step: steps.Inject) -> None:
    """A packet nobody sent arrives."""
    await ready(stage, step.link)
    data = _injected(stage, step)
    for _ in range(step.count):
        stage.links[step.link].inject(_SIDES[step.to], data, beneath=step.beneath)


def _injected(stage: Stage, step: steps.Inject) -> Packet | bytes:
    if step.hex is not None:
        return bytes.fromhex(step.hex)
    if step.repeat is not None:
        seen = stage.last_packet(step.link, PacketType[step.repeat], _OPPOSITE[step.to])
        if seen is None:
            raise StepFailed(f"a {step.repeat} to repeat", f"none was seen on the link of {step.link}")
        return changed(seen[1], step.set, stage)
    return build_packet(_with_packet_id(stage, step), stage, stage.version_of(step.link))


def _with_packet_id(stage: Stage, step: steps.Inject) -> dict[str, Any]:
    """The packet as written, with the number where it says whose packet identifier it has."""
    written = dict(step.packet or {})
    named = written.get("packet_id")
    if not isinstance(named, Mapping):
        return written
    kind = PacketType[named["of"]]
    seen = [found for side in _SIDES.values() if (found := stage.last_packet(step.link, kind, side)) is not None]
    if not seen:
        raise StepFailed(f"a {kind.name} whose packet identifier to use", f"none was seen on the link of {step.link}")
    _, packet = max(seen, key=lambda found: found[0].index)
    return written | {"packet_id": getattr(packet, "packet_id", None)}


def changed(packet: Packet, fields: Mapping[str, Any], stage: Stage) -> Packet:
    """The packet with some fields set to other values."""
    values = {name: _field_value(name, value, stage) for name, value in fields.items()}
    return dataclasses.replace(packet, **values)


def build_packet(written: Mapping[str, Any], stage: Stage, version: Version) -> Packet:
    """A packet from a scenario's description: `type` and the fields of its class in `reference_broker.wire.packets`.

    A CONNECT that names no `version` has this one.
    """
    fields = dict(written)
    kind = PACKET_CLASSES[fields.pop("type")]
    values = {name: _field_value(name, value, stage) for name, value in fields.items()}
    if kind is Connect:
        values.setdefault("version", version)
    packet: Packet = kind(**values)
    return packet


def _subscriptions(written: Any, stage: Stage) -> tuple[Subscription, ...]:
    return tuple(
        Subscription(
            topic_filter=stage.names.topic(each["topic"]),
            qos=QoS(each.get("qos", 0)),
            no_local=each.get("no_local", False),
            retain_as_published=each.get("retain_as_published", False),
            retain_handling=RetainHandling(each.get("retain_handling", 0)),
        )
        for each in written
    )


def _payload(written: Any, _: Stage) -> bytes:
    return payload_bytes(_PAYLOAD.validate_python(written))


def _will(written: Any, stage: Stage) -> Will:
    return Will(**{name: _field_value(name, value, stage) for name, value in written.items()})


_FIELD_VALUES: dict[str, Callable[[Any, Stage], Any]] = {
    "topic": lambda written, stage: stage.names.topic(written),
    "topic_filters": lambda written, stage: tuple(stage.names.topic(each) for each in written),
    "client_id": lambda written, stage: stage.names.client_id(written),
    "payload": _payload,
    "password": _payload,
    "qos": lambda written, _: QoS(written),
    "reasons": lambda written, _: tuple(written),
    "properties": lambda written, stage: wire_properties(written, stage.names),
    "subscriptions": _subscriptions,
    "will": _will,
}


def _field_value(name: str, written: Any, stage: Stage) -> Any:
    convert = _FIELD_VALUES.get(name)
    return written if convert is None else convert(written, stage)


async def mark(stage: Stage, step: steps.Mark) -> None:
    """This moment gets a name."""
    stage.marks[step.name] = len(stage.trace.entries)


async def elapse(stage: Stage, step: steps.Elapse) -> None:
    """A span of time the specification speaks of passes."""
    await stage.rest_until(stage.pace.now() + step.seconds)


async def restart(stage: Stage, step: steps.Restart) -> None:
    """The broker ends, and comes back where it was."""
    assert stage.broker is not None
    note = "the broker is killed" if step.how == "kill" else "the broker is stopped"
    for name, link in stage.links.items():
        stage.trace.record(name, link.connections, Kind.FAULT, Sender.HARNESS, note=note)
    await stage.broker.go_down(kill=step.how == "kill")
    await stage.rest_until(stage.pace.now() + step.down_seconds)
    await stage.broker.come_back()
    for link in stage.links.values():
        link.upstream = stage.broker.address(link.upstream.transport)


FAULTS: dict[type[steps.AnyStep], Callable[[Stage, Any], Awaitable[None]]] = {
    steps.Cut: cut,
    steps.Freeze: freeze,
    steps.Thaw: thaw,
    steps.Hold: hold,
    steps.Drop: drop,
    steps.Duplicate: duplicate,
    steps.Delay: delay,
    steps.Split: split,
    steps.Reframe: reframe,
    steps.Throttle: throttle,
    steps.Rewrite: rewrite,
    steps.Inject: inject,
    steps.Mark: mark,
    steps.Elapse: elapse,
    steps.Restart: restart,
}
