"""One TCP connection under asyncio, whatever is wrapped around MQTT's bytes, at either end.

Belongs here: writing, back-pressure, the two ways to end a connection (FIN and RST), and feeding the wrapping.
Does not belong here: who connects or listens (`stream`, `listening`), and what the bytes mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
from typing import Any, cast

from reference_broker.broker.values.seldom import Seldom
from reference_broker.net.address import join_host_and_port
from reference_broker.net.errors import BadPeer
from reference_broker.net.wrapping import Wrapping

LINGER_SECONDS = 2.0
"""How long a connection we closed waits for the peer's end before it is torn down."""

_FEW_PIECES = 4
"""So many pieces are handed on as they are; more are mostly small, and joining them is cheaper."""

_READ_BYTES = 262_144
_LAST_READ_BYTES = 65_536
_LAST_READS = 16
"""What came before a reset is read so far."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST


def peer_of(transport: asyncio.BaseTransport) -> str:
    """The other end as `host:port`, or what a Unix socket has for that."""
    peer = transport.get_extra_info("peername")
    return join_host_and_port(peer[0], peer[1]) if isinstance(peer, tuple) else str(peer or "")


def _release(transport: asyncio.Transport) -> None:
    """Take what is over out of the circles it is in by itself.

    asyncio's own transports have methods of theirs as attributes: each would stay, with all it refers to, until the
    collector looks for old garbage, which is seldom.
    """
    own = getattr(transport, "__dict__", {})
    for name in [name for name, value in own.items() if getattr(value, "__self__", None) is transport]:
        del own[name]


class _ReadBuffer(threading.local):
    """What asyncio's own loop of this thread reads into, one connection after the other."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ_BYTES))


_READ_BUFFER = _ReadBuffer()


class Connection(asyncio.BufferedProtocol, asyncio.Protocol):
    """Base of both users of a connection; they fill in the `on_...` methods.

    `on_open` comes first, once the wrapping's handshake is over; `on_lost` comes last and exactly once.

    asyncio's own loop takes it for the first kind of protocol and reads into our buffer, uvloop, which has a buffer of
    its own, for the second. Left to itself asyncio makes 256 KiB for each read and keeps what was read at their
    beginning, and a process that runs for long grows by the gaps.
    """

    __slots__ = ("_closing", "_transport", "_wrapping", "seldom_set")

    peer_has_ended = Seldom(False)
    is_write_paused = Seldom(False)
    _linger: Seldom[asyncio.Handle | None] = Seldom(None)
    _owes_replies = Seldom(False)
    _fin_received = Seldom(False)

    def __init__(self, wrapping: Wrapping | None = None) -> None:
        self.seldom_set: dict[str, Any] | None = None
        self._wrapping = wrapping
        self._transport: asyncio.Transport | None = None
        self._closing = False

    # What the two users fill in.

    def on_open(self) -> None:
        """Bytes can be written and will be received from now on."""

    def on_data(self, data: bytes) -> None:
        """Bytes came, never none."""

    def on_end(self) -> None:
        """The peer sent its last byte; our side can still write, and has to close."""

    def on_bad_peer(self, error: BadPeer) -> None:
        """The peer broke the wrapping's rules; the connection closes by itself."""

    def on_write_paused(self) -> None:
        """The peer reads slower than we write."""

    def on_write_resumed(self) -> None:
        """The peer caught up."""

    def on_read_resumed(self) -> None:
        """The peer has read what it was not read for; the two users may have other reasons not to read it."""
        self.resume_reading()

    def on_lost(self, error: Exception | None) -> None:
        """The connection is gone; `error` says why if neither side closed it in order."""

    # What they call.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, after everything written before; does nothing once closed."""
        transport = self._transport
        if transport is None or self._closing or transport.is_closing():  # the last: lost, and about to be told
            return
        transport.write(data if self._wrapping is None else self._wrapping.send(bytes(data)))

    def write_pieces(self, pieces: list[bytes | bytearray | memoryview]) -> None:
        """As `write` of all of them, without copying what is large where the transport can do without."""
        if len(pieces) == 1 and self._wrapping is None:
            self.write(pieces[0])
        elif self._wrapping is not None or len(pieces) > _FEW_PIECES:
            self.write(b"".join(pieces))
        elif self._transport is not None and not (self._closing or self._transport.is_closing()):
            self._transport.writelines(pieces)

    def close(self) -> None:
        """Send what was written, say the wrapping's goodbye, then FIN; what still arrives is thrown away.

        Closing the socket at once would answer bytes still on their way to us with RST, and RST makes the peer
        lose what it has not read yet, so we close it only when the peer ended too, or LINGER_SECONDS later.
        """
        if self._closing:
            return
        self._closing = True
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._wrapping is not None and (goodbye := self._wrapping.close()):
            transport.write(goodbye)
        try:
            if self._fin_received:
                transport.close()
            else:
                transport.resume_reading()
                transport.write_eof()
        except OSError:  # the peer reset the connection in between
            transport.abort()
            return
        self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)

    def write_eof(self) -> None:
        """Send FIN behind what was written and go on receiving; a wrapping has no such half, there it is `close`."""
        if self._wrapping is not None:
            self.close()
        elif self._transport is not None and not (self._closing or self._transport.is_closing()):
            with contextlib.suppress(OSError):  # the peer reset the connection in between
                self._transport.write_eof()

    def abort(self) -> None:
        """Drop the connection at once with RST; the peer's read fails with ConnectionResetError."""
        self._closing = True
        if self._transport is None:
            return
        with contextlib.suppress(OSError):  # already reset by the peer
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    @property
    def unsent_bytes(self) -> int:
        """What was written and the peer has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Take no more bytes from the peer, so that in the end it has to stop sending."""
        if self._transport is not None and not self._closing and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again, unless the peer has to read the wrapping's replies first."""
        if self._owes_replies:
            return
        if self._transport is not None and not (self._closing or self._fin_received or self._transport.is_closing()):
            self._transport.resume_reading()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class
        if self._closing:  # before it began
            self._transport.abort()
            return
        if self._wrapping is None:
            self.on_open()
        else:
            self._write_reply(self._wrapping)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's own loop has none to give
        """Where asyncio's own loop is to read into, at once."""
        return _READ_BUFFER.view

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        self.data_received(bytes(_READ_BUFFER.view[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Hand bytes on, unwrapped."""
        if self._closing:
            return
        if self._wrapping is None:
            self.on_data(data)
        else:
            self._unwrap(self._wrapping, data)

    def eof_received(self) -> bool:
        """Tell that the peer ended; keep our half open until `close`."""
        self._fin_received = True
        if self._closing:
            return False
        self._end()
        return not self._closing

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the transport and tell the user."""
        if isinstance(error, OSError) and not self._closing:
            self._take_what_came_before()
        self._closing = True
        if self._linger is not None:
            self._linger.cancel()
        self.on_lost(error)
        if self._transport is not None:
            _release(self._transport)
        self._transport = None

    def pause_writing(self) -> None:
        """Pass back-pressure on."""
        self.is_write_paused = True
        self.on_write_paused()

    def resume_writing(self) -> None:
        """Pass the end of back-pressure on."""
        self.is_write_paused = False
        owed, self._owes_replies = self._owes_replies, False
        self.on_write_resumed()
        if owed:
            self.on_read_resumed()

    def _take_what_came_before(self) -> None:
        """Hand on what arrived before the reset that a write ran into.

        A peer that sends its DISCONNECT and closes its socket with bytes of ours unread resets the connection. That
        takes nothing from what it sent: it waits in the socket, which the event loop closes after `connection_lost`.
        """
        transport = self._transport
        if transport is None or transport.get_extra_info("ssl_object") is not None:
            return
        number = transport.get_extra_info("socket").fileno()
        with contextlib.suppress(OSError):
            for _ in range(_LAST_READS):
                if self._closing or not (data := os.read(number, _LAST_READ_BYTES)):
                    return
                self.data_received(data)

    def _unwrap(self, wrapping: Wrapping, data: bytes) -> None:
        was_open = wrapping.is_open
        inside = wrapping.receive(data)
        self._write_reply(wrapping)
        if wrapping.is_open and not was_open:
            self.on_open()
        if inside and not self._closing:
            self.on_data(inside)
        if wrapping.error is not None:
            self.on_bad_peer(wrapping.error)
            self.close()
        elif wrapping.has_ended:
            self._end()

    def _write_reply(self, wrapping: Wrapping) -> None:
        reply = wrapping.take_reply()
        if reply and self._transport is not None and not self._closing:
            self._transport.write(reply)
            if self.is_write_paused:  # who asks for more of them, pings say, has to read them
                self._owes_replies = True
                Connection.pause_reading(self)

    def _end(self) -> None:
        if not self.peer_has_ended and not self._closing:
            self.peer_has_ended = True
            self.on_end()
