"""A WebSocket connection read from outside: handshake and frames as they are, and the MQTT bytes in them. Without I/O.

Belongs here: where the handshake and each frame end, what a frame holds, and frames of the harness's own.
Does not belong here: which frames go on (`framed`), the rules of the protocol, which client and broker keep themselves.

Whoever reads here is no party to the connection: nothing is refused and nothing is answered. [RFC 6455 5]
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from websockets.frames import CloseCode

from reference_broker.net.masked_frames import apply_mask, frame_size, frame_violation

_END_OF_HEADERS = b"\r\n\r\n"
_SWITCHING_PROTOCOLS = 101
_DEFLATE_TAIL = b"\x00\x00\xff\xff"  # what a sender leaves away [RFC 7692 7.2.1]
_LARGEST_INFLATED_BYTES = 268_435_460  # the largest MQTT packet [5.0 2.1.4]
_HEADERS_LIMIT_BYTES = 65_536
_FIN, _COMPRESSED, _OPCODE = 0x80, 0x40, 0x0F


class Opcode(IntEnum):
    """What kind of frame it is. [RFC 6455 5.2]"""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_CONTROL = 0x08  # the bit that tells a control frame [RFC 6455 5.5]


class Form(StrEnum):
    """What a piece of the stream is."""

    HANDSHAKE = "handshake"
    DATA = "data"
    CONTROL = "control"
    FOREIGN = "foreign"
    """What carries no MQTT: text, reserved opcodes, whatever follows a handshake that failed."""
    MALFORMED = "malformed"
    """A frame that may not stand there, whatever it says to be: its receiver has to fail the connection."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One frame, or the handshake: `raw` as it came, `payload` what it holds, unmasked and inflated."""

    form: Form
    raw: bytes
    payload: bytes = b""
    opcode: int = -1
    final: bool = True
    is_compressed: bool = False
    violation: str = ""
    """What is wrong with a malformed one, in words."""


@dataclass(slots=True)
class Upgrade:
    """What the two sides agreed on, as both readers of a connection have to know it."""

    status: int | None = None
    """The HTTP status of the broker's answer; None before it."""
    subprotocol: str = ""
    deflate: tuple[str, ...] | None = None
    """The parameters of permessage-deflate, None without it. [RFC 7692]"""

    @property
    def is_done(self) -> bool:
        """Whether frames are spoken."""
        return self.status == _SWITCHING_PROTOCOLS

    @property
    def is_refused(self) -> bool:
        """Whether the broker answered something else."""
        return self.status not in (None, _SWITCHING_PROTOCOLS)

    def take_response(self, headers: bytes) -> None:
        """Read the broker's answer. [RFC 6455 4.2.2]"""
        first, *lines = headers.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        self.status = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
        for line in lines:
            name, _, value = line.partition(":")
            if name.lower() == "sec-websocket-protocol":
                self.subprotocol = value.strip()
            elif name.lower() == "sec-websocket-extensions" and "permessage-deflate" in value:
                self.deflate = tuple(each.strip() for each in value.split(";")[1:])


@dataclass(slots=True)
class FrameReader:
    """Takes what one side sends apart; `is_client` tells which."""

    is_client: bool
    upgrade: Upgrade
    _unread: list[bytes] = field(default_factory=list)
    _unread_bytes: int = 0
    _needed_bytes: int = 0
    """How many bytes make the next piece, as far as that is known: fewer are not looked at."""
    _in_handshake: bool = True
    _is_lost: bool = False
    _message: int = 0
    """The opcode of the message whose fragments come, 0 between messages."""
    _inflates: bool = False
    _inflater: zlib._Decompress | None = field(default=None)

    def __len__(self) -> int:
        return self._unread_bytes

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes the side sent; gives each whole piece."""
        if self._unread:
            self._unread.append(data)
            self._unread_bytes += len(data)
            if self._unread_bytes < self._needed_bytes:
                return []
            data = self.take_rest()
        pieces = list(self._pieces(data))
        if rest := data[sum(len(piece.raw) for piece in pieces) :]:
            self._unread, self._unread_bytes = [rest], len(rest)
            self._needed_bytes = 0 if self._in_handshake else frame_size(rest, 0)[1]
        return pieces

    def take_rest(self) -> bytes:
        """Give what is no whole piece yet, and forget it."""
        rest = b"".join(self._unread)
        self._unread, self._unread_bytes = [], 0
        return rest

    def _pieces(self, data: bytes) -> Iterator[Piece]:
        position = 0
        if self._in_handshake:
            end = data.find(_END_OF_HEADERS)
            if end < 0 and len(data) <= _HEADERS_LIMIT_BYTES:
                return
            self._in_handshake = False
            if end < 0:
                self._is_lost = True
            else:
                position = end + len(_END_OF_HEADERS)
                if not self.is_client:
                    self.upgrade.take_response(data[:end])
                yield Piece(Form.HANDSHAKE, data[:position])
        while position < len(data):
            if self._is_lost or self.upgrade.is_refused:
                yield Piece(Form.FOREIGN, data[position:])
                return
            header, size = frame_size(data, position)
            if not size or position + size > len(data):
                return
            yield self._piece(data[position : position + size], header)
            position += size

    def _piece(self, raw: bytes, header: int) -> Piece:
        first = raw[0]
        opcode, final = first & _OPCODE, bool(first & _FIN)
        payload = raw[header:]
        if raw[1] & 0x80 and payload:
            payload = apply_mask(payload, raw[header - 4 : header])
        if violation := self._violation(first, len(payload)):
            return Piece(Form.MALFORMED, raw, payload, opcode, final, violation=violation)
        if opcode & _CONTROL:
            return Piece(Form.CONTROL, raw, payload, opcode, final)
        if opcode != Opcode.CONTINUATION:
            self._message = opcode
            self._inflates = bool(first & _COMPRESSED) and self.upgrade.deflate is not None
        message, self._message = self._message, 0 if final else self._message
        if message != Opcode.BINARY:
            return Piece(Form.FOREIGN, raw, payload, opcode, final)
        compressed = self._inflates
        if compressed:
            payload = self._inflate(payload, final=final)
        return Piece(Form.DATA, raw, payload, opcode, final, compressed)

    def _violation(self, first: int, size_bytes: int) -> str:
        """Why a frame that begins so may not stand here; text may, as far as frames go. [RFC 6455 5.2, 5.4, 5.5]"""
        if self.upgrade.deflate is not None:
            first &= ~_COMPRESSED
        code, words = frame_violation(first, size_bytes, self._message != 0) or (None, "")
        return words if code is CloseCode.PROTOCOL_ERROR else ""

    def _inflate(self, payload: bytes, *, final: bool) -> bytes:
        if self._inflater is None:
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            plain = self._inflater.decompress(payload + _DEFLATE_TAIL if final else payload, _LARGEST_INFLATED_BYTES)
        except zlib.error:
            self._is_lost = True
            return b""
        own = "client" if self.is_client else "server"
        if final and f"{own}_no_context_takeover" in (self.upgrade.deflate or ()):
            self._inflater = None
        return plain


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = False) -> bytes:
    """One frame; a client's is masked. [RFC 6455 5.2, 5.3]"""
    size = len(payload)
    mask = 0x80 if masked else 0
    first = opcode | (_FIN if final else 0)
    if size < 126:
        header = bytes((first, mask | size))
    elif size < 1 << 16:
        header = bytes((first, mask | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((first, mask | 127)) + size.to_bytes(8, "big")
    if not masked:
        return header + payload
    key = os.urandom(4)
    return header + key + (apply_mask(payload, key) if payload else b"")
