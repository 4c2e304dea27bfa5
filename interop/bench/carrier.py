"""What carries the generator's bytes: a TCP socket, or TLS around it.

Belongs here: opening one, and sends and receives that take what there is room for.
Does not belong here: MQTT.
"""

from __future__ import annotations

import socket
from typing import Protocol

from reference_broker.net.address import Address

ANSWER_SECONDS = 10.0


class Carrier(Protocol):
    """A stream of bytes; `send_some` and `receive_some` raise BlockingIOError once `stop_blocking` was called."""

    holds_back: bool
    """Whether bytes may be waiting here that a selector does not see."""

    def fileno(self) -> int:
        """For a selector."""

    def send_some(self, data: memoryview) -> int:
        """Send what there is room for."""

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


def open_carrier(address: Address) -> Carrier:
    """Connect; raises OSError."""
    raw = socket.create_connection((address.host, address.port), timeout=ANSWER_SECONDS)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return TcpCarrier(raw)
