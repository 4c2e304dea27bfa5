"""What counts as evidence for a statement, and what the command says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interop.cli import main
from interop.coverage.coverage import Evidence, coverage, declared, ran
from interop.requirements.requirements import statements
from interop.scenario.load import load_file
from reports.coverage import StatementLine
from reports.record import Record, Verdict, write_records

BROKER_STATEMENT = "MQTT-3.1.4-5"  # of 3.1.1 as of 5.0, but not the same in both


def record(verdict: Verdict = Verdict.PASS, scenario: str = "area/one", **fields: object) -> Record:
    settings: dict[str, object] = {
        "title": "A title", "area": "area", "client": "builtin", "broker": "reference", "mqtt": "5.0",
        "transport": "tcp", "seconds": 0.1, "covered": {"broker": (BROKER_STATEMENT,)},
    }  # fmt: skip
    return Record.model_validate({"scenario": scenario, "verdict": verdict} | settings | fields)


def line_for(lines: list[StatementLine], mqtt: str, side: str, statement_id: str) -> StatementLine:
    (line,) = (line for line in lines if (line.mqtt, line.side, line.id) == (mqtt, side, statement_id))
    return line


@pytest.mark.parametrize("verdict", Verdict)
def test_only_a_cell_that_was_judged_is_evidence(verdict: Verdict) -> None:
    line = line_for(coverage(ran([record(verdict)])), "5.0", "broker", BROKER_STATEMENT)
    judged = verdict not in (Verdict.UNSUPPORTED, Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR)
    assert (line.standing == "covered") is judged
    assert line.evidence == (("area/one",) if judged else ())


def test_evidence_for_one_version_or_side_is_none_for_another() -> None:
    lines = coverage(ran([record()]))
    assert line_for(lines, "5.0", "broker", BROKER_STATEMENT).standing == "covered"
    assert line_for(lines, "3.1.1", "broker", BROKER_STATEMENT).standing == "missing"
    assert sum(line.standing == "covered" for line in lines) == 1


def test_the_rows_of_a_table_are_one_piece_of_evidence() -> None:
    found = ran([record(scenario="area/table[a]"), record(scenario="area/table[b]"), record(scenario="area/one")])
    assert list(found.names["5.0", "broker", BROKER_STATEMENT]) == ["area/table", "area/one"]


def test_every_statement_is_listed_for_each_side_that_can_be_tested_for_it() -> None:
    lines = coverage(Evidence())
    for mqtt in ("3.1", "3.1.1", "5.0"):
        for each in statements(mqtt).values():
            sides = {line.side for line in lines if line.mqtt == mqtt and line.id == each.id}
            expected = {"broker-under-test": {"broker"}, "client-under-test": {"client"}, "both": {"client", "broker"}}
            assert sides == expected.get(each.testable_by, sides)
            assert sides


def test_what_the_judge_watches_is_named_but_covers_nothing() -> None:
    lines = coverage(Evidence())
    assert any(line.rules for line in lines)
    assert not any(line.standing == "covered" for line in lines)


def test_packets_the_judge_looked_at_are_evidence_counted_in_cells() -> None:
    seen = {"covered": {}, "judged": {"broker": (BROKER_STATEMENT,)}}
    lines = coverage(ran([record(**seen), record(Verdict.FAIL, **seen), record(Verdict.UNSUPPORTED, **seen)]))
    line = line_for(lines, "5.0", "broker", BROKER_STATEMENT)
    assert (line.standing, line.evidence, line.judged_cells) == ("covered", (), 2)


STEPS = (
    "title: A title\n"
    "versions: {'5.0': {level: must, cites: [MQTT-3.8.4-1]}}\n"
    "judges: broker\n"
    "actors: {sub: {}}\n"
    "steps:\n"
    "  - {do: connect, as: sub, cites: [MQTT-3.1.4-5]}\n"
    "  - {do: subscribe, as: sub, topic: t, qos: 1}\n"
    "  - {do: stays_open, link: sub, cites: [MQTT-4.1.0-1]}\n"
)


@pytest.mark.parametrize(
    ("ran_steps", "covered"),
    [
        ({0, 1, 2}, {"MQTT-3.8.4-1", "MQTT-3.1.4-5", "MQTT-4.1.0-1"}),
        ({0, 1}, {"MQTT-3.8.4-1", "MQTT-3.1.4-5"}),  # the second failed: it is what the scenario is about
        ({0}, {"MQTT-3.1.4-5"}),  # the first failed, and names what it broke
        (set(), set()),
    ],
)
def test_only_steps_that_ran_put_statements_to_the_test(ran_steps: set[int], covered: set[str], tmp_path: Path) -> None:
    file = tmp_path / "area" / "one.yaml"
    file.parent.mkdir()
    file.write_text(STEPS)
    (loaded,) = load_file(file)
    assert set(loaded.scenario.covers("5.0", ran_steps)["broker"]) == covered


def test_a_scenario_about_both_sides_tells_of_each_what_obliges_it(tmp_path: Path) -> None:
    file = tmp_path / "area" / "one.yaml"
    file.parent.mkdir()
    file.write_text(
        "title: A title\n"
        "versions: {'5.0': {level: must, cites: [MQTT-3.8.4-1, MQTT-3.8.1-1, MQTT-1.5.4-1]}}\n"
        "actors: {sub: {}}\n"
        "steps:\n"
        "  - {do: subscribe, as: sub, topic: t, qos: 1, cites: [MQTT-3.8.4-2]}\n"
    )
    assert set(declared(load_file(file)).names) == {
        ("5.0", "broker", "MQTT-3.8.4-1"),  # the server answers
        ("5.0", "broker", "MQTT-3.8.4-2"),
        ("5.0", "client", "MQTT-1.5.4-1"),  # both write strings
        ("5.0", "broker", "MQTT-1.5.4-1"),
        *((("5.0", side, "MQTT-3.8.1-1")) for side in _obliged("MQTT-3.8.1-1")),
    }


def _obliged(statement_id: str) -> list[str]:
    role = statements("5.0")[statement_id].role
    return ["client", "broker"] if role == "both" else ["client" if role == "client" else "broker"]


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path) -> str:
    path = tmp_path / "results.jsonl"
    write_records(path, [record()])
    return str(path)


def test_missing_lists_what_nothing_covers_and_exits_with_1(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", results, "--missing", "--mqtt", "5.0", "--role", "broker"]) == 1
    text = capsys.readouterr().out
    assert f"  {BROKER_STATEMENT} " not in text
    assert "MISSING" in text
    total = sum(each.testable_by in ("both", "broker-under-test") for each in statements("5.0").values())
    assert f"MQTT 5.0, broker: 1 of {total} statements covered" in text


def test_json_holds_each_line_with_its_evidence(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", results, "--json", "--mqtt", "5.0", "--role", "broker"]) == 0
    by_id = {line["id"]: line for line in json.loads(capsys.readouterr().out)}
    assert by_id[BROKER_STATEMENT]["evidence"] == ["area/one"]
    assert by_id[BROKER_STATEMENT]["standing"] == "covered"


def test_without_results_the_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["coverage"]) == 2
    assert capsys.readouterr().err == (
        "mqtt-interop: no results at compat/results.jsonl: "
        "run the matrix first, name a results.jsonl, or use --declared\n"
    )


def test_declared_is_labelled_as_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", "--declared", "--mqtt", "3.1"]) == 0
    assert capsys.readouterr().out.startswith("What scenarios cite, run or not:\n")
