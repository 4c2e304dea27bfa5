"""The whole examination of an adapter: all stages in order, in bounded time, each with a process that is good for it.

Belongs here: brokers, processes, the time there is, what came of each stage.
Does not belong here: what a stage asks (`stages`), how it is shown (`command`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from interop.adapter_check.asking import Setting, Stage
from interop.adapter_check.conversation import Conversation
from interop.adapter_check.lines import Complaint
from interop.adapter_check.silent import SilentBroker
from interop.adapter_check.stages import ENDING, STAGES
from interop.adapter_check.watch import Watch, believed, is_in_doubt
from interop.drivers.contract import Hello
from interop.drivers.driver import START_SECONDS
from interop.drivers.registry import Program
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer

LIMIT_SECONDS = 28.0
"""How long the examination takes at most; with its start and its end half a minute."""

_NO_TIME = "no time was left"
_OVER_TCP = "only looked at over TCP, which this adapter has not"


@dataclass(slots=True)
class Result:
    """What came of one stage; `skipped` says why it was not looked at, where it was not.

    `is_open` where that is no matter of the adapter's, and another time may tell.
    """

    stage: str
    complaints: list[Complaint] = field(default_factory=list)
    skipped: str = ""
    is_open: bool = False


async def examine(program: Program, watch: Watch | None = None) -> AsyncIterator[Result]:
    """Put an adapter to all stages; raises DriverCrashed, in one line, when there is no such program."""
    clock = asyncio.get_running_loop().time
    until = clock() + LIMIT_SECONDS
    watch = watch or Watch()
    beats = asyncio.create_task(watch.beat())
    try:
        async with BrokerServer(ServerConfig(port=0)) as server, SilentBroker() as silent:
            adapters = _Adapters(program, watch)
            setting = Setting(server.address, silent, another=adapters.another)
            try:
                for name, stage in STAGES.items():
                    if skipped := _why_not(setting, stage):
                        yield Result(name, skipped=skipped)
                    elif clock() >= until:
                        yield Result(name, skipped=_NO_TIME, is_open=True)
                    else:
                        yield await _looked_at(name, adapters, setting, watch, until)
            finally:
                await adapters.close()
    finally:
        beats.cancel()


async def _looked_at(name: str, adapters: _Adapters, setting: Setting, watch: Watch, until: float) -> Result:
    """What came of a stage; what may be this machine's doing is looked at once more, with a new process."""
    clock = asyncio.get_running_loop().time
    had_seconds = until - clock()
    found = await _found(name, adapters, setting, until)
    if found and clock() >= until and had_seconds < LIMIT_SECONDS / 2 and found[-1].seconds == LIMIT_SECONDS:
        return Result(name, skipped=_NO_TIME, is_open=True)  # others took it
    if is_in_doubt(found, watch.lag()) and clock() < until:
        found = await _found(name, adapters, setting, until)
    lag = watch.lag()
    kept = believed(found, lag)
    if kept or not found:
        return Result(name, kept)
    return Result(name, skipped=f"this machine was too busy ({lag}) to tell whether: {found[0].what}", is_open=True)


async def _found(name: str, adapters: _Adapters, setting: Setting, until: float) -> list[Complaint]:
    stage, complaints = STAGES[name], list[Complaint]()
    try:
        async with asyncio.timeout_at(until):
            talk = await adapters.one_for(stage, complaints)
            talk.answers_any_verb = setting.answers_any_verb
            await stage(talk, setting)
    except TimeoutError:
        if not complaints:  # they took the time
            what = f"the examination's {LIMIT_SECONDS:g} s were over before the end of this"
            complaints.append(Complaint(what, "answers without delay", seconds=LIMIT_SECONDS))
    if complaints:
        adapters.look()
    if complaints or stage in ENDING:
        await adapters.close()
    return complaints


def _why_not(setting: Setting, stage: Stage) -> str:
    if stage is STAGES["hello"]:
        return ""
    if setting.hello is None:
        return "of no use before `hello` is right"
    needs_connection = list(STAGES.values()).index(stage) > 2
    return _OVER_TCP if needs_connection and "tcp" not in setting.hello.transports else ""


class _Adapters:
    """One process after another, each for as many stages as it does well."""

    def __init__(self, program: Program, watch: Watch) -> None:
        self._program = program
        self._watch = watch
        self._talk: Conversation | None = None
        self._complaints: list[Complaint] = []

    def _complain(self, complaint: Complaint) -> None:
        self.look()
        self._complaints.append(complaint)

    def look(self) -> None:
        """See how long the process has waited for a processor, before it is gone."""
        if self._talk is not None:
            self._watch.look(self._talk.pid)

    async def one_for(self, stage: Stage, complaints: list[Complaint]) -> Conversation:
        """A process for a stage; a new one has been asked who it is, unless that is what the stage is about."""
        self._complaints = complaints
        self._watch.begin(self._talk.pid if self._talk is not None else None)
        if self._talk is None:
            self._talk = await Conversation.begin(self._program, self._complain)
            if stage is not STAGES["hello"]:
                await self._talk.ask(Hello(id=self._talk.next_id()), START_SECONDS)
        return self._talk

    @contextlib.asynccontextmanager
    async def another(self) -> AsyncIterator[Conversation]:
        """One more process, beside the one a stage has, which ends with it."""
        talk = await Conversation.begin(self._program, self._complain)
        try:
            yield talk
        finally:
            self._watch.look(talk.pid)
            with contextlib.suppress(Exception):
                await talk.close()

    async def close(self) -> None:
        """End the process there is."""
        if self._talk is not None:
            with contextlib.suppress(Exception):
                await self._talk.close()
            self._talk = None
