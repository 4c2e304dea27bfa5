"""What the cells of a profile come to: is it met, with which exceptions, and what falls short.

Belongs here: a profile's demands against the records. Pure.
Does not belong here: verdicts of cells (`interop.runner.verdict`), how a certificate is written (`statement`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from interop.certify.profile import Profile
from interop.certify.subject import Subject
from interop.hands_off.play import AREA
from reports.defects import find_defects, is_bad
from reports.outcome import is_known
from reports.record import Record, Verdict
from reports.words import cells


class Result(StrEnum):
    """As the test-result predicate has it; with warnings or exceptions a profile is met all the same."""

    PASSED = "PASSED"
    WARNED = "WARNED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Excepted:
    """Cells that do not come to what is demanded, for a reason that was listed before the run."""

    reason: str
    link: str | None
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weighed:
    """The outcome; the lists have cells as `Record.cell_id` names them."""

    result: Result
    passed: tuple[str, ...]
    warned: tuple[str, ...]
    failed: tuple[str, ...]
    exceptions: tuple[Excepted, ...]
    shortfalls: tuple[str, ...]
    """what keeps the profile from being met, a sentence each"""
    unreached: tuple[str, ...] = ()
    """what a closed device could not be brought to and need not have been, a sentence each"""


def weigh(profile: Profile, subject: Subject, records: Sequence[Record]) -> Weighed:
    """Weigh the records of all cells that the profile selects; each has one."""
    demands = profile.content.demands
    excepted: defaultdict[tuple[str, str | None], list[str]] = defaultdict(list)
    short: list[Record] = []
    unreached = [record for record in records if _may_stay_unreached(profile, record)]
    for record in records:
        if record.verdict in demands.accepts or record in unreached:
            continue
        if is_known(record) and record.known_failure is not None:
            excepted[record.known_failure.reason, record.known_failure.link].append(record.cell_id)
        else:
            short.append(record)
    exceptions = tuple(Excepted(reason, link, tuple(group)) for (reason, link), group in excepted.items())
    many = _too_many(profile, records, exceptions)
    shortfalls = (*subject.doubts, *many, *_lacking(profile, subject), *_unproven(profile, records), *_sentences(short))
    accepted = Verdict.WARN in demands.accepts
    warned = [record.cell_id for record in records if record.verdict is Verdict.WARN and accepted]
    warned += [cell for each in exceptions for cell in each.cells]
    return Weighed(
        Result.FAILED if shortfalls else Result.WARNED if warned or unreached else Result.PASSED,
        passed=tuple(record.cell_id for record in records if record.verdict is Verdict.PASS),
        warned=tuple(sorted(warned)),
        failed=tuple(record.cell_id for record in short),
        exceptions=exceptions,
        shortfalls=shortfalls,
        unreached=tuple(f"{record.scenario}: {record.reason}" for record in unreached),
    )


def _may_stay_unreached(profile: Profile, record: Record) -> bool:
    """Whether it is a stage that the device did not come to, and need not."""
    hands_off = profile.content.hands_off
    if hands_off is None or record.verdict is not Verdict.SETUP_FAILED:
        return False
    return record.scenario in {f"{AREA}/{name}" for name in hands_off.may_stay_unreached}


def _too_many(profile: Profile, records: Iterable[Record], exceptions: Iterable[Excepted]) -> Iterable[str]:
    """Who has a reason for nearly everything does not meet a profile."""
    most = profile.content.demands.exceptions_at_most
    applying = sum(record.verdict is not Verdict.UNSUPPORTED for record in records)
    count = sum(len(each.cells) for each in exceptions)
    if count > most * applying:
        yield f"{count:,} of {cells(applying)} that apply are exceptions; the profile allows {most:.0%}"


def _lacking(profile: Profile, subject: Subject) -> Iterable[str]:
    for feature in profile.content.demands.features:
        if feature in subject.lacks:
            yield f"{subject.name} declares that it lacks {feature}, which the profile asks for"


def _unproven(profile: Profile, records: Iterable[Record]) -> Iterable[str]:
    """Versions nothing was shown of: what is unsupported throughout would else be certified."""
    shown = {record.mqtt for record in records if record.verdict is Verdict.PASS}
    for mqtt in profile.content.selects.mqtt if profile.content.selects else ():
        if mqtt not in shown:
            yield f"no cell of MQTT {mqtt} passes"


def _sentences(short: Sequence[Record]) -> Iterable[str]:
    """Defects, not cells: one and the same defect is one sentence, however many cells show it."""
    for defect in find_defects(short):
        example = f"e.g. {defect.smallest.scenario}"
        extent = f"{defect.extent}, {defect.where}; {example}"
        yield f"{defect.outcome.label} by {defect.blamed}: {defect.headline} ({extent})"
    for record in short:
        if not is_bad(record):
            yield f"{record.verdict}: {record.scenario}, MQTT {record.mqtt} over {record.transport}: {record.reason}"
