"""Somebody else's suite against the mutants: what is counted, what is subtracted, what ends it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import forked
import pytest

from interop.cli import main
from interop.mutants.mutant import Mutant
from interop.mutants.registry import MUTANTS
from interop.mutants.suite import Ran, Suite, SuiteFault, failed_tests, outcome_of
from interop.mutants.suite_table import Kept, Noticed, OfAnotherSuite, Outcome, SuiteTable
from reference_broker import BlockingClient
from reference_broker.net.address import Address
from reference_broker.testing import running_broker

CHECKS = Path(__file__).with_name("three_checks.py")
RETAINS_NOTHING, WRONG_ID = "retains nothing", "acknowledges another packet id"
UNSEEN = "sends no PUBREL again"
THREE = (RETAINS_NOTHING, WRONG_ID, UNSEEN)
"""Of the first two one check each fails; the third is wrong in what no check is about."""


def suite_of(*more: str) -> str:
    return shlex.join([sys.executable, str(CHECKS), "{host}", "{port}", *more])


def put_to(out: Path, suite: str, *options: str, mutants: Iterable[str] = THREE) -> int:
    chosen = [word for name in mutants for word in ("--mutant", name)]
    return main(["mutants", "--suite", suite, "--out", str(out), "-n", "2", "--suite-limit", "10", *chosen, *options])


def document(out: Path) -> dict[str, dict[str, object]]:
    text = json.loads((out / "suite.json").read_text("utf-8"))
    return {each["mutant"]: each for each in text["mutants"]}


# --- for real ---------------------------------------------------------------------------------------------------------


def test_the_tests_that_fail_on_a_mutant_and_on_the_right_one_not_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit = str(tmp_path / "{run}.xml")
    assert put_to(tmp_path, suite_of(junit, "always-fails"), "--junit", junit) == 1
    played = document(tmp_path)
    assert {name: (each["noticed"], each["failed"]) for name, each in played.items()} == {
        RETAINS_NOTHING: ("noticed", ["checks::retained"]),
        WRONG_ID: ("noticed", ["checks::acknowledged"]),
        UNSEEN: ("not noticed", []),
    }
    out = capsys.readouterr().out
    assert "subtracted, as they fail on the right one: checks::always" in out
    assert "2 of 3 mutants noticed" in out


def test_a_suite_without_junit_speaks_by_its_exit_status(tmp_path: Path) -> None:
    assert put_to(tmp_path, suite_of(), mutants=[WRONG_ID]) == 0
    assert document(tmp_path)[WRONG_ID]["said"] == "failed: acknowledged"


def test_a_run_goes_on_where_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert put_to(tmp_path, suite_of(), mutants=[WRONG_ID]) == 0
    assert put_to(tmp_path, suite_of(), mutants=[WRONG_ID, UNSEEN]) == 1
    assert "1 mutants were played" in capsys.readouterr().out
    assert set(document(tmp_path)) == {WRONG_ID, UNSEEN}
    assert put_to(tmp_path, suite_of("other"), mutants=[WRONG_ID]) == 2
    assert "has outcomes of another suite" in capsys.readouterr().err


def test_a_suite_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    script = f"(echo up; sleep 60) > {shlex.quote(str(pipe))} & wait"
    ran = asyncio.run(Suite(shlex.join(["sh", "-c", script, "{port}"]), limit_seconds=0.5).run(None, 0))
    assert ran.status is None
    os.set_blocking(reader, True)
    assert os.read(reader, 10) == b"up\n"
    assert os.read(reader, 10) == b""  # once nobody is left who could write
    os.close(reader)


def test_a_suite_that_fails_on_the_right_broker_tells_nothing_by_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert put_to(tmp_path, "sh -c 'echo broken; exit 3' {port}") == 2
    assert "on the right broker the suite fails (exit status 3: broken)" in capsys.readouterr().err


def test_a_suite_of_clients_gets_the_command_of_each(tmp_path: Path) -> None:
    script = """case "$*" in *"--serve builtin"*) exit 0;; *"--serve 'wrong one'"*) exit 1;; esac; exit 2"""
    suite = Suite(shlex.join(["sh", "-c", script, "-", "{client}"]))
    wrong = Mutant("wrong one", "client", (), ())
    assert suite.side == "client"
    assert [asyncio.run(suite.run(each, 0)).status for each in (None, wrong)] == [0, 1]


def test_a_served_broker_is_wrong_until_a_signal_comes() -> None:
    with forked.start("interop", "mutants", "--serve", RETAINS_NOTHING, "--port", "0") as process:
        found = re.match(r"listening on mqtt://127.0.0.1:(\d+)", process.stdout.readline())
        assert found
        with BlockingClient(Address("127.0.0.1", int(found[1]))) as client:
            client.publish("t", b"kept", retain=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_a_served_client_takes_the_contract_s_commands() -> None:
    name = next(each.name for each in MUTANTS.values() if each.side == "client")
    command = [sys.executable, "-m", "interop", "mutants", "--serve", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as adapter:
        assert adapter.stdin is not None
        assert adapter.stdout is not None
        adapter.stdin.write('{"id": 1, "do": "hello"}\n')
        adapter.stdin.flush()
        assert json.loads(adapter.stdout.readline())["event"] == "hello"
        adapter.stdin.write('{"id": 2, "do": "exit"}\n')
        adapter.stdin.close()
        assert json.loads(adapter.stdout.readline())["event"] == "bye"
        assert adapter.wait(10) == 0


def test_a_served_client_lives_once_in_each_version_at_a_port() -> None:
    with running_broker() as broker:
        served = forked.run("interop", "mutants", "--serve", "builtin", "--port", str(broker.address.port))
    assert served.returncode == 0
    assert [line.rpartition(" ")[2] for line in served.stdout.splitlines()] == ["5.0", "3.1.1", "3.1"]


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suite", "junit", "words"),
    [
        ("true", "", "needs {port}"),
        ("", "", "needs {port}"),
        ("'{port}", "", "cannot be split"),
        ("true {port}", "one.xml", "put {run} into it"),
    ],
)
def test_a_suite_that_cannot_be_run_is_refused_before_anything_runs(suite: str, junit: str, words: str) -> None:
    with pytest.raises(SuiteFault, match=re.escape(words)):
        Suite(suite, junit).check(2)


def test_a_name_of_no_mutant_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mutants", "--serve", "no such"]) == 2
    assert "no such mutant" in capsys.readouterr().err


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert put_to(tmp_path, "no-such-program {port}") == 2
    assert "cannot start no-such-program" in capsys.readouterr().err


# --- what is made of a run --------------------------------------------------------------------------------------------


MUTANT = Mutant("m", "broker", ("will", "qos2/*"), ())


@pytest.mark.parametrize(
    ("ran", "noticed", "failed"),
    [
        (Ran(0, frozenset(), ""), Noticed.NO, ()),
        (Ran(1, frozenset({"known"}), ""), Noticed.NO, ()),
        (Ran(1, frozenset({"known", "new"}), ""), Noticed.YES, ("new",)),
        (Ran(1, None, "died"), Noticed.YES, ()),
        (Ran(0, None, ""), Noticed.NO, ()),
        (Ran(None, None, ""), Noticed.HUNG, ()),
    ],
)
def test_what_fails_on_the_right_one_is_subtracted(ran: Ran, noticed: Noticed, failed: tuple[str, ...]) -> None:
    outcome = outcome_of(MUTANT, ran, frozenset({"known"}), 1.0)
    assert (outcome.noticed, outcome.failed) == (noticed, failed)


def test_failures_and_errors_of_a_junit_file_are_named_passes_and_skips_not(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    file.write_text(
        '<testsuites><testsuite><testcase classname="a" name="ok"/>'
        '<testcase classname="a" name="f"><failure/></testcase>'
        '<testcase name="e"><error/></testcase><testcase name="s"><skipped/></testcase></testsuite></testsuites>',
        "utf-8",
    )
    assert failed_tests(file) == {"a::f", "e"}
    file.write_text("<testsuites>", "utf-8")
    assert failed_tests(file) is None
    assert failed_tests(tmp_path / "none.xml") is None


def test_a_line_that_was_cut_off_is_played_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "suite.jsonl", {"suite": "s"})
    assert kept.read() is None
    kept.begin({"x"})
    outcome = Outcome("m", "broker", ("will",), Noticed.YES, ("t",), "", 0.5)
    kept.add(outcome)
    with kept.file.open("a") as out:
        out.write('{"mutant": "n", "si')
    assert kept.read() == (frozenset({"x"}), [outcome])
    with pytest.raises(OfAnotherSuite):
        Kept(kept.file, {"suite": "another"}).read()


def test_the_table_counts_by_what_a_mutant_is_wrong_in() -> None:
    outcomes = [
        Outcome("a", "broker", ("will",), Noticed.YES, tuple("tuvw")),
        Outcome("b", "broker", ("will", "qos2/x", "qos2/y"), Noticed.NO),
        Outcome("c", "broker", ("qos2",), Noticed.HUNG),
    ]
    lines = list(SuiteTable({}, frozenset(), outcomes, ("c: fell",)).lines())
    assert "noticed      a: t, u, v and 1 more" in lines
    assert [" ".join(line.split()) for line in lines if " of " in line and "mutants" not in line] == [
        "qos2 1 of 2",
        "will 1 of 2",
    ]
    assert lines[-2:] == ["fell over: c: fell", "2 of 3 mutants noticed, 1 of them by hanging"]
