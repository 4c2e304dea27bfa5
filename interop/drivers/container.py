"""An adapter in a container, spoken to by standard input and output like any other.

Belongs here: the pipes between an attached container and a driver.
Does not belong here: the container's life (`interop.containers`), what is said (`process`).

Its network is the host's: the tap listens on loopback, and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading

from interop.containers import CONTAINER_PREFIX
from interop.containers.container import OwnContainer, told_in_one_line
from interop.drivers.child import Child
from interop.drivers.driver import DriverCrashed

_CHUNK_BYTES = 64 * 1024


class ContainerChild(Child):
    """A container that was started; threads carry what is said, because engines are reached in many ways."""

    def __init__(self, image: str) -> None:
        """Raises DriverCrashed, in one line, when there is no engine or no such image."""
        its_input, our_input = os.pipe()
        our_output, its_output = os.pipe()
        our_log, its_log = os.pipe()
        super().__init__(os.fdopen(our_input, "wb", 0), os.fdopen(our_output, "rb", 0), os.fdopen(our_log, "rb", 0))
        self._outputs = {1: its_output, 2: its_log}
        try:
            with told_in_one_line(f"{CONTAINER_PREFIX}{image}", image, DriverCrashed):
                self._container = OwnContainer(
                    image, take=self._take, at_end=self._close_outputs, is_spoken_to=True, network_mode="host"
                )
        except BaseException:
            self._close_outputs()
            for pipe in (self.stdin, self.stdout, self.stderr):
                pipe.close()
            os.close(its_input)
            raise
        self.made_of = f"{CONTAINER_PREFIX}{image} {self._container.digest}"
        threading.Thread(target=self._feed, args=(its_input,), name="container-input", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its first process, as the engine's machine calls it."""
        return self._container.pid

    @property
    def status(self) -> int | None:
        """How it ended."""
        return self._container.status

    async def wait(self, timeout_seconds: float) -> int | None:
        """Its status, or None when it is still there after that time."""
        await asyncio.to_thread(self._container.ended.wait, timeout_seconds)
        return self.status

    def kill(self) -> None:
        """Have it killed and removed, which takes an engine a while; this process does not end before."""
        if self._container.remove.alive:
            threading.Thread(target=self._container.remove, name="container-removal").start()

    def _take(self, stream: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._outputs[stream], rest) :]

    def _close_outputs(self) -> None:
        for output in self._outputs.values():
            os.close(output)

    def _feed(self, its_input: int) -> None:
        with contextlib.suppress(OSError), os.fdopen(its_input, "rb", 0) as commands:
            while data := commands.read(_CHUNK_BYTES):
                self._container.write(data)
            self._container.end_input()
