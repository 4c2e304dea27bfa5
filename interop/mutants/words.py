"""Small words that the tables of mutants share.

Belongs here: changes of packets that more than one table speaks of.
Does not belong here: mutants (`broker_...`, `client_...`), how faults take hold (`wrong_ends`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Change
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import ConnAck, Connect
from reference_broker.wire.types import ReasonCode, Version


def nothing(*_arguments: Any, **_named: Any) -> None:
    """Do nothing instead."""


def always(value: Any) -> Any:
    """For `around`: whatever it is asked, this is the answer."""
    return lambda *_arguments, **_named: value


def twice(packet: Any, _end: Any) -> Any:
    """Change: the packet comes twice."""
    return packet, packet


def disliked(packet: Any, _end: Any) -> Any:
    """Change: what is allowed is a protocol error."""
    raise ProtocolError(f"{packet.type.name} is not liked here")


def having(**values: Any) -> Change:
    """Change: these fields of the packet are set."""
    return lambda packet, _end: replace(packet, **values)


def having_properties(**values: Any) -> Change:
    """Change: these properties of the packet are set, where there are any."""

    def change(packet: Any, end: Any) -> Any:
        version = packet.version if isinstance(packet, Connect) else end.version
        return replace(packet, properties=replace(packet.properties, **values)) if version is Version.V5 else packet

    return change


def when(condition: Change, change: Change) -> Change:
    """Change: only packets that fit are changed."""
    return lambda packet, end: change(packet, end) if condition(packet, end) else packet


def every_second(packet: Any, end: Any) -> Any:
    """Change: the first, third, fifth packet is lost."""
    end.memory["count"] = end.memory.get("count", 0) + 1
    return None if end.memory["count"] % 2 else packet


def swap_pairs(packet: Any, end: Any) -> Any:
    """Change: of each two packets the second leaves first."""
    held = end.memory.pop("held", None)
    if held is not None:
        return packet, held
    end.memory["held"] = packet
    return None


def with_session_present(value: bool) -> Change:
    """Change of a CONNACK: the flag is this, whatever version and code forbid."""

    def change(packet: ConnAck, end: Any) -> bytes:
        version = end.version or (Version.V5 if packet.reason >= ReasonCode.UNSPECIFIED_ERROR else Version.V311)
        data = bytearray(encode(replace(packet, session_present=False), version))
        data[2 if data[1] < 0x80 else 3] = value
        return bytes(data)

    return change
