"""Attributes that take room only where they have a value."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

from reference_broker.broker import Broker
from reference_broker.broker.values.seldom import Seldom
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Connect, Subscribe, Subscription
from reference_broker.wire.types import Version


class Thing:
    __slots__ = ("seldom_set",)

    name: Seldom[str | None] = Seldom(None)
    count = Seldom(0)

    def __init__(self) -> None:
        self.seldom_set: dict[str, Any] | None = None


def test_what_nobody_set_is_the_default_and_takes_no_room():
    thing = Thing()
    thing.name = None
    assert (thing.name, thing.count, thing.seldom_set) == (None, 0, None)


def test_what_is_set_belongs_to_one_thing_and_stays_beside_the_others():
    thing, other = Thing(), Thing()
    thing.name = "a"
    thing.count += 2
    thing.count += 1
    assert (thing.name, thing.count) == ("a", 3)
    assert (other.name, other.count) == (None, 0)


def test_what_is_as_at_first_again_takes_no_room_any_more():
    thing = Thing()
    thing.name, thing.count = "a", 1
    thing.name = None
    assert (thing.name, thing.count) == (None, 1)
    thing.count = 0
    assert (thing.count, thing.seldom_set) == (0, None)


def test_a_client_that_only_listens_is_four_objects():
    """Each more, and each dict of seldom attributes, would be there for tens of thousands of idle connections."""
    broker, links = Broker(), []
    before = _objects()
    for number in range(50):
        link = broker.connect(0.0, "192.0.2.1:1")
        for packet in (Connect(Version.V311, f"c{number}"), Subscribe(1, (Subscription(f"t/{number}"),))):
            link.receive_data(encode(packet, Version.V311), 0.0)
        links.append(link)
        broker.take_output()
        broker.next_deadline()
    new = _objects() - before
    of_each = {name for name, count in new.items() if count >= len(links)}
    assert of_each == {"Link", "Session", "Sender", "Subscribed"}


def _objects() -> Counter[str]:
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects())
