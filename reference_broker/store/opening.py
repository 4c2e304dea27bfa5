"""Opening a file as a store, or saying why not and leaving it as it is.

Belongs here: which files are ours, the tables, and making them of nothing or of an earlier format.
Does not belong here: what is done with them then (`sqlite`), the words for what is wrong (`errors`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from reference_broker.store.errors import damaged, store_error, unusable
from reference_broker.store.format_1 import SnapshotSqliteStore
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import Change, StoreError
from reference_broker.store.snapshot import Snapshot

Migrate = Callable[[Snapshot], Iterable[Change]]
"""What a broker's whole state, as format 1 has it, is as changes of an empty store."""

FORMAT = 2
APPLICATION_ID = 0x6D71_7474
"""`mqtt`, by which files of this kind know each other."""

_SCHEMA = (
    "CREATE TABLE kept (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE journal (id INTEGER PRIMARY KEY, changes BLOB NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)
_TABLES_OF_FORMAT_1 = {"message", "retained", "session", "delivery"}
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100  # https://www.sqlite.org/fileformat.html#the_database_header
_CHECKED_BYTES = 64 * 1024 * 1024
"""Files up to this size are read through before they are used: so much takes a fraction of a second."""

_LOG_BYTES = 64 * 1024 * 1024
"""What the write-ahead log may take on the disk once all of it is in the file."""


def open_database(path: Path, migrate: Migrate | None) -> sqlite3.Connection:
    """Give a connection to a file of today's format; raises StoreError for what is none and cannot become one."""
    try:
        version = _version(path)
        database = connect(path)
    except OSError as error:
        raise unusable(path, error) from error
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    try:
        if version == 1:
            _migrate(path, database, migrate)
        elif version == 0:
            _create(path, database)
        _check(path, database)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    except sqlite3.Error as error:
        database.close()
        raise store_error(path, error) from error
    except StoreError:
        database.close()
        raise
    return database


def prove_writable(path: Path, database: sqlite3.Connection) -> None:
    """Write something, so that a full disk and a lock of others are told now and not with the first promise."""
    try:
        database.execute(f"PRAGMA user_version = {FORMAT}")
    except sqlite3.Error as error:
        raise store_error(path, error) from error


def connect(path: Path) -> sqlite3.Connection:
    """Connect at once or not at all, for any thread, with every statement a transaction of its own."""
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)


def _version(path: Path) -> int:
    """The format of the file, 0 for a new one, which only its owner may read; its wal gets the same rights."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        header = os.pread(file, _HEADER_BYTES, 0)
        version = _version_in(path, header) if header.strip(b"\0") else 0
        os.fchmod(file, 0o600)
    finally:
        os.close(file)
    return version


def _version_in(path: Path, header: bytes) -> int:
    application_id, version = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    if len(header) < _HEADER_BYTES and _MAGIC.startswith(header[: len(_MAGIC)]):
        raise damaged(path, "it ends within its first bytes")
    if not header.startswith(_MAGIC):
        raise StoreError(f"{path} is no store but a file of another kind: choose another store")
    if application_id == 0 and version in (0, 1):
        return version
    if application_id != APPLICATION_ID:
        raise _foreign(path)
    if version > FORMAT:
        text = f"{path} has format {version}, and this version knows formats up to {FORMAT}"
        raise StoreError(f"{text}: use the version that wrote it, or choose another store")
    if version != FORMAT:
        raise damaged(path, f"it says that it has format {version}")
    return version


def _create(path: Path, database: sqlite3.Connection) -> None:
    """Make the tables, wholly or not at all, so that the file itself says from the beginning what it is."""
    database.execute("BEGIN IMMEDIATE")
    if _tables(database):
        database.execute("ROLLBACK")
        raise _foreign(path)
    for statement in _SCHEMA:
        database.execute(statement)
    database.execute("COMMIT")


def _migrate(path: Path, database: sqlite3.Connection, migrate: Migrate | None) -> None:
    """Replace the tables of format 1 with their content as rows, wholly or not at all."""
    if not _tables(database) >= _TABLES_OF_FORMAT_1:
        raise _foreign(path)
    if migrate is None:
        raise StoreError(f"{path} has format 1, which is not read here: choose another store")
    rows = MemoryStore()
    rows.commit(list(migrate(SnapshotSqliteStore(path).load())))
    database.execute("BEGIN IMMEDIATE")
    for table in _tables(database):
        database.execute(f'DROP TABLE "{table}"')
    for statement in _SCHEMA:
        database.execute(statement)
    database.executemany("INSERT INTO kept VALUES (?, ?)", rows.rows.items())
    database.execute("COMMIT")


def _check(path: Path, database: sqlite3.Connection) -> None:
    """Look whether the tables are there and, where that is quick, whether they can be read."""
    if _tables(database) != {"kept", "journal"}:
        raise damaged(path, "its tables are not those of a store")
    if path.stat().st_size <= _CHECKED_BYTES:
        ((finding,), *_) = database.execute("PRAGMA quick_check(1)").fetchall()
        if finding != "ok":
            raise damaged(path, " ".join(finding.split()))


def _tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _foreign(path: Path) -> StoreError:
    return StoreError(f"{path} is no store but the database of another program: choose another store")
