"""The runner's parts without sockets: names, matching, cells, pace, shares, verdicts, known failures."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runner_stage import HEAD, scenario

from interop.runner.act import ACTS
from interop.runner.cell import Cell, Selection, plan
from interop.runner.failures import StepFailed
from interop.runner.fault import FAULTS
from interop.runner.known_failures import BadKnownFailures, Entry, KnownFailures, load_known_failures
from interop.runner.loops import DEFAULT_LOOP, LoopNotThere, loop_factory
from interop.runner.matching import InOrder, fits, property_mismatch
from interop.runner.names import Names
from interop.runner.observe import OBSERVATIONS, closed
from interop.runner.pace import Pace, Slots
from interop.runner.schedule import shard
from interop.runner.verdict import step_finding, weigh
from interop.scenario.load import load_scenarios
from interop.scenario.steps import VERBS, Closed, Observation
from interop.scenario.values import PacketPattern
from interop.tap.trace import Kind, Sender, TraceEntry
from reference_broker.wire.packets import ConnAck, Disconnect, PingReq, Publish
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version
from reports.record import Finding, Verdict

NAMES = Names("k12345")


# --- verbs ------------------------------------------------------------------------------------------------------------


def test_every_verb_can_be_carried_out_in_one_way() -> None:
    tables = (ACTS, FAULTS, OBSERVATIONS)
    assert {verb for each in tables for verb in each} == set(VERBS.values())
    assert sum(map(len, tables)) == len(VERBS)
    assert set(OBSERVATIONS) == {verb for verb in VERBS.values() if issubclass(verb, get_args(Observation))}


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "on_the_wire"),
    [
        ("t", "k12345/t"),
        ("#", "k12345/#"),
        ("/leading", "k12345//leading"),
        ("", ""),
        ("$SYS/broker", "$SYS/broker"),
        ("root:#", "#"),
        ("$share/group/t", "$share/groupk12345/k12345/t"),
        ("$share/group/root:#", "$share/groupk12345/#"),
    ],
)
def test_a_topic_is_made_unique_unless_its_first_level_matters(written: str, on_the_wire: str) -> None:
    assert NAMES.topic(written) == on_the_wire


@given(st.text(min_size=1).filter(lambda name: name[0] != "$" and not name.startswith("root:")))
def test_a_unique_topic_leads_back_to_the_scenarios_name(name: str) -> None:
    assert NAMES.relative(NAMES.topic(name)) == name


def test_a_client_id_is_one_that_every_server_takes() -> None:
    assert len(NAMES.client_id("an actor with quite a long name")) == 23  # [3.1.1 MQTT-3.1.3-5]
    assert NAMES.client_id("") == ""


def test_cells_of_a_run_never_share_a_name() -> None:
    tokens = [Names().token for _ in range(10_000)]
    assert len(set(tokens)) == len(tokens)
    assert all(re.fullmatch("k[0-9a-z]{5}", token) for token in tokens)  # [3.1.1 MQTT-3.1.3-5]


# --- loops ------------------------------------------------------------------------------------------------------------


def test_a_loop_that_is_not_installed_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(LoopNotThere, match=r"--loop uvloop: not installed; pip install 'mqtt-interop\[speed\]'"):
        loop_factory("uvloop")
    assert loop_factory("asyncio") is asyncio.new_event_loop
    assert loop_factory(DEFAULT_LOOP) is asyncio.new_event_loop


# --- matching ---------------------------------------------------------------------------------------------------------


def seen(packet: Publish | PingReq | Disconnect, sender: Sender = Sender.BROKER, index: int = 0) -> TraceEntry:
    return TraceEntry(index, 0.0, "link", 1, Kind.PACKET, sender, packet=packet)


@pytest.mark.parametrize(("other_than", "is_meant"), [(0x81, True), ((0x81, 0x82), False), (0x82, False)])
def test_a_reason_other_than_those_named_is_any_but_these(other_than: int | tuple[int, ...], is_meant: bool) -> None:
    pattern = PacketPattern(packet="CONNACK", reason_other_than=other_than)
    assert fits(pattern, seen(ConnAck(False, 0x82)), NAMES) is is_meant
    assert not fits(
        PacketPattern(packet="CONNACK", reason=0x82, reason_other_than=0x82), seen(ConnAck(False, 0x82)), NAMES
    )


def test_one_identifier_may_stand_among_others() -> None:
    both = seen(Publish("t", b"x", properties=Properties(subscription_identifier=(7, 9))))
    assert fits(PacketPattern(packet="PUBLISH", one_identifier=9), both, NAMES)
    assert not fits(PacketPattern(packet="PUBLISH", one_identifier=8), both, NAMES)
    assert not fits(PacketPattern(packet="PUBLISH", one_identifier=9), seen(PingReq()), NAMES)


@pytest.mark.parametrize(
    ("farewell", "by", "holds"),
    [
        (Sender.BROKER, "broker", True),
        (None, "broker", False),
        (Sender.HARNESS, "broker", False),
        (None, "client", True),
    ],
)
def test_who_sent_disconnect_has_ended_the_connection_whoever_closes_first(
    farewell: Sender | None, by: str, *, holds: bool
) -> None:
    entries = [] if farewell is None else [seen(Disconnect(0x8B), farewell)]
    entries.append(TraceEntry(len(entries), 0.1, "link", 1, Kind.CLOSE, Sender.CLIENT))
    stage: Any = SimpleNamespace(
        cell=SimpleNamespace(client="builtin", broker="reference"),
        moment=0.0,
        action_index=0,
        pace=SimpleNamespace(),
        version=Version.V5,
        entries=lambda _link, _since=0: iter(entries),
    )
    stage.closing = lambda *_: entries[-1]

    async def until(seen: Any, *_window: Any, **_kind: Any) -> Any:
        return seen()

    stage.until = until
    step = Closed.model_validate({"do": "closed", "link": "link", "by": by})
    with nullcontext() if holds else pytest.raises(StepFailed, match="the client closed it"):
        asyncio.run(closed(stage, step))


def test_a_pattern_looks_only_at_the_fields_it_names() -> None:
    entry = seen(Publish("k12345/t", b"x", QoS.AT_LEAST_ONCE, dup=True, packet_id=7))
    assert fits("PUBLISH", entry, NAMES)
    assert fits(PacketPattern(packet="PUBLISH", topic="t", payload="x", qos=1, dup=True, packet_id=7), entry, NAMES)
    assert fits(PacketPattern.model_validate({"packet": "PUBLISH", "from": "broker"}), entry, NAMES)


@pytest.mark.parametrize(
    "fields",
    [
        {"topic": "u"},
        {"payload": "y"},
        {"qos": 2},
        {"dup": False},
        {"packet_id": 8},
        {"from": "client"},
        {"retain": True},
    ],
)
def test_a_pattern_with_one_wrong_field_does_not_fit(fields: dict[str, object]) -> None:
    entry = seen(Publish("k12345/t", b"x", QoS.AT_LEAST_ONCE, dup=True, packet_id=7))
    assert not fits(PacketPattern.model_validate({"packet": "PUBLISH"} | fields), entry, NAMES)


def test_contained_packets_must_come_in_order() -> None:
    entries = [seen(PingReq()), seen(Publish("t"))]
    for patterns, missing in (
        (["PINGREQ", "PUBLISH"], None),
        (["PUBLISH", "PINGREQ"], "PINGREQ"),
        (["PINGREQ", "PINGREQ"], "PINGREQ"),
        (["PUBLISH", "PUBREL"], "PUBREL"),
    ):
        order = InOrder(patterns, NAMES)
        for entry in entries:
            order.look(entry)
        assert order.missing == missing


def test_user_properties_must_keep_their_order() -> None:
    properties = Properties(user_property=(("a", "1"), ("b", "2")))
    assert property_mismatch({"user_property": [["a", "1"], ["b", "2"]]}, (), properties, NAMES) is None
    assert property_mismatch({"user_property": [["b", "2"], ["a", "1"]]}, (), properties, NAMES) is not None


def test_a_property_that_should_be_absent_is_reported() -> None:
    assert property_mismatch({}, ("content_type",), Properties(content_type="x"), NAMES) is not None
    assert property_mismatch({}, ("content_type",), Properties(), NAMES) is None


@pytest.mark.parametrize(("seen", "passed_on", "fits"), [
    (60, False, True), (59, False, False), (60, True, True), (59, True, True), (58, True, False), (61, True, False),
])  # fmt: skip
def test_a_broker_may_take_a_second_off_the_expiry_of_what_it_passes_on(seen: int, passed_on: bool, fits: bool) -> None:
    properties = Properties(message_expiry_interval=seen)
    wrong = property_mismatch({"message_expiry_interval": 60}, (), properties, NAMES, passed_on=passed_on)
    assert (wrong is None) is fits


# --- cells ------------------------------------------------------------------------------------------------------------

WAITING = """\
    transports: [tcp, tls]
    actors: {a: {}}
    steps:
      - {do: connect, as: a}
      - {do: elapse, seconds: 0.5, because: of the test, only: ["5.0"]}
      - {do: stays_open, link: a, seconds: 0.25}
    """


def test_a_plan_has_a_cell_for_each_version_transport_broker_and_client(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, WAITING)
    cells = plan([loaded], Selection(clients=("one", "other")))
    assert len({cell.id for cell in cells}) == len(cells) == 3 * 2 * 2
    assert {cell.transport for cell in plan([loaded], Selection(transports=("tls",)))} == {"tls"}
    assert {cell.mqtt for cell in plan([loaded], Selection(versions=("3.1",)))} == {"3.1"}
    assert plan([loaded], Selection(scenarios=("area/*",)))
    assert not plan([loaded], Selection(scenarios=("other/*",)))


def test_a_case_in_brackets_can_be_selected_by_its_name(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, WAITING)
    rows = [replace(loaded, name=f"area/case[q0-to-q{qos}]") for qos in (1, 2)]
    assert list(Selection(scenarios=("area/case[q0-to-q1]",)).rows(rows)) == rows[:1]


def test_a_cell_knows_how_long_its_version_waits(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, WAITING)
    assert Cell(loaded, "c", "b", "5.0", "tcp").expected_wait_seconds == 0.75
    assert Cell(loaded, "c", "b", "3.1", "tcp").expected_wait_seconds == 0.25


# --- pace -------------------------------------------------------------------------------------------------------------


def test_no_more_cells_begin_than_may_work_at_once() -> None:
    async def run() -> None:
        slots = Slots(at_once=2, long_under_way=2)
        begun = [asyncio.ensure_future(slots.begin(long=False)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [task.done() for task in begun] == [True, True, False]
        slots.rest()  # one waits: the third may begin
        await asyncio.wait_for(begun[2], 1)

    asyncio.run(run())


def test_cells_that_wait_long_begin_first_but_only_so_many() -> None:
    async def run() -> None:
        slots = Slots(at_once=1, long_under_way=1)
        await slots.begin(long=False)
        short = asyncio.ensure_future(slots.begin(long=False))
        longs = [asyncio.ensure_future(slots.begin(long=True)) for _ in range(2)]
        await asyncio.sleep(0)
        slots.end(long=False)
        await asyncio.sleep(0)
        assert (longs[0].done(), short.done(), longs[1].done()) == (True, False, False)
        slots.rest()
        await asyncio.sleep(0)
        assert (short.done(), longs[1].done()) == (True, False)
        slots.end(long=False)
        slots.go_on()
        slots.end(long=True)
        await asyncio.wait_for(longs[1], 1)

    asyncio.run(run())


def test_a_cell_that_has_to_be_alone_begins_last_and_nobody_beside_it() -> None:
    async def run() -> None:
        slots = Slots(at_once=2, long_under_way=2)
        await slots.begin(long=True)
        alone = [asyncio.ensure_future(slots.begin(alone=True)) for _ in range(2)]
        await asyncio.sleep(0)
        slots.rest()  # one waits, but is under way
        later = asyncio.ensure_future(slots.begin())
        await asyncio.sleep(0)
        assert (alone[0].done(), later.done()) == (False, True)
        slots.go_on()
        slots.end(long=True)
        slots.end()
        last = asyncio.ensure_future(slots.begin())
        await asyncio.sleep(0)
        assert ([each.done() for each in alone], last.done()) == ([True, False], False)
        slots.end(alone=True)
        await asyncio.sleep(0)
        assert ([each.done() for each in alone], last.done()) == ([True, False], True)
        slots.end()
        await asyncio.wait_for(alone[1], 1)

    asyncio.run(run())


@pytest.mark.parametrize("kind", [{}, {"long": True}, {"alone": True}], ids=["short", "long", "alone"])
@pytest.mark.parametrize("has_its_turn", [False, True])
def test_a_cell_that_is_ended_before_it_begins_keeps_no_other_from_beginning(
    kind: dict[str, bool], has_its_turn: bool
) -> None:
    async def run() -> None:
        slots = Slots(at_once=1, long_under_way=1)
        await slots.begin()
        ended = asyncio.ensure_future(slots.begin(**kind))
        await asyncio.sleep(0)
        if has_its_turn:
            slots.end()
            ended.cancel()  # before it could go on
        else:
            ended.cancel()
            await asyncio.sleep(0)
            slots.end()
        with pytest.raises(asyncio.CancelledError):
            await ended
        for of_kind in ({}, {"long": True}, {"alone": True}):
            await asyncio.wait_for(slots.begin(**of_kind), 1)
            slots.end(**of_kind)

    asyncio.run(run())


def test_resting_while_resting_gives_up_one_slot_only() -> None:
    async def run() -> None:
        slots = Slots(at_once=1, long_under_way=1)
        pace = Pace(slots)
        async with pace.working():
            with pace.waiting(), pace.resting():
                pass
            second = asyncio.ensure_future(slots.begin(long=False))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not second.done()
        await asyncio.wait_for(second, 1)

    asyncio.run(run())


@given(st.integers(0, 40), st.integers(1, 7))
def test_shares_are_disjoint_and_complete(items: int, workers: int) -> None:
    shares = [shard(range(items), number, workers) for number in range(workers)]
    assert sorted(item for share in shares for item in share) == list(range(items))


# --- verdicts ---------------------------------------------------------------------------------------------------------


def finding(level: str, blame: str = "client", cite: str = "MQTT-1") -> Finding:
    return Finding.model_validate(
        {
            "source": "judge",
            "rule": "r",
            "level": level,
            "blame": blame,
            "cites": (cite,),
            "message": f"a broken {level}",
        }
    )


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        ([], Verdict.PASS),
        (["may"], Verdict.OBSERVED),
        (["may", "should"], Verdict.WARN),
        (["should", "must", "may"], Verdict.FAIL),
    ],
)
def test_the_gravest_finding_decides(tmp_path: Path, levels: list[str], verdict: Verdict) -> None:
    cell = Cell(scenario(tmp_path, WAITING), "paho", "reference", "5.0", "tcp")
    assert weigh(cell, [finding(level) for level in levels]).verdict is verdict


def test_blame_and_citations_are_those_of_the_gravest_findings(tmp_path: Path) -> None:
    cell = Cell(scenario(tmp_path, WAITING), "paho", "reference", "5.0", "tcp")
    outcome = weigh(cell, [finding("should", "client", "MQTT-9"), finding("must", "broker", "MQTT-2")])
    assert (outcome.blame, outcome.cites) == ("broker", ("MQTT-2",))
    assert weigh(cell, [finding("must", "client"), finding("must", "broker")]).blame == "both"


@pytest.mark.parametrize(
    ("client", "broker", "blame"),
    [("paho", "reference", "client"), ("builtin", "mosquitto", "broker"), ("paho", "mosquitto", "unknown")],
)
def test_a_failed_step_is_blamed_on_the_one_that_is_not_our_own(
    tmp_path: Path, client: str, broker: str, blame: str
) -> None:
    cell = Cell(scenario(tmp_path, WAITING), client, broker, "5.0", "tcp")
    (_, step), *_ = cell.steps()
    assert step_finding(cell, step, 1, StepFailed("a", "b")).blame == blame


# --- known failures ---------------------------------------------------------------------------------------------------


def test_the_list_that_ships_can_be_read() -> None:
    assert all(entry.reason for entry in load_known_failures().entries)


def test_known_failures_of_brokers_name_statement_and_source() -> None:
    for entry in load_known_failures().entries:
        if entry.broker is not None:
            assert re.search(r"MQTT|3\.1\.2\.10", entry.reason), entry.reason
            assert entry.link, entry.reason


def test_a_known_failure_may_speak_of_several_brokers_by_a_pattern() -> None:
    known = KnownFailures((Entry(broker="rumqttd*", scenarios=("a/b",), reason="x"),))
    of = [SimpleNamespace(scenario="a/b", client="builtin", broker=name, mqtt="5.0", transport="tcp")
          for name in ("rumqttd", "rumqttd-3.1.1", "nats")]  # fmt: skip
    assert [known.entry_for(cell, {}) is not None for cell in of] == [True, True, False]


@pytest.mark.parametrize("text", ["- {client: paho}", "nonsense: [", "- {scenarios: [x], reason: y, colour: red}"])
def test_a_bad_list_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(text)
    with pytest.raises(BadKnownFailures, match=r"known\.yaml"):
        load_known_failures(path)


def test_a_list_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadKnownFailures, match=r"nowhere\.yaml"):
        load_known_failures(tmp_path / "nowhere.yaml")


def test_a_slow_cell_may_take_five_times_as_long_and_is_run_again_as_one(tmp_path: Path) -> None:
    plain = Cell(scenario(tmp_path, WAITING), "paho", "reference", "5.0", "tcp")
    slow = Cell(scenario(tmp_path, WAITING, HEAD + "slow: true\n"), "paho", "reference", "5.0", "tcp")
    assert (plain.limit_seconds, slow.limit_seconds) == (60, 300)
    assert ("--slow" in shlex.split(plain.rerun), "--slow" in shlex.split(slow.rerun)) == (False, True)


def test_the_command_that_runs_a_cell_again_names_the_file_of_a_scenario_that_does_not_ship(tmp_path: Path) -> None:
    own = scenario(tmp_path, WAITING)
    command = shlex.split(Cell(own, "paho", "reference", "5.0", "tcp").rerun)
    assert command[command.index("--scenarios") + 1] == str(own.path)
    shipped = load_scenarios()[0]
    assert "--scenarios" not in Cell(shipped, "paho", "reference", "5.0", "tcp").rerun
