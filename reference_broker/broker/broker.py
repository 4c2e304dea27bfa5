"""The broker as one object: connections in, output and deadlines out, and the way of a message between sessions.

Belongs here: what an adapter calls, and handing an accepted message to everybody who gets it.
Does not belong here: the protocol of a connection (`link`), subscriptions (`routing`), sockets and clocks.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from reference_broker.broker.access import AccessControl
from reference_broker.broker.admission import Admission
from reference_broker.broker.backpressure import Backpressure
from reference_broker.broker.config import BrokerConfig
from reference_broker.broker.heads import Heads
from reference_broker.broker.incoming import Incoming
from reference_broker.broker.link import Buffer, Link
from reference_broker.broker.message import Delivery, Message
from reference_broker.broker.persistence import restore_snapshot, take_snapshot
from reference_broker.broker.retained import RetainedMessages
from reference_broker.broker.routing import Router
from reference_broker.broker.sending import Sender
from reference_broker.broker.sessions import Session, Sessions
from reference_broker.broker.shared import SharedSubscription
from reference_broker.broker.sizes import retained_bytes
from reference_broker.broker.timers import Timer, Timers
from reference_broker.broker.wills import Wills
from reference_broker.store import Store, StoreError
from reference_broker.wire.types import QoS, ReasonCode, Version

_AT_MOST_ONCE = QoS.AT_MOST_ONCE

_REST_SECONDS = 0.001
"""How long others have the loop, when one has much more to say."""


class Broker:
    """A broker without sockets or clock. Times are seconds of any clock that only goes forward.

    An adapter calls `connect` for each accepted connection, feeds the link, writes what `take_output` returns after
    each call, and calls `handle_timer` when `next_deadline` is reached. `log` takes one line for each rejected peer.
    """

    link_type: type[Link] = Link
    """What `connect` makes."""

    def __init__(
        self,
        config: BrokerConfig | None = None,
        *,
        seed: int | None = None,
        fast_path: bool = True,
        store: Store | None = None,
    ) -> None:
        """`seed` makes the client ids the broker assigns repeatable.

        `fast_path` False has every packet decoded and handled by itself, as a broker that deviates on purpose needs.
        `store` keeps sessions and retained messages over restarts: call `load` before the first connection.
        """
        self.config = config or BrokerConfig()
        self.log: Callable[[str], None] = _log_nothing
        self.now = 0.0
        """The latest time the broker was told."""
        self.timers = Timers()
        self.access = AccessControl(self.config)
        self.admission = Admission(self.config, self.access)
        self.router = Router(self.access)
        self.heads = Heads(self.config)
        self.fast_path = fast_path
        self.retained = RetainedMessages()
        self._retained_bytes = 0
        self._expiring: dict[str, Timer] = {}
        """By topic, what ends a retained message that expires."""
        self.wills = Wills(self)
        self.sessions = Sessions(self)
        self.backpressure = Backpressure(self)
        self.opening: dict[Link, None] = {}
        """Accepted connections without a session yet, the oldest first; the others are found through their sessions."""
        self.incoming = Incoming(self.config)
        self.link_count = 0
        """Connected clients."""
        self.active_link: Link | None = None
        """Whose bytes are being read."""
        self.dirty: list[Link] = []
        """Links that may have output, in the order they got it."""
        self.swollen: list[Link] = []
        """Links whose output is held until it is taken, see `Link.has_swollen`."""
        self._resting: deque[Sender] = deque()
        self._wake: Timer | None = None
        self._store = store
        self._unix_time_at_zero: float | None = None
        self._random = random.Random(seed)

    # --- what the adapter calls --------------------------------------------------------------------------------------

    def load(self, now: float, unix_time: float | None = None) -> None:
        """Take over what the store holds, and save to it from now on; raises StoreError. Nothing without a store.

        `unix_time` (seconds) is now by the clock on the wall: by it, messages age while no broker runs.
        [5.0 MQTT-3.3.2-5]
        """
        self.now = now
        if self._store is None:
            return
        snapshot = self._store.load()
        down_seconds = 0.0
        if unix_time is not None:
            self._unix_time_at_zero = unix_time - now
            if snapshot.saved_at is not None:
                down_seconds = max(0.0, unix_time - snapshot.saved_at)
        restore_snapshot(self, snapshot, now, down_seconds)
        self.timers.run(now)  # what was due at once, e.g. a will, is due before anybody comes
        if not self.saves_before_answering:
            self.timers.at(now + self.config.store_interval_seconds, self._save_regularly)

    @property
    def saves_before_answering(self) -> bool:
        """Whether the adapter has to call `save` each time before it writes what `take_output` gives."""
        return self._store is not None and not self.config.store_interval_seconds

    def save(self, now: float) -> None:
        """Save what has to survive the broker; raises StoreError. Nothing without a store."""
        if self._store is not None:
            if self._resting and self.saves_before_answering:
                self._go_on()  # it is an answer
            saved_at = None if self._unix_time_at_zero is None else self._unix_time_at_zero + now
            self._store.save(take_snapshot(self, now, saved_at))

    def connect(self, now: float, peer: str = "") -> Link:
        """A network connection was accepted; `peer` names it in the log."""
        self.now = now
        if len(self.opening) >= self.config.maximum_half_open:
            oldest = next(iter(self.opening))
            oldest.log(f"closed, because {len(self.opening)} connections have not been let in yet")
            oldest.end(now, publish_will=False)
        link = self.link_type(self, now, peer)
        self.opening[link] = None
        return link

    @property
    def links(self) -> list[Link]:
        """All connections that are open."""
        return [*self.opening, *(session.link for session in self.sessions if session.link is not None)]

    def take_output(self) -> list[tuple[Link, list[Buffer], bool]]:
        """What to write since the last call: for each link pieces of bytes, and whether to close it after them.

        Where `dirty` is not empty behind it, there is more to take, once this is written.
        """
        if self._resting and not self.saves_before_answering:
            self._go_on()
        output = []
        swollen, self.swollen = self.swollen, []
        for link in swollen:
            link.shrink()
        dirty, self.dirty = self.dirty, []
        for link in dirty:
            taken = link.take_output()
            if taken is not None:
                pieces, close = taken
                if pieces or close:
                    output.append((link, pieces, close))
        for link in swollen:
            link.resume_writing()
        return output

    def next_deadline(self) -> float | None:
        """When `handle_timer` has something to do; None if never."""
        return self.timers.next_deadline()

    def handle_timer(self, now: float) -> None:
        """Do what is due: keep alives, delayed wills, session and message expiry, timeouts."""
        self.now = now
        self.timers.run(now)

    def shutdown(self, now: float) -> None:
        """Close every connection, 5.0 ones with DISCONNECT 0x8B, and save. [5.0 3.14.2.1]"""
        self.now = now
        for link in self.links:
            link.disconnect(ReasonCode.SERVER_SHUTTING_DOWN, "the broker is shutting down", now)
        self.save(now)

    def rest(self, sender: Sender) -> None:
        """A sender has much more to say, and goes on when its turn comes: others have theirs first."""
        self._resting.append(sender)

    def _go_on(self) -> None:
        """Let one sender go on, however many there are; if that is not all, have the adapter ask again soon."""
        self._resting.popleft().go_on(self.now)
        if self._resting and (self._wake is None or self._wake.callback is None):
            self._wake = self.timers.at(self.now + _REST_SECONDS, lambda _now: None)

    # --- the way of a message ----------------------------------------------------------------------------------------

    def accept(self, message: Message, now: float) -> ReasonCode:
        """Take a published message over: retain it if asked, deliver it to all who subscribe. [5.0 MQTT-4.5.0-1]"""
        kept = not message.retain or self.retain(message)
        receivers = self._deliver(message, now)
        message.forget_encoded()
        if not kept:
            return ReasonCode.QUOTA_EXCEEDED
        if not receivers and self.config.no_matching_subscribers_reason:
            return ReasonCode.NO_MATCHING_SUBSCRIBERS
        return ReasonCode.SUCCESS

    def deliver_shared(self, shared: SharedSubscription, message: Message, now: float) -> bool:
        """Deliver to the one member whose turn it is; False when there is none. [5.0 4.8.2]"""
        access, topic, topic_filter = self.access, message.topic, shared.topic_filter
        chosen = shared.choose(lambda session: access.may_receive_shared(session.username, topic, topic_filter))
        if chosen is None:
            return False
        retain = message.retain and chosen.retain_as_published and chosen.session.version >= Version.V5
        qos = min(message.qos, chosen.qos)  # [5.0 MQTT-4.8.2-3]
        self.deliver_to(chosen.session, message, qos, retain, chosen.subscription_ids, now, shared)
        return True

    def deliver_to(
        self,
        session: Session,
        message: Message,
        qos: QoS,
        retain: bool,
        subscription_ids: tuple[int, ...],
        now: float,
        shared: SharedSubscription | None = None,
    ) -> None:
        """Deliver one message to one session: send it, queue it, or drop it where the rules say so."""
        link = session.link
        if link is not None and link.sender is not None:
            if qos == _AT_MOST_ONCE:
                link.sender.send_qos0(message, retain, subscription_ids, now)
            else:
                link.sender.deliver(Delivery(message, qos, retain, subscription_ids, shared), now)
        elif qos != _AT_MOST_ONCE or self.config.queue_qos0_offline or (message.retain and session.owes_retained()):
            session.enqueue(Delivery(message, qos, retain, subscription_ids, shared), self.config, now)

    def _deliver(self, message: Message, now: float) -> int:
        """Deliver to all who subscribe; how many there are."""
        route = self.router.route(message.topic)
        receivers = 0
        for anybody in route.targets:
            session = anybody.session
            target = anybody.own if session.client_id == message.publisher else anybody
            if target is None:
                continue
            receivers += 1
            qos = min(message.qos, target.qos)  # [5.0 MQTT-3.8.4-8]
            # RETAIN goes on only to who asked for it, and not to 3.x if that was in 5.0.
            # [3.1.1 MQTT-3.3.1-9, 5.0 MQTT-3.3.1-12, MQTT-3.3.1-13]
            retain = message.retain and target.retain_as_published and session.version >= Version.V5
            self.deliver_to(session, message, qos, retain, target.subscription_ids, now)
        for shared in route.shared:
            receivers += self.deliver_shared(shared, message, now)
        return receivers

    def retain(self, message: Message) -> bool:
        """Keep or clear the topic's retained message; False when there is no room. [5.0 MQTT-3.3.1-5 to -8]"""
        if not self.config.retain_available:
            return True
        topic = message.topic
        last = self.retained.get(topic)
        if not message.payload:
            self._account_for(last, None)
            self.retained.clear(topic)
            return True
        limit = self.config.retained_maximum_messages
        if limit is not None and len(self.retained) >= limit and last is None:
            return False
        more_bytes = retained_bytes(message) - (retained_bytes(last) if last is not None else 0)
        if more_bytes > 0 and self._retained_bytes + more_bytes > self.config.retained_maximum_bytes:
            return False
        self._account_for(last, message)
        self.retained.set(message)
        if message.expires_at is not None:
            self._expiring[topic] = self.timers.at(message.expires_at, lambda _now: self._expire_retained(message))
        return True

    def _account_for(self, last: Message | None, message: Message | None) -> None:
        """One retained message takes another one's place; a timer would keep the old one until it expires."""
        if last is not None:
            self._retained_bytes -= retained_bytes(last)
            timer = self._expiring.pop(last.topic, None)
            if timer is not None:
                timer.cancel()
        if message is not None:
            self._retained_bytes += retained_bytes(message)

    def _expire_retained(self, message: Message) -> None:
        if self.retained.get(message.topic) is message:
            self._account_for(message, None)
            self.retained.clear(message.topic)

    def _save_regularly(self, now: float) -> None:
        try:
            self.save(now)
        except StoreError as error:
            self.log(f"state not saved: {error}")
        self.timers.at(now + self.config.store_interval_seconds, self._save_regularly)

    # --- small things ------------------------------------------------------------------------------------------------

    def new_client_id(self) -> str:
        """A client id no session has. [5.0 MQTT-3.1.3-6, MQTT-3.2.2-16]"""
        while True:
            client_id = f"{self.config.assigned_client_id_prefix}{self._random.getrandbits(64):016x}"
            if client_id not in self.sessions:
                return client_id


def _log_nothing(_line: str) -> None:
    pass
