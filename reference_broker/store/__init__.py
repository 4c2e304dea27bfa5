"""Where a broker's state survives the broker: nowhere (memory) or in a file (SQLite)."""

from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import (
    Snapshot,
    Store,
    StoredInFlight,
    StoredMessage,
    StoredRetained,
    StoredSession,
    StoredSubscription,
    StoredWaiting,
    StoredWill,
    StoreError,
)
from reference_broker.store.sqlite import SqliteStore

__all__ = [
    "MemoryStore",
    "Snapshot",
    "SqliteStore",
    "Store",
    "StoreError",
    "StoredInFlight",
    "StoredMessage",
    "StoredRetained",
    "StoredSession",
    "StoredSubscription",
    "StoredWaiting",
    "StoredWill",
]
