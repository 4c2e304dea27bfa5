"""A child process as a driver sees it: three pipes, an id, and how it ended.

Belongs here: the face, and the usual way to have one.
Does not belong here: what is said through the pipes (`process`), having many alike (`nursery`).
"""

from __future__ import annotations

import asyncio
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from interop.drivers.driver import DriverCrashed
from interop.lifeline import guard, kill_group

_DEATH_SECONDS = 0.5
"""How long a killed process may take to be gone, on a busy machine."""


class Child(ABC):
    """A running process, which ends with us at the latest."""

    made_of = ""
    """What it was made of, with its digest, where somebody keeps count of that."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    @property
    @abstractmethod
    def pid(self) -> int:
        """Its id."""

    @property
    @abstractmethod
    def status(self) -> int | None:
        """How it ended, the exit status or minus the signal; None while it runs."""

    @abstractmethod
    async def wait(self, timeout_seconds: float) -> int | None:
        """Its status, or None when it is still there after that time."""

    @abstractmethod
    def kill(self) -> None:
        """End it and all it started; may be called again."""


class GroupChild(Child):
    """One that leads a process group of its own."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        super().__init__(stdin, stdout, stderr)
        self._pid = pid
        self._killed = False
        guard(pid)

    @property
    def pid(self) -> int:
        """The process's, and the group's."""
        return self._pid

    def kill(self) -> None:
        """End it and all of its group, which may outlive it; once, because later its id may be another's."""
        if not self._killed:
            self._killed = True
            kill_group(self._pid)


class StartedChild(GroupChild):
    """A program that was started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        super().__init__(process.pid, process.stdin, process.stdout, process.stderr)
        self._process = process

    def kill(self) -> None:
        """End it and all of its group, and see that it has, which takes no time: nobody else may ask any more."""
        super().kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_DEATH_SECONDS)

    @property
    def status(self) -> int | None:
        """How it ended."""
        return self._process.poll()

    async def wait(self, timeout_seconds: float) -> int | None:
        """Its status, or None when it is still there after that time."""
        try:
            return await asyncio.to_thread(self._process.wait, timeout_seconds)
        except subprocess.TimeoutExpired:
            return None


def start_program(command: Sequence[str], env: Mapping[str, str] | None = None, folder: Path | None = None) -> Child:
    """Start a program, in `folder`; raises DriverCrashed, in one line, when there is none."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise DriverCrashed(f"cannot start {command[0]}: {error.strerror}") from None
    return StartedChild(process)
