"""What the schema refuses, said so that the author of a scenario knows what to write.

Belongs here: pydantic's errors turned into problems with file, line and expectation.
Does not belong here: the schema (`model`, `steps`, `values`), finding other problems (`lint`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from interop.scenario.model import Scenario
from interop.scenario.problems import Problem, closest, unknown
from interop.scenario.steps import VERBS
from interop.scenario.yaml12 import Document, Where

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a mapping {{name: value, ...}}",
    "model_type": "a mapping {{name: value, ...}}",
    "tuple_type": "a list [value, ...]",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} of them",
}
"""What each kind of error expected; the braces are filled with the error's own details."""

_OTHER_FORM = ("dict_type", "model_type", "tuple_type")
"""Errors of a union's branch that was not meant, when another branch says something about the value."""


def problems_of(error: ValidationError, document: Document, data: dict[str, Any]) -> list[Problem]:
    """One problem for each place that is wrong; `data` is what was validated: the file, or a row of its table."""
    at_place: dict[Where, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        at_place.setdefault(_where(details, data), []).append(details)
    deeper = {where[:length] for where in at_place for length in range(len(where))}
    problems = []
    for where, details_there in at_place.items():
        found = details_there
        if where in deeper:  # the value has another form, and that form has its own errors
            found = [details for details in found if details["type"] not in _EXPECTED or details["loc"][-1] == "[key]"]
        messages = dict.fromkeys(_messages(where, found, data))
        problems += [document.problem(where, message) for message in messages]
    return problems


def _where(details: ErrorDetails, data: dict[str, Any]) -> Where:
    """The place in the file: pydantic's without the names of union branches, and without a key that is missing."""
    value: Any = data
    where: Where = ()
    for part in details["loc"]:
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        if part in keys:
            value = value[part]
            where = (*where, part)
    return where


def _messages(where: Where, found: list[ErrorDetails], data: dict[str, Any]) -> Iterator[str]:
    kinds = {details["type"] for details in found}
    expected = []
    for details in found:
        match details["type"]:
            case "union_tag_invalid":
                yield unknown("verb", details["ctx"]["tag"], sorted(VERBS))
            case "union_tag_not_found":
                yield f"a step begins with its verb, {{do: verb, ...}} (verbs: {', '.join(sorted(VERBS))})"
            case "extra_forbidden":
                yield unknown("key", where[-1], _keys_at(where[:-1], data))
            case "missing":
                yield f"`{details['loc'][-1]}` is missing"
            case "value_error":
                yield details["msg"].removeprefix("Value error, ")
            case kind if kind in _EXPECTED and not (kind in _OTHER_FORM and "literal_error" in kinds):
                expected.append(_EXPECTED[kind].format_map(details.get("ctx", {})))
            case kind if kind not in _EXPECTED:
                yield details["msg"]
    if expected:
        value = found[0]["input"]
        yield f"found {_written(value)}; expected {' or '.join(dict.fromkeys(expected))}{_hint(value, expected)}"


def _written(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _hint(value: object, expected: list[str]) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        quoted = f"'{value}'" in expected[0] or expected[0] == "text"
        return f'; write "{value}", with the quotes' if quoted else ""
    options = [option for text in expected for option in text.replace(" or ", ", ").split(", ")]
    close = closest(repr(value), options)
    return f"; did you mean {close}?" if close else ""


def _keys_at(where: Where, data: dict[str, Any]) -> list[str]:
    """The keys a mapping at that place may have."""
    root = _schema()
    nodes = [root]
    value: Any = data
    for part in where:
        value = value[part]
        nodes = [child for node in nodes for child in _children(node, part, value)]
    return sorted({key for node in nodes for key in node.get("properties", {})})


def _children(node: dict[str, Any], part: str | int, value: object) -> Iterator[dict[str, Any]]:
    inner = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
    inner = inner or node.get("additionalProperties")
    if isinstance(inner, dict):
        yield from _branches(inner, value)


def _branches(node: dict[str, Any], value: object) -> Iterator[dict[str, Any]]:
    """The schemas a value may follow, references resolved; a step follows its verb's."""
    if "$ref" in node:
        node = _schema()["$defs"][node["$ref"].rpartition("/")[2]]
    if "discriminator" in node and isinstance(value, dict):
        reference = node["discriminator"]["mapping"].get(value.get("do"))
        yield from _branches({"$ref": reference}, value) if reference else ()
    elif "anyOf" in node or "oneOf" in node:
        for branch in node.get("anyOf", node.get("oneOf", [])):
            yield from _branches(branch, value)
    else:
        yield node


@cache
def _schema() -> dict[str, Any]:
    return Scenario.model_json_schema()
