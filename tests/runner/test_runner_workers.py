"""How many processes play: as many as processors where there is much to play, unless it was said how many are to."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any, cast

import pytest

from interop.runner.plugin import pytest_cmdline_main

SELECTED = {
    "--client": [], "--broker": [], "--broker-profile": [], "--mqtt": [], "--transport": [], "--scenario": [],
    "--statement": [], "--rule": [], "--scenarios": None, "--cells": None,
}  # fmt: skip
OPTIONS = {
    "numprocesses": None, "dist": "no", "usepdb": False, "capture": "fd", "collectonly": False, "help": False,
    "markers": False,
}  # fmt: skip


class Config:
    """What pytest was told."""

    def __init__(self, options: dict[str, Any], selected: dict[str, Any]) -> None:
        self.option = Namespace(**(OPTIONS | options))
        self._selected = SELECTED | selected

    def getoption(self, name: str) -> object:
        return self._selected[name]


class WorkersConfig(Config):
    """A worker's, who has others beside it already."""

    def __init__(self) -> None:
        super().__init__({}, {})
        self.workerinput: dict[str, object] = {}


def workers(config: Config) -> object:
    """What pytest-xdist is told."""
    pytest_cmdline_main(cast(pytest.Config, config))
    return getattr(config.option, "numprocesses", None)


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_the_whole_matrix_is_played_by_all_processors() -> None:
    assert workers(Config({}, {})) == "auto"


def test_one_processor_needs_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert workers(Config({}, {})) is None


@pytest.mark.parametrize(
    "selected",
    [
        {"--scenario": ["connect/accepted"]},
        {"--scenario": ["qos1/*"], "--client": ["paho"], "--mqtt": ["3.1"]},
        {"--broker-profile": ["tests/nowhere.toml"]},
    ],
)
def test_little_is_played_by_one_process(selected: dict[str, Any]) -> None:
    assert workers(Config({}, selected)) is None


ACME = 'name = "acme"\nalone = true\n[listeners]\ntcp = "127.0.0.1:1883"\n'


@pytest.mark.parametrize(("text", "expected"), [(ACME, "auto"), (f'{ACME}[commands]\nreset = "true"\n', None)])
def test_a_broker_that_cells_have_to_themselves_is_played_by_one_process(
    tmp_path: Path, text: str, expected: object
) -> None:
    profile = tmp_path / "acme.toml"
    profile.write_text(text)
    assert workers(Config({}, {"--broker-profile": [str(profile)]})) == expected


@pytest.mark.parametrize(
    "options", [{"collectonly": True}, {"usepdb": True}, {"capture": "no"}, {"dist": "load"}, {"markers": True}]
)
def test_who_looks_on_or_plays_nothing_has_no_workers(options: dict[str, Any]) -> None:
    assert workers(Config(options, {})) is None


@pytest.mark.parametrize("said", [0, 1, 3, "auto"])
def test_how_many_are_to_play_can_be_said(said: object) -> None:
    assert workers(Config({"numprocesses": said}, {})) == said


def test_a_worker_starts_none() -> None:
    assert workers(WorkersConfig()) is None


def test_without_pytest_xdist_one_process_plays() -> None:
    config = Config({}, {})
    del config.option.numprocesses, config.option.dist
    assert workers(config) is None
