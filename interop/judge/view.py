"""A trace as each side lived it: its network connections, and the sessions that span them.

Belongs here: which packets a side sent and got on a connection, who it was, and what continues what.
Does not belong here: judging; messages and subscriptions (`messages`).

A side is judged by what it sent and what was delivered to it. Two facts about time make that certain: what the tap
recorded as sent by a side before it recorded a delivery to that side was sent without knowing of it; and the order of
a side's own packets is the order in which it sent them. The reverse, "sent after", may only mean "sent meanwhile".
Both hold however far away a side is: what it sent is recorded later than it was, what it got earlier.

Knowledge ends where bytes could not be decoded: a side's story stops at the first malformed packet it got, whatever
it made of it, and at the first it sent that nobody can read on.
Bytes a side had sent but the tap had not read when the connection was cut are unknown, so that only a connection which
that side itself ended in order tells all it sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from interop.tap.trace import Fate, Kind, Sender, TraceEntry
from reference_broker.wire.packets import Auth, ConnAck, Connect, Disconnect, Packet
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import Version

_PacketT = TypeVar("_PacketT", bound=Packet)

CLIENT, BROKER = Sender.CLIENT, Sender.BROKER
_DATA = (Kind.PACKET, Kind.MALFORMED)

REACTION_SECONDS = 2.9
"""After that long without the reaction a rule demands, on a connection that stays open, it is missing.

A scenario waits 3 s for an answer: what one misses, the other does too. The way to the broker and back comes on top.
"""

Asked = Callable[[str, int], Version]
"""The version a client was asked to speak on a link's connection."""


@dataclass(frozen=True, slots=True)
class Event:
    """One packet as a side lived it: `mine` if that side sent it, else it arrived."""

    entry: TraceEntry
    packet: Packet
    mine: bool

    @property
    def index(self) -> int:
        """Place in the trace."""
        return self.entry.index

    @property
    def at(self) -> float:
        """Seconds on the trace's clock."""
        return self.entry.at


@dataclass
class Talk:
    """One network connection of one link."""

    link: str
    number: int
    cell_version: Version  # the one its client was asked to speak
    end: float  # when the whole trace ends
    round_trip_seconds: float = 0.0  # between the tap and the broker
    entries: list[TraceEntry] = field(default_factory=list)

    @cached_property
    def version(self) -> Version:
        """The version of the CONNECT, whoever sent it, else the one its client was asked to speak."""
        connects = (entry.packet for entry in self.entries if isinstance(entry.packet, Connect))
        return next((connect.version for connect in connects), self.cell_version)

    @property
    def reaction_seconds(self) -> float:
        """After that long without the reaction a rule demands it is missing."""
        return REACTION_SECONDS + self.round_trip_seconds

    def sent(self, side: Sender) -> list[TraceEntry]:
        """Packets and malformed bytes that side sent."""
        return self._sent[side]

    def got(self, side: Sender) -> list[TraceEntry]:
        """Packets and malformed bytes that reached that side."""
        return self._got[side]

    @cached_property
    def _sent(self) -> dict[Sender, list[TraceEntry]]:
        data = [entry for entry in self.entries if entry.kind in _DATA and entry.sent]
        return {side: [entry for entry in data if entry.sender is side] for side in (CLIENT, BROKER)}

    @cached_property
    def _got(self) -> dict[Sender, list[TraceEntry]]:
        data = [entry for entry in self.entries if entry.kind in _DATA and entry.delivered]
        return {side: [entry for entry in data if entry.receiver is side] for side in (CLIENT, BROKER)}

    def story(self, side: Sender) -> list[Event]:
        """What that side sent and got, in the order of the trace, as far as all of it is understood."""
        return self._stories[side]

    def is_understood(self, side: Sender) -> bool:
        """Whether the story goes to the end."""
        return self._understood[side]

    @cached_property
    def _understood(self) -> dict[Sender, bool]:
        return {
            side: all(entry.packet is not None for entry in self._sent[side])
            and all(entry.kind is Kind.PACKET for entry in self._got[side])
            for side in (CLIENT, BROKER)
        }

    @cached_property
    def _stories(self) -> dict[Sender, list[Event]]:
        return {side: list(self._tell(side)) for side in (CLIENT, BROKER)}

    def _tell(self, side: Sender) -> Iterator[Event]:
        for entry in self.entries:
            if entry.kind not in _DATA:
                continue
            mine = entry.sent and entry.sender is side
            if not mine and not (entry.delivered and entry.receiver is side):
                continue
            if entry.packet is None or (entry.kind is Kind.MALFORMED and not mine):
                return
            yield Event(entry, entry.packet, mine)

    # --- how it began -------------------------------------------------------------------------------------------------

    def connect(self, side: Sender) -> tuple[TraceEntry, Connect] | None:
        """The first CONNECT: as the client sent it, or as it reached the broker."""
        return self._connects[side]

    def connack(self, side: Sender) -> tuple[TraceEntry, ConnAck] | None:
        """The first CONNACK: as the broker sent it, or as it reached the client."""
        return self._connacks[side]

    @cached_property
    def _connects(self) -> dict[Sender, tuple[TraceEntry, Connect] | None]:
        return {CLIENT: _first(self._sent[CLIENT], Connect), BROKER: _first(self._got[BROKER], Connect)}

    @cached_property
    def _connacks(self) -> dict[Sender, tuple[TraceEntry, ConnAck] | None]:
        return {CLIENT: _first(self._got[CLIENT], ConnAck), BROKER: _first(self._sent[BROKER], ConnAck)}

    def accepted(self, side: Sender) -> tuple[Connect, ConnAck] | None:
        """CONNECT and CONNACK as that side knows them, if the broker let the client in."""
        connect, connack = self.connect(side), self.connack(side)
        if connect is None or connack is None or connack[1].reason != 0:
            return None
        return connect[1], connack[1]

    def is_fresh(self, side: Sender) -> bool:
        """Whether that side knows that no earlier session goes on; 3.1 has no Session Present to tell."""
        connect, connack = self.connect(side), self.connack(side)
        if connect is not None and connect[1].clean_start:
            return True
        if connack is None or connack[1].reason != 0:
            return False
        return self.version is not Version.V31 and not connack[1].session_present

    @cached_property
    def is_pipelined(self) -> bool:
        """Whether the client sent packets before it could know the CONNACK: then it did not know its limits."""
        connack = self.connack(CLIENT)
        return connack is None or any(
            entry.index < connack[0].index and not isinstance(entry.packet, Connect | Auth)
            for entry in self.sent(CLIENT)
        )

    # --- how it ended -------------------------------------------------------------------------------------------------

    def closed_by(self, side: Sender) -> TraceEntry | None:
        """That side's own end of the connection."""
        return next(
            (
                entry
                for entry in self.entries
                if entry.kind is Kind.CLOSE and entry.sender is side and entry.fate is not Fate.RELEASED
            ),
            None,
        )

    def end_known_to(self, side: Sender) -> TraceEntry | None:
        """The first entry by which the connection is over for that side: it ended it, or was told."""
        return next(
            (
                entry
                for entry in self.entries
                if entry.kind is Kind.CLOSE
                and ((entry.sender is side and entry.fate is not Fate.RELEASED) or entry.delivered)
            ),
            None,
        )

    def open_until(self, side: Sender) -> float:
        """When the connection was over for that side, or the end of the trace."""
        ending = self.end_known_to(side)
        return self.end if ending is None else ending.at

    def speaks_until(self, side: Sender) -> float:
        """Until when that side could send anything: the end, or a DISCONNECT from either side before it."""
        goodbyes = [said[0].at for said in (self.disconnect(side), self.disconnect_got(side)) if said is not None]
        return min([self.open_until(side), *goodbyes])

    def tells_all(self, side: Sender) -> bool:
        """Whether everything that side sent is in the trace: its FIN came after it."""
        ending = self.closed_by(side)
        return ending is not None and ending.note == "FIN" and self.is_understood(side)

    def disconnect(self, side: Sender) -> tuple[TraceEntry, Disconnect] | None:
        """The first DISCONNECT that side sent."""
        return _first(self._sent[side], Disconnect)

    def disconnect_got(self, side: Sender) -> tuple[TraceEntry, Disconnect] | None:
        """The first DISCONNECT that reached that side."""
        return _first(self._got[side], Disconnect)


def _first(entries: Iterable[TraceEntry], kind: type[_PacketT]) -> tuple[TraceEntry, _PacketT] | None:
    for entry in entries:
        if isinstance(entry.packet, kind):
            return entry, entry.packet
    return None


@dataclass
class Chain:
    """The connections of one session as one side knows it; `is_complete` if it is known from its beginning.

    `may_go_on` is what a 3.1.1 client makes of a session that the server lost: it may end it or go on with what it
    has, and then has to send again what was not acknowledged. [3.1.1 3.2.2.2, MQTT-4.4.0-1]
    """

    side: Sender
    client_id: str
    is_complete: bool
    talks: list[Talk] = field(default_factory=list)
    may_go_on: bool = False

    def events(self) -> Iterator[tuple[Talk, Event]]:
        """The stories of its connections one after another, to the first that is not understood."""
        for talk in self.talks:
            for event in talk.story(self.side):
                yield talk, event
            if not talk.is_understood(self.side):
                return


class Case:
    """A whole trace, ready to be inspected; `version` is the one the cell is about, `until` when the tap stopped.

    `asked` tells, by link and connection, which version a client was asked to speak, where that need not be the cell's.
    `round_trip_seconds` is how long a packet to the broker and its answer may be under way beyond the tap.
    """

    def __init__(
        self,
        entries: Sequence[TraceEntry],
        version: Version,
        until: float = 0.0,
        asked: Asked | None = None,
        round_trip_seconds: float = 0.0,
    ) -> None:
        self.entries = entries
        self.version = version
        self._asked = asked
        self._round_trip_seconds = round_trip_seconds
        self.end = max([until, *(entry.at for entry in entries)])
        self.talks: list[Talk] = self._find_talks()

    def _find_talks(self) -> list[Talk]:
        talks: dict[tuple[str, int], Talk] = {}
        for entry in self.entries:
            if entry.connection == 0:
                continue
            key = (entry.link, entry.connection)
            if key not in talks:
                asked = self.version if self._asked is None else self._asked(*key)
                talks[key] = Talk(entry.link, entry.connection, asked, self.end, self._round_trip_seconds)
            talks[key].entries.append(entry)
        return list(talks.values())

    @cached_property
    def connects(self) -> list[tuple[TraceEntry, Connect]]:
        """Every CONNECT, on whatever link, whoever sent it."""
        return [(entry, entry.packet) for entry in self.entries if isinstance(entry.packet, Connect)]

    def chains(self, side: Sender) -> list[Chain]:
        """The sessions as that side knows them."""
        return self._client_chains if side is CLIENT else self._broker_chains

    @cached_property
    def _client_chains(self) -> list[Chain]:
        """A client is its link: a session goes on from one of its connections to the next."""
        chains: list[Chain] = []
        current: dict[str, Chain] = {}
        latest: dict[str, Talk] = {}
        for talk in sorted(self.talks, key=lambda each: each.entries[0].index):
            connect = talk.connect(CLIENT)
            if connect is None:
                continue
            client_id = connect[1].client_id
            known, before = current.get(talk.link), latest.get(talk.link)
            if talk.is_fresh(CLIENT) or known is None or known.client_id != client_id:
                may_go_on = before is not None and _may_go_on(before, talk)
                known = Chain(CLIENT, client_id, talk.is_fresh(CLIENT) and not may_go_on, may_go_on=may_go_on)
                current[talk.link] = known
                chains.append(known)
            latest[talk.link] = talk
            known.talks.append(talk)
            # Somebody else under this name moves the session on without us.
            for link, other in list(current.items()):
                if link != talk.link and other.client_id == client_id:
                    del current[link]
        return chains

    @cached_property
    def _broker_chains(self) -> list[Chain]:
        """To a broker a session is a client identifier, whatever connection it comes over."""
        chains: list[Chain] = []
        current: dict[str, Chain] = {}
        for talk in sorted((talk for talk in self.talks if talk.connect(BROKER)), key=_connect_index):
            client_id = broker_client_id(talk)
            if talk.connack(BROKER) is None and talk.is_fresh(BROKER):
                current.pop(client_id, None)  # the broker may have thrown the session away before the link was cut
            if not talk.accepted(BROKER):
                continue
            known = current.get(client_id)
            if talk.is_fresh(BROKER) or known is None:
                known = current[client_id] = Chain(BROKER, client_id, talk.is_fresh(BROKER))
                chains.append(known)
            known.talks.append(talk)
        return chains


def _may_go_on(before: Talk, talk: Talk) -> bool:
    """Whether a client asked twice for a kept session, and is told by 3.1.1 that there is none."""
    asked = [each.connect(CLIENT) for each in (before, talk)]
    connects = [said[1] for said in asked if said is not None]
    return (
        talk.version is Version.V311
        and len(connects) == len(asked)
        and connects[0].client_id == connects[1].client_id
        and not any(connect.clean_start for connect in connects)
    )


def _connect_index(talk: Talk) -> int:
    connect = talk.connect(BROKER)
    return -1 if connect is None else connect[0].index


def peer_limits(talk: Talk, side: Sender) -> Properties | None:
    """What the peer allows that side, by CONNACK or CONNECT; None for a client that did not wait for it."""
    if side is CLIENT:
        connack = talk.connack(CLIENT)
        return None if connack is None or talk.is_pipelined else connack[1].properties
    connect = talk.connect(BROKER)
    return None if connect is None else connect[1].properties


def broker_client_id(talk: Talk) -> str:
    """The client identifier under which the broker knows a connection whose CONNECT it got.

    An empty one without an assigned one is unique to the connection. [3.1.1 MQTT-3.1.3-6]
    """
    connect, connack = talk.connect(BROKER), talk.connack(BROKER)
    assert connect is not None  # the caller looked
    assigned = None if connack is None else connack[1].properties.assigned_client_identifier
    return connect[1].client_id or assigned or f"(unnamed {talk.link} {talk.number})"
