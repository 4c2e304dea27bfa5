"""`mqtt-interop probe`: find out what a broker can do, and write the first version of its profile.

Belongs here: the options, the exit code. Does not belong here: asking (`asking`), words (`telling`).
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import sys
from pathlib import Path

from interop.brokers.broker import BrokerFault
from interop.brokers.claims import check_claims
from interop.brokers.profile import load_profile
from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.probe.asking import Found, find_out
from interop.probe.telling import document, profile, text
from reference_broker.net.address import Address, Login

_EPILOG = """\
Exit code 0 when the broker does as its CONNACK and its profile say, 1 when it does not, 2 when nobody is there."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mqtt-interop probe`."""
    parser.epilog = _EPILOG
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--broker", metavar="ADDRESS", help="host:port or a URL, perhaps with login")
    who.add_argument("--broker-profile", type=Path, metavar="FILE", help="a profile, to check what it says")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM file its certificates are checked by")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write a profile to go on from; never over another")


def run(options: argparse.Namespace) -> int:
    """Ask and tell; raises CommandError where nobody answers."""
    if options.write and options.write.exists():
        raise CommandError(f"{options.write} is there already")
    try:
        address, claims = _whom(options)
        found = asyncio.run(find_out(address, options.ca_file or address.ca_file))
    except (BrokerFault, ValueError) as problem:
        raise CommandError(str(problem)) from None
    found = dataclasses.replace(found, contradictions=(*found.contradictions, *claims))
    _print(document(found) if options.json else "\n".join(text(found)))
    if options.write:
        _write(found, options)
    return FELL_SHORT if found.contradictions else OK


def _whom(options: argparse.Namespace) -> tuple[Address, list[str]]:
    """The address to be asked, and what its CONNACK says against its profile, if it has one."""
    if options.broker:
        return Address.parse(options.broker, ca_file=options.ca_file), []
    said = load_profile(options.broker_profile)
    return next(iter(said.addresses.values())), asyncio.run(check_claims([said]))


def _write(found: Found, options: argparse.Namespace) -> None:
    with options.write.open("x", encoding="utf-8") as file:
        ca = os.path.relpath(options.ca_file, options.write.parent) if options.ca_file else ""
        file.write(profile(found, ca))
    has_login = isinstance(found.address.login, Login)
    _print(f"{options.write}: a profile to go on from{'; its [login] is for you to fill in' if has_login else ''}")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
