"""A certificate of records, written beside the reports.

Belongs here: what a certificate says, drawn from the records; its files and their order.
Does not belong here: playing (`command`), weighing (`weighing`), the page's looks (`page`).

What is signed names the digest of every other file, the pages among them; so the certificate is written last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interop.certify import digests, dsse
from interop.certify.page import PdfNotMade, html, write_pdf
from interop.certify.profile import Profile
from interop.certify.statement import Area, Certificate, ExceptionLine, PlayedAgain, ProfileLine, signed_bytes
from interop.certify.subject import Subject
from interop.certify.weighing import weigh
from interop.installed import environment
from interop.scenario.values import Side
from reports.again import Again
from reports.record import Record, Verdict
from reports.summary import Summary
from reports.write import RESULTS, write_whole

CERTIFICATE, PAGE, PDF = "certificate.json", "certificate.html", "certificate.pdf"
PROFILE, SCENARIOS, KIT = "profile.toml", "scenarios.sha256", "kit.sha256"


@dataclass(frozen=True, slots=True)
class Case:
    """What was played, with whom, and by which files; `kit` and `scenarios` are lists of digests."""

    profile: Profile
    subject: Subject
    kit: str
    scenarios: str
    known_failures: Path


def issue(case: Case, records: Sequence[Record], out: Path, key: Ed25519PrivateKey) -> tuple[Certificate, str]:
    """Write the certificate and what belongs to it into `out`, where the results are.

    Gives the certificate, and why there is no PDF; raises OSError.
    """
    weighed = weigh(case.profile, case.subject, records)
    for name, data in {PROFILE: case.profile.text, SCENARIOS: case.scenarios.encode(), KIT: case.kit.encode()}.items():
        _write(out / name, data)
    beside = {name: digests.of_file(out / name) for name in (RESULTS, PROFILE, SCENARIOS, KIT)}
    certificate = Certificate(
        profile=_profile_line(case.profile),
        result=weighed.result,
        implementation_digests=case.subject.digests,
        exceptions=tuple(ExceptionLine(reason=e.reason, link=e.link, cells=len(e.cells)) for e in weighed.exceptions),
        shortfalls=weighed.shortfalls,
        unreached=weighed.unreached,
        configuration={name: beside[name] for name in (PROFILE, KIT, SCENARIOS)}
        | {case.known_failures.name: digests.of_file(case.known_failures)},
        beside=beside,
        public_key=dsse.public_pem(key.public_key()),
        key_id=dsse.key_id(key.public_key()),
        **_facts(case.subject, records),
    )
    _write(out / PAGE, html(certificate).encode())
    no_pdf = ""
    try:
        write_pdf(out / PAGE, out / PDF)
    except PdfNotMade as problem:
        (out / PDF).unlink(missing_ok=True)  # of an earlier certificate
        no_pdf = str(problem)
    drawn = {name: digests.of_file(out / name) for name in (PAGE, PDF) if (out / name).is_file()}
    certificate = certificate.model_copy(update={"beside": beside | drawn})
    payload = signed_bytes(certificate, weighed.passed, weighed.warned, weighed.failed)
    _write(out / CERTIFICATE, dsse.sign(payload, key))
    return certificate, no_pdf


def _write(path: Path, data: bytes) -> None:
    write_whole(path, lambda beside: beside.write_bytes(data))


def _profile_line(profile: Profile) -> ProfileLine:
    return ProfileLine(name=profile.name, title=profile.content.title, about=" ".join(profile.content.about.split()))


def _facts(subject: Subject, records: Sequence[Record]) -> dict[str, object]:
    """What the records say without regard to the profile."""
    summary = Summary.of(records)
    labels = {each.role: each.label for each in summary.implementations}
    other: Side = "broker" if subject.side == "client" else "client"
    again = Again.of(records)
    ends = [datetime.fromisoformat(r.started_at) + timedelta(seconds=r.seconds) for r in records if r.started_at]
    areas = {area: summary.counts_where(area=area) for area in summary.areas}
    applying = [record for record in records if record.verdict is not Verdict.UNSUPPORTED]
    ours = environment()
    return {
        "certifies": subject.side,
        "implementation": labels[subject.side],
        "reference": labels[other],
        "kit": ours["harness"],
        "python": ours["python"],
        "mqtt": tuple(sorted({record.mqtt for record in applying})),
        "transports": tuple(sorted({record.transport for record in applying})),
        "network": next((record.network for record in records if record.network), ""),
        "counts": {outcome.value: count for outcome, count in summary.counts.present()},
        "areas": tuple(
            Area(name=area, passed=counts.passed, applying=counts.applying, others=counts.besides_passes())
            for area, counts in areas.items()
        ),
        "played_again": PlayedAgain(cells=again.total, verdicts=again.verdicts, withheld=again.withheld),
        "started_at": min((record.started_at for record in records if record.started_at), default=""),
        "ended_at": max(ends).isoformat(timespec="seconds") if ends else "",
    }
