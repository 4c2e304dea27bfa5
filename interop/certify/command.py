"""`mqtt-interop certify`: play a profile with one client or broker, and write a certificate of what came out.

Belongs here: the options, the run, the exit code.
Does not belong here: what a certificate says (`issuing`), checking one (`verifying`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from interop.brokers.registry import PROFILE_PREFIX
from interop.certify import digests, dsse
from interop.certify.issuing import CERTIFICATE, PAGE, PDF, Case, issue
from interop.certify.playing import Played, device_of, play_device, play_scenarios
from interop.certify.profile import Profile, load_profile, profile_names
from interop.certify.statement import Certificate
from interop.certify.subject import Subject, broker_subject, client_subject, of_files
from interop.exit_codes import FELL_SHORT, HARNESS_FELL_SHORT, OK, CommandError
from interop.runner.known_failures import SHIPPED
from interop.scenario.load import load_scenarios
from reports.words import cells
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
    who.add_argument("--device", metavar="'NAME VERSION'", help="a closed device, which you are told what to do with")
    value("--listen", default="1883", metavar="[HOST:]PORT", help="where it connects to (127.0.0.1:%(default)s)")
    value("--page-port", type=int, default=0, metavar="PORT", help="of the live page on this machine (any)")
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
    if not options.profile or not (options.client or options.broker or options.device) or not options.key:
        raise CommandError(
            "say what with --profile, whom with --client, --broker or --device, and with whose --key (see --help)"
        )
    profile = load_profile(options.profile)
    kit = digests.kit_listing()
    subject = _subject(options, digests.of_bytes(kit.encode()))
    if subject.side not in profile.content.certifies:
        raise CommandError(f"profile {profile.name} certifies no {subject.side}")
    _ = profile.hands_off if options.device else profile.select(load_scenarios(), subject.side)
    key, is_new = dsse.private_key(options.key)
    if is_new:
        _print(f"{options.key}: a new key, {dsse.key_id(key.public_key())}; keep it to yourself")
    options.out.mkdir(parents=True, exist_ok=True)
    with _set_aside(options.out) as has_played:
        played = _play(options, profile, subject)
        has_played(bool(played.records))
    if played.missing:
        _print(f"no certificate: {cells(played.missing)} came to no result")
        return played.code
    case = Case(profile, subject, kit, played.scenarios, options.known_failures or SHIPPED)
    certificate, no_pdf = issue(case, played.records, options.out, key)
    _print(*_said(certificate, no_pdf, options.out))
    return played.code if played.code == HARNESS_FELL_SHORT else OK if certificate.is_met else FELL_SHORT


@contextlib.contextmanager
def _set_aside(folder: Path) -> Iterator[Callable[[bool], None]]:
    """What was certified there before is no more once anything was played; until then it stays as it was."""
    before = {folder / each: folder / f".{each}.before" for each in (RESULTS, CERTIFICATE) if (folder / each).exists()}
    for file, aside in before.items():
        file.replace(aside)
    played = [False]
    try:
        yield played.append
    finally:
        for file, aside in before.items():
            if played[-1]:
                aside.unlink()
            else:
                aside.replace(file)


def _subject(options: argparse.Namespace, kit_sha256: str) -> Subject:
    if options.device:
        return Subject("client", device_of(options.device, options.listen).name, (), of_files(options.subject))
    ask: Callable[[str, str], Subject] = client_subject if options.client else broker_subject
    subject = ask(options.client or options.broker, kit_sha256)
    if not options.subject:
        return subject
    return dataclasses.replace(subject, digests=of_files(options.subject))


def _play(options: argparse.Namespace, profile: Profile, subject: Subject) -> Played:
    if not options.device:
        return play_scenarios(options, profile, subject)
    device = device_of(options.device, options.listen)
    command = " ".join(["mqtt-interop", *sys.argv[1:]])
    return play_device(device, profile, options.out, _print, options.page_port, command)


def _said(certificate: Certificate, no_pdf: str, out: Path) -> Iterator[str]:
    yield certificate.headline
    for each in certificate.shortfalls[:_SHOWN]:
        yield f"  {each}"
    for each in certificate.unreached:
        yield f"  not reached, and so not certified: {each}"
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
