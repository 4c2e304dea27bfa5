"""Adapters that are of no use: a run says so and ends, instead of paying for them in every cell."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import forked
import pytest
from runner_matrix import adapter, ended, family, scenarios, started, verdicts
from runner_stage import played as stage_played
from runner_stage import scenario

from interop.brokers.registry import broker_spec
from interop.drivers import driver
from interop.drivers.driver import DriverCrashed, DriverFault, DriverHung
from interop.drivers.registry import DriverStarter
from interop.runner import player
from interop.runner.adapters import IN_A_ROW, Adapters
from interop.runner.cell import Cell
from interop.runner.engine import Engine
from interop.runner.failures import RunIsOver
from interop.runner.known_failures import KnownFailures
from interop.scenario.load import load_scenarios
from reports.record import Record, Verdict, read_records

HUNG, CRASHED = DriverHung("it did not answer"), DriverCrashed("it ended by itself")


def seen(*faults: DriverFault | None, client: str = "acme") -> str:
    """Why cells that came out so would end a run; empty if they would not."""
    adapters = Adapters()
    for fault in faults:
        adapters.seen(client, fault, said_hello=True)
        adapters.seen("another", None, said_hello=True)
    return str(adapters.over or "")


def test_an_adapter_that_hangs_in_cells_in_a_row_ends_the_run() -> None:
    assert not seen(*[HUNG] * (IN_A_ROW - 1))
    assert seen(*[HUNG] * IN_A_ROW) == "the adapter of acme hung in 5 cells in a row (it did not answer)"


def test_a_cell_that_ends_well_in_between_shows_that_it_is_of_use() -> None:
    assert not seen(*[*[HUNG] * (IN_A_ROW - 1), None] * 3)


def test_what_crashes_is_quick_and_tells_something_each_time() -> None:
    assert not seen(*[CRASHED] * 3 * IN_A_ROW)
    assert not seen(*[HUNG] * (IN_A_ROW - 1), CRASHED)


def test_one_that_ends_before_its_first_hello_is_not_asked_again() -> None:
    adapters = Adapters()
    adapters.seen("acme", CRASHED, said_hello=False)
    assert str(adapters.over) == f"acme cannot be played: {CRASHED}"


def test_a_first_hello_that_does_not_come_in_time_may_be_a_busy_machine_s_and_counts_as_any_hang() -> None:
    adapters = Adapters()
    for _ in range(IN_A_ROW - 1):
        adapters.seen("acme", HUNG, said_hello=False)
    assert adapters.over is None
    adapters.seen("acme", HUNG, said_hello=False)
    assert str(adapters.over) == "the adapter of acme hung in 5 cells in a row (it did not answer)"


def test_one_that_said_hello_once_may_fail_to_start_again() -> None:
    adapters = Adapters()
    adapters.seen("acme", None, said_hello=True)
    for _ in range(IN_A_ROW - 1):
        adapters.seen("acme", HUNG, said_hello=False)
    assert adapters.over is None
    adapters.seen("acme", HUNG, said_hello=False)
    assert adapters.over is not None


# --- the engine -------------------------------------------------------------------------------------------------------


def played(folder: Path, clients: dict[str, str], why: str) -> list[Record]:
    """The records of a worker that ends for this reason, before its last cell."""
    cells = [
        Cell(each, client, "reference", next(iter(each.scenario.versions)), "tcp", start)
        for each in load_scenarios([folder / "scenarios"])
        for client, start in clients.items()
    ]
    keep = folder / "gw0.jsonl"
    engine = Engine(KnownFailures(), {"reference": broker_spec("reference")}, keep, drivers=DriverStarter(clients))
    try:
        engine.begin(cells)
        with pytest.raises(RunIsOver, match=why):
            list(map(engine.record, cells))
    finally:
        engine.stop()
    records = list(read_records(keep))
    assert len(records) < len(cells)
    return records


def test_hangs_in_a_row_end_the_run_and_nothing_outlives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(player, "ALIVE_SECONDS", 0.1)
    monkeypatch.setattr(driver, "RESET_SECONDS", 0.1)
    folder = scenarios(tmp_path, **{f"case_{number:02}": ("hang", 0.0) for number in range(40)})
    start = adapter(folder)[1]
    records = played(folder, {"acme": start}, r"^the adapter of acme hung in 5 cells in a row \(.* not answer")
    assert len(records) >= IN_A_ROW
    assert {record.verdict for record in records} == {Verdict.HARNESS_ERROR}
    script = str(folder / "adapter.py").encode()
    assert not [pid for pid in family(os.getpid()) if script in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_first_hello_that_fails_ends_the_run_at_its_first_cell(tmp_path: Path) -> None:
    folder = scenarios(tmp_path, **{f"case_{number:02}": ("t", 0.0) for number in range(40)})
    start = f"command:{sys.executable} -S {tmp_path / 'no-such-adapter.py'}"
    records = played(folder, {"acme": start}, "^acme cannot be played: acme ended by itself with exit status 2")
    assert len(records) <= 14  # those under way at that moment


def test_what_an_adapter_that_crashes_does_to_its_connection_is_no_failure_of_its_client(tmp_path: Path) -> None:
    text = """\
        actors: {client: {}}
        steps:
          - {do: connect, as: client}
          - {do: publish, as: client, topic: "bad/#", payload: x, outcome: pending}
          - {do: stays_open, link: client, seconds: 0.2}
        """
    script = tmp_path / "adapter.py"
    script.write_text(
        f"import sys\nsys.path.append({str(forked.REPOSITORY)!r})\nfrom interop.drivers.examples import minimal\n"
        "def publish(self, command): raise ValueError('no such topic')\n"
        "minimal._Client.publish = publish\nminimal._main()\n"
    )
    record = stage_played(scenario(tmp_path, text), "3.1.1", client=f"command:{sys.executable} -S {script}")
    assert (record.verdict, record.findings, record.blame) == (Verdict.HARNESS_ERROR, (), "none")
    assert "ended by itself with exit status 1" in record.reason
    assert "no such topic" in record.log
    assert "held against nobody, as the adapter broke: expected the link of client to stay open" in record.log


# --- the run ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["by itself", "with workers"])
def test_a_run_calls_its_client_by_the_name_it_was_given(tmp_path: Path, workers: tuple[str, ...]) -> None:
    folder = scenarios(tmp_path, one=("t", 0.0), other=("t", 0.0))
    start = adapter(folder)[1]
    known = folder / "known.yaml"
    known.write_text("- {client: acme, scenarios: ['delivery/one'], reason: it is listed}\n")
    with started(folder, *workers, "--client", f"acme={start}", "--known-failures", str(known)) as run:
        status, said = ended(run)
    assert status == 0, said
    assert verdicts(folder) == {"one": "pass", "other": "pass"}
    records = list(read_records(folder / "out" / "results.jsonl"))
    assert {record.client for record in records} == {"acme"}
    assert {record.implementations["client"] for record in records} == {"acme (obedient 1)"}
    assert [record.unexpected_pass for record in sorted(records, key=lambda each: each.scenario)] == [True, False]
    assert all(f"--client 'acme={start}'" in record.rerun for record in records)
    assert "command:" not in said
    assert "acme (obedient 1) (client) passes 2 of 2 cells" in said


def test_a_client_without_a_given_name_has_that_of_its_hello(tmp_path: Path) -> None:
    folder = scenarios(tmp_path, one=("t", 0.0))
    with started(folder, *adapter(folder)) as run:
        status, said = ended(run)
    assert status == 0, said
    (record,) = read_records(folder / "out" / "results.jsonl")
    assert (record.client, record.implementations["client"]) == ("obedient", "obedient 1")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("sys.exit('there is no library')", "ended by itself with exit status 1\n  there is no library\n"),
        ("minimal.HELLO['unsupported'].append('qos-2')", "there is no feature 'qos-2'; did you mean 'qos2'?"),
    ],
    ids=["none", "with a feature nobody knows"],
)
def test_a_hello_that_fails_ends_the_run_before_its_first_cell(tmp_path: Path, fault: str, words: str) -> None:
    folder = scenarios(tmp_path, one=("t", 0.0))
    start = adapter(folder)[1]
    script = folder / "adapter.py"
    script.write_text(script.read_text().replace("minimal._main()", f"{fault}\nminimal._main()"))
    with started(folder, "--client", f"mine={start}") as run:
        status, said = ended(run)
    assert status == 2
    assert "mine cannot be played: " in said
    assert words in said
    assert not (folder / "out" / "results.jsonl").exists()
