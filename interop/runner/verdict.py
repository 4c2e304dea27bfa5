"""What a cell comes to: the step that failed and the rules that were broken, weighed into one verdict.

Belongs here: findings, blame, the verdict and its one-line reason.
Does not belong here: playing the cell (`play`), the rules themselves (`interop.judge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from interop.judge import RULES
from interop.judge import Finding as Broken
from interop.judge.delivery import HAS_PACKET_ID
from interop.judge.form import WELL_FORMED
from interop.runner.cell import Cell
from interop.runner.failures import StepFailed
from interop.scenario.steps import WINDOW_SECONDS, AnyStep
from interop.tap.trace import Sender
from reports.record import Finding, Verdict

Level = Literal["must", "should", "may"]
Blame = Literal["client", "broker", "both", "unknown", "none"]

_VERDICT_BY_LEVEL = {"must": Verdict.FAIL, "should": Verdict.WARN, "may": Verdict.OBSERVED}
_GRAVITY = {"must": 0, "should": 1, "may": 2}
_EXPLAINING = frozenset({WELL_FORMED.name, HAS_PACKET_ID.name})
"""Rules of the judge that say why a step saw something else: they are told before it."""

REFERENCE_CLIENT = "builtin"
REFERENCE_BROKER = "reference"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict with what the report says of it."""

    verdict: Verdict
    reason: str
    cites: tuple[str, ...]
    blame: Blame


def step_finding(cell: Cell, step: AnyStep, number: int, failure: StepFailed) -> Finding:
    """The finding for a step's expectation that did not hold; `number` is 1-based."""
    return Finding(
        source="step",
        rule=step_rule(step),
        level=(step.level or cell.clause.level).value,
        blame=_blamed_for_steps(cell),
        cites=step.cites if step.cites is not None else cell.clause.cites,
        message=str(failure),
        expected=failure.expected,
        observed=failure.observed,
        step=number,
        trace_index=failure.trace_index,
        window_seconds=_window(step) if failure.timed else None,
    )


def step_rule(step: AnyStep) -> str:
    """The name of what a step expects, by which a known failure speaks of it."""
    return str(getattr(step, "do", "end"))


def _window(step: AnyStep) -> float:
    """How long what a step looks at was given, in seconds."""
    given: tuple[float | None, ...] = (getattr(step, "within", None), getattr(step, "seconds", None))
    return next((seconds for seconds in given if seconds), WINDOW_SECONDS)


def judge_finding(broken: Broken) -> Finding:
    """The finding for a rule of the judge."""
    return Finding(
        source="judge",
        rule=broken.rule,
        level=_level(str(broken.level)),
        blame="client" if broken.blame.value == "client" else "broker",
        cites=broken.cites,
        message=f"{broken.link}: {broken.message}",
        trace_index=broken.trace_index,
        window_seconds=WINDOW_SECONDS if RULES[broken.rule].is_timed else None,
    )


def _level(text: str) -> Level:
    return "must" if text == "must" else "should" if text == "should" else "may"


def _blamed_for_steps(cell: Cell) -> Literal["client", "broker", "unknown"]:
    """Who a failed step speaks of: the side it puts to the test; of both, the one that is not our own reference."""
    judged = cell.loaded.scenario.judges
    if judged != "both":
        return judged
    foreign_client, foreign_broker = cell.client != REFERENCE_CLIENT, cell.broker != REFERENCE_BROKER
    if foreign_client != foreign_broker:
        return "client" if foreign_client else "broker"
    return "unknown"


def is_about_the_other_side(cell: Cell, failure: StepFailed) -> bool:
    """Whether what failed a step was done by the side that the scenario does not put to the test."""
    judged = cell.loaded.scenario.judges
    return judged != "both" and failure.by is not None and failure.by.value not in (judged, Sender.HARNESS.value)


def weigh(cell: Cell, findings: Sequence[Finding]) -> Outcome:
    """The verdict that findings give: the gravest decides, and of equally grave ones the one that explains the others.

    A rule names the packet and the statement that was broken; a step only tells what came of it. So a rule broken by
    the side that the step speaks of is said first.
    """
    clause = cell.clause
    if not findings:
        if clause.level == "may":
            return Outcome(
                Verdict.OBSERVED, "did as described, which the specification leaves open", clause.cites, "none"
            )
        return Outcome(Verdict.PASS, "", clause.cites, "none")
    ordered = sorted(findings, key=lambda finding: (_GRAVITY[finding.level], _rank(finding, findings)))
    gravest = ordered[0]
    decisive = [each for each in ordered if each.level == gravest.level]
    # What a step cites is what it set out to prove, and need not be what a rule found instead.
    cites = tuple(dict.fromkeys(cite for each in decisive if each.source == gravest.source for cite in each.cites))
    blamed = {each.blame for each in decisive}
    blame: Blame = next(iter(blamed)) if len(blamed) == 1 else "both"
    more = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
    return Outcome(_VERDICT_BY_LEVEL[gravest.level], gravest.message + more, cites, blame)


def _rank(finding: Finding, findings: Sequence[Finding]) -> int:
    """How early a finding is told among those of its gravity: 0 first."""
    if finding.rule in _EXPLAINING:
        return 0
    of_steps = {each.blame for each in findings if each.source == "step"}
    if finding.source == "judge" and (finding.blame in of_steps or "unknown" in of_steps):
        return 1
    return 2 if finding.source == "step" else 3
