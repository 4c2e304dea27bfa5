"""The site without a browser: which releases there are, who keeps what, and what stands on its pages."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest
from reports_page import Element, parse
from reports_samples import qos2_cell, record
from site_samples import LINES, SENTENCES, runs

from interop.cli import main
from reports.outcome import Outcome
from reports.record import KnownFailure, Record, Verdict, write_records
from reports.site.history import histories
from reports.site.pages import Pages, statement_page
from reports.site.plays import Implementation, Plays, Release
from reports.site.standings import Key, standings
from reports.site.write import write_site

PAHO = Implementation("client", "paho")


@pytest.fixture(scope="module")
def plays() -> Plays:
    return Plays.of(runs())


@pytest.fixture(scope="module")
def pages(plays: Plays) -> dict[str, Element]:
    return {page.path: parse(page.html) for page in Pages.of(plays, LINES, SENTENCES).all()}


def test_a_release_belongs_to_what_it_says_it_is_whatever_it_was_played_by(plays: Plays) -> None:
    assert [release.label for release in plays.releases(PAHO)] == ["paho 1.6.1", "paho 2.2.0"]
    assert plays.implementations("client") == [PAHO]


def test_a_cell_that_never_asked_belongs_to_the_release_of_its_run(plays: Plays) -> None:
    (old,) = [play for play in plays.all if play.run == "first"]
    assert {each.verdict for each in old.records} == {Verdict.FAIL, Verdict.PASS, Verdict.UNSUPPORTED}


def test_releases_are_in_the_order_of_their_numbers() -> None:
    versions = ["10.0", "2.0.11-1.2+deb12u2", "2.0.11", "2.0.11-rc1", "2.0.2", ""]
    releases = [Release.of("x", f"x {version}", "broker") for version in versions]
    assert [each.version for each in sorted(releases, key=lambda each: each.order)] == [
        "", "2.0.2", "2.0.11-rc1", "2.0.11", "2.0.11-1.2+deb12u2", "10.0",
    ]  # fmt: skip


def test_the_matrix_is_of_the_newest_release_of_each(plays: Plays) -> None:
    assert [play.label for play in plays.newest.values()] == [
        "paho 2.2.0 with mosquitto 2.0.11",
        "paho 2.2.0 with reference 0.1.0",
    ]


def test_the_first_page_has_a_field_for_each_pair_that_leads_to_its_cells(pages: dict[str, Element]) -> None:
    table = pages["index.html"].one("table", css="matrix")
    assert [entry.text for entry in table.all("a", css="entry")] == ["1/1", "2/31"]
    links = [entry.attributes["href"] for entry in table.all("a", css="entry")]
    assert links == ["cells.html?play=2#cells?verdict=all", "cells.html?play=1#cells?verdict=all"]


def test_a_statement_is_broken_by_the_release_a_finding_blames_and_kept_by_one_that_was_put_to_it(plays: Plays) -> None:
    by_release = standings(plays.all)[Key("5.0", "MQTT-4.3.3-6", "client")]
    assert {release.version: each.outcome for release, each in by_release.items()} == {
        "1.6.1": Outcome.FAIL,
        "2.2.0": Outcome.PASS,
    }
    assert len(by_release[plays.releases(PAHO)[0]].breaches) == 1


def test_what_is_ambiguous_breaks_no_statement_and_what_was_not_judged_keeps_none() -> None:
    known = KnownFailure(reason="two ways to read it", readings=("one", "two"))
    cells = [
        qos2_cell(wrong=True, known_failure=known),
        record(verdict=Verdict.SETUP_FAILED, covered={"client": ("MQTT-4.3.3-6",)}),
    ]
    found = standings(Plays.of([("run", cells)]).all)
    assert Key("5.0", "MQTT-4.3.3-6", "client") not in found


def test_the_page_of_a_statement_says_who_keeps_it_and_who_once_did_not(pages: dict[str, Element]) -> None:
    page = pages["statements/5.0/MQTT-4.3.3-6.html"]
    assert page.one("h1").text == "MQTT-4.3.3-6"
    assert page.one("p", css="about").text == "PUBREL follows PUBREC"
    assert page.one("h2").text == "Kept by 1 of 1 client."
    assert "Earlier: 1.6.1 broken" in page.one("li", css="standing").text
    others = [link for link in page.all("a") if link.text == "The statement of that number in 3.1.1"]
    assert others[0].attributes["href"] == "../../statements/3.1.1/MQTT-4.3.3-6.html"
    assert pages["statements/5.0/MQTT-9.9.9-9.html"].one("h2").text == "No client was put to it."


def test_a_statement_that_is_broken_leads_to_the_smallest_trace() -> None:
    page = dict(Pages.of(Plays.of(runs()[:1]), LINES, SENTENCES).all())[statement_page("5.0", "MQTT-4.3.3-6")]
    standing = parse(page).one("li", css="standing")
    assert standing.one("span", css="tag").text == "broken"
    assert standing.one("span", css="reason").text == "PUBLISH id 1 was sent again after its PUBREC had arrived"
    (trace,) = [link for link in standing.all("a") if "#cell/" in (link.attributes["href"] or "")]
    assert (trace.attributes["href"] or "").startswith("../../cells.html?play=0#cell/qos2/resume_after_pubrec")


def test_the_page_of_an_implementation_shows_its_releases_in_order_and_what_changed(
    plays: Plays, pages: dict[str, Element]
) -> None:
    history = histories(plays, PAHO)[0]
    assert [(point.play.client.version, point.total) for point in history.points] == [("1.6.1", 1), ("2.2.0", 1)]
    chart = pages["clients/paho.html"].one("svg", css="history")
    assert chart.attributes["aria-label"] == "cells that need a look, by release: 1.6.1 1, 2.2.0 1"
    links = [link.attributes["href"] for link in pages["clients/paho.html"].all("a") if link.text == "what changed"]
    assert links == ["../compare.html?before=0&after=1"]


def test_the_bars_of_a_history_are_as_high_as_their_counts(plays: Plays) -> None:
    cells = [
        record(f"a/{n}", verdict=Verdict.FAIL, reason="x", implementations={"client": "paho 1.0"}) for n in range(4)
    ]
    more = [record("a/0", verdict=Verdict.WARN, reason="x", implementations={"client": "paho 2.0"})]
    old, new = histories(Plays.of([("1", cells), ("2", more)]), PAHO)[0].points
    assert [block.outcome for block in (*old.blocks, *new.blocks)] == [Outcome.FAIL, Outcome.WARN]
    assert old.blocks[0].height == 4 * new.blocks[0].height


def test_every_link_of_the_site_leads_to_a_page_of_it(pages: dict[str, Element], tmp_path: Path) -> None:
    write_site(runs(), tmp_path, LINES, SENTENCES)
    for path, page in pages.items():
        for link in page.all():
            target = link.attributes.get("href") or link.attributes.get("src") or ""
            if target and not re.match(r"#|https?:|data:", target):
                there = (tmp_path / path).parent / re.split(r"[?#]", target)[0]
                assert there.is_file(), f"{path}: {target}"


@pytest.mark.parametrize("end", ["</script><script>alert(1)</script>", "../../etc/passwd", "a\"b'c<d>"])
def test_no_text_leaves_its_place_and_no_name_the_folder(end: str, tmp_path: Path) -> None:
    nasty = record(end, title=end, reason=end, verdict=Verdict.FAIL, client=end, broker=end, implementations={})
    out = tmp_path / "site"
    write_site([(end, [nasty])], out, LINES, SENTENCES)
    assert list(tmp_path.iterdir()) == [out]
    for path in out.rglob("*.html"):
        assert len(parse(path.read_text()).all("script")) <= 2


def test_another_site_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    write_site(runs(), tmp_path, LINES, SENTENCES)
    (tmp_path / "own.txt").touch()
    write_site([("only", [record(client="gmqtt", implementations={})])], tmp_path, LINES, SENTENCES)
    assert [path.name for path in (tmp_path / "clients").iterdir()] == ["gmqtt.html"]
    assert (tmp_path / "own.txt").exists()


def test_each_play_is_a_file_of_its_own(tmp_path: Path) -> None:
    write_site(runs(), tmp_path, LINES, SENTENCES)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "plays.js", "search.js", *(f"play-{n}.js" for n in range(3)), *(f"play-{n}-0.js" for n in range(3)),
    }  # fmt: skip


def test_every_script_of_the_site_is_in_its_one_script(tmp_path: Path) -> None:
    write_site(runs(), tmp_path, LINES, SENTENCES)
    script = (tmp_path / "assets" / "site.js").read_text()
    for item in resources.files("reports.site").joinpath("static").iterdir():
        assert item.name.endswith(".css") or item.read_text(encoding="utf-8") in script, item.name


def test_the_command_writes_a_site_of_runs_by_the_names_of_their_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, cells in runs():
        (tmp_path / name).mkdir()
        write_records(tmp_path / name / "results.jsonl", cells)
    out = tmp_path / "site"
    assert main(["site", str(tmp_path / "first"), str(tmp_path / "second"), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"8 results of 2 runs: {out / 'index.html'}\n"
    table = parse((out / "index.html").read_text()).all("table", css="plain")[0]
    assert [row.one("th").text for row in table.all("tr")[1:]] == ["first", "second"]
    assert (out / "statements" / "5.0" / "MQTT-4.3.3-10.html").is_file()


def test_a_site_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.jsonl").touch()
    assert main(["site", str(tmp_path), "--out", str(tmp_path / "site")]) == 2
    assert "no results in" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_records_stay_what_they_are(plays: Plays) -> None:
    given: list[Record] = [each for _, records in runs() for each in records]
    assert sorted(each.cell_id for play in plays.all for each in play.records) == sorted(each.cell_id for each in given)
