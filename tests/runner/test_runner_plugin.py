"""The matrix as a user starts it: `pytest interop/` in a process of its own, its exit codes, words and files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import forked
import pytest
from runner_matrix import ended, matrix_options, started

from interop.requirements.requirements import sentences
from reference_broker.testing import running_broker

RIGHT = """\
title: A message arrives
versions:
  "5.0": {level: must, cites: [MQTT-3.8.4-8]}
actors: {sub: {}}
steps:
  - {do: subscribe, as: sub, topic: t, qos: 1}
  - {do: publish, as: sub, topic: t, qos: 1, payload: hello}
  - {do: receive, as: sub, topic: t, payload: hello}
"""
WRONG = RIGHT.replace("A message arrives", "Another message arrives").replace(
    "payload: hello}\n", "payload: hello}\n", 1
)
WRONG = WRONG.replace("topic: t, payload: hello}", "topic: t, payload: goodbye}")
# Reads commands, answers hello and the probe, and ends when it is asked to connect.
CRASHING_ADAPTER = """\
import json, sys
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "hello":
        event = {"event": "hello", "contract": 1, "client": "crasher", "version": "1", "mqtt": ["5.0"]}
    elif command["do"] == "connect":
        sys.exit("this is the end")
    elif command["do"] == "reset":
        event = {"event": "ready"}
    else:
        event = {"event": "error", "error": "unsupported"}
    print(json.dumps(event | {"id": command["id"]}), flush=True)
"""

# Tells on which loop the reference broker begins to listen.
SPY = """\
import asyncio, pathlib
from reference_broker.net.server import BrokerServer
start = BrokerServer.start
async def telling(self):
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    pathlib.Path(__file__).with_name("loop").write_text(loop)
    await start(self)
BrokerServer.start = telling
"""

# Writes down which of pytest's steps were told, with something of somebody's around them.
AROUND = """\
import pathlib, pytest
steps = []
{around}
def pytest_runtest_logreport(report):
    steps.append(report.when)
def pytest_sessionfinish():
    pathlib.Path(__file__).with_name("steps").write_text(" ".join(steps))
"""

# Says that this machine is as busy as it was when verdicts had to be withheld.
BUSY = """\
from interop.runner.busy import Heartbeat, Lag
Heartbeat.since = lambda self, begin: Lag(1.3, 1.5, 0.9, 2.0)
"""


def collection(folder: Path, **files: str) -> Path:
    """A folder of scenarios; the README is what names the areas."""
    area = folder / "scenarios" / "delivery"
    area.mkdir(parents=True)
    for name, text in files.items():
        (area / f"{name}.yaml").write_text(text)
    return folder / "scenarios"


def matrix(
    scenarios: Path, *options: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the matrix of a collection with the built-in client, unless options say otherwise."""
    return forked.run("pytest", *matrix_options(scenarios.parent, *options), env=environment)


def records(scenarios: Path) -> list[dict[str, object]]:
    with (scenarios.parent / "out" / "results.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


def test_a_plugin_whose_package_no_test_uses_imports_it_for_no_summary(tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "right.yaml").write_text(RIGHT)
    options = ["interop", "--collect-only", "-q", "--scenarios", str(tmp_path / "scenarios")]
    told = f"import sys, pytest; code = pytest.main({options!r}); print(int(code), 'hypothesis' in sys.modules)"
    command = [sys.executable, "-c", told]
    run = subprocess.run(command, cwd=forked.REPOSITORY, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "0 False"


def test_all_as_expected_is_0_and_leaves_its_files(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, right=RIGHT)
    command = [sys.executable, "-m", "pytest", *matrix_options(tmp_path)]  # this one cold, as a user's is
    run = subprocess.run(command, cwd=forked.REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "results.jsonl",
        "run.json",
        "coverage.json",
        "report.html",
        "junit.xml",
        "ctrf.json",
        "summary.md",
        "badge.json",
        "badge.svg",
    }
    (record,) = records(scenarios)
    wanted = {"scenario", "client", "broker", "mqtt", "transport", "verdict", "reason", "cites", "seconds"}
    assert wanted <= set(record)
    assert (record["scenario"], record["verdict"]) == ("delivery/right", "pass")
    assert "report.html" in run.stdout


@pytest.mark.parametrize("kind", ["any_client", "slow"])
def test_a_kind_of_cells_may_be_left_out_where_there_are_none_of_it(tmp_path: Path, kind: str) -> None:
    scenarios = collection(tmp_path, right=RIGHT)
    run = matrix(scenarios, "-m", f"not {kind}")
    assert run.returncode == 0, run.stdout + run.stderr
    assert [record["scenario"] for record in records(scenarios)] == ["delivery/right"]


@pytest.mark.parametrize(
    ("options", "played", "left_out"),
    [
        ((), ["delivery/right"], True),
        (("-n", "2"), ["delivery/right"], True),
        (("--slow",), ["delivery/right", "delivery/slow"], False),
        (("-m", "slow"), ["delivery/slow"], False),
        (("-m", "mqtt50 and not slow"), ["delivery/right"], False),
    ],
)
def test_slow_cells_are_played_when_asked_for_and_else_said_to_be_left_out(
    tmp_path: Path, options: tuple[str, ...], played: list[str], left_out: bool
) -> None:
    scenarios = collection(tmp_path, right=RIGHT, slow="slow: true\n" + RIGHT.replace("A message", "Another"))
    run = matrix(scenarios, *options)
    assert run.returncode == 0, run.stdout + run.stderr
    assert sorted(str(record["scenario"]) for record in records(scenarios)) == played
    said = "1 slow cell was left out (--slow plays them)."
    assert (said in run.stdout) is left_out
    assert (said in (tmp_path / "out" / "summary.md").read_text()) is left_out


def test_where_all_that_is_selected_is_slow_nothing_ran_and_why_is_said(tmp_path: Path) -> None:
    run = matrix(collection(tmp_path, slow=f"slow: true\n{RIGHT}"))
    assert run.returncode == 3
    assert "1 slow cell was left out (--slow plays them)." in run.stdout
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(("options", "loop"), [((), "uvloop"), (("--loop", "asyncio"), "asyncio")])
def test_a_run_is_played_on_the_loop_asked_for_and_says_how_to_do_it_again(
    tmp_path: Path, options: tuple[str, ...], loop: str
) -> None:
    spy = tmp_path / "spy.py"
    spy.write_text(SPY)
    scenarios = collection(tmp_path, right=RIGHT)
    run = matrix(scenarios, *options, "-p", "spy", environment={"PYTHONPATH": str(tmp_path)})
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "loop").read_text() == loop
    (record,) = records(scenarios)
    assert str(record["rerun"]).endswith(" --loop asyncio") == (loop == "asyncio")


@pytest.mark.parametrize(
    ("around", "options", "steps"),
    [
        ("", (), ["call"]),
        (
            "around = pytest.fixture(autouse=True)(lambda: steps.append('fixture'))",
            (),
            ["setup", "fixture", "call", "teardown"],
        ),
        ("def pytest_itemcollected(item): item.add_marker('skip')", (), ["setup", "teardown"]),
        ("", ("--setup-show",), ["setup", "call", "teardown"]),
    ],
    ids=["nothing", "fixture", "mark", "option"],
)
def test_a_cell_is_one_report_unless_somebody_put_something_around_tests(
    tmp_path: Path, around: str, options: tuple[str, ...], steps: list[str]
) -> None:
    (tmp_path / "around.py").write_text(AROUND.format(around=around))
    run = matrix(collection(tmp_path, right=RIGHT), *options, "-p", "around", environment={"PYTHONPATH": str(tmp_path)})
    assert sorted((tmp_path / "steps").read_text().split()) == sorted(steps), run.stdout + run.stderr


@pytest.mark.parametrize("options", [(), ("-v",)], ids=["table", "no-table"])
def test_a_run_says_in_the_end_how_many_cells_a_busy_machine_had_played_again(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "busy_machine.py").write_text(BUSY)
    scenarios = collection(tmp_path, right=RIGHT, wrong=WRONG)
    run = matrix(scenarios, *options, "-p", "busy_machine", environment={"PYTHONPATH": str(tmp_path)})
    told = {str(record["scenario"]): record["played_again"] for record in records(scenarios)}
    assert told["delivery/right"] is None
    first = told["delivery/wrong"]
    assert isinstance(first, dict)
    assert first["lag_seconds"] == 1.3
    said = "1 cell was played again because this machine was too busy: "
    assert said in run.stdout
    assert said in (tmp_path / "out" / "summary.md").read_text()


def test_an_implementation_that_falls_short_is_1(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, right=RIGHT, wrong=WRONG)
    run = matrix(scenarios)
    assert run.returncode == 1
    assert "goodbye" in run.stdout
    assert sorted(str(record["verdict"]) for record in records(scenarios)) == ["fail", "pass"]


def test_the_end_begins_with_the_defects_of_the_whole_records_and_what_their_statements_say(tmp_path: Path) -> None:
    elsewhere = WRONG.replace("Another", "One more").replace("{sub:", "{other:").replace("as: sub", "as: other")
    run = matrix(collection(tmp_path, wrong=WRONG, elsewhere=elsewhere))
    assert run.returncode == 1, run.stdout + run.stderr
    _, _, end = run.stdout.partition("1 defect: 1 new.")  # what is a link's name is only known from the trace
    said = end.splitlines()
    assert "expected 'goodbye', but … got 'hello' (2 cells)" in said[1]
    assert said[2].strip() == f"5.0 MQTT-3.8.4-8: {sentences()['5.0', 'MQTT-3.8.4-8']}"
    assert sentences()["5.0", "MQTT-3.8.4-8"] in (tmp_path / "out" / "report.html").read_text()


def test_without_pytest_xdist_one_process_plays(tmp_path: Path) -> None:
    run = matrix(collection(tmp_path, right=RIGHT), "-p", "no:xdist")
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_known_failure_keeps_the_build_green(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, wrong=WRONG)
    known = tmp_path / "known.yaml"
    known.write_text("[{client: builtin, scenarios: [delivery/wrong], reason: says hello for ever}]")
    run = matrix(scenarios, "--known-failures", str(known))
    assert run.returncode == 0, run.stdout
    (record,) = records(scenarios)
    assert record["verdict"] == "fail"
    assert record["known_failure"] == {"reason": "says hello for ever", "link": None, "evidence": [], "readings": []}


def test_a_known_failure_that_does_not_show_any_more_fails_a_strict_run_only(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, right=RIGHT)
    known = tmp_path / "known.yaml"
    known.write_text("[{client: builtin, scenarios: [delivery/right], reason: was wrong once}]")
    assert matrix(scenarios, "--known-failures", str(known)).returncode == 0
    run = matrix(scenarios, "--known-failures", str(known), "--strict-known")
    assert run.returncode == 1, run.stdout
    assert "it passed, but is listed to fail" in run.stdout


def test_each_failure_is_told_once_on_the_terminal(tmp_path: Path) -> None:
    run = matrix(collection(tmp_path, right=RIGHT, wrong=WRONG), "-n", "2")
    assert run.returncode == 1, run.stdout
    assert run.stdout.count("delivery/wrong") == 1
    assert run.stdout.count("goodbye") == 1
    assert "1 failed, 1 passed" in run.stdout


def test_shards_merged_are_the_whole_run(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, right=RIGHT, wrong=WRONG, again=RIGHT.replace("A message", "A second message"))
    whole = matrix(scenarios)
    for number in (1, 2):
        matrix(scenarios, "--shard", f"{number}/2", "-n", str(number), "--out", str(tmp_path / f"shard{number}"))
    shards = [str(tmp_path / f"shard{number}") for number in (1, 2)]
    merged = forked.run("interop", "merge", *shards, "--out", str(tmp_path / "merged"))
    assert merged.returncode == whole.returncode == 1, merged.stdout
    played = [
        [
            (each["scenario"], each["verdict"])
            for each in map(json.loads, (tmp_path / name / "results.jsonl").read_text().splitlines())
        ]
        for name in ("out", "merged", "shard1", "shard2")
    ]
    assert played[0] == played[1] == sorted(played[2] + played[3])
    assert played[2]
    assert played[3]


def test_a_missing_shard_is_told_when_the_others_are_merged(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, right=RIGHT, wrong=WRONG)
    matrix(scenarios, "--shard", "1/2")
    merged = forked.run("interop", "merge", str(tmp_path / "out"), "--out", str(tmp_path / "merged"))
    assert merged.returncode == 2
    assert "Missing: shard 2/2." in merged.stdout


def test_with_the_list_it_wrote_the_same_run_is_green(tmp_path: Path) -> None:
    scenarios, known = collection(tmp_path, right=RIGHT, wrong=WRONG), tmp_path / "known.yaml"
    run = matrix(scenarios, "--write-known-failures", str(known))
    assert run.returncode == 1
    assert f"{known}: 1 new entry; say of each why, and link its report" in run.stdout
    assert matrix(scenarios, "--known-failures", str(known), "--strict-known").returncode == 0


def test_for_what_can_be_read_in_two_ways_nobody_is_blamed(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, wrong=WRONG)
    known = tmp_path / "known.yaml"
    known.write_text("[{scenarios: [delivery/*], class: ambiguous, readings: [hello, goodbye], reason: who knows}]")
    run = matrix(scenarios, "--known-failures", str(known))
    assert run.returncode == 0, run.stdout
    (record,) = records(scenarios)
    assert (record["verdict"], record["blame"]) == ("fail", "none")
    assert "nobody (builtin with reference)" in run.stdout
    assert '"blame":"broker"' not in (tmp_path / "out" / "results.jsonl").read_text()


def test_on_github_a_failure_is_annotated_at_its_line_and_the_job_has_a_summary(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": str(tmp_path)}
    run = matrix(collection(tmp_path, wrong=WRONG), "-n", "1", environment=github)
    assert run.returncode == 1
    assert "\n::error file=scenarios/delivery/wrong.yaml,line=8,title=fail%3A " in run.stdout
    assert summary.read_text().startswith("## MQTT interoperability\n\n**1 new failure in 1 cell.**")


def test_a_shared_run_gives_the_same_records_as_a_single_one(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, right=RIGHT, wrong=WRONG)
    run = matrix(scenarios, "-n", "2")
    assert run.returncode == 1, run.stdout + run.stderr
    assert {record["scenario"]: record["verdict"] for record in records(scenarios)} == {
        "delivery/right": "pass",
        "delivery/wrong": "fail",
    }


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_a_run_that_was_to_end_at_its_first_failure_is_1_and_says_what_did_not_run(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    waiting = RIGHT.replace("A message arrives", "A message waits").replace(
        "  - {do: receive", "  - {do: elapse, seconds: 25, because: the run ends before}\n  - {do: receive"
    )
    scenarios = collection(tmp_path, a_wrong=WRONG, waiting=waiting)
    run = matrix(scenarios, "-x", *options)
    assert run.returncode == 1, run.stdout + run.stderr
    assert [record["verdict"] for record in records(scenarios)] == ["fail"]
    assert "1 cell did not run. The run was ended: stopping after 1 failures." in run.stdout
    assert "1 new failure in 1 cell; 1 cell did not run." in (tmp_path / "out" / "summary.md").read_text()


def test_cells_may_be_named_one_by_one_in_a_file_by_their_ids_or_as_they_are_listed(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, right=RIGHT, wrong=WRONG)
    listed = matrix(scenarios, "--collect-only", "-q").stdout.splitlines()
    (line,) = [each for each in listed if "delivery/right" in each]
    for text in (line, line.partition("[")[2].removesuffix("]")):
        (tmp_path / "cells.txt").write_text(f"{text}\n\n")
        assert matrix(scenarios, "--cells", str(tmp_path / "cells.txt"), "-n", "1").returncode == 0
        assert [record["scenario"] for record in records(scenarios)] == ["delivery/right"]


def test_a_file_of_cells_that_is_not_there_is_2_in_a_line(tmp_path: Path) -> None:
    run = matrix(collection(tmp_path, right=RIGHT), "--cells", "nowhere.txt")
    assert run.returncode == 2
    assert "--cells nowhere.txt: No such file or directory" in run.stdout + run.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("-k", "nothing_is_called_like_this"),
        ("--scenario", "nothing/*"),
        ("--statement", "MQTT-3.1.2-8"),
        ("--rule", "will-once"),
    ],
)
def test_nothing_selected_is_3(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert matrix(collection(tmp_path, right=RIGHT), *options).returncode == 3


def test_a_statement_there_is_none_of_is_2_with_the_nearest_in_a_line(tmp_path: Path) -> None:
    run = matrix(collection(tmp_path, right=RIGHT), "--statement", "5.0:MQTT-3.8.4-88")
    assert run.returncode == 2
    assert "unknown statement 5.0:MQTT-3.8.4-88; nearest are 5.0:MQTT-3.8.4-8" in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RIGHT.replace("do: publish", "do: publsh"), ["right.yaml:7", "publsh", "publish"]),
        (RIGHT.replace("do: publish, as: sub", "do: publish, as: subb"), ["right.yaml:7", "subb", "sub"]),
        (RIGHT.replace("MQTT-3.8.4-8", "MQTT-3.8.4-88"), ["right.yaml:3", "MQTT-3.8.4-88"]),
        (
            RIGHT.replace("title: A message arrives\n", "title: A message arrives\ncolour: red\n"),
            ["right.yaml:2", "colour"],
        ),
    ],
)
def test_a_typo_in_a_scenario_is_2_with_file_line_and_what_was_expected(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    run = matrix(collection(tmp_path, right=text))
    said = run.stdout + run.stderr
    assert run.returncode == 2, said
    assert all(word in said for word in words), said
    assert "Traceback" not in said


def test_a_duplicate_title_is_2(tmp_path: Path) -> None:
    run = matrix(collection(tmp_path, right=RIGHT, again=RIGHT))
    assert run.returncode == 2
    assert "A message arrives" in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--client", "pahoo"), ["unknown client 'pahoo'; did you mean paho?"]),
        (("--client", "acme=command:./no-such a,b"), ["acme cannot be played: cannot start ./no-such"]),
        (("--broker", "nonesuch"), ["nonesuch", "reference"]),
        (("--broker", "refrence"), ["unknown broker 'refrence'; did you mean reference?"]),
        (("-k", "will and"), ["'-k': will and: at column 9"]),
        (("-m", "delivery and slw"), ["-m 'delivery and slw': there is no marker slw; did you mean slow?"]),
        (("--broker", "127.0.0.1:1"), ["127.0.0.1:1"]),
        (("--mqtt", "4.0"), ["4.0", "3.1.1"]),
        (("--shard", "3/2"), ["--shard 3/2", "i/n"]),
        (("--loop", "trio"), ["--loop trio", "asyncio, uvloop"]),
        (("--known-failures", "/nowhere/known.yaml"), ["/nowhere/known.yaml"]),
        (("--write-known-failures", "/nowhere/new.yaml"), ["cannot write /nowhere/new.yaml"]),
        (("--out", "/dev/null/out"), ["/dev/null/out", "--out"]),
    ],
)
def test_an_option_that_cannot_be_met_is_2_with_one_clear_line(
    tmp_path: Path, options: tuple[str, ...], words: list[str]
) -> None:
    run = matrix(collection(tmp_path, right=RIGHT), *options)
    said = run.stdout + run.stderr
    assert run.returncode == 2, said
    assert all(word in said for word in words), said
    assert "Traceback" not in said


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_typo_in_what_to_play_leaves_the_reports_of_the_run_before(tmp_path: Path, workers: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.jsonl").write_text("of before")
    assert matrix(collection(tmp_path, right=RIGHT), "-k", "right or", "--out", str(out), *workers).returncode == 2
    assert [each.read_text() for each in out.glob("*.*")] == ["of before"]


def test_an_adapter_that_crashes_costs_its_own_cells_only(tmp_path: Path) -> None:
    adapter = tmp_path / "crasher.py"
    adapter.write_text(dedent(CRASHING_ADAPTER))
    scenarios = collection(tmp_path, right=RIGHT)
    run = matrix(scenarios, "--client", f"command:{sys.executable} {adapter}", "--client", "builtin")
    assert run.returncode == 2, run.stdout + run.stderr
    verdicts = {record["client"]: record for record in records(scenarios)}
    assert verdicts["builtin"]["verdict"] == "pass"
    assert verdicts["crasher"]["verdict"] == "harness-error"
    assert "this is the end" in str(verdicts["crasher"]["log"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_reports_what_ran(tmp_path: Path, number: signal.Signals) -> None:
    waiting = RIGHT.replace("A message arrives", "A message waits").replace(
        "  - {do: receive", "  - {do: elapse, seconds: 25, because: the test interrupts it}\n  - {do: receive"
    )
    scenarios = collection(tmp_path, a_waiting=waiting, right=RIGHT)  # pytest waits for the first
    parts = tmp_path / "out" / ".parts" / "gw0.jsonl"
    with started(tmp_path) as run:
        for line in run.stdout:  # the table says that the cells have begun; the short one is over once it is on disk
            if "cells" in line:
                break
        while not (parts.exists() and parts.stat().st_size):
            assert run.poll() is None, ended(run)
            os.sched_yield()
        run.send_signal(number)
        status, said = ended(run)
    assert status == 2, said
    assert [record["scenario"] for record in records(scenarios)] == ["delivery/right"]
    assert "1 cell did not run." in said
    assert "(client) passes 1 of 1 cell" in said
    assert (tmp_path / "out" / "report.html").exists()


def test_a_broker_is_held_to_its_profile_and_where_cells_have_it_alone_one_worker_plays(
    tmp_path: Path,
) -> None:
    with running_broker() as broker:
        (tmp_path / "acme.toml").write_text(
            f'name = "acme"\nalone = true\nlacks = ["retained"]\n[listeners]\ntcp = "{broker.address.host_and_port}"\n'
            '[commands]\nreset = "true"\n'
        )
        scenarios = collection(tmp_path, right=RIGHT)
        options = ("--broker-profile", str(tmp_path / "acme.toml"))
        played = matrix(scenarios, *options)
        assert [record["broker"] for record in records(scenarios)] == ["acme"]
        refused = matrix(scenarios, *options, "-n", "2")
    assert played.returncode == 0
    assert "mismatch: acme: the profile says that it lacks retained, but CONNACK does not say so" in played.stdout
    assert refused.returncode == 2
    assert "acme: cells have it to themselves" in refused.stderr
