"""What workers kept, as the end of a run reads it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from interop.runner import controller
from interop.runner.parts import Keeper, Parts
from reports.record import BriefRecord, Record, StepResult, TraceEntry, Verdict, write_records
from reports.summary import RunInfo
from reports.write import CannotWrite

STEP = StepResult(number=1, text="connect", status="passed")
ENTRY = TraceEntry(at=0.1, link="sub", connection=1, kind="open", sender="client")


def record(scenario: str) -> Record:
    return Record(
        scenario=scenario, title=scenario, area="a", client="builtin", broker="reference", mqtt="5.0", transport="tcp",
        verdict=Verdict.PASS, seconds=1.0, steps=(STEP,), trace=(ENTRY,), log="said",
    )  # fmt: skip


def kept(folder: Path, *records: Record) -> Parts:
    parts = Parts(folder)
    parts.prepare()
    keeper = Keeper(parts.of("gw0"))
    for each in records:
        keeper.keep(each)
    keeper.close()
    return parts


def test_what_was_kept_is_read_in_brief_and_whole_on_demand_even_when_it_was_removed(tmp_path: Path) -> None:
    parts = kept(tmp_path, record("a/one"), record("a/two"))
    found = parts.records()
    parts.remove()
    assert all(isinstance(each, BriefRecord) for each in found)
    assert [each.whole for each in found] == [record("a/one"), record("a/two")]


def test_a_line_that_was_left_half_written_is_cut_off(tmp_path: Path) -> None:
    parts = kept(tmp_path, record("a/one"))
    whole = parts.of("gw0").read_bytes()
    with parts.of("gw0").open("ab") as file:
        file.write(whole[:-1])
    parts.of("gw1").write_bytes(whole[:9])
    parts.of("gw2").touch()
    assert [each.scenario for each in parts.records()] == ["a/one"]
    assert [file.read_bytes() for file in sorted(parts.folder.glob("*.jsonl"))] == [whole, b"", b""]


def test_records_whose_file_is_gone_are_all_handed_over(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    parts.prepare()
    keeper = Keeper(parts.of("gw0"))
    keeper.keep(record("a/one"))
    assert keeper.unkept() == []
    parts.remove()
    assert keeper.unkept() == [record("a/one")]
    keeper.close()


def test_where_reports_have_no_room_what_workers_kept_is_let_go_and_the_rescued_results_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, rescued = kept(tmp_path / "out", record("a/one")), tmp_path / "rescued.jsonl"
    records = parts.records()
    write_records(rescued, records)
    drawn: list[tuple[list[Path], bool]] = []

    def write_all(records: list[BriefRecord], folder: Path, *_: object) -> None:
        drawn.append(([each.kept.file.path for each in records], parts.folder.exists()))
        if len(drawn) == 1:
            raise CannotWrite(folder, "No space left on device", "", rescued)

    monkeypatch.setattr(controller, "write_all", write_all)
    run: Any = SimpleNamespace(_parts=parts, _folder=tmp_path / "out")
    assert controller.Controller._write(run, records, RunInfo("", 1.0, "0.1.0"))
    assert drawn == [([parts.of("gw0")], True), ([rescued], False)]
    assert [each.whole for each in records] == [record("a/one")]
