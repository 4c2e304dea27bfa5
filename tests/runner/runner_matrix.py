"""The matrix as a process that tests can hurt, with an adapter that does as a scenario's topic says."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked

_SCENARIO = """\
title: Message {name} arrives
versions:
  "3.1.1": {{level: must, cites: [MQTT-3.8.4-6]}}
actors: {{sub: {{}}}}
steps:
  - {{do: subscribe, as: sub, topic: {topic}, qos: 1}}
  - {{do: publish, as: sub, topic: {topic}, qos: 1, payload: hello}}
  - {{do: receive, as: sub, topic: {topic}, payload: hello}}
"""
_WAIT = "  - {{do: elapse, seconds: {seconds}, because: the test needs the time}}\n"

# The contract's example, which is there at once. Asked to subscribe to such a topic it kills its parent, or it hangs,
# deaf to what would end it politely.
_ADAPTER = f"""\
import os, signal, sys
sys.path.append({str(forked.REPOSITORY)!r})
from interop.drivers.examples import minimal

class Client(minimal._Client):
    def subscribe(self, command):
        word = command["subscriptions"][0]["topic_filter"].rpartition("/")[2]
        if word == "kill":
            os.kill(os.getppid(), signal.SIGKILL)
        if word == "hang":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            while True:
                signal.pause()
        return super().subscribe(command)

minimal._Client = Client
minimal.HELLO["client"] = "obedient"
minimal._main()
"""


def scenarios(folder: Path, **topics: tuple[str, float]) -> Path:
    """A collection: each scenario's topic, which may be an order to the adapter, and the seconds it waits."""
    area = folder / "scenarios" / "delivery"
    area.mkdir(parents=True)
    for name, (topic, seconds) in topics.items():
        wait = _WAIT.format(seconds=seconds) if seconds else ""
        (area / f"{name}.yaml").write_text(_SCENARIO.format(name=name, topic=topic) + wait)
    return folder


def adapter(folder: Path) -> list[str]:
    """The options that play with the adapter."""
    script = folder / "adapter.py"
    script.write_text(_ADAPTER)
    return ["--client", f"command:{sys.executable} -S {script}"]


def started(folder: Path, *options: str) -> forked.Forked:
    """A run of the matrix under way, in a session of its own; as a context manager it is gone afterwards."""
    return forked.start("pytest", *matrix_options(folder, *options))


def matrix_options(folder: Path, *options: str) -> list[str]:
    """What `python -m pytest` is to be told to play the folder's scenarios, with the built-in client by default."""
    client = [] if "--client" in options else ["--client", "builtin"]
    out = [] if "--out" in options else ["--out", str(folder / "out")]
    pytest_here = ["interop", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    return [*pytest_here, "--scenarios", str(folder / "scenarios"), *client, *out, *options]


def ended(run: forked.Forked) -> tuple[int | None, str]:
    """The exit code of a run and what it said, once it is over."""
    said = run.communicate()
    return run.returncode, said


def until(happened: Callable[[], Any]) -> Any:
    """Wait for another process; gives what `happened` gives."""
    deadline = time.monotonic() + forked.PATIENCE_SECONDS
    while not (found := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def begun(folder: Path, worker: str = "gw0") -> list[str]:
    """The cells that a worker has begun, by their ids."""
    file = folder / "out" / ".parts" / f"{worker}.begun"
    return file.read_text().splitlines() if file.exists() else []


def kept(folder: Path) -> int:
    """How many records all workers have kept."""
    return sum(file.read_text().count("\n") for file in (folder / "out" / ".parts").glob("*.jsonl"))


def verdicts(folder: Path) -> dict[str, str]:
    """What the scenarios came to, by the name of the file."""
    with (folder / "out" / "results.jsonl").open() as lines:
        records = [json.loads(line) for line in lines]
    return {record["scenario"].rpartition("/")[2]: record["verdict"] for record in records}


def family(pid: int) -> list[int]:
    """All that came of a process and is not yet buried, dead ones left out."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has just gone
            continue
        if state != "Z":
            children[int(parent)].append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += children[each]
    return found[1:]


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
