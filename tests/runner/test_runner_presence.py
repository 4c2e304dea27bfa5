"""A broker that goes away: no cell is held against it, and a run with nobody left to try ends."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from runner_matrix import begun, ended, kept, scenarios, started, until, verdicts
from runner_stage import HEAD, play_at, played, scenario

from interop.brokers import broker as broker_module
from interop.brokers.address import AddressSpec
from interop.brokers.broker import BrokerFault, BrokerSpec
from interop.brokers.process import ProcessSpec, Program, Wish
from interop.runner.cell import Cell
from interop.runner.engine import Engine
from interop.runner.known_failures import Entry, KnownFailures
from interop.runner.preflight import ask_brokers, in_words
from interop.runner.presence import IN_A_ROW, NobodyThere, Presence, last_alive
from interop.scenario.load import LoadedScenario, load_scenarios
from interop.scenario.values import MqttLabel
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.net.address import Address
from reference_broker.net.config import ServerConfig
from reference_broker.testing import running_broker
from reports.record import Record, Verdict

LAST_ALIVE = r"it was last alive at 20..-..-.. ..:..:.. UTC"

# --- how often, and since when ----------------------------------------------------------------------------------------


class Hours:
    """A worker's presence, and its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.presence = Presence(lambda: self.now)

    def cell(self, *, missed: bool, began: float | None = None, broker: str = "b") -> None:
        """A cell is over."""
        began = self.now if began is None else began
        self.now = max(self.now, began) + 1
        if missed:
            self.presence.missed(broker, began, "could not be reached")
        else:
            self.presence.heard(broker, self.now)


def test_a_broker_that_cells_in_a_row_miss_is_gone() -> None:
    hours = Hours()
    hours.cell(missed=False)
    for _ in range(IN_A_ROW - 1):
        hours.cell(missed=True)
        assert hours.presence.over is None
    hours.cell(missed=True)
    assert str(hours.presence.over) == "b is gone, as 5 cells in a row found (could not be reached)"


def test_cells_that_were_under_way_together_miss_it_once() -> None:
    hours = Hours()
    for _ in range(3 * IN_A_ROW):
        hours.cell(missed=True, began=99.0)
    assert hours.presence.over is None


def test_a_broker_that_comes_back_is_not_gone() -> None:
    hours = Hours()
    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            hours.cell(missed=True)
        hours.cell(missed=False)
    assert hours.presence.over is None


def test_one_that_others_heard_before_it_went_is_gone_all_the_same() -> None:
    hours = Hours()
    for _ in range(IN_A_ROW):
        hours.cell(missed=True)
        hours.presence.heard("b", 99.0)
        hours.cell(missed=False, broker="another")
    assert hours.presence.over


def test_when_a_broker_was_last_alive_is_the_last_that_any_cell_heard_of_it() -> None:
    def record(name: str, broker: str, started_at: str, *senders: str) -> Record:
        trace = [
            {"at": float(at), "link": "l", "connection": 1, "kind": "packet", "sender": sender}
            for at, sender in enumerate(senders)
        ]
        identity = {"scenario": name, "title": "t", "area": "a", "client": "c", "broker": broker, "mqtt": "5.0"}
        more = {"transport": "tcp", "verdict": "pass", "seconds": 1.0, "started_at": started_at, "trace": trace}
        return Record.model_validate(identity | more)

    records = [
        record("a/first", "b", "2026-03-01T10:00:00.500+00:00", "client", "broker", "broker", "client"),
        record("a/later", "b", "2026-03-01T10:00:01.900+00:00", "client"),
        record("a/other", "another", "2026-03-01T11:00:00.000+00:00", "broker"),
        record("a/never", "b", ""),
    ]
    assert last_alive(records, "b") == "it was last alive at 2026-03-01 10:00:02 UTC"
    assert last_alive(records, "nobody") == "no cell ever heard of it"


# --- how a cell notices -----------------------------------------------------------------------------------------------

MESSAGE = """\
    actors: {sub: {}}
    steps:
      - {do: subscribe, as: sub, topic: t, qos: 1}
      - {do: publish, as: sub, topic: t, qos: 1, payload: hello}
    """
HOSTILE = """\
    actors: {bad: {}}
    steps:
      - {do: connect, as: bad}
      - {do: inject, link: bad, to: broker, hex: "82 06 0001 00 0001 74 00"}
      - {do: closed, link: bad, by: broker}
    """
CONNACK = b"\x20\x03\x00\x00\x00"


def nobody() -> AddressSpec:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return AddressSpec(Address(*listener.getsockname()))


def outcome(loaded: LoadedScenario, spec: BrokerSpec, known: KnownFailures | None = None) -> Record:
    return asyncio.run(play_at(Cell(loaded, "builtin", spec.name, "5.0", "tcp"), spec, known))


def test_a_cell_whose_broker_cannot_be_reached_is_held_against_nobody(tmp_path: Path) -> None:
    record = outcome(scenario(tmp_path, MESSAGE), nobody())
    assert (record.verdict, record.blame, record.findings, record.cites) == (Verdict.SETUP_FAILED, "unknown", (), ())
    assert re.fullmatch(r"the broker could not be reached at 127\.0\.0\.1:\d+: connection refused", record.reason)


@asynccontextmanager
async def dying_broker(*, deaf: bool = False) -> AsyncIterator[AddressSpec]:
    """A broker that is gone, or only `deaf` from then on, when it is asked to subscribe."""
    peers: list[asyncio.StreamWriter] = []
    is_dead = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal is_dead
        peers.append(writer)
        while data := await reader.read(1000):
            if data[0] >> 4 == 8:
                is_dead = True
                if not deaf:
                    server.close()
                for each in peers:
                    each.close()
            elif data[0] >> 4 == 1 and not is_dead:
                writer.write(CONNACK)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield AddressSpec(Address(*server.sockets[0].getsockname()))
        for each in peers:
            each.close()


@pytest.mark.parametrize("steps", [MESSAGE, HOSTILE], ids=["while it was wanted", "as the scenario expects"])
def test_a_broker_that_dies_in_a_cell_is_noticed_though_others_can_be_reached_no_more(
    tmp_path: Path, steps: str
) -> None:
    async def main() -> Record:
        async with dying_broker() as spec:
            return await play_at(Cell(scenario(tmp_path, steps), "builtin", spec.name, "5.0", "tcp"), spec)

    record = asyncio.run(main())
    assert (record.verdict, record.findings, dict(record.judged)) == (Verdict.SETUP_FAILED, (), {})
    wanted = r"the broker could not be reached at [\d.:]+: connection refused, last heard of at \d\.\d s"
    assert re.fullmatch(wanted, record.reason)
    assert ("held against nobody, as the broker is gone: " in record.log) == (steps == MESSAGE)


def test_a_broker_that_answers_no_connect_any_more_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "PRESENCE_SECONDS", 0.05)

    async def main() -> Record:
        async with dying_broker(deaf=True) as spec:
            cell = Cell(scenario(tmp_path, MESSAGE), "builtin", spec.name, "5.0", "tcp")
            return await play_at(cell, spec, absent={spec.name: {}})

    record = asyncio.run(main())
    assert record.verdict is Verdict.SETUP_FAILED
    assert "but did not answer CONNECT of MQTT 5.0, last heard of at 0." in record.reason


def test_a_broker_that_is_there_is_blamed_for_what_it_does(tmp_path: Path) -> None:
    wrong = f"{MESSAGE}  - {{do: receive, as: sub, topic: t, payload: never sent, within: 0.1}}\n"
    with running_broker() as broker:
        record = outcome(scenario(tmp_path, wrong), AddressSpec(broker.address))
    assert (record.verdict, record.blame) == (Verdict.FAIL, "broker")


# --- brokers of our own -----------------------------------------------------------------------------------------------

_CRASHING = """
import os, pathlib, socket, threading
CONNACK = b"\\x20\\x03\\0\\0\\0"
def serve(peer):
    while data := peer.recv(1000):
        if data[0] >> 4 == 8:
            HOW
        if data[0] >> 4 == 1:
            peer.send(WELCOME)
listener = socket.create_server(("127.0.0.1", int(pathlib.Path("port").read_text())))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def crashing(how: str = "os._exit(3)", welcome: str = "CONNACK") -> ProcessSpec:
    """A program that lets everybody in, and ends when it is asked to subscribe."""

    def configure(wish: Wish) -> None:
        (wish.folder / "port").write_text(str(wish.port))

    arguments = ("-S", "-c", _CRASHING.replace("HOW", how).replace("WELCOME", welcome))
    return ProcessSpec(Program("tiny", sys.executable, arguments, configure, ("-V",), re.compile(r"Python (\S+)")))


OWN = "own_broker: true\n"


@pytest.mark.parametrize(
    ("how", "own", "wanted", "blame"),
    [
        ("os._exit(3)", "", r"with code 3 at \d\.\d s, while this cell was under way", "unknown"),
        ("os._exit(3)", OWN, r"with code 3 at \d\.\d s, in this cell, which had it to itself", "broker"),
        ("os.kill(os.getpid(), 9)", OWN, r"by SIGKILL at \d\.\d s, in this cell, which had it to itself", "broker"),
    ],
)
def test_a_process_that_ends_in_a_cell_is_told_with_how_and_when(
    tmp_path: Path, how: str, own: str, wanted: str, blame: str
) -> None:
    record = outcome(scenario(tmp_path, MESSAGE, HEAD + own), crashing(how))
    assert (record.verdict, record.findings) == (Verdict.SETUP_FAILED, ())
    assert re.fullmatch(f"the broker's process ended {wanted}", record.reason), record.reason
    assert record.blame == blame


def test_a_crash_that_is_listed_is_as_expected(tmp_path: Path) -> None:
    entry = Entry(broker="tiny", scenarios=("area/case",), rules=("subscribe",), reason="falls over")
    record = outcome(scenario(tmp_path, MESSAGE), crashing(), KnownFailures((entry,)))
    assert record.verdict is Verdict.SETUP_FAILED
    assert record.known_failure is not None
    other = Entry(broker="tiny", scenarios=("area/case",), rules=("receive",), reason="something else")
    assert outcome(scenario(tmp_path, MESSAGE), crashing(), KnownFailures((other,))).known_failure is None


def test_a_restart_that_the_scenario_asks_for_is_no_absence(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {session: kept}}
        own_broker: true
        needs: [persistence]
        steps:
          - {do: subscribe, as: sub, topic: t, qos: 1}
          - {do: restart, how: stop}
          - {do: connect, as: sub, session_present: true}
        """
    assert played(scenario(tmp_path, text)).verdict is Verdict.PASS


# --- versions ---------------------------------------------------------------------------------------------------------


def test_a_version_the_broker_does_not_speak_is_unsupported_and_nothing_else(tmp_path: Path) -> None:
    spec = nobody()
    why = f"{spec.name} answered CONNECT of MQTT 5.0 with return code 0x01, unacceptable protocol version"
    cell = Cell(scenario(tmp_path, MESSAGE), "builtin", spec.name, "5.0", "tcp")
    record = asyncio.run(play_at(cell, spec, absent={spec.name: {"5.0": why}}))
    assert (record.verdict, record.reason, record.trace) == (Verdict.UNSUPPORTED, why, ())


def test_a_broker_that_we_started_is_asked_before_its_first_cell(tmp_path: Path) -> None:
    welcome = "b'\\x20\\2\\0\\1' if data[8] == 5 else CONNACK"
    record = outcome(scenario(tmp_path, MESSAGE), crashing(welcome=welcome))
    assert record.verdict is Verdict.UNSUPPORTED
    assert record.reason == "tiny answered CONNECT of MQTT 5.0 with return code 0x01, unacceptable protocol version"


def cells_of(tmp_path: Path, broker: str, mqtt: MqttLabel = "5.0") -> list[Cell]:
    return [Cell(scenario(tmp_path, MESSAGE), "builtin", broker, mqtt, "tcp")]


@pytest.mark.parametrize(
    ("login", "words"),
    [("", "name a user it knows in its address, mqtt://USER:PASSWORD@"), ("alice:Qv77@", "put right the user name")],
)
def test_a_broker_that_refuses_our_login_ends_the_run_before_it_begins(tmp_path: Path, login: str, words: str) -> None:
    with running_broker(ServerConfig(port=0, broker=BrokerConfig(users={"bob": "b"}, allow_anonymous=False))) as broker:
        shown = broker.address.host_and_port
        with pytest.raises(BrokerFault) as caught:
            ask_brokers(cells_of(tmp_path, shown), {shown: login + shown})
    assert words in str(caught.value)
    assert "Qv77" not in str(caught.value)


def test_only_brokers_at_addresses_are_asked_before_a_run(tmp_path: Path) -> None:
    assert ask_brokers(cells_of(tmp_path, "reference"), {"reference": "reference"}) == {}
    with running_broker() as broker:
        name = broker.address.url
        assert ask_brokers(cells_of(tmp_path, name), {name: name}) == {name: {}}


def test_what_is_not_there_is_said_in_the_head_of_the_run() -> None:
    assert in_words({"a": {"5.0": "a says no"}, "b": {}}) == ["unsupported: a says no"]


# --- the run ----------------------------------------------------------------------------------------------------------


def test_nobody_there_ends_the_run_and_keeps_what_was_played(tmp_path: Path) -> None:
    names = [f"case_{number:02}" for number in range(30)]
    scenarios(tmp_path, **dict.fromkeys(names, ("t", 0.0)))
    spec = nobody()
    cells = [
        Cell(each, "builtin", spec.name, next(iter(each.scenario.versions)), "tcp")
        for each in load_scenarios([tmp_path / "scenarios"])
    ]
    engine = Engine(KnownFailures(), {spec.name: spec}, tmp_path / "gw0.jsonl", absent={spec.name: {}})
    try:
        engine.begin(cells)
        with pytest.raises(NobodyThere, match=r"is gone, as 5 cells in a row found \(.* refused\)$"):
            list(map(engine.record, cells))
    finally:
        engine.stop()
    records = [Record.model_validate_json(line) for line in (tmp_path / "gw0.jsonl").read_text().splitlines()]
    assert IN_A_ROW <= len(records) < len(cells)
    assert {record.verdict for record in records} == {Verdict.SETUP_FAILED}


@contextmanager
def broker_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A broker that can be killed, and where it is."""
    command = [sys.executable, "-m", "reference_broker", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        try:
            yield process, found[0]
        finally:
            process.kill()


def test_a_run_whose_broker_goes_away_ends_with_all_that_is_there_in_every_report(tmp_path: Path) -> None:
    folder = scenarios(tmp_path, **{f"case_{number:03}": ("t", 0.0) for number in range(400)})
    with broker_process() as (process, name), started(folder, "-n", "2", "--broker", name) as run:
        until(lambda: begun(folder, "gw0") and begun(folder, "gw1") and kept(folder) >= 6)
        process.kill()
        status, said = ended(run)
    assert status == 2, said
    counted = Counter(verdicts(folder).values())
    assert counted.keys() == {"pass", "setup-failed"}
    missing = 400 - counted.total()
    assert missing > 0
    why = f"the broker could not be reached at {name}: connection refused"
    gone = rf"{name} is gone, as 5 cells in a row found \({why}\); {LAST_ALIVE}"
    whole = rf"{missing} cells did not run\. The run was ended: {gone}\."
    for text in (said, (folder / "out" / "summary.md").read_text(), (folder / "out" / "report.html").read_text()):
        assert re.search(whole, text), [line for line in text.splitlines() if "did not run." in line]
    suite = ET.parse(folder / "out" / "junit.xml").getroot().find("testsuite[@name='cells that did not run']")
    assert suite is not None
    assert (suite.get("tests"), suite.get("errors")) == (str(missing), str(missing))
    message = suite.find("testcase/error").get("message")  # type: ignore[union-attr]
    assert re.fullmatch(f"did not run: {gone}", message or "")
