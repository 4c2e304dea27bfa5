"""What a store is: an ordered map of bytes to bytes that is changed wholly or not at all.

Belongs here: changes, what reads and keeps them, and what can go wrong with that.
Does not belong here: what keys and values mean (`broker`), where they are (`memory`, `sqlite`), when they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple, Protocol


class Removal(Enum):
    """How a key goes: alone, or with every key that begins with it."""

    ONE = auto()
    ALL = auto()


Change = tuple[bytes, bytes | Removal]
"""A key, and its new value or how it is removed. In a row of them later ones win."""

Row = tuple[bytes, bytes]
"""A key and its value."""


class Changes(NamedTuple):
    """What one turn of a broker changed; `is_promised`: what it answers may leave only once this is kept.

    Where it `has_come_to_nothing`, what it answers depends on earlier changes alone.
    """

    changes: list[Change]
    is_promised: bool
    has_come_to_nothing: bool = False


class KeyRange(NamedTuple):
    """All keys with begin <= key < end, in the order of bytes."""

    begin: bytes
    end: bytes


class StoreError(Exception):
    """What was stored cannot be read or written; the text says what is wrong, where, and what to do."""


class StoreFull(StoreError):
    """There is no room for more."""


class StoreInUse(StoreError):
    """Somebody else has it."""


class Store(Protocol):
    """Keeps an ordered map; for one thread at a time, which it blocks."""

    def read(self, begin: bytes, end: bytes, limit: int) -> list[Row]:
        """The first `limit` rows with begin <= key < end, in the order of keys; raises StoreError."""

    def commit(self, changes: Sequence[Change]) -> None:
        """Keep all of them or none, durably, before it returns; raises StoreError, StoreFull where there is no room."""

    def tend(self, *, is_idle: bool) -> bool:
        """Do a few milliseconds of what keeps it fast, between commits; whether more is left. Raises StoreError.

        `is_idle`: nothing was to be kept lately, so what might as well be done later is done now.
        """

    def close(self) -> None:
        """Let go of it; what was committed stays. Nothing else may be called afterwards."""


def end_of(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with `prefix`; None where none is."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None
