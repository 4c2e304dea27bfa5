"""The verbs of a scenario, one model each, in three families.

Belongs here: what holds for all verbs, and their list; this is where a scenario's author begins to read.
Does not belong here: a verb with its fields and their meaning (the three below), how it is carried out
(`interop.runner`), shared value types (`values`).

*Actors* (`verbs_of_actors`) do what applications do: connect, subscribe, publish, ... *Faults* (`verbs_on_links`)
happen on an actor's link, in the recording proxy: cut, freeze, hold, inject, ... *Observations* (`verbs_that_look`)
wait for something to be seen and fail when it is not: receive, wire, closed, ...

Windows (`after`, `within`) are in seconds and count from the last step that *did* something, as opposed to
observations. A fault that is armed with `at` moves that moment to when it fires. Everything an actor receives must be
expected: a message that no `receive` asked for fails the cell at its end, and what it received it acknowledges before
the next step. Names (topics, client ids) are relative; the runner makes them unique.

Scenarios are written for a broker on loopback: where it is far away, an answer may come as much later as packets take.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from interop.scenario.step import WINDOW_SECONDS, AnyStep
from interop.scenario.verbs_of_actors import (
    Ack,
    Auth,
    Connect,
    ConnectOutcome,
    Disconnect,
    Publish,
    Subscribe,
    TopicRequest,
    Unsubscribe,
)
from interop.scenario.verbs_on_links import (
    Cut,
    Delay,
    Drop,
    Duplicate,
    Elapse,
    Fault,
    Freeze,
    Hold,
    Inject,
    Mark,
    Reframe,
    Restart,
    Rewrite,
    Split,
    Thaw,
    Throttle,
)
from interop.scenario.verbs_that_look import (
    AtLeastAtMost,
    Closed,
    Completed,
    Frame,
    Nothing,
    Receive,
    Reported,
    StaysOpen,
    Windowed,
    Wire,
)

__all__ = [
    "VERBS",
    "WINDOW_SECONDS",
    "Ack",
    "AnyStep",
    "AtLeastAtMost",
    "Auth",
    "Closed",
    "Completed",
    "Connect",
    "ConnectOutcome",
    "Cut",
    "Delay",
    "Disconnect",
    "Drop",
    "Duplicate",
    "Elapse",
    "Fault",
    "Frame",
    "Freeze",
    "Hold",
    "Inject",
    "Mark",
    "Nothing",
    "Observation",
    "Publish",
    "Receive",
    "Reframe",
    "Reported",
    "Restart",
    "Rewrite",
    "Split",
    "StaysOpen",
    "Step",
    "Subscribe",
    "Thaw",
    "Throttle",
    "TopicRequest",
    "Unsubscribe",
    "Windowed",
    "Wire",
]

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
