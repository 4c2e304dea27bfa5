"""The verbs that look at a link: wire, frame, closed, stays_open.

Belongs here: packets, frames and ends of connections, as the tap saw them.
Does not belong here: what an application is told of them (`told`), what is right or wrong in general (`interop.judge`).
"""

from __future__ import annotations

from collections.abc import Callable

from interop.runner.failures import StepFailed
from interop.runner.matching import (
    InOrder,
    counts_on_the_wire,
    fits,
    reason_fits,
    shown_packet,
    shown_pattern,
    shown_payload,
    shown_reasons,
)
from interop.runner.stage import GRACE_SECONDS, Seen, Stage
from interop.runner.window import Observed, check_not_early, missed, on_its_own, seen_in_window
from interop.scenario import steps
from interop.scenario.values import Pattern, payload_bytes
from interop.tap.trace import Fate, Kind, Sender, TraceEntry
from reference_broker.wire.packets import ConnAck, Disconnect
from reference_broker.wire.types import Version


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


async def _seen(
    stage: Stage,
    seen: Callable[[], Seen | None],
    step: steps.Wire | steps.Frame | steps.Closed,
    moment: float,
    answers: int = 1,
) -> Seen | None:
    """What is seen on a link in a step's window; once its connections have ended, nothing more is."""

    def last_chance() -> float | None:
        end = stage.end_of(step.link)
        return None if end is None else end.at

    return await seen_in_window(stage, seen, step, moment, answers, last_chance=last_chance)


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

    await _seen(stage, found, step, moment, len(patterns))
    if order.missing is not None:
        what = f"{shown_pattern(order.missing)} on the link of {step.link} within {step.within:g} s"
        raise missed(stage, step.link, what, f"there was {_listed(seen)}")
    last = next(entry for entry in reversed(seen) if fits(patterns[-1], entry, stage.names))
    check_not_early(shown_pattern(patterns[-1]), last.at, step.after, moment, last.index)
    return last.at


async def _wire_exactly(
    stage: Stage, step: steps.Wire, patterns: tuple[Pattern, ...], start: int, moment: float
) -> float | None:
    packets = _Packets(stage, step, start)
    seen: list[TraceEntry] = []

    def enough() -> bool | None:
        seen.extend(entry for entry in packets.news() if counts_on_the_wire(entry, patterns))
        return True if len(seen) >= len(patterns) else None

    await _seen(stage, enough, step, moment, max(1, len(patterns)))
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
            check_not_early("the last of them", seen[-1].at, step.after, moment, seen[-1].index)
        return seen[-1].at if seen else None
    place = wrong if wrong is not None else min(len(seen), len(patterns))
    index = seen[place].index if place < len(seen) else None
    wanted = ", ".join(shown_pattern(pattern) for pattern in patterns) or "nothing"
    what, instead = f"exactly {wanted} on the link of {step.link}", f"there was {_listed(seen)}"
    if index is None:
        raise missed(stage, step.link, what, instead)
    raise StepFailed(what, instead, trace_index=index)


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

    seen = await _seen(stage, found, step, moment)
    if seen is None:
        what = name if payload is None else f"{name} with {shown_payload(payload)}"
        what = f"{what} from the {step.sender} on the link of {step.link} within {step.within:g} s"
        raise missed(stage, step.link, what, "there was none")
    check_not_early(name, seen.at, step.after, moment, seen.index)
    return Observed(step.after, step.within, seen.at - moment)


async def closed(stage: Stage, step: steps.Closed) -> Observed:
    """The network connection is closed by one side, or ended by its DISCONNECT."""
    moment = stage.moment
    since = stage.action_index
    side = Sender(step.by)
    ending = await _seen(stage, lambda: stage.closing(step.link, since, side), step, moment)
    if ending is None:
        what = f"the link of {step.link} to be closed by the {step.by} within {step.within:g} s"
        instead = "it stayed open" if stage.end_of(step.link) is None else "it had ended before"
        raise missed(stage, step.link, what, instead)
    if ending.sender is not side and not _had_ended_it(stage, step, ending):
        raise StepFailed(
            f"the link of {step.link} to be closed by the {step.by}",
            f"the {ending.sender} closed it",
            trace_index=ending.index,
            by=on_its_own(stage, ending),
            timed=True,
        )
    check_not_early("the end of the connection", ending.at, step.after, moment, ending.index)
    if step.reason is not None and stage.version_of(step.link) is Version.V5:
        _check_closing_reason(stage, step, ending)
    return Observed(step.after, step.within, ending.at - moment)


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
    moment = stage.moment if step.since_last_of is None else stage.last_heard(step.link, Sender(step.since_last_of))
    await stage.quiet_until(moment + step.seconds)
    ending = stage.closing(step.link, stage.last_open(step.link))
    if ending is not None:
        raise StepFailed(
            f"the link of {step.link} to stay open for {step.seconds:g} s",
            f"the {ending.sender} closed it after {ending.at - moment:.3f} s",
            trace_index=ending.index,
            by=on_its_own(stage, ending),
            timed=True,
        )
    return Observed(0.0, step.seconds, None)
