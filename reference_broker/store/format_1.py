"""A snapshot in one SQLite file, as brokers before format 2 kept it.

Belongs here: the tables, and records to rows and back. Does not belong here: what becomes of them (`migration`).

Small values that no query looks at are JSON; topics, payloads and properties are columns of their own kind, the latter
in the bytes 5.0 has for them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from reference_broker.store.records import StoreError
from reference_broker.store.snapshot import (
    Snapshot,
    StoredInFlight,
    StoredMessage,
    StoredRetained,
    StoredSession,
    StoredSubscription,
    StoredWaiting,
    StoredWill,
)
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import Subscription, Will
from reference_broker.wire.properties import WILL, Properties
from reference_broker.wire.property_codec import decode_properties, encode_properties
from reference_broker.wire.types import PacketType, QoS, RetainHandling, Version

_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY, topic BLOB NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL,
    properties BLOB NOT NULL, publisher TEXT, age_seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS retained (message INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS session (
    client_id TEXT PRIMARY KEY, version INTEGER NOT NULL, username TEXT, expiry_interval INTEGER NOT NULL,
    expires_seconds REAL, subscriptions TEXT NOT NULL, received TEXT NOT NULL,
    will_topic BLOB, will_payload BLOB, will_qos INTEGER, will_retain INTEGER, will_properties BLOB, will_due REAL
);
CREATE TABLE IF NOT EXISTS delivery (
    client_id TEXT NOT NULL, position INTEGER NOT NULL, packet_id INTEGER, message INTEGER, qos INTEGER,
    retain INTEGER, subscription_ids TEXT, shared TEXT, PRIMARY KEY (client_id, position)
);
CREATE TABLE IF NOT EXISTS bringing (
    client_id TEXT NOT NULL, topic_filter BLOB NOT NULL, topic BLOB NOT NULL, ahead INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS saved (at REAL NOT NULL);
"""
_TABLES = ("message", "retained", "session", "delivery", "bringing", "saved")


class SnapshotSqliteStore:
    """Keeps the snapshot in a file, replaced in one transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Snapshot:
        """The snapshot in the file, an empty one if there is no file; raises StoreError for a file of another kind."""
        if not self.path.exists():
            return Snapshot()
        try:
            with closing(sqlite3.connect(self.path)) as database:
                if database.execute("PRAGMA user_version").fetchone() != (_FORMAT,):
                    raise StoreError(f"{self.path} does not hold the state of this broker's version")
                database.executescript(_SCHEMA)  # a table may have been added since
                return _read(database)
        except (sqlite3.Error, ValueError, TypeError, RemoteError) as error:
            raise StoreError(f"{self.path} cannot be read: {error}") from error

    def save(self, snapshot: Snapshot) -> None:
        """Replace what the file holds; raises StoreError."""
        try:
            with closing(sqlite3.connect(self.path)) as database:
                database.executescript(_SCHEMA)
                with database:
                    for table in _TABLES:
                        database.execute(f"DELETE FROM {table}")
                    _Writer(database).write(snapshot)
                    database.execute(f"PRAGMA user_version = {_FORMAT}")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} cannot be written: {error}") from error


class _Writer:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._ids: dict[int, int] = {}

    def write(self, snapshot: Snapshot) -> None:
        if snapshot.saved_at is not None:
            self._insert("saved", snapshot.saved_at)
        for message in snapshot.retained:
            self._insert("retained", self._message(message))
        for session in snapshot.sessions:
            will = session.will
            self._insert(
                "session", session.client_id, session.version, session.username, session.expiry_interval,
                session.expires_seconds, json.dumps([_from_subscription(s) for s in session.subscriptions]),
                json.dumps(session.received), *((None,) * 6 if will is None else _from_will(will)),
            )  # fmt: skip
            deliveries: list[tuple[int | None, StoredWaiting | None]] = [
                (entry.packet_id, entry.waiting) for entry in session.in_flight
            ]
            deliveries += [(None, waiting) for waiting in session.waiting]
            for position, (packet_id, waiting) in enumerate(deliveries):
                row = (None,) * 5 if waiting is None else self._waiting(waiting)
                self._insert("delivery", session.client_id, position, packet_id, *row)
            for each in session.retained:
                self._insert("bringing", session.client_id, each.topic_filter.encode(), each.topic.encode(), each.ahead)

    def _insert(self, table: str, *values: Any) -> int:
        marks = ", ".join("?" * len(values))
        return self._database.execute(f"INSERT INTO {table} VALUES ({marks})", values).lastrowid or 0

    def _message(self, message: StoredMessage) -> int:
        """The row of a message, which many sessions may share."""
        if id(message) not in self._ids:
            self._ids[id(message)] = self._insert(
                "message", None, message.topic.encode(), message.payload, message.qos, message.retain,
                encode_properties(message.properties, PacketType.PUBLISH), message.publisher, message.age_seconds,
            )  # fmt: skip
        return self._ids[id(message)]

    def _waiting(self, waiting: StoredWaiting) -> tuple[Any, ...]:
        ids = json.dumps(waiting.subscription_ids)
        return self._message(waiting.message), waiting.qos, waiting.retain, ids, waiting.shared


def _read(database: sqlite3.Connection) -> Snapshot:
    messages = {
        row[0]: StoredMessage(
            bytes(row[1]).decode(), bytes(row[2]), QoS(row[3]), bool(row[4]),
            _to_properties(row[5], PacketType.PUBLISH), row[6], row[7],
        )
        for row in database.execute("SELECT * FROM message")
    }  # fmt: skip
    sessions = tuple(
        _to_session(row, list(_deliveries(database, row[0], messages)), tuple(_retained(database, row[0])))
        for row in database.execute("SELECT * FROM session ORDER BY rowid").fetchall()
    )
    retained = tuple(messages[row[0]] for row in database.execute("SELECT message FROM retained ORDER BY rowid"))
    return Snapshot(sessions, retained, _saved_at(database))


def _saved_at(database: sqlite3.Connection) -> float | None:
    """When it was saved; files of before that was noted do not know."""
    row = database.execute("SELECT at FROM saved").fetchone()
    return None if row is None else float(row[0])


def _deliveries(
    database: sqlite3.Connection, client_id: str, messages: dict[int, StoredMessage]
) -> Iterator[tuple[int | None, StoredWaiting | None]]:
    query = (
        "SELECT packet_id, message, qos, retain, subscription_ids, shared FROM delivery WHERE client_id = ? "
        "ORDER BY position"
    )
    for packet_id, message, qos, retain, ids, shared in database.execute(query, (client_id,)):
        if message is None:
            yield packet_id, None
        else:
            waiting = StoredWaiting(messages[message], QoS(qos), bool(retain), tuple(json.loads(ids)), shared)
            yield packet_id, waiting


def _retained(database: sqlite3.Connection, client_id: str) -> Iterator[StoredRetained]:
    query = "SELECT topic_filter, topic, ahead FROM bringing WHERE client_id = ? ORDER BY rowid"
    for topic_filter, topic, ahead in database.execute(query, (client_id,)):
        yield StoredRetained(bytes(topic_filter).decode(), bytes(topic).decode(), ahead)


def _to_session(
    row: tuple[Any, ...],
    deliveries: list[tuple[int | None, StoredWaiting | None]],
    retained: tuple[StoredRetained, ...],
) -> StoredSession:
    client_id, version, username, interval, expires, subscriptions, received, *will = row
    return StoredSession(
        client_id,
        Version(version),
        username,
        interval,
        expires,
        tuple(_to_subscription(fields) for fields in json.loads(subscriptions)),
        tuple(StoredInFlight(packet_id, waiting) for packet_id, waiting in deliveries if packet_id is not None),
        tuple(waiting for packet_id, waiting in deliveries if packet_id is None and waiting is not None),
        tuple(json.loads(received)),
        None if will[0] is None else _to_will(*will),
        retained,
    )


def _from_subscription(stored: StoredSubscription) -> list[Any]:
    o = stored.options
    return [
        o.topic_filter, o.qos, o.no_local, o.retain_as_published, o.retain_handling, stored.granted,
        stored.subscription_id, stored.is_shared,
    ]  # fmt: skip


def _to_subscription(fields: list[Any]) -> StoredSubscription:
    topic_filter, qos, no_local, retain_as_published, retain_handling, granted, subscription_id, is_shared = fields
    options = Subscription(topic_filter, QoS(qos), no_local, retain_as_published, RetainHandling(retain_handling))
    return StoredSubscription(options, QoS(granted), subscription_id, is_shared)


def _from_will(stored: StoredWill) -> tuple[Any, ...]:
    will = stored.will
    properties = encode_properties(will.properties, WILL)
    return will.topic.encode(), will.payload, will.qos, will.retain, properties, stored.due_seconds


def _to_will(topic: bytes, payload: bytes, qos: int, retain: int, properties: bytes, due: float) -> StoredWill:
    will = Will(bytes(topic).decode(), bytes(payload), QoS(qos), bool(retain), _to_properties(properties, WILL))
    return StoredWill(will, due)


def _to_properties(data: bytes, place: PacketType | str) -> Properties:
    return decode_properties(bytes(data), 0, len(data), place)[0]
