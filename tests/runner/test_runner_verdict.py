"""What several findings come to: which of them is the headline, whose statement stands there, and who is blamed."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner_stage import scenario

from interop.judge import Finding as Broken
from interop.runner.cell import Cell
from interop.runner.verdict import judge_finding, weigh
from interop.scenario.values import Level
from interop.tap.trace import Sender
from reports.record import Finding, Verdict

UNEXPECTED = Finding(
    source="step", rule="unexpected-message", level="must", blame="broker", cites=("MQTT-3.1.2-8",),
    message="expected no further message for sub, but it got 'x'",
)  # fmt: skip
NO_SUBSCRIPTION = Finding(
    source="judge", rule="matching-subscription", level="must", blame="broker", cites=("MQTT-3.3.2-3",),
    message="sub: a message no subscription matches",
)  # fmt: skip


@pytest.fixture(name="cell")
def a_cell(tmp_path: Path) -> Cell:
    return Cell(
        scenario(tmp_path, "actors: {sub: {}}\nsteps: [{do: connect, as: sub}]\n"), "builtin", "other", "5.0", "tcp"
    )


def test_the_rule_that_the_same_side_broke_is_the_headline_and_its_statement_is_cited(cell: Cell) -> None:
    outcome = weigh(cell, [UNEXPECTED, NO_SUBSCRIPTION])
    assert outcome.reason == "sub: a message no subscription matches (and 1 more)"
    assert (outcome.cites, outcome.blame) == (("MQTT-3.3.2-3",), "broker")


def test_a_rule_may_explain_a_step_that_blames_nobody(cell: Cell) -> None:
    outcome = weigh(cell, [UNEXPECTED.model_copy(update={"blame": "unknown"}), NO_SUBSCRIPTION])
    assert outcome.cites == ("MQTT-3.3.2-3",)


def test_a_rule_that_the_other_side_broke_is_told_behind_the_step(cell: Cell) -> None:
    outcome = weigh(cell, [NO_SUBSCRIPTION.model_copy(update={"blame": "client"}), UNEXPECTED])
    assert outcome.reason.startswith("expected no further message")
    assert (outcome.cites, outcome.blame) == (("MQTT-3.1.2-8",), "both")


def test_the_gravest_comes_first_whoever_found_it(cell: Cell) -> None:
    outcome = weigh(cell, [NO_SUBSCRIPTION.model_copy(update={"level": "should"}), UNEXPECTED])
    assert outcome.verdict is Verdict.FAIL
    assert outcome.reason.startswith("expected no further message")


def test_several_rules_of_a_gravity_are_all_cited(cell: Cell) -> None:
    other = NO_SUBSCRIPTION.model_copy(update={"rule": "other", "cites": ("MQTT-3.8.4-8",)})
    assert weigh(cell, [UNEXPECTED, NO_SUBSCRIPTION, other]).cites == ("MQTT-3.3.2-3", "MQTT-3.8.4-8")


@pytest.mark.parametrize(
    ("rule", "window"), [("keeps-alive", 3.0), ("takeover-closes", 3.0), ("packet-id-in-use", None)]
)
def test_a_rule_that_looks_at_the_clock_says_that_it_is_a_matter_of_time(rule: str, window: float | None) -> None:
    broken = Broken(rule, Sender.CLIENT, Level.MUST, (), "it is so", 3, "sub")
    assert judge_finding(broken).window_seconds == window
