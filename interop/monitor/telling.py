"""What a person is told: a line for each broken statement, the summary, and one record for each connection.

Belongs here: words, counts, records for `reports`.
Does not belong here: judging (`recorder`), when something is told (`watch`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from interop.judge import Finding
from interop.monitor.copier import Connection
from interop.runner.tracing import trace_records
from interop.runner.verdict import judge_finding
from reference_broker.wire.describe import summary
from reference_broker.wire.types import Version
from reports.record import Record, Verdict

KEPT_RECORDS = 1_000
"""How many connections come into the report, so that a monitor can run for ever; all are counted."""
_CONTEXT = 20
"""How many entries of a trace behind the last finding are kept."""


@dataclass(slots=True)
class Totals:
    """What went through, all connections together."""

    connections: int = 0
    packets: int = 0
    size_bytes: int = 0
    not_carried: Counter[str] = field(default_factory=Counter)
    not_judged: int = 0
    undecoded: int = 0
    broken: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By level, who is to blame, and statements or rule."""
    left_out: int = 0
    """Connections without a record, because there are too many."""


def line(connection: Connection, finding: Finding) -> str:
    """One finding as one line."""
    entry = connection.recorder.entry(finding)
    clock = time.strftime("%H:%M:%S")
    cites = ", ".join(finding.cites) or finding.rule
    packet = summary(entry.packet) if entry.packet is not None else f"{len(entry.data)} bytes" if entry.data else "end"
    return f"{clock} {connection.name} {finding.level.upper()} {finding.blame} [{cites}] {finding.message} | {packet}"


class Book:
    """Counts connections that ended, and keeps a record of each while there is room."""

    def __init__(self, upstream: str, implementations: dict[str, str]) -> None:
        self.totals = Totals()
        self.records: list[Record] = []
        self._upstream = upstream
        self._implementations = implementations

    def found(self, finding: Finding) -> None:
        """Count a finding."""
        what = ", ".join(finding.cites) or finding.rule
        self.totals.broken[finding.level.value, finding.blame.value, what] += 1

    def ended(self, connection: Connection) -> None:
        """Count a connection that is over, and keep its record if there is room."""
        recorder, totals = connection.recorder, self.totals
        totals.connections += 1
        totals.packets += recorder.packets
        totals.size_bytes += recorder.size_bytes
        if connection.problem:
            totals.not_carried[connection.problem] += 1
        totals.not_judged += bool(recorder.not_judged)
        totals.undecoded += recorder.has_undecoded
        if len(self.records) < KEPT_RECORDS:
            self.records.append(self._record(connection))
        else:
            totals.left_out += 1

    def summary(self) -> Iterator[str]:
        """The closing lines."""
        totals = self.totals
        yield f"{totals.connections:,} connections, {totals.packets:,} packets, {totals.size_bytes:,} bytes"
        for problem, count in totals.not_carried.items():
            yield f"{count:,} connections not carried on: {problem}"
        if totals.undecoded:
            yield f"{totals.undecoded:,} connections had bytes that are no MQTT; what came behind them was only copied"
        if totals.not_judged:
            yield f"{totals.not_judged:,} connections were judged in part: see their pages"
        if totals.left_out:
            yield f"{totals.left_out:,} connections have no page: the report holds the first {KEPT_RECORDS:,}"
        for (level, blame, what), count in totals.broken.most_common():
            yield f"{count:,} x {level.upper()} broken by the {blame}: {what}"
        if not totals.broken:
            yield "no statement broken"

    def _record(self, connection: Connection) -> Record:
        recorder = connection.recorder
        findings = tuple(judge_finding(each) for each in recorder.findings)
        levels = {finding.level for finding in findings}
        verdict = Verdict.FAIL if "must" in levels else Verdict.WARN if "should" in levels else Verdict.PASS
        blamed = {finding.blame for finding in findings}
        reason = findings[0].message if findings else connection.problem or recorder.not_judged
        if connection.problem:
            verdict = Verdict.SETUP_FAILED
        elif not findings and (recorder.not_judged or not recorder.packets):
            verdict = Verdict.OBSERVED
            reason = reason or "no packet came by"
        shown = max((finding.trace_index for finding in recorder.findings), default=-1) + 1 + _CONTEXT
        return Record(
            scenario=f"monitor/connection-{connection.number}",
            title=connection.name,
            about=recorder.not_judged,
            area="monitor",
            client="clients",
            broker=self._upstream,
            mqtt=(recorder.version or Version.V311).label,
            transport="tcp",
            verdict=verdict,
            reason=reason,
            cites=tuple(dict.fromkeys(cite for finding in findings for cite in finding.cites)),
            blame=("both" if len(blamed) > 1 else next(iter(blamed), "none")),
            seconds=round(time.time() - connection.began, 3),
            started_at=datetime.fromtimestamp(connection.began, UTC).isoformat(timespec="milliseconds"),
            findings=findings,
            trace=trace_records(recorder.trace, shown),
            implementations=self._implementations,
        )
