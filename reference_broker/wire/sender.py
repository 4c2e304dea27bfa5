"""Who may send what: the rules that need the direction of a packet besides the packet.

Belongs here: packet types, reason codes and properties reserved to one side. [3.1.1 2.2.1, 5.0 2.1.2, 3.3.4, 3.14.2]
Does not belong here: rules that hold for both sides (`decode`).

`Reader` applies these when it is constructed with a `sender`; a tap, which reads both directions and judges later,
leaves it out and may call `check_sender` itself.
"""

from __future__ import annotations

from enum import Enum

from reference_broker.wire.packets import Disconnect, Packet, Publish
from reference_broker.wire.reasons import CLIENT_REASONS, SERVER_REASONS
from reference_broker.wire.rules import Rule
from reference_broker.wire.types import PacketType, Version


class Side(Enum):
    """The side of a connection a packet comes from."""

    CLIENT = "client"
    SERVER = "server"

    __hash__ = object.__hash__  # each is there once, and the hash of an Enum is a call into Python for every packet


_P = PacketType
_BOTH = frozenset({_P.PUBLISH, _P.PUBACK, _P.PUBREC, _P.PUBREL, _P.PUBCOMP})
_CLIENT = _BOTH | {_P.CONNECT, _P.SUBSCRIBE, _P.UNSUBSCRIBE, _P.PINGREQ, _P.DISCONNECT}
_SERVER = _BOTH | {_P.CONNACK, _P.SUBACK, _P.UNSUBACK, _P.PINGRESP}

PACKETS: dict[tuple[Version, Side], frozenset[PacketType]] = {
    (Version.V31, Side.CLIENT): _CLIENT,
    (Version.V31, Side.SERVER): _SERVER,
    (Version.V311, Side.CLIENT): _CLIENT,
    (Version.V311, Side.SERVER): _SERVER,
    (Version.V5, Side.CLIENT): _CLIENT | {_P.AUTH},
    (Version.V5, Side.SERVER): _SERVER | {_P.DISCONNECT, _P.AUTH},
}
"""Which packets flow from which side. [3.1.1 table 2.1, 5.0 table 2-1]"""

ONLY_FROM = {
    Side.CLIENT: PACKETS[Version.V5, Side.CLIENT] - PACKETS[Version.V5, Side.SERVER],
    Side.SERVER: PACKETS[Version.V5, Side.SERVER] - PACKETS[Version.V5, Side.CLIENT],
}
"""Which of them tell their side, in every version."""

_REASONS = {Side.CLIENT: CLIENT_REASONS, Side.SERVER: SERVER_REASONS}
_REASON_RULES = {
    _P.PUBACK: Rule.PUBACK_REASON_DIRECTION,
    _P.PUBREC: Rule.PUBREC_REASON_DIRECTION,
    _P.DISCONNECT: Rule.DISCONNECT_REASON_DIRECTION,
    _P.AUTH: Rule.AUTH_REASON_DIRECTION,
}


def check_sender(packet: Packet, version: Version, sender: Side) -> None:
    """Raise ProtocolError when `sender` may not send this packet, its reason code or one of its properties."""
    packet_type = packet.type
    if packet_type not in PACKETS[version, sender]:
        raise Rule.PACKET_DIRECTION.broken(version, f"{packet_type.name} from a {sender.value}")
    if version is not Version.V5:
        return
    allowed = _REASONS[sender].get(packet_type)
    if allowed is not None and (reason := getattr(packet, "reason", 0)) not in allowed:
        raise _REASON_RULES[packet_type].broken(version, f"{reason:#04x} from a {sender.value}")
    if sender is Side.CLIENT and isinstance(packet, Publish) and packet.properties.subscription_identifier:
        raise Rule.CLIENT_SUBSCRIPTION_IDENTIFIER.broken(version)
    if (
        sender is Side.SERVER
        and isinstance(packet, Disconnect)
        and packet.properties.session_expiry_interval is not None
    ):
        raise Rule.SERVER_SESSION_EXPIRY.broken(version)
