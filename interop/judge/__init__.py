"""Reads a trace and names the statement that was broken, by client or broker, whatever the scenario was about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from interop.judge.registry import INSPECTIONS, RULES, citations
from interop.judge.rule import Breach, Inspection, Rule
from interop.judge.view import Asked, Case
from interop.requirements.requirements import known, statement
from interop.scenario.values import Level
from interop.tap.trace import Sender, TraceEntry
from reference_broker.wire.types import Version

__all__ = ["RULES", "Finding", "Rule", "citations", "judge"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule: by whom, how binding, the statements of the cell's version, and the entry that shows it."""

    rule: str
    blame: Sender
    level: Level
    cites: tuple[str, ...]
    message: str
    trace_index: int
    link: str


def judge(
    trace: Iterable[TraceEntry],
    version: Version,
    inspections: Sequence[Inspection] = INSPECTIONS,
    *,
    until: float = 0.0,
    asked: Asked | None = None,
    round_trip_seconds: float = 0.0,
) -> list[Finding]:
    """Everything that was broken in a trace, in its order; `version` is the one the cell is about.

    The trace tells all there was up to `until`, on its clock: what is missing then was waited for. By default it ends
    with its last entry.

    A connection whose CONNECT speaks another version is judged by that one: its statements are named in the message,
    because what is cited are statements of the cell's. `asked` tells, by link and connection, which version a client
    was asked to speak, where that need not be the cell's. `round_trip_seconds` is how long a packet to the broker and
    its answer may be under way beyond the tap.
    """
    case = Case(list(trace), version, until, asked, round_trip_seconds)
    spoken = {(talk.link, talk.number): talk.version for talk in case.talks}
    findings = [
        finding
        for inspect in inspections
        for breach in inspect(case)
        if (finding := _finding(breach, spoken[breach.entry.link, breach.entry.connection], version)) is not None
    ]
    return sorted(set(findings), key=lambda finding: (finding.trace_index, finding.rule))


def _finding(breach: Breach, spoken: Version, version: Version) -> Finding | None:
    """What a breach amounts to in the version spoken; nothing where that version has no such rule."""
    clause = breach.rule.clauses(breach.blame).get(spoken)
    if clause is None:
        return None
    ids = clause.ids if breach.ids is None else tuple(each for each in breach.ids if known(spoken.label, each))
    binding = {statement(spoken.label, each).level for each in ids}
    where = f" [{spoken.label} {clause.section}]" if clause.section and not ids else ""
    if ids and spoken is not version:
        where = f" [{spoken.label} {', '.join(ids)}]"
    return Finding(
        rule=breach.rule.name,
        blame=breach.blame,
        level=Level.SHOULD if binding == {"should"} else clause.level,
        cites=ids if spoken is version else (),
        message=breach.message + where,
        trace_index=breach.entry.index,
        link=breach.entry.link,
    )
