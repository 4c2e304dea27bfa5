"""The site in a real browser, opened from the disk: what its scripts make of it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import PHONE_WIDTH, opened, violations, width_of
from playwright.sync_api import Browser, Page
from reports_samples import showcase
from site_samples import LINES, SENTENCES, many, runs

from reports.outcome import outcome_of, reading_order
from reports.record import write_records
from reports.site.write import write_site

pytestmark = pytest.mark.thorough

PAGES = (
    *("index.html?mqtt=5.0", "clients/paho.html", "brokers/reference.html", "statements.html"),
    *("statements/5.0/MQTT-4.3.3-6.html", "cells.html?play=0", "compare.html?before=0&after=1", "yours.html"),
    *("search.html?q=pubrel", "cells.html?play=0#cell/qos2/resume_after_pubrec%20paho%401.6.1%20reference%205.0%20tcp"),
)
OPENED_WITHIN_SECONDS = 2.0
LOADED_BYTES = 1_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = write_site(runs(), tmp_path_factory.mktemp("site"), LINES, SENTENCES)
    return path.parent.as_uri()


def settled(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")


def texts(page: Page, css: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(css).all_inner_texts()]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (PHONE_WIDTH, True)], ids=["wide-light", "phone-dark"])
def test_every_page_fits_and_axe_finds_nothing_wrong(browser: Browser, site: str, width: int, dark: bool) -> None:
    with opened(browser, width=width, dark=dark) as page:
        for each in PAGES:
            settled(page, f"{site}/{each}")
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert width_of(page) == width, each
            assert violations(page) == [], each


def test_the_matrix_counts_what_the_address_asks_for_and_the_address_what_is_chosen(
    browser: Browser, site: str
) -> None:
    with opened(browser) as page:
        settled(page, f"{site}/index.html?mqtt=3.1.1")
        assert texts(page, ".matrix td") == ["· no cells", "1/1"]
        page.select_option("#filter-mqtt", "5.0")
        assert texts(page, ".matrix td") == ["1/1", "1/2 1"]
        assert page.url.endswith("index.html?mqtt=5.0")
        page.click(".matrix td:nth-of-type(2) a")
        page.wait_for_selector("#list a.row")
        assert page.url.endswith("cells.html?play=1#cells?mqtt=5.0")
        assert len(texts(page, "#list a.row")) == 2


def test_statements_are_filtered_by_the_address_and_by_what_is_typed(browser: Browser, site: str) -> None:
    with opened(browser) as page:
        settled(page, f"{site}/statements.html?mqtt=5.0&text=pubrel")
        assert texts(page, ".statement-rows > li:visible b") == ["MQTT-4.3.3-6"]
        page.fill("#filter-text", "")
        assert len(texts(page, ".statement-rows > li:visible b")) == 3
        assert texts(page, "#count") == ["3 of 4 statements."]


def test_two_releases_stand_side_by_side(browser: Browser, site: str) -> None:
    with opened(browser) as page:
        settled(page, f"{site}/compare.html?before=0&after=1")
        assert texts(page, "#differences-heading") == ["5 cells differ, 0 do not"]
        assert texts(page, "#chips button") == ["got worse 1", "gone 2", "got better 1", "changed 0", "new 1"]
        page.click("#chips button:has-text('gone')")
        page.click("#chips button:has-text('new')")
        assert page.url.endswith("change=worse%2Cbetter%2Cchanged")
        assert texts(page, "li.change b") == ["qos1/delivered", "qos2/resume_after_pubrec"]
        assert texts(page, "li.change .side-of .tag") == ["pass", "fail", "fail", "pass"]
        page.click("li.change:has-text('qos1/delivered') .side-of:last-child a")
        page.wait_for_selector("#case h1")
        assert texts(page, "#case .verdict .tag") == ["fail"]


def test_a_search_finds_statements_and_releases_by_the_keyboard_alone(browser: Browser, site: str) -> None:
    with opened(browser) as page:
        settled(page, f"{site}/clients/paho.html")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        for _ in range(5):
            page.keyboard.press("Tab")
        page.keyboard.type("suback")
        page.keyboard.press("Enter")
        page.wait_for_selector("#found a")
        assert texts(page, "#found b") == ["MQTT-3.8.4-1"]
        page.locator("#found a").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/statements/5.0/MQTT-3.8.4-1.html")
        assert texts(page, "h1") == ["MQTT-3.8.4-1"]


def test_results_of_ones_own_are_shown_as_the_report_shows_them(browser: Browser, site: str, tmp_path: Path) -> None:
    cells = showcase()
    write_records(tmp_path / "results.jsonl", cells)
    with opened(browser) as page:
        settled(page, f"{site}/yours.html")
        page.set_input_files("#file", tmp_path / "results.jsonl")
        page.evaluate("location.hash = '#cells?verdict=all'")
        page.wait_for_function("document.querySelectorAll('#list a.row').length === 20")
        ordered = sorted(cells, key=reading_order)
        assert texts(page, "#list a.row b.scenario") == [each.scenario for each in ordered]
        shown = page.locator("#list a.row").evaluate_all("(rows) => rows.map((row) => row.className)")
        assert shown == [f"row o-{outcome_of(each)}" for each in ordered]
        page.click("#list a.row:has-text('keep_alive_timeout')")
        page.wait_for_selector("#case .chart")
        assert violations(page) == []


def test_a_file_that_is_dropped_is_read_and_one_that_is_none_says_which_line(browser: Browser, site: str) -> None:
    drop = """(text) => {
      const given = new DataTransfer();
      given.items.add(new File([text], "results.jsonl"));
      document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: given, bubbles: true, cancelable: true}));
    }"""
    with opened(browser) as page:
        settled(page, f"{site}/yours.html")
        page.evaluate(drop, '\n{"scenario": "a/b"}\n')
        page.wait_for_selector("#trouble:not(:empty)")
        assert texts(page, "#trouble") == ["results.jsonl, line 2: not a result record: it has no client"]
        page.evaluate(drop, "".join(f"{each.model_dump_json()}\n" for each in showcase()))
        page.wait_for_selector("#list a.row")
        assert texts(page, "#title") == ["results.jsonl"]


def test_sixty_thousand_cells_open_at_once_because_a_page_loads_only_its_own(browser: Browser, tmp_path: Path) -> None:
    first = write_site(many(60_000), tmp_path, LINES, SENTENCES)
    for each, there in (("index.html", "#filter-mqtt"), ("cells.html?play=3", "#list a.row")):
        with opened(browser) as page:
            loaded: list[str] = []
            page.on("request", lambda request, loaded=loaded: loaded.append(request.url))
            devtools = page.context.new_cdp_session(page)
            devtools.send("Performance.enable")
            page.goto(f"{first.parent.as_uri()}/{each}")
            page.wait_for_selector(there)
            metrics = {metric["name"]: metric["value"] for metric in devtools.send("Performance.getMetrics")["metrics"]}
            assert metrics["ProcessTime"] < OPENED_WITHIN_SECONDS  # of a processor: others may be busy on this machine
            files = {Path(unquote(urlsplit(url).path)) for url in loaded if url.startswith("file:")}
            assert sum(file.stat().st_size for file in files) < LOADED_BYTES
