"""Which worker plays which cells, known to all of them from the start, and who plays what a dead one leaves.

Belongs here: the split, the pytest-xdist scheduler that follows it, and its heirs.
Does not belong here: what a worker does with its share (`engine`).

The usual scheduler hands out tests a few at a time, so that a worker cannot know what comes next and cannot overlap
cells that wait. Here every worker gets its whole share at once. So the others have no room for what a worker leaves
that ends by itself: the one that pytest-xdist starts in its place inherits it.

Cells that were under way when a worker ended are suspected: one of them may have ended it. Heirs play them last and one
by one, so that the guilty one is alone the next time. A cell that was under way at `LIVES` ends is given up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from xdist.scheduler import LoadScheduling
from xdist.workermanage import WorkerController

from interop.runner.parts import Parts

Item = TypeVar("Item")

LIVES = 2
"""Workers that may end while a cell is under way."""


def shard(items: Sequence[Item], number: int, count: int) -> Sequence[Item]:
    """The share of worker `number` (from 0) of `count`: every count-th item, so that areas are spread evenly."""
    return items[number::count]


def worker_number(worker_id: str) -> int:
    """The number in `gw0`, `gw1`, ..."""
    return int(worker_id.removeprefix("gw"))


def cell_id(node_id: str) -> str:
    """The id of the cell that a test plays."""
    return node_id.partition("[")[2].removesuffix("]")


class ShardScheduling(LoadScheduling):  # type: ignore[misc]  # pytest-xdist ships no types
    """Hands each worker its whole share, and a dead one's to its heir; `give_up` is told of a cell that has no life."""

    collection: list[str] | None
    pending: list[int]

    def __init__(self, config: Any, log: Any, parts: Parts, give_up: Callable[[str], None]) -> None:
        super().__init__(config, log)
        self._parts = parts
        self._give_up = give_up
        self._ends: Counter[str] = Counter()  # by cell: the workers that ended while it was under way
        self._dead: list[str] = []
        self._place = 0  # of the worker that ended last
        self._left: list[int] = []  # by it
        self._promised: dict[str, list[int]] = {}  # to workers that have not collected yet

    def heir(self, worker: str) -> dict[str, Any]:
        """What the worker needs to know that takes the place of the one that ended last; the names of `Inheritance`."""
        if self.collection is not None:
            self._promised[worker] = self._left
        return {
            "place": self._place,
            "share": None if self.collection is None else [cell_id(self.collection[each]) for each in self._left],
            "suspects": list(self._ends),
            "kept_by": list(self._dead),
        }

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a worker out; gives the test of a cell that is given up with it, if there is one."""
        worker = node.gateway.id
        left = [*self.node2pending.pop(node, ()), *self._promised.pop(worker, ())]
        if self.collection is None:
            self.node2collection.pop(node, None)
        elif not left:
            return None
        for suspect in self._parts.under_way(worker):
            self._ends[suspect] += 1
            if self._ends[suspect] == LIVES:
                self._give_up(suspect)
        self._dead.append(worker)
        self._place = _place(node)
        self._left = self._playable(left)
        self.pending = [*(each for each in self.pending if each not in left), *self._left]
        lost = sorted(set(left) - set(self._left))
        return self.collection[lost[0]] if lost and self.collection else None

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take note of what a worker has collected; one that collected something else than the others gets nothing."""
        super().add_node_collection(node, collection)
        if node not in self.node2collection:
            promised = self._promised.pop(node.gateway.id, [])
            self.pending = [each for each in self.pending if each not in promised]
            node.shutdown()

    def schedule(self) -> None:
        """Hand out the shares once all workers have collected, later those of heirs."""
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                super().schedule()
                return
            self.collection = next(iter(self.node2collection.values()))
            indices = range(len(self.collection))
            for node in self.nodes:
                self._promised[node.gateway.id] = list(shard(indices, _place(node), self.numnodes))
        for node in self.nodes:
            if node in self.node2collection and node.gateway.id in self._promised:
                self._hand_over(node, self._promised.pop(node.gateway.id))

    def _hand_over(self, node: WorkerController, share: Sequence[int]) -> None:
        share = self._playable(share)
        self.pending = [each for each in self.pending if each not in share]
        self.node2pending[node].extend(share)
        node.send_runtest_some(share)
        node.shutdown()

    def _playable(self, share: Iterable[int]) -> list[int]:
        """What of a share is not given up, the suspects last."""
        assert self.collection is not None or not share
        ends = {each: self._ends[cell_id(self.collection[each])] for each in share} if self.collection else {}
        return sorted((each for each in ends if ends[each] < LIVES), key=lambda each: (ends[each], each))


def _place(node: WorkerController) -> int:
    place: int = node.workerinput.get("place", worker_number(node.gateway.id))
    return place
