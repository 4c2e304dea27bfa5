"""What the system says of a process: CPU time and resident memory, on Linux.

Belongs here: /proc. Does not belong here: whose process it is.
"""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path

_USER_TIME, _SYSTEM_TIME, _RESIDENT_PAGES = 11, 12, 21
"""Fields of /proc/PID/stat, counted behind the program's name. [proc(5)]"""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the process began, and resident bytes now."""

    cpu_seconds: float
    rss_bytes: int


def usage(pid: int | None) -> Usage | None:
    """Look at a process; None where it cannot be seen."""
    if pid is None:
        return None
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])
        return Usage(ticks / os.sysconf("SC_CLK_TCK"), int(fields[_RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE"))
    return None


def peak_bytes(pid: int) -> int:
    """The most memory a process had since it was last forgotten."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def forget_peak(pid: int) -> None:
    """The most memory a process had is what it has now. [proc(5): clear_refs]"""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def raise_file_limit() -> None:
    """Let this process, and those it starts, open as many sockets as the system lets them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
