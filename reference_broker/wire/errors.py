"""What can be wrong with bytes from a peer, and with a packet of our own.

Belongs here: the exceptions the wire raises, each with the 5.0 reason code that names it.
Does not belong here: what a broker or client does about them.
"""

from __future__ import annotations

from reference_broker.wire.types import ReasonCode


class RemoteError(Exception):
    """The peer broke the protocol; `reason` is the 5.0 code for it, `statement` cites the rule, e.g. `5.0 MQTT-1.5.5-1`."""

    def __init__(self, message: str, reason: ReasonCode, statement: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.statement = statement


class MalformedPacket(RemoteError):
    """Bytes that cannot be parsed as the specification lays them out. [5.0 1.2 Malformed Packet]"""

    def __init__(
        self, message: str, statement: str = "", reason: ReasonCode = ReasonCode.MALFORMED_PACKET
    ) -> None:
        super().__init__(message, reason, statement)


class ProtocolError(RemoteError):
    """A packet that parses but is not allowed, or not now. [5.0 1.2 Protocol Error]"""

    def __init__(
        self, message: str, statement: str = "", reason: ReasonCode = ReasonCode.PROTOCOL_ERROR
    ) -> None:
        super().__init__(message, reason, statement)


class LocalError(ValueError):
    """Our own side asked for a packet the specification forbids; nothing was sent."""
