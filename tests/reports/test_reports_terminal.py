"""What is seen while a matrix runs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from reports_samples import record, showcase
from rich.console import Console

from reports.defects import find_defects
from reports.record import KnownFailure, Record, Verdict
from reports.summary import Summary
from reports.terminal import LiveTable, closing_lines


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """A live table that writes into a string."""

    def __init__(self, *, terminal: bool = False, **options: float) -> None:
        self.clock = Clock()
        self.out = io.StringIO()
        console = Console(file=self.out, force_terminal=terminal, width=160, color_system=None)
        self.table = LiveTable(console, clock=self.clock, **options)  # type: ignore[arg-type]  # numbers as they are

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.out.getvalue().splitlines()]


def test_a_log_gets_a_line_for_every_so_many_cells() -> None:
    screen = Screen(every_cells=2)
    screen.table.start({("qos1", "paho"): 5})
    for number in range(5):
        screen.table.add(record(f"qos1/{number}", verdict=Verdict.FAIL if number == 1 else Verdict.PASS))
    assert screen.lines == [
        "[0.00 s] 5 cells for 1 client",
        "[0.00 s] 2 of 5 cells done: 1 pass, 1 fail",
        "[0.00 s] 4 of 5 cells done: 3 pass, 1 fail",
    ]


def test_a_log_gets_a_line_after_some_seconds_too() -> None:
    screen = Screen(every_seconds=10)
    screen.table.start({("qos1", "paho"): 5, ("qos1", "gmqtt"): 1})
    screen.table.add(record("qos1/1"))
    screen.clock.now += 12
    screen.table.add(record("qos1/2"))
    screen.table.add(record("qos1/3"))
    assert screen.lines == ["[0.00 s] 6 cells for 2 clients", "[12.0 s] 2 of 6 cells done: 2 pass"]


def test_the_last_table_counts_by_area_and_client() -> None:
    screen = Screen()
    screen.table.start({})
    for cell in showcase():
        screen.table.add(cell)
    screen.table.finish(Path("compat/report.html"))
    rows = {line.split()[0]: line.split() for line in screen.lines[1:7]}
    assert rows["area"] == ["area", "builtin", "gmqtt", "paho"]
    assert rows["qos2"] == ["qos2", "3/3", "0/2", "1", "FAIL", "1", "known", "1", "n/a", "3/3"]
    assert rows["will"] == ["will", "0/1", "1", "FAIL", "-", "1/2", "1", "FAIL"]
    assert screen.lines[-1] == "Report: compat/report.html"
    assert screen.lines[-2] == Summary.of(showcase()).headline


def test_a_run_that_was_cut_short_says_what_did_not_run() -> None:
    screen = Screen()
    screen.table.start({("qos1", "paho"): 3})
    screen.table.add(record("qos1/1"))
    screen.table.finish()
    assert "2 cells did not run." in screen.lines
    assert any("1/3 2 pending" in line for line in screen.lines)


def test_a_run_cut_short_before_its_first_cell_ends_well() -> None:
    screen = Screen()
    screen.table.start({("qos1", "paho"): 3})
    screen.table.finish()
    assert screen.lines[-2:] == ["3 cells did not run.", "Nothing ran; 3 cells did not run."]


def test_what_was_left_out_is_said_before_the_news() -> None:
    screen = Screen()
    screen.table.start({("qos1", "paho"): 1})
    screen.table.add(record("qos1/1"))
    screen.table.finish(left_out="2 slow cells were left out (--slow plays them).")
    assert screen.lines[-2:] == ["2 slow cells were left out (--slow plays them).", "Nothing new failed in 1 cell."]


def test_running_cells_are_told_from_pending_ones() -> None:
    screen = Screen(terminal=True)
    screen.table.start({("qos1", "paho"): 4})
    for _ in range(2):
        screen.table.begin("qos1", "paho")
    screen.table.add(record("qos1/1"))
    screen.clock.now += 3
    screen.table.finish()
    shown = screen.out.getvalue()
    assert "1/4 1 running 2 pending" in shown
    assert "1 of 4 cells done after 3.00 s" in shown


def closing(cells: list[Record]) -> list[str]:
    return [line.plain for line in closing_lines(Summary.of(cells), defects=find_defects(cells))]


def test_the_end_begins_with_the_defects_each_with_its_sentence_and_smallest_trace() -> None:
    sentences = {("3.1.1", "MQTT-4.3.3-1"): "PUBREL follows PUBREC"}
    cells = showcase()
    texts = closing_lines(Summary.of(cells), defects=find_defects(cells), sentences=sentences)
    lines = [text.plain for text in texts]
    assert lines[0] == "4 defects: 2 new, 1 known, 1 warning."
    place = lines.index(
        "FAIL    the client gmqtt: PUBLISH id 1 was sent again after its PUBREC had arrived (2 cells, 1 of them known)"
    )
    assert lines[place + 1 : place + 3] == [
        "        3.1.1 MQTT-4.3.3-1: PUBREL follows PUBREC",
        "        smallest trace: qos2/resume_after_pubrec  gmqtt with reference, 3.1.1, tcp",
    ]


def test_a_known_defect_is_a_line_that_says_so() -> None:
    known = KnownFailure(reason="old")
    lines = closing([record("flow/quota", verdict=Verdict.FAIL, reason="too many", known_failure=known)])
    assert lines[:2] == [
        "1 defect: 1 known.",
        "known   paho with reference, side unknown: too many (1 cell, known)",
    ]
    assert not [line for line in lines if "smallest trace" in line]


def test_cells_that_say_nothing_of_an_implementation_are_named_behind_the_defects() -> None:
    lines = closing(showcase())
    assert (
        "NEWPASS flow/window  gmqtt with reference, 5.0, tcp: it passed, but is listed to fail: ignores Receive Maximum"
        in lines
    )


def test_a_flood_of_failures_is_cut() -> None:
    lines = closing([record(f"a/{n}", verdict=Verdict.FAIL, reason="x") for n in range(50)])
    assert sum(line.startswith("FAIL") for line in lines) == 20
    assert "... and 30 more in the report" in lines


@pytest.mark.parametrize("text", ["[bold]x[/bold]", "[/]", "[red"])
def test_text_of_results_is_no_markup(text: str) -> None:
    screen = Screen()
    screen.table.start({("qos1", text): 1})
    cell = record("qos1/1", client=text, verdict=Verdict.FAIL, reason=text, implementations={})
    screen.table.add(cell)
    screen.table.finish(defects=find_defects([cell]))
    assert f"FAIL    {text} with reference, side unknown: {text} (1 cell)" in screen.lines
    assert screen.lines[1].split("  ")[-1].strip() == text
