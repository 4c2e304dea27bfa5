"""How many file handles the system lets the process have, of which each connection takes one.

Belongs here: asking for more, and how many connections they are enough for.
Does not belong here: the limits of an operator (`config`).

Without a handle the system accepts nobody, and neither event loop says so in order: one logs without end, the other
closes whoever comes. So the last ones are left for files, and for what the broker accepts only to say no.
"""

from __future__ import annotations

import contextlib
import math
from typing import Final

try:
    import resource
except ImportError:  # Windows, which has no such limit
    resource = None  # type: ignore[assignment]

_LEFT: Final = 64
"""So many handles are for the store, the log, listeners, and files that are read again."""


def ask_for_all() -> None:
    """Take as many as the process may have."""
    if resource is not None:
        soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != most:
            with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit of its own
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def most_connections() -> float:
    """With more of them only those handles would be left that are for something else."""
    if resource is None:
        return math.inf
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else soft - _LEFT
