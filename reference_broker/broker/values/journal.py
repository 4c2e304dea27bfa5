"""What a turn changed that has to survive the broker, and whether an answer depends on it.

Belongs here: collecting the changes of one turn, numbers for what has no name of its own, how long the body of a
message is kept. Does not belong here: what rows say (`rows`), whose they are (`outgoing.ledger`, `keeping.record`),
where they are kept (`store`).

Nothing is read back through here: the running broker has all it needs in memory.
"""

from __future__ import annotations

import math
from struct import pack
from typing import Protocol

from reference_broker.store.records import Change, Changes, Removal

_NUMBERS_OF_ONE_START = 1 << 40
"""So many numbers are there until the next start of the broker, whose numbers are all higher."""
ALIVE_SECONDS = 5.0
"""How exactly it is noted until when the broker lived."""
ALIVE = b"A"
"""The key of the Unix time at which the broker was alive for certain."""
START = b"B"
"""The key of how often the broker has started with this file."""
BODY = b"b"
COUNT = b"c"
"""What the keys of a body and of its references begin with."""


class Unsettled(Protocol):
    """Something that changed in this turn, perhaps many times, and is written down once at its end."""

    def settle(self, journal: Journal) -> None:
        """Note what is different from what was written down last."""


class Journal:
    """The changes of one turn. Times in rows are Unix seconds, those of the broker become that by `unix_time`."""

    __slots__ = (
        "_alive_at",
        "_changes",
        "_has_promised",
        "_let_go",
        "_new",
        "_number",
        "_undone",
        "_unix_time_at_zero",
        "_unsettled",
        "is_promised",
    )

    def __init__(self) -> None:
        self._changes: list[Change] = []
        self._let_go: list[Change] = []
        self._new: set[bytes] = set()
        """The keys of these changes that were never given before."""
        self._undone: set[bytes] = set()
        """Those of them that are gone again."""
        self._unsettled: dict[Unsettled, None] = {}
        self._has_promised = False
        """Whether some output of an earlier turn does whose changes are still here."""
        self.is_promised = False
        """Whether some output of this turn depends on what changed."""
        self._number = 0
        self._unix_time_at_zero = 0.0
        self._alive_at = -math.inf

    def set_clock(self, now: float, unix_time: float) -> None:
        """Both are the same moment."""
        self._unix_time_at_zero = unix_time - now

    def begin(self, start: int) -> None:
        """The broker starts for the `start`th time with what is stored."""
        self._number = start * _NUMBERS_OF_ONE_START
        self.put(START, pack(">Q", start))

    @property
    def first_number(self) -> int:
        """All numbers given before this start of the broker are lower."""
        return self._number // _NUMBERS_OF_ONE_START * _NUMBERS_OF_ONE_START

    def number(self) -> int:
        """A number that no other thing has, higher than all before."""
        self._number += 1
        return self._number

    def unix_time(self, at: float) -> float:
        """A time of the broker's clock as Unix time."""
        return self._unix_time_at_zero + at

    def broker_time(self, unix_time: float) -> float:
        """The other way round."""
        return unix_time - self._unix_time_at_zero

    def put(self, key: bytes, value: bytes) -> None:
        """This key has this value."""
        self._changes.append((key, value))

    def put_new(self, key: bytes, value: bytes) -> None:
        """This key, which was never there before, has this value."""
        self._new.add(key)
        self._changes.append((key, value))

    def drop(self, key: bytes) -> None:
        """This key is gone."""
        self._changes.append((key, Removal.ONE))

    def let_go(self, key: bytes) -> None:
        """This key is gone, which nobody is told, and will not come again."""
        if key in self._new:
            self._new.remove(key)
            self._undone.add(key)
        else:
            self._let_go.append((key, Removal.ONE))

    def drop_all(self, prefix: bytes) -> None:
        """Every key that begins so is gone."""
        self._changes.append((prefix, Removal.ALL))

    def promise(self) -> None:
        """The output of this turn depends on what changed."""
        self.is_promised = True

    def end_turn(self) -> bool:
        """Whether the output of this turn depends on what changed; the changes stay here until they are taken."""
        promises, self.is_promised = self.is_promised, False
        self._has_promised = self._has_promised or promises
        return promises

    def unsettle(self, changed: Unsettled) -> None:
        """Have it write down what changed once the turn is over."""
        self._unsettled[changed] = None

    def live(self, now: float) -> None:
        """Note that the broker lives, unless that was noted lately."""
        if now - self._alive_at >= ALIVE_SECONDS:
            self._alive_at = now
            self.put(ALIVE, pack(">d", self.unix_time(now)))

    def take(self, now: float) -> Changes | None:
        """What changed since the last call; None for nothing."""
        self.end_turn()
        is_promised, self._has_promised = self._has_promised, False
        has_come_to_nothing = self.has_come_to_nothing()
        if not has_come_to_nothing or self._let_go:
            self.live(now)
        elif not is_promised:
            return None
        changes, self._changes = self._changes, []
        changes += self._let_go
        self._let_go.clear()
        self._new.clear()
        return Changes(changes, is_promised, has_come_to_nothing)

    def has_come_to_nothing(self) -> bool:
        """Whether nothing is left of what changed since the last `take` but rows that were let go."""
        while self._unsettled:
            unsettled, self._unsettled = self._unsettled, {}
            for each in unsettled:
                each.settle(self)
        if self._undone:
            undone, self._undone = self._undone, set()
            self._changes = [change for change in self._changes if change[0] not in undone]
        return not self._changes


class Body:
    """A message or a burst in the store, kept once for all sessions that are still to get some of it.

    Its key begins with the number of the session that was the first to need it, so that what one session needs is
    mostly found together.
    """

    __slots__ = ("_told", "identity", "is_gone", "references")

    def __init__(self, identity: bytes, references: int | None = None) -> None:
        """`identity` is what its keys have in common, 16 bytes; `references` rows need it, None for a new one."""
        self.identity = identity
        self.references = references or 0
        self.is_gone = False
        """Whether nobody needed it any more at the end of a turn: then it is not in the store."""
        self._told = references

    @property
    def is_new(self) -> bool:
        """Whether nothing of it was given to be kept before this turn."""
        return self._told is None

    def settle(self, journal: Journal) -> None:
        """Forget it when nobody needs it any more, else note how many do, where it is more than one."""
        references, told = self.references, self._told
        if references == told:
            return
        if not references:
            self.is_gone = True
            journal.let_go(BODY + self.identity)
        if references > 1:
            put = journal.put_new if told is None else journal.put
            put(COUNT + self.identity, pack(">I", references))
        elif told is not None and told > 1:
            journal.drop(COUNT + self.identity)
        self._told = references
