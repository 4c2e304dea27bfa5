"""Shards: together they are the run, no cell is in two, and none has much more to do than another."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from interop.runner.cell import Cell, Selection, plan
from interop.runner.shards import BadShard, Shard, split
from interop.scenario.load import load_scenarios

CELLS = plan(load_scenarios(), Selection())
QUICK = [cell for cell in CELLS if not cell.loaded.scenario.slow]


def seconds(cells: Sequence[Cell]) -> float:
    return sum(cell.expected_seconds for cell in cells)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 16])
def test_every_cell_is_in_exactly_one_shard(count: int) -> None:
    shares = [Shard(number, count).share(CELLS) for number in range(1, count + 1)]
    assert sum(map(len, shares)) == len(CELLS)
    assert set().union(*shares) == {cell.id for cell in CELLS}


def test_the_split_does_not_depend_on_the_order_cells_were_found_in() -> None:
    shuffled = random.Random(1).sample(QUICK, len(QUICK))
    assert Shard(2, 5).share(shuffled) == Shard(2, 5).share(QUICK)


@pytest.mark.parametrize("cells", [QUICK, CELLS], ids=["usual", "with-slow"])
@pytest.mark.parametrize("count", [2, 4, 16])
def test_shards_take_equally_long_within_a_tenth_or_one_cell(cells: Sequence[Cell], count: int) -> None:
    took = [seconds(each) for each in split(cells, count)]
    longest_cell = max(cell.expected_seconds for cell in cells)
    assert max(took) - min(took) <= max(0.1 * min(took), longest_cell)


def test_more_shards_than_cells_leave_some_with_nothing() -> None:
    assert [len(each) for each in split(QUICK[:2], 3)] == [1, 1, 0]


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4 ", "1/99999"])
def test_what_is_no_shard_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadShard, match=r"expected i/n, from 1/n to n/n, e\.g\. 2/4"):
        Shard.of(text)
