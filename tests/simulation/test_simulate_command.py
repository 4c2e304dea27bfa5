"""`mqtt-interop simulate`: what it prints, and how it ends."""

from __future__ import annotations

import pytest
from simulation_faults import broker_that

from interop.cli import main
from interop.exit_codes import FELL_SHORT, HARNESS_FELL_SHORT, NOTHING_RAN, OK
from interop.simulation import command, wrong
from interop.simulation.episode import EPISODE_STEPS, run_episode
from interop.simulation.shrinking import shrunk


def test_so_many_steps_are_done_and_counted(capsys):
    assert main(["simulate", "--seed", "3", "--steps", "1500", "-n", "1"]) == OK
    assert "1,500 steps" in capsys.readouterr().out


def test_with_crashes_a_failure_says_so_in_the_command_that_does_it_again(capsys, monkeypatch):
    make_broker = broker_that("queues nothing")
    monkeypatch.setattr(
        command,
        "run_episode",
        lambda seed, count, *, has_crashes: run_episode(seed, count, make_broker, has_crashes=has_crashes),
    )
    monkeypatch.setattr(command, "shrunk", lambda failure: failure)
    assert main(["simulate", "--crashes", "--steps", "20000", "-n", "1"]) == FELL_SHORT
    assert capsys.readouterr().out.splitlines()[-1].endswith(" --crashes")


def test_no_world_is_begun_after_its_time(capsys):
    assert main(["simulate", "--seconds", "0", "-n", "1"]) == OK
    assert capsys.readouterr().out.startswith("0 steps")


def test_worlds_in_processes_are_those_of_one(capsys):
    assert main(["simulate", "--steps", str(EPISODE_STEPS * 6), "-n", "2"]) == OK
    assert f"{EPISODE_STEPS * 6:,} steps" in capsys.readouterr().out


def test_a_failure_is_told_in_few_steps_with_the_command_that_does_it_again(capsys, monkeypatch):
    make_broker = broker_that("queues nothing")
    monkeypatch.setattr(command, "run_episode", lambda seed, count, **_: run_episode(seed, count, make_broker))
    monkeypatch.setattr(command, "shrunk", lambda failure: shrunk(failure, make_broker))
    assert main(["simulate", "--seed", "5", "--steps", "20000", "-n", "1"]) == FELL_SHORT
    told = capsys.readouterr().out.splitlines()
    seed, steps = (int(word) for word in told[-1].split() if word.isdigit())
    assert f"seed {seed} fails after {steps} steps" in told[0]
    assert len(told) < 30
    assert run_episode(seed, steps, make_broker)[1] is not None


def test_mutants_are_listed_as_killed_or_alive(capsys):
    options = ["simulate", "--mutant", "delivers twice*", "--mutant", "delivers everything tw?ce", "-n", "1"]
    assert main([*options, "--steps", "4000"]) == OK
    assert "1 of 1 mutants about state are killed" in capsys.readouterr().out
    assert main(["simulate", "--mutant", "no such thing"]) == NOTHING_RAN


def test_with_crashes_mutants_are_killed_that_forget_over_a_restart(capsys):
    options = ["simulate", "--mutant", "keeps no subscription over a restart", "-n", "1", "--steps", "4000"]
    assert main(options) == NOTHING_RAN
    assert main([*options, "--crashes"]) == OK
    assert "1 of 1 mutants about state are killed" in capsys.readouterr().out


def test_a_mutant_that_crashes_is_not_killed(monkeypatch):
    def make(_mutant):
        def make_broker(*_):
            raise RuntimeError("it fell over")

        return make_broker

    monkeypatch.setattr(wrong, "wrong_broker", make)
    assert wrong.killed_by("keeps no session", 0, 3) is None


@pytest.mark.parametrize("options", [["-n", "0"], ["--steps", "0"]])
def test_what_cannot_be_done_is_said(options, capsys):
    assert main(["simulate", *options]) == HARNESS_FELL_SHORT
    assert "at least 1" in capsys.readouterr().err
