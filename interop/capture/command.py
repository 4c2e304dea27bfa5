"""`mqtt-interop judge`: the judge on a capture file.

Belongs here: options, the lines a person sees, the report, exit codes.
Does not belong here: reading (`segments`, `streams`, `tls`, `connections`), judging (`judging`).
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from interop.capture.connections import Gathered, gathered
from interop.capture.judging import is_of_our_tap, judge_each, judge_together, why_not_together
from interop.capture.segments import BadCapture, Capture
from interop.capture.streams import conversations
from interop.capture.tls import read_key_log
from interop.exit_codes import FELL_SHORT, NOTHING_RAN, OK, CommandError
from interop.installed import environment, own_version
from interop.monitor.command import add_report_options
from interop.monitor.recorder import Limits
from interop.monitor.telling import Book, finding_line, notice_lines
from interop.requirements.requirements import sentences
from reports.claim import Claim
from reports.summary import RunInfo
from reports.write import CannotWrite, write_all

_RAW_FACTOR = 2
"""Bytes of TCP that are kept for each of MQTT: headers of frames and records come on top."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `judge`."""
    value = parser.add_argument
    value("capture", type=Path, metavar="FILE", help="pcapng or pcap; also one that a report's page saved")
    value("--key-log", type=Path, metavar="FILE", help="TLS key log of client or broker (SSLKEYLOGFILE)")
    value(
        "--whole",
        action="store_true",
        help="the capture has all that went to the broker since it had no sessions and no retained messages: judge "
        "what goes from one connection to another, too",
    )
    add_report_options(parser, "judged", "judge so many packets of each connection")


def run(options: argparse.Namespace) -> int:
    """Read, judge and write the report; 1 when a MUST was broken, 3 when there was nothing to judge."""
    if options.packets < 1:
        raise CommandError("--packets must be above 0")
    command = " ".join(["mqtt-interop", *sys.argv[1:]])
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    try:
        found = _read(options)
        if not found.told:
            _print(_passed_over(found))
            _print(["nothing to judge: no connection whose beginning is MQTT"])
            return NOTHING_RAN
        book = Book(environment(), "capture")
        with Claim(options.out, command):
            _tell(found, book, is_whole=options.whole, is_quiet=options.quiet)
            _print(_passed_over(found))
            _print(book.summary())
            info = RunInfo(started_at, time.monotonic() - began, own_version(), command)
            _print([f"report: {write_all(book.records, options.out, info, sentences=sentences())}"])
    except (BadCapture, CannotWrite) as error:
        raise CommandError(str(error)) from None
    return FELL_SHORT if any(level == "must" for level, _, _ in book.totals.broken) else OK


def _read(options: argparse.Namespace) -> Gathered:
    limits = dataclasses.replace(Limits(), packets=options.packets)
    keys = None if options.key_log is None else read_key_log(options.key_log)
    capture = Capture(options.capture)
    found = conversations(capture.segments(), _RAW_FACTOR * limits.size_bytes)
    if capture.problem:
        _print([f"{options.capture}: {capture.problem}; what comes before is judged"])
    if capture.not_read:
        _print([f"{capture.not_read:,} packets without a time, of no known link, or broken: left out"])
    return gathered(found, keys, limits, capture.until)


def _tell(found: Gathered, book: Book, *, is_whole: bool, is_quiet: bool) -> None:
    """Judge, print a line for each finding, and put everything into the book."""
    is_together = is_whole or is_of_our_tap(found)
    if is_together and (why := why_not_together(found)):
        _print([f"each connection is judged by itself, as the capture is not whole: {why}"])
        is_together = False
    for told, findings in judge_together(found) if is_together else judge_each(found):
        for finding in findings:
            book.found(finding)
        if not is_quiet:
            _print(finding_line(told.connection, finding) for finding in findings)
            _print(notice_lines(told.connection))
        book.settled(told.connection)
        book.ended(told.connection)


def _passed_over(found: Gathered) -> Iterable[str]:
    counts = Counter(why for _, why in found.passed_over)
    return [f"{count:,} connections not judged: {why}" for why, count in counts.most_common()]


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
