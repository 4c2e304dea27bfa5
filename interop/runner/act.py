"""The verbs that applications do: connect, subscribe, publish, ...

Belongs here: carrying out an actor's verb and checking the broker's direct answer to it, on the wire.
Does not belong here: faults (`fault`), everything that only waits to be seen (`observe`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby, islice
from typing import Any

from interop.drivers import contract
from interop.drivers.contract import AnyEvent, ErrorEvent, PropertyValues
from interop.runner.failures import SetupFailed, StepFailed
from interop.runner.matching import (
    payloads_of,
    property_mismatch,
    property_values,
    reason_fits,
    shown,
    shown_payload,
    shown_reasons,
)
from interop.runner.player import PATIENCE_SECONDS, Delivery, Player, Received
from interop.runner.stage import Stage
from interop.scenario import steps
from interop.scenario.model import Actor
from interop.scenario.numbered import numbered
from interop.scenario.values import payload_bytes
from interop.tap.trace import Fate, Kind, Sender
from reference_broker.wire.packets import ConnAck, PubAck, PubRec, SubAck, UnsubAck
from reference_broker.wire.packets import Connect as ConnectPacket
from reference_broker.wire.packets import Publish as PublishPacket
from reference_broker.wire.types import PacketType, Version

KEPT_SESSION_EXPIRY_SECONDS = 300
"""Session Expiry Interval of a `kept` session that names none. [5.0 3.1.2.11.2]"""

LOT = 500
"""So many messages of a `count` are handed over at a time: what queues of clients and brokers usually hold."""

_LOSS_NOTICE_SECONDS = 1.0
_ERROR = 0x80
_LONGEST_SHOWN_RUN = 3


async def ready(stage: Stage, name: str) -> Player:
    """The actor, connected: an actor connects by itself when a step first uses it."""
    player = stage.players[name]
    if not player.ever_connected:
        try:
            await _connect(stage, player, steps.Connect.model_validate({"do": "connect", "as": name}))
        except StepFailed as failure:
            if await _is_about_connecting(stage, player):
                raise
            raise SetupFailed(f"{name} could not connect: {failure}") from failure
        stage.begin_action()
    return player


async def _is_about_connecting(stage: Stage, player: Player) -> bool:
    """Whether a connection that failed is part of what the scenario is about, and no mere set-up.

    It is when a fault befell its link, and when the same client gets in with a CONNECT that asks for nothing.
    """
    name, actor = player.name, player.actor
    if any(stage.trace.of(name, kind=Kind.FAULT)):
        return True
    if actor == Actor(mqtt=actor.mqtt, username=actor.username, password=actor.password, manual_ack=actor.manual_ack):
        return False
    plain = {"session": "clean", "keep_alive": 60, "client_id": f"{name}-plain", "properties": {}, "without_will": True}
    try:
        await _connect(stage, player, steps.Connect.model_validate({"do": "connect", "as": name, **plain}))
    except StepFailed:
        return False
    return True


# --- connect and disconnect -------------------------------------------------------------------------------------------


async def connect(stage: Stage, step: steps.Connect) -> None:
    """CONNECT, and what CONNACK must say."""
    await _connect(stage, stage.players[step.actor], step)


async def _connect(stage: Stage, player: Player, step: steps.Connect) -> None:
    await _leave_old_connection(stage, player)
    stage.begin_action()
    since = stage.action_index
    player.ever_connected = True
    command = await _connect_command(stage, player, step)
    if step.outcome == "pending":
        player.hand_over(command)
        return
    answer = await player.ask(command)
    player.connected = isinstance(answer, contract.Connected)
    _check_version(stage, player.name, since)
    connack = stage.last_packet(player.name, PacketType.CONNACK, Sender.BROKER, since)
    outcome = _connect_outcome(answer, connack[1].reason if connack and isinstance(connack[1], ConnAck) else None)
    if outcome not in step.outcomes():
        detail = f": {answer.detail}" if isinstance(answer, ErrorEvent) and answer.detail else ""
        wanted = " or ".join(step.outcomes())
        raise StepFailed(f"the connection of {player.name} to be {wanted}", f"it was {outcome}{detail}")
    if connack is not None and isinstance(connack[1], ConnAck):
        _check_connack(stage, step, connack[0].index, connack[1], stage.version_of(player.name))


def _connect_outcome(answer: AnyEvent, wire_reason: int | None) -> str:
    if isinstance(answer, contract.Connected):
        return "accepted"
    if wire_reason is not None and wire_reason != 0:
        return "refused"
    if isinstance(answer, ErrorEvent) and answer.error == "refused":
        return "refused"
    return "cut-off"


def _check_connack(stage: Stage, step: steps.Connect, index: int, connack: ConnAck, version: Version) -> None:
    if not reason_fits(step.reason, connack.reason):
        raise StepFailed(
            f"CONNACK with code {shown_reasons(step.reason)}",
            f"it has {shown_reasons(connack.reason)}",
            trace_index=index,
        )
    # 3.1 has no such flag: the byte is reserved. [3.1 3.2]
    has_flag = version is not Version.V31
    if has_flag and step.session_present not in (None, connack.session_present):
        raise StepFailed(
            f"Session Present {int(step.session_present)}",
            f"it is {int(connack.session_present)}",
            trace_index=index,
        )
    wrong = property_mismatch(step.answer, (), connack.properties, stage.names)
    if wrong and version is Version.V5:
        raise StepFailed(f"CONNACK with {shown(step.answer)}", wrong, trace_index=index)


def _check_version(stage: Stage, link: str, since: int) -> None:
    """Clients change the protocol version without a word: what counts is on the wire."""
    seen = stage.last_packet(link, PacketType.CONNECT, Sender.CLIENT, since)
    asked = stage.version_of(link)
    if seen and isinstance(seen[1], ConnectPacket) and seen[1].version is not asked:
        raise StepFailed(
            f"a CONNECT of MQTT {asked.label}",
            f"{link}'s client sent one of {seen[1].version.label}",
            trace_index=seen[0].index,
        )


async def _leave_old_connection(stage: Stage, player: Player) -> None:
    """Make the client give up a connection that is gone, frozen, or still there."""
    if not player.connected:
        return
    ended = stage.closing(player.name, stage.last_open(player.name)) is not None
    if ended:
        deadline = stage.pace.now() + _LOSS_NOTICE_SECONDS
        await stage.until(lambda: None if player.connected else True, deadline)
    if player.connected:
        await player.ask(contract.Drop(id=player.driver.next_id()))
        player.connected = False


async def _connect_command(stage: Stage, player: Player, step: steps.Connect) -> contract.Connect:
    actor = player.actor
    mqtt = step.mqtt or stage.cell.mqtt_of(player.name)
    stage.links[player.name].speak(Version.from_label(mqtt))
    address = await stage.links[player.name].open()
    session = step.session or actor.session
    username = step.username if step.username is not None else actor.username
    password = step.password if step.password is not None else actor.password
    if stage.login is not None and username is None and password is None:
        username, password = stage.login
    return contract.Connect(
        id=player.driver.next_id(),
        mqtt=mqtt,
        transport=stage.cell.transport,
        host=address.host,
        port=address.port,
        path=address.path,
        ca_file=str(address.ca_file) if address.ca_file else None,
        client_id=stage.names.client_id(stage.client_id_of(player.name, step.client_id)),
        clean_start=session == "clean",
        keep_alive=actor.keep_alive if step.keep_alive is None else step.keep_alive,
        username=username,
        password=None if password is None else password.encode("utf-8", "surrogateescape"),
        will=None if step.without_will else _will(stage, player),
        properties=_connect_properties(stage, player, step.properties, session),
        manual_ack=actor.manual_ack,
    )


def _connect_properties(stage: Stage, player: Player, instead: dict[str, Any] | None, session: str) -> PropertyValues:
    written = dict(player.actor.properties if instead is None else instead)
    if session == "kept":
        written.setdefault("session_expiry_interval", KEPT_SESSION_EXPIRY_SECONDS)
    return _only_v5(stage, player, written)


def _will(stage: Stage, player: Player) -> contract.WillMessage | None:
    will = player.actor.will
    if will is None:
        return None
    return contract.WillMessage(
        topic=stage.names.topic(will.topic),
        payload=payload_bytes(will.payload),
        qos=will.qos,
        retain=will.retain,
        properties=_only_v5(stage, player, will.properties),
    )


def _only_v5(stage: Stage, player: Player, written: dict[str, Any]) -> PropertyValues:
    return property_values(written, stage.names) if stage.version_of(player.name) is Version.V5 else contract.NONE


async def disconnect(stage: Stage, step: steps.Disconnect) -> None:
    """DISCONNECT, then the end of the network connection."""
    player = await ready(stage, step.actor)
    command = contract.Disconnect(
        id=player.driver.next_id(), reason=step.reason, properties=_only_v5(stage, player, step.properties)
    )
    answer = await player.ask(command)
    player.connected = False
    _require(answer, f"{player.name} to disconnect")
    await stage.broker_notices(player.name)


async def auth(stage: Stage, step: steps.Auth) -> None:
    """Re-authentication, to its end."""
    player = await ready(stage, step.actor)
    answer = await player.ask(
        contract.Auth(id=player.driver.next_id(), properties=property_values(step.properties, stage.names))
    )
    outcome = "done" if isinstance(answer, contract.Authenticated) else "refused"
    if isinstance(answer, ErrorEvent) and answer.error == "cut-off":
        outcome = "cut-off"
    if outcome != step.outcome:
        raise StepFailed(f"the re-authentication of {player.name} to be {step.outcome}", f"it was {outcome}")


# --- subscribe and unsubscribe ----------------------------------------------------------------------------------------


async def subscribe(stage: Stage, step: steps.Subscribe) -> None:
    """SUBSCRIBE, and what SUBACK must grant."""
    player = await ready(stage, step.actor)
    since = len(stage.trace.entries)
    requests = tuple(
        contract.SubscriptionRequest(
            topic_filter=stage.names.topic(request.topic), **request.model_dump(exclude={"topic"})
        )
        for request in step.requests()
    )
    command = contract.Subscribe(
        id=player.driver.next_id(), subscriptions=requests, properties=_only_v5(stage, player, step.properties)
    )
    outcome = await _carry_out(stage, player, command, step.outcome)
    seen = stage.last_packet(player.name, PacketType.SUBACK, Sender.BROKER, since)
    if seen is None or not isinstance(seen[1], SubAck):
        return
    index, reasons = seen[0].index, seen[1].reasons
    if outcome == "done":
        outcome = "refused" if all(code >= _ERROR for code in reasons) else "done"
    _check_outcome("subscription", player, step.outcome, outcome, index)
    _check_granted(step, reasons, index)
    wrong = property_mismatch(step.answer, (), seen[1].properties, stage.names)
    if wrong:
        raise StepFailed(f"SUBACK with {shown(step.answer)}", wrong, trace_index=index)


def _check_granted(step: steps.Subscribe, reasons: tuple[int, ...], index: int) -> None:
    if step.granted is None:
        return
    wanted = _for_each(step.granted, step.count)
    if wanted != reasons:
        raise StepFailed(f"SUBACK to grant {_codes(wanted)}", f"it says {_codes(reasons)}", trace_index=index)


def _for_each(codes: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """The codes expected; one is meant for all of a count."""
    listed = (codes,) if isinstance(codes, int) else tuple(codes)
    return listed * count if len(listed) == 1 else listed


def _codes(codes: tuple[int, ...]) -> str:
    """Each code in turn, and a long run of the same one by its length: `64 x 0x01, 960 x 0x80`."""
    runs = [(f"0x{code:02X}", len(list(run))) for code, run in groupby(codes)]
    shown = (f"{times} x {code}" if times > _LONGEST_SHOWN_RUN else ", ".join([code] * times) for code, times in runs)
    return ", ".join(shown) or "nothing"


async def unsubscribe(stage: Stage, step: steps.Unsubscribe) -> None:
    """UNSUBSCRIBE, and what UNSUBACK must say."""
    player = await ready(stage, step.actor)
    since = len(stage.trace.entries)
    command = contract.Unsubscribe(
        id=player.driver.next_id(),
        topic_filters=tuple(stage.names.topic(each) for each in step.filters()),
        properties=_only_v5(stage, player, step.properties),
    )
    outcome = await _carry_out(stage, player, command, step.outcome)
    seen = stage.last_packet(player.name, PacketType.UNSUBACK, Sender.BROKER, since)
    _check_outcome("unsubscription", player, step.outcome, outcome, seen[0].index if seen else None)
    if seen is None or not isinstance(seen[1], UnsubAck) or step.reasons is None:
        return
    if stage.version_of(player.name) is not Version.V5:
        return
    wanted = _for_each(step.reasons, step.count)
    if wanted != seen[1].reasons:
        raise StepFailed(
            f"UNSUBACK with {_codes(wanted)}", f"it says {_codes(seen[1].reasons)}", trace_index=seen[0].index
        )


async def _carry_out(stage: Stage, player: Player, command: contract.AnyCommand, wanted: str) -> str:
    """Ask, and say how it went: done, refused, cut-off or pending."""
    if wanted == "pending":
        player.hand_over(command)
        return "pending"
    task = player.hand_over(command)
    if wanted == "cut-off":
        return await _until_cut(stage, player, [task])
    answer = await player.answer_of(task, command.do)
    if isinstance(answer, ErrorEvent):
        return "cut-off" if answer.error == "cut-off" else "refused"
    return "done"


def _check_outcome(what: str, player: Player, wanted: str, outcome: str, index: int | None) -> None:
    if wanted != outcome:
        raise StepFailed(f"the {what} of {player.name} to be {wanted}", f"it was {outcome}", trace_index=index)


# --- publish and acknowledge ------------------------------------------------------------------------------------------


async def publish(stage: Stage, step: steps.Publish) -> None:
    """One PUBLISH, or several handed over before waiting for any, very many by lots."""
    player = await ready(stage, step.actor)
    since = len(stage.trace.entries)
    messages = ((each, payload) for each in numbered(step) for payload in payloads_of(each.payload, each.payloads))
    if step.outcome in ("pending", "cut-off"):
        deliveries = [_hand_over(stage, player, each, payload) for each, payload in messages]
        player.deliveries += deliveries
        await asyncio.sleep(0)
        if step.outcome == "cut-off":
            outcome = await _until_cut(stage, player, [delivery.answer for delivery in deliveries])
            _check_outcome("publish", player, step.outcome, outcome, None)
        return
    reader = None if step.in_step_with is None else await ready(stage, step.in_step_with)
    came = 0 if reader is None else reader.inbox.came
    while lot := list(islice(messages, max(LOT, len(step.payloads)))):
        if step.count > LOT:
            stage.begin_action()
        await _publish_lot(stage, player, step, lot, since)
        came += len(lot)
        if reader is not None:
            await _keep_in_step(stage, reader, came)
    if step.count > 1:
        _check_all_published(stage, player, step, since)


async def _publish_lot(
    stage: Stage, player: Player, step: steps.Publish, lot: Iterable[tuple[steps.Publish, bytes]], since: int
) -> None:
    for delivery in [_hand_over(stage, player, each, payload) for each, payload in lot]:
        answer = await player.answer_of(delivery.answer, "publish")
        if step.count == 1 or isinstance(answer, ErrorEvent):
            _check_published(stage, player, step, delivery, answer, since)


async def _keep_in_step(stage: Stage, reader: Player, came: int) -> None:
    def has_come() -> bool | None:
        return True if reader.inbox.came >= came else None

    if await stage.until(has_come, stage.pace.now() + PATIENCE_SECONDS) is None:
        what = f"{reader.name} to keep up within {PATIENCE_SECONDS:g} s"
        raise StepFailed(what, f"{came - reader.inbox.came} messages did not come")


def _hand_over(stage: Stage, player: Player, step: steps.Publish, payload: bytes) -> Delivery:
    command = contract.Publish(
        id=player.driver.next_id(),
        topic=stage.names.topic(step.topic),
        payload=payload,
        qos=step.qos,
        retain=step.retain,
        properties=_only_v5(stage, player, step.properties),
    )
    return Delivery(command.topic, payload, player.hand_over(command))


def _check_published(
    stage: Stage, player: Player, step: steps.Publish, delivery: Delivery, answer: AnyEvent, since: int
) -> None:
    seen = publish_answer(stage, player.name, delivery, since)
    outcome = "done"
    if isinstance(answer, ErrorEvent):
        outcome = "cut-off" if answer.error == "cut-off" else "refused"
    elif seen is not None and seen[1] >= _ERROR:
        outcome = "refused"
    _check_outcome("publish", player, step.outcome, outcome, seen[0] if seen else None)
    if step.reason is not None and seen is not None and not reason_fits(step.reason, seen[1]):
        raise StepFailed(
            f"{shown_payload(delivery.payload)} to be acknowledged with {shown_reasons(step.reason)}",
            f"the broker said {shown_reasons(seen[1])}",
            trace_index=seen[0],
        )


def _check_all_published(stage: Stage, player: Player, step: steps.Publish, since: int) -> None:
    """As `_check_published` of very many that the application was told to be done, with one look at the trace."""
    for entry in stage.entries(player.name, since):
        packet = entry.packet
        if isinstance(packet, PubAck | PubRec) and entry.sender is Sender.BROKER:
            outcome = "refused" if packet.reason >= _ERROR else "done"
            _check_outcome("publish", player, step.outcome, outcome, entry.index)
            if step.reason is not None and not reason_fits(step.reason, packet.reason):
                wanted, said = shown_reasons(step.reason), shown_reasons(packet.reason)
                raise StepFailed(f"each acknowledged with {wanted}", f"the broker said {said}", trace_index=entry.index)


def publish_answer(stage: Stage, link: str, delivery: Delivery, since: int) -> tuple[int, int] | None:
    """The trace index and code of the PUBACK or PUBREC that answered a publish, if one was seen."""
    published = {
        entry.index
        for entry in stage.trace.publishes(link, delivery.topic, delivery.payload)
        if entry.sender is Sender.CLIENT and entry.index >= since
    }
    packet_id = None
    for entry in stage.entries(link, min(published)) if published else ():
        packet = entry.packet
        if isinstance(packet, PublishPacket) and entry.index in published:
            packet_id = packet.packet_id
        elif isinstance(packet, PubAck | PubRec) and entry.sender is Sender.BROKER and packet.packet_id == packet_id:
            return entry.index, packet.reason
    return None


async def _until_cut(stage: Stage, player: Player, answers: list[asyncio.Task[AnyEvent]]) -> str:
    """Wait until the link is cut or frozen before the answers came; `done` when they came first."""
    since = stage.action_index
    answered: list[asyncio.Task[AnyEvent]] = []
    for task in answers:
        task.add_done_callback(answered.append)

    def end() -> str | None:
        if any(not isinstance(task.result(), ErrorEvent) for task in answered):
            return "done"
        faults = (entry for entry in stage.trace.of(player.name, since, Kind.FAULT) if entry.fate is not Fate.INJECTED)
        return "cut-off" if answered or stage.closing(player.name, since) or any(faults) else None

    return await stage.until(end, stage.pace.now() + PATIENCE_SECONDS) or "pending"


async def ack(stage: Stage, step: steps.Ack) -> None:
    """A message acknowledged by hand."""
    player = await ready(stage, step.actor)
    wanted = None if step.payload is None else payload_bytes(step.payload)

    def candidate() -> Received | None:
        return next((each for each in player.inbox.unacknowledged if wanted in (None, each.event.payload)), None)

    message = await stage.until(candidate, stage.pace.now() + steps.PATIENCE_SECONDS)
    if message is None:
        raise StepFailed("a message to acknowledge", f"{player.name} has none")
    player.inbox.unacknowledged.remove(message)
    command = contract.Ack(id=player.driver.next_id(), message=message.event.message, reason=step.reason)
    answer = await player.ask(command)
    _require(answer, f"{player.name} to acknowledge")


def _require(answer: AnyEvent, what: str) -> None:
    if isinstance(answer, ErrorEvent):
        raise StepFailed(what, f"{answer.error}: {answer.detail or 'no detail'}")


Act = Callable[[Stage, Any], Awaitable[None]]

ACTS: dict[type[steps.AnyStep], Act] = {
    steps.Connect: connect,
    steps.Disconnect: disconnect,
    steps.Subscribe: subscribe,
    steps.Unsubscribe: unsubscribe,
    steps.Publish: publish,
    steps.Ack: ack,
    steps.Auth: auth,
}
