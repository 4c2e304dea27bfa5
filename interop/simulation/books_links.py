"""Invariants of connections and sessions: identifiers, quotas, wills, how sessions last and connections end, memory.

Belongs here: one book for each. Does not belong here: messages (`books_messages`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from interop.simulation.book import V5, V311, Book
from interop.simulation.ledger import Ledger
from interop.simulation.steps import WILL_TOPIC
from interop.simulation.wires import Seat, Wire, number_of
from reference_broker.broker import Broker
from reference_broker.client.events import Cause, Disconnected, Event
from reference_broker.wire.packets import ConnAck, Packet, PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import PacketType, is_error

PACKET_IDS = {V311: "MQTT-2.3.1-4", V5: "MQTT-2.2.1-4"}
CLIENT_PACKET_IDS = {V311: "MQTT-2.3.1-2", V5: "MQTT-2.2.1-3"}
DUP = {V311: "MQTT-3.3.1-1", V5: "MQTT-3.3.1-1"}
RELEASED = {V311: "MQTT-4.3.3-1", V5: "MQTT-4.3.3-6"}
QUOTA = {V5: "MQTT-3.3.4-9"}
CLIENT_QUOTA = {V5: "MQTT-3.3.4-7"}
WILL = {V311: "MQTT-3.1.2-8", V5: "MQTT-3.1.2-8"}
WILL_ELSE = {V311: "MQTT-3.1.2-10", V5: "MQTT-3.1.2-10"}
SESSION_PRESENT = {V311: "MQTT-3.2.2-2", V5: "MQTT-3.2.2-3"}
SESSION_ABSENT = {V311: "MQTT-3.2.2-3", V5: "MQTT-3.2.2-2"}
KEEP_ALIVE = {V311: "MQTT-3.1.2-24", V5: "MQTT-3.1.2-22"}
SERVER_GRACE = 1.5

_FREES = frozenset({PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBCOMP})


class _Numbers:
    """The packet identifiers one sender has in use in one session."""

    __slots__ = ("publishes", "releases")

    def __init__(self) -> None:
        self.publishes: dict[int, bytes] = {}
        self.releases: set[int] = set()


class PacketIds(Book):
    """No packet identifier stands for two messages at a time; a repeat has DUP, a first PUBLISH has not."""

    name = "no packet id twice"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._of_broker: defaultdict[Seat, _Numbers] = defaultdict(_Numbers)

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet."""
        if isinstance(packet, Publish):
            if not packet.qos or wire.seat is None:
                return
            numbers, packet_id = self._of_broker[wire.seat], packet.packet_id
            assert packet_id is not None
            what = f"{wire}: the broker's PUBLISH {packet_id} with message {number_of(packet.payload)}"
            if packet_id in numbers.releases:
                raise self.broken(f"{what} came behind the PUBREL of that identifier", wire.version, RELEASED)
            known = numbers.publishes.get(packet_id)
            if known is None:
                # What was held back for a client that did not read was sent, as far as the broker knows.
                self.break_if(
                    packet.dup and not wire.is_resumed, f"{what} has DUP and is none's repeat", wire.version, DUP
                )
                numbers.publishes[packet_id] = packet.payload
                return
            self.break_if(
                known != packet.payload, f"{what} has the identifier of message {number_of(known)}, which is not "
                "acknowledged", wire.version, PACKET_IDS,
            )  # fmt: skip
            self.break_if(not packet.dup, f"{what} is a repeat without DUP", wire.version, DUP)
        elif isinstance(packet, PubRel) and wire.seat is not None:
            numbers = self._of_broker[wire.seat]
            if numbers.publishes.pop(packet.packet_id, None) is not None:
                numbers.releases.add(packet.packet_id)

    def broker_got(self, wire: Wire, packet: Packet) -> None:
        """A packet reached the broker."""
        if packet.type not in _FREES or wire.seat is None:
            return
        assert isinstance(packet, PubAck | PubRec | PubComp)
        numbers = self._of_broker[wire.seat]
        if packet.type is PacketType.PUBREC and not is_error(packet.reason):
            return
        numbers.publishes.pop(packet.packet_id, None)
        numbers.releases.discard(packet.packet_id)


class Quota(Book):
    """Never more QoS 1 and 2 messages without acknowledgement on one connection than the receiver allows."""

    name = "quota kept"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._of_broker: defaultdict[Wire, set[int]] = defaultdict(set)
        self._of_client: defaultdict[Wire, set[int]] = defaultdict(set)

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet."""
        if isinstance(packet, Publish) and packet.qos:
            self._sent(self._of_broker[wire], wire, packet, wire.receive_maximum, "the broker")

    def broker_got(self, wire: Wire, packet: Packet) -> None:
        """A packet reached the broker."""
        if packet.type in _FREES:
            _free(self._of_broker[wire], packet)

    def client_sent(self, wire: Wire, packet: Packet) -> None:
        """The client sent a packet."""
        if isinstance(packet, Publish) and packet.qos:
            self._sent(self._of_client[wire], wire, packet, wire.server_receive_maximum, "the client")

    def client_got(self, wire: Wire, packet: Packet) -> None:
        """A packet reached the client."""
        if packet.type in _FREES:
            _free(self._of_client[wire], packet)
        elif isinstance(packet, ConnAck):
            wire.server_receive_maximum = packet.properties.receive_maximum or 65_535

    def _sent(self, unanswered: set[int], wire: Wire, packet: Publish, maximum: int, who: str) -> None:
        assert packet.packet_id is not None
        unanswered.add(packet.packet_id)
        if len(unanswered) > maximum:
            raise self.broken(
                f"{wire}: {who} has {len(unanswered)} messages without acknowledgement, {maximum} are allowed",
                V5,
                QUOTA if who == "the broker" else CLIENT_QUOTA,
            )


def _free(unanswered: set[int], packet: Packet) -> None:
    assert isinstance(packet, PubAck | PubRec | PubComp)
    if packet.type is not PacketType.PUBREC or is_error(packet.reason):
        unanswered.discard(packet.packet_id)


class Wills(Book):
    """A will is published exactly when it is due, once, and never else; a witness sees all of them at once."""

    name = "will exactly when due"

    def seen(self, _wire: Wire, packet: Packet) -> None:
        """The broker sent the witness something."""
        if not isinstance(packet, Publish) or packet.topic != WILL_TOPIC or packet.retain or not packet.payload:
            return
        number = number_of(packet.payload)
        if number not in self.ledger.wills_due:
            raise self.broken(f"will {number} was published when it was not due", V5, WILL_ELSE)
        del self.ledger.wills_due[number]

    def turn_over(self) -> None:
        """The broker has done what was due."""
        for number, name in self.ledger.wills_due.items():
            raise self.broken(f"will {number} of {name} is due and was not published", V5, WILL)


class Sessions(Book):
    """A session is there as long as was agreed, and no longer."""

    name = "sessions last as agreed"

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet."""
        if not isinstance(packet, ConnAck):
            return
        if packet.reason or wire not in self.ledger.unanswered:
            raise self.broken(f"{wire}: CONNACK {packet.reason:#04x} to a CONNECT that is right", wire.version, {})
        self.ledger.unanswered.discard(wire)
        resumed = wire.is_resumed
        if wire.version < V311:
            return  # has no Session Present
        if resumed and not packet.session_present:
            raise self.broken(f"{wire}: the session is gone that was to be kept", wire.version, SESSION_PRESENT)
        if packet.session_present and not resumed:
            raise self.broken(f"{wire}: a session is present that should not be", wire.version, SESSION_ABSENT)


class Endings(Book):
    """A connection ends by its client, the network, a takeover or silence, and by nothing else."""

    name = "nobody is turned away"

    _CONNECT_SECONDS = 10.0
    _FINE = frozenset({Cause.REQUESTED, Cause.LOST, Cause.NO_CONNACK, Cause.NO_PINGRESP, Cause.BY_SERVER})

    def broker_closed(self, wire: Wire) -> None:
        """The broker closed a connection."""
        now = self.ledger.now
        if wire.said_goodbye or wire.is_taken_over:
            return
        if wire.seat is None:
            if now >= wire.opened_at + self._CONNECT_SECONDS:
                return
        elif wire.keep_alive and now >= wire.last_got + SERVER_GRACE * wire.keep_alive:
            return
        raise self.broken(f"{wire}: the broker closed it and has no reason to", wire.version, {})

    def told(self, wire: Wire, event: Event) -> None:
        """A client told its application something."""
        if isinstance(event, Disconnected) and event.cause not in self._FINE:
            raise self.broken(f"{wire}: the client gave up: {event}", wire.version, {})

    def overdue(self, wire: Wire) -> None:
        """The broker has the connection still: is it silent for too long?"""
        if wire.keep_alive and not wire.was_held_back and not wire.said_goodbye:
            self.break_if(
                self.ledger.now > wire.last_got + SERVER_GRACE * wire.keep_alive,
                f"{wire}: silent for {self.ledger.now - wire.last_got:g} s at a keep alive of {wire.keep_alive} s",
                wire.version,
                KEEP_ALIVE,
            )


class Memory(Book):
    """The broker holds what its sessions need, and nothing when they are over."""

    name = "memory bounded"

    def __init__(self, ledger: Ledger, broker: Callable[[], Broker]) -> None:
        super().__init__(ledger)
        self._broker = broker

    def settled(self) -> None:
        """Everything was delivered: nothing is in flight, nothing waits."""
        house = self._broker().house
        self.break_if(
            len(house.sessions) != len(self.ledger.seats) + 1,
            f"{len(house.sessions) - 1} sessions are kept, and {len(self.ledger.seats)} there are", V5, {},
        )  # fmt: skip
        for session in house.sessions:
            held = len(session.outbound) + len(session.inflight) + len(session.queue or ()) + len(session.inbound)
            self.break_if(
                held > 0, f"{session.client_id}: {held} messages are held, and all have arrived", session.version, {}
            )

    def emptied(self) -> None:
        """All have left for good."""
        house = self._broker().house
        left = {
            "sessions": len(house.sessions),
            "bytes of sessions": house.sessions.size_bytes,
            "bytes of subscriptions": house.router.size_bytes(),
            "connections": len(house.connections) + len(house.opening) + house.connected_count,
            "retained messages": len(house.retained),
        }
        for what, count in left.items():
            self.break_if(count > 0, f"all have left, and the broker holds {count} {what}", V5, {})
