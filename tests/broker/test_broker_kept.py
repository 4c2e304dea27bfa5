"""A broker that is killed after any turn goes on, from the rows it gave, with exactly what it had."""

from __future__ import annotations

import pytest
from broker_harness import V5, World
from broker_twins import Twins
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_view import assert_nothing_is_left_over, kept_view
from test_broker_histories import UNUSUAL, History

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.broker.keeping import belongings
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import KeyRange


class KilledTwins(Twins):
    """Twins that are killed after each turn, and compared with what starts from their stores."""

    def __init__(self, **config) -> None:
        self.config = config
        self.worlds = [
            World(Broker(BrokerConfig(**config), seed=1, fast_path=fast, keeps=True), store=MemoryStore())
            for fast in (True, False)
        ]
        self.clients = {}

    def compare(self) -> None:
        super().compare()
        for world in self.worlds:
            assert_nothing_is_left_over(world.store.rows)
            before = kept_view(world.broker, world.unix_time, world.now)
            once = world.restarted(**self.config)
            assert_nothing_is_left_over(once.store.rows)
            for again in (once, once.restarted(**self.config)):
                assert kept_view(again.broker, again.unix_time, again.now) == before


class KilledHistory(History):
    """A random history with a kill after each turn."""

    twins_type = KilledTwins


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_what_a_kill_leaves_is_what_the_broker_had(seed):
    KilledHistory(seed).run(25)


@pytest.mark.parametrize("name", sorted(UNUSUAL))
def test_what_a_kill_leaves_is_what_the_broker_had_with_every_setting(name):
    KilledHistory(1, {name: UNUSUAL[name]}).run(15)


@pytest.mark.parametrize(("most", "steps"), [(10_000, 1), (2, 2), (1, 3)])
def test_what_is_let_go_once_all_is_taken_in_is_let_go_in_parts(monkeypatch, most, steps):
    monkeypatch.setattr(belongings, "_MOST_LET_GO", most)
    world = World(store=MemoryStore())
    for name in ("a", "b", "c"):
        client = world.client(name, V5, session_expiry_interval=60)
        client.subscribe(name, qos=1)
        client.drop()
        world.client("p", V5).publish(name, b"x", 1)
    again = Broker(BrokerConfig(), keeps=True)
    again.load(0.0, world.unix_time)
    ranges = []
    while (wanted := again.next_read()) is not None:
        ranges.append(wanted)
        again.take_rows(wanted, world.store.read(*wanted, 1000), 0.0)
    sessions_built = 3
    assert ranges.count(KeyRange(b"", b"")) == sessions_built + steps
