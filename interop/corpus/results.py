"""What cases came to, as the records every report reads.

Belongs here: the verdict of a case, and the words for it. Does not belong here: the pages (`reports`).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from interop.corpus.model import Case, End, Expected, Observed, Played, Reaction, UnderTest, codes_of, fits
from interop.requirements.requirements import Level
from interop.runner.known_failures import KnownFailures, explanation
from reference_broker.wire.types import Version
from reports.record import Finding, Record, TraceEntry, Verdict

RAW = "raw"
"""The name of our own side, which is no implementation."""
_VERDICTS: dict[Level, Verdict] = {"must": Verdict.FAIL, "should": Verdict.WARN, "may": Verdict.OBSERVED}
_TRACE_BYTES = 256


@dataclass(frozen=True, slots=True)
class Run:
    """Who was tested, with the names and versions that go into each record."""

    tested: UnderTest
    name: str
    implementations: dict[str, str]
    started_at: str

    @property
    def client(self) -> str:
        """The record's client."""
        return self.name if self.tested is UnderTest.CLIENT else RAW

    @property
    def broker(self) -> str:
        """The record's broker."""
        return self.name if self.tested is UnderTest.BROKER else RAW


def judge(expected: Expected, observed: Observed) -> tuple[Level, tuple[str, ...], frozenset[Reaction]] | None:
    """What an observation breaks: level, statements and the reactions asked for; None where nothing is."""
    if not any(fits(reaction, observed) for reaction in expected.allowed):
        return expected.level, expected.cites, expected.allowed
    if not any(fits(reaction, observed) for reaction in expected.preferred):
        return "should", expected.preferred_cites, expected.preferred
    return None


def described(observed: Observed) -> str:
    """An observation in words."""
    said = []
    for packet in observed.packets:
        codes = "/".join(f"0x{code:02X}" for code in codes_of(packet))
        said.append(f"{packet.type.name} {codes}")
    if observed.garbled:
        said.append(f"bytes that are no packet ({observed.garbled})")
    return f"{', then '.join(said)}; {observed.end.value}" if said else observed.end.value


def record(run: Run, played: Played) -> Record:
    """The record of one case."""
    case, observed = played.case, played.observed
    level = case.expected.level
    verdict, reason, cites = Verdict.PASS, "", case.expected.cites
    findings: tuple[Finding, ...] = ()
    if observed is None:
        verdict, reason = Verdict.SETUP_FAILED, played.problem
    elif level == "may":
        verdict, reason = Verdict.OBSERVED, described(observed)
    elif broken := judge(case.expected, observed):
        finding = _finding(case, observed, *broken)
        verdict, reason, cites, findings = _VERDICTS[finding.level], finding.message, finding.cites, (finding,)
    blame: Literal["client", "broker", "none"] = "none"
    if findings:
        blame = "client" if run.tested is UnderTest.CLIENT else "broker"
    return Record(
        scenario=f"corpus/{case.id.partition('/')[2]}",
        title=f"{case.packet}: {case.field} {case.mutation}",
        area=case.area,
        client=run.client,
        broker=run.broker,
        mqtt=case.version.label,
        transport="tcp",
        verdict=verdict,
        reason=reason,
        cites=cites,
        covered={"client" if run.tested is UnderTest.CLIENT else "broker": case.expected.cites},
        level=level,
        blame=blame,
        seconds=round(played.seconds, 6),
        overhead_seconds=round(played.seconds, 6),
        started_at=run.started_at,
        findings=findings,
        trace=_trace(case, observed) if findings and observed is not None else (),
        implementations=run.implementations,
        rerun=_rerun(run, case),
    )


def with_known(records: Sequence[Record], known: KnownFailures, *, whole: bool) -> list[Record]:
    """The records with the reasons of failures that are expected.

    An entry names a kind of mutation, so a case that passes is nothing new. Where the `whole` corpus was played and an
    entry explained nothing, it is out of date, and what it speaks of passed unexpectedly.
    """
    entries = [
        known.entry_that_explains(one, one.implementations, [finding.rule for finding in one.findings], one.log)
        if one.findings
        else None
        for one in records
    ]
    used = {id(entry) for entry in entries if entry is not None}
    changed = []
    for one, entry in zip(records, entries, strict=True):
        speaking = known.entry_for(one, one.implementations) if whole and one.verdict is Verdict.PASS else None
        if entry is not None:
            changed.append(one.model_copy(update={"known_failure": explanation(entry)}))
        elif speaking is not None and id(speaking) not in used:
            changed.append(one.model_copy(update={"unexpected_pass": True}))
        else:
            changed.append(one)
    return changed


def _finding(
    case: Case, observed: Observed, level: Level, cites: tuple[str, ...], asked: frozenset[Reaction]
) -> Finding:
    expected = " or ".join(sorted(map(str, asked)))
    found = described(observed)
    return Finding(
        source="step",
        rule="reaction",
        level=level,
        blame="broker" if case.tested is UnderTest.BROKER else "client",
        cites=cites,
        message=f"expected: {expected}; {case.tested} sent: {found}; to {case.data[:48].hex(' ')}",
        expected=f"{expected}, to {case.data.hex(' ')}",
        observed=found + (f": {observed.received[:_TRACE_BYTES].hex(' ')}" if observed.received else ""),
        trace_index=1,
    )


def _trace(case: Case, observed: Observed) -> tuple[TraceEntry, ...]:
    us: Literal["client", "broker"] = "client" if case.tested is UnderTest.BROKER else "broker"
    sent = TraceEntry(
        at=0.0, link="raw", connection=1, kind="malformed" if case.malformed else "packet", sender=us,
        packet=None if case.malformed else case.packet, summary=f"{case.packet}: {case.field} {case.mutation}",
        hex=case.data[:_TRACE_BYTES].hex(), size_bytes=len(case.data),
    )  # fmt: skip
    ended = TraceEntry(
        at=0.0, link="raw", connection=1, kind="close" if observed.end is End.CLOSED else "packet",
        sender="broker" if us == "client" else "client", summary=described(observed),
        hex=observed.received[:_TRACE_BYTES].hex(), size_bytes=len(observed.received),
    )  # fmt: skip
    return sent, ended


def watch_record(run: Run, version: Version, number: int, batch: Sequence[Played], lost: str) -> Record:
    """The record of the healthy clients, who speak `version`, beside one batch."""
    cites = ("MQTT-4.5.0-1",)
    finding = Finding(source="step", rule="watch", level="must", blame="broker", cites=cites, message=lost)
    return Record(
        scenario=f"corpus/others-lose-nothing/batch-{number}",
        title="Clients that do nothing wrong lose nothing beside those that do",
        area="corpus-others",
        client=run.client,
        broker=run.broker,
        mqtt=version.label,
        transport="tcp",
        verdict=Verdict.FAIL if lost else Verdict.PASS,
        reason=lost,
        cites=cites,
        blame="broker" if lost else "none",
        seconds=max((one.seconds for one in batch), default=0.0),
        started_at=run.started_at,
        findings=(finding,) if lost else (),
        implementations=run.implementations,
        log="\n".join(one.case.id for one in batch) if lost else "",
    )


def _rerun(run: Run, case: Case) -> str:
    who = ["--broker", run.name] if run.tested is UnderTest.BROKER else ["--client", run.name]
    return shlex.join(["mqtt-interop", "corpus", *who, "--mqtt", case.version.label, "--case", case.id])
