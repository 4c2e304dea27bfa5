"""Somebody else's suite against each mutant: which would it notice?

Belongs here: running the suite's command within limits, what failed in it, what it made of the right end.
Does not belong here: the ends (`serving`), keeping and telling (`suite_table`), options (`suite_command`).

A suite speaks by its exit status, or by the JUnit file it writes, test by test. What fails on the right broker says
nothing: the suite is put to that first, and what failed once there is subtracted.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from interop.lifeline import guard, kill_group
from interop.mutants.mutant import Mutant
from interop.mutants.serving import HOST, listening
from interop.mutants.suite_table import Noticed, Outcome
from interop.runner.verdict import REFERENCE_CLIENT
from reference_broker.net.address import Transport

LOOKS = 2
"""How often the suite is put to the right end: what fails in one of them is not the mutants' doing."""
_LAST_WORDS_BYTES = 4000
_CLIENT, _PORTS = "{client}", {"{port}": Transport.TCP, "{ws_port}": Transport.WS}


class SuiteFault(Exception):
    """The suite cannot be run, or tells nothing; the text is one line a person can act on."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of the suite: how it ended (None where it was ended), which tests failed, if it told, its last words."""

    status: int | None
    failed: frozenset[str] | None
    last_words: str


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite's command, with `{host}` and `{port}` (`{ws_port}`) of a broker, or `{client}`, the command of a client.

    `junit` is the file it writes, in which the same may stand; `limit_seconds` how long one run may take.
    """

    command: str
    junit: str = ""
    limit_seconds: float = 60.0

    @property
    def side(self) -> str:
        """Which side it tests."""
        return "client" if _CLIENT in self.command else "broker"

    def check(self, at_once: int) -> None:
        """Raise SuiteFault for what cannot be run."""
        if self.side == "broker" and not any(port in self.command for port in _PORTS):
            raise SuiteFault("--suite needs {port} in its command, for a broker's, or {client}, for a client's command")
        try:
            if not shlex.split(self.command):
                raise SuiteFault("--suite names no command")
        except ValueError as error:
            raise SuiteFault(f"--suite cannot be split into words: {error}") from None
        if self.junit and at_once > 1 and not any(part in self.junit for part in ("{run}", *_PORTS)):
            raise SuiteFault("--junit FILE is one file for all runs: put {run} into it (and into the command), or -n 1")

    async def run(self, mutant: Mutant | None, run: int) -> Ran:
        """Put it to a mutant, or to the right end; `run` is a number that no other run has at this time."""
        async with _values(self.side, mutant, run) as values:
            words = [_filled(word, values) for word in shlex.split(self.command)]
            junit = Path(_filled(self.junit, values)) if self.junit else None
            if junit is not None:
                junit.unlink(missing_ok=True)
            with tempfile.TemporaryFile() as output:
                status = await self._run(words, output)
                failed = None if junit is None else failed_tests(junit)
                return Ran(status, failed, _last_words(output))

    async def _run(self, words: list[str], output: IO[bytes]) -> int | None:
        """The exit status; None where it took too long. Nothing it started outlives it."""
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            raise SuiteFault(f"--suite: cannot start {words[0]}: {error.strerror}") from None
        guard(process.pid)
        try:
            async with asyncio.timeout(self.limit_seconds):
                return await process.wait()
        except TimeoutError:
            return None
        finally:
            kill_group(process.pid)
            await process.wait()


@contextlib.asynccontextmanager
async def _values(side: str, mutant: Mutant | None, run: int) -> AsyncIterator[dict[str, str]]:
    """What stands for each word in braces, with the broker that goes with it."""
    if side == "client":
        name = REFERENCE_CLIENT if mutant is None else mutant.name
        yield {_CLIENT: shlex.join([sys.executable, "-m", "interop", "mutants", "--serve", name]), "{run}": str(run)}
        return
    async with listening(mutant) as server:
        ports = {word: str(server.addresses[transport].port) for word, transport in _PORTS.items()}
        yield {"{host}": HOST, "{run}": str(run), **ports}


def _filled(text: str, values: dict[str, str]) -> str:
    for word, value in values.items():
        text = text.replace(word, value)
    return text


def _last_words(output: IO[bytes]) -> str:
    output.seek(max(0, output.seek(0, 2) - _LAST_WORDS_BYTES))
    lines = output.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def failed_tests(junit: Path) -> frozenset[str] | None:
    """The tests that failed, by class and name; None where there is no such file, or it is broken."""
    try:
        root = ElementTree.parse(junit).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    return frozenset(_failed(root))


def _failed(root: ElementTree.Element) -> Iterator[str]:
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            yield "::".join(part for part in (case.get("classname"), case.get("name")) if part)


async def baseline(suite: Suite) -> frozenset[str]:
    """What fails on the right end; raises SuiteFault where the suite then could tell nothing."""
    failed: set[str] = set()
    for look in range(LOOKS):
        ran = await suite.run(None, look)
        if ran.status is None:
            raise SuiteFault(f"on the right {suite.side} the suite takes more than {suite.limit_seconds:g} s")
        if not suite.junit and ran.status:
            raise SuiteFault(
                f"on the right {suite.side} the suite fails (exit status {ran.status}: {ran.last_words}), so that its "
                "status tells nothing; with --junit FILE its tests are told apart"
            )
        if suite.junit and ran.failed is None:
            raise SuiteFault(f"the suite wrote no JUnit file {suite.junit}: {ran.last_words}")
        failed |= ran.failed or set()
    return frozenset(failed)


async def put_to(
    suite: Suite,
    mutants: Iterable[Mutant],
    subtracted: frozenset[str],
    at_once: int,
    tell: Callable[[Outcome], None],
) -> None:
    """Put the suite to each mutant, so many at once; `tell` is told what came out, as it does."""
    queue: Iterator[Mutant] = iter(mutants)

    async def work(run: int) -> None:
        for mutant in queue:
            began = time.monotonic()
            ran = await suite.run(mutant, run)
            tell(outcome_of(mutant, ran, subtracted, time.monotonic() - began))

    workers = [asyncio.create_task(work(run)) for run in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def outcome_of(mutant: Mutant, ran: Ran, subtracted: frozenset[str], seconds: float) -> Outcome:
    """What a run says of a mutant; a suite that broke off without its JUnit file speaks by its exit status."""
    failed = tuple(sorted((ran.failed or frozenset()) - subtracted))
    if ran.status is None:
        noticed = Noticed.HUNG
    elif failed or (ran.failed is None and ran.status):
        noticed = Noticed.YES
    else:
        noticed = Noticed.NO
    said = ran.last_words if noticed is Noticed.YES and not failed else ""
    return Outcome(mutant.name, mutant.side, mutant.subjects, noticed, failed, said, round(seconds, 2))
