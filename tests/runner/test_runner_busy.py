"""A machine that was too busy to tell: how that is known, and what becomes of a cell then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from runner_stage import HEAD, scenario

from interop.brokers.registry import broker_spec
from interop.runner import engine
from interop.runner.again import Played, settled
from interop.runner.busy import BEAT_SECONDS, Heartbeat, Lag, Moment, cpu_waited_seconds
from interop.runner.cell import Cell
from interop.runner.known_failures import KnownFailures
from reports.record import Finding, KnownFailure, PlayedAgain, Record, Verdict

QUIET, BUSY = Lag(0.02, 0.1, 0.4, 2.0), Lag(1.3, 1.5, 0.9, 2.0)
A_LITTLE = Lag(0.3, 0.5, 0.9, 2.0)
LATE = Finding(
    source="step", rule="receive", level="must", blame="client", message="nothing came", step=3, window_seconds=3.0
)
EARLY = Finding(
    source="step", rule="stays_open", level="may", blame="broker", message="it closed", step=3, window_seconds=1.2
)
WRONG = Finding(source="step", rule="receive", level="must", blame="client", message="it is 'b'", step=3)


def record(*findings: Finding, verdict: Verdict = Verdict.FAIL, **more: Any) -> Record:
    """One cell's, red if not said otherwise."""
    return Record(
        scenario="area/case",
        title="A case",
        area="area",
        client="builtin",
        broker="reference",
        mqtt="5.0",
        transport="tcp",
        verdict=verdict,
        reason=findings[0].message if findings else "",
        seconds=1.0,
        findings=findings,
        blame="client" if findings else "none",
        **more,
    )


PASSED = record(verdict=Verdict.PASS)


# --- the lag ----------------------------------------------------------------------------------------------------------


def test_the_lag_is_how_much_later_than_due_the_worst_beat_came() -> None:
    heartbeat = Heartbeat(lambda: 0.0)
    begin = heartbeat.moment()
    heartbeat.came(begin.at + 1.0, due=begin.at + 0.9)
    heartbeat.came(begin.at + 2.0, due=begin.at + 0.7)
    heartbeat.came(begin.at + 3.0, due=begin.at + 3.0)
    assert heartbeat.since(begin).worst_seconds == pytest.approx(1.3)


def test_what_was_late_before_a_cell_began_is_none_of_its() -> None:
    heartbeat = Heartbeat(lambda: 0.0)
    begin = heartbeat.moment()
    heartbeat.came(begin.at - 0.5, due=begin.at - 1.5)
    assert heartbeat.since(begin).worst_seconds == 0.0


def test_a_loop_that_was_kept_from_running_knows_it_afterwards() -> None:
    async def kept_from_running() -> Lag:
        heartbeat = Heartbeat(lambda: 0.0)
        begin = heartbeat.moment()
        beats = asyncio.create_task(heartbeat.beat())
        await asyncio.sleep(0)
        block(begin.at + 2 * BEAT_SECONDS)
        await asyncio.sleep(BEAT_SECONDS)
        beats.cancel()
        return heartbeat.since(begin)

    assert asyncio.run(kept_from_running()).worst_seconds >= 0.9 * BEAT_SECONDS  # clocks differ a little


def block(until: float) -> None:
    """Keep the loop busy."""
    heartbeat = Heartbeat(lambda: 0.0)
    while heartbeat.moment().at < until:
        pass


def test_the_share_of_time_in_which_somebody_waited_for_a_processor_is_told() -> None:
    heartbeat = Heartbeat(lambda: 10.0)
    now = heartbeat.moment()
    assert heartbeat.since(Moment(now.at - 4.0, 7.0)).pressed == pytest.approx(0.75, abs=0.01)


def test_many_waits_for_a_processor_that_are_too_short_for_a_beat_are_lost_time_too() -> None:
    waited = iter([1.0, 3.0])
    heartbeat = Heartbeat(lambda: 0.0, lambda: next(waited))
    begin = heartbeat.moment()
    lag = heartbeat.since(begin)
    assert (lag.worst_seconds, lag.lost_seconds) == (0.0, 2.0)
    assert lag.explains(window_seconds=3.0)


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="Linux tells it")
def test_for_how_long_a_thread_waited_never_becomes_less() -> None:
    first = cpu_waited_seconds()
    assert 0.0 <= first <= cpu_waited_seconds()


@pytest.mark.parametrize(
    ("lag", "is_noticeable"),
    [
        (QUIET, False),
        (BUSY, True),
        (A_LITTLE, False),
        (Lag(0.05, 0.1, 0.99, 3.0), True),
        (Lag(0.05, 0.1, 0.99, 0.1), False),  # of so short a time it says nothing
        (Lag(0.05, 0.1, 0.80, 9.0), False),  # two workers on two processors
    ],
)
def test_one_long_delay_or_hardly_a_moment_without_waiting_is_noticeable(lag: Lag, is_noticeable: bool) -> None:
    assert lag.is_noticeable is is_noticeable


@pytest.mark.parametrize(
    ("lag", "explains"),
    [
        (Lag(0.74, 0.8, 1.0, 3.0), False),
        (Lag(0.75, 0.8, 0.0, 3.0), True),  # a quarter of the window at once
        (Lag(0.2, 1.5, 0.0, 3.0), True),  # half of it in pieces
    ],
)
def test_a_lag_explains_what_misses_a_window_of_three_seconds_by_its_size(lag: Lag, explains: bool) -> None:
    assert lag.explains(3.0) is explains


# --- in doubt ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("played", "is_in_doubt"),
    [
        (Played(record(LATE), BUSY), True),
        (Played(record(verdict=Verdict.WARN), BUSY), True),
        (Played(record(verdict=Verdict.SETUP_FAILED), BUSY), True),
        (Played(record(verdict=Verdict.HARNESS_ERROR), BUSY), True),
        (Played(record(LATE), QUIET), False),
        (Played(record(LATE), Lag(0.8, 0.8, 0.5, 3.0)), True),  # a quarter of its window
        (Played(record(WRONG), Lag(0.8, 0.8, 0.5, 3.0)), False),  # no matter of time
        (Played(PASSED, BUSY), False),
        (Played(record(EARLY, verdict=Verdict.OBSERVED), A_LITTLE), True),  # held against nobody, and not as expected
        (Played(record(EARLY, verdict=Verdict.OBSERVED), QUIET), False),
        (Played(record(verdict=Verdict.OBSERVED), BUSY), False),
        (Played(record(LATE, known_failure=KnownFailure(reason="it is known")), BUSY), False),
    ],
)
def test_what_was_found_on_a_busy_machine_is_in_doubt_unless_it_is_known(played: Played, is_in_doubt: bool) -> None:
    assert played.is_in_doubt is is_in_doubt


def test_what_passes_when_it_is_played_again_passes_and_says_so() -> None:
    came_to = settled(Played(record(LATE), BUSY), Played(PASSED, BUSY))
    assert (came_to.verdict, came_to.attempts) == (Verdict.PASS, 2)
    assert came_to.played_again == PlayedAgain(lag_seconds=1.3, lost_seconds=1.5, cpu_pressure=0.9, withheld=False)


def test_what_fails_again_on_a_quiet_machine_fails() -> None:
    came_to = settled(Played(record(LATE), BUSY), Played(record(LATE), QUIET))
    assert came_to.verdict is Verdict.FAIL
    assert came_to.played_again
    assert not came_to.played_again.withheld


def test_what_fails_again_with_too_small_a_lag_to_explain_it_fails() -> None:
    assert settled(Played(record(LATE), BUSY), Played(record(LATE), A_LITTLE)).verdict is Verdict.FAIL
    never_began = record(verdict=Verdict.SETUP_FAILED)
    assert settled(Played(record(LATE), BUSY), Played(never_began, A_LITTLE)).reason == never_began.reason


def test_what_is_late_twice_on_a_busy_machine_is_nobodys_fault() -> None:
    came_to = settled(Played(record(LATE), BUSY), Played(record(LATE), BUSY))
    assert (came_to.verdict, came_to.blame) == (Verdict.SETUP_FAILED, "none")
    assert came_to.reason.startswith("this machine was too busy (lag 1.3 s at worst")
    assert came_to.findings == (LATE,)
    assert came_to.played_again == PlayedAgain(lag_seconds=1.3, lost_seconds=1.5, cpu_pressure=0.9, withheld=True)


def test_what_is_noted_twice_and_held_against_nobody_is_noted() -> None:
    noted = Played(record(EARLY, verdict=Verdict.OBSERVED), BUSY)
    came_to = settled(noted, noted)
    assert (came_to.verdict, came_to.attempts) == (Verdict.OBSERVED, 2)
    assert came_to.played_again
    assert not came_to.played_again.withheld


def test_what_is_wrong_twice_and_no_matter_of_time_is_believed_on_any_machine() -> None:
    assert settled(Played(record(WRONG), BUSY), Played(record(WRONG), BUSY)).verdict is Verdict.FAIL
    assert settled(Played(record(LATE), BUSY), Played(record(WRONG), BUSY)).verdict is Verdict.SETUP_FAILED


# --- the engine -------------------------------------------------------------------------------------------------------


def test_cells_in_doubt_are_played_again_when_the_others_are_over_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "actors: {client: {}}\nsteps: [{do: connect, as: client}]\n"
    loaded = scenario(tmp_path, text, HEAD)
    cells = [Cell(loaded, "builtin", "reference", mqtt, "tcp") for mqtt in ("3.1", "3.1.1", "5.0")]  # type: ignore[arg-type]
    attempts: dict[str, int] = {}
    happened: list[str] = []
    others_may_end = asyncio.Event()

    async def play_watched(cell: Cell, _workshop: object, begin: Any = None) -> Played:
        attempts[cell.mqtt] = attempts.get(cell.mqtt, 0) + 1
        happened.append(f"{cell.mqtt} begins")
        if cell.mqtt == "5.0":
            others_may_end.set()
        else:
            await others_may_end.wait()
        await asyncio.sleep(0)
        happened.append(f"{cell.mqtt} ends")
        is_first = cell.mqtt != "5.0" and attempts[cell.mqtt] == 1
        of_it = {"mqtt": cell.mqtt, "scenario": cell.loaded.name}
        return Played((record(LATE) if is_first else PASSED).model_copy(update=of_it), BUSY)

    monkeypatch.setattr(engine, "play_watched", play_watched)
    running = engine.Engine(KnownFailures(), {"reference": broker_spec("reference")}, tmp_path / "part.jsonl")
    try:
        running.begin(cells)
        records = [running.record(cell) for cell in cells]
    finally:
        running.stop()
    assert [each.verdict for each in records] == [Verdict.PASS] * 3
    assert [each.attempts for each in records] == [2, 2, 1]
    assert [each.played_again is not None for each in records] == [True, True, False]
    last = happened[-4:]
    assert last in (
        ["3.1 begins", "3.1 ends", "3.1.1 begins", "3.1.1 ends"],
        ["3.1.1 begins", "3.1.1 ends", "3.1 begins", "3.1 ends"],
    )
    assert happened.index("5.0 ends") < len(happened) - 4
