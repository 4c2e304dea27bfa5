"""The record's file format and its published schema."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from reports_samples import late_will, qos2_cell, record, showcase

from reports.record import BadResults, Record, Verdict, read_records, write_records
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
