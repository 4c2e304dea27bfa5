"""Who keeps which statement: for each statement of a version, each side and release, what its cells show.

Belongs here: reading evidence and findings of records by statement. Does not belong here: which statements there are
(`reports.coverage`), markup.

A statement counts as put to the test where a cell was judged and a step asserted it or the judge held packets against
it; as broken where a finding cites it and blames that side. What is ambiguous blames nobody.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from reports.defects import brevity
from reports.outcome import Outcome, outcome_of
from reports.record import Finding, Record, Verdict
from reports.site.plays import ROLES, Play, Release
from reports.summary import Role

_NOT_JUDGED = frozenset({Verdict.UNSUPPORTED, Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR})


class Key(NamedTuple):
    """A statement of one version, for one side."""

    mqtt: str
    id: str
    role: Role


class Breach(NamedTuple):
    """A cell in which it was broken."""

    play: Play
    record: Record
    finding: Finding


@dataclass(slots=True)
class Standing:
    """How one release stands to one statement."""

    tested: int = 0
    """cells that put it to the test"""
    breaches: list[Breach] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """`pass` where it is kept, else as grave as the worst breach of it; `unsupported` where nothing is known."""
        if not self.breaches:
            return Outcome.PASS if self.tested else Outcome.UNSUPPORTED
        levels = {breach.finding.level for breach in self.breaches}
        return Outcome.FAIL if "must" in levels else Outcome.WARN if "should" in levels else Outcome.OBSERVED

    @property
    def words(self) -> str:
        """`kept`, `broken`, `not followed`, `otherwise`, `not put to the test`."""
        return _WORDS[self.outcome]

    @property
    def smallest(self) -> Breach:
        """The breach with the shortest trace, of those that have one."""
        return min(self.breaches, key=lambda each: brevity(each.record))


_WORDS = {
    Outcome.PASS: "kept",
    Outcome.FAIL: "broken",
    Outcome.WARN: "not followed",
    Outcome.OBSERVED: "otherwise",
    Outcome.UNSUPPORTED: "not put to the test",
}

Standings = dict[Key, dict[Release, Standing]]


def standings(plays: Iterable[Play]) -> Standings:
    """By statement and release, over all of these plays."""
    found: defaultdict[Key, defaultdict[Release, Standing]] = defaultdict(lambda: defaultdict(Standing))
    for play in plays:
        tests = Counter(test for record in play.records for test in _tests(record))  # many cells test the same
        for (mqtt, role, covered, judged), count in tests.items():
            for cite in {*covered, *judged}:
                found[Key(mqtt, cite, role)][play.release(role)].tested += count
        for record in play.records:
            for role, cite, finding in _broken(record):
                breaches = found[Key(record.mqtt, cite, role)][play.release(role)].breaches
                if not breaches or breaches[-1].record is not record:
                    breaches.append(Breach(play, record, finding))
    return {key: dict(by_release) for key, by_release in found.items()}


def _tests(record: Record) -> Iterator[tuple[str, Role, tuple[str, ...], tuple[str, ...]]]:
    """Version, side, and the statements that steps and the judge put to the test."""
    if record.verdict not in _NOT_JUDGED:
        for role in ROLES:
            yield record.mqtt, role, record.covered.get(role, ()), record.judged.get(role, ())


def _broken(record: Record) -> Iterator[tuple[Role, str, Finding]]:
    if record.verdict in _NOT_JUDGED or outcome_of(record) is Outcome.AMBIGUOUS:
        return
    for finding in record.findings:
        if finding.blame != "unknown":
            for cite in finding.cites:
                yield finding.blame, cite, finding
