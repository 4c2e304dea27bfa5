"""The numbered statements of MQTT 3.1, 3.1.1 and 5.0, as tables to look things up in.

Belongs here: reading the tables (`mqtt31.csv`, `mqtt311.csv`, `mqtt5.csv`, and `sparkplug3.csv` of what Sparkplug 3.0
asks of servers besides), their one lookup, and their lint.
Does not belong here: who cites a statement (`interop.scenario`, `interop.judge`), whether it holds.

The same number means different things in 3.1.1 and 5.0, so every lookup names the version. Ids `MQTT-s-n` are those of
the specifications' appendix B. The 3.1 specification has no numbers, and some sentences of the others have none either:
`MQTT31-n`, `MQTT311-U-n` and `MQTT5-U-n` are ours. Those of Sparkplug are the ids of its own test kit.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast, get_args

Role = Literal["client", "server", "both"]
Level = Literal["must", "should", "may"]
Kind = Literal["wire", "network", "internal"]
TestableBy = Literal["broker-under-test", "client-under-test", "both", "not-observable"]

_ALLOWED: dict[str, tuple[str, ...]] = {
    "role": get_args(Role),
    "level": get_args(Level),
    "kind": get_args(Kind),
    "testable_by": get_args(TestableBy),
}
_TABLES = {"3.1": "mqtt31.csv", "3.1.1": "mqtt311.csv", "5.0": "mqtt5.csv"}
VERSIONS = tuple(_TABLES)
_BESIDES = {"3.1": (), "3.1.1": ("sparkplug3.csv",), "5.0": ("sparkplug3.csv",)}
"""What other specifications ask of who speaks a version: to be cited, and nothing that every implementation owes."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of one version; `summary` is a paraphrase.

    `role` is who is obliged. `level` is that of the sentence's own MUST, SHOULD or MAY; a sentence without one, as most
    of 3.1, binds by its meaning: what is said to be so is a must. `kind`: `wire` can be decided from packets, `network`
    needs a connection's end as well, `internal` cannot be seen from outside. `testable_by` is what can be under test:
    who sends or leaves out what the statement is about, and whoever has to react to a peer that breaks it. `reason`
    tells why nobody can be tested, and is empty for all others.
    """

    id: str
    section: str
    role: Role
    level: Level
    kind: Kind
    summary: str
    testable_by: TestableBy
    topic: str
    reason: str


COLUMNS = tuple(field.name for field in fields(Statement))


@cache
def statements(version_label: str) -> dict[str, Statement]:
    """All statements of a version (`3.1`, `3.1.1`, `5.0`) by id, in the table's order; raises KeyError for another."""
    return _read(_TABLES[version_label])


def _read(table: str) -> dict[str, Statement]:
    text = (files("interop.requirements") / table).read_text(encoding="utf-8")
    rows = [Statement(**cast("dict[str, Any]", row)) for row in csv.DictReader(text.splitlines())]
    return {row.id: row for row in rows}


@cache
def _citable(version_label: str) -> dict[str, Statement]:
    """The statements of a version, and those of other specifications that go with it."""
    besides = [row for table in _BESIDES[version_label] for row in _read(table).values()]
    return statements(version_label) | {row.id: row for row in besides}


def statement(version_label: str, statement_id: str) -> Statement:
    """One statement; raises KeyError where the version has none of that id."""
    return _citable(version_label)[statement_id]


@cache
def sentences() -> dict[tuple[str, str], str]:
    """What every statement of every version says, by version and id."""
    return {(label, row.id): row.summary for label in VERSIONS for row in _citable(label).values()}


def known(version_label: str, statement_id: str) -> bool:
    """Whether the version has a statement of that id, or another specification one for it."""
    return statement_id in _citable(version_label)


def table_problems(version_label: str) -> list[str]:
    """What is wrong with the tables of a version, one line each: a value not allowed, a reason missing or too much."""
    return [
        f"{table}: {row.id}: {problem}"
        for table in (_TABLES[version_label], *_BESIDES[version_label])
        for row in _read(table).values()
        for problem in row_problems(row)
    ]


def row_problems(row: Statement) -> Iterator[str]:
    """What is wrong with one row."""
    for column, allowed in _ALLOWED.items():
        value = getattr(row, column)
        if value not in allowed:
            yield f"{column} is {value!r}, not one of {', '.join(allowed)}"
    if row.testable_by == "not-observable" and not row.reason:
        yield "nobody can be tested for it, but reason does not say why"
    if row.testable_by != "not-observable" and row.reason:
        yield f"it can be tested, so there is no place for the reason {row.reason!r}"


def nearest(version_label: str, statement_id: str, count: int = 3) -> list[str]:
    """The ids of a version most like one it does not have: same section first, nearest number first."""
    wanted = _numbers(statement_id)

    def distance(candidate: str) -> tuple[int, int]:
        numbers = _numbers(candidate)
        shared = next(
            (place for place, pair in enumerate(zip(wanted, numbers, strict=False)) if pair[0] != pair[1]), 99
        )
        there = numbers[shared] if shared < len(numbers) else 0
        here = wanted[shared] if shared < len(wanted) else 0
        return -shared, abs(there - here)

    return sorted(statements(version_label), key=distance)[:count]


def _numbers(statement_id: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", statement_id)]
