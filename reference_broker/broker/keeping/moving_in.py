"""How a broker that starts again takes in what its store has: what comes first, and what when somebody needs it.

Belongs here: which rows are read next, heads and subscriptions at the start, who waits for what is not here yet.
Does not belong here: what one session has to get (`belongings`), the form of rows (`values.rows`), reading them (the
adapter's affair: a core never waits).

Sessions and subscriptions come before the first connection, so that nothing published is missed. What may be large, all
that waits and all that is retained, comes in slices while clients are served: first what somebody waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from struct import unpack

from reference_broker.broker.keeping.belongings import Belongings, Bodies
from reference_broker.broker.keeping.record import Record, identifiers_of
from reference_broker.broker.keeping.retained import RetainedMessages
from reference_broker.broker.keeping.routing import Router
from reference_broker.broker.keeping.session import Session
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.keeping.wills import Wills
from reference_broker.broker.outgoing.ledger import Ledger
from reference_broker.broker.values.journal import ALIVE, ALIVE_SECONDS, START, Journal
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.rows import (
    RECEIVED,
    RETAINED,
    SENT_IDENTIFIERS,
    SESSION,
    SESSION_WILL,
    SUBSCRIPTION,
    Reading,
    SessionRow,
    SubscriptionRow,
    WillRow,
    behind,
    decode_body,
)
from reference_broker.broker.values.timers import Timers
from reference_broker.store.records import KeyRange, Row
from reference_broker.wire.packets import Subscription
from reference_broker.wire.properties import NEVER_EXPIRES


class MovingIn:
    """Takes rows in, in the order in which they are needed."""

    def __init__(
        self,
        journal: Journal,
        timers: Timers,
        router: Router,
        retained: RetainedMessages,
        sessions: Sessions,
        wills: Wills,
    ) -> None:
        self._journal = journal
        self._timers = timers
        self._router = router
        self._retained = retained
        self._sessions = sessions
        self._wills = wills
        self._heads: dict[bytes, _Head] = {}
        self._alive_at: float | None = None
        self._starts = 0
        self._first = Reading(b"A", b"[", self._take_first)
        self._bodies = Bodies(journal)
        self._absent: dict[Session, Belongings] = {}
        self._all_retained = Reading(RETAINED, behind(RETAINED), self._take_retained)
        self._some_retained: dict[tuple[bytes, bytes], Reading] = {}
        """What subscriptions wait for, by range; it stays here when it is over."""
        self._wanted: deque[Reading | Belongings] = deque()
        self._unix_time = 0.0
        self._reading: Reading | None = None

    # --- before the first connection ---------------------------------------------------------------------------------

    def begin(self, unix_time: float) -> None:
        """The broker starts."""
        self._unix_time = unix_time
        self._retained.begin_taking_in(self._is_here)

    @property
    def is_open(self) -> bool:
        """Whether clients may come."""
        return self._first.is_over

    def _take_first(self, rows: Sequence[Row], now: float) -> None:
        for key, value in rows:
            kind, number = key[:1], key[1:9]
            if kind == ALIVE:
                (self._alive_at,) = unpack(">d", value)
            elif kind == START:
                (self._starts,) = unpack(">Q", value)
            elif kind == SESSION:
                self._heads[number] = _Head(SessionRow.decoded(value))
            elif kind == SUBSCRIPTION:
                self._heads[number].subscriptions[key[9:].decode()] = SubscriptionRow.decoded(value)
            elif kind == RECEIVED:
                self._heads[number].received += identifiers_of(key[9], value)
            elif kind == SENT_IDENTIFIERS:
                self._heads[number].page = value[0]
            elif kind == SESSION_WILL:
                self._heads[number].will = WillRow.decoded(value)
        if self._first.is_over:
            self._open(now)

    def _open(self, now: float) -> None:
        if self._alive_at is not None:  # a clock that was set back makes no message younger
            self._unix_time = max(self._unix_time, self._alive_at)
        self._journal.set_clock(now, self._unix_time)
        self._journal.begin(self._starts + 1)
        self._live(now)
        heads, self._heads = self._heads, {}
        for number, head in heads.items():
            self._add(number, head, now)
        self._timers.run(now)  # what was due at once, e.g. a will, is due before anybody comes

    def _add(self, number: bytes, head: _Head, now: float) -> None:
        row = head.row
        session = self._sessions.add(row.client_id, row.version)
        session.username = row.username
        session.expiry_interval = row.expiry_interval
        for topic_filter, subscription in head.subscriptions.items():
            self._subscribe(session, topic_filter, subscription)
        session.record = Record(self._journal, number, has_will=head.will is not None)
        if row.is_kept:
            session.ledger = Ledger(self._journal, number, head.page)
            self._absent[session] = Belongings(
                session, number, self._journal, self._bodies, self._retained, self._has_come
            )
        for packet_id in head.received:
            session.inbound.restore(packet_id)
        self._sessions.ask_rules_again(session, now)  # they may be others since
        expires_at = row.expires_at
        if row.is_connected and row.expiry_interval != NEVER_EXPIRES:
            expires_at = self._died_at() + row.expiry_interval
        if expires_at is not None or not row.expiry_interval:
            left_seconds = max(0.0, (expires_at or 0.0) - self._unix_time)
            session.expiry_timer = self._timers.at(now + left_seconds, lambda at: self._expire(session, at))
        if head.will is not None:
            session.will = head.will.will
            due_at = head.will.due_at
            if due_at is None:
                delay_seconds = session.will.properties.will_delay_interval or 0
                due_at = self._died_at() + min(delay_seconds, row.expiry_interval)
            self._wills.publish_later(session, max(0.0, due_at - self._unix_time), now)
        self._sessions.weigh(session)
        if row.is_connected:
            session.keep()

    def _died_at(self) -> float:
        """Unix time until when connections may have lasted, which is noted now and then."""
        return self._unix_time if self._alive_at is None else min(self._alive_at + ALIVE_SECONDS, self._unix_time)

    def _live(self, now: float) -> None:
        self._journal.live(now)
        self._timers.at(now + ALIVE_SECONDS, self._live)

    def _subscribe(self, session: Session, topic_filter: str, row: SubscriptionRow) -> None:
        options = Subscription(topic_filter, row.qos, row.no_local, row.retain_as_published)
        share, bare = None, topic_filter
        if row.is_shared:
            _, share, bare = topic_filter.split("/", 2)
        subscription_ids = (row.subscription_id,) if row.subscription_id else ()
        self._router.subscribe(session, options, row.qos, subscription_ids, share, bare)

    def _expire(self, session: Session, now: float) -> None:
        self.when_here(session, lambda at: self._sessions.end(session, at), now)

    # --- while clients are served ------------------------------------------------------------------------------------

    def is_here(self, session: Session) -> bool:
        """Whether a session has all that it has to get."""
        return session not in self._absent

    def when_here(self, session: Session, then: Callable[[float], None], now: float) -> None:
        """Do something with a session as soon as it is complete, which comes first from now on."""
        belongings = self._absent.get(session)
        if belongings is None:
            then(now)
            return
        belongings.then.append(then)
        self._wanted.append(belongings)

    def next_read(self) -> KeyRange | None:
        """Which rows are wanted next; None when all are here."""
        self._reading = reading = self._next_reading()
        return None if reading is None else reading.left

    def take_rows(self, covered: KeyRange, rows: Sequence[Row], now: float) -> None:
        """Take in all rows there are in a range, which is the last `next_read` or its beginning."""
        assert self._reading is not None
        self._reading.take(covered, rows, now)

    def _next_reading(self) -> Reading | None:
        if not self.is_open:
            return self._first
        while self._wanted:
            wanted = self._wanted[0]
            reading = wanted if isinstance(wanted, Reading) else wanted.reading()
            if reading is not None and not reading.is_over:
                return reading
            self._wanted.popleft()
        if not self._all_retained.is_over:
            return self._all_retained
        for belongings in self._absent.values():
            return belongings.reading()
        return self._bodies.letting_go()

    def _has_come(self, session: Session, now: float) -> None:
        """A session has all that it has to get: who waits for it goes on."""
        belongings = self._absent.pop(session)
        self._sessions.ask_rules_again(session, now)
        for then in belongings.then:
            then(now)

    # --- retained messages -------------------------------------------------------------------------------------------

    def _take_retained(self, rows: Sequence[Row], now: float) -> None:
        zero = self._journal.unix_time(0.0)
        for _, value in rows:
            message = decode_body(value, zero)
            if not isinstance(message, Message):
                raise ValueError("a burst is no retained message")
            self._retained.take_in(message, now)
        if self._all_retained.is_over:
            self._retained.end_taking_in()
            self._some_retained.clear()

    def _is_here(self, topic_filter: str) -> bool:
        """Whether all retained messages that a filter matches are here; from now on they come first."""
        begin, end = _range_of(topic_filter)
        if self._all_retained.is_over or self._all_retained.left.begin >= end:
            return True
        reading = self._some_retained.get((begin, end))
        if reading is None:
            reading = self._some_retained[begin, end] = Reading(begin, end, self._take_retained)
            self._wanted.append(reading)
        return reading.is_over


class _Head:
    """The rows of a session that come before the first connection."""

    __slots__ = ("page", "received", "row", "subscriptions", "will")

    def __init__(self, row: SessionRow) -> None:
        self.row = row
        self.subscriptions: dict[str, SubscriptionRow] = {}
        self.received: list[int] = []
        self.page: int | None = None
        self.will: WillRow | None = None


def _range_of(topic_filter: str) -> tuple[bytes, bytes]:
    """Between which keys the retained messages are that a filter matches."""
    certain = []
    levels = topic_filter.split("/")
    for level in levels:
        if level in ("+", "#"):
            break
        certain.append(level)
    begin = RETAINED + "/".join(certain).encode()  # `a/#` also matches `a` [5.0 4.7.1.2]
    return begin, begin + b"\0" if len(certain) == len(levels) else behind(begin)
