"""Who comes back while the store is still being read waits for as long as that takes."""

from __future__ import annotations

import pytest
from broker_harness import V5, Client, World, kept

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.broker.keeping import belongings
from reference_broker.broker.values.rows import EntryRow
from reference_broker.store.memory import MemoryStore
from reference_broker.wire.packets import ConnAck, Publish

SLICE = 16
TIMEOUT_SECONDS = 5.0


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
    world.take_slice(1000)
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


def test_no_slice_of_a_long_queue_takes_longer_than_the_others(monkeypatch):
    """Others are served between two slices, and only there."""
    before = World(store=MemoryStore())
    sleeper, publisher = before.client("sleeper", V5, **kept(V5)), before.client("p", V5)
    sleeper.subscribe("t", qos=1)
    sleeper.drop()
    for number in range(40 * SLICE):
        publisher.publish("t", b"%d" % number, 1)
    looked = [0]
    decoded = EntryRow.decoded
    monkeypatch.setattr(EntryRow, "decoded", lambda value: Counted(decoded(value), looked))
    monkeypatch.setattr(belongings, "_MOST_MESSAGES", SLICE)
    world = World(Broker(BrokerConfig(), seed=1, keeps=True))
    world.store = before.store
    world.broker.load(world.now, before.unix_time)
    costs = []
    while world.take_slice(SLICE):
        costs.append(looked[0])
        looked[0] = 0
    assert sum(costs) >= 40 * SLICE
    assert max(costs) <= 10 * SLICE


class Counted:
    """A row that counts how often it is looked at."""

    def __init__(self, row: EntryRow, looked: list[int]) -> None:
        self._row = row
        self._looked = looked

    def __getattr__(self, name: str) -> object:
        self._looked[0] += 1
        return getattr(self._row, name)
