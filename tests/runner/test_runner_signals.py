"""Other commands than the matrix, told to end: they report what there is."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import forked
import pytest
from runner_matrix import family, is_alive, until

pytestmark = [pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"), pytest.mark.thorough]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_corpus_that_is_ended_reports_what_was_played(tmp_path: Path, number: signal.Signals) -> None:
    with forked.start("interop", "corpus", "--client", "minimal", "--out", str(tmp_path)) as run:
        everybody = until(lambda: len(found := family(run.pid)) > 4 and found)  # its adapters are at work
        os.kill(run.pid, number)
        said = run.communicate()
    assert run.returncode == 2, said
    assert "interrupted" in said
    assert "Traceback" not in said
    until(lambda: not any(map(is_alive, everybody)))
    if (tmp_path / "summary.md").exists():  # some had ended
        assert "did not run" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_mutants_that_are_ended_leave_their_table_and_nobody_behind(tmp_path: Path, number: signal.Signals) -> None:
    command = ("mutants", "-n", "2", "--missing", "--scenario", "delivery/*", "--out", str(tmp_path))
    with forked.start("interop", *command) as run:
        until(lambda: len(_spawned(run.pid)) == 2)
        everybody = family(run.pid)
        os.kill(run.pid, number)
        said = run.communicate()
    until(lambda: not any(map(is_alive, everybody)))
    if number is not signal.SIGKILL:
        assert run.returncode == 2, said
        assert "interrupted" in said
        assert "Traceback" not in said
        assert (tmp_path / "kills.txt").exists()


def _spawned(run: int) -> list[int]:
    """The processes that are ready to play, or do: they mind signals."""
    return [pid for pid in family(run) if b"spawn_main" in _read(pid, "cmdline") and _minds(pid, signal.SIGTERM)]


def _minds(pid: int, number: int) -> bool:
    masks = [line.split()[1] for line in _read(pid, "status").splitlines() if line.startswith((b"SigIgn", b"SigCgt"))]
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
