"""What can be read in two ways is nobody's fault: it is counted for itself, and every page has both readings."""

from __future__ import annotations

from pathlib import Path

import pytest
from reports_samples import record

from reports.defects import find_defects
from reports.markdown import markdown
from reports.outcome import Outcome, is_red, outcome_of
from reports.record import Finding, KnownFailure, Verdict
from reports.summary import Summary
from reports.terminal import closing_lines
from reports.write import write_all

LISTED = KnownFailure(reason="it is said twice", readings=("it has to", "it need not"), evidence=("https://a.org/1",))
CELL = record(
    verdict=Verdict.FAIL,
    reason="PUBACK missing",
    blame="none",
    known_failure=LISTED,
    findings=(Finding(source="step", rule="wire", level="must", blame="broker", message="PUBACK missing"),),
)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.WARN])
def test_it_is_an_outcome_of_its_own_and_never_red(verdict: Verdict) -> None:
    cell = CELL.model_copy(update={"verdict": verdict})
    assert outcome_of(cell) is Outcome.AMBIGUOUS
    assert not is_red(cell, strict_known=True)


def test_nobody_is_blamed() -> None:
    [defect] = find_defects([CELL])
    assert (defect.side, defect.blamed) == ("unknown", "nobody (paho with reference)")
    summary = Summary.of([CELL])
    assert summary.counts.failed == 0
    assert [each.sentence for each in summary.implementations] == [
        "paho-mqtt 2.2.0 (client) passes 0 of 1 cell; 1 ambiguous.",
        "reference 0.1.0 (broker) passes 0 of 1 cell; 1 ambiguous.",
    ]


def test_pages_have_both_readings_and_the_evidence(tmp_path: Path) -> None:
    text = markdown(Summary.of([CELL]))
    page = write_all([CELL], tmp_path).read_text()
    junit = (tmp_path / "junit.xml").read_text()
    for said in ("Reading 1: it has to", "Reading 2: it need not", "https://a.org/1"):
        assert said in text
        assert said in page
        assert said.partition(": ")[2] in junit


def test_the_terminal_says_it_in_a_line() -> None:
    lines = [line.plain for line in closing_lines(Summary.of([CELL]), defects=find_defects([CELL]))]
    assert lines[:2] == [
        "1 defect: 1 ambiguous.",
        "ambig   nobody (paho with reference): PUBACK missing (1 cell, known)",
    ]
