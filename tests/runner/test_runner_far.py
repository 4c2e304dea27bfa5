"""Runs with a broker that is far away: how long is waited, what is played, and that verdicts are the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from runner_stage import played, scenario
from test_runner_plugin import RIGHT, collection, matrix, records

from interop.runner.engine import FAR_CELLS_UNDER_WAY, LONG_CELLS_UNDER_WAY, cells_under_way
from interop.runner.names import Names
from interop.runner.pace import BUSY_SECONDS, Pace, Slots
from interop.runner.stage import GRACE_SECONDS, Stage
from interop.scenario.load import DEFAULT_FOLDER
from interop.tap.network import Network
from interop.tap.trace import Fate, Kind, Sender, Trace
from reference_broker.wire.packets import Packet, PingReq, PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import QoS

pytestmark = pytest.mark.thorough

NETWORKS = ("delay=20ms jitter=10ms", "to-subscriber=20ms", "pieces=1", "gather answers=together")


def far(round_trip_seconds: float) -> Pace:
    return Pace(Slots(1, 1), round_trip_seconds=round_trip_seconds)


def test_an_answer_may_take_as_many_round_trips_more_as_a_step_needs() -> None:
    pace = far(0.1)
    assert pace.answer_seconds() == pytest.approx(0.4)  # TCP, CONNECT, QoS 2
    assert pace.answer_seconds(3) == pytest.approx(0.8)  # and QoS 2 twice more
    assert pace.answer_seconds(is_timed=True) == pytest.approx(0.1)


def test_nothing_changes_with_a_broker_on_loopback() -> None:
    for pace in (far(0.0), Pace(Slots(1, 1))):
        assert pace.answer_seconds(20) == pace.quiet_seconds == 0.0
        assert pace.patient_seconds == BUSY_SECONDS


def test_far_away_as_many_cells_are_under_way_as_the_machine_can_do() -> None:
    assert cells_under_way(0.0) == LONG_CELLS_UNDER_WAY
    assert LONG_CELLS_UNDER_WAY < cells_under_way(0.15) < FAR_CELLS_UNDER_WAY
    assert cells_under_way(2.0) == FAR_CELLS_UNDER_WAY


def test_far_away_no_cell_begins_because_others_wait() -> None:
    async def story() -> bool:
        slots = Slots(at_once=1, long_under_way=1)
        async with Pace(slots, round_trip_seconds=0.1).working():
            second = asyncio.ensure_future(_work(Pace(slots, round_trip_seconds=0.1)))
            slots.rest()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            began = second.done()
            slots.go_on()
        await second
        return began

    assert not asyncio.run(story())


async def _work(pace: Pace) -> None:
    async with pace.working():
        pass


def test_others_may_work_from_the_first_moment_while_an_answer_is_far_away() -> None:
    assert far(0.1).patient_seconds == 0.0


@pytest.mark.parametrize(
    ("round_trip_seconds", "asked_until", "listened_until"),
    [
        (0.0, 5.2, 5.2),
        (0.1, 5.2, 5.0 + GRACE_SECONDS + 0.2),  # what the last action caused is on its way at least that long
        (0.1, 7.6, 7.6),  # what comes later may come
        (0.0, 4.0, 4.0),
        (0.1, 4.0, 5.0 + GRACE_SECONDS + 0.2),
    ],
)
def test_what_must_not_come_is_listened_for_until_it_would_be_here(
    round_trip_seconds: float, asked_until: float, listened_until: float
) -> None:
    async def story() -> float:
        pace = far(round_trip_seconds)
        pace.now = lambda: 5.0  # type: ignore[method-assign]
        cell: Any = None
        stage = Stage(cell, Names(), pace, Trace(pace.now))
        rested: list[float] = []

        async def rest_until(moment: float) -> None:
            rested.append(moment)

        stage.rest_until = rest_until  # type: ignore[method-assign]
        await stage.quiet_until(asked_until)
        (moment,) = rested
        return moment

    assert asyncio.run(story()) == pytest.approx(listened_until)


def test_a_window_ends_as_much_later_as_packets_are_under_way() -> None:
    async def story() -> float:
        pace = far(0.01)
        async with pace.working():
            cell: Any = None
            stage = Stage(cell, Names(), pace, Trace(pace.now))
            began = pace.now()
            assert await stage.until(lambda: None, began) is None
            return pace.now() - began

    assert asyncio.run(story()) >= 0.04


# --- what was received is acknowledged --------------------------------------------------------------------------------


class _Link:
    connections = 1


_TO_CLIENT, _TO_BROKER = (Sender.BROKER, Sender.CLIENT), (Sender.CLIENT, Sender.BROKER)


@pytest.mark.parametrize(
    ("qos", "answers", "is_exchanging"),
    [
        (QoS.AT_MOST_ONCE, [], False),
        (QoS.AT_LEAST_ONCE, [], True),
        (QoS.AT_LEAST_ONCE, [(PingReq(), Fate.FORWARDED), (PubAck(8), Fate.FORWARDED)], True),
        (QoS.AT_LEAST_ONCE, [(PubAck(7), Fate.FORWARDED)], False),
        (QoS.AT_LEAST_ONCE, [(PubAck(7), Fate.DROPPED)], False),
        (QoS.EXACTLY_ONCE, [(PubRec(7), Fate.FORWARDED)], True),
        (QoS.EXACTLY_ONCE, [(PubRec(7), Fate.DROPPED)], False),  # no PUBREL will come
        (QoS.EXACTLY_ONCE, [(PubRec(7), Fate.FORWARDED), (PubRel(7), Fate.HELD)], False),
        (QoS.EXACTLY_ONCE, [(PubRec(7), Fate.FORWARDED), (PubRel(7), Fate.HELD), (PubRel(7), Fate.RELEASED)], True),
        (QoS.EXACTLY_ONCE, [(PubRec(7), Fate.FORWARDED), (PubRel(7), Fate.DELAYED)], True),
        (QoS.EXACTLY_ONCE, [(PubRec(7), Fate.FORWARDED), (PubComp(7), Fate.FORWARDED)], False),
        (QoS.EXACTLY_ONCE, [(PubRec(7, 0x80), Fate.FORWARDED)], False),
    ],
)
def test_a_message_is_exchanged_until_nobody_has_anything_to_answer(
    qos: QoS, answers: list[tuple[Packet, Fate]], *, is_exchanging: bool
) -> None:
    async def story() -> tuple[bool, bool]:
        pace = far(0.0)
        trace = Trace(pace.now)
        cell: Any = None
        link: Any = _Link()
        stage = Stage(cell, Names(), pace, trace)
        stage.links["sub"] = link
        trace.record("sub", 1, Kind.OPEN, Sender.CLIENT)
        packet = Publish("t", b"x", qos, packet_id=7 if qos else None)
        for each, fate in [(packet, Fate.FORWARDED), *answers]:
            sender, receiver = _TO_CLIENT if isinstance(each, Publish | PubRel) else _TO_BROKER
            trace.record("sub", 1, Kind.PACKET, sender, packet=each, receiver=receiver, fate=fate)
        before = stage.is_exchanging("sub")
        trace.record("sub", 1, Kind.CLOSE, Sender.CLIENT, note="FIN")
        after = stage.is_exchanging("sub")
        return before, after

    assert asyncio.run(story()) == (is_exchanging, False)


CUT_AT_ONCE = """\
    actors:
      sub: {session: kept}
      pub: {}
    steps:
      - {do: subscribe, as: sub, topic: t, qos: %d}
      - {do: publish, as: pub, topic: t, qos: 2, payload: once}
      - {do: receive, as: sub, topic: t, payload: once}
      - {do: cut, link: sub}
      - {do: connect, as: sub, session_present: true}
      - {do: nothing, as: sub}
"""


@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_received_is_acknowledged_before_its_connection_is_cut(tmp_path: Path, qos: int) -> None:
    record = played(scenario(tmp_path, CUT_AT_ONCE % qos), network=Network.parse("delay=15ms jitter=15ms"))
    assert record.verdict == "pass", record.reason


INTO_SILENCE = """\
    actors: {sub: {session: kept}, pub: {}}
    steps:
      - {do: subscribe, as: sub, topic: t, qos: 2}
      - {do: cut, link: sub, at: PUBLISH, from: broker, packet: delivered, how: silence}
      - {do: publish, as: pub, topic: t, qos: 2, payload: %s}
      - {do: wire, link: sub, contains: [PUBLISH]}
      - {do: connect, as: sub, session_present: true}
      - {do: receive, as: sub, topic: t}
"""


def test_what_was_received_is_acknowledged_before_a_silent_connection_is_left(tmp_path: Path) -> None:
    text = INTO_SILENCE % ("long" * 500)
    record = played(scenario(tmp_path, text), network=Network.parse("pieces=1"))  # so that it takes a while to come
    of_first = [entry for entry in record.trace if (entry.link, entry.connection) == ("sub", 1)]
    assert [entry.fate for entry in of_first if entry.packet == "PUBREC"] == ["lost"]


ONE_AT_A_TIME = """\
    broker: {receive_maximum: 1}
    actors: {pub: {}}
    steps:
      - {do: publish, as: pub, topic: t, qos: 2, payloads: [a, b, c, d, e], outcome: pending}
      - {do: completed, as: pub, times: 5, within: 0.3, because: the test wants to see it grow}
"""


def test_several_publishes_that_wait_for_one_another_may_each_take_their_round_trips(tmp_path: Path) -> None:
    record = played(scenario(tmp_path, ONE_AT_A_TIME), network=Network.parse("delay=50ms"))
    assert record.verdict == "pass", record.reason


ONE_TOO_FEW = """\
    actors: {sub: {}}
    steps:
      - {do: subscribe, as: sub, topic: "t/#"}
      - {do: publish, as: sub, topic: "t/{n}", count: 199}
      - {do: receive, as: sub, topic: "t/{n}", count: 200, within: 0.5, because: the test has no more time}
"""


def test_of_very_many_one_that_is_missing_is_waited_for_a_few_round_trips_not_one_for_each(tmp_path: Path) -> None:
    record = played(scenario(tmp_path, ONE_TOO_FEW), network=Network.parse("delay=50ms"))
    assert record.verdict == "fail"
    assert "199 came, and none on 't/199'" in record.reason
    assert record.seconds < 20


# --- whole runs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_verdicts_are_the_same_behind_any_network(tmp_path: Path, network: str) -> None:
    shipped = "delivery/publish_and_subscribe_qos[q2-to-q2]", "session/inflight_is_resumed_more_than_once*"
    chosen = [option for name in shipped for option in ("--scenario", name)]
    run = matrix(DEFAULT_FOLDER, *chosen, "--out", str(tmp_path / "out"), "--network", network)
    assert run.returncode == 0, run.stdout + run.stderr
    found = records(tmp_path / "scenarios")
    assert {record["transport"] for record in found} == {"tcp", "tls", "ws", "wss"}
    assert {record["verdict"] for record in found} == {"pass"}


def test_a_run_says_which_network_it_was_played_behind_and_how_to_do_it_again(tmp_path: Path) -> None:
    scenarios = collection(tmp_path, right=RIGHT)
    run = matrix(scenarios, "--network", "jitter=5ms  delay=20ms")
    assert run.returncode == 0, run.stdout + run.stderr
    (record,) = records(scenarios)
    assert record["network"] == "delay=20ms jitter=5ms"
    assert str(record["rerun"]).endswith(" --network 'delay=20ms jitter=5ms'")
    trace: Any = record["trace"]
    connect, connack = (next(e["at"] for e in trace if e["packet"] == name) for name in ("CONNECT", "CONNACK"))
    assert connack - connect >= 0.04


def test_a_network_that_cannot_be_ends_the_run_with_one_line(tmp_path: Path) -> None:
    run = matrix(collection(tmp_path, right=RIGHT), "--network", "delay=50")
    assert run.returncode == 2
    assert "--network: delay=50: expected delay=50ms" in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr
