"""The window in which a step expects something: waiting for it, no longer than it can come, and not too early.

Belongs here: what all observations have in common.
Does not belong here: what is looked for (`told`, `on_the_wire`), how time is kept (`pace`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from interop.runner.failures import StepFailed
from interop.runner.stage import Seen, Stage
from interop.runner.verdict import REFERENCE_BROKER, REFERENCE_CLIENT
from interop.scenario import steps
from interop.tap.trace import Sender, TraceEntry
from reference_broker.wire.packets import ConnAck, Connect

Windowed = steps.Receive | steps.Completed | steps.Reported | steps.Wire | steps.Frame | steps.Closed


@dataclass(frozen=True, slots=True)
class Observed:
    """What an observation's window was and when the thing was seen, in seconds since the last action."""

    after: float
    within: float
    at: float | None


async def seen_in_window(
    stage: Stage,
    seen: Callable[[], Seen | None],
    step: Windowed,
    moment: float,
    answers: int = 1,
    *,
    last_chance: Callable[[], float | None] = lambda: None,
) -> Seen | None:
    """Wait for something within a step's window; time that passes because the window opens late is not work."""
    is_timed = "within" in step.model_fields_set
    with stage.pace.waiting() if step.after > 0 else nullcontext():
        return await stage.until(seen, moment + step.within, answers, is_timed=is_timed, last_chance=last_chance)


def missed(stage: Stage, link: str, expected: str, instead: str) -> StepFailed:
    """The failure of a step whose window passed, or for which nothing could come any more: then it is said why."""
    end = stage.end_of(link)
    if end is None:
        return StepFailed(expected, instead)
    return StepFailed(expected, f"{instead}; {shown_end(end)}", by=on_its_own(stage, end))


def shown_end(end: TraceEntry) -> str:
    """How a connection ended, with when and by whom."""
    who = "the connection was cut" if end.sender is Sender.HARNESS else f"the {end.sender} had closed the connection"
    return f"{who} at {end.at:.3f} s"


def on_its_own(stage: Stage, ending: TraceEntry) -> Sender | None:
    """Who closed, unless what the peer sent since the last action may have been why: an answer not asked for, say.

    Our own two close for what is wrong only. Of others nobody knows: where they had a reason, the judge names it.
    """
    if ending.sender is Sender.HARNESS or _was_kept_waiting(stage, ending):
        return None
    if not is_ours(stage, ending.sender):
        return ending.sender
    provoked = any(
        entry.delivered and entry.receiver is ending.sender and entry.sender is ending.sender.peer
        for entry in stage.entries(ending.link, stage.action_index)
        if entry.connection == ending.connection and entry.index < ending.index
    )
    return None if provoked else ending.sender


def is_ours(stage: Stage, side: Sender) -> bool:
    """Whether it is the reference client or broker."""
    return stage.cell.client == REFERENCE_CLIENT if side is Sender.CLIENT else stage.cell.broker == REFERENCE_BROKER


def _was_kept_waiting(stage: Stage, ending: TraceEntry) -> bool:
    """Whether it is a broker that had not heard of its client for one and a half keep alives. [5.0 MQTT-3.1.2-22]"""
    if ending.sender is not Sender.BROKER:
        return False
    keep_alive_seconds = 0
    for entry in stage.entries(ending.link):
        if entry.connection != ending.connection or entry.index > ending.index:
            continue
        if isinstance(entry.packet, Connect):
            keep_alive_seconds = entry.packet.keep_alive
        elif isinstance(entry.packet, ConnAck) and entry.packet.properties.server_keep_alive is not None:
            keep_alive_seconds = entry.packet.properties.server_keep_alive
    heard_at = stage.last_heard(ending.link, Sender.CLIENT, ending.connection)
    return keep_alive_seconds > 0 and ending.at - heard_at >= 1.5 * keep_alive_seconds


def check_not_early(what: str, at: float, after: float, moment: float, index: int | None = None) -> None:
    """Raise StepFailed where something that is to come after a while came before."""
    if after > 0 and at - moment < after:  # without `after`, what came during the action counts too
        raise StepFailed(
            f"{what} not before {after:g} s", f"it came after {at - moment:.3f} s", trace_index=index, timed=True
        )
