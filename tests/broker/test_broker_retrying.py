"""Timed re-sends to 3.1 clients, where they are asked for. [3.1 MQTT31-15, MQTT31-13]"""

from __future__ import annotations

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World

from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import Version


def silent(version: Version, qos: int, **settings: object) -> tuple[World, Client]:
    """A client that has got one message and said nothing."""
    world = World(retry_31_seconds=20, **settings)
    client = world.client("s", version, keep_alive=0)
    client.subscribe("t", qos=qos)
    world.client("p", V5, keep_alive=0).publish("t", b"x", 1 if qos == 1 else 2)
    [first] = client.take()
    assert isinstance(first, Publish)
    assert not first.dup
    return world, client


@pytest.mark.parametrize("qos", [1, 2])
def test_what_is_not_acknowledged_in_time_is_sent_again_with_its_identifier_and_dup(qos: int) -> None:
    world, client = silent(V31, qos)
    world.advance(19.9)
    assert client.take() == []
    for _ in range(2):
        world.advance(40)
        again = client.take()
        assert {(type(packet), packet.packet_id, packet.dup) for packet in again} == {(Publish, 1, True)}


def test_a_pubrel_is_sent_again_too() -> None:
    world, client = silent(V31, 2)
    client.send(PubRec(1))
    assert client.take() == [PubRel(1)]
    world.advance(40)
    assert client.take() == [PubRel(1, dup=True)]
    client.send(PubComp(1))
    world.advance(100)
    assert client.take() == []


def test_what_is_acknowledged_in_time_is_not() -> None:
    world, client = silent(V31, 1)
    world.advance(19)
    client.send(PubAck(1))
    world.advance(100)
    assert client.take() == []


@pytest.mark.parametrize("version", [V311, V5])
def test_after_3_1_nothing_is_sent_again_on_the_same_connection(version: Version) -> None:
    """[5.0 MQTT-4.4.0-1]"""
    world, client = silent(version, 1)
    world.advance(1000)
    assert client.take() == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_unless_it_is_asked_for_nothing_is_sent_again(version: Version) -> None:
    world = World()
    client = world.client("s", version, keep_alive=0)
    client.subscribe("t", qos=1)
    world.client("p", V5, keep_alive=0).publish("t", b"x", 1)
    client.take()
    world.advance(10_000)
    assert client.take() == []


def test_who_does_not_read_gets_no_more_of_the_same() -> None:
    world, client = silent(V31, 1)
    client.link.pause_writing()
    world.advance(100)
    client.link.resume_writing()
    world.collect()
    assert client.take() == []


def test_a_client_that_left_is_not_looked_after_any_more() -> None:
    world, client = silent(V31, 1)
    client.disconnect()
    world.advance(21)
    assert world.broker.next_deadline() is None
