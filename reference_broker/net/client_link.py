"""One ClientCore on one stream.

Belongs here: carrying bytes and times between the two.
Does not belong here: what the events are for (`client`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reference_broker.client import ClientCore, Closing, Event, State
from reference_broker.net.stream import Stream

_MOST_UNSENT_BYTES = 4 * 1024 * 1024
"""Who does not take so much of what we answer is not read until it has."""


class ClientLink:
    """Drives a core; `update` has to follow every command given to it."""

    def __init__(self, core: ClientCore, stream: Stream, on_event: Callable[[Event], None]) -> None:
        self.core = core
        self.stream = stream
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._may_read = asyncio.Event()
        self._may_read.set()

    @property
    def is_connected(self) -> bool:
        """Whether commands can be given."""
        return self.core.state is State.CONNECTED

    def now(self) -> float:
        """The time as the core has to be told it."""
        return self._loop.time()

    async def run(self) -> None:
        """Send CONNECT and carry bytes until the connection is over; raises LocalError for a CONNECT that cannot be."""
        core = self.core
        try:
            core.connect(self.now())
            self.update()
            while core.state is not State.CLOSED:
                try:
                    await self._may_read.wait()
                    if self.stream.unsent_bytes > _MOST_UNSENT_BYTES:
                        await self.stream.drain()
                    data = await self.stream.read()
                except ConnectionError as error:
                    core.connection_lost(self.now(), str(error))
                else:
                    if data:
                        core.receive_data(data, self.now())
                    else:
                        core.connection_lost(self.now(), "closed by the server")
                self.update()
        finally:
            self._set_timer(None)
            self.stream.close()

    def hold(self) -> None:
        """Read no more for now: the application has enough to take."""
        self._may_read.clear()

    def release(self) -> None:
        """Read on."""
        self._may_read.set()

    def update(self) -> None:
        """Write what is to be sent, set the timer, end the stream, tell the news."""
        core = self.core
        if data := core.data_to_send():
            self.stream.write(data)
        self._set_timer(core.next_deadline())
        if core.closing is not Closing.NO:
            self.release()
        if core.closing is Closing.FLUSH:
            self.stream.close()
        elif core.closing is Closing.ABORT:
            self.stream.abort()
        was = core.closing
        for event in core.take_events():
            self._on_event(event)
        if core.closing is not was:  # it was too much for whom it was told
            self.update()

    def drop(self) -> None:
        """End the connection with RST and without a word, as a client that crashes does."""
        self.stream.abort()
        self.core.connection_lost(self.now(), "dropped by the client")
        self.update()

    def _set_timer(self, deadline: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._timer_fired)

    def _timer_fired(self) -> None:
        if not self._may_read.is_set():
            self.core.excuse_silence(self.now())
        self.core.handle_timer(self.now())
        self.update()
