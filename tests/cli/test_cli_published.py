"""`mqtt-interop published`: a plan is played once, kept small, and every red defect of it has to be decided."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from interop.brokers import registry
from interop.brokers.reference import ReferenceSpec
from interop.cli import main
from interop.results import completing, published
from interop.runner.known_failures import KnownFailures, load_known_failures
from interop.runner.parts import id_of
from interop.scenario.load import load_scenarios
from reports.record import Finding, KnownFailure, Record, Verdict, read_records, write_packed, write_records

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
    kept = list(read_records(folder / "published" / "runs" / "small.jsonl.xz"))
    assert [each.scenario for each in kept] == ["a/one", "a/two"]
    assert {each.rerun for each in kept} == {""}


def test_cells_for_which_any_client_does_are_kept_of_ours_only(folder: Path) -> None:
    for_any = next(loaded.name for loaded in load_scenarios() if loaded.scenario.any_client)
    played(folder, cell("a/one", client="paho"), cell(for_any, client="paho"), cell(for_any))
    assert run(folder) == 0
    kept = list(read_records(folder / "published" / "runs" / "small.jsonl.xz"))
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
    kept = list(read_records(folder / "published" / "runs" / "small.jsonl.xz"))
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
    (kept,) = read_records(folder / "published" / "runs" / "small.jsonl.xz")
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
    (kept,) = read_records(folder / "published" / "runs" / "small.jsonl.xz")
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


# --- completing -------------------------------------------------------------------------------------------------------

SLOW = {"verdict": Verdict.SETUP_FAILED, "reason": "this machine was too busy"}
OURS = {"broker": "reference 0.1.0", "client": "builtin 0.1.0"}


@pytest.fixture
def all_cells(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """All that a run of ours plays today, as if there were few scenarios."""
    few = [loaded for loaded in load_scenarios() if not loaded.heading.slow][:3]
    monkeypatch.setattr(completing, "load_scenarios", lambda: few)
    found = completing.cells_of(["builtin"], ["reference"], [])
    return [cell(each.scenario, mqtt=each.mqtt, transport=each.transport) for each in found]


def keep(folder: Path, *records: Record) -> None:
    (folder / "published" / "runs").mkdir(exist_ok=True)
    write_packed(folder / "published" / "runs" / "small.jsonl.xz", records)


def kept(folder: Path) -> dict[str, Record]:
    return {each.cell_id: each for each in read_records(folder / "published" / "runs" / "small.jsonl.xz")}


def playing(monkeypatch: pytest.MonkeyPatch, *records: Record) -> list[list[str]]:
    """Play these, whatever is asked for; gives the ids of the cells that were asked for, each time."""
    asked: list[list[str]] = []

    def play(words: list[str], **_: object) -> None:
        given = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
        asked.append(Path(given["--cells"]).read_text().splitlines())
        write_records(Path(given["--out"]) / "results.jsonl", records)

    monkeypatch.setattr(published.subprocess, "run", play)
    return asked


def test_a_run_that_is_kept_is_not_played_again_on_another_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_play", lambda *_: pytest.fail("it is kept"))
    keep(folder, cell("a/one"))
    assert run(folder) == 0
    assert [each.scenario for each in kept(folder).values()] == ["a/one"]


def test_a_run_is_completed_by_the_cells_that_are_absent_or_withheld_and_no_others(
    folder: Path, all_cells: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent, withheld, *others = all_cells
    keep(folder, withheld.model_copy(update=SLOW), *others)
    asked = playing(monkeypatch, absent, withheld)
    assert run(folder, "--complete") == 0
    assert asked == [[id_of(absent), id_of(withheld)]]
    assert kept(folder).keys() == {each.cell_id for each in all_cells}
    assert {each.verdict for each in kept(folder).values()} == {Verdict.PASS}
    assert run(folder, "--complete") == 0
    assert len(asked) == 1


def test_what_is_withheld_again_may_be_played_another_time_and_replaces_no_verdict(
    folder: Path, all_cells: list[Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    withheld, settled, *others = all_cells
    keep(folder, settled, *others)
    asked = playing(monkeypatch, *(each.model_copy(update=SLOW) for each in (withheld, settled)))
    for _ in range(2):
        assert run(folder, "--complete") == 0
    assert asked == [[id_of(withheld)]] * 2
    assert "completed small: 0 cells of 1 that had no verdict" in capsys.readouterr().out
    assert kept(folder)[withheld.cell_id].verdict is Verdict.SETUP_FAILED
    assert kept(folder)[settled.cell_id].verdict is Verdict.PASS


def test_a_setup_that_is_known_to_fail_is_decided_and_not_played_again(
    folder: Path, all_cells: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    decided, *others = all_cells
    keep(folder, decided.model_copy(update=SLOW | {"known_failure": KnownFailure(reason="It closes.")}), *others)
    assert run(folder, "--complete") == 0
    assert playing(monkeypatch) == []


def test_nothing_that_another_release_did_is_put_to_a_run(
    folder: Path, all_cells: list[Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent, *others = all_cells
    keep(folder, *(each.model_copy(update={"implementations": OURS}) for each in others))
    playing(monkeypatch, absent.model_copy(update={"implementations": OURS | {"broker": "reference 0.2.0"}}))
    assert run(folder, "--complete") == 0
    assert absent.cell_id not in kept(folder)
    said = "LEFT OUT small: reference: reference 0.2.0 was played, reference 0.1.0 is kept"
    assert said in capsys.readouterr().out


def test_a_run_that_is_completed_has_no_cells_of_scenarios_that_are_gone(
    folder: Path, all_cells: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(folder, cell("a/gone"), *all_cells)
    assert run(folder, "--complete") == 0
    assert kept(folder).keys() == {each.cell_id for each in all_cells}


def test_a_run_that_this_machine_cannot_complete_stays_as_it_is(
    folder: Path, all_cells: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "published" / "plan.toml").write_text(PLAN.replace('"builtin", ', ""))
    keep(folder, cell("a/gone"), *all_cells[1:])
    asked = playing(monkeypatch)
    assert run(folder, "--complete") == 0
    assert len(kept(folder)) == len(all_cells)
    assert asked == []


def test_what_was_played_to_complete_a_run_is_decided_with_its_log_as_long_as_that_is_there(
    folder: Path, all_cells: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, *others = all_cells
    keep(folder, *others)
    playing(monkeypatch, *(each.model_copy(update=BROKEN | {"log": "boom"}) for each in (one, two)))
    assert run(folder, "--complete") == 1
    entry = "- {broker: reference, scenarios: ['*'], log: boom, intermittent: true, rules: [r], reason: It is slow.}"
    (folder / "known.yaml").write_text(entry)
    monkeypatch.setattr(published, "load_known_failures", lambda **_: load_known_failures(folder / "known.yaml"))
    assert run(folder) == 0


def test_nothing_slow_belongs_to_a_run_and_what_any_client_does_only_to_ours() -> None:
    ours, foreign = (completing.cells_of([client], ["reference"], ["tcp"]) for client in ("builtin", "paho"))
    assert not any(each.loaded.heading.slow for each in ours)
    assert {each.transport for each in ours} == {"tcp"}
    left_out = {each.scenario for each in ours} - {each.scenario for each in foreign}
    assert left_out == {each.scenario for each in ours if each.loaded.heading.any_client}
