"""Results for CI systems: JUnit XML, one testsuite per client, broker and version, one testcase per cell.

Belongs here: how a verdict maps to what JUnit can say.
Does not belong here: counting for people (`summary`), or the trace (it stays in `results.jsonl` and the HTML page).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
    given = list(records)
    root = _root(given, run)
    with path.open("w", encoding="utf-8") as out:
        out.write(f"<?xml version='1.0' encoding='utf-8'?>\n{_text(root).removesuffix(' />')}")
        between = ">\n  "
        for suite in _suites(given, run):  # one after another: a tree takes ten times the room of its text
            ET.indent(suite, level=1)
            out.write(between + _text(suite))
            between = "\n  "
        out.write(" />\n" if between.startswith(">") else "\n</testsuites>\n")


def junit_tree(records: Iterable[Record], *, run: RunInfo | None = None) -> ET.Element:
    """The `testsuites` element; suites and cases are in the order of their names."""
    given = list(records)
    root = _root(given, run)
    root.extend(_suites(given, run))
    return root


def _text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")  # as text, because a file is handed each piece by itself


def _root(records: Sequence[Record], run: RunInfo | None) -> ET.Element:
    root = ET.Element("testsuites", name="mqtt-interop")
    tags = Counter(_tag(record, strict=_is_strict(run)) for record in records)
    gaps = len(run.gaps) if run else 0
    root.set("tests", str(len(records) + gaps))
    root.set("failures", str(tags["failure"]))
    root.set("errors", str(tags["error"] + gaps))
    root.set("skipped", str(tags["skipped"]))
    root.set("time", _seconds(run.wall_seconds if run else sum(record.seconds for record in records)))
    return root


def _suites(records: Iterable[Record], run: RunInfo | None) -> Iterator[ET.Element]:
    ordered = sorted(records, key=lambda record: (column_of(record), record.cell_id))
    for _, group in groupby(ordered, key=column_of):
        yield _suite(list(group), strict=_is_strict(run))
    if run and run.gaps:
        yield _not_run(run)


def _is_strict(run: RunInfo | None) -> bool:
    return run is not None and run.strict_known


def _tag(record: Record, *, strict: bool) -> str:
    """What JUnit calls it; empty for what passed."""
    outcome = outcome_of(record)
    if strict and outcome is Outcome.UNEXPECTED_PASS:
        return "failure"
    # A listed shortcoming of the set-up is as expected as a listed failure; JUnit's word for "expected" is skipped.
    return "skipped" if is_known(record) and outcome in _ELEMENTS else _ELEMENTS.get(outcome, "")


def _suite(records: list[Record], *, strict: bool) -> ET.Element:
    column = column_of(records[0])
    cases = [_case(record, strict=strict) for record in records]
    suite = ET.Element("testsuite", name=_clean(f"{column.client} with {column.broker}, MQTT {column.mqtt}"))
    suite.set("tests", str(len(cases)))
    tags = Counter(_tag(record, strict=strict) for record in records)
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(tags[tag]))
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
    if tag := _tag(record, strict=strict):
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
