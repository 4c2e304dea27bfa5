"""Giving out the shards of a run to a fleet, and making one run of what comes back.

Belongs here: talking to Dask, and what a user is told meanwhile.
Does not belong here: what a machine does (`playing`), joining (`interop.results`).

Dask gives the job of a machine that is lost to another one. What came back is written down at once, so that whatever
ends the run leaves it to be merged.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interop.exit_codes import NOTHING_RAN, CommandError
from interop.fleet.job import Job, Played, brought
from interop.fleet.playing import OtherVersion, play
from interop.installed import missing, own_version
from interop.results import merge

_JOBS_OF_A_WORKER = 2
"""So many for each: the last one to end leaves few waiting, and a job has many cells, which wait side by side."""
_JOIN_SECONDS = 10.0
_Client = Any
"""Dask's, whose methods have no types."""
_DEFAULT_OUT = "compat"
_SHARDS = "shards"


def run_on_fleet(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Spread a run with these options over a fleet, each shard with these arguments; gives the exit code of the whole.

    Raises CommandError.
    """
    if missing("fleet"):
        raise CommandError("--dask needs Dask: pip install 'mqtt-interop[fleet]'")
    if options.shard:
        raise CommandError("--dask cuts the run itself: leave out --shard")
    out = Path(options.out or _DEFAULT_OUT)
    with _fleet(options.dask) as fleet:
        workers = _workers(fleet, options.dask)
        count = options.jobs or _JOBS_OF_A_WORKER * workers
        files = brought(arguments, options.bring)
        jobs = [Job(tuple(arguments), f"{number}/{count}", files, own_version()) for number in range(1, count + 1)]
        _say(f"{count} shards for {workers} worker{'s' * (workers > 1)} of {options.dask}")
        folders = _collect(fleet, jobs, out / _SHARDS)
    given = argparse.Namespace(
        results=folders,
        out=out,
        known_failures=_path(options.known_failures),
        write_known_failures=_path(options.write_known_failures),
        strict_known=options.strict_known,
    )
    return merge.run(given)


def _fleet(address: str) -> _Client:
    from distributed import Client  # noqa: PLC0415  # of an extra

    try:
        return Client(address, timeout=_JOIN_SECONDS)
    except (OSError, ValueError) as error:
        raise CommandError(f"--dask {address}: no scheduler answers there ({error})") from None


def _workers(fleet: _Client, address: str) -> int:
    """How many jobs are done at the same time."""
    try:
        fleet.wait_for_workers(1, timeout=_JOIN_SECONDS)
    except TimeoutError:
        raise CommandError(
            f"--dask {address}: no worker has joined it; start some: dask worker {address} --nthreads 1"
        ) from None
    return sum(fleet.nthreads().values())


def _collect(fleet: _Client, jobs: Sequence[Job], folder: Path) -> list[Path]:
    """Play all jobs; gives the folders of what came back. Raises CommandError where none can be played."""
    from distributed import as_completed  # noqa: PLC0415  # of an extra

    futures = {fleet.submit(play, job, key=f"mqtt-interop-{id(jobs)}-{job.shard}", pure=False): job for job in jobs}
    folders: list[Path] = []
    shutil.rmtree(folder, ignore_errors=True)  # those of a run before
    try:
        for future in as_completed(futures):
            job = futures[future]
            played = _result(future, job)
            if played is not None:
                folders.append(_written(played, folder / job.shard.partition("/")[0]))
                _say(f"{len(folders)} of {len(jobs)}: shard {job.shard}, {_last_line(played)}")
    except BaseException:
        fleet.cancel(list(futures), force=True)
        raise
    if not folders:
        raise CommandError("no shard came back: see above")
    return folders


def _result(future: Any, job: Job) -> Played | None:
    """What came of it; None where every machine that had it was lost. Raises CommandError where it is no use."""
    error = future.exception()
    if isinstance(error, OtherVersion):
        raise CommandError(f"a worker cannot play it: {error}")
    if error is not None:
        _say(f"shard {job.shard} did not come back: {error}")
        return None
    played: Played = future.result()
    if not played.files:
        raise CommandError(f"shard {job.shard} has no results; its run said:\n{played.said}")
    return played


def _written(played: Played, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in played.files.items():
        (folder / name).write_bytes(content)
    return folder


def _last_line(played: Played) -> str:
    if played.exit_code == NOTHING_RAN:
        return "which has no cell"
    told = [line for line in played.said.splitlines() if line and not line.startswith("Report:")]
    return told[-1] if told else f"exit code {played.exit_code}"


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
