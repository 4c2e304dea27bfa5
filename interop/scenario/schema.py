"""The published JSON Schema of a scenario file, for editors and other tools.

Belongs here: deriving it from the models; `python -m interop.scenario.schema` writes it beside this file.
Does not belong here: the models (`model`, `steps`, `values`).

An editor that speaks to yaml-language-server finds it by the first line of a file:

    # yaml-language-server: $schema=../../interop/scenario/scenario.schema.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interop.scenario.model import Scenario

SCHEMA_NAME = "scenario.schema.json"

_COLUMN = {"type": "string", "pattern": r"^\$\{[^}]+\}$", "description": "a column of `for_each`"}
_NEVER_COLUMNS = {"do", "for_each", "versions", "actors", "steps"}


def scenario_schema() -> str:
    """The schema of a scenario file, as the text of the committed file."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Written by python -m interop.scenario.schema.",
        **_with_columns(Scenario.model_json_schema()),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _with_columns(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with `"${name}"` allowed wherever a value stands: a file is checked before its table is expanded."""
    for model in [schema, *schema["$defs"].values()]:
        properties = model.get("properties", {})
        for name in properties.keys() - _NEVER_COLUMNS:
            properties[name] = _or_column(properties[name])
    schema["$defs"]["Column"] = _COLUMN
    return schema


def _or_column(schema: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = {
        key: _or_column(value) if key in ("items", "additionalProperties") and isinstance(value, dict) else value
        for key, value in schema.items()
    }
    if inner.get("type") == "string" and "enum" not in inner and "pattern" not in inner:
        return inner
    about: dict[str, Any] = {key: inner.pop(key) for key in ("title", "description", "default") if key in inner}
    return {"anyOf": [inner, {"$ref": "#/$defs/Column"}], **about}


if __name__ == "__main__":
    Path(__file__).with_name(SCHEMA_NAME).write_text(scenario_schema(), encoding="utf-8")
