"""The page as it is read without JavaScript, and what it packs for the scripts."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from urllib.parse import unquote

import pytest
from reports_page import Element, parse, unpack
from reports_samples import late_will, matrix, qos2_cell, record, showcase

from reports.coverage import StatementLine
from reports.html import render, write_html
from reports.outcome import Outcome
from reports.record import KnownFailure, Record, Verdict
from reports.summary import RunInfo, Summary

RUN = RunInfo("2026-03-01T10:00:00Z", 83.2, "0.1.0", "pytest interop/ -n auto", 2)


def page_of(records: list[Record], run: RunInfo | None = RUN) -> Element:
    return parse(render(Summary.of(records), run=run))


@pytest.fixture(scope="module")
def page() -> Element:
    return page_of(showcase())


def test_the_page_begins_with_the_news(page: Element) -> None:
    expected = "3 new failures, 1 harness error, 1 failed setup, 1 flaky cell, 1 unexpected pass in 20 cells."
    assert page.one("h1").text == expected


def test_every_implementation_has_its_sentence(page: Element) -> None:
    sentences = [element.text for element in page.all("p", css="sentence")]
    assert sentences == [implementation.sentence for implementation in Summary.of(showcase()).implementations]


def test_the_run_is_described(page: Element) -> None:
    facts = {div.one("dt").text: div.one("dd").text for div in page.one("dl", css="facts").all("div")}
    assert facts == {
        "Overhead": "Median overhead per cell: 50 ms (waiting not counted), p95 60 ms.",
        "Wall time": "1 min 23 s with 2 workers",
        "Started": "2026-03-01T10:00:00Z",
        "mqtt-interop": "0.1.0",
        "python": "3.11.7",
        "Command": "pytest interop/ -n auto",
    }


def test_the_matrix_shows_numbers_by_area_and_column(page: Element) -> None:
    table = page.one("table", css="matrix")
    rows = {row.all("th")[0].text: [cell.text for cell in row.all("td")] for row in table.all("tr")[2:]}
    assert list(rows) == ["flow", "qos2", "session", "will", "all"]
    assert [heading.text for heading in table.all("th", css="version")] == [
        "3.1",
        "3.1.1",
        "5.0",
        "3.1.1",
        "5.0",
        "3.1",
        "3.1.1",
        "5.0",
    ]
    # builtin, gmqtt (which has no 3.1), paho by version, then the sum; behind the slash all cells that apply, then what
    # did not pass
    assert rows["qos2"] == ["1/1", "1/1", "1/1", "0/11", "0/11", "1/1", "1/1", "1/1", "6/8111"]
    assert rows["all"][-1].startswith("9/19")
    assert "%" not in table.text


def test_a_field_of_the_matrix_says_in_words_what_it_counts_and_leads_to_its_cells(page: Element) -> None:
    (field,) = [
        link
        for link in page.one("table", css="matrix").all("a", css="entry")
        if link.attributes["href"] == "#cells?area=qos2&client=gmqtt&broker=reference&mqtt=5.0"
    ]
    assert field.attributes["aria-label"] == "qos2, gmqtt with reference, MQTT 5.0: 0 of 1 cell pass; 1 fails (known)"


def test_brokers_are_named_in_the_matrix_only_when_there_are_several() -> None:
    one = page_of([record(), record(client="gmqtt")])
    two = page_of([record(), record(broker="mosquitto")])
    assert [th.text for th in one.one("table").all("th") if "colspan" in th.attributes] == ["gmqtt", "paho"]
    headings = [th.text for th in two.one("table").all("th") if "colspan" in th.attributes]
    assert headings == ["paho with mosquitto", "paho with reference"]


def test_failures_are_listed_new_ones_first_each_with_reason_and_statements(page: Element) -> None:
    listed = page.one("div", ident="list")
    groups = [heading.text.partition(" a ")[0] for heading in listed.all("h3")]
    assert [re.findall(r"^\D+\d+", group) for group in groups] == [
        ["fail 3"],
        ["harness error 1"],
        ["setup failed 1"],
        ["flaky 1"],
        ["unexpected pass 1"],
        ["known failure 2"],
        ["warn 1"],
    ]
    first = listed.all("a", css="row")[0]
    assert first.one("b", css="scenario").text == "qos2/resume_after_pubrec"
    assert first.one("span", css="reason").text == "PUBLISH was sent again after PUBREC: expected PUBREL id 1"
    assert [code.text for code in first.all("code")] == ["MQTT-4.3.3-1"]
    assert len(listed.all("a", css="row")) == 10


def test_a_listed_cell_links_to_its_page_by_its_identity(page: Element) -> None:
    hrefs = [row.attributes["href"] or "" for row in page.one("div", ident="list").all("a", css="row")]
    ids = {entry["id"] for entry in unpack(page, "index")}
    assert {unquote(href.removeprefix("#cell/")) for href in hrefs} <= ids


def test_text_of_results_never_becomes_markup(page: Element) -> None:
    reasons = [element.text for element in page.all("span", css="reason")]
    assert "the client asked for a session it did not resume <b>&amp;</b>" in reasons


@pytest.mark.parametrize("end", ["</script><script>alert(1)</script>", "<!--", "]]>"])
def test_no_text_can_leave_its_place(end: str) -> None:
    nasty = record(end, title=end, reason=end, verdict=Verdict.FAIL, log=end, client=end, area=end, rerun=end)
    clean = page_of([record(verdict=Verdict.FAIL, reason="x")])
    page = page_of([nasty])
    assert len(page.all("script")) == len(clean.all("script"))
    assert unpack(page, "chunk-0")[0]["log"] == end


def test_the_page_needs_nothing_from_outside(page: Element) -> None:
    assert not page.all("img")
    assert all("src" not in script.attributes for script in page.all("script"))
    assert [link.attributes["href"] for link in page.all("link")] == ["data:,"]
    (policy,) = [meta for meta in page.all("meta") if meta.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )
    assert "@import" not in page.one("style").text
    assert "url(" not in page.one("style").text


def test_every_icon_that_is_used_is_drawn(page: Element) -> None:
    drawn = {symbol.attributes["id"] for symbol in page.all("symbol")}
    used = {(use.attributes["href"] or "").removeprefix("#") for use in page.all("use")}
    outcomes = {
        f"icon-{outcome['id']}" for outcome in json.loads(page.one("script", ident="metadata").text)["outcomes"]
    }
    assert used | outcomes <= drawn


def test_ids_are_unique_and_every_label_refers_to_one(page: Element) -> None:
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    labels = {
        element.attributes["aria-labelledby"] for element in page.all() if "aria-labelledby" in element.attributes
    }
    assert labels <= set(ids)


def test_each_packed_cell_is_the_record_it_was() -> None:
    records = list(matrix(120))
    page = page_of(records)
    index = unpack(page, "index")
    chunks = {entry["chunk"]: unpack(page, f"chunk-{entry['chunk']}") for entry in index}
    assert len(index) == len(records)
    found = {entry["id"]: Record.model_validate(chunks[entry["chunk"]][entry["place"]]) for entry in index}
    assert found == {cell.cell_id: cell for cell in records}


def test_the_index_is_in_reading_order_with_the_outcome_of_each_cell(page: Element) -> None:
    index = unpack(page, "index")
    assert [entry["outcome"] for entry in index[:5]] == ["fail", "fail", "fail", "harness-error", "setup-failed"]
    (surprise,) = [entry for entry in index if entry["outcome"] == "unexpected-pass"]
    assert surprise["reason"] == "it passed, but is listed to fail: ignores Receive Maximum"


def test_scripts_know_the_defaults_that_packed_cells_leave_out(page: Element) -> None:
    defaults = json.loads(page.one("script", ident="metadata").text)["defaults"]
    assert defaults["trace"]["fate"] == "forwarded"
    assert defaults["record"]["log"] == ""
    assert defaults["findings"]["trace_index"] is None
    required = {"scenario", "title", "area", "client", "broker", "mqtt", "transport", "verdict", "seconds"}
    assert required == Record.model_fields.keys() - defaults["record"].keys()


def test_a_run_without_cells_says_so() -> None:
    page = page_of([], run=None)
    assert page.one("h1").text == "Nothing ran."
    assert page.one("p", css="empty").text == "Nothing ran."
    assert not page.all("table")


def test_a_run_without_failures_says_so() -> None:
    page = page_of([record()])
    assert page.one("h1").text == "Nothing new failed in 1 cell."
    assert page.one("p", css="empty").text == "Nothing needs a look: no cell failed."


def test_a_list_too_long_for_the_page_says_how_many_are_left() -> None:
    cells = [record(f"qos1/case_{n}", verdict=Verdict.FAIL, reason="x") for n in range(403)]
    page = page_of(cells)
    assert len(page.one("div", ident="list").all("a", css="row")) == 400
    assert "… and 3 cells more" in page.one("div", ident="list").text
    assert len(unpack(page, "index")) == 403


def test_a_known_failure_shows_its_reason_in_the_list() -> None:
    known = KnownFailure(reason="ignores the quota", link="javascript:alert(1)")
    page = page_of([record(verdict=Verdict.FAIL, known_failure=known)])
    assert page.one("span", css="known").text == "Listed as known: ignores the quota"
    assert not [a for a in page.all("a") if (a.attributes.get("href") or "").startswith("javascript")]


def test_two_thousand_cells_with_traces_stay_a_file_of_a_few_megabytes(tmp_path: Path) -> None:
    records = list(matrix(2000))
    write_html(Summary.of(records), tmp_path / "report.html", run=RUN)
    assert (tmp_path / "report.html").stat().st_size < 4_000_000
    assert sum(len(cell.trace) for cell in records) > 50_000


def test_big_payloads_and_long_traces_do_not_stop_the_page() -> None:
    page = page_of([late_will(), qos2_cell(wrong=True)])
    (will,) = [cell for cell in unpack(page, "chunk-0") if cell["scenario"] == "will/keep_alive_timeout"]
    assert max(entry.get("size_bytes", 0) for entry in will["trace"]) > 65_536


def test_every_script_and_style_of_the_package_is_on_the_page(page: Element) -> None:
    (script,) = [element for element in page.all("script") if element.attributes.get("type") == "module"]
    held = script.text + page.one("style").text
    for item in resources.files("reports").joinpath("static").iterdir():
        assert " ".join(item.read_text(encoding="utf-8").split()) in held, item.name


def test_every_outcome_has_its_colour(page: Element) -> None:
    style = page.one("style").text
    assert all(f".o-{outcome}" in style for outcome in Outcome)


STATEMENTS = (
    StatementLine(
        "5.0", "client", "MQTT-1.5.4-1", "must", "1.5.4", "Text is UTF-8", "covered", ("qos2/flow", "corpus/x")
    ),
    StatementLine("5.0", "client", "MQTT-3.1.0-1", "must", "3.1", "CONNECT first", "covered", judged_cells=3),
    StatementLine("5.0", "broker", "MQTT-3.2.0-1", "must", "3.2", "CONNACK first", "missing", rules=("connack-first",)),
    StatementLine(
        "5.0", "broker", "MQTT-4.1.0-3", "may", "4.1", "Kept inside", "not-observable", reason="it is inside"
    ),
)


def test_statements_stand_with_their_evidence_by_version_and_side() -> None:
    page = parse(render(Summary.of([record()]), statements=STATEMENTS))
    sides = page.one("section", ident="statements").all("details")
    assert [side.one("span", css="number").text for side in sides] == ["2 of 2", "0 of 1"]
    rows = {row.all("th")[0].one("code").text: row for side in sides for row in side.all("tr")[1:]}
    assert [link.text for link in rows["MQTT-1.5.4-1"].all("a")] == ["qos2/flow", "corpus/x"]
    assert rows["MQTT-1.5.4-1"].all("a")[0].attributes["href"] == "#cells?text=qos2%2Fflow&mqtt=5.0"
    assert "the judge in 3 cells" in rows["MQTT-3.1.0-1"].text
    assert "none here" in rows["MQTT-3.2.0-1"].text
    assert "watched by connack-first" in rows["MQTT-3.2.0-1"].text
    assert "not observable from outside: it is inside" in rows["MQTT-4.1.0-3"].text


def test_a_page_without_statements_has_no_section_for_them(page: Element) -> None:
    assert not [section for section in page.all("section") if section.attributes.get("id") == "statements"]


def test_versions_that_were_not_played_have_no_statements_on_the_page() -> None:
    only = record(mqtt="3.1.1")
    cannot = record("a/cannot", verdict=Verdict.UNSUPPORTED)
    page = parse(render(Summary.of([only, cannot]), statements=STATEMENTS))
    assert not [section for section in page.all("section") if section.attributes.get("id") == "statements"]


SENTENCES = {
    ("5.0", "MQTT-4.3.3-6"): "PUBREL follows PUBREC",
    ("5.0", "MQTT-1.5.4-1"): "Text is UTF-8",
    ("5.0", "MQTT5-U-1"): "No number, but a sentence",
}


def test_the_page_shows_each_defect_with_its_sentence_its_cells_and_its_smallest_trace() -> None:
    cells = [qos2_cell(wrong=True), qos2_cell(wrong=True, client="gmqtt", known=True), record()]
    section = parse(render(Summary.of(cells), sentences=SENTENCES)).one("section", ident="defects")
    assert section.one("h2").text == "2 defects: 1 new, 1 known."
    new, known = section.all("li", css="defect")
    assert new.one("h4").text == "PUBLISH id 1 was sent again after its PUBREC had arrived"
    assert "by the client paho, found by rule no-publish-after-pubrec" in new.one("p", css="blame").text
    assert new.one("p", css="says").text == "MQTT-4.3.3-6 PUBREL follows PUBREC (5.0)"
    cells_link, trace_link = new.one("p", css="shown").all("a")
    assert (cells_link.text, cells_link.attributes["href"]) == ("1 cell", "#cells?defect=1")
    assert trace_link.attributes["href"] == "#cell/qos2/resume_after_pubrec%20paho%20reference%205.0%20tcp"
    assert known.one("p", css="known").text == (
        "Listed as known: retransmits PUBLISH instead of PUBREL after a reconnection"
    )


def test_defects_stand_before_everything_else(page: Element) -> None:
    sections = [section.attributes["aria-labelledby"] for section in page.all("section")]
    assert sections[0] == "defects-heading"


def test_scripts_know_which_defect_a_cell_shows() -> None:
    page = page_of([qos2_cell(wrong=True), record()])
    assert {entry["scenario"]: entry["defect"] for entry in unpack(page, "index")} == {
        "qos2/resume_after_pubrec": 1,
        "qos1/delivered": None,
    }
    metadata = json.loads(page.one("script", ident="metadata").text)
    assert metadata["defects"] == ["PUBLISH id 1 was sent again after its PUBREC had arrived"]


def test_scripts_know_the_sentences_of_all_statements_that_are_cited_and_of_no_others() -> None:
    cells = [qos2_cell(wrong=True), record(cites=("MQTT5-U-1", "MQTT-9"))]
    page = parse(render(Summary.of(cells), sentences=SENTENCES))
    assert json.loads(page.one("script", ident="metadata").text)["sentences"] == {
        "5.0": {"MQTT-4.3.3-6": "PUBREL follows PUBREC", "MQTT5-U-1": "No number, but a sentence"}
    }


def test_a_field_in_which_nothing_applies_says_so() -> None:
    page = page_of([record(), record("a/cannot", verdict=Verdict.UNSUPPORTED)])
    rows = {row.all("th")[0].text: row.all("td")[0].text for row in page.one("table").all("tr")[2:]}
    assert rows["a"].startswith("none apply")
    assert rows["qos1"] == "1/1"
