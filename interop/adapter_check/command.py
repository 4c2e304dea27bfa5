"""`mqtt-interop adapter`: does an adapter keep the contract? And the adapters that come along, built and listed.

Belongs here: their options, their output, their exit codes.
Does not belong here: the examination (`examination`, `stages`), how one is built (`interop.drivers.catalog`).
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
import sys
from collections.abc import Sequence

from interop.adapter_check.examination import Result, examine
from interop.adapter_check.lines import Complaint, shown
from interop.brokers.catalog import BuiltBroker, built_brokers
from interop.brokers.releases import broker_of, release
from interop.building import build
from interop.drivers.catalog import AdapterProgram, BadAdapter, adapter_programs
from interop.drivers.driver import DriverCrashed
from interop.drivers.registry import Program, UnknownDriver, program_of, ships
from interop.drivers.releases import wanted
from interop.exit_codes import FELL_SHORT, HARNESS_FELL_SHORT, OK, CommandError
from interop.scenario.problems import closest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `adapter`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="hold an adapter against the contract, without any scenario")
    check.usage = "mqtt-interop adapter check -- COMMAND [ARGUMENT ...]\n       mqtt-interop adapter check NAME"
    check.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND",
        help="what starts the adapter; or one that comes along, by its name",
    )  # fmt: skip
    text = "build the adapters of the folder `adapters`, as far as this machine's toolchains allow"
    building = actions.add_parser("build", help=text, description=text)
    building.add_argument(
        "names", nargs="*", metavar="NAME",
        help="only these, which may be brokers' names, too (all); NAME@RELEASE for another release, as paho@2.1.0",
    )  # fmt: skip
    building.add_argument("--brokers", action="store_true", help="the brokers of the folder `brokers` instead")
    listing = actions.add_parser("list", help="the names of those that are built, as `--client` takes them")
    listing.set_defaults(names=[])


def run(options: argparse.Namespace) -> int:
    """Carry out one action; 0 when all is well, 1 when an adapter is not, 2 when that could not be told."""
    try:
        return {"check": _check, "build": _build, "list": _list}[options.action](options)
    except BadAdapter as problem:
        raise CommandError(str(problem)) from None


# --- check ------------------------------------------------------------------------------------------------------------


def _check(options: argparse.Namespace) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise CommandError("name the command that starts the adapter: mqtt-interop adapter check -- ./my-adapter")
    by_name = command == options.command and len(command) == 1 and ships(command[0])
    try:
        return asyncio.run(_examined(program_of(command[0]) if by_name else Program(command)))
    except UnknownDriver as problem:
        raise CommandError(str(problem)) from None
    except DriverCrashed as crash:
        close = None if "/" in command[0] else closest(command[0], adapter_programs())
        raise CommandError(f"{crash}{f'; did you mean {close}, which comes along?' if close else ''}") from None


async def _examined(program: Program) -> int:
    told, is_whole, is_open, reason = set[str](), True, False, ""
    async for result in examine(program):
        is_whole, is_open = is_whole and not result.skipped, is_open or result.is_open
        if not result.skipped or result.skipped != reason:
            _say(*_in_words(result, told))
        reason = result.skipped
    wrong = len(told)
    things = "1 thing is" if wrong == 1 else f"{wrong} things are"
    so_far = "" if is_whole else ", as far as it was looked at"
    _say("", f"{things if wrong else 'nothing is'} wrong with {shlex.join(program.command)}{so_far}")
    return FELL_SHORT if wrong else HARNESS_FELL_SHORT if is_open else OK


def _in_words(result: Result, told: set[str]) -> list[str]:
    """The lines of a stage; what was told before, which is added to, is not told at length again."""
    if result.skipped:
        return [f"-----  {result.stage}: {result.skipped}"]
    lines, again = [f"{'WRONG' if result.complaints else 'ok   '}  {result.stage}"], 0
    for each in result.complaints:
        if (kind := _kind(each)) in told:
            again += 1
            continue
        told.add(kind)
        lines.append(f"         {each.what}")
        lines += [f"           it read   {shown(each.read)}"] if each.read else []
        lines += [f"           it wrote  {shown(each.line)}"] if each.line else []
        lines.append(f"           expected  {each.expected}")
    times = f", {again} times" if again > 1 else ""
    return [*lines, f"         again what stands above{times}"] if again else lines


def _kind(complaint: Complaint) -> str:
    """What all complaints of one kind have in common: not their numbers, nor the names that were made up."""
    return re.sub(r"\b(check|verb-)/?[0-9a-f]{8}\b|\d+(\.\d+)*", "#", complaint.what)


# --- those that come along --------------------------------------------------------------------------------------------


def _build(options: argparse.Namespace) -> int:
    failed = 0
    for program in _to_build(options.names, brokers=options.brokers):
        done = build(program)
        if done.skipped:
            _say(f"SKIPPED  {program.name}: {done.skipped}")
        elif done.failure:
            failed += 1
            _say(f"FAILED   {program.name}: {done.failure}")
        else:
            _say(f"built    {program.name}: {program.summary}, in {done.seconds:.1f} s")
    return FELL_SHORT if failed else OK


def _to_build(names: Sequence[str], *, brokers: bool) -> list[AdapterProgram | BuiltBroker]:
    """Adapters, or brokers, or whatever has one of these names."""
    programs = dict(built_brokers())
    programs |= {name: found for name in names if broker_of(name) != name and (found := release(name))}
    of_brokers = [programs[name] for name in (names or programs) if name in programs]
    strangers = [name for name in names if name not in programs]
    if brokers and strangers:
        raise BadAdapter(f"there is no broker {strangers[0]!r} to build; expected one of {', '.join(programs)}")
    if brokers:
        return [*of_brokers]
    of_clients = [name for name in names if name in strangers or name in adapter_programs()]
    return [*wanted(of_clients), *of_brokers] if of_clients else [*of_brokers] if names else [*wanted([])]


def _list(options: argparse.Namespace) -> int:
    _say(",".join(program.name for program in wanted(options.names) if program.is_built))
    return OK


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
