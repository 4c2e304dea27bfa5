"""A broker that is killed after any turn goes on, from the rows it gave, with exactly what it had."""

from __future__ import annotations

import pytest
from broker_harness import World
from broker_twins import Twins
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_view import assert_nothing_is_left_over, kept_view
from test_broker_histories import UNUSUAL, History

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.store.memory import MemoryStore


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


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_a_kill_leaves_is_what_the_broker_had(seed):
    KilledHistory(seed).run(25)


@pytest.mark.parametrize("name", sorted(UNUSUAL))
def test_what_a_kill_leaves_is_what_the_broker_had_with_every_setting(name):
    KilledHistory(1, {name: UNUSUAL[name]}).run(15)
