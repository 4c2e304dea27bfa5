"""The clients that `--client` names: what each is called in every report, and what starts it.

Belongs here: `NAME=command:PROGRAM`, `NAME=docker:IMAGE`, the name an adapter's `hello` gives, who it is before
anything is played.
Does not belong here: which clients ship (`registry`), a driver's start (`driver`).

A stranger's adapter is asked at once who it is: one that cannot say so, or declares what has no meaning, would cost
every cell its time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass

from interop.containers import CONTAINER_PREFIX
from interop.drivers.contract import HelloEvent
from interop.drivers.driver import DriverFault
from interop.drivers.registry import COMMAND_PREFIX, STRANGERS, DriverStarter, UnknownDriver, check_driver_name, ships

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""What a client may be called: names stand in file names, selections and lists of known failures."""

_LOG_LINES = 5


class UnusableClient(Exception):
    """A client's adapter cannot be played with; the text says why, with the end of its log."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What `--client` was given; `name` is empty where the adapter has to say it."""

    name: str
    adapter: str

    @classmethod
    def of(cls, text: str) -> Choice:
        """Raises UnknownDriver, in one line with the choices, for what nothing stands for."""
        name, _, adapter = text.partition("=")
        if text.startswith(STRANGERS) or not adapter.startswith(STRANGERS):
            check_driver_name(text)
            return cls("" if text.startswith(STRANGERS) else text, text)
        if not NAME.fullmatch(name) or ships(name):
            taken = f"{name!r} is a client that ships" if ships(name) else f"{name!r} is no name for a client"
            raise UnknownDriver(f"{taken}; expected letters, digits and ._+- before ={adapter}")
        check_driver_name(adapter)
        return cls(name, adapter)


async def chosen_clients(texts: Iterable[str]) -> dict[str, str]:
    """By the name of each client: what starts it, for `DriverStarter`. Asks adapters that do not ship who they are.

    Raises UnknownDriver for names, UnusableClient for adapters.
    """
    choices = [Choice.of(text) for text in dict.fromkeys(texts)]
    names = await asyncio.gather(*map(_name, choices))
    chosen: dict[str, str] = {}
    for name, choice in zip(names, choices, strict=True):
        if name in chosen or (ships(name) and name != choice.adapter):
            why = "ships already" if ships(name) else "is there twice"
            raise UnknownDriver(f"a client called {name!r} {why}; call yours otherwise, --client NAME={choice.adapter}")
        chosen[name] = choice.adapter
    return chosen


async def _name(choice: Choice) -> str:
    if not choice.adapter.startswith(STRANGERS):
        return choice.name
    said = await _hello(choice)
    name = choice.name or "-".join(re.findall(r"[A-Za-z0-9._+-]+", said.client)).lstrip("._+-")
    if not name:
        raise UnusableClient(
            f"{choice.adapter} says it is {said.client!r}; give it a name, --client NAME={choice.adapter}"
        )
    return name


async def _hello(choice: Choice) -> HelloEvent:
    starter = DriverStarter()
    try:
        driver = await starter.start(choice.adapter)
        await driver.close()
    except DriverFault as fault:
        log = "".join(f"\n  {line}" for line in fault.log.strip().splitlines()[-_LOG_LINES:])
        program = choice.adapter.removeprefix(COMMAND_PREFIX)
        if choice.adapter.startswith(CONTAINER_PREFIX):
            program = f"docker run -i --rm --network host {choice.adapter.removeprefix(CONTAINER_PREFIX)}"
        closer = f"\nA closer look: mqtt-interop adapter check -- {program}"
        raise UnusableClient(f"{choice.name or choice.adapter} cannot be played: {fault}{log}{closer}") from None
    finally:
        await starter.close()
    return driver.hello
