"""Results for CI systems: JUnit XML, one testsuite per client, broker and version, one testcase per cell.

Belongs here: how a verdict maps to what JUnit can say.
Does not belong here: counting for people (`summary`), or the trace (it stays in `results.jsonl` and the HTML page).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as ET

from reports.again import Again
from reports.record import Record, Verdict
from reports.summary import Outcome, RunInfo, column_of, is_known, outcome_of, why

# XML 1.0 has no way to write these, not even as character references.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAXIMUM_LOG_CHARACTERS = 10_000

# What JUnit calls a cell; whatever is not here passed.
_ELEMENTS = {
    Outcome.FAIL: "failure",
    Outcome.FLAKY: "failure",
    Outcome.HARNESS_ERROR: "error",
    Outcome.SETUP_FAILED: "error",
    Outcome.KNOWN_FAILURE: "skipped",
    Outcome.AMBIGUOUS: "skipped",
    Outcome.UNSUPPORTED: "skipped",
}


def write_junit(records: Iterable[Record], path: Path, *, run: RunInfo | None = None) -> None:
    """Write `junit.xml`; raises OSError."""
    root = junit_tree(records, run=run)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")  # as text, because a file is handed each piece by itself
    path.write_text(f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n", encoding="utf-8")


def junit_tree(records: Iterable[Record], *, run: RunInfo | None = None) -> ET.Element:
    """The `testsuites` element; suites and cases are in the order of their names."""
    root = ET.Element("testsuites", name="mqtt-interop")
    ordered = sorted(records, key=lambda record: (column_of(record), record.cell_id))
    strict = run is not None and run.strict_known
    suites = [_suite(list(group), strict=strict) for _, group in groupby(ordered, key=column_of)]
    suites += [_not_run(run)] if run and run.gaps else []
    root.extend(suites)
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, 0)) for suite in suites)))
    root.set("time", _seconds(run.wall_seconds if run else sum(record.seconds for record in ordered)))
    return root


def _suite(records: list[Record], *, strict: bool) -> ET.Element:
    column = column_of(records[0])
    cases = [_case(record, strict=strict) for record in records]
    suite = ET.Element("testsuite", name=_clean(f"{column.client} with {column.broker}, MQTT {column.mqtt}"))
    suite.set("tests", str(len(cases)))
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", _seconds(sum(record.seconds for record in records)))
    if started := min((record.started_at for record in records if record.started_at), default=""):
        suite.set("timestamp", _clean(started))
    versions = {name: version for record in records for name, version in record.implementations.items()}
    facts = [(_clean(f"version.{name}"), version) for name, version in sorted(versions.items())]
    if (again := Again.of(records)).total:
        facts += [(f"played_again.{name}", str(count)) for name, count in asdict(again).items()]
    suite.append(_properties(facts))
    suite.extend(cases)
    return suite


def _not_run(run: RunInfo) -> ET.Element:
    """What is not known is no pass: each cell that did not run is an error, in a suite of its own."""
    count = str(len(run.gaps))
    suite = ET.Element("testsuite", name="cells that did not run", tests=count, failures="0", errors=count, skipped="0")
    suite.set("time", _seconds(0))
    for cell in run.gaps:
        case = ET.SubElement(suite, "testcase", classname="did-not-run", name=_clean(cell), time=_seconds(0))
        message = f"did not run: {run.stopped}" if run.stopped else "did not run"
        ET.SubElement(case, "error", message=_clean(message), type="did-not-run")
    return suite


def _case(record: Record, *, strict: bool) -> ET.Element:
    case = ET.Element(
        "testcase", classname=_clean(record.area), name=_clean(f"{record.scenario} over {record.transport}")
    )
    case.set("time", _seconds(record.seconds))
    case.append(_properties(_facts(record)))
    # A listed shortcoming of the set-up is as expected as a listed failure; JUnit's word for "expected" is skipped.
    tag = "skipped" if is_known(record) and outcome_of(record) in _ELEMENTS else _ELEMENTS.get(outcome_of(record))
    if strict and outcome_of(record) is Outcome.UNEXPECTED_PASS:
        tag = "failure"
    if tag:
        element = ET.SubElement(case, tag, message=_clean(_message(record)))
        if tag != "skipped":
            element.set("type", record.verdict.value)
            element.text = _clean(_story(record))
    elif record.verdict is not Verdict.PASS or record.unexpected_pass:
        ET.SubElement(case, "system-out").text = _clean(f"{_message(record)}\n\n{_story(record)}".strip())
    if record.log and tag in ("failure", "error"):
        ET.SubElement(case, "system-err").text = _clean(record.log[-_MAXIMUM_LOG_CHARACTERS:])
    return case


def _facts(record: Record) -> Iterable[tuple[str, str]]:
    yield "verdict", record.verdict.value
    yield "level", record.level
    yield "blame", record.blame
    yield from (("cites", statement) for statement in record.cites)
    yield "waiting_seconds", _seconds(record.waiting_seconds)
    yield "overhead_seconds", _seconds(record.overhead_seconds)
    if record.played_again:
        yield "played_again.withheld", str(record.played_again.withheld).lower()
        yield "played_again.lag_seconds", _seconds(record.played_again.lag_seconds)
    if record.known_failure and record.known_failure.link:
        yield "upstream", record.known_failure.link
    if record.known_failure:
        yield from (("evidence", each) for each in record.known_failure.evidence)
        yield from (("reading", each) for each in record.known_failure.readings)


def _properties(facts: Iterable[tuple[str, str]]) -> ET.Element:
    properties = ET.Element("properties")
    for name, value in facts:
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    return properties


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


def _clean(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
