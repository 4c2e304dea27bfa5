"""The stage on which one cell is played: its broker, its links and players, its clock and what was seen so far.

Belongs here: what every step needs, and waiting until something is seen.
Does not belong here: what a verb does (`act`, `fault`, `observe`), how a cell begins and ends (`play`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from typing import TypeVar

from interop.brokers.broker import RunningBroker
from interop.runner.cell import Cell
from interop.runner.names import Names
from interop.runner.pace import PATIENT_SECONDS, Pace
from interop.runner.player import Player
from interop.tap.link import Link
from interop.tap.trace import Kind, Sender, Trace, TraceEntry
from reference_broker.wire.packets import Packet
from reference_broker.wire.types import PacketType, Version

Seen = TypeVar("Seen")

_A_LONG_TIME_SECONDS = 3600.0

GRACE_SECONDS = 0.1
"""How long we listen for what must not come, where a scenario names no time of its own."""


class Stage:
    """One cell's play under way."""

    def __init__(self, cell: Cell, names: Names, pace: Pace, trace: Trace) -> None:
        self.cell = cell
        self.names = names
        self.pace = pace
        self.trace = trace
        self.players: dict[str, Player] = {}
        self.links: dict[str, Link] = {}
        self.marks: dict[str, int] = {}
        self.broker: RunningBroker | None = None
        self.login: tuple[str, str | None] | None = None  # what the broker asks of everybody
        self.changed = asyncio.Event()
        self._action_index = 0
        self._action_began = 0.0
        self._watch = asyncio.ensure_future(self._watch_trace())

    @property
    def version(self) -> Version:
        """The protocol version of the cell."""
        return Version.from_label(self.cell.mqtt)

    def version_of(self, actor: str) -> Version:
        """The protocol version an actor was last asked to speak."""
        return self.links[actor].version

    def version_asked(self, link: str, connection: int) -> Version:
        """The one that was asked for when a link's connection began."""
        return self.links[link].version_asked(connection)

    def client_id_of(self, actor: str, instead: str | None = None) -> str:
        """The client id, as a scenario writes it, with which an actor connects."""
        own = self.players[actor].actor.client_id
        return next(given for given in (instead, own, actor) if given is not None)

    async def close(self) -> None:
        """Stop watching; links and players are closed by who made them."""
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch

    async def _watch_trace(self) -> None:
        while True:
            await self.trace.changed(len(self.trace.entries), self.pace.now() + _A_LONG_TIME_SECONDS)
            self.changed.set()

    # --- time ---------------------------------------------------------------------------------------------------------

    def begin_action(self) -> None:
        """A step that does something begins: windows count from here."""
        self._action_index = len(self.trace.entries)
        self._action_began = self.pace.now()

    @property
    def action_index(self) -> int:
        """The trace entry the last action began with."""
        return self._action_index

    @property
    def moment(self) -> float:
        """When windows begin: the first thing the last action put on the wire, or the last fault that fired since."""
        since_action = self.trace.entries[self._action_index :]
        began = since_action[0].at if since_action else self._action_began
        return max([began, *(entry.at for entry in since_action if entry.kind is Kind.FAULT)])

    async def until(self, seen: Callable[[], Seen | None], deadline: float) -> Seen | None:
        """Wait until `seen` gives something, and give that; None when the deadline (cell clock) passes first."""
        since = self.pace.now()
        while True:
            self.changed.clear()
            found = seen()
            if found is not None:
                return found
            remaining = deadline - self.pace.now()
            if remaining <= 0:
                return None
            quick = self.pace.now() - since < PATIENT_SECONDS
            with nullcontext() if quick else self.pace.resting(), suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), min(remaining, PATIENT_SECONDS) if quick else remaining)

    async def rest_until(self, moment: float) -> None:
        """Let time pass, as the scenario demands, up to a moment of the cell's clock."""
        remaining = moment - self.pace.now()
        if remaining > 0:
            with self.pace.waiting():
                await asyncio.sleep(remaining)

    # --- what was seen ------------------------------------------------------------------------------------------------

    def entries(self, link: str, since: int = 0) -> Iterator[TraceEntry]:
        """What happened on a link, from the trace index `since` on."""
        return (entry for entry in self.trace.entries[since:] if entry.link == link)

    def last_packet(
        self, link: str, kind: PacketType, sender: Sender, since: int = 0, *, delivered: bool = False
    ) -> tuple[TraceEntry, Packet] | None:
        """The last such packet that a side sent on a link (or that reached the other side)."""
        for entry in reversed(self.trace.entries[since:]):
            if entry.link == link and entry.sender is sender and entry.packet is not None:
                counts = entry.delivered if delivered else entry.sent
                if counts and entry.packet.type is kind:
                    return entry, entry.packet
        return None

    def closing(self, link: str, since: int, side: Sender | None = None) -> TraceEntry | None:
        """How a link's network connection ended, if it did since then; for one side, as far as that knows.

        An end that was kept back, or lost, is none for the other side.
        """
        return next(
            (
                entry
                for entry in self.entries(link, since)
                if entry.kind is Kind.CLOSE and (side in (None, entry.sender) or entry.delivered)
            ),
            None,
        )

    def last_open(self, link: str) -> int:
        """The trace index at which the link's newest network connection began."""
        return max((entry.index for entry in self.entries(link) if entry.kind is Kind.OPEN), default=0)
