"""The broker's first promises: connect, subscribe, publish at every QoS, in every version."""

from __future__ import annotations

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, World, in_flight

from reference_broker.wire.packets import PingReq, PingResp, PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import QoS


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("publish_qos", [0, 1, 2])
@pytest.mark.parametrize("subscribe_qos", [0, 1, 2])
def test_delivery_qos_is_the_lower_of_published_and_granted(version, publish_qos, subscribe_qos):
    """[3.1.1 MQTT-3.8.4-6, 5.0 MQTT-3.8.4-8]"""
    world = World()
    subscriber, publisher = world.client("s", version), world.client("p", version)
    assert subscriber.subscribe("t/+", qos=subscribe_qos).reasons == (subscribe_qos,)
    publisher.publish("t/1", b"x", publish_qos)
    (message,) = subscriber.messages()
    assert (message.topic, message.payload, message.qos) == ("t/1", b"x", min(publish_qos, subscribe_qos))
    assert (message.dup, message.retain) == (False, False)


@pytest.mark.parametrize("publisher_version", ALL_VERSIONS)
@pytest.mark.parametrize("subscriber_version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_versions_exchange_messages(publisher_version, subscriber_version, qos):
    world = World()
    subscriber, publisher = world.client("s", subscriber_version), world.client("p", publisher_version)
    subscriber.subscribe("a/b", qos=2)
    publisher.publish("a/b", b"payload", qos)
    assert subscriber.payloads() == [b"payload"]


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_qos_1_delivery_ends_with_puback(version):
    """[3.1.1 MQTT-4.3.2-1, 5.0 MQTT-4.3.2-3]"""
    world = World()
    subscriber, publisher = world.client("s", version), world.client("p", version)
    subscriber.subscribe("t", qos=1)
    publisher.publish("t", b"1", 1)
    (message,) = subscriber.messages()
    assert in_flight(world, "s") == 1
    subscriber.send(PubAck(message.packet_id))
    assert in_flight(world, "s") == 0
    assert world.broker.house.sessions.get("s").inflight == {}


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_qos_2_delivery_takes_four_packets(version):
    """[3.1.1 MQTT-4.3.3-1, 5.0 MQTT-4.3.3-4, MQTT-4.3.3-5]"""
    world = World()
    subscriber, publisher = world.client("s", version), world.client("p", version)
    subscriber.subscribe("t", qos=2)
    publisher.publish("t", b"2", 2)
    (message,) = subscriber.messages()
    subscriber.send(PubRec(message.packet_id))
    assert subscriber.expect(PubRel).packet_id == message.packet_id
    subscriber.send(PubComp(message.packet_id))
    assert in_flight(world, "s") == 0


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_repeated_qos_2_publish_is_acknowledged_again_and_delivered_once(version):
    """[3.1.1 MQTT-4.3.3-2, 5.0 MQTT-4.3.3-10]"""
    world = World()
    subscriber, publisher = world.client("s", version), world.client("p", version)
    subscriber.subscribe("t", qos=0)
    for dup in (False, True, True):
        publisher.send(Publish("t", b"once", QoS.EXACTLY_ONCE, dup=dup, packet_id=7))
        assert publisher.expect(PubRec).packet_id == 7
    assert subscriber.payloads() == [b"once"]
    for _ in range(2):  # a repeated PUBREL is answered as well [5.0 MQTT-4.3.3-11]
        publisher.send(PubRel(7))
        assert publisher.expect(PubComp).packet_id == 7
    publisher.send(Publish("t", b"next", QoS.EXACTLY_ONCE, packet_id=7))
    assert subscriber.payloads() == [b"next"]


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_pingreq_is_answered(version):
    """[3.1.1 MQTT-3.12.4-1, 5.0 MQTT-3.12.4-1]"""
    client = World().client("c", version)
    client.send(PingReq())
    client.expect(PingResp)


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_dup_of_the_publisher_is_not_passed_on(version):
    """[3.1.1 MQTT-3.3.1-3, 5.0 MQTT-3.3.1-3]"""
    world = World()
    subscriber, publisher = world.client("s", version), world.client("p", version)
    subscriber.subscribe("t", qos=1)
    publisher.send(Publish("t", b"x", QoS.AT_LEAST_ONCE, dup=True, packet_id=3))
    (message,) = subscriber.messages()
    assert not message.dup


def test_packets_arrive_whole_however_the_stream_is_cut():
    world = World()
    subscriber, publisher = world.client("s", V5), world.client("p", V311)
    subscriber.subscribe("#", qos=2)
    data = b"\x30\x05\x00\x01tab\x32\x07\x00\x01t\x00\x01cd\xc0\x00"
    for byte in data:
        publisher.send_bytes(bytes([byte]))
    assert [type(packet) for packet in publisher.take()] == [PubAck, PingResp]
    assert subscriber.payloads() == [b"ab", b"cd"]


def test_versions_share_one_broker():
    world = World()
    clients = [world.client(f"c{v}", v) for v in (V31, V311, V5)]
    for client in clients:
        client.subscribe("all")
    clients[0].publish("all", b"hello")
    assert [client.payloads() for client in clients] == [[b"hello"]] * 3
