"""What is waited for, or must not come: receive, nothing, wire, closed, ...

Belongs here: the models of these verbs, their fields and what they mean.
Does not belong here: how it is looked for (`interop.runner`), words for all verbs (`steps`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from interop.scenario import numbered
from interop.scenario.step import WINDOW_SECONDS, AnyStep, Count
from interop.scenario.values import (
    Pattern,
    Payload,
    PropertyMap,
    QoSLevel,
    Reason,
    Seconds,
    Side,
    Strict,
)


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
    """The link's network connection is still open that long after the last action.

    With `since_last_of`, after the last packet that came through from this side: a keep alive counts from there.
    """

    do: Literal["stays_open"]
    link: str
    seconds: Seconds = 0.2
    since_last_of: Side | None = None

    @property
    def waits_seconds(self) -> float:
        """How long it makes a cell wait when all goes well."""
        return self.seconds
