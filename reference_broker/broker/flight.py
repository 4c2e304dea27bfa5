"""QoS 1 and QoS 2 messages in flight that the fast path sent: kept as the bytes that left.

Belongs here: the compact form, and turning it into the plain one when anything but the fast path looks at a session.
Does not belong here: sending and acknowledging (`fastpath`), or the plain form (`session.delivery`).

What is here is always newer than what `Session.outbound` holds: every plain step unpacks this first. So the order of
sending survives, which a resumed session needs. [5.0 MQTT-4.6.0-1]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from reference_broker.broker.message import Delivery, Message
from reference_broker.session.delivery import Inbound
from reference_broker.session.packet_ids import HIGHEST_PACKET_ID, PacketIds
from reference_broker.wire.decode import decode
from reference_broker.wire.packets import Publish, PubRel
from reference_broker.wire.types import QoS

if TYPE_CHECKING:
    from reference_broker.broker.sessions import Session

_LARGEST_RUN = 16_384
"""Bytes kept as one piece: what one message that is never acknowledged can hold in memory."""


class ManyPacketIds(PacketIds):
    """Packet identifiers by the run instead of one at a time, chosen as one at a time would be."""

    __slots__ = ()

    def allocate_many(self, count: int) -> Sequence[int]:
        """As `count` calls of `allocate`; there are as many free."""
        ids = range(self._last + 1, self._last + 1 + count)
        if ids[-1] > HIGHEST_PACKET_ID or not self._in_use.isdisjoint(ids):
            return [self.allocate() for _ in range(count)]
        self._in_use.update(ids)
        self._last = ids[-1]
        return ids

    def release_many(self, packet_ids: Iterable[int]) -> None:
        """As `release` of each."""
        self._in_use.difference_update(packet_ids)


class ManyInbound(Inbound):
    """Received QoS 2 messages by the run instead of one at a time."""

    __slots__ = ()

    def restore_new(self, packet_ids: Sequence[int]) -> int:
        """Store identifiers up to the first that is 0 or stored already; how many."""
        received = self._received
        new = dict.fromkeys(packet_ids)
        if len(new) == len(packet_ids) and 0 not in new and received.keys().isdisjoint(new):
            received.update(new)
            return len(new)
        for count, packet_id in enumerate(packet_ids):
            if not packet_id or packet_id in received:
                return count
            received[packet_id] = None
        return len(packet_ids)

    def forget_known(self, packet_ids: Sequence[int]) -> int:
        """Forget identifiers up to the first that is not stored; how many."""
        received = self._received
        for count, packet_id in enumerate(packet_ids):
            if packet_id not in received:
                return count
            del received[packet_id]
        return len(packet_ids)


class SentRun:
    """Neighbouring packets as they left: `size` bytes each, numbered `packet_ids` in order."""

    __slots__ = ("data", "packet_ids", "qos", "size")

    def __init__(self, data: bytes, size: int, packet_ids: Sequence[int], qos: QoS) -> None:
        self.data = data
        self.size = size
        self.packet_ids = packet_ids
        self.qos = qos

    def packet(self, packet_id: int) -> bytes:
        """The bytes of one packet."""
        at = self.packet_ids.index(packet_id) * self.size
        return self.data[at : at + self.size]


class Flight:
    """Messages by packet identifier: `publishes` wait for PUBACK or PUBREC, `releases` for PUBCOMP."""

    __slots__ = ("publishes", "releases")

    def __init__(self) -> None:
        self.publishes: dict[int, SentRun] = {}
        self.releases: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self.publishes) + len(self.releases)

    def add(self, data: bytes, size: int, packet_ids: Sequence[int], qos: QoS) -> None:
        """Keep packets of `size` bytes that have left."""
        most = max(1, _LARGEST_RUN // size)
        for first in range(0, len(packet_ids), most):
            ids = packet_ids[first : first + most]
            run = SentRun(data[first * size : (first + len(ids)) * size], size, ids, qos)
            self.publishes.update(dict.fromkeys(ids, run))

    def settle_publishes(self, packet_ids: Sequence[int], qos: QoS) -> int:
        """Forget messages of this QoS, up to the first that is not here; how many."""
        publishes = self.publishes
        for taken, packet_id in enumerate(packet_ids):
            run = publishes.get(packet_id)
            if run is None or run.qos is not qos:
                return taken
            del publishes[packet_id]
        return len(packet_ids)

    def settle_releases(self, packet_ids: Sequence[int]) -> int:
        """Forget released messages, up to the first that is not here; how many."""
        releases = self.releases
        for taken, packet_id in enumerate(packet_ids):
            if packet_id not in releases:
                return taken
            del releases[packet_id]
        return len(packet_ids)


def unpack(session: Session, now: float) -> None:
    """Move everything into `session.outbound` and `session.inflight`, as if it had been sent the plain way."""
    flight = session.flight
    if flight is None:
        return
    session.flight = None
    for packet_id in flight.releases:
        session.packet_ids.release(packet_id)  # `restore` takes it again
        session.outbound.restore(PubRel(packet_id))
    for packet_id, run in flight.publishes.items():
        publish = decode(run.packet(packet_id), session.version)
        assert isinstance(publish, Publish)
        session.packet_ids.release(packet_id)
        session.outbound.restore(publish)
        message = Message(publish.topic, publish.payload, publish.qos, False, publish.properties, now)
        session.inflight[packet_id] = Delivery(message, publish.qos, retain=False)
