"""Which clients can be driven, by name. To add one: write its adapter, add one line to `DRIVERS`.

Belongs here: names and how each is started.
Does not belong here: reuse (`pool`), the drivers themselves.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from interop.drivers.driver import Driver
from interop.drivers.in_process import InProcessDriver
from interop.drivers.process import ProcessDriver

COMMAND_PREFIX = "command:"
"""What a name begins with that is itself the command line of an adapter: `command:./my-adapter --flag`."""

_CODE_FOLDER = str(Path(__file__).resolve().parents[2])


class UnknownDriver(ValueError):
    """No client goes by that name; the text lists those that do."""


@dataclass(frozen=True, slots=True)
class DriverEntry:
    """One client that can be driven."""

    summary: str
    start: Callable[[str], Awaitable[Driver]]


def _module(module: str) -> Callable[[str], Awaitable[Driver]]:
    """Start an adapter of ours as a process of its own, for a client that keeps state per process or may hang."""

    async def start(name: str) -> Driver:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (_CODE_FOLDER, os.environ.get("PYTHONPATH")))),
            "PYDANTIC_DISABLE_PLUGINS": "__all__",  # looking for some takes a sixth of a start
        }
        return await ProcessDriver.start(name, [sys.executable, "-m", module], env=environment)

    return start


def _in_process(module: str) -> Callable[[str], Awaitable[Driver]]:
    """Run an adapter of ours in this process; its module is loaded when it is first wanted."""

    async def start(name: str) -> Driver:
        return await InProcessDriver.start(name, import_module(module).ADAPTER)

    return start


DRIVERS: dict[str, DriverEntry] = {
    "builtin": DriverEntry("the built-in client, inside the harness", _in_process("interop.drivers.builtin")),
    "builtin-process": DriverEntry("the built-in client as a process of its own", _module("interop.drivers.builtin")),
    "gmqtt": DriverEntry("gmqtt (3.1.1, 5.0)", _module("interop.drivers.gmqtt")),
    "minimal": DriverEntry("the contract's example: 3.1.1, QoS 0 and 1", _module("interop.drivers.examples.minimal")),
    "paho": DriverEntry("Eclipse Paho for Python", _module("interop.drivers.paho")),
}


def check_driver_name(name: str) -> None:
    """Raise UnknownDriver, in one line with the choices, for a name that nothing stands for."""
    if name.startswith(COMMAND_PREFIX):
        if not _command(name):
            raise UnknownDriver(f"{name!r} names no command; expected {COMMAND_PREFIX}PROGRAM [ARGUMENTS]")
    elif name not in DRIVERS:
        raise UnknownDriver(
            f"unknown client {name!r}; expected one of {', '.join(DRIVERS)}, or {COMMAND_PREFIX}PROGRAM"
        )


async def start_driver(name: str) -> Driver:
    """Start the driver of that name, introduced and probed; raises UnknownDriver, DriverFault."""
    check_driver_name(name)
    if name.startswith(COMMAND_PREFIX):
        return await ProcessDriver.start(name, _command(name))
    return await DRIVERS[name].start(name)


def _command(name: str) -> list[str]:
    try:
        return shlex.split(name.removeprefix(COMMAND_PREFIX))
    except ValueError as problem:
        raise UnknownDriver(f"{name!r} cannot be split into words: {problem}") from None
