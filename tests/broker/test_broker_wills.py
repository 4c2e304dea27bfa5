"""Wills: published in every way a connection can end but one, at the right time, exactly once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World, kept, will

from reference_broker.broker import AccessRule
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Disconnect, Publish
from reference_broker.wire.types import QoS, ReasonCode

FATAL = b"\x00\x00"  # packet type 0


def watched(**settings) -> tuple[World, Client]:
    world = World(**settings)
    watcher = world.client("w", V5)
    watcher.subscribe("gone/#", qos=2)
    return world, watcher


ENDS: dict[str, Callable[[World, Client], None]] = {
    "connection lost": lambda world, client: client.drop(),
    "keep alive": lambda world, client: world.advance(20),
    "malformed packet": lambda world, client: client.send_bytes(FATAL),
    "protocol error": lambda world, client: client.send(client.connect_packet()),
    "taken over": lambda world, client: world.client(client.client_id, client.version) and None,
    "broker shut down": lambda world, client: client.link.disconnect(ReasonCode.SERVER_SHUTTING_DOWN, "", world.now),
}


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("end", ENDS)
def test_every_end_without_disconnect_publishes_the_will_once(version, end):
    """[3.1.1 MQTT-3.1.2-8, MQTT-3.1.2-10, MQTT-3.1.2-24, 5.0 MQTT-3.1.2-8, MQTT-3.1.2-10]"""
    world, watcher = watched()
    client = world.client("c", version, keep_alive=10, will=will("gone/c"))
    ENDS[end](world, client)
    world.collect()
    assert watcher.payloads() == [b"will"]
    if not client.closed:
        client.drop()
    world.advance(1000)
    assert watcher.messages() == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_disconnect_cancels_the_will(version):
    """[3.1.1 MQTT-3.14.4-3, 5.0 MQTT-3.14.4-3]"""
    world, watcher = watched()
    client = world.client("c", version, **kept(version), will=will("gone/c"))
    client.disconnect()
    world.advance(1000)
    assert watcher.messages() == []
    client.connect(**kept(version))  # and it stays cancelled for the next connection [3.1.1 MQTT-3.1.2-12]
    client.drop()
    assert watcher.messages() == []


@pytest.mark.parametrize("reason", [0x04, 0x80, 0x93])
def test_disconnect_with_another_reason_publishes_the_will(reason):
    """[5.0 3.1.2.5, 3.14.2.1]"""
    world, watcher = watched()
    client = world.client("c", V5, will=will("gone/c"))
    client.disconnect(reason)
    assert watcher.payloads() == [b"will"]


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_will_qos_and_retain(version, qos, retain):
    """[3.1.1 MQTT-3.1.2-16, MQTT-3.1.2-17, 5.0 MQTT-3.1.2-14, MQTT-3.1.2-15]"""
    world, watcher = watched()
    world.client("c", version, will=will("gone/c", qos=qos, retain=retain)).drop()
    (message,) = watcher.messages()
    assert (message.qos, message.retain) == (qos, False)
    late = world.client("late", V5)
    late.subscribe("gone/c", qos=2)
    assert [(m.payload, m.qos, m.retain) for m in late.messages()] == ([(b"will", qos, True)] if retain else [])


@pytest.mark.parametrize("payload", [b"", b"w" * 65535])
@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_will_payloads_of_every_size(version, payload):
    world, watcher = watched()
    world.client("c", version, will=will("gone/c", payload, 1)).drop()
    assert watcher.payloads() == [payload]


def test_an_empty_retained_will_clears_the_topic():
    world, watcher = watched()
    world.client("p", V5).publish("gone/c", b"old", retain=True)
    world.client("c", V311, will=will("gone/c", b"", retain=True)).drop()
    assert watcher.payloads() == [b"old", b""]
    assert len(world.broker.house.retained) == 0


def test_will_properties_travel_and_the_delay_does_not():
    """[5.0 3.1.3.2, MQTT-3.1.3-10]"""
    properties = {
        "payload_format_indicator": 1,
        "message_expiry_interval": 60,
        "content_type": "text/plain",
        "response_topic": "answers",
        "correlation_data": b"\x01\x02",
        "user_property": (("b", "2"), ("a", "1"), ("b", "2")),
    }
    world, watcher = watched()
    client = world.client(
        "c", V5, session_expiry_interval=100, will=will("gone/c", **properties, will_delay_interval=5)
    )
    client.drop()
    world.advance(6)
    (message,) = watcher.messages()
    # The lifetime begins with the publication, not with the connection's end.
    assert message.properties.present() == properties


def test_no_will_no_message():
    """[3.1.1 MQTT-3.1.2-12]"""
    world, watcher = watched()
    world.client("c", V311).drop()
    assert watcher.messages() == []


# --- will delay ------------------------------------------------------------------------------------------------------


def delayed(world: World, delay: int, expiry: int) -> Client:
    return world.client("c", V5, session_expiry_interval=expiry, will=will("gone/c", will_delay_interval=delay))


@pytest.mark.parametrize(("delay", "expiry", "due"), [(5, 100, 5), (100, 5, 5), (5, 5, 5), (5, 0, 0), (0, 5, 0)])
def test_a_delayed_will_comes_with_the_delay_or_the_sessions_end(delay, expiry, due):
    """[5.0 3.1.3.2.2, MQTT-3.1.2-8]"""
    world, watcher = watched()
    delayed(world, delay, expiry).drop()
    if due:
        world.advance(due - 0.1)
        assert watcher.messages() == []
        world.advance(0.2)
    assert watcher.payloads() == [b"will"]
    world.advance(1000)
    assert watcher.messages() == []


def test_returning_in_time_cancels_a_delayed_will():
    """[5.0 MQTT-3.1.3-9]"""
    world, watcher = watched()
    client = delayed(world, 5, 100)
    client.drop()
    world.advance(4)
    assert client.connect(clean_start=False, session_expiry_interval=100).session_present
    world.advance(100)
    client.disconnect()
    world.advance(1000)
    assert watcher.messages() == []


def test_returning_too_late_does_not():
    world, watcher = watched()
    client = delayed(world, 5, 100)
    client.drop()
    world.advance(6)
    client.connect(clean_start=False)
    assert watcher.payloads() == [b"will"]


def test_a_clean_start_ends_the_session_and_so_publishes_a_delayed_will():
    """[5.0 3.1.3.2.2]"""
    world, watcher = watched()
    client = delayed(world, 5, 100)
    client.drop()
    client.connect(clean_start=True)
    assert watcher.payloads() == [b"will"]


@pytest.mark.parametrize(
    ("delay", "expiry", "clean_start", "published"),
    [
        (0, 100, False, True),
        (5, 100, False, False),
        (5, 100, True, True),
        (5, 0, False, True),
    ],
)
def test_takeover_and_a_delayed_will(delay, expiry, clean_start, published):
    """[5.0 3.1.3.2.2, 3.1.4]"""
    world, watcher = watched()
    delayed(world, delay, expiry)
    new = world.client("c", V5, clean_start=clean_start, session_expiry_interval=100)
    assert watcher.payloads() == ([b"will"] if published else [])
    new.disconnect()
    world.advance(1000)
    assert watcher.messages() == []


def test_disconnect_0x04_keeps_the_delay():
    world, watcher = watched()
    delayed(world, 5, 100).disconnect(0x04)
    assert watcher.messages() == []
    world.advance(5.1)
    assert watcher.payloads() == [b"will"]


def test_disconnect_0x04_with_expiry_0_publishes_at_once():
    world, watcher = watched()
    delayed(world, 5, 100).disconnect(0x04, session_expiry_interval=0)
    assert watcher.payloads() == [b"will"]


def test_each_connection_has_its_own_will():
    world, watcher = watched()
    client = world.client("c", V5, **kept(V5), will=will("gone/c", b"first"))
    client.disconnect()
    client.connect(**kept(V5), will=will("gone/c", b"second"))
    client.drop()
    assert watcher.payloads() == [b"second"]


def test_a_will_reaches_the_sessions_of_the_absent():
    world, watcher = watched()
    watcher.drop()
    watcher.connect(**kept(V5))
    watcher.subscribe("gone/#", qos=2)
    watcher.drop()
    world.client("c", V311, will=will("gone/c", qos=1)).drop()
    watcher.connect(**kept(V5))
    assert watcher.payloads() == [b"will"]


def test_the_offender_loses_the_connection_and_its_will_is_published_after_what_it_sent():
    world, watcher = watched()
    client = world.client("c", V5, will=will("gone/c"))
    client.send(Publish("gone/c", b"last words"))
    client.send_bytes(FATAL)
    assert isinstance(client.expect(Disconnect), Disconnect)
    assert watcher.payloads() == [b"last words", b"will"]


def test_a_will_that_may_not_be_published_is_refused_at_connect():
    world, watcher = watched(access_rules=(AccessRule("gone/secret"),))
    for version, code in ((V5, 0x87), (V311, 0x05)):
        client = Client(world, "c", version)
        client.connect(expect=code, will=will("gone/secret"))
        assert client.closed
    assert watcher.messages() == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_will_topic_with_a_wildcard_is_refused(version):
    world, watcher = watched()
    client = world.raw(version)
    good = encode(client.connect_packet(will=will("gone/x")), version)
    client.send_bytes(good.replace(b"gone/x", b"gone/#"))
    assert client.closed
    assert watcher.messages() == []


def test_qos_of_the_will_message_follows_the_subscription():
    world = World()
    watcher = world.client("w", V5)
    watcher.subscribe("gone/c", qos=0)
    world.client("c", V5, will=will("gone/c", qos=2)).drop()
    (message,) = watcher.messages()
    assert message.qos == QoS.AT_MOST_ONCE


@pytest.mark.parametrize("version", [V31, V311])
def test_a_3_x_will_loses_retain_where_nothing_is_retained(version):
    """As a PUBLISH of 3.x does: its client cannot know. [5.0 3.2.2.3.5]"""
    world = World(retain_available=False)
    watcher = world.client("w", V5)
    watcher.subscribe("gone", retain_as_published=True)
    world.client("c", version, will=will(retain=True)).drop()
    (message,) = watcher.messages()
    assert not message.retain
