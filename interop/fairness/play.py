"""One run of the matrix under a disturbance, in a process of its own.

Belongs here: the command, its niceness, and the processes that keep the machine busy meanwhile.
Does not belong here: which disturbances there are (`disturbances`), options and exit codes (`command`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from interop.exit_codes import CommandError
from interop.fairness.disturbances import Disturbance
from reports.diff import Cell, read_verdicts
from reports.record import Verdict

_KEEPS_BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"
"""A process that works for nothing, for as long as who started it is there."""


def play(disturbance: Disturbance, run_options: Sequence[str], out: Path) -> dict[Cell, Verdict]:
    """The verdicts of a run, whose reports are in `out`; raises CommandError where it came to none."""
    command = [sys.executable, "-m", "interop", "run", *run_options, *disturbance.options, "--out", str(out)]
    if disturbance.niceness:
        command = ["nice", "-n", str(disturbance.niceness), *command]
    results = out / "results.jsonl"
    results.unlink(missing_ok=True)  # of an earlier run
    with kept_busy(disturbance.busy_processes_per_core * (os.cpu_count() or 1)):
        ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not results.is_file():
        raise CommandError(f"the run {disturbance.name!r} came to nothing:\n{ended.stdout[-2000:]}")
    return read_verdicts(results)


@contextmanager
def kept_busy(processes: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes work for nothing meanwhile."""
    # Each in a session of its own, as other people's are: Linux shares a processor out by sessions first. Beside six of
    # its own session a run at nice 19 would get half a percent of one, and take minutes to begin.
    busy = [subprocess.Popen([sys.executable, "-c", _KEEPS_BUSY], start_new_session=True) for _ in range(processes)]
    try:
        yield busy
    finally:
        for each in busy:
            each.kill()
            each.wait()
