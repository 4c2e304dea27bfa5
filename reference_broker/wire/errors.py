"""What can be wrong with bytes from a peer, and with a packet of our own.

Belongs here: the exceptions the wire raises, each with the 5.0 reason code that names it.
Does not belong here: the rules that can be broken (`rules`), or what a broker or client does about them.
"""

from __future__ import annotations

from reference_broker.wire.types import ReasonCode


class RemoteError(Exception):
    """The peer broke the protocol.

    `reason` is the 5.0 code that names it; `statement` cites the rule, e.g. `5.0 MQTT-1.5.5-1`, or is empty.
    """

    def __init__(self, message: str, reason: ReasonCode, statement: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.statement = statement


class MalformedPacket(RemoteError):
    """Bytes that cannot be parsed as the specification lays them out. [5.0 1.2 Malformed Packet]"""

    def __init__(self, message: str, statement: str = "", reason: ReasonCode = ReasonCode.MALFORMED_PACKET) -> None:
        super().__init__(message, reason, statement)


class ProtocolError(RemoteError):
    """A packet that parses but is not allowed, or not now. [5.0 1.2 Protocol Error]"""

    def __init__(self, message: str, statement: str = "", reason: ReasonCode = ReasonCode.PROTOCOL_ERROR) -> None:
        super().__init__(message, reason, statement)


class UnacceptableProtocolVersion(ProtocolError):
    """A CONNECT whose protocol name and level are not one of `MQIsdp` 3, `MQTT` 4 and `MQTT` 5.

    `protocol_name` holds the name's bytes as sent and `protocol_level` the level, so that a server can tell a level
    it must answer with CONNACK 0x01 from a protocol it does not know at all. [3.1.1 MQTT-3.1.2-1, MQTT-3.1.2-2]
    """

    def __init__(self, protocol_name: bytes, protocol_level: int, statement: str) -> None:
        super().__init__(
            f"protocol name {protocol_name!r} with level {protocol_level} is not supported",
            statement,
            ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
        )
        self.protocol_name = protocol_name
        self.protocol_level = protocol_level


class LocalError(ValueError):
    """Our own side asked for a packet the specification forbids; nothing was sent."""
