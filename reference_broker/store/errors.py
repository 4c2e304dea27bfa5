"""What SQLite and the system say, in one line that says what is wrong with which file and what to do.

Belongs here: the words. Does not belong here: when they are said (`opening`, `sqlite`).
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

from reference_broker.store.records import StoreError, StoreFull

_Make = Callable[[str], StoreError]

_DAMAGED = "is damaged ({reason}): put a copy of it back, or move it away to begin with an empty one"
_FULL = "cannot grow, because its disk is full ({reason}): make room, or choose another store"
_LOCKED = "is locked by another program: end that one, or choose another store"
_READ_ONLY = "cannot be written ({reason}): give this user the right to, or choose another store"
_NOWHERE = "cannot be made ({reason}): make its folder, or choose another store"
_NO_FILE = "is no file ({reason}): choose another store"
_BROKEN = "cannot be read or written ({reason}): see to its disk, or choose another store"

_BY_CODE: dict[int, tuple[_Make, str]] = {
    sqlite3.SQLITE_FULL: (StoreFull, _FULL),
    sqlite3.SQLITE_BUSY: (StoreError, _LOCKED),
    sqlite3.SQLITE_LOCKED: (StoreError, _LOCKED),
    sqlite3.SQLITE_READONLY: (StoreError, _READ_ONLY),
    sqlite3.SQLITE_PERM: (StoreError, _READ_ONLY),
    sqlite3.SQLITE_CANTOPEN: (StoreError, _READ_ONLY),
    sqlite3.SQLITE_CORRUPT: (StoreError, _DAMAGED),
    sqlite3.SQLITE_NOTADB: (StoreError, _DAMAGED),
}
"""By the primary result code. https://www.sqlite.org/rescode.html"""

_BY_NUMBER: dict[int, tuple[_Make, str]] = {
    errno.ENOSPC: (StoreFull, _FULL),
    errno.EDQUOT: (StoreFull, _FULL),
    errno.ENOENT: (StoreError, _NOWHERE),
    errno.ENOTDIR: (StoreError, _NOWHERE),
    errno.EISDIR: (StoreError, _NO_FILE),
    errno.EIO: (StoreError, _BROKEN),
}


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite said of the file."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    make, text = _BY_CODE.get(code & 0xFF, (StoreError, _BROKEN))
    return make(f"{path} {text.format(reason=error)}")


def damaged(path: Path, reason: str) -> StoreError:
    """What the file holds cannot be."""
    return StoreError(f"{path} {_DAMAGED.format(reason=reason)}")


def unusable(path: Path, error: OSError) -> StoreError:
    """What the system said of the file or its folder."""
    make, text = _BY_NUMBER.get(error.errno or 0, (StoreError, _READ_ONLY))
    return make(f"{path} {text.format(reason=error.strerror)}")
