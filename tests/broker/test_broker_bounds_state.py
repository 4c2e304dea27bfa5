"""What clients can make the broker keep of messages, subscriptions and sessions."""

from __future__ import annotations

import pytest
from broker_bounds import MEBI, assert_served, kept_bytes, levels
from broker_harness import V5, V311, Client, World, kept, will

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.wire.packets import (
    PubAck,
    Publish,
)
from reference_broker.wire.types import ReasonCode

pytestmark = pytest.mark.thorough


def test_a_retained_message_that_is_replaced_is_not_kept_until_it_expires():
    """A timer held it."""
    world = World()
    client = world.client("c", V5)

    def attack() -> None:
        for number in range(200):
            client.publish("t", bytes(100_000), retain=True, message_expiry_interval=4_000_000_000)
            if number % 2:
                client.publish("t", b"", retain=True)
            client.wire = b""

    assert kept_bytes(attack) < MEBI
    client.publish("t", b"short", retain=True, message_expiry_interval=10)
    client.publish("t", b"long", retain=True, message_expiry_interval=1000)
    world.advance(20)
    assert client.subscribe("t").reasons == (0,)
    assert client.payloads() == [b"long"]
    world.advance(1000)
    assert len(world.broker.house.retained) == 0


def test_retained_messages_are_bounded_in_bytes_with_their_topics():
    """[5.0 3.4.2.1]"""
    world = World(retained_maximum_bytes=MEBI)
    client, bystander = world.client("c", V5), world.client("b", V5)
    reasons = []

    def attack() -> None:
        for number in range(1000):
            reasons.append(client.publish(f"{number}/" + levels(150), b"", 1, retain=True).reason)
            reasons.append(client.publish(f"{number}/" + levels(150), b"x", 1, retain=True).reason)
            client.wire = b""

    assert kept_bytes(attack) < 2 * MEBI
    assert reasons[-1] == ReasonCode.QUOTA_EXCEEDED
    assert 10 < len(world.broker.house.retained) < 100
    for topic in [message.topic for message in world.broker.house.retained]:
        assert client.publish(topic, b"y", 1, retain=True).reason != ReasonCode.QUOTA_EXCEEDED  # as large as before
        client.publish(topic, b"", retain=True)
    assert client.publish("room/again", b"x", 1, retain=True).reason != ReasonCode.QUOTA_EXCEEDED
    assert_served(bystander)


def test_retained_messages_that_expire_make_room():
    world = World(retained_maximum_bytes=10_000)
    client = world.client("c", V5)
    for _ in range(3):
        assert client.publish("a", bytes(8000), 1, retain=True, message_expiry_interval=5).reason == 0x10
        assert client.publish("b", bytes(8000), 1, retain=True).reason == ReasonCode.QUOTA_EXCEEDED
        world.advance(6)


@pytest.mark.parametrize(("version", "refusal"), [(V5, 0x97), (V311, 0x80)])
@pytest.mark.parametrize("share", ["", "$share/g/"])
def test_subscriptions_are_bounded_in_bytes_with_their_levels(version, refusal, share):
    """[5.0 3.9.3, 3.1.1 MQTT-3.8.4-5]"""
    world = World(subscriptions_maximum_bytes=MEBI)
    client, bystander = world.client("c", version), world.client("b", V5)
    assert_served(bystander)
    granted = []

    def attack() -> None:
        for number in range(500):
            topic_filter = f"{share if version is V5 else ''}{number}/" + "+/" * 150 + "#"
            if client.subscribe(topic_filter).reasons != (refusal,):
                granted.append(topic_filter)
            client.wire = b""

    assert kept_bytes(attack) < 2 * MEBI
    assert 10 < len(granted) < 100
    assert client.subscribe(granted[0]).reasons == (0,)  # one it has
    assert_served(bystander)
    client.unsubscribe(*granted)
    assert client.subscribe("one/more").reasons == (0,)


def test_a_session_that_ends_gives_back_what_its_subscriptions_took():
    world = World()
    before = world.broker.house.router.size_bytes()
    for _ in range(3):
        client = world.client("c", V5)
        client.subscribe("a", "a/+/b", "+/#", "$share/g/x/+/y", "$share/g/z")
        assert world.broker.house.router.size_bytes() > before
        client.drop()
        assert world.broker.house.router.size_bytes() == before


@pytest.mark.parametrize(("version", "refusal"), [(V5, 0x97), (V311, 0x03)])
def test_sessions_and_wills_are_bounded_in_bytes(version, refusal):
    """[5.0 3.2.2.2, 3.1.1 3.2.2.3]"""
    world = World(sessions_maximum_bytes=MEBI)
    bystander = world.client("b", V5)
    connected = 0

    def attack() -> None:
        nonlocal connected
        for number in range(60):
            client = Client(world, f"{number}", version)
            client.open()
            client.send(client.connect_packet(**kept(version), will=will("w", bytes(60_000)), username="u" * 1000))
            connected += client.inbox[0].reason == 0
            if not client.closed:
                client.drop()
            world.clients.clear()
            world.clients[bystander.link] = bystander

    assert kept_bytes(attack) < 2 * MEBI
    assert 10 < connected < 20
    assert_served(bystander)
    Client(world, "61", version).connect(expect=refusal, will=will("w", bytes(60_000)))
    assert world.client("0", version, **kept(version)).connack.session_present  # it has one
    for number in range(connected):
        world.client(f"{number}", version).disconnect()
    size_bytes = world.broker.house.sessions.size_bytes
    assert size_bytes < 2100  # the bystander's
    world.client("61", version, will=will("w", bytes(60_000)))


@pytest.mark.parametrize(
    ("topic", "properties"),
    [
        ("t/" + "n" * 60_000, {}),
        ("t", {"correlation_data": bytes(60_000)}),
        ("t", {"user_property": (("k", "v" * 60_000),)}),
    ],
    ids=["topic", "correlation data", "user property"],
)
def test_what_waits_is_bounded_with_its_topics_and_properties(topic, properties):
    """A payload of nothing took no room in the queue."""
    world = World(queue_maximum_bytes=MEBI)
    client, publisher = world.client("c", V5, **kept(V5)), world.client("p", V5)
    client.subscribe("#", qos=1)
    client.drop()

    def attack() -> None:
        for _ in range(100):
            publisher.publish(topic, b"", 1, **properties)
            publisher.wire = b""

    assert kept_bytes(attack) < 2 * MEBI
    client.connect(**kept(V5))
    assert len(client.messages()) == MEBI // 60_010
    assert len(world.broker.house.sessions.get("c").queue or ()) == 0


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("fast_path", [True, False])
def test_large_messages_in_flight_are_bounded_in_bytes(qos, fast_path):
    """1,024 of them may be in flight, of any size. [5.0 4.9]"""
    world = World(Broker(BrokerConfig(inflight_maximum_bytes=MEBI), fast_path=fast_path))
    client, publisher = world.client("c", V5), world.client("p", V5)
    client.subscribe("t", qos=qos)
    for number in range(8):
        publisher.publish("t", bytes([number]) + bytes(300_000), qos)
    publisher.publish("t", b"small", qos)
    received = client.messages()
    assert len(received) == 3
    while len(received) < 9:
        client.automatic = True
        client.acknowledge(received[-1])
        client.acknowledge(received[-2])
        world.collect()
        new = [packet for packet in client.take() if isinstance(packet, Publish)]
        assert new
        received += new
    assert [message.payload[0] for message in received[:8]] == list(range(8))
    assert received[8].payload == b"small"


def test_one_message_of_any_size_may_be_in_flight():
    world = World(inflight_maximum_bytes=0)
    client, publisher = world.client("c", V5), world.client("p", V5)
    client.subscribe("t", qos=1)
    for _ in range(3):
        publisher.publish("t", bytes(200_000), 1)
    for _ in range(3):
        client.send(PubAck(client.expect(Publish).packet_id))
    assert client.take() == []
