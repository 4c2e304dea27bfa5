"""What the store has of the outgoing half of one session that outlives its connection: a row for each thing to get.

Belongs here: which row comes, changes and goes when a delivery waits, is sent, released and settled.
Does not belong here: the form of rows (`values.rows`), the rest of a session (`keeping.record`), reading rows again
(`keeping.moving_in`).

A row's number is higher than those of all rows before it, and a delivery gets a new row when it is sent and when it is
released: so the order of rows is that of waiting, of sending and of releasing. [5.0 MQTT-4.6.0-1, MQTT-4.6.0-4]

A message that leaves before its row is kept has an identifier of which a broker knows nothing that starts again after a
crash. It must not give it to another message, so it goes on behind the page of those that may have been given. [5.0
MQTT-2.2.1-4]
"""

from __future__ import annotations

from dataclasses import replace

from reference_broker.broker.outgoing.bursts import Burst
from reference_broker.broker.outgoing.flight import Numbers, SentRun
from reference_broker.broker.outgoing.waiting import WaitingRetained, WaitingRun
from reference_broker.broker.values.journal import BODY, Body, Journal
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.broker.values.rows import (
    BRINGING,
    ENTRY,
    NUMBER,
    SENT_IDENTIFIERS,
    BringingRow,
    EntryRow,
    Stage,
    brought_key,
    encode_message,
    encode_packets,
)
from reference_broker.broker.values.terms import Terms
from reference_broker.session.delivery import Outbound, Sending
from reference_broker.session.packet_ids import HIGHEST_PACKET_ID, PacketIds
from reference_broker.wire.types import QoS, Version

_PAGE = 16_384
"""So many identifiers, one of which may be used, cost one commit."""


class Ledger:
    """The rows of one session's outgoing half."""

    __slots__ = ("_flying", "_prefix", "journal", "page", "session_number")

    def __init__(self, journal: Journal, session_number: bytes, page: int | None = None) -> None:
        """`page` is that of the identifiers from before the broker's start."""
        self.journal = journal
        self.page = page
        self._prefix = ENTRY + session_number
        self.session_number = session_number
        self._flying: dict[int, tuple[bytes, Body | None]] = {}
        """By packet identifier, the row of what is in flight in the plain form, and what it needs."""

    # --- waiting -----------------------------------------------------------------------------------------------------

    def waits(self, delivery: Delivery) -> None:
        """A message waits."""
        message = delivery.message
        body = self._body_of(message)
        row = EntryRow(
            Stage.WAITING, delivery.qos, delivery.retain, 0, 1, message.index, body.identity, delivery.subscription_ids,
            delivery.share,
        )  # fmt: skip
        delivery.row = self._put(row)
        if delivery.qos:
            self.journal.promise()

    def left(self, delivery: Delivery) -> None:
        """It waits no more."""
        if delivery.row is not None:
            self.journal.let_go(delivery.row)
            delivery.row = None
            self._unrefer(delivery.message.body)

    def run_waits(self, waiting: WaitingRun) -> None:
        """A run of messages waits."""
        body = self._body_of_burst(waiting.burst)
        waiting.row = self._put(_waiting_row(waiting, body))
        self.journal.promise()

    def run_advanced(self, waiting: WaitingRun) -> None:
        """Some of its messages wait no more, or all."""
        if waiting.row is None:
            return
        body = waiting.burst.body
        assert body is not None
        if waiting.first < waiting.behind:
            self.journal.put(waiting.row, _waiting_row(waiting, body).encoded())
        else:
            self.journal.let_go(waiting.row)
            waiting.row = None
            self._unrefer(body)

    # --- in flight, one by one ---------------------------------------------------------------------------------------

    def sent(self, packet_id: int, delivery: Delivery) -> None:
        """A message leaves under this identifier for the first time."""
        self._fly(packet_id, delivery.message, delivery.qos, delivery.retain, delivery.subscription_ids, delivery.share)

    def released(self, packet_id: int) -> None:
        """PUBREL leaves in its place. [5.0 MQTT-4.3.3-4]"""
        key, body = self._flying[packet_id]
        if body is None:
            return  # it left before
        self.journal.let_go(key)
        self._unrefer(body)
        self._flying[packet_id] = self._put(EntryRow(Stage.RELEASED, packet_id=packet_id)), None
        self.journal.promise()

    def settled(self, packet_id: int) -> None:
        """The client is done with it."""
        key, body = self._flying.pop(packet_id)
        self.journal.let_go(key)
        self._unrefer(body)

    def restored(self, packet_id: int, key: bytes, body: Body | None) -> None:
        """It has a row since before the start of the broker."""
        self._flying[packet_id] = key, body

    def was_released(self, packet_id: int) -> None:
        """PUBREL left before the broker's start, with others in one row."""
        self._flying[packet_id] = self._put(EntryRow(Stage.RELEASED, packet_id=packet_id)), None

    def gone(self, key: bytes, body: Body | None) -> None:
        """Other rows stand for this one."""
        self.journal.let_go(key)
        self._unrefer(body)

    def may_precede(self, packet_id: int) -> bool:
        """Whether a message with this identifier may leave before it is kept; the first one of a page may not."""
        page = packet_id // _PAGE
        if page == self.page:
            return True
        self.page = page
        self.journal.put(SENT_IDENTIFIERS + self.session_number, bytes((page,)))
        self.journal.promise()
        return False

    # --- in flight, by the run ---------------------------------------------------------------------------------------

    def launched(self, runs: list[SentRun], burst: Burst, index: int, terms: Terms) -> None:
        """Messages of a burst from number `index` leave as these runs, which have their QoS."""
        for run in runs:
            body = self._body_of_burst(burst)
            count = len(run.packet_ids)
            run.body = body
            run.row = EntryRow(
                Stage.SENT, run.qos, False, run.packet_ids[0], count, index, body.identity, terms.subscription_ids,
                terms.share,
            )  # fmt: skip
            run.key = self._put(run.row)
            index += count
        self.journal.promise()

    def run_released(self, numbers: Numbers) -> None:
        """PUBREL packets leave as one run."""
        numbers.row = EntryRow(Stage.RELEASED, packet_id=numbers.packet_ids[0], count=len(numbers.packet_ids))
        numbers.key = self._put(numbers.row)
        self.journal.promise()

    def run_settled(self, numbers: Numbers) -> None:
        """Some of a run took their next step, or all."""
        if numbers.key is None:
            return
        assert numbers.row is not None
        settled, row = numbers.settled, numbers.row
        left = len(numbers.packet_ids) - settled
        if left:
            packet_id = numbers.packet_ids[settled]
            advanced = replace(row, packet_id=packet_id, count=left, index=row.index + settled)
            self.journal.put(numbers.key, advanced.encoded())
        else:
            self.journal.let_go(numbers.key)
            numbers.key = None
            self._unrefer(numbers.body)

    def run_unpacked(self, numbers: Numbers, messages: dict[int, Message]) -> None:
        """What is left of a run goes on one by one, as these messages by packet identifier; none if it was released."""
        if numbers.key is None:
            return
        assert numbers.row is not None
        row = numbers.row
        for index in range(numbers.settled, len(numbers.packet_ids)):
            packet_id = numbers.packet_ids[index]
            if row.stage is Stage.RELEASED:
                self._flying[packet_id] = self._put(EntryRow(Stage.RELEASED, packet_id=packet_id)), None
                continue
            message = messages[packet_id]
            message.body, message.index = numbers.body, row.index + index
            self._fly(packet_id, message, row.qos, row.retain, row.subscription_ids, row.share)
        self.journal.let_go(numbers.key)
        numbers.key = None
        self._unrefer(numbers.body)

    # --- retained messages to bring ----------------------------------------------------------------------------------

    def brings(self, retained: WaitingRetained, now: float) -> None:
        """A subscription brings retained messages from now on."""
        retained.record = Bringing(self.journal, self.session_number, retained.topic_filter)
        retained.record.begin(now)

    # --- the end -----------------------------------------------------------------------------------------------------

    def put_away(self) -> None:
        """As `Mailbox.put_away`."""
        if not self._flying:
            self._flying = {}

    def forget(self, waiting: list[Delivery | WaitingRun]) -> None:
        """The session is over: nobody gets any of this, nor what is in flight."""
        for entry in waiting:
            if isinstance(entry, WaitingRun):
                self._unrefer(entry.burst.body)
            else:
                self._unrefer(entry.message.body)
            entry.row = None
        for _, body in self._flying.values():
            self._unrefer(body)
        self._flying.clear()
        self.journal.drop_all(self._prefix)
        if self.page is not None:
            self.journal.drop(SENT_IDENTIFIERS + self.session_number)

    # --- rows and bodies ---------------------------------------------------------------------------------------------

    def _put(self, row: EntryRow) -> bytes:
        key = self._prefix + NUMBER.pack(self.journal.number())
        self.journal.put_new(key, row.encoded())
        return key

    def _fly(
        self, packet_id: int, message: Message, qos: QoS, retain: bool, ids: tuple[int, ...], share: str | None
    ) -> None:
        body = self._body_of(message)
        row = EntryRow(Stage.SENT, qos, retain, packet_id, 1, message.index, body.identity, ids, share)
        self._flying[packet_id] = self._put(row), body
        self.journal.promise()

    def _body_of(self, message: Message) -> Body:
        """What the store has of a message; one row needs it more."""
        body = message.body
        if body is None or body.is_gone:
            body = message.body = self._new_body()
            message.index = 0
            accepted_at = self.journal.unix_time(message.accepted_at)
            self.journal.put_new(BODY + body.identity, encode_message(message, accepted_at))
        self._refer(body)
        return body

    def _body_of_burst(self, burst: Burst) -> Body:
        """What the store has of a burst; one row needs it more."""
        body = burst.body
        if body is None or body.is_gone:
            body = burst.body = self._new_body()
            packets = burst.data[burst.start : burst.start + burst.size * burst.count]
            accepted_at = self.journal.unix_time(burst.accepted_at)
            value = encode_packets(packets, burst.count, burst.qos, burst.is_v5, burst.publisher, accepted_at)
            self.journal.put_new(BODY + body.identity, value)
        self._refer(body)
        return body

    def _new_body(self) -> Body:
        return Body(self.session_number + NUMBER.pack(self.journal.number()))

    def _refer(self, body: Body) -> None:
        body.references += 1
        self.journal.unsettle(body)

    def _unrefer(self, body: Body | None) -> None:
        if body is not None:
            body.references -= 1
            self.journal.unsettle(body)


def last_of(page: int) -> int:
    """The last identifier of a page."""
    return min((page + 1) * _PAGE - 1, HIGHEST_PACKET_ID)


class Bringing:
    """Rows for the retained messages that a subscription brings, where that takes longer than one turn. [5.0 3.3.1.3]

    Those that were brought are noted one by one, because the store of retained messages may change meanwhile, and its
    order over a restart.
    """

    __slots__ = ("_begun", "_brought", "_is_kept", "_is_over", "_journal", "_session_number", "_topic_filter")

    def __init__(self, journal: Journal, session_number: bytes, topic_filter: str, *, is_kept: bool = False) -> None:
        """`is_kept` when it is from before the broker's start."""
        self._journal = journal
        self._session_number = session_number
        self._topic_filter = topic_filter
        self._begun = b""
        self._brought: list[str] = []
        self._is_kept = is_kept
        self._is_over = False

    def begin(self, now: float) -> None:
        """It is behind all rows there are, and is about messages that were retained before now."""
        self._begun = BringingRow(self._journal.number(), self._journal.unix_time(now)).encoded()
        self._journal.unsettle(self)

    def brought(self, topic: str) -> None:
        """One of them has left."""
        self._brought.append(topic)
        self._journal.unsettle(self)

    def end(self) -> None:
        """There will be no more."""
        self._is_over = True
        self._journal.unsettle(self)

    def settle(self, journal: Journal) -> None:
        """Note how far it has come, unless it is over before anything was noted."""
        key = BRINGING + self._session_number + self._topic_filter.encode()
        if self._is_over:
            if self._is_kept:
                journal.drop(key)
                journal.drop_all(brought_key(self._session_number, self._topic_filter))
            return
        if not self._is_kept:
            self._is_kept = True
            journal.put(key, self._begun)
        for topic in self._brought:
            journal.put(brought_key(self._session_number, self._topic_filter, topic), b"")
        self._brought.clear()


class KeptOutbound(Outbound):
    """Messages in flight each of whose steps is kept."""

    __slots__ = ("_ledger",)

    def __init__(self, version: Version, packet_ids: PacketIds, ledger: Ledger) -> None:
        super().__init__(version, packet_ids)
        self._ledger = ledger

    def _enter(self, packet_id: int, state: Sending) -> None:
        super()._enter(packet_id, state)
        if state is Sending.UNKNOWN:
            self._ledger.settled(packet_id)
        elif state is Sending.PUBCOMP:
            self._ledger.released(packet_id)


def _waiting_row(waiting: WaitingRun, body: Body) -> EntryRow:
    terms = waiting.terms
    return EntryRow(
        Stage.WAITING, waiting.qos, False, 0, waiting.behind - waiting.first, waiting.first, body.identity,
        terms.subscription_ids, terms.share,
    )  # fmt: skip
