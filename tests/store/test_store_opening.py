"""A file that cannot be a store is told in one line that says what to do, and is left as it is."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reference_broker.store.format_1 import SnapshotSqliteStore
from reference_broker.store.lock import FileLock
from reference_broker.store.records import StoreError, StoreFull, StoreInUse
from reference_broker.store.snapshot import Snapshot
from reference_broker.store.sqlite import SqliteStore

END = b"\xff"
ROWS = [(b"k%03d" % number, b"x" * 200) for number in range(200)]


def refusal(path: Path, kind: type[StoreError] = StoreError, **options) -> str:
    """The line about a file, which names it and is said at once, and nothing was done to the file or beside it."""
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir() if file.is_file()}
    begun = time.monotonic()
    with pytest.raises(kind) as caught:
        SqliteStore(path, **options)
    assert time.monotonic() - begun < 2
    after = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir() if file.is_file()}
    assert after == before
    line = str(caught.value)
    assert line.startswith(str(path))
    assert "\n" not in line
    return line.removeprefix(str(path)).strip()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with some rows."""
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    store.commit(ROWS)
    store.read(b"", END, 1)
    store.close()
    return path


def test_an_empty_file_is_a_new_store(tmp_path):
    (tmp_path / "empty.db").touch()
    SqliteStore(tmp_path / "empty.db").close()
    sqlite3.connect(tmp_path / "nothing.db").execute("VACUUM").connection.close()
    store = SqliteStore(tmp_path / "nothing.db")
    assert store.read(b"", END, 1) == []
    store.close()


def test_a_store_whose_making_was_cut_off_is_a_new_store(tmp_path):
    """The rollback journal is there, and of the file its first pages."""
    path = tmp_path / "state.db"
    script = (
        "import os, pathlib, sqlite3\n"
        "from reference_broker.store import opening\n"
        "opening._SCHEMA = (*opening._SCHEMA, 'CREATE TABLE t (x)')\n"
        "real = sqlite3.connect\n"
        "class Dying(sqlite3.Connection):\n"
        "    def execute(self, sql, *values):\n"
        "        if sql == 'COMMIT':\n"
        "            super().execute('PRAGMA cache_spill = 1')\n"
        "            super().execute('PRAGMA cache_size = 1')\n"
        "            super().execute('INSERT INTO kept SELECT value, randomblob(3000) FROM json_each(?)',"
        " (str(list(range(500))),))\n"
        "            os._exit(3)\n"
        "        return super().execute(sql, *values)\n"
        "opening.connect = lambda path: real(path, isolation_level=None, factory=Dying)\n"
        f"opening.open_database(pathlib.Path({str(path)!r}), None)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 3
    assert path.stat().st_size > 100_000
    store = SqliteStore(path)
    assert store.read(b"", END, 1) == []
    store.close()


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("notes of some length " * 20)
    assert refusal(tmp_path / "notes.txt") == "is no store but a file of another kind: choose another store"
    (tmp_path / "short.txt").write_text("x")
    assert "a file of another kind" in refusal(tmp_path / "short.txt")


@pytest.mark.parametrize("pragma", ["application_id = 7", "user_version = 9", "user_version = 0", "user_version = 1"])
def test_the_database_of_another_program_is_refused(tmp_path, pragma):
    path = tmp_path / "other.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE t (x)")
    database.execute(f"PRAGMA {pragma}")
    database.close()
    assert refusal(path) == "is no store but the database of another program: choose another store"


def test_a_newer_store_is_refused(path):
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 3")
    database.close()
    text = "has format 3, and this version knows formats up to 2"
    assert refusal(path) == f"{text}: use the version that wrote it, or choose another store"


def damage_page(content: bytearray) -> None:
    content[3 * 4096 : 4 * 4096] = b"\xaa" * 4096


def damage_end(content: bytearray) -> None:
    del content[-4096:]


def damage_header(content: bytearray) -> None:
    content[20:40] = b"\xaa" * 20


def nothing_but_zeros(content: bytearray) -> None:
    content[:] = bytes(len(content))


def cut_in_the_header(content: bytearray) -> None:
    del content[50:]


@pytest.mark.parametrize("damage", [damage_page, damage_end, damage_header, cut_in_the_header, nothing_but_zeros])
def test_a_damaged_store_is_refused(path, damage):
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    line = refusal(path)
    assert line.startswith("is damaged (")
    assert line.endswith("): put a copy of it back, or move it away to begin with an empty one")


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("INSERT INTO journal (changes) VALUES (x'01000000')", "its journal cannot be read"),
        ("INSERT INTO journal (changes) VALUES (7)", "its journal cannot be read"),
        ("DROP TABLE journal", "its tables are not those of a store"),
    ],
)
def test_a_store_with_other_things_in_it_is_damaged(path, statement, reason):
    database = sqlite3.connect(path)
    with database:
        database.execute(statement)
    database.close()
    assert f"({reason})" in refusal(path)


def test_a_file_that_may_not_be_written_is_refused(path, monkeypatch):
    def forbidden(*values, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("reference_broker.store.opening.os.open", forbidden)
    assert "cannot be written (Permission denied): give this user" in refusal(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not")
def test_a_file_of_somebody_else_is_refused(path):
    script = (
        "import os, pathlib, sys\n"
        "from reference_broker.store.sqlite import SqliteStore\n"
        "os.setuid(65534)\n"
        "try:\n    SqliteStore(pathlib.Path(sys.argv[1]))\n"
        "except Exception as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert "state.db cannot be written (Permission denied)" in done.stdout


def test_a_folder_that_is_none_and_a_folder_are_refused(tmp_path):
    with pytest.raises(StoreError, match=r"state\.db cannot be made \(No such file or directory\): make its folder"):
        SqliteStore(tmp_path / "no" / "state.db")
    for folder in (tmp_path, Path("/")):  # which has no name
        with pytest.raises(StoreError, match=r"is no file \(Is a directory\)|cannot be made \(Permission denied\)"):
            SqliteStore(folder)


def test_a_file_that_another_program_has_locked_is_refused_at_once(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is locked by another program: end that one"):
        SqliteStore(path)
    other.execute("ROLLBACK")
    other.close()
    SqliteStore(path).close()


def test_the_second_broker_says_who_has_the_file(path):
    script = (
        "import pathlib, sys\n"
        "from reference_broker.store.sqlite import SqliteStore\n"
        "store = SqliteStore(pathlib.Path(sys.argv[1]))\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
        "store.close()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "open\n"
        with pytest.raises(StoreInUse, match=f"is in use by process {first.pid}: stop that broker"):
            SqliteStore(path)
        first.stdin.close()
        assert first.wait() == 0
    store = SqliteStore(path)
    with pytest.raises(StoreInUse, match=f"is in use by process {os.getpid()}"):
        SqliteStore(path)
    assert store.read(b"", END, 1) == ROWS[:1]
    store.close()


def test_a_broker_that_died_holds_no_lock(path):
    path.with_name("state.db.lock").write_text("1\n")
    SqliteStore(path).close()


def test_a_lock_whose_file_was_removed_is_none(tmp_path, monkeypatch):
    """Its holder let go of it between opening and locking: others would find no lock."""
    stale = FileLock(tmp_path / "x")
    real = os.open

    def opened_before_it_was_removed(*values):
        file = real(*values)
        monkeypatch.setattr(os, "open", real)
        stale.release()
        return file

    monkeypatch.setattr(os, "open", opened_before_it_was_removed)
    lock = FileLock(tmp_path / "x")
    with pytest.raises(StoreInUse):
        FileLock(tmp_path / "x")
    lock.release()


def test_a_store_that_others_could_read_is_its_owners_only_again(path):
    path.chmod(0o644)
    SqliteStore(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_is_full_is_told(tmp_path):
    """A limit of the process stands for the end of the disk, for which SQLite has no other word than an error."""
    script = (
        "import pathlib, resource, sys\n"
        "from reference_broker.store.sqlite import SqliteStore\n"
        "from reference_broker.store.records import StoreError\n"
        "store = SqliteStore(pathlib.Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))\n"
        "kept = 0\n"
        "try:\n"
        "    while True:\n"
        "        store.commit([(b'%05d' % kept, b'x' * 50_000)])\n"
        "        kept += 1\n"
        "except StoreError as error:\n"
        "    print(kept, error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "store.commit([(b'last', b'')])\n"
        "store.close()\n"
    )
    path = tmp_path / "state.db"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    kept, line = done.stdout.split(" ", 1)
    assert line.startswith(f"{path} cannot ")
    store = SqliteStore(path)
    assert len(store.read(b"", END, 1000)) == int(kept) + 1
    store.close()


def test_a_full_disk_at_the_start_is_told(path, monkeypatch):
    def full(*values, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("reference_broker.store.lock.os.open", full)
    assert "cannot grow, because its disk is full" in refusal(path, StoreFull)


def test_a_store_of_format_1_is_migrated(tmp_path):
    path = tmp_path / "state.db"
    SnapshotSqliteStore(path).save(Snapshot(saved_at=7.0))
    assert refusal(path) == "has format 1, which is not read here: choose another store"
    store = SqliteStore(path, migrate=lambda snapshot: [(b"saved", b"%d" % snapshot.saved_at)])
    assert store.read(b"", END, 9) == [(b"saved", b"7")]
    store.close()
    store = SqliteStore(path)
    assert store.read(b"", END, 9) == [(b"saved", b"7")]
    store.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_that_cannot_be_had_for_another_reason_is_nobodys(path, monkeypatch):
    def no_locks(*values):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(StoreError, match="cannot be read or written"):
        SqliteStore(path)
