"""`run.json`: what a run says of itself beside its results, so that shards of it can be joined and none is missed.

Belongs here: writing and reading it.
Does not belong here: what is in it (`summary.RunInfo`), joining (`interop.results`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from reports.record import BadResults
from reports.summary import RunInfo

_RUN = TypeAdapter(RunInfo)


def write_run(run: RunInfo, path: Path) -> None:
    """Write `run.json`; raises OSError."""
    path.write_text(json.dumps(asdict(run), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_run(path: Path) -> RunInfo | None:
    """What a run said of itself; none where there is no such file. Raises BadResults."""
    try:
        return _RUN.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadResults(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadResults(f"{path}: not a run: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
