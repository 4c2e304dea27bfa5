"""The broker that looks at its timers once a second: late by up to a second, early never."""

from __future__ import annotations

import pytest

from interop.brokers.registry import broker_spec
from interop.brokers.ticking import TickingBroker, TickingSpec
from reference_broker.broker.values.config import BrokerConfig


@pytest.mark.parametrize(("due", "tick"), [(10.0, 10.0), (10.01, 11.0), (10.99, 11.0)])
def test_what_is_due_is_done_at_the_next_whole_second(due: float, tick: float) -> None:
    broker = TickingBroker(BrokerConfig())
    done: list[float] = []
    broker.house.timers.at(due, done.append)
    deadline = broker.next_deadline()
    assert deadline == tick
    broker.handle_timer(deadline)
    assert done == [tick]
    assert broker.next_deadline() is None


def test_it_can_be_had_by_name() -> None:
    assert isinstance(broker_spec("ticking"), TickingSpec)
