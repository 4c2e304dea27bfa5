"""How a run ends that cannot go on: in order, with what there is, and with nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from runner_matrix import adapter, begun, ended, family, is_alive, kept, scenarios, started, until, verdicts

from interop.brokers.registry import broker_spec
from interop.runner.cell import Cell
from interop.runner.engine import Engine
from interop.runner.known_failures import KnownFailures
from interop.runner.parts import CannotKeep, Keeper, Parts
from interop.scenario.load import load_scenarios
from reports.claim import Claim

pytestmark = pytest.mark.thorough

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
SHARED = [(), ("-n", "2")]


# --- records that cannot be kept --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", SHARED)
def test_a_run_whose_records_cannot_be_kept_ends_in_order_with_all_that_is_there(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    waits = {f"wait_{number:02}": ("t", 2.0) for number in range(30)}
    folder = scenarios(tmp_path, **{f"quick_{number}": ("t", 0.0) for number in range(6)}, **waits)
    with started(folder, *options) as run:
        until(lambda: kept(folder) >= 6)
        before = kept(folder)
        shutil.rmtree(folder / "out" / ".parts")
        status, said = ended(run)
    assert status == 2, said
    assert f"cannot keep results in {folder}/out/.parts/gw" in said
    assert "--out" in said
    assert "Traceback" not in said
    assert len(verdicts(folder)) >= before
    assert set(verdicts(folder).values()) == {"pass"}
    missing = 36 - len(verdicts(folder))
    assert missing > 0
    for file in ("summary.md", "report.html", "junit.xml"):
        assert "did not run" in (folder / "out" / file).read_text(), file
    assert f"{missing} cells did not run" in said
    not_run = ET.parse(folder / "out" / "junit.xml").getroot().findall("testsuite[@name='cells that did not run']/")
    assert len(not_run) == missing


def test_who_waits_for_a_record_that_has_no_room_is_told(tmp_path: Path) -> None:
    full = tmp_path / "gw0.jsonl"
    full.symlink_to("/dev/full")
    scenarios(tmp_path, one=("t", 0.0), two=("t", 30.0))
    one, two = (
        Cell(loaded, "builtin", "reference", "3.1.1", "tcp") for loaded in load_scenarios([tmp_path / "scenarios"])
    )
    engine = Engine(KnownFailures(), {"reference": broker_spec("reference")}, full)
    try:
        engine.begin([one, two])
        for cell in (one, two):
            with pytest.raises(CannotKeep, match=r"gw0\.jsonl: no space left on device; .* --out"):
                engine.record(cell)
    finally:
        engine.stop()
    assert [record.scenario for record in engine.unkept()] == ["delivery/one"]


def test_an_engine_that_cannot_keep_anything_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(CannotKeep, match="no such file or directory"):
        Engine(KnownFailures(), {}, tmp_path / "gone" / "gw0.jsonl")


def test_an_engine_that_has_ended_leaves_nobody_waiting(tmp_path: Path) -> None:
    scenarios(tmp_path, one=("t", 0.0))
    (loaded,) = load_scenarios([tmp_path / "scenarios"])
    engine = Engine(KnownFailures(), {"reference": broker_spec("reference")}, tmp_path / "gw0.jsonl")
    engine.stop()
    with pytest.raises(RuntimeError, match="has ended"):
        engine.record(Cell(loaded, "builtin", "reference", "3.1.1", "tcp"))


def test_what_is_on_disk_need_not_be_handed_over(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    parts.prepare()
    keeper = Keeper(parts.of("gw0"))
    keeper.close()
    assert keeper.unkept() == []


# --- one run in a folder ----------------------------------------------------------------------------------------------


def test_a_second_run_into_the_folder_of_one_under_way_says_who_has_it(tmp_path: Path) -> None:
    folder = scenarios(tmp_path, one=("t", 0.0))
    with Claim(folder / "out", "the first run"), started(folder) as run:
        status, said = ended(run)
    assert status == 2
    assert f"process {os.getpid()}" in said
    assert "the first run" in said
    assert "--out" in said
    assert not (folder / "out" / "results.jsonl").exists()


def test_looking_what_there_is_disturbs_no_run(tmp_path: Path) -> None:
    folder = scenarios(tmp_path, one=("t", 0.0))
    with Claim(folder / "out", "the first run"):
        Parts(folder / "out").prepare()
        with started(folder, "--collect-only", "-q") as run:
            assert ended(run)[0] == 0
        assert (folder / "out" / ".parts").exists()


def test_the_lock_of_a_killed_run_is_no_obstacle(tmp_path: Path) -> None:
    folder = scenarios(tmp_path, one=("t", 30.0))
    with started(folder) as run:
        until(lambda: begun(folder))
        os.kill(run.pid, signal.SIGKILL)
        ended(run)
    assert (folder / "out" / ".running").exists()
    with started(folder, "--scenario", "delivery/one", "-k", "nothing") as run:
        assert ended(run)[0] == 3
    assert not (folder / "out" / ".running").exists()


# --- workers that end by themselves -----------------------------------------------------------------------------------


@linux
def test_the_cells_of_a_killed_worker_are_played_by_another(tmp_path: Path) -> None:
    folder = scenarios(tmp_path, **{f"wait_{number:02}": ("t", 1.5) for number in range(6)})
    with started(folder, "-n", "2") as run:
        until(lambda: len(begun(folder, "gw0")) >= 2 and begun(folder, "gw1"))
        os.kill(_worker_of(run.pid, folder, "gw0"), signal.SIGKILL)
        status, said = ended(run)
    assert status == 0, said
    assert len(verdicts(folder)) == 6
    assert set(verdicts(folder).values()) == {"pass"}
    assert "INTERNALERROR" not in said


def test_a_cell_that_kills_its_worker_again_is_given_up_and_costs_the_others_nothing(tmp_path: Path) -> None:
    others = {f"wait_{number}": ("t", 0.5) for number in range(6)}
    folder = scenarios(tmp_path, bad=("kill", 0.5), **others)
    with started(folder, "-n", "2", *adapter(folder)) as run:
        status, said = ended(run)
    assert status == 2, said
    assert verdicts(folder) == {"bad": "harness-error"} | dict.fromkeys(others, "pass")
    assert "2 workers ended by themselves while they played this cell" in said
    assert "INTERNALERROR" not in said


def test_cells_that_nobody_may_take_over_are_said_in_every_report(tmp_path: Path) -> None:
    others = {f"wait_{number}": ("t", 0.5) for number in range(3)}
    folder = scenarios(tmp_path, bad=("kill", 0.5), **others)
    with started(folder, "-n", "1", "--max-worker-restart", "0", *adapter(folder)) as run:
        status, said = ended(run)
    assert status == 2, said
    count = 4 - (len(verdicts(folder)) if (folder / "out" / "results.jsonl").exists() else 0)
    assert f"{count} cells did not run. The run was ended: 1 worker ended early, with nobody to go on for them." in said
    for file in ("summary.md", "report.html", "junit.xml"):
        text = (folder / "out" / file).read_text()
        assert "did not run" in text, file
        assert "delivery/bad" in text, file


# --- being told to end ------------------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("options", SHARED)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_a_run_not_even_a_hung_adapter(
    tmp_path: Path, number: signal.Signals, options: tuple[str, ...]
) -> None:
    folder = scenarios(tmp_path, hung=("hang", 1.0), quick=("t", 0.0), wait=("t", 25.0))
    with started(folder, *options, *adapter(folder)) as run:
        until(lambda: kept(folder) and len(_all_begun(folder)) == 3)
        everybody = family(run.pid)
        assert len(everybody) >= 3 + len(options)
        os.kill(run.pid, number)
        status, said = ended(run)
    until(lambda: not any(map(is_alive, everybody)))
    if number is not signal.SIGKILL:
        assert status == 2, said
        assert verdicts(folder)["quick"] == "pass"
        assert "did not run" in said


@linux
def test_a_worker_that_is_told_to_end_ends_the_run_in_order(tmp_path: Path) -> None:
    folder = scenarios(tmp_path, quick_1=("t", 0.0), quick_2=("t", 0.0), wait_1=("t", 25.0), wait_2=("t", 25.0))
    with started(folder, "-n", "2") as run:
        until(lambda: kept(folder) == 2)
        worker = _worker_of(run.pid, folder, "gw1")
        os.kill(worker, signal.SIGTERM)
        status, said = ended(run)
    assert status == 2, said
    assert verdicts(folder) == {"quick_1": "pass", "quick_2": "pass"}
    assert "worker gw1 was interrupted" in said
    assert "2 cells did not run" in said


def _all_begun(folder: Path) -> list[str]:
    return [cell for worker in ("gw0", "gw1") for cell in begun(folder, worker)]


def _worker_of(run: int, folder: Path, worker: str) -> int:
    """The process that keeps records in that worker's file."""
    file = str(folder / "out" / ".parts" / f"{worker}.jsonl")
    return until(lambda: next((pid for pid in family(run) if any(file == link for link in _open_files(pid))), 0))


def _open_files(pid: int) -> list[str]:
    found = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue
    return found
