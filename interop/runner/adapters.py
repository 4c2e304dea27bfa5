"""Whether the adapters of a run are of any use: one that never says who it is, or hangs in cell after cell, ends it.

Belongs here: how often an adapter may hang before no more cells are played.
Does not belong here: how a hang is noticed (`player`, `interop.drivers`), who was there before the run (`preflight`).

Every hang counts, also of cells that were under way together: each had a process of its own, unlike their broker.
"""

from __future__ import annotations

from collections import Counter

from interop.drivers.driver import DriverFault, DriverHung
from interop.runner.failures import RunIsOver

IN_A_ROW = 5
"""How many cells an adapter may hang in, one after the other, before no more are played."""


class Adapters:
    """What the cells of a worker found of their adapters; `over` says that no more need be played."""

    def __init__(self) -> None:
        self._introduced: set[str] = set()
        self._hung: Counter[str] = Counter()
        self.over: RunIsOver | None = None

    def seen(self, client: str, fault: DriverFault | None, *, said_hello: bool) -> None:
        """A cell is over, by a fault of its client's adapter or without one."""
        if said_hello:
            self._introduced.add(client)
        if fault is None:
            if said_hello:
                self._hung[client] = 0
        elif client not in self._introduced and not isinstance(fault, DriverHung):  # which a busy machine makes, too
            self._end(f"{client} cannot be played: {fault}")
        elif isinstance(fault, DriverHung):
            self._hung[client] += 1
            if self._hung[client] >= IN_A_ROW:
                self._end(f"the adapter of {client} hung in {IN_A_ROW} cells in a row ({fault})")

    def _end(self, why: str) -> None:
        if self.over is None:
            self.over = RunIsOver(why)
