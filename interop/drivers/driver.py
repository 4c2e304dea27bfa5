"""A client under test as the runner sees it: requests with one answer each, events that come by themselves, and faults.

Belongs here: the face all drivers share, matching answers to requests, and what counts as a fault of the driver.
Does not belong here: how messages travel (`process`, `in_process`), reuse (`pool`), what they mean (`contract`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from abc import ABC, abstractmethod

from interop.drivers.contract import (
    ANSWERS,
    CONTRACT_VERSION,
    UNASKED,
    AnyCommand,
    AnyEvent,
    Command,
    Connected,
    Disconnected,
    Dropped,
    ErrorEvent,
    Hello,
    HelloEvent,
    Reset,
)
from interop.scenario.features import unknown_features

START_SECONDS = 10.0
"""How long an adapter may take from its start to `hello` and the probe."""

RESET_SECONDS = 2.0
"""How long an adapter may take to throw its client away."""

UNREAD_EVENTS_LIMIT = 100_000

_END_A_CONNECTION = ("connect", "disconnect", "drop", "reset")
_END_WITH_IT = ("subscribe", "unsubscribe", "ack", "auth")


class DriverFault(Exception):
    """The driver, not the client's MQTT, went wrong; `log` is the end of what the adapter wrote to its log."""

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(reason)
        self.log = log


class DriverCrashed(DriverFault):
    """The adapter could not be started, or ended by itself."""


class DriverHung(DriverFault):
    """An answer did not come in time. The driver may still be good: a `reset` in time shows it."""


class DriverRubbish(DriverFault):
    """The adapter broke the contract: a line that is no event, an answer to nothing, or one of the wrong kind."""


class Probe(Command):
    """A verb that no adapter knows; the only right answer is `unsupported`, from the adapter itself."""

    do: str


class Driver(ABC):
    """One client instance at a time, driven by commands.

    `events` holds what came unasked, oldest first, each with `time.monotonic()` of its arrival.
    `fault` is set once the driver is of no more use; every later request raises it.
    """

    made_of = ""
    """What its adapter was made of, with its digest, where somebody keeps count of that: the image of a container."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events: asyncio.Queue[tuple[float, AnyEvent]] = asyncio.Queue()
        self.fault: DriverFault | None = None
        self._hello: HelloEvent | None = None
        self._last_id = 0
        self._is_connected = False  # and nothing was asked for that ends it
        self._waiting: dict[int, tuple[str, asyncio.Future[AnyEvent]]] = {}

    @property
    def hello(self) -> HelloEvent:
        """What the adapter said of itself; there once the driver was started."""
        if self._hello is None:
            raise RuntimeError(f"driver {self.name} was not started")
        return self._hello

    @property
    @abstractmethod
    def log(self) -> str:
        """The end of what the adapter logged since it was last reset."""

    def next_id(self) -> int:
        """A fresh number for a command."""
        self._last_id += 1
        return self._last_id

    async def request(self, command: AnyCommand, timeout_seconds: float) -> AnyEvent:
        """Send a command and give its answer, which may be an `ErrorEvent`; raises DriverFault.

        An answer that is late or no longer waited for is dropped when it comes.
        """
        return await self._exchange(command, timeout_seconds)

    async def reset(self) -> None:
        """Throw the client instance away and forget its events; raises DriverFault.

        Requests still waiting get the error `cut-off`.
        """
        try:
            answer = await self._exchange(Reset(id=self.next_id()), RESET_SECONDS)
        except DriverHung as hung:
            raise self._fail(hung) from None
        if isinstance(answer, ErrorEvent):
            raise self._fail(DriverRubbish(f"{self.name} cannot reset: {answer.detail or answer.error}", self.log))
        for number, (_, waiting) in self._waiting.items():
            if not waiting.done():
                waiting.set_result(ErrorEvent(id=number, error="cut-off", detail="the client instance was reset"))
        self._waiting.clear()
        while not self.events.empty():
            self.events.get_nowait()

    @abstractmethod
    async def close(self) -> None:
        """End the driver and all it started, in bounded time; may be called twice."""

    @abstractmethod
    async def _send(self, command: Command) -> None:
        """Hand a command to the adapter."""

    async def _introduce(self) -> None:
        """Ask who is there, and probe that `unsupported` is an answer the adapter gives; raises DriverFault."""
        hello = await self._first_answer()
        if not isinstance(hello, HelloEvent):
            raise self._fail(DriverRubbish(f"{self.name} answered hello with {hello.event}", self.log))
        if hello.contract != CONTRACT_VERSION:
            raise self._fail(
                DriverRubbish(f"{self.name} speaks contract {hello.contract}, this is contract {CONTRACT_VERSION}")
            )
        probe = Probe(id=self.next_id(), do=f"verb-{secrets.token_hex(4)}")
        answer = await self._exchange(probe, START_SECONDS)
        if not isinstance(answer, ErrorEvent) or answer.error != "unsupported":
            raise self._fail(DriverRubbish(f"{self.name} did not answer `unsupported` to a made-up verb", self.log))
        if wrong := unknown_features(hello.unsupported):
            raise self._fail(DriverRubbish(f"`unsupported` in the hello of {self.name}: {'; '.join(wrong)}", self.log))
        self._hello = hello

    async def _first_answer(self) -> AnyEvent:
        try:
            return await self._exchange(Hello(id=self.next_id()), START_SECONDS)
        except DriverHung as hung:
            raise DriverHung(f"{hung}; does it flush its standard output after every line?", hung.log) from None

    async def _exchange(self, command: AnyCommand | Probe, timeout_seconds: float) -> AnyEvent:
        if self.fault is not None:
            raise self.fault
        waiting: asyncio.Future[AnyEvent] = asyncio.get_running_loop().create_future()
        self._waiting[command.id] = (command.do, waiting)
        if command.do in _END_A_CONNECTION:
            self._is_connected = False
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._send(command)
                return await waiting
        except TimeoutError:
            raise self._overdue(command.do, timeout_seconds) from None

    def _overdue(self, verb: str, timeout_seconds: float) -> DriverFault:
        """What it means that an answer did not come in time."""
        return DriverHung(f"{self.name} did not answer `{verb}` within {timeout_seconds:g} s", self.log)

    def _is_news(self, event: AnyEvent) -> bool:
        """Keep up with the connection. An end of it that was asked for, or told before, is told in vain.

        What waits for an answer on a connection ends with it: adapters need not say so, and who does is late.
        """
        if isinstance(event, Connected):
            self._is_connected = True
        if not isinstance(event, Disconnected | Dropped):
            return True
        is_news = isinstance(event, Dropped) or event.id is not None or self._is_connected
        self._is_connected = False
        for number, (verb, waiting) in self._waiting.items():
            is_of_before = event.id is None or number < event.id
            if verb in _END_WITH_IT and is_of_before and not waiting.done():
                waiting.set_result(_ended(number, verb, event))
        return is_news

    def _take(self, event: AnyEvent) -> None:
        """Pass on one event of the adapter; what the contract does not allow there ends the driver."""
        if not self._is_news(event):
            return
        if event.id is None:
            self._take_unasked(event)
            return
        asked = self._waiting.pop(event.id, None)
        if asked is None:
            self._fail(DriverRubbish(f"{self.name} answered command {event.id}, which waits for no answer", self.log))
            return
        verb, waiting = asked
        if not isinstance(event, (ANSWERS.get(verb, ErrorEvent), ErrorEvent)):
            # The request learns it from the fault, like all others.
            self._waiting[event.id] = asked
            self._fail(DriverRubbish(f"{self.name} answered `{verb}` with `{event.event}`", self.log))
        elif not waiting.done():
            waiting.set_result(event)

    def _take_unasked(self, event: AnyEvent) -> None:
        if isinstance(event, ErrorEvent):
            self._fail(DriverRubbish(f"{self.name} could not read a command: {event.detail}", self.log))
        elif not isinstance(event, UNASKED):
            self._fail(DriverRubbish(f"{self.name} sent `{event.event}` without an id", self.log))
        elif self.events.qsize() >= UNREAD_EVENTS_LIMIT:
            self._fail(DriverRubbish(f"{self.name} sent more than {UNREAD_EVENTS_LIMIT} events nobody read", self.log))
        else:
            self.events.put_nowait((time.monotonic(), event))

    def _fail(self, fault: DriverFault) -> DriverFault:
        """Let every waiting and later request raise `fault`; the first one counts."""
        if self.fault is None:
            self.fault = fault
            for _, waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(fault)
            self._waiting.clear()
        return self.fault


def _ended(number: int, verb: str, event: Disconnected | Dropped) -> ErrorEvent:
    """What becomes of a command that waited on a connection which ends; AUTH is refused by DISCONNECT. [5.0 4.12]"""
    if verb == "auth" and isinstance(event, Disconnected) and event.by == "broker" and event.reason:
        return ErrorEvent(id=number, error="refused", reason=event.reason)
    return ErrorEvent(id=number, error="cut-off", detail="the network connection ended")
