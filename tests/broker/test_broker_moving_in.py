"""Who comes back while the store is still being read waits for as long as that takes."""

from __future__ import annotations

import pytest
from broker_harness import V5, Client, World, kept

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.store.memory import MemoryStore
from reference_broker.wire.packets import ConnAck, Publish

TIMEOUT_SECONDS = 5.0


def read_once(world: World, rows: int) -> None:
    """The store answers one question of the broker's."""
    wanted = world.broker.next_read()
    assert wanted is not None
    world.broker.take_rows(wanted, world.store.read(*wanted, rows), world.now)
    world.collect()


@pytest.fixture
def world() -> World:
    """A broker that lets clients in and has not yet read what waits for `sleeper`."""
    before = World(store=MemoryStore())
    sleeper = before.client("sleeper", V5, **kept(V5))
    sleeper.subscribe("t", qos=1)
    sleeper.drop()
    before.client("p", V5).publish("t", b"x", 1)
    config = BrokerConfig(connect_timeout_seconds=TIMEOUT_SECONDS, maximum_half_open=1)
    world = World(Broker(config, seed=1, keeps=True))
    world.store = before.store
    world.broker.load(world.now, before.unix_time)
    read_once(world, 1000)
    return world


@pytest.fixture
def waiting(world: World) -> Client:
    """The client, whose session is on its way."""
    client = Client(world, "sleeper", V5)
    client.open()
    client.send(client.connect_packet(**kept(V5)))
    assert client.inbox == []
    return client


def test_a_session_that_comes_late_makes_no_client_late(world, waiting):
    world.advance(10 * TIMEOUT_SECONDS)
    assert not waiting.closed
    world.take_in()
    connack, message = waiting.inbox
    assert isinstance(connack, ConnAck)
    assert connack.session_present
    assert isinstance(message, Publish)
    assert message.payload == b"x"


def test_who_waits_for_a_session_is_pushed_out_by_nobody(world, waiting):
    first, second = world.raw(), world.raw()
    world.collect()
    assert first.closed  # the oldest that has not said who it is
    assert not waiting.closed
    assert not second.closed


def test_who_waits_for_a_session_is_told_when_the_broker_ends(world, waiting):
    world.broker.shutdown(world.now)
    world.collect()
    assert waiting.closed


def test_nobody_is_waited_for_who_has_gone(world, waiting):
    waiting.drop()
    world.take_in()
    assert list(world.broker.links) == []
    assert not world.broker.house.sessions.get("sleeper").sender
