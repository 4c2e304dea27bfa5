"""A run cut into shards, one for each machine: which cells are whose, told from the selection alone.

Belongs here: `i/n`, and the split by expected seconds.
Does not belong here: the shares of one machine's workers (`schedule`), joining results again (`interop.results`).

Every machine comes to the same split, whatever order it found the cells in, and nobody has to be asked: the cell that
takes longest goes first, each to the shard that has the least to do so far.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # shards are joined without loading what reads scenarios
    from interop.runner.cell import Cell


class BadShard(Exception):
    """What `--shard` was given is no shard; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number` (from 1) of `count`."""

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Shard:
        """As it is typed, `2/4`; raises BadShard."""
        match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise BadShard(f"--shard {text}: expected i/n, from 1/n to n/n, e.g. 2/4")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def share(self, cells: Iterable[Cell]) -> set[str]:
        """The ids of its cells."""
        return {cell.id for cell in split(cells, self.count)[self.number - 1]}


def split(cells: Iterable[Cell], count: int) -> Sequence[Sequence[Cell]]:
    """Every cell in one of `count` shards; of any two, one takes longer by no more than its longest cell."""
    shards: list[list[Cell]] = [[] for _ in range(count)]
    seconds = [0.0] * count
    for cell in sorted(cells, key=lambda each: (-each.expected_seconds, each.id)):
        lightest = seconds.index(min(seconds))
        shards[lightest].append(cell)
        seconds[lightest] += cell.expected_seconds
    return shards


def selection_of(cells: Iterable[Cell]) -> str:
    """A digest of all cells that shards share, by which shards of one run are known."""
    return sha256("\n".join(sorted(cell.id for cell in cells)).encode()).hexdigest()[:16]
