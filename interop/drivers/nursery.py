"""Adapters of ours by fork: a process loads an adapter's module once, and every child of it is ready in milliseconds.

Belongs here: both ends of that, the harness's (`Nursery`) and the process itself (`python -m interop.drivers.nursery`).
Does not belong here: what a child does then: it is an adapter like any other (`adapter.main`).

Loading Python, pydantic and a client library takes 0.2 s of a processor, and a run wants dozens of adapters. The
process never runs an adapter itself, has no threads and no event loop, so a fork of it is as good as a new process.

The harness sends one byte with the child's three pipes; what comes back are records of a process id and its status.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Mapping
from importlib import import_module
from typing import IO

from interop.drivers.adapter import main
from interop.drivers.child import Child, GroupChild
from interop.drivers.driver import START_SECONDS, DriverCrashed
from interop.lifeline import guard, kill_group
from reports.resting import resting_collector

CAN_FORK = hasattr(os, "fork") and hasattr(socket, "send_fds")

_RECORD = struct.Struct("!ii")
_BORN = 0x10000  # no status a process can end with
_LEAVE_SECONDS = 1.0


class ForkedChild(GroupChild):
    """A child of a nursery, whose end the nursery tells."""

    def __init__(
        self, pid: int, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes], *, ended: asyncio.Future[int]
    ) -> None:
        super().__init__(pid, stdin, stdout, stderr)
        self._ended = ended

    @property
    def status(self) -> int | None:
        """How it ended, once the nursery has told; one that died can tell no more."""
        return self._ended.result() if self._ended.done() and not self._ended.cancelled() else None

    async def wait(self, timeout_seconds: float) -> int | None:
        """Its status, or None when it is still there after that time."""
        await asyncio.wait({self._ended}, timeout=timeout_seconds)
        return self.status


class Nursery:
    """The harness's end: children of one adapter's module. It takes no event loop before the first of them."""

    def __init__(self, module: str, env: Mapping[str, str]) -> None:
        self._module = module
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "interop.drivers.nursery", module, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=env,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        guard(self._process.pid)
        ours.setblocking(False)
        self._control = ours
        self._births: deque[asyncio.Future[int]] = deque()
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._listening: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be asked for children."""
        return self._listening is None or not self._listening.done()

    async def spawn(self) -> Child:
        """Give one more child; raises DriverCrashed with the module's last words when it cannot be loaded."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())
        (its_input, our_input), (our_output, its_output), (our_log, its_log) = os.pipe(), os.pipe(), os.pipe()
        ours = os.fdopen(our_input, "wb", 0), os.fdopen(our_output, "rb", 0), os.fdopen(our_log, "rb", 0)
        try:
            pid = await self._bear([its_input, its_output, its_log])
        except BaseException:
            for pipe in ours:
                pipe.close()
            raise
        return ForkedChild(pid, *ours, ended=self._ends[pid])

    async def _bear(self, pipes: list[int]) -> int:
        """Have a child made on these pipes; they are closed here."""
        birth: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._births.append(birth)
        try:
            with contextlib.suppress(OSError):  # it is gone, and `_listen` will refuse the birth
                socket.send_fds(self._control, [b"+"], pipes)
        finally:
            for pipe in pipes:
                os.close(pipe)
        if not self.is_open:
            self._refuse_births()
        try:
            async with asyncio.timeout(START_SECONDS):
                return await birth
        except TimeoutError:
            raise DriverCrashed(f"{self._module} was not loaded within {START_SECONDS:g} s") from None

    def abandon(self) -> bool:
        """End one that nobody has asked for a child; gives whether it was one."""
        if self._listening is not None:
            return False
        self._control.close()
        kill_group(self._process.pid)
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
        return True

    async def close(self) -> None:
        """End the nursery; its children go on until their own end."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        self._control.close()
        try:
            await asyncio.to_thread(self._process.wait, _LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        kill_group(self._process.pid)
        assert self._process.stderr is not None
        self._process.stderr.close()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        records = b""
        try:
            while data := await loop.sock_recv(self._control, 4096):
                records += data
                while len(records) >= _RECORD.size:
                    self._take(*_RECORD.unpack(records[: _RECORD.size]))
                    records = records[_RECORD.size :]
        except ConnectionError:
            pass
        finally:
            self._refuse_births()
            for end in self._ends.values():
                end.cancel()

    def _take(self, pid: int, status: int) -> None:
        if status == _BORN:
            self._ends[pid] = asyncio.get_running_loop().create_future()
            birth = self._births.popleft()
            if not birth.done():
                birth.set_result(pid)
        else:
            self._ends.pop(pid).set_result(status)

    def _refuse_births(self) -> None:
        log = ""
        if self._births and self._process.stderr is not None:
            os.set_blocking(self._process.stderr.fileno(), False)
            log = (self._process.stderr.read() or b"").decode("utf-8", "replace")
        while self._births:
            birth = self._births.popleft()
            if not birth.done():
                birth.set_exception(DriverCrashed(f"{self._module} cannot be loaded", log))


# --- the process itself -----------------------------------------------------------------------------------------------


def serve(module: str, control: socket.socket) -> None:
    """Fork an adapter for every byte that comes, tell of births and ends, until the harness closes its end."""
    with resting_collector():  # what is loaded stays, in every child: looking through it would only copy it
        adapter = import_module(module).ADAPTER
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if control in ready:
            data, pipes, _, _ = socket.recv_fds(control, 1, 3)
            if not data:
                return
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                selector.close()
                os.close(woken)
                os.close(wake)
                control.close()
                _live(adapter, pipes)
            with contextlib.suppress(OSError):  # both do it, so that it is done when either goes on
                os.setpgid(pid, pid)
            for pipe in pipes:
                os.close(pipe)
            control.sendall(_RECORD.pack(pid, _BORN))
        if woken in ready:
            os.read(woken, 4096)
            _tell_ends(control)


def _tell_ends(control: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            control.sendall(_RECORD.pack(pid, os.waitstatus_to_exitcode(status)))


def _live(adapter: type, pipes: list[int]) -> None:
    """Be an adapter, on these pipes, to the end of the process."""
    status = 1
    try:
        os.setpgid(0, 0)
        for number, pipe in enumerate(pipes):
            os.dup2(pipe, number)
            os.close(pipe)
        main(adapter)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
    os._exit(0)  # somebody waits, and nothing that is loaded has to end in order
