"""Scenario files for tests: a whole one that is right, and pieces to make it wrong."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from interop.scenario.load import LoadedScenario, load_file
from interop.scenario.problems import ScenarioError

RIGHT = """\
title: A message arrives
versions:
  "3.1.1": {level: must, cites: [MQTT-3.8.4-6]}
  "5.0": {level: must, cites: [MQTT-3.8.4-8]}
needs: [qos1]
actors:
  sub: {}
  pub: {}
steps:
  - {do: subscribe, as: sub, topic: t, qos: 1}
  - {do: publish, as: pub, topic: t, qos: 1, payload: hello}
  - {do: receive, as: sub, topic: t, payload: hello}
"""


def with_steps(steps: str, *, only: str = "", head: str = "") -> str:
    """The right scenario with other steps (one per line, without dashes), perhaps for one version, with more keys."""
    lines = "\n".join(f"  - {line}" for line in dedent(steps).strip().splitlines())
    text = RIGHT.partition("steps:\n")[0]
    if only:
        text = "\n".join(line for line in text.splitlines() if not line.startswith('  "') or f'"{only}"' in line) + "\n"
    return f"{text}{dedent(head)}steps:\n{lines}\n"


def line_of(text: str, part: str) -> int:
    """The 1-based number of the first line that contains `part`."""
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def save(folder: Path, text: str, name: str = "area/some_file.yaml") -> Path:
    """The text as a scenario file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load_text(folder: Path, text: str, name: str = "area/some_file.yaml") -> list[LoadedScenario]:
    """The scenarios of a file with that text."""
    return load_file(save(folder, text, name))


def problems_of(folder: Path, text: str) -> list[str]:
    """What loading a file with that text complains about, as `line: where: message`."""
    try:
        load_text(folder, text)
    except ScenarioError as error:
        return [f"{each.line}: {each.where}: {each.message}" for each in error.problems]
    return []
