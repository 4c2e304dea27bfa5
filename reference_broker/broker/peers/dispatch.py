"""Which packet is allowed in which phase of a connection, and what it does.

Belongs here: the table of handlers, and the small ones among them.
Does not belong here: the larger ones (`connecting`, `publishing`, `subscribing`, `authenticating`), cutting bytes into
packets (`link`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reference_broker.broker.peers import authenticating, connecting, publishing, subscribing
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.phase import Phase
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import Disconnect, Packet, PingReq
from reference_broker.wire.types import PacketType, ReasonCode, Version

_PINGRESP = b"\xd0\x00"


def handle(link: Peer, packet: Packet, now: float) -> None:
    """Let one packet have its effect; raises RemoteError when it is not allowed now."""
    handler = HANDLERS.get((link.phase, packet.type))
    if handler is None:
        raise _unexpected(link, packet)
    if link.keep_alive is not None:
        link.keep_alive.packet_received(now)
    handler(link, packet, now)


def _unexpected(link: Peer, packet: Packet) -> ProtocolError:
    if packet.type is PacketType.CONNECT:
        label = Version(link.version or Version.V5).label
        return ProtocolError("a second CONNECT", f"{label} MQTT-3.1.0-2" if label != "3.1" else "3.1 MQTT31-23")
    if link.phase is Phase.AUTHENTICATING:
        return ProtocolError(f"{packet.type.name} before CONNACK", "5.0 MQTT-3.1.2-30")
    return ProtocolError(f"{packet.type.name} from a client", "")


def _on_pingreq(link: Peer, _packet: PingReq, _now: float) -> None:
    link.write(_PINGRESP)  # [5.0 MQTT-3.12.4-1]


def _on_disconnect(link: Peer, packet: Disconnect, now: float) -> None:
    interval = packet.properties.session_expiry_interval
    if interval is not None and link.session is not None:
        if interval and not link.requested_expiry:
            raise ProtocolError("DISCONNECT gives a session an expiry it did not have", "5.0 3.14.2.2.2")
        link.session.expiry_interval = min(interval, link.house.config.session_expiry_maximum)
    # Anything but 0x00 leaves the will to be published. [5.0 3.1.2.5, MQTT-3.14.4-3]
    link.end(now, publish_will=packet.reason != ReasonCode.SUCCESS)


def _on_acknowledgement(link: Peer, packet: Any, now: float) -> None:
    assert link.sender is not None
    link.sender.acknowledged(packet, now)


HANDLERS: dict[tuple[Phase, PacketType], Callable[[Peer, Any, float], None]] = {
    (Phase.AWAITING_CONNECT, PacketType.CONNECT): connecting.on_connect,
    (Phase.AUTHENTICATING, PacketType.AUTH): authenticating.on_auth_before_connack,
    (Phase.AUTHENTICATING, PacketType.DISCONNECT): _on_disconnect,
    (Phase.CONNECTED, PacketType.PUBLISH): publishing.on_publish,
    (Phase.CONNECTED, PacketType.PUBREL): publishing.on_pubrel,
    (Phase.CONNECTED, PacketType.PUBACK): _on_acknowledgement,
    (Phase.CONNECTED, PacketType.PUBREC): _on_acknowledgement,
    (Phase.CONNECTED, PacketType.PUBCOMP): _on_acknowledgement,
    (Phase.CONNECTED, PacketType.SUBSCRIBE): subscribing.on_subscribe,
    (Phase.CONNECTED, PacketType.UNSUBSCRIBE): subscribing.on_unsubscribe,
    (Phase.CONNECTED, PacketType.PINGREQ): _on_pingreq,
    (Phase.CONNECTED, PacketType.DISCONNECT): _on_disconnect,
    (Phase.CONNECTED, PacketType.AUTH): authenticating.on_auth,
}
"""Which packet is allowed in which phase, and what it does. What is not here is a protocol error."""
