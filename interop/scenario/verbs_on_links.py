"""What happens to a link in the recording proxy, to the broker, and in time: cut, freeze, hold, inject, restart, ...

Belongs here: the models of these verbs, their fields and what they mean.
Does not belong here: how a fault is done (`interop.tap`), words for all verbs (`steps`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from interop.scenario.step import AnyStep
from interop.scenario.values import (
    HexBytes,
    PacketName,
    Seconds,
    Side,
)


class Fault(AnyStep):
    """A fault on an actor's link. Without `at` it happens now; with `at` it waits for the nth such packet from here."""

    link: str
    at: PacketName | None = None
    sender: Side | None = Field(None, alias="from", description="who sends the packet; needed when both sides can")
    nth: Annotated[int, Field(ge=1)] = 1
    optional: bool = Field(
        False, description="the packet need not come; without this, a step that relies on the fault waits for it"
    )


class Cut(Fault):
    """The link is cut: FIN or RST to both sides, or silence (both sides stay connected to nothing).

    `packet: lost` (default) keeps the packet from its receiver, `delivered` lets it through first.
    """

    do: Literal["cut"]
    how: Literal["fin", "rst", "silence"] = "fin"
    packet: Literal["lost", "delivered"] = "lost"


class Freeze(Fault):
    """Bytes stop, the sockets stay open: in both directions, or only those from one side (`only_from`).

    Bytes that are sent meanwhile wait in the proxy until `thaw`.
    """

    do: Literal["freeze"]
    only_from: Side | None = None


class Thaw(AnyStep):
    """What `freeze` or `hold` kept back goes on, in order."""

    do: Literal["thaw"]
    link: str


class Hold(Fault):
    """The packet is kept back until `thaw`; other packets pass it."""

    do: Literal["hold"]
    at: PacketName
    every: bool = Field(False, description="keep back each such packet, not only the nth")


class Drop(Fault):
    """The packet never arrives."""

    do: Literal["drop"]
    at: PacketName
    every: bool = Field(False, description="each such packet, not only the nth")


class Duplicate(Fault):
    """The packet arrives twice; `dup` sets the DUP flag in the copy."""

    do: Literal["duplicate"]
    at: PacketName
    dup: bool | None = None


class Delay(Fault):
    """The packet, and what follows it in its direction, arrives that much later."""

    do: Literal["delay"]
    at: PacketName
    seconds: Seconds

    @property
    def waits_seconds(self) -> float:
        """How long it makes a cell wait when all goes well."""
        return self.seconds


class Split(AnyStep):
    """From now on bytes from this side arrive one by one, each in a segment (over WebSocket: a message) of its own."""

    do: Literal["split"]
    link: str
    sender: Side = Field(alias="from")


class Reframe(AnyStep):
    """From now on what this side sends arrives in other WebSocket frames than it was sent in; transports ws and wss.

    Each packet is a message of its own, or (`together`) all that goes on at the same time is one, e.g. what `freeze`
    kept back. A frame holds at most `frame_bytes`. Several frames of a message are fragments (FIN 0 and continuation
    frames), or (`as: messages`) each a message of its own. `between` two of them come control frames, or empty ones.
    A PONG that answers a PING of ours goes no further. [RFC 6455 5.4, 5.5]
    """

    do: Literal["reframe"]
    link: str
    sender: Side = Field(alias="from")
    form: Literal["fragments", "messages"] = Field("fragments", alias="as")
    frame_bytes: Annotated[int, Field(ge=1)] | None = Field(None, description="none: a message is one frame")
    together: bool = False
    between: tuple[Literal["ping", "pong", "empty"], ...] = ()

    @model_validator(mode="after")
    def _between_what(self) -> Reframe:
        if self.frame_bytes is None and (self.between or not self.together):
            raise ValueError("give `frame_bytes`, or `together` alone: there is one frame only")
        return self


class Throttle(AnyStep):
    """From now on bytes from this side arrive no faster than that, each packet behind the one before.

    On the wire a packet counts as sent when the proxy has it, and as delivered when all of it arrived.
    """

    do: Literal["throttle"]
    link: str
    sender: Side = Field(alias="from")
    bytes_per_second: Annotated[int, Field(ge=1)]


class Rewrite(Fault):
    """The packet arrives changed: fields `set` to other values, or replaced by raw bytes (`hex`)."""

    do: Literal["rewrite"]
    at: PacketName
    set: dict[str, Any] = Field(default_factory=dict)
    hex: HexBytes | None = None


class Inject(AnyStep):
    """A packet nobody sent arrives at one side: described field by field, repeated from the trace, or raw bytes.

    Exactly one of `packet` ({type: PUBREL, packet_id: 7, ...}; fields as in reference_broker.wire.packets), `repeat`
    (the last packet of that kind the other side sent, with changes by `set`) and `hex` (raw bytes, may be half a
    packet). `packet_id: {of: PUBLISH}` is that of the last PUBLISH either side sent, for identifiers others chose.
    `count` repeats it. Answers to injected packets travel on unless a `drop` catches them.
    """

    do: Literal["inject"]
    link: str
    to: Side
    packet: dict[str, Any] | None = None
    repeat: PacketName | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    hex: HexBytes | None = None
    beneath: bool = Field(
        False, description="`hex` goes beneath the WebSocket: it is frames, not what is in one; transports ws and wss"
    )
    count: Annotated[int, Field(ge=1, le=100)] = 1

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Inject:
        if sum(given is not None for given in (self.packet, self.repeat, self.hex)) != 1:
            raise ValueError("give exactly one of `packet`, `repeat` and `hex`")
        if self.beneath and self.hex is None:
            raise ValueError("only `hex` goes beneath the WebSocket")
        return self


class Mark(AnyStep):
    """Names this moment, for `since`."""

    do: Literal["mark"]
    name: str


class Elapse(AnyStep):
    """A span of time the specification speaks of passes; `because` says which."""

    do: Literal["elapse"]
    seconds: Seconds
    because: str

    @property
    def waits_seconds(self) -> float:
        """How long it makes a cell wait when all goes well."""
        return self.seconds


class Restart(AnyStep):
    """The broker ends, by SIGTERM or SIGKILL (`how`), is away for that long, and starts again with what it kept.

    For scenarios with a broker of their own (`own_broker: true`) that need `persistence`, or `crash-persistence` where
    it is killed. Every link is closed by it; actors come back by a `connect` of theirs.
    """

    do: Literal["restart"]
    how: Literal["stop", "kill"] = "stop"
    down_seconds: Seconds = 0.0

    @property
    def waits_seconds(self) -> float:
        """How long it makes a cell wait when all goes well."""
        return self.down_seconds
