"""Set-up, and the scenario's own subject: who breaks what is tested while it connects fails the cell, and is blamed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from runner_stage import scenario

from interop.drivers.driver import Driver
from interop.drivers.in_process import InProcessDriver
from interop.drivers.pool import DriverPool
from interop.mutants.mutant import Hears, Mutant, Says, table
from interop.mutants.registry import MUTANTS
from interop.mutants.trial import Trial
from interop.mutants.words import disliked, nothing, when
from interop.mutants.wrong_ends import WrongBrokerSpec, wrong_adapter
from interop.runner.known_failures import KnownFailures
from interop.runner.pace import Slots
from interop.runner.play import Workshop, play
from interop.scenario.load import LoadedScenario, load_named
from reference_broker.net.tls import make_test_certificates
from reference_broker.wire.packets import Connect, PubAck, PubComp, PubRec
from reports.record import Record, Verdict


def put_to(mutant: Mutant, loaded: LoadedScenario, mqtt: str = "5.0") -> Record:
    """The record of one cell of a scenario, with the mutant on its side."""
    return asyncio.run(_play(mutant, loaded, mqtt))


async def _play(mutant: Mutant, loaded: LoadedScenario, mqtt: Any) -> Record:
    async def start(name: str) -> Driver:
        return await InProcessDriver.start(name, wrong_adapter(mutant if name == mutant.name else _RIGHT))

    drivers = DriverPool(limit=4, start=start)
    right = WrongBrokerSpec(_RIGHT)
    workshop = Workshop(
        drivers=drivers,
        brokers={"reference": right, mutant.name: WrongBrokerSpec(mutant)},
        known_failures=KnownFailures(),
        certificates=lambda: make_test_certificates(Path("unused")),
        slots=Slots(2, 2),
    )
    try:
        return await play(Trial(mutant.name, loaded.name, mqtt).cell(loaded, mutant.side), workshop)
    finally:
        await drivers.close()


_RIGHT = Mutant("right", "broker", (), ())


ABOUT_CONNECTING = [
    ("connect/websocket_frames", "client reads no packet that is in several messages"),
    ("connect/websocket_frames", "broker reads no packet that is in several messages"),
    ("connect/websocket_fragments[to-client]", "client loses what continues a message"),
    ("connect/websocket_fragments[to-broker]", "broker loses what continues a message"),
    ("delivery/split_into_single_bytes[broker]", "forgets half packets of a broker"),
    ("delivery/split_into_single_bytes[client]", "forgets half packets"),
]


WITHOUT_CONNECT = """\
    actors: {one: {}}
    steps:
      - {do: split, link: one, from: broker}
      - {do: subscribe, as: one, topic: t}
    """
SPLIT = ("no step says connect", "forgets half packets of a broker")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Record]:
    """All of them side by side: each waits seconds for what does not come."""

    async def all_of_them() -> list[Record]:
        return await asyncio.gather(*(_play(MUTANTS[mutant], one, "5.0") for (_, mutant), one in cells))

    loaded = load_named(name for name, _ in ABOUT_CONNECTING)
    cells = [(each, loaded[each[0]]) for each in ABOUT_CONNECTING]
    cells.append((SPLIT, scenario(tmp_path_factory.mktemp("split"), WITHOUT_CONNECT)))
    return dict(zip((each for each, _ in cells), asyncio.run(all_of_them()), strict=True))


@pytest.mark.parametrize(("name", "mutant"), ABOUT_CONNECTING)
def test_who_breaks_what_a_scenario_is_about_while_it_connects_fails_and_is_blamed(
    played: dict[tuple[str, str], Record], name: str, mutant: str
) -> None:
    record = played[name, mutant]
    assert (record.verdict, record.blame) == (Verdict.FAIL, MUTANTS[mutant].side), record.reason
    assert record.findings[0].step is not None


def test_a_connection_that_a_fault_befell_is_no_set_up_though_no_step_says_connect(
    played: dict[tuple[str, str], Record],
) -> None:
    record = played[SPLIT]
    assert (record.verdict, record.blame, record.findings[0].step) == (Verdict.FAIL, "client", 2)


WITH_WILL = """\
    actors: {one: {will: {topic: w}}}
    steps:
      - {do: subscribe, as: one, topic: t}
    """


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (Hears(Connect, when(lambda packet, _: packet.will is not None, disliked)), Verdict.FAIL),
        (Hears(Connect, disliked), Verdict.SETUP_FAILED),
    ],
    ids=["for its will", "whatever it asks"],
)
def test_a_connection_refused_for_what_its_connect_asks_is_no_set_up(
    tmp_path: Path, fault: Hears, verdict: Verdict
) -> None:
    (mutant,) = table("broker", "will", {"refuses": fault})
    assert put_to(mutant, scenario(tmp_path, WITH_WILL)).verdict is verdict


ANSWERED = """\
    judges: {judges}
    actors: {{one: {{}}}}
    steps:
      - {{do: connect, as: one}}
      - {{do: publish, as: one, topic: t, qos: {qos}, payload: x}}
    """


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize(("judges", "verdict"), [("client", Verdict.FAIL), ("broker", Verdict.SETUP_FAILED)])
def test_a_broker_that_answered_a_publish_is_not_to_blame_for_a_client_that_tells_nobody(
    tmp_path: Path, judges: str, verdict: Verdict, qos: int
) -> None:
    record = put_to(
        MUTANTS["takes PUBLISH for granted at once"], scenario(tmp_path, ANSWERED.format(judges=judges, qos=qos))
    )
    assert record.verdict is verdict, record.reason


@pytest.mark.parametrize(("answer", "qos"), [(PubAck, 1), (PubRec, 2), (PubComp, 2)])
def test_a_broker_that_left_a_publish_unanswered_is_to_blame(tmp_path: Path, answer: type, qos: int) -> None:
    (mutant,) = table("broker", "qos1", {"answers nothing": Says(answer, nothing)})
    record = put_to(mutant, scenario(tmp_path, ANSWERED.format(judges="broker", qos=qos)))
    assert (record.verdict, record.blame) == (Verdict.FAIL, "broker"), record.reason


WRONG_ANSWER = """\
    judges: {judges}
    actors: {{one: {{session: kept}}}}
    steps:
      - {{do: subscribe, as: one, topic: t}}
      - {{do: cut, link: one, how: fin}}
      - {{do: connect, as: one, session_present: true}}
    """


@pytest.mark.parametrize("judges", ["client", "broker", "both"])
def test_a_wrong_connack_is_no_fault_of_a_client_that_asked_rightly(tmp_path: Path, judges: str) -> None:
    mutant = MUTANTS["never says Session Present"]
    record = put_to(mutant, scenario(tmp_path, WRONG_ANSWER.format(judges=judges)))
    assert (record.verdict, record.blame) == ("fail", "broker"), record.reason


def test_a_wrong_connack_may_be_the_fault_of_a_foreign_client(tmp_path: Path) -> None:
    mutant = MUTANTS["returns with a clean start"]
    record = put_to(mutant, scenario(tmp_path, WRONG_ANSWER.format(judges="client")))
    assert (record.verdict, record.blame) == ("fail", "client")
