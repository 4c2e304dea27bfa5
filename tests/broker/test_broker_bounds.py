"""What one peer can take is bounded: each test attacks one structure, counts its bytes, and a bystander is served."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World, kept, will

from reference_broker.broker import AccessRule, Broker, BrokerConfig
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from reference_broker.wire.types import QoS, ReasonCode
from reference_broker.wire.varint import encode_varint

pytestmark = pytest.mark.thorough

MEBI = 1024 * 1024


def kept_bytes(attack: Callable[[], None]) -> int:
    """What an attack leaves in memory."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        attack()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


def assert_served(bystander: Client) -> None:
    """The bystander's round trip: a message to itself, and a ping."""
    bystander.take()
    bystander.subscribe("bystander", qos=1)
    bystander.publish("bystander", b"x", 1)
    assert bystander.payloads() == [b"x"]
    bystander.send(PingReq())
    bystander.expect(PingResp)


# --- levels of topics and filters ------------------------------------------------------------------------------------


def levels(count: int) -> str:
    return "/".join("l" * count)


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


# --- before CONNACK --------------------------------------------------------------------------------------------------


def begun(size: int, first: int = 0x10) -> bytes:
    """The beginning of a packet of `size` bytes, of any kind."""
    return bytes((first,)) + encode_varint(size) + b"\x00\x04MQTT\x05\x02\x00\x00"


@pytest.mark.parametrize(("level", "answered"), [(5, True), (4, False)])
def test_before_connack_a_packet_is_no_larger_than_a_connect(level, answered):
    """It is told by the header, before the rest is kept. [5.0 MQTT-3.1.4-1, 3.2.2.2]"""
    world = World(maximum_connect_size=1000)
    client = world.raw(V5)
    client.send_bytes(begun(2000).replace(b"MQTT\x05", b"MQTT" + bytes((level,))))
    assert client.closed
    assert [p.reason for p in client.take()] == ([ReasonCode.PACKET_TOO_LARGE] if answered else [])


def test_a_packet_may_be_larger_once_the_client_is_let_in():
    world = World(maximum_connect_size=1000)
    client = Client(world, "c", V5)
    client.open()
    client.send(client.connect_packet(), Publish("t", bytes(5000), QoS.AT_LEAST_ONCE, packet_id=1))
    assert [type(packet) for packet in client.take()] == [ConnAck, PubAck]


def test_the_largest_fields_of_a_connect_fit():
    long = "f" * 65_535
    message = will(long, bytes(65_535), content_type=long, correlation_data=bytes(65_535))
    World().client(long, V5, username=long, password=bytes(65_535), will=message)


def test_of_connections_that_are_not_let_in_the_oldest_goes():
    """Whoever comes with a CONNECT is let in, however many come without."""
    world = World(maximum_half_open=100)
    early = world.client("early", V5)
    silent = [world.raw() for _ in range(150)]
    world.collect()
    assert sum(client.closed for client in silent) == 50
    assert all(client.closed for client in silent[:50])
    assert_served(early)
    assert_served(world.client("late", V5))
    world.advance(11)
    assert all(client.closed for client in silent)


def test_of_packets_that_begin_before_connack_the_largest_goes():
    world = World(opening_maximum_bytes=10_000)
    small, large, middle = world.raw(), world.raw(), world.raw()
    small.send_bytes(begun(100))
    large.send_bytes(begun(8000) + bytes(6000))
    middle.send_bytes(begun(8000) + bytes(3000))
    assert not large.closed
    middle.send_bytes(bytes(1500))
    assert large.closed
    assert large.take() == []  # nothing can be said before CONNACK, see answer_failed
    assert not middle.closed
    assert not small.closed
    assert_served(world.client("c", V5))


def test_of_packets_that_begin_the_largest_goes():
    """[5.0 3.14.2.1]"""
    world = World(incoming_maximum_bytes=100_000)
    greedy, modest, bystander = world.client("g", V5), world.client("m", V5), world.client("b", V5)
    greedy.send_bytes(begun(1_000_000, 0x30) + bytes(70_000))
    modest.send_bytes(begun(1_000_000, 0x30) + bytes(20_000))
    assert not greedy.closed
    for _ in range(15):
        modest.send_bytes(bytes(1000))
    assert greedy.closed
    assert greedy.expect(Disconnect).reason == ReasonCode.QUOTA_EXCEEDED
    assert not modest.closed
    assert_served(bystander)


@pytest.mark.parametrize("is_let_in", [True, False])
def test_who_had_to_go_leaves_nothing_of_what_it_began(is_let_in):
    """However long it takes to end its side of the connection, which the adapter waits for."""
    world = World(incoming_maximum_bytes=200_000, opening_maximum_bytes=200_000)
    bystander = world.client("b", V5)

    def attack() -> None:
        for number in range(20):
            peer = world.client(f"{number}", V5) if is_let_in else world.raw()
            peer.send_bytes(begun(500_000, 0x30 if is_let_in else 0x10).replace(b"\x05\x02", b"\x05\x06"))
            for _ in range(10):
                peer.link.receive_data(bytes(20_000), world.now)
            world.collect()

    assert kept_bytes(attack) < 500_000
    assert_served(bystander)


def test_what_was_begun_and_ended_counts_no_more():
    world = World(incoming_maximum_bytes=5000)
    client, other = world.client("c", V5), world.client("o", V5)
    packet = encode(Publish("t", bytes(4000), QoS.AT_LEAST_ONCE, packet_id=1), V5)
    for _ in range(5):
        client.send_bytes(packet[:3000])
        client.send_bytes(packet[3000:])
        other.send_bytes(packet[:3000])
        other.drop()
        other.connect()
    assert len(client.take()) == 5


def test_a_packet_that_comes_byte_by_byte_takes_no_more_than_its_bytes():
    """A piece of one byte would take fifty."""
    world = World()
    client = world.client("c", V5)
    client.send_bytes(begun(1_000_000, 0x30) + bytes(70_000))

    def attack() -> None:
        for _ in range(20_000):
            client.link.receive_data(b"x", world.now)

    assert kept_bytes(attack) < 100_000


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


# --- retained messages and timers ------------------------------------------------------------------------------------


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


# --- subscriptions and sessions --------------------------------------------------------------------------------------


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


# --- queues ----------------------------------------------------------------------------------------------------------


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
