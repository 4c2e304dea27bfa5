"""A run on a fleet of Dask workers: real processes, as they are the subject."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import forked
import pytest

from interop.exit_codes import HARNESS_FELL_SHORT, CommandError
from interop.fleet import spreading
from interop.fleet.job import Job, brought
from interop.fleet.playing import OtherVersion, play
from interop.installed import own_version

RUN = ("--client", "builtin", "--mqtt", "3.1.1", "--scenario", "connect/accepted*")


@contextmanager
def dask(kind: str, *arguments: str, said: str) -> Iterator[tuple[int, str]]:
    """A scheduler or worker of Dask; gives its process and what it said after `said`."""
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            found = next((found for line in process.stdout if (found := re.search(rf"{said}:\s+(\S+)", line))), None)
            assert found is not None
            yield process.pid, found[1]
        finally:
            process.kill()


@contextmanager
def worker(scheduler: str) -> Iterator[int]:
    with dask("worker", scheduler, "--nthreads", "1", "--no-nanny", said="Start worker at") as (pid, _):
        yield pid


@pytest.mark.thorough
def test_a_worker_that_is_killed_costs_no_cell_and_doubles_none(tmp_path: Path) -> None:
    local = forked.run("interop", "run", *RUN, "--out", "local", cwd=tmp_path)
    assert local.returncode == 0, local.stdout
    with (
        dask("scheduler", "--host", "127.0.0.1", "--port", "0", said="Scheduler at") as (_, scheduler),
        worker(scheduler),
        worker(scheduler) as killed,
        forked.start("interop", "run", *RUN, "--dask", scheduler, "--jobs", "3", "--out", "fleet", cwd=tmp_path) as run,
    ):
        for line in run.stdout:
            if line.startswith("1 of 3"):  # now each of the two has one of the others
                os.kill(killed, signal.SIGKILL)
                break
        else:
            pytest.fail("no shard came back")
        run.stdout.read()
        assert run.wait() == 0
    same = forked.run("interop", "diff", "local/results.jsonl", "fleet/results.jsonl", cwd=tmp_path)
    assert "No verdict differs" in same.stdout


def test_a_fleet_cuts_the_run_itself(tmp_path: Path) -> None:
    run = forked.run("interop", "run", "--dask", "tcp://127.0.0.1:1", "--shard", "1/2", cwd=tmp_path)
    assert run.returncode == HARNESS_FELL_SHORT
    assert run.stderr.splitlines() == ["mqtt-interop: --dask cuts the run itself: leave out --shard"]


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreading, "_JOIN_SECONDS", 0.2)
    with pytest.raises(CommandError, match=r"--dask tcp://127.0.0.1:1: no scheduler answers there"):
        spreading.run_on_fleet(argparse.Namespace(dask="tcp://127.0.0.1:1", shard=None, out=None), [])


def test_what_a_run_names_by_a_relative_path_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine/a/one.yaml", "mine/b/two.yaml", "known.yaml", "adapter.py", "left.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    options = ["--scenarios", "mine", "--known-failures", "known.yaml", "--broker-profile", str(tmp_path / "left.txt")]
    files = brought(options, ["adapter.py"])
    assert files == {name: name.encode() for name in ("mine/a/one.yaml", "mine/b/two.yaml", "known.yaml", "adapter.py")}


@pytest.mark.parametrize("path", ["../other", "not_there"])
def test_what_cannot_go_along_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match=path):
        brought([], [path])


def test_a_job_finds_what_it_brought_and_gives_back_what_is_merged(tmp_path: Path) -> None:
    scenarios = {
        "mine/qos9/one.yaml": (forked.REPOSITORY / "scenarios/connect/accepted.yaml").read_bytes(),
    }
    options = ("--scenarios", "mine", "--client", "builtin", "--mqtt", "3.1.1", "-m", "tcp")
    played = play(Job(options, "1/1", scenarios, own_version()))
    assert played.exit_code == 0, played.said
    assert sorted(played.files) == ["results.jsonl", "run.json"]
    assert b'"qos9/one' in played.files["results.jsonl"]


def test_another_version_plays_nothing() -> None:
    with pytest.raises(OtherVersion, match="install the same"):
        play(Job((), "1/1", {}, "0.0.1"))
