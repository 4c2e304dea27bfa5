"""A store in one SQLite file.

Belongs here: committing, reading, and moving what was committed to its place.
Does not belong here: which files are stores (`opening`), what a change means, threads and clocks (`net`).

A commit is one row of a journal, so it costs one short write and one fdatasync, whatever it changes. Only what still
matters once the journal has grown is folded into the table of keys and values, in slices of a few milliseconds between
commits; what was put and removed meanwhile, as most messages are, never gets there. The write-ahead log gets to the
file the same way: mostly beside the commits, by a connection of its own, and the rest between two of them.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from reference_broker.store.blob import BadBlob, decode_changes, encode_changes
from reference_broker.store.errors import damaged, store_error, unusable
from reference_broker.store.lock import FileLock
from reference_broker.store.opening import Migrate, connect, open_database, prove_writable
from reference_broker.store.pending import Pending
from reference_broker.store.records import Change, Row, end_of

_FOLD_BYTES = 8 * 1024 * 1024
_FOLD_COUNT = 8192
"""A journal so large is folded: what is replayed at the next start stays as small."""
_FOLD_RATE = 2
"""So much faster than it grows it is folded."""
_CHECKPOINT_BYTES = 64 * 1024 * 1024
"""About so much in the write-ahead log goes to the file at once: pages of messages that come and go are in the log many
times and written to the file once, so that a commit meets a checkpoint, and waits for its disk, a quarter as often."""
_COMMIT_BYTES = 16 * 1024
"""About what a commit writes besides its changes."""
_SLICE_ROWS = 256
"""Rows changed at once: 2 ms where they are all over a large file."""
_SLICE_BYTES = 512 * 1024


class SqliteStore:
    """Keeps rows in a file, which it locks.

    `migrate` makes changes of a file of format 1. `run_beside` runs what may take long in another thread, and is over
    with it before `close`. Raises StoreError for a file that cannot be used, StoreInUse where another broker has it.
    """

    def __init__(
        self,
        path: Path,
        *,
        migrate: Migrate | None = None,
        run_beside: Callable[[Callable[[], None]], object] = lambda work: work(),
    ) -> None:
        self.path = path
        self._run_beside = run_beside
        self._folding: Iterator[None] | None = None
        self._pending = Pending()
        self._knows_journal = False
        """Whether all that is in the journal is pending; otherwise to fold would forget the rest of it."""
        self._owed_slices = 0.0
        """How many slices are to be folded before the next commit, so that the journal does not outgrow the folding."""
        self._wal_bytes = 0
        self._checkpoint: bool | sqlite3.Error | None = None
        """What became of the checkpoint beside: None for none, False while it runs, True when it is through."""
        try:
            self._lock = FileLock(path)
        except OSError as error:
            raise unusable(path, error) from error
        try:
            self._database = open_database(path, migrate)
        except BaseException:
            self._lock.release()
            raise
        self._beside = connect(path)
        try:
            self._learn_journal()
            prove_writable(path, self._database)
            self._fold_all()
        except BaseException:
            self.close()
            raise

    def read(self, begin: bytes, end: bytes, limit: int) -> list[Row]:
        """The first `limit` rows with begin <= key < end, in the order of keys; raises StoreError."""
        self._fold_all()
        query = "SELECT key, value FROM kept WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        try:
            return self._database.execute(query, (begin, end, limit)).fetchall()
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    def commit(self, changes: Sequence[Change]) -> None:
        """Keep all of them or none, durably, before it returns; raises StoreError, StoreFull where there is no room."""
        blob = encode_changes(changes)
        try:
            self._database.execute("INSERT INTO journal (changes) VALUES (?)", (blob,))
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error
        self._pending.note(changes, len(blob))
        self._wal_bytes += len(blob) + _COMMIT_BYTES
        if self._folding is not None:
            self._owed_slices += _FOLD_RATE * max(len(changes) / _SLICE_ROWS, len(blob) / _SLICE_BYTES)

    def tend(self, *, is_idle: bool) -> bool:
        """Fold a slice of a journal that has grown, or empty the write-ahead log; whether more is left."""
        try:
            self._tend_log(is_idle)
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error
        self._learn_journal()
        if self._folding is None and self._is_to_be_folded(is_idle):
            self._folding = self._fold()
        while self._folding is not None:
            with self._folded_anew_where_it_fails():
                self._fold_slice()
            self._owed_slices -= 1
            if self._owed_slices <= 0:
                break
        self._owed_slices = 0.0
        return self._folding is not None

    def close(self) -> None:
        """Let go of the file; the last connection empties the write-ahead log."""
        self._beside.close()
        self._database.close()
        self._lock.release()

    # --- from the journal to its place -------------------------------------------------------------------------------

    def _is_to_be_folded(self, is_idle: bool) -> bool:
        pending = self._pending
        return pending.count >= (1 if is_idle else _FOLD_COUNT) or pending.bytes >= _FOLD_BYTES

    def _fold_all(self) -> None:
        """Fold everything at once: in one transaction, because nobody waits for anything else."""
        self._learn_journal()
        if self._folding is None and not self._pending.count:
            return
        with self._folded_anew_where_it_fails():
            self._database.execute("BEGIN IMMEDIATE")
            while self._folding is not None or self._pending.count:
                self._folding = self._folding or self._fold()
                self._fold_slice()
            self._database.execute("COMMIT")

    def _fold_slice(self) -> None:
        self._wal_bytes += _SLICE_BYTES
        if self._folding is not None and next(self._folding, self) is self:
            self._folding = None

    @contextmanager
    def _folded_anew_where_it_fails(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self._folding = None
            self._knows_journal = False  # it is all there still, some of it folded already
            raise store_error(self.path, error) from error

    def _learn_journal(self) -> None:
        if self._knows_journal:
            return
        pending = Pending()
        try:
            for (blob,) in self._database.execute("SELECT changes FROM journal ORDER BY id"):
                pending.note(decode_changes(blob), len(blob))
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error
        except (BadBlob, TypeError) as error:
            raise damaged(self.path, "its journal cannot be read") from error
        self._pending = pending
        self._knows_journal = True

    def _fold(self) -> Iterator[None]:
        """Fold all that is pending now, pausing after each slice.

        Every slice is a transaction of its own: the journal goes last and from its beginning, and to fold what is left
        of it once more leads to the same rows.
        """
        pending, self._pending = self._pending, Pending()
        ((first, last),) = self._database.execute("SELECT min(id), max(id) FROM journal")
        folding = pending.folding()
        for prefix in folding.prefixes:
            yield from self._remove_all(prefix)
        yield from self._remove(folding.removed)
        yield from self._put(folding.put)
        yield from self._forget_journal(first, last, pending.bytes)

    def _remove_all(self, prefix: bytes) -> Iterator[None]:
        end = end_of(prefix)
        where, bounds = ("key >= ?", [prefix]) if end is None else ("key >= ? AND key < ?", [prefix, end])
        next_slice = f"SELECT key FROM kept WHERE {where} ORDER BY key LIMIT 1 OFFSET {_SLICE_ROWS}"
        while (row := self._database.execute(next_slice, bounds).fetchone()) is not None:
            self._database.execute("DELETE FROM kept WHERE key >= ? AND key < ?", (prefix, row[0]))
            yield
        self._database.execute(f"DELETE FROM kept WHERE {where}", bounds)

    def _remove(self, keys: list[bytes]) -> Iterator[None]:
        """Remove single keys. Mostly none of them is there, which the next key that is there says of many at once."""
        at = 0
        query = "SELECT key FROM kept WHERE key >= ? AND key <= ? ORDER BY key LIMIT 1"
        while at < len(keys):
            row = self._database.execute(query, (keys[at], keys[-1])).fetchone()
            if row is None:
                return
            at = bisect_left(keys, row[0], at)
            some = _evened(keys[at : at + _SLICE_ROWS], 1)
            self._database.execute(f"DELETE FROM kept WHERE key IN ({_marks('?', len(some))})", some)
            at += _SLICE_ROWS
            yield

    def _put(self, rows: list[Row]) -> Iterator[None]:
        values: list[bytes] = []
        size = 0
        for key, value in rows:
            values += (key, value)
            size += len(value)
            if len(values) == 2 * _SLICE_ROWS or size >= _SLICE_BYTES or key is rows[-1][0]:
                values = _evened(values, 2)
                self._database.execute(f"REPLACE INTO kept VALUES {_marks('(?, ?)', len(values) // 2)}", values)
                values = []
                size = 0
                yield

    def _forget_journal(self, first: int, last: int, size_bytes: int) -> Iterator[None]:
        rows = max(1, (last - first + 1) * _SLICE_BYTES // size_bytes)
        for end in range(first + rows, last + rows + 1, rows):
            self._database.execute("DELETE FROM journal WHERE id < ? AND id <= ?", (end, last))
            yield

    # --- from the write-ahead log to the file ------------------------------------------------------------------------

    def _tend_log(self, is_idle: bool) -> None:
        if self._checkpoint is None:
            if self._wal_bytes >= (1 if is_idle else _CHECKPOINT_BYTES):
                self._checkpoint = False
                self._run_beside(self._checkpoint_beside)
        elif self._checkpoint is not False:
            done, self._checkpoint = self._checkpoint, None
            self._wal_bytes = 0
            if isinstance(done, sqlite3.Error):
                raise done
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")  # the rest: the next commit begins a new log

    def _checkpoint_beside(self) -> None:
        try:
            self._beside.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._checkpoint = True
        except sqlite3.Error as error:
            self._checkpoint = error


def _evened(values: list[bytes], width: int) -> list[bytes]:
    """The same with the first `width` of them again and again, until there are 1, 2, 4 ... rows of that width.

    A statement is kept prepared, 60 KB of it, along with up to 127 others: there may be no other one for each number of
    rows. The same row twice changes nothing.
    """
    rows = len(values) // width
    return values + values[:width] * ((1 << (rows - 1).bit_length()) - rows)


@cache
def _marks(mark: str, count: int) -> str:
    return ", ".join([mark] * count)
