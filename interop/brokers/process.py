"""A broker that is a program on this machine, started as a child process with a configuration we write.

Belongs here: what a program is, starting one, waiting until it listens, stopping it by its id.
Does not belong here: which programs there are (`programs`), brokers in containers (`container`) or started by others
(`address`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
import shutil
import socket
import subprocess
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from interop.brokers.broker import (
    ALL_VERSIONS,
    BrokerFault,
    BrokerNotThere,
    BrokerSpec,
    LentBroker,
    RunningBroker,
    end_in_words,
)
from interop.brokers.probe import Reaction
from interop.brokers.scratch import Scratch
from interop.lifeline import guard, kill_group
from reference_broker.net.address import Address, Transport
from reference_broker.net.tls import TestCertificates

START_SECONDS = 10.0
STOP_SECONDS = 3.0
LEAVE_SECONDS = 10.0
"""The least that a program has to end in that is to come back: what it is killed over, it cannot keep."""
END_SECONDS = 0.2
"""How long a process may take to end once its connections are closed."""
LOG_LIMIT_BYTES = 64 * 1024
HOST = "127.0.0.1"

_POLL_SECONDS = 0.01  # a foreign program does not tell when it listens: it is asked
_PORTS = range(20_000, 24_000)  # below what systems hand out, and what we bind ourselves, see `net.listening`


@dataclass(frozen=True, slots=True)
class Wish:
    """What a program is asked to be: one listener, settings by the names of BrokerConfig, whether to keep its state."""

    port: int
    transport: Transport
    settings: Mapping[str, Any]
    folder: Path
    certificates: TestCertificates | None
    persistent: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """A broker's program.

    `configure` writes the configuration, `arguments` follow the program's name ({folder} is where it was written).
    Records call it `known_as`, where that is not its name. `find_version` finds the version in what `version_arguments`
    print, unless `version` has it. `why_not` says why it cannot be started, if so; `files` are those it consists of,
    where they are not the program alone. Where `cells_each` is set, no more cells than that share one that is running:
    it ages. `lacks_before` are features that came with that release. `start_seconds` it has to listen, `stop_seconds`
    to leave when it is asked to. `last_words` are what it writes when it serves nobody any more, though its process
    goes on.
    """

    name: str
    executable: str
    arguments: tuple[str, ...]
    configure: Callable[[Wish], None]
    version_arguments: tuple[str, ...] = ()
    find_version: re.Pattern[str] = re.compile(r"(\d\S*)")
    version: str = ""
    settings: frozenset[str] = frozenset()
    versions: tuple[str, ...] = ALL_VERSIONS
    transports: tuple[str, ...] = ("tcp",)
    unsupported: tuple[str, ...] = ()
    lacks_before: Mapping[str, str] = field(default_factory=dict)
    login: tuple[str, str | None] | None = None
    why_not: Callable[[], str] = str
    files: Callable[[], Mapping[str, Path]] | None = None
    cells_each: int | None = None
    start_seconds: float | None = None
    stop_seconds: float | None = None
    last_words: re.Pattern[str] | None = None
    known_as: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a program may take to listen, and to leave."""

    start_seconds: float
    stop_seconds: float


class ProcessBroker(RunningBroker):
    """A child process that listens."""

    is_renewed = True

    def __init__(
        self,
        name: str,
        version: str,
        address: Address,
        spawn: Callable[[], subprocess.Popen[bytes]],
        log: Path,
        files: Scratch,
        patience: Patience,
        last_words: re.Pattern[str] | None,
    ) -> None:
        super().__init__(name, version)
        self._patience = patience
        self._last_words = last_words
        self._address = address
        self._spawn = spawn
        self._log = log
        self._files = files  # its log and certificates are there as long as it is
        self._run()

    def _run(self) -> None:
        self._process = self._spawn()
        self._last_resort = weakref.finalize(self, _stop, self._process, self._patience.stop_seconds)

    @property
    def log(self) -> str:
        """The end of what it wrote."""
        with contextlib.suppress(OSError), self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - LOG_LIMIT_BYTES))
            return file.read().decode("utf-8", "replace")
        return ""

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def end(self) -> str:
        """How the process ended, if it has, be it in part only."""
        code = self._process.poll()
        if code is not None:
            return end_in_words(code)
        return "in part, as it wrote" if self._last_words is not None and self._last_words.search(self.log) else ""

    async def _is_present(self, reaction: Reaction) -> bool:
        """One at its limit of connections may close, nobody stands in for it; but a process that ends closes first."""
        if await super()._is_present(reaction):
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, END_SECONDS)
        return not self.end and reaction is Reaction.CLOSED

    def address(self, transport: Transport = Transport.TCP) -> Address:
        """Where it listens; raises BrokerFault for a transport it was not started with."""
        if transport is not self._address.transport:
            raise BrokerFault(f"{self.name} was started without {transport}")
        return self._address

    async def stop(self) -> None:
        """End the process; kill it when it does not leave."""
        await asyncio.to_thread(self._last_resort)

    async def go_down(self, *, kill: bool) -> None:
        """SIGTERM, or SIGKILL, and wait for its end; raises BrokerFault when it does not leave by itself."""
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
            seconds = max(LEAVE_SECONDS, self._patience.stop_seconds)
            try:
                await asyncio.to_thread(self._process.wait, seconds)
            except subprocess.TimeoutExpired:
                raise BrokerFault(f"{self.name} did not end within {seconds:g} s of SIGTERM") from None
        await self.stop()

    async def come_back(self) -> None:
        """Run the program again with the same configuration; raises BrokerNotThere."""
        self._run()
        await self.wait_until_it_listens()

    async def wait_until_it_listens(self) -> None:
        """Wait for the first connection; raises BrokerNotThere with what it wrote when none comes about."""
        seconds = self._patience.start_seconds
        deadline = asyncio.get_running_loop().time() + seconds
        while not await _accepts(self._address):
            if self._process.poll() is not None:
                raise BrokerNotThere(f"{self.name} ended with status {self._process.returncode}: {self._last_line()}")
            if asyncio.get_running_loop().time() > deadline:
                raise BrokerNotThere(f"{self.name} did not listen within {seconds:g} s: {self._last_line()}")
            await asyncio.sleep(_POLL_SECONDS)

    def _last_line(self) -> str:
        return next(iter(reversed(self.log.strip().splitlines())), "it wrote nothing")


@dataclass(slots=True, eq=False)
class _Shared:
    """A broker that is lent: how often it was, and how many have it now."""

    broker: ProcessBroker
    times: int = 0
    borrowers: int = 0


@dataclass(slots=True)
class _Common:
    """The shared brokers of a spec, one for each transport, and those that nobody new gets."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    running: dict[Transport, _Shared] = field(default_factory=dict)
    retired: list[_Shared] = field(default_factory=list)


class ProcessSpec(BrokerSpec):
    """Starts a program: one for all cells that ask for no settings, one of their own for those that do."""

    exclusive = True

    def __init__(self, program: Program) -> None:
        self.name = program.name
        self.settings = program.settings
        self.versions = program.versions
        self.transports = program.transports
        self.login = program.login
        self._program = program
        self._scratch = Scratch()
        self._common = _Common()
        self._version = program.version
        self._started = 0
        self.unsupported = (*program.unsupported, *self._lacks_yet())

    def check(self) -> None:
        """Raise BrokerNotThere when the program is not installed, or not built."""
        if why_not := self._program.why_not():
            raise BrokerNotThere(why_not)
        if _find(self._program.executable) is None:
            raise BrokerNotThere(f"{self.name} is not installed: there is no program {self._program.executable!r}")

    def digests(self) -> dict[str, str]:
        """The program, or the files it consists of."""
        self.check()
        own = {self._program.executable: Path(str(_find(self._program.executable)))}
        files = own if self._program.files is None else self._program.files()
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}

    async def start(self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP) -> RunningBroker:
        """Start or lend one that listens for `transport`; raises BrokerNotThere with its last words."""
        if settings:
            return await self._launch(settings, transport)
        async with self._common.lock:
            shared = self._common.running.get(transport)
            if shared is None or shared.broker.end or shared.broker.is_lost or shared.times == self._program.cells_each:
                if shared is not None:
                    await self._retire(shared)
                shared = self._common.running[transport] = _Shared(await self._launch({}, transport))
            shared.times += 1
            shared.borrowers += 1
            return LentBroker(shared.broker, partial(self._give_back, shared))

    async def _retire(self, shared: _Shared) -> None:
        """Lend it no more, what one cell did to it is no matter of the next; who has it may go on while it lives."""
        if shared.broker.end or shared.broker.is_lost or not shared.borrowers:
            await shared.broker.stop()
        else:
            self._common.retired.append(shared)

    async def _give_back(self, shared: _Shared) -> None:
        shared.borrowers -= 1
        if not shared.borrowers and shared in self._common.retired:
            self._common.retired.remove(shared)
            await shared.broker.stop()

    async def start_own(
        self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP, persistent: bool = False
    ) -> RunningBroker:
        """Start one that is not lent to anybody else; raises BrokerNotThere with its last words."""
        return await self._launch(settings, transport, persistent=persistent)

    async def close(self) -> None:
        """Stop the shared ones."""
        shared = [*self._common.running.values(), *self._common.retired]
        self._common.running.clear()
        self._common.retired.clear()
        for each in shared:
            await each.broker.stop()

    async def _launch(
        self, settings: Mapping[str, Any], transport: Transport, *, persistent: bool = False
    ) -> ProcessBroker:
        self.check()
        self._started += 1
        folder = self._scratch.folder / str(self._started)
        folder.mkdir()
        certificates = self._scratch.certificates() if transport.is_encrypted else None
        wish = Wish(free_port(), transport, settings, folder, certificates, persistent)
        self._program.configure(wish)
        broker = ProcessBroker(
            self._program.known_as or self.name,
            self.version,
            Address(HOST, wish.port, transport, ca_file=certificates.ca_file if certificates else None),
            partial(self._spawn, folder),
            folder / "log",
            self._scratch,
            Patience(self._program.start_seconds or START_SECONDS, self._program.stop_seconds or STOP_SECONDS),
            self._program.last_words,
        )
        try:
            await broker.wait_until_it_listens()
        except BaseException:
            await broker.stop()
            raise
        return broker

    def _spawn(self, folder: Path) -> subprocess.Popen[bytes]:
        arguments = [argument.replace("{folder}", str(folder)) for argument in self._program.arguments]
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [str(_find(self._program.executable)), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,  # what a program starts itself ends with it
            )
        guard(process.pid)
        return process

    def _lacks_yet(self) -> Iterator[str]:
        """What the release that is installed is too old for; what cannot be told it lacks, too."""
        is_there = _find(self._program.executable) is not None
        for feature, release in self._program.lacks_before.items():
            try:
                has_come = is_there and Version(self.version) >= Version(release)
            except (InvalidVersion, OSError, subprocess.SubprocessError):
                has_come = False
            if not has_come:
                yield feature

    @property
    def version(self) -> str:
        """What the program says of itself."""
        if not self._version:
            command = [str(_find(self._program.executable)), *self._program.version_arguments]
            printed = subprocess.run(command, capture_output=True, check=False, timeout=START_SECONDS)
            found = self._program.find_version.search((printed.stdout + printed.stderr).decode("utf-8", "replace"))
            self._version = found[1] if found else "version unknown"
        return self._version


def _stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    kill_group(process.pid)


def _find(executable: str) -> str | None:
    """Find a program; many systems keep servers in sbin folders that are not on a user's PATH."""
    return shutil.which(executable) or shutil.which(executable, path="/usr/local/sbin:/usr/sbin:/sbin")


def free_port() -> int:
    """A port nobody has; not one the system hands out itself, which would soon be somebody's."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port


async def _accepts(address: Address) -> bool:
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
