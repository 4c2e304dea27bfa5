"""One network connection: the bytes under way in both directions, the packets in them, the session they belong to.

Belongs here: how many bytes are where, which packets are whole when so many have arrived; what is known of a session.
Does not belong here: which bytes arrive when (`world`), what a packet does to a session (`ledger`), what is right.
"""

from __future__ import annotations

from collections import deque

from reference_broker.broker.link import Link
from reference_broker.wire.decode import Reader
from reference_broker.wire.packets import Packet, Subscription, Will
from reference_broker.wire.types import Version

_TAILS = (b"", b"", b" \0 short", b" " + b"\0 long " * 40)


def payload_of(number: int) -> bytes:
    """The payload of the message with this number, which is the number with more or less behind it."""
    return b"%d" % number + _TAILS[number % len(_TAILS)]


def number_of(payload: bytes) -> int:
    """The number of the message with this payload; 0, which no message has, where it begins with none."""
    try:
        return int(payload.partition(b" ")[0])
    except ValueError:
        return 0


Form = tuple[bool, tuple[int, ...]]
"""RETAIN and the subscription identifiers of a copy of a message."""


class Pipe:
    """One direction: bytes that were sent and have not arrived, and where each packet of them ends."""

    __slots__ = ("_arrived", "_ends", "_sent", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self._sent = 0
        self._arrived = 0
        self._ends: deque[tuple[int, Packet]] = deque()

    def put(self, packet: Packet, size_bytes: int) -> None:
        """A packet was sent, whose bytes are put into `data` by whoever has them."""
        self._sent += size_bytes
        self._ends.append((self._sent, packet))

    def take(self, count: int) -> tuple[bytes, list[Packet]]:
        """So many bytes arrive: they, and the packets that are whole now."""
        data = bytes(self.data[:count])
        del self.data[:count]
        self._arrived += len(data)
        whole = []
        while self._ends and self._ends[0][0] <= self._arrived:
            whole.append(self._ends.popleft()[1])
        return data, whole


class Wire:
    """A network connection of a peer, as both sides know it.

    `seat` is the session the broker has for it, from CONNECT on. `is_client_up` and `is_broker_up` say whether that
    side has it still. `held_pieces` of output wait for what they promise to be kept; `written_at`: when the broker
    wrote what is sent now; `held_since`: when the client ceased to read. `aliases` are the client's, as they reached
    the broker.
    """

    __slots__ = (
        "aliases",
        "down",
        "held_pieces",
        "held_since",
        "is_broker_up",
        "is_client_up",
        "is_resumed",
        "is_taken_over",
        "keep_alive",
        "last_got",
        "link",
        "name",
        "number",
        "opened_at",
        "reader",
        "receive_maximum",
        "said_goodbye",
        "seat",
        "server_receive_maximum",
        "up",
        "version",
        "was_held_back",
        "written_at",
    )

    def __init__(self, name: str, number: int, link: Link, version: Version, now: float) -> None:
        self.name = name
        self.number = number
        self.link = link
        self.version = version
        self.opened_at = now
        self.reader = Reader(version)
        self.up = Pipe()
        self.down = Pipe()
        self.aliases: dict[int, str] = {}
        self.seat: Seat | None = None
        self.is_client_up = True
        self.is_broker_up = True
        self.held_since: float | None = None
        self.held_pieces = 0
        self.written_at = now
        self.is_resumed = False
        self.is_taken_over = False
        self.said_goodbye = False
        self.was_held_back = False
        self.keep_alive = 0
        self.last_got = now
        self.receive_maximum = 65_535
        self.server_receive_maximum = 65_535

    def __str__(self) -> str:
        return f"{self.name}, connection {self.number}"


class Due:
    """One message that one session is to get.

    `levels` are the QoS it may come with, as bits; `copies` how often it may come, once for each matching subscription
    of each time it was accepted [5.0 MQTT-3.3.4-2]; `told` how often it came. All there are
    are counted: `first_order` and `last_order` are of the first and the last time it was accepted. It must
    come unless `is_optional`; `has_begun` once the broker sent it. `forms` are those a copy may have.
    """

    __slots__ = (
        "copies",
        "expires_at",
        "first_order",
        "forms",
        "has_begun",
        "is_optional",
        "last_order",
        "levels",
        "number",
        "publisher",
        "told",
        "topic",
    )  # fmt: skip

    def __init__(self, number: int, topic: str, publisher: str, order: int) -> None:
        self.number = number
        self.topic = topic
        self.publisher = publisher
        self.first_order = self.last_order = order
        self.levels = 0
        self.copies = 0
        self.forms: set[Form] = set()
        self.told = 0
        self.is_optional = False
        self.has_begun = False
        self.expires_at: float | None = None


class Seat:
    """One session as the broker has to keep it; it stays with its wires when it has ended."""

    __slots__ = (
        "dues", "end_at", "expiry_seconds", "has_ended", "identifiers", "maximum_packet_size", "name", "received",
        "retained_copies", "shares", "subscriptions", "version", "waiting", "will", "will_at", "wire",
    )  # fmt: skip

    def __init__(self, name: str, version: Version) -> None:
        self.name = name
        self.version = version
        self.wire: Wire | None = None
        self.expiry_seconds = 0
        self.maximum_packet_size: int | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.identifiers: dict[str, int] = {}
        """By filter, where a subscription has one."""
        self.received: dict[int, None] = {}
        self.dues: dict[int, Due] = {}
        self.shares: dict[str, int] = {}
        """By share that it was ever a member of, the QoS it was granted, as bits."""
        self.waiting: deque[int] = deque()
        """The orders of what may wait for it: what is behind the last that was sent."""
        self.retained_copies: dict[str, set[tuple[int, ...]]] = {}
        """By filter, with which subscription identifiers its retained messages were asked for."""
        self.will: Will | None = None
        self.will_at: float | None = None
        self.end_at: float | None = None
        self.has_ended = False
