"""The summary for a pull request."""

from __future__ import annotations

from pathlib import Path

from reports_samples import late_will, matrix, record, showcase

from reports.markdown import markdown, write_markdown
from reports.record import KnownFailure, Record, Verdict
from reports.summary import RunInfo, Summary


def text_of(records: list[Record]) -> str:
    return markdown(Summary.of(records), run=RunInfo("2026-03-01T10:00:00Z", 83.2, "0.1.0", workers=2))


def test_the_news_stand_first_then_the_defects_then_a_sentence_for_each_implementation() -> None:
    text = text_of(showcase())
    lines = text.splitlines()
    headline = "3 new failures, 1 harness error, 1 failed setup, 1 flaky cell, 1 unexpected pass in 20 cells."
    assert lines[2] == f"**{headline}**"
    assert lines[4] == "### 4 defects: 2 new, 1 known, 1 warning"
    assert text.index(lines[4]) < text.index(f"- {Summary.of(showcase()).implementations[0].sentence}")


def test_defects_come_before_errors_unexpected_passes_and_the_matrix() -> None:
    text = text_of(showcase())
    titles = [
        "1 known</summary>",
        "1 warning</summary>",
        "Errors and flaky cells (3)",
        "Unexpected passes (1)",
        "Cells that pass, by area",
        "Slowest cells",
    ]
    places = [text.index(title) for title in titles]
    assert places == sorted(places)


def test_a_defect_has_what_was_seen_its_sentence_and_a_link_to_its_smallest_trace() -> None:
    text = markdown(Summary.of([late_will()]), sentences={("5.0", "MQTT-3.1.2-22"): "A silent client is cut off"})
    assert (
        "1. **fail** by the broker reference: the will came too early<br>\n"
        "   5.0 MQTT-3.1.2-22: A silent client is cut off<br>\n"
        "   1 cell; smallest trace: [`will/keep_alive_timeout`]"
        "(<report.html#cell/will/keep_alive_timeout%20paho%20reference%205.0%20tcp>), paho with reference, 5.0, tcp\n"
    ) in text


def test_an_error_has_its_reason_and_its_statements() -> None:
    cell = record("a/b", verdict=Verdict.SETUP_FAILED, reason="no broker", cites=("MQTT-3.1.2-22",))
    line = "| setup failed | `a/b` | paho with reference, 5.0, tcp | no broker | MQTT-3.1.2-22 |"
    assert line in text_of([cell])


def test_the_matrix_has_numbers_and_sums() -> None:
    text = text_of(showcase())
    assert "| area | builtin | gmqtt | paho |" in text
    assert "| flow | 1 of 1 | 1 of 2 (1 known) | 0 of 1 (**1 flaky**) |" in text
    assert "| **all** | 4 of 5 (**1 new**) | 1 of 7 (**1 new**, **2 broken**, 2 known) |" in text


def test_a_set_up_that_is_listed_to_fail_is_known_in_the_matrix_and_no_error() -> None:
    text = text_of([record("a/b", verdict=Verdict.SETUP_FAILED, known_failure=KnownFailure(reason="always did"))])
    assert "| **all** | 0 of 1 (1 known) |" in text
    assert "Errors and flaky cells" not in text


def test_several_brokers_have_columns_of_their_own() -> None:
    text = text_of([record(), record(broker="mosquitto")])
    assert "| area | paho with mosquitto | paho with reference |" in text


def test_costs_are_told() -> None:
    text = text_of(showcase())
    assert "Took 1 min 23 s with 2 workers; mqtt-interop 0.1.0." in text
    assert "Median overhead per cell: 50 ms (waiting not counted), p95 60 ms." in text
    assert "| `will/keep_alive_timeout` | builtin with reference, 5.0, tcp | 3.60 s | 3.50 s |" in text


def test_a_long_list_is_cut_and_says_so() -> None:
    text = text_of([record(f"a/case_{n:03}", verdict=Verdict.FAIL, reason="x") for n in range(100)])
    assert text.count("**fail**") == 30
    assert "… and 70 more in `report.html`." in text


def test_a_long_list_of_errors_is_cut_and_says_so() -> None:
    text = text_of([record(f"a/case_{n:03}", verdict=Verdict.FLAKY, reason="x") for n in range(100)])
    assert text.count("| flaky |") == 30
    assert "… and 70 cells more in `report.html`." in text


def test_a_version_in_which_nothing_applies_has_no_share_in_the_matrix() -> None:
    cells = [
        record(),
        record("a/cannot", verdict=Verdict.UNSUPPORTED),
        record("a/b", client="old", verdict=Verdict.UNSUPPORTED),
    ]
    text = text_of(cells)
    assert "| area | paho |" in text
    assert "| **all** | 1 of 1 |" in text
    assert "Not shown, because unsupported: old with reference, MQTT 5.0." in text


def test_a_large_run_stays_a_text_one_can_read() -> None:
    assert len(text_of(list(matrix(2000)))) < 20_000


def test_text_of_results_cannot_break_the_table() -> None:
    cell = record("a/`x`|y", verdict=Verdict.FLAKY, reason="a | b\n<img> @team *x* [y](z) `q` #1 &lt;")
    (line,) = [line for line in text_of([cell]).splitlines() if line.startswith("| flaky |")]
    assert line == (
        "| flaky | `a/'x'/y` | paho with reference, 5.0, tcp "
        "| a \\| b &lt;img\\> \\@team \\*x\\* \\[y\\](z) \\`q\\` \\#1 &amp;lt; |  |"
    )


def test_only_links_to_the_web_become_links() -> None:
    def listed(link: str) -> str:
        return text_of([record(verdict=Verdict.FAIL, known_failure=KnownFailure(reason="old", link=link))])

    assert "old ([upstream](https://example.org/1))" in listed("https://example.org/1")
    assert "javascript" not in listed("javascript:alert(1)")
    assert "upstream" not in listed("https://example.org/) | x")


def test_a_run_without_cells_is_said_in_one_line() -> None:
    assert markdown(Summary.of([])) == "## MQTT interoperability\n\n**Nothing ran.**\n"


def test_the_file_is_the_text(tmp_path: Path) -> None:
    write_markdown(Summary.of(showcase()), tmp_path / "summary.md")
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == markdown(Summary.of(showcase()))
