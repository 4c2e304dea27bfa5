"""Invariants of messages: how often each arrives, in which order, and that nothing acknowledged is lost.

Belongs here: one book for each. Does not belong here: what is owed to whom (`ledger`), connections (`books_links`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from interop.simulation.book import V5, V31, V311, Book
from interop.simulation.ledger import Ledger
from interop.simulation.shares import SharedDue
from interop.simulation.wires import Due, Seat, Wire, number_of
from reference_broker.client import Session
from reference_broker.client.events import Event, Failed, Message, Published
from reference_broker.wire.packets import Packet, PubAck, Publish, PubRec
from reference_broker.wire.topics import matches
from reference_broker.wire.types import PacketType, QoS, is_error

ONCE = {V31: "MQTT31-26", V311: "MQTT-4.3.3-2", V5: "MQTT-4.3.3-10"}
NOBODY_ASKED = {V311: "MQTT-3.3.5-1", V5: "MQTT-3.3.4-3"}
GRANTED = {V311: "MQTT-3.8.4-6", V5: "MQTT-3.8.4-8"}
NOT_LOST = {V311: "MQTT-4.3.2-1", V5: "MQTT-4.1.0-1"}
SERVER_ORDER = {V311: "MQTT-4.6.0-6", V5: "MQTT-4.6.0-5"}
CLIENT_ORDER = {V311: "MQTT-4.6.0-1", V5: "MQTT-4.6.0-1"}
RETAINED = {V311: "MQTT-3.3.1-5", V5: "MQTT-3.3.1-5"}
RELEASES = {V311: "MQTT-4.3.3-1", V5: "MQTT-4.3.3-4"}
TIME_LEFT = {V5: "MQTT-3.3.2-6"}
EXPIRED = {V5: "MQTT-3.3.2-5"}
SHARED_QOS = {V5: "MQTT-4.8.2-3"}
NOBODY_ELSE = {V5: "MQTT-4.8.2-5"}
SHARED = {V5: "MQTT-4.1.0-1"}
ACKNOWLEDGES = {V311: "MQTT-4.3.2-2", V5: "MQTT-4.3.2-4"}


class Copies(Book):
    """QoS 2 exactly once, QoS 1 at least once, QoS 0 at most once; nothing to who did not ask for it."""

    name = "each message as often as its QoS says"

    def told(self, wire: Wire, event: Event) -> None:
        """A client told its application something."""
        if not isinstance(event, Message):
            return
        seat = wire.seat
        assert seat is not None
        number = number_of(event.payload)
        due = seat.dues.get(number)
        if event.retain:
            if due is None or not any(is_retained for is_retained, _ in due.forms):
                self._retained(wire, seat, event)
            else:  # as published, or what a subscription asked for: nobody can tell
                due.told += 1
            return
        what = f"{wire}: message {number} at QoS {event.qos:d} on {event.topic}"
        shared = self.ledger.shares.of(seat, number)
        if shared is not None and (due is None or due.told >= due.copies or not due.levels >> event.qos & 1):
            self._shared(what, wire, seat, shared, event)
            return
        if shared is not None:  # it may be the share's: nobody can tell
            shared.is_optional = True
        if due is None or due.topic != event.topic:
            raise self.broken(f"{what} came to who has no subscription for it", wire.version, NOBODY_ASKED)
        if not due.levels >> event.qos & 1:
            raise self.broken(f"{what} came with another QoS than was due", wire.version, GRANTED)
        due.told += 1
        if event.qos != QoS.AT_LEAST_ONCE and due.told > due.copies and due.levels == 1 << event.qos:
            raise self.broken(f"{what} was delivered {due.told} times, not {due.copies}", wire.version, ONCE)

    def _shared(self, what: str, wire: Wire, seat: Seat, shared: SharedDue, event: Message) -> None:
        """It came as to a member of a share, or to the session itself once more, which nobody can tell."""
        published = self.ledger.accepted[shared.number]
        granted = (qos for qos in QoS if seat.shares[shared.share] >> qos & 1)
        own = seat.dues.get(shared.number)
        if event.qos not in {min(qos, published.qos) for qos in granted} and (
            own is None or not own.levels >> event.qos & 1
        ):
            raise self.broken(f"{what} came with another QoS than was due", wire.version, SHARED_QOS)
        shared.told += 1
        shared.told_once += event.qos != QoS.AT_LEAST_ONCE
        self.break_if(
            shared.told_once > shared.copies,
            f"{what} came {shared.told_once} times to members of {shared.share}, not {shared.copies}",
            wire.version,
            NOBODY_ELSE,
        )

    def _retained(self, wire: Wire, seat: Seat, event: Message) -> None:
        is_wanted = any(matches(topic_filter, event.topic) for topic_filter in seat.retained_copies)
        published = self.ledger.accepted.get(number_of(event.payload))
        if not is_wanted or published is None or not published.retain:
            raise self.broken(
                f"{wire}: a retained message on {event.topic} came to who did not ask", wire.version, NOBODY_ASKED
            )

    def settled(self) -> None:
        """Everything has arrived."""
        for seat in self.ledger.seats.values():
            for due in seat.dues.values():
                self.break_if(
                    due.told == 0 and not due.is_optional and (due.has_begun or due.expires_at is None),
                    f"{seat.name}: message {due.number} on {due.topic} from {due.publisher} was accepted for it "
                    "and never arrived",
                    seat.version,
                    NOT_LOST,
                )


class Shared(Book):
    """A message for a share comes to one member; what one has begun to get at QoS 2 goes to nobody else."""

    name = "one member gets what is shared"

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet."""
        seat = wire.seat
        if not isinstance(packet, Publish) or not packet.qos or seat is None or not seat.shares:
            return
        number = number_of(packet.payload)
        due = self.ledger.shares.of(seat, number)
        if due is None:
            return
        if number in seat.dues:  # it may be the session's own
            if packet.qos == QoS.EXACTLY_ONCE:
                due.perhaps_begun.add(seat)
                due.is_optional |= seat.has_ended
            return
        due.sent_on[seat] = wire
        here = sum(each.wire is last for each, last in due.sent_on.items())
        self.break_if(
            here > due.copies,
            f"{wire}: message {number} for {due.share} was sent to {here} members who are there, not {due.copies}",
            wire.version,
            {},
        )
        if packet.qos != QoS.EXACTLY_ONCE:
            return
        due.begun.add(seat)
        due.is_optional |= seat.has_ended  # it waited to be kept, its session did not: nobody else gets it
        self.break_if(
            len(due.begun) > due.copies,
            f"{wire}: message {number} for {due.share} was sent to {len(due.begun)} sessions, not {due.copies}",
            wire.version,
            NOBODY_ELSE,
        )

    def settled(self) -> None:
        """Everything has arrived."""
        for due in self.ledger.shares.missing():
            raise self.broken(
                f"message {due.number} from {due.publisher} was accepted for {due.share} and came to no member",
                V5,
                SHARED,
            )


class Expiry(Book):
    """No delivery begins when a message has expired, and none says that there is more time left than there is."""

    name = "nothing is sent that has expired"

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet."""
        if not isinstance(packet, Publish) or wire.seat is None:
            return
        due = wire.seat.dues.get(number_of(packet.payload))
        if due is None:
            return
        if due.expires_at is not None:
            self._look(wire, packet, due, due.expires_at - wire.written_at)
        self.ledger.begun(wire.seat, due, packet.qos)

    def _look(self, wire: Wire, packet: Publish, due: Due, left_seconds: float) -> None:
        what = f"{wire}: message {due.number}"
        is_first = not due.has_begun and not packet.dup  # it may have been sent to who did not read
        self.break_if(left_seconds < 0 and is_first, f"{what} was sent {-left_seconds:g} s after its end", V5, EXPIRED)
        said = packet.properties.message_expiry_interval
        self.break_if(
            said is not None and said >= max(0.0, left_seconds) + 1,
            f"{what} was sent with {said} s to live, of which {left_seconds:g} s are left",
            V5,
            TIME_LEFT,
        )


class ServerOrder(Book):
    """Messages of one publisher, topic and QoS come in the order in which the broker got them."""

    name = "order for each topic and publisher"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._last: dict[tuple[Seat, str, str, int], Due] = {}

    def told(self, wire: Wire, event: Event) -> None:
        """A client told its application something."""
        if not isinstance(event, Message) or event.retain:
            return
        seat = wire.seat
        assert seat is not None
        due = seat.dues.get(number_of(event.payload))
        if due is None or due.told > 1:  # the books before this one have counted it
            return
        if self.ledger.shares.of(seat, due.number) is not None:  # it may be what another member left
            return
        key = (seat, due.publisher, due.topic, event.qos)
        last = self._last.get(key)
        if last is not None and last.first_order > due.last_order:
            raise self.broken(
                f"{wire}: message {due.number} came behind {last.number}, which {due.publisher} had sent later to "
                f"{due.topic} at QoS {event.qos:d}",
                wire.version,
                SERVER_ORDER,
            )
        self._last[key] = due


class ClientOrder(Book):
    """A client's messages of one QoS reach the broker first in the order in which they were published."""

    name = "order of a client's own messages"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._last: dict[tuple[str, int], int] = {}

    def broker_got(self, wire: Wire, packet: Packet) -> None:
        """A packet reached the broker."""
        if not isinstance(packet, Publish) or packet.dup:
            return
        key, number = (wire.name, packet.qos), number_of(packet.payload)
        last = self._last.get(key, 0)
        if number < last:
            raise self.broken(
                f"{wire}: sent message {number} for the first time behind {last}", wire.version, CLIENT_ORDER
            )
        self._last[key] = number


class Acknowledged(Book):
    """What is acknowledged was accepted, each message of a client is settled once, and what is retained is there."""

    name = "nothing acknowledged lost"

    _KINDS: ClassVar = {PacketType.PUBACK: QoS.AT_LEAST_ONCE, PacketType.PUBREC: QoS.EXACTLY_ONCE}

    def __init__(self, ledger: Ledger, sessions: Mapping[str, Session]) -> None:
        """`sessions` are the clients' own, by name."""
        super().__init__(ledger)
        self._arrived: dict[tuple[Wire, int], int] = {}
        """What reached the broker on each connection under a packet identifier and has no answer yet."""
        self._settled: set[tuple[str, int]] = set()
        self._sessions = sessions

    def broker_got(self, wire: Wire, packet: Packet) -> None:
        """A packet reached the broker."""
        if isinstance(packet, Publish) and packet.qos:
            assert packet.packet_id is not None
            key = (wire, packet.packet_id)
            self._arrived[key] = self._arrived.get(key, 0) + 1

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet."""
        if not isinstance(packet, PubAck | PubRec):
            return
        key = (wire, packet.packet_id)
        waiting = self._arrived.get(key, 0)
        if not waiting:
            raise self.broken(
                f"{wire}: {packet.type.name} {packet.packet_id} acknowledges what never came",
                wire.version,
                ACKNOWLEDGES,
            )
        if is_error(packet.reason):
            raise self.broken(
                f"{wire}: {packet.type.name} {packet.packet_id} refuses with {packet.reason:#04x} what is allowed",
                wire.version,
                ACKNOWLEDGES,
            )
        if waiting == 1:
            del self._arrived[key]
        else:
            self._arrived[key] = waiting - 1

    def told(self, wire: Wire, event: Event) -> None:
        """A client told its application something."""
        if not isinstance(event, Published | Failed):
            return
        key = (wire.name, event.ticket)
        if key in self._settled:
            raise self.broken(f"{wire}: the fate of message ticket {event.ticket} was told twice", wire.version, {})
        self._settled.add(key)

    def settled(self) -> None:
        """Everything has arrived."""
        for wire, packet_id in self._arrived:
            self.break_if(
                wire.is_broker_up and wire.is_client_up,
                f"{wire}: packet identifier {packet_id} was never acknowledged",
                wire.version,
                ACKNOWLEDGES,
            )
        for name, session in self._sessions.items():
            self.break_if(
                len(session) > 0, f"{name}: {len(session)} of its messages are never settled", V5, ACKNOWLEDGES
            )

            self.break_if(
                len(session.inbound) > 0,
                f"{name}: {len(session.inbound)} QoS 2 messages are never released",
                V5,
                RELEASES,
            )

    def retained(self, found: Mapping[str, int]) -> None:
        """Somebody new was sent these retained messages, by topic."""
        ledger = self.ledger
        due = {
            topic: number
            for topic, number in ledger.retained.items()
            if ledger.retained_until.get(number, ledger.now) >= ledger.now
        }
        if found != due:
            raise self.broken(f"retained are {found}, and should be {due}", V5, RETAINED)
