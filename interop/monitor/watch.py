"""The monitor at work: connections are copied, judged now and then, and told of, until somebody ends it.

Belongs here: when to judge, signals, the end.
Does not belong here: the bytes' way (`copier`), what is judged (`recorder`), words (`telling`).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator

from interop.monitor.copier import Connection, Copier
from interop.monitor.recorder import Limits
from interop.monitor.telling import Book, line
from reference_broker.net.address import Address

ROUND_SECONDS = 1.0
"""How often what is new is judged."""
REST_FACTOR = 4
"""Judging takes at most a fifth of the time: a round that took longer is followed by a longer rest."""


class Watch:
    """One run; `say` takes each line."""

    def __init__(
        self, listening: Address, upstream: Address, limits: Limits, book: Book, say: Callable[[str], None]
    ) -> None:
        self._copier = Copier(listening, upstream, limits, self._opened)
        self._upstream = upstream
        self._book = book
        self._say = say
        self._connections: list[Connection] = []

    async def run(self, seconds: float | None = None) -> None:
        """Copy until a signal comes or `seconds` are over; raises ListenFailed."""
        stopped = asyncio.Event()
        with _signals(stopped):
            address = await self._copier.open()
            self._say(f"listening on {address}, carrying on to {self._upstream}")
            rounds = asyncio.create_task(self._judge_now_and_then())
            try:
                async with asyncio.timeout(seconds):
                    await stopped.wait()
            except TimeoutError:
                pass
            finally:
                await self._copier.close()
                rounds.cancel()
                self._judge()
                for connection in self._connections:
                    self._book.ended(connection)

    def _opened(self, connection: Connection) -> None:
        self._connections.append(connection)

    async def _judge_now_and_then(self) -> None:
        rest = ROUND_SECONDS
        while True:
            await asyncio.sleep(rest)
            began = time.monotonic()
            await self._round()
            rest = max(ROUND_SECONDS, REST_FACTOR * (time.monotonic() - began))

    async def _round(self) -> None:
        """Judge every connection, letting bytes pass in between; those that are over leave."""
        for connection in list(self._connections):
            is_over = connection.recorder.is_over
            self._judge_one(connection)
            if is_over:
                self._connections.remove(connection)
                self._book.ended(connection)
            await asyncio.sleep(0)

    def _judge(self) -> None:
        for connection in self._connections:
            self._judge_one(connection)

    def _judge_one(self, connection: Connection) -> None:
        for finding in connection.recorder.new_findings():
            self._book.found(finding)
            self._say(line(connection, finding))


@contextlib.contextmanager
def _signals(stopped: asyncio.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the run in order."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        with contextlib.suppress(NotImplementedError):  # Windows: SIGINT raises KeyboardInterrupt instead
            loop.add_signal_handler(number, stopped.set)
    try:
        yield
    finally:
        for number in numbers:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
