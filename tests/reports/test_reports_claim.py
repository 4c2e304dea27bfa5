"""One run at a time writes into a folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from reports.claim import Claim
from reports.write import CannotWrite


def test_a_folder_is_made_and_left_as_it_was(tmp_path: Path) -> None:
    with Claim(tmp_path / "deep" / "out", "run"):
        pass
    assert list((tmp_path / "deep" / "out").iterdir()) == []


def test_the_second_is_told_who_has_it_and_what_to_do(tmp_path: Path) -> None:
    with Claim(tmp_path, "mqtt-interop run -n 2"), pytest.raises(CannotWrite) as caught:
        Claim(tmp_path, "mqtt-interop corpus")
    said = str(caught.value)
    assert said.startswith(f"cannot write the report to {tmp_path}: another run writes there (process {os.getpid()} ")
    assert "mqtt-interop run -n 2" in said
    assert "--out" in said


def test_it_can_be_had_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with Claim(tmp_path, "run"):
            pass


def test_what_a_killed_run_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".running").write_text("process 1 since yesterday: run\n")
    with Claim(tmp_path, "run"):
        assert f"process {os.getpid()}" in (tmp_path / ".running").read_text()


def test_a_lock_that_its_holder_takes_away_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = fcntl.flock, []

    def flock(lock: int, how: int) -> None:
        real(lock, how)
        calls.append(lock)
        if len(calls) == 1:
            (tmp_path / ".running").unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with Claim(tmp_path, "run"):
        assert len(calls) == 2
        with pytest.raises(CannotWrite):
            Claim(tmp_path, "run")


def test_a_folder_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"/file/out: Not a directory; choose another folder with --out$"):
        Claim(tmp_path / "file" / "out", "run")
