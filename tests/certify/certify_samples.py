"""A certificate made of made-up results, and profiles small enough to be reasoned about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interop.certify.issuing import CERTIFICATE, Case, issue
from interop.certify.page import PdfNotMade
from interop.certify.profile import Content, Profile
from interop.certify.subject import Subject
from interop.runner.known_failures import SHIPPED
from reports.record import KnownFailure, Record, Verdict
from reports.write import RESULTS, write_records

KNOWN = KnownFailure(reason="Answers late", link="https://example.com/1")
ACCEPTED = ("pass", "warn", "observed", "unsupported")


def profile(**demands: Any) -> Profile:
    """One that selects a scenario of the collection; `demands` are its own."""
    content = Content.model_validate(
        {
            "title": "Small",
            "about": "For tests.",
            "certifies": ("client",),
            "selects": {"mqtt": ("5.0",), "scenarios": ("qos1/delivered",)},
            "demands": {"accepts": ACCEPTED, **demands},
        }
    )
    return Profile("small", b'title = "Small"\n', content)


def record(scenario: str = "qos1/delivered", verdict: Verdict = Verdict.PASS, **fields: Any) -> Record:
    """One cell of `acme`, in 5.0 over TCP."""
    given: dict[str, Any] = {
        "scenario": scenario, "title": "A message arrives", "area": scenario.partition("/")[0],
        "client": "acme", "broker": "reference", "mqtt": "5.0", "transport": "tcp", "verdict": verdict,
        "seconds": 0.5, "started_at": "2026-03-01T10:00:00+00:00",
        "implementations": {"client": "acme 1.0", "broker": "0.1.0"},
    }  # fmt: skip
    return Record(**given | fields)


def subject(*lacks: str) -> Subject:
    return Subject("client", "acme", lacks, {"acme.py": "ab" * 32})


def without_a_browser(_page: Path, _pdf: Path) -> None:
    raise PdfNotMade("there is no Chromium here")


def issued(folder: Path, *records: Record, key: Ed25519PrivateKey | None = None) -> Path:
    """A certificate in a folder, with what belongs to it; gives its file."""
    write_records(folder / RESULTS, records)
    case = Case(profile(exceptions_at_most=0.5), subject(), "kit\n", "scenarios\n", SHIPPED)
    issue(case, records, folder, key or Ed25519PrivateKey.generate())
    return folder / CERTIFICATE
