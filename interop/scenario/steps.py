"""The verbs of a scenario, one model each.

Belongs here: every verb with its fields and their meaning; this file is the reference a scenario's author reads.
Does not belong here: how a verb is carried out (`interop.runner`), shared value types (`values`).

Three families. *Actors* do what applications do: connect, subscribe, publish, ... *Faults* happen on an actor's link,
in the recording proxy: cut, freeze, hold, inject, ... *Observations* wait for something to be seen and fail when it is
not: receive, wire, closed, ...

Windows (`after`, `within`) are in seconds and count from the last step that *did* something, as opposed to
observations. A fault that is armed with `at` moves that moment to when it fires. Everything an actor receives must be
expected: a message that no `receive` asked for fails the cell at its end, and what it received it acknowledges before
the next step. Names (topics, client ids) are relative; the runner makes them unique.

Scenarios are written for a broker on loopback: where it is far away, an answer may come as much later as packets take.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from interop.scenario import numbered
from interop.scenario.values import (
    HexBytes,
    Level,
    MqttLabel,
    PacketName,
    Pattern,
    Payload,
    PropertyMap,
    QoSLevel,
    Reason,
    Seconds,
    Side,
    Strict,
)

WINDOW_SECONDS = 3.0
"""How long an observation waits when the step names no `within`."""


class AnyStep(Strict):
    """What every step may say."""

    only: tuple[MqttLabel, ...] | None = Field(None, description="this step is for these versions; others skip it")
    level: Level | None = Field(None, description="when this step is less (or more) binding than the scenario")
    cites: tuple[str, ...] | None = Field(
        None, description="statement ids, when this step proves others than the scenario"
    )

    @property
    def waits_seconds(self) -> float:
        """How long it makes a cell wait when all goes well."""
        return 0.0


# --- actors -----------------------------------------------------------------------------------------------------------


ConnectOutcome = Literal["accepted", "refused", "cut-off", "pending"]


class Connect(AnyStep):
    """The actor connects (again). Its session settings are the actor's unless overridden here.

    `pending` goes on at once, without waiting for what becomes of it.
    """

    do: Literal["connect"]
    actor: str = Field(alias="as")
    mqtt: MqttLabel | None = Field(None, description="the version of this connection, where the actor changes it")
    session: Literal["clean", "kept"] | None = None
    keep_alive: Annotated[int, Field(ge=0, le=65535)] | None = None
    client_id: str | None = None
    username: str | None = None
    password: str | None = None
    properties: PropertyMap | None = Field(None, description="replaces the actor's CONNECT properties")
    without_will: bool = False
    outcome: ConnectOutcome | tuple[ConnectOutcome, ...] = Field(
        "accepted", description="a list where the specification lets the broker choose, e.g. [refused, cut-off]"
    )
    session_present: bool | None = Field(
        None, description="expected in CONNACK; not looked at in 3.1, which has no such flag"
    )
    reason: Reason | tuple[Reason, ...] | None = Field(None, description="expected return or reason code in CONNACK")
    answer: PropertyMap = Field(default_factory=dict, description="properties CONNACK must carry")

    def outcomes(self) -> tuple[ConnectOutcome, ...]:
        """The outcomes that are right, however they were written."""
        return self.outcome if isinstance(self.outcome, tuple) else (self.outcome,)


class Disconnect(AnyStep):
    """The actor disconnects with DISCONNECT."""

    do: Literal["disconnect"]
    actor: str = Field(alias="as")
    reason: Reason = 0
    properties: PropertyMap = Field(default_factory=dict)


Count = Annotated[
    int,
    Field(ge=1, le=numbered.MOST, description="so many, one for each n from 0: {n} in topic and payload is the number"),
]


class TopicRequest(Strict):
    """One topic filter of a SUBSCRIBE; the options besides `qos` exist in 5.0 only."""

    topic: str
    qos: QoSLevel = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: Annotated[int, Field(ge=0, le=2)] = 0


class Subscribe(AnyStep):
    """The actor subscribes in one SUBSCRIBE: one filter (`topic` and its options), `count` of it, or several, `topics`.

    One code of `granted` is meant for all of a count.
    """

    do: Literal["subscribe"]
    actor: str = Field(alias="as")
    topic: str | None = None
    count: Count = 1
    qos: QoSLevel = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: Annotated[int, Field(ge=0, le=2)] = 0
    topics: tuple[TopicRequest, ...] = ()
    properties: PropertyMap = Field(default_factory=dict)
    outcome: Literal["done", "refused", "cut-off", "pending"] = "done"
    granted: Reason | tuple[Reason, ...] | None = Field(None, description="expected codes in SUBACK, on the wire")
    answer: PropertyMap = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Subscribe:
        if (self.topic is None) == (not self.topics):
            raise ValueError("give either `topic` or `topics`")
        return self

    def requests(self) -> tuple[TopicRequest, ...]:
        """The filters asked for, however they were written."""
        if self.topic is None:
            return self.topics
        return tuple(
            TopicRequest(
                topic=each.topic or "",
                qos=self.qos,
                no_local=self.no_local,
                retain_as_published=self.retain_as_published,
                retain_handling=self.retain_handling,
            )
            for each in numbered.numbered(self)
        )


class Unsubscribe(AnyStep):
    """The actor unsubscribes in one UNSUBSCRIBE: from one filter (`topic`), `count` of it, or several (`topics`).

    One code of `reasons` is meant for all of a count.
    """

    do: Literal["unsubscribe"]
    actor: str = Field(alias="as")
    topic: str | None = None
    count: Count = 1
    topics: tuple[str, ...] = ()
    properties: PropertyMap = Field(default_factory=dict)
    outcome: Literal["done", "cut-off", "pending"] = "done"
    reasons: tuple[Reason, ...] | None = Field(None, description="expected codes in UNSUBACK (5.0), on the wire")

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Unsubscribe:
        if (self.topic is None) == (not self.topics):
            raise ValueError("give either `topic` or `topics`")
        return self

    def filters(self) -> tuple[str, ...]:
        """The filters named, however they were written."""
        return self.topics if self.topic is None else tuple(each.topic or "" for each in numbered.numbered(self))


class Publish(AnyStep):
    """The actor publishes one message, `payloads` one after another, or `count` of them.

    Of a count, 500 are handed over at a time, and the next ones once these are done and, with `in_step_with`, that
    actor has as many messages more: so no queue need be longer. Windows count from the last of them. Those that are not
    waited for (`pending`, `cut-off`) are handed over at once.

    `done` waits until the application is told of its delivery; `pending` goes on at once (see `completed`);
    `cut-off` means that the connection ends first; `refused` that the broker answers with an error (5.0) or that the
    client itself refuses to send what the broker does not allow.
    """

    do: Literal["publish"]
    actor: str = Field(alias="as")
    topic: str = Field(description="relative; '' with a topic_alias property sends an empty topic name")
    qos: QoSLevel = 0
    retain: bool = False
    payload: Payload = ""
    payloads: tuple[Payload, ...] = Field((), description="several messages, all handed over before waiting for any")
    count: Count = 1
    in_step_with: str | None = Field(None, description="an actor that gets each of a count")
    properties: PropertyMap = Field(default_factory=dict)
    outcome: Literal["done", "pending", "cut-off", "refused"] = "done"
    reason: Reason | tuple[Reason, ...] | None = Field(
        None, description="expected code in PUBACK or PUBREC (5.0), on the wire"
    )

    @model_validator(mode="after")
    def _in_step_where_it_waits(self) -> Publish:
        if self.in_step_with is not None and (self.count == 1 or self.outcome != "done"):
            raise ValueError("`in_step_with` is for a `count` that is waited for")
        return self


class Ack(AnyStep):
    """The actor (with `manual_ack`) acknowledges a message it received: by payload, or the oldest one still waiting."""

    do: Literal["ack"]
    actor: str = Field(alias="as")
    payload: Payload | None = None
    reason: Reason = Field(0, description="a code of 0x80 or more refuses the message (5.0)")


class Auth(AnyStep):
    """The actor begins re-authentication (5.0)."""

    do: Literal["auth"]
    actor: str = Field(alias="as")
    properties: PropertyMap = Field(default_factory=dict)
    outcome: Literal["done", "refused", "cut-off"] = "done"


# --- faults on a link -------------------------------------------------------------------------------------------------


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


# --- observations -----------------------------------------------------------------------------------------------------


class Windowed(AnyStep):
    """What is waited for in a window: from `after` to `within`, in seconds since the last action.

    `because` says what sets a window of a scenario's own: a statement below which it is too early, or how late is not
    late yet.
    """

    after: Seconds = 0.0
    within: Seconds = WINDOW_SECONDS
    because: str = ""

    @property
    def waits_seconds(self) -> float:
        """How long it makes a cell wait when all goes well."""
        return self.after


class AtLeastAtMost(Strict):
    """A number of times with bounds."""

    at_least: Annotated[int, Field(ge=0)]
    at_most: int


class Receive(Windowed):
    """The application gets this message: the next one on `topic` that no earlier step took.

    `payloads` is a list in the order they must come; `unordered` lifts that. `times` repeats one payload. `count` asks
    for that many, one for each number, which may come in any order where `{n}` is in the topic.
    Fields left out are not looked at; a field the client cannot observe is looked at on the wire instead.
    `properties` must be there with these values; `without` must not be there.
    """

    do: Literal["receive"]
    actor: str = Field(alias="as")
    topic: str
    payload: Payload | None = None
    payloads: tuple[Payload, ...] = ()
    unordered: bool = False
    qos: QoSLevel | None = None
    retain: bool | None = None
    dup: bool | None = None
    properties: PropertyMap = Field(default_factory=dict)
    without: tuple[str, ...] = ()
    times: Annotated[int, Field(ge=1)] | AtLeastAtMost = 1
    count: Count = 1

    @model_validator(mode="after")
    def _each_of_a_count_is_another(self) -> Receive:
        if self.count > 1 and (numbered.PLACEHOLDER not in self.topic or self.payloads or self.times != 1):
            raise ValueError("`count` is for one message on each of many topics, with {n} in `topic`")
        return self


class Nothing(AnyStep):
    """The application gets no message (on `topic`, or at all) for that long."""

    do: Literal["nothing"]
    actor: str = Field(alias="as")
    topic: str | None = None
    seconds: Seconds = 0.2

    @property
    def waits_seconds(self) -> float:
        """How long it makes a cell wait when all goes well."""
        return self.seconds


class Completed(Windowed):
    """A publish that was left `pending` or `cut-off` is reported as delivered, the oldest first, `times` of them."""

    do: Literal["completed"]
    actor: str = Field(alias="as")
    times: Annotated[int, Field(ge=1)] = 1
    reason: Reason | tuple[Reason, ...] | None = None


class Reported(Windowed):
    """The application was told that its connection ended; `reason` is the code it was told (5.0), if it can tell."""

    do: Literal["reported"]
    actor: str = Field(alias="as")
    what: Literal["disconnected"] = "disconnected"
    reason: Reason | None = None


class Wire(Windowed):
    """Packets on a link, seen by the recording proxy, in the order they reached it.

    `exactly`: these and no others (PINGREQ and PINGRESP do not count unless listed); `contains`: these in this order,
    others may come between; `never`: none of these. `since` is `start`, `connect` (the link's last network connection),
    `cut` (the last fault that fired on it) or the name of a `mark`. `from` looks at one direction only.
    `exactly` and `never` listen a moment longer for what must not come; `never` with `after` until then.
    """

    do: Literal["wire"]
    link: str
    sender: Side | None = Field(None, alias="from")
    since: str = "start"
    exactly: tuple[Pattern, ...] | None = None
    contains: tuple[Pattern, ...] | None = None
    never: tuple[Pattern, ...] | None = None

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Wire:
        if sum(given is not None for given in (self.exactly, self.contains, self.never)) != 1:
            raise ValueError("give exactly one of `exactly`, `contains` and `never`")
        return self


class Frame(Windowed):
    """A WebSocket control frame that this side sent since the last action, with this `payload` if that is given."""

    do: Literal["frame"]
    link: str
    sender: Side = Field(alias="from")
    what: Literal["ping", "pong"]
    payload: Payload | None = None


class Closed(Windowed):
    """The link's network connection is closed, by that side; by the other one too, once that side sent DISCONNECT.

    `reason` (5.0) demands a DISCONNECT or refusing CONNACK with that code before; it is not looked at in 3.x.
    """

    do: Literal["closed"]
    link: str
    by: Side
    reason: Reason | tuple[Reason, ...] | None = None


class StaysOpen(AnyStep):
    """The link's network connection is still open that long after the last action."""

    do: Literal["stays_open"]
    link: str
    seconds: Seconds = 0.2

    @property
    def waits_seconds(self) -> float:
        """How long it makes a cell wait when all goes well."""
        return self.seconds


Step = Annotated[
    Connect
    | Disconnect
    | Subscribe
    | Unsubscribe
    | Publish
    | Ack
    | Auth
    | Cut
    | Freeze
    | Thaw
    | Hold
    | Drop
    | Duplicate
    | Delay
    | Split
    | Reframe
    | Throttle
    | Rewrite
    | Inject
    | Mark
    | Elapse
    | Restart
    | Receive
    | Nothing
    | Completed
    | Reported
    | Wire
    | Frame
    | Closed
    | StaysOpen,
    Field(discriminator="do"),
]

Observation = Receive | Nothing | Completed | Reported | Wire | Frame | Closed | StaysOpen

_MODELS: tuple[type[AnyStep], ...] = get_args(get_args(Step)[0])
VERBS: dict[str, type[AnyStep]] = {get_args(model.model_fields["do"].annotation)[0]: model for model in _MODELS}
"""Every verb with its model."""
