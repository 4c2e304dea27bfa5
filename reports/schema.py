"""The published JSON Schema of a result record, so that other tools can read and check `results.jsonl`.

Belongs here: deriving the schema from `Record`; `python -m reports.schema` writes it beside this file.
Does not belong here: the record itself (`record`).
"""

from __future__ import annotations

import json
from pathlib import Path

from reports.record import SCHEMA_VERSION, Record

SCHEMA_NAME = "results.schema.json"


def results_schema() -> str:
    """The schema of one line of `results.jsonl`, as the text of the committed file."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"One line of results.jsonl, schema version {SCHEMA_VERSION}. Written by python -m reports.schema.",
        **Record.model_json_schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name(SCHEMA_NAME).write_text(results_schema(), encoding="utf-8")
