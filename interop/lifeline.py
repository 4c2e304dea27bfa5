"""Nothing of a run outlives it: what a process of ours starts ends with it, however it ends; and how it is told to end.

Belongs here: the guard of child processes, a process beside this one, the end of a worker without its parent, SIGTERM
as a reason to stop.
Does not belong here: starting children (`interop.drivers`, `interop.brokers`), ending them in order (who started them).

A process that is killed cannot clean up. So the first child brings a guard along, a tiny process that knows the groups
of all children and sleeps on a pipe; when the pipe closes, because we are gone, it kills every group that is left. A
child's own children are in its group. Linux's parent-death signal would reach the child alone, and only there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0
"""How long a worker without a parent may take to end its children in order."""


# --- children end with us ---------------------------------------------------------------------------------------------


def guard(group: int) -> None:
    """Have a process group killed when this process ends without having ended it."""
    _GUARD.tell(f"+{group}\n")


def unguard(group: int) -> None:
    """The group has ended; its number may be somebody else's soon."""
    _GUARD.tell(f"-{group}\n")


def kill_group(group: int) -> None:
    """Kill all that is left of a group, and guard it no longer."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses where only dead ones are left
        os.killpg(group, signal.SIGKILL)
    unguard(group)


class Guard:
    """Our end of a guard's pipe; its process, `command`, is started with the first line it is told."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._owner = 0
        self._pipe = -1

    def tell(self, line: str) -> None:
        """Have it read a line."""
        with self._lock:
            if self._owner != os.getpid():
                self._start()
            with contextlib.suppress(BrokenPipeError):  # somebody killed it: then nobody watches
                os.write(self._pipe, line.encode())

    def _start(self) -> None:
        """Start it in a session of its own, so that no signal to our group ends it before us."""
        read, self._pipe = os.pipe()
        subprocess.Popen(
            self._command,
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        ).returncode = 0  # it ends after us: nobody waits for it
        os.close(read)
        self._owner = os.getpid()


_GUARD = Guard([sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))])


# --- workers end with their parent ------------------------------------------------------------------------------------


def end_with_parent(stop: Callable[[], object] | None = None) -> None:
    """End this worker process soon after its parent has gone; `stop`, called from another thread, ends it in order."""
    threading.Thread(target=_outlast, args=(os.getppid(), stop), name="end-with-parent", daemon=True).start()


def _outlast(parent: int, stop: Callable[[], object] | None) -> None:
    spawner = parent_process()
    if spawner is not None:  # one of multiprocessing's: it can be waited for
        connection.wait([spawner.sentinel])
    else:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
    if stop is not None:
        threading.Timer(_PATIENCE_SECONDS, os._exit, (1,)).start()
        stop()
    os._exit(1)


@contextlib.contextmanager
def beside(work: Callable[[Connection], object]) -> Iterator[tuple[Connection, int | None]]:
    """Do something in a process of its own, which ends with the block and with us; gives the pipe to it, and its pid.

    `work` is a module's own function; it gets the other end of the pipe.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work_beside, args=(work, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours, process.pid
    finally:
        process.terminate()
        process.join()
        ours.close()


def _work_beside(work: Callable[[Connection], object], parent: Connection) -> None:
    end_with_parent()
    work(parent)


# --- being told to end ------------------------------------------------------------------------------------------------


def interrupt_on(*numbers: signal.Signals) -> None:
    """Let each of these signals raise KeyboardInterrupt, once: what ends in order is not to be disturbed.

    What Ctrl-C does at that moment is left to do it: asyncio cancels what it runs, where an exception out of nowhere
    would be one task's. Raises ValueError where this is not the main thread: whoever started us there sees to signals.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        on_ctrl_c = signal.getsignal(signal.SIGINT)
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        if number != signal.SIGINT and callable(on_ctrl_c) and on_ctrl_c is not interrupt:
            on_ctrl_c(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, interrupt)


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM, as the end of a CI job sends it, be what Ctrl-C is: a reason to stop and to report what there is."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        interrupt_on(signal.SIGTERM)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
