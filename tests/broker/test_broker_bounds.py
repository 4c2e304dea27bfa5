"""What one peer can take is bounded: each test attacks one structure, counts its bytes, and a bystander is served."""

from __future__ import annotations

import tracemalloc

import pytest
from broker_bounds import MEBI, assert_served, kept_bytes, levels
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World, will

from reference_broker.broker import AccessRule, Broker, BrokerConfig
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    PingReq,
    Publish,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from reference_broker.wire.types import QoS, ReasonCode

pytestmark = pytest.mark.thorough


# --- levels of topics and filters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_topic_has_no_more_levels_than_allowed(version, retain, qos):
    """On the fast path as on the slow one. [5.0 3.4.2.1, 3.5.2.1]"""
    world = World(maximum_topic_levels=3)
    watcher, client = world.client("w", V5), world.client("c", version)
    watcher.subscribe("#", "$x/#", qos=2)
    for topic in (levels(4), "$x/a/b/c", "////", levels(4)):
        answer = client.publish(topic, b"x", qos, retain=retain)
        if qos:
            assert answer.reason == (ReasonCode.TOPIC_NAME_INVALID if version is V5 else 0)
    assert watcher.messages() == []
    assert len(world.broker.house.retained) == 0
    assert len(world.log) == 4
    client.publish(levels(3), b"x", qos, retain=retain)
    assert watcher.payloads() == [b"x"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_alias_does_not_make_a_topic_shorter(qos):
    world = World(maximum_topic_levels=3)
    watcher, client = world.client("w", V5), world.client("c", V5)
    watcher.subscribe("#", qos=2)
    client.publish(levels(4), b"x", qos, topic_alias=1)
    answer = client.publish("", b"x", qos, topic_alias=1)
    assert answer is None or answer.reason == ReasonCode.TOPIC_NAME_INVALID
    assert watcher.messages() == []
    assert not client.closed


@pytest.mark.parametrize(("version", "refusal"), [(V5, 0x8F), (V311, 0x80), (V31, 1)])
def test_a_filter_has_no_more_levels_than_allowed(version, refusal):
    """Share name aside. [5.0 3.9.3, 3.1.1 MQTT-3.8.4-5]"""
    world = World(maximum_topic_levels=3)
    client = world.client("c", version)
    filters = [levels(4), levels(3), "+/+/+/#", "///"]
    assert client.subscribe(*filters, qos=1).reasons == (refusal, 1, refusal, refusal)
    if version is V5:
        assert client.subscribe("$share/g/+/+/#", "$share/g/+/+/+/#").reasons == (0, refusal)
    assert len(world.broker.house.sessions.get("c").subscriptions) == (2 if version is V5 else 1)


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_will_has_no_more_levels_than_allowed(version):
    """[5.0 3.2.2.2]"""
    world = World(maximum_topic_levels=3)
    client = Client(world, "c", version)
    client.open()
    client.send(client.connect_packet(will=will(levels(4))))
    assert client.closed
    reasons = [packet.reason for packet in client.take() if isinstance(packet, ConnAck)]
    assert reasons == ([ReasonCode.TOPIC_NAME_INVALID] if version is V5 else [])
    world.client("c", version, will=will(levels(3)))


def test_200_levels_are_allowed_unless_told_otherwise():
    world = World()
    client = world.client("c", V5)
    assert client.subscribe(levels(200), "+/" * 199 + "#", levels(201)).reasons == (0, 0, 0x8F)
    client.publish(levels(200), b"x", 1)
    assert client.payloads() == [b"x"]


# --- what is remembered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n" * 60_000, "é" * 30_000])
def test_long_topics_are_not_remembered_for_good(name):
    """By bytes, not by number: 6,000 topics of 60 KB once kept 720 MB."""
    world = World()
    client, bystander = world.client("c", V5), world.client("b", V5)
    client.subscribe("#")

    def attack() -> None:
        for number in range(2000):
            client.send(Publish(f"{number}/{name}", b""))
            client.take()
            client.wire = b""

    assert kept_bytes(attack) < 90 * MEBI
    assert_served(bystander)


def test_topics_of_many_subscribers_are_not_remembered_for_good(monkeypatch):
    """A route holds each of its targets, and those that overlap are made for it."""
    monkeypatch.setattr("reference_broker.broker.keeping.routing._REMEMBERED_BYTES", MEBI)
    world = World()
    for number in range(50):
        world.client(f"s{number}", V5).subscribe("#", "+/+", identifier=number + 1)

    def attack() -> None:
        for number in range(500):
            assert len(world.broker.house.router.route(f"t/{number}").targets) == 50

    assert kept_bytes(attack) < 1.5 * MEBI


def test_ten_thousand_ordinary_topics_are_remembered():
    world = World()
    publisher = world.client("p", V311)
    for number in range(10_000):
        publisher.link.receive_data(encode(Publish(f"house/floor/room/{number}", b""), V311), world.now)
    assert len(world.broker.house.router.routes) == len(world.broker.heads.of(publisher.link.session)) == 10_000


def test_user_names_are_not_remembered_for_good():
    """Heads are kept by user where there are rules, and a user name may have 65,535 bytes."""
    world = World(access_rules=(AccessRule("never"),))

    def attack() -> None:
        for number in range(1500):
            client = world.client("c", V311, username=f"{number}" + "n" * 60_000)
            client.publish("t", b"")
            client.drop()

    assert kept_bytes(attack) < 60 * MEBI


# --- output ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packets",
    [
        [PingReq()],
        [Publish("t", b"", QoS.AT_LEAST_ONCE, packet_id=1)],
        [Publish("t", b"", QoS.EXACTLY_ONCE, packet_id=1), PubRel(1)],
        [Subscribe(1, (Subscription("s"),)), Unsubscribe(2, ("s",))],
        [Subscribe(1, (Subscription("deny"),))],
        [Publish("deny", b"", QoS.AT_LEAST_ONCE, packet_id=1)],
    ],
    ids=["PINGRESP", "PUBACK", "PUBREC and PUBCOMP", "SUBACK", "SUBACK with a reason", "PUBACK with a reason"],
)
def test_answers_to_a_client_that_does_not_read_are_bounded(packets):
    """In bytes of memory: thousands of two bytes each once took thirty times as much."""
    maximum = MEBI // 32
    world = World(outgoing_maximum_bytes=maximum, access_rules=(AccessRule("deny"),))
    client, bystander = world.client("c", V5), world.client("b", V5)
    client.link.pause_writing()
    read = b"".join(encode(packet, V5) for packet in packets) * (500 // len(packets))
    bystander.link.receive_data(read, world.now)  # what is made once for all is not the client's
    world.collect()
    bystander.take()
    reads = 0

    def attack() -> None:
        nonlocal reads
        while not client.link.reading_paused and reads < 200:
            client.link.receive_data(read, world.now)
            world.broker.take_output()
            reads += 1

    assert kept_bytes(attack) < 3 * maximum + 8 * len(read)
    assert client.link.reading_paused
    assert_served(bystander)


def test_answers_that_wait_for_a_subscriber_are_bounded():
    """No client can wait for more than one acknowledgement for each identifier. [5.0 2.2.1]"""
    world = World(backpressure_seconds=1000, maximum_inflight=1, queue_maximum_messages=10)
    client = world.client("c", V311)
    client.subscribe("t", qos=1)

    def attack() -> None:
        for _ in range(18):
            client.link.receive_data(encode(Publish("t", b"", QoS.AT_LEAST_ONCE, packet_id=1), V311) * 4000, world.now)
            if client.link.held_answers is not None:
                assert len(client.link.held_answers) <= 4 * 65_535
            client.take_bytes(b"".join(b"".join(map(bytes, p)) for _, p, _ in world.broker.take_output()), False)
            client.inbox.clear()
            client.wire = b""

    assert kept_bytes(attack) < MEBI


def test_a_topic_in_a_line_of_the_log_is_cut_short_and_lines_end():
    """Nor is a Reason String longer than it can be. [5.0 1.5.4]"""
    world = World(access_rules=(AccessRule("#"),))
    client = Client(world, "c", V5)
    client.connect(client_id="c" * 60_000)
    for _ in range(300):
        client.publish("\x01" * 60_000, b"", 1)
    assert len(world.log) == 100
    assert max(map(len, world.log)) < 1000
    assert "last" in world.log[-1]
    refused = Client(world, "d", V5)
    refused.connect(expect=0x87, will=will("\x01" * 60_000))
    assert len(refused.connack.properties.reason_string) < 1000
    assert_served_by_denial(client)


def assert_served_by_denial(client: Client) -> None:
    assert client.publish("t", b"", 1).reason == ReasonCode.NOT_AUTHORIZED


def overlapping(client: Client, levels: int, qos: int) -> str:
    """Subscriptions that all match one topic, each with an identifier of four bytes; the topic."""
    for number in range(2**levels):
        topic_filter = "/".join("+" if number >> level & 1 else "l" for level in range(levels))
        client.subscribe(topic_filter, qos=qos, identifier=2_500_000 + number)
    return "/".join("l" * levels)


def test_identifiers_of_many_subscriptions_do_not_make_a_read_swell():
    """A message carries all of them, so that one read of 50 KB became 10 MB. [5.0 MQTT-3.3.4-4]"""
    world = World(outgoing_maximum_bytes=MEBI // 2)
    client, bystander = world.client("c", V5), world.client("b", V5)
    topic = overlapping(client, 10, 0)
    read = encode(Publish(topic, b""), V5) * 2000
    tracemalloc.start()
    client.link.receive_data(read, world.now)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * MEBI
    assert not client.closed
    world.collect()
    assert len(client.take()) > 200
    assert_served(bystander)
    client.take()
    client.publish(topic, b"")
    assert len(client.expect(Publish).properties.subscription_identifier) == 1024


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("fast_path", [True, False])
def test_messages_with_many_identifiers_wait_and_all_arrive(qos, fast_path):
    world = World(Broker(BrokerConfig(outgoing_maximum_bytes=MEBI // 2, backpressure_seconds=0), fast_path=fast_path))
    client, publisher = world.client("c", V5), world.client("p", V311)
    topic = overlapping(client, 9, qos)
    client.automatic = True
    packets = [Publish(topic, b"%d" % number, QoS(qos), packet_id=number + 1) for number in range(1100)]
    publisher.send(*packets)
    received = [packet for packet in client.take() if isinstance(packet, Publish)]
    assert [packet.payload for packet in received] == [b"%d" % number for number in range(1100)]
    assert not client.link.writing_paused
    assert not publisher.link.reading_paused
