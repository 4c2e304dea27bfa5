"""What the processes of a measurement tell each other while it runs: counters in shared memory, each with one writer.

Belongs here: the counters. Does not belong here: reports at the end, which go through pipes (`measure`).
"""

from __future__ import annotations

from collections.abc import MutableSequence
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from typing import cast


@dataclass(frozen=True, slots=True)
class Share:
    """Counters: `sent` for each publisher, the others for each worker; `stop` has one place, written by the parent."""

    sent: MutableSequence[int]
    delivered: MutableSequence[int]
    last_receipt_ns: MutableSequence[int]
    senders_done: MutableSequence[int]
    stop: MutableSequence[int]

    @classmethod
    def make(cls, context: SpawnContext, publishers: int, workers: int) -> Share:
        """Counters at zero."""
        return cls(*(_counters(context, size) for size in (max(1, publishers), workers, workers, workers, 1)))


def _counters(context: SpawnContext, size: int) -> MutableSequence[int]:
    return cast("MutableSequence[int]", context.RawArray("q", size))
