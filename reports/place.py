"""Lines of files that stay there until they are asked for; those that stand together are read at once.

Belongs here: where a line is, reading it. Does not belong here: what is in it (`record`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class OpenFile:
    """A file to read from here and there, open for as long as anybody has a place in it; raises OSError.

    It may be replaced, not written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def read(self, begin: int, size_bytes: int) -> bytes:
        """What stands there."""
        return os.pread(self._descriptor, size_bytes, begin)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line is, without its end; or several that stand behind each other."""

    file: OpenFile
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin

    def read(self) -> bytes:
        """What stands there."""
        return self.file.read(self.begin, len(self))

    def up_to(self, other: Place) -> Place | None:
        """Both as one; none where anything but a line's end stands between them."""
        is_next = self.file is other.file and self.end + 1 == other.begin
        return Place(self.file, self.begin, other.end) if is_next else None


def read_lines(lines: Iterable[bytes | Place]) -> bytes:
    """Lines that are at hand or at their places, with an end between each two."""
    parts: list[bytes | Place] = []
    for line in lines:
        before = parts[-1] if parts else None
        if isinstance(line, Place) and isinstance(before, Place) and (both := before.up_to(line)):
            parts[-1] = both
        else:
            parts.append(line)
    return b"\n".join(part.read() if isinstance(part, Place) else part for part in parts)
