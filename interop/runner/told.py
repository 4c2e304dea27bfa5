"""The verbs that look at what an application is told: receive, nothing, completed, reported.

Belongs here: messages, results and endings as a client's application gets them; what it cannot observe, on the wire.
Does not belong here: what the two sides send each other (`on_the_wire`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from interop.drivers.contract import Disconnected, ErrorEvent, MessageEvent
from interop.runner.act import publish_answer
from interop.runner.connecting import ready
from interop.runner.failures import StepFailed
from interop.runner.matching import (
    payloads_of,
    property_mismatch,
    reason_fits,
    shown_payload,
    shown_reasons,
)
from interop.runner.player import HandedOver, Player, Received
from interop.runner.repeats import brought_by, who_repeats
from interop.runner.stage import Seen, Stage
from interop.runner.window import Observed, check_not_early, missed, seen_in_window
from interop.scenario import steps
from interop.scenario.numbered import numbered
from interop.scenario.values import payload_bytes
from interop.tap.trace import Sender, TraceEntry
from reference_broker.wire.packets import Publish, Will
from reference_broker.wire.types import ReasonCode, Version

OPTIONAL_SECONDS = 0.3
"""How long we wait for a message that may come but need not."""

LEFTOVER_SECONDS = 0.3
"""How long after the end of its connection an application may hear of what came before."""


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
            raise missed(stage, player.name, _expected_message(step, wanted, count), _instead(stage, player))
        at = _message_time(stage, player, message)
        check_not_early("the message", at, step.after, moment)
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

    def while_they_come() -> float:  # from far away they may take turns, each behind the one before
        newest = player.inbox.newest_at
        return max(moment + step.within, newest) + stage.pace.answer_seconds()

    if await _heard(stage, player, all_of_them, step, moment, step.count, while_they_come) is None:
        came = sum(player.inbox.oldest(topic) is not None for topic in wanted)
        what = f"{step.actor} to get {step.count} messages within {step.within:g} s"
        raise missed(stage, player.name, what, f"{came} came, and none on {stage.names.relative(missing[-1])!r}")
    at = moment
    for topic, payload in wanted.items():
        message = player.inbox.take(topic)
        at = max(at, message.at)
        _check_message(stage, player, step, message, None if payload is None else payload_bytes(payload))
    check_not_early("the last message", at, step.after, moment)
    return Observed(step.after, step.within, at - moment)


async def _heard(
    stage: Stage,
    player: Player,
    seen: Callable[[], Seen | None],
    step: steps.Receive | steps.Completed,
    moment: float,
    answers: int,
    at_most_until: Callable[[], float] = lambda: math.inf,
) -> Seen | None:
    """What an application hears in a step's window; little more once it was told of the end of its connection."""

    def last_chance() -> float:
        end, told = stage.end_of(player.name), player.inbox.endings
        began = stage.trace.entries[stage.last_open(player.name)].at
        if end is None or not told or told[-1][0] < began:
            return at_most_until()
        return min(at_most_until(), max(end.at, told[-1][0]) + LEFTOVER_SECONDS)

    return await seen_in_window(stage, seen, step, moment, answers, last_chance=last_chance)


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
        return await _heard(stage, player, next_one, step, moment, number)
    with stage.pace.waiting():  # nothing tells that no more will come
        found = await stage.until(next_one, stage.pace.now() + OPTIONAL_SECONDS)
        if found is None and not player.actor.manual_ack and stage.is_exchanging(player.name):
            found = await stage.until(next_one, stage.pace.now() + steps.WINDOW_SECONDS)  # one is on its way
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
    delivered = brought_by(stage, player, event)
    index = delivered[-1].index if delivered else None
    if payload is not None and event.payload != payload:
        raise StepFailed(
            shown_payload(payload),
            f"{player.name} got {shown_payload(event.payload)}",
            trace_index=index,
            by=who_repeats(stage, player, event),
        )
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
    found = [entry.packet.properties for entry in delivered if isinstance(entry.packet, Publish)]
    # An alias is the connection's affair: whether an application is shown it is left open, the wire is judged.
    without = [name for name in step.without if name != "topic_alias"]
    if event.properties is not None:
        wrong = property_mismatch(step.properties, without, event.properties, stage.names, passed_on=True)
    else:
        wrongs = [property_mismatch(step.properties, step.without, each, stage.names, passed_on=True) for each in found]
        wrong = None if None in wrongs else (wrongs or ["it is not on the wire"])[-1]
    if wrong:
        wanted = ", ".join([*step.properties, *(f"no {name}" for name in step.without)])
        came = [property_mismatch(step.properties, without, each, stage.names, passed_on=True) for each in found]
        by = Sender.CLIENT if event.properties and None in came else _who_differs(stage, step, event)
        raise StepFailed(f"a message with {wanted}", wrong, trace_index=index, by=by)


_OF_THE_BROKER = ("subscription_identifier", "topic_alias")


def _who_differs(stage: Stage, step: steps.Receive, event: MessageEvent) -> Sender | None:
    """The client, where no PUBLISH or will of that payload had these properties: a broker passes on what it got."""
    given = {name: value for name, value in step.properties.items() if name not in _OF_THE_BROKER}
    sent = [
        message.properties
        for entry in stage.trace
        for message in (entry.packet, getattr(entry.packet, "will", None))
        if entry.sender is Sender.CLIENT and isinstance(message, Publish | Will) and message.payload == event.payload
    ]
    is_unlike = sent and all(property_mismatch(given, (), each, stage.names, passed_on=True) for each in sent)
    return Sender.CLIENT if is_unlike else None


def _message_time(stage: Stage, player: Player, message: Received) -> float:
    """When a message came: on the wire where it is found there, because applications hear of it later."""
    found = [entry.at for entry in brought_by(stage, player, message.event) if entry.at <= message.at]
    return found[-1] if found else message.at


async def nothing(stage: Stage, step: steps.Nothing) -> Observed:
    """No message for that long."""
    player = await ready(stage, step.actor)
    moment = stage.moment
    topic = None if step.topic is None else stage.names.topic(step.topic)
    end = max(moment + step.seconds, stage.pace.now())
    await stage.quiet_until(end)
    unwanted = player.inbox.oldest(topic)
    if unwanted is not None:
        what = f"{shown_payload(unwanted.event.payload)} on {stage.names.relative(unwanted.event.topic)!r}"
        by = who_repeats(stage, player, unwanted.event)
        is_late = unwanted.at > end  # a machine that was late listened too long
        raise StepFailed(f"{player.name} to get nothing for {step.seconds:g} s", f"it got {what}", by=by, timed=is_late)
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
    stage: Stage, player: Player, step: steps.Completed, delivery: HandedOver, moment: float, number: int
) -> None:
    done = await _heard(stage, player, lambda: True if delivery.answer.done() else None, step, moment, number)
    if done is None:
        await player.prove_alive()
        what = f"{player.name} to be told that {shown_payload(delivery.payload)} is delivered within {step.within:g} s"
        raise missed(stage, player.name, what, "it was not")
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

    ending = await seen_in_window(stage, told, step, moment)
    if ending is None:
        raise StepFailed(f"{player.name}'s application to be told of the end within {step.within:g} s", "it was not")
    at, event = ending
    check_not_early("the report", at, step.after, moment)
    if step.reason is not None and event.reason is not None and event.reason != step.reason:
        raise StepFailed(f"reason {shown_reasons(step.reason)}", f"it was told {shown_reasons(event.reason)}")
    return Observed(step.after, step.within, at - moment)
