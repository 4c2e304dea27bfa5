"""A selection by statements and by rules: which cells it takes, and what is said of a name there is none of."""

from __future__ import annotations

import argparse

import pytest

from interop.exit_codes import CommandError
from interop.judge import RULES, citations
from interop.mutants.command import add_options, run
from interop.runner.about import About, UnknownSubject
from interop.runner.cell import Cell, Selection, plan
from interop.scenario.load import load_scenarios
from interop.tap.trace import Sender
from reference_broker.wire.types import Version

SCENARIOS = load_scenarios(None)


def cells(*statements: str, rules: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    selection = Selection(clients=("builtin",), about=About(statements, rules))
    return {(cell.scenario, cell.mqtt) for cell in plan(SCENARIOS, selection)}


def cites(cell: tuple[str, str]) -> set[str]:
    name, mqtt = cell
    (loaded,) = [each for each in SCENARIOS if each.name == name]
    return {each for ids in loaded.scenario.covers(mqtt).values() for each in ids}  # type: ignore[arg-type]


def test_a_statement_selects_the_cells_that_cite_it_in_each_version_that_has_it() -> None:
    chosen = cells("MQTT-3.1.2-8")
    assert {mqtt for _, mqtt in chosen} == {"3.1.1", "5.0"}
    assert all("MQTT-3.1.2-8" in cites(cell) for cell in chosen)
    everything = {(each.name, mqtt) for each in SCENARIOS for mqtt in each.scenario.versions}
    assert not any("MQTT-3.1.2-8" in cites(cell) for cell in everything - chosen)


def test_a_version_before_a_statement_selects_the_cells_of_that_version_alone() -> None:
    assert cells("5.0:MQTT-3.1.2-8") == {cell for cell in cells("MQTT-3.1.2-8") if cell[1] == "5.0"}


def test_a_statement_that_only_a_step_cites_selects_its_cell_too() -> None:
    by_step = next(
        (loaded.name, mqtt, each)
        for loaded in SCENARIOS
        for mqtt, clause in loaded.scenario.versions.items()
        for each in sorted({each for ids in loaded.scenario.covers(mqtt).values() for each in ids} - set(clause.cites))
    )
    name, mqtt, statement = by_step
    assert (name, mqtt) in cells(f"{mqtt}:{statement}")


def test_of_several_statements_one_is_enough_and_a_rule_is_demanded_besides() -> None:
    both = cells("MQTT-3.1.2-8") | cells("MQTT-4.3.3-10")
    assert cells("MQTT-3.1.2-8", "MQTT-4.3.3-10") == both
    by_rule = cells(rules=("will-once",))
    assert by_rule
    assert cells("MQTT-3.1.2-8", rules=("will-once",)) == by_rule & cells("MQTT-3.1.2-8")


def test_a_rule_selects_the_cells_that_cite_what_it_can_find_broken() -> None:
    rule = RULES["puback-order"]
    chosen = cells(rules=("puback-order",))
    assert chosen
    versions = {version.label: version for version in Version}
    for cell in chosen:
        found = {each for side in (Sender.CLIENT, Sender.BROKER) for each in citations(rule, side, versions[cell[1]])}
        assert found & cites(cell)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_selects_cells(rule: str) -> None:
    assert About(rules=(rule,)).rows(SCENARIOS)


def test_a_rule_without_a_numbered_statement_selects_what_brings_about_that_it_may_be_broken() -> None:
    assert cells(rules=("waits-for-keep-alive",)) == cells(rules=("ends-silent-connection",))


def test_a_selected_cell_is_the_one_that_is_played_without_the_selection() -> None:
    (cell, *_) = plan(SCENARIOS, Selection(about=About(("5.0:MQTT-3.1.2-8",))))
    whole = next(each for each in SCENARIOS if each.name == cell.scenario)
    same = Cell(whole, cell.client, cell.broker, cell.mqtt, cell.transport)
    assert (same.id, same.clause, list(same.steps())) == (cell.id, cell.clause, list(cell.steps()))


@pytest.mark.parametrize(
    ("statements", "rules", "said"),
    [
        (("MQTT-4.3.3-99",), (), r"unknown statement MQTT-4\.3\.3-99; nearest are MQTT-4\.3\.3-13, .*coverage"),
        (("5.0:MQTT-4.3.3-99",), (), r"unknown statement 5\.0:MQTT-4\.3\.3-99; nearest are 5\.0:MQTT-4\.3\.3-13"),
        (("3.1:MQTT-4.3.3-1",), (), r"unknown statement 3\.1:MQTT-4\.3\.3-1; nearest are 3\.1:MQTT31-"),
        (("4:MQTT-4.3.3-1",), (), r"there is no MQTT 4 \(versions: 3\.1, 3\.1\.1, 5\.0\)"),
        ((), ("puback-orders",), r"unknown rule puback-orders; did you mean puback-order\? .*list rules"),
    ],
)
def test_what_there_is_none_of_is_said_with_what_is_nearest(
    statements: tuple[str, ...], rules: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UnknownSubject, match=said):
        About(statements, rules)


def listed_mutants(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return run(parser.parse_args(["--list", *arguments]))


def test_mutants_are_put_to_the_same_cells() -> None:
    assert listed_mutants("--statement", "5.0:MQTT-3.1.2-8", "--rule", "will-once") == 0
    with pytest.raises(CommandError, match="did you mean will-once"):
        listed_mutants("--rule", "will-onse")
    with pytest.raises(CommandError, match="no scenario cites that"):
        listed_mutants("--statement", "5.0:MQTT-3.1.2-8", "--rule", "puback-order")
