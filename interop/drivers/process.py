"""A driver whose adapter is a child process: JSON Lines on standard input and output, its log on standard error.

Belongs here: starting, reading, writing and killing the process, all in bounded time and memory.
Does not belong here: which process (`registry`), what answers mean (`driver`).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from interop.drivers.child import Child, start_program
from interop.drivers.contract import EVENT, Command, Exit
from interop.drivers.driver import Driver, DriverCrashed, DriverFault, DriverRubbish

LINE_LIMIT_BYTES = 16 * 1024 * 1024
LOG_LIMIT_BYTES = 64 * 1024
GOODBYE_SECONDS = 1.0
"""How long a process may take to leave once asked to; after that it is killed."""

_LAST_WORDS_SECONDS = 0.25  # between the end of standard output and that of the process and its log
_EXCERPT_CHARACTERS = 200


class ProcessDriver(Driver):
    """A driver that owns a child process and its process group."""

    def __init__(self, name: str, child: Child) -> None:
        super().__init__(name)
        self.made_of = child.made_of
        self._child = child
        self._input: asyncio.WriteTransport
        self._pipes: list[asyncio.BaseTransport] = []
        self._log = bytearray()
        self._readers: list[asyncio.Task[None]] = []
        self._is_closed = False

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], env: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> ProcessDriver:
        """Start `command`, in `folder`, and introduce ourselves; raises DriverFault with the process's log."""
        return await cls.adopt(name, start_program(command, env, folder))

    @classmethod
    async def adopt(cls, name: str, child: Child) -> ProcessDriver:
        """Introduce ourselves to a child; raises DriverFault with its log."""
        driver = cls(name, child)
        try:
            await driver.introduce()
        except BaseException:
            await driver.close()
            raise
        return driver

    async def introduce(self) -> None:
        """Connect the pipes, ask who is there, probe; raises DriverFault."""
        await self._connect_pipes()
        await self._introduce()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.pid

    @property
    def exit_status(self) -> int | None:
        """How it ended, the exit status or minus the signal; None while it runs."""
        return self._child.status

    @property
    def log(self) -> str:
        """The end of what the process wrote to standard error since it was last reset."""
        return self._log.decode("utf-8", "replace")

    async def reset(self) -> None:
        """Throw the client instance away and forget its events and log; raises DriverFault."""
        await super().reset()
        self._log.clear()

    async def close(self) -> None:
        """Ask the process to leave; kill its group when it does not, or is of no use anyway."""
        try:
            try:
                await self._say_goodbye()
            finally:  # who closes may be cut short, too, when a run ends early
                self._child.kill()
                self._fail(DriverCrashed(f"{self.name} was closed"))
            await self._child.wait(GOODBYE_SECONDS)
        finally:
            for reader in self._readers:
                reader.cancel()
            for pipe in self._pipes:
                pipe.close()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _say_goodbye(self) -> None:
        if self.fault is not None or self._hello is None or self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(DriverFault):
            await self._exchange(Exit(id=self.next_id()), GOODBYE_SECONDS)
            self._input.close()
            await self._child.wait(GOODBYE_SECONDS)

    # --- pipes ------------------------------------------------------------------------------------------------------

    async def _connect_pipes(self) -> None:
        connecting = asyncio.create_task(self._connect_each())
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            await connecting  # takes no time; cut short, it would leave pipes that nobody closes
            raise

    async def _connect_each(self) -> None:
        loop = asyncio.get_running_loop()
        self._input, _ = await loop.connect_write_pipe(asyncio.Protocol, self._child.stdin)
        self._pipes.append(self._input)
        log = await self._reader(self._child.stderr)
        events = await self._reader(self._child.stdout)
        self._readers = [asyncio.create_task(self._read_log(log)), asyncio.create_task(self._read_events(events))]

    async def _reader(self, pipe: IO[bytes]) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        self._pipes.append(transport)
        return reader

    async def _send(self, command: Command) -> None:
        # What a process does not read waits here; a process that has gone is reported by the end of its output.
        self._write(self._line_of(command))

    @staticmethod
    def _line_of(command: Command) -> bytes:
        return command.model_dump_json(exclude_none=True).encode() + b"\n"

    def _write(self, lines: bytes | bytearray) -> None:
        if not self._input.is_closing():  # asyncio drops what nobody can read, where uvloop raises
            self._input.write(lines)

    async def _read_events(self, output: asyncio.StreamReader) -> None:
        while self.fault is None:
            try:
                line = await output.readline()
            except ValueError:  # asyncio's word for a line beyond the limit
                self._fail(DriverRubbish(f"{self.name} wrote a line of more than {LINE_LIMIT_BYTES} bytes", self.log))
                break
            if not line:
                self._fail(await self._crash())
                break
            self._take_line(line)
        self._child.kill()

    def _take_line(self, line: bytes) -> None:
        try:
            event = EVENT.validate_json(line)
        except ValidationError as problem:
            why = _excerpt(line, problem)
            self._fail(DriverRubbish(f"{self.name} wrote no event of the contract: {why}", self.log))
        else:
            self._take(event)

    async def _crash(self) -> DriverCrashed:
        await asyncio.wait([self._readers[0]], timeout=_LAST_WORDS_SECONDS)
        return self._crashed(await self._child.wait(_LAST_WORDS_SECONDS))

    def _overdue(self, verb: str, timeout_seconds: float) -> DriverFault:
        """An adapter that ended may be noticed late, when something it started keeps its standard output open."""
        status = self._child.status
        if status is None:
            return super()._overdue(verb, timeout_seconds)
        self._child.kill()
        return self._fail(self._crashed(status))

    def _crashed(self, status: int | None) -> DriverCrashed:
        if status is None:
            how = "closed its standard output"
        elif status < 0:
            how = f"was ended by {signal.Signals(-status).name}"
        else:
            how = f"ended by itself with exit status {status}"
        return DriverCrashed(f"{self.name} {how}", self.log)

    async def _read_log(self, log: asyncio.StreamReader) -> None:
        while chunk := await log.read(LOG_LIMIT_BYTES):
            self._log += chunk
            del self._log[:-LOG_LIMIT_BYTES]


def _excerpt(line: bytes, problem: ValidationError) -> str:
    error = problem.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in error["loc"])
    text = line.decode("utf-8", "backslashreplace").rstrip()[:_EXCERPT_CHARACTERS]
    return f"{error['msg']}{f' at {where}' if where else ''}: {text!r}"
