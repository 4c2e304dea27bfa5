"""Attributes that take room only where they have a value."""

from __future__ import annotations

from typing import Any

from reference_broker.broker.values.seldom import Seldom


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
