"""The verbs that only look, and what carries each of them out.

Belongs here: the table of observations.
Does not belong here: what they do (`told`, `on_the_wire`), doing anything to client, broker or link (`act`, `fault`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from interop.runner.on_the_wire import closed, frame, stays_open, wire
from interop.runner.stage import Stage
from interop.runner.told import completed, nothing, receive, reported
from interop.runner.window import Observed
from interop.scenario import steps

OBSERVATIONS: dict[type[steps.AnyStep], Callable[[Stage, Any], Awaitable[Observed]]] = {
    steps.Receive: receive,
    steps.Nothing: nothing,
    steps.Completed: completed,
    steps.Reported: reported,
    steps.Wire: wire,
    steps.Frame: frame,
    steps.Closed: closed,
    steps.StaysOpen: stays_open,
}
