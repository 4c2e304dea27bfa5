"""`merge`, `report` and `diff --fail-on`: the exit codes of a whole run, and what is refused."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from pydantic import BaseModel
from reports_samples import record, showcase

from interop.cli import main
from interop.requirements.requirements import sentences
from interop.runner.known_failures import load_known_failures
from reports.defects import is_bad
from reports.outcome import is_red
from reports.record import BriefRecord, KnownFailure, Record, Verdict, read_records
from reports.run_file import read_run, write_run
from reports.summary import RunInfo
from reports.write import write_all

RUN = RunInfo("2026-03-01T10:00:00Z", 83.2, "0.1.0")
KNOWN = KnownFailure(reason="says so for ever")


def part(folder: Path, *records: Record, shard: str = "", exit_code: int = 0, **run: object) -> str:
    told = replace(RUN, shard=shard, selection="0123" if shard else "", exit_code=exit_code, **run)  # type: ignore[arg-type]
    write_all(records, folder, told)
    return str(folder)


def merged(out: Path, *parts: str) -> int:
    return main(["merge", *parts, "--out", str(out)])


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([record("a/one"), record("a/two")], 0),
        ([record("a/one"), record("a/two", verdict=Verdict.UNSUPPORTED)], 0),
        ([record("a/one"), record("a/two", verdict=Verdict.FAIL)], 1),
        ([record("a/one"), record("a/two", verdict=Verdict.FAIL, known_failure=KNOWN)], 0),
        ([record("a/one", verdict=Verdict.FAIL), record("a/two", verdict=Verdict.SETUP_FAILED)], 2),
        ([record("a/one", verdict=Verdict.HARNESS_ERROR), record("a/two")], 2),
    ],
)
def test_merge_ends_with_the_exit_code_of_the_whole_run(tmp_path: Path, records: list[Record], code: int) -> None:
    for number, each in enumerate(records):
        write_all([each], tmp_path / str(number))  # as left by a run that wrote no run.json
    files = [str(tmp_path / str(number) / "results.jsonl") for number in range(len(records))]
    assert merged(tmp_path / "out", *files) == code
    assert main(["report", *files, "--out", str(tmp_path / "again")]) == 0


def test_a_cell_is_read_once_and_a_trace_only_where_something_is_the_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, parsed, looked_at = part(tmp_path / "run", *showcase()), Counter[bytes](), Counter[str]()

    def parse(line: bytes, parse: Callable[[bytes], BriefRecord] = BriefRecord.model_validate_json) -> BriefRecord:
        parsed[line] += 1
        return parse(line)

    def look(cell: BriefRecord, kind: type[BaseModel]) -> BaseModel:
        looked_at[cell.cell_id] += 1
        return kind.model_validate_json(cell.line)

    monkeypatch.setattr(BriefRecord, "model_validate_json", parse)
    monkeypatch.setattr(BriefRecord, "_read_as", look)
    assert main(["report", folder, "--out", str(tmp_path / "out")]) == 0
    assert (len(parsed), set(parsed.values())) == (len(showcase()), {1})
    assert looked_at.keys() == {cell.cell_id for cell in showcase() if is_red(cell) or cell.findings or is_bad(cell)}
    assert max(looked_at.values()) <= 3  # for its defect, for its line in CTRF, for its log in JUnit


def test_a_trace_that_cannot_be_read_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(part(tmp_path / "run", *showcase())) / "results.jsonl"
    path.write_text(path.read_text().replace('"trace":[{"at":', '"trace":[{"at":"soon","was":'))
    assert main(["report", str(path), "--out", str(tmp_path / "out")]) == 2
    assert re.fullmatch(
        r"mqtt-interop: \S+results\.jsonl: .*: not a result record: trace\.0\..*\n", capsys.readouterr().err
    )


@pytest.mark.parametrize("way", ["elsewhere", "in place", "through a link"])
def test_pages_drawn_again_are_those_that_the_run_drew(tmp_path: Path, way: str) -> None:
    drawn, out = tmp_path / "drawn", tmp_path / "out"
    write_all(showcase(), drawn, RUN, sentences=sentences())
    shutil.copytree(drawn, out)
    source = drawn if way == "elsewhere" else out
    if way == "through a link":
        (out / "results.jsonl").rename(tmp_path / "real.jsonl")
        (out / "results.jsonl").symlink_to(tmp_path / "real.jsonl")
    assert main(["report", str(source), "--out", str(out)]) == 0
    for name in ("results.jsonl", "junit.xml", "ctrf.json"):
        assert (
            re.sub('time="83.200"', "", (drawn / name).read_text(), count=1)[-100:] == (out / name).read_text()[-100:]
        )
    assert _chunks(out) == _chunks(drawn)


def _chunks(out: Path) -> list[str]:
    """The cells as the page has them."""
    return re.findall(r'<script type="text/plain"[^>]*>([^<]*)<', (out / "report.html").read_text())


def test_what_a_shard_says_of_itself_counts_as_well(tmp_path: Path) -> None:
    whole = part(tmp_path / "1", record("a/one"), shard="1/2")
    cut = part(tmp_path / "2", record("a/two"), shard="2/2", exit_code=2, not_run=("a/three",), stopped="a full disk")
    assert merged(tmp_path / "out", whole, cut) == 2
    run = read_run(tmp_path / "out" / "run.json")
    assert run is not None
    assert (run.not_run, run.stopped, run.exit_code) == (("a/three",), "a full disk", 2)
    assert "1 cell did not run. The run was ended: a full disk." in (tmp_path / "out" / "summary.md").read_text()


def test_a_shard_that_had_nothing_to_play_takes_nothing_from_the_others(tmp_path: Path) -> None:
    parts = [part(tmp_path / "1", record(), shard="1/2"), part(tmp_path / "2", shard="2/2", exit_code=3)]
    assert merged(tmp_path / "out", *parts) == 0


def test_a_missing_shard_is_no_success_and_every_report_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [part(tmp_path / n, record(f"a/{n}"), shard=f"{n}/4") for n in ("1", "3")]
    assert merged(tmp_path / "out", *parts) == 2
    assert "Missing: shard 2/4, 4/4." in capsys.readouterr().out
    for name in ("report.html", "junit.xml", "summary.md"):
        assert "every cell of shard 4/4" in (tmp_path / "out" / name).read_text(), name


def test_merging_does_not_depend_on_the_order_of_the_shards(tmp_path: Path) -> None:
    parts = [
        part(tmp_path / "1", record("a/one"), record("a/two"), shard="1/3"),
        part(tmp_path / "2", record("a/two", started_at="2026-03-01T09:00:00Z", seconds=2.0), shard="2/3"),
        part(tmp_path / "3", record("a/three", verdict=Verdict.FAIL), shard="3/3", exit_code=1),
    ]
    written = set()
    for order in permutations(parts):
        assert merged(tmp_path / "out", *order) == 1
        written.add(
            tuple((tmp_path / "out" / name).read_bytes() for name in ("results.jsonl", "run.json", "junit.xml"))
        )
    assert len(written) == 1
    assert [each.scenario for each in read_records(tmp_path / "out" / "results.jsonl")] == ["a/one", "a/three", "a/two"]


@pytest.mark.parametrize("command", ["merge", "report"])
def test_two_results_of_a_cell_that_contradict_each_other_are_refused_with_both_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    one, two = part(tmp_path / "1", record()), part(tmp_path / "2", record(verdict=Verdict.FAIL))
    assert main([command, two, one, "--out", str(tmp_path / "out")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "two results of qos1/delivered paho reference 5.0 tcp" in line
    assert f"pass in {one}/results.jsonl, fail in {two}/results.jsonl" in line
    assert not (tmp_path / "out").exists()


def test_a_known_and_a_new_failure_of_one_cell_contradict_each_other(tmp_path: Path) -> None:
    new = part(tmp_path / "1", record(verdict=Verdict.FAIL))
    known = part(tmp_path / "2", record(verdict=Verdict.FAIL, known_failure=KNOWN))
    assert merged(tmp_path / "out", new, known) == 2


def test_shards_of_differently_cut_runs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [part(tmp_path / "1", record("a/one"), shard="1/2"), part(tmp_path / "2", record("a/two"), shard="2/3")]
    assert merged(tmp_path / "out", *parts) == 2
    assert "is shard 1/2" in capsys.readouterr().err


def test_shards_of_different_selections_are_each_looked_at_for_their_own(tmp_path: Path) -> None:
    parts = [part(tmp_path / n, record(f"a/{n}"), shard=f"{n}/2") for n in ("1", "2")]
    other = part(tmp_path / "other", record("b/one"), shard="1/2")
    write_run(replace(RUN, shard="1/2", selection="4567", exit_code=0), tmp_path / "other" / "run.json")
    assert merged(tmp_path / "out", *parts, other) == 2


def test_an_outdated_list_fails_a_merged_run_only_where_that_is_asked_for(tmp_path: Path) -> None:
    listed = part(tmp_path / "1", record(unexpected_pass=True))
    assert merged(tmp_path / "out", listed) == 0
    assert main(["merge", listed, "--strict-known", "--out", str(tmp_path / "out")]) == 1


@pytest.mark.parametrize("text", ["{", '{"started_at": 1}'])
def test_a_run_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    folder = part(tmp_path / "1", record())
    (tmp_path / "1" / "run.json").write_text(text)
    assert merged(tmp_path / "out", folder) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "run.json: not a run" in line


@pytest.mark.parametrize(
    ("before", "after", "fail_on", "code"),
    [
        (Verdict.PASS, Verdict.FAIL, ["worse"], 1),
        (Verdict.FAIL, Verdict.PASS, ["worse"], 0),
        (Verdict.FAIL, Verdict.PASS, [], 1),
        (Verdict.FAIL, Verdict.PASS, ["any"], 1),
        (Verdict.PASS, Verdict.OBSERVED, ["worse"], 0),
        (None, Verdict.FAIL, ["worse"], 0),
        (None, Verdict.FAIL, ["worse", "new"], 1),
        (Verdict.PASS, None, ["worse"], 0),
        (Verdict.PASS, None, ["worse", "gone"], 1),
        (Verdict.PASS, Verdict.PASS, ["any"], 0),
    ],
)
def test_diff_fails_on_the_changes_it_is_asked_to_fail_on(
    tmp_path: Path, before: Verdict | None, after: Verdict | None, fail_on: list[str], code: int
) -> None:
    for name, verdict in (("old", before), ("new", after)):
        write_all([record("a/other"), *([record(verdict=verdict)] if verdict else [])], tmp_path / name)
    options = [word for each in fail_on for word in ("--fail-on", each)]
    files = [str(tmp_path / name / "results.jsonl") for name in ("old", "new")]
    assert main(["diff", *files, *options]) == code


def test_a_merged_run_writes_the_list_that_it_would_need(tmp_path: Path) -> None:
    folder, path = part(tmp_path / "1", record(verdict=Verdict.FAIL), exit_code=1), tmp_path / "known.yaml"
    assert main(["merge", folder, "--write-known-failures", str(path), "--out", str(tmp_path / "out")]) == 1
    assert [entry.scenarios for entry in load_known_failures(path).entries if entry.client == "paho"][-1] == (
        "qos1/delivered",
    )


def test_on_github_a_merged_run_annotates_the_failures_of_all_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    failed = record(verdict=Verdict.FAIL, reason="PUBACK missing", file="scenarios/qos1/delivered.yaml")
    assert merged(tmp_path / "out", part(tmp_path / "1", failed, exit_code=1)) == 1
    assert "\n::error file=scenarios/qos1/delivered.yaml,line=1," in capsys.readouterr().out
    assert "1 new failure" in (tmp_path / "summary.md").read_text()
