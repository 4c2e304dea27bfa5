"""Statements and their evidence, by version and by who was put to the test.

Belongs here: matching what records say they covered with the tables of statements, and what the judge watches.
Does not belong here: what a cell covers (`interop.runner`, `interop.corpus`), printing (`command`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from interop.judge.registry import RULES, citations
from interop.requirements.requirements import Statement, statements
from interop.scenario.load import LoadedScenario
from interop.scenario.values import MqttLabel, Side
from interop.tap.trace import Sender
from reference_broker.wire.types import Version
from reports.record import Record

_NOT_JUDGED = frozenset({"unsupported", "setup-failed", "harness-error"})
_TESTABLE: dict[Side, frozenset[str]] = {
    "client": frozenset({"client-under-test", "both"}),
    "broker": frozenset({"broker-under-test", "both"}),
}

Key = tuple[MqttLabel, Side, str]
"""Version, who is under test, statement id."""

Standing = Literal["covered", "missing", "not-observable"]


@dataclass(frozen=True, slots=True)
class Line:
    """One statement for one side: the scenarios and corpus cases that put it to the test, and the rules that watch it.

    A rule of the judge looks at every trace, but whether it had something to look at is not recorded; so `watched_by`
    alone makes no statement covered.
    """

    mqtt: MqttLabel
    side: Side
    statement: Statement
    evidence: tuple[str, ...]
    watched_by: tuple[str, ...]

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        if self.statement.testable_by == "not-observable":
            return "not-observable"
        return "covered" if self.evidence else "missing"


def ran(records: Iterable[Record]) -> dict[Key, list[str]]:
    """The evidence in results: only cells that were judged count, each scenario or case once."""
    found: defaultdict[Key, dict[str, None]] = defaultdict(dict)
    for record in records:
        if record.verdict not in _NOT_JUDGED:
            for side, ids in record.covered.items():
                for each in ids:
                    found[record.mqtt, side, each][record.scenario.partition("[")[0]] = None
    return {key: list(names) for key, names in found.items()}


def declared(scenarios: Iterable[LoadedScenario]) -> dict[Key, list[str]]:
    """What scenarios say they put to the test, whether they ever ran or not."""
    found: defaultdict[Key, dict[str, None]] = defaultdict(dict)
    for loaded in scenarios:
        for mqtt in loaded.scenario.versions:
            for side, ids in loaded.scenario.covers(mqtt).items():
                for each in ids:
                    found[mqtt, side, each][loaded.file_name] = None
    return {key: list(names) for key, names in found.items()}


def coverage(evidence: dict[Key, list[str]]) -> list[Line]:
    """Every statement that one side can be tested for, and those nobody can, in the tables' order."""
    watched = _watched()
    return [
        Line(
            mqtt,
            side,
            each,
            tuple(evidence.get((mqtt, side, each.id), ())),
            tuple(watched.get((mqtt, side, each.id), ())),
        )
        for mqtt in get_args(MqttLabel)
        for side in get_args(Side)
        for each in statements(mqtt).values()
        if each.testable_by in _TESTABLE[side] or (each.testable_by == "not-observable" and _obliges(each, side))
    ]


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
