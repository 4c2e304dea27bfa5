"""The outgoing half of one connection: what leaves now, what waits, what is dropped. [5.0 3.3.4, 4.9]

Belongs here: the client's Receive Maximum, Maximum Packet Size, Topic Alias Maximum and Request Problem Information,
and moving messages from the session's queue into flight.
Does not belong here: the QoS automata (`session.delivery`), the queue's bounds (`mailbox`), sockets.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from struct import pack
from typing import Any

from reference_broker.broker.outgoing.bursts import Burst
from reference_broker.broker.outgoing.flight import Flight, Origin
from reference_broker.broker.outgoing.mailbox import Mailbox
from reference_broker.broker.outgoing.output import Output
from reference_broker.broker.outgoing.waiting import Waiting, WaitingRetained
from reference_broker.broker.values.journal import Body
from reference_broker.broker.values.log import shortened
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.broker.values.runs import interleaved
from reference_broker.broker.values.seldom import Seldom
from reference_broker.broker.values.terms import Terms
from reference_broker.session.delivery import Sending
from reference_broker.session.flow_control import DEFAULT_RECEIVE_MAXIMUM, SendQuota
from reference_broker.session.topic_aliases import ALIAS_SIZE, OutboundAliases
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Packet, PingReq, PingResp, PubAck, PubComp, Publish, PubRec
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import PacketType, QoS, Version

_AT_MOST_ONCE = QoS.AT_MOST_ONCE
MANY_IDENTIFIERS = 64
"""A PUBLISH with more subscription identifiers may be a thousand times as large as what came in. [5.0 3.3.4]"""
LARGE_PAYLOAD = 65_536
"""Larger ones in flight are counted in bytes."""
_PUBLISH = 0x30  # no DUP, no RETAIN
_RETAINED_AT_ONCE_BYTES = 64 * 1024
"""Retained messages that leave at once, before the output is taken: what is held, and how long others wait."""
_RETAINED_COST_BYTES = 512
"""What each counts for besides its payload."""
_SEARCH_COST_BYTES = 8 * 1024
"""What a search counts for that has not found the next one yet."""
_TO_BE_SENT_AGAIN = (Sending.PUBACK, Sending.PUBREC)


class Sender:
    """Sends to one connected client, within the limits its CONNECT announced."""

    __slots__ = (
        "_quota",
        "_resend",
        "_session",
        "holds_qos0",
        "is_plain",
        "is_v5",
        "maximum_packet_size",
        "output",
        "seldom_set",
        "version",
    )

    _aliases: Seldom[OutboundAliases | None] = Seldom(None)
    _receive_maximum: Seldom[int | None] = Seldom(None)
    """What CONNECT announced."""
    _retained_budget = Seldom(_RETAINED_AT_ONCE_BYTES)
    _uncharged: Seldom[set[int] | None] = Seldom(None)
    """In flight since an earlier connection, and without a place in this one's quota."""
    _wants_problem_information = Seldom(True)

    def __init__(self, output: Output, version: Version, announced: Properties) -> None:
        """`announced` are the properties of CONNECT, `NO_PROPERTIES` for 3.x."""
        self.seldom_set: dict[str, Any] | None = None
        self.output = output
        self._session: Mailbox | None = None
        self.version = version
        self.maximum_packet_size = announced.maximum_packet_size
        self._quota: SendQuota | None = None
        self.is_v5 = version is Version.V5
        self.is_plain = self.maximum_packet_size is None
        """Whether a PUBLISH needs nothing done to it for this client's sake."""
        self.holds_qos0 = False
        """Whether QoS 0 messages wait too, because retained or other ones come before them; nothing is plain then."""
        self._resend: deque[Publish] | None = None
        if announced is not NO_PROPERTIES:
            self._note_announced(announced)

    def _note_announced(self, announced: Properties) -> None:
        self._wants_problem_information = announced.request_problem_information != 0
        self._receive_maximum = announced.receive_maximum
        alias_maximum = min(announced.topic_alias_maximum or 0, self.output.round.config.outgoing_topic_alias_maximum)
        if alias_maximum:
            self._aliases = OutboundAliases(alias_maximum)
            self.is_plain = False

    @property
    def quota(self) -> SendQuota:
        """The client's Receive Maximum, made when it first counts: most clients only listen at QoS 0. [5.0 4.9]"""
        quota = self._quota
        if quota is None:
            receive_maximum = self._receive_maximum or DEFAULT_RECEIVE_MAXIMUM
            quota = self._quota = SendQuota(min(receive_maximum, self.output.round.config.maximum_inflight))
        return quota

    def has_unsettled(self) -> bool:
        """Whether the client has QoS 1 or 2 messages whose acknowledgements are still to come."""
        return self._quota is not None and self._quota.available < self._quota.receive_maximum

    # --- packets other than PUBLISH ----------------------------------------------------------------------------------

    def send(self, packet: Packet) -> bool:
        """Send a packet now; one too large goes without diagnostics, or not at all (False).

        [5.0 MQTT-3.1.2-24, MQTT-3.2.2-19, MQTT-3.2.2-20]
        """
        data = self._encoded(packet)
        if data is None:
            return False
        self.output.write(data)
        return True

    def answer(self, packet: PubAck | PubRec) -> None:
        """Send a publisher its acknowledgement, which may be made to wait for a subscriber."""
        data = self._encoded(packet)
        if data is not None:
            self.output.answer(data)

    def _encoded(self, packet: Packet) -> bytes | None:
        data = encode(packet, self.version)
        limit = self.maximum_packet_size
        if limit is not None and len(data) > limit:
            bare = without_diagnostics(packet)
            data = encode(bare, self.version)
            if len(data) > limit:
                return None
        return data

    def diagnostics(self, packet_type: PacketType, text: str) -> Properties:
        """A Reason String for a failure, where version, configuration and client allow it. [5.0 MQTT-3.1.2-29]"""
        if self.version < Version.V5 or not self.output.round.config.reason_strings:
            return NO_PROPERTIES
        if not self._wants_problem_information and packet_type not in (PacketType.CONNACK, PacketType.DISCONNECT):
            return NO_PROPERTIES
        return Properties(reason_string=shortened(text))

    # --- messages ----------------------------------------------------------------------------------------------------

    def begin(self, session: Mailbox, now: float, *, resumed: bool) -> None:
        """Start delivering a session's messages, those in flight first. [5.0 MQTT-4.4.0-1]"""
        self._session = session
        if resumed:
            again: deque[Publish] = deque()
            uncharged: set[int] = set()
            for packet in session.outbound.resume():
                assert packet.packet_id is not None
                if isinstance(packet, Publish):
                    again.append(packet)
                    uncharged.add(packet.packet_id)
                    continue
                self.quota.occupy()
                self.send(packet)
            self._resend = again or None
            self._uncharged = uncharged or None
            self.holds_qos0 = session.queue is not None and session.queue.has_qos0()  # [5.0 MQTT-4.6.0-5]
        self.pump(now)

    def send_qos0(self, message: Message, retain: bool, subscription_ids: tuple[int, ...], now: float) -> None:
        """Send a QoS 0 message now, or drop it when the client does not keep up."""
        if self.output.is_overfull():
            self.output.drop(1)
            return
        if self.holds_qos0:
            self.deliver(Delivery(message, _AT_MOST_ONCE, retain, subscription_ids), now)
            return
        try:
            data = message.encoded_qos0(self.version, retain, subscription_ids, now)
        except LocalError:  # this version cannot say it, or not in so few bytes
            return
        if self.maximum_packet_size is not None and len(data) > self.maximum_packet_size:
            return  # [5.0 MQTT-3.1.2-25]
        if self._aliases is not None:
            properties = message.properties_for(self.version, subscription_ids, now)
            publish = Publish(message.topic, message.payload, _AT_MOST_ONCE, retain, properties=properties)
            data = self._encode_with_alias(publish, data)
        if message.qos is _AT_MOST_ONCE:
            self.output.pass_on(data)
        else:  # its publisher may send it again after a crash, and here it comes at most once [5.0 4.3.1]
            self.output.write(data)
        if subscription_ids and len(subscription_ids) > MANY_IDENTIFIERS:
            self.output.has_swollen(len(data))

    def deliver(self, delivery: Delivery, now: float) -> None:
        """Send a message now if nothing waits before it and the quota allows, else let it wait in the session."""
        if self.has_to_wait() or self._is_too_much(delivery):
            self._the_session().enqueue(delivery, self.output.round.config, now)
            self._note_change()
        else:
            self._start(delivery, now, is_new=True)

    def bring(self, retained: WaitingRetained, now: float) -> None:
        """Send the retained messages a subscription brings, behind what waits and before what comes from now on."""
        self._the_session().bring(retained, now)
        self.pump(now)

    def keep_waiting(self, burst: Burst, first: int, qos: QoS, terms: Terms) -> int:
        """Let a burst wait from its message `first`, when `has_to_wait` says so; how many messages are done with."""
        count = self._the_session().enqueue_burst(burst, first, qos, terms, self.output.round.config)
        self._note_change()
        return count

    def launch(self, burst: Burst, first: int, count: int, qos: QoS, terms: Terms, answers: bytes = b"") -> int:
        """Send `count` messages of a burst from number `first`, or what the quota allows, and keep them as they left.

        How many left; 0 where they have to be sent one by one. Behind each leave the next four bytes of `answers`, if
        there are any.
        """
        if not self.is_plain or burst.payload_size > LARGE_PAYLOAD or not burst.suits(self.is_v5, terms):
            return 0
        if terms.subscription_ids and swells(terms):
            return 0
        quota = self.quota
        count = min(count, quota.available)
        if count <= 0:
            return 0
        data, start, size, id_at = burst.packets(first, count, self.is_v5, terms.subscription_ids, qos)
        if not self.output.has_room(count * size + len(answers)):
            return 0
        session = self._the_session()
        flight = session.flight
        if flight is None:
            flight = session.flight = Flight()
        packet_ids = session.packet_ids.allocate_many(count, flight)
        if not packet_ids:
            return 0
        numbers = pack(f">{count}H", *packet_ids)
        numbered = bytearray(data[start : start + size * count])
        numbered[id_at::size], numbered[id_at + 1 :: size] = numbers[::2], numbers[1::2]
        numbered[::size] = bytes((_PUBLISH | qos << 1,)) * count
        sent = bytes(numbered)
        origin = None if terms.share is None else Origin(terms.share, burst.qos)
        runs = flight.add(sent, size, packet_ids, numbers, qos, origin)
        may_precede = not answers and self._may_precede(burst.body, qos, packet_ids[-1])
        if session.ledger is not None:
            session.ledger.launched(runs, burst, first, terms)
        quota.available -= count
        if answers:
            self.output.write(interleaved(sent, size, answers))
        elif may_precede:
            self.output.pass_on(sent)
        else:
            self.output.write(sent)
        return count

    def _may_precede(self, body: Body | None, qos: QoS, packet_id: int) -> bool:
        """Whether a message may leave before it is kept, because after a crash it never was here.

        Its publisher was told nothing then, and sends it again. At QoS 2 it would come twice, or the client would
        remember an identifier of which the broker knows nothing, and take a later message under it for the same.
        [5.0 MQTT-4.3.3-10]
        """
        if qos is QoS.EXACTLY_ONCE:
            return False
        ledger = self._the_session().ledger
        if ledger is None:
            return True
        if not (body is None or body.is_new) or not ledger.may_precede(packet_id):
            return False
        self.output.round.has_passed_on = True
        return True

    def pump(self, now: float) -> None:
        """Send what waits, as far as quota and the client's reading allow."""
        session = self._the_session()
        while self._resend and self._may_send():
            publish = self._resend.popleft()
            assert publish.packet_id is not None
            # It may have been acknowledged meanwhile; behind PUBREL no PUBLISH may follow. [5.0 MQTT-4.3.3-6]
            if session.outbound.state(publish.packet_id) in _TO_BE_SENT_AGAIN:
                self.quota.take()
                if self._uncharged is not None:
                    self._uncharged.discard(publish.packet_id)
                self._put_in_flight(self._refreshed(publish, now))
        self._resend = self._resend or None
        while session.queue and self._may_send():
            if session.queue.retained and (retained := session.queue.due_retained()) is not None:
                if not self._send_retained(session.queue, retained, now):
                    break
                continue
            if self._launch_waiting(session.queue):
                continue
            if self._is_too_much(session.queue.first()):
                break
            delivery = session.dequeue()
            delivery.retain = delivery.retain and self.is_v5  # it was asked for in 5.0 [3.1.1 MQTT-3.3.1-9]
            if not delivery.message.is_expired(now):  # [5.0 MQTT-3.3.2-5]
                self._start(delivery, now)
        if self.holds_qos0 or (session.queue is not None and session.queue.retained):
            self._hold_qos0(session)
        self._note_change()

    def _is_too_much(self, delivery: Delivery) -> bool:
        """Whether a large message has to wait until others are acknowledged, whose number is bounded, not their size.

        One at a time is never too much. A receiver need not get all at once that its Receive Maximum allows. [5.0 4.9]
        """
        size = len(delivery.message.payload)
        if size <= LARGE_PAYLOAD or delivery.qos == _AT_MOST_ONCE:
            return False
        inflight = self._the_session().inflight.values()  # nothing large is kept in the other form, see `launch`
        sizes = [len(each.message.payload) for each in inflight]
        large = sum([each for each in sizes if each > LARGE_PAYLOAD])
        return large > 0 and large + size > self.output.round.config.inflight_maximum_bytes

    def is_waiting(self) -> bool:
        """Whether messages wait, so that new ones have to queue up behind them."""
        return bool(self._the_session().queue or self._resend)

    def has_to_wait(self) -> bool:
        """Whether a new QoS 1 or 2 message cannot leave now."""
        return self.is_waiting() or not self._may_send()

    def settled(self, count: int, now: float) -> None:
        """So many messages that the fast path sent are settled: others may follow."""
        quota = self.quota
        quota.available = min(quota.receive_maximum, quota.available + count)
        if self.is_waiting():
            self.pump(now)

    def acknowledged(self, packet: PubAck | PubRec | PubComp, now: float) -> None:
        """Take an acknowledgement: answer it, free what it frees. [5.0 4.3.2, 4.3.3]"""
        session = self._the_session()
        if not self._is_older_than_flight(packet):
            session.unpack(now)
        outcome = session.outbound.acknowledge(packet)
        if outcome.answer is not None:
            if self._uncharged and packet.packet_id in self._uncharged:
                self._uncharged.discard(packet.packet_id)
                self.quota.occupy()
            self.send(outcome.answer)
        if outcome.completed is not None:
            session.inflight.pop(outcome.completed, None)
            if self._uncharged and outcome.completed in self._uncharged:
                self._uncharged.discard(outcome.completed)  # it took no place on this connection [5.0 MQTT-3.3.4-9]
            else:
                self.quota.give_back()
            if self.is_waiting():
                self.pump(now)

    def _send_retained(self, queue: Waiting, retained: WaitingRetained, now: float) -> bool:
        """Send the next retained message a subscription brings; False when that goes on later.

        That is when the output was taken, the client reads, and others had their turn: however many there are, little
        is held at a time.
        """
        message = retained.upcoming
        if self.output.writing_paused or self._retained_budget <= 0:
            return False
        if message is not None and self._is_too_much(retained.delivery(message)):
            return False
        retained.go_on()
        if retained.is_over:
            queue.remove_retained(retained.topic_filter)
        session = self._the_session()
        if message is None:
            self._retained_budget -= _SEARCH_COST_BYTES
        else:
            self._retained_budget -= _RETAINED_COST_BYTES
            is_own = retained.no_local and message.publisher == session.client_id  # [5.0 MQTT-3.8.3-3]
            if not (is_own or message.is_expired(now)) and self.output.round.access.may_receive(session, message.topic):
                self._retained_budget -= len(message.payload)
                if retained.record is not None:
                    retained.record.brought(message.topic)
                self._start(retained.delivery(message), now)
        if self._retained_budget <= 0:
            self.output.round.resting.append(self.go_on)
        return True

    def go_on(self, now: float) -> None:
        """The output was taken and others had their turn: more of the retained messages may follow."""
        self._retained_budget = _RETAINED_AT_ONCE_BYTES
        if not self.output.is_closed():
            self.pump(now)

    def _hold_qos0(self, session: Mailbox) -> None:
        """From when retained messages are to come until all that waits has left. [5.0 MQTT-4.6.0-6, 4.9]"""
        self.holds_qos0 = bool(session.queue)
        if not self.holds_qos0:
            session.queue = None
        self.is_plain = not self.holds_qos0 and self._aliases is None and self.maximum_packet_size is None

    def _launch_waiting(self, queue: Waiting) -> bool:
        """Send messages of the run at the queue's head as one; False when there is none, or they go one by one."""
        waiting = queue.first_run()
        if waiting is None:
            return False
        first = waiting.first
        sent = self.launch(waiting.burst, first, waiting.behind - first, waiting.qos, waiting.terms)
        queue.drop_from_run(waiting, sent)
        return sent > 0

    def _is_older_than_flight(self, packet: PubAck | PubRec | PubComp) -> bool:
        """Whether a message was sent before what the fast path keeps, and its next step comes before theirs too."""
        session = self._the_session()
        flight = session.flight
        return flight is None or (packet.packet_id in session.outbound and not flight.releases)

    def _start(self, delivery: Delivery, now: float, *, is_new: bool = False) -> None:
        """Send a message; `is_new` when it did not wait here."""
        publish = delivery.publish(self.version, now)
        if delivery.qos == _AT_MOST_ONCE:  # one that was queued for an absent client
            self._put_in_flight(publish)
            return
        if self._is_too_large(publish):
            return  # as if it had been delivered [5.0 MQTT-3.1.2-25]
        session = self._the_session()
        session.unpack(now)
        numbered = session.outbound.send(publish)
        assert numbered.packet_id is not None
        session.inflight[numbered.packet_id] = delivery
        may_precede = is_new and self._may_precede(delivery.message.body, delivery.qos, numbered.packet_id)
        if session.ledger is not None:
            session.ledger.sent(numbered.packet_id, delivery)
        self.quota.take()
        self._put_in_flight(numbered, may_precede=may_precede)

    def _put_in_flight(self, publish: Publish, *, may_precede: bool = False) -> None:
        try:
            data = encode(publish, self.version)
        except LocalError:
            self._discard(publish)
            return
        if self.maximum_packet_size is not None and len(data) > self.maximum_packet_size:
            self._discard(publish)
            return
        if self._aliases is not None:
            data = self._encode_with_alias(publish, data)
        if may_precede:
            self.output.pass_on(data)
        else:
            self.output.write(data)
        identifiers = publish.properties.subscription_identifier
        if identifiers and len(identifiers) > MANY_IDENTIFIERS:
            self.output.has_swollen(len(data))

    def _encode_with_alias(self, publish: Publish, plain: bytes) -> bytes:
        """The packet with a topic alias, or as it is where setting the alias would make it too large."""
        assert self._aliases is not None
        if self.maximum_packet_size is not None and len(plain) + ALIAS_SIZE > self.maximum_packet_size:
            return plain
        return encode(self._aliases.apply(publish), self.version)

    def _discard(self, publish: Publish) -> None:
        """A message that cannot be sent counts as delivered: it is too large, or not possible in this version.

        [5.0 MQTT-3.1.2-25]
        """
        if publish.packet_id is None:
            return
        session = self._the_session()
        settled = PubAck(publish.packet_id) if publish.qos == QoS.AT_LEAST_ONCE else PubRec(publish.packet_id, 0x80)
        session.outbound.acknowledge(settled)
        session.inflight.pop(publish.packet_id, None)
        self.quota.give_back()

    def _refreshed(self, publish: Publish, now: float) -> Publish:
        """A re-sent PUBLISH in the client's present version and with the expiry that is left."""
        assert publish.packet_id is not None
        delivery = self._the_session().inflight.get(publish.packet_id)
        if delivery is None:
            return publish
        properties = delivery.message.properties_for(self.version, delivery.subscription_ids, now)
        return replace(publish, properties=properties)

    def _is_too_large(self, publish: Publish) -> bool:
        if self.maximum_packet_size is None:
            return False
        return len(encode(replace(publish, packet_id=1), self.version)) > self.maximum_packet_size

    def _note_change(self) -> None:
        """More or fewer messages wait in the session: backpressure looks at it when the present read is over."""
        self.output.round.changed[self.output] = None

    def _may_send(self) -> bool:
        return self.quota.available > 0 and not self.output.is_overfull()

    def _the_session(self) -> Mailbox:
        assert self._session is not None, "messages flow only after begin()"
        return self._session


def without_diagnostics(packet: Packet) -> Packet:
    """The packet without Reason String and User Property, which may not make it too large. [5.0 MQTT-3.4.2-2]"""
    if isinstance(packet, PingReq | PingResp):
        return packet
    return replace(packet, properties=replace(packet.properties, reason_string=None, user_property=()))


def swells(terms: Terms) -> bool:
    """Whether messages have to go one by one, because of what a receiver's identifiers add to each."""
    return len(terms.subscription_ids) > MANY_IDENTIFIERS
