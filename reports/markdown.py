"""A summary for a pull request or a CI job's page: short enough to be read, with the news first.

Belongs here: GitHub-flavoured Markdown from a `Summary`, bounded in length.
Does not belong here: counting (`summary`), or single cells in depth (`html`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from reports.again import Again
from reports.counts import Counts
from reports.defects import NO_SENTENCES, Defect, Sentences, find_defects, in_numbers, so_many
from reports.outcome import Outcome, outcome_of, why
from reports.record import KnownFailure, Record
from reports.summary import RunInfo, Summary
from reports.words import cell_link, cells, duration, number

_MAXIMUM_ROWS = 30
_SLOWEST = 5
_LINK = re.compile(r"https?://[^\s()|<>]+")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#@&])")


def write_markdown(
    summary: Summary,
    path: Path,
    *,
    run: RunInfo | None = None,
    sentences: Sentences = NO_SENTENCES,
    defects: Sequence[Defect] | None = None,
) -> None:
    """Write `summary.md`; raises OSError."""
    path.write_text(markdown(summary, run=run, sentences=sentences, defects=defects), encoding="utf-8")


def markdown(
    summary: Summary,
    *,
    run: RunInfo | None = None,
    sentences: Sentences = NO_SENTENCES,
    defects: Sequence[Defect] | None = None,
    has_page: bool = True,
) -> str:
    """The whole text; where it `has_page`, links lead to a `report.html` beside it."""
    found = find_defects(summary.records) if defects is None else defects
    sections = (
        [f"## MQTT interoperability\n\n**{summary.headline}**"],
        _defects(found, sentences, has_page=has_page),
        _not_run(run),
        ["\n".join(f"- {_escape(implementation.sentence)}" for implementation in summary.implementations)],
        [Again.of(summary.records).sentence],
        _news(summary),
        _matrix(summary),
        _costs(summary, run),
    )
    return "\n\n".join(part for section in sections for part in section if part) + "\n"


def _defects(defects: Sequence[Defect], sentences: Sentences, *, has_page: bool) -> Iterable[str]:
    """New ones in full, then known ones and warnings to be unfolded."""
    if not defects:
        return
    yield f"### {in_numbers(defects).rstrip('.')}"
    for outcome, ordered in groupby(defects, key=lambda defect: defect.outcome):
        group = list(ordered)
        if outcome is not Outcome.FAIL:
            yield f"<details><summary>{so_many(len(group), outcome)}</summary>"
        yield "\n".join(_defect(defect, sentences, has_page=has_page) for defect in group[:_MAXIMUM_ROWS])
        if len(group) > _MAXIMUM_ROWS:
            yield f"… and {number(len(group) - _MAXIMUM_ROWS)} more in `report.html`."
        if outcome is not Outcome.FAIL:
            yield "</details>"


def _defect(defect: Defect, sentences: Sentences, *, has_page: bool) -> str:
    """One item of a numbered list."""
    smallest = defect.smallest
    name = _code(smallest.scenario)
    link = f"[{name}](<report.html{cell_link(smallest)}>)" if has_page else name
    lines = [f"{defect.number}. **{defect.outcome.label}** by {_escape(defect.blamed)}: {_escape(defect.headline)}"]
    if defect.statements:
        mqtt, cite = defect.statements[0]
        lines.append(_escape(f"{mqtt} {cite}: {defect.sentence(sentences)}".rstrip(": ")))
    lines += [f"Listed as known: {_known(known)}" for known in defect.listed_as]
    lines.append(f"{defect.extent}; smallest trace: {link}, {_place(smallest)}")
    return "<br>\n   ".join(lines)


def _news(summary: Summary) -> Iterable[str]:
    failed = (Outcome.HARNESS_ERROR, Outcome.SETUP_FAILED, Outcome.FLAKY)
    yield from _listing("Errors and flaky cells", summary.with_outcome(*failed))
    yield from _listing("Unexpected passes", summary.with_outcome(Outcome.UNEXPECTED_PASS))


def _not_run(run: RunInfo | None) -> Iterable[str]:
    if run is None or not run.gaps:
        return
    yield f"**{_escape(run.not_run_sentence)}**"
    yield "<details><summary>Cells that did not run</summary>"
    yield "\n".join(f"- {_code(cell)}" for cell in run.gaps[:_MAXIMUM_ROWS])
    if len(run.gaps) > _MAXIMUM_ROWS:
        yield f"… and {number(len(run.gaps) - _MAXIMUM_ROWS)} more in `junit.xml`."
    yield "</details>"


def _listing(title: str, records: Sequence[Record]) -> Iterable[str]:
    if not records:
        return
    rows = [
        f"| {outcome_of(r).label} | {_code(r.scenario)} | {_place(r)} | {_escape(why(r))} "
        f"| {_escape(', '.join(r.cites))} |"
        for r in records[:_MAXIMUM_ROWS]
    ]
    table = "\n".join(["| | scenario | where | why | statements |", "|---|---|---|---|---|", *rows])
    yield f"### {title} ({number(len(records))})"
    yield table
    if len(records) > _MAXIMUM_ROWS:
        yield f"… and {cells(len(records) - _MAXIMUM_ROWS)} more in `report.html`."


def _place(record: Record) -> str:
    return _escape(f"{record.client} with {record.broker}, {record.mqtt}, {record.transport}")


def _known(known: KnownFailure) -> str:
    link = f" ([upstream]({known.link}))" if known.link and _LINK.fullmatch(known.link) else ""
    evidence = [f" ([evidence]({each}))" if _LINK.fullmatch(each) else f" ({_escape(each)})" for each in known.evidence]
    readings = [f" Reading {place}: {_escape(each)}" for place, each in enumerate(known.readings, start=1)]
    return "".join((_escape(known.reason), link, *evidence, *readings))


def _matrix(summary: Summary) -> Iterable[str]:
    """Areas by pair of client and broker, all versions together, so that it fits on a page."""
    pairs = sorted({(column.client, column.broker) for column in summary.columns})
    if not pairs:
        return
    one_broker = len({broker for _, broker in pairs}) == 1
    heads = [client if one_broker else f"{client} with {broker}" for client, broker in pairs]
    yield "### Cells that pass, by area"
    lines = [f"| area | {' | '.join(map(_escape, heads))} |", "|---|" + "---:|" * len(pairs)]
    for area in summary.areas:
        row = [_entry(summary.counts_where(area=area, client=client, broker=broker)) for client, broker in pairs]
        lines.append(f"| {_escape(area)} | {' | '.join(row)} |")
    row = [_entry(summary.counts_where(client=client, broker=broker)) for client, broker in pairs]
    lines.append(f"| **all** | {' | '.join(row)} |")
    yield "\n".join(lines)
    yield _escape(summary.unsupported_sentence)


def _entry(counts: Counts) -> str:
    if not counts.applying:
        return "-"
    new, flaky = counts[Outcome.FAIL], counts[Outcome.FLAKY]
    known = counts[Outcome.KNOWN_FAILURE] + counts[Outcome.KNOWN_SETUP_FAILED]
    broken = counts[Outcome.HARNESS_ERROR] + counts[Outcome.SETUP_FAILED]
    notes = [
        f"**{number(new)} new**" if new else "",
        f"**{number(broken)} broken**" if broken else "",
        f"**{number(flaky)} flaky**" if flaky else "",
        f"{number(known)} known" if known else "",
    ]
    aside = ", ".join(filter(None, notes))
    return f"{number(counts.passed)} of {number(counts.applying)}" + (f" ({aside})" if aside else "")


def _costs(summary: Summary, run: RunInfo | None) -> Iterable[str]:
    if run:
        workers = "1 worker" if run.workers == 1 else f"{run.workers} workers"
        yield f"Took {duration(run.wall_seconds)} with {workers}; mqtt-interop {_escape(run.harness_version)}."
        yield run.left_out_sentence
    if summary.overhead:
        yield summary.overhead.sentence
    if slowest := summary.slowest[:_SLOWEST]:
        yield "<details><summary>Slowest cells</summary>"
        rows = [
            f"| {_code(r.scenario)} | {_place(r)} | {duration(r.seconds)} | {duration(r.waiting_seconds)} |"
            for r in slowest
        ]
        yield "\n".join(["| scenario | where | time | of it waiting |", "|---|---|---:|---:|", *rows])
        yield "</details>"


def _code(text: str) -> str:
    return f"`{' '.join(text.replace('`', chr(39)).replace('|', '/').split())}`"


def _escape(text: str) -> str:
    """Text that Markdown, a table or HTML could take for markup, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("\\<", "&lt;").replace("\\&", "&amp;")
