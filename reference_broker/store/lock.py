"""One broker for one file.

Belongs here: the lock beside the file, which also says who has it. Does not belong here: locks of SQLite (`sqlite`).

SQLite's own locks would let a second broker in between two commits.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from reference_broker.store.records import StoreInUse

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be opened for writing anew
    fcntl = None  # type: ignore[assignment]


class FileLock:
    """Held from the moment it is made; raises StoreInUse, or OSError where no file can be made.

    A process that dies lets go of it. The file is removed when it is released, so whoever locked one has to look
    whether it is still the one that others will find.
    """

    def __init__(self, path: Path) -> None:
        # The root has no name, which `with_name` refuses; that it is no store others find out.
        self._path = path.parent / f"{path.name}.lock"
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if fcntl is not None:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_found():
                    break
            except BlockingIOError:
                owner = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(self._file)
                text = f"{path} is in use by process {owner}: stop that broker, or choose another store"
                raise StoreInUse(text) from None
            except OSError:
                os.close(self._file)
                raise
            os.close(self._file)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let others have it."""
        with contextlib.suppress(OSError):  # somebody removed it
            self._path.unlink()
        os.close(self._file)

    def _is_found(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._file))
