"""A driver whose adapter is a child process: JSON Lines on standard input and output, its log on standard error.

Belongs here: starting, reading, writing and killing the process, all in bounded time and memory.
Does not belong here: which process (`registry`), what answers mean (`driver`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from interop.drivers.contract import EVENT, Command, Exit
from interop.drivers.driver import Driver, DriverCrashed, DriverRubbish

LINE_LIMIT_BYTES = 16 * 1024 * 1024
LOG_LIMIT_BYTES = 64 * 1024
GOODBYE_SECONDS = 1.0
"""How long a process may take to leave once asked to; after that it is killed."""

_LAST_WORDS_SECONDS = 0.25  # between the end of standard output and that of the process and its log
_EXCERPT_CHARACTERS = 200


class ProcessDriver(Driver):
    """A driver that owns a child process and its process group."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        super().__init__(name)
        self._process = process
        self._log = bytearray()
        self._closing = False
        self._killed = False
        self._readers = (asyncio.create_task(self._read_log()), asyncio.create_task(self._read_events()))

    @classmethod
    async def start(cls, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> ProcessDriver:
        """Start `command` and introduce ourselves; raises DriverFault with the process's log."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LINE_LIMIT_BYTES,
                env=env,
                start_new_session=True,  # a process group of its own, so that nothing it starts outlives it
            )
        except OSError as error:
            raise DriverCrashed(f"cannot start {name}: {command[0]}: {error.strerror}") from None
        driver = cls(name, process)
        try:
            await driver._introduce()
        except BaseException:
            await driver.close()
            raise
        return driver

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

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
        if self.fault is None and self._hello is not None and not self._closing:
            self._closing = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._send(Exit(id=self.next_id()))
                    self._stdin.close()
                    await self._process.wait()
        self._closing = True
        self._kill()
        await self._process.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin

    async def _send(self, command: Command) -> None:
        # A process that has gone is reported by the end of its output, with its exit status.
        with contextlib.suppress(ConnectionError):
            self._stdin.write(command.model_dump_json(exclude_none=True).encode() + b"\n")
            await self._stdin.drain()

    async def _read_events(self) -> None:
        output = self._process.stdout
        assert output is not None
        while self.fault is None:
            try:
                line = await output.readline()
            except ValueError:  # asyncio's word for a line beyond the limit
                self._fail(DriverRubbish(f"{self.name} wrote a line of more than {LINE_LIMIT_BYTES} bytes", self.log))
                break
            if not line:
                await self._report_end()
                break
            try:
                event = EVENT.validate_json(line)
            except ValidationError as problem:
                self._fail(
                    DriverRubbish(f"{self.name} wrote no event of the contract: {_excerpt(line, problem)}", self.log)
                )
                break
            self._take(event)
        self._kill()

    async def _report_end(self) -> None:
        if self._closing:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._process.wait()
                await asyncio.shield(self._readers[0])
        status = self._process.returncode
        if status is None:
            how = "closed its standard output"
        elif status < 0:
            how = f"was ended by {signal.Signals(-status).name}"
        else:
            how = f"ended by itself with exit status {status}"
        self._fail(DriverCrashed(f"{self.name} {how}", self.log))

    async def _read_log(self) -> None:
        log = self._process.stderr
        assert log is not None
        while chunk := await log.read(LOG_LIMIT_BYTES):
            self._log += chunk
            del self._log[:-LOG_LIMIT_BYTES]

    def _kill(self) -> None:
        """End the process and all of its group, which may outlive it; once, because later its id may be another's."""
        if not self._killed:
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _excerpt(line: bytes, problem: ValidationError) -> str:
    error = problem.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in error["loc"])
    text = line.decode("utf-8", "backslashreplace").rstrip()[:_EXCERPT_CHARACTERS]
    return f"{error['msg']}{f' at {where}' if where else ''}: {text!r}"
