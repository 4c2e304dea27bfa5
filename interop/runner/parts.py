"""What workers keep on disk while a run goes on: each record the moment it is there, and which cells have begun.

Belongs here: the files of that folder, their reading after a crash, and what is said when they cannot be written.
Does not belong here: playing (`engine`), who plays what (`schedule`), the reports made of it (`reports`).

Records outlive a worker that is killed. What had begun and has no record was under way then: one of these cells may be
what killed it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from interop.runner.cell import Cell
from reports.record import Record, merge_records

FOLDER = ".parts"


class CannotKeep(Exception):
    """A record that cannot be kept; the message says where, why and what to do."""


class Keeper:
    """A worker's own files, open while it plays; raises CannotKeep when they cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unkept: list[str] = []
        self._kept: list[str] = []  # as lines: thousands of records would be looked through for garbage again and again
        try:
            self._records = path.open("a", encoding="utf-8")
            self._begun = _begun(path).open("a", encoding="utf-8")
            self._inode = os.fstat(self._records.fileno()).st_ino
        except OSError as error:
            raise self._problem(error.strerror or str(error)) from error

    def begin(self, cell: Cell) -> None:
        """Note that a cell begins; raises CannotKeep."""
        try:
            _append(self._begun, cell.id)
        except OSError as error:
            raise self._problem(error.strerror or str(error)) from error

    def keep(self, record: Record) -> None:
        """Put a record on disk; raises CannotKeep, and then `unkept` has it."""
        line = record.model_dump_json()
        try:
            if not os.fstat(self._records.fileno()).st_nlink:
                raise FileNotFoundError(0, "somebody removed it")
            _append(self._records, line)
        except OSError as error:
            self._unkept.append(line)
            raise self._problem(error.strerror or str(error)) from error
        self._kept.append(line)

    def unkept(self) -> list[Record]:
        """The records that are not on disk, or not any more: whoever is there to the end has to be handed them."""
        lines = [*self._kept, *self._unkept] if self._is_gone() else self._unkept
        return list(map(Record.model_validate_json, lines))

    def close(self) -> None:
        """Write no more."""
        for file in (self._records, self._begun):
            with contextlib.suppress(OSError):  # it may still have what could not be written
                file.close()

    def _is_gone(self) -> bool:
        """Whether what was written is not where it was written any more."""
        try:
            return self._path.stat().st_ino != self._inode
        except OSError:
            return True

    def _problem(self, why: str) -> CannotKeep:
        return CannotKeep(
            f"cannot keep results in {self._path}: {why[0].lower()}{why[1:]}; "
            "the run ends here, make room or choose another folder with --out"
        )


def _append(file: TextIO, line: str) -> None:
    file.write(f"{line}\n")
    file.flush()


def _begun(part: Path) -> Path:
    return part.with_suffix(".begun")


class Parts:
    """The folder of these files, as the controller sees it."""

    def __init__(self, out: Path) -> None:
        self.folder = out / FOLDER

    def prepare(self) -> None:
        """Make it, empty; raises OSError."""
        self.remove()
        self.folder.mkdir(parents=True)

    def remove(self) -> None:
        """Take it away."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def of(self, worker: str) -> Path:
        """Where a worker keeps its records."""
        return self.folder / f"{worker}.jsonl"

    def records(self, workers: Iterable[str] | None = None) -> list[Record]:
        """What these workers kept, or all of them, in brief; a line that a killed worker left half written is none.

        Their files are held open by them, even when they are removed.
        """
        files = sorted(self.folder.glob("*.jsonl")) if workers is None else [self.of(worker) for worker in workers]
        files = [file for file in files if file.exists()]
        for file in files:
            _cut_off_what_is_no_line(file)
        return merge_records(files)

    def under_way(self, worker: str) -> set[str]:
        """The ids of the cells that a worker, which is gone, had begun but not finished."""
        begun = _begun(self.of(worker))
        lines = begun.read_text(encoding="utf-8").splitlines() if begun.exists() else []
        return set(lines) - {id_of(record) for record in self.records([worker])}


def _cut_off_what_is_no_line(file: Path) -> None:
    size_bytes = file.stat().st_size
    if not size_bytes:
        return
    with file.open("rb") as there, mmap.mmap(there.fileno(), 0, access=mmap.ACCESS_READ) as text:
        whole_bytes = text.rfind(b"\n") + 1
    if size_bytes > whole_bytes:
        os.truncate(file, whole_bytes)


def id_of(record: Record) -> str:
    """The id of a record's cell, as `Cell.id` gives it."""
    return "-".join((record.scenario, record.client, record.broker, record.mqtt, record.transport))
