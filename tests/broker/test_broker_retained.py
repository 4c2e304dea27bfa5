"""Retained messages: set, replaced, cleared, expired; when a subscription brings them and with which flag."""

from __future__ import annotations

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, World, kept

from reference_broker.wire.packets import Disconnect
from reference_broker.wire.types import ReasonCode, RetainHandling


def retained_by(world: World, topic_filter: str = "#", version=V5, qos: int = 2) -> list[tuple[str, bytes]]:
    """What a new subscriber gets."""
    client = world.client("looker", version)
    client.subscribe(topic_filter, qos=qos)
    messages = client.messages()
    assert all(message.retain for message in messages)
    client.disconnect()
    return [(message.topic, message.payload) for message in messages]


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_retained_message_is_kept_for_new_subscribers(version):
    """[3.1.1 MQTT-3.3.1-5, MQTT-3.3.1-6, MQTT-3.3.1-8, 5.0 MQTT-3.3.1-5]"""
    world = World()
    world.client("p", version).publish("t", b"kept", 1, retain=True)
    for reader in ALL_VERSIONS:
        assert retained_by(world, "t", reader) == [("t", b"kept")]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_last_retained_message_counts_at_every_qos(qos):
    """[3.1.1 MQTT-3.3.1-7, 5.0 MQTT-3.3.1-5]"""
    world = World()
    publisher = world.client("p", V311)
    for number in range(3):
        publisher.publish("t", b"%d" % number, qos, retain=True)
    client = world.client("s", V5)
    client.subscribe("t", qos=2)
    (message,) = client.messages()
    assert (message.payload, message.qos, message.dup) == (b"2", qos, False)


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_an_empty_payload_clears_and_is_passed_on(version):
    """[3.1.1 MQTT-3.3.1-10, MQTT-3.3.1-11, 5.0 MQTT-3.3.1-6, MQTT-3.3.1-7]"""
    world = World()
    watcher = world.client("w", version)
    watcher.subscribe("t")
    publisher = world.client("p", version)
    publisher.publish("t", b"kept", retain=True)
    publisher.publish("t", b"", retain=True)
    publisher.publish("t", b"", retain=True)
    assert [(m.payload, m.retain) for m in watcher.messages()] == [(b"kept", False), (b"", False), (b"", False)]
    assert retained_by(world) == []


def test_messages_without_the_flag_change_nothing():
    """[3.1.1 MQTT-3.3.1-12, 5.0 MQTT-3.3.1-8]"""
    world = World()
    publisher = world.client("p", V5)
    publisher.publish("t", b"kept", retain=True)
    publisher.publish("t", b"passing")
    publisher.publish("t", b"")
    publisher.publish("other", b"passing")
    assert retained_by(world) == [("t", b"kept")]


def test_retained_messages_outlive_their_publishers_session():
    """[3.1.1 MQTT-3.1.2-7, 5.0 4.1]"""
    world = World()
    publisher = world.client("p", V5)
    publisher.publish("t", b"kept", retain=True)
    publisher.disconnect()
    assert retained_by(world) == [("t", b"kept")]


@pytest.mark.parametrize(
    ("topic_filter", "topics"),
    [
        ("#", {"a", "a/b", "a/b/c", "x", "/", "x/$y"}),
        ("$SYS/#", {"$SYS", "$SYS/up"}),
        ("$SYS/+", {"$SYS/up"}),
        ("+", {"a", "x"}),
        ("+/+", {"a/b", "/", "x/$y"}),
        ("a/#", {"a", "a/b", "a/b/c"}),
        ("+/b/#", {"a/b", "a/b/c"}),
        ("a/+/c", {"a/b/c"}),
        ("x/+", {"x/$y"}),
        ("a/b", {"a/b"}),
        ("a/b/c/d", set()),
    ],
)
def test_retained_messages_are_found_by_filter(topic_filter, topics):
    """[5.0 MQTT-4.7.2-1]"""
    world = World()
    publisher = world.client("p", V5)
    for topic in ("a", "a/b", "a/b/c", "x", "/", "x/$y", "$SYS", "$SYS/up"):
        publisher.publish(topic, b"x", retain=True)
    found = [topic for topic, _ in retained_by(world, topic_filter)]
    assert sorted(found) == sorted(topics)


# --- the flag --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_live_messages_have_the_flag_cleared(version):
    """[3.1.1 MQTT-3.3.1-9, 5.0 MQTT-3.3.1-12]"""
    world = World()
    client = world.client("s", version)
    client.subscribe("t", qos=2)
    for qos in (0, 1, 2):
        world.client("p", V5).publish("t", b"x", qos, retain=True)
    assert [message.retain for message in client.messages()] == [False] * 3


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_retain_as_published_keeps_the_flag(qos, retain):
    """[5.0 MQTT-3.3.1-13]"""
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=2, retain_as_published=True)
    world.client("p", V5).publish("t", b"x", qos, retain=retain)
    (message,) = client.messages()
    assert message.retain == retain
    client.drop()
    world.client("p", V5).publish("t", b"y", 1, retain=retain)
    client.connect(**kept(V5))
    assert client.messages()[-1].retain == retain


def test_the_flag_is_set_on_a_new_subscription_whatever_retain_as_published_says():
    """[5.0 3.3.1.3]"""
    world = World()
    world.client("p", V5).publish("t", b"x", retain=True)
    for retain_as_published in (False, True):
        client = world.client("s", V5)
        client.subscribe("t", retain_as_published=retain_as_published)
        (message,) = client.messages()
        assert message.retain


# --- when ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V31, V311])
def test_subscribing_again_sends_them_again_in_3x(version):
    """[3.1.1 MQTT-3.8.4-3]"""
    world = World()
    world.client("p", V5).publish("t", b"x", retain=True)
    client = world.client("s", version)
    for _ in range(3):
        client.subscribe("t")
        assert client.payloads() == [b"x"]


@pytest.mark.parametrize(
    ("handling", "first", "second"),
    [
        (RetainHandling.SEND, 1, 1),
        (RetainHandling.SEND_IF_NEW, 1, 0),
        (RetainHandling.DO_NOT_SEND, 0, 0),
    ],
)
def test_retain_handling(handling, first, second):
    """[5.0 MQTT-3.3.1-9, MQTT-3.3.1-10, MQTT-3.3.1-11, MQTT-3.8.4-4]"""
    world = World()
    world.client("p", V5).publish("t", b"x", retain=True)
    client = world.client("s", V5, **kept(V5))
    for expected in (first, second):
        client.subscribe("t", retain_handling=handling, identifier=3)
        messages = client.messages()
        assert len(messages) == expected
        assert all(m.properties.subscription_identifier == (3,) for m in messages)
    client.drop()
    client.connect(**kept(V5))  # the subscription exists although the connection is new
    client.subscribe("t", retain_handling=handling)
    assert len(client.messages()) == second
    client.unsubscribe("t")
    client.subscribe("t", retain_handling=handling)
    assert len(client.messages()) == first


def test_each_filter_of_a_subscribe_brings_its_own():
    """[5.0 MQTT-3.8.4-5]"""
    world = World()
    world.client("p", V5).publish("t", b"x", retain=True)
    client = world.client("s", V5)
    client.subscribe("t", "#")
    assert client.payloads() == [b"x", b"x"]


def test_a_resumed_session_gets_none():
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=1)
    client.drop()
    world.client("p", V5).publish("t", b"x", retain=True)  # QoS 0: not queued
    client.connect(**kept(V5))
    assert client.messages() == []


def test_no_local_holds_for_retained_messages_too():
    """[5.0 MQTT-3.8.3-3]"""
    world = World()
    client = world.client("s", V5)
    client.publish("t", b"own", retain=True)
    client.subscribe("t", no_local=True)
    assert client.messages() == []
    client.subscribe("t", no_local=False)
    assert client.payloads() == [b"own"]


# --- limits and expiry -----------------------------------------------------------------------------------------------


def test_a_retained_message_expires():
    """[5.0 3.3.2.3.3, MQTT-3.3.2-6]"""
    world = World()
    world.client("p", V5).publish("t", b"x", retain=True, message_expiry_interval=10)
    world.advance(3.5)
    client = world.client("s", V5)
    client.subscribe("t")
    (message,) = client.messages()
    assert message.properties.message_expiry_interval == 7
    world.advance(6.6)
    assert retained_by(world) == []
    assert len(world.broker.house.retained) == 0


def test_an_expired_message_does_not_take_its_successor_along():
    world = World()
    publisher = world.client("p", V5)
    publisher.publish("t", b"first", retain=True, message_expiry_interval=10)
    publisher.publish("t", b"second", retain=True)
    world.advance(100)
    assert retained_by(world) == [("t", b"second")]


def test_properties_of_a_retained_message_are_kept():
    world = World()
    world.client("p", V5).publish("t", b"x", retain=True, content_type="c", user_property=(("a", "1"), ("a", "2")))
    client = world.client("s", V5)
    client.subscribe("t")
    (message,) = client.messages()
    assert message.properties.present() == {"content_type": "c", "user_property": (("a", "1"), ("a", "2"))}


def test_retained_is_not_supported():
    """[5.0 MQTT-3.2.2-14]"""
    world = World(retain_available=False)
    old = world.client("o", V311)
    old.subscribe("t")
    old.publish("t", b"x", retain=True)
    assert old.payloads() == [b"x"]
    assert retained_by(world) == []
    new = world.client("n", V5)
    new.publish("t", b"x", retain=True)
    assert new.expect(Disconnect).reason == ReasonCode.RETAIN_NOT_SUPPORTED


def test_the_number_of_retained_messages_can_be_bounded():
    world = World(retained_maximum_messages=2)
    watcher = world.client("w", V5)
    watcher.subscribe("#")
    client = world.client("p", V5)
    assert client.publish("a", b"1", 1, retain=True).reason == 0
    assert client.publish("b", b"1", 2, retain=True).reason == 0
    for qos in (1, 2):
        refusal = client.publish("c", b"1", qos, retain=True)
        assert (refusal.reason, bool(refusal.properties.reason_string)) == (ReasonCode.QUOTA_EXCEEDED, True)
    assert client.publish("a", b"2", 1, retain=True).reason == 0
    client.publish("b", b"", retain=True)
    assert client.publish("c", b"2", 1, retain=True).reason == 0
    assert sorted(retained_by(world)) == [("a", b"2"), ("c", b"2")]
