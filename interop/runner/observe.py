"""The verbs that only look: receive, wire, closed, ...

Belongs here: waiting, within a scenario's window, until something is seen, and saying what was seen instead.
Does not belong here: doing anything to client, broker or link (`act`, `fault`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from interop.drivers.contract import Disconnected, ErrorEvent, MessageEvent
from interop.runner.act import publish_answer, ready
from interop.runner.failures import StepFailed
from interop.runner.matching import (
    InOrder,
    counts_on_the_wire,
    fits,
    payloads_of,
    property_mismatch,
    reason_fits,
    shown_packet,
    shown_pattern,
    shown_payload,
    shown_reasons,
)
from interop.runner.player import Delivery, Player, Received
from interop.runner.stage import GRACE_SECONDS, Seen, Stage
from interop.scenario import steps
from interop.scenario.numbered import numbered
from interop.scenario.values import Pattern, payload_bytes
from interop.tap.trace import Fate, Kind, Sender, TraceEntry
from reference_broker.wire.packets import ConnAck, Disconnect, Publish
from reference_broker.wire.types import ReasonCode, Version

_Windowed = steps.Receive | steps.Completed | steps.Reported | steps.Wire | steps.Frame | steps.Closed

OPTIONAL_SECONDS = 0.3
"""How long we wait for a message that may come but need not."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What an observation's window was and when the thing was seen, in seconds since the last action."""

    after: float
    within: float
    at: float | None


async def _seen_in_window(
    stage: Stage, seen: Callable[[], Seen | None], step: _Windowed, moment: float, answers: int = 1
) -> Seen | None:
    """Wait for something within a step's window; time that passes because the window opens late is not work."""
    is_timed = "within" in step.model_fields_set
    with stage.pace.waiting() if step.after > 0 else nullcontext():
        return await stage.until(seen, moment + step.within, answers, is_timed=is_timed)


def _check_not_early(what: str, at: float, after: float, moment: float, index: int | None = None) -> None:
    if after > 0 and at - moment < after:  # without `after`, what came during the action counts too
        raise StepFailed(
            f"{what} not before {after:g} s", f"it came after {at - moment:.3f} s", trace_index=index, timed=True
        )


# --- what an application is told --------------------------------------------------------------------------------------


async def receive(stage: Stage, step: steps.Receive) -> Observed:
    """Messages the application gets, in order."""
    player = await ready(stage, step.actor)
    return await (_receive_many if step.count > 1 else _receive)(stage, player, step)


async def _receive(stage: Stage, player: Player, step: steps.Receive) -> Observed:
    moment = stage.moment
    payloads = payloads_of(step.payload, step.payloads) or (None,)
    least, most = _bounds(step, len(payloads))
    wanted: list[bytes | None] = [*payloads] if len(payloads) > 1 else [payloads[0]] * most
    at: float | None = None
    for count in range(most):
        obligatory = count < least
        message = await _next_message(stage, player, step, moment, count + 1, obligatory=obligatory)
        if message is None and not obligatory:
            break
        if message is None:
            raise StepFailed(_expected_message(step, wanted, count), _instead(stage, player))
        at = _message_time(stage, player, message)
        _check_not_early("the message", at, step.after, moment)
        player.inbox.take(message.event.topic)
        expected = _expected_payload(message, wanted, unordered=step.unordered)
        _check_message(stage, player, step, message, expected)
    return Observed(step.after, step.within, None if at is None else at - moment)


async def _receive_many(stage: Stage, player: Player, step: steps.Receive) -> Observed:
    """The next message of each of very many topics, waited for together."""
    moment = stage.moment
    wanted = {stage.names.topic(each.topic): each.payload for each in numbered(step)}
    missing = list(reversed(wanted))

    def all_of_them() -> bool | None:
        while missing and player.inbox.oldest(missing[-1]) is not None:
            missing.pop()
        return None if missing else True

    if await _seen_in_window(stage, all_of_them, step, moment, step.count) is None:
        came = sum(player.inbox.oldest(topic) is not None for topic in wanted)
        what = f"{step.actor} to get {step.count} messages within {step.within:g} s"
        raise StepFailed(what, f"{came} came, and none on {stage.names.relative(missing[-1])!r}")
    at = moment
    for topic, payload in wanted.items():
        message = player.inbox.take(topic)
        at = max(at, message.at)
        _check_message(stage, player, step, message, None if payload is None else payload_bytes(payload))
    _check_not_early("the last message", at, step.after, moment)
    return Observed(step.after, step.within, at - moment)


def _bounds(step: steps.Receive, payloads: int) -> tuple[int, int]:
    if payloads > 1:
        return payloads, payloads
    if isinstance(step.times, int):
        return step.times, step.times
    return step.times.at_least, step.times.at_most


async def _next_message(
    stage: Stage, player: Player, step: steps.Receive, moment: float, number: int, *, obligatory: bool
) -> Received | None:
    topic = stage.names.topic(step.topic)

    def next_one() -> Received | None:
        return player.inbox.oldest(topic)

    if obligatory:
        return await _seen_in_window(stage, next_one, step, moment, number)
    with stage.pace.waiting():  # nothing tells that no more will come
        found = await stage.until(next_one, stage.pace.now() + OPTIONAL_SECONDS)
        if found is None and not player.actor.manual_ack and stage.is_exchanging(player.name):
            found = await stage.until(next_one, stage.pace.now() + steps.PATIENCE_SECONDS)  # one is on its way
    return found


def _expected_message(step: steps.Receive, wanted: list[bytes | None], count: int) -> str:
    """What was missed; `wanted` is what has not come yet, `count` how many came."""
    payload = wanted[0]
    what = "a message" if payload is None else shown_payload(payload)
    so_far = f"{count} of {count + len(wanted)} so far"
    return f"{step.actor} to get {what} on {step.topic!r} within {step.within:g} s ({so_far})"


def _instead(stage: Stage, player: Player) -> str:
    other = player.inbox.oldest()
    if other is None:
        return "nothing came"
    return f"only {shown_payload(other.event.payload)} came, on {stage.names.relative(other.event.topic)!r}"


def _expected_payload(message: Received, wanted: list[bytes | None], *, unordered: bool) -> bytes | None:
    if unordered and message.event.payload in wanted:
        wanted.remove(message.event.payload)
        return message.event.payload
    return wanted.pop(0)


def _check_message(
    stage: Stage,
    player: Player,
    step: steps.Receive,
    message: Received,
    payload: bytes | None,
) -> None:
    event = message.event
    delivered = _on_the_wire(stage, player, event)
    index = delivered[-1].index if delivered else None
    if payload is not None and event.payload != payload:
        raise StepFailed(shown_payload(payload), f"{player.name} got {shown_payload(event.payload)}", trace_index=index)
    for name in ("qos", "retain", "dup"):
        wanted = getattr(step, name)
        if wanted is None:
            continue
        told = getattr(event, name)
        on_wire = [getattr(entry.packet, name) for entry in delivered]
        # What the application cannot observe is looked at on the wire.
        if (told is not None and told != wanted) or (told is None and wanted not in on_wire):
            seen = [told] if told is not None else on_wire
            said = " and ".join(str(int(each)) for each in seen) or "on no packet"
            raise StepFailed(f"{name} {int(wanted)}", f"it is {said}", trace_index=index)
    if (step.properties or step.without) and stage.version_of(player.name) is Version.V5:
        _check_message_properties(stage, step, event, delivered, index)


def _check_message_properties(
    stage: Stage, step: steps.Receive, event: MessageEvent, delivered: list[TraceEntry], index: int | None
) -> None:
    if event.properties is not None:
        wrong = property_mismatch(step.properties, step.without, event.properties, stage.names)
    else:
        found = [entry.packet.properties for entry in delivered if isinstance(entry.packet, Publish)]
        wrongs = [property_mismatch(step.properties, step.without, each, stage.names) for each in found]
        wrong = None if None in wrongs else (wrongs or ["it is not on the wire"])[-1]
    if wrong:
        wanted = ", ".join([*step.properties, *(f"no {name}" for name in step.without)])
        raise StepFailed(f"a message with {wanted}", wrong, trace_index=index)


def _on_the_wire(stage: Stage, player: Player, event: MessageEvent) -> list[TraceEntry]:
    """The PUBLISH packets that may have brought a message: same payload, same topic (or a topic alias)."""
    return [
        entry
        for entry in stage.trace.publishes(player.name, event.topic, event.payload)
        if entry.delivered and entry.receiver is Sender.CLIENT
    ]


def _message_time(stage: Stage, player: Player, message: Received) -> float:
    """When a message came: on the wire where it is found there, because applications hear of it later."""
    found = [entry.at for entry in _on_the_wire(stage, player, message.event) if entry.at <= message.at]
    return found[-1] if found else message.at


async def nothing(stage: Stage, step: steps.Nothing) -> Observed:
    """No message for that long."""
    player = await ready(stage, step.actor)
    moment = stage.moment
    topic = None if step.topic is None else stage.names.topic(step.topic)
    await stage.quiet_until(moment + step.seconds)
    unwanted = player.inbox.oldest(topic)
    if unwanted is not None:
        what = f"{shown_payload(unwanted.event.payload)} on {stage.names.relative(unwanted.event.topic)!r}"
        raise StepFailed(f"{player.name} to get nothing for {step.seconds:g} s", f"it got {what}")
    return Observed(0.0, step.seconds, None)


async def completed(stage: Stage, step: steps.Completed) -> Observed:
    """Publishes left pending or cut off are reported as delivered."""
    player = stage.players[step.actor]
    moment = stage.moment
    for number in range(1, step.times + 1):
        if not player.deliveries:
            raise StepFailed("a publish still to be completed", f"{player.name} has none")
        await _complete(stage, player, step, player.deliveries.popleft(), moment, number)
    return Observed(step.after, step.within, stage.pace.now() - moment)


# A PUBCOMP with it only says that the receiver had finished already, which is no error in recovery. [5.0 3.7.2.1]
_NO_ERROR_IN_RECOVERY = {ReasonCode.PACKET_IDENTIFIER_NOT_FOUND}


async def _complete(
    stage: Stage, player: Player, step: steps.Completed, delivery: Delivery, moment: float, number: int
) -> None:
    done = await _seen_in_window(stage, lambda: True if delivery.answer.done() else None, step, moment, number)
    if done is None:
        await player.prove_alive()
        raise StepFailed(
            f"{player.name} to be told that {shown_payload(delivery.payload)} is delivered within {step.within:g} s",
            "it was not",
        )
    answer = delivery.answer.result()
    if isinstance(answer, ErrorEvent) and answer.error != "cut-off" and answer.reason not in _NO_ERROR_IN_RECOVERY:
        raise StepFailed(f"{shown_payload(delivery.payload)} to be delivered", f"{answer.error}: {answer.detail}")
    if step.reason is None:
        return
    seen = publish_answer(stage, player.name, delivery, 0)
    if seen is not None and not reason_fits(step.reason, seen[1]):
        raise StepFailed(
            f"code {shown_reasons(step.reason)}", f"the broker said {shown_reasons(seen[1])}", trace_index=seen[0]
        )


async def reported(stage: Stage, step: steps.Reported) -> Observed:
    """The application was told that its connection ended."""
    player = stage.players[step.actor]
    moment = stage.moment

    def told() -> tuple[float, Disconnected] | None:
        return next((each for each in player.inbox.endings if each[0] >= moment), None)

    ending = await _seen_in_window(stage, told, step, moment)
    if ending is None:
        raise StepFailed(f"{player.name}'s application to be told of the end within {step.within:g} s", "it was not")
    at, event = ending
    _check_not_early("the report", at, step.after, moment)
    if step.reason is not None and event.reason is not None and event.reason != step.reason:
        raise StepFailed(f"reason {shown_reasons(step.reason)}", f"it was told {shown_reasons(event.reason)}")
    return Observed(step.after, step.within, at - moment)


# --- what is on the wire ----------------------------------------------------------------------------------------------


async def wire(stage: Stage, step: steps.Wire) -> Observed:
    """Packets on a link."""
    moment = stage.moment
    start = _start(stage, step)
    at: float | None = None
    if step.contains is not None:
        at = await _wire_contains(stage, step, step.contains, start, moment)
    elif step.exactly is not None:
        at = await _wire_exactly(stage, step, step.exactly, start, moment)
    else:
        await _wire_never(stage, step, step.never or (), start, moment)
    return Observed(step.after, step.within, None if at is None else at - moment)


def _start(stage: Stage, step: steps.Wire) -> int:
    if step.since == "start":
        return 0
    if step.since == "connect":
        return stage.last_open(step.link)
    if step.since == "cut":
        fault = stage.trace.last_fault(step.link)
        return 0 if fault is None else fault
    return stage.marks[step.since]


class _Packets:
    """What the two sides sent from a moment on. What was lost in the very cut one counts from is no part of it.

    What an earlier, silenced connection still carries is no part of what follows `connect`.
    """

    def __init__(self, stage: Stage, step: steps.Wire, start: int) -> None:
        self._stage = stage
        self._step = step
        self._next = start
        entries = stage.trace.entries
        self._only = entries[start].connection if step.since == "connect" and entries else None

    def news(self) -> list[TraceEntry]:
        """What was sent since the last call: who waits looks at each packet once."""
        new = list(self._stage.entries(self._step.link, self._next))
        self._next = len(self._stage.trace)
        return [entry for entry in new if self._counts(entry)]

    def _counts(self, entry: TraceEntry) -> bool:
        step = self._step
        is_data = entry.kind in (Kind.PACKET, Kind.MALFORMED)
        if not is_data or not entry.sent or step.sender not in (None, entry.sender.value):
            return False
        return not (step.since == "cut" and entry.fate is Fate.LOST) and self._only in (None, entry.connection)


async def _wire_contains(
    stage: Stage, step: steps.Wire, patterns: tuple[Pattern, ...], start: int, moment: float
) -> float:
    packets = _Packets(stage, step, start)
    seen: list[TraceEntry] = []
    order = InOrder(patterns, stage.names)

    def found() -> bool | None:
        for entry in packets.news():
            seen.append(entry)
            order.look(entry)
        return True if order.missing is None else None

    await _seen_in_window(stage, found, step, moment, len(patterns))
    if order.missing is not None:
        what = f"{shown_pattern(order.missing)} on the link of {step.link} within {step.within:g} s"
        raise StepFailed(what, f"there was {_listed(seen)}")
    last = next(entry for entry in reversed(seen) if fits(patterns[-1], entry, stage.names))
    _check_not_early(shown_pattern(patterns[-1]), last.at, step.after, moment, last.index)
    return last.at


async def _wire_exactly(
    stage: Stage, step: steps.Wire, patterns: tuple[Pattern, ...], start: int, moment: float
) -> float | None:
    packets = _Packets(stage, step, start)
    seen: list[TraceEntry] = []

    def enough() -> bool | None:
        seen.extend(entry for entry in packets.news() if counts_on_the_wire(entry, patterns))
        return True if len(seen) >= len(patterns) else None

    await _seen_in_window(stage, enough, step, moment, max(1, len(patterns)))
    await stage.quiet_until(stage.pace.now() + GRACE_SECONDS)
    enough()
    wrong = next(
        (
            place
            for place, (pattern, entry) in enumerate(zip(patterns, seen, strict=False))
            if not fits(pattern, entry, stage.names)
        ),
        None,
    )
    if wrong is None and len(seen) == len(patterns):
        if seen:
            _check_not_early("the last of them", seen[-1].at, step.after, moment, seen[-1].index)
        return seen[-1].at if seen else None
    place = wrong if wrong is not None else min(len(seen), len(patterns))
    index = seen[place].index if place < len(seen) else None
    wanted = ", ".join(shown_pattern(pattern) for pattern in patterns) or "nothing"
    raise StepFailed(f"exactly {wanted} on the link of {step.link}", f"there was {_listed(seen)}", trace_index=index)


async def _wire_never(stage: Stage, step: steps.Wire, patterns: tuple[Pattern, ...], start: int, moment: float) -> None:
    await stage.quiet_until(max(moment + step.after, stage.pace.now() + GRACE_SECONDS))
    for entry in _Packets(stage, step, start).news():
        for pattern in patterns:
            if fits(pattern, entry, stage.names):
                raise StepFailed(
                    f"no {shown_pattern(pattern)} on the link of {step.link}", "there was one", trace_index=entry.index
                )


def _listed(entries: list[TraceEntry], most: int = 12) -> str:
    names = [shown_packet(entry) for entry in entries]
    shown = ", ".join(names[-most:]) or "nothing"
    return f"... {shown}" if len(names) > most else shown


async def frame(stage: Stage, step: steps.Frame) -> Observed:
    """A WebSocket control frame of one side."""
    moment = stage.moment
    since = stage.action_index
    name = step.what.upper()
    payload = None if step.payload is None else payload_bytes(step.payload)

    def found() -> TraceEntry | None:
        return next(
            (
                entry
                for entry in stage.trace.of(step.link, since, Kind.FRAME)
                if entry.note == name and entry.sender.value == step.sender and payload in (None, entry.data)
            ),
            None,
        )

    seen = await _seen_in_window(stage, found, step, moment)
    if seen is None:
        what = name if payload is None else f"{name} with {shown_payload(payload)}"
        raise StepFailed(f"{what} from the {step.sender} on the link of {step.link} within {step.within:g} s", "none")
    _check_not_early(name, seen.at, step.after, moment, seen.index)
    return Observed(step.after, step.within, seen.at - moment)


async def closed(stage: Stage, step: steps.Closed) -> Observed:
    """The network connection is closed by one side, or ended by its DISCONNECT."""
    moment = stage.moment
    since = stage.action_index
    side = Sender(step.by)
    ending = await _seen_in_window(stage, lambda: stage.closing(step.link, since, side), step, moment)
    if ending is None:
        raise StepFailed(
            f"the link of {step.link} to be closed by the {step.by} within {step.within:g} s", "it stayed open"
        )
    if ending.sender is not side and not _had_ended_it(stage, step, ending):
        raise StepFailed(
            f"the link of {step.link} to be closed by the {step.by}",
            f"the {ending.sender} closed it",
            trace_index=ending.index,
            by=_on_its_own(stage, ending, since),
            timed=True,
        )
    _check_not_early("the end of the connection", ending.at, step.after, moment, ending.index)
    if step.reason is not None and stage.version_of(step.link) is Version.V5:
        _check_closing_reason(stage, step, ending)
    return Observed(step.after, step.within, ending.at - moment)


def _on_its_own(stage: Stage, ending: TraceEntry, since: int) -> Sender | None:
    """Who closed, unless what the peer sent meanwhile may have been why: an answer to what was not asked, say."""
    if ending.sender is Sender.HARNESS:
        return None
    got = stage.entries(ending.link, since)
    provoked = any(
        entry.delivered and entry.receiver is ending.sender and entry.sender is ending.sender.peer
        for entry in got
        if entry.connection == ending.connection and entry.index < ending.index
    )
    return None if provoked else ending.sender


def _had_ended_it(stage: Stage, step: steps.Closed, ending: TraceEntry) -> bool:
    """Whether that side's DISCONNECT or refusal came first, so that the other side was only quicker to close."""
    return any(
        entry.connection == ending.connection and entry.index < ending.index and entry.sender.value == step.by
        for entry in stage.entries(step.link)
        if entry.delivered
        and (isinstance(entry.packet, Disconnect) or (isinstance(entry.packet, ConnAck) and entry.packet.reason))
    )


def _check_closing_reason(stage: Stage, step: steps.Closed, ending: TraceEntry) -> None:
    codes = [
        entry.packet.reason
        for entry in stage.entries(step.link)
        if entry.connection == ending.connection
        and isinstance(entry.packet, Disconnect | ConnAck)
        and entry.sender.value == step.by
        and entry.index < ending.index
    ]
    if not codes or not reason_fits(step.reason, codes[-1]):
        raise StepFailed(
            f"code {shown_reasons(step.reason)} before the end",
            f"there was {shown_reasons(codes[-1] if codes else None)}",
            trace_index=ending.index,
        )


async def stays_open(stage: Stage, step: steps.StaysOpen) -> Observed:
    """The network connection is still there after that long."""
    moment = stage.moment
    await stage.quiet_until(moment + step.seconds)
    ending = stage.closing(step.link, stage.last_open(step.link))
    if ending is not None and ending.kind is Kind.CLOSE:
        raise StepFailed(
            f"the link of {step.link} to stay open for {step.seconds:g} s",
            f"the {ending.sender} closed it after {ending.at - moment:.3f} s",
            trace_index=ending.index,
            by=_on_its_own(stage, ending, stage.action_index),
            timed=True,
        )
    return Observed(0.0, step.seconds, None)


OBSERVATIONS: dict[type[steps.AnyStep], Callable[[Stage, Any], Awaitable[Observed]]] = {
    steps.Receive: receive,
    steps.Nothing: nothing,
    steps.Completed: completed,
    steps.Reported: reported,
    steps.Wire: wire,
    steps.Frame: frame,
    steps.Closed: closed,
    steps.StaysOpen: stays_open,
}
