"""`mqtt-interop published`: a plan is played once, kept small, and every red defect of it has to be decided."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from interop.brokers import registry
from interop.brokers.reference import ReferenceSpec
from interop.cli import main
from interop.results import published
from interop.runner.known_failures import KnownFailures, load_known_failures
from interop.scenario.load import load_scenarios
from reports.record import Finding, KnownFailure, Record, Verdict, read_records, write_records

PLAN = """
[[run]]
name = "small"
clients = ["builtin", "nobody@1.0"]
brokers = ["reference", "no-such-broker"]
"""


def cell(scenario: str, **fields: object) -> Record:
    given = {
        "scenario": scenario, "title": "x", "area": "a", "client": "builtin", "broker": "reference", "mqtt": "5.0",
        "transport": "tcp", "verdict": Verdict.PASS, "seconds": 0.1, "rerun": "mqtt-interop run",
    } | fields  # fmt: skip
    return Record.model_validate(given)


BROKEN = {
    "verdict": Verdict.FAIL,
    "reason": "late",
    "findings": (
        Finding(source="judge", rule="r", level="must", blame="broker", cites=("MQTT-4.3.3-6",), message="late"),
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "plan.toml").write_text(PLAN)
    return tmp_path


def run(folder: Path, *names: str) -> int:
    return main(["published", *names, "--published", str(folder / "published"), "--work", str(folder / "work")])


def played(folder: Path, *cells: Record) -> None:
    (folder / "work" / "small").mkdir(parents=True)
    write_records(folder / "work" / "small" / "results.jsonl", cells)


def test_a_run_is_played_with_what_this_machine_has_and_says_what_it_has_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(published.subprocess, "run", lambda words, **_: commands.append(words))
    run(folder)
    (words,) = commands
    assert words[:4] == [sys.executable, "-m", "interop", "run"]
    assert [word for word in words if word.startswith(("--client", "--broker"))] == [
        "--client=builtin",
        "--broker=reference",
    ]
    told = capsys.readouterr().out
    assert "SKIPPED  small: nobody@1.0: there is no 'nobody@1.0'" in told
    assert "SKIPPED  small: no-such-broker: unknown broker" in told


OF_ONE_RELEASE = """
[[run]]
name = "small"
clients = ["builtin"]
brokers = ["twofold"]
releases = "{}"
transports = ["tcp", "tls"]
"""


@pytest.mark.parametrize(("releases", "is_played"), [(">=2.1", True), ("<2.1", False)])
def test_a_run_of_some_releases_is_played_where_this_machine_has_one_of_them(
    folder: Path,
    releases: str,
    is_played: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Twofold(ReferenceSpec):
        version = "2.1.2"

    monkeypatch.setitem(registry.BROKERS, "twofold", Twofold)
    (folder / "published" / "plan.toml").write_text(OF_ONE_RELEASE.format(releases))
    commands: list[list[str]] = []
    monkeypatch.setattr(published.subprocess, "run", lambda words, **_: commands.append(words))
    run(folder)
    of_transports = [[word for word in words if word.startswith("--transport")] for words in commands]
    assert of_transports == ([["--transport=tcp", "--transport=tls"]] if is_played else [])
    assert ("SKIPPED  small: twofold: this machine has 2.1.2" in capsys.readouterr().out) is not is_played


def test_what_was_played_is_kept_small_and_not_played_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "_play", lambda *_: pytest.fail("it was there"))
    played(folder, cell("a/one"), cell("a/two"))
    assert run(folder) == 0
    kept = list(read_records(folder / "published" / "runs" / "small.jsonl.gz"))
    assert [each.scenario for each in kept] == ["a/one", "a/two"]
    assert {each.rerun for each in kept} == {""}


def test_cells_for_which_any_client_does_are_kept_of_ours_only(folder: Path) -> None:
    for_any = next(loaded.name for loaded in load_scenarios() if loaded.scenario.any_client)
    played(folder, cell("a/one", client="paho"), cell(for_any, client="paho"), cell(for_any))
    assert run(folder) == 0
    kept = list(read_records(folder / "published" / "runs" / "small.jsonl.gz"))
    assert {(each.client, each.scenario) for each in kept} == {("paho", "a/one"), ("builtin", for_any)}


def test_cells_for_which_any_client_does_are_not_even_played_without_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = folder / "published" / "plan.toml"
    plan.write_text(PLAN + PLAN.replace("small", "foreign").replace("builtin", "paho"))
    commands: list[list[str]] = []
    monkeypatch.setattr(published.subprocess, "run", lambda words, **_: commands.append(words))
    run(folder)
    assert ["not any_client" in words for words in commands] == [False, True]


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.HARNESS_ERROR, "it was ended by SIGSEGV"),
        (Verdict.SETUP_FAILED, "the broker's process ended with code 2, while this cell was under way"),
    ],
)
def test_of_what_ended_by_itself_nothing_is_kept(
    verdict: Verdict, reason: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played(folder, cell("a/one"), cell("a/two", verdict=verdict, reason=reason))
    assert run(folder) == 0
    kept = list(read_records(folder / "published" / "runs" / "small.jsonl.gz"))
    assert [each.scenario for each in kept] == ["a/one"]
    assert f"LEFT OUT builtin with reference: {reason}" in capsys.readouterr().out


def test_a_red_defect_that_nobody_decided_fails_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played(folder, cell("a/one", **BROKEN))
    assert run(folder) == 1
    assert "UNDECIDED  builtin with reference: the broker reference: late (1 cell)" in capsys.readouterr().out
    assert "| **not yet** |" in (folder / "published" / "defects.md").read_text()


def test_the_brokers_stand_in_one_table_with_what_each_passes_with_our_client(folder: Path) -> None:
    known = KnownFailure(reason="It is slow.")
    played(folder, cell("a/one"), cell("a/two", **BROKEN, known_failure=known), cell("a/one", client="paho"))
    assert run(folder) == 0
    page = (folder / "published" / "brokers.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("| reference")]
    assert [field.strip() for field in row.split("|")][3:11] == ["1", "1", "0", "0", "0", "0", "0", "2"]


def test_each_release_of_a_broker_has_a_row_in_the_table(folder: Path) -> None:
    played(
        folder,
        *(cell("a/one", broker=name, implementations={"broker": f"reference {release}"}, started_at=release)
          for name, release in (("reference", "2.1"), ("reference@2.0", "2.0"))),
    )  # fmt: skip
    assert run(folder) == 0
    page = (folder / "published" / "brokers.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| reference")]
    assert rows == ["reference 2.0", "reference 2.1"]


def test_a_decision_stands_beside_its_statement_with_its_link(folder: Path) -> None:
    known = KnownFailure(reason="It is slow.", link="https://example.org/1")
    played(folder, cell("a/one", **BROKEN, known_failure=known))
    assert run(folder) == 0
    page = (folder / "published" / "defects.md").read_text()
    assert "| the broker reference | late | 5.0 MQTT-4.3.3-6: " in page
    assert "| theirs: It is slow. (https://example.org/1) |" in page


def test_what_is_decided_after_it_was_played_is_kept_with_its_decision(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(folder, cell("a/one", **BROKEN))
    assert run(folder) == 1
    (folder / "known.yaml").write_text("- {broker: reference, scenarios: [a/*], rules: [r], reason: It is slow.}")
    asked: dict[str, set[str]] = {}

    def load(**names: set[str]) -> KnownFailures:
        asked.update(names)
        return load_known_failures(folder / "known.yaml")

    monkeypatch.setattr(published, "load_known_failures", load)
    assert run(folder) == 0
    assert asked["brokers"] == {"reference"}
    (kept,) = read_records(folder / "published" / "runs" / "small.jsonl.gz")
    assert kept.known_failure == KnownFailure(reason="It is slow.")


def test_what_is_told_from_a_log_is_decided_before_logs_are_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = "- {broker: reference, scenarios: [a/*], log: boom, intermittent: true, rules: [r], reason: It is slow.}"
    (folder / "known.yaml").write_text(entry)
    monkeypatch.setattr(published, "load_known_failures", lambda **_: load_known_failures(folder / "known.yaml"))
    played(folder, *(cell(f"a/{name}", **BROKEN, log="boom") for name in ("one", "two")))
    assert run(folder) == 0


@pytest.mark.parametrize("now_and_then", [True, False])
def test_a_pass_is_unexpected_as_long_as_its_entry_says_so(
    folder: Path, now_and_then: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = "- {broker: reference, scenarios: [a/*], reason: It is slow., intermittent: %s}"
    (folder / "known.yaml").write_text(entry % str(now_and_then).lower())
    monkeypatch.setattr(published, "load_known_failures", lambda **_: load_known_failures(folder / "known.yaml"))
    played(folder, cell("a/one", unexpected_pass=True))
    assert run(folder) == 0
    (kept,) = read_records(folder / "published" / "runs" / "small.jsonl.gz")
    assert kept.unexpected_pass is not now_and_then


@pytest.mark.parametrize(
    ("plan", "names", "says"),
    [
        (PLAN, ["large"], "has no run 'large'; it has small"),
        ("[[run]]\nname = 'x/y'\nclients = ['a']\nbrokers = ['b']\n", [], "run.0.name"),
        ("[[run", [], "not TOML"),
        ("[[run]]\nname = 'x'\nclients = ['a']\nbrokers = ['b']\nreleases = 'new'\n", [], "run.0.releases"),
    ],
)
def test_a_plan_that_cannot_be_followed_says_why(
    folder: Path, plan: str, names: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "published" / "plan.toml").write_text(plan)
    assert run(folder, *names) == 2
    assert says in capsys.readouterr().err


def test_the_plan_that_ships_can_be_followed() -> None:
    root = Path(__file__).resolve().parents[2]
    plan = published._wanted(root / published.PUBLISHED / "plan.toml", [])
    assert {"reference", "mosquitto"} <= {planned.name for planned in plan}
