"""A broker's whole state as plain values, as files of format 1 hold it.

Belongs here: what a session and a retained message consist of. [3.1.1 4.1, 5.0 4.1]
Does not belong here: how a broker keeps them while it runs (`broker`), how a file did (`format_1`).

Times are seconds from the moment the snapshot was taken. The clocks of sessions and wills stand still while the broker
does not run, which the specification allows [5.0 3.1.2.11.2]; messages go on aging [5.0 MQTT-3.3.2-5], which is what
`saved_at` is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reference_broker.wire.packets import Subscription, Will
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """An application message; `age_seconds` is how long the broker has had it, for its expiry. [5.0 3.3.2.3.3]"""

    topic: str
    payload: bytes
    qos: QoS
    retain: bool
    properties: Properties
    publisher: str | None
    age_seconds: float


@dataclass(frozen=True, slots=True)
class StoredSubscription:
    """A subscription as it was granted; `subscription_id` 0 for none.

    `is_shared` tells a shared one from a 3.x filter that merely begins with `$share/`.
    """

    options: Subscription
    granted: QoS
    subscription_id: int
    is_shared: bool


@dataclass(frozen=True, slots=True)
class StoredWaiting:
    """A message that waits to be sent; `shared` is the shared subscription's filter it came by, or None."""

    message: StoredMessage
    qos: QoS
    retain: bool
    subscription_ids: tuple[int, ...]
    shared: str | None


@dataclass(frozen=True, slots=True)
class StoredRetained:
    """Retained messages a subscription is still to bring: from `topic` on, behind `ahead` of the messages that wait."""

    topic_filter: str
    topic: str
    ahead: int


@dataclass(frozen=True, slots=True)
class StoredInFlight:
    """A message sent and not settled; `waiting` None: only its PUBREL is left."""

    packet_id: int
    waiting: StoredWaiting | None


@dataclass(frozen=True, slots=True)
class StoredWill:
    """The will of a connection that is gone, due in so many seconds."""

    will: Will
    due_seconds: float


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One session without its connection; `expires_seconds` None means never."""

    client_id: str
    version: Version
    username: str | None
    expiry_interval: int
    expires_seconds: float | None
    subscriptions: tuple[StoredSubscription, ...]
    in_flight: tuple[StoredInFlight, ...]
    waiting: tuple[StoredWaiting, ...]
    received: tuple[int, ...]
    """Identifiers of QoS 2 messages received and not released."""
    will: StoredWill | None
    retained: tuple[StoredRetained, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that survives a broker; `saved_at` is Unix time in seconds, None where nobody knows."""

    sessions: tuple[StoredSession, ...] = ()
    retained: tuple[StoredMessage, ...] = ()
    saved_at: float | None = None


class SnapshotStore(Protocol):
    """Keeps one snapshot."""

    def load(self) -> Snapshot:
        """The last snapshot saved, an empty one if there is none; raises StoreError."""

    def save(self, snapshot: Snapshot) -> None:
        """Keep this snapshot in place of the last one, wholly or not at all; raises StoreError."""


class SnapshotMemoryStore:
    """Keeps the last snapshot as it is."""

    def __init__(self) -> None:
        self._snapshot = Snapshot()

    def load(self) -> Snapshot:
        """The last snapshot saved."""
        return self._snapshot

    def save(self, snapshot: Snapshot) -> None:
        """Keep this one instead."""
        self._snapshot = snapshot
