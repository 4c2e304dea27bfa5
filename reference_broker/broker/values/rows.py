"""What the rows say in which the broker's state survives: keys, values, and both back. [3.1.1 4.1, 5.0 4.1]

Belongs here: the form of each kind of row. Does not belong here: when a row is written (`outgoing.ledger`,
`keeping.record`, `keeping.retained`) or read again (`keeping.moving_in`).

The first byte of a key is its kind, and the order of kinds is the order of reading: capitals come first, all of them
before the first connection is accepted; what may be large has small letters and is read later. Session and entry
numbers are 8 bytes each, so that the rows of one session stand together, in the order in which they were made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from reference_broker.broker.values.message import Message
from reference_broker.store.records import KeyRange, Row
from reference_broker.wire.packets import Will
from reference_broker.wire.properties import WILL, Properties
from reference_broker.wire.property_codec import decode_properties, encode_properties
from reference_broker.wire.types import PacketType, QoS, Version

SESSION = b"S"
SUBSCRIPTION = b"T"
RECEIVED = b"U"
SENT_IDENTIFIERS = b"V"
SESSION_WILL = b"W"
ENTRY = b"q"
RETAINED = b"r"
BROUGHT = b"t"
BRINGING = b"w"

NUMBER = Struct(">Q")
_SHORT = Struct(">H")

# --- sessions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session without what it has to get; `expires_at` is Unix time, None while connected and where it never is.

    One that never had an `expiry_interval` is not `is_kept`: only its will is to be published.
    """

    client_id: str
    version: Version
    username: str | None
    expiry_interval: int
    is_kept: bool
    is_connected: bool
    expires_at: float | None

    def encoded(self) -> bytes:
        """The value of its row."""
        fields = (
            self.client_id, self.version, self.username, self.expiry_interval, self.is_kept, self.is_connected,
            self.expires_at,
        )  # fmt: skip
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def decoded(cls, value: bytes) -> SessionRow:
        """The other way round."""
        client_id, version, *rest = json.loads(value)
        return cls(client_id, Version(version), *rest)


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription as granted; `share` tells a shared one from a 3.x filter that merely begins with `$share/`."""

    qos: QoS
    no_local: bool
    retain_as_published: bool
    subscription_id: int
    is_shared: bool

    def encoded(self) -> bytes:
        """The value of its row, whose key has the filter."""
        flags = self.qos | self.no_local << 2 | self.retain_as_published << 3 | self.is_shared << 4
        return bytes((flags,)) + self.subscription_id.to_bytes(4, "big")

    @classmethod
    def decoded(cls, value: bytes) -> SubscriptionRow:
        """The other way round."""
        flags = value[0]
        return cls(
            QoS(flags & 3), bool(flags & 4), bool(flags & 8), int.from_bytes(value[1:5], "big"), bool(flags & 16)
        )


_WILL = Struct(">d?BBIII")


@dataclass(frozen=True, slots=True)
class WillRow:
    """A session's will; `due_at` is Unix time, None while its client is connected."""

    will: Will
    due_at: float | None

    def encoded(self) -> bytes:
        """The value of its row."""
        will = self.will
        topic, properties = will.topic.encode(), encode_properties(will.properties, WILL)
        is_due = self.due_at is not None
        head = _WILL.pack(
            self.due_at or 0.0, is_due, will.qos, will.retain, len(topic), len(properties), len(will.payload)
        )
        return b"".join((head, topic, properties, will.payload))

    @classmethod
    def decoded(cls, value: bytes) -> WillRow:
        """The other way round."""
        due_at, is_due, qos, retain, *sizes = _WILL.unpack_from(value)
        topic, properties, payload = _cut(value, _WILL.size, sizes)
        will = Will(topic.decode(), payload, QoS(qos), bool(retain), _to_properties(properties, WILL))
        return cls(will, due_at if is_due else None)


# --- messages ---------------------------------------------------------------------------------------------------------


_BODY = Struct(">dBBBIIII")  # accepted at, is burst, QoS, flags, four sizes
_BURST, _MESSAGE = 1, 0
_RETAIN, _HAS_PUBLISHER, _IS_V5 = 1, 2, 4


def encode_message(message: Message, accepted_at: float) -> bytes:
    """The value of a row with one message; `accepted_at` is Unix time."""
    publisher = message.publisher
    flags = _RETAIN * message.retain | _HAS_PUBLISHER * (publisher is not None)
    pieces = (
        message.topic.encode(), encode_properties(message.properties, PacketType.PUBLISH), message.payload,
        (publisher or "").encode(),
    )  # fmt: skip
    return b"".join((_BODY.pack(accepted_at, _MESSAGE, message.qos, flags, *map(len, pieces)), *pieces))


def encode_packets(
    packets: bytes, count: int, qos: QoS, is_v5: bool, publisher: str | None, accepted_at: float
) -> bytes:
    """The value of a row with `count` PUBLISH packets of one size, as they came in."""
    flags = _IS_V5 * is_v5 | _HAS_PUBLISHER * (publisher is not None)
    name = (publisher or "").encode()
    return b"".join((_BODY.pack(accepted_at, _BURST, qos, flags, count, 0, len(packets), len(name)), packets, name))


@dataclass(frozen=True, slots=True)
class Packets:
    """A burst as it is kept; `accepted_at` is Unix time."""

    data: bytes
    count: int
    qos: QoS
    is_v5: bool
    publisher: str | None
    accepted_at: float


def decode_body(value: bytes, zero: float) -> Message | Packets:
    """What a row has: one message, or many. `zero` is the Unix time at which the broker's clock was zero."""
    accepted_at, kind, qos, flags, first, second, payload_size, name_size = _BODY.unpack_from(value)
    if kind == _BURST:
        data, name = _cut(value, _BODY.size, (payload_size, name_size))
        publisher = name.decode() if flags & _HAS_PUBLISHER else None
        return Packets(data, first, QoS(qos), bool(flags & _IS_V5), publisher, accepted_at)
    topic, properties, payload, name = _cut(value, _BODY.size, (first, second, payload_size, name_size))
    publisher = name.decode() if flags & _HAS_PUBLISHER else None
    return Message(
        topic.decode(), payload, QoS(qos), bool(flags & _RETAIN), _to_properties(properties, PacketType.PUBLISH),
        accepted_at - zero, publisher,
    )  # fmt: skip


# --- what a session has to get ----------------------------------------------------------------------------------------


class Stage(IntEnum):
    """How far a delivery has come."""

    WAITING = 0
    SENT = 1
    RELEASED = 2


_ENTRY = Struct(">BBHII16sH")  # stage, QoS and RETAIN, packet id, count, index, body, number of identifiers


@dataclass(frozen=True, slots=True)
class EntryRow:
    """`count` neighbouring messages of one body from number `index`, on their way to one session.

    Their packet identifiers follow each other from `packet_id`, which is 0 while they wait. What was released has no
    body. `share` is the whole filter of the shared subscription they came by.
    """

    stage: Stage
    qos: QoS = QoS.AT_MOST_ONCE
    retain: bool = False
    packet_id: int = 0
    count: int = 1
    index: int = 0
    body: bytes = bytes(16)
    subscription_ids: tuple[int, ...] = ()
    share: str | None = None

    def encoded(self) -> bytes:
        """The value of its row."""
        ids = self.subscription_ids
        flags = self.qos | self.retain << 2 | (self.share is not None) << 3
        value = _ENTRY.pack(self.stage, flags, self.packet_id, self.count, self.index, self.body, len(ids))
        if ids:
            value += b"".join(each.to_bytes(4, "big") for each in ids)
        return value if self.share is None else value + self.share.encode()

    @classmethod
    def decoded(cls, value: bytes) -> EntryRow:
        """The other way round."""
        stage, flags, packet_id, count, index, body, ids = _ENTRY.unpack_from(value)
        behind = _ENTRY.size + 4 * ids
        subscription_ids = tuple(int.from_bytes(value[at : at + 4], "big") for at in range(_ENTRY.size, behind, 4))
        share = value[behind:].decode() if flags & 8 else None
        return cls(
            Stage(stage), QoS(flags & 3), bool(flags & 4), packet_id, count, index, body, subscription_ids, share
        )


_BRINGING = Struct(">Qd")


@dataclass(frozen=True, slots=True)
class BringingRow:
    """Retained messages a subscription brings: behind the rows below `number`, retained before `since` (Unix time)."""

    number: int
    since: float

    def encoded(self) -> bytes:
        """The value of its row, whose key has the filter."""
        return _BRINGING.pack(self.number, self.since)

    @classmethod
    def decoded(cls, value: bytes) -> BringingRow:
        """The other way round."""
        return cls(*_BRINGING.unpack(value))


def brought_key(session: bytes, topic_filter: str, topic: str = "") -> bytes:
    """Of a retained message that a subscription has brought; without topic, what the keys of all of them begin with."""
    encoded = topic_filter.encode()
    return b"".join((BROUGHT, session, _SHORT.pack(len(encoded)), encoded, topic.encode()))


def brought_topic(key: bytes) -> tuple[str, str]:
    """Filter and topic of such a key."""
    (size,) = _SHORT.unpack_from(key, 9)
    return key[11 : 11 + size].decode(), key[11 + size :].decode()


# --- reading ----------------------------------------------------------------------------------------------------------


class Reading:
    """Rows that are read in slices, and what is done with each slice."""

    __slots__ = ("_take", "is_over", "left")

    def __init__(self, begin: bytes, end: bytes, take: Callable[[Sequence[Row], float], None]) -> None:
        self.left = KeyRange(begin, end)
        self.is_over = False
        self._take = take

    def take(self, covered: KeyRange, rows: Sequence[Row], now: float) -> None:
        """A slice has come: all there is up to the end of what was covered."""
        self.left = KeyRange(covered.end, self.left.end)
        self.is_over = covered.end >= self.left.end
        self._take(rows, now)


def behind(prefix: bytes) -> bytes:
    """The end of the keys that begin so; no prefix ends with 0xFF."""
    number = int.from_bytes(prefix, "big") + 1
    return number.to_bytes(len(prefix), "big")


def _cut(value: bytes, position: int, sizes: tuple[int, ...] | list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(value[position : position + size])
        position += size
    if position != len(value):
        raise ValueError("a row is not as long as it says")
    return pieces


def _to_properties(data: bytes, place: PacketType | str) -> Properties:
    return decode_properties(data, 0, len(data), place)[0]
