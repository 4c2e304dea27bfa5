"""Results for what reads CTRF, the Common Test Report Format: one JSON document, one test per cell.

Belongs here: how an outcome maps to what CTRF can say. Does not belong here: JUnit (`junit`), counting (`summary`).

CTRF's schema allows no keys of one's own but in `extra`; times are whole milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from reports.at import line_of
from reports.counts import column_of
from reports.outcome import Outcome, is_known, is_red, outcome_of, why
from reports.record import Record
from reports.summary import RunInfo

SPEC_VERSION = "0.0.0"
STATUSES = ("passed", "failed", "skipped", "pending", "other")

# What CTRF calls a cell that is as expected and did not pass; what is not as expected, failed.
_STATUSES = {
    Outcome.UNSUPPORTED: "skipped",
    Outcome.KNOWN_FAILURE: "other",
    Outcome.AMBIGUOUS: "other",
    Outcome.KNOWN_SETUP_FAILED: "other",
}
Json = dict[str, Any]


@dataclass(slots=True)
class _Tally:
    """What the document says of all tests, before the tests."""

    statuses: Counter[str] = field(default_factory=Counter)
    suites: set[str] = field(default_factory=set)
    start: int | None = None
    stop: int | None = None

    def count(self, test: Json) -> Json:
        """Count one test, which is given back."""
        self.statuses[test["status"]] += 1
        self.suites.add(test["suite"][0])
        if "start" in test:
            self.start = min(test["start"], test["start"] if self.start is None else self.start)
            self.stop = max(test["stop"], test["stop"] if self.stop is None else self.stop)
        return test

    @property
    def summary(self) -> Json:
        """As CTRF has it."""
        start, stop = self.start or 0, self.stop or 0
        counts = {status: self.statuses[status] for status in STATUSES}
        return {"tests": self.statuses.total(), **counts, "start": start, "stop": stop, "suites": len(self.suites)}


def write_ctrf(records: Iterable[Record], path: Path, *, run: RunInfo | None = None) -> None:
    """Write `ctrf.json`, one test a line; raises OSError."""
    tally = _Tally()
    lines = [to_json(tally.count(test)) for test in _tests(records, run)]  # text takes a third of the room
    document = to_json(_document(tally, run)).removesuffix(b"}}")
    with path.open("wb") as out:
        out.write(document + b',"tests":[\n')
        out.write(b",\n".join(lines))
        out.write(b"\n]}}\n")


def ctrf(records: Iterable[Record], *, run: RunInfo | None = None) -> Json:
    """The whole document; tests are in the order of their names."""
    tally = _Tally()
    tests = [tally.count(test) for test in _tests(records, run)]
    document = _document(tally, run)
    document["results"]["tests"] = tests
    return document


def _document(tally: _Tally, run: RunInfo | None) -> Json:
    """All but the tests, which come last."""
    tool: Json = {"name": "mqtt-interop"} | ({"version": run.harness_version} if run else {})
    results: Json = {"tool": tool, "summary": tally.summary}
    if run and run.shard:
        results["environment"] = {"shardId": run.shard}
    return {"reportFormat": "CTRF", "specVersion": SPEC_VERSION, "generatedBy": "mqtt-interop", "results": results}


def _tests(records: Iterable[Record], run: RunInfo | None) -> Iterator[Json]:
    strict = run is not None and run.strict_known
    for record in sorted(records, key=lambda record: (column_of(record), record.cell_id)):
        yield _test(record, strict=strict)
    if run:
        yield from (_not_run(cell, run.stopped) for cell in run.gaps)


def _test(record: Record, *, strict: bool) -> Json:
    column, outcome, milliseconds = column_of(record), outcome_of(record), 1000 * record.seconds
    test: Json = {
        "testId": record.cell_id,
        "name": f"{record.scenario} over {record.transport}",
        "status": _status(record, outcome, strict=strict),
        "rawStatus": outcome.value,
        "duration": round(milliseconds),
        "suite": [f"{column.client} with {column.broker}, MQTT {column.mqtt}", record.area],
        "tags": [record.area, record.level, *record.cites],
        "type": "interoperability",
        "retries": record.attempts - 1,
    }
    if record.started_at:
        began = 1000 * datetime.fromisoformat(record.started_at).timestamp()
        test |= {"start": round(began), "stop": round(began + milliseconds)}
    if record.file:
        test |= {"filePath": record.file, "line": line_of(record)}
    if message := why(record):
        test["message"] = message
    extra: Json = {"blame": record.blame, "rerun": record.rerun}
    if record.known_failure is not None:
        extra["known"] = record.known_failure.model_dump(mode="json", exclude_defaults=True)
    test["extra"] = extra
    return test


def _status(record: Record, outcome: Outcome, *, strict: bool) -> str:
    if is_red(record, strict_known=strict):
        return "failed"
    return "other" if is_known(record) else _STATUSES.get(outcome, "passed")


def _not_run(cell: str, why_not: str) -> Json:
    """What is not known is no pass; nor is it pending, as nobody will play it any more."""
    message = f"did not run: {why_not}" if why_not else "did not run"
    return {
        "name": cell, "status": "failed", "rawStatus": "did-not-run", "duration": 0,
        "suite": ["cells that did not run"], "message": message,
    }  # fmt: skip
