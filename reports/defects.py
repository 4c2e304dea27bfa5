"""Defects, not cells: bad cells grouped by what was broken, so that a reader sees ten things to mend and not 87 cells.

Belongs here: pure functions over records; which cells show the same defect, the order defects are read in, their words.
Does not belong here: markup, or how a verdict came about (`interop.runner.verdict`).

Cells show the same defect when the same side of the same name is to blame, the same rule of the judge or verb of a step
told, and its message says the same of the same packet, but for names and numbers. A rule of the judge is about one
thing, so that is all for it. A step's words say little of what they are about (`it stayed open`), so its cells must
also have something in common that they are about: a statement of the same version, or the scenario, which ties
versions.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from reports.outcome import Outcome, is_known, outcome_of, reading_order
from reports.record import EntryOutline, Finding, KnownFailure, Record, TraceEntry, Verdict
from reports.words import cells, number

Sentences = Mapping[tuple[str, str], str]
"""What the statements say, by version and id."""
NO_SENTENCES: Sentences = MappingProxyType({})

Tie = tuple[str, str]
Brevity = tuple[bool, bool, int, str]
Trace = Sequence[TraceEntry] | Sequence[EntryOutline]

_BAD = frozenset({Verdict.FAIL, Verdict.WARN})
_TITLES = {Outcome.FAIL: "new", Outcome.KNOWN_FAILURE: "known", Outcome.AMBIGUOUS: "ambiguous", Outcome.WARN: "warning"}
_PACKETS = (
    *("type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP"),
    *("SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"),
)
_ABSTRACTED = "…"
_AND_MORE = re.compile(r" \(and \d+ more\)$")
_PACKET = r"[A-Z]{4,}(?:\{[^{}]*\})?"
_ROW = re.compile(rf"{_PACKET}(?:, {_PACKET})+")
"""packets in a row"""
_DIFFERS = "|".join(
    (
        r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"",  # what is quoted
        _ROW.pattern,
        r"\{[^{}]*\}|\[[^\[\]]*\]",  # a packet's fields, several values
        r"\b[0-9a-f]{2}(?: [0-9a-f]{2})+\b|\b0x[0-9A-Fa-f]+(?:/0x[0-9A-Fa-f]+)*",  # bytes
        r"\b\d+(?:\.\d+)?\b",
    )
)


class Cited(NamedTuple):
    """A statement of one version."""

    mqtt: str
    id: str


class _Seen(NamedTuple):
    """What cells of one defect have in common; its order is that of defects which are equally bad."""

    verdict: Verdict
    side: Literal["client", "broker", "unknown"]
    name: str
    source: Literal["step", "judge"]
    rule: str
    packet: str
    words: tuple[str, ...]
    """the message without what may differ"""


@dataclass(frozen=True, slots=True)
class _Case:
    """A bad cell with what its trace tells of it: the trace may still be in its file, and is looked at once."""

    record: Record
    finding: Finding | None
    """the one that its reason tells"""
    packet: str
    """the one that diverges, also one that cannot be decoded; empty where there is none"""
    words: str
    """what its reason tells, without the link on which a rule of the judge saw it"""
    differs: re.Pattern[str]
    """what may differ between cells of one defect; a link may have the name of a side, so these are names, too"""
    brevity: Brevity

    @classmethod
    def of(cls, record: Record) -> _Case:
        """Look at it."""
        trace, finding = record.outline.trace, told(record)
        links = {entry.link for entry in trace}
        differs = _with_names(frozenset({"client", "broker"} | (links - {""})))
        words = record.reason if finding is None else _words(finding, links)
        return cls(record, finding, _packet(trace, finding), words, differs, _brevity(trace, record))

    @property
    def cites(self) -> tuple[str, ...]:
        """The statements that are broken."""
        return (self.finding.cites if self.finding else ()) or self.record.cites


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing that is broken, and the cells that show it."""

    number: int
    """1 for the first"""
    outcome: Outcome
    """`fail` where a cell of it is new, `known-failure` where all are listed, `warn`"""
    side: Literal["client", "broker", "unknown"]
    name: str
    """the implementation that is to blame; `client with broker` where the side is not known"""
    rule: str
    """the rule of the judge, or the step's verb"""
    source: Literal["step", "judge"]
    headline: str
    """what the smallest case says; where others say another name or number, `…`; a row of packets is its own"""
    statements: tuple[Cited, ...]
    """the one that most of its cells are about in the version of the smallest case, then those of other versions"""
    records: tuple[Record, ...]
    """in reading order"""
    smallest: Record
    """the cell with the shortest trace"""

    @property
    def known(self) -> int:
        """How many of its cells are listed."""
        return sum(map(is_known, self.records))

    @property
    def is_known(self) -> bool:
        """Whether all of its cells are listed."""
        return self.known == len(self.records)

    @property
    def listed_as(self) -> tuple[KnownFailure, ...]:
        """Why cells of it are listed, the reason of most cells first."""
        found = Counter(record.known_failure for record in self.records if record.known_failure)
        return tuple(sorted(found, key=lambda known: (-found[known], known.reason, known.link or "")))

    @property
    def blamed(self) -> str:
        """`the client gmqtt`, or `paho with mosquitto, side unknown`; `nobody (...)` where it is ambiguous."""
        if self.outcome is Outcome.AMBIGUOUS:
            return f"nobody ({self.name})"
        return f"{self.name}, side unknown" if self.side == "unknown" else f"the {self.side} {self.name}"

    @property
    def extent(self) -> str:
        """`58 cells, 50 of them known`."""
        count = len(self.records)
        aside = "" if not self.known else ", known" if self.is_known else f", {number(self.known)} of them known"
        return cells(count) + aside

    @property
    def where(self) -> str:
        """`MQTT 3.1.1, 5.0 over tcp`."""
        versions, transports = ({*each} for each in zip(*((r.mqtt, r.transport) for r in self.records), strict=True))
        return f"MQTT {', '.join(sorted(versions))} over {', '.join(sorted(transports))}"

    def sentence(self, sentences: Sentences) -> str:
        """What its first statement says; empty where none is cited, or the sentence is not at hand."""
        return sentences.get(self.statements[0], "") if self.statements else ""


def is_bad(record: Record) -> bool:
    """Whether a cell shows a defect of an implementation, known or not."""
    return record.verdict in _BAD


def brevity(record: Record) -> Brevity:
    """A sort key: the shortest whole trace first, those with gaps after all others, none at all last."""
    return _brevity(record.outline.trace, record)


def _brevity(trace: Trace, record: Record) -> Brevity:
    return not trace, any(entry.kind == "gap" for entry in trace), len(trace), record.cell_id


def find_defects(records: Iterable[Record]) -> tuple[Defect, ...]:
    """All defects, the worst first and the most frequent of equally bad ones; every bad cell is in exactly one."""
    alike: defaultdict[_Seen, list[_Case]] = defaultdict(list)
    for record in sorted(filter(is_bad, records), key=reading_order):
        case = _Case.of(record)
        alike[_seen(case)].append(case)
    found = [(seen, group) for seen, some in alike.items() for group in _tied(some)]
    found.sort(key=lambda each: (*_badness(each[1]), each[0], reading_order(each[1][0].record)))
    return tuple(_defect(place, seen, group) for place, (seen, group) in enumerate(found, start=1))


def in_numbers(defects: Sequence[Defect]) -> str:
    """`35 defects: 12 new, 18 known, 5 warnings.`; empty when there is none."""
    if not defects:
        return ""
    counts = Counter(defect.outcome for defect in defects)
    parts = [so_many(counts[outcome], outcome) for outcome in _TITLES if counts[outcome]]
    return f"{number(len(defects))} {'defect' if len(defects) == 1 else 'defects'}: {', '.join(parts)}."


def so_many(count: int, outcome: Outcome) -> str:
    """`12 new`, `18 known`, `5 warnings`."""
    plural = "s" if outcome is Outcome.WARN and count > 1 else ""
    return f"{number(count)} {_TITLES[outcome]}{plural}"


def _defect(place: int, seen: _Seen, group: Sequence[_Case]) -> Defect:
    smallest = min(group, key=lambda case: case.brevity)
    records = [case.record for case in group]
    return Defect(
        number=place,
        outcome=min(map(outcome_of, records), key=lambda outcome: outcome.rank),
        side=seen.side,
        name=seen.name,
        rule=seen.rule,
        source=seen.source,
        headline=_headline(smallest, group),
        statements=_statements(smallest, group),
        records=tuple(records),
        smallest=smallest.record,
    )


def _badness(group: Sequence[_Case]) -> tuple[int, bool, int]:
    records = [case.record for case in group]
    return min(outcome_of(record).rank for record in records), all(map(is_known, records)), -len(records)


def told(record: Record) -> Finding | None:
    """The finding that the reason of a cell tells; none where nothing was found."""
    if not record.findings:
        return None
    same = [finding for finding in record.findings if finding.message == _AND_MORE.sub("", record.reason)]
    return (*same, *record.findings)[0]


def _seen(case: _Case) -> _Seen:
    record, finding = case.record, case.finding
    blame = finding.blame if finding else record.blame
    is_blamed = blame in ("client", "broker") and outcome_of(record) is not Outcome.AMBIGUOUS
    side: Literal["client", "broker", "unknown"] = blame if is_blamed else "unknown"  # type: ignore[assignment]
    return _Seen(
        record.verdict,
        side,
        {"client": record.client, "broker": record.broker}.get(side, f"{record.client} with {record.broker}"),
        finding.source if finding else "step",
        finding.rule if finding else "",
        case.packet,
        tuple(case.differs.split(case.words)),
    )


def _packet(trace: Trace, finding: Finding | None) -> str:
    if finding is None or finding.trace_index is None or not 0 <= finding.trace_index < len(trace):
        return ""
    entry = trace[finding.trace_index]
    is_broken = entry.kind == "malformed" and entry.hex
    return entry.packet or (_PACKETS[int(entry.hex[0], 16)] if is_broken else "")


def _words(finding: Finding, links: Container[str]) -> str:
    is_named = finding.source == "judge" and finding.message.split(": ")[0] in links
    return finding.message.partition(": ")[2] if is_named else finding.message


@cache
def _with_names(names: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(rf"{_DIFFERS}|\b(?:{'|'.join(map(re.escape, longest_first))})\b")


def _headline(smallest: _Case, group: Sequence[_Case]) -> str:
    found = [case.differs.findall(case.words) for case in group]
    same = iter([len(set(values)) == 1 for values in zip(*found, strict=True)])
    return smallest.differs.sub(
        lambda match: match[0] if next(same) or _ROW.fullmatch(match[0]) else _ABSTRACTED, smallest.words
    )


def _ties(case: _Case) -> Iterator[Tie]:
    if case.finding and case.finding.source == "judge":
        yield "rule", case.finding.rule
        return
    yield "scenario", case.record.scenario.partition("[")[0]
    for cite in case.cites:
        yield case.record.mqtt, cite


def _tied(cases: Iterable[_Case]) -> list[list[_Case]]:
    """Those that have a tie in common, or each one with a third, are together; the order is kept."""
    groups: list[tuple[set[Tie], list[_Case]]] = []
    for case in cases:
        ties, together = set(_ties(case)), [case]
        near = [group for group in groups if not ties.isdisjoint(group[0])]
        groups = [group for group in groups if ties.isdisjoint(group[0])]
        for group_ties, members in near:
            ties |= group_ties
            together += members
        groups.append((ties, together))
    return [sorted(members, key=lambda case: reading_order(case.record)) for _, members in groups]


def _statements(smallest: _Case, group: Iterable[_Case]) -> tuple[Cited, ...]:
    counts = Counter(Cited(case.record.mqtt, cite) for case in group for cite in dict.fromkeys(case.cites))
    own, mqtt = smallest.cites, smallest.record.mqtt
    of_version: dict[str, Cited] = {}
    for cited in sorted(counts, key=lambda each: (-counts[each], own.index(each.id) if each.id in own else 99, each)):
        of_version.setdefault(cited.mqtt, cited)
    return tuple(sorted(of_version.values(), key=lambda each: (each.mqtt != mqtt, each.mqtt)))
