"""What a client tells its application.

Belongs here: one frozen value per kind of news.
Does not belong here: how they come about (`core`).

A `ticket` is the number a command returned; the news about that command carries it. Tickets are never used twice within
a session. `reason` is the number from the packet, whose meaning depends on the version, as in `wire.packets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reference_broker.client.limits import ServerLimits
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS


@dataclass(frozen=True, slots=True)
class Connected:
    """The server accepted; `client_id` is the one in use, perhaps assigned by it, and `limits` are what it allows."""

    session_present: bool
    client_id: str
    limits: ServerLimits
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Published:
    """A message is settled: sent at QoS 0, acknowledged at QoS 1, carried through at QoS 2.

    `reason` and `properties` are the server's verdict on the message, from PUBACK or PUBREC; 0x80 or greater: refused.
    """

    ticket: int
    packet_id: int | None
    reason: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Subscribed:
    """SUBACK: one reason for each subscription in order, the granted QoS or 0x80 and greater."""

    ticket: int
    packet_id: int
    reasons: tuple[int, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """UNSUBACK: one reason for each topic filter in order; none in 3.x."""

    ticket: int
    packet_id: int
    reasons: tuple[int, ...] = ()
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Failed:
    """A command will not be completed: the connection (SUBSCRIBE, UNSUBSCRIBE) or the session (PUBLISH) is over."""

    ticket: int
    why: str


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH from the server, new to the application.

    `topic` is resolved; `topic_alias` is what stood on the wire. `packet_id` is None at QoS 0. Give the value back to
    `acknowledge` where acknowledgement is manual.
    """

    ticket: int
    topic: str
    payload: bytes
    qos: QoS
    retain: bool
    dup: bool
    packet_id: int | None
    properties: Properties = NO_PROPERTIES
    topic_alias: int | None = None


@dataclass(frozen=True, slots=True)
class AuthChallenge:
    """The server wants more authentication data; answer with `authenticate`. [5.0 4.12]"""

    data: bytes | None
    properties: Properties


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The server accepted a re-authentication. [5.0 4.12.1]"""

    data: bytes | None
    properties: Properties


class Cause(StrEnum):
    """Why a connection ended."""

    REQUESTED = "the client disconnected"
    REFUSED = "the server refused the connection"
    BY_SERVER = "the server disconnected"
    LOST = "the connection was lost"
    NO_CONNACK = "the server did not answer CONNECT"
    NO_PINGRESP = "the server did not answer PINGREQ"
    BAD_PACKET = "the server broke the protocol"
    UNEXPECTED_SESSION = "the server kept a session this client does not have"
    OVERWHELMED = "the server sent more than the application takes"


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is over; the last event.

    `reason` is the server's code (CONNACK or DISCONNECT) where it gave one, else the code this client sent or would
    have sent. `explanation` is one line for people, empty where the cause says it all.
    """

    cause: Cause
    reason: int = 0
    properties: Properties = NO_PROPERTIES
    explanation: str = ""

    def __str__(self) -> str:
        return f"{self.cause}: {self.explanation}" if self.explanation else str(self.cause)


Event = (
    Connected | Published | Subscribed | Unsubscribed | Failed | Message | AuthChallenge | Authenticated | Disconnected
)
