"""The published JSON Schema: current, and no stricter than the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from interop.scenario import schema as published
from interop.scenario.load import DEFAULT_FOLDER
from interop.scenario.schema import SCHEMA_NAME, scenario_schema
from interop.scenario.steps import VERBS


def test_the_committed_schema_is_current() -> None:
    committed = Path(published.__file__).with_name(SCHEMA_NAME).read_text(encoding="utf-8")
    assert committed == scenario_schema(), "run: python -m interop.scenario.schema"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scenario_schema())
    return found


def test_every_verb_is_in_the_schema(schema: dict[str, Any]) -> None:
    verbs = {
        model["properties"]["do"]["const"] for model in schema["$defs"].values() if "do" in model.get("properties", {})
    }
    assert verbs == set(VERBS)


def test_unknown_keys_are_refused_everywhere(schema: dict[str, Any]) -> None:
    models = [schema, *(model for model in schema["$defs"].values() if model.get("type") == "object")]
    assert all(model["additionalProperties"] is False for model in models)


def test_a_column_may_stand_for_a_number(schema: dict[str, Any]) -> None:
    qos = schema["$defs"]["Publish"]["properties"]["qos"]
    assert {"$ref": "#/$defs/Column"} in qos["anyOf"]


def test_an_editor_finds_the_schema_by_the_line_in_the_readme() -> None:
    line = next(
        line for line in (DEFAULT_FOLDER / "README.md").read_text().splitlines() if "yaml-language-server" in line
    )
    target = line.partition("$schema=")[2].strip()
    assert (DEFAULT_FOLDER / "area" / target).resolve() == Path(published.__file__).with_name(SCHEMA_NAME)
