"""Results for CI systems: JUnit XML, one testsuite per client, broker and version, one testcase per cell.

Belongs here: how a verdict maps to what JUnit can say.
Does not belong here: counting for people (`summary`), or the trace (it stays in `results.jsonl` and the HTML page).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from reports.again import Again
from reports.counts import column_of
from reports.outcome import Outcome, is_known, outcome_of, why
from reports.record import Record, Verdict
from reports.summary import RunInfo

# All but what stands for itself. XML 1.0 has no way to write what has no reference, not even as a number.
_SPECIAL = re.compile(r"[^ !#-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#09;"}
_IN_TEXT = {**_REFERENCES, **{each: each for each in '"\r\n\t'}}
_MAXIMUM_LOG_CHARACTERS = 10_000

# What JUnit calls a cell; whatever is not here passed.
_ELEMENTS = {
    Outcome.FAIL: "failure",
    Outcome.FLAKY: "failure",
    Outcome.HARNESS_ERROR: "error",
    Outcome.SETUP_FAILED: "error",
    Outcome.KNOWN_FAILURE: "skipped",
    Outcome.AMBIGUOUS: "skipped",
    Outcome.KNOWN_SETUP_FAILED: "skipped",
    Outcome.UNSUPPORTED: "skipped",
}
_Case = tuple[Record, str]
"""A cell, and what JUnit calls it; empty for what passed."""


def write_junit(records: Iterable[Record], path: Path, *, run: RunInfo | None = None) -> None:
    """Write `junit.xml`; raises OSError."""
    with path.open("w", encoding="utf-8") as out:
        out.writelines(f"{part}\n" for part in junit(records, run=run))


def junit(records: Iterable[Record], *, run: RunInfo | None = None) -> Iterator[str]:
    """The document suite by suite, as lines; suites and cases are in the order of their names.

    It is written as text, because a tree of it takes ten times the room and more than twice as long.
    """
    strict, gaps = run is not None and run.strict_known, run.gaps if run else ()
    ordered = sorted(records, key=lambda record: (column_of(record), record.cell_id))
    cases = [(record, _tag(record, strict=strict)) for record in ordered]
    seconds = run.wall_seconds if run else sum(record.seconds for record in ordered)
    told = {"name": "mqtt-interop", **_counts(cases, missing=len(gaps)), "time": _seconds(seconds)}
    yield "<?xml version='1.0' encoding='utf-8'?>"
    if not cases and not gaps:
        yield _element(0, "testsuites", told)
        return
    yield f"<testsuites{_written(told)}>"
    for _, group in groupby(cases, key=lambda case: column_of(case[0])):
        yield _suite(list(group))
    if run and gaps:
        yield _not_run(gaps, run.stopped)
    yield "</testsuites>"


def _tag(record: Record, *, strict: bool) -> str:
    """What JUnit calls it; empty for what passed."""
    outcome = outcome_of(record)
    if strict and outcome is Outcome.UNEXPECTED_PASS:
        return "failure"
    # A listed shortcoming of the set-up is as expected as a listed failure; JUnit's word for "expected" is skipped.
    return "skipped" if is_known(record) and outcome in _ELEMENTS else _ELEMENTS.get(outcome, "")


def _counts(cases: Sequence[_Case], missing: int = 0) -> dict[str, str]:
    tags = Counter(tag for _, tag in cases)
    return {
        "tests": str(len(cases) + missing),
        "failures": str(tags["failure"]),
        "errors": str(tags["error"] + missing),
        "skipped": str(tags["skipped"]),
    }


def _suite(cases: Sequence[_Case]) -> str:
    records = [record for record, _ in cases]
    column = column_of(records[0])
    told = {
        "name": f"{column.client} with {column.broker}, MQTT {column.mqtt}",
        **_counts(cases),
        "time": _seconds(sum(record.seconds for record in records)),
    }
    if started := min((record.started_at for record in records if record.started_at), default=""):
        told["timestamp"] = started
    versions = {name: version for record in records for name, version in record.implementations.items()}
    facts = [_property(3, f"version.{name}", version) for name, version in sorted(versions.items())]
    if (again := Again.of(records)).total:
        facts += [_property(3, f"played_again.{name}", str(count)) for name, count in asdict(again).items()]
    properties = _element(2, "properties", {}, *facts)
    return _element(1, "testsuite", told, properties, *(_case(record, tag) for record, tag in cases))


def _not_run(gaps: Iterable[str], stopped: str) -> str:
    """What is not known is no pass: each cell that did not run is an error, in a suite of its own."""
    error = {"message": f"did not run: {stopped}" if stopped else "did not run", "type": "did-not-run"}
    told = [{"classname": "did-not-run", "name": cell, "time": _seconds(0)} for cell in gaps]
    cases = (_element(2, "testcase", each, _leaf(3, "error", error)) for each in told)
    name = "cells that did not run"
    return _element(1, "testsuite", {"name": name, **_counts((), missing=len(told)), "time": _seconds(0)}, *cases)


def _case(record: Record, tag: str) -> str:
    told = {
        "classname": record.area,
        "name": f"{record.scenario} over {record.transport}",
        "time": _seconds(record.seconds),
    }
    return _element(2, "testcase", told, _element(3, "properties", {}, *_facts(record)), *_outcome(record, tag))


def _outcome(record: Record, tag: str) -> Iterator[str]:
    """What stands in a case besides its properties; nothing for a plain pass."""
    if tag == "skipped":
        yield _leaf(3, tag, {"message": _message(record)})
    elif tag:
        yield _leaf(3, tag, {"message": _message(record), "type": record.verdict.value}, _story(record))
    elif record.verdict is not Verdict.PASS or record.unexpected_pass:
        yield _leaf(3, "system-out", {}, f"{_message(record)}\n\n{_story(record)}".strip())
    if tag in ("failure", "error") and (log := record.log):
        yield _leaf(3, "system-err", {}, log[-_MAXIMUM_LOG_CHARACTERS:])


def _facts(record: Record) -> Iterator[str]:
    """The properties of a case."""
    yield _property(4, "verdict", record.verdict.value)
    yield _property(4, "level", record.level)
    yield _property(4, "blame", record.blame)
    for statement in record.cites:
        yield _property(4, "cites", statement)
    yield _measured(4, "waiting_seconds", record.waiting_seconds)
    yield _measured(4, "overhead_seconds", record.overhead_seconds)
    if record.played_again:
        yield _property(4, "played_again.withheld", str(record.played_again.withheld).lower())
        yield _measured(4, "played_again.lag_seconds", record.played_again.lag_seconds)
    if known := record.known_failure:
        yield from (_property(4, "upstream", known.link),) if known.link else ()
        yield from (_property(4, "evidence", each) for each in known.evidence)
        yield from (_property(4, "reading", each) for each in known.readings)


def _message(record: Record) -> str:
    if outcome_of(record) is Outcome.UNEXPECTED_PASS:
        return why(record)
    if record.known_failure and is_known(record):
        return f"known: {record.known_failure.reason}"
    return f"{record.verdict}: {record.reason}" if record.reason else record.verdict.value


def _story(record: Record) -> str:
    """The findings and how to run the cell again, for who reads only the CI system's page."""
    parts = [record.reason] if record.reason else []
    for finding in record.findings:
        parts.append(f"{finding.level.upper()} {' '.join(finding.cites)} ({finding.blame}): {finding.message}")
        parts += [f"  expected: {finding.expected}"] if finding.expected else []
        parts += [f"  observed: {finding.observed}"] if finding.observed else []
    parts += [f"again: {record.rerun}"] if record.rerun else []
    return "\n".join(parts)


def _seconds(value: float) -> str:
    return f"{value:.3f}"


# --- XML --------------------------------------------------------------------------------------------------------------


def _element(depth: int, name: str, attributes: Mapping[str, str], *inner: str) -> str:
    """An element with others in it."""
    start = f"{'  ' * depth}<{name}{_written(attributes)}"
    return "\n".join((f"{start}>", *inner, f"{'  ' * depth}</{name}>")) if inner else f"{start} />"


def _leaf(depth: int, name: str, attributes: Mapping[str, str], text: str = "") -> str:
    """An element with nothing in it but text."""
    start = f"{'  ' * depth}<{name}{_written(attributes)}"
    return f"{start}>{_escaped(text, _IN_TEXT)}</{name}>" if text else f"{start} />"


@lru_cache(1_000)  # most of what is said of cells is said of many
def _property(depth: int, name: str, value: str) -> str:
    return _leaf(depth, "property", {"name": name, "value": value})


def _measured(depth: int, name: str, seconds: float) -> str:
    """The property of a time, which is said of one cell alone; neither part needs a reference."""
    return f'{"  " * depth}<property name="{name}" value="{_seconds(seconds)}" />'


def _written(attributes: Mapping[str, str]) -> str:
    return "".join([f' {name}="{_escaped(value, _REFERENCES)}"' for name, value in attributes.items()])


def _escaped(text: str, references: Mapping[str, str]) -> str:
    return _SPECIAL.sub(lambda match: references.get(match[0], "\ufffd"), text)
