"""A stream whose other end is far away: what goes and what comes takes its time, its end included.

Belongs here: bytes under way in both directions, in order, and how many may be.
Does not belong here: how long they take (`network`), how they are written at the far end (`outlet`).

It has the face of the stream it stands for. `close` and `abort` arrive behind what was written before them, as FIN and
RST do. TLS is within the stream, so what is delayed is what is inside it: the handshake is over by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import Generic, TypeVar

from interop.tap.faults import How
from interop.tap.network import Network, PublishFinder, Timetable
from interop.tap.outlet import Outlet
from reference_broker.net.stream import Stream

MOST_UNDER_WAY_BYTES = 262_144
"""How much may be under way in one direction before its sender has to wait, as with a TCP window."""

_Parcel = TypeVar("_Parcel")


async def until(moment: float) -> None:
    """Wait for a moment of the monotonic clock; a loop's own may lag behind it, and so its timers come early."""
    while (remaining_seconds := moment - time.monotonic()) > 0:  # noqa: ASYNC110 - no event tells the time
        await asyncio.sleep(remaining_seconds)


class Way(Generic[_Parcel]):
    """One direction: parcels that are under way, each until it is due."""

    def __init__(self, timetable: Timetable) -> None:
        self._timetable = timetable
        self._parcels: deque[tuple[float, _Parcel, int]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether its sender has to wait."""
        return self._bytes >= MOST_UNDER_WAY_BYTES

    def put(self, parcel: _Parcel, size_bytes: int = 0, more_seconds: float = 0.0) -> None:
        """Send a parcel off; `more_seconds` is how much longer than others it takes."""
        arrival = self._timetable.arrival(time.monotonic(), more_seconds)
        self._parcels.append((arrival, parcel, size_bytes))
        self._bytes += size_bytes
        self._changed.set()

    async def get(self) -> _Parcel:
        """Wait for the next to arrive."""
        while not self._parcels or self._parcels[0][0] > time.monotonic():
            if self._parcels:
                await until(self._parcels[0][0])  # nothing overtakes it
            else:
                await self._change()
        _, parcel, size_bytes = self._parcels.popleft()
        self._bytes -= size_bytes
        self._changed.set()
        return parcel

    async def room(self) -> None:
        """Wait until more may be sent off."""
        while self.is_full:
            await self._change()

    def travel_seconds(self) -> float:
        """How long something without bytes is under way that is sent off now."""
        now = time.monotonic()
        return self._timetable.arrival(now) - now

    def take_all(self) -> list[_Parcel]:
        """Take what is under way, due or not."""
        parcels = [parcel for _, parcel, _ in self._parcels]
        self._parcels.clear()
        self._bytes = 0
        self._changed.set()
        return parcels

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Distant:
    """The far end of `stream` behind a network; `journey` names the connection, for the course of the jitter."""

    def __init__(
        self, stream: Stream, network: Network, journey: str, *, has_frames: bool, half_closes: bool = False
    ) -> None:
        self._stream = stream
        self._outlet = Outlet(stream, network.piece_bytes, network.gather_seconds, half_closes=half_closes)
        self._going: Way[bytes | How] = Way(network.timetable(f"{journey} there"))
        self._coming: Way[bytes | ConnectionError] = Way(network.timetable(f"{journey} back"))
        self._publish_later_seconds = network.to_subscriber_seconds
        self._finder = PublishFinder(has_frames=has_frames)
        self._is_closing = False
        self._is_hung_up = False
        self._reset: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._send()), loop.create_task(self._listen())]

    @property
    def is_closed(self) -> bool:
        """Whether `close` or `abort` was called; what they send may be under way."""
        return self._is_closing

    @property
    def is_write_paused(self) -> bool:
        """Whether who writes more has to `drain` first."""
        return self._going.is_full

    async def read(self) -> bytes:
        """Wait for bytes; b"" for the peer's FIN, or once our own has arrived. Raises as `Stream.read`."""
        parcel = await self._coming.get()
        if isinstance(parcel, ConnectionError):
            raise parcel
        return parcel

    def write(self, data: bytes) -> None:
        """Send bytes off, behind everything written before; does nothing once closed."""
        if not self._is_closing:
            self._going.put(data, len(data))

    async def drain(self) -> None:
        """Wait until more may be under way."""
        await self._going.room()

    def write_eof(self) -> None:
        """Send FIN off behind what was written, and go on reading, where the far end `half_closes`."""
        self._going.put(How.FIN)

    def close(self) -> None:
        """Send FIN off behind what was written."""
        if not self._is_closing:
            self._is_closing = True
            self._going.put(How.FIN)

    def abort(self) -> None:
        """Send RST off behind what was written; it does not wait for a peer that does not read."""
        self._is_closing = True
        if self._is_hung_up:
            self._stream.abort()
        elif self._reset is None:
            self._reset = asyncio.get_running_loop().call_later(self._going.travel_seconds(), self._on_reset)

    def hang_up(self) -> None:
        """Lose what is under way and close the near end and the far one: nobody looks any more."""
        self._is_closing = self._is_hung_up = True
        for task in self._tasks:
            task.cancel()
        if self._reset is not None:
            self._reset.cancel()
        self._outlet.close()

    async def wait_closed(self) -> None:
        """Wait until the socket at the far end is closed."""
        await self._stream.wait_closed()

    async def _send(self) -> None:
        while True:
            parcel = await self._going.get()
            if isinstance(parcel, How):
                self._outlet.end(parcel)
                continue
            self._outlet.write(parcel)
            with contextlib.suppress(ConnectionError):  # `_listen` tells
                await self._outlet.drain()

    async def _listen(self) -> None:
        while True:
            try:
                data = await self._stream.read()
            except ConnectionError as error:
                self._coming.put(error)
                return
            if not data:
                self._coming.put(data)
                return
            for part, has_publish in self._finder.cut(data) if self._publish_later_seconds else [(data, False)]:
                self._coming.put(part, len(part), self._publish_later_seconds if has_publish else 0.0)
            await self._coming.room()

    def _on_reset(self) -> None:
        for parcel in self._going.take_all():
            if not isinstance(parcel, How):
                self._outlet.write(parcel)
        self._outlet.end(How.RST)
