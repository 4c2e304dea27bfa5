"""How many file handles the system lets the process have, of which each connection takes one.

Belongs here: asking for more, and whether too few are left. Does not belong here: the limits of an operator (`config`).

Without a handle the system accepts nobody, and neither event loop says so in order: one logs without end, the other
closes whoever comes. So the last ones are left for files, and for what the broker accepts only to say no.
"""

from __future__ import annotations

import contextlib
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


def are_scarce(connections: int) -> bool:
    """Whether with so many connections only those are left that are for something else."""
    if resource is None:
        return False
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and connections > soft - _LEFT
