"""A broker somebody else started, at an address.

Belongs here: finding out that it is there.
Does not belong here: starting anything.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Mapping
from typing import Any

from interop.brokers.broker import BrokerNotThere, BrokerSpec, RunningBroker
from interop.brokers.probe import ANSWER_SECONDS, as_clause
from interop.brokers.survey import Survey, survey
from reference_broker.net.address import Address, Transport

PROBES = 3
"""How many connections tell how far away a broker is; the one in the middle counts, because a machine has its moods."""


class BrokerElsewhere(RunningBroker):
    """A broker we neither started nor will stop, and whose log we do not see."""

    log = ""

    def __init__(self, name: str, version: str, addresses: Mapping[Transport, Address]) -> None:
        super().__init__(name, version)
        self._addresses = addresses

    def address(self, transport: Transport = Transport.TCP) -> Address:
        """An address it was named by; raises BrokerNotThere for another transport."""
        if transport not in self._addresses:
            raise BrokerNotThere(f"{self.name} speaks {', '.join(self._addresses)}, not {transport}")
        return self._addresses[transport]

    async def stop(self) -> None:
        """Leave it as it is."""


class AddressSpec(BrokerSpec):
    """A broker at an address, for the transport of that address only."""

    def __init__(self, address: Address) -> None:
        self.name = address.url if address.transport is not Transport.TCP else address.host_and_port
        self.transports = (address.transport.value,)
        if address.login is not None:
            secret = address.login.password
            text = None if secret is None else secret.decode("utf-8", "surrogateescape")
            self.login = address.login.username, text
            self.login_is_secret = True
            self.unsupported = ("anonymous", "any-login")  # what a user name and password are for
        self._running = BrokerElsewhere(self.name, "version unknown", {address.transport: address})

    def check(self) -> None:
        """See how far away it is; raise BrokerNotThere, in one line, when nobody listens."""
        self.round_trip_seconds = distance_seconds(self.name, self._running.address(Transport(self.transports[0])))

    async def surveys(self) -> list[Survey]:
        """What it answers to a CONNECT of each version."""
        return [await survey(self.name, self._running.address(Transport(self.transports[0])), self.login)]

    async def start(self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP) -> RunningBroker:  # noqa: ARG002 - it takes none
        """Give the broker as it is; it takes no settings."""
        self._running.address(transport)
        return self._running


def distance_seconds(name: str, address: Address) -> float:
    """How long a request and its answer are under way; raises BrokerNotThere, in one line, when nobody listens."""
    try:
        # The first is not timed: it may have to look the name up.
        with socket.create_connection((address.host, address.port), timeout=ANSWER_SECONDS) as first:
            peer = first.getpeername()[:2]
        return statistics.median(_round_trip_seconds(peer) for _ in range(PROBES))
    except OSError as error:
        raise BrokerNotThere(f"no broker at {name}: {as_clause(error.strerror or str(error))}") from None


def _round_trip_seconds(peer: tuple[str, int]) -> float:
    """How long SYN and its answer are under way: the kernel answers, whatever the broker is doing."""
    began = time.monotonic()
    with socket.create_connection(peer, timeout=ANSWER_SECONDS):
        return time.monotonic() - began
