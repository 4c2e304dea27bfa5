"""One run of an adapter under examination: a driver that goes on where a run would give up, and says what was wrong.

Belongs here: which command a line answers, and complaints about it.
Does not belong here: a line by itself (`lines`), what is asked and what the answer has to be (`stages`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence

from interop.adapter_check.lines import Complaint, id_of, read_line
from interop.drivers.child import Child, start_program
from interop.drivers.contract import ANSWERS, UNASKED, AnyCommand, AnyEvent, ErrorEvent, Ready
from interop.drivers.driver import DriverCrashed, DriverFault, DriverHung, DriverRubbish, Probe
from interop.drivers.process import GOODBYE_SECONDS, LINE_LIMIT_BYTES, ProcessDriver
from interop.drivers.registry import Program

_LOG_LINES = 3
_LINES_LIMIT = 10_000
"""More than an adapter has to say in all stages: who writes more does not stop."""
_QUIET_SECONDS = 0.3
"""How long to listen where a round trip cannot be had."""
_HIDES = ("PYTHONUNBUFFERED",)
"""What in our environment would keep a fault from showing: on another machine it is not set, and nothing is flushed."""


class Conversation(ProcessDriver):
    """Commands to an adapter and its answers; `complain` is told of all that is wrong."""

    def __init__(self, child: Child, complain: Callable[[Complaint], None]) -> None:
        super().__init__("it", child)
        self._complain = complain
        self._complaints = 0
        self._line = b""
        self._answered: dict[int, str] = {}  # the verbs of commands that are done with, by id
        self._is_mourned = False
        self._held: bytearray | None = None
        self._asked = ("hello", "")  # the verb that was asked for last, and when
        self.answers_any_verb = True
        """Whether a verb that nobody knows is answered, as far as it is known."""
        self.lines = 0
        """How many it has written."""

    @classmethod
    async def begin(cls, program: Program, complain: Callable[[Complaint], None]) -> Conversation:
        """Start an adapter and say nothing yet; raises DriverCrashed, in one line, when there is no such program."""
        environment = os.environ if program.environment is None else program.environment
        shown = {name: value for name, value in environment.items() if name not in _HIDES}
        conversation = cls(start_program(program.command, shown, program.folder), complain)
        await conversation._connect_pipes()
        return conversation

    def complain(
        self, what: str, expected: str, *, about_line: bool = False, seconds: float | None = None, read: bytes = b""
    ) -> None:
        """Say that something is wrong, perhaps with the line that came last, or what did not come in time."""
        self._complaints += 1
        self._complain(Complaint(what, expected, self._line if about_line else b"", seconds, read))

    async def ask(
        self,
        command: AnyCommand | Probe,
        timeout_seconds: float,
        *,
        while_: str = "",
        expected: str = "",
        silence_is_told: bool = True,
    ) -> AnyEvent | None:
        """The answer, where one came that can be made something of; what else came is complained about.

        `while_` says when it was asked; `expected` what is right where that is not the verb's own answer.
        """
        before = self._complaints
        if self.fault is None:
            self._asked = command.do, while_
        try:
            return await self._exchange(command, timeout_seconds)
        except DriverHung:
            if self._complaints == before and silence_is_told:
                what = f"`{command.do}` was not answered within {timeout_seconds:g} s{while_}"
                expected = f"{expected or _answer_to(command.do)}, with its id {command.id}"
                self.complain(what, expected, seconds=timeout_seconds, read=self._line_of(command))
        except DriverCrashed as crash:
            self._mourn(*self._asked, crash)
        except DriverFault:
            pass  # there was a complaint about the line
        return None

    async def ask_at_once(self, commands: Sequence[AnyCommand], timeout_seconds: float) -> list[AnyEvent | None]:
        """The answers to commands that are written at once, and so come in one read."""
        self._held = held = bytearray()
        asked = [asyncio.create_task(self.ask(each, timeout_seconds, silence_is_told=False)) for each in commands]
        await asyncio.sleep(0)  # each has written its line
        self._held = None
        self._write(held)
        return list(await asyncio.gather(*asked))

    def _write(self, lines: bytes | bytearray) -> None:
        if self._held is None:
            super()._write(lines)
        else:
            self._held += lines

    async def settle(self, timeout_seconds: float) -> None:
        """A round trip: what it had to say before is here after it."""
        if not self.answers_any_verb:  # which was said, once
            await asyncio.sleep(_QUIET_SECONDS)
            return
        with contextlib.suppress(DriverFault):
            await self._exchange(Probe(id=self.next_id(), do="settle"), timeout_seconds)

    async def end_input(self, timeout_seconds: float = GOODBYE_SECONDS) -> bool:
        """Close its standard input and wait; gives whether it ended."""
        self._input.close()
        return await self.has_ended(timeout_seconds)

    async def has_ended(self, timeout_seconds: float = GOODBYE_SECONDS) -> bool:
        """Wait for its end and for all it wrote; gives whether it ended."""
        status = await self._child.wait(timeout_seconds)
        await asyncio.wait([self._readers[1]], timeout=timeout_seconds if status is not None else 0)
        return status is not None

    def _mourn(self, verb: str, while_: str, crash: DriverCrashed) -> None:
        if not self._is_mourned:
            self._is_mourned = True
            said = " | ".join(crash.log.strip().splitlines()[-_LOG_LINES:])
            log = f"; the end of its standard error: {said}" if said else ""
            self.complain(
                f"{crash} at `{verb}`{while_}{log}", f"{_answer_to(verb)}, and the process to go on until `exit`"
            )

    def _fail(self, fault: DriverFault) -> DriverFault:
        if self.fault is None and isinstance(fault, DriverRubbish):  # it is not read any further
            self.complain(
                str(fault), f"a line feed after every event, at most {LINE_LIMIT_BYTES >> 20} MiB behind the last"
            )
        return super()._fail(fault)

    def _take_line(self, line: bytes) -> None:
        self._line, self.lines = line, self.lines + 1
        if self.lines > _LINES_LIMIT:
            self.complain(
                f"it wrote more than {_LINES_LIMIT:,} lines",
                "an answer to each command, and what happens",
                about_line=True,
            )
            super()._fail(DriverRubbish("it does not stop"))
            return
        event, complaints = read_line(line)
        for each in complaints:
            self._complaints += 1
            self._complain(each)
        if event is not None:
            self._take(event)
        elif (number := id_of(line)) in self._waiting:
            _, future = self._waiting[number]
            if not future.done():  # that was to be the answer: nobody need wait for another
                future.set_exception(DriverRubbish("no event"))

    def _take(self, event: AnyEvent) -> None:
        if not self._is_news(event):
            return
        if event.id is None and isinstance(event, UNASKED):
            self.events.put_nowait((time.monotonic(), event))
        elif event.id in self._waiting:
            self._answer(event.id, event)
        elif event.id in self._answered and (number := self._meant_by(event)):
            what = f"`{event.event}` has the id {event.id}, which is another command's"
            self.complain(what, f"an answer with the id of its command, {number}", about_line=True)
            self._answer(number, event)
        elif event.id in self._answered:
            what = f"command {event.id}, `{self._answered[event.id]}`, is answered a second time"
            self.complain(what, "one answer to each command, and none to what `reset` threw away", about_line=True)
        else:
            self._take_stray(event)

    def _meant_by(self, event: AnyEvent) -> int:
        """The only command that waits, where this event answers it rather than the one whose id it has; else 0."""
        waiting = [number for number, (_, future) in self._waiting.items() if not future.done()]
        if len(waiting) != 1 or event.id is None:
            return 0
        if isinstance(event, ErrorEvent) and event.error != "unsupported":  # which a made-up verb is answered with
            return 0
        kind = ANSWERS.get(self._waiting[waiting[0]][0], ErrorEvent)
        is_of_before = isinstance(event, ANSWERS.get(self._answered[event.id], ErrorEvent))
        return waiting[0] if isinstance(event, kind) and not is_of_before else 0

    def _take_stray(self, event: AnyEvent) -> None:
        """An event that should answer something, but has no id of a command."""
        waiting = [number for number, (verb, future) in self._waiting.items() if not future.done()]
        what = f"`{event.event}` has no `id`" if event.id is None else f"no command had the id {event.id}"
        wanted = f", {waiting[0]}" if len(waiting) == 1 else ""
        self.complain(what, f"an answer with the id of its command{wanted}", about_line=True)
        if len(waiting) == 1:
            self._answer(waiting[0], event)

    def _answer(self, number: int, event: AnyEvent) -> None:
        verb, future = self._waiting.pop(number)
        self._answered[number] = verb
        if not isinstance(event, (ANSWERS.get(verb, ErrorEvent), ErrorEvent)):
            self.complain(f"`{verb}` is answered with `{event.event}`", _answer_to(verb), about_line=True)
            if not future.done():
                future.set_exception(DriverRubbish("another kind of answer"))
        elif not future.done():
            future.set_result(event)
        if isinstance(event, Ready):
            self._forget()

    def _forget(self) -> None:
        """After `ready` nothing of the old client instance may come."""
        for number, (verb, future) in self._waiting.items():
            self._answered[number] = verb
            if not future.done():
                future.set_exception(DriverRubbish("forgotten"))
        self._waiting.clear()
        while not self.events.empty():
            self.events.get_nowait()


def _answer_to(verb: str) -> str:
    """The event that answers a verb when all goes well."""
    kind = ANSWERS.get(verb)
    return f"`{kind.model_fields['event'].default}`" if kind else "the error `unsupported`"
