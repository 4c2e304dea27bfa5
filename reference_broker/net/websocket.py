"""WebSocket around MQTT: binary frames of the sub-protocol `mqtt`. [3.1.1 6, 5.0 6]

Belongs here: the wrapping, built on the sans-IO protocol of the `websockets` package.
Does not belong here: sockets; HTTP beyond the one upgrade; the short cut for streams of frames (`masked_frames`).

A server takes binary messages apart itself: runs of whole ones at once, for clients send thousands in a read, and the
others as they come, so that no frame is kept until it is whole. The library gets whole control frames, and the headers
of frames it refuses.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol
from websockets.uri import WebSocketURI

from reference_broker.net.address import Address
from reference_broker.net.errors import BadPeer
from reference_broker.net.masked_frames import (
    MASK_SIZE,
    binary_header,
    frame_size,
    frame_violation,
    is_control,
    is_final,
    is_refused_at_once,
    is_simple,
    unmask_part,
    unmask_run,
)

SUBPROTOCOL = Subprotocol("mqtt")
"""What a client has to offer and a server to choose. [5.0 MQTT-6.0.0-3, MQTT-6.0.0-4]"""

_END_OF_REQUEST = b"\r\n\r\n"

_LONGEST_REQUEST = 16_384
"""Bytes of an upgrade; the library alone would take 128 headers of 8 KiB."""


_OLD_SUBPROTOCOL = Subprotocol("mqttv3.1")  # what 3.1 clients offer, from before it was registered

_LOGGER = logging.getLogger(__name__)
_LOGGER.setLevel(logging.CRITICAL)  # what goes wrong is reported as `error`, once

DEFAULT_MAXIMUM_FRAME_SIZE = 268_435_456 + 4096
"""Bytes a peer may put in one message: the largest MQTT packet, and a little for its neighbours. [5.0 2.1.4]"""


class WebSocketWrapping:
    """One end of a WebSocket connection, on bytes in memory.

    The receiver takes a packet apart from frames: one may span several, several may share one. [5.0 MQTT-6.0.0-2]
    """

    name = "WebSocket"

    def __init__(self, protocol: ServerProtocol | ClientProtocol, maximum_frame_size: int) -> None:
        self.is_open = False
        self.has_ended = False
        self.error: BadPeer | None = None
        self._protocol = protocol
        self._maximum_frame_size = maximum_frame_size
        self.steps_at_once = sys.maxsize
        """How many runs of frames `receive` takes apart before it stops, for others to be served."""
        self._unread = b""
        self._begun = b""
        """The last bytes that came where they do not make a whole header yet."""
        self._request_size = 0
        """Bytes of the upgrade that have come."""
        self._rest_of_frame = 0
        """Bytes to come of the frame that `_mask` is for."""
        self._mask = b""
        if isinstance(protocol, ClientProtocol):
            protocol.send_request(protocol.connect())

    @classmethod
    def server(
        cls, maximum_frame_size: int = DEFAULT_MAXIMUM_FRAME_SIZE, origins: Sequence[str] = ()
    ) -> WebSocketWrapping:
        """A server's end; it accepts any path, and with `origins` no page of another one. [RFC 6455 10.2]"""
        protocol = ServerProtocol(
            # who is no browser has no origin
            origins=[*map(Origin, origins), None] if origins else None,
            subprotocols=[SUBPROTOCOL, _OLD_SUBPROTOCOL],
            max_size=maximum_frame_size,
            logger=_LOGGER,
        )
        return cls(protocol, maximum_frame_size)

    @classmethod
    def client(cls, address: Address, maximum_frame_size: int = DEFAULT_MAXIMUM_FRAME_SIZE) -> WebSocketWrapping:
        """A client's end, for the host and path of `address`."""
        path, _, query = address.path.partition("?")
        uri = WebSocketURI(address.transport.is_encrypted, address.host, address.port, path, query)
        return cls(
            ClientProtocol(uri, subprotocols=[SUBPROTOCOL], max_size=maximum_frame_size, logger=_LOGGER),
            maximum_frame_size,
        )

    @property
    def has_more(self) -> bool:
        """Whether frames are left of what came."""
        return bool(self._unread)

    def receive(self, data: bytes) -> bytes:
        """Take frames apart, answer pings."""
        if self.has_ended or self.error:
            self._unread = b""
            return b""
        if self._unread:
            data, self._unread = self._unread + data, b""
        payloads: list[bytes] = []
        try:
            if isinstance(self._protocol, ClientProtocol):
                self._give_library(data, payloads)
            elif self.is_open:
                self._take_frames(data, payloads)
            else:
                self._take_request(data, payloads)
        except (AssertionError, WebSocketException) as error:  # frames before the end of a handshake that fails
            self.error = BadPeer(f"WebSocket failed: {_reason(error)}")
        self._notice_failure()
        return b"".join(payloads)

    def send(self, data: bytes) -> bytes:
        """Put bytes in one binary frame; nothing after the goodbye. [5.0 MQTT-6.0.0-1]"""
        if self._protocol.state is not State.OPEN:
            return self.take_reply()
        if isinstance(self._protocol, ServerProtocol):  # nothing to mask: one copy instead of the library's three
            return b"".join((*self._protocol.data_to_send(), binary_header(len(data)), data))
        self._protocol.send_binary(data)
        return self.take_reply()

    def take_reply(self) -> bytes:
        """Give the upgrade, pongs and close frames; the end of the stream is the owner's to send."""
        return b"".join(self._protocol.data_to_send())

    def close(self) -> bytes:
        """Say goodbye with a close frame."""
        self._say_goodbye(CloseCode.NORMAL_CLOSURE)
        return self.take_reply()

    def _take_request(self, data: bytes, payloads: list[bytes]) -> None:
        """Give the library the upgrade to its end; what follows are frames already."""
        seen = self._begun + data
        end = seen.find(_END_OF_REQUEST)
        request = len(data) if end < 0 else end + len(_END_OF_REQUEST) - len(self._begun)
        self._request_size += request
        if self._request_size > _LONGEST_REQUEST:
            self.error = BadPeer(f"WebSocket handshake failed: a request of more than {_LONGEST_REQUEST} bytes")
            return
        if end < 0:
            self._begun = seen[1 - len(_END_OF_REQUEST) :]
            self._give_library(data, payloads)
            return
        self._begun = b""
        self._give_library(data[:request], payloads)
        if request < len(data):
            self._take_frames(data[request:], payloads)

    def _take_frames(self, data: bytes, payloads: list[bytes]) -> None:
        """Unmask runs of simple frames and parts of others here, and leave control frames to the library."""
        position = 0
        if self._rest_of_frame:
            position = self._take_part(data, 0, payloads)
        elif self._begun:
            data, self._begun = self._begun + data, b""
        protocol = self._protocol
        steps = 0
        while position < len(data) and not (self.error or self.has_ended):
            if steps == self.steps_at_once:
                self._unread = data[position:]
                return
            steps += 1
            header, size = frame_size(data, position)
            if protocol.state is not State.OPEN or protocol.parser_exc is not None:
                self._give_library(data[position:], payloads)  # which throws it away
                return
            if not size:
                self._begun = data[position:]
                return
            length = size - header
            is_whole = position + size <= len(data)
            if (
                is_simple(data, position)
                and is_whole
                and length <= self._maximum_frame_size
                and protocol.current_size is None  # not between the fragments of a message
            ):
                payload, position = unmask_run(data, position, header, size)
                payloads.append(payload)
            elif is_refused_at_once(data, position) or length > self._maximum_frame_size - (protocol.current_size or 0):
                self._give_library(data[position : position + header], payloads)
                return
            elif violation := frame_violation(data[position], length, protocol.current_size is not None):
                self._fail(*violation)
            elif is_control(data, position):
                if not is_whole:
                    self._begun = data[position:]
                    return
                self._give_library(data[position : position + size], payloads)
                position += size
            else:
                begun = protocol.current_size or 0
                protocol.current_size = None if is_final(data, position) else begun + length
                self._mask = data[position + header - MASK_SIZE : position + header]
                self._rest_of_frame = length
                position = self._take_part(data, position + header, payloads)

    def _take_part(self, data: bytes, position: int, payloads: list[bytes]) -> int:
        """Unmask what has come of a frame that need not be whole; where that ends."""
        part = data[position : position + self._rest_of_frame]
        payload, self._mask = unmask_part(part, self._mask)
        payloads.append(payload)
        self._rest_of_frame -= len(part)
        return position + len(part)

    def _give_library(self, data: bytes, payloads: list[bytes]) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take_frame(event, payloads)
            elif isinstance(event, Request):
                self._accept(event)
            else:
                self._take_response()

    def _take_frame(self, frame: Frame, payloads: list[bytes]) -> None:
        if self.has_ended or self.error:
            return
        if frame.opcode in {Opcode.BINARY, Opcode.CONT}:
            payloads.append(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self._fail(CloseCode.UNSUPPORTED_DATA, "text frame; MQTT needs binary frames [5.0 MQTT-6.0.0-1]")
        elif frame.opcode is Opcode.CLOSE:
            self.has_ended = True

    def _accept(self, request: Request) -> None:
        assert isinstance(self._protocol, ServerProtocol)
        self._protocol.send_response(self._protocol.accept(request))
        self.is_open = self._protocol.state is State.OPEN

    def _take_response(self) -> None:
        if self._protocol.handshake_exc is not None:
            return
        if self._protocol.subprotocol is None:
            self._fail(CloseCode.PROTOCOL_ERROR, "the server did not choose the sub-protocol mqtt [5.0 MQTT-6.0.0-4]")
        else:
            self.is_open = True

    def _notice_failure(self) -> None:
        """Notice a handshake that was refused and a parser that gave up."""
        protocol = self._protocol
        if self.error or self.has_ended:
            return
        if protocol.handshake_exc is not None:
            self.error = BadPeer(f"WebSocket handshake failed: {_reason(protocol.handshake_exc)}")
        elif protocol.parser_exc is not None:
            self.error = BadPeer(f"WebSocket failed: {_reason(protocol.parser_exc)}")

    def _fail(self, code: CloseCode, reason: str) -> None:
        self._say_goodbye(code, reason)
        self.error = BadPeer(f"WebSocket failed: {reason}")

    def _say_goodbye(self, code: CloseCode, reason: str = "") -> None:
        # A close frame that came along with the handshake does not change the state; the library asserts there is none.
        if self._protocol.state is State.OPEN and self._protocol.close_rcvd is None:
            self._protocol.send_close(code, reason)


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidStatus):
        return f"HTTP status {error.response.status_code}"
    return str(error) or type(error).__name__
