"""The project's own broker, looking at its timers once a second only, as many brokers do.

Belongs here: nothing else. It is right in all it does, late by up to a second, and fails no scenario for it.
"""

from __future__ import annotations

import math

from interop.brokers.reference import ReferenceSpec
from reference_broker.broker.broker import Broker
from reference_broker.broker.values.config import BrokerConfig


class TickingBroker(Broker):
    """A broker whose timers are looked at when the clock shows a whole second."""

    def next_deadline(self) -> float | None:
        """The first tick at which something is due; None if never."""
        deadline = super().next_deadline()
        return None if deadline is None else math.ceil(deadline)


class TickingSpec(ReferenceSpec):
    """Starts such brokers."""

    name = "ticking"

    def _make_broker(self, config: BrokerConfig, *, keeps: bool) -> Broker:
        return TickingBroker(config, keeps=keeps)
