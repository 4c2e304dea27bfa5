"""What the broker owes, by all that has reached it: sessions, subscriptions, wills, and each message's receivers.

Belongs here: the specification's state of a server as a model of its own, told packet by packet.
Does not belong here: whether the broker does as it should (the books), the broker's own code: nothing of it is used.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from interop.simulation.shares import Shares, is_shared
from interop.simulation.turns import Turns
from interop.simulation.wires import Due, Form, Seat, Wire, number_of
from reference_broker.broker import BrokerConfig, DropPolicy
from reference_broker.wire.packets import (
    Connect,
    Disconnect,
    Packet,
    Publish,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from reference_broker.wire.properties import NEVER_EXPIRES
from reference_broker.wire.topics import matches
from reference_broker.wire.types import PacketType, QoS, ReasonCode, Version


class _Terms(NamedTuple):
    """What a session is to get of a topic: with which QoS, at most how often, in which form; RETAIN as it came or not.

    Where its subscriptions differ about Retain As Published either will do.
    """

    qos: QoS
    copies: int
    identifiers: tuple[int, ...]
    may_keep_retain: bool
    may_clear_retain: bool

    def forms(self, packet: Publish) -> set[Form]:
        """The forms in which this message may come."""
        return {
            (is_retained, self.identifiers)
            for is_retained in (True, False)
            if (packet.retain and self.may_keep_retain if is_retained else not packet.retain or self.may_clear_retain)
        }


LONG_QUEUE = 1_000_000
"""So many messages never wait in a world."""
_Target = tuple[Seat, _Terms, bool]


class Ledger:
    """All sessions by name; `retained` has the number of each topic's retained message."""

    def __init__(self, config: BrokerConfig, *, may_forget: bool = False) -> None:
        """`may_forget`: the broker may crash, and turns that are not committed are as if they had not been."""
        self._queue_maximum = config.queue_maximum_messages
        self.shares = Shares(may_drop=config.queue_maximum_messages < LONG_QUEUE)
        self._drops_oldest = config.queue_drop_policy is DropPolicy.OLDEST
        self.now = 0.0
        self._turns = Turns() if may_forget else None
        self.seats: dict[str, Seat] = {}
        self.retained: dict[str, int] = {}
        self.retained_until: dict[int, float] = {}
        """When retained messages expire, by number."""
        self.unanswered: set[Wire] = set()
        """Connections with a CONNECT and no CONNACK yet."""
        self.wills_due: dict[int, str] = {}
        """Wills that are to be published now, by number: whose they are."""
        self.accepted: dict[int, Publish] = {}
        """All messages, by number, with whole topics and without aliases."""
        self._timers: list[tuple[float, int, Callable[[Seat], None], Seat]] = []
        self._count = 0
        self._routes: dict[str, list[_Target]] = {}

    # --- what reaches the broker --------------------------------------------------------------------------------------

    def got(self, wire: Wire, packet: Packet) -> None:
        """A whole packet reached the broker, on a connection that it has not closed."""
        wire.last_got = self.now
        self._remember()
        handler = self._HANDLERS.get(packet.type)
        if handler is not None:
            handler(self, wire, packet)

    def lost(self, wire: Wire) -> None:
        """The broker learned that a connection is over, or ended it itself."""
        self._remember()
        seat = wire.seat
        if seat is not None and seat.wire is wire:
            self._leave(seat, publish_will=True)

    def next_deadline(self) -> float | None:
        """When `pass_time` has something to do."""
        return self._timers[0][0] if self._timers else None

    def pass_time(self, now: float) -> None:
        """It is so late now: wills and ends of sessions are due."""
        self.now = now
        if self._timers and self._timers[0][0] <= now:
            self._remember()
        while self._timers and self._timers[0][0] <= now:
            _, _, callback, seat = heapq.heappop(self._timers)
            callback(seat)

    # --- what the broker may forget -----------------------------------------------------------------------------------

    def turn_over(self) -> None:
        """What reached the broker so far is one turn."""
        if self._turns is not None:
            self._turns.over(self.now)

    def commit(self, count: int) -> None:
        """So many turns more will be remembered whatever happens."""
        assert self._turns is not None
        self._turns.commit(count)

    def acknowledged(self, will: int) -> None:
        """The witness, which survives crashes, acknowledges a will."""
        assert self._turns is not None
        self._turns.acknowledged(will)

    def crash(self, now: float) -> None:
        """All is as after the last turn committed, and nobody is connected; another broker starts now.

        A turn that was not committed is as if it had not been: what it published may come once more, and does, where it
        is a will, as that is still stored; a will of a CONNECT that was lost is lost, that of a DISCONNECT is there.
        Where several wills are due by now, they come in the order in which their sessions began.
        """
        turns = self._turns
        assert turns is not None
        self.seats, self.retained = turns.go_back(self.seats, self.retained)
        self._routes.clear()
        self._timers.clear()
        died_at, repeated = turns.start(now)
        for seat in self.seats.values():
            if seat.wire is not None:
                self._set_deadlines(seat, died_at)
            if seat.end_at is not None:
                self._at(max(now, seat.end_at), self._end_is_due, seat)
            if seat.will_at is not None:
                self._at(max(now, seat.will_at), self._will_is_due, seat)
        self.wills_due.update(dict.fromkeys(repeated, "a client before the crash"))
        self.pass_time(now)

    def _remember(self) -> None:
        if self._turns is not None:
            self._turns.remember(self.seats, self.retained)

    # --- connections --------------------------------------------------------------------------------------------------

    def _connect(self, wire: Wire, packet: Connect) -> None:
        seat = self.seats.get(packet.client_id)
        if seat is not None and seat.wire is not None:  # [5.0 MQTT-3.1.4-3]
            seat.wire.is_taken_over = True
            self._leave(seat, publish_will=True)
            seat = self.seats.get(packet.client_id)
        if seat is not None and packet.clean_start:  # [5.0 MQTT-3.1.2-4]
            self._end(seat)
            seat = None
        self.unanswered.add(wire)
        wire.is_resumed = seat is not None
        if seat is None:
            seat = self.seats[packet.client_id] = Seat(packet.client_id, packet.version)
        seat.version = packet.version
        seat.will_at = seat.end_at = None
        seat.will = packet.will
        if packet.version is Version.V5:
            seat.expiry_seconds = packet.properties.session_expiry_interval or 0
            wire.receive_maximum = packet.properties.receive_maximum or 65_535
            seat.maximum_packet_size = packet.properties.maximum_packet_size
        else:
            seat.expiry_seconds = 0 if packet.clean_start else NEVER_EXPIRES
        wire.keep_alive = packet.keep_alive
        wire.seat, seat.wire = seat, wire

    def _disconnect(self, wire: Wire, packet: Disconnect) -> None:
        seat = wire.seat
        wire.said_goodbye = True
        if seat is None or seat.wire is not wire:
            return
        expiry = packet.properties.session_expiry_interval
        if expiry is not None:
            seat.expiry_seconds = expiry
        self._leave(seat, publish_will=packet.reason == ReasonCode.DISCONNECT_WITH_WILL_MESSAGE)

    def _leave(self, seat: Seat, *, publish_will: bool) -> None:
        """[5.0 MQTT-3.1.2-8, MQTT-3.1.2-10]"""
        if not publish_will:
            seat.will = None
        self._set_deadlines(seat, self.now)
        if seat.will_at is not None:
            if seat.will_at > self.now:
                self._at(seat.will_at, self._will_is_due, seat)
            else:
                self._publish_will(seat)
        if seat.end_at is not None:
            if seat.end_at > self.now:
                self._at(seat.end_at, self._end_is_due, seat)
            else:
                self._end(seat)

    def _set_deadlines(self, seat: Seat, closed_at: float) -> None:
        """Its connection was closed then: when its will is due, and when its end. [5.0 3.1.2.11.2, 3.1.3.2.2]"""
        seat.wire = None
        if seat.will is not None:
            seat.will_at = closed_at + min(seat.will.properties.will_delay_interval or 0, seat.expiry_seconds)
        if seat.expiry_seconds != NEVER_EXPIRES:
            seat.end_at = closed_at + seat.expiry_seconds

    def _will_is_due(self, seat: Seat) -> None:
        if seat.will_at is not None and seat.will_at <= self.now:
            self._publish_will(seat)

    def _end_is_due(self, seat: Seat) -> None:
        if seat.end_at is not None and seat.end_at <= self.now:
            self._end(seat)

    def _end(self, seat: Seat) -> None:
        if seat.has_ended:
            return
        seat.has_ended = True
        del self.seats[seat.name]
        self.shares.left(seat, self.seats.values(), has_ended=True)
        self._routes.clear()
        self._publish_will(seat)  # [5.0 3.1.3.2.2]

    def _publish_will(self, seat: Seat) -> None:
        will, seat.will, seat.will_at = seat.will, None, None
        if will is None:
            return
        number = number_of(will.payload)
        self.wills_due[number] = seat.name
        if self._turns is not None:
            self._turns.published(number)
        properties = replace(will.properties, will_delay_interval=None)
        self.accept(seat.name, number, Publish(will.topic, will.payload, will.qos, will.retain, properties=properties))

    def _at(self, deadline: float, callback: Callable[[Seat], None], seat: Seat) -> None:
        self._count += 1
        heapq.heappush(self._timers, (deadline, self._count, callback, seat))

    # --- messages -----------------------------------------------------------------------------------------------------

    def _publish(self, wire: Wire, packet: Publish) -> None:
        seat, alias = wire.seat, packet.properties.topic_alias
        assert seat is not None
        if alias is not None:
            topic = wire.aliases[alias] = packet.topic or wire.aliases[alias]
            packet = replace(packet, topic=topic, properties=replace(packet.properties, topic_alias=None))
        if packet.qos == QoS.EXACTLY_ONCE:
            assert packet.packet_id is not None
            if packet.packet_id in seat.received:
                return  # [5.0 MQTT-4.3.3-10]
            seat.received[packet.packet_id] = None
        self.accept(seat.name, number_of(packet.payload), packet)

    def _pubrel(self, wire: Wire, packet: PubRel) -> None:
        assert wire.seat is not None
        wire.seat.received.pop(packet.packet_id, None)

    def accept(self, publisher: str, number: int, packet: Publish) -> None:
        """The broker took a message over: whoever subscribes to its topic now is to get it. [5.0 3.3.4]"""
        self.accepted[number] = packet
        if packet.retain:
            self.retained[packet.topic] = number
        expiry = packet.properties.message_expiry_interval
        if packet.retain and expiry is not None:
            self.retained_until[number] = self.now + expiry
        for seat, terms, is_no_local in self._route(packet.topic):
            mine = self._own(seat, packet.topic) if is_no_local and seat.name == publisher else terms
            if not mine.copies:
                continue
            qos = min(mine.qos, packet.qos)
            self._count += 1
            seat.waiting.append(self._count)
            due = seat.dues.get(number)
            if due is None:
                due = seat.dues[number] = Due(number, packet.topic, publisher, self._count)
            due.last_order = self._count
            due.levels |= 1 << qos
            if self._turns is not None:
                due.is_optional = False
                self._turns.took_over(due)
            due.copies += mine.copies
            due.forms |= mine.forms(packet)
            if qos == QoS.AT_MOST_ONCE or self._is_too_large(seat, packet) or self._finds_no_room(seat):
                due.is_optional = True
        if expiry is not None:
            self._lives_until(number, self.now + expiry)
        for shared in self.shares.accept(publisher, number, packet, self.seats.values()):
            if self._turns is not None:
                self._turns.took_over(shared)

    def _lives_until(self, number: int, expires_at: float) -> None:
        """Its time begins as it is taken over, also for who was to get it before a crash that forgot it."""
        for seat in self.seats.values():
            if (due := seat.dues.get(number)) is not None:
                due.expires_at = expires_at

    def _route(self, topic: str) -> list[_Target]:
        """For each session that gets a topic: the highest QoS, how many subscriptions, whether one is No Local."""
        route = self._routes.get(topic)
        if route is None:
            route = self._routes[topic] = []
            for seat in self.seats.values():
                found = [each for each in seat.subscriptions.values() if matches(each.topic_filter, topic)]
                if found:
                    route.append((seat, _terms(seat, found), any(s.no_local for s in found)))
        return route

    def _own(self, seat: Seat, topic: str) -> _Terms:
        """What a session gets of its own messages: what is subscribed to without No Local. [5.0 MQTT-3.8.3-3]"""
        found = [s for s in seat.subscriptions.values() if not s.no_local and matches(s.topic_filter, topic)]
        return _terms(seat, found)

    def _is_too_large(self, seat: Seat, packet: Publish) -> bool:
        """[5.0 MQTT-3.1.2-25]"""
        return seat.maximum_packet_size is not None and len(packet.payload) > seat.maximum_packet_size

    def _finds_no_room(self, seat: Seat) -> bool:
        """Whether the newest message may be dropped, as so many may wait; where the oldest go, those may."""
        if self._queue_maximum < LONG_QUEUE and seat.shares:  # how many of those wait nobody knows
            return True
        if len(seat.waiting) <= self._queue_maximum:
            return False
        if self._drops_oldest:
            self._let_off_waiting(seat)
        return not self._drops_oldest or self._queue_maximum == 0

    def _let_off_waiting(self, seat: Seat) -> None:
        """What waits for a session may be dropped, where queues are short."""
        if self._queue_maximum < LONG_QUEUE:
            for due in seat.dues.values():
                due.is_optional = due.is_optional or not due.has_begun

    def begun(self, seat: Seat, due: Due, qos: QoS) -> None:
        """The broker sent a message: nothing that came before waits for that session, but what QoS 0 overtakes."""
        due.has_begun = True
        while qos and seat.waiting and seat.waiting[0] <= due.first_order:
            seat.waiting.popleft()

    def _subscribe(self, wire: Wire, packet: Subscribe) -> None:
        seat = wire.seat
        assert seat is not None
        identifiers = packet.properties.subscription_identifier
        for each in packet.subscriptions:
            seat.subscriptions[each.topic_filter] = each
            seat.identifiers.pop(each.topic_filter, None)
            if identifiers:
                seat.identifiers[each.topic_filter] = identifiers[0]
            if is_shared(each.topic_filter, wire.version):
                self.shares.subscribe(seat, each)
                self._let_off_waiting(seat)
                continue
            seat.retained_copies.setdefault(each.topic_filter, set()).add(identifiers)
            for topic in self.retained:
                if matches(each.topic_filter, topic):
                    self._count += 1
                    seat.waiting.append(self._count)
        self._routes.clear()

    def _unsubscribe(self, wire: Wire, packet: Unsubscribe) -> None:
        seat = wire.seat
        assert seat is not None
        for topic_filter in packet.topic_filters:
            if seat.subscriptions.pop(topic_filter, None) is None:
                continue
            if is_shared(topic_filter, wire.version):
                self.shares.left(seat, self.seats.values(), has_ended=False)
            self._routes.clear()
            for due in seat.dues.values():  # what has begun has to be completed [5.0 MQTT-3.10.4-3]
                if not due.has_begun and matches(topic_filter, due.topic):
                    due.is_optional = True

    _HANDLERS: ClassVar[dict[PacketType, Callable[[Ledger, Wire, Any], None]]] = {
        PacketType.CONNECT: _connect,
        PacketType.DISCONNECT: _disconnect,
        PacketType.PUBLISH: _publish,
        PacketType.PUBREL: _pubrel,
        PacketType.SUBSCRIBE: _subscribe,
        PacketType.UNSUBSCRIBE: _unsubscribe,
    }
    """What a packet does to what is owed; the key fixes its class, which the type of a dict cannot say."""


def _terms(seat: Seat, found: Sequence[Subscription]) -> _Terms:
    """What these subscriptions of a session give it, in one copy. [5.0 MQTT-3.3.4-2, MQTT-3.3.4-4]"""
    identifiers = seat.identifiers
    return _Terms(
        max((each.qos for each in found), default=QoS.AT_MOST_ONCE),
        len(found),
        tuple(sorted(identifiers[each.topic_filter] for each in found if each.topic_filter in identifiers)),
        any(each.retain_as_published for each in found),
        not all(each.retain_as_published for each in found),
    )
