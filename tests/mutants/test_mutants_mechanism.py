"""A mutant is wrong on its own side only, in its own fault only, and the table counts what it was caught by."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

import pytest

from interop.judge import RULES
from interop.mutants import tables
from interop.mutants.mutant import Hears, Mutant, Patch, Says, around, table, take_crashes
from interop.mutants.run import Kill, cells_against, play_mutants
from interop.mutants.table import KillTable
from interop.mutants.tables import MUTANTS
from interop.mutants.words import having, nothing, swap_pairs, twice
from interop.mutants.wrong_ends import WrongBroker, changed
from interop.scenario.load import load_scenarios
from reference_broker.broker.config import BrokerConfig
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, PingReq, PingResp
from reference_broker.wire.types import Version


class Victim:
    def answer(self, question: str) -> str:
        return f"right {question}"


class End:
    def __init__(self) -> None:
        self.memory: dict[str, object] = {}


def one(name: str, fault: object, side: str = "broker") -> Mutant:
    return table(side, "connect", {name: fault})[0]


def answer_of(*faults: object) -> bytes:
    """What a broker with these faults answers to CONNECT and PINGREQ."""
    broker = WrongBroker(Mutant("m", "broker", (), faults), BrokerConfig())
    link = broker.connect(0.0)
    link.receive_data(encode(Connect(Version.V311, "c"), Version.V311), 0.0)
    link.receive_data(encode(PingReq(), Version.V311), 0.0)
    return b"".join(piece for _, pieces, _ in broker.take_output() for piece in pieces)


def test_a_broker_without_faults_answers_as_the_right_one() -> None:
    assert answer_of() == encode(ConnAck(False, 0), Version.V311) + encode(PingResp(), Version.V311)


def test_a_fault_in_what_is_said_changes_that_packet_only() -> None:
    assert answer_of(Says(PingResp, twice)) == answer_of() + encode(PingResp(), Version.V311)
    assert answer_of(Says(PingResp, nothing)) == encode(ConnAck(False, 0), Version.V311)


def test_a_fault_in_what_is_heard_hides_that_packet_only() -> None:
    assert answer_of(Hears(PingReq, nothing)) == encode(ConnAck(False, 0), Version.V311)


def test_a_patch_is_in_force_only_while_its_side_is_at_work() -> None:
    mutant = one("m", around(Victim, "answer", lambda real, self, question: real(self, question) + "!"))
    with mutant.at_work():
        assert Victim().answer("a") == "right a!"
    assert Victim().answer("a") == "right a"


def test_a_patch_is_taken_back_when_the_mutant_falls_over_and_the_fall_is_told() -> None:
    take_crashes()
    with pytest.raises(ZeroDivisionError), one("m", Patch(Victim, "answer", nothing)).at_work():
        raise ZeroDivisionError
    assert Victim().answer("a") == "right a"
    assert take_crashes() == ("m: ZeroDivisionError()",)


def test_a_patch_of_a_table_is_taken_back_where_there_was_no_entry() -> None:
    numbers: dict[str, int] = {}
    with one("m", Patch(numbers, "a", 1)).at_work():
        assert numbers == {"a": 1}
    assert numbers == {}


def test_faults_are_applied_one_after_the_other_and_remember_for_each_connection() -> None:
    faults = [Says(int, lambda number, _: (number, number + 1)), Says(int, swap_pairs)]
    assert changed(faults, 1, End()) == [2, 1]
    assert changed([Says(ConnAck, having(reason=1))], PingReq(), End()) == [PingReq()]


# --- the tables -------------------------------------------------------------------------------------------------------


def test_no_two_mutants_have_one_name() -> None:
    assert len(MUTANTS) == sum(len(each.MUTANTS) for each in tables._TABLES)


def test_every_subject_is_an_area_or_fits_a_scenario() -> None:
    scenarios = load_scenarios(None)
    areas = {each.area for each in scenarios}
    named = {subject for mutant in MUTANTS.values() for subject in mutant.subjects if "/" in subject}
    assert {subject for mutant in MUTANTS.values() for subject in mutant.subjects} - named <= areas
    assert all(any(fnmatch.fnmatchcase(each.name, subject) for each in scenarios) for subject in named)


def test_a_mutant_meets_every_version_of_its_subjects_with_the_right_other_end() -> None:
    mutant = Mutant("m", "client", ("will", "connect/acc*"), ())
    scenarios = load_scenarios(None)
    cells = cells_against(mutant, scenarios, everything=False)
    wanted = [each for each in scenarios if each.area == "will" or each.name.startswith("connect/acc")]
    assert len(cells) == len({cell.id for cell in cells}) == sum(len(each.scenario.versions) for each in wanted)
    assert {cell.loaded.area for cell in cells[:2]} == {"will", "connect"}
    assert {(cell.client, cell.broker) for cell in cells} == {("m", "reference")}


# --- the table of kills -----------------------------------------------------------------------------------------------

TABLE = KillTable(
    ("caught one", "survivor"),
    ("a/broken", "a/whole"),
    ("broken-rule", "whole-rule"),
    (Kill("caught one", "a/broken", "5.0", ("receive",), ("broken-rule",)),),
)


def test_the_table_names_who_survived_and_what_nobody_broke() -> None:
    assert TABLE.survivors == ("survivor",)
    assert TABLE.unbroken_scenarios == ("a/whole",)
    assert TABLE.unbroken_rules == ("whole-rule",)
    lines = list(TABLE.lines())
    assert lines[0] == "caught  caught one: a/broken; judge: broken-rule"
    assert lines[1] == "MISSED  survivor: -; judge: -"
    assert lines[-1] == "1 of 2 mutants caught; 1 of 2 scenarios and 1 of 2 judge rules broken"


def test_the_file_has_each_mutant_with_what_caught_it(tmp_path: Path) -> None:
    data = json.loads(TABLE.write(tmp_path / "out").read_text())
    assert data["mutants"]["caught one"] == {"scenarios": ["a/broken"], "rules": ["broken-rule"]}
    assert data["survivors"] == ["survivor"]


# --- for real ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["retains nothing", "sends no PUBACK"])
def test_a_wrong_end_is_caught_by_a_scenario_that_the_right_pair_passes(name: str) -> None:
    scenarios = [each for each in load_scenarios(None) if each.name.startswith("retained/replaced_by_the_next")]
    scenarios += [each for each in load_scenarios(None) if each.name.startswith("qos1/")][:6]
    played = play_mutants([MUTANTS[name]], scenarios, processes=1, everything=True)
    assert {kill.mutant for kill in played.kills} == {name}
    assert not played.red_anyway
    assert not played.crashes
    assert set().union(*(kill.rules for kill in played.kills)) <= set(RULES)
