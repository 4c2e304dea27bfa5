"""The report page in a real browser: on a phone, in the dark, and for whom it is read aloud."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import PHONE_WIDTH, opened, violations, width_of
from playwright.sync_api import Browser
from reports_samples import showcase

from reports.coverage import StatementLine
from reports.html import render
from reports.summary import Summary

pytestmark = pytest.mark.thorough

STATEMENTS = tuple(
    StatementLine(
        "5.0", side, f"MQTT-3.1.2-{n}", "must", "3.1.2", "What it says takes some words", "covered",
        tuple(f"an_area_with_a_name/and_a_scenario_that_has_a_long_one_{n}_{place}" for place in range(3)),
    )
    for side in ("client", "broker") for n in range(4)
)  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(Summary.of(showcase()), statements=STATEMENTS), encoding="utf-8")
    return path.as_uri()


def test_the_report_is_no_wider_than_a_phone_with_everything_unfolded(browser: Browser, report: str) -> None:
    with opened(browser, width=PHONE_WIDTH) as page:
        page.goto(report)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert width_of(page) == PHONE_WIDTH
        page.click("a.row")
        page.wait_for_selector("#case h1")
        assert width_of(page) == PHONE_WIDTH


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_wrong_with_the_report(browser: Browser, report: str, dark: bool) -> None:
    with opened(browser, dark=dark) as page:
        page.goto(report)
        page.wait_for_selector("#filters:not([hidden])")
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert violations(page) == []
        page.click("a.row")
        page.wait_for_selector("#case h1")
        assert violations(page) == []
