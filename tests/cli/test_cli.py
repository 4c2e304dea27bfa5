"""The command line: what each subcommand prints, its exit code, and one clear line where something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from itertools import pairwise
from pathlib import Path

import pytest

import reference_broker.command
from interop import installed, subjects
from interop.brokers.catalog import built_brokers
from interop.brokers.registry import BROKERS
from interop.cli import _parser, main, pytest_arguments
from interop.drivers.registry import DRIVERS
from interop.installed import missing
from reports.diff import Cell, write_expected
from reports.record import Record, Verdict, write_records

REPOSITORY = Path(__file__).parents[2]

SCENARIO = """\
title: The broker answers
versions:
  "5.0": {level: must, cites: [MQTT-3.12.4-1]}
actors:
  client: {}
steps:
  - {do: stays_open, link: client}
"""

CELL = Cell("ping/answer", "builtin", "reference", "5.0", "tcp")


def save(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def results(path: Path, verdict: Verdict = Verdict.PASS, **changes: object) -> Path:
    fields = {**CELL._asdict(), "title": "t", "area": "ping", "verdict": verdict, "seconds": 0.5, **changes}
    write_records(path, [Record.model_validate(fields)])
    return path


def exit_code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    code = caught.value.code
    assert isinstance(code, int)
    return code


# --- what is wrong with the command line itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["lint", "--nonsense"], ["schema"], ["schema", "other"], ["diff", "a"]]
)
def test_misuse_exits_2_and_says_how_it_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(*arguments) == 2
    assert "usage: mqtt-interop" in capsys.readouterr().err


def test_a_command_there_is_none_of_has_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("certfy") == 2
    assert "there is no command 'certfy'; did you mean certify? (`mqtt-interop --help` has" in capsys.readouterr().err


def test_a_mode_of_bench_there_is_none_of_has_all_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("bench", "fanout") == 2
    assert "invalid choice: 'fanout' (choose from 'pairs', 'fan-in', 'fan-out'" in capsys.readouterr().err


def test_help_lists_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("--help") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("broker", "pub", "sub", "run", "lint", "schema", "list", "report", "diff"))


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("--version") == 0
    assert capsys.readouterr().out.startswith("mqtt-interop ")


# --- lint -------------------------------------------------------------------------------------------------------------


def test_lint_says_in_one_line_that_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "ping" / "answer.yaml", SCENARIO)
    assert main(["lint", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 scenarios in 1 areas, 1 rows, 1 cells for each client and broker: ok\n"


def test_lint_of_the_collection_that_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint"]) == 0
    assert capsys.readouterr().out.endswith(": ok\n")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "do: stays_open",
            "do: stay_open",
            "answer.yaml:7: steps[1]: unknown verb 'stay_open'; did you mean 'stays_open'?",
        ),
        ("link: client", "link: clent", "answer.yaml:7: steps[1].link: unknown actor 'clent'; did you mean 'client'?"),
        ("3.12.4-1", "3.12.4-2", "answer.yaml:3: versions.5.0.cites[1]: MQTT 5.0 has no statement 'MQTT-3.12.4-2'"),
    ],
)
def test_lint_names_file_line_and_expectation_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], right: str, wrong: str, said: str
) -> None:
    path = save(tmp_path / "ping" / "answer.yaml", SCENARIO.replace(right, wrong))
    assert main(["lint", str(path)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_lint_of_a_folder_without_scenarios_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "mqtt-interop: no scenario files there\n"


# --- without the packages of the harness ------------------------------------------------------------------------------


def test_what_needs_the_packages_of_the_harness_says_in_one_line_how_they_are_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert missing("harness") == []
    assert "pydantic" in without_packages(monkeypatch)
    for subcommand in ("run", "certify", "lint"):
        assert main([subcommand]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"mqtt-interop: {subcommand} needs packages that are not installed (cryptography, ")
        assert said.endswith("): pip install 'mqtt-interop[harness]'\n")
        assert said.count("\n") == 1


def test_broker_pub_and_sub_and_the_help_need_none_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_packages(monkeypatch)
    for command in (["broker", "--help"], ["--help"]):
        assert exit_code_of(*command) == 0
    for name in ("pub", "sub"):
        assert main([name, "--help"]) == 0
    assert "pip install" not in capsys.readouterr().err


def without_packages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have no package installed but ours; gives the packages of the extra."""

    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installed, "distribution", absent)
    return missing("harness")


# --- schema, list -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("scenario", "interop/scenario/scenario.schema.json"),
        ("contract", "interop/drivers/contract.schema.json"),
        ("results", "reports/results.schema.json"),
    ],
)
def test_schemas_are_printed_as_they_are_published(name: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)
    assert printed == (REPOSITORY / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("clients", "builtin  "),
        ("brokers", "reference"),
        ("features", "qos2 "),
        ("rules", "puback-order "),
        ("scenarios", "ping/answer  (5.0)  The"),
    ],
)
def test_lists(what: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "ping" / "answer.yaml", SCENARIO)
    assert main(["list", what, "--scenarios", str(tmp_path)]) == 0
    assert any(found.startswith(line) for found in capsys.readouterr().out.splitlines())


def test_features_say_whose_they_are_and_those_of_brokers_alone_come_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "features"]) == 0
    whose = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert set(whose) == {"client", "broker", "both"}
    assert set(whose[whose.index("broker") :]) == {"broker"}


def test_a_slow_scenario_is_listed_and_counted_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "ping" / "answer.yaml", f"slow: true\n{SCENARIO}")
    assert main(["list", "scenarios", "--scenarios", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("ping/answer  (5.0)  slow  The")
    assert main(["lint", str(tmp_path)]) == 0
    assert "1 rows (1 slow), 1 cells" in capsys.readouterr().out


def test_a_list_of_scenarios_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "scenarios", "--scenarios", str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.endswith("absent:1: No such file or directory\n")


# --- broker, pub, sub -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["broker", "pub", "sub"])
def test_the_reference_commands_get_their_options_untouched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # -h is the host there, not help.
    seen: list[list[str]] = []
    monkeypatch.setattr(reference_broker.command, "main", lambda arguments: seen.append(arguments) or 7)
    assert main([name, "-h", "127.0.0.1", "-V", "5", "--version"]) == 7
    assert seen == [[name, "-h", "127.0.0.1", "-V", "5", "--version"]]


def test_ctrl_c_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(reference_broker.command, "main", interrupted)
    assert main(["sub", "-t", "t"]) == 2
    assert capsys.readouterr().err == "mqtt-interop: interrupted\n"


# --- run --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pytest_run(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pytest was called with; it answers with the exit code after `--answer`."""
    calls: list[list[str]] = []

    def answer(arguments: list[str]) -> int:
        calls.append(arguments)
        return int(arguments[arguments.index("--answer") + 1]) if "--answer" in arguments else 0

    monkeypatch.setattr(pytest, "main", answer)
    return calls


def test_run_hands_its_options_to_the_matrix(pytest_run: list[list[str]]) -> None:
    options = [
        "--client",
        "paho",
        "--client",
        "gmqtt",
        "--mqtt",
        "5.0",
        "--scenario",
        "qos2/*",
        "--out",
        "there",
        "-n",
        "2",
    ]
    assert main(["run", *options, "-k", "resume", "-x", "--collect-only"]) == 0
    [[file, *arguments]] = pytest_run
    assert file == str(REPOSITORY / "interop" / "test_compatibility.py")
    pairs = list(pairwise(arguments))
    assert "--slow" not in arguments
    for pair in [*zip(options[::2], options[1::2], strict=True), ("-k", "resume")]:
        assert pair in pairs
    assert arguments[-2:] == ["-x", "--collect-only"]


def test_run_hands_on_that_slow_scenarios_are_asked_for(pytest_run: list[list[str]]) -> None:
    assert main(["run", "--slow"]) == 0
    assert "--slow" in pytest_run[0]


def test_run_without_options_selects_nothing_away(pytest_run: list[list[str]]) -> None:
    assert main(["run"]) == 0
    assert pytest_run[0][1:] == ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]


@pytest.mark.parametrize(("pytest_code", "code"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 2), (5, 2)])
def test_run_has_the_exit_codes_of_the_matrix(
    pytest_run: list[list[str]], pytest_code: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    # 4 is pytest's "wrong usage".
    assert main(["run", "--answer", str(pytest_code)]) == code
    assert ("`mqtt-interop run --help` has the options" in capsys.readouterr().err) == (pytest_code == 4)


def test_run_knows_every_option_of_the_plugin() -> None:
    text = (REPOSITORY / "interop" / "runner" / "plugin.py").read_text(encoding="utf-8")
    options = _parser("run").parse_args(["run"])
    for option in (
        "client",
        "broker",
        "mqtt",
        "transport",
        "scenario",
        "scenarios",
        "known_failures",
        "out",
        "slow",
        "shard",
        "strict_known",
        "write_known_failures",
    ):
        assert f'"--{option.replace("_", "-")}"' in text
        assert hasattr(options, option)
    options.extra, options.slow, options.strict_known, options.shard = [], True, True, "1/2"
    assert pytest_arguments(options) == ["--shard", "1/2", "--slow", "--strict-known"]


# --- results ----------------------------------------------------------------------------------------------------------


def test_diff_of_equal_verdicts_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_expected(tmp_path / "expected.csv", {CELL: Verdict.PASS})
    assert main(["diff", str(tmp_path / "expected.csv"), str(results(tmp_path / "results.jsonl"))]) == 0
    assert capsys.readouterr().out == "No verdict differs.\n"


def test_diff_of_different_verdicts_exits_1_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = results(tmp_path / "a.jsonl"), results(tmp_path / "b.jsonl", Verdict.FAIL)
    assert main(["diff", str(before), str(after)]) == 1
    assert "ping/answer builtin reference 5.0 tcp: pass -> fail" in capsys.readouterr().out


def test_diff_of_one_client_takes_no_notice_of_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected, after = tmp_path / "expected.csv", results(tmp_path / "results.jsonl")
    write_expected(expected, {CELL: Verdict.PASS, CELL._replace(client="paho"): Verdict.PASS})
    assert main(["diff", str(expected), str(after)]) == 1
    assert main(["diff", str(expected), str(after), "--client", "builtin"]) == 0
    capsys.readouterr()
    assert main(["diff", str(expected), str(after), "--client", "paho"]) == 1
    assert "gone (1):" in capsys.readouterr().out


def test_diff_writes_expected_verdicts(tmp_path: Path) -> None:
    expected, after = tmp_path / "expected.csv", results(tmp_path / "b.jsonl", Verdict.FAIL)
    assert main(["diff", "--write", str(expected), str(after)]) == 0
    assert main(["diff", str(expected), str(after)]) == 0


@pytest.mark.parametrize(
    ("text", "said"), [(None, "No such file or directory"), ("{}\n", "results.jsonl:1: not a result record")]
)
def test_results_that_cannot_be_read_are_one_line_and_exit_code_2(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.jsonl"
    if text is not None:
        save(path, text)
    for command in (["report", str(path), "--out", str(tmp_path / "out")], ["diff", str(path), str(path)]):
        assert main(command) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("mqtt-interop: ")
        assert said in line


def test_report_merges_results_into_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = results(tmp_path / "one.jsonl", started_at="2024-05-01T10:00:00+00:00")
    two = results(tmp_path / "two.jsonl", client="paho", started_at="2024-05-01T10:00:09+00:00")
    assert main(["report", str(one), str(two), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"2 results: {tmp_path / 'out' / 'report.html'}\n"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.html", "junit.xml", "summary.md", "results.jsonl"} <= names


def test_a_report_of_nothing_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "results.jsonl", "")
    assert main(["report", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "no results in" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = save(tmp_path / "file", "")
    assert main(["report", str(results(tmp_path / "r.jsonl")), "--out", str(blocked / "out")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("mqtt-interop: ")


# --- as a process -----------------------------------------------------------------------------------------------------


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
    )


def test_lint_and_version_load_no_more_than_they_need(tmp_path: Path) -> None:
    path = save(tmp_path / "ping" / "answer.yaml", SCENARIO)
    heavy = ["pytest", "rich", "jinja2", "docker", "gmqtt", "paho", "websockets", "interop.runner", "interop.drivers"]
    code = (
        "import sys; from interop.cli import main; "
        f"code = main(['lint', {str(path)!r}]); "
        f"print(code, [name for name in {heavy!r} if name in sys.modules])"
    )
    assert run_python("-c", code).stdout.splitlines()[-1] == "0 []"


def test_a_worker_of_the_matrix_loads_no_reports_and_no_container_engine() -> None:
    heavy = ["rich", "jinja2", "docker", "interop.runner.controller", "reports.html"]
    code = f"import sys, interop.runner.plugin; print([name for name in {heavy!r} if name in sys.modules])"
    assert run_python("-c", code).stdout == "[]\n"


def test_the_package_runs_as_the_command() -> None:
    finished = run_python("-m", "interop", "lint", "absent.yaml")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr == "absent.yaml:1: No such file or directory\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m interop list scenarios | head -n 1; echo ${{PIPESTATUS[0]}}"
    finished = subprocess.run(
        ["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
    )
    assert finished.stderr == ""
    assert finished.stdout.splitlines()[-1] == "0"


def test_help_names_what_can_be_under_test() -> None:
    """All but what is for the harness's own tests, and what the folders bring."""
    for words, names, own in (
        (subjects.CLIENT, DRIVERS.keys(), {"builtin-process", "minimal"}),
        (subjects.BROKER, BROKERS.keys() - built_brokers().keys(), {"rumqttd-3.1.1", "ticking"}),
    ):
        assert names - set(words.partition(": ")[2].split(", ")) == own
