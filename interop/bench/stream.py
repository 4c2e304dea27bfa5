"""What is sent and what must arrive: PUBLISH packets encoded beforehand, in rings.

A message's payload begins with its publisher's number, its position in the ring and a time. A ring is the bytes of
a publisher's packets in order, repeated, so that any stretch of the stream is one slice of it.

Belongs here: bytes of whole streams. Does not belong here: reading and checking them (`inbox`), sockets (`peer`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import lru_cache

from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Publish
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

STAMP = struct.Struct(">HIQ")
"""Publisher, position in the ring, and nanoseconds of the monotonic clock (0 where no latency is measured)."""

MINIMUM_PAYLOAD_BYTES = STAMP.size
PUBLISHER_OFFSET, TIME_OFFSET = 1, 6
"""Where in a payload the publisher's low byte and the time are."""

MAXIMUM_PUBLISHERS = 256
MAXIMUM_TOPICS = 50_000
READ_BYTES = 256 * 1024

_RING_PACKETS = 4096
MAXIMUM_WINDOW = _RING_PACKETS // 2
"""However many topics there are, a ring has so many packet identifiers at least."""

_FILLER = bytes(range(32, 127))


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics of one width, `bench/<group>/<number>`, so that all packets of a run have one size."""

    group: int = 0
    count: int = 1

    def name(self, number: int) -> str:
        """The topic at `number`, counted around."""
        return f"bench/{self.group:03}/{number % self.count:05}"

    @property
    def cycle(self) -> int:
        """After how many messages a publisher begins again: every topic equally often."""
        return self.count * max(1, _RING_PACKETS // self.count)

    @property
    def topic_filter(self) -> str:
        """What takes them all."""
        return self.name(0) if self.count == 1 else f"bench/{self.group:03}/+"


@dataclass(frozen=True, slots=True)
class Form:
    """What the PUBLISH packets of a run have in common, as sent or as received."""

    version: Version = Version.V311
    qos: QoS = QoS.AT_MOST_ONCE
    payload_bytes: int = 64
    properties: Properties = NO_PROPERTIES

    def message(self, topics: Topics, publisher: int, position: int) -> Publish:
        """The message at a position, with the packet identifier it is sent with."""
        return Publish(
            topic=topics.name(position),
            payload=payload(self.payload_bytes, publisher, position),
            qos=self.qos,
            packet_id=packet_id(position) if self.qos else None,
            properties=self.properties,
        )


@dataclass(frozen=True, slots=True)
class Head:
    """The bytes of a packet around topic and packet identifier: fixed header and topic length, then properties."""

    before_topic: bytes
    has_packet_id: bool
    properties: bytes

    @classmethod
    def of(cls, packet: bytes, message: Publish) -> Head:
        """Take a packet apart that carries `message`."""
        topic = message.topic.encode()
        start = packet.index(topic)
        end = start + len(topic) + (2 if message.qos else 0)
        return cls(packet[:start], bool(message.qos), packet[end : len(packet) - len(message.payload)])


@dataclass(frozen=True, slots=True)
class Ring:
    """A publisher's packets in order; `stream` goes on for `READ_BYTES` behind the cycle, or a little less."""

    stream: bytes
    packet_bytes: int
    cycle_bytes: int
    read_bytes: int
    """How much of a stream at most may be compared at once."""


def packet_id(position: int) -> int:
    """The identifier a publisher gives the message at a position of the ring."""
    return position + 1


def payload(size_bytes: int, publisher: int, position: int, time_ns: int = 0) -> bytes:
    """The payload of one message."""
    filler = (_FILLER * (size_bytes // len(_FILLER) + 1))[: size_bytes - STAMP.size]
    return STAMP.pack(publisher, position, time_ns) + filler


def head_of(form: Form, topics: Topics) -> Head:
    """The head our own encoder gives packets of this form."""
    message = form.message(topics, 0, 0)
    return Head.of(encode(message, form.version), message)


@lru_cache(maxsize=4096)
def ring(
    head: Head, topics: Topics, payload_bytes: int, publisher: int, *, only: int | None = None, numbered: bool = False
) -> Ring:
    """Build a publisher's ring, of all topics or of `only` one; packet identifiers are 0 unless `numbered`."""
    numbers = range(topics.count) if only is None else (only,)
    names = {number: topics.name(number).encode() for number in numbers}
    rest = payload(payload_bytes, publisher, 0)[STAMP.size :]
    positions = range(topics.cycle) if only is None else range(only, topics.cycle, topics.count)
    packets = []
    for position in positions:
        number = b""
        if head.has_packet_id:
            number = packet_id(position).to_bytes(2, "big") if numbered else b"\0\0"
        stamp = STAMP.pack(publisher, position, 0)
        packets.append(
            b"".join((head.before_topic, names[position % topics.count], number, head.properties, stamp, rest))
        )
    cycle = b"".join(packets)
    read_bytes = min(READ_BYTES, max(len(cycle), 16 * len(packets[0])))
    repeated = cycle * (1 + -(-read_bytes // len(cycle)))
    return Ring(repeated[: len(cycle) + read_bytes], len(packets[0]), len(cycle), read_bytes)


def as_received(form: Form, subscriber: Version, qos: QoS, subscription_identifier: int | None) -> Form:
    """The form in which a subscriber must get what was sent in `form`. [5.0 3.3.1.2, 3.3.2.3]"""
    properties = form.properties if subscriber is Version.V5 and form.version is Version.V5 else NO_PROPERTIES
    if subscription_identifier is not None:
        properties = replace(properties, subscription_identifier=(subscription_identifier,))
    return Form(subscriber, min(form.qos, qos), form.payload_bytes, properties)
