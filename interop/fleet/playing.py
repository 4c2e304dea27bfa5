"""A job on the machine it was given to: a run of its own in a folder of its own.

Belongs here: what Dask calls there. Does not belong here: Dask; what the run does (`interop.runner`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from interop.fleet.job import Job, Played
from interop.installed import own_version
from interop.lifeline import guard, kill_group
from reports.write import RESULTS, RUN

_OUT = ".mqtt-interop"
_SAID_LINES = 20
"""So much of what a run said goes back."""


class OtherVersion(Exception):
    """This machine has another mqtt-interop than the one that gave out the job."""


def play(job: Job) -> Played:
    """Play it to its end; raises OtherVersion. All that it starts ends with this process, however that ends."""
    if (own := own_version()) != job.version:
        raise OtherVersion(f"it has mqtt-interop {own}, the run is of {job.version}: install the same")
    with tempfile.TemporaryDirectory(prefix="mqtt-interop-") as folder:
        for name, content in job.files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        exit_code, said = _run(job, folder)
        out = Path(folder, _OUT)
        files = {name: (out / name).read_bytes() for name in (RESULTS, RUN) if (out / name).is_file()}
    return Played(job.shard, exit_code, files, "\n".join(said.splitlines()[-_SAID_LINES:]))


def _run(job: Job, folder: str) -> tuple[int, str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "interop", "run", *job.arguments, "--shard", job.shard, "--out", _OUT],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    guard(process.pid)
    try:
        said, _ = process.communicate()
    finally:
        kill_group(process.pid)
    return process.returncode, said
