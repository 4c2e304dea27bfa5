"""`mqtt-interop adapter check`: does an adapter keep the contract?

Belongs here: its options, its output, its exit code. Does not belong here: the examination (`examination`, `stages`).
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence

from interop.adapter_check.examination import Result, examine
from interop.drivers.driver import DriverCrashed
from interop.exit_codes import FELL_SHORT, OK, CommandError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `adapter`."""
    parser.usage = "mqtt-interop adapter check -- COMMAND [ARGUMENT ...]"
    parser.add_argument("action", choices=["check"], help="hold an adapter against the contract, without any scenario")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what starts the adapter")


def run(options: argparse.Namespace) -> int:
    """Examine an adapter and say what is wrong; 0 when nothing is, 1 when something is."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise CommandError("name the command that starts the adapter: mqtt-interop adapter check -- ./my-adapter")
    try:
        return asyncio.run(_run(command))
    except DriverCrashed as crash:
        raise CommandError(str(crash)) from None


async def _run(command: Sequence[str]) -> int:
    wrong, is_whole = 0, True
    async for result in examine(command):
        wrong += len(result.complaints)
        is_whole = is_whole and not result.skipped
        sys.stdout.writelines(f"{line}\n" for line in _in_words(result))
        sys.stdout.flush()
    shown = shlex.join(command)
    things = "1 thing is" if wrong == 1 else f"{wrong} things are"
    so_far = "" if is_whole else ", as far as it was looked at"
    sys.stdout.write(f"\n{things if wrong else 'nothing is'} wrong with {shown}{so_far}\n")
    return FELL_SHORT if wrong else OK


def _in_words(result: Result) -> list[str]:
    if result.skipped:
        return [f"-----  {result.stage}: {result.skipped}"]
    lines = [f"{'WRONG' if result.complaints else 'ok   '}  {result.stage}"]
    for each in result.complaints:
        lines.append(f"         {each.what}")
        lines += [f"           it wrote  {each.shown_line}"] if each.line else []
        lines.append(f"           expected  {each.expected}")
    return lines
