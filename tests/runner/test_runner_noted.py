"""A list written from a run: with it the same results are as expected, and nothing else is."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from interop.runner.known_failures import KnownFailures, load_known_failures
from interop.runner.noted import entries_for, write_known_failures
from reports.record import Finding, KnownFailure, Record, Verdict

LIST = """\
# Gone through with the vendor.
- client: acme
  scenarios: [qos1/old]  # the oldest of all
  reason: It was like that when we came.
- client: another
  scenarios: [qos1/*]
  reason: Is not in this run.
"""


def cell(scenario: str, mqtt: str, transport: str = "tcp", *rules: str, blame: str = "client") -> Record:
    findings = [
        {"source": "step", "rule": rule, "level": "must", "blame": blame, "message": f"{rule} is wrong"}
        for rule in rules
    ]
    return Record.model_validate(
        {
            "scenario": scenario, "title": "t", "area": "qos1", "client": "acme", "broker": "127.0.0.1:1883",
            "mqtt": mqtt, "transport": transport, "seconds": 0.1,
            "verdict": Verdict.FAIL if rules else Verdict.PASS, "reason": findings[0]["message"] if rules else "",
            "findings": [Finding.model_validate(each) for each in findings],
        }
    )  # fmt: skip


CELLS = [
    *(cell("qos1/a[x]", mqtt, over, "wire") for mqtt, over in product(("3.1.1", "5.0"), ("tcp", "tls"))),
    *(cell("qos1/b", "5.0", over, "wire") for over in ("tcp", "tls")),
    cell("qos1/b", "3.1.1"),
    cell("qos1/c", "5.0", "ws", "receive", "dup", blame="broker"),
    cell("qos1/c", "5.0", "tcp"),
    cell("qos1/a[y]", "5.0"),
]


def explained(entries: KnownFailures, record: Record) -> bool:
    return (
        entries.entry_that_explains(
            record, record.implementations, [finding.rule for finding in record.findings], record.log
        )
        is not None
    )


def test_every_new_failure_is_explained_and_no_pass_is_listed() -> None:
    known = KnownFailures(tuple(entries_for(CELLS)))
    for record in CELLS:
        is_failure = record.verdict is Verdict.FAIL
        assert explained(known, record) is is_failure, record.cell_id
        assert (known.entry_for(record, record.implementations) is not None) is is_failure, record.cell_id


def test_another_fault_of_the_same_cell_is_still_new() -> None:
    known = KnownFailures(tuple(entries_for(CELLS)))
    assert not explained(known, cell("qos1/b", "5.0", "tcp", "wire", "dup"))


def test_cells_of_one_fault_are_few_entries() -> None:
    entries = entries_for(CELLS)
    assert [(entry.scenarios, entry.mqtt) for entry in entries if entry.rules == ("wire",)] == [
        (("qos1/a[x]",), ("3.1.1", "5.0")),
        (("qos1/b",), ("5.0",)),
    ]


def test_the_list_in_use_is_gone_on_with_word_for_word(tmp_path: Path) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(LIST)
    count = write_known_failures(path, CELLS, path)
    assert path.read_text().startswith(LIST)
    assert len(load_known_failures(path).entries) == 2 + count


@pytest.mark.parametrize("text", ["[{client: acme, scenarios: [qos1/old], reason: so}]", "", "# none yet\n"])
def test_a_list_that_cannot_be_gone_on_with_is_written_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(text)
    before = len(load_known_failures(path).entries)
    assert len(load_known_failures(path).entries) == before
    count = write_known_failures(path, CELLS, path)
    assert len(load_known_failures(path).entries) == before + count


def test_another_file_gets_what_of_the_list_in_use_is_about_this_run(tmp_path: Path) -> None:
    used, path = tmp_path / "known.yaml", tmp_path / "new.yaml"
    used.write_text(LIST)
    old = cell("qos1/old", "5.0", "tcp", "wire")
    known = old.model_copy(update={"known_failure": KnownFailure(reason="It was like that when we came.")})
    write_known_failures(path, [*CELLS, known], used)
    written = load_known_failures(path)
    assert explained(written, old)
    assert not [entry for entry in written.entries if entry.client == "another"]
    assert used.read_text() == LIST


def test_where_nothing_is_new_the_list_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(LIST)
    assert write_known_failures(path, [cell("qos1/b", "5.0")], path) == 0
    assert path.read_text() == LIST
