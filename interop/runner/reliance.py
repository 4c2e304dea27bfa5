"""What a step relies on to have happened, and waiting for it: faults that have fired, messages that are acknowledged.

Belongs here: the steps that take for granted that a fault armed before them has done its work, or that a client has.
Does not belong here: arming a fault (`fault`), carrying one out (`interop.tap`).

A broker may send a message 40 ms after it was published. What goes on before that - cuts the link, connects again,
lets time pass - would leave the fault behind, to befall another packet than the scenario speaks of.

An application may have a message before its client has acknowledged it. Whoever takes the connection away in between
makes the broker send the message again, and rightly so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from interop.runner.failures import SetupFailed
from interop.runner.stage import Stage
from interop.runner.window import shown_end
from interop.scenario import steps
from interop.tap.faults import Armed, Cut, Freeze, Hold
from interop.tap.link import Link
from interop.tap.trace import Fate, Sender
from reference_broker.wire.types import PacketType

_LASTING = (Cut, Freeze, Hold)
"""Faults that change what can happen afterwards, not one packet only."""

_ACKNOWLEDGING_SECONDS = 0.3
"""How long clients may take to acknowledge; those that do not are told by what comes of it, or mean not to."""


async def rely_on_acknowledgements(stage: Stage, step: steps.AnyStep) -> None:
    """Wait a moment for clients to acknowledge what they got, before a step that ends their connections at once."""
    links = [link for link in _ended_by(stage, step) if not stage.players[link.name].actor.manual_ack]

    def settled() -> bool | None:
        return None if any(link.is_open(Sender.CLIENT) and stage.is_exchanging(link.name) for link in links) else True

    await stage.until(settled, stage.pace.now() + _ACKNOWLEDGING_SECONDS)


def _ended_by(stage: Stage, step: steps.AnyStep) -> Iterable[Link]:
    if isinstance(step, steps.Cut) and step.at is None:
        return (stage.links[step.link],)
    if isinstance(step, steps.Connect):
        return _links_of_client(stage, step)
    return stage.links.values() if isinstance(step, steps.Restart) else ()


async def rely_on_faults(stage: Stage, step: steps.AnyStep | None) -> None:
    """Wait until the armed faults that a step relies on have fired; None is the end of the scenario.

    Raises SetupFailed when one does not within an answer's window, or cannot any more.
    """
    relied_on = _RELIED_ON.get(type(step), _none)

    def settled() -> bool | None:
        outstanding = list(relied_on(stage, step))
        return True if not outstanding or any(not link.carries for link, _ in outstanding) else None

    await stage.until(settled, stage.pace.now() + steps.WINDOW_SECONDS)
    for link, armed in relied_on(stage, step):
        raise SetupFailed(_never_fired(stage, link, armed))


def _never_fired(stage: Stage, link: Link, armed: Armed) -> str:
    when = armed.when
    what = f"a {when.packet.name}" if when.nth == 1 else f"{when.nth} {when.packet.name}, but {armed.seen},"
    ending = stage.closing(link.name, stage.last_open(link.name))
    closed = "" if ending is None else f"; {shown_end(ending)}"
    return f"the {when.sender} never sent {what} on the link of {link.name} to {armed.action} at{closed}"


_Outstanding = Iterator[tuple[Link, Armed]]


def _none(_stage: Stage, _step: Any) -> _Outstanding:
    return iter(())


def _of(link: Link) -> _Outstanding:
    """What is to befall every packet of a kind is there in case one comes."""
    return ((link, armed) for armed in link.outstanding if not armed.when.every)


def _of_all(stage: Stage, _step: Any) -> _Outstanding:
    return (each for link in stage.links.values() for each in _of(link))


def _of_link(stage: Stage, step: steps.Fault | steps.Wire) -> _Outstanding:
    return _of(stage.links[step.link])


def _lasting(stage: Stage, step: Any) -> _Outstanding:
    return (each for each in _of_all(stage, step) if isinstance(each[1].action, _LASTING))


def _kept_back(stage: Stage, step: steps.Thaw) -> _Outstanding:
    """There is something to let go: each packet that was to be kept back, or one where every such packet was."""
    link = stage.links[step.link]
    nothing_yet = all(entry.fate is not Fate.HELD for entry in stage.entries(step.link))
    return (
        (link, armed)
        for armed in link.outstanding
        if isinstance(armed.action, Hold | Freeze) and (nothing_yet or not armed.when.every)
    )


def _of_client(stage: Stage, step: steps.Connect) -> _Outstanding:
    """Those of every actor that has the client id which now connects: its connection ends."""
    return (each for link in _links_of_client(stage, step) for each in _of(link))


def _links_of_client(stage: Stage, step: steps.Connect) -> list[Link]:
    client_id = stage.client_id_of(step.actor, step.client_id)
    return [link for name, link in stage.links.items() if stage.client_id_of(name) == client_id]


def _before_leaving(stage: Stage, step: steps.Disconnect) -> _Outstanding:
    return (each for each in _of(stage.links[step.actor]) if each[1].when.packet is not PacketType.DISCONNECT)


_RELIED_ON: dict[type[Any], Callable[[Stage, Any], _Outstanding]] = {
    steps.Connect: _of_client,
    steps.Disconnect: _before_leaving,
    steps.Cut: lambda stage, step: _none(stage, step) if step.at else _of_link(stage, step),
    steps.Thaw: _kept_back,
    steps.Restart: _of_all,
    steps.Elapse: _lasting,
    steps.Nothing: _lasting,
    steps.StaysOpen: _lasting,
    steps.Wire: lambda stage, step: _of_link(stage, step) if step.since == "cut" else _none(stage, step),
    type(None): _of_all,
}
