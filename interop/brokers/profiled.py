"""A broker somebody else started, by the file it speaks for itself in: several addresses, commands of its owner.

Belongs here: being that broker for a run.
Does not belong here: the file (`profile`), one address without a file (`address`).
"""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interop.brokers.address import BrokerElsewhere, distance_seconds
from interop.brokers.broker import BrokerFault, BrokerNotThere, BrokerSpec, RunningBroker
from interop.brokers.probe import as_clause, ask
from interop.brokers.profile import BrokerProfile, load_profile
from interop.brokers.survey import Survey, survey
from reference_broker.net.address import Transport
from reference_broker.wire.types import Version

COMMAND_SECONDS = 30.0
"""How long a command of the owner's may take, and again the broker to be back after it."""

_POLL_SECONDS = 0.05


class ProfiledBroker(BrokerElsewhere):
    """It; restarting and killing it are its owner's commands."""

    def __init__(self, profile: BrokerProfile, transport: Transport) -> None:
        super().__init__(profile.name, profile.version, profile.addresses)
        self._profile = profile
        self._transport = transport

    async def go_down(self, *, kill: bool) -> None:
        """Have it ended, and started again."""
        commands = self._profile.commands
        await carry_out(self.name, "kill" if kill else "restart", commands.kill if kill else commands.restart)

    async def come_back(self) -> None:
        """Wait until it lets clients in again; raises BrokerNotThere."""
        address = self.address(self._transport)
        version = Version.from_label(self._profile.mqtt[-1])
        login = login_of(self._profile)
        deadline = asyncio.get_running_loop().time() + COMMAND_SECONDS
        while not (await ask(address, version, login)).lets_in:
            if asyncio.get_running_loop().time() > deadline:
                raise BrokerNotThere(f"{self.name} was not back within {COMMAND_SECONDS:g} s of its restart")
            await asyncio.sleep(_POLL_SECONDS)


class ProfiledSpec(BrokerSpec):
    """What a profile says, as the runner asks for it."""

    login_is_secret = True

    def __init__(self, path: Path) -> None:
        self.profile = profile = load_profile(path)
        self.name = profile.name
        self.versions = profile.mqtt
        self.transports = tuple(transport.value for transport in profile.addresses)
        self.login = login_of(profile)
        self.started_with = profile.settings
        self.exclusive = self.is_single = profile.alone and profile.commands.reset is not None
        implied = [] if self.login is None else ["anonymous", "any-login"]
        implied += [] if profile.commands.restart else ["persistence"]
        implied += [] if profile.commands.kill else ["crash-persistence"]
        self.unsupported = tuple(dict.fromkeys((*profile.lacks, *implied)))
        self.offers = profile.offers

    def check(self) -> None:
        """See how far away it is; raise BrokerNotThere, in one line, where nobody listens."""
        self.round_trip_seconds = max(
            distance_seconds(f"{self.name} ({address})", address) for address in self.profile.addresses.values()
        )

    async def surveys(self) -> list[Survey]:
        """What it answers to a CONNECT of each version it says it speaks, on each listener."""
        versions = [Version.from_label(mqtt) for mqtt in self.profile.mqtt]
        asked = [survey(self.name, each, self.login, versions=versions) for each in self.profile.addresses.values()]
        return list(await asyncio.gather(*asked))

    async def start(self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP) -> RunningBroker:  # noqa: ARG002 - it was started with its own
        """Give the broker as it is."""
        return ProfiledBroker(self.profile, transport)

    async def start_own(
        self,
        settings: Mapping[str, Any],  # noqa: ARG002 - as in `start`
        *,
        transport: Transport = Transport.TCP,
        persistent: bool = False,  # noqa: ARG002 - it is what it is
    ) -> RunningBroker:
        """Let it forget everything, for a cell that has it to itself."""
        await carry_out(self.name, "reset", self.profile.commands.reset)
        broker = ProfiledBroker(self.profile, transport)
        await broker.come_back()
        return broker


def login_of(profile: BrokerProfile) -> tuple[str, str | None] | None:
    """The user name and password of every client without one of its own."""
    return None if profile.login is None else (profile.login.username, profile.login.password)


async def carry_out(name: str, what: str, command: str | None) -> None:
    """Do what the owner says does it; raises BrokerFault, which does not show the command."""
    if command is None:
        raise BrokerFault(f"{name} cannot be asked to {what}: its profile has no command for it")
    try:
        await asyncio.to_thread(_post if command.startswith(("http://", "https://")) else _run, command)
    except subprocess.CalledProcessError as error:
        raise BrokerFault(f"{name}: its command to {what} ended with code {error.returncode}") from None
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        why = as_clause(getattr(error, "strerror", None) or type(error).__name__)
        raise BrokerFault(f"{name}: its command to {what} cannot be carried out: {why}") from None


def _run(command: str) -> None:
    subprocess.run(
        shlex.split(command),
        check=True,
        timeout=COMMAND_SECONDS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _post(url: str) -> None:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, b"", method="POST"), timeout=COMMAND_SECONDS):
            pass
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise
