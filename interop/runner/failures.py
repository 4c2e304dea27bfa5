"""How a cell can end before its last step, and a run before its last cell.

Belongs here: the exceptions that steps raise and `play` turns into verdicts, and the one that ends a run.
Does not belong here: verdicts (`verdict`).
"""

from __future__ import annotations

from interop.tap.trace import Sender


class RunIsOver(Exception):
    """There is no use in more cells; the message says why. `broker` is the one that is gone for good, if that is it."""

    broker = ""


class StepFailed(Exception):
    """An expectation did not hold; `trace_index` is the 0-based entry that diverges, if one does.

    `by` is who did what was observed, where somebody did. `timed` is whether it was a matter of time: unless something
    can be shown that ought not to be, something was missing when its time was over.
    """

    def __init__(
        self,
        expected: str,
        observed: str,
        *,
        trace_index: int | None = None,
        by: Sender | None = None,
        timed: bool | None = None,
    ) -> None:
        super().__init__(f"expected {expected}, but {observed}")
        self.expected = expected
        self.observed = observed
        self.trace_index = trace_index
        self.by = by
        self.timed = trace_index is None if timed is None else timed


class Unsupported(Exception):
    """An implementation says it cannot do what the scenario needs."""


class SetupFailed(Exception):
    """The cell could not be brought to the point where something is put to the test."""


class BrokerGone(Exception):
    """The broker went away before the cell was over; the text says how that showed.

    `for_good`: nobody starts another one. `died_alone`: its process ended in this cell, which had it to itself.
    """

    def __init__(self, why: str, *, for_good: bool, died_alone: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good
        self.died_alone = died_alone
