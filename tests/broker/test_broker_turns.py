"""A link that stops when its turn is over goes on where it stopped, and nobody can tell from what it gets."""

from __future__ import annotations

import random

import pytest
from broker_harness import ALL_VERSIONS, V5, V311, Client, World
from broker_twins import Twins, stream
from hypothesis import given, settings
from hypothesis import strategies as st
from test_broker_histories import UNUSUAL, History

from reference_broker.broker import Broker, BrokerConfig, Link
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import PingReq, Publish


class TurningTwins(Twins):
    """Twins of which one has its turns ended anywhere, and the other gets what it had taken till then as one read."""

    def __init__(self, **config) -> None:
        super().__init__(**config)
        chance = random.Random(7)
        self.worlds[0].broker.is_turn_over = lambda: chance.random() < 0.5

    def feed(self, name: str, data: bytes, cuts: list[int]) -> None:
        turning, other = self.clients[name]
        ends = []
        start = 0
        for cut in [*sorted(cuts), len(data)]:
            turning.link.receive_data(data[start:cut], turning.world.now)
            while turning.link.has_more:
                ends.append(cut - len(turning.link.reader))
                turning.link.receive_data(b"", turning.world.now)
            ends.append(cut)
            start = cut
        start = 0
        for end in ends:
            other.link.receive_data(data[start:end], other.world.now)
            start = end
        for client in (turning, other):
            client.world.collect()
        self.compare()


def go_on(client: Client) -> int:
    """What an adapter does in the turns that follow; how many there were."""
    turns = 0
    while client.link.has_more:
        client.link.receive_data(b"", client.world.now)
        turns += 1
    return turns


class TurningHistory(History):
    """A random history with reads that last several turns."""

    twins_type = TurningTwins


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_turns_that_end_anywhere_change_nothing(seed):
    TurningHistory(seed).run(25)


@pytest.mark.parametrize("name", sorted(UNUSUAL))
def test_turns_that_end_anywhere_change_nothing_with_every_setting(name):
    TurningHistory(1, {name: UNUSUAL[name]}).run(15)


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_turn_that_is_over_is_noticed_after_few_packets(version, fast_path):
    world = World(Broker(BrokerConfig(), fast_path=fast_path))
    publisher = world.client("p", version)
    world.broker.is_turn_over = lambda: True
    publisher.link.receive_data(encode(PingReq(), version) * 100, world.now)
    assert publisher.link.has_more
    assert go_on(publisher) >= 100 // 5
    world.collect()
    assert len(publisher.take()) == 100


def test_what_comes_before_the_rest_was_handled_is_handled_behind_it():
    world = World()
    publisher, subscriber = world.client("p", V5), world.client("s", V5)
    subscriber.subscribe("#", qos=1)
    world.broker.is_turn_over = lambda: True
    data = stream(1, 200, V5, topic="t") + encode(Publish("u", bytes(100_000)), V5)
    publisher.link.receive_data(encode(PingReq(), V5) * 8 + data[:3000], world.now)
    assert publisher.link.has_more
    publisher.link.receive_data(data[3000:], world.now)
    go_on(publisher)
    world.collect()
    *numbered, last = [packet.payload for packet in subscriber.take() if isinstance(packet, Publish)]
    assert numbered == [b"%08d" % n for n in range(200)]
    assert last == bytes(100_000)


def test_many_packets_that_wait_for_their_turn_are_no_large_one_and_stay_on_the_fast_path(monkeypatch):
    world = World(maximum_inflight=65_535)
    publisher = world.client("p", V311)
    world.client("s", V311).subscribe("t")
    world.broker.is_turn_over = lambda: True
    monkeypatch.setattr(Link, "handle", lambda _link, packet, _now: pytest.fail(f"{packet} came by the slow path"))
    data = stream(0, 2000, V311) + encode(Publish("t", bytes(100)), V311) + stream(0, 8000, V311)
    publisher.link.receive_data(data, world.now)
    assert len(publisher.link.reader) > 100_000
    assert go_on(publisher)


def test_packets_that_wait_for_their_turn_are_no_incomplete_packet():
    """Who has most bytes of incomplete packets is closed when there are too many; these are only late."""
    world = World(incoming_maximum_bytes=1000)
    client = world.client("c", V5)
    world.broker.is_turn_over = lambda: True
    client.link.receive_data(encode(PingReq(), V5) * 2000, world.now)
    go_on(client)
    assert not client.link.is_closed()


def test_a_closed_link_has_no_more():
    world = World()
    client = world.client("c", V5)
    world.broker.is_turn_over = lambda: True
    client.link.receive_data(encode(PingReq(), V5) * 100, world.now)
    client.link.connection_lost(world.now)
    client.link.receive_data(b"", world.now)
    assert not client.link.has_more
