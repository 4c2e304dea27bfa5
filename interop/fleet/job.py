"""What one machine of a fleet is given to do, and what it gives back.

Belongs here: both values, and which files a job brings along.
Does not belong here: running it (`playing`), who gets it (`spreading`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from interop.exit_codes import CommandError

WITH_FILES = ("--scenarios", "--known-failures", "--broker-profile")
"""Options of a run that name files: these go along with every job."""


@dataclass(frozen=True, slots=True)
class Job:
    """A shard of a run: the options of the run, the files it needs by their relative path, and whose version it is."""

    arguments: tuple[str, ...]
    shard: str
    files: Mapping[str, bytes]
    version: str


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a job: the exit code of its run, the files of it that are to be merged, and what it said."""

    shard: str
    exit_code: int
    files: Mapping[str, bytes]
    said: str


def brought(arguments: Sequence[str], more: Iterable[str]) -> dict[str, bytes]:
    """The files that go along: those of options, and `more`; folders whole. A machine finds them by the same path.

    Absolute paths stay behind, because there they are somebody else's. Raises CommandError for what is not there, or
    leads out of the current folder.
    """
    named = [value for option, value in pairwise(arguments) if option in WITH_FILES]
    files: dict[str, bytes] = {}
    for path in map(Path, [*named, *more]):
        if path.is_absolute():
            continue
        if ".." in path.parts:
            raise CommandError(f"{path}: what a fleet is to have beside has to be in the current folder")
        try:
            for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
                files[file.as_posix()] = file.read_bytes()
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
    return files
