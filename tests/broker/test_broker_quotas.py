"""What one peer may do, and all of them together, by count, by size and by time: each test attacks one bound."""

from __future__ import annotations

import pytest
from broker_bounds import MEBI, assert_served, kept_bytes
from broker_harness import V5, V31, V311, Client, World, kept, will

from reference_broker.broker import Broker, BrokerConfig, DropPolicy
from reference_broker.broker.keeping.addresses import Addresses, address_of
from reference_broker.broker.values.rates import PacketCount, Rate
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    Disconnect,
    PingReq,
    PubAck,
    Publish,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, ReasonCode

# --- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.7:1883", "192.0.2.7"),
        ("[2001:db8:0:1::5]:4000", "2001:db8:0:1::/64"),
        ("[2001:db8:0:1:ffff::]:1", "2001:db8:0:1::/64"),
        ("[::ffff:192.0.2.7]:5", "192.0.2.7"),
        ("[fe80::1%eth0]:5", "fe80::/64"),
        ("", None),
        ("/run/broker.sock", None),
        ("pipe:7", None),
    ],
)
def test_a_customer_of_ipv6_is_one_address(peer, address):
    assert address_of(peer) == address


def test_one_address_has_so_many_connections_and_no_more():
    """Whatever they say or do not say; others are let in."""
    world = World(maximum_connections_per_address=10)
    connect = world.broker.connect
    links = [connect(world.now, f"192.0.2.1:{port}") for port in range(30)]
    assert [link.is_closed() for link in links] == [False] * 10 + [True] * 20
    assert not connect(world.now, "192.0.2.2:1").is_closed()
    links[0].connection_lost(world.now)
    assert not connect(world.now, "192.0.2.1:99").is_closed()
    assert_served(world.client("bystander"))


def test_addresses_that_are_gone_are_forgotten():
    addresses = Addresses(BrokerConfig(maximum_connects_per_second=10))
    for number in range(30_000):
        peer = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:1"
        addresses.arrived(peer, float(number))
        addresses.left(peer)
    assert len(addresses) <= 10_000


def test_addresses_that_stay_are_not_gone_through_for_each_that_comes(monkeypatch):
    """That would take milliseconds each time, and one who has a network of its own has addresses without end."""
    looks: list[int] = []
    forget = Addresses._forget_settled
    monkeypatch.setattr(Addresses, "_forget_settled", lambda self, now: (looks.append(1), forget(self, now)))
    addresses = Addresses(BrokerConfig())
    for number in range(50_000):
        addresses.arrived(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:1", 0.0)
    assert len(addresses) == 50_000
    assert len(looks) <= 3


def test_who_connects_too_often_is_read_when_its_time_has_come():
    """It is not refused: a thousand devices behind one address come back at once after a power cut."""
    world = World(maximum_connects_per_second=8)
    links = [world.broker.connect(world.now, f"192.0.2.1:{port}") for port in range(15)]
    assert [link.reading_paused for link in links] == [False] * 8 + [True] * 7
    assert not world.broker.connect(world.now, "192.0.2.2:1").reading_paused
    world.advance(0.125)
    assert [link.reading_paused for link in links] == [False] * 9 + [True] * 6
    links[-1].connection_lost(world.now)
    world.advance(1.0)
    assert not any(link.reading_paused for link in links[:-1])


# --- CONNECT ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V31, V311, V5])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_connect_without_will_is_no_larger_than_64_kib(version, in_pieces):
    world = World()
    client = Client(world, "c", version)
    client.open()
    data = encode(client.connect_packet(username="u" * 65_000, password=b"p" * 60_000), version)
    if not in_pieces:
        client.send_bytes(data)
    for start in range(0, len(data) if in_pieces else 0, 5):
        client.send_bytes(data[start : start + 5])
        if client.closed:
            assert start < 15  # as soon as its flags are there
            break
    assert client.closed
    assert [packet.reason for packet in client.take()] == ([ReasonCode.PACKET_TOO_LARGE] if version is V5 else [])


@pytest.mark.parametrize("version", [V311, V5])
def test_a_will_may_need_more_than_64_kib(version):
    World().client("c", version, username="u" * 65_000, will=will("t", bytes(65_535)))


def test_the_flags_of_a_connect_are_not_looked_for_behind_it():
    """Its protocol name may be said to be of any length."""
    client = World().raw()
    client.send_bytes(b"\x10\xff\xff\x07\xff\xff" + bytes(20))
    assert client.closed


# --- packets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("kind", [Subscribe, Unsubscribe])
def test_one_packet_has_so_many_filters_and_no_more(version, kind):
    """Decoding a million takes seconds and hundreds of megabytes; they are counted before."""
    world = World(maximum_filters=100)
    client, bystander = world.client("c", version), world.client("b")

    def request(count):
        filters = tuple("abc" * 3 for _ in range(count))
        return kind(1, tuple(map(Subscription, filters)) if kind is Subscribe else filters)

    client.send(request(100))
    assert not client.closed
    client.take()
    client.send(request(101))
    assert client.closed
    if version is V5:
        assert client.expect(Disconnect).reason == ReasonCode.QUOTA_EXCEEDED
    assert_served(bystander)


def test_a_packet_that_is_no_publish_is_refused_by_its_header():
    world = World()
    client, bystander = world.client("c"), world.client("b")
    client.send_bytes(b"\x82\xff\xff\xff\x7f\x00\x01")
    assert client.expect(Disconnect).reason == ReasonCode.QUOTA_EXCEEDED
    other = world.client("c")
    other.send_bytes(b"\x32\xff\xff\xff\x7f\x00\x01t")
    assert not other.closed
    assert_served(bystander)


@pytest.mark.parametrize("qos", [0, 1])
def test_properties_of_a_publish_are_bounded_before_they_are_decoded(qos):
    """A user property of five bytes takes forty times as much."""
    world = World()
    client, bystander = world.client("c"), world.client("b")
    pairs = (("", ""),) * 200_000

    def attack() -> None:
        client.send(
            Publish("t", b"", QoS(qos), packet_id=1 if qos else None, properties=Properties(user_property=pairs))
        )

    attack_bytes = kept_bytes(attack)
    assert client.expect(Disconnect).reason == ReasonCode.QUOTA_EXCEEDED
    assert attack_bytes < MEBI
    again = world.client("c")
    again.publish("t", b"", 1, user_property=(("k" * 65_535, "v" * 65_535),), correlation_data=bytes(65_535))
    assert_served(bystander)


# --- topics and subscriptions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "is_allowed"), [("t" * 10, True), ("t" * 11, False), ("ä" * 5, True), ("ä" * 6, False)]
)
@pytest.mark.parametrize("qos", [1, 2])
def test_a_topic_has_no_more_bytes_than_allowed(topic, is_allowed, qos):
    """[5.0 3.4.2.1, 3.9.3, 3.2.2.2]"""
    world = World(maximum_topic_length=10)
    client = world.client("c")
    reason = client.publish(topic, b"", qos).reason
    assert (reason != ReasonCode.TOPIC_NAME_INVALID) is is_allowed
    assert client.subscribe(topic).reasons == ((0,) if is_allowed else (ReasonCode.TOPIC_FILTER_INVALID,))
    expect = 0 if is_allowed else ReasonCode.TOPIC_NAME_INVALID
    Client(world, "w", V5).connect(expect=expect, will=will(topic))


@pytest.mark.parametrize(("version", "refusal"), [(V5, 0x97), (V311, 0x80)])
def test_a_session_has_so_many_subscriptions_and_no_more(version, refusal):
    """[5.0 3.9.3, 3.1.1 MQTT-3.8.4-5]"""
    world = World(maximum_subscriptions=3)
    client, bystander = world.client("c", version), world.client("b")
    assert client.subscribe("a", "b", "c", "d", "a").reasons == (0, 0, 0, refusal, 0)
    client.unsubscribe("b")
    assert client.subscribe("d").reasons == (0,)
    assert_served(bystander)


# --- queues -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", DropPolicy)
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("fast_path", [True, False])
def test_queues_of_all_sessions_together_are_bounded_in_bytes(policy, qos, fast_path):
    """Ten thousand sessions that stay away may have 16 MiB each."""
    config = BrokerConfig(queues_maximum_bytes=MEBI, queue_drop_policy=policy)
    world = World(Broker(config, fast_path=fast_path))
    publisher, bystander = world.client("p"), world.client("b")
    for number in range(20):
        client = world.client(f"{number}", V311, clean_start=False)
        client.subscribe(f"t/{number}", qos=qos)
        client.drop()

    def attack() -> None:
        for number in range(20):
            for first in range(1, 40, 10):
                many = [
                    Publish(f"t/{number}", bytes(10_000), QoS(qos), packet_id=first + each + 100 * number)
                    for each in range(10)
                ]
                publisher.send(*many)
                publisher.inbox.clear()
                publisher.wire = b""

    attack()
    sessions = world.broker.house.sessions
    total = sum(session.queue.size_bytes for session in sessions if session.queue is not None)
    assert 0.9 * MEBI < total <= MEBI
    assert sessions.queues.size_bytes == total
    for number in range(20):
        world.client(f"{number}", V311, clean_start=True)
    assert sessions.queues.size_bytes == 0
    assert_served(bystander)


def test_what_waits_and_leaves_counts_no_more():
    """In every way in which it leaves: sent, expired, dropped, with its session."""
    world = World(maximum_inflight=1)
    publisher, client = world.client("p"), world.client("c", **kept(V5))
    client.subscribe("#", qos=2)
    queues = world.broker.house.sessions.queues
    for expiry in (None, 5, None):
        properties = {} if expiry is None else {"message_expiry_interval": expiry}
        for _ in range(10):
            publisher.publish("t", bytes(100), 1, **properties)
    assert queues.size_bytes == 29 * 100
    world.advance(10)
    client.send(PubAck(client.messages()[0].packet_id))
    assert queues.size_bytes < 29 * 100
    client.drop()
    client.take()
    client.connect(clean_start=True)
    assert queues.size_bytes == 0


# --- rates ------------------------------------------------------------------------------------------------------------


def test_a_rate_allows_a_second_at_once_and_then_what_it_says():
    rate = Rate(10)
    assert rate.charge(10, 100.0) == 100.0
    assert rate.charge(5, 100.0) == 100.5
    assert rate.charge(1, 200.0) == 199.1


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000, 100_000])
def test_packets_are_counted_however_they_come(piece):
    packets = [PingReq(), Publish("t", bytes(200)), Publish("t", bytes(20_000)), PubAck(1), Publish("u", b"")] * 3
    data = b"".join(encode(packet, V311) for packet in packets)
    count = PacketCount()
    assert sum(count.feed(data[start : start + piece]) for start in range(0, len(data), piece)) == len(packets)


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize(
    ("settings", "seconds"), [({"maximum_packets_per_second": 100}, 2.0), ({"maximum_bytes_per_second": 600}, 2.0)]
)
def test_who_sends_too_much_is_not_read_for_a_time(fast_path, settings, seconds):
    """All of it has its effect, nobody is disconnected, and its keep alive waits for it."""
    world = World(Broker(BrokerConfig(**settings), fast_path=fast_path))
    client, bystander = world.client("c", V311, keep_alive=1), world.client("b")
    world.advance(1.0)
    client.send(*[Publish("t", b"x")] * 300)  # six bytes each
    assert client.link.reading_paused
    world.advance(seconds - 0.01)
    assert client.link.reading_paused
    assert_served(bystander)
    world.advance(0.02)
    assert not client.link.reading_paused
    assert not client.closed
    client.send(PingReq())
    world.advance(10)
    assert client.closed  # and its keep alive holds again


# --- memory -----------------------------------------------------------------------------------------------------------


def test_while_no_memory_is_left_nothing_is_taken_that_needs_more():
    """And who is there may go on acknowledging, pinging and leaving. [5.0 4.13]"""
    world = World()
    client, old, before = world.client("c"), world.client("o", V311), world.client("before")
    before.subscribe("t", qos=1)
    client.publish("t", b"1", 1)
    world.broker.memory_is_full = True
    assert client.publish("t", b"2", 1).reason == ReasonCode.QUOTA_EXCEEDED
    assert client.publish("t", b"2", 2).reason == ReasonCode.QUOTA_EXCEEDED
    client.publish("t", b"2")
    assert client.subscribe("x").reasons == (ReasonCode.QUOTA_EXCEEDED,)
    assert old.subscribe("x").reasons == (0x80,)
    Client(world, "n", V5).connect(expect=ReasonCode.QUOTA_EXCEEDED)
    Client(world, "n", V311).connect(expect=3)
    old.send(Publish("t", b"2", QoS.AT_LEAST_ONCE, packet_id=9))
    assert old.closed  # 3.x has no way to say so [3.1.1 MQTT-3.3.5-2]
    assert before.payloads() == [b"1"]
    client.send(PingReq())
    assert not client.closed
    world.broker.memory_is_full = False
    client.take()
    assert client.publish("t", b"3", 1).reason == 0
    assert before.payloads() == [b"3"]
    assert_served(world.client("n"))
