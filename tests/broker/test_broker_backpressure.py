"""Slow clients: publishers wait for those that do not read or do not acknowledge, within bounds and for a while."""

from __future__ import annotations

import pytest
from broker_harness import V5, V311, Client, World, kept

from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Disconnect, PingReq, PubAck, Publish, PubRec
from reference_broker.wire.types import QoS, ReasonCode

# --- clients that do not read ----------------------------------------------------------------------------------------


def stalled(world: World, client_id: str = "slow", qos: int = 1) -> Client:
    client = world.client(client_id, V5, **kept(V5))
    client.subscribe("t", qos=qos)
    client.link.pause_writing()
    return client


def test_output_waits_while_writing_is_paused():
    world = World()
    client = stalled(world)
    publisher = world.client("p", V5)
    for qos in (0, 1):
        publisher.publish("t", b"x", qos)
    assert client.take() == []
    client.link.resume_writing()
    world.collect()
    assert client.payloads() == [b"x", b"x"]


def test_a_stalled_subscriber_costs_a_bound_and_loses_nothing_of_qos_1():
    world = World(outgoing_maximum_bytes=10_000, backpressure_seconds=0, maximum_inflight=65_535)
    client = stalled(world)
    publisher = world.client("p", V5)
    for number in range(100):
        publisher.publish("t", b"q0" * 500, 0)
        publisher.publish("t", b"%03d" % number + b"q1" * 500, 1)
        assert client.link.held_bytes < 12_000
    client.link.resume_writing()
    world.collect()
    qos0 = [message for message in client.inbox if message.qos == 0]
    qos1 = [message.payload[:3] for message in client.inbox if message.qos == 1]
    assert 0 < len(qos0) < 10
    assert qos1 == [b"%03d" % number for number in range(100)]


def test_a_publisher_waits_for_a_subscriber_that_does_not_read():
    world = World(outgoing_maximum_bytes=10_000, backpressure_seconds=1)
    client = stalled(world)
    publisher, other = world.client("p", V5, keep_alive=1), world.client("o", V5)
    for _ in range(20):
        publisher.publish("t", b"x" * 1000)
    other.publish("elsewhere", b"x")
    assert publisher.link.reading_paused
    assert not other.link.reading_paused
    assert not client.link.reading_paused
    client.link.resume_writing()
    world.collect()
    assert not publisher.link.reading_paused


def test_a_subscriber_that_stays_stalled_is_left_behind():
    world = World(outgoing_maximum_bytes=10_000, backpressure_seconds=1)
    client = stalled(world)
    publisher = world.client("p", V5)
    for _ in range(20):
        publisher.publish("t", b"x" * 1000)
    assert publisher.link.reading_paused
    world.advance(1.1)
    assert not publisher.link.reading_paused
    for _ in range(20):
        publisher.publish("t", b"x" * 1000)
    assert not publisher.link.reading_paused
    assert client.link.held_bytes < 12_000
    client.link.resume_writing()  # and once it has read, it is waited for again
    world.collect()
    client.link.pause_writing()
    for _ in range(20):
        publisher.publish("t", b"x" * 1000)
    assert publisher.link.reading_paused


def test_being_held_back_is_not_silence():
    """The keep alive of a publisher that is not read cannot run out. [5.0 3.1.2.10]"""
    world = World(outgoing_maximum_bytes=1000, backpressure_seconds=60)
    stalled(world)
    publisher = world.client("p", V5, keep_alive=2)
    for _ in range(3):
        publisher.publish("t", b"x" * 1000)
    assert publisher.link.reading_paused
    world.advance(50)
    assert not publisher.closed
    world.advance(20)  # left behind after 60, silent since then
    assert publisher.closed


def test_a_client_that_asks_without_reading_is_not_read():
    world = World(outgoing_maximum_bytes=1000)
    client = world.client("c", V311, keep_alive=10)
    client.link.pause_writing()
    for _ in range(1100):
        client.send(PingReq())
    assert client.link.reading_paused
    world.advance(16)  # its silence is its own
    assert client.link.is_closed()


def test_a_client_that_floods_itself_without_reading_is_left_behind_too():
    """It would wait for the broker to read while the broker waits for it."""
    world = World(outgoing_maximum_bytes=10_000, backpressure_seconds=1)
    client = world.client("c", V311)
    client.subscribe("t")
    client.link.pause_writing()
    for _ in range(20):
        client.publish("t", b"x" * 1000)
    assert client.link.reading_paused
    world.advance(1.1)
    assert not client.link.reading_paused
    for _ in range(20):
        client.publish("t", b"x" * 1000)
    assert not client.link.reading_paused
    assert client.link.held_bytes < 12_000


def test_a_publisher_goes_on_when_the_stalled_subscriber_is_closed():
    world = World(outgoing_maximum_bytes=1000, backpressure_seconds=1000)
    client = stalled(world)
    publisher = world.client("p", V5)
    for _ in range(3):
        publisher.publish("t", b"x" * 1000)
    assert publisher.link.reading_paused
    client.drop()
    assert not publisher.link.reading_paused


def test_a_stalled_client_still_gets_the_last_word():
    world = World()
    client = stalled(world)
    world.client("p", V5).publish("t", b"x" * 1000, 1)
    world.client("slow", V5, **kept(V5))
    assert client.expect(Disconnect).reason == ReasonCode.SESSION_TAKEN_OVER


# --- clients that do not acknowledge ---------------------------------------------------------------------------------


def acknowledgements(client: Client) -> list[int]:
    """The identifiers of the PUBACKs and PUBRECs that came, which are taken from the inbox."""
    found = [packet for packet in client.inbox if isinstance(packet, PubAck | PubRec)]
    client.inbox = [packet for packet in client.inbox if packet not in found]
    return [packet.packet_id for packet in found]


FEW = {"maximum_inflight": 2, "queue_maximum_messages": 8}
"""Two in flight and four waiting are not too many, one more is."""


def publish(client: Client, count: int, topic: str = "t") -> None:
    """So many QoS 1 messages in one read."""
    packets = [encode(Publish(topic, b"x", QoS(1), packet_id=number + 1), client.version) for number in range(count)]
    client.send_bytes(b"".join(packets))


def acknowledge(client: Client) -> int:
    """Acknowledge all messages that came; how many."""
    messages = [packet for packet in client.inbox if isinstance(packet, Publish)]
    client.inbox = [packet for packet in client.inbox if packet not in messages]
    client.send(*[PubAck(message.packet_id) for message in messages])
    return len(messages)


def test_a_publisher_waits_for_a_queue_that_piles_up():
    world = World(**FEW)
    subscriber, publisher, other = world.client("s", V5), world.client("p", V5), world.client("o", V5)
    subscriber.subscribe("t", qos=1)
    publish(publisher, 6)
    assert not publisher.link.reading_paused
    publish(publisher, 1)
    publish(other, 5, "elsewhere")
    assert publisher.link.reading_paused
    assert not other.link.reading_paused
    assert acknowledge(subscriber) == 2
    assert publisher.link.reading_paused  # until a quarter is left
    assert acknowledge(subscriber) == 2
    assert not publisher.link.reading_paused
    assert acknowledge(subscriber) == 2
    assert acknowledge(subscriber) == 1


def test_all_whose_messages_made_a_queue_grow_wait_for_it_together():
    """One after the other, each would have added what it had sent meanwhile: more than there is room for."""
    world = World(**FEW)
    subscriber = world.client("s", V5)
    subscriber.subscribe("t", qos=1)
    publishers = [world.client(f"p{number}", V5) for number in range(3)]
    other = world.client("o", V5)
    publish(other, 5, "elsewhere")
    publish(publishers[0], 3)
    publish(publishers[1], 3)
    assert not any(publisher.link.reading_paused for publisher in publishers)
    publish(publishers[2], 1)
    assert all(publisher.link.reading_paused for publisher in publishers)
    assert not other.link.reading_paused
    assert [acknowledge(subscriber) for _ in range(4)] == [2, 2, 2, 1]
    assert not any(publisher.link.reading_paused for publisher in publishers)


def test_who_is_gone_waits_for_no_queue_that_he_fed():
    world = World(**FEW)
    subscriber, gone, publisher = world.client("s", V5), world.client("g", V5), world.client("p", V5)
    subscriber.subscribe("t", qos=1)
    publish(gone, 6)
    gone.drop()
    publish(publisher, 1)
    assert publisher.link.reading_paused
    assert not world.broker.house.backpressure.is_waiting(gone.link)


def test_a_subscriber_that_acknowledges_nothing_is_left_behind():
    world = World(**FEW, backpressure_seconds=1)
    subscriber, publisher = world.client("s", V311), world.client("p", V311)
    subscriber.subscribe("t", qos=1)
    publish(publisher, 7)
    assert publisher.link.reading_paused
    world.advance(1.1)
    assert not publisher.link.reading_paused
    publish(publisher, 20)
    assert not publisher.link.reading_paused
    received = 0
    while count := acknowledge(subscriber):
        received += count
    assert received == 2 + 8  # what was in flight and what the queue holds
    publish(publisher, 7)  # and once it has caught up, it is waited for again
    assert publisher.link.reading_paused


def test_clients_that_feed_each_other_are_read_but_answered_later():
    """If neither was read, neither's acknowledgements would be."""
    world = World(**FEW)
    one, two = world.client("1", V5), world.client("2", V5)
    one.subscribe("to/1", qos=1)
    two.subscribe("to/2", qos=1)
    publish(one, 7, "to/2")
    assert acknowledgements(one) == [1, 2, 3, 4, 5, 6, 7]
    assert one.link.reading_paused  # it has nothing to acknowledge
    publish(two, 7, "to/1")
    assert acknowledgements(two) == [1, 2, 3, 4, 5, 6, 7]
    assert not two.link.reading_paused
    publish(two, 3, "to/1")
    assert acknowledgements(two) == []
    while acknowledge(two):
        pass
    assert not one.link.reading_paused
    while acknowledge(one):
        pass
    assert acknowledgements(two) == [1, 2, 3]
    publish(two, 1, "to/1")
    assert acknowledgements(two) == [1]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_client_that_feeds_itself_is_answered_later(qos):
    world = World(**FEW)
    client = world.client("c", V311)
    client.subscribe("t", qos=qos)
    publish(client, 8)
    assert not client.link.reading_paused
    assert acknowledgements(client) == [1, 2, 3, 4, 5, 6, 7, 8]
    client.send(Publish("t", b"x", QoS(qos), packet_id=9))
    assert acknowledgements(client) == []
    while acknowledge(client):
        pass
    assert acknowledgements(client) == [9]


def test_answers_are_held_back_no_longer_than_publishers_wait():
    world = World(**FEW, backpressure_seconds=1)
    client = world.client("c", V311, keep_alive=2)
    client.subscribe("t", qos=1)
    publish(client, 8)
    publish(client, 1)
    client.take()
    world.advance(1.1)
    assert acknowledgements(client) == [1]
    world.advance(3)
    assert client.closed  # it is read, so that its silence is its own


def test_a_client_that_disconnects_gets_no_answers_it_was_held_back():
    world = World(**FEW)
    client = world.client("c", V311)
    client.subscribe("t", qos=1)
    publish(client, 8)
    publish(client, 1)
    client.take()
    client.send(Disconnect())
    assert client.closed
    assert client.take() == []


def test_a_publisher_goes_on_only_when_both_output_and_queue_have_drained():
    world = World(**FEW)
    subscriber, publisher = world.client("s", V5), world.client("p", V5)
    subscriber.subscribe("t", qos=1)
    publish(publisher, 7)
    first, second = subscriber.messages()
    subscriber.link.pause_writing()
    subscriber.send(PubAck(first.packet_id), PubAck(second.packet_id))
    subscriber.send(PubAck(second.packet_id + 1), PubAck(second.packet_id + 2))  # which it cannot have read
    assert len(world.broker.house.sessions.get("s").queue) == 1
    assert publisher.link.reading_paused
    subscriber.link.resume_writing()
    world.collect()
    assert not publisher.link.reading_paused
