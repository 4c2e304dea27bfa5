"""What becomes of a cell in which a busy machine may be what was found: it is played again, and what that settles.

Belongs here: which records are in doubt, and what two of them come to.
Does not belong here: measuring the lag (`busy`), when a cell is played again (`engine`).

A machine that did not let the harness run is nobody's fault but the machine's: what was late may have been late here.
What is no matter of time, and happens twice, is believed; so is what comes out red again without a lag to explain it.
"""

from __future__ import annotations

from dataclasses import dataclass

from interop.runner.busy import Lag
from reports.record import Finding, PlayedAgain, Record, Verdict

_RED = frozenset({Verdict.FAIL, Verdict.WARN, Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR})
_ANSWER_SECONDS = 3.0
"""The window of what never began, or never ended."""


@dataclass(frozen=True, slots=True)
class Played:
    """A record, and how late the worker ran meanwhile."""

    record: Record
    lag: Lag

    @property
    def is_in_doubt(self) -> bool:
        """Whether the machine may have had a share in what was found; a failure that is expected is not asked."""
        if self.record.known_failure is not None:
            return False
        return (self.is_red and self.lag.is_noticeable) or any(map(self.doubts, self.record.findings))

    @property
    def is_red(self) -> bool:
        """Whether something is held against somebody, or there is no verdict."""
        return self.record.verdict in _RED

    def doubts(self, finding: Finding) -> bool:
        """Whether the lag may be what was found."""
        return finding.window_seconds is not None and self.lag.explains(finding.window_seconds)


def settled(first: Played, second: Played) -> Record:
    """The record of a cell that was in doubt and was played again, alone."""
    is_withheld = second.is_red and second.is_in_doubt and not _is_believed(first, second)
    played_again = PlayedAgain(
        lag_seconds=round(first.lag.worst_seconds, 4),
        lost_seconds=round(first.lag.lost_seconds, 4),
        cpu_pressure=round(first.lag.pressed, 3),
        withheld=is_withheld,
    )
    record = second.record.model_copy(update={"attempts": 2, "played_again": played_again})
    if not is_withheld:
        return record
    reason = f"this machine was too busy ({second.lag}), twice, to tell whether: {record.reason}"
    return record.model_copy(update={"verdict": Verdict.SETUP_FAILED, "reason": reason, "blame": "none"})


def _is_believed(first: Played, second: Played) -> bool:
    """Whether something was found that the lag does not explain, or that is no matter of time and was found twice."""
    found = second.record.findings
    if not found:
        return not second.lag.explains(_ANSWER_SECONDS)
    before = {_what(each) for each in first.record.findings if each.window_seconds is None}
    return any(_what(each) in before if each.window_seconds is None else not second.doubts(each) for each in found)


def _what(finding: Finding) -> tuple[str, str, int | None]:
    return finding.source, finding.rule, finding.step
