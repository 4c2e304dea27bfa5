"""A broker under test as the runner sees it: what it can do, how to start it, where it listens.

Belongs here: the face all kinds of brokers share, and their faults.
Does not belong here: any one kind (`reference`, `process`, `container`, `address`), their names (`registry`).
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from interop.brokers.probe import Login, Reaction, ask
from interop.scenario.features import EXTRAS
from reference_broker.net.address import Address, Transport
from reference_broker.wire.types import Version

ALL_VERSIONS = ("3.1", "3.1.1", "5.0")

PRESENCE_SECONDS = 3.0
"""How long a broker that many clients are busy with may take to show that it is still there."""


class BrokerFault(Exception):
    """No broker came about; the text is one line a person can act on."""


class UnknownBroker(BrokerFault):
    """Nothing goes by that name; the text lists what does."""


class BrokerNotThere(BrokerFault):
    """Nobody listens at an address, or what was started did not begin to listen."""


class RunningBroker(ABC):
    """One broker, listening."""

    is_renewed = False
    """Whether its spec starts another one in its place once this is lost."""

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.is_lost = False
        """Whether it was found to serve nobody any more."""

    @property
    def end(self) -> str:
        """How its process ended, if it has and was ours to see: `with code 1`, `by SIGKILL`."""
        return ""

    async def absence(self, version: Version, transport: Transport, login: Login) -> str:
        """What it does instead of serving anybody, as what follows its name; empty while it answers CONNECT."""
        answer = await ask(self.address(transport), version, login, PRESENCE_SECONDS)
        self.is_lost = not await self._is_present(answer.reaction)
        return answer.words if self.is_lost else ""

    async def _is_present(self, reaction: Reaction) -> bool:
        """Whether a broker that does so at CONNECT is there: who stands in for one that is not may accept and close."""
        return reaction in (Reaction.CONNACK, Reaction.UNASKED)

    @property
    @abstractmethod
    def log(self) -> str:
        """The end of what the broker logged, if we can see it."""

    @property
    def pid(self) -> int | None:
        """The process it is, where it is one of this machine and ours to see."""
        return None

    @abstractmethod
    def address(self, transport: Transport = Transport.TCP) -> Address:
        """Where it listens; raises BrokerFault for a transport it was not started with."""

    @abstractmethod
    async def stop(self) -> None:
        """Be done with it: a broker of one's own stops, a shared one goes on until its spec is closed."""

    async def go_down(self, *, kill: bool) -> None:  # noqa: ARG002 - for those who can
        """End it for now, in order or by killing it; only a `persistent` broker of one's own."""
        raise BrokerFault(f"{self.name} cannot be restarted")

    async def come_back(self) -> None:
        """Start it again with the state it kept, perhaps at another address; raises BrokerFault."""
        raise BrokerFault(f"{self.name} cannot be restarted")


class LentBroker(RunningBroker):
    """A borrowed broker: its log is what came since, and stopping it is giving it back."""

    is_renewed = True

    def __init__(self, broker: RunningBroker, give_back: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__(broker.name, broker.version)
        self._broker = broker
        self._give_back = give_back
        self._log_before = broker.log

    @property
    def log(self) -> str:
        """What the broker wrote since this one was borrowed, other borrowers' lines included."""
        return self._broker.log.removeprefix(self._log_before)

    @property
    def pid(self) -> int | None:
        """The process that was lent."""
        return self._broker.pid

    @property
    def end(self) -> str:
        """How the process that was lent ended, if it has."""
        return self._broker.end

    async def absence(self, version: Version, transport: Transport, login: Login) -> str:
        """What the broker that was lent does instead of serving anybody."""
        return await self._broker.absence(version, transport, login)

    def address(self, transport: Transport = Transport.TCP) -> Address:
        """Where the one that was lent listens; raises BrokerFault."""
        return self._broker.address(transport)

    async def stop(self) -> None:
        """Give it back."""
        if self._give_back is not None:
            await self._give_back()


def end_in_words(status: int) -> str:
    """How a process with this exit status, or minus this signal, ended: `with code 1`, `by SIGKILL`."""
    if status >= 0:
        return f"with code {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"


class BrokerSpec(ABC):
    """A broker that can be had.

    `settings` are the fields of BrokerConfig it can be started with, `unsupported` the features it lacks and `offers`
    the extras it has, by the names of `interop.scenario.features`, `shared` whether cells may use one instance
    together, `exclusive` whether a cell can have one to itself, `login` the user name and password without which it
    lets nobody in, if it is like that; where `login_is_secret`, no output may show it. `round_trip_seconds` is how far
    away it is, once `check` found out.
    """

    name: str
    settings: frozenset[str] = frozenset()
    versions: tuple[str, ...] = ALL_VERSIONS
    transports: tuple[str, ...] = ("tcp",)
    unsupported: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    shared: bool = True
    exclusive: bool = False
    login: tuple[str, str | None] | None = None
    login_is_secret: bool = False
    started_with: Mapping[str, Any] = MappingProxyType({})
    """Settings it was started with by others: cells that ask for exactly these can be played, too."""
    is_single: bool = False
    """Whether it is `exclusive`, and there is but one: cells that have it to themselves go one by one."""
    round_trip_seconds: float = 0.0

    @property
    def lacks(self) -> tuple[str, ...]:
        """The features it lacks, and the extras it does not say that it has."""
        return (*self.unsupported, *sorted(EXTRAS - set(self.offers)))

    @property
    def version(self) -> str:
        """Its release, as far as it can be told before it is started."""
        return ""

    def check(self) -> None:  # noqa: B027 - most kinds find out when they start
        """Raise BrokerFault when it is plain already that it cannot be had."""

    def digests(self) -> dict[str, str]:
        """What it consists of, as far as this machine has it: SHA-256 in hexadecimal by name; raises BrokerFault."""
        return {}

    @abstractmethod
    async def start(self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP) -> RunningBroker:
        """Give a broker that listens for `transport`, with settings as a scenario writes them; raises BrokerFault."""

    async def start_own(
        self,
        settings: Mapping[str, Any],
        *,
        transport: Transport = Transport.TCP,
        persistent: bool = False,  # noqa: ARG002 - for those who can
    ) -> RunningBroker:
        """Like `start`, but nobody else is given this one; only where brokers of this kind are `exclusive`.

        A `persistent` one keeps its state, so that it can go down and come back.
        """
        return await self.start(settings, transport=transport)

    async def close(self) -> None:  # noqa: B027 - most kinds keep nothing
        """Stop what was started and is shared."""
