"""What becomes of a cell that came out red while this machine was too busy: it is played again, and what that settles.

Belongs here: which records are in doubt, and what two of them come to.
Does not belong here: measuring the lag (`busy`), when a cell is played again (`engine`).

A machine that did not let the harness run is nobody's fault but the machine's: what was late may have been late here.
What is no matter of time, and happens twice, is believed.
"""

from __future__ import annotations

from dataclasses import dataclass

from interop.runner.busy import Lag
from reports.record import Record, Verdict

_RED = frozenset({Verdict.FAIL, Verdict.WARN, Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR})


@dataclass(frozen=True, slots=True)
class Played:
    """A record, and how late the worker ran meanwhile."""

    record: Record
    lag: Lag

    @property
    def is_in_doubt(self) -> bool:
        """Whether what is red may have been this machine's doing; a failure that is expected anyway is not asked."""
        record = self.record
        return record.verdict in _RED and record.known_failure is None and self.lag.is_too_much


def settled(first: Played, second: Played) -> Record:
    """The record of a cell that was in doubt and was played again, alone."""
    why = f"played again: this machine was too busy ({first.lag})"
    log = f"{why}\n{second.record.log}" if second.record.log else why
    record = second.record.model_copy(update={"attempts": 2, "log": log})
    if not second.is_in_doubt or _same_in_both(first.record, second.record):
        return record
    reason = f"this machine was too busy ({second.lag}), twice, to tell whether: {record.reason}"
    return record.model_copy(update={"verdict": Verdict.SETUP_FAILED, "reason": reason, "blame": "none"})


def _same_in_both(first: Record, second: Record) -> bool:
    """Whether something was wrong in both that is no matter of time."""
    found = [
        {(each.source, each.rule, each.step) for each in one.findings if not each.timed} for one in (first, second)
    ]
    return bool(found[0] & found[1])
