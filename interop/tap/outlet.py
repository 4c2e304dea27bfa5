"""Writes to one stream: whole, in pieces that arrive one by one, or what comes together at once.

Belongs here: the order of what is written, and of FIN and RST behind it.
Does not belong here: what is written, when, and why (`link`, `distant`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Protocol

from interop.tap.faults import How

GOODBYE_SECONDS = 0.2
"""How long an outlet that is done with waits for its peer to end its side."""

PIECES_AT_EACH_END = 64
"""How many pieces a large write is begun and ended with; the middle goes at once: a mebibyte would take a minute."""

MOST_IN_PIECES_BYTES = 1_000
"""How much may wait to go in pieces; what is written while more does goes whole, so that nobody waits for the tap."""

_MOST_WAITING_BYTES = 65_536


class Target(Protocol):
    """Where it goes: a stream, near or distant."""

    @property
    def is_write_paused(self) -> bool:
        """Whether there is no room for more."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    async def drain(self) -> None:
        """Wait until there is room for more; raises ConnectionError when it is gone."""

    def write_eof(self) -> None:
        """Send FIN behind what was written, and go on reading."""

    def close(self) -> None:
        """Send FIN behind what was written."""

    def abort(self) -> None:
        """Send RST."""

    async def wait_closed(self) -> None:
        """Wait for the socket's end."""


class Outlet:
    """The way out of the tap to one peer.

    What is written goes in pieces of `piece_bytes` (0: as it is written), but for what is too much. Or what is written
    within `gather_seconds` goes as one; with 0 that is a turn of the loop, None is each by itself. `half_closes`: FIN
    ends this direction only.
    """

    def __init__(
        self, stream: Target, piece_bytes: int = 0, gather_seconds: float | None = None, *, half_closes: bool = False
    ) -> None:
        self._stream = stream
        self._finish = stream.write_eof if half_closes else stream.close
        self._piece_bytes = piece_bytes
        self._gather_seconds = gather_seconds
        self._gathered: list[bytes] = []
        self._alarm: asyncio.Handle | None = None
        self._backlog: deque[tuple[bytes, int]] = deque()
        self._backlog_bytes = 0
        self._written = 0
        """How much of the first of them is written."""
        self._room = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._ending = False

    @property
    def is_write_paused(self) -> bool:
        """Whether who writes more has to `drain` first."""
        return self._has_backlog or self._stream.is_write_paused

    @property
    def _has_backlog(self) -> bool:
        return self._backlog_bytes > _MOST_WAITING_BYTES and self._pump is not None

    def write(self, data: bytes, segment_bytes: int = 0) -> None:
        """Send bytes after those before; segments (0: none) need turns of the loop, so that each goes by itself."""
        if self._piece_bytes and not segment_bytes and self._backlog_bytes <= MOST_IN_PIECES_BYTES:
            ends_bytes = self._piece_bytes * PIECES_AT_EACH_END
            middle = max(ends_bytes, len(data) - ends_bytes)
            self._put_off(data[:ends_bytes], self._piece_bytes)
            self._put_off(data[ends_bytes:middle], 0)
            self._put_off(data[middle:], self._piece_bytes)
        elif segment_bytes or self._pump is not None:
            self._flush()
            self._put_off(data, segment_bytes)
        elif self._gather_seconds is not None:
            self._gather(data, self._gather_seconds)
        else:
            self._stream.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken enough to write more; raises ConnectionError when it is gone."""
        while self._has_backlog:
            self._room.clear()
            await self._room.wait()
        await self._stream.drain()

    async def written(self) -> None:
        """Wait until all that goes in pieces has gone, and FIN behind it."""
        if self._pump is not None:
            await asyncio.wait([self._pump])

    def end(self, how: How) -> None:
        """Send FIN or RST behind what was written."""
        self._flush()
        if how is How.RST:
            rest = b"".join(data for data, _ in self._backlog)[self._written :]
            self._stop()
            if rest:
                self._stream.write(rest)
            self._stream.abort()
        elif self._pump is not None:
            self._ending = True
        else:
            self._finish()

    def close(self) -> None:
        """Give up what is not written yet."""
        self._stop()
        self._stream.close()

    async def ended(self) -> None:
        """Wait for the socket's end."""
        await self._stream.wait_closed()

    async def wait_closed(self) -> None:
        """Wait for the socket's end; after GOODBYE_SECONDS it is reset."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._stream.wait_closed()
        except TimeoutError:
            self._stream.abort()
            await self._stream.wait_closed()

    # --- what goes together -------------------------------------------------------------------------------------------

    def _gather(self, data: bytes, seconds: float) -> None:
        self._gathered.append(data)
        if self._alarm is None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(seconds, self._flush) if seconds else loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._gathered:
            self._stream.write(b"".join(self._gathered))
            self._gathered.clear()

    # --- what goes in pieces ------------------------------------------------------------------------------------------

    def _put_off(self, data: bytes, segment_bytes: int) -> None:
        if not data:
            return
        self._backlog.append((data, segment_bytes))
        self._backlog_bytes += len(data)
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._send_backlog())

    async def _send_backlog(self) -> None:
        while self._backlog:
            data, segment_bytes = self._backlog[0]
            step = segment_bytes or len(data)
            for at in range(0, len(data), step):
                self._stream.write(data[at : at + step])
                self._written = at + step
                self._backlog_bytes -= min(step, len(data) - at)
                await asyncio.sleep(0)
                await asyncio.sleep(0)  # a peer in this very loop has read it by now
                with contextlib.suppress(ConnectionError):  # whoever reads there finds out
                    await self._stream.drain()
                self._room.set()
            self._backlog.popleft()
            self._written = 0
        self._pump = None
        if self._ending:
            self._finish()

    def _stop(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None
        self._backlog.clear()
        self._backlog_bytes = self._written = 0
        self._room.set()
