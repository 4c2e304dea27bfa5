"""`mqtt-interop mutants --suite`: options, going on where a run ended, the lines a person sees, the exit code.

Belongs here: that. Does not belong here: running (`suite`), the table (`suite_table`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from interop.exit_codes import FELL_SHORT, NOTHING_RAN, OK, CommandError
from interop.installed import own_version
from interop.mutants.mutant import Mutant, take_crashes
from interop.mutants.suite import Suite, SuiteFault, baseline, put_to
from interop.mutants.suite_table import Kept, Noticed, OfAnotherSuite, Outcome, SuiteTable
from reports.claim import Claim
from reports.write import CannotWrite


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that are about somebody else's suite."""
    group = parser.add_argument_group("somebody else's suite")
    group.add_argument(
        "--suite",
        metavar="COMMAND",
        help="run this against each wrong broker, with {host} and {port} (or {ws_port}) in it; or, for a suite of "
        "clients, with {client}, the command of a wrong client that keeps the contract of adapters",
    )
    group.add_argument(
        "--junit", default="", metavar="FILE", help="the JUnit file the suite writes; {run} in it, and in the command, "
        "is a number of each run's own"
    )  # fmt: skip
    group.add_argument(
        "--suite-limit", type=float, default=60.0, metavar="SECONDS", help="end a run of the suite after so long (60)"
    )


def run(options: argparse.Namespace, mutants: Sequence[Mutant]) -> int:
    """Put the suite to those mutants of the side it tests; raises CommandError."""
    suite = Suite(options.suite, options.junit, options.suite_limit)
    chosen = [mutant for mutant in mutants if mutant.side == suite.side]
    if not chosen:
        raise CommandError(f"none of these mutants is a {suite.side}, which this suite tests")
    out: Path = options.out or Path("suite")
    try:
        suite.check(options.n)
        with Claim(out, " ".join(["mqtt-interop", *sys.argv[1:]])):
            table = asyncio.run(_run(suite, chosen, out, options.n))
            _print(table.lines())
            _print(str(path) for path in table.write(out))
    except OfAnotherSuite as error:
        raise CommandError(f"{error}; choose another folder with --out") from None
    except (SuiteFault, CannotWrite) as error:
        raise CommandError(str(error)) from None
    if not table.outcomes:
        return NOTHING_RAN
    return FELL_SHORT if table.unnoticed else OK


async def _run(suite: Suite, mutants: Sequence[Mutant], out: Path, at_once: int) -> SuiteTable:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # `take_crashes` has them
    about = {"suite": suite.command, "junit": suite.junit, "side": suite.side, "harness": own_version()}
    kept = Kept(out / "suite.jsonl", about)
    found = kept.read()
    if found is None:
        found = await baseline(suite), []
        kept.begin(found[0])
    else:
        _print([f"going on from {kept.file}: {len(found[1]):,} mutants were played"])
    subtracted, outcomes = found
    done = {each.mutant for each in outcomes}

    def tell(outcome: Outcome) -> None:
        kept.add(outcome)
        outcomes.append(outcome)
        if outcome.noticed is Noticed.NO:
            _print([f"not noticed: {outcome.mutant}"])

    await put_to(suite, [mutant for mutant in mutants if mutant.name not in done], subtracted, at_once, tell)
    names = {mutant.name for mutant in mutants}
    return SuiteTable(about, subtracted, [each for each in outcomes if each.mutant in names], take_crashes())


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
