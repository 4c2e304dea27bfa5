"""All sessions by client id, and the life of each: opened, resumed, left, ended. [3.1.1 3.1.2.4, 4.1, 5.0 4.1]

Belongs here: how long a session is kept, and what becomes of what it leaves.
Does not belong here: the state of one (`session`), will messages (`wills`), or the packets that connect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice

from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.record import Record
from reference_broker.broker.keeping.routing import Router
from reference_broker.broker.keeping.session import Session
from reference_broker.broker.keeping.wills import Wills
from reference_broker.broker.outgoing.ledger import Ledger
from reference_broker.broker.outgoing.waiting import Queues
from reference_broker.broker.values.access import AccessControl
from reference_broker.broker.values.journal import Journal
from reference_broker.broker.values.message import Delivery
from reference_broker.broker.values.rows import NUMBER
from reference_broker.broker.values.sizes import ORDINARY_BEGINNING, SESSION_BYTES, will_bytes
from reference_broker.broker.values.timers import Timers
from reference_broker.wire.properties import NEVER_EXPIRES
from reference_broker.wire.types import Version

_REST_SECONDS = 0.001


class Sessions:
    """All sessions of a broker by client id. [5.0 MQTT-3.1.3-2]"""

    def __init__(
        self,
        access: AccessControl,
        timers: Timers,
        router: Router,
        exchange: Exchange,
        wills: Wills,
        journal: Journal | None = None,
    ) -> None:
        """`journal` takes note of what has to survive the broker."""
        self._access = access
        self._timers = timers
        self._router = router
        self._exchange = exchange
        self._wills = wills
        self._journal = journal
        self._by_client_id: dict[str, Session] = {}
        self.queues = Queues()
        """What waits in all of them."""
        self.expired_count = 0
        """How many have expired since the broker's start."""
        self.size_bytes = 0
        """About how much memory they take, without subscriptions and messages."""
        self._to_put_away: Iterator[Session] = iter(())
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
        session = self._by_client_id[client_id] = Session(client_id, version, self.queues)
        self.size_bytes += SESSION_BYTES + len(client_id)
        return session

    def keep(self, session: Session) -> None:
        """Let the store have a session that outlives its connection, or whose will does; nothing without a store.

        What is answered to its CONNECT depends on that.
        """
        journal = self._journal
        if journal is None:
            return
        if session.record is None and (session.expiry_interval or session.will is not None):
            number = NUMBER.pack(journal.number())
            session.record = Record(journal, number)
            if session.expiry_interval:
                session.ledger = Ledger(journal, number)
        if session.record is not None:
            session.keep()
            journal.promise()

    def weigh(self, session: Session) -> None:
        """Take note of the session's user name and will."""
        more_bytes = will_bytes(session.will) + len(session.username or "")
        self.size_bytes -= self._more_bytes.pop(session, 0)
        if more_bytes > ORDINARY_BEGINNING:
            self._more_bytes[session] = more_bytes
            self.size_bytes += more_bytes

    def leave(self, session: Session, now: float, *, publish_will: bool) -> None:
        """The connection is over: the session ends now, later, or never. [5.0 3.1.2.11.2]"""
        session.sender = None
        session.unpack(now)
        self._wills.connection_closed(session, now, publish_will=publish_will)
        if session.expiry_interval == 0:
            self.end(session, now)
        else:
            expires = None if session.expiry_interval == NEVER_EXPIRES else session.expiry_interval
            self.wait_for_return(session, expires, now)
            self._withhold_in_flight(session, now)
            session.put_away()
            session.keep()

    def put_away(self, count: int) -> None:
        """See to so many sessions that they keep nothing which holds nothing; the next call goes on behind them."""
        for session in islice(self._to_put_away, count):
            session.put_away()
            count -= 1
        if count:  # all have had their turn
            self._to_put_away = iter(self)

    def wait_for_return(self, session: Session, expires_seconds: float | None, now: float) -> None:
        """Keep the session of an absent client for so long; None for ever."""
        if expires_seconds is not None:
            session.expiry_timer = self._timers.at(now + expires_seconds, lambda at: self._expire(session, at))

    def _expire(self, session: Session, now: float) -> None:
        self.expired_count += 1
        self.end(session, now)

    def end(self, session: Session, now: float) -> None:
        """Discard the session's state; its will, if still waiting, is published. [5.0 MQTT-4.1.0-2, MQTT-3.1.2-8]"""
        _cancel(session)
        if self._by_client_id.pop(session.client_id, None) is not None:
            self.size_bytes -= SESSION_BYTES + len(session.client_id) + self._more_bytes.pop(session, 0)
        had_subscriptions = session.subscribed is not None
        if had_subscriptions:
            self._go_on(self._router.remove_session(session), now)
        undelivered = session.take_undelivered()
        if session.record is not None:
            session.record.ended(had_subscriptions=had_subscriptions)
            session.record = session.ledger = None
        self._hand_over_shared(undelivered, now)
        self._wills.session_ended(session, now)

    def _go_on(self, work: Iterator[None], now: float) -> None:
        """Do a slice of what takes long, and the rest when others had their turn."""
        if next(work, work) is None:
            self._timers.at(now + _REST_SECONDS, lambda at: self._go_on(work, at))

    def ask_rules_again(self, session: Session, now: float) -> None:
        """The session has another user, or the broker other rules: what its user may not get does not reach it.

        Its subscriptions stay, and bring nothing while its user may not make them.
        """
        access = self._access
        if not access.limits_receivers:
            return
        self._router.ask_rules_again(session)
        if session.queue is not None:
            for topic_filter in [
                each for each in session.queue.retained or () if not access.may_subscribe(session, each)
            ]:
                session.queue.remove_retained(topic_filter)
        self._hand_over_shared(session.withhold_waiting(self._may_receive(session)), now)
        if session.sender is None:
            self._withhold_in_flight(session, now)

    def _withhold_in_flight(self, session: Session, now: float) -> None:
        """What its client did not acknowledge is not sent again to a user who may not get it any more.

        While the client is there it may acknowledge it, and until then each message takes its place and identifier.
        [5.0 MQTT-3.3.4-9, MQTT-2.2.1-4]
        """
        if self._access.limits_receivers:
            self._hand_over_shared(session.withhold_in_flight(self._may_receive(session)), now)

    def _may_receive(self, session: Session) -> Callable[[str], bool]:
        """Whether a session's user may get messages of a topic; asked once for each."""
        return cache(lambda topic: self._access.may_receive(session, topic))

    def _hand_over_shared(self, undelivered: list[Delivery], now: float) -> None:
        """Offer other members what a session leaves undelivered of shared subscriptions. [5.0 4.8.2]

        QoS 1 messages in flight and all that had not been sent yet; a QoS 2 message in flight goes to nobody else.
        [5.0 MQTT-4.8.2-5] What one member had begun to get is for the next a delivery not yet begun: an expired message
        goes to nobody. [5.0 MQTT-3.3.2-5]
        """
        for delivery in undelivered:
            if delivery.share is not None and not delivery.message.is_expired(now):
                self._exchange.deliver_to_share(delivery.share, delivery.message, now)
                delivery.message.forget_encoded()  # who inherits it next gets what is left of its lifetime then


def _cancel(session: Session) -> None:
    if session.expiry_timer is not None:
        session.expiry_timer.cancel()
        session.expiry_timer = None
    if session.will_timer is not None:
        session.will_timer.cancel()
        session.will_timer = None
