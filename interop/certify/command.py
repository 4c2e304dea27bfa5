"""`mqtt-interop certify`: play a profile with one client or broker, and write a certificate of what came out.

Belongs here: the options, the run, the exit code.
Does not belong here: what a certificate says (`issuing`), checking one (`verifying`).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from interop.brokers.registry import PROFILE_PREFIX, broker_spec
from interop.certify import digests, dsse
from interop.certify.issuing import CERTIFICATE, PAGE, PDF, Case, issue
from interop.certify.profile import Profile, load_profile, profile_names
from interop.certify.statement import Certificate
from interop.certify.subject import Subject, broker_subject, client_subject, of_files
from interop.exit_codes import FELL_SHORT, HARNESS_FELL_SHORT, OK, CommandError
from interop.runner.cell import Selection, plan
from interop.runner.known_failures import SHIPPED
from interop.runner.matrix import run_matrix
from interop.scenario.load import LoadedScenario, load_scenarios
from reports.record import BadResults, Record, read_records, resting_collector
from reports.summary import cells
from reports.write import RESULTS

_EPILOG = """\
Exit code 0 when the profile is met, perhaps with exceptions that were listed before; 1 when it is not; 2 when the run
could not tell. A certificate is written whenever every cell was played, of an implementation that falls short, too."""
_SHOWN = 10
"""How many shortfalls are printed; all are in the certificate."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop certify`."""
    parser.epilog = _EPILOG
    value = parser.add_argument
    value("--profile", metavar="NAME", help="what is certified, or a FILE.toml; --list has those that ship")
    value("--list", action="store_true", help="print the profiles")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--client", metavar="NAME", help="the client: builtin, paho, gmqtt, NAME=command:./adapter")
    who.add_argument("--broker", metavar="NAME", help="the broker: mosquitto, ..., host:port, docker:IMAGE")
    who.add_argument("--broker-profile", metavar="FILE", help="the broker of a profile that `probe` writes")
    value("--key", type=Path, metavar="FILE", help="your Ed25519 key in PEM; made when it is missing")
    value("--subject", type=Path, action="append", default=[], metavar="FILE",
          help="a file the implementation consists of, whose SHA-256 is certified (found where it can be); repeatable",
    )  # fmt: skip
    value("--known-failures", type=Path, metavar="FILE", help="exceptions, with reasons (the list that ships)")
    value("--network", metavar="TEXT", help="as in `run`")
    value("-n", metavar="WORKERS", help="processes (as many as processors, or 1 where a broker is for cells alone)")
    value("--out", type=Path, default=Path("certificate"), metavar="FOLDER", help="where it goes (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Play and certify; raises CommandError for what cannot be played."""
    if options.list:
        _print(*_listing())
        return OK
    if options.broker_profile:
        options.broker = f"{PROFILE_PREFIX}{options.broker_profile}"
    if not options.profile or not (options.client or options.broker) or not options.key:
        raise CommandError("say what with --profile, whom with --client or --broker, and with whose --key (see --help)")
    profile = load_profile(options.profile)
    kit = digests.kit_listing()
    subject = _subject(options, digests.of_bytes(kit.encode()))
    _check_certifies(profile, subject)
    rows = profile.select(load_scenarios(), subject.side)
    key, is_new = dsse.private_key(options.key)
    if is_new:
        _print(f"{options.key}: a new key, {dsse.key_id(key.public_key())}; keep it to yourself")
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = _selection(profile, subject, rows)
    code, records = _play(options, profile, chosen)
    if missing := len(plan(rows, chosen)) - len(records):
        _print(f"no certificate: {cells(missing)} came to no result")
        return code or HARNESS_FELL_SHORT
    scenarios = digests.scenario_listing({row.path.absolute() for row in rows})
    case = Case(profile, subject, kit, scenarios, options.known_failures or SHIPPED)
    certificate, no_pdf = issue(case, records, options.out, key)
    _print(*_said(certificate, no_pdf, options.out))
    return code if code == HARNESS_FELL_SHORT else OK if certificate.is_met else FELL_SHORT


def _subject(options: argparse.Namespace, kit_sha256: str) -> Subject:
    ask: Callable[[str, str], Subject] = client_subject if options.client else broker_subject
    subject = ask(options.client or options.broker, kit_sha256)
    if not options.subject:
        return subject
    return dataclasses.replace(subject, digests=of_files(options.subject))


def _check_certifies(profile: Profile, subject: Subject) -> None:
    if subject.side not in profile.content.certifies:
        raise CommandError(f"profile {profile.name} certifies no {subject.side}")


def _selection(profile: Profile, subject: Subject, rows: Sequence[LoadedScenario]) -> Selection:
    """The cells, with the reference on the other side: it has to be without a fault, for no other is certified."""
    wanted = profile.content.selects
    is_client = subject.side == "client"
    return Selection(
        clients=(subject.name if is_client else "builtin",),
        brokers=("reference" if is_client else subject.name,),
        versions=wanted.mqtt,
        transports=wanted.transports,
        scenarios=tuple(row.name for row in rows),
    )


def _play(options: argparse.Namespace, profile: Profile, chosen: Selection) -> tuple[int, list[Record]]:
    """Run the matrix; gives its exit code and the records."""
    results = options.out / RESULTS
    for earlier in (results, options.out / CERTIFICATE):
        earlier.unlink(missing_ok=True)
    code = run_matrix(_run_options(options, profile, chosen))
    try:
        with resting_collector():
            return code, list(read_records(results)) if results.is_file() else []
    except BadResults as error:
        raise CommandError(str(error)) from None


def _run_options(options: argparse.Namespace, profile: Profile, chosen: Selection) -> Iterator[str]:
    """As `run` takes them; whom it is about in the words it was named with."""
    broker = options.broker or chosen.brokers[0]
    yield from ("--client", options.client or chosen.clients[0], "--broker", broker)
    for option, values in (
        ("--mqtt", chosen.versions),
        ("--transport", chosen.transports),
        ("--scenario", chosen.scenarios),
        ("--known-failures", (options.known_failures,) if options.known_failures else ()),
        ("--network", (options.network,) if options.network else ()),
    ):
        for value in values:
            yield from (option, str(value))
    workers = options.n or (1 if broker_spec(broker).is_single else os.cpu_count() or 1)
    yield from ("-n", str(workers), "--out", str(options.out))
    if profile.content.selects.slow:
        yield "--slow"


def _said(certificate: Certificate, no_pdf: str, out: Path) -> Iterator[str]:
    yield certificate.headline
    for each in certificate.shortfalls[:_SHOWN]:
        yield f"  {each}"
    if len(certificate.shortfalls) > _SHOWN:
        yield f"  ... and {len(certificate.shortfalls) - _SHOWN:,} more"
    yield f"certificate: {out / CERTIFICATE}, signed with {certificate.key_id}"
    yield f"to print: {out / PAGE}{f' and {out / PDF}' if not no_pdf else ''}"
    if no_pdf:
        yield f"no PDF: {no_pdf}"


def _listing() -> Iterator[str]:
    profiles = [load_profile(name) for name in profile_names()]
    width = max(len(profile.name) for profile in profiles)
    for profile in profiles:
        yield f"{profile.name:{width}}  {profile.content.title} ({' or '.join(profile.content.certifies)})"


def _print(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
