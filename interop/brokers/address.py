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

    def __init__(self, name: str, address: Address) -> None:
        super().__init__(name, "version unknown")
        self._address = address

    def address(self, transport: Transport = Transport.TCP) -> Address:
        """The address it was named by; raises BrokerNotThere for another transport."""
        if transport is not self._address.transport:
            raise BrokerNotThere(f"{self.name} speaks {self._address.transport}, not {transport}")
        return self._address

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
        self._running = BrokerElsewhere(self.name, address)

    def check(self) -> None:
        """See how far away it is; raise BrokerNotThere, in one line, when nobody listens."""
        address = self._running.address(Transport(self.transports[0]))
        try:
            # The first is not timed: it may have to look the name up.
            with socket.create_connection((address.host, address.port), timeout=ANSWER_SECONDS) as first:
                peer = first.getpeername()[:2]
            self.round_trip_seconds = statistics.median(_round_trip_seconds(peer) for _ in range(PROBES))
        except OSError as error:
            raise BrokerNotThere(f"no broker at {self.name}: {as_clause(error.strerror or str(error))}") from None

    async def survey(self) -> Survey:
        """What it answers to a CONNECT of each version."""
        return await survey(self.name, self._running.address(Transport(self.transports[0])), self.login)

    async def start(self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP) -> RunningBroker:  # noqa: ARG002 - it takes none
        """Give the broker as it is; it takes no settings."""
        self._running.address(transport)
        return self._running


def _round_trip_seconds(peer: tuple[str, int]) -> float:
    """How long SYN and its answer are under way: the kernel answers, whatever the broker is doing."""
    began = time.monotonic()
    with socket.create_connection(peer, timeout=ANSWER_SECONDS):
        return time.monotonic() - began
