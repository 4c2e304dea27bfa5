"""How often cells were played again because this machine was too busy: every report says so, if it happened."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from reports_page import parse, unpack
from reports_samples import record

from reports.again import Again, first_time
from reports.html import render
from reports.junit import junit
from reports.markdown import markdown
from reports.record import PlayedAgain, Record, Verdict, read_records, write_records
from reports.summary import Summary
from reports.terminal import closing_lines

ONCE = record("a/once")
TOLD = record(
    "a/told",
    attempts=2,
    played_again=PlayedAgain(lag_seconds=1.3, lost_seconds=1.5, cpu_pressure=0.9, withheld=False),
)
WITHHELD = record(
    "b/withheld",
    attempts=2,
    verdict=Verdict.SETUP_FAILED,
    reason="this machine was too busy (lag 2.0 s at worst), twice, to tell whether: nothing came",
    played_again=PlayedAgain(lag_seconds=1.1, lost_seconds=4.0, cpu_pressure=1.0, withheld=True),
)
SOME = [ONCE, TOLD, WITHHELD]
SENTENCE = (
    "2 cells were played again because this machine was too busy: 1 then gave a verdict, 1 was withheld (setup-failed)."
)


def properties(element: ET.Element) -> dict[str, str]:
    """Those of a suite or case that are about it."""
    found = element.findall("./properties/property")
    return {str(p.get("name")): str(p.get("value")) for p in found if str(p.get("name")).startswith("played_again")}


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([], ""),
        ([ONCE], ""),
        (
            [ONCE, TOLD],
            "1 cell was played again because this machine was too busy: "
            "1 then gave a verdict, 0 were withheld (setup-failed).",
        ),
        (SOME, SENTENCE),
    ],
)
def test_it_is_counted_by_what_came_of_it_and_not_spoken_of_where_there_was_none(
    records: list[Record], sentence: str
) -> None:
    assert Again.of(records).sentence == sentence


def test_a_cell_that_was_tried_again_for_another_reason_is_not_counted() -> None:
    assert Again.of([record(attempts=2)]).total == 0


def test_the_end_of_a_run_says_it_before_the_news() -> None:
    assert [line.plain for line in closing_lines(Summary.of(SOME))][-2:] == [SENTENCE, Summary.of(SOME).headline]
    assert not [line for line in closing_lines(Summary.of([ONCE])) if "again" in line.plain]


def test_the_markdown_says_it() -> None:
    assert SENTENCE in markdown(Summary.of(SOME)).splitlines()
    assert "again" not in markdown(Summary.of([ONCE]))


def test_the_page_says_it_among_the_facts_of_the_run() -> None:
    assert parse(render(Summary.of(SOME))).one("dd", ident="played-again").text == SENTENCE
    assert not parse(render(Summary.of([ONCE]))).all("dd", ident="played-again")


def test_the_page_of_a_cell_says_how_late_this_machine_was_the_first_time() -> None:
    told = {entry["scenario"]: entry["first_time"] for entry in unpack(parse(render(Summary.of(SOME))), "index")}
    assert told["a/once"] == ""
    assert told["a/told"] == (
        "Played again, alone: the first time this machine was too busy (lag 1.3 s at worst, 1.5 s in all; 90% of the "
        "time somebody waited for a processor), and what came out was withheld. What came out the second time stands."
    )
    assert told["b/withheld"] == first_time(WITHHELD)
    assert "lag 1.1 s at worst" in told["b/withheld"]
    assert told["b/withheld"].endswith("So was what came out the second time.")


def test_a_suite_counts_them_and_a_case_says_it_of_itself() -> None:
    (suite,) = ET.fromstring("\n".join(junit(SOME))).findall("testsuite")
    assert properties(suite) == {
        "played_again.total": "2",
        "played_again.verdicts": "1",
        "played_again.withheld": "1",
    }
    assert [properties(case) for case in suite.findall("testcase")] == [
        {},
        {"played_again.withheld": "false", "played_again.lag_seconds": "1.300"},
        {"played_again.withheld": "true", "played_again.lag_seconds": "1.100"},
    ]
    assert properties(ET.fromstring("\n".join(junit([ONCE])))[0]) == {}


def test_it_survives_the_file_and_results_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_records(path, SOME)
    assert list(read_records(path)) == SOME
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["played_again"]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert list(read_records(path)) == [each.model_copy(update={"played_again": None}) for each in SOME]
