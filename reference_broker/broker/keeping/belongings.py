"""What one session has to get, from the rows of the store: read in slices, and complete at the end.

Belongs here: which rows they are, and making deliveries of them.
Does not belong here: which session comes first (`moving_in`), the form of rows (`values.rows`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from struct import unpack

from reference_broker.broker.keeping.retained import RetainedMessages
from reference_broker.broker.keeping.session import Session
from reference_broker.broker.outgoing.bursts import Burst
from reference_broker.broker.outgoing.forms import Form
from reference_broker.broker.outgoing.ledger import Bringing
from reference_broker.broker.outgoing.waiting import Waiting, WaitingRetained, WaitingRun
from reference_broker.broker.values.journal import BODY, COUNT, Body, Journal
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.broker.values.rows import (
    BRINGING,
    BROUGHT,
    ENTRY,
    NUMBER,
    BringingRow,
    EntryRow,
    Packets,
    Reading,
    Stage,
    behind,
    brought_topic,
    decode_body,
)
from reference_broker.broker.values.terms import KeptTerms
from reference_broker.session.packet_ids import HIGHEST_PACKET_ID
from reference_broker.store.records import Row
from reference_broker.wire.decode import decode
from reference_broker.wire.packets import Publish, PubRel
from reference_broker.wire.types import Version
from reference_broker.wire.varint import read_remaining_length

_MOST_MESSAGES = 1_000
"""Made between two turns of others: some milliseconds."""
_MOST_LET_GO = 10_000
"""The same, of what is quick."""

_PART_BYTES = 15
"""What the identities of a part have in common: all but the last byte."""


class Bodies:
    """Messages and bursts that came from the store, for all sessions that have to get some of them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._parts: dict[bytes, dict[bytes, tuple[Body, Message | Burst]]] = {}
        """By identity, 256 in a part: one dictionary of a million would take long to grow, and to go."""
        self._counts: dict[bytes, int] = {}
        self._readings: dict[bytes, tuple[Reading, Reading]] = {}
        self._let_go = Reading(b"", b"", self._let_some_go)
        """Reads nothing, as below."""

    def letting_go(self) -> Reading | None:
        """What is still to be done once everybody has what is his; None for nothing."""
        return self._let_go if self._readings else None

    def _let_some_go(self, _rows: Sequence[Row], _now: float) -> None:
        gone = 0
        while self._parts and gone < _MOST_LET_GO:
            _, bodies = self._parts.popitem()
            gone += len(bodies)
        if not self._parts:
            self._counts.clear()
            self._readings.clear()

    def readings(self, owner: bytes) -> tuple[Reading, Reading]:
        """What is to be read for the bodies that one session was the first to need."""
        if owner not in self._readings:
            last = NUMBER.pack(self._journal.first_number)
            self._readings[owner] = (
                Reading(COUNT + owner, COUNT + owner + last, self._take_counts),
                Reading(BODY + owner, BODY + owner + last, self._take_bodies),
            )
        return self._readings[owner]

    def get(self, identity: bytes) -> tuple[Body, Message | Burst]:
        """A body and what it says; it was read."""
        return self._parts[identity[:_PART_BYTES]][identity]

    def _take_counts(self, rows: Sequence[Row], _now: float) -> None:
        for key, value in rows:
            (self._counts[key[1:]],) = unpack(">I", value)

    def _take_bodies(self, rows: Sequence[Row], _now: float) -> None:
        zero = self._journal.unix_time(0.0)
        for key, value in rows:
            identity = key[1:]
            body = Body(identity, self._counts.pop(identity, 1))
            kept = decode_body(value, zero)
            content = _burst(kept, zero) if isinstance(kept, Packets) else kept
            content.body = body
            self._parts.setdefault(identity[:_PART_BYTES], {})[identity] = body, content


class Belongings:
    """What one session has to get, on its way from the store to the session."""

    def __init__(
        self,
        session: Session,
        number: bytes,
        journal: Journal,
        bodies: Bodies,
        retained: RetainedMessages,
        done: Callable[[Session, float], None],
    ) -> None:
        """`number` is the session's; `done` is called once it has all of it."""
        self.then: list[Callable[[float], None]] = []
        """Who waits for that."""
        self._session = session
        self._number = number
        self._journal = journal
        self._bodies = bodies
        self._retained = retained
        self._done = done
        self._entries: deque[tuple[bytes, EntryRow]] = deque()
        self._owners: set[bytes] = set()
        """Numbers of the sessions that were the first to need what these entries say."""
        self._renumbered: set[Stage] = set()
        self._makers = {Stage.WAITING: self._wait, Stage.SENT: self._fly, Stage.RELEASED: self._release}
        """What is made of a row, by how far its delivery had come."""
        self._queue = Waiting(keeper=session.ledger, queues=session.queues)
        self._bringing: dict[str, BringingRow] = {}
        self._places: list[bytes] = []
        """The keys of what waits, in order, where retained messages have their turn among it."""
        self._brought: dict[str, set[str]] = {}
        self._entries_read = Reading(
            ENTRY + number, ENTRY + number + NUMBER.pack(journal.first_number), self._take_entries
        )
        self._built = Reading(b"", b"", self._build)
        """Reads nothing: it is there to do a part of the work between others."""
        self._readings: deque[Reading] = deque()

    def reading(self) -> Reading | None:
        """What is to be read next; None when it is complete."""
        if not self._readings:
            number = self._number
            self._readings += self._bodies.readings(number)
            self._readings += (
                Reading(BROUGHT + number, behind(BROUGHT + number), self._take_brought),
                Reading(BRINGING + number, behind(BRINGING + number), self._take_bringing),
                self._entries_read,
            )
        while self._readings[0].is_over and len(self._readings) > 1:
            self._readings.popleft()
        reading = self._readings[0]
        return None if reading.is_over else reading

    def _take_brought(self, rows: Sequence[Row], _now: float) -> None:
        for key, _ in rows:
            topic_filter, topic = brought_topic(key)
            self._brought.setdefault(topic_filter, set()).add(topic)

    def _take_bringing(self, rows: Sequence[Row], _now: float) -> None:
        for key, value in rows:
            self._bringing[key[9:].decode()] = BringingRow.decoded(value)

    def _take_entries(self, rows: Sequence[Row], _now: float) -> None:
        for key, value in rows:
            row = EntryRow.decoded(value)
            self._entries.append((key, row))
            if row.stage is not Stage.RELEASED:
                self._owners.add(row.body[:8])
            if row.count > 1 and row.stage is not Stage.WAITING:
                self._renumbered.add(row.stage)
        if not self._entries_read.is_over:
            return
        for owner in self._owners - {self._number}:
            self._readings += self._bodies.readings(owner)
        self._readings.append(self._built)

    # --- making it ---------------------------------------------------------------------------------------------------

    def _build(self, _rows: Sequence[Row], now: float) -> None:
        """A part of the work; the last part makes the session complete."""
        messages = 0
        while self._entries and messages < _MOST_MESSAGES:
            key, row = self._entries.popleft()
            messages += 1 if row.stage is Stage.WAITING else row.count
            self._makers[row.stage](key, row, now)
        self._built.is_over = not self._entries
        if self._entries:
            return
        session = self._session
        if session.queue is not None:  # what came since the broker's start
            self._queue.append_all(session.queue.entries())
            session.queue.discard()
        session.queue = self._queue if self._queue else None
        for topic_filter, bringing in self._bringing.items():
            self._bring(topic_filter, bringing, now)
        self._done(session, now)

    def _wait(self, key: bytes, row: EntryRow, _now: float) -> None:
        body, content = self._bodies.get(row.body)
        entry: Delivery | WaitingRun
        if isinstance(content, Burst) and row.count > 1:
            content.waits = True
            terms = KeptTerms(row.qos, row.subscription_ids, row.share)
            entry = WaitingRun(content, row.index, row.index + row.count, row.qos, terms)
        else:
            entry = self._delivery(body, content, row, row.index)
        entry.row = key
        if self._bringing:
            self._places.append(key)
        self._queue.append_all((entry,))

    def _fly(self, key: bytes, row: EntryRow, now: float) -> None:
        session, ledger = self._session, self._session.ledger
        assert ledger is not None
        body, content = self._bodies.get(row.body)
        for number in range(row.count):
            packet_id = _following(row.packet_id, number)
            delivery = self._delivery(body, content, row, row.index + number)
            session.inflight[packet_id] = delivery
            session.outbound.restore(replace(delivery.publish(session.version, now), packet_id=packet_id))
            if Stage.SENT in self._renumbered:
                ledger.sent(packet_id, delivery)
            else:
                ledger.restored(packet_id, key, body)
        if Stage.SENT in self._renumbered:
            ledger.gone(key, body)

    def _release(self, key: bytes, row: EntryRow, _now: float) -> None:
        session, ledger = self._session, self._session.ledger
        assert ledger is not None
        for number in range(row.count):
            packet_id = _following(row.packet_id, number)
            session.outbound.restore(PubRel(packet_id))
            if Stage.RELEASED in self._renumbered:
                ledger.was_released(packet_id)
            else:
                ledger.restored(packet_id, key, None)
        if Stage.RELEASED in self._renumbered:
            ledger.gone(key, None)

    def _delivery(self, body: Body, content: Message | Burst, row: EntryRow, index: int) -> Delivery:
        message = content.message(index) if isinstance(content, Burst) else content
        message.body, message.index = body, index
        return Delivery(message, row.qos, row.retain, row.subscription_ids, row.share)

    def _bring(self, topic_filter: str, row: BringingRow, now: float) -> None:
        """Let a subscription bring the rest of its retained messages."""
        subscribed = self._session.subscriptions.get(topic_filter)
        if subscribed is None:
            return
        since = self._journal.broker_time(row.since)
        brought = self._brought.get(topic_filter, set())
        rest = _those_before(self._retained.match(topic_filter, now), since, brought)
        waiting = WaitingRetained(topic_filter, rest, subscribed.qos, subscribed.no_local, subscribed.subscription_ids)
        waiting.record = Bringing(self._journal, self._number, topic_filter, is_kept=True)
        self._session.open_queue().append_retained(waiting)
        waiting.turn = bisect_left(self._places, ENTRY + self._number + NUMBER.pack(row.number))


def _those_before(
    messages: Iterator[Message | None], since: float, brought: Container[str]
) -> Iterator[Message | None]:
    """Without those that were brought, and those that came as new messages."""
    for message in messages:
        if message is None or (message.topic not in brought and message.accepted_at <= since):
            yield message


def _following(packet_id: int, number: int) -> int:
    return (packet_id - 1 + number) % HIGHEST_PACKET_ID + 1


def _burst(packets: Packets, zero: float) -> Burst:
    """A burst as it came in."""
    data, count = packets.data, packets.count
    size = len(data) // count
    first = decode(data[:size], Version.V5 if packets.is_v5 else Version.V311)
    if not isinstance(first, Publish):
        raise ValueError("a burst has no PUBLISH")
    _, at = read_remaining_length(data, 0) or (0, 0)
    id_at = at + 2 + (data[at] << 8 | data[at + 1])
    form = Form(first.topic, first.properties)
    return Burst(
        data, 0, size, count, id_at, size - len(first.payload), form, packets.qos, packets.is_v5,
        packets.accepted_at - zero, packets.publisher,
    )  # fmt: skip
