"""GitHub Actions: annotations at the scenario's line, the job's summary, and nothing where GitHub is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from reports_samples import record, showcase

from reports.at import line_of
from reports.github import SHOWN, Annotation, annotations_of, tell_github
from reports.record import Finding, KnownFailure, Record, StepResult, TraceEntry, Verdict
from reports.summary import RunInfo

RUN = RunInfo("2026-03-01T10:00:00Z", 83.2, "0.1.0")
STEPS = tuple(
    StepResult(number=number, text="a step", line=10 + number, status="passed", at=0.1 * number) for number in (1, 2, 3)
)


def failure(scenario: str = "qos1/delivered", **finding: object) -> Record:
    told = {"source": "step", "rule": "receive", "level": "must", "blame": "client", "message": scenario} | finding
    return record(
        scenario,
        verdict=Verdict.FAIL,
        reason=str(told["message"]),
        file=f"scenarios/{scenario}.yaml",
        steps=STEPS,
        findings=(Finding.model_validate(told),),
    )


def test_a_failed_step_is_annotated_at_its_line() -> None:
    [annotation] = annotations_of([failure(step=2)])
    assert str(annotation).startswith("::error file=scenarios/qos1/delivered.yaml,line=12,title=")


def test_what_a_rule_found_is_annotated_at_the_step_under_way() -> None:
    packet = TraceEntry(at=0.25, link="sub", connection=1, kind="packet", sender="broker", packet="PUBLISH")
    judged = failure(source="judge", rule="dup", trace_index=0).model_copy(update={"trace": (packet,)})
    assert line_of(judged) == 12
    assert line_of(judged.model_copy(update={"trace": ()})) == 1


def test_there_is_one_annotation_for_a_defect_and_none_for_a_known_one() -> None:
    same = [failure("a/one", message="it hung"), failure("a/one", message="it hung").model_copy(update={"mqtt": "3.1"})]
    known = failure("a/two", message="other").model_copy(update={"known_failure": KnownFailure(reason="so it is")})
    [annotation] = annotations_of([*same, known])
    assert "it hung (2 cells)" in annotation.message


@pytest.mark.parametrize(
    ("changes", "strict", "kinds"),
    [
        ({"verdict": Verdict.SETUP_FAILED}, False, ["error"]),
        ({"verdict": Verdict.HARNESS_ERROR}, False, ["error"]),
        ({"verdict": Verdict.WARN}, False, ["warning"]),
        ({"unexpected_pass": True}, False, ["warning"]),
        ({"unexpected_pass": True}, True, ["error"]),
        ({"verdict": Verdict.UNSUPPORTED}, True, []),
        ({}, True, []),
    ],
)
def test_each_outcome_has_its_kind_of_annotation(changes: dict[str, object], strict: bool, kinds: list[str]) -> None:
    assert [each.kind for each in annotations_of([record(**changes)], strict_known=strict)] == kinds


def test_no_text_can_end_the_command_or_begin_another() -> None:
    annotation = Annotation("error", "a,b:c.yaml", 3, "100 %\n::set", "one\r\n::error::two")
    assert str(annotation) == "::error file=a%2Cb%3Ac.yaml,line=3,title=100 %25%0A%3A%3Aset::one%0D%0A::error::two"


def test_a_flood_is_cut_to_what_github_shows() -> None:
    cells = [failure(f"a/n{'x' * place}", message=f"it is {'x' * place}") for place in range(1, 2 * SHOWN)]
    assert len(annotations_of(cells)) == SHOWN


def test_where_github_is_not_nothing_happens() -> None:
    assert tell_github(showcase(), RUN, {}) == []


def test_the_summary_is_added_to_the_jobs_file_and_leads_to_no_page_that_is_not_there(tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    assert tell_github(showcase(), RUN, {"GITHUB_STEP_SUMMARY": str(summary)}) == []
    text = summary.read_text()
    assert text.startswith("before\n## MQTT interoperability")
    assert "](<report.html" not in text


def test_files_are_named_from_the_repositorys_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path)}
    [line] = tell_github([failure(step=1)], RUN, environment)
    assert line.startswith("::error file=sub/scenarios/qos1/delivered.yaml,line=11,")
