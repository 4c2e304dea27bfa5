"""The outgoing half of one session: what waits to be sent, what is in flight, and the bounds of both.

Belongs here: the queue with its bounds, packet identifiers, and the two forms of what is in flight: the plain one, and
the compact one that the fast path sent (`flight`). `keeping.session` extends it to the whole session.
Does not belong here: sending (`sending`), what came in, how long a session lasts (`keeping.sessions`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reference_broker.broker.outgoing.bursts import Burst
from reference_broker.broker.outgoing.flight import Flight
from reference_broker.broker.outgoing.ledger import KeptOutbound, Ledger, last_of
from reference_broker.broker.outgoing.waiting import Queues, Waiting, WaitingRetained, WaitingRun
from reference_broker.broker.values.config import BrokerConfig, DropPolicy
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.broker.values.sizes import waiting_bytes
from reference_broker.broker.values.terms import Terms
from reference_broker.session.delivery import Outbound, Sending
from reference_broker.session.packet_ids import HIGHEST_PACKET_ID, PacketIds
from reference_broker.wire.decode import decode
from reference_broker.wire.packets import PubAck, Publish, PubRec, PubRel
from reference_broker.wire.types import QoS, Version


class ManyPacketIds(PacketIds):
    """Packet identifiers by the run instead of one at a time, chosen as one at a time would be.

    Those of a `Flight` are not noted as in use: they follow each other, so that its oldest tell whether they are.
    """

    __slots__ = ()

    def allocate_many(self, count: int, flight: Flight) -> Sequence[int]:
        """As `count` calls of `allocate`, for `flight`; nothing where those would have to leave one out."""
        last = self._last
        over = last + count - HIGHEST_PACKET_ID
        ids: Sequence[int] = range(last + 1, last + 1 + count)
        if over > 0:
            ids = [*range(last + 1, HIGHEST_PACKET_ID + 1), *range(1, over + 1)]
        if (self._in_use and not self._in_use.isdisjoint(ids)) or flight.begins_within(last, count):
            return ()
        self._last = ids[-1]
        return ids


class Mailbox:
    """What one client is still to get, connected or not.

    `queue` holds what waits to be sent, `flight` what the fast path sent and nobody has looked at since. That is always
    newer than what `outbound` holds: every plain step unpacks it first. So the order of sending survives, which a
    resumed session needs. [5.0 MQTT-4.6.0-1]
    """

    __slots__ = (
        "_last_packet_id",
        "_outbound",
        "client_id",
        "flight",
        "ledger",
        "listener",
        "queue",
        "queues",
        "username",
        "version",
    )

    def __init__(self, client_id: str, version: Version, queues: Queues | None = None) -> None:
        """`queues` is what waits in all sessions."""
        self.queues = queues or Queues()
        self.client_id = client_id
        self.version = version
        self.username: str | None = None
        self.listener: str | None = None
        """Where its client came in last; None since the broker's start."""
        self.flight: Flight | None = None
        self.ledger: Ledger | None = None
        """What the store is told of all this, where it outlives the broker."""
        # Made when first needed: most sessions only listen at QoS 0.
        self.queue: Waiting | None = None
        self._outbound: tuple[Outbound, ManyPacketIds, dict[int, Delivery]] | None = None
        self._last_packet_id = 0
        """Where identifiers go on when `_outbound` is made again."""

    @property
    def outbound(self) -> Outbound:
        """QoS 1 and 2 messages sent and not settled."""
        return self._outgoing()[0]

    @property
    def packet_ids(self) -> ManyPacketIds:
        """The packet identifiers of `outbound` and `flight`."""
        return self._outgoing()[1]

    @property
    def inflight(self) -> dict[int, Delivery]:
        """What each packet identifier of `outbound` stands for."""
        return self._outgoing()[2]

    def owes_retained(self) -> bool:
        """Whether retained messages are still to come, which those do not find that were retained since."""
        return self.queue is not None and bool(self.queue.retained)

    def _outgoing(self) -> tuple[Outbound, ManyPacketIds, dict[int, Delivery]]:
        if self._outbound is None:
            packet_ids = ManyPacketIds()
            ledger = self.ledger
            outbound = Outbound(self.version, packet_ids)
            if ledger is not None:
                outbound = KeptOutbound(self.version, packet_ids, ledger)
            if self._last_packet_id:
                packet_ids.go_on_behind(self._last_packet_id)
            elif ledger is not None and ledger.page is not None:
                packet_ids.go_on_behind(last_of(ledger.page))
            self._outbound = outbound, packet_ids, {}
        return self._outbound

    def put_away(self) -> None:
        """Keep nothing that holds nothing just now: the client is away, or has had its busiest moment.

        Sets, dicts and deques stay as large as they once were, and thousands of sessions have some. What is needed
        again is made again.
        """
        if not self.queue:
            self.queue = None
        if self.flight is not None and not len(self.flight):
            self.flight = None
        if self._outbound is not None and not len(self._outbound[0]):
            self._last_packet_id = self._outbound[1].last
            self._outbound = None
        if self.ledger is not None:
            self.ledger.put_away()

    def take_undelivered(self) -> list[Delivery]:
        """What the session leaves: QoS 1 messages in flight, then all that had not been sent."""
        undelivered: list[Delivery] = []
        if self._outbound is not None:
            inflight = self._outbound[2]
            undelivered += [delivery for delivery in inflight.values() if delivery.qos == QoS.AT_LEAST_ONCE]
            inflight.clear()
        undelivered += self.queue or ()
        if self.queue is not None:
            self.queue.remove_all_retained()
            self.queue.discard()
        if self.ledger is not None:
            self.ledger.forget(self.queue.entries() if self.queue is not None else [])
        self.queue = None
        return undelivered

    def withhold_waiting(self, may_receive: Callable[[str], bool]) -> list[Delivery]:
        """Take out what waits on topics that may not be received; what others may still get of it."""
        return self.queue.take_out(lambda delivery: not may_receive(delivery.message.topic)) if self.queue else []

    def withhold_in_flight(self, may_receive: Callable[[str], bool]) -> list[Delivery]:
        """Take out what is in flight on such topics, while the client is away; what others may still get of it.

        A QoS 2 message stays as its PUBREL: the client may have it, and its identifier must come free.
        """
        withheld: list[Delivery] = []
        if self._outbound is not None:
            outbound, _, inflight = self._outbound
            for packet_id, delivery in list(inflight.items()):
                if may_receive(delivery.message.topic) or outbound.state(packet_id) is Sending.PUBCOMP:
                    continue
                del inflight[packet_id]
                if delivery.qos == QoS.AT_LEAST_ONCE:
                    outbound.acknowledge(PubAck(packet_id))
                    withheld.append(delivery)
                else:
                    outbound.acknowledge(PubRec(packet_id))
        return withheld

    def set_version(self, version: Version) -> None:
        """The client may return with another version of the protocol."""
        self.version = version
        if self._outbound is not None:
            self._outbound[0].version = version

    def enqueue(self, delivery: Delivery, config: BrokerConfig, now: float) -> None:
        """Let a message wait, within the bounds: past them the configured policy says which one is dropped."""
        size = waiting_bytes(delivery.message)
        if self._is_full(size, config) and self.queue is not None:
            self.queue.drop_expired(now)
        while self._is_full(size, config):
            self.queues.dropped += 1
            if config.queue_drop_policy is DropPolicy.NEWEST or self.queue is None or not len(self.queue):
                return
            self.dequeue()
        self.open_queue().append(delivery)
        if self.ledger is not None:
            self.ledger.waits(delivery)

    def bring(self, retained: WaitingRetained, now: float) -> None:
        """Let the retained messages of a subscription wait for their turn."""
        queue = self.open_queue()
        queue.append_retained(retained)
        if self.ledger is not None:
            self.ledger.brings(retained, now)

    def enqueue_burst(self, burst: Burst, first: int, qos: QoS, terms: Terms, config: BrokerConfig) -> int:
        """Let a burst wait from its message `first`, as `enqueue` of each; how many messages are done with."""
        queue = self.open_queue()
        wanted = burst.count - first
        room = min(wanted, config.queue_maximum_messages - len(queue))
        if burst.payload_size:
            room_bytes = config.queue_maximum_bytes - queue.size_bytes
            room_bytes = min(room_bytes, config.queues_maximum_bytes - self.queues.size_bytes)
            room = min(room, room_bytes // burst.payload_size)
        if room > 0:
            burst.waits = True
            waiting = WaitingRun(burst, first, first + room, qos, terms)
            queue.append_run(waiting)
            if self.ledger is not None:
                self.ledger.run_waits(waiting)
        if config.queue_drop_policy is DropPolicy.NEWEST and not queue.may_expire():
            self.queues.dropped += wanted - max(0, room)  # what has no room
            return wanted
        return max(0, room)

    def dequeue(self) -> Delivery:
        """Take the message that waited longest; there is one."""
        assert self.queue is not None
        return self.queue.popleft()

    def open_queue(self) -> Waiting:
        """What waits, which may be nothing yet."""
        if self.queue is None:
            self.queue = Waiting(keeper=self.ledger, queues=self.queues)
        return self.queue

    def _is_full(self, size: int, config: BrokerConfig) -> bool:
        if self.queues.size_bytes + size > config.queues_maximum_bytes:
            return True
        if self.queue is None:
            return config.queue_maximum_messages == 0 or size > config.queue_maximum_bytes
        waiting, waiting_bytes = len(self.queue), self.queue.size_bytes
        return waiting >= config.queue_maximum_messages or waiting_bytes + size > config.queue_maximum_bytes

    def unpack(self, now: float) -> None:
        """Move what is in `flight` into `outbound` and `inflight`, as if it had been sent the plain way."""
        flight = self.flight
        if flight is None:
            return
        self.flight = None
        for numbers in flight.releases:
            for packet_id in numbers.packet_ids[numbers.settled :]:
                self.outbound.restore(PubRel(packet_id))
            if self.ledger is not None:
                self.ledger.run_unpacked(numbers, {})
        for run in flight.in_order():
            origin = run.origin
            messages: dict[int, Message] = {}
            for packet_id, data in run.packets():
                publish = decode(data, self.version)
                assert isinstance(publish, Publish)
                self.outbound.restore(publish)
                qos = publish.qos if origin is None else origin.qos
                message = Message(publish.topic, publish.payload, qos, False, publish.properties, now)
                messages[packet_id] = message
                share = None if origin is None else origin.share
                self.inflight[packet_id] = Delivery(message, publish.qos, retain=False, share=share)
            if self.ledger is not None:
                self.ledger.run_unpacked(run, messages)
