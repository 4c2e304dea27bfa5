"""What can be done to the world, one step at a time, as values that say everything.

Belongs here: the kinds of steps, the tables their choices point into, each step in words.
Does not belong here: which one comes next (`script`), what it does (`world`).

A step holds no reference to the world, so that any part of a list of steps can be done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from reference_broker.wire.packets import Subscription
from reference_broker.wire.properties import NEVER_EXPIRES, Properties
from reference_broker.wire.types import QoS, ReasonCode, RetainHandling


class Kind(StrEnum):
    """What happens in a step."""

    CONNECT = "connects"
    PUBLISH = "publishes"
    SUBSCRIBE = "subscribes"
    UNSUBSCRIBE = "unsubscribes"
    DISCONNECT = "disconnects"
    TO_BROKER = "to the broker"
    TO_CLIENT = "to the client"
    CUT = "cut"
    VANISH = "vanishes"
    NOTICE = "noticed"
    PAUSE = "reads no more"
    RESUME = "reads again"
    WAIT = "wait"
    COMMIT = "committed"
    CRASH = "crash"


class Step(NamedTuple):
    """One thing that happens: to which peer, which row of the kind's table, and how many (bytes, messages, seconds)."""

    kind: Kind
    peer: int = 0
    choice: int = 0
    amount: int = 0


DESCRIPTION = Properties(
    payload_format_indicator=1,
    content_type="text/plain",
    response_topic="a/answer",
    correlation_data=b"\0c",
    user_property=(("a", "1"), ("b", ""), ("a", "2")),
)
"""All that a publisher of 5.0 may say about a message that is for its receivers."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A message but for its payload; `expiry_seconds` is said in 5.0 only, as is the description."""

    topic: str
    qos: QoS
    retain: bool = False
    expiry_seconds: int | None = None
    is_described: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """What a CONNECT asks for; in 3.x a session lasts for ever or not at all.

    `will_delay_seconds` None: there is no will.
    """

    clean_start: bool = False
    expiry_seconds: int = NEVER_EXPIRES
    keep_alive: int = 0
    will_delay_seconds: int | None = None
    will_qos: QoS = QoS.AT_LEAST_ONCE
    is_will_retained: bool = False
    is_will_described: bool = False


@dataclass(frozen=True, slots=True)
class Goodbye:
    """What a DISCONNECT says; 3.x says nothing."""

    reason: int = 0
    expiry_seconds: int | None = None


WILL_TOPIC = "w"
_TOPICS = ("a/x", "a/y", "b/x", "b/y")

PUBLICATIONS: tuple[Publication, ...] = (
    *(Publication(topic, qos) for topic in _TOPICS for qos in (QoS.AT_LEAST_ONCE, QoS.EXACTLY_ONCE) for _ in range(3)),
    *(Publication(topic, QoS.AT_MOST_ONCE) for topic in _TOPICS),
    *(
        Publication(topic, qos)
        for topic in ("only/x", "only/y")
        for qos in (QoS.AT_LEAST_ONCE, *[QoS.EXACTLY_ONCE] * 2)
    ),
    *(Publication("r/x", qos, retain=True) for qos in QoS),
    *(Publication("a/x", qos, expiry_seconds=3) for qos in QoS),
    *(Publication(topic, qos, is_described=True) for topic in _TOPICS for qos in QoS),
    *(Publication("r/x", qos, retain=True, expiry_seconds=60, is_described=True) for qos in QoS),
)
"""What may be published; a row that stands there several times is chosen as often."""

SHARES = ("s/b/y", "s/only/+")

SUBSCRIPTIONS: tuple[Subscription, ...] = (
    *(Subscription(name, qos) for name in ("a/x", "a/+", "b/#") for qos in QoS),
    *(Subscription(name, QoS.EXACTLY_ONCE) for name in ("a/x", "a/y", "a/+", "b/#", "+/x")),
    *(Subscription(WILL_TOPIC, QoS.EXACTLY_ONCE) for _ in range(3)),
    Subscription("r/+", QoS.AT_LEAST_ONCE),
    Subscription("r/#", QoS.EXACTLY_ONCE, retain_handling=RetainHandling.SEND_IF_NEW),
    Subscription("a/y", QoS.EXACTLY_ONCE, no_local=True),
    Subscription(WILL_TOPIC, QoS.EXACTLY_ONCE, no_local=True),
    Subscription("b/x", QoS.AT_LEAST_ONCE, no_local=True),
    *(Subscription(name, QoS.EXACTLY_ONCE, retain_as_published=True) for name in ("r/+", "a/x", "+/x")),
    *(Subscription(f"$share/{name}", qos) for name in SHARES for qos in (QoS.AT_LEAST_ONCE, *[QoS.EXACTLY_ONCE] * 4)),
    Subscription(f"$share/{SHARES[0]}", QoS.AT_MOST_ONCE),
)
"""What may be subscribed to; 3.x has the filter and the QoS of it."""


def identifier_of(choice: int) -> int | None:
    """The identifier that a row's subscription has in 5.0: every other has one, small ones and large ones."""
    return None if choice % 2 else 1 + choice * choice


CONNECTIONS: tuple[Connection, ...] = (
    *(Connection() for _ in range(4)),
    *(Connection(will_delay_seconds=delay) for delay in (0, 0, 2, 30)),
    Connection(expiry_seconds=10, will_delay_seconds=20),
    Connection(expiry_seconds=10, will_delay_seconds=2, will_qos=QoS.EXACTLY_ONCE),
    Connection(expiry_seconds=5, keep_alive=4),
    Connection(keep_alive=6, will_delay_seconds=1),
    Connection(will_delay_seconds=0, is_will_retained=True),
    Connection(will_delay_seconds=3, is_will_retained=True),
    Connection(will_delay_seconds=0, is_will_described=True),
    Connection(expiry_seconds=0),
    Connection(expiry_seconds=0, will_delay_seconds=3),
    Connection(clean_start=True),
    Connection(clean_start=True, expiry_seconds=0, will_delay_seconds=0),
)
"""How a peer may connect."""

GOODBYES: tuple[Goodbye, ...] = (
    Goodbye(),
    Goodbye(),
    Goodbye(ReasonCode.DISCONNECT_WITH_WILL_MESSAGE),
    Goodbye(expiry_seconds=0),
    Goodbye(expiry_seconds=3),
    Goodbye(expiry_seconds=60),
    Goodbye(ReasonCode.DISCONNECT_WITH_WILL_MESSAGE, expiry_seconds=2),
)
"""How a peer may take its leave."""

AMOUNTS_BYTES = (1, 3, 20, 100_000, 100_000, 100_000)
"""How many bytes get through in one piece."""


def in_words(step: Step) -> str:
    """The step as a line of a story."""
    words = _WORDS[step.kind](step)
    return words if step.kind in _OF_NOBODY else f"peer {step.peer} {words}"


_OF_NOBODY = frozenset({Kind.WAIT, Kind.COMMIT, Kind.CRASH})


def _publishes(step: Step) -> str:
    row = PUBLICATIONS[step.choice]
    expiry = f", expiring after {row.expiry_seconds} s" if row.expiry_seconds is not None else ""
    many = f"{step.amount} messages" if step.amount > 1 else "a message"
    return f"publishes {many} at QoS {row.qos:d} to {row.topic}{', retained' * row.retain}{expiry}"


def _subscribes(step: Step) -> str:
    row = SUBSCRIPTIONS[step.choice]
    return f"subscribes to {row.topic_filter} at QoS {row.qos:d}{', No Local' * row.no_local}"


def _connects(step: Step) -> str:
    row = CONNECTIONS[step.choice]
    expiry = "never" if row.expiry_seconds == NEVER_EXPIRES else f"after {row.expiry_seconds} s"
    will = "" if row.will_delay_seconds is None else f", will delay {row.will_delay_seconds} s"
    keep_alive = f", keep alive {row.keep_alive} s" if row.keep_alive else ""
    return f"connects{' with a clean start' * row.clean_start}, session expires {expiry}{will}{keep_alive}"


def _disconnects(step: Step) -> str:
    row = GOODBYES[step.choice]
    expiry = "" if row.expiry_seconds is None else f", session expires after {row.expiry_seconds} s"
    return f"sends DISCONNECT {row.reason:#04x}{expiry}"


def _bytes(step: Step) -> str:
    return "all bytes" if step.amount >= AMOUNTS_BYTES[-1] else f"{step.amount} bytes"


_WORDS: dict[Kind, Callable[[Step], str]] = {
    Kind.CONNECT: _connects,
    Kind.PUBLISH: _publishes,
    Kind.SUBSCRIBE: _subscribes,
    Kind.UNSUBSCRIBE: lambda step: f"unsubscribes from {SUBSCRIPTIONS[step.choice].topic_filter}",
    Kind.DISCONNECT: _disconnects,
    Kind.TO_BROKER: lambda step: f"-> broker: {_bytes(step)} arrive",
    Kind.TO_CLIENT: lambda step: f"<- broker: {_bytes(step)} arrive",
    Kind.CUT: lambda _: "is cut off, and both sides know it",
    Kind.VANISH: lambda _: "loses its connection, which the broker does not know yet",
    Kind.NOTICE: lambda step: (
        f"was lost: the broker learns it, {'without' if step.choice else 'behind'} what was under way"
    ),
    Kind.PAUSE: lambda _: "reads no more",
    Kind.RESUME: lambda _: "reads again",
    Kind.WAIT: lambda step: f"{step.amount} s pass",
    Kind.COMMIT: lambda step: f"the broker's oldest {step.amount} turns are committed",
    Kind.CRASH: lambda step: f"the broker crashes, and {step.amount} s later another one goes on",
}
