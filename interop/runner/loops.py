"""The event loops on which a worker plays its broker, its taps and its built-in client, by name.

Belongs here: their names, and saying in one line that one cannot be had.
Does not belong here: what runs in them (`engine`), the loops of child processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reference_broker.command.tuning import fastest_loop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

DEFAULT_LOOP = "fastest"
"""Sockets, timers and turns of asyncio's own loop are a fifth of a cell's work, and no matter of the verdict."""

LOOPS: dict[str, Callable[[], LoopFactory | None]] = {
    DEFAULT_LOOP: lambda: fastest_loop() or asyncio.new_event_loop,
    "asyncio": lambda: asyncio.new_event_loop,
    "uvloop": fastest_loop,
}
"""Each gives a factory of loops, or None where it is not installed."""


class LoopNotThere(Exception):
    """An event loop is unknown or not installed; the message says which, and what can be done."""


def loop_factory(name: str) -> LoopFactory:
    """What makes the event loops of that name; raises LoopNotThere."""
    if name not in LOOPS:
        raise LoopNotThere(f"--loop {name}: expected one of {', '.join(LOOPS)}")
    factory = LOOPS[name]()
    if factory is None:
        raise LoopNotThere(f"--loop {name}: not installed; pip install 'mqtt-interop[speed]'")
    return factory
