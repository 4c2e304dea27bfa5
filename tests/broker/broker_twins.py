"""Two brokers fed the same, one with the fast path and one without, and streams to feed them with."""

from __future__ import annotations

from broker_harness import Client, World

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    PubAck,
    PubComp,
    Publish,
    PubRec,
)
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

ACKNOWLEDGED_BY = {1: (PubAck,), 2: (PubRec, PubComp)}


class Twins:
    """Two brokers that differ in nothing but the path, fed the same."""

    def __init__(self, **config) -> None:
        self.worlds = [World(Broker(BrokerConfig(**config), seed=1, fast_path=fast)) for fast in (True, False)]
        self.clients: dict[str, list[Client]] = {}

    def connect(self, name: str, version: Version, **fields) -> None:
        if name not in self.clients:
            self.clients[name] = [Client(world, name, version) for world in self.worlds]
        for client in self.clients[name]:
            client.version = version
            client.reader = None
            client.open()
            client.send(client.connect_packet(**fields))
        self.compare()

    def feed(self, name: str, data: bytes, cuts: list[int]) -> None:
        for client in self.clients[name]:
            start = 0
            for cut in [*sorted(cuts), len(data)]:
                client.link.receive_data(data[start:cut], client.world.now)
                start = cut
            client.world.collect()
        self.compare()

    def each(self, name: str, what) -> None:
        for client in self.clients[name]:
            what(client)
            client.world.collect()
        self.compare()

    def advance(self, seconds: float) -> None:
        for world in self.worlds:
            world.advance(seconds)
        self.compare()

    def compare(self) -> None:
        for name, (fast, slow) in self.clients.items():
            assert fast.wire == slow.wire, name
            assert fast.closed == slow.closed, name
            assert fast.link.reading_paused == slow.link.reading_paused, name
        assert self.worlds[0].log == self.worlds[1].log


def stream(qos: int, count: int, version: Version, properties: Properties = NO_PROPERTIES, topic: str = "t") -> bytes:
    return b"".join(
        encode(Publish(topic, b"%08d" % n, QoS(qos), packet_id=n + 1 if qos else None, properties=properties), version)
        for n in range(count)
    )
