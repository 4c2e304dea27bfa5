"""All reports into one folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from reports_samples import record, showcase

from reports.record import read_records
from reports.summary import RunInfo
from reports.write import CannotWrite, check_writable, write_all

RUN = RunInfo("2026-03-01T10:00:00Z", 83.2, "0.1.0")


def test_four_files_come_out_and_the_page_is_returned(tmp_path: Path) -> None:
    page = write_all(showcase(), tmp_path / "deep" / "compat", RUN)
    assert page == tmp_path / "deep" / "compat" / "report.html"
    names = sorted(path.name for path in page.parent.iterdir())
    assert names == ["junit.xml", "report.html", "results.jsonl", "summary.md"]
    assert all(path.stat().st_size for path in page.parent.iterdir())
    assert len(list(read_records(page.with_name("results.jsonl")))) == 20


def test_an_old_report_is_replaced(tmp_path: Path) -> None:
    write_all(showcase(), tmp_path, RUN)
    write_all([record()], tmp_path, RUN)
    assert len(list(read_records(tmp_path / "results.jsonl"))) == 1
    assert "Nothing new failed in 1 cell." in (tmp_path / "report.html").read_text()


def test_a_run_without_cells_still_leaves_its_reports(tmp_path: Path) -> None:
    page = write_all([], tmp_path)
    assert "Nothing ran." in page.read_text()


@pytest.mark.parametrize("write", [lambda out: write_all([], out, RUN), check_writable])
def test_a_folder_that_cannot_be_written_to_is_one_clear_line(tmp_path: Path, write: object) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite) as caught:
        write(tmp_path / "file" / "compat")  # type: ignore[operator]  # either of the two above
    assert str(caught.value) == f"cannot write the report to {tmp_path}/file/compat: Not a directory"


def test_looking_whether_a_folder_can_be_written_to_leaves_nothing_in_it(tmp_path: Path) -> None:
    check_writable(tmp_path / "compat")
    assert list((tmp_path / "compat").iterdir()) == []
