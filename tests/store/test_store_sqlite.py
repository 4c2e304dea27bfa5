"""A file keeps what was committed, whatever happens behind it, and says so where it cannot."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference_broker.store import sqlite as sqlite_module
from reference_broker.store.blob import BadBlob, decode_changes, encode_changes
from reference_broker.store.memory import MemoryStore
from reference_broker.store.pending import compacted
from reference_broker.store.records import Removal, StoreError, StoreFull, end_of
from reference_broker.store.sqlite import SqliteStore

END = b"\xff" * 9

keys = st.binary(max_size=3).map(lambda key: key.translate(bytes(b"ab\xff"[n % 3] for n in range(256))))
changes = st.tuples(keys, st.one_of(st.binary(max_size=5), st.sampled_from(Removal)))
commits = st.lists(changes, max_size=8)


def all_of(store) -> dict[bytes, bytes]:
    return dict(store.read(b"", END, 10_000))


def fold(store: SqliteStore) -> None:
    while store.tend(is_idle=True):
        pass


def crashed(path: Path, to: Path) -> Path:
    """What is left when the machine stops here: the files as they are."""
    to.mkdir(exist_ok=True)
    for old in to.iterdir():
        old.unlink()
    for suffix in ("", "-wal"):
        if path.with_name(path.name + suffix).exists():
            shutil.copy(path.with_name(path.name + suffix), to)
    return to / path.name


@given(commits)
def test_changes_become_bytes_and_changes_again(some):
    assert decode_changes(encode_changes(some)) == some


@given(commits, st.data())
def test_what_is_cut_off_or_goes_on_is_no_blob(some, data):
    blob = encode_changes(some)
    cut = data.draw(st.integers(0, len(blob) - 1))
    with pytest.raises(BadBlob):
        decode_changes(blob[:cut])
    with pytest.raises(BadBlob):
        decode_changes(blob + b"x")


@given(commits, commits)
def test_compacted_changes_come_to_the_same(before, some):
    rows, same = MemoryStore(), MemoryStore()
    for store in (rows, same):
        store.commit(before)
    rows.commit(some)
    same.commit(compacted(some))
    assert same.rows == rows.rows
    assert len(compacted(some)) <= len(some)


@given(keys, keys)
def test_the_end_of_a_prefix_is_behind_all_that_begin_with_it_and_nothing_else(prefix, key):
    end = end_of(prefix)
    assert (key >= prefix and (end is None or key < end)) == key.startswith(prefix)


steps = st.lists(st.one_of(commits, st.sampled_from(["idle", "busy", "read", "reopen", "crash"])), max_size=25)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_a_file_holds_what_memory_holds_however_it_is_left(tmp_path_factory, some):
    """Folded in slices of two rows, so that crashes and commits come in the middle of it."""
    folder = tmp_path_factory.mktemp("store")
    path = folder / "state.db"
    model = MemoryStore()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_module, "_FOLD_COUNT", 4)
        patch.setattr(sqlite_module, "_SLICE_ROWS", 2)
        patch.setattr(sqlite_module, "_SLICE_BYTES", 40)
        patch.setattr(sqlite_module, "_CHECKPOINT_BYTES", 200_000)
        store = SqliteStore(path)
        try:
            for step in some:
                match step:
                    case "idle" | "busy":
                        store.tend(is_idle=step == "idle")
                    case "read":
                        assert store.read(b"a", b"b", 3) == model.read(b"a", b"b", 3)
                    case "reopen":
                        store.close()
                        store = SqliteStore(path)
                    case "crash":
                        copy = SqliteStore(crashed(path, folder / "crash"))
                        assert all_of(copy) == model.rows
                        copy.close()
                    case _:
                        store.commit(step)
                        model.commit(step)
            assert all_of(store) == model.rows
        finally:
            store.close()
    again = SqliteStore(path)
    assert all_of(again) == model.rows
    again.close()
    shutil.rmtree(folder)


@pytest.fixture
def store(tmp_path: Path):
    store = SqliteStore(tmp_path / "state.db")
    yield store
    store.close()


def test_a_read_gives_so_many_in_order(store):
    store.commit([(b"%d" % number, b"x") for number in (3, 1, 2, 5)])
    assert store.read(b"1", b"5", 2) == [(b"1", b"x"), (b"2", b"x")]
    assert store.read(b"2\0", b"5", 2) == [(b"3", b"x")]


def test_what_was_put_and_removed_never_gets_to_its_place(store):
    store.commit([(b"m%d" % number, b"x") for number in range(100)])
    store.commit([(b"m%d" % number, Removal.ONE) for number in range(99)])
    statements: list[str] = []
    store._database.set_trace_callback(statements.append)
    assert all_of(store) == {b"m99": b"x"}
    assert not [statement for statement in statements if statement.startswith("DELETE FROM kept")]
    assert len([statement for statement in statements if statement.startswith("REPLACE INTO kept")]) == 1


def test_the_journal_goes_once_it_is_folded(store):
    store.commit([(b"a", b"x")])
    fold(store)
    assert store._database.execute("SELECT count(*) FROM journal").fetchone() == (0,)
    assert store._database.execute("SELECT * FROM kept").fetchall() == [(b"a", b"x")]


def test_an_idle_store_empties_its_log_so_that_the_next_commit_writes_it_from_the_beginning(store):
    log = store.path.with_name("state.db-wal")
    for _ in range(3):
        store.commit([(b"a", b"x" * 100_000)])
        size = log.stat().st_size
        for _ in range(20):
            store.tend(is_idle=True)
    assert log.stat().st_size <= 3 * size
    file_only = sqlite3.connect(f"file:{store.path}?immutable=1", uri=True)
    assert file_only.execute("SELECT key FROM kept").fetchall() == [(b"a",)]
    file_only.close()


def test_only_its_owner_may_read_it(store):
    store.commit([(b"a", b"x")])
    files = sorted(store.path.parent.iterdir())
    assert [file.name for file in files] == ["state.db", "state.db-shm", "state.db-wal", "state.db.lock"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_nothing_but_the_file_is_left_behind(tmp_path):
    SqliteStore(tmp_path / "state.db").close()
    assert [file.name for file in tmp_path.iterdir()] == ["state.db"]


def test_where_there_is_no_room_nothing_of_a_commit_is_kept_and_the_rest_stays(store):
    store.commit([(b"a", b"x")])
    ((pages,),) = store._database.execute("PRAGMA page_count")
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull, match="disk is full"):
        store.commit([(b"b", b"x"), (b"c", b"x" * 100_000)])
    assert all_of(store) == {b"a": b"x"}
    store._database.execute("PRAGMA max_page_count = 10000")
    store.commit([(b"d", b"x")])
    assert all_of(store) == {b"a": b"x", b"d": b"x"}


def test_a_folding_without_room_is_done_again(store):
    store.commit([(b"%d" % number, b"x" * 3000) for number in range(100)])
    ((pages,),) = store._database.execute("PRAGMA page_count")
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull):
        all_of(store)
    store._database.execute("PRAGMA max_page_count = 10000")
    assert len(all_of(store)) == 100


def test_a_folding_that_fails_between_commits_is_done_again(store):
    store.commit([(b"%03d" % number, b"x" * 3000) for number in range(400)])
    ((pages,),) = store._database.execute("PRAGMA page_count")
    store._database.execute(f"PRAGMA max_page_count = {pages + 250}")
    with pytest.raises(StoreFull):
        fold(store)
    assert store._database.execute("SELECT count(*) FROM kept").fetchone() != (0,)  # it had begun
    store._database.execute("PRAGMA max_page_count = 10000")
    fold(store)
    assert store._database.execute("SELECT count(*) FROM kept").fetchone() == (400,)


def test_a_journal_that_cannot_be_read_for_a_while_is_not_forgotten(store, monkeypatch):
    """The folding fails, and so does what would find out how far it got."""
    store.commit([(b"%03d" % number, b"x" * 3000) for number in range(100)])
    ((pages,),) = store._database.execute("PRAGMA page_count")
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull):
        fold(store)
    store._database.execute("PRAGMA max_page_count = 10000")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_module, "decode_changes", lambda blob: decode_changes(blob[:-1]))
        with pytest.raises(StoreError, match="journal cannot be read"):
            fold(store)
    store.commit([(b"new", b"x")])
    assert len(all_of(store)) == 101


def test_many_rows_with_a_prefix_go_at_once(store):
    store.commit([(b"%s%d" % (prefix, number), b"x") for prefix in (b"s", b"t") for number in range(600)])
    store.read(b"", END, 1)
    store.commit([(b"s", Removal.ALL), (b"s1", b"new")])
    rows = all_of(store)
    assert len(rows) == 601
    assert rows[b"s1"] == b"new"


def test_however_many_rows_are_folded_there_are_few_statements_and_so_little_is_kept_of_them(store):
    """Each is kept prepared: one for each number of rows comes to 7 MB, little by little."""
    seen: set[str] = set()

    class Watched:
        def __init__(self, database: sqlite3.Connection) -> None:
            self._database = database

        def __getattr__(self, name: str):
            return getattr(self._database, name)

        def execute(self, statement: str, *values: object):
            seen.add(statement)
            return self._database.execute(statement, *values)

    store._database.execute("PRAGMA synchronous = OFF")
    database, store._database = store._database, Watched(store._database)
    for count in range(1, 260, 6):
        rows = {b"%d" % number: b"%d" % count for number in range(count)}
        store.commit(list(rows.items()))
        assert all_of(store) == rows
        store.commit([(key, Removal.ONE) for key in rows])
        assert all_of(store) == {}
    assert len(seen) < 40
    store._database = database
