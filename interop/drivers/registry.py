"""Which clients can be driven, by name. To add one in Python that comes along: write its adapter, add it to `DRIVERS`.

Belongs here: names and how each is started.
Does not belong here: reuse (`pool`), the drivers themselves, those that are built first (`catalog`).
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from importlib import import_module
from pathlib import Path

from interop.containers import CONTAINER_PREFIX
from interop.drivers.catalog import BadAdapter, adapter_programs
from interop.drivers.driver import Driver
from interop.drivers.in_process import InProcessDriver
from interop.drivers.nursery import CAN_FORK, Nursery
from interop.drivers.process import ProcessDriver
from interop.drivers.releases import program
from interop.scenario.problems import closest

COMMAND_PREFIX = "command:"
"""What a name begins with that is itself the command line of an adapter: `command:./my-adapter --flag`."""

STRANGERS = (COMMAND_PREFIX, CONTAINER_PREFIX)
"""What the names of those that do not ship begin with."""

_CODE_FOLDER = str(Path(__file__).resolve().parents[2])


class UnknownDriver(ValueError):
    """No client goes by that name; the text lists those that do."""


class How(Enum):
    """How an adapter of ours is run."""

    IN_PROCESS = auto()
    """In the harness's process and event loop: for what keeps no state per process and cannot hang."""
    FORKED = auto()
    """As a process of its own, forked from one that has loaded its module."""
    PROGRAM = auto()
    """As a process of its own, started like any stranger's."""


@dataclass(frozen=True, slots=True)
class DriverEntry:
    """One client that can be driven."""

    summary: str
    module: str
    how: How


DRIVERS: dict[str, DriverEntry] = {
    "builtin": DriverEntry("the built-in client, inside the harness", "interop.drivers.builtin", How.IN_PROCESS),
    "builtin-process": DriverEntry(
        "the built-in client as a process of its own", "interop.drivers.builtin", How.FORKED
    ),
    "gmqtt": DriverEntry("gmqtt (3.1.1, 5.0)", "interop.drivers.gmqtt", How.FORKED),
    "minimal": DriverEntry(
        "the contract's example: 3.1.1, QoS 0 and 1", "interop.drivers.examples.minimal", How.PROGRAM
    ),
    "paho": DriverEntry("Eclipse Paho for Python", "interop.drivers.paho", How.FORKED),
}


def check_driver_name(name: str) -> None:
    """Raise UnknownDriver, in one line with the choices, for a name that nothing stands for."""
    if name.startswith(COMMAND_PREFIX):
        if not _command(name):
            raise UnknownDriver(f"{name!r} names no command; expected {COMMAND_PREFIX}PROGRAM [ARGUMENTS]")
    elif name.startswith(CONTAINER_PREFIX):
        if name == CONTAINER_PREFIX:
            raise UnknownDriver(f"{name!r} names no image; expected {CONTAINER_PREFIX}IMAGE")
    elif name not in DRIVERS:
        _adapter_program_command(name)


def ships(name: str) -> bool:
    """Whether a client of ours goes by that name."""
    return name in DRIVERS or program(name) is not None


def _adapter_program_command(name: str) -> list[str]:
    try:
        if (found := program(name)) is not None:
            return found.command
    except BadAdapter as problem:
        raise UnknownDriver(str(problem)) from None
    known = [*DRIVERS, *adapter_programs()]
    yours = f"NAME={COMMAND_PREFIX}PROGRAM or NAME={CONTAINER_PREFIX}IMAGE"
    guess = f"did you mean {close}? " if (close := closest(name, known)) else ""
    raise UnknownDriver(f"unknown client {name!r}; {guess}expected one of {', '.join(known)}, {yours}")


@dataclass(frozen=True, slots=True)
class Program:
    """What starts an adapter: its command, with the whole environment, in a folder (where one is None, ours)."""

    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    folder: Path | None = None


def program_of(name: str) -> Program:
    """What starts a client that ships, by its name, as a process of its own; raises UnknownDriver, with what to do."""
    if name in DRIVERS:
        return Program([sys.executable, "-m", DRIVERS[name].module], _environment())
    command = _adapter_program_command(name)
    found = program(name)
    assert found is not None, "it has a command"
    return Program(command, _environment(found.installed), found.folder)


class DriverStarter:
    """Starts drivers by name, introduced and probed; close it when they are closed."""

    def __init__(self, clients: Mapping[str, str] | None = None) -> None:
        """`clients`: what starts those that were given names of their own."""
        self._clients = clients or {}
        self._nurseries: dict[str, Nursery] = {}
        self._dead: list[Nursery] = []

    def load_ahead(self, names: Iterable[str]) -> None:
        """Have those loaded that are forked, while others still find out what to do with them."""
        for name in names:
            entry = DRIVERS.get(self._clients.get(name, name))
            if entry is not None and entry.how is How.FORKED and CAN_FORK:
                self._nursery(entry.module)

    def abandon_unused(self) -> None:
        """End what was loaded ahead and nobody asked for."""
        self._nurseries = {module: each for module, each in self._nurseries.items() if not each.abandon()}

    async def start(self, name: str) -> Driver:
        """Start one; raises UnknownDriver, DriverFault."""
        adapter = self._clients.get(name, name)
        check_driver_name(adapter)
        if adapter.startswith(COMMAND_PREFIX):
            return await ProcessDriver.start(name, _command(adapter))
        if adapter.startswith(CONTAINER_PREFIX):
            from interop.drivers.container import ContainerChild  # noqa: PLC0415  # an engine's library is slow to load

            image = adapter.removeprefix(CONTAINER_PREFIX)
            return await ProcessDriver.adopt(name, await asyncio.to_thread(ContainerChild, image))
        if adapter not in DRIVERS:
            return await self._start_program(name, adapter)
        entry = DRIVERS[adapter]
        if entry.how is How.IN_PROCESS:
            return await InProcessDriver.start(name, import_module(entry.module).ADAPTER)
        if entry.how is How.FORKED and CAN_FORK:
            return await ProcessDriver.adopt(name, await self._nursery(entry.module).spawn())
        return await self._start_program(name, adapter)

    async def _start_program(self, name: str, adapter: str) -> Driver:
        found = program_of(adapter)
        return await ProcessDriver.start(name, found.command, found.environment, found.folder)

    async def close(self) -> None:
        """End what is kept for starting more."""
        nurseries = [*self._nurseries.values(), *self._dead]
        self._nurseries.clear()
        self._dead.clear()
        await asyncio.gather(*(nursery.close() for nursery in nurseries))

    def _nursery(self, module: str) -> Nursery:
        nursery = self._nurseries.get(module)
        if nursery is not None and not nursery.is_open:
            self._dead.append(nursery)
            nursery = None
        if nursery is None:
            nursery = self._nurseries[module] = Nursery(module, _environment())
        return nursery


def _environment(*first: str) -> dict[str, str]:
    """What a process of ours needs to find our modules, wherever the harness was started; those in `first` before."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (*first, _CODE_FOLDER, os.environ.get("PYTHONPATH")))),
        "PYDANTIC_DISABLE_PLUGINS": "__all__",  # looking for some takes a sixth of a start
    }


def _command(name: str) -> list[str]:
    try:
        return shlex.split(name.removeprefix(COMMAND_PREFIX))
    except ValueError as problem:
        raise UnknownDriver(f"{name!r} cannot be split into words: {problem}") from None
