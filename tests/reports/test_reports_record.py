"""The record's file format and its published schema."""

from __future__ import annotations

import json
import re
from importlib import resources
from itertools import cycle
from pathlib import Path

import pytest
from reports_samples import late_will, qos2_cell, record, showcase

from reports.place import OpenFile
from reports.record import (
    BadResults,
    BriefRecord,
    EntryOutline,
    Record,
    Verdict,
    in_pieces,
    read_in_brief,
    read_records,
    write_records,
)
from reports.schema import SCHEMA_NAME, results_schema


def test_records_survive_the_file(tmp_path: Path) -> None:
    write_records(tmp_path / "results.jsonl", showcase())
    found = {cell.cell_id: cell for cell in read_records(tmp_path / "results.jsonl")}
    assert found == {cell.cell_id: cell for cell in showcase()}


def test_lines_are_sorted_by_cell_so_that_two_runs_compare(tmp_path: Path) -> None:
    write_records(tmp_path / "one.jsonl", showcase())
    write_records(tmp_path / "two.jsonl", reversed(showcase()))
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_every_line_has_what_others_rely_on(tmp_path: Path) -> None:
    write_records(tmp_path / "results.jsonl", [record()])
    line = json.loads((tmp_path / "results.jsonl").read_text())
    wanted = {"scenario", "client", "broker", "mqtt", "transport", "verdict", "reason", "cites", "seconds"}
    assert wanted | {"schema_version"} <= line.keys()


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_records(path, [record()])
    path.write_text(path.read_text() + '\n{"scenario": "x"}\n')
    with pytest.raises(BadResults, match=r"results\.jsonl:3: not a result record: title: Field required$"):
        list(read_records(path))


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadResults, match=r"nowhere\.jsonl: No such file or directory$"):
        list(read_records(tmp_path / "nowhere.jsonl"))


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="verdikt"):
        Record.model_validate({**record().model_dump(), "verdikt": "pass"})


def test_rubbish_from_an_adapter_can_be_written(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 arrive as lone surrogates, which no file could hold."""
    rubbish = b"\xff\x80 ok".decode(errors="surrogateescape")
    write_records(tmp_path / "results.jsonl", [record(verdict=Verdict.HARNESS_ERROR, reason=rubbish, log=rubbish)])
    (found,) = read_records(tmp_path / "results.jsonl")
    assert found.log == found.reason == "?? ok"


def test_the_published_schema_is_the_one_of_the_record() -> None:
    """If this fails, run `python -m reports.schema`."""
    committed = resources.files("reports").joinpath(SCHEMA_NAME).read_text(encoding="utf-8")
    assert committed == results_schema()


def test_the_schema_names_every_field_and_verdict() -> None:
    schema = json.loads(results_schema())
    assert set(schema["properties"]) == set(Record.model_fields)
    assert schema["$defs"]["Verdict"]["enum"] == list(Verdict)


def test_samples_have_what_real_traces_have() -> None:
    """The samples are only worth something if they cover what the pages must show."""
    entries = [entry for cell in (late_will(), qos2_cell(wrong=True)) for entry in cell.trace]
    assert {entry.kind for entry in entries} == {"open", "packet", "malformed", "close", "fault"}
    assert {entry.fate for entry in entries} == {
        *("forwarded", "dropped", "held", "released", "injected", "duplicated", "rewritten", "delayed", "lost"),
    }
    assert max(entry.connection for entry in entries) == 2
    assert {cell.verdict for cell in showcase()} == set(Verdict)


# --- in brief ---------------------------------------------------------------------------------------------------------


def test_in_brief_a_cell_leaves_what_takes_room_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_records(path, showcase())
    for found, line, whole in zip(
        read_in_brief(path), path.read_bytes().splitlines(), list(read_records(path)), strict=True
    ):
        assert isinstance(found, BriefRecord)
        assert found.line == line
        assert found.whole == whole
        assert (found.steps, found.trace, found.log) == (whole.steps, whole.trace, whole.log)
        told = {"steps": {"__all__": {"number", "line", "at"}}, "trace": {"__all__": {*EntryOutline.model_fields}}}
        assert found.outline.model_dump() == whole.outline.model_dump(include=told)
        assert found.model_dump() == whole.model_dump(exclude={"steps", "trace", "log"})


def test_what_a_brief_cell_left_is_there_when_its_file_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_records(path, [record(log="written first")])
    (found,) = read_in_brief(path)
    write_records(tmp_path / "new", [])
    (tmp_path / "new").replace(path)
    assert found.whole.log == "written first"


def test_lines_that_stand_together_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, reads = tmp_path / "results.jsonl", []
    write_records(path, showcase())
    brief = list(read_in_brief(path))
    read = OpenFile.read
    monkeypatch.setattr(OpenFile, "read", lambda *what: reads.append(what[1:]) or read(*what))
    write_records(tmp_path / "again.jsonl", brief)
    assert reads == [(0, path.stat().st_size - 1)]
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


def test_what_stands_between_lines_is_left_out_and_lines_come_in_pieces_of_more_than_so_much(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_records(path, showcase())
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"".join(line + end for line, end in zip(lines, cycle((b"\n", b"  \r\n", b"\n\n")), strict=False)))
    records = [*read_in_brief(path), *showcase()]
    pieces = [(len(some), piece.split(b"\n")) for some, piece in in_pieces(records, 3_000)]
    assert [line for _, piece in pieces for line in piece] == [*lines, *(cell.line for cell in showcase())]
    for count, piece in pieces[:-1]:
        assert count == len(piece)
        assert sum(map(len, piece[:-1])) <= 3_000 < sum(map(len, piece))


def test_what_is_wrong_where_nobody_looked_is_told_when_somebody_does(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_records(path, [qos2_cell()])
    path.write_text(path.read_text().replace('"trace":[{"at":', '"trace":[{"at":"soon","was":'))
    (found,) = read_in_brief(path)
    with pytest.raises(BadResults, match=rf"results\.jsonl: {re.escape(found.cell_id)}: not a result record: trace\.0"):
        _ = found.trace


def test_text_that_looks_like_the_end_of_a_trace_is_none(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_records(path, [qos2_cell(log='"findings":[],"steps":[ ],"known_failure":null,"rerun":"x"', rerun="again")])
    (found,) = read_in_brief(path)
    assert isinstance(found, BriefRecord)
    assert (found.rerun, found.whole.rerun) == ("again", "again")


def test_lines_of_other_writers_may_have_their_fields_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    said = json.loads(qos2_cell().model_dump_json())
    path.write_text("".join(json.dumps(dict(sorted(said.items(), reverse=way))) + "\n" for way in (True, False)))
    assert [found.whole for found in read_in_brief(path)] == [qos2_cell(), qos2_cell()]
    assert {found.rerun for found in read_in_brief(path)} == {qos2_cell().rerun}


def test_between_what_is_not_read_in_brief_stands_nothing_else() -> None:
    names = [*Record.model_fields]
    assert names[names.index("steps") : names.index("known_failure")] == ["steps", "trace"]


def test_a_line_that_is_no_record_is_named_in_brief_as_well(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_records(path, [record()])
    path.write_text(path.read_text() + '\n{"scenario": "x"}\n')
    with pytest.raises(BadResults, match=r"results\.jsonl:3: not a result record: title: Field required$"):
        list(read_in_brief(path))
    with pytest.raises(BadResults, match=r"nowhere\.jsonl: No such file or directory$"):
        list(read_in_brief(tmp_path / "nowhere.jsonl"))
