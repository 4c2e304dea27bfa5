"""What adapters written in Python share: reading commands, answering them, and the answers that callbacks bring later.

Belongs here: the `Adapter` base, dispatch, the loop on standard input and output.
Does not belong here: a client library (`builtin`, `paho`, `gmqtt`), the harness's end of the contract (`driver`).

To write one: subclass `Adapter`, give it `hello`, `abandon` and an async method named like each verb the client can do,
which takes the command and returns its event (without `id`). A verb without a method is answered `unsupported`.
Then `ADAPTER = MyAdapter` and `main(ADAPTER)`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, Literal

from pydantic import ValidationError

from interop.drivers.contract import (
    ANSWERS,
    COMMAND,
    AnyEvent,
    Bye,
    Command,
    Disconnected,
    ErrorEvent,
    Exit,
    Hello,
    HelloEvent,
    MessageEvent,
    PropertyValues,
    Ready,
    Reset,
)

LINE_LIMIT_BYTES = 16 * 1024 * 1024

ErrorKind = Literal["unsupported", "refused", "cut-off", "failed"]


class Unsuccessful(Exception):
    """Ends a command with an error."""

    def __init__(
        self, error: ErrorKind, detail: str = "", *, reason: int | None = None, properties: PropertyValues | None = None
    ) -> None:
        super().__init__(detail or error)
        self.event = ErrorEvent(error=error, detail=detail, reason=reason, properties=properties)


class Pending:
    """Answers that the client's callbacks will bring, by what the client calls them, e.g. `("publish", 7)`."""

    def __init__(self) -> None:
        self._futures: dict[Hashable, tuple[asyncio.Future[Any], bool]] = {}

    def expect(self, key: Hashable, *, outlives_connection: bool = False) -> asyncio.Future[Any]:
        """Give the future that `settle` or `fail` will end."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._futures[key] = future, outlives_connection
        return future

    def settle(self, key: Hashable, answer: object = None) -> bool:
        """Bring an answer; False when nobody waits for it."""
        future, _ = self._futures.pop(key, (None, False))
        if future is None or future.done():
            return False
        future.set_result(answer)
        return True

    def fail(self, key: Hashable, problem: Exception) -> bool:
        """Bring bad news; False when nobody waits."""
        future, _ = self._futures.pop(key, (None, False))
        if future is None or future.done():
            return False
        future.set_exception(problem)
        future.exception()  # it counts as looked at: who waited may have gone
        return True

    def cut_off(self, *, everything: bool = False) -> None:
        """The connection ended, and with it what cannot outlive it; with `everything` the session state is gone too."""
        for key, (_, outlives_connection) in list(self._futures.items()):
            if everything or not outlives_connection:
                self.fail(key, Unsuccessful("cut-off"))


class Adapter(ABC):
    """One client instance, from its first `connect` to its `reset`; a new object follows it."""

    def __init__(self, emit: Callable[[AnyEvent], None], log: Callable[[str], None]) -> None:
        self.emit = emit
        self.log = log
        self.pending = Pending()
        self._messages = 0

    @classmethod
    @abstractmethod
    def hello(cls) -> HelloEvent:
        """Who this is and what it can do."""

    @abstractmethod
    async def abandon(self) -> None:
        """Cut the network connection and let go of everything, without a word to the broker."""

    def deliver(
        self,
        *,
        topic: str,
        payload: bytes,
        qos: int | None = None,
        retain: bool | None = None,
        dup: bool | None = None,
        packet_id: int | None = None,
        properties: PropertyValues | None = None,
    ) -> int:
        """Pass on a message that reached the application, and give its number."""
        self._messages += 1
        self.emit(
            MessageEvent(
                message=self._messages, topic=topic, payload=payload, qos=qos, retain=retain, dup=dup,
                packet_id=packet_id, properties=properties,
            )
        )  # fmt: skip
        return self._messages

    def report_loss(
        self,
        by: Literal["client", "broker", "network"] | None,
        reason: int | None = None,
        properties: PropertyValues | None = None,
    ) -> None:
        """Pass on that the connection ended without the application's wish."""
        self.pending.cut_off()
        self.emit(Disconnected(by=by, reason=reason, properties=properties))


class CommandLoop:
    """Answers commands with one adapter object after another."""

    def __init__(self, adapter: type[Adapter], emit: Callable[[AnyEvent], None], log: Callable[[str], None]) -> None:
        self._class = adapter
        self._emit = emit
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._adapter = self._new_adapter()

    def take(self, command: Command) -> None:
        """Begin to answer a command; those before it need not be answered yet."""
        task = asyncio.get_running_loop().create_task(self._answer(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Abandon the client instance and forget all commands; what goes wrong is logged."""
        try:
            await self._abandon()
        except Exception:
            self._log(traceback.format_exc())

    def _new_adapter(self) -> Adapter:
        def emit(event: AnyEvent) -> None:
            if self._adapter is adapter:  # what an abandoned client still says is nobody's business
                self._emit(event)

        adapter = self._class(emit, self._log)
        return adapter

    async def _answer(self, command: Command) -> None:
        answer = await self._carry_out(command)
        self._emit(answer.model_copy(update={"id": command.id}))

    async def _carry_out(self, command: Command) -> AnyEvent:
        try:
            match command:
                case Hello():
                    return self._class.hello()
                case Reset():
                    await self._abandon()
                    return Ready()
                case _:
                    return await self._do(command)
        except Unsuccessful as problem:
            return problem.event
        except OSError as problem:  # no connection came about: the text says it all
            return ErrorEvent(error="failed", detail=str(problem))
        except Exception as problem:
            self._log(traceback.format_exc())
            return ErrorEvent(error="failed", detail=f"{type(problem).__name__}: {problem}")

    async def _do(self, command: Command) -> AnyEvent:
        verb = getattr(command, "do", "")
        method = getattr(self._adapter, verb, None) if verb in ANSWERS else None
        if method is None:
            return ErrorEvent(error="unsupported", detail=f"there is no {verb!r} here")
        answer: AnyEvent = await method(command)
        return answer

    async def _abandon(self) -> None:
        old, self._adapter = self._adapter, self._new_adapter()
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await old.abandon()


# --- as a process -----------------------------------------------------------------------------------------------------


def main(adapter: type[Adapter]) -> None:
    """Serve the contract on standard input and output until `exit` or the end of input.

    What the client library prints goes to standard error, the log.
    """
    logging.basicConfig(level=os.environ.get("ADAPTER_LOG_LEVEL", "WARNING"), stream=sys.stderr)
    output = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(_serve(adapter, output))


async def _serve(adapter: type[Adapter], output: int) -> None:
    def emit(event: AnyEvent) -> None:
        _write(output, event.model_dump_json(exclude_none=True).encode() + b"\n")

    commands = CommandLoop(adapter, emit, lambda text: print(text, file=sys.stderr, flush=True))  # noqa: T201 - the log
    lines = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command = read_command(line)
        if isinstance(command, ErrorEvent):
            emit(command)
        elif isinstance(command, Exit):
            await commands.close()
            emit(Bye(id=command.id))
            return
        else:
            commands.take(command)
    await commands.close()


def read_command(line: bytes) -> Command | ErrorEvent:
    """Check one line: a command of the contract, or the error that answers it."""
    try:
        return COMMAND.validate_json(line)
    except ValidationError as problem:
        return _complaint(line, problem)


def _complaint(line: bytes, problem: ValidationError) -> ErrorEvent:
    try:
        raw = json.loads(line)
    except ValueError:
        raw = None
    fields = raw if isinstance(raw, dict) else {}
    number, verb = fields.get("id"), fields.get("do")
    if not isinstance(number, int):
        number = None
    if isinstance(verb, str) and verb not in ANSWERS:
        return ErrorEvent(id=number, error="unsupported", detail=f"there is no {verb!r} here")
    first = problem.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return ErrorEvent(id=number, error="failed", detail=f"no command of the contract: {first['msg']} at {where}")


def _write(output: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(output, rest) :]
