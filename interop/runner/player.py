"""One actor of a cell, played by a driver: what it was asked, what its application was told.

Belongs here: a driver's answers and events sorted into inboxes, and asking it something with bounded patience.
Does not belong here: how a driver works (`interop.drivers`), what a verb asks for (`act`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from interop.drivers.contract import AnyCommand, AnyEvent, Connect, Disconnected, ErrorEvent, Hello, MessageEvent
from interop.drivers.driver import Driver, DriverHung
from interop.runner.failures import StepFailed, Unsupported
from interop.runner.pace import Pace
from interop.scenario.model import Actor

ANSWER_SECONDS = 5.0
"""How long a client may take to answer a command before the step fails."""

ALIVE_SECONDS = 5.0
"""How long an adapter may take to say that it is alive before it counts as hung."""

NOTICE_SECONDS = 1.0
"""How long it may take to notice that an adapter has ended."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that reached the application."""

    at: float
    event: MessageEvent


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A publish that was handed over; its answer may be long in coming."""

    topic: str
    payload: bytes
    answer: asyncio.Task[AnyEvent]


class Inbox:
    """What an application was told: messages until a step takes them, and (apart) until one acknowledges them by hand.

    Messages wait by topic, because there may be tens of thousands.
    """

    def __init__(self) -> None:
        self.endings: list[tuple[float, Disconnected]] = []
        self.unacknowledged: list[Received] = []
        self.came = 0  # how many there ever were
        self.newest_at = 0.0
        self.told: Counter[tuple[str, bytes]] = Counter()
        """How often which message, by topic and payload."""
        self._waiting: dict[str, deque[Received]] = {}

    def add(self, message: Received, *, manual_ack: bool) -> None:
        """A message came."""
        self.came += 1
        self.newest_at = message.at
        self.told[message.event.topic, message.event.payload] += 1
        self._waiting.setdefault(message.event.topic, deque()).append(message)
        if manual_ack:
            self.unacknowledged.append(message)

    def oldest(self, topic: str | None = None) -> Received | None:
        """The message that waits longest, on this topic or at all."""
        if topic is not None:
            return next(iter(self._waiting.get(topic, ())), None)
        heads = (waiting[0] for waiting in self._waiting.values())
        return min(heads, key=lambda message: message.at, default=None)

    def take(self, topic: str) -> Received:
        """Take the oldest message on a topic on which one waits."""
        waiting = self._waiting[topic]
        message = waiting.popleft()
        if not waiting:
            del self._waiting[topic]
        return message


class Player:
    """An actor with its driver; `limit_seconds` is how long an answer is expected at all."""

    def __init__(
        self,
        name: str,
        actor: Actor,
        driver: Driver,
        pace: Pace,
        on_change: Callable[[], None],
        limit_seconds: float,
    ) -> None:
        self.name = name
        self.actor = actor
        self.driver = driver
        self.inbox = Inbox()
        self.deliveries: deque[HandedOver] = deque()  # those no step has claimed yet
        self.connected = False
        self.ever_connected = False
        self._pace = pace
        self._on_change = on_change
        self._limit_seconds = limit_seconds
        self._unanswered: dict[asyncio.Task[AnyEvent], AnyCommand] = {}
        self._listen = asyncio.ensure_future(self._listen_to_driver())

    async def close(self) -> None:
        """Stop listening; the driver goes back to its pool."""
        for task in (self._listen, *self._unanswered):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task

    async def _listen_to_driver(self) -> None:
        while True:
            moment, event = await self.driver.events.get()
            at = self._pace.at(moment)
            if isinstance(event, MessageEvent):
                self.inbox.add(Received(at, event), manual_ack=self.actor.manual_ack)
            elif isinstance(event, Disconnected):
                self.inbox.endings.append((at, event))
                self.connected = False
            self._on_change()

    @property
    def is_connecting(self) -> bool:
        """Whether it was asked to connect and has not answered yet."""
        return any(isinstance(command, Connect) for command in self._unanswered.values())

    def hand_over(self, command: AnyCommand) -> asyncio.Task[AnyEvent]:
        """Give the driver a command; the task is its answer."""
        task: asyncio.Task[AnyEvent] = asyncio.ensure_future(self.driver.request(command, self._limit_seconds))
        self._unanswered[task] = command
        task.add_done_callback(self._answered)
        return task

    def _answered(self, task: asyncio.Task[AnyEvent]) -> None:
        self._unanswered.pop(task, None)
        if not task.cancelled():
            task.exception()  # it counts as looked at: nobody may wait for the answer
        self._on_change()

    async def ask(self, command: AnyCommand) -> AnyEvent:
        """The answer to a command.

        Raises Unsupported when the client cannot do it, StepFailed when no answer comes in time although the adapter is
        alive, DriverFault (a harness error) when the adapter itself broke.
        """
        return await self.answer_of(self.hand_over(command), command.do)

    async def answer_of(self, task: asyncio.Task[AnyEvent], what: str) -> AnyEvent:
        """The answer a task stands for; raises like `ask`."""
        patient_seconds = self._pace.patient_seconds
        most_seconds = ANSWER_SECONDS + self._pace.answer_seconds()
        if not task.done():
            await asyncio.wait({task}, timeout=patient_seconds)
        if not task.done():
            with self._pace.resting():
                await asyncio.wait({task}, timeout=most_seconds - patient_seconds)
        if not task.done():
            await self.prove_alive()
            task.cancel()
            raise StepFailed(f"{self.name}'s {what} to be answered", f"nothing came within {most_seconds:g} s")
        answer = task.result()
        if isinstance(answer, ErrorEvent) and answer.error == "unsupported":
            raise Unsupported(f"{self.driver.hello.client} cannot {what}: {answer.detail or 'unsupported'}")
        return answer

    async def check_adapter(self) -> None:
        """Raise DriverFault where the adapter broke: what it then did to its connection, its client did not."""
        with suppress(DriverHung):  # whether silence counts is for `prove_alive` to say
            await self.driver.request(Hello(id=self.driver.next_id()), NOTICE_SECONDS)

    async def prove_alive(self) -> None:
        """Raise DriverHung unless the adapter answers: only silence of a client is a finding, not of an adapter."""
        hello = Hello(id=self.driver.next_id())
        try:
            await asyncio.wait_for(self.driver.request(hello, timeout_seconds=ALIVE_SECONDS), ALIVE_SECONDS)
        except TimeoutError as error:
            raise DriverHung(f"the adapter of {self.name} does not answer") from error
