"""One raw network connection: bytes out, packets or a closure in.

Belongs here: sockets, and cutting what came into packets.
Does not belong here: what to send, what to think of the answer (`broker_run`, `client_run`).

A stream of asyncio would lose what was received before a reset, so this is a protocol of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from interop.corpus.model import End, Observed
from reference_broker.wire.decode import Reader, decode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import Packet
from reference_broker.wire.types import Version


class RawConnection(asyncio.Protocol):
    """Either end of a connection. `packets` holds what came, `garbled` why later bytes are none."""

    def __init__(self, reader: Reader, opened: Callable[[RawConnection], None] | None = None) -> None:
        self.packets: list[Packet] = []
        self.garbled = ""
        self.closed = False
        self.received = b""
        self._reader = reader
        self._opened = opened
        self._news = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    # --- what asyncio calls ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._opened is not None:
            self._opened(self)

    def data_received(self, data: bytes) -> None:
        """Cut what came into packets."""
        self.received += data
        if not self.garbled:
            self._reader.feed(data)
            try:
                self.packets.extend(self._reader)
            except RemoteError as error:
                self._not_understood(str(error))
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio names it
        """The peer closed it; a reset is a way to close."""
        self.closed = True
        self._news.set()

    # --- what a run calls --------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes, unless the peer has closed."""
        if self._transport is not None and not self.closed:
            self._transport.write(data)

    def abort(self) -> None:
        """Be done with it."""
        if self._transport is not None:
            self._transport.abort()

    async def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until the connection is closed or `done()`; False when that took too long."""
        try:
            async with asyncio.timeout(seconds):
                while not (self.closed or done()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return self.closed or done()
        return True

    def observed(self, end: End, before: int = 0) -> Observed:
        """What came, without the first `before` packets."""
        return Observed(end, tuple(self.packets[before:]), self.garbled, self.received)

    def _not_understood(self, why: str) -> None:
        """A refusal of a CONNECT whose version the server does not know comes in the form of 3.1.1."""
        try:
            self.packets.append(decode(self.received, Version.V311))
        except RemoteError:
            self.garbled = why
