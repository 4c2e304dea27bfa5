"""One client's connection: its bytes go to the broker's link, as many as a turn allows.

Belongs here: what of a read is worked on at once, and what each event of the socket means for the link.
Does not belong here: all connections together (`server`), writing and the ends of a connection (`connection`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from reference_broker.broker import Broker, Link
from reference_broker.broker.values.seldom import Seldom
from reference_broker.net.connection import Connection, peer_of
from reference_broker.net.errors import BadPeer
from reference_broker.net.turns import FEWEST_BYTES, MOST_BYTES, RUNS_OF_FRAMES, TURN_SECONDS, Share, Turn
from reference_broker.net.websocket import WebSocketWrapping
from reference_broker.net.wrapping import Wrapping

LOGGER = logging.getLogger("reference_broker")
"""One warning for each peer that was refused or broke the rules; connections come and go at debug level."""

_FULL_READ = 131_072
"""So many bytes at once mean that more are waiting: others come first, because uvloop would read up to 32 times."""


class Owner(Protocol):
    """Who has the broker and all its connections."""

    broker: Broker
    now: Callable[[], float]
    turn: Turn
    is_behind: bool
    """Whether more is to be kept than the store can keep up with: who adds to it is not read."""

    @property
    def keeps(self) -> bool:
        """Whether answers may have to wait until something is kept."""

    def has_room(self) -> bool:
        """Count a connection; whether there are enough file handles for it."""

    def has_to_wait(self) -> bool:
        """Whether the store is behind, and whose bytes were just worked on adds to that."""

    def flush(self, active: Link | None = None) -> None:
        """Write what the broker answered, to `active` and all others."""

    def pause(self, connection: BrokerConnection) -> None:
        """Read no more from a connection until the broker wants to."""

    def note_read(self, connection: BrokerConnection, size_bytes: int, now: float) -> None:
        """Let packets gather before the next read where that carries more."""

    def note_ending(self, connection: BrokerConnection) -> None:
        """A connection's link has ended, and its socket is still to be closed."""

    def end(self, connection: BrokerConnection) -> None:
        """Close a connection whose link has ended, behind all that it is still to get."""

    def forget(self, connection: BrokerConnection) -> None:
        """Drop a connection that is gone."""


class BrokerConnection(Connection):
    """One client's connection and the broker's link for it."""

    __slots__ = ("_rest", "_server", "link")

    link: Link
    is_unanswered = Seldom(False)
    """Whether the client got nothing yet; noted only where answers may have to wait."""
    _share: Seldom[Share | None] = Seldom(None)
    """How much is worked on at once, of which nobody has to know who sends little."""
    _goes_on = Seldom(False)

    def __init__(self, server: Owner, wrapping: Wrapping | None) -> None:
        super().__init__(wrapping)
        if isinstance(wrapping, WebSocketWrapping):
            wrapping.steps_at_once = RUNS_OF_FRAMES
        self._server = server
        self._rest = b""
        """What was read while it was others' turn."""

    @property
    def peer(self) -> str:
        """The client as `host:port`; the transport knows it to its end."""
        return "" if self._transport is None else peer_of(self._transport)

    def __str__(self) -> str:
        return self.peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the broker's link at once: its connect timeout bounds the wrapping's handshake too."""
        super().connection_made(transport)
        server = self._server
        self.link = server.broker.connect(server.now(), self)
        self.is_unanswered = server.keeps
        LOGGER.debug("%s connected", self)
        if not server.has_room():
            LOGGER.warning("%s: closed, because the system lets the process have no more file handles", self.peer)
            self.abandon()
            return
        server.flush()
        if self.link.reading_paused:  # too many come from there; uvloop begins to read behind this call
            asyncio.get_running_loop().call_soon(server.pause, self)

    @property
    def data_received(self) -> Callable[[bytes], None]:  # called as the method is
        """What works on a read: the event loop keeps it, and a bound method would be another 64 bytes."""
        return self

    def __call__(self, data: bytes) -> None:
        """Work on one read, as far as a turn allows."""
        size = len(data)
        if self._is_behind():
            self._rest += data
            return
        if self.link.reading_paused:  # it came too early, with its CONNECT at once, or others made it wait meanwhile
            self._rest = data
            self._server.pause(self)
            return
        if size <= FEWEST_BYTES:
            super().data_received(data)
        else:
            self._work_on(data)
        if size >= _FULL_READ or self._is_behind():
            self.pause_reading()
            asyncio.get_running_loop().call_soon(self.read_on)

    def resume_reading(self) -> None:
        """Go on with what is left of the last read, when it is this peer's turn again; then take more."""
        if self._is_behind():
            self.go_on_soon()
        else:
            super().resume_reading()

    def go_on_soon(self) -> None:
        """Have what is left worked on when others were served."""
        if not self._goes_on:
            self._goes_on = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        if self.link.reading_paused or self._server.is_behind:
            self._server.pause(self)
        elif not self._owes_replies:
            if self.link.has_more:
                self._receive(b"")
            elif self._wrapping is not None and self._wrapping.has_more:
                super().data_received(b"")
            else:
                rest, self._rest = self._rest, b""
                self._work_on(rest)
            self.read_on()

    def _work_on(self, data: bytes) -> None:
        """Do a share after the other until the turn is over; what is left is the rest."""
        share = self._share
        if share is None:
            share = self._share = Share()
        if len(data) <= MOST_BYTES == share.size_bytes:  # a clock that is cheap will do for who has been cheap
            began = time.perf_counter()
            super().data_received(data)
            share.took(time.perf_counter() - began)
            return
        position, size = 0, len(data)
        began = now = time.thread_time()
        while position < size:
            if position and (now - began >= TURN_SECONDS or self._has_to_wait()):
                self._rest = data[position:]
                return
            end = position + share.size_bytes
            super().data_received(data[position:end])  # no copy where it is all
            position = end
            before, now = now, time.thread_time()
            share.took(now - before)

    def _has_to_wait(self) -> bool:
        return self._is_behind() or self.link.reading_paused or self._server.is_behind or self._owes_replies

    def _is_behind(self) -> bool:
        """Whether some of what came is still to be worked on: it is others' turn before."""
        if self._closing:
            return False
        wrapping = self._wrapping
        return bool(self.link.has_more or self._rest or (wrapping is not None and wrapping.has_more))

    def on_data(self, data: bytes) -> None:
        """Let the broker work on one read, or a share of it."""
        self._server.note_read(self, len(data), self._receive(data))

    def _receive(self, data: bytes) -> float:
        """Let the broker work as long as a turn lasts; when that was."""
        server = self._server
        now = server.now()
        server.turn.begin()
        self.link.receive_data(data, now)
        server.flush(self.link)
        if self.link.reading_paused or server.has_to_wait():
            server.pause(self)
        return now

    def on_end(self) -> None:
        """An MQTT client that ended its side is gone. [5.0 3.14]"""
        self._lose_link()
        self._server.end(self)

    def on_bad_peer(self, error: BadPeer) -> None:
        """Log what was wrong; the client is gone."""
        LOGGER.warning("%s: %s", self.peer, error)
        self._lose_link()
        self._server.note_ending(self)

    def on_write_paused(self) -> None:
        """The client reads slower than we write."""
        self.link.pause_writing()

    def on_write_resumed(self) -> None:
        """The client caught up: give it what waits."""
        self.link.resume_writing()
        self._server.flush()

    def on_read_resumed(self) -> None:
        """The client read its pongs: go on, unless it has to wait for others."""
        self.read_on()

    def on_lost(self, error: Exception | None) -> None:
        """Tell the broker, if it does not know yet."""
        LOGGER.debug("%s disconnected%s", self, f": {error}" if error else "")
        self._lose_link()
        self._server.forget(self)

    def abandon(self) -> None:
        """Tear the socket down without waiting for the client's end."""
        if self._transport is not None:
            self._transport.abort()

    def read_on(self) -> None:
        """Read again, unless it is not to be read for another reason."""
        if self._server.is_behind:
            self._server.pause(self)
        elif not self.link.reading_paused:
            self.resume_reading()

    def _lose_link(self) -> None:
        has_ended = self.link.is_closed()  # by DISCONNECT, say: whom that concerned knows it
        self.link.connection_lost(self._server.now())
        if not has_ended:
            self._server.flush()


def connection_of(link: Link) -> BrokerConnection | None:
    """What has the socket of a link, while that is open."""
    connection = link.adapter
    return connection if isinstance(connection, BrokerConnection) else None
