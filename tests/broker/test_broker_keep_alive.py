"""Keep alive: one and a half times, measured from whole packets of the client. [3.1.1 3.1.2.10, 5.0 3.1.2.10]"""

from __future__ import annotations

import pytest
from broker_harness import ALL_VERSIONS, V5, V311, World, will

from reference_broker.wire.packets import Disconnect, PingReq, PingResp, Publish
from reference_broker.wire.types import ReasonCode


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("keep_alive", [1, 10, 65535])
def test_a_silent_client_is_dropped_after_one_and_a_half_times(version, keep_alive):
    """[3.1.1 MQTT-3.1.2-24, 5.0 MQTT-3.1.2-22, MQTT-3.2.2-22]"""
    world = World()
    client = world.client("c", version, keep_alive=keep_alive)
    world.advance(1.5 * keep_alive - 0.01)
    assert not client.closed
    world.advance(0.02)
    assert client.closed
    if version is V5:
        assert client.expect(Disconnect).reason == ReasonCode.KEEP_ALIVE_TIMEOUT
    assert len(world.log) == 1
    assert "keep alive" in world.log[0]


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_zero_turns_it_off(version):
    world = World()
    client = world.client("c", version, keep_alive=0)
    world.advance(10_000_000)
    assert not client.closed


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_every_whole_packet_counts(version):
    world = World()
    client = world.client("c", version, keep_alive=10)
    for packet in (PingReq(), Publish("t", b"x"), PingReq()):
        world.advance(14)
        client.send(packet)
        assert not client.closed
    world.advance(15.1)
    assert client.closed


def test_half_a_packet_does_not_count():
    """[5.0 3.1.2.10: "does not receive an MQTT Control Packet"]"""
    world = World()
    client = world.client("c", V311, keep_alive=10)
    world.advance(10)
    client.send_bytes(b"\x30\x0a\x00\x01t")
    world.advance(5.1)
    assert client.closed


def test_what_the_broker_sends_does_not_count():
    world = World()
    client = world.client("c", V311, keep_alive=10)
    client.subscribe("t")
    publisher = world.client("p", V311)
    for _ in range(3):
        world.advance(5)
        publisher.publish("t", b"x")
    world.advance(0.1)
    assert client.closed


def test_pingresp_is_the_answer_even_close_to_the_end():
    world = World()
    client = world.client("c", V5, keep_alive=10)
    world.advance(14.9)
    client.send(PingReq())
    client.expect(PingResp)


@pytest.mark.parametrize(("asked", "server"), [(60, 2), (2, 60), (0, 2), (60, 0)])
def test_server_keep_alive_replaces_the_clients(asked, server):
    """[5.0 3.2.2.3.14]"""
    world = World(server_keep_alive=server)
    client = world.client("c", V5, keep_alive=asked)
    assert client.connack.properties.server_keep_alive == server
    if server:
        world.advance(1.5 * server - 0.1)
        assert not client.closed
        world.advance(0.2)
        assert client.closed
    else:
        world.advance(100_000)
        assert not client.closed


def test_server_keep_alive_does_not_touch_3x():
    """They cannot be told. [3.1.1 MQTT-3.1.2-24]"""
    world = World(server_keep_alive=2)
    client = world.client("c", V311, keep_alive=60)
    world.advance(89)
    assert not client.closed


def test_a_new_connection_starts_anew():
    world = World()
    client = world.client("c", V311, keep_alive=10, will=will())
    world.advance(14)
    client.drop()
    client.connect(keep_alive=10)
    world.advance(14)
    assert not client.closed


def test_ten_thousand_keep_alives_cost_nothing_while_packets_come():
    """The timer is looked at when it fires, not moved by each packet."""
    world = World()
    client = world.client("c", V311, keep_alive=10)
    before = world.broker.next_deadline()
    for _ in range(100):
        world.advance(0.01)
        client.send(PingReq())
    assert world.broker.next_deadline() == before
