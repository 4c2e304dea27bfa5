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

from interop.judge import Finding
from interop.monitor.copier import Connection, Copier, Route
from interop.monitor.recorder import Limits, Recorder, WhyNot
from interop.monitor.telling import Book, finding_line, notice_lines, withdrawal_line

ROUND_SECONDS = 1.0
"""How often what is new is judged."""
REST_FACTOR = 4
"""Judging takes at most a fifth of the time: a round that took longer is followed by a longer rest."""


class Watch:
    """One run; `say` takes each line, of a quiet one only where it listens."""

    def __init__(
        self, route: Route, limits: Limits, book: Book, say: Callable[[str], None], *, is_quiet: bool = False
    ) -> None:
        self._copier = Copier(route, limits, self.opened)
        self._upstream = route.upstream
        self._network = route.network
        self.book = book
        self._say = say
        self._is_quiet = is_quiet
        self._connections: list[Connection] = []

    async def run(self, seconds: float | None = None) -> None:
        """Copy until a signal comes or `seconds` are over; raises ListenFailed."""
        stopped = asyncio.Event()
        with _signals(stopped):
            address = await self._copier.open()
            through = f" through {self._network}" if str(self._network) else ""
            self._say(f"listening on {address}, carrying on to {self._upstream}{through}")
            rounds = asyncio.create_task(self._judge_now_and_then())
            rounds.add_done_callback(lambda _: stopped.set())  # only a fault ends them
            try:
                async with asyncio.timeout(seconds):
                    await stopped.wait()
            except TimeoutError:
                pass
            finally:
                await self._copier.close()
                rounds.cancel()
                self._finish()
            with contextlib.suppress(asyncio.CancelledError):
                await rounds

    def opened(self, connection: Connection) -> None:
        """Take a connection to be judged."""
        self._connections.append(connection)

    async def _judge_now_and_then(self) -> None:
        rest = ROUND_SECONDS
        while True:
            await asyncio.sleep(rest)
            began = time.monotonic()
            await self.judge_all()
            rest = max(ROUND_SECONDS, REST_FACTOR * (time.monotonic() - began))

    async def judge_all(self) -> None:
        """Judge every connection, in a thread so that bytes pass meanwhile; those that are over leave."""
        for connection in list(self._connections):
            if connection.recorder.has_news:
                self._tell(connection, await asyncio.to_thread(_look, connection.recorder))
            self._settle(connection)
            if connection.recorder.is_over and connection.is_told:
                self._connections.remove(connection)
                self.book.ended(connection)

    def _finish(self) -> None:
        """Judge what came since, now that nothing comes any more."""
        for connection in self._connections:
            connection.recorder.is_over = True
            if connection.recorder.has_news:
                self._tell(connection, _look(connection.recorder))
            self._settle(connection)
            self.book.ended(connection)

    def _tell(self, connection: Connection, looked: tuple[int, list[Finding]] | str) -> None:
        recorder = connection.recorder
        if isinstance(looked, str):
            recorder.stop(WhyNot.FAILED, looked)
            recorder.take(len(recorder.trace), [])
            return
        for finding in recorder.take_back(looked[1]):
            self.book.withdrawn(finding)
            self._say_aloud(withdrawal_line(connection, finding))
        for finding in recorder.take(*looked):
            self.book.found(finding)
            self._say_aloud(finding_line(connection, finding))

    def _say_aloud(self, text: str) -> None:
        """Print a line unless only the summary is wanted."""
        if not self._is_quiet:
            self._say(text)

    def _settle(self, connection: Connection) -> None:
        """Write down a connection that is judged to its end, and let go of what was kept for that."""
        if connection.recorder.is_settled and not connection.is_told:
            connection.is_told = True
            for text in notice_lines(connection):
                self._say_aloud(text)
            self.book.settled(connection)
            connection.recorder.forget()


def _look(recorder: Recorder) -> tuple[int, list[Finding]] | str:
    """Judge; a fault of a rule is given as text, because it may end the judging of one connection, not of all."""
    try:
        return recorder.look()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


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
