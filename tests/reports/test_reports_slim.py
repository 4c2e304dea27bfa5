"""Slim records: small, and whoever reads them sees the same defects."""

from __future__ import annotations

from pathlib import Path

import pytest
from reports_samples import late_will, matrix, record

from reports.defects import find_defects
from reports.outcome import outcome_of
from reports.record import BadResults, Verdict, read_records, write_packed
from reports.slim import slimmed


def test_slim_records_show_the_same_outcomes_and_defects_each_with_its_smallest_trace_whole() -> None:
    cells = list(matrix(1500))
    slim = list(slimmed(cells))
    assert [(each.cell_id, outcome_of(each)) for each in slim] == [(each.cell_id, outcome_of(each)) for each in cells]
    before, after = find_defects(cells), find_defects(slim)
    assert [(each.headline, len(each.records), each.statements) for each in after] == [
        (each.headline, len(each.records), each.statements) for each in before
    ]
    assert [each.smallest.trace for each in after] == [each.smallest.trace for each in before]
    assert len(before) > 1


def test_slim_records_take_a_hundredth_of_the_room(tmp_path: Path) -> None:
    cells = list(matrix(1500))
    write_packed(tmp_path / "slim.jsonl.xz", slimmed(cells))
    whole = sum(len(each.model_dump_json()) for each in cells)
    assert (tmp_path / "slim.jsonl.xz").stat().st_size < whole / 100


def test_what_is_slim_stays_as_it_is() -> None:
    slim = list(slimmed(matrix(1500)))
    assert list(slimmed(slim)) == slim
    assert any(each.trace and each.trace[0].kind == "gap" for each in slim)


def test_of_a_long_log_both_ends_are_kept_and_said_to_be_that() -> None:
    log = "[client]\nlost it\n" + "a line of the broker\n" * 5000 + "and the last one"
    cell = record(verdict=Verdict.FAIL, reason="late", trace=late_will().trace, log=log)
    (slim,) = slimmed([cell])
    assert slim.log.startswith("[client]\nlost it\n")
    assert slim.log.endswith("and the last one")
    assert "characters are not kept]" in slim.log
    assert len(slim.log) < 2200
    assert list(slimmed([slim])) == [slim]


def test_a_time_is_kept_to_the_minute() -> None:
    (slim,) = slimmed([record(started_at="2026-11-29T01:02:03.456+00:00")])
    assert slim.started_at == "2026-11-29T01:02:00+00:00"


def test_what_was_packed_is_read_again_and_the_same_records_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl.xz", tmp_path / "two.jsonl.xz"
    cells = list(slimmed(matrix(60)))
    write_packed(one, cells)
    write_packed(two, reversed(cells))
    assert list(read_records(one)) == sorted(cells, key=lambda each: each.cell_id)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("keep", [10, -9], ids=["begun", "cut off"])
def test_a_packed_file_that_is_not_whole_says_so(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.jsonl.xz"
    write_packed(path, slimmed(matrix(60)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadResults, match=r"cut\.jsonl\.xz"):
        list(read_records(path))
