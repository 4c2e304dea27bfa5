"""JUnit XML as CI systems read it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports_samples import qos2_cell, record, showcase

from reports.junit import junit, write_junit
from reports.record import KnownFailure, Record, Verdict
from reports.summary import RunInfo

KNOWN = KnownFailure(reason="always did", link="https://example.org/1")


def junit_tree(cells: Iterable[Record], run: RunInfo | None = None) -> ET.Element:
    return ET.fromstring("\n".join(junit(cells, run=run)))


def case_of(cell: Record) -> ET.Element:
    (case,) = junit_tree([cell]).iter("testcase")
    return case


def kind_of(cell: Record) -> str:
    kinds = [child.tag for child in case_of(cell) if child.tag in ("failure", "error", "skipped")]
    assert len(kinds) <= 1
    return kinds[0] if kinds else "passed"


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (Verdict.PASS, "passed"),
        (Verdict.FAIL, "failure"),
        (Verdict.WARN, "passed"),
        (Verdict.OBSERVED, "passed"),
        (Verdict.UNSUPPORTED, "skipped"),
        (Verdict.SETUP_FAILED, "error"),
        (Verdict.HARNESS_ERROR, "error"),
        (Verdict.FLAKY, "failure"),
    ],
)
def test_each_verdict_is_what_a_ci_system_makes_of_it(verdict: Verdict, kind: str) -> None:
    assert kind_of(record(verdict=verdict, reason="because")) == kind


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [(Verdict.FAIL, "skipped"), (Verdict.SETUP_FAILED, "skipped"), (Verdict.HARNESS_ERROR, "error")],
)
def test_a_listed_shortcoming_is_skipped_but_an_error_of_the_harness_is_not(verdict: Verdict, kind: str) -> None:
    assert kind_of(record(verdict=verdict, known_failure=KNOWN)) == kind


def test_a_known_failure_says_why_and_where_it_is_reported() -> None:
    case = case_of(record(verdict=Verdict.FAIL, known_failure=KNOWN))
    assert case.find("skipped").attrib == {"message": "known: always did"}
    assert {p.get("name"): p.get("value") for p in case.iter("property")}["upstream"] == "https://example.org/1"


@pytest.mark.parametrize("verdict", [Verdict.WARN, Verdict.OBSERVED])
def test_what_passes_with_a_remark_keeps_the_remark(verdict: Verdict) -> None:
    out = case_of(record(verdict=verdict, reason="no reason string")).find("system-out")
    assert out.text.startswith(f"{verdict}: no reason string")


def test_an_unexpected_pass_is_a_pass_that_says_so() -> None:
    out = case_of(record(known_failure=KNOWN, unexpected_pass=True)).find("system-out")
    assert out.text.startswith("it passed, but is listed to fail: always did")


def test_a_failure_tells_its_findings_and_how_to_run_it_again() -> None:
    cell = qos2_cell(wrong=True)
    failure = case_of(cell).find("failure")
    assert failure.attrib == {"message": f"fail: {cell.reason}", "type": "fail"}
    assert "MUST MQTT-4.3.3-6 (client): PUBLISH id 1 was sent again after its PUBREC had arrived" in failure.text
    assert "expected: PUBREL id 1" in failure.text
    assert cell.rerun in failure.text
    assert case_of(cell).find("system-err").text == cell.log


def test_statements_are_properties_of_their_own() -> None:
    case = case_of(record(cites=("MQTT-1", "MQTT-2")))
    assert [p.get("value") for p in case.iter("property") if p.get("name") == "cites"] == ["MQTT-1", "MQTT-2"]


def test_there_is_a_suite_for_each_client_broker_and_version_with_counts_that_add_up() -> None:
    root = junit_tree(showcase(), run=RunInfo("", 83.2, "0.1.0"))
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites][:2] == [
        "builtin with reference, MQTT 3.1",
        "builtin with reference, MQTT 3.1.1",
    ]
    assert len(suites) == 9
    counted = {key: sum(int(suite.get(key)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": 20, "failures": 4, "errors": 2, "skipped": 3}
    assert {key: int(root.get(key)) for key in counted} == counted
    assert root.get("time") == "83.200"
    for suite in suites:
        assert int(suite.get("tests")) == len(suite.findall("testcase"))


def test_cases_are_classed_by_area_and_their_names_are_unique_in_a_suite() -> None:
    root = junit_tree([record("qos1/a"), record("qos1/a", transport="tls"), record("qos1/b")])
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert names == [("qos1", "qos1/a over tcp"), ("qos1", "qos1/a over tls"), ("qos1", "qos1/b over tcp")]


@given(st.text())
def test_any_text_gives_a_file_that_can_be_read(text: str) -> None:
    cell = record(verdict=Verdict.HARNESS_ERROR, reason=text, log=text, client=text or "x", cites=(text,))
    ET.fromstring("\n".join(junit([cell])).encode())


@given(st.text())
def test_any_text_that_xml_can_hold_is_read_as_it_was_said(text: str) -> None:
    said = "".join(
        each if each in "\t\n\r" or (each >= " " and each not in "\ufffe\uffff") else "\ufffd" for each in text
    )
    case = case_of(record(verdict=Verdict.HARNESS_ERROR, reason="because", log=text, cites=(text,)))
    assert [p.get("value") for p in case.iter("property") if p.get("name") == "cites"] == [said]
    ends = said.replace("\r\n", "\n").replace("\r", "\n")  # as every reader of XML has to read them
    assert (case.findtext("system-err") or "") == ends


def test_what_did_not_run_is_a_suite_of_errors_and_nothing_at_all_an_empty_document() -> None:
    root = junit_tree([], RunInfo("", 0.0, "0.1.0", not_run=("a <cell>",), stopped="a full disk"))
    (case,) = root.iter("testcase")
    assert (case.get("name"), case.find("error").get("message")) == ("a <cell>", "did not run: a full disk")
    assert (root.get("tests"), root.get("errors")) == ("1", "1")
    assert list(junit_tree([])) == []


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    case = case_of(record(verdict=Verdict.HARNESS_ERROR, reason="\x00\x1b[31m\ufffe\tok"))
    assert case.find("error").get("message") == "harness-error: \ufffd\ufffd[31m\ufffd\tok"


def test_the_file_is_written_with_its_encoding(tmp_path: Path) -> None:
    write_junit([record(verdict=Verdict.FAIL, reason="naïve")], tmp_path / "junit.xml")
    assert (tmp_path / "junit.xml").read_bytes().startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    assert ET.parse(tmp_path / "junit.xml").getroot().find(".//failure").get("message") == "fail: naïve"
