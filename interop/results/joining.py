"""Results of several runs, or shards of one, put together: whose they are, whether they agree, and what is missing.

Belongs here: reading parts, joining records, the run that they make.
Does not belong here: drawing (`reports.write`), exit codes (`interop.runner.ending`).

Nothing depends on the order in which parts are named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from interop.exit_codes import CommandError
from interop.installed import own_version
from interop.runner.shards import BadShard, Shard
from reports.outcome import is_known
from reports.record import BadResults, Record, read_in_brief, read_records
from reports.run_file import read_run
from reports.summary import RunInfo
from reports.write import RESULTS, RUN


@dataclass(frozen=True, slots=True)
class Part:
    """The results of one run; `run` is what it said of itself, none where results are all there is."""

    path: Path
    records: Sequence[Record]
    run: RunInfo | None


def read_parts(paths: Iterable[Path], out: Path | None = None) -> list[Part]:
    """Results by their file, or by the folder a run wrote, perhaps to be drawn in `out`; raises BadResults."""
    files = sorted({path / RESULTS if path.is_dir() else path for path in paths})
    is_written_to = (
        out is not None and (out / RESULTS).is_symlink()
    )  # and perhaps is what we read; anything else is replaced
    read = read_records if is_written_to else read_in_brief
    return [
        Part(file, list(read(file)), read_run(file.with_name(RUN)) if file.name == RESULTS else None) for file in files
    ]


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Results that cannot be read, whenever they are: raises CommandError."""
    try:
        yield
    except BadResults as error:
        raise CommandError(str(error)) from None


def joined(parts: Iterable[Part]) -> list[Record]:
    """All records, one for each cell; raises CommandError where two of a cell do not say the same."""
    found: dict[str, tuple[Record, Path]] = {}
    for part in parts:
        for record in part.records:
            other, path = found.setdefault(record.cell_id, (record, part.path))
            if other is record:
                continue
            if _said(other) != _said(record):
                raise CommandError(
                    f"two results of {record.cell_id}: {_said(other)} in {path}, {_said(record)} in {part.path}; "
                    "merge results of the same run only, each cell once"
                )
            if _age(record) < _age(other):
                found[record.cell_id] = record, part.path
    return [record for record, _ in found.values()]


def _said(record: Record) -> str:
    return f"{record.verdict}{' (known)' * is_known(record)}{' (listed to fail)' * record.unexpected_pass}"


def _age(record: Record) -> tuple[str, bytes]:
    return record.started_at, record.line


def run_of(parts: Sequence[Part], records: Iterable[Record], command: str) -> RunInfo:
    """The run that all parts make; raises CommandError where shards are not of the same run."""
    runs = [part.run for part in parts if part.run is not None]
    began, seconds = _span(records)
    return RunInfo(
        started_at=began,
        wall_seconds=seconds,
        harness_version=own_version(),
        command=command,
        workers=max((run.workers for run in runs), default=1),
        not_run=tuple(sorted({cell for run in runs for cell in run.not_run})),
        stopped="; ".join(sorted({run.stopped for run in runs if run.stopped})),
        left_out=max((run.left_out for run in runs), default=0),
        missing_shards=tuple(_missing(parts)),
    )


def _missing(parts: Iterable[Part]) -> Iterator[str]:
    """The shards of every selection that nobody brought."""
    by_selection: defaultdict[str, dict[Shard, Path]] = defaultdict(dict)
    for part in parts:
        if part.run is None or not part.run.shard:
            continue
        try:
            shard = Shard.of(part.run.shard)
        except BadShard as error:
            raise CommandError(f"{part.path.with_name(RUN)}: {error}") from None
        there = by_selection[part.run.selection]
        for other, path in there.items():
            if other.count != shard.count:
                raise CommandError(f"{path} is shard {other}, {part.path} is shard {shard}: not of one run")
        there[shard] = part.path
    for there in by_selection.values():
        count = next(iter(there)).count
        yield from (str(each) for n in range(1, count + 1) if (each := Shard(n, count)) not in there)


def _span(records: Iterable[Record]) -> tuple[str, float]:
    """When the first cell began, and the seconds until the last one ended; results may come from several runs."""
    spans = [(datetime.fromisoformat(each.started_at), each.seconds) for each in records if each.started_at]
    if not spans:
        return "", 0.0
    first = min(began for began, _ in spans)
    last = max(began + timedelta(seconds=seconds) for began, seconds in spans)
    return first.isoformat(timespec="seconds"), (last - first).total_seconds()
