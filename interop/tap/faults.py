"""The faults a link can be told to cause, and when each of them is due.

Belongs here: what a fault is (values), and which armed fault befalls the next packet.
Does not belong here: carrying one out (`lane`, `crossing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from interop.tap.trace import Sender
from reference_broker.wire.packets import Packet
from reference_broker.wire.types import PacketType


class How(StrEnum):
    """How a connection ends."""

    FIN = "FIN"
    RST = "RST"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class When:
    """The `nth` packet of that type from that side, counted from when the fault is armed; or `every` such packet.

    An `optional` one need not come: nobody waits for it.
    """

    packet: PacketType
    sender: Sender
    nth: int = 1
    every: bool = False
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.packet.name} from {self.sender}"


@dataclass(frozen=True, slots=True)
class Cut:
    """End the connection, before the packet arrives or (`deliver`) after."""

    how: How
    deliver: bool = False

    def __str__(self) -> str:
        return f"cut ({self.how})"


@dataclass(frozen=True, slots=True)
class Freeze:
    """Stop bytes in both directions, or those from one side only."""

    only_from: Sender | None = None

    def __str__(self) -> str:
        return "freeze" if self.only_from is None else f"freeze what the {self.only_from} sends"


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep the packet back until a thaw; others pass it."""

    def __str__(self) -> str:
        return "hold"


@dataclass(frozen=True, slots=True)
class Drop:
    """Never deliver the packet."""

    def __str__(self) -> str:
        return "drop"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Deliver the packet twice; `dup` sets or clears the DUP flag of the copy."""

    dup: bool | None = None

    def __str__(self) -> str:
        return "duplicate"


@dataclass(frozen=True, slots=True)
class Delay:
    """Deliver the packet that much later; what follows it in its direction waits behind it."""

    seconds: float

    def __str__(self) -> str:
        return f"delay by {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Deliver something else in the packet's place: a changed packet, or bytes."""

    change: Callable[[Packet], Packet] | bytes

    def __str__(self) -> str:
        return "rewrite"


Action = Cut | Freeze | Hold | Drop | Duplicate | Delay | Rewrite


@dataclass(slots=True)
class Armed:
    """A fault that waits for its packet on a link's connection of that number, or on a later one."""

    when: When
    action: Action
    connection: int = 1
    seen: int = 0
    fired: bool = False


@dataclass(frozen=True, slots=True)
class Frames:
    """How the bytes of one side are put into WebSocket frames, where they do not go on in those they came in.

    `frame_bytes` is the most a frame holds (None: all of it). The frames are `fragmented`: fragments of one message, or
    each a message of its own. `together` puts what goes on at the same time into one message, else each packet has its
    own. `between` names frames that come between two of them. [RFC 6455 5.4, 5.5]
    """

    frame_bytes: int | None = None
    fragmented: bool = False
    together: bool = False
    between: tuple[str, ...] = ()


class Plan:
    """The armed faults of one link, in the order of arming; they survive its reconnections until they fire.

    What lasts from when it is asked for: `rates`, in bytes per second, and `frames`, both of what a side sends.
    """

    def __init__(self) -> None:
        self._armed: list[Armed] = []
        self.rates: dict[Sender, float] = {}
        self.frames: dict[Sender, Frames] = {}

    def arm(self, when: When, action: Action, connection: int = 1) -> None:
        """Wait for `when`, which is meant to happen on that connection of the link."""
        self._armed.append(Armed(when, action, connection))

    def outstanding(self, connection: int) -> list[Armed]:
        """The faults that were to fire by the end of that connection, and have not; optional ones are left out."""
        return [
            armed
            for armed in self._armed
            if not armed.fired and not armed.when.optional and armed.connection <= connection
        ]

    def due(self, packet_type: int, sender: Sender) -> list[Action]:
        """Count one packet and give the actions that befall it; a fired one is gone unless it is for every packet."""
        actions = []
        for armed in list(self._armed):
            when = armed.when
            if when.packet != packet_type or when.sender is not sender:
                continue
            armed.seen += 1
            if when.every or armed.seen == when.nth:
                actions.append(armed.action)
                armed.fired = True
                if not when.every:
                    self._armed.remove(armed)
        return actions

    def watches(self, packet_type: int, sender: Sender) -> bool:
        """Whether an armed fault counts packets of that type from that side."""
        return any(armed.when.packet == packet_type and armed.when.sender is sender for armed in self._armed)

    def forget(self) -> None:
        """Let nothing that has not fired befall what comes."""
        self._armed.clear()

    def end_holds(self) -> None:
        """Forget the holds on every packet of a kind: a thaw lets what they caught go, and what comes after it too."""
        self._armed = [armed for armed in self._armed if not (armed.when.every and isinstance(armed.action, Hold))]
