"""Invariants of what is in a message: payload, properties, RETAIN and subscription identifiers, and how large it is.

Belongs here: one book for each. Does not belong here: how often a message arrives and in which order
(`books_messages`).
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from interop.simulation.book import V5, V311, Book
from interop.simulation.wires import Seat, Wire, number_of
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Packet, Publish
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.topics import matches

PAYLOAD_FORMAT = {V5: "MQTT-3.3.2-4"}
RESPONSE_TOPIC = {V5: "MQTT-3.3.2-15"}
CORRELATION = {V5: "MQTT-3.3.2-16"}
USER_PROPERTIES = {V5: "MQTT-3.3.2-17"}
CONTENT_TYPE = {V5: "MQTT-3.3.2-20"}
EXPIRY = {V5: "MQTT-3.3.2-6"}
RETAIN_CLEARED = {V311: "MQTT-3.3.1-9", V5: "MQTT-3.3.1-12"}
RETAIN_KEPT = {V5: "MQTT-3.3.1-13"}
IDENTIFIERS = {V5: "MQTT-3.3.4-4"}
TOO_LARGE = {V5: "MQTT-3.1.2-24"}

_STATEMENTS = {
    "payload_format_indicator": PAYLOAD_FORMAT,
    "content_type": CONTENT_TYPE,
    "response_topic": RESPONSE_TOPIC,
    "correlation_data": CORRELATION,
    "user_property": USER_PROPERTIES,
}
_DESCRIPTION = attrgetter(*_STATEMENTS)


class Content(Book):
    """Every copy of a message, the first and those sent again, is what was published, in a form that was asked for."""

    name = "content unchanged"

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet."""
        if not isinstance(packet, Publish) or wire.seat is None:
            return
        number = number_of(packet.payload)
        published = self.ledger.accepted.get(number)
        what = f"{wire}: message {number}"
        if published is None or packet.payload != published.payload:
            raise self.broken(f"{what} has a payload that nobody published: {packet.payload!r}", wire.version, {})
        if wire.version is V5:
            self._properties(what, packet.properties, published.properties)
        self._form(what, wire, wire.seat, packet, number)

    def _properties(self, what: str, sent: Properties, published: Properties) -> None:
        if sent is NO_PROPERTIES is published:
            return
        if _DESCRIPTION(sent) != _DESCRIPTION(published):
            name = next(name for name in _STATEMENTS if getattr(sent, name) != getattr(published, name))
            raise self.broken(
                f"{what} was sent with {name} {getattr(sent, name)!r}, not {getattr(published, name)!r}",
                V5,
                _STATEMENTS[name],
            )
        self.break_if(
            (sent.message_expiry_interval is None) != (published.message_expiry_interval is None),
            f"{what} was sent with expiry {sent.message_expiry_interval}, and published with "
            f"{published.message_expiry_interval}",
            V5,
            EXPIRY,
        )

    def _form(self, what: str, wire: Wire, seat: Seat, packet: Publish, number: int) -> None:
        due = seat.dues.get(number)
        identifiers = tuple(sorted(packet.properties.subscription_identifier))
        if due is not None and (packet.retain, identifiers) in due.forms:
            return
        published = self.ledger.accepted[number]
        asked = set(_asked(seat, published.topic)) if packet.retain and published.retain else set()
        if identifiers in asked:
            return
        if self.ledger.shares.of(seat, number) is not None or (due is None and not asked):
            return  # a copy for a share has that one's form; whose it is not the next book says
        forms = sorted(due.forms) if due is not None else []
        if asked or any(is_retained is packet.retain for is_retained, _ in forms):
            raise self.broken(
                f"{what} was sent with subscription identifiers {identifiers}, not those it is due for", V5, IDENTIFIERS
            )
        raise self.broken(
            f"{what} was sent with RETAIN {packet.retain:d}",
            wire.version,
            RETAIN_CLEARED if packet.retain else RETAIN_KEPT,
        )


def _asked(seat: Seat, topic: str) -> Iterator[tuple[int, ...]]:
    """The identifiers with which a retained message of this topic was asked for."""
    for topic_filter, identifiers in seat.retained_copies.items():
        if matches(topic_filter, topic):
            yield from identifiers


class Sizes(Book):
    """No packet is larger than its receiver allows."""

    name = "no packet too large"

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet."""
        seat = wire.seat
        if seat is None or seat.maximum_packet_size is None:
            return
        size_bytes = len(encode(packet, wire.version))
        self.break_if(
            size_bytes > seat.maximum_packet_size,
            f"{wire}: {packet.type.name} of {size_bytes} bytes, {seat.maximum_packet_size} are allowed",
            wire.version,
            TOO_LARGE,
        )
