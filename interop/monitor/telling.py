"""What a person is told: a line for each broken statement, the summary, and one record for each connection.

Belongs here: words, counts, records for `reports`, and how much of all that is kept.
Does not belong here: judging (`recorder`), when something is told (`watch`).

A monitor may run for ever, so its report has limits: so many connections, and of each its beginning and what is around
its first findings. Everything is counted.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from interop.judge import Finding
from interop.monitor.copier import Connection
from interop.monitor.recorder import WhyNot
from interop.runner.secrets import without_password
from interop.runner.tracing import trace_records
from interop.runner.verdict import judge_finding
from reference_broker.wire.describe import summary
from reference_broker.wire.types import Version
from reports.record import Record, Verdict

KEPT_RECORDS = 200
"""How many connections come into the report of those that broke something, and how many of the others."""
_SHOWN_FINDINGS = 10
_BEGINNING, _BEFORE, _AFTER = 20, 10, 3
"""How many entries a page shows of a connection's beginning, and around each finding."""


@dataclass(slots=True)
class Totals:
    """What went through, all connections together."""

    connections: int = 0
    packets: int = 0
    size_bytes: int = 0
    not_carried: Counter[str] = field(default_factory=Counter)
    not_judged: Counter[WhyNot] = field(default_factory=Counter)
    broken: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By level, who is to blame, and statements or rule."""
    withdrawn: int = 0
    """Findings that later packets refuted."""
    left_out: int = 0
    """Connections without a record, because there are too many."""


def finding_line(connection: Connection, finding: Finding) -> str:
    """One finding as one line."""
    return _line(connection, _finding(connection, finding), connection.recorder.entry(finding).at)


def withdrawal_line(connection: Connection, finding: Finding) -> str:
    """A finding that later packets refuted, as one line."""
    return _line(connection, f"withdrawn: {_finding(connection, finding)}", connection.recorder.seconds)


def _finding(connection: Connection, finding: Finding) -> str:
    entry = connection.recorder.entry(finding)
    packet = summary(entry.packet) if entry.packet is not None else f"{len(entry.data)} bytes" if entry.data else "end"
    return f"{finding.level.upper()} {finding.blame} [{_cited(finding)}] {finding.message} | {packet}"


def notice_lines(connection: Connection) -> Iterator[str]:
    """Why a connection was not carried on, or is not judged any more; a line each."""
    if connection.problem:
        yield _line(connection, f"not carried on: {connection.problem}", connection.recorder.seconds)
    if connection.recorder.why_not is not None:
        yield _line(
            connection, f"not judged from here on: {connection.recorder.not_judged}", connection.recorder.seconds
        )


def _line(connection: Connection, what: str, seconds: float) -> str:
    """The text behind the time, so long after the connection began, and its name.

    What others chose (client identifiers, topics) can neither end nor colour it.
    """
    moment = time.strftime("%H:%M:%S", time.localtime(connection.began + seconds))
    text = f"{moment} {connection.name} {what}"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _cited(finding: Finding) -> str:
    return ", ".join(finding.cites) or finding.rule


class Book:
    """Counts what happened, and keeps a record of each connection while there is room."""

    def __init__(self, implementations: dict[str, str], area: str = "monitor", network: str = "") -> None:
        """`area` is what the records' scenarios are named after, `network` what all went through."""
        self.totals = Totals()
        self.records: list[Record] = []
        self._kept: Counter[bool] = Counter()
        self._area = area
        self._network = network
        self._implementations = implementations

    def found(self, finding: Finding) -> None:
        """Count a finding."""
        self.totals.broken[finding.level.value, finding.blame.value, _cited(finding)] += 1

    def withdrawn(self, finding: Finding) -> None:
        """Count a finding no more, and its withdrawal."""
        self.totals.broken[finding.level.value, finding.blame.value, _cited(finding)] -= 1
        self.totals.broken += Counter()  # what is at 0 goes
        self.totals.withdrawn += 1

    def settled(self, connection: Connection) -> None:
        """Keep the record of a connection that is judged to its end, if there is room."""
        recorder = connection.recorder
        if recorder.why_not is not None:
            self.totals.not_judged[recorder.why_not] += 1
        is_broken = bool(recorder.findings)
        if self._kept[is_broken] == KEPT_RECORDS:
            self.totals.left_out += 1
            return
        self._kept[is_broken] += 1
        self.records.append(self._record(connection))

    def ended(self, connection: Connection) -> None:
        """Count a connection that is over."""
        totals = self.totals
        totals.connections += 1
        totals.packets += connection.recorder.packets
        totals.size_bytes += connection.recorder.size_bytes
        if connection.problem:
            totals.not_carried[connection.problem] += 1

    def summary(self) -> Iterator[str]:
        """The closing lines."""
        totals = self.totals
        yield f"{totals.connections:,} connections, {totals.packets:,} packets judged, {totals.size_bytes:,} bytes"
        for problem, count in totals.not_carried.most_common():
            yield f"{count:,} connections not carried on: {problem}"
        for why_not, count in totals.not_judged.most_common():
            yield f"{count:,} connections judged in part or not at all: {why_not}"
        if totals.left_out:
            yield f"{totals.left_out:,} connections have no page in the report: it holds {KEPT_RECORDS:,} of a kind"
        for (level, blame, what), count in totals.broken.most_common():
            yield f"{count:,} x {level.upper()} broken by the {blame}: {what}"
        if totals.withdrawn:
            yield f"{totals.withdrawn:,} x withdrawn, because later packets refuted it"
        if not totals.broken:
            yield "no statement broken"

    def _record(self, connection: Connection) -> Record:
        recorder = connection.recorder
        shown = _shown(len(recorder.trace), recorder.findings[:_SHOWN_FINDINGS])
        places = {index: place for place, index in enumerate(shown)}
        findings = tuple(
            dataclasses.replace(each, trace_index=places[each.trace_index])
            for each in recorder.findings[:_SHOWN_FINDINGS]
        )
        blamed = {each.blame.value for each in recorder.findings}
        verdict, reason = _verdict(connection)
        return Record(
            scenario=f"{self._area}/connection-{connection.number}",
            title=connection.name,
            about=recorder.not_judged,
            area=self._area,
            client="clients",
            broker=connection.broker,
            mqtt=(recorder.version or Version.V311).label,
            transport=connection.transport,
            network=self._network,
            verdict=verdict,
            reason=reason,
            cites=tuple(dict.fromkeys(cite for finding in recorder.findings for cite in finding.cites)),
            blame="both" if len(blamed) > 1 else "client" if "client" in blamed else "broker" if blamed else "none",
            seconds=round(recorder.seconds, 3),
            started_at=datetime.fromtimestamp(connection.began, UTC).isoformat(timespec="milliseconds"),
            findings=tuple(judge_finding(each) for each in findings),
            trace=trace_records([recorder.trace.entries[index] for index in shown], without_password),
            implementations=self._implementations,
            log="".join(f"withdrawn: {_finding(connection, each)}\n" for each in recorder.withdrawn),
        )


def _verdict(connection: Connection) -> tuple[Verdict, str]:
    """The verdict of one connection and why it is no pass."""
    recorder = connection.recorder
    if connection.problem:
        return Verdict.SETUP_FAILED, connection.problem
    if recorder.findings:
        more = len(recorder.findings) - _SHOWN_FINDINGS
        reason = recorder.findings[0].message + (f" ({more:,} more findings have no place here)" if more > 0 else "")
        levels = {each.level.value for each in recorder.findings}
        return (Verdict.FAIL if "must" in levels else Verdict.WARN if "should" in levels else Verdict.OBSERVED), reason
    if recorder.why_not is not None or not recorder.packets:
        return Verdict.OBSERVED, recorder.not_judged or "no packet came by"
    return Verdict.PASS, ""


def _shown(size: int, findings: Sequence[Finding]) -> list[int]:
    """The entries of a trace of that size that a page shows, in order."""
    shown = set(range(min(size, _BEGINNING)))
    for finding in findings:
        shown.update(range(max(0, finding.trace_index - _BEFORE), min(size, finding.trace_index + _AFTER + 1)))
    return sorted(shown)
