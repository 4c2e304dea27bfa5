"""The stage on which one cell is played: its broker, its links and players, its clock and what was seen so far.

Belongs here: what every step needs, and waiting until something is seen.
Does not belong here: what a verb does (`act`, `fault`, `observe`), how a cell begins and ends (`play`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from typing import TypeVar

from interop.brokers.broker import RunningBroker
from interop.runner.cell import Cell
from interop.runner.names import Names
from interop.runner.pace import Pace
from interop.runner.player import Player
from interop.tap.link import NOTICE_SECONDS, Link
from interop.tap.trace import Fate, Kind, Sender, Trace, TraceEntry
from reference_broker.wire.packets import Packet, PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import PacketType, Version, is_error

Seen = TypeVar("Seen")

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
        trace.on_entry = self.changed.set

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

    async def until(
        self,
        seen: Callable[[], Seen | None],
        deadline: float,
        answers: int = 1,
        *,
        is_timed: bool = False,
        last_chance: Callable[[], float | None] = lambda: None,
    ) -> Seen | None:
        """Wait until `seen` gives something, and give that; None when the deadline (cell clock) passes first.

        The deadline is one on loopback: the way of packets to a broker that is far away comes on top, for so many
        `answers` one after another. Where it `is_timed`, it tells right from wrong and is no mere patience. Once
        there is a `last_chance`, a moment after which it cannot come any more, nobody waits longer than that.

        Time in which nothing was seen is waiting.
        """
        since, patient_seconds = self.pace.now(), self.pace.patient_seconds
        deadline += self.pace.answer_seconds(answers, is_timed=is_timed)
        while True:
            self.changed.clear()
            found = seen()
            if found is not None:
                return found
            last = last_chance()
            remaining = min(deadline, deadline if last is None else last) - self.pace.now()
            if remaining <= 0:
                self.pace.waited(since)
                return None
            quick = self.pace.now() - since < patient_seconds
            with nullcontext() if quick else self.pace.resting(), suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), min(remaining, patient_seconds) if quick else remaining)

    async def rest_until(self, moment: float) -> None:
        """Let time pass, as the scenario demands, up to a moment of the cell's clock."""
        remaining = moment - self.pace.now()
        if remaining > 0:
            with self.pace.waiting():
                await asyncio.sleep(remaining)

    async def quiet_until(self, moment: float) -> None:
        """Listen for what must not come, up to a moment of the cell's clock; from far away, until it would be here.

        A moment that is later than that stands: what comes after it may be in order, as the end of a silent connection.
        """
        if quiet_seconds := self.pace.quiet_seconds:
            moment = max(moment, self.pace.now() + GRACE_SECONDS + quiet_seconds)
        await self.rest_until(moment)

    async def broker_notices(self, link: str) -> None:
        """Wait until the broker knows of the end of a link's connection, if it is to know soon."""
        with self.pace.resting():
            await self.links[link].broker_notices(NOTICE_SECONDS + self.pace.answer_seconds())

    # --- what was seen ------------------------------------------------------------------------------------------------

    def entries(self, link: str, since: int = 0) -> Iterator[TraceEntry]:
        """What happened on a link, from the trace index `since` on."""
        return self.trace.of(link, since)

    def last_packet(
        self, link: str, kind: PacketType, sender: Sender, since: int = 0
    ) -> tuple[TraceEntry, Packet] | None:
        """The last such packet that a side sent on a link."""
        for entry in self.trace.of(link, since, newest_first=True):
            if entry.sender is sender and entry.sent and entry.packet is not None and entry.packet.type is kind:
                return entry, entry.packet
        return None

    def last_heard(self, link: str, sender: Sender, connection: int | None = None) -> float:
        """When (cell clock) the last packet of a side came through on a link's connection, the newest or that one.

        It is minus infinity where none did.
        """
        if connection is None:
            connection = self.links[link].connections
        return next(
            (
                entry.at
                for entry in self.trace.of(link, newest_first=True)
                if (entry.connection, entry.sender) == (connection, sender) and entry.delivered and entry.packet
            ),
            -math.inf,
        )

    def is_exchanging(self, link: str) -> bool:
        """Whether somebody has yet to answer what reached it of a message to the client, on a link's open connection.

        What was kept back or lost on its way to either is answered by nobody.
        """
        to_answer: set[int | None] = set()
        for entry in self.entries(link, self.last_open(link)):
            packet, arrives = entry.packet, entry.delivered or entry.fate is Fate.DELAYED
            if entry.connection != self.links[link].connections:
                continue
            if entry.kind is Kind.CLOSE:
                return False
            if isinstance(packet, Publish | PubRel) and entry.receiver is Sender.CLIENT:
                goes_on = arrives and packet.packet_id is not None
            elif isinstance(packet, PubAck | PubRec | PubComp) and entry.sender is Sender.CLIENT:
                is_refusal = is_error(packet.reason)  # [5.0 4.3.3]
                goes_on = arrives and isinstance(packet, PubRec) and not is_refusal
            else:
                continue
            (to_answer.add if goes_on else to_answer.discard)(packet.packet_id)
        return bool(to_answer)

    def closing(self, link: str, since: int, side: Sender | None = None) -> TraceEntry | None:
        """How a link's network connection ended, if it did since then; for one side, as far as that knows.

        An end that was kept back, or lost, is none for the other side.
        """
        closes = self.trace.of(link, since, Kind.CLOSE)
        return next((entry for entry in closes if side in (None, entry.sender) or entry.delivered), None)

    def end_of(self, link: str) -> TraceEntry | None:
        """How a link's last connection ended, where none is left and none is being made: nothing comes on it.

        One that was taken over may end after that one began.
        """
        newest = self.links[link].connections
        if not self.links[link].is_over or self.players[link].is_connecting:
            return None
        closes = self.trace.of(link, self.last_open(link), Kind.CLOSE)
        return next((entry for entry in closes if entry.connection == newest), None)

    def last_open(self, link: str) -> int:
        """The trace index at which the link's newest network connection began."""
        return next((entry.index for entry in self.trace.of(link, kind=Kind.OPEN, newest_first=True)), 0)
