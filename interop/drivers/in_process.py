"""A driver whose adapter lives in this process and event loop: the same contract without pipes.

Belongs here: handing commands to an adapter object and its events to the driver.
Does not belong here: what an adapter does (`adapter`), or one that may hang: it would hang the harness (`process`).
"""

from __future__ import annotations

from collections import deque

from interop.drivers.adapter import Adapter, CommandLoop
from interop.drivers.contract import Command
from interop.drivers.driver import Driver

LOG_LIMIT_ENTRIES = 200


class InProcessDriver(Driver):
    """A driver over an `Adapter`."""

    def __init__(self, name: str, adapter: type[Adapter]) -> None:
        super().__init__(name)
        self._log: deque[str] = deque(maxlen=LOG_LIMIT_ENTRIES)
        self._loop = CommandLoop(adapter, self._take, self._log.append)

    @classmethod
    async def start(cls, name: str, adapter: type[Adapter]) -> InProcessDriver:
        """Make the adapter and introduce ourselves; raises DriverFault."""
        driver = cls(name, adapter)
        await driver._introduce()
        return driver

    @property
    def log(self) -> str:
        """What the adapter logged since it was last reset."""
        return "".join(f"{line}\n" for line in self._log)

    async def reset(self) -> None:
        """Throw the client instance away and forget its events and log; raises DriverFault."""
        await super().reset()
        self._log.clear()

    async def close(self) -> None:
        """Throw the client instance away."""
        await self._loop.close()

    async def _send(self, command: Command) -> None:
        self._loop.take(command)
