"""How much memory the process has, and telling the broker when that is too much.

Belongs here: looking, having put away what is empty, and giving back what the allocator holds.
Does not belong here: what is refused (`admission`), what can be put away (`outgoing.mailbox`).

Each thing a peer can make the broker keep has a bound of its own; this one is for their sum, and for what nobody
thought of.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reference_broker.broker import Broker

_LOGGER = logging.getLogger("reference_broker")
_LOOK_SECONDS: Final = 0.05
_TRIM_LOOKS: Final = 200
"""What is free is given back when it becomes too much, and then once in so many looks: that takes time."""
_PUT_AWAY: Final = 64
"""So many sessions are seen to at each look, in some ten microseconds."""
_STATM: Final = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """What the process takes of the machine's memory; None where the system does not say."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError, ValueError, IndexError):
        return None


def give_back() -> None:
    """Let the system have the memory that is free and held for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


class MemoryWatch:
    """Looks twenty times a second, until it is ended: some hundred megabytes may come in one."""

    def __init__(self, broker: Broker, maximum_bytes: int, measure: Callable[[], int | None] = resident_bytes) -> None:
        """`measure` gives the bytes in use; None ends the watch."""
        self._broker = broker
        self._maximum_bytes = maximum_bytes
        self._measure = measure
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0

    def look(self) -> None:
        """Tell the broker how things are, have it put away what it does not need, and look again."""
        self._broker.put_away(_PUT_AWAY)
        size_bytes = self._measure()
        if size_bytes is None:
            return
        if size_bytes > self._maximum_bytes:
            if self._looks % _TRIM_LOOKS == 0:
                give_back()
                size_bytes = self._measure() or 0
            self._looks += 1
        else:
            self._looks = 0
        is_full = size_bytes > self._maximum_bytes
        if is_full is not self._broker.memory_is_full:
            self._broker.memory_is_full = is_full
            refused = "what takes more" if is_full else "nothing"
            _LOGGER.warning("memory: %d bytes are in use, %s is refused", size_bytes, refused)
        self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self.look)

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
