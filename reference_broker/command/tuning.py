"""What makes the broker's process fast, and is the process's own affair: event loop, garbage, memory.

Belongs here: settings of the interpreter and of the C library, each with what it is for; all may be missing.
Does not belong here: settings a user makes (`net.config`), what the broker itself does well or badly.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_GARBAGE_THRESHOLDS = (5_000, 1, 0)
"""Objects made and not let go before Python looks through them for cycles, and looks at the younger ones before one at
the older ones too. Little at a time, because everybody waits for a look: 20,000 objects are 7 ms."""
_LONG_LOOK_SECONDS = 0.002

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt in glibc's malloc.h
_KEPT_BYTES = 64 * 1024 * 1024
_MAPPED_BYTES = 8 * 1024 * 1024


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give uvloop's loop factory where uvloop is installed, else None for asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - the extra `speed`, not always there
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@contextmanager
def garbage_looked_for_seldom() -> Iterator[None]:
    """Look for no garbage within, and for little behind it: what is there by then is left out.

    Within, a store is taken in: to look through a million messages takes a second.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*_GARBAGE_THRESHOLDS)
        gc.callbacks.append(_LongLooks().watch)
        gc.enable()


class _LongLooks:
    """Leaves out of later looks what a long look found in use: a million messages that wait would take a second again
    and again. They go when they are let go of, as everything does; the broker makes no circles that outlive two looks.
    """

    __slots__ = ("_began_seconds",)

    def __init__(self) -> None:
        self._began_seconds = 0.0

    def watch(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_seconds = time.perf_counter()
        elif info["generation"] > 0 and time.perf_counter() - self._began_seconds > _LONG_LOOK_SECONDS:
            gc.freeze()


def leave_to_the_system(thing: object) -> None:
    """Have a thing there as long as the process: its end takes no time then, where Python needs seconds to take a
    million messages apart.
    """
    lasting = [thing]
    lasting.append(lasting)  # a circle that the collector is not to see
    gc.freeze()


def keep_freed_memory() -> bool:
    """Have glibc keep up to 64 MiB of what is freed; False where there is no glibc.

    Each read is 256 KB that are freed at once. glibc would give them back to the system, which has to clear them for
    the next read: with large packets half of all the time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; TypeError: Windows
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
