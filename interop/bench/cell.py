"""What is measured: one cell as a value, and the connections it takes.

Belongs here: who publishes and subscribes what, and how many messages must come of it.
Does not belong here: doing it (`worker`, `measure`), the cells of a suite (`suite`).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from interop.bench.inbox import Expected
from interop.bench.peer import PeerPlan, Publishing, Subscribing
from interop.bench.stream import Form, Topics, as_received
from reference_broker.net.address import Transport
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

STREAM_BYTES = 65_536
"""What a publisher's send holds unless `batch` says otherwise."""


class Mode(StrEnum):
    """Who talks to whom."""

    PAIRS = "pairs"
    FAN_IN = "fan-in"
    FAN_OUT = "fan-out"
    MESH = "mesh"
    CONNECT = "connect"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement.

    `batch` is the PUBLISH packets in one send (0: as many as fit `STREAM_BYTES`), `rate` messages per second over all
    publishers (0: as fast as it goes; above, latency is measured), `outstanding` the deliveries that may be on their
    way over all (0: no bound), `messages` of each publisher (0: until `seconds` have passed). `exact_subscribers` take
    one of the topics each, beside the `subscribers` that take all. `connections`, `at_a_time` are for connect and idle.
    `is_durable`: the broker has a store, and every session outlives its connection: otherwise nothing would be kept.
    """

    name: str = ""
    mode: Mode = Mode.PAIRS
    publishers: int = 1
    subscribers: int = 1
    exact_subscribers: int = 0
    connections: int = 2000
    at_a_time: int = 50
    qos: QoS = QoS.AT_MOST_ONCE
    payload_bytes: int = 64
    version: Version = Version.V311
    subscriber_version: Version | None = None
    user_properties: int = 0
    subscription_identifier: int | None = None
    topics: int = 1
    window: int = 100
    batch: int = 0
    rate: float = 0.0
    outstanding: int = 0
    seconds: float = 3.0
    messages: int = 0
    transport: Transport = Transport.TCP
    is_durable: bool = False

    @property
    def is_latency(self) -> bool:
        """Whether messages carry the time."""
        return self.rate > 0

    @property
    def deliveries_per_message(self) -> float:
        """How many subscribers a message has, on average."""
        if self.mode is Mode.PAIRS:
            return 1.0
        everyone = self.publishers if self.mode is Mode.MESH else self.subscribers
        return everyone + self.exact_subscribers / self.topics

    def expected_deliveries(self, sent: Sequence[int]) -> int:
        """How many deliveries must come of `sent` messages of each publisher."""
        if self.mode is Mode.PAIRS:
            return sum(sent)
        everyone = self.publishers if self.mode is Mode.MESH else self.subscribers
        exact = sum(
            count // self.topics * self.exact_subscribers + min(count % self.topics, self.exact_subscribers)
            for count in sent
        )
        return sum(sent) * everyone + exact

    def plans(self) -> list[list[PeerPlan]]:
        """The connections, worker by worker: receivers first, then senders; a mesh is cut in two."""
        run = secrets.token_hex(3)
        publishers = [_publisher(self, number) for number in range(self.publishers)]
        if self.mode is Mode.MESH:
            peers = [
                PeerPlan(f"{run}m{number}", self.version, publishing, _subscriber(self, 0, None), self.is_durable)
                for number, publishing in enumerate(publishers)
            ]
            return [half for half in (peers[::2], peers[1::2]) if half]
        senders = [
            PeerPlan(f"{run}p{number}", self.version, each, is_kept=self.is_durable)
            for number, each in enumerate(publishers)
        ]
        version = self.subscriber_version or self.version
        count = self.publishers if self.mode is Mode.PAIRS else self.subscribers
        receivers = [
            PeerPlan(f"{run}s{number}", version, None, _subscriber(self, number, None), self.is_durable)
            for number in range(count)
        ]
        receivers += [
            PeerPlan(f"{run}e{number}", version, None, _subscriber(self, number, number), self.is_durable)
            for number in range(self.exact_subscribers)
        ]
        if self.qos and not self.is_latency:
            return [receivers + senders]
        return [receivers, senders]


def _form(cell: Cell) -> Form:
    properties = NO_PROPERTIES
    if cell.user_properties:
        properties = Properties(
            user_property=tuple((f"name-{number}", f"value-{number}") for number in range(cell.user_properties))
        )
    return Form(cell.version, cell.qos, cell.payload_bytes, properties)


def _topics(cell: Cell, group: int) -> Topics:
    return Topics(group if cell.mode is Mode.PAIRS else 0, cell.topics)


def _publisher(cell: Cell, number: int) -> Publishing:
    form, topics = _form(cell), _topics(cell, number)
    packet_bytes = cell.payload_bytes + len(topics.name(0)) + 4
    batch = cell.batch or max(1, STREAM_BYTES // packet_bytes)
    return Publishing(number, form, topics, batch, cell.window)


def _subscriber(cell: Cell, number: int, only: int | None) -> Subscribing:
    topics = _topics(cell, number)
    publishers = (number,) if cell.mode is Mode.PAIRS else tuple(range(cell.publishers))
    version = cell.subscriber_version or cell.version
    received = as_received(_form(cell), version, cell.qos, cell.subscription_identifier)
    expected = Expected(received, topics, publishers, only, timed=cell.is_latency)
    if only is not None:
        topic_filter = topics.name(only)
    else:
        topic_filter = "#" if cell.topics > 1 and cell.mode is not Mode.PAIRS else topics.topic_filter
    return Subscribing(topic_filter, cell.qos, expected, cell.subscription_identifier)
