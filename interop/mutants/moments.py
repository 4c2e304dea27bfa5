"""Moments at which a broker carries state over, for mutants that carry it wrongly.

Belongs here: noticing a resumption, a takeover, what waited, what was in flight, and what a connection or session left.
Does not belong here: mutants (`broker_...`), how faults take hold (`wrong_ends`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from interop.mutants.mutant import Change, Hears, Patch, Says, around
from interop.mutants.words import when
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.outgoing.mailbox import Mailbox
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.outgoing.waiting import Waiting
from reference_broker.broker.peers import connecting
from reference_broker.broker.peers.peer import Peer
from reference_broker.wire.packets import Publish


@dataclass(frozen=True, slots=True)
class Left:
    """What a connection leaves that nobody may take up: its own limits, aliases, keep alive, expiry and will."""

    sender: Any
    keep_alive: Any
    inbound_aliases: Any
    expiry_interval: int
    will: Any
    username: str | None


@dataclass(frozen=True, slots=True)
class Resumption:
    """A session resumed, for the `count`th time; `left` is of the connection before."""

    session: Any
    link: Any
    sender: Any
    count: int
    by_takeover: bool
    left: Left
    now: float

    @property
    def house(self) -> Any:
        """What all connections of the broker share."""
        return self.link.house

    def reroute(self) -> None:
        """Subscriptions were changed."""
        self.house.router.cut()


Act = Callable[[Resumption], Any]
Condition = Callable[[Resumption], bool]


def any_time(_resumption: Resumption) -> bool:
    """Every resumption."""
    return True


MOMENTS: dict[str, Condition] = {
    "at a resumption": lambda resumption: not resumption.by_takeover,
    "at a takeover": lambda resumption: resumption.by_takeover,
    "at the second resumption": lambda resumption: resumption.count == 2,
}
"""When a session passes from one connection to another, by how a name says it."""


def _noticing(real: Any, link: Any, now: float, data: Any) -> None:
    existing = link.house.sessions.get(link.connect.client_id)
    link.memory["takes over"] = existing is not None and existing.sender is not None
    real(link, now, data)


def _leaving(real: Any, link: Any, now: float, *, publish_will: bool) -> None:
    session = link.session
    if session is not None and link.sender is not None:
        link.house.memory["left", session.client_id] = Left(
            link.sender,
            link.keep_alive,
            link.inbound_aliases,
            session.expiry_interval,
            session.will,
            session.username,
        )
    real(link, now, publish_will=publish_will)


def resuming(act: Act, condition: Condition = any_time, *, afterwards: bool = False) -> tuple[Patch, ...]:
    """`act` is done where a session is resumed, before its messages flow, or `afterwards`; one of it to a mutant."""

    def begin(real: Any, self: Any, session: Any, now: float, *, resumed: bool) -> None:
        memory, key = self.output.house.memory, ("resumed", session.client_id)
        memory[key] = memory.get(key, 0) + 1 if resumed else 0
        before, left = None, memory.get(("left", session.client_id))
        if resumed and left is not None:  # else another broker, which this one was before it ended, was left
            before = Resumption(session, self.output, self, memory[key], self.output.memory["takes over"], left, now)
        if before is not None and not afterwards and condition(before):
            act(before)
        real(self, session, now, resumed=resumed)
        if before is not None and afterwards and condition(before):
            act(before)

    return (
        around(connecting, "accept", _noticing),
        around(Peer, "end", _leaving),
        around(Sender, "begin", begin),
    )


def at_each_moment(name: str, act: Act, *more: Any, afterwards: bool = False) -> dict[str, Any]:
    """Rows of a table: the same fault at a resumption, a takeover, the second resumption; `more` are faults besides."""
    return {
        f"{name} {moment}": (*resuming(act, condition, afterwards=afterwards), *more)
        for moment, condition in MOMENTS.items()
    }


def mark(resumption: Resumption) -> None:
    """Act: remember on the connection that the moment has come, for `once_marked`."""
    resumption.link.memory["marked"] = True


def once_marked(change: Change) -> Change:
    """Change: only on connections that `mark` marked."""
    return when(lambda _packet, end: "marked" in end.memory, change)


def resent(change: Change) -> Says:
    """What is sent again is changed."""
    return Says(Publish, when(lambda packet, _end: packet.dup, change))


def waited(change: Callable[[Any, Any], Any]) -> Patch:
    """What waited in a session, whether its client was away or its window closed, is changed: delivery, session."""
    return around(Mailbox, "dequeue", lambda real, self: change(real(self), self))


def not_enqueued(unwanted: Callable[[Any, Any], bool]) -> Patch:
    """What waits and is unwanted (session, delivery) is dropped."""

    def enqueue(real: Any, self: Any, delivery: Any, config: Any, now: float) -> None:
        if not unwanted(self, delivery):
            real(self, delivery, config, now)

    return around(Mailbox, "enqueue", enqueue)


def waiting_as(rearranged: Callable[[list[Any]], Iterable[Any]]) -> Act:
    """Act: what waits is put in another order, or only some of it."""

    def act(resumption: Resumption) -> None:
        resumption.session.queue = Waiting(rearranged(list(resumption.session.queue or ())))

    return act


@dataclass(frozen=True, slots=True)
class Ended:
    """What a session had when it ended."""

    subscriptions: dict[str, Any]
    queue: list[Any]
    inflight: list[Any]
    received: list[int]


def inheriting(take: Callable[[Any, Ended, Any], Any], *, clean_start: bool) -> tuple[Patch, ...]:
    """`take` (house, what ended, new session) is done where a session begins with or without Clean Start after one."""

    def end(real: Any, self: Any, session: Any, now: float) -> None:
        self.house.memory["ended", session.client_id] = Ended(
            dict(session.subscriptions),
            list(session.queue or ()),
            list(session.inflight.values()),
            list(session.inbound),
        )
        real(self, session, now)

    def open_(real: Any, self: Any, client_id: str, version: Any, clean: bool, now: float) -> Any:
        session, present = real(self, client_id, version, clean, now)
        ended = self.house.memory.get(("ended", client_id))
        if not present and ended is not None and clean is clean_start:
            take(self.house, ended, session)
        return session, present

    return around(Sessions, "end", end), around(Sessions, "open", open_)


def second(kind: type, change: Change, *, number: int = 2) -> Hears:
    """The `number`th packet of a kind on a connection is misheard."""

    def nth(packet: Any, end: Any) -> Any:
        key = ("heard", kind)
        end.memory[key] = end.memory.get(key, 0) + 1
        return change(packet, end) if end.memory[key] == number else packet

    return Hears(kind, nth)
