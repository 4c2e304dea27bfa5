"""`mqtt-interop monitor`: tap and judge between any client and any broker.

Belongs here: options, the report, exit codes. Does not belong here: the monitor itself (`watch`).
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from interop.brokers.registry import shown_command, shown_name
from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.installed import environment, own_version
from interop.monitor.copier import Route
from interop.monitor.recorder import Limits
from interop.monitor.telling import Book
from interop.monitor.watch import Watch
from interop.requirements.requirements import sentences
from interop.tap.network import BadNetwork, network_of
from reference_broker.command.tuning import fastest_loop
from reference_broker.net.address import Address, without_login
from reference_broker.net.errors import ListenFailed
from reference_broker.net.listening import client_wrapping
from reports.claim import Claim
from reports.summary import RunInfo
from reports.write import CannotWrite, write_all

_TURN_SECONDS = 0.0005
"""How long the thread that judges keeps the interpreter while bytes wait; Python's own turn is ten times that."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `monitor`."""
    value = parser.add_argument
    value("--listen", required=True, metavar="[HOST:]PORT", help="where clients connect to (127.0.0.1); 0 picks a port")
    value("--upstream", required=True, metavar="HOST:PORT", help="the broker; both may be mqtts, ws or wss URLs")
    value("--cert", type=Path, metavar="FILE", help="PEM certificate to listen with at mqtts or wss; with --key")
    value("--key", type=Path, metavar="FILE", help="its private key, without a passphrase")
    value("--ca-file", type=Path, metavar="FILE", help="PEM file the broker's certificate is checked by")
    value("--insecure", action="store_true", help="take a certificate of another host from the broker as well")
    value(
        "--network", metavar="TEXT", help="carry on through a worse network, e.g. 'delay=50ms jitter=20ms', as in `run`"
    )
    value("--for", type=float, dest="seconds", metavar="SECONDS", help="end after so long (at SIGINT or SIGTERM)")
    add_report_options(parser, "monitor", "judge so many packets of each connection, and only copy what comes after")


def add_report_options(parser: argparse.ArgumentParser, folder: str, packets: str) -> None:
    """What whoever judges connections is told of its report: `folder` by default, `packets` in the help's words."""
    value = parser.add_argument
    value("--out", type=Path, default=Path(folder), metavar="FOLDER", help="where the report goes (%(default)s)")
    value("--quiet", action="store_true", help="print no line for each finding, only the summary")
    most = Limits().packets
    value("--packets", type=int, default=most, metavar="N", help=f"{packets} ({most:,})")


def run(options: argparse.Namespace) -> int:
    """Watch to the end and write the report; 1 when a MUST was broken."""
    if options.packets < 1 or (options.seconds is not None and options.seconds <= 0):
        raise CommandError("--packets and --for must be above 0")
    route = _route(options)
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    if shown_name(options.upstream) != options.upstream:
        _say("clients bring their own user name and password: those of --upstream are not used")
    book = Book(environment(), network=str(route.network))
    limits = dataclasses.replace(Limits(), packets=options.packets)
    command = shown_command(["mqtt-interop", *sys.argv[1:]], [options.upstream])
    try:
        client_wrapping(route.upstream)  # a CA file nobody can read is told now, not at the first client
        with Claim(options.out, command):
            sys.setswitchinterval(_TURN_SECONDS)
            with asyncio.Runner(loop_factory=fastest_loop()) as runner:
                runner.run(Watch(route, limits, book, _say, is_quiet=options.quiet).run(options.seconds))
            for text in book.summary():
                _say(text)
            if book.records:
                info = RunInfo(started_at, time.monotonic() - began, own_version(), command)
                _say(f"report: {write_all(book.records, options.out, info, sentences=sentences())}")
    except (CannotWrite, ListenFailed) as error:
        raise CommandError(str(error)) from None
    return FELL_SHORT if any(level == "must" for level, _, _ in book.totals.broken) else OK


def _route(options: argparse.Namespace) -> Route:
    where = f"127.0.0.1:{options.listen}" if options.listen.isdigit() else options.listen
    listening = _address("--listen", where)
    upstream = dataclasses.replace(
        _address("--upstream", options.upstream),
        login=None,
        ca_file=options.ca_file,
        check_host_name=not options.insecure,
    )
    if listening.transport.is_encrypted != bool(options.cert and options.key) or bool(options.cert) != bool(
        options.key
    ):
        raise CommandError("--cert and --key belong to a --listen of mqtts or wss, and it to them")
    try:
        return Route(listening, upstream, options.cert, options.key, network_of(options.network))
    except BadNetwork as error:
        raise CommandError(str(error)) from None


def _address(option: str, text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise CommandError(f"{option} {without_login(text)}: {error}") from None


def _say(text: str) -> None:
    """Print a line; when its reader left (a pipe to `head` or `tee`), the clients' bytes still have to go on."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
