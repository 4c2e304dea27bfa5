"""Statements and their evidence, by version and by who was put to the test.

Belongs here: matching what records say they covered with the tables of statements, and what the judge watches.
Does not belong here: what a cell covers (`interop.runner`, `interop.corpus`), printing (`command`), pages (`reports`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from interop.judge.registry import RULES, citations
from interop.requirements.requirements import Statement, statements
from interop.scenario.values import MqttLabel, Side
from interop.tap.trace import Sender
from reference_broker.wire.types import Version
from reports.coverage import Standing, StatementLine
from reports.record import Record

if TYPE_CHECKING:  # pages are drawn without loading what reads scenarios
    from interop.scenario.load import LoadedScenario

_NOT_JUDGED = frozenset({"unsupported", "setup-failed", "harness-error"})
_TESTABLE: dict[Side, frozenset[str]] = {
    "client": frozenset({"client-under-test", "both"}),
    "broker": frozenset({"broker-under-test", "both"}),
}

Key = tuple[MqttLabel, Side, str]
"""Version, who is under test, statement id."""


@dataclass(slots=True)
class Evidence:
    """What was found for each statement: the names of scenarios and cases, and how many cells the judge looked at."""

    names: defaultdict[Key, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    judged_cells: Counter[Key] = field(default_factory=Counter)


def ran(records: Iterable[Record]) -> Evidence:
    """The evidence in results: only cells that were judged count, each scenario or case once."""
    found = Evidence()
    judged: Counter[tuple[MqttLabel, Side, tuple[str, ...]]] = Counter()  # many cells are judged by the same statements
    for record in records:
        if record.verdict in _NOT_JUDGED:
            continue
        name = record.scenario.partition("[")[0]
        for side, ids in record.covered.items():
            for each in ids:
                found.names[record.mqtt, side, each][name] = None
        judged.update((record.mqtt, side, ids) for side, ids in record.judged.items())
    for (mqtt, side, ids), count in judged.items():
        for each in ids:
            found.judged_cells[mqtt, side, each] += count
    return found


def declared(scenarios: Iterable[LoadedScenario]) -> Evidence:
    """What scenarios say they put to the test, whether they ever ran or not."""
    found = Evidence()
    for loaded in scenarios:
        for mqtt in loaded.scenario.versions:
            for side, ids in loaded.scenario.covers(mqtt).items():
                for each in ids:
                    found.names[mqtt, side, each][loaded.file_name] = None
    return found


def coverage(evidence: Evidence) -> list[StatementLine]:
    """Every statement that one side can be tested for, and those nobody can, in the tables' order."""
    watched = _watched()
    return [
        _line(evidence, watched, mqtt, side, each)
        for mqtt in get_args(MqttLabel)
        for side in get_args(Side)
        for each in statements(mqtt).values()
        if each.testable_by in _TESTABLE[side] or (each.testable_by == "not-observable" and _obliges(each, side))
    ]


def _line(
    evidence: Evidence, watched: dict[Key, list[str]], mqtt: MqttLabel, side: Side, each: Statement
) -> StatementLine:
    key = (mqtt, side, each.id)
    names, judged_cells = tuple(evidence.names.get(key, ())), evidence.judged_cells[key]
    standing: Standing = "covered" if names or judged_cells else "missing"
    return StatementLine(
        mqtt,
        side,
        each.id,
        each.level,
        each.section,
        each.summary,
        "not-observable" if each.testable_by == "not-observable" else standing,
        evidence=names,
        judged_cells=judged_cells,
        rules=tuple(watched.get(key, ())),
        reason=each.reason,
    )


def _obliges(each: Statement, side: Side) -> bool:
    return each.role in ("both", "client" if side == "client" else "server")


def _watched() -> dict[Key, list[str]]:
    found: defaultdict[Key, list[str]] = defaultdict(list)
    for side, sender in (("client", Sender.CLIENT), ("broker", Sender.BROKER)):
        for version in Version:
            for name, rule in RULES.items():
                for each in citations(rule, sender, version):
                    found[version.label, side, each].append(name)  # type: ignore[index]  # a label is one of MqttLabel
    return found
