"""What is signed: an in-toto statement with a test-result predicate, and in it all that the certificate's page says.

Belongs here: the fields of a certificate, and its way into and out of the signed bytes.
Does not belong here: the envelope (`dsse`), how the fields come about (`weighing`, `issuing`), the page (`page`).

Source: in-toto attestation framework, Statement v1, predicate test-result v0.1. What that predicate has no field for
stands under a URI of our own, as its parsing rules want it.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from interop.certify.dsse import NoEnvelope, Refused
from interop.certify.weighing import Result
from interop.scenario.values import Strict
from reports.words import cells as cells_of

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
DETAILS = "urn:mqtt-interop:certificate:v1"


class ProfileLine(Strict):
    """The profile that was played."""

    name: str
    title: str
    about: str


class Area(Strict):
    """The cells of one area: those that pass, of those that apply, and what the others came to in words."""

    name: str
    passed: int
    applying: int
    others: str


class ExceptionLine(Strict):
    """Cells that did not come to what is demanded, for a reason listed before the run."""

    reason: str
    link: str | None
    cells: int


class PlayedAgain(Strict):
    """How many cells were played again because the machine was too busy; of these verdicts were given, or withheld."""

    cells: int
    verdicts: int
    withheld: int


class Certificate(Strict):
    """One certificate; times are UTC in ISO 8601, digests SHA-256 in hexadecimal.

    `counts` is by outcome. `beside` are the files that were written with it, `implementation_digests` what the
    implementation consists of where that was to be had, `configuration` whatever else the results depend on.
    """

    profile: ProfileLine
    result: Result
    certifies: str
    implementation: str
    implementation_digests: dict[str, str]
    reference: str
    kit: str
    python: str
    mqtt: tuple[str, ...]
    transports: tuple[str, ...]
    network: str
    counts: dict[str, int]
    areas: tuple[Area, ...]
    exceptions: tuple[ExceptionLine, ...]
    shortfalls: tuple[str, ...]
    unreached: tuple[str, ...]
    played_again: PlayedAgain
    started_at: str
    ended_at: str
    configuration: dict[str, str]
    beside: dict[str, str]
    public_key: str
    key_id: str

    @property
    def total(self) -> int:
        """All cells."""
        return sum(self.counts.values())

    @property
    def applying(self) -> int:
        """Cells that apply to the implementation."""
        return self.total - self.counts.get("unsupported", 0)

    @property
    def passed(self) -> int:
        """Cells that pass, expected or not."""
        return self.counts.get("pass", 0) + self.counts.get("unexpected-pass", 0)

    @property
    def is_met(self) -> bool:
        """Whether the implementation has what the profile asks for."""
        return self.result is not Result.FAILED

    @property
    def headline(self) -> str:
        """`acme 1.0 (client) meets MQTT 3.1.1, core, with 2 exceptions: 210 of 214 cells pass`."""
        verb = "meets" if self.is_met else "falls short of"
        aside = ""
        if self.exceptions and self.is_met:
            count = len(self.exceptions)
            aside = f", with {count} {'exception' if count == 1 else 'exceptions'}"
        is_one = self.applying == 1
        aside_of_cells = " that applies" if is_one else " that apply"
        cells = f"{cells_of(self.applying)}{aside_of_cells * (self.applying < self.total)}"
        passing = "passes" if is_one else "pass"
        return (
            f"{self.implementation} ({self.certifies}) {verb} {self.profile.title}{aside}: "
            f"{self.passed:,} of {cells} {passing}"
        )


def signed_bytes(
    certificate: Certificate, passed: tuple[str, ...], warned: tuple[str, ...], failed: tuple[str, ...]
) -> bytes:
    """The statement as it is signed; cells by the names that the results have."""
    subject = certificate.implementation_digests or certificate.beside
    return json.dumps(
        {
            "_type": STATEMENT,
            "subject": _descriptors(subject),
            "predicateType": TEST_RESULT,
            "predicate": {
                "result": certificate.result.value,
                "configuration": _descriptors(certificate.configuration),
                "passedTests": passed,
                "warnedTests": warned,
                "failedTests": failed,
                DETAILS: certificate.model_dump(mode="json"),
            },
        },
        ensure_ascii=False,
    ).encode()


def _descriptors(digests: dict[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()]


def certificate_of(payload: bytes) -> Certificate:
    """The certificate in bytes that may have been signed; raises Refused, or NoEnvelope for another kind."""
    try:
        statement = json.loads(payload)
        if (statement["_type"], statement["predicateType"]) != (STATEMENT, TEST_RESULT):
            raise NoEnvelope("a statement, but not of test results")
        return Certificate.model_validate(statement["predicate"][DETAILS])
    except (ValueError, KeyError, TypeError, ValidationError):
        raise Refused("what was signed is no certificate of this kit") from None
