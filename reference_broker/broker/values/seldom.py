"""Attributes that most objects never have a value of: they take room only where they have one.

Belongs here: the descriptor. Does not belong here: which attributes those are.

There are tens of thousands of connections, nearly all of them idle, and each slot of theirs takes eight bytes. What is
read with every packet is a slot nevertheless.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class HasSeldom(Protocol):
    """What such attributes may belong to: it has a slot `seldom_set`, which begins with None."""

    seldom_set: dict[str, Any] | None


class Seldom(Generic[T]):
    """An attribute of a class with slots that is nearly always what it is at first.

    All those of one object that are something else share a dict, which is there as long as it is needed.
    """

    __slots__ = ("_default", "_name")

    def __init__(self, default: T) -> None:
        """`default` is compared by identity, and belongs to all: None, True, or a small number, say."""
        self._default = default

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, thing: HasSeldom, _owner: type | None = None) -> T:
        values = thing.seldom_set
        if values is None:
            return self._default
        value: T = values.get(self._name, self._default)
        return value

    def __set__(self, thing: HasSeldom, value: T) -> None:
        values = thing.seldom_set
        if value is not self._default:
            if values is None:
                thing.seldom_set = {self._name: value}
            else:
                values[self._name] = value
        elif values is not None:
            values.pop(self._name, None)
            if not values:
                thing.seldom_set = None
