"""Clients over links that break at any byte: QoS 2 arrives exactly once, QoS 1 at least once, and in order.

Both ends keep their state in `session.delivery`; everything in between is bytes that may be late, cut or lost.
[3.1.1 MQTT-4.3.2-1 to MQTT-4.6.0-6, 5.0 MQTT-4.3.2-1 to MQTT-4.6.0-6]
"""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from broker_harness import ALL_VERSIONS, V5, World, kept
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.session.delivery import Inbound, Outbound
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
)
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

TOPICS = {QoS.AT_LEAST_ONCE: "one", QoS.EXACTLY_ONCE: "two"}


class Endpoint:
    """A client with a state that survives, and a link that does not."""

    def __init__(self, world: World, name: str, version: Version, receive_maximum: int | None) -> None:
        self.world = world
        self.name = name
        self.version = version
        self.receive_maximum = receive_maximum
        self.outbound = Outbound(version)
        self.inbound = Inbound(version)
        self.link = None
        self.to_broker = b""
        self.to_client = b""
        self.sent: dict[QoS, list[bytes]] = defaultdict(list)
        self.received: dict[QoS, list[bytes]] = defaultdict(list)
        self.connect()

    @property
    def is_up(self) -> bool:
        return self.link is not None

    def connect(self) -> None:
        fields = kept(self.version)
        properties = NO_PROPERTIES
        if self.version is V5:
            properties = Properties(
                session_expiry_interval=fields["session_expiry_interval"], receive_maximum=self.receive_maximum
            )
        self.link = self.world.broker.connect(self.world.now, self.name)
        self.reader = Reader(self.version)
        self.connected = False
        self.to_broker = encode(Connect(self.version, self.name, False, properties=properties), self.version)
        self.to_client = b""

    def drop(self) -> None:
        self.link.connection_lost(self.world.now)
        self.link = None
        self.to_broker = self.to_client = b""

    def send(self, packet: Packet) -> None:
        self.to_broker += encode(packet, self.version)

    def publish(self, qos: QoS, payload: bytes) -> None:
        self.sent[qos].append(payload)
        packet = self.outbound.send(Publish(TOPICS[qos], payload, qos))
        if self.is_up and self.connected:
            self.send(packet)  # else `resume` sends it

    def move(self, count: int) -> None:
        """So many bytes arrive at the broker."""
        data, self.to_broker = self.to_broker[:count], self.to_broker[count:]
        if data:
            self.link.receive_data(data, self.world.now)

    def read(self, count: int) -> None:
        """So many bytes arrive at the client, which answers them."""
        data, self.to_client = self.to_client[:count], self.to_client[count:]
        self.reader.feed(data)
        for packet in self.reader:
            self.handle(packet)

    def handle(self, packet: Packet) -> None:
        if isinstance(packet, ConnAck):
            assert packet.reason == 0
            self.connected = True
            for again in self.outbound.resume():
                self.send(again)
        elif isinstance(packet, Publish):
            if self.inbound.receive(packet):
                self.received[packet.qos].append(packet.payload)
            if packet.qos:
                self.send((PubAck if packet.qos == 1 else PubRec)(packet.packet_id))
        elif isinstance(packet, PubRel):
            self.send(self.inbound.release(packet))
        elif isinstance(packet, PubAck | PubRec | PubComp):
            answer = self.outbound.acknowledge(packet).answer
            if answer is not None:
                self.send(answer)


class Simulation:
    """Some publishers and subscribers, each of which is both."""

    def __init__(self, seed: int, fast_path: bool) -> None:
        self.rng = rng = random.Random(seed)
        config = BrokerConfig(maximum_inflight=rng.choice([2, 20, 1000]))
        self.world = World(Broker(config, seed=seed, fast_path=fast_path))
        self.endpoints = [
            Endpoint(self.world, f"e{number}", rng.choice(ALL_VERSIONS), rng.choice([None, 1, 3]))
            for number in range(rng.choice([2, 3]))
        ]
        for endpoint in self.endpoints:
            endpoint.send(Subscribe(60_000, tuple(Subscription(topic, qos) for qos, topic in TOPICS.items())))
            endpoint.move(1 << 20)
        self.number = 0

    def collect(self) -> None:
        by_link = {endpoint.link: endpoint for endpoint in self.endpoints if endpoint.is_up}
        for link, pieces, close in self.world.broker.take_output():
            assert not close, self.world.log
            if link in by_link:
                by_link[link].to_client += b"".join(pieces)

    def step(self) -> None:
        rng = self.rng
        endpoint = rng.choice(self.endpoints)
        choice = rng.random()
        if not endpoint.is_up:
            if choice < 0.5:
                endpoint.connect()
        elif choice < 0.3:
            qos = rng.choice([QoS.AT_LEAST_ONCE, QoS.EXACTLY_ONCE])
            for _ in range(rng.choice([1, 3, 20])):
                self.number += 1
                endpoint.publish(qos, b"%s:%04d" % (endpoint.name.encode(), self.number))
        elif choice < 0.6:
            endpoint.move(rng.choice([3, 50, 10_000]))
        elif choice < 0.9:
            endpoint.read(rng.choice([3, 50, 10_000]))
        elif choice < 0.94:
            endpoint.drop()
        elif choice < 0.97:
            endpoint.link.pause_writing()
        else:
            endpoint.link.resume_writing()
        self.collect()

    def settle(self) -> None:
        """Every link works again until nothing moves."""
        for endpoint in self.endpoints:
            if endpoint.is_up:
                endpoint.link.resume_writing()
            else:
                endpoint.connect()
        self.collect()
        while any(endpoint.to_broker or endpoint.to_client for endpoint in self.endpoints):
            for endpoint in self.endpoints:
                endpoint.move(1 << 20)
                self.collect()
                endpoint.read(1 << 20)


def first_occurrences(payloads: list[bytes]) -> list[bytes]:
    return list(dict.fromkeys(payloads))


@pytest.mark.parametrize("fast_path", [True, False])
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32))
def test_nothing_is_lost_doubled_or_out_of_order(fast_path, seed):
    simulation = Simulation(seed, fast_path)
    for _ in range(150):
        simulation.step()
    simulation.settle()
    for receiver in simulation.endpoints:
        assert len(receiver.inbound) == 0
        assert len(receiver.outbound) == 0
        session = simulation.world.broker.house.sessions.get(receiver.name)
        assert len(session.outbound) == 0
        assert not session.flight
        assert not session.queue
        for sender in simulation.endpoints:
            mine = [p for p in receiver.received[QoS.EXACTLY_ONCE] if p.startswith(sender.name.encode())]
            assert mine == sender.sent[QoS.EXACTLY_ONCE]
            mine = [p for p in receiver.received[QoS.AT_LEAST_ONCE] if p.startswith(sender.name.encode())]
            assert first_occurrences(mine) == sender.sent[QoS.AT_LEAST_ONCE]
