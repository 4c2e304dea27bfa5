"""Sessions: what the broker keeps under a client id, and for how long. [3.1.1 3.1.2.4, 4.1, 5.0 4.1]

Belongs here: the state of one session with its bounded queue, and its life: opened, resumed, left, ended.
Does not belong here: sending (`sending`), will messages (`wills`), or the packets that connect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from reference_broker.broker.bursts import Burst
from reference_broker.broker.config import NO_LIMIT, BrokerConfig, DropPolicy
from reference_broker.broker.flight import Flight, ManyInbound, ManyPacketIds, unpack
from reference_broker.broker.message import Delivery
from reference_broker.broker.sizes import ORDINARY_BEGINNING, SESSION_BYTES, waiting_bytes, will_bytes
from reference_broker.broker.waiting import Waiting, WaitingRetained, WaitingRun
from reference_broker.session.delivery import Outbound, Sending
from reference_broker.wire.packets import PubAck, PubRec, Will
from reference_broker.wire.types import QoS, Version

if TYPE_CHECKING:
    from reference_broker.broker.broker import Broker
    from reference_broker.broker.link import Link
    from reference_broker.broker.routing import Subscribed, Target
    from reference_broker.broker.timers import Timer


class Session:
    """All that outlives a connection for one client id. [5.0 4.1]

    `queue` holds what waits to be sent, `flight` what the fast path sent and nobody has looked at since.
    `expiry_interval` is in seconds after the connection's end: 0 for none, `NO_LIMIT` for ever.
    """

    __slots__ = (
        "_inbound",
        "_outbound",
        "client_id",
        "expiry_interval",
        "expiry_timer",
        "flight",
        "link",
        "queue",
        "subscriptions",
        "username",
        "version",
        "will",
        "will_timer",
    )

    def __init__(self, client_id: str, version: Version) -> None:
        self.client_id = client_id
        self.version = version
        self.username: str | None = None
        self.expiry_interval = 0
        self.link: Link | None = None
        self.subscriptions: dict[str, Subscribed] = {}
        self.flight: Flight | None = None
        # Made when first needed: most sessions only listen at QoS 0.
        self.queue: Waiting | None = None
        self._outbound: tuple[Outbound, ManyPacketIds, dict[int, Delivery]] | None = None
        self._inbound: ManyInbound | None = None
        self.will: Will | None = None
        self.expiry_timer: Timer | None = None
        self.will_timer: Timer | None = None

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

    @property
    def inbound(self) -> ManyInbound:
        """QoS 2 messages received and not released."""
        if self._inbound is None:
            self._inbound = ManyInbound(self.version)
        return self._inbound

    def has_received(self, packet_id: int) -> bool:
        """Whether an identifier belongs to a QoS 2 message that is not released."""
        return self._inbound is not None and packet_id in self._inbound

    def owes_retained(self) -> bool:
        """Whether retained messages are still to come, which those do not find that were retained since."""
        return self.queue is not None and bool(self.queue.retained)

    def _outgoing(self) -> tuple[Outbound, ManyPacketIds, dict[int, Delivery]]:
        if self._outbound is None:
            packet_ids = ManyPacketIds()
            self._outbound = Outbound(self.version, packet_ids), packet_ids, {}
        return self._outbound

    def take_undelivered(self) -> list[Delivery]:
        """What the session leaves: QoS 1 messages in flight, then all that had not been sent."""
        undelivered: list[Delivery] = []
        if self._outbound is not None:
            inflight = self._outbound[2]
            undelivered += [delivery for delivery in inflight.values() if delivery.qos == QoS.AT_LEAST_ONCE]
            inflight.clear()
        undelivered += self.queue or ()
        self.queue = None
        return undelivered

    def withhold(self, may_receive: Callable[[str], bool]) -> list[Delivery]:
        """Take out what waits or is in flight on topics that may not be received; what others may still get of it.

        A QoS 2 message in flight stays as its PUBREL: the client may have it, and its identifier must come free.
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
        if self.queue:
            withheld += self.queue.take_out(lambda delivery: not may_receive(delivery.message.topic))
        return withheld

    def set_version(self, version: Version) -> None:
        """The client may return with another version of the protocol."""
        self.version = version
        if self._outbound is not None:
            self._outbound[0].version = version
        if self._inbound is not None:
            self._inbound.version = version

    def enqueue(self, delivery: Delivery, config: BrokerConfig, now: float) -> None:
        """Let a message wait, within the bounds: past them the configured policy says which one is dropped."""
        size = waiting_bytes(delivery.message)
        if self._is_full(size, config) and self.queue is not None:
            self.queue.drop_expired(now)
        while self._is_full(size, config):
            if config.queue_drop_policy is DropPolicy.NEWEST or self.queue is None or not len(self.queue):
                return
            self.dequeue()
        if self.queue is None:
            self.queue = Waiting()
        self.queue.append(delivery)

    def bring(self, retained: WaitingRetained) -> None:
        """Let the retained messages of a subscription wait for their turn."""
        if self.queue is None:
            self.queue = Waiting()
        self.queue.append_retained(retained)

    def enqueue_burst(self, burst: Burst, first: int, qos: QoS, target: Target, config: BrokerConfig) -> int:
        """Let a burst wait from its message `first`, as `enqueue` of each; how many messages are done with."""
        if self.queue is None:
            self.queue = Waiting()
        wanted = burst.count - first
        room = min(wanted, config.queue_maximum_messages - len(self.queue))
        if burst.payload_size:
            room = min(room, (config.queue_maximum_bytes - self.queue.size_bytes) // burst.payload_size)
        if room > 0:
            burst.waits = True
            self.queue.append_run(WaitingRun(burst, first, first + room, qos, target))
        if config.queue_drop_policy is DropPolicy.NEWEST and not self.queue.may_expire():
            return wanted  # what has no room is dropped
        return max(0, room)

    def dequeue(self) -> Delivery:
        """Take the message that waited longest; there is one."""
        assert self.queue is not None
        return self.queue.popleft()

    def _is_full(self, size: int, config: BrokerConfig) -> bool:
        if self.queue is None:
            return config.queue_maximum_messages == 0 or size > config.queue_maximum_bytes
        waiting, waiting_bytes = len(self.queue), self.queue.size_bytes
        return waiting >= config.queue_maximum_messages or waiting_bytes + size > config.queue_maximum_bytes


class Sessions:
    """All sessions of a broker by client id. [5.0 MQTT-3.1.3-2]"""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._by_client_id: dict[str, Session] = {}
        self.size_bytes = 0
        """About how much memory they take, without subscriptions and messages."""
        self._more_bytes: dict[Session, int] = {}
        """What a long user name or will adds to that."""

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._by_client_id

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_client_id.values()))

    def __len__(self) -> int:
        return len(self._by_client_id)

    def get(self, client_id: str) -> Session | None:
        """The session of a client id."""
        return self._by_client_id.get(client_id)

    def open(self, client_id: str, version: Version, clean_start: bool, now: float) -> tuple[Session, bool]:
        """The session for a new connection, and whether it was there before. [5.0 MQTT-3.1.2-4 to -6]

        Whoever was connected with this client id must have been disconnected before (`leave`), so that a session that
        ends with its connection is gone and a delayed will is waiting.
        """
        session = self._by_client_id.get(client_id)
        if session is not None and clean_start:
            self.end(session, now)
            session = None
        if session is not None:
            _cancel(session)
            session.will = None  # back before the will was due [5.0 MQTT-3.1.3-9]
            session.set_version(version)
            return session, True
        return self.add(client_id, version), False

    def add(self, client_id: str, version: Version) -> Session:
        """A new session under a client id that has none."""
        session = self._by_client_id[client_id] = Session(client_id, version)
        self.size_bytes += SESSION_BYTES + len(client_id)
        return session

    def weigh(self, session: Session) -> None:
        """Take note of the session's user name and will."""
        more_bytes = will_bytes(session.will) + len(session.username or "")
        self.size_bytes -= self._more_bytes.pop(session, 0)
        if more_bytes > ORDINARY_BEGINNING:
            self._more_bytes[session] = more_bytes
            self.size_bytes += more_bytes

    def leave(self, session: Session, now: float, *, publish_will: bool) -> None:
        """The connection is over: the session ends now, later, or never. [5.0 3.1.2.11.2]"""
        session.link = None
        unpack(session, now)
        self._broker.wills.connection_closed(session, now, publish_will=publish_will)
        if session.expiry_interval == 0:
            self.end(session, now)
        else:
            expires = None if session.expiry_interval == NO_LIMIT else session.expiry_interval
            self.wait_for_return(session, expires, now)

    def wait_for_return(self, session: Session, expires_seconds: float | None, now: float) -> None:
        """Keep the session of an absent client for so long; None for ever."""
        if expires_seconds is not None:
            session.expiry_timer = self._broker.timers.at(now + expires_seconds, lambda at: self.end(session, at))

    def end(self, session: Session, now: float) -> None:
        """Discard the session's state; its will, if still waiting, is published. [5.0 MQTT-4.1.0-2, MQTT-3.1.2-8]"""
        _cancel(session)
        if self._by_client_id.pop(session.client_id, None) is not None:
            self.size_bytes -= SESSION_BYTES + len(session.client_id) + self._more_bytes.pop(session, 0)
        self._broker.router.remove_session(session)
        self._hand_over_shared(session.take_undelivered(), now)
        self._broker.wills.session_ended(session, now)

    def ask_rules_again(self, session: Session, now: float) -> None:
        """The session has another user, or the broker other rules: what its user may not get does not reach it.

        Its subscriptions stay, and bring nothing while its user may not make them.
        """
        access, username = self._broker.access, session.username
        if not access.limits_receivers:
            return
        self._broker.router.ask_rules_again(session)
        if session.queue is not None:
            for topic_filter in [
                each for each in session.queue.retained or () if not access.may_subscribe(username, each)
            ]:
                session.queue.remove_retained(topic_filter)
        withheld = session.withhold(lambda topic: access.may_receive(username, topic))
        self._hand_over_shared(withheld, now)

    def _hand_over_shared(self, undelivered: list[Delivery], now: float) -> None:
        """Offer other members what a session leaves undelivered of shared subscriptions. [5.0 4.8.2]

        QoS 1 messages in flight and all that had not been sent yet; a QoS 2 message in flight goes to nobody else.
        [5.0 MQTT-4.8.2-5] What one member had begun to get is for the next a delivery not yet begun: an expired message
        goes to nobody. [5.0 MQTT-3.3.2-5]
        """
        for delivery in undelivered:
            if delivery.shared is not None and not delivery.message.is_expired(now):
                self._broker.deliver_shared(delivery.shared, delivery.message, now)
                delivery.message.forget_encoded()  # who inherits it next gets what is left of its lifetime then


def _cancel(session: Session) -> None:
    for timer in (session.expiry_timer, session.will_timer):
        if timer is not None:
            timer.cancel()
    session.expiry_timer = session.will_timer = None
