"""The results of a run as one value and as JSON: what was measured, on what machine, when.

Belongs here: the form of `--json` and of benchmarks/latest.json. Does not belong here: pages (`pages`, `chart`).
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import TypeAdapter

from interop.bench.result import Result
from interop.bench.suite import Aim
from interop.bench.table import Row, figure

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured; `uvloop` is empty where the reference broker ran on asyncio's own loop."""

    system: str
    processor: str
    cores: int
    python: str
    uvloop: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell: the broker in question, those it is held against, the ratio to their best, and what was aimed at."""

    row: str
    one_per_send: bool
    result: Result
    others: list[Result] = field(default_factory=list)
    ratio: float | None = None
    aim: Aim | None = None
    reached: str = ""
    """`goal`, `must` or `short`; empty where nothing was aimed at or nothing came of it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A whole run."""

    schema_version: int
    date: str
    harness_version: str
    command: str
    machine: Machine
    entries: list[Entry]


_ADAPTER = TypeAdapter(Document)


def entry(name: str, row: Row, aim: Aim | None = None, *, one_per_send: bool = False) -> Entry:
    """A measured row as an entry."""
    reached = _reached(row, aim) if aim else ""
    return Entry(name, one_per_send, row.result, list(row.others), row.ratio, aim, reached)


def document(entries: Sequence[Entry], command: str) -> Document:
    """A run that ends now, on this machine."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Document(SCHEMA_VERSION, now, _version("mqtt-interop"), command, _machine(), list(entries))


def to_json(run: Document) -> str:
    """The document as JSON."""
    return _ADAPTER.dump_json(run, indent=1).decode() + "\n"


def from_json(text: str) -> Document:
    """Read what `to_json` wrote; raises pydantic's ValidationError, a ValueError."""
    return _ADAPTER.validate_json(text)


def schema_text() -> str:
    """The JSON Schema of the document."""
    return json.dumps(_ADAPTER.json_schema(), indent=2) + "\n"


def _reached(row: Row, aim: Aim) -> str:
    value = figure(row.result) if aim.absolute and row.result.has_figures else row.ratio
    if value is None or (aim.absolute and not row.result.has_figures):
        return ""
    if row.result.fell_short:
        return "short"
    sign = -1 if aim.at_most else 1
    return next(
        (word for word, bound in (("goal", aim.goal), ("must", aim.must)) if sign * value >= sign * bound), "short"
    )


def _machine() -> Machine:
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        python=platform.python_version(),
        uvloop=_version("uvloop", ""),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str, otherwise: str = "of this checkout") -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return otherwise
