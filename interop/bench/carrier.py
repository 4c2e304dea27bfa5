"""What carries the generator's bytes: a TCP socket, TLS around it, WebSocket frames in either.

Belongs here: opening one, and sends and receives that take what there is room for.
Does not belong here: MQTT.
"""

from __future__ import annotations

import socket
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from reference_broker.net.address import Address
from reference_broker.net.tls import client_context

ANSWER_SECONDS = 10.0


class Carrier(Protocol):
    """A stream of bytes; `send_some` and `receive_some` raise BlockingIOError once `stop_blocking` was called."""

    @property
    def holds_back(self) -> bool:
        """Whether bytes are waiting here that a selector does not see."""

    def fileno(self) -> int:
        """For a selector."""

    def send_some(self, data: memoryview) -> int:
        """Send what there is room for; what was not taken must come again."""

    def send_all(self, data: bytes) -> None:
        """Send everything, waiting."""

    def receive_some(self, space: memoryview) -> int:
        """Receive what is there; 0 at the end."""

    def stop_blocking(self) -> None:
        """From now on, never wait."""

    def close(self) -> None:
        """Close the socket."""


class TcpCarrier:
    """A plain socket."""

    holds_back = False

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.fileno = raw.fileno
        self.send_some = raw.send
        self.send_all = raw.sendall
        self.receive_some = raw.recv_into
        self.close = raw.close

    def stop_blocking(self) -> None:
        """From now on, never wait."""
        self.raw.setblocking(False)


class TlsCarrier:
    """A socket with TLS around it."""

    def __init__(self, secured: ssl.SSLSocket) -> None:
        self._secured = secured
        self.fileno = secured.fileno
        self.send_all = secured.sendall
        self.close = secured.close
        self._waits = True

    @property
    def holds_back(self) -> bool:
        """Whether a record was read in part."""
        return self._secured.pending() > 0

    def send_some(self, data: memoryview) -> int:
        """Encrypt and send what there is room for."""
        try:
            return self._secured.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            raise BlockingIOError from None

    def receive_some(self, space: memoryview) -> int:
        """Receive records until the space is full or none is there."""
        count = 0
        try:
            while count < len(space):
                received = self._secured.recv_into(space[count:])
                count += received
                if self._waits or not received:
                    break
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not count:
                raise BlockingIOError from None
        return count

    def stop_blocking(self) -> None:
        """From now on, never wait."""
        self._waits = False
        self._secured.setblocking(False)


# --- WebSocket --------------------------------------------------------------------------------------------------------

_BINARY_FRAME, _MASKED = 0x82, 0x80
_NO_MASK = bytes(4)
"""A masking key of zeros leaves the bytes as they are, so that nothing is computed. [RFC 6455 5.3]"""

_CLOSE, _PING, _PONG = 8, 9, 10
_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
_SHORT, _LONG = 126, 127
"""Lengths that say: the length follows in two, in eight bytes. [RFC 6455 5.2]"""


class WebSocketCarrier:
    """WebSocket frames in another carrier: one for each send, whatever the server likes for receipts."""

    def __init__(self, inner: Carrier, address: Address) -> None:
        self._inner = inner
        self.fileno = inner.fileno
        self.close = inner.close
        self.stop_blocking = inner.stop_blocking
        self._frame = memoryview(b"")
        self._raw = b""
        self._at = 0
        self._payload_left = 0
        self._skip = False
        self._chunk = bytearray(256 * 1024)
        inner.send_all(_UPGRADE.format(path=address.path, host=address.host_and_port).encode())
        while b"\r\n\r\n" not in self._raw:
            self._receive_raw()
        answer, _, self._raw = self._raw.partition(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(f"no WebSocket there: {answer.split(bytes([13]))[0].decode('latin-1')}")

    @property
    def holds_back(self) -> bool:
        """Whether bytes were received that found no room."""
        return self._at < len(self._raw) or self._inner.holds_back

    def send_some(self, data: memoryview) -> int:
        """Send a frame; nothing of it counts as sent before all of it is."""
        if not self._frame:
            self._frame = memoryview(frame_header(len(data)) + data)
        self._frame = self._frame[self._inner.send_some(self._frame) :]
        return 0 if self._frame else len(data)

    def send_all(self, data: bytes) -> None:
        """Send everything in one frame, waiting."""
        self._inner.send_all(frame_header(len(data)) + data)

    def receive_some(self, space: memoryview) -> int:
        """Receive what frames carry."""
        if self._at >= len(self._raw) or not (count := self._unwrap(space)):
            self._receive_raw()
            count = self._unwrap(space)
            if not count:
                raise BlockingIOError  # a part of a header, or a control frame
        return count

    def _receive_raw(self) -> None:
        count = self._inner.receive_some(memoryview(self._chunk))
        if not count:
            raise ConnectionError("the broker closed the connection")
        self._raw = self._raw[self._at :] + bytes(self._chunk[:count])
        self._at = 0

    def _unwrap(self, space: memoryview) -> int:
        """Copy payloads out of what was received; gives how many bytes."""
        raw, at, filled, room = self._raw, self._at, 0, len(space)
        while at < len(raw) and filled < room:
            if not self._payload_left:
                header = _read_header(raw, at)
                if header is None:
                    break
                self._skip, self._payload_left, at = header
                continue
            count = min(self._payload_left, len(raw) - at, room - filled)
            if not self._skip:
                space[filled : filled + count] = raw[at : at + count]
                filled += count
            at += count
            self._payload_left -= count
        self._at = at
        return filled


def frame_header(size_bytes: int) -> bytes:
    """The header of a masked binary frame."""
    if size_bytes < _SHORT:
        return bytes((_BINARY_FRAME, _MASKED | size_bytes)) + _NO_MASK
    if size_bytes < 1 << 16:
        return bytes((_BINARY_FRAME, _MASKED | _SHORT)) + size_bytes.to_bytes(2, "big") + _NO_MASK
    return bytes((_BINARY_FRAME, _MASKED | _LONG)) + size_bytes.to_bytes(8, "big") + _NO_MASK


def _read_header(raw: bytes, at: int) -> tuple[bool, int, int] | None:
    """Whether a frame is to be skipped, its payload's size, where that begins; None when bytes are missing."""
    if len(raw) - at < 2:
        return None
    opcode, length = raw[at] & 0x0F, raw[at + 1] & 0x7F
    size = {_SHORT: 2, _LONG: 8}.get(length, 0)
    end = at + 2 + size
    if len(raw) < end:
        return None
    if opcode == _CLOSE:
        raise ConnectionError("the broker closed the WebSocket")
    return opcode in {_PING, _PONG}, int.from_bytes(raw[at + 2 : end], "big") if size else length, end


# --- opening ----------------------------------------------------------------------------------------------------------


def open_carrier(address: Address) -> Carrier:
    """Connect; raises OSError."""
    raw = socket.create_connection((address.host, address.port), timeout=ANSWER_SECONDS)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    carrier: Carrier
    if address.transport.is_encrypted:
        carrier = TlsCarrier(_context(address.ca_file).wrap_socket(raw, server_hostname=address.host))
    else:
        carrier = TcpCarrier(raw)
    return WebSocketCarrier(carrier, address) if address.transport.is_websocket else carrier


@lru_cache
def _context(ca_file: Path | None) -> ssl.SSLContext:
    return client_context(ca_file)
