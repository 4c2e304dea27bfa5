"""`mqtt-interop verify`: is a certificate as it was signed, and what does it say?

Belongs here: the checks, each with its line, and the exit code.
Does not belong here: the envelope (`dsse`), the certificate's fields (`statement`).

A signature shows that nobody changed the file since. Whose key it is, only the key itself shows: it is compared with
`--key`, and without that the line says that it was not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from interop.certify import digests, dsse
from interop.certify.issuing import KIT, SCENARIOS
from interop.certify.statement import Certificate, certificate_of
from interop.exit_codes import FELL_SHORT, HARNESS_FELL_SHORT, OK, CommandError
from interop.scenario.load import DEFAULT_FOLDER

_EPILOG = """\
Exit code 0 when the certificate is as it was signed and its profile is met, 1 when anything was changed or it certifies
that an implementation falls short, 2 for a file that is no certificate."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop verify`."""
    parser.epilog = _EPILOG
    parser.add_argument("certificate", type=Path, metavar="FILE", help="certificate.json")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the signer's public key in PEM, from the signer")


def run(options: argparse.Namespace) -> int:
    """Check and say; raises OSError for files that cannot be read."""
    data = options.certificate.read_bytes()
    trusted = None if options.key is None else dsse.public_key(options.key.read_bytes(), str(options.key))
    try:
        envelope = dsse.Envelope.read(data)
        certificate = certificate_of(envelope.payload)
        envelope.check(trusted or _its_own_key(certificate))
        there, absent = _beside(certificate, options.certificate.parent)
    except dsse.NoEnvelope as problem:
        _print(f"{options.certificate}: REFUSED: {problem}")
        return HARNESS_FELL_SHORT
    except dsse.Refused as problem:
        _print(f"{options.certificate}: REFUSED: {problem}")
        return FELL_SHORT
    whose = f"by the key of {options.key}" if trusted else f"by {certificate.key_id}, which --key FILE would compare"
    _print(
        f"{certificate.headline}; {certificate.ended_at[:10]}, signed {whose}",
        f"as certified: {', '.join(there) or 'nothing else was there to be checked'}",
        *([f"not there to be checked: {', '.join(absent)}"] if absent else ()),
    )
    return OK if certificate.is_met else FELL_SHORT


def _its_own_key(certificate: Certificate) -> Ed25519PublicKey:
    try:
        return dsse.public_key(certificate.public_key.encode(), "its key")
    except CommandError as problem:
        raise dsse.Refused(str(problem)) from None


def _beside(certificate: Certificate, folder: Path) -> tuple[list[str], list[str]]:
    """The files that are as certified, and those that could not be looked at; raises Refused for another."""
    there, absent = [], []
    for name, digest in certificate.beside.items():
        path = folder / name
        if not path.is_file():
            absent.append(name)
        elif digests.of_file(path) != digest:
            raise dsse.Refused(f"{name} beside it is not the one that was certified")
        else:
            there.append(name)
    is_same = digests.of_bytes(digests.kit_listing().encode()) == certificate.beside[KIT]
    (there if is_same else absent).append(f"the kit{'' if is_same else ' (another one is installed here)'}")
    if SCENARIOS in there:
        beside = folder / "scenarios"
        is_same = _are_as_listed(folder / SCENARIOS, beside if beside.is_dir() else DEFAULT_FOLDER)
        if beside.is_dir() and not is_same:
            raise dsse.Refused(f"{beside.name} beside it are not those that were played")
        (there if is_same else absent).append(f"the scenarios{'' if is_same else ' (others are installed here)'}")
    return there, absent


def _are_as_listed(listing: Path, folder: Path) -> bool:
    lines = [line.partition("  ") for line in listing.read_text(encoding="utf-8").splitlines()]
    return all((folder / name).is_file() and digests.of_file(folder / name) == digest for digest, _, name in lines)


def _print(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
