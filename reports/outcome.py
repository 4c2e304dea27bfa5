"""Where a record stands: its verdict against what was expected of it, and the order failures are read in.

Belongs here: pure functions over one record. Does not belong here: counts (`counts`), how a verdict came about.
"""

from __future__ import annotations

from enum import StrEnum

from reports.record import Record, Verdict


class Outcome(StrEnum):
    """A verdict against what was expected of it, in the order in which a reader wants to see them.

    It is the verdict, with four kinds set apart: a `fail` and a set-up that failed where they are listed as known, what
    is listed as ambiguous, and a pass that is listed as failing.
    """

    FAIL = "fail"
    HARNESS_ERROR = "harness-error"
    SETUP_FAILED = "setup-failed"
    FLAKY = "flaky"
    UNEXPECTED_PASS = "unexpected-pass"
    KNOWN_FAILURE = "known-failure"
    AMBIGUOUS = "ambiguous"
    KNOWN_SETUP_FAILED = "known-setup-failed"
    WARN = "warn"
    UNSUPPORTED = "unsupported"
    OBSERVED = "observed"
    PASS = "pass"

    @property
    def label(self) -> str:
        """Short words for a chip or a column."""
        return _LABELS[self]

    @property
    def meaning(self) -> str:
        """One line for a legend."""
        return _MEANINGS.get(self) or Verdict(self.value).meaning

    @property
    def rank(self) -> int:
        """0 is read first."""
        return _RANKS[self]

    @property
    def is_quiet(self) -> bool:
        """Nothing about it needs a look."""
        return self in (Outcome.PASS, Outcome.OBSERVED, Outcome.UNSUPPORTED)


_LABELS = {
    Outcome.FAIL: "fail",
    Outcome.HARNESS_ERROR: "harness error",
    Outcome.SETUP_FAILED: "setup failed",
    Outcome.FLAKY: "flaky",
    Outcome.UNEXPECTED_PASS: "unexpected pass",
    Outcome.KNOWN_FAILURE: "known failure",
    Outcome.AMBIGUOUS: "ambiguous",
    Outcome.KNOWN_SETUP_FAILED: "known setup failure",
    Outcome.WARN: "warn",
    Outcome.UNSUPPORTED: "unsupported",
    Outcome.OBSERVED: "observed",
    Outcome.PASS: "pass",
}
_MEANINGS = {
    Outcome.FAIL: "a MUST of the specification was broken, and this is not listed as known",
    Outcome.KNOWN_FAILURE: "a MUST was broken, as the list of known failures says it would be",
    Outcome.AMBIGUOUS: "by one reading of the specification it was broken, by another not: nobody is blamed",
    Outcome.KNOWN_SETUP_FAILED: "the case could not be brought to its start, as the list of known failures says",
    Outcome.UNEXPECTED_PASS: "it passed although it is listed as a known failure: the list is out of date",
}
_OF_VERDICT = {verdict: Outcome(verdict.value) for verdict in Verdict}
_RANKS = {outcome: rank for rank, outcome in enumerate(Outcome)}
_RED = frozenset({Outcome.FAIL, Outcome.HARNESS_ERROR, Outcome.SETUP_FAILED, Outcome.FLAKY})
_MAY_BE_KNOWN = frozenset({Verdict.FAIL, Verdict.WARN, Verdict.SETUP_FAILED, Verdict.FLAKY})


def outcome_of(record: Record) -> Outcome:
    """Where a record stands; every record has exactly one outcome."""
    verdict, known = record.verdict, record.known_failure
    if known is None and not record.unexpected_pass:  # most of them, and this is asked very often
        return _OF_VERDICT[verdict]
    if verdict is Verdict.PASS and record.unexpected_pass:
        return Outcome.UNEXPECTED_PASS
    if known and known.is_ambiguous and verdict in (Verdict.FAIL, Verdict.WARN):
        return Outcome.AMBIGUOUS
    if known and verdict is Verdict.FAIL:
        return Outcome.KNOWN_FAILURE
    if known and verdict is Verdict.SETUP_FAILED:
        return Outcome.KNOWN_SETUP_FAILED
    return _OF_VERDICT[verdict]


def is_known(record: Record) -> bool:
    """Whether its shortcoming is listed; a harness error never is, it says nothing about the implementation."""
    return record.known_failure is not None and record.verdict in _MAY_BE_KNOWN


def is_red(record: Record, *, strict_known: bool = False) -> bool:
    """Whether it is not as expected and fails a build; with `strict_known` also where a listed failure is gone."""
    outcome = outcome_of(record)
    if outcome is Outcome.UNEXPECTED_PASS:
        return strict_known
    return outcome in _RED and record.known_failure is None


def why(record: Record) -> str:
    """One line: what is the matter with it; empty for a plain pass."""
    if outcome_of(record) is not Outcome.UNEXPECTED_PASS:
        return record.reason
    return (
        f"it passed, but is listed to fail: {record.known_failure.reason}"
        if record.known_failure
        else ("it passed, but is listed to fail")
    )


def reading_order(record: Record) -> tuple[int, bool, str, str, str, str, str]:
    """A sort key: failures before passes, new before known, then by cell."""
    r = record
    return outcome_of(r).rank, is_known(r), r.scenario, r.client, r.broker, r.mqtt, r.transport
