"""What all connections of a broker share, as one value: they hold it, and never the broker.

Belongs here: making the rooms of the lower floors and giving each what it needs; which connections there are.
Does not belong here: anything that happens in a room, or what an adapter calls (`broker`).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from reference_broker.broker.keeping.addresses import Addresses
from reference_broker.broker.keeping.checks import Checks
from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.incoming import Incoming
from reference_broker.broker.keeping.moving_in import MovingIn
from reference_broker.broker.keeping.opening import Opening
from reference_broker.broker.keeping.retained import RetainedMessages
from reference_broker.broker.keeping.routing import Router
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.keeping.wills import Wills
from reference_broker.broker.outgoing.backpressure import Backpressure
from reference_broker.broker.outgoing.output import Output, Round
from reference_broker.broker.values.access import AccessControl
from reference_broker.broker.values.admission import Admission
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.journal import Journal
from reference_broker.broker.values.log import Log
from reference_broker.broker.values.rates import PeerRates
from reference_broker.broker.values.timers import Timers


def _never() -> bool:
    return False


class House:
    """The rooms of one broker, from the lowest floor to the third."""

    def __init__(
        self,
        config: BrokerConfig,
        seed: int | None = None,
        *,
        keeps: bool = False,
        access: AccessControl | None = None,
    ) -> None:
        """`seed` makes the client ids the broker assigns repeatable; `keeps` notes what has to survive the broker."""
        self.config = config
        self.log = Log()
        self.timers = Timers()
        self.access = access or AccessControl(config)
        self.is_turn_over: Callable[[], bool] = _never
        """Whether the packets of others are to be handled before the next of the peer whose turn it is."""
        self.checks = Checks(lambda work, done: done(work(), self.round.now))
        self.admission = Admission(config, self.access)
        self.journal = Journal() if keeps else None
        self.round = Round(config, self.access, self.journal)
        self.backpressure = Backpressure(config, self.timers, self.round)
        self.router = Router(self.access)
        self.retained = RetainedMessages(config, self.timers, self.journal)
        self.exchange = Exchange(config, self.access, self.router, self.retained)
        self.wills = Wills(self.admission, self.timers, self.exchange, self.log)
        self.sessions = Sessions(self.access, self.timers, self.router, self.exchange, self.wills, self.journal)
        self.moving_in: MovingIn | None = None
        """What is still to come from the store."""
        if self.journal is not None:
            self.moving_in = MovingIn(self.journal, self.timers, self.router, self.retained, self.sessions, self.wills)
        self.incoming = Incoming(config)
        self.addresses = Addresses(config)
        self.opening = Opening(config, self.timers)
        """Accepted connections without a session yet; the others are found through their sessions."""
        self.connected_count = 0
        """Connected clients."""
        self.limits_rates = PeerRates.of(config) is not None
        """Whether a connection may send so much in a second and no more."""
        self._random = random.Random(seed)

    @property
    def connections(self) -> list[Output]:
        """All that are open."""
        connected = (session.sender.output for session in self.sessions if session.sender is not None)
        return [*self.opening, *connected]

    def new_client_id(self) -> str:
        """A client id no session has. [5.0 MQTT-3.1.3-6, MQTT-3.2.2-16]"""
        while True:
            client_id = f"{self.config.assigned_client_id_prefix}{self._random.getrandbits(64):016x}"
            if client_id not in self.sessions:
                return client_id
