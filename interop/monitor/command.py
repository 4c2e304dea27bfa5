"""`mqtt-interop monitor`: tap and judge between any client and any broker.

Belongs here: options, the report, exit codes. Does not belong here: the monitor itself (`watch`).
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.installed import environment, own_version
from interop.monitor.recorder import Limits
from interop.monitor.telling import Book
from interop.monitor.watch import Watch
from reference_broker.command.broker import fastest_loop
from reference_broker.net.address import Address, Transport
from reference_broker.net.errors import ListenFailed
from reports.summary import RunInfo
from reports.write import CannotWrite, check_writable, write_all


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `monitor`."""
    parser.add_argument(
        "--listen", required=True, metavar="[HOST:]PORT", help="where clients connect to (127.0.0.1); port 0 picks one"
    )
    parser.add_argument(
        "--upstream", required=True, metavar="HOST:PORT", help="the broker; a mqtts, ws or wss URL is dialled as such"
    )
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM file the broker's certificate is checked by")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so long (when SIGINT or SIGTERM comes)")
    parser.add_argument("--out", type=Path, default=Path("monitor"), metavar="FOLDER", help="report (%(default)s)")
    limits = Limits()
    parser.add_argument(
        "--packets",
        type=int,
        default=limits.packets,
        metavar="N",
        help=f"judge so many packets of each connection, and only copy what comes after ({limits.packets:,})",
    )


def run(options: argparse.Namespace) -> int:
    """Watch to the end and write the report; 1 when a MUST was broken."""
    listening, upstream = _listening(options.listen), _upstream(options.upstream, options.ca_file)
    if options.packets < 1 or (options.seconds is not None and options.seconds <= 0):
        raise CommandError("--packets and --seconds must be above 0")
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    book = Book(upstream.host_and_port, environment())
    limits = dataclasses.replace(Limits(), packets=options.packets)
    try:
        check_writable(options.out)
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            runner.run(Watch(listening, upstream, limits, book, _say).run(options.seconds))
    except (CannotWrite, ListenFailed) as error:
        raise CommandError(str(error)) from None
    for text in book.summary():
        _say(text)
    if book.records:
        info = RunInfo(
            started_at=started_at,
            wall_seconds=time.monotonic() - began,
            harness_version=own_version(),
            command=" ".join(["mqtt-interop", *sys.argv[1:]]),
        )
        _say(f"report: {write_all(book.records, options.out, info)}")
    return FELL_SHORT if any(level == "must" for level, _, _ in book.totals.broken) else OK


def _listening(text: str) -> Address:
    try:
        address = Address.parse(f"127.0.0.1:{text}" if text.isdigit() else text)
    except ValueError as error:
        raise CommandError(f"--listen {text}: {error}") from None
    if address.transport is not Transport.TCP:
        raise CommandError(f"--listen {text}: clients are taken over plain TCP only")
    return address


def _upstream(text: str, ca_file: Path | None) -> Address:
    try:
        return Address.parse(text, ca_file=ca_file)
    except ValueError as error:
        raise CommandError(f"--upstream {text}: {error}") from None


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
