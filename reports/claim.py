"""One run at a time writes into a folder: a claim that others can read, and that ends with whoever holds it.

Belongs here: the lock and what is said to the second. Does not belong here: what is written (`write`).

The system's lock of the file ends with its holder, so that what a killed run leaves behind is no obstacle.
"""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from reports.write import CannotWrite

_NAME = ".running"


class Claim:
    """A folder of one's own, made if need be; raises CannotWrite where it cannot be had."""

    def __init__(self, out: Path, command: str) -> None:
        """`command` is what others are told that come too late."""
        self._file = out / _NAME
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            os.ftruncate(self._lock, 0)
            now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
            os.write(self._lock, f"process {os.getpid()} since {now}: {command}\n".encode("utf-8", "replace"))
        except BlockingIOError:
            why = f"another run writes there ({self._holder()})"
            raise CannotWrite(out, why, "wait for its end, or choose another folder with --out") from None
        except OSError as error:
            why = error.strerror or str(error)
            raise CannotWrite(out, why, "choose another folder with --out") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let others have it; leaves nothing behind. May be called twice."""
        if self._lock >= 0:
            self._file.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def _locked(self) -> int:
        """The open, locked file; one that its last holder took away meanwhile does not count."""
        while True:
            lock = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._file.exists() and os.path.samestat(self._file.stat(), os.fstat(lock)):
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)

    def _holder(self) -> str:
        try:
            return self._file.read_text(encoding="utf-8", errors="replace").strip() or "it does not say which"
        except OSError:
            return "it has just ended"
