"""CTRF: every document fits the published schema, and says what JUnit says. `ctrf/` has the schema of the npm package
ctrf 0.3.0 as it is, with its licence."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import junitparser
import pytest
from jsonschema import Draft7Validator
from reports_samples import record, showcase

from reports.ctrf import ctrf
from reports.record import KnownFailure, Record, Verdict
from reports.summary import RunInfo
from reports.write import write_all

RUN = RunInfo("2026-03-01T10:00:00Z", 83.2, "0.1.0")
SCHEMA = json.loads(Path(__file__).with_name("ctrf").joinpath("ctrf-schema-0.0.json").read_text())
KNOWN = KnownFailure(reason="says so for ever", link="https://example.org/1", evidence=("trace.pcapng",))
AMBIGUOUS = KnownFailure(reason="who knows", readings=("it has to", "it need not"))


def status_of(cell: Record, *, strict_known: bool = False) -> str:
    document = ctrf([cell], run=replace(RUN, strict_known=strict_known))
    [test] = document["results"]["tests"]
    assert document["results"]["summary"][test["status"]] == 1
    return str(test["status"])


@pytest.mark.parametrize(
    ("records", "run"),
    [
        (showcase(), RUN),
        (showcase(), None),
        ([], RUN),
        ([record(started_at="")], replace(RUN, shard="2/4")),
        ([record(file="scenarios/a.yaml", verdict=Verdict.FAIL, known_failure=KNOWN)], RUN),
        ([record()], replace(RUN, not_run=("a cell",), missing_shards=("1/2",), stopped="a full disk")),
    ],
)
def test_what_is_written_fits_the_published_schema(tmp_path: Path, records: list[Record], run: RunInfo | None) -> None:
    write_all(records, tmp_path, run)
    document = json.loads((tmp_path / "ctrf.json").read_text())
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(document)] == []
    counts = Counter(test["status"] for test in document["results"]["tests"])
    summary = document["results"]["summary"]
    assert summary["tests"] == counts.total() == sum(summary[status] for status in counts)


def test_the_schema_refuses_what_does_not_fit() -> None:
    document = ctrf([record()])
    document["results"]["tests"][0]["verdict"] = "pass"
    assert list(Draft7Validator(SCHEMA).iter_errors(document))


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "passed"),
        ({"verdict": Verdict.WARN}, "passed"),
        ({"verdict": Verdict.OBSERVED}, "passed"),
        ({"verdict": Verdict.UNSUPPORTED}, "skipped"),
        ({"verdict": Verdict.FAIL}, "failed"),
        ({"verdict": Verdict.SETUP_FAILED}, "failed"),
        ({"verdict": Verdict.HARNESS_ERROR}, "failed"),
        ({"verdict": Verdict.FAIL, "known_failure": KNOWN}, "other"),
        ({"verdict": Verdict.SETUP_FAILED, "known_failure": KNOWN}, "other"),
        ({"verdict": Verdict.FAIL, "known_failure": AMBIGUOUS}, "other"),
        ({"unexpected_pass": True}, "passed"),
    ],
)
def test_each_outcome_has_its_status(changes: dict[str, object], status: str) -> None:
    assert status_of(record(**changes)) == status


def test_a_pass_that_was_listed_to_fail_fails_where_the_list_is_held_strictly() -> None:
    assert status_of(record(unexpected_pass=True), strict_known=True) == "failed"


def test_a_cell_that_did_not_run_failed() -> None:
    [test] = ctrf([], run=replace(RUN, not_run=("a cell",), stopped="a full disk"))["results"]["tests"]
    assert (test["status"], test["message"]) == ("failed", "did not run: a full disk")


@pytest.mark.parametrize("strict_known", [False, True])
def test_junit_is_read_by_a_parser_of_others_and_says_what_ctrf_says(tmp_path: Path, strict_known: bool) -> None:
    run = replace(RUN, not_run=("a cell",), strict_known=strict_known)
    write_all([*showcase(), record("a/listed", unexpected_pass=True)], tmp_path, run)
    suites = junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    summary = json.loads((tmp_path / "ctrf.json").read_text())["results"]["summary"]
    cases = [case for suite in suites for case in suite]
    assert suites.tests == len(cases) == summary["tests"]
    assert suites.failures + suites.errors == summary["failed"]
    assert suites.skipped == summary["skipped"] + summary["other"]
    assert sum(case.is_passed for case in cases) == summary["passed"]
