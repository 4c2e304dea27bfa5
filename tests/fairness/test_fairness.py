"""`mqtt-interop fairness`: what counts as a difference, what is played, and that it leaves nothing behind."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.fairness import command
from interop.fairness.disturbances import DISTURBANCES, Disturbance
from interop.fairness.play import kept_busy, play
from reports.diff import Cell
from reports.record import Verdict

CELL = Cell("qos1/case", "builtin", "reference", "5.0", "tcp")
PASSED = {CELL: Verdict.PASS}
FAR, BUSY = DISTURBANCES["far"], DISTURBANCES["busy"]


def options(out: Path, *given: str) -> argparse.Namespace:
    """The command's options as typed."""
    parser = argparse.ArgumentParser()
    command.add_options(parser)
    return parser.parse_args([*given, "--out", str(out)])


@pytest.fixture(name="runs")
def scripted_runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[list[str], Verdict]]:
    """What was played, by folder; each disturbed run comes to a pass if not set otherwise beforehand."""
    played: dict[str, tuple[list[str], Verdict]] = {}

    def instead(_disturbance: Disturbance, run_options: list[str], out: Path) -> dict[Cell, Verdict]:
        verdict = played[out.name][1] if out.name in played else Verdict.PASS
        played[out.name] = (list(run_options), verdict)
        return {CELL: verdict}

    monkeypatch.setattr(command, "play", instead)
    return played


@pytest.mark.parametrize("verdict", [each for each in Verdict if each is not Verdict.PASS])
def test_no_verdict_may_differ_behind_another_network(verdict: Verdict) -> None:
    assert [each.after for each in FAR.unfair(PASSED, {CELL: verdict})] == [verdict]
    assert FAR.unfair(PASSED, PASSED) == []
    assert [each.after for each in FAR.unfair(PASSED, {})] == [None]


@pytest.mark.parametrize("verdict", Verdict)
def test_a_busy_machine_may_withhold_a_verdict_but_gives_none_against_somebody(verdict: Verdict) -> None:
    is_unfair = verdict in (Verdict.FAIL, Verdict.WARN)
    assert bool(BUSY.unfair(PASSED, {CELL: verdict})) is is_unfair
    assert BUSY.unfair({CELL: verdict}, {CELL: verdict}) == []


def test_which_of_our_own_brokers_played_is_no_difference() -> None:
    assert DISTURBANCES["ticking"].unfair(PASSED, {CELL._replace(broker="ticking"): Verdict.PASS}) == []


def test_every_disturbance_is_played_and_compared(
    tmp_path: Path, runs: dict[str, tuple[list[str], Verdict]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(options(tmp_path, "--client", "paho", "--scenario", "qos1/*", "-n", "3")) == OK
    assert list(runs) == ["undisturbed", *DISTURBANCES]
    assert {tuple(given) for given, _ in runs.values()} == {("--client", "paho", "--scenario", "qos1/*", "-n", "3")}
    assert capsys.readouterr().out.count("No verdict differs.") == len(DISTURBANCES)


def test_one_verdict_that_differs_is_told_and_is_one_too_many(
    tmp_path: Path, runs: dict[str, tuple[list[str], Verdict]], capsys: pytest.CaptureFixture[str]
) -> None:
    runs["late-2"] = ([], Verdict.FAIL)
    assert command.run(options(tmp_path, "--disturbance", "late", "--times", "3")) == FELL_SHORT
    assert sorted(runs) == ["late-1", "late-2", "late-3", "undisturbed"]
    assert "qos1/case builtin any 5.0 tcp: pass -> fail" in capsys.readouterr().out


def test_a_sample_is_spread_over_the_collection(tmp_path: Path, runs: dict[str, tuple[list[str], Verdict]]) -> None:
    command.run(options(tmp_path, "--every", "100", "--disturbance", "far"))
    given = runs["far"][0]
    names = given[1::2][:-1]
    assert set(given[:-2:2]) == {"--scenario"}
    assert len({name.partition("/")[0] for name in names}) > len(names) / 3


@pytest.mark.parametrize("given", [("--every", "0"), ("--times", "0"), ("--every", "2", "--scenario", "qos1/*")])
def test_options_that_cannot_be_meant_are_refused(tmp_path: Path, given: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        command.run(options(tmp_path, *given))


def test_a_run_that_came_to_nothing_says_why_and_never_shows_older_results(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("old", encoding="utf-8")
    with pytest.raises(CommandError, match=r"the run 'far' came to nothing:(.|\n)*no-such-client"):
        play(FAR, ["--client", "no-such-client"], tmp_path)
    assert not (tmp_path / "results.jsonl").exists()


def test_what_keeps_the_machine_busy_is_gone_afterwards() -> None:
    with kept_busy(2) as busy:
        assert [each.poll() for each in busy] == [None, None]
    assert all(each.returncode is not None for each in busy)
