"""Which worker plays which cells, known to all of them from the start.

Belongs here: the split, and the pytest-xdist scheduler that follows it.
Does not belong here: what a worker does with its share (`engine`).

The usual scheduler hands out tests a few at a time, so that a worker cannot know what comes next and cannot overlap
cells that wait. Here every worker gets its whole share at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from xdist.scheduler import LoadScheduling
from xdist.workermanage import WorkerController

Item = TypeVar("Item")


def shard(items: Sequence[Item], number: int, count: int) -> Sequence[Item]:
    """The share of worker `number` (from 0) of `count`: every count-th item, so that areas are spread evenly."""
    return items[number::count]


def worker_number(worker_id: str) -> int:
    """The number in `gw0`, `gw1`, ..."""
    return int(worker_id.removeprefix("gw"))


class ShardScheduling(LoadScheduling):  # type: ignore[misc]  # pytest-xdist ships no types
    """Hands each worker its whole share; what a crashed worker leaves goes to the others as usual."""

    collection: list[str] | None

    def schedule(self) -> None:
        """Hand out the shares once all workers have collected; later calls are the usual ones."""
        if self.collection is not None or not self._check_nodes_have_same_collection():
            super().schedule()
            return
        self.collection = next(iter(self.node2collection.values()))
        indices = range(len(self.collection))
        nodes = sorted(self.nodes, key=lambda node: worker_number(node.gateway.id))
        for number, node in enumerate(nodes):
            self._hand_over(node, shard(indices, number, len(nodes)))
        for node in nodes:
            node.shutdown()

    def _hand_over(self, node: WorkerController, share: Sequence[int]) -> None:
        self.node2pending[node].extend(share)
        node.send_runtest_some(list(share))
