"""What a client remembers from one connection to the next. [3.1.1 4.1, 5.0 4.1]

Belongs here: messages in flight in both directions, identifiers in use, messages that wait to be sent.
Does not belong here: anything of one connection, such as quotas, aliases and SUBSCRIBEs under way.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from reference_broker.session.delivery import Inbound, Outbound
from reference_broker.session.packet_ids import PacketIds
from reference_broker.wire.packets import Publish, PubRec
from reference_broker.wire.types import Version


@dataclass(slots=True)
class Unanswered:
    """A QoS 2 message the application has and no PUBREC was sent for; `answer` is there once it was acknowledged."""

    ticket: int
    answer: PubRec | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A QoS 1 or QoS 2 message that was not sent yet."""

    ticket: int
    publish: Publish


class Session:
    """One client's session state; give it to each new connection that is to go on with it.

    `established` says whether both ends are taken to have this session. It is set by a connection and cleared when the
    session ends. Construct it with True where the state in flight is known to be empty but the server may well hold
    the session, as in a process that was started anew: otherwise a 5.0 client has to close when the server says
    that a session is present. [5.0 MQTT-3.2.2-4]
    """

    def __init__(self, *, established: bool = False) -> None:
        self.established = established
        self.client_id = ""  # as assigned by the server, or as asked for
        self.packet_ids = PacketIds()
        self.outbound = Outbound(Version.V5, self.packet_ids)
        self.inbound = Inbound(Version.V5)
        self.waiting: deque[Waiting] = deque()
        self.tickets: dict[int, int] = {}  # by packet identifier of a message in flight
        self.receipts: dict[int, PubRec] = {}  # the server's verdict on a QoS 2 message, until PUBCOMP
        self.unanswered: dict[int, Unanswered] = {}  # by packet identifier
        self._last_ticket = 0

    def __len__(self) -> int:
        """How many messages of ours are not settled, sent or not."""
        return len(self.outbound) + len(self.waiting)

    def new_ticket(self) -> int:
        """A number for one command."""
        self._last_ticket += 1
        return self._last_ticket

    def set_version(self, version: Version) -> None:
        """The protocol version of the connection that goes on with this session."""
        self.outbound.version = version
        self.inbound.version = version

    def discard(self) -> list[int]:
        """The session is over, or the server has none: forget what was in flight; returns those messages' tickets.

        What was never sent is no part of a session and stays. [5.0 4.1]
        """
        self.established = False
        lost = list(self.tickets.values())
        self.outbound.drop_all()
        self.tickets.clear()
        self.receipts.clear()
        self.forget_received()
        return lost

    def forget_received(self) -> None:
        """The server has no session: its packet identifiers start anew."""
        self.inbound.drop_all()
        self.unanswered.clear()

    def drop_waiting(self) -> list[int]:
        """Forget what was never sent; returns the tickets of those messages."""
        dropped = [waiting.ticket for waiting in self.waiting]
        self.waiting.clear()
        return dropped
