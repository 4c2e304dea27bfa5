"""The corpus's vocabulary: a case, the reactions the specification allows, and what was observed instead.

Belongs here: values, and whether an observation fits a reaction.
Does not belong here: which cases there are (`rules_*`), sending them (`broker_run`, `client_run`), records (`results`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum

from interop.requirements.requirements import Level
from reference_broker.wire.packets import Packet
from reference_broker.wire.types import PacketType, Version


class UnderTest(StrEnum):
    """Who is under test; the packets go its way."""

    BROKER = "broker"
    CLIENT = "client"


class Stage(Enum):
    """When a case's bytes are sent."""

    FIRST = "first"
    """On a fresh network connection, in CONNECT's place; to a client in CONNACK's."""
    CONNECTED = "connected"


@dataclass(frozen=True, slots=True)
class Reaction:
    """One way to react: whether the connection is closed, and the packet that is sent first or in answer.

    Without a packet nothing is said. `codes` are those one of which that packet has to carry; empty means any.
    """

    closes: bool
    packet: PacketType | None = None
    codes: frozenset[int] = frozenset()

    def __str__(self) -> str:
        said = self.packet.name if self.packet is not None else ""
        if len(self.codes) > 8:
            said += " with an error"
        elif self.codes:
            said += f" {'/'.join(f'0x{code:02X}' for code in sorted(self.codes))}"
        if self.closes:
            return f"{said} and close" if said else "close"
        return said or "stay open"


CLOSE = Reaction(closes=True)
OPEN = Reaction(closes=False)


def says(packet: PacketType, codes: Iterable[int] = ()) -> Reaction:
    """Close, after a packet that gives the reason."""
    return Reaction(closes=True, packet=packet, codes=frozenset(codes))


def answers(packet: PacketType, codes: Iterable[int] = ()) -> Reaction:
    """Answer and go on."""
    return Reaction(closes=False, packet=packet, codes=frozenset(codes))


@dataclass(frozen=True, slots=True)
class Expected:
    """What the specification says about one case.

    A reaction outside `allowed` breaks a statement of `level`; one outside `preferred` does not follow a SHOULD, that
    of `preferred_cites`. At level `may` nothing is wrong and what happens is recorded.
    """

    level: Level
    cites: tuple[str, ...]
    allowed: frozenset[Reaction]
    preferred: frozenset[Reaction]
    preferred_cites: tuple[str, ...] = ()

    @property
    def is_refusal(self) -> bool:
        """Whether nothing but closing is right, or would be where nothing is laid down."""
        return all(reaction.closes for reaction in self.allowed)


USER_NAME = b"alice"
"""In a CONNECT with all fields; one that lacks it has no password either."""
_OF_QOS_2 = frozenset({"publish-qos-2", "pubrec", "pubrel", "pubcomp"})


@dataclass(frozen=True, slots=True)
class Case:
    """One packet, or a few, to be sent to who is under test.

    `malformed`: the bytes themselves are wrong, not only when or by whom they are sent. `probe`: a sign of life is
    asked for behind them. `split_at`: they are written in two pieces, cut there. `packet_id_at`: where in them the
    identifier of the client's pending request has to stand.
    """

    version: Version
    tested: UnderTest
    packet: str
    field: str
    mutation: str
    stage: Stage
    data: bytes
    expected: Expected
    malformed: bool
    probe: bool = True
    split_at: int | None = None
    packet_id_at: int | None = None

    @property
    def id(self) -> str:
        """Unique among the cases of its direction, e.g. `5.0/connect/receive-maximum/zero`."""
        return f"{self.version.label}/{self.packet}/{self.field}/{self.mutation}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Features a broker must have to be asked this, by the names of `interop.scenario.features`."""
        needs = ["qos2"] if self.packet in _OF_QOS_2 else []
        if self.packet == "connect" and self.stage is Stage.FIRST and USER_NAME not in self.data:
            needs.append("anonymous")
        elif self.packet == "connect" and self.stage is Stage.FIRST and not self.malformed:
            needs.append("any-login")
        return tuple(needs)

    @property
    def area(self) -> str:
        """Which part of the report it belongs to."""
        return f"corpus-{self.packet}"


class End(Enum):
    """How a case's connection ended, or did not."""

    CLOSED = "closed the connection"
    ALIVE = "stayed open and answered what came next"
    SILENT = "neither closed the connection nor answered what came next"


@dataclass(frozen=True, slots=True)
class Observed:
    """What came back: packets in order, and the end. `garbled` says why later bytes were no packets."""

    end: End
    packets: tuple[Packet, ...] = ()
    garbled: str = ""
    received: bytes = b""


def fits(reaction: Reaction, observed: Observed) -> bool:
    """Whether what was observed is this reaction."""
    if observed.garbled or reaction.closes != (observed.end is End.CLOSED) or observed.end is End.SILENT:
        return False
    if reaction.packet is None:
        return not (observed.packets and reaction.closes)
    return any(
        packet.type is reaction.packet and (not reaction.codes or reaction.codes.issuperset(codes_of(packet)))
        for packet in observed.packets
    )


def codes_of(packet: Packet) -> tuple[int, ...]:
    """The reason codes of a packet."""
    reasons: tuple[int, ...] | None = getattr(packet, "reasons", None)
    return reasons if reasons is not None else (getattr(packet, "reason", 0),)


class NoStart(Exception):
    """A case could not be brought to its start; the message says why."""


@dataclass(frozen=True, slots=True)
class Played:
    """One case, what came back or why it could not be tried, and how long it took."""

    case: Case
    observed: Observed | None
    problem: str
    seconds: float
