"""All reports into one folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from reports_samples import record, showcase

from reports.record import read_records
from reports.summary import RunInfo
from reports.write import CannotWrite, check_writable, write_all, write_whole

RUN = RunInfo("2026-03-01T10:00:00Z", 83.2, "0.1.0")
ALL_FILES = (
    "badge.json", "badge.svg", "ctrf.json", "junit.xml", "report.html", "results.jsonl", "run.json", "summary.md"
)  # fmt: skip


def test_all_files_come_out_and_the_page_is_returned(tmp_path: Path) -> None:
    page = write_all(showcase(), tmp_path / "deep" / "compat", RUN)
    assert page == tmp_path / "deep" / "compat" / "report.html"
    names = sorted(path.name for path in page.parent.iterdir())
    assert names == sorted(ALL_FILES)
    assert all(path.stat().st_size for path in page.parent.iterdir())
    assert len(list(read_records(page.with_name("results.jsonl")))) == 20


def test_page_and_markdown_have_the_sentences_they_are_given(tmp_path: Path) -> None:
    write_all(showcase(), tmp_path, RUN, sentences={("5.0", "MQTT-3.1.2-22"): "A silent client is cut off"})
    for name in ("report.html", "summary.md"):
        assert "A silent client is cut off" in (tmp_path / name).read_text()


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


def test_what_can_be_written_is_and_what_cannot_is_named(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    (tmp_path / "report.html" / "in-the-way").touch()
    with pytest.raises(CannotWrite) as caught:
        write_all(showcase(), tmp_path, RUN)
    assert "(report.html)" in str(caught.value)
    assert caught.value.results == tmp_path / "results.jsonl"
    assert len(list(read_records(tmp_path / "results.jsonl"))) == 20
    assert {"junit.xml", "summary.md"} <= {path.name for path in tmp_path.iterdir()}
    assert not list(tmp_path.glob(".*"))


def test_results_that_have_no_room_are_kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite) as caught:
        write_all(showcase(), tmp_path / "file" / "out", RUN)
    rescued = caught.value.results
    assert rescued is not None
    assert f"`mqtt-interop report {rescued} --out {tmp_path}/file/out`" in str(caught.value)
    assert len(list(read_records(rescued))) == 20


def test_a_file_that_breaks_off_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def write(path: Path) -> None:
        path.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", write)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_what_is_no_ordinary_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_whole(tmp_path / "link", lambda path: path.write_text("new"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_cells_that_did_not_run_are_said_everywhere(tmp_path: Path) -> None:
    run = replace(RUN, not_run=("will/kept, paho with <b>, MQTT 5.0 over tcp",), stopped="it was interrupted")
    write_all(showcase(), tmp_path, run)
    for name in ("summary.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert "1 cell did not run. The run was ended: it was interrupted." in text, name
        assert " in 20 cells; 1 cell did not run." in text, name  # the headline
        assert "will/kept, paho with" in text, name
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite[@name='cells that did not run']")
    assert suite is not None
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert [case.get("name") for case in suite] == list(run.not_run)


@pytest.mark.parametrize(("count", "said"), [(1, "1 slow cell was left out"), (6, "6 slow cells were left out")])
def test_cells_that_nobody_asked_for_are_said_to_be_left_out(tmp_path: Path, count: int, said: str) -> None:
    write_all(showcase(), tmp_path, replace(RUN, left_out=count))
    for name in ("summary.md", "report.html"):
        assert f"{said} (--slow plays them)." in (tmp_path / name).read_text(), name


def test_a_whole_run_says_nothing_of_the_kind(tmp_path: Path) -> None:
    write_all(showcase(), tmp_path, RUN)
    words = ("did not run", "left out")
    assert not any(each in path.read_text() for each in words for path in tmp_path.iterdir())
