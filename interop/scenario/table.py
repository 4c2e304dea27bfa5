"""A scenario that is a table, written once: `for_each` becomes one scenario for each row, `also` one for each variant.

Belongs here: rows and products, the names of cases, `${name}`, which row is played in which variants.
Does not belong here: what a scenario's fields mean (`model`), what a variant does (`variants`).

    for_each:                                   for_each:
      - {case: plain, qos: 0}                     qos: [0, 1, 2]
      - {case: sure, qos: 2, versions: ["5.0"]}   retain: [true, false]

A value that is `"${qos}"` and nothing else becomes the row's value and keeps its type; inside a longer text, or in a
key, it is replaced as text. A row that is for some versions only may leave out columns that only others ask for, and
one that has `also` of its own is played in those variants instead of the scenario's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from interop.scenario.problems import Problem, ScenarioError, unknown
from interop.scenario.variants import DoesNotFit, Varied, vary
from interop.scenario.yaml12 import Document, Where

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_QUOTED_REFERENCE = re.compile(rf'"{_REFERENCE.pattern}"|{_REFERENCE.pattern}')
_OUTSIDE_OF_NAMES = re.compile(r"[^A-Za-z0-9_.+]+")
_CASE = "case"
_VERSIONS = "versions"
_ALSO = "also"
_ABOUT_THE_ROW = {_VERSIONS, _ALSO}
"""What a row may say of itself; these are no columns."""


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario, as plain values, with nothing left to replace; `case` is empty without a table.

    `places` has for each step its place in the file, None where a variant adds it; `as_written` whether it stands there
    just so.
    """

    case: str
    data: dict[str, Any]
    values: dict[str, Any]
    places: tuple[int | None, ...]
    as_written: tuple[bool, ...]


def expand(document: Document) -> list[Row]:
    """The rows of a file; raises ScenarioError for a table that does not fit its scenario."""
    if not isinstance(document.data, dict):
        raise ScenarioError([document.problem((), "expected a mapping with title, versions, actors and steps")])
    template = {key: value for key, value in document.data.items() if key != "for_each"}
    if "for_each" not in document.data:
        used = _used(template, ())
        if used:
            places = [
                document.problem(where, f"${{{name}}} stands for nothing: there is no `for_each`")
                for name, where in used
            ]
            raise ScenarioError(places)
        return [_plain("", template, {})]
    return _Table(document, template).rows()


def variants_of(document: Document, row: Row) -> list[Row]:
    """A valid row in each of the variants that its `also` names; raises ScenarioError for one that does not fit it."""
    rows: list[Row] = []
    problems: list[Problem] = []
    for place, name in enumerate(row.data.get(_ALSO, ())):
        try:
            varied = vary(row.data, name)
        except DoesNotFit as reason:
            where: Where = ("for_each",) if _ALSO in row.values else (_ALSO, place)
            problems.append(document.problem(where, f"{name}: {reason}"))
        else:
            rows.append(_row_of(varied, row, f"{row.case}+{name}" if row.case else name))
    if problems:
        raise ScenarioError(problems)
    return rows


def _row_of(varied: Varied, row: Row, case: str) -> Row:
    as_written = tuple(varied.is_as_in(row.data, place) for place in range(len(varied.origins)))
    return Row(case, varied.data, row.values, varied.origins, as_written)


def _plain(case: str, data: dict[str, Any], values: dict[str, Any]) -> Row:
    count = len(data["steps"]) if isinstance(data.get("steps"), list) else 0
    return Row(case, data, values, tuple(range(count)), (True,) * count)


class _Table:
    """The table of one file, and what is wrong with it."""

    def __init__(self, document: Document, template: dict[str, Any]) -> None:
        self._document = document
        self._template = template
        self._problems: list[Problem] = []

    def rows(self) -> list[Row]:
        """All rows; raises ScenarioError."""
        named = list(self._named_rows(self._document.data["for_each"]))
        self._check_columns(named)
        self._check_cases(named)
        self._check_versions(named)
        if self._problems:
            raise ScenarioError(self._problems)
        return [_plain(case, self._data_of(values), values) for case, _, values in named]

    def _problem(self, where: Where, message: str) -> None:
        self._problems.append(self._document.problem(where, message))

    def _named_rows(self, table: object) -> Iterator[tuple[str, Where, dict[str, Any]]]:
        where: Where = ("for_each",)
        if isinstance(table, list) and table:
            for index, values in enumerate(table):
                if isinstance(values, dict) and values:
                    yield self._case(values, (*where, index)), (*where, index), values
                else:
                    self._problem((*where, index), "expected a row: {case: name, column: value, ...}")
        elif (
            isinstance(table, dict) and table and all(isinstance(column, list) and column for column in table.values())
        ):
            for combination in product(*table.values()):
                values = dict(zip(table, combination, strict=True))
                yield self._case(values, where), where, values
        else:
            self._problem(where, "expected a list of rows, or a product {name: [value, ...], ...}")

    def _case(self, values: dict[str, Any], where: Where) -> str:
        if _CASE in values:
            case = values[_CASE]
            if not isinstance(case, str) or _OUTSIDE_OF_NAMES.search(case.replace("-", "")) or not case:
                self._problem((*where, _CASE), f"found {case!r}; expected a name of letters, digits and _ . + -")
            return str(case)
        parts = []
        for name, value in values.items():
            if name in _ABOUT_THE_ROW:
                continue
            if isinstance(value, dict | list):
                self._problem(where, f"{name} is not a plain value, so the row needs a name: case: ...")
            parts.append(_named(name, value))
        return "-".join(parts)

    def _check_columns(self, named: list[tuple[str, Where, dict[str, Any]]]) -> None:
        columns = sorted({name for _, _, values in named for name in values} - _ABOUT_THE_ROW)
        used = _used(self._template, ())
        for name, where in used:
            if name not in columns:
                self._problem(where, unknown("column", name, columns))
        for _, where, values in named:
            of_row = self._template_of(values)
            asked_for = {name for name, _ in (used if of_row is self._template else _used(of_row, ()))}
            for name in sorted(asked_for & set(columns) - set(values)):
                self._problem(where, f"the row has no {name!r}, which ${{{name}}} asks for")
            for name in sorted(set(values) - {name for name, _ in used} - _ABOUT_THE_ROW - {_CASE}):
                self._problem((*where, name), f"the column {name!r} is not used: nothing says ${{{name}}}")

    def _template_of(self, values: dict[str, Any]) -> dict[str, Any]:
        """What the row's versions make of the template: a row need not have what only other versions ask for."""
        wanted = values.get(_VERSIONS)
        clauses, steps = self._template.get(_VERSIONS), self._template.get("steps")
        if not (isinstance(wanted, list) and isinstance(clauses, dict) and isinstance(steps, list)):
            return self._template
        return self._template | {
            _VERSIONS: {label: clause for label, clause in clauses.items() if label in wanted},
            "steps": [step for step in steps if _runs_in(step, wanted)],
        }

    def _check_cases(self, named: list[tuple[str, Where, dict[str, Any]]]) -> None:
        seen: set[str] = set()
        for case, where, _ in named:
            if case in seen:
                self._problem(where, f"the case {case!r} is here twice")
            seen.add(case)

    def _check_versions(self, named: list[tuple[str, Where, dict[str, Any]]]) -> None:
        clauses = self._clauses()
        for _, where, values in named:
            if _VERSIONS not in values:
                continue
            wanted = values[_VERSIONS]
            if not isinstance(wanted, list) or not wanted:
                self._problem((*where, _VERSIONS), 'expected a list of versions, e.g. ["3.1.1", "5.0"]')
                continue
            for label in wanted:
                if label not in clauses:
                    expected = ", ".join(repr(label) for label in clauses)
                    self._problem(
                        (*where, _VERSIONS), f"found {label!r}; expected versions of the scenario: {expected}"
                    )

    def _clauses(self) -> dict[str, Any]:
        clauses = self._template.get("versions")
        return clauses if isinstance(clauses, dict) else {}

    def _data_of(self, values: dict[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = dict(_replaced(self._template, values))
        if _ALSO in values:
            data[_ALSO] = values[_ALSO]
        if _VERSIONS in values:
            data["versions"] = {label: data["versions"][label] for label in values[_VERSIONS]}
        return data


def _runs_in(step: object, labels: list[Any]) -> bool:
    only = step.get("only") if isinstance(step, dict) else None
    return not isinstance(only, list) or any(label in labels for label in only)


def source_of(text: str, values: dict[str, Any]) -> str:
    """A step's source with the row's values in it."""
    return _QUOTED_REFERENCE.sub(lambda found: _text(values.get(found[1] or found[2])), text)


def _named(name: str, value: object) -> str:
    """A part of a case's name: `qos1`, `retain`, `no_retain`, `fin`."""
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    if isinstance(value, str) and value:
        return _OUTSIDE_OF_NAMES.sub("_", value)
    return f"no_{name}" if value is None or value == "" else f"{name}{value}"


def _used(value: object, where: Where) -> list[tuple[str, Where]]:
    """Every `${name}` inside a value, with its place."""
    if isinstance(value, str):
        return [(name, where) for name in _REFERENCE.findall(value)] if "${" in value else []
    if isinstance(value, dict):
        in_keys = [found for key in value for found in _used(key, (*where, key))]
        return in_keys + [found for key, inner in value.items() for found in _used(inner, (*where, key))]
    if isinstance(value, list):
        return [found for index, inner in enumerate(value) for found in _used(inner, (*where, index))]
    return []


def _replaced(value: Any, values: dict[str, Any]) -> Any:
    """The value with every `${name}` replaced; parts without any stay the same objects."""
    if isinstance(value, str):
        if "${" not in value:
            return value
        whole = _REFERENCE.fullmatch(value)
        return values.get(whole[1]) if whole else _filled(value, values)
    if isinstance(value, dict):
        return {_filled(key, values): _replaced(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, values) for inner in value]
    return value


def _filled(text: str, values: dict[str, Any]) -> str:
    return _REFERENCE.sub(lambda found: _text(values.get(found[1])), text)


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
