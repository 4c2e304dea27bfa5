"""action.yml and the GitLab template: the very commands they run, run as their CI systems run them.

Nothing is fetched: what the package needs is lent by the environment of the tests.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.thorough

REPOSITORY = Path(__file__).parents[2]
ACTION = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
GITLAB = yaml.safe_load((REPOSITORY / ".ci" / "gitlab.yml").read_text(encoding="utf-8"))
SECRET = "S3cret%21word"

SCENARIO = """\
title: Message {name} arrives
versions:
  "5.0": {{level: must, cites: [MQTT-3.8.4-8]}}
actors: {{sub: {{}}}}
steps:
  - {{do: subscribe, as: sub, topic: t, qos: 1}}
  - {{do: publish, as: sub, topic: t, qos: 1, payload: hello}}
  - {{do: receive, as: sub, topic: t, payload: {payload}}}
"""


class Machine:
    """One machine of a CI system: a checkout with scenarios, and what the system hands from step to step."""

    def __init__(self, folder: Path, lent: dict[str, str]) -> None:
        self.folder = folder
        self.checkout = folder / "checkout"
        area = self.checkout / "scenarios of mine" / "delivery"
        area.mkdir(parents=True)
        for name, payload in (("right", "hello"), ("wrong", "goodbye")):
            (area / f"{name}.yaml").write_text(SCENARIO.format(name=name, payload=payload))
        files = {name: folder / name.lower() for name in ("GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.touch()
        self.github = {name: str(file) for name, file in files.items()} | {
            "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(self.checkout), "GITHUB_ACTION_PATH": str(REPOSITORY)
        }  # fmt: skip
        ours = ("GITHUB_", "CI_", "PYTEST_", "COV_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | lent

    def told(self, name: str) -> str:
        return Path(self.github[name]).read_text()

    def sh(self, script: str, *shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
        file = self.folder / "script"
        file.write_text(script)
        return subprocess.run(
            [*shell, str(file)], cwd=self.checkout, env=self.environment | environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    def action(self, *steps: int, **inputs: str) -> subprocess.CompletedProcess[str]:
        """The steps of action.yml as GitHub runs them; gives how the last one went."""
        values = {name: each["default"] for name, each in ACTION["inputs"].items()} | inputs
        for number in steps:
            step = ACTION["runs"]["steps"][number]
            environment = {
                name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: values[match[1]], value)
                for name, value in step["env"].items()
            }
            path = os.pathsep.join([*self.told("GITHUB_PATH").splitlines(), self.environment["PATH"]])
            bash = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
            done = self.sh(step["run"], *bash, **self.github, **environment, PATH=path)
        return done

    def gitlab(self, job: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A job of the template as GitLab runs it where an image has no bash: all of its lines as one script."""
        parent = GITLAB[GITLAB[job]["extends"]]
        lines = [*parent["before_script"], *GITLAB[job]["script"]]
        return self.sh("\n".join(lines), "sh", "-e", **(parent["variables"] | variables))


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What lets pip install without a registry: all that is here but the package itself."""
    packages = tmp_path_factory.mktemp("lent")
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"_?mqtt_interop|pip\b|setuptools|_virtualenv|distutils", each.name):
            (packages / each.name).symlink_to(each)
    return {
        "PYTHONPATH": str(packages), "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0",
        "RUNNER_TEMP": str(tmp_path_factory.mktemp("runner")),
    }  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, lent: dict[str, str]) -> Machine:
    """One on which the action's first step was run; what it installs is kept for all tests of a worker."""
    it = Machine(tmp_path, lent)
    done = it.action(0)
    assert done.returncode == 0, done.stdout + done.stderr
    return it


def options(*lines: str) -> str:
    return "\n".join(("--scenarios", "scenarios of mine", "--client=builtin", "", *lines, ""))


def verdicts(folder: Path) -> dict[str, Any]:
    records = map(json.loads, (folder / "results.jsonl").read_text().splitlines())
    return {record["scenario"]: record["verdict"] for record in records}


def test_the_action_installs_itself_and_plays_what_its_options_say(machine: Machine) -> None:
    done = machine.action(1, options=options("--scenario", "delivery/r*"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.told("GITHUB_PATH").startswith(machine.environment["RUNNER_TEMP"])
    assert machine.told("GITHUB_OUTPUT") == "exit-code=0\n"
    assert "Nothing new failed in 1 cell." in machine.told("GITHUB_STEP_SUMMARY")
    assert "::error" not in done.stdout


def test_shards_are_played_and_merged_by_the_action(machine: Machine) -> None:
    codes = [machine.action(1, options=options(f"--shard={n}/2", f"--out=s/{n}")).returncode for n in (1, 2)]
    assert sorted(codes) == [0, 1]
    done = machine.action(1, command="merge", options="s/1\ns/2\n--out=compat")
    assert done.returncode == 1, done.stdout + done.stderr
    assert machine.told("GITHUB_OUTPUT").splitlines()[-1] == "exit-code=1"
    assert verdicts(machine.checkout / "compat") == {"delivery/right": "pass", "delivery/wrong": "fail"}
    assert "::error file=scenarios of mine/delivery/wrong.yaml,line=8," in done.stdout


def test_what_an_input_holds_becomes_no_command(machine: Machine) -> None:
    done = machine.action(1, command="lint", options="$(touch broken)\n`touch broken`; touch broken\n*")
    assert done.returncode == 2
    assert not (machine.checkout / "broken").exists()
    assert "$(touch broken)" in done.stderr


def test_a_login_is_shown_by_no_output_of_the_action(machine: Machine) -> None:
    done = machine.action(1, options=options(f"--broker=mqtt://user:{SECRET}@127.0.0.1:1"))
    assert done.returncode == 2
    told = "".join(map(machine.told, ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"))) + done.stdout + done.stderr
    assert "127.0.0.1:1" in told
    assert "S3cret" not in told


def test_jobs_of_the_gitlab_template_play_shards_and_join_them(machine: Machine) -> None:
    path = os.pathsep.join([machine.told("GITHUB_PATH").strip(), machine.environment["PATH"]])
    shared = {"PATH": path, "MQTT_INTEROP_PACKAGE": f"{REPOSITORY}[harness]", "CI_NODE_TOTAL": "2"}
    for number in ("1", "2"):
        shard = shared | {"CI_NODE_INDEX": number, "MQTT_INTEROP_OPTIONS": options()}
        played = machine.gitlab(".mqtt-interop-run", **shard)
        assert played.returncode in (0, 1), played.stdout + played.stderr
    merged = machine.gitlab(".mqtt-interop-merge", **shared)
    assert merged.returncode == 1, merged.stdout + merged.stderr
    assert verdicts(machine.checkout / "compat") == {"delivery/right": "pass", "delivery/wrong": "fail"}
    assert (machine.checkout / GITLAB[".mqtt-interop-merge"]["artifacts"]["reports"]["junit"]).is_file()


def test_no_script_of_the_action_has_an_expression_in_it() -> None:
    assert all("${{" not in step["run"] for step in ACTION["runs"]["steps"])


def test_what_is_installed_is_the_harness_and_not_the_broker_alone() -> None:
    assert '"$GITHUB_ACTION_PATH[harness]"' in ACTION["runs"]["steps"][0]["run"]
    assert GITLAB[".mqtt-interop"]["variables"]["MQTT_INTEROP_PACKAGE"] == "mqtt-interop[harness]"
