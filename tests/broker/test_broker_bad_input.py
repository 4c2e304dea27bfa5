"""Bad input: the offender is closed as its version demands, everybody else notices nothing."""

from __future__ import annotations

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, World, kept, will
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    Disconnect,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from reference_broker.wire.types import QoS, ReasonCode

BAD = {
    "reserved packet type": (b"\x00\x00", 0x81),
    "flags of SUBSCRIBE": (b"\x80\x06\x00\x01\x00\x00\x01t", 0x81),
    "QoS 3": (b"\x36\x05\x00\x01t\x00\x01", 0x81),
    "remaining length without end": (b"\x30\xff\xff\xff\xff\x01", 0x81),
    "wildcard in a topic name": (b"\x30\x04\x00\x01#\x00", 0x90),
    "empty SUBSCRIBE": (b"\x82\x02\x00\x01", None),
    "CONNACK from a client": (b"\x20\x02\x00\x00", None),
    "SUBACK from a client": (b"\x90\x03\x00\x01\x00", None),
    "PINGRESP from a client": (b"\xd0\x00", None),
    "packet identifier 0": (b"\x32\x05\x00\x01t\x00\x00", None),
}


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("bad", BAD)
def test_the_offender_is_closed_its_will_published_and_the_others_go_on(version, bad):
    """[3.1.1 MQTT-4.8.0-1, 5.0 MQTT-4.13.1-1]"""
    data, reason = BAD[bad]
    world = World()
    watcher = world.client("w", V5)
    watcher.subscribe("#")
    offender = world.client("bad", version, will=will())
    offender.send_bytes(encode(Publish("t", b"before"), version) + data + encode(Publish("t", b"after"), version))
    assert offender.closed
    if version is V5:
        answer = offender.expect(Disconnect)
        assert answer.reason >= 0x80
        assert reason is None or answer.reason == reason
        assert answer.properties.reason_string
    else:
        assert offender.inbox == []
    assert watcher.payloads() == [b"before", b"will"]
    (line,) = world.log
    assert "peer-bad" in line
    assert "'bad'" in line
    assert "\n" not in line


def test_a_subscription_identifier_from_a_client_is_a_protocol_error():
    """[5.0 MQTT-3.3.4-6]"""
    client = World().client("c", V5)
    client.send_bytes(b"\x30\x06\x00\x01t\x02\x0b\x01")
    assert client.expect(Disconnect).reason == ReasonCode.PROTOCOL_ERROR


def test_a_qos_above_the_maximum_is_a_protocol_error():
    """[5.0 MQTT-3.2.2-11]"""
    world = World(maximum_qos=1)
    client = world.client("c", V5)
    client.send(Publish("t", b"x", QoS.EXACTLY_ONCE, packet_id=1))
    assert client.expect(Disconnect).reason == ReasonCode.QOS_NOT_SUPPORTED
    old = world.client("d", V311)
    old.send(Publish("t", b"x", QoS.EXACTLY_ONCE, packet_id=1))
    assert old.closed


def test_bytes_after_the_end_mean_nothing():
    world = World()
    watcher = world.client("w", V5)
    watcher.subscribe("#")
    client = world.client("c", V311)
    client.send(Disconnect(), Publish("t", b"late"))
    client.link.receive_data(encode(Publish("t", b"later"), V311), world.now)
    world.collect()
    assert watcher.messages() == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("topic", ["a\x01b", "\ufeffx", "é/ü", "𝄞", "a" * 65_535, "/" * 65_535, "$", "$share/x"])
def test_strange_topics_travel_unchanged(version, topic):
    """[3.1.1 MQTT-1.5.3-3, MQTT-4.7.3-4, 5.0 MQTT-1.5.4-3, MQTT-4.7.3-4]"""
    world = World(maximum_topic_levels=65_536)
    client = world.client("c", version)
    client.subscribe("#", "$/#", "$share/#") if version is not V5 else client.subscribe("#", "$/#", "$", "$share")
    if version is not V5 or topic != "$share/x":
        client.publish(topic, b"x", 1, retain=True)
        assert [m.topic for m in client.messages()] == [topic]


def test_deep_filters_and_topics_do_no_harm():
    world = World(maximum_topic_levels=65_536)
    client = world.client("c", V311)
    deep = "+/" * 30_000 + "#"
    client.subscribe(deep)
    client.publish("/" * 40_000, b"x", retain=True)
    assert client.payloads() == [b"x"]
    client.subscribe(deep)
    world.advance(10)
    assert client.payloads() == [b"x"]
    client.unsubscribe(deep)
    client.publish("/" * 40_000, b"")
    assert client.messages() == []


# --- nothing a peer sends makes the broker raise ---------------------------------------------------------------------

SEEDS = [
    Publish("t", b"x"),
    Publish("t", b"x", QoS.AT_LEAST_ONCE, retain=True, packet_id=1),
    Publish("t/u", b"x", QoS.EXACTLY_ONCE, packet_id=2),
    PubAck(1),
    PubRec(1),
    PubRel(2),
    PubComp(1),
    Subscribe(3, (Subscription("t/#", QoS.EXACTLY_ONCE), Subscription("+"))),
    Unsubscribe(4, ("t/#",)),
    PingReq(),
]


@settings(max_examples=80)
@given(
    version=st.sampled_from(ALL_VERSIONS),
    packets=st.lists(
        st.tuples(st.integers(0, len(SEEDS) - 1), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)))),
        max_size=8,
    ),
    cut=st.integers(1, 50),
)
@example(version=V31, packets=[(0, [(4, 0)])], cut=50)  # U+0000 in a topic, which 3.1 does not forbid
def test_damaged_packets_never_make_the_broker_raise(version, packets, cut):
    world = World()
    watchers = [world.client(f"w{other}", other) for other in ALL_VERSIONS]
    for watcher in watchers:
        watcher.subscribe("#", qos=2)
    client = world.client("c", version, **kept(version), will=will())
    data = b""
    for seed, damages in packets:
        packet = bytearray(encode(SEEDS[seed], version))
        for position, value in damages:
            packet[position % len(packet)] = value
        data += packet
    for start in range(0, len(data), cut):
        client.link.receive_data(data[start : start + cut], world.now)
    world.collect()
    fresh = world.client("fresh", V5)
    fresh.publish("t", b"alive", 1)
    for watcher in watchers:
        assert watcher.messages()[-1].payload == b"alive"


@settings(max_examples=100)
@given(data=st.binary(max_size=60))
def test_random_bytes_never_make_the_broker_raise(data):
    world = World()
    client = world.raw()
    client.link.receive_data(data, world.now)
    client.link.receive_data(b"\x10" + data, world.now)
    world.advance(60)
    assert client.link.is_closed()
