"""What one peer can take is bounded: each test attacks one structure, counts its bytes, and a bystander is served."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World, will

from reference_broker.broker import AccessRule
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, PingReq, PingResp, Publish
from reference_broker.wire.types import ReasonCode

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
    assert len(world.broker.retained) == 0
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
    assert len(world.broker.sessions.get("c").subscriptions) == (2 if version is V5 else 1)


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
    monkeypatch.setattr("reference_broker.broker.routing._REMEMBERED_BYTES", MEBI)
    world = World()
    for number in range(50):
        world.client(f"s{number}", V5).subscribe("#", "+/+", identifier=number + 1)

    def attack() -> None:
        for number in range(500):
            assert len(world.broker.router.route(f"t/{number}").targets) == 50

    assert kept_bytes(attack) < 1.5 * MEBI


def test_ten_thousand_ordinary_topics_are_remembered():
    world = World()
    publisher = world.client("p", V311)
    for number in range(10_000):
        publisher.link.receive_data(encode(Publish(f"house/floor/room/{number}", b""), V311), world.now)
    assert len(world.broker.router.routes) == len(world.broker.heads.of(publisher.link)) == 10_000


def test_user_names_are_not_remembered_for_good():
    """Heads are kept by user where there are rules, and a user name may have 65,535 bytes."""
    world = World(access_rules=(AccessRule("never"),))

    def attack() -> None:
        for number in range(1500):
            client = world.client("c", V311, username=f"{number}" + "n" * 60_000)
            client.publish("t", b"")
            client.drop()

    assert kept_bytes(attack) < 60 * MEBI
