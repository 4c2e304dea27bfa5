"""A mutant is wrong on its own side only, in its own fault only, and is caught by what the right pair passes."""

from __future__ import annotations

import fnmatch

import pytest

from interop.judge import RULES
from interop.mutants import registry
from interop.mutants.mutant import Hears, Mutant, Patch, Says, around, table, take_crashes
from interop.mutants.registry import MUTANTS
from interop.mutants.run import Played, Settled, play_trials
from interop.mutants.trial import Trial
from interop.mutants.words import having, nothing, swap_pairs, twice
from interop.mutants.wrong_ends import WrongBroker, changed
from interop.scenario.load import load_scenarios
from reference_broker.broker.values.config import BrokerConfig
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
    assert len(MUTANTS) == sum(len(each.MUTANTS) for each in registry._TABLES)


def test_every_subject_is_an_area_or_fits_a_scenario() -> None:
    scenarios = load_scenarios(None)
    areas = {each.area for each in scenarios}
    named = {subject for mutant in MUTANTS.values() for subject in mutant.subjects if "/" in subject}
    assert {subject for mutant in MUTANTS.values() for subject in mutant.subjects} - named <= areas
    assert all(any(fnmatch.fnmatchcase(each.name, subject) for each in scenarios) for subject in named)


# --- for real ---------------------------------------------------------------------------------------------------------


CAUGHT = [
    Trial("retains nothing", "retained/replaced_by_the_next[q1-by-q1]", "3.1.1"),
    Trial("sends no PUBACK", "qos1/delivery_settled_before_the_loss[fin]", "3.1.1"),
]
STANDS_OUT = Trial("reads 3.1 as strictly as 3.1.1", "malformed/undefined_in_3_1[flags-of-pingreq]", "3.1")


@pytest.fixture(scope="module")
def played() -> Played:
    """All of them side by side: each waits seconds for what does not come."""
    return play_trials([*CAUGHT, STANDS_OUT], processes=1)


@pytest.mark.parametrize("trial", CAUGHT, ids=lambda trial: trial.mutant)
def test_a_wrong_end_is_caught_by_a_scenario_that_the_right_pair_passes(played: Played, trial: Trial) -> None:
    (kill,) = (kill for kill in played.kills if kill.trial == trial)
    assert set(kill.rules) <= set(RULES)
    assert not played.red_anyway
    assert not played.crashes


def test_where_all_is_left_open_a_mutant_stands_out_by_doing_as_described(played: Played) -> None:
    assert [kill.trial for kill in played.kills].count(STANDS_OUT) == 1
    assert not played.red_anyway


def test_what_is_settled_is_not_played() -> None:
    trial = Trial("retains nothing", "retained/replaced_by_the_next[q1-by-q1]", "5.0")
    settled = Settled(frozenset({trial.mutant}), frozenset({trial.scenario}))
    assert play_trials([trial], processes=1, settled=settled) == Played()
