"""Commands in processes of their own, by fork of one that has loaded them: each as good as new, in milliseconds.

Belongs here: both ends of that, the tests' (`start`, `run`) and the loaded process itself (`python forked.py`).
Does not belong here: what a command is to do; that a command can be started cold is shown where that is the subject.

Loading pydantic, pytest and the harness takes more than half a second of a processor, and the tests want more than a
hundred processes. The loaded one runs nothing itself, has no threads and no event loop, and its forks go on as Python
does at `python -m MODULE`: with a session, folder, environment, search path, standard streams and end of their own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

REPOSITORY = Path(__file__).parents[1]
PATIENCE_SECONDS = 60.0

_NUMBER = struct.Struct("!i")
_LOADED = [
    *("pytest", "xdist", "interop.cli", "interop.runner.plugin", "interop.runner.controller", "reports.html"),
    *("reports.junit", "interop.bench.command", "interop.corpus.command", "interop.monitor.command"),
    *("interop.mutants.command", "reference_broker.command.pub", "reference_broker.command.sub"),
]
_PYTEST_PLUGINS = ["xdist", "interop.runner.plugin"]


# --- the tests' end ---------------------------------------------------------------------------------------------------


class Forked:
    """A process under way; as a context manager it is gone afterwards, with all of its group."""

    def __init__(self, told: socket.socket, stdout: IO[str]) -> None:
        self._told = told
        self.pid = self._next_number()
        self.stdout = stdout
        """What it writes, standard error included."""
        self.returncode: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.stdout.close()
        self.wait()
        self._told.close()

    def poll(self) -> int | None:
        """How it ended, or None when it has not."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.returncode = self._next_number()
        return self.returncode

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """How it ended, once it has; raises TimeoutError."""
        if self.returncode is None:
            self._told.settimeout(timeout)
            self.returncode = self._next_number()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it is over."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float = PATIENCE_SECONDS) -> str:
        """The rest of what it writes, to its end; it is killed when it takes longer."""
        timer = threading.Timer(timeout, self.send_signal, (signal.SIGKILL,))
        timer.start()
        try:
            text = self.stdout.read()
            self.wait(timeout)
        finally:
            timer.cancel()
        return text

    def _next_number(self) -> int:
        return int(_NUMBER.unpack(self._told.recv(_NUMBER.size))[0])


def start(module: str, *arguments: str, cwd: Path = REPOSITORY, env: Mapping[str, str] | None = None) -> Forked:
    """Start `python -m MODULE`, standard error joined to the output that can be read, and no input."""
    read, write = os.pipe()
    told = _LOADER.fork(module, arguments, cwd, env, write, write)
    os.close(write)
    return Forked(told, os.fdopen(read))


def run(
    module: str, *arguments: str, cwd: Path = REPOSITORY, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE` to its end, like `subprocess.run`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        told = _LOADER.fork(module, arguments, cwd, env, out.fileno(), err.fileno())
        with Forked(told, out) as process:
            status = process.wait()
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess([module, *arguments], status, out.read(), err.read())


class _Loader:
    """The loaded process of this one; it is started with the first fork."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(
        self, module: str, arguments: tuple[str, ...], cwd: Path, env: Mapping[str, str] | None, out: int, err: int
    ) -> socket.socket:
        """Have a process made with these outputs; gives where its number is told, and then its exit code."""
        ours, theirs = socket.socketpair()
        request = {"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(os.environ | (env or {}))}
        body = json.dumps(request).encode()
        with theirs:
            socket.send_fds(self._there(), [_NUMBER.pack(len(body))], [theirs.fileno(), out, err])
        self._there().sendall(body)
        return ours

    def _there(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        return self._control

    def close(self) -> None:
        """End the loaded process."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait()
            self._control = self._process = None


_LOADER = _Loader()
close = _LOADER.close


# --- the loaded process -----------------------------------------------------------------------------------------------


def _load() -> None:
    for name in _LOADED:
        import_module(name)
    for name in _PYTEST_PLUGINS:  # pytest would warn that it comes too late to rewrite their asserts
        sys.modules[name].__doc__ = "PYTEST_DONT_REWRITE"
    gc.collect()
    gc.freeze()


def _asked_for(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What is asked for next, in the fork that is to be it; this process asks on, to the end."""
    while True:
        header, files, _, _ = socket.recv_fds(control, _NUMBER.size, 3)
        _bury()
        if not header:
            sys.exit()
        with control.makefile("rb") as stream:
            body = stream.read(*_NUMBER.unpack(header))
        if os.fork() == 0:
            control.close()
            if (pid := os.fork()) == 0:
                return json.loads(body), files
            _attend(pid, *files)
        for file in files:
            os.close(file)


def _bury() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _attend(pid: int, told: int, *outputs: int) -> NoReturn:
    """Tell of one process, to its end."""
    for output in outputs:
        os.close(output)
    with contextlib.suppress(OSError):
        os.write(told, _NUMBER.pack(pid))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):  # nobody wants to know any more
        os.write(told, _NUMBER.pack(status))
    os._exit(0)


def _become(request: dict[str, Any], told: int, *outputs: int) -> None:
    """Be what Python is at `python -m MODULE`, just before the module runs."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests themselves run in the background
    os.close(told)
    for number, output in enumerate(outputs, start=1):
        os.dup2(output, number)
    for output in set(outputs):
        os.close(output)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[0:1] = [request["cwd"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[1:] = request["arguments"]


if __name__ == "__main__":
    _load()
    asked, given = _asked_for(socket.socket(fileno=int(sys.argv[1])))
    _become(asked, *given)
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
