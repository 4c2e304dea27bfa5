"""A run plays what is known first, searches for the rest, and counts a scenario as broken only by its own steps."""

from __future__ import annotations

import json
from pathlib import Path

from interop.mutants.kill_table import KillTable
from interop.mutants.mutant import Mutant
from interop.mutants.plan import all_trials, in_turns, known_trials, worth_knowing, write_known
from interop.mutants.trial import Kill, Trial, kill_of
from interop.scenario.load import load_scenarios
from reports.record import Finding, Record, Verdict

SCENARIOS = {each.name: each for each in load_scenarios(None) if each.area == "will"}
SCENARIO = next(iter(SCENARIOS))


def kill(mutant: str, scenario: str, *rules: str, by_step: bool = True) -> Kill:
    return Kill(Trial(mutant, scenario, "5.0"), "it did not come", by_step, rules)


def record(*findings: Finding, verdict: Verdict = Verdict.FAIL) -> Record:
    return Record(
        scenario=SCENARIO, title="t", area="will", client="builtin", broker="m", mqtt="5.0", transport="tcp",
        verdict=verdict, reason="", cites=(), level="must", blame="broker", seconds=0.0, waiting_seconds=0.0,
        overhead_seconds=0.0, started_at="", findings=findings, steps=(), trace=(), implementations={}, rerun="",
    )  # fmt: skip


def finding(source: str, blame: str = "broker") -> Finding:
    return Finding.model_validate({"source": source, "rule": "r", "level": "must", "blame": blame, "message": "why"})


# --- which trials -----------------------------------------------------------------------------------------------------


def test_a_mutant_meets_every_version_of_its_subjects_the_newest_first() -> None:
    trials = all_trials(Mutant("m", "client", ("will/del*",), ()), SCENARIOS.values())
    wanted = {name for name in SCENARIOS if name.startswith("will/del")}
    assert {trial.scenario for trial in trials} == wanted
    assert len(trials) == len(set(trials)) == sum(len(SCENARIOS[name].scenario.versions) for name in wanted)
    assert trials[0].mqtt == "5.0"


def test_a_slow_scenario_is_put_to_the_mutants_that_name_it_and_to_no_others() -> None:
    everything = load_scenarios(None)
    (slow, *_) = [each.name for each in everything if each.scenario.slow]
    area = slow.partition("/")[0]

    def meets(*subjects: str, everything_else: bool = False) -> bool:
        trials = all_trials(Mutant("m", "broker", subjects, ()), everything, everything=everything_else)
        return slow in {trial.scenario for trial in trials}

    assert meets(slow)
    assert not meets(area, f"{area}/*")
    assert not meets("will", everything_else=True)


def test_mutants_take_turns() -> None:
    mutants = [Mutant(name, "broker", ("will",), ()) for name in ("a", "b")]
    trials = list(in_turns(mutants, list(SCENARIOS.values()), everything=False))
    assert [trial.mutant for trial in trials[:2]] == ["a", "b"]


def test_a_cell_has_the_mutant_on_its_own_side_and_the_right_one_on_the_other() -> None:
    trial = Trial("m", SCENARIO, "5.0")
    as_client, as_broker = trial.cell(SCENARIOS[SCENARIO], "client"), trial.cell(SCENARIOS[SCENARIO], "broker")
    assert (as_client.client, as_client.broker) == ("m", "reference")
    assert (as_broker.client, as_broker.broker) == ("builtin", "m")


def test_known_trials_come_back_from_their_file_without_what_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "known.csv"
    kept = Trial("a, with a comma", SCENARIO, "5.0")
    write_known([kept, Trial("gone", SCENARIO, "5.0"), Trial(kept.mutant, "will/gone", "5.0")], file)
    assert known_trials({kept.mutant}, SCENARIOS, file) == (kept,)


def test_worth_knowing_is_enough_to_tell_everything_again_by_the_most_particular() -> None:
    crude = [kill("crude", "a/1"), kill("crude", "a/2"), kill("crude", "a/3")]
    particular = kill("particular", "a/2", "some-rule")
    kept = worth_knowing([*crude, particular])
    assert kept == [Trial("crude", "a/1", "5.0"), Trial("crude", "a/3", "5.0"), Trial("particular", "a/2", "5.0")]


# --- what a record proves ---------------------------------------------------------------------------------------------

TRIAL = Trial("m", SCENARIO, "5.0")


def test_a_red_cell_is_a_kill_unless_the_right_pair_is_red_too() -> None:
    red = record(finding("step"), finding("judge"))
    assert kill_of(TRIAL, red, right_is_red=False) == Kill(TRIAL, "why", by_step=True, rules=("r",))
    assert kill_of(TRIAL, red, right_is_red=True) is None
    assert kill_of(TRIAL, record(verdict=Verdict.PASS), right_is_red=False) is None


def test_the_judge_alone_breaks_no_scenario_and_a_rule_only_on_the_mutant_s_side() -> None:
    seen = kill_of(TRIAL, record(finding("judge"), finding("judge", "client")), right_is_red=False)
    assert seen == Kill(TRIAL, "why", by_step=False, rules=("r",))


def test_what_could_not_be_played_proves_nothing() -> None:
    for verdict in (Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR, Verdict.UNSUPPORTED):
        assert kill_of(TRIAL, record(finding("step"), verdict=verdict), right_is_red=False) is None


# --- the table --------------------------------------------------------------------------------------------------------

TABLE = KillTable(
    ("caught one", "survivor"),
    ("a/broken", "a/whole", "a/seen-by-the-judge-only"),
    ("broken-rule", "whole-rule"),
    (kill("caught one", "a/broken", "broken-rule"), kill("caught one", "a/seen-by-the-judge-only", by_step=False)),
)


def test_the_table_names_who_survived_and_what_nobody_broke() -> None:
    assert TABLE.survivors == ("survivor",)
    assert TABLE.unbroken_scenarios == ("a/whole", "a/seen-by-the-judge-only")
    assert TABLE.unbroken_rules == ("whole-rule",)
    assert not TABLE.is_complete
    assert TABLE.summary() == "1 of 2 mutants caught, 1 of 3 scenarios broken, 1 of 2 judge rules broken"


def test_a_kill_is_shown_below_its_mutant_with_its_reason_and_rules() -> None:
    assert list(TABLE.lines()) == [
        "caught one",
        "    a/broken 5.0: it did not come [broken-rule]",
        "    a/seen-by-the-judge-only 5.0: it did not come",
    ]


def test_both_files_have_every_kill_and_what_is_missing(tmp_path: Path) -> None:
    text, data = TABLE.write(tmp_path / "out")
    assert text.read_text().splitlines()[-1] == TABLE.summary()
    content = json.loads(data.read_text())
    assert content["kills"][0]["scenario"] == "a/broken"
    assert content["survivors"] == ["survivor"]
