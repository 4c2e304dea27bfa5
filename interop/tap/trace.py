"""What happened on the links of one cell, in the order the tap saw it.

Belongs here: the entry, the growing list of entries, waiting for the next one, and the questions everyone asks. A
question about one link or one message looks at no others: a trace may have hundreds of thousands of entries.
Does not belong here: what is sent on or kept back (`lane`, `crossing`), what is right or wrong (`interop.judge`),
patterns of a scenario (`interop.runner`).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from reference_broker.wire.packets import Packet, Publish


class Kind(StrEnum):
    """What an entry is about."""

    OPEN = "open"
    PACKET = "packet"
    MALFORMED = "malformed"
    CLOSE = "close"
    FAULT = "fault"
    FRAME = "frame"


class Sender(StrEnum):
    """Who caused an entry; `harness` stands for the tap itself."""

    CLIENT = "client"
    BROKER = "broker"
    HARNESS = "harness"

    @property
    def peer(self) -> Sender:
        """The other end of the link; raises KeyError for the harness, which has none."""
        return _PEERS[self]


_PEERS = {Sender.CLIENT: Sender.BROKER, Sender.BROKER: Sender.CLIENT}


class Fate(StrEnum):
    """What the tap did with the bytes of an entry."""

    FORWARDED = "forwarded"
    DROPPED = "dropped"
    HELD = "held"
    RELEASED = "released"
    DELAYED = "delayed"
    INJECTED = "injected"
    LOST = "lost"
    REWRITTEN = "rewritten"


_SENT = frozenset({Fate.FORWARDED, Fate.DROPPED, Fate.HELD, Fate.DELAYED, Fate.LOST, Fate.REWRITTEN})
_DELIVERED = frozenset({Fate.FORWARDED, Fate.RELEASED, Fate.INJECTED})
_DATA = frozenset({Kind.PACKET, Kind.MALFORMED})
_INDEX = attrgetter("index")


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One thing the tap saw; `at` is in seconds on the trace's clock, taken when the bytes were read.

    `connection` counts a link's network connections from 1, 0 before the first. `receiver` is whom the bytes are for,
    None where there are no bytes. A packet that is held or delayed and goes on later stands twice: `held` (or
    `delayed`) when it was sent, `released` when it was delivered. A rewritten one is `rewritten` as it was sent and
    `injected` as it was delivered; the copy of a duplicated one is `injected` with the note `duplicate`.

    A `malformed` one has a packet where it can be read on all the same (`reading`), with what was wrong as its note.

    A `close` entry is one side's end of the connection, its note says how (`FIN`, `RST`, or what broke); its fate is
    `forwarded` when the other side is told at once, `held` and later `released` when the link is frozen, `lost` when
    it is silent. A `fault` entry stands behind the packets it befell; its fate is `released` for a thaw.

    A `frame` entry is a WebSocket PING or PONG: its note names it and its data is what it carries.

    `began_at` is when the first byte was read (of a packet `released`: when it arrived), None where that was `at`.
    """

    index: int
    at: float
    link: str
    connection: int
    kind: Kind
    sender: Sender
    fate: Fate = Fate.FORWARDED
    packet: Packet | None = None
    data: bytes = b""
    note: str = ""
    receiver: Sender | None = None
    began_at: float | None = None

    @property
    def began(self) -> float:
        """When its first byte came, in seconds on the trace's clock."""
        return self.at if self.began_at is None else self.began_at

    @property
    def sent(self) -> bool:
        """Whether the sender really sent it."""
        return self.fate in _SENT and self.sender is not Sender.HARNESS

    @property
    def delivered(self) -> bool:
        """Whether the other side got it."""
        return self.fate in _DELIVERED


class Trace:
    """The entries of one cell, of all its links; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.entries: list[TraceEntry] = []
        self.clock = clock
        self._looked_up = 0  # so many entries are in the three below, which grow when somebody asks
        self._of_link: defaultdict[str, list[TraceEntry]] = defaultdict(list)
        self._of_kind: defaultdict[tuple[str, Kind], list[TraceEntry]] = defaultdict(list)
        self._publishes: defaultdict[tuple[str, str, bytes], list[TraceEntry]] = defaultdict(list)
        self._waiters: set[asyncio.Future[None]] = set()
        self.on_entry: Callable[[], object] = lambda: None
        """Called with each entry that is recorded."""

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[TraceEntry]:
        return iter(self.entries)

    def record(
        self,
        link: str,
        connection: int,
        kind: Kind,
        sender: Sender,
        *,
        at: float | None = None,
        fate: Fate = Fate.FORWARDED,
        packet: Packet | None = None,
        data: bytes = b"",
        note: str = "",
        receiver: Sender | None = None,
        began_at: float | None = None,
    ) -> TraceEntry:
        """Append an entry and wake who waits; `at` defaults to now."""
        moment = self.clock() if at is None else at
        entry = TraceEntry(
            len(self.entries), moment, link, connection, kind, sender, fate, packet, data, note, receiver, began_at
        )
        self.entries.append(entry)
        self.on_entry()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        return entry

    async def changed(self, since: int, deadline: float | None = None) -> bool:
        """Wait until there are more than `since` entries; False when the clock reached `deadline` first."""
        if len(self.entries) > since:
            return True
        remaining_seconds = None if deadline is None else deadline - self.clock()
        if remaining_seconds is not None and remaining_seconds <= 0:
            return False
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters.add(waiter)
        alarm = None if remaining_seconds is None else loop.call_later(remaining_seconds, _wake, waiter)
        try:
            await waiter
        finally:
            if alarm is not None:
                alarm.cancel()
            self._waiters.discard(waiter)
        return len(self.entries) > since

    # --- questions ----------------------------------------------------------------------------------------------------

    def of(
        self, link: str, since: int = 0, kind: Kind | None = None, *, newest_first: bool = False
    ) -> Iterator[TraceEntry]:
        """The entries of a link, or those of one kind, from the index `since` on, as far as there are any now."""
        self._look_up()
        found = self._of_link[link] if kind is None else self._of_kind[link, kind]
        places = range(bisect_left(found, since, key=_INDEX), len(found))
        return map(found.__getitem__, reversed(places) if newest_first else places)

    def publishes(self, link: str, topic: str, payload: bytes) -> list[TraceEntry]:
        """The entries of a link with a PUBLISH of that payload on that topic, or on a topic alias, whoever sent it."""
        self._look_up()
        named, aliased = (self._publishes.get((link, each, payload), []) for each in (topic, ""))
        return sorted(named + aliased, key=_INDEX) if topic else aliased[:]

    def _look_up(self) -> None:
        """Put what came since the last question where the next one finds it."""
        for entry in self.entries[self._looked_up :]:
            self._of_link[entry.link].append(entry)
            self._of_kind[entry.link, entry.kind].append(entry)
            if isinstance(entry.packet, Publish):
                self._publishes[entry.link, entry.packet.topic, entry.packet.payload].append(entry)
        self._looked_up = len(self.entries)

    def last_fault(self, link: str) -> int | None:
        """Index of the last fault that fired on `link`; a thaw is none."""
        faults = self.of(link, kind=Kind.FAULT, newest_first=True)
        return next((entry.index for entry in faults if entry.fate is not Fate.RELEASED), None)

    def sent_by(self, side: Sender, link: str, connection: int | None = None) -> list[TraceEntry]:
        """Packets and malformed bytes that `side` sent, whatever became of them, in order of sending."""
        return [entry for entry in self._data(link, connection) if entry.sent and entry.sender is side]

    def received_by(self, side: Sender, link: str, connection: int | None = None) -> list[TraceEntry]:
        """Packets and malformed bytes that reached `side`, whoever sent them, in order of arrival."""
        return [entry for entry in self._data(link, connection) if entry.delivered and entry.receiver is side]

    def closed_by(self, side: Sender, link: str, connection: int) -> TraceEntry | None:
        """The entry of that side's end of the connection, None while it has not ended it."""
        ends = (entry for entry in self.of(link, kind=Kind.CLOSE) if entry.connection == connection)
        return next((entry for entry in ends if entry.sender is side and entry.fate is not Fate.RELEASED), None)

    def _data(self, link: str, connection: int | None) -> Iterator[TraceEntry]:
        return (entry for entry in self.of(link) if entry.kind in _DATA and connection in (None, entry.connection))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
