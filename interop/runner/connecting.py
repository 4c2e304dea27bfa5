"""An actor's connection: the verbs connect and disconnect, and being connected when a step first needs it.

Belongs here: CONNECT as an actor and a step ask for it, and what CONNACK must say.
Does not belong here: what is done on a connection (`act`) or to it (`fault`).
"""

from __future__ import annotations

from typing import Any

from interop.drivers import contract
from interop.drivers.contract import AnyEvent, ErrorEvent, PropertyValues
from interop.runner.failures import SetupFailed, StepFailed
from interop.runner.matching import (
    property_mismatch,
    property_values,
    reason_fits,
    shown,
    shown_reasons,
)
from interop.runner.player import Player
from interop.runner.stage import Stage
from interop.runner.verdict import REFERENCE_BROKER, REFERENCE_CLIENT
from interop.scenario import steps
from interop.scenario.model import Actor
from interop.scenario.values import payload_bytes
from interop.tap.trace import Kind, Sender
from reference_broker.wire.packets import ConnAck
from reference_broker.wire.packets import Connect as ConnectPacket
from reference_broker.wire.types import PacketType, Version

KEPT_SESSION_EXPIRY_SECONDS = 300
"""Session Expiry Interval of a `kept` session that names none. [5.0 3.1.2.11.2]"""

_LOSS_NOTICE_SECONDS = 1.0


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
    outcome = _outcome(answer, connack[1].reason if connack and isinstance(connack[1], ConnAck) else None)
    if outcome not in step.outcomes():
        detail = f": {answer.detail}" if isinstance(answer, ErrorEvent) and answer.detail else ""
        wanted = " or ".join(step.outcomes())
        raise StepFailed(f"the connection of {player.name} to be {wanted}", f"it was {outcome}{detail}")
    if connack is not None and isinstance(connack[1], ConnAck):
        _check_connack(stage, step, connack[0].index, connack[1], stage.version_of(player.name))


def _outcome(answer: AnyEvent, wire_reason: int | None) -> str:
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
            by=_answered_by(stage),
        )
    # 3.1 has no such flag: the byte is reserved. [3.1 3.2]
    has_flag = version is not Version.V31
    if has_flag and step.session_present not in (None, connack.session_present):
        raise StepFailed(
            f"Session Present {int(step.session_present)}",
            f"it is {int(connack.session_present)}",
            trace_index=index,
            by=_answered_by(stage),
        )
    wrong = property_mismatch(step.answer, (), connack.properties, stage.names)
    if wrong and version is Version.V5:
        raise StepFailed(f"CONNACK with {shown(step.answer)}", wrong, trace_index=index, by=_answered_by(stage))


def _answered_by(stage: Stage) -> Sender | None:
    """Who a wrong CONNACK is of: the broker, where we know that the client asked for what it was to ask for."""
    cell = stage.cell
    is_known = cell.client == REFERENCE_CLIENT and cell.broker != REFERENCE_BROKER
    return Sender.BROKER if is_known else None


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
    return only_v5(stage, player, written)


def _will(stage: Stage, player: Player) -> contract.WillMessage | None:
    will = player.actor.will
    if will is None:
        return None
    return contract.WillMessage(
        topic=stage.names.topic(will.topic),
        payload=payload_bytes(will.payload),
        qos=will.qos,
        retain=will.retain,
        properties=only_v5(stage, player, will.properties),
    )


def only_v5(stage: Stage, player: Player, written: dict[str, Any]) -> PropertyValues:
    """Properties as a step writes them, where the actor's version has any."""
    return property_values(written, stage.names) if stage.version_of(player.name) is Version.V5 else contract.NONE


async def disconnect(stage: Stage, step: steps.Disconnect) -> None:
    """DISCONNECT, then the end of the network connection."""
    player = await ready(stage, step.actor)
    command = contract.Disconnect(
        id=player.driver.next_id(), reason=step.reason, properties=only_v5(stage, player, step.properties)
    )
    answer = await player.ask(command)
    player.connected = False
    require(answer, f"{player.name} to disconnect")
    await stage.broker_notices(player.name)


def require(answer: AnyEvent, what: str) -> None:
    """Raise StepFailed unless a client could do what it was asked."""
    if isinstance(answer, ErrorEvent):
        raise StepFailed(what, f"{answer.error}: {answer.detail or 'no detail'}")
