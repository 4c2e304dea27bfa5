"""What peers that are not let in, or begin packets and do not end them, can make the broker keep."""

from __future__ import annotations

import pytest
from broker_bounds import assert_served, kept_bytes
from broker_harness import V5, Client, World, will

from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    Disconnect,
    PubAck,
    Publish,
)
from reference_broker.wire.types import QoS, ReasonCode
from reference_broker.wire.varint import encode_varint

pytestmark = pytest.mark.thorough


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
