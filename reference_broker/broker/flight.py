"""QoS 1 and QoS 2 messages in flight that the fast path sent: kept as the bytes that left.

Belongs here: the compact form, and turning it into the plain one when anything but the fast path looks at a session.
Does not belong here: sending and acknowledging (`fastpath`), or the plain form (`session.delivery`).

What is here is always newer than what `Session.outbound` holds: every plain step unpacks this first. So the order of
sending survives, which a resumed session needs. [5.0 MQTT-4.6.0-1]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_broker.broker.message import Delivery, Message
from reference_broker.wire.decode import decode
from reference_broker.wire.packets import Publish, PubRel

if TYPE_CHECKING:
    from reference_broker.broker.sessions import Session


class Flight:
    """Messages by packet identifier: `publishes` wait for PUBACK or PUBREC, `releases` for PUBCOMP."""

    __slots__ = ("publishes", "releases")

    def __init__(self) -> None:
        self.publishes: dict[int, bytes] = {}
        self.releases: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self.publishes) + len(self.releases)


def unpack(session: Session, now: float) -> None:
    """Move everything into `session.outbound` and `session.inflight`, as if it had been sent the plain way."""
    flight = session.flight
    if flight is None:
        return
    session.flight = None
    for packet_id in flight.releases:
        session.packet_ids.release(packet_id)  # `restore` takes it again
        session.outbound.restore(PubRel(packet_id))
    for packet_id, data in flight.publishes.items():
        publish = decode(data, session.version)
        assert isinstance(publish, Publish)
        session.packet_ids.release(packet_id)
        session.outbound.restore(publish)
        message = Message(publish.topic, publish.payload, publish.qos, False, publish.properties, now)
        session.inflight[packet_id] = Delivery(message, publish.qos, retain=False)
