"""The verbs that applications do on a connection: subscribe, publish, acknowledge, ...; and the table of them all.

Belongs here: carrying out an actor's verb and checking the broker's direct answer to it, on the wire.
Does not belong here: the connection (`connecting`), faults (`fault`), what only waits to be seen (`observe`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby, islice
from typing import Any

from interop.drivers import contract
from interop.drivers.contract import AnyEvent, ErrorEvent
from interop.drivers.driver import DriverRubbish
from interop.runner.connecting import connect, disconnect, only_v5, ready, require
from interop.runner.failures import StepFailed
from interop.runner.matching import (
    payloads_of,
    property_mismatch,
    property_values,
    reason_fits,
    shown,
    shown_payload,
    shown_reasons,
)
from interop.runner.player import ANSWER_SECONDS, HandedOver, Player, Received
from interop.runner.stage import Stage
from interop.runner.verdict import REFERENCE_CLIENT
from interop.runner.window import is_ours, on_its_own
from interop.scenario import steps
from interop.scenario.numbered import numbered
from interop.scenario.values import payload_bytes
from interop.tap.trace import Fate, Kind, Sender
from reference_broker.wire.packets import PubAck, PubComp, PubRec, PubRel, SubAck, UnsubAck
from reference_broker.wire.packets import Publish as PublishPacket
from reference_broker.wire.packets import Subscribe as SubscribePacket
from reference_broker.wire.types import PacketType, Version, is_error

LOT = 500
"""So many messages of a `count` are handed over at a time: what queues of clients and brokers usually hold."""

_LONGEST_SHOWN_RUN = 3


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
        by = _who_cut_off(stage, player) if outcome == "cut-off" else None
        raise StepFailed(f"the re-authentication of {player.name} to be {step.outcome}", f"it was {outcome}", by=by)


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
        id=player.driver.next_id(), subscriptions=requests, properties=only_v5(stage, player, step.properties)
    )
    outcome, why = await _carry_out(stage, player, command, step.outcome)
    seen = stage.last_packet(player.name, PacketType.SUBACK, Sender.BROKER, since)
    if seen is None or not isinstance(seen[1], SubAck):
        # Our own client says no only where the broker gave it a reason, in CONNACK say.
        by = None if stage.cell.client == REFERENCE_CLIENT else Sender.CLIENT
        _check_outcome(stage, "subscription", player, step.outcome, outcome, None, why, by=by)
        return
    index, reasons = seen[0].index, seen[1].reasons
    if outcome == "done":
        outcome = "refused" if all(map(is_error, reasons)) else "done"
    _check_outcome(stage, "subscription", player, step.outcome, outcome, index)
    _check_granted(stage, player, step, reasons, index)
    wrong = property_mismatch(step.answer, (), seen[1].properties, stage.names)
    if wrong:
        raise StepFailed(f"SUBACK with {shown(step.answer)}", wrong, trace_index=index)


def _check_granted(stage: Stage, player: Player, step: steps.Subscribe, reasons: tuple[int, ...], index: int) -> None:
    """SUBACK answers in the order in which the client asked, which need not be the application's. [5.0 MQTT-3.9.3-1]"""
    if step.granted is None:
        return
    wanted = _for_each(step.granted, step.count)
    asked = stage.last_packet(player.name, PacketType.SUBSCRIBE, Sender.CLIENT)
    if asked is not None and isinstance(asked[1], SubscribePacket):
        places = {stage.names.topic(request.topic): place for place, request in enumerate(step.requests())}
        order = [places.get(each.topic_filter) for each in asked[1].subscriptions]
        if sorted(place for place in order if place is not None) == list(range(len(wanted))):
            wanted = tuple(wanted[place] for place in order if place is not None)
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
        properties=only_v5(stage, player, step.properties),
    )
    outcome, why = await _carry_out(stage, player, command, step.outcome)
    seen = stage.last_packet(player.name, PacketType.UNSUBACK, Sender.BROKER, since)
    _check_outcome(stage, "unsubscription", player, step.outcome, outcome, seen[0].index if seen else None, why)
    if seen is None or not isinstance(seen[1], UnsubAck) or step.reasons is None:
        return
    if stage.version_of(player.name) is not Version.V5:
        return
    wanted = _for_each(step.reasons, step.count)
    if wanted != seen[1].reasons:
        raise StepFailed(
            f"UNSUBACK with {_codes(wanted)}", f"it says {_codes(seen[1].reasons)}", trace_index=seen[0].index
        )


async def _carry_out(stage: Stage, player: Player, command: contract.AnyCommand, wanted: str) -> tuple[str, str]:
    """Ask, and say how it went (done, refused, cut-off or pending), and why where the client says that."""
    if wanted == "pending":
        player.hand_over(command)
        return "pending", ""
    task = player.hand_over(command)
    if wanted == "cut-off":
        return await _until_cut(stage, player, [task]), ""
    answer = await player.answer_of(task, command.do)
    if isinstance(answer, ErrorEvent):
        return "cut-off" if answer.error == "cut-off" else "refused", answer.detail
    return "done", ""


def _check_outcome(
    stage: Stage,
    what: str,
    player: Player,
    wanted: str,
    outcome: str,
    index: int | None,
    why: str = "",
    by: Sender | None = None,
) -> None:
    """`by` is who it was that said no, where that was one side alone."""
    if wanted != outcome:
        who = _who_cut_off(stage, player) if outcome == "cut-off" else by if outcome == "refused" else None
        observed = f"it was {outcome}" + (f" ({why})" if why else "")
        raise StepFailed(f"the {what} of {player.name} to be {wanted}", observed, trace_index=index, by=who)


def _who_cut_off(stage: Stage, player: Player) -> Sender | None:
    """Who closed of its own accord. Our own two, before this action, did so for what was wrong only."""
    end = stage.end_of(player.name)
    if end is None or (end.index < stage.action_index and is_ours(stage, end.sender)):
        return None
    return on_its_own(stage, end)


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
            _check_outcome(stage, "publish", player, step.outcome, outcome, None)
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
        try:
            answer = await player.answer_of(delivery.answer, "publish")
        except StepFailed as failure:
            failure.by = _who_says_no_more(stage, player, delivery, since)
            raise
        if step.count == 1 or isinstance(answer, ErrorEvent):
            _check_published(stage, player, step, delivery, answer, since)


async def _keep_in_step(stage: Stage, reader: Player, came: int) -> None:
    def has_come() -> bool | None:
        return True if reader.inbox.came >= came else None

    if await stage.until(has_come, stage.pace.now() + ANSWER_SECONDS) is None:
        what = f"{reader.name} to keep up within {ANSWER_SECONDS:g} s"
        raise StepFailed(what, f"{came - reader.inbox.came} messages did not come")


def _hand_over(stage: Stage, player: Player, step: steps.Publish, payload: bytes) -> HandedOver:
    command = contract.Publish(
        id=player.driver.next_id(),
        topic=stage.names.topic(step.topic),
        payload=payload,
        qos=step.qos,
        retain=step.retain,
        properties=only_v5(stage, player, step.properties),
    )
    return HandedOver(command.topic, payload, player.hand_over(command))


def _check_published(
    stage: Stage, player: Player, step: steps.Publish, delivery: HandedOver, answer: AnyEvent, since: int
) -> None:
    seen = publish_answer(stage, player.name, delivery, since)
    outcome = "done"
    if isinstance(answer, ErrorEvent):
        outcome = "cut-off" if answer.error == "cut-off" else "refused"
    elif seen is not None and is_error(seen[1]):
        outcome = "refused"
    _check_outcome(stage, "publish", player, step.outcome, outcome, seen[0] if seen else None)
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
            outcome = "refused" if is_error(packet.reason) else "done"
            _check_outcome(stage, "publish", player, step.outcome, outcome, entry.index)
            if step.reason is not None and not reason_fits(step.reason, packet.reason):
                wanted, said = shown_reasons(step.reason), shown_reasons(packet.reason)
                raise StepFailed(f"each acknowledged with {wanted}", f"the broker said {said}", trace_index=entry.index)


def publish_answer(stage: Stage, link: str, delivery: HandedOver, since: int) -> tuple[int, int] | None:
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


_TO_THE_PUBLISHER = (PubAck, PubRec, PubComp)


def _who_says_no_more(stage: Stage, player: Player, delivery: HandedOver, since: int) -> Sender | None:
    """The client, where what it waited for reached it last: a broker that answers is not to blame for its silence."""
    seen = publish_answer(stage, player.name, delivery, since)
    if seen is None:
        return None
    answer = stage.trace.entries[seen[0]]
    packet_id = getattr(answer.packet, "packet_id", None)
    for entry in stage.entries(player.name, answer.index + 1):
        kinds: Any = _TO_THE_PUBLISHER if entry.sender is Sender.BROKER else PubRel
        if isinstance(entry.packet, kinds) and getattr(entry.packet, "packet_id", None) == packet_id:
            answer = entry
    return Sender.CLIENT if answer.sender is Sender.BROKER and answer.delivered else None


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

    return await stage.until(end, stage.pace.now() + ANSWER_SECONDS) or "pending"


async def ack(stage: Stage, step: steps.Ack) -> None:
    """A message acknowledged by hand."""
    player = await ready(stage, step.actor)
    wanted = None if step.payload is None else payload_bytes(step.payload)

    def candidate() -> Received | None:
        return next((each for each in player.inbox.unacknowledged if wanted in (None, each.event.payload)), None)

    message = await stage.until(candidate, stage.pace.now() + steps.WINDOW_SECONDS)
    if message is None:
        raise StepFailed("a message to acknowledge", f"{player.name} has none")
    player.inbox.unacknowledged.remove(message)
    if message.event.message is None:
        raise DriverRubbish(f"{player.name} has `manual-ack`, and its `message` no number for `ack` to name it by")
    command = contract.Ack(id=player.driver.next_id(), message=message.event.message, reason=step.reason)
    answer = await player.ask(command)
    if isinstance(answer, ErrorEvent) and answer.error == "cut-off":
        raise StepFailed(f"{player.name} to acknowledge", "it was cut-off", by=_who_cut_off(stage, player))
    require(answer, f"{player.name} to acknowledge")


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
