"""What can go wrong before a byte of MQTT flows, each as one line a person can act on.

Belongs here: the exceptions of connecting and listening.
Does not belong here: what a peer does wrong in MQTT (`wire.errors`), or a connection lost later
(`ConnectionResetError`).
"""

from __future__ import annotations

import os


class ConnectFailed(OSError):
    """No connection came about; the text names host, port and the `reason`."""

    def __init__(self, host_and_port: str, reason: str) -> None:
        super().__init__(f"cannot connect to {host_and_port}: {reason}")
        self.reason = reason


class ListenFailed(OSError):
    """A listener could not be opened; the text names host, port and the reason."""


class AddressInUse(ListenFailed):
    """Something else listens on that host and port already."""


class CertificateUnusable(ListenFailed):
    """A certificate, key or CA file cannot be read, or the key does not belong to the certificate."""


class BadPeer(ConnectionError):
    """The peer broke TLS or WebSocket, so no MQTT can be read from it."""


def reason_of(error: Exception) -> str:
    """Say what the system says of an error, without numbers and addresses."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error)
