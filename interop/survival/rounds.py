"""Round after round: traffic, a kill at a random moment, a new start on the same file; now and then the books.

Belongs here: when the broker is killed, when everybody settles, when the books are balanced.
Does not belong here: clients (`parts`), rules (`invariants`), what is printed (`command`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from random import Random
from typing import NamedTuple

from interop.survival.book import Book
from interop.survival.invariants import INVARIANTS, Breach, Invariant
from interop.survival.parts import Mortal, Part, Reader, Retainer, cast
from interop.survival.player import BrokerGone, Terms
from interop.survival.process import BrokerProcess
from reference_broker.wire.types import Version

_FROM_SECONDS, _TO_SECONDS = 0.005, 0.4
"""When the broker is killed, from the moment when clients begin to come."""
_BALANCE_EVERY = 5
_SETTLE_SECONDS = 20.0
_MOST_SETTLES = 15
"""After so many times that what is still under way is no longer waited for."""
_LOOK_SECONDS = 0.03
_KILLED_STARTING = 0.1
"""How often it is killed before it listens as well."""
_READ_OFTEN = 0.5
_TRIES = 5
"""So often a client tries to be let in and answered: on a busy machine it may come later than the broker waits."""


class Failure(NamedTuple):
    """A rule that was broken, in which round."""

    round: int
    invariant: Invariant
    breach: Breach


class Rounds:
    """All rounds of one seed. It decides everything but time, which decides what the kill meets."""

    def __init__(self, process: BrokerProcess, seed: int, book: Book | None = None) -> None:
        """`book` is a new one unless its root keeps it apart from others of the same broker."""
        self.book = book or Book()
        self.kills = 0
        self.messages = 0
        self.exit_seconds = 0.0
        self._process = process
        self._random = Random(seed)
        self._parts = cast(self.book)
        self._reader = Reader("reader", Terms(Version.V5, is_kept=False), self.book)

    async def run(self, times: int, tell: Callable[[int], None]) -> list[Failure]:
        """Kill it so often; give what was broken in the first round in which anything was."""
        for number in range(1, times + 1):
            await self._start()
            await self._play_until_killed(number)
            if number % _BALANCE_EVERY == 0 or number == times:
                if failures := [Failure(number, *found) for found in await self.balance()]:
                    await self._process.kill()
                    return failures
                tell(number)
        self.exit_seconds = await self._process.stop()
        return []

    async def _start(self) -> None:
        if not self._process.is_running:
            if self._random.random() < _KILLED_STARTING:
                await self._process.spawn()
                await asyncio.sleep(self._random.uniform(0, max(self._process.start_seconds, default=0.5)))
                await self._process.kill()
                self.book.tell("the broker was killed while it started")
            await self._process.start()
            self.book.is_broker_alive = True
            self.book.tell("the broker listens")

    async def _play_until_killed(self, number: int) -> None:
        if self._random.random() < _READ_OFTEN:
            await self._read()
        seconds = self._random.uniform(_FROM_SECONDS, _TO_SECONDS)
        tasks = [
            asyncio.create_task(_play(part, self._process.port, Random(self._random.random()))) for part in self._parts
        ]
        await asyncio.sleep(seconds)
        self.book.is_broker_alive = False
        self.book.tell(f"the broker is killed in round {number} after {seconds * 1000:.0f} ms")
        await self._process.kill()
        self.kills += 1
        await asyncio.gather(*(part.until_lost() for part in self._parts))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _read(self) -> None:
        possible: dict[str, tuple[str | None, ...]] = {}
        for part in self._parts:
            if isinstance(part, Retainer):
                possible |= part.possible()
        await self._persist(self._reader, lambda: self._reader.read(self._process.port, possible, self._random))

    async def _persist(self, part: Part, step: Callable[[], Awaitable[None]]) -> None:
        for _ in range(_TRIES):
            try:
                await step()
            except (BrokerGone, TimeoutError):
                part.drop()
                await part.until_lost()
            else:
                return
        self.book.faults.append((part.name, f"was not let in and answered, tried {_TRIES} times"))

    async def play(self, seconds: float, cut_every_seconds: float) -> None:
        """Let everybody do what they do for so long, and now and then cut a connection; nobody kills the broker."""
        self.book.is_broker_alive = True
        tasks = [
            asyncio.create_task(_play_on(part, self._process.port, Random(self._random.random())))
            for part in self._parts
        ]
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            await asyncio.sleep(min(left, self._random.expovariate(1 / cut_every_seconds)))
            if loop.time() < end:
                self._random.choice(self._parts).drop()
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        await asyncio.gather(*(self._persist(part, part.be_or_not_be) for part in self._parts))
        for part in self._parts:
            if isinstance(part, Mortal) and part.is_connected:
                part.drop()  # its will is owed, as it is when the broker is killed
                await part.until_lost()

    async def leave(self) -> None:
        """Everybody goes."""
        for part in self._parts:
            if part.is_connected:
                await part.disconnect()

    async def balance(self, settle_seconds: float = _SETTLE_SECONDS) -> list[tuple[Invariant, Breach]]:
        """Let everything come that is owed, and look at every rule."""
        await self._start()
        port = self._process.port
        await asyncio.gather(*(self._persist(part, partial(part.settle, port)) for part in self._parts))
        loop = asyncio.get_running_loop()
        patience = Patience(settle_seconds, loop.time(), self.book.now)
        while patience.is_left(loop.time(), self.book.now):
            await asyncio.sleep(_LOOK_SECONDS * self.book.pace)
            if all(part.is_settled for part in self._parts) and not any(_breaches(self.book, is_final=True)):
                break
        await self._read()
        unsettled = [part.name for part in self._parts if not part.is_settled]
        self.book.faults += [(name, "its messages were not acknowledged to the end") for name in unsettled]
        found = [*_breaches(self.book, is_final=True), *_breaches(self.book, is_final=False)]
        self.messages += len(self.book.publications)
        if not found:
            self.book.close()
        return found


class Patience:
    """How long to wait for what is owed: as long as anything comes, and then that long, but not for ever.

    Who reads slowly on a slow machine still gets what is its own.
    """

    def __init__(self, seconds: float, now: float, happened: int) -> None:
        self._seconds = seconds
        self._happened = happened
        self._last = now
        self._end = now + _MOST_SETTLES * seconds

    def is_left(self, now: float, happened: int) -> bool:
        """`happened`: how much did so far."""
        if happened != self._happened:
            self._happened, self._last = happened, now
        return now < min(self._last + self._seconds, self._end)


async def _play(part: Part, port: int, random: Random) -> None:
    try:
        await part.play(port, random)
    except BrokerGone:
        return


async def _play_on(part: Part, port: int, random: Random) -> None:
    """What is cut comes back."""
    while True:
        try:
            await part.play(port, random)
        except (BrokerGone, TimeoutError):
            part.drop()
            await part.until_lost()
        else:
            await asyncio.sleep(random.uniform(0.1, 0.5) * part.book.pace)


def _breaches(book: Book, *, is_final: bool) -> Iterator[tuple[Invariant, Breach]]:
    for invariant in INVARIANTS:
        if invariant.is_final is is_final:
            for breach in invariant.breaches(book):
                yield invariant, breach
