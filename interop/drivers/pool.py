"""Drivers kept for reuse: starting a process costs as much as a whole cell, a reset costs a millisecond.

Belongs here: lending drivers out, taking them back as good as new, never more than a number of each.
Does not belong here: how one is started (`registry`) or reset (`driver`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from interop.drivers.driver import Driver, DriverFault
from interop.drivers.registry import DriverStarter

DEFAULT_LIMIT = 16
"""Drivers of one name that exist at a time; a cell needs one."""


@dataclass(slots=True)
class _Shelf:
    free: asyncio.Semaphore
    idle: list[Driver] = field(default_factory=list)


class DriverPool:
    """Lends drivers by name; they start when first wanted, and are introduced and probed then."""

    def __init__(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        start: Callable[[str], Awaitable[Driver]] | None = None,
        starter: DriverStarter | None = None,
    ) -> None:
        """`start` replaces the drivers of the registry, which `starter` starts; it is closed with the pool."""
        self._limit = limit
        self._starter = starter or DriverStarter()
        self._start = start or self._starter.start
        self._shelves: dict[str, _Shelf] = {}
        self._lent: dict[Driver, _Shelf] = {}

    async def acquire(self, name: str) -> Driver:
        """Lend a driver, as good as new; waits while `limit` of that name are lent.

        Raises DriverFault when a process cannot be started, UnknownDriver for a name nothing stands for.
        """
        shelf = self._shelves.setdefault(name, _Shelf(asyncio.Semaphore(self._limit)))
        await shelf.free.acquire()
        try:
            driver = self._take_idle(shelf) or await self._start(name)
        except BaseException:
            shelf.free.release()
            raise
        self._lent[driver] = shelf
        return driver

    async def release(self, driver: Driver) -> None:
        """Take a driver back: it is reset for the next one, or closed when it is faulty or cannot be reset in time."""
        shelf = self._lent.pop(driver, None)
        if shelf is None:  # the pool was closed meanwhile
            return
        try:
            if driver.fault is None:
                await driver.reset()
            if driver.fault is None:
                shelf.idle.append(driver)
        except DriverFault:
            pass  # the next one to ask gets a fresh one
        finally:
            if driver not in shelf.idle:
                await driver.close()
            shelf.free.release()

    async def close(self) -> None:
        """End all drivers, lent ones too."""
        drivers = [*self._lent, *(driver for shelf in self._shelves.values() for driver in shelf.idle)]
        self._lent.clear()
        self._shelves.clear()
        await asyncio.gather(*(driver.close() for driver in drivers))
        await self._starter.close()

    @staticmethod
    def _take_idle(shelf: _Shelf) -> Driver | None:
        while shelf.idle:
            driver = shelf.idle.pop()
            if driver.fault is None:  # one may have died on the shelf
                return driver
        return None
