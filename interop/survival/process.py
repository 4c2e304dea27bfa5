"""The broker's process: started, killed by its id, and how long it takes.

Belongs here: the process and its times. Does not belong here: its clients (`player`), when it is killed (`rounds`).
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from interop.exit_codes import CommandError
from interop.lifeline import guard, kill_group, unguard

_START_SECONDS = 30.0
_EXIT_SECONDS = 10.0
_WITHOUT_UVLOOP = (
    "import sys; sys.modules['uvloop'] = None; from reference_broker.command.broker import main; "
    "sys.exit(main(sys.argv[1:]))"
)


class BrokerProcess:
    """One broker after another on the same file."""

    def __init__(self, store: Path | None, log: Path, options: Sequence[str], *, has_uvloop: bool = True) -> None:
        """`store` None keeps all in memory; `has_uvloop` False runs it on the loop of the standard library."""
        self.port = 0
        self.start_seconds: list[float] = []
        """Until each said where it listens."""
        self._log = log
        self._command = [
            sys.executable, *(("-m", "reference_broker") if has_uvloop else ("-c", _WITHOUT_UVLOOP)), "--port", "0",
            *(() if store is None else ("--store", str(store))), *options,
        ]  # fmt: skip
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is one."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the one that is running."""
        assert self._process is not None
        return self._process.pid

    async def spawn(self) -> None:
        """Start the process, no more."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True
            )
        guard(self._process.pid)

    async def start(self) -> None:
        """Start it and wait until it listens; raises CommandError where it does not."""
        began = time.monotonic()
        await self.spawn()
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_START_SECONDS):
                line = (await self._process.stdout.readline()).decode()
        except TimeoutError:
            line = ""
        if not line.startswith("listening on "):
            await self.kill()
            raise CommandError(f"the broker did not start: {self._last_line()}")
        self.start_seconds.append(time.monotonic() - began)
        self.port = int(line.rpartition(":")[2])

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        process, self._process = self._process, None
        assert process is not None
        kill_group(process.pid)
        await process.wait()

    async def stop(self) -> float:
        """SIGTERM; gives the seconds until it was gone. Raises CommandError for any exit code but 0."""
        process, self._process = self._process, None
        assert process is not None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                code = await process.wait()
        except TimeoutError:
            kill_group(process.pid)
            raise CommandError(f"the broker did not end within {_EXIT_SECONDS:g} s") from None
        unguard(process.pid)
        if code:
            raise CommandError(f"the broker ended with code {code}: {self._last_line()}")
        return time.monotonic() - began

    def _last_line(self) -> str:
        return next(iter(reversed(self._log.read_text(encoding="utf-8", errors="replace").splitlines())), "no word")
