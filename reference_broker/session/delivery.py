"""QoS 1 and QoS 2 delivery as two automata, each written as a table. [3.1.1 4.3, 5.0 4.3]

Belongs here: which acknowledgement follows which packet, what is kept until then, and what is sent again after a
reconnection. The same code serves a broker and a client, because the rules are those of a sender and a receiver.
Does not belong here: when a packet may leave (`flow_control`), bytes, timers, or whom a message is for.

Both objects are part of the session state: they outlive a network connection. [3.1.1 3.1.2.4, 5.0 4.1]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from reference_broker.session.packet_ids import PacketIds
from reference_broker.wire.errors import LocalError, ProtocolError
from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import PacketType, QoS, ReasonCode, Version, is_error


class Sending(StrEnum):
    """Where an outgoing message stands, named by what its sender waits for."""

    UNKNOWN = "no such message"
    PUBACK = "waits for PUBACK"
    PUBREC = "waits for PUBREC"
    PUBCOMP = "waits for PUBCOMP"


class Receiving(StrEnum):
    """Where an incoming QoS 2 message stands."""

    UNKNOWN = "no such message"
    RECEIVED = "waits for PUBREL"


ACCEPTED, REFUSED = False, True
"""Whether the acknowledgement's reason is an error, 0x80 or greater."""

SENDER: dict[tuple[Sending, PacketType, bool], tuple[Sending, PacketType | None]] = {
    # QoS 1: any PUBACK settles the message. [5.0 MQTT-4.3.2-3, MQTT-4.4.0-2]
    (Sending.PUBACK, PacketType.PUBACK, ACCEPTED): (Sending.UNKNOWN, None),
    (Sending.PUBACK, PacketType.PUBACK, REFUSED): (Sending.UNKNOWN, None),
    # QoS 2: PUBREC asks for PUBREL, unless it refuses and so settles the message. [5.0 MQTT-4.3.3-4, MQTT-4.4.0-2]
    (Sending.PUBREC, PacketType.PUBREC, ACCEPTED): (Sending.PUBCOMP, PacketType.PUBREL),
    (Sending.PUBREC, PacketType.PUBREC, REFUSED): (Sending.UNKNOWN, None),
    # A receiver that saw the PUBLISH twice answers twice; PUBREL is all that may still be sent. [5.0 MQTT-4.3.3-6]
    (Sending.PUBCOMP, PacketType.PUBREC, ACCEPTED): (Sending.PUBCOMP, PacketType.PUBREL),
    (Sending.PUBCOMP, PacketType.PUBREC, REFUSED): (Sending.UNKNOWN, None),
    # PUBCOMP 0x92 means the receiver has nothing to release: settled as well. [5.0 3.7.2.1]
    (Sending.PUBCOMP, PacketType.PUBCOMP, ACCEPTED): (Sending.UNKNOWN, None),
    (Sending.PUBCOMP, PacketType.PUBCOMP, REFUSED): (Sending.UNKNOWN, None),
    # The sender lost its state, the receiver did not: PUBREL frees the identifier there. [5.0 3.6.2.1]
    (Sending.UNKNOWN, PacketType.PUBREC, ACCEPTED): (Sending.UNKNOWN, PacketType.PUBREL),
    (Sending.UNKNOWN, PacketType.PUBREC, REFUSED): (Sending.UNKNOWN, None),
    (Sending.UNKNOWN, PacketType.PUBACK, ACCEPTED): (Sending.UNKNOWN, None),
    (Sending.UNKNOWN, PacketType.PUBACK, REFUSED): (Sending.UNKNOWN, None),
    (Sending.UNKNOWN, PacketType.PUBCOMP, ACCEPTED): (Sending.UNKNOWN, None),
    (Sending.UNKNOWN, PacketType.PUBCOMP, REFUSED): (Sending.UNKNOWN, None),
}
"""(state, acknowledgement, refused?) -> (next state, answer). What is not here is out of order. [5.0 4.13.1]"""

RECEIVER: dict[tuple[Receiving, PacketType], tuple[Receiving, bool]] = {
    (Receiving.UNKNOWN, PacketType.PUBLISH): (Receiving.RECEIVED, True),
    # A repeat, whatever its DUP flag says: acknowledged again, delivered no more. [5.0 MQTT-4.3.3-10]
    (Receiving.RECEIVED, PacketType.PUBLISH): (Receiving.RECEIVED, False),
    (Receiving.RECEIVED, PacketType.PUBREL): (Receiving.UNKNOWN, True),
    # Normal after a lost PUBCOMP; every PUBREL is answered. [5.0 MQTT-4.3.3-11]
    (Receiving.UNKNOWN, PacketType.PUBREL): (Receiving.UNKNOWN, False),
}
"""(state, packet) -> (next state, is it news?). PUBLISH is answered by PUBREC, PUBREL by PUBCOMP, in every state."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one acknowledgement meant.

    `answer` is to be sent now, if any. `completed` is the packet identifier that is free again. `reason` is the
    acknowledgement's. `known` is False when no message had that identifier in flight.
    """

    answer: PubRel | None
    completed: int | None
    reason: int
    known: bool


class Outbound:
    """One side's outgoing QoS 1 and QoS 2 messages that are not settled, in the order they were sent."""

    __slots__ = ("_packet_ids", "_publishes", "_releases", "version")

    def __init__(self, version: Version, packet_ids: PacketIds | None = None) -> None:
        """`version` is the current connection's and may be set anew; `packet_ids` may be shared with SUBSCRIBEs."""
        self.version = version
        self._packet_ids = PacketIds() if packet_ids is None else packet_ids
        # Two dicts in order of insertion: a message moves from the first to the second when PUBREC arrives.
        self._publishes: dict[int, Publish] = {}
        self._releases: dict[int, PubRel] = {}

    def __len__(self) -> int:
        return len(self._publishes) + len(self._releases)

    def __contains__(self, packet_id: object) -> bool:
        return packet_id in self._publishes or packet_id in self._releases

    def state(self, packet_id: int) -> Sending:
        """Where the message with this packet identifier stands."""
        if packet_id in self._releases:
            return Sending.PUBCOMP
        publish = self._publishes.get(packet_id)
        if publish is None:
            return Sending.UNKNOWN
        return Sending.PUBACK if publish.qos == QoS.AT_LEAST_ONCE else Sending.PUBREC

    def send(self, publish: Publish) -> Publish:
        """Allocate a packet identifier, keep the message, and return what to send.

        Raises LocalError for QoS 0 and PacketIdsExhausted. [5.0 MQTT-4.3.2-1, -2, MQTT-4.3.3-1, -2]
        """
        if publish.qos == QoS.AT_MOST_ONCE:
            raise LocalError("a QoS 0 message has no packet identifier and is not kept")
        numbered = replace(publish, packet_id=self._packet_ids.allocate(), dup=False)
        assert numbered.packet_id is not None
        self._publishes[numbered.packet_id] = numbered
        return numbered

    def acknowledge(self, packet: PubAck | PubRec | PubComp) -> Outcome:
        """Take one acknowledgement from the peer.

        Raises ProtocolError when it does not fit the message, e.g. PUBACK for QoS 2: no promise could be kept then.
        """
        packet_id = packet.packet_id
        state = self.state(packet_id)
        step = SENDER.get((state, packet.type, is_error(packet.reason)))
        if step is None:
            raise ProtocolError(f"{packet.type.name} for packet identifier {packet_id}, which {state}", "5.0 4.13.1")
        next_state, answer_type = step
        known = state is not Sending.UNKNOWN
        if known:
            self._enter(packet_id, next_state)
        completed = known and next_state is Sending.UNKNOWN
        answer = self._pubrel(packet_id, known) if answer_type is PacketType.PUBREL else None
        return Outcome(answer, packet_id if completed else None, packet.reason, known)

    def _enter(self, packet_id: int, state: Sending) -> None:
        """A message that is in flight is in this state now."""
        if state is Sending.UNKNOWN:
            self._publishes.pop(packet_id, None)
            self._releases.pop(packet_id, None)
            self._packet_ids.release(packet_id)
        elif state is Sending.PUBCOMP:
            self._publishes.pop(packet_id, None)  # the payload is the receiver's now [5.0 figure 4.3]
            self._releases.setdefault(packet_id, PubRel(packet_id))

    def _pubrel(self, packet_id: int, known: bool) -> PubRel:
        if known or self.version < Version.V5:  # reason codes exist in 5.0 only; 3.x says the same with a plain PUBREL
            return PubRel(packet_id)
        return PubRel(packet_id, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)

    def resume(self) -> Iterator[Publish | PubRel]:
        """What to send again on a new connection with the session present, and only then. [5.0 MQTT-4.4.0-1]

        First each PUBREL in the order its PUBREC arrived [MQTT-4.6.0-4], then each PUBLISH in the order it was first
        sent [MQTT-4.6.0-1] with its identifier and DUP set [MQTT-3.3.1-1]. The iterator is a copy: acknowledge freely.
        """
        dup = self.version is Version.V31  # only there PUBREL has the flag [3.1 MQTT31-13]
        releases: list[Publish | PubRel] = [replace(pubrel, dup=dup) for pubrel in self._releases.values()]
        return iter(releases + [replace(publish, dup=True) for publish in self._publishes.values()])

    def restore(self, packet: Publish | PubRel) -> None:
        """Put back one packet of `resume()` from a stored session; raises LocalError for an identifier in use."""
        if packet.packet_id is None:
            raise LocalError("a QoS 0 message cannot be in flight")
        self._packet_ids.reserve(packet.packet_id)
        if isinstance(packet, PubRel):
            self._releases[packet.packet_id] = packet
        else:
            self._publishes[packet.packet_id] = packet

    def drop_all(self) -> None:
        """Forget every message, as when the session ends; the identifiers are free again."""
        for packet_id in (*self._publishes, *self._releases):
            self._packet_ids.release(packet_id)
        self._publishes.clear()
        self._releases.clear()


class Inbound:
    """The QoS 2 messages one side has received and its peer has not released."""

    __slots__ = ("_received", "version")

    def __init__(self, version: Version) -> None:
        """`version` is that of the current connection and may be set anew."""
        self.version = version
        self._received: dict[int, None] = {}  # a dict as a set that keeps its order

    def __len__(self) -> int:
        return len(self._received)

    def __iter__(self) -> Iterator[int]:
        """The packet identifiers not yet released, in order of arrival."""
        return iter(tuple(self._received))

    def __contains__(self, packet_id: object) -> bool:
        return packet_id in self._received

    def state(self, packet_id: int) -> Receiving:
        """Where the message with this packet identifier stands."""
        return Receiving.RECEIVED if packet_id in self._received else Receiving.UNKNOWN

    def receive(self, publish: Publish) -> bool:
        """Whether this PUBLISH is a new message; False is a repeat, to be acknowledged again and not delivered.

        A QoS 0 or QoS 1 message is always new. [5.0 MQTT-4.3.2-5, MQTT-4.3.3-10]
        """
        if publish.qos != QoS.EXACTLY_ONCE or publish.packet_id is None:
            return True
        return self._step(publish.packet_id, publish.type)

    def release(self, pubrel: PubRel) -> PubComp:
        """The answer to a PUBREL; 0x92 in 5.0 where nothing had that identifier. [5.0 MQTT-4.3.3-11, 3.7.2.1]"""
        if self._step(pubrel.packet_id, pubrel.type) or self.version < Version.V5:
            return PubComp(pubrel.packet_id)
        return PubComp(pubrel.packet_id, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)

    def _step(self, packet_id: int, packet_type: PacketType) -> bool:
        """Go on as the table says; whether the packet is news."""
        next_state, is_news = RECEIVER[self.state(packet_id), packet_type]
        if next_state is Receiving.RECEIVED:
            self._received[packet_id] = None
        else:
            self._received.pop(packet_id, None)
        return is_news

    def forget(self, packet_id: int) -> None:
        """A PUBREC with an error was sent: the next PUBLISH with this identifier is new. [5.0 MQTT-4.3.3-9]"""
        self._received.pop(packet_id, None)

    def restore(self, packet_id: int) -> None:
        """Put back one identifier from where a session was stored."""
        self._received[packet_id] = None

    def drop_all(self) -> None:
        """Forget every message, as when the session ends."""
        self._received.clear()
