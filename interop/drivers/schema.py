"""The published JSON Schema of the contract, for authors of adapters in any language.

Belongs here: its file; `python -m interop.drivers.schema` writes it.
Does not belong here: the models it comes from (`contract`).
"""

from __future__ import annotations

import json
from pathlib import Path

from interop.drivers.contract import json_schema

SCHEMA_FILE = Path(__file__).with_name("contract.schema.json")


def schema_text() -> str:
    """What the committed file has to say."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
