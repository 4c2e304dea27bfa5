"""Runs over real sockets: a slice towards the reference pair, and towards peers that do everything wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from interop.brokers.reference import ReferenceSpec
from interop.brokers.registry import BROKERS, broker_spec
from interop.cli import main
from interop.corpus import broker_run, command
from interop.corpus.broker_run import play_all_on_broker, play_on_broker
from interop.corpus.cases import corpus
from interop.corpus.client_run import play_all_on_client
from interop.corpus.model import Case, End, NoStart, Observed, Played, UnderTest
from interop.corpus.results import Run, record
from interop.drivers.pool import DriverPool
from interop.runner import known_failures
from reference_broker.net.address import Address, Transport
from reference_broker.wire.types import Version
from reports.record import Verdict, read_records

QUIET = {Verdict.PASS, Verdict.OBSERVED}


def verdicts(tested: UnderTest, played: list[Played]) -> dict[str, str]:
    """What is not quiet, by case."""
    records = [record(Run(tested, "it", {}, ""), one) for one in played]
    return {one.scenario: one.reason for one in records if one.verdict not in QUIET}


def test_a_slice_of_the_corpus_passes_on_the_reference_broker_and_others_lose_nothing() -> None:
    async def run() -> tuple[list[Played], list[str]]:
        broker = await broker_spec("reference").start({})
        played, lost = [], []
        async for batch, what in play_all_on_broker(corpus(UnderTest.BROKER)[::20], broker.address()):
            played += batch
            lost.append(what)
        await broker.stop()
        return played, lost

    played, lost = asyncio.run(run())
    assert len(played) > 200
    assert verdicts(UnderTest.BROKER, played) == {}
    assert set(lost) == {""}


def test_a_slice_of_the_corpus_passes_on_the_built_in_client() -> None:
    async def run() -> list[Played]:
        pool = DriverPool(limit=8)
        try:
            return [one async for one in play_all_on_client(corpus(UnderTest.CLIENT)[::20], "builtin", pool)]
        finally:
            await pool.close()

    played = asyncio.run(run())
    assert len(played) == len(corpus(UnderTest.CLIENT)[::20])
    assert verdicts(UnderTest.CLIENT, played) == {}


class Fake(asyncio.Protocol):
    """A broker that gives the same answer to whatever comes."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(self._answer(data))


def on_fake(case_id: str, answer: Callable[[bytes], bytes]) -> Played:
    (case,) = corpus(UnderTest.BROKER, patterns=(case_id,))

    async def run() -> Played:
        server = await asyncio.get_running_loop().create_server(lambda: Fake(answer), "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1], Transport.TCP)
        try:
            return Played(case, await play_on_broker(case, address), "", 0.0)
        finally:
            server.close()

    return asyncio.run(run())


def lenient(data: bytes) -> bytes:
    return b"\x20\2\0\0" if data[0] == 0x10 else b"\xd0\0"


def test_a_broker_that_takes_everything_fails() -> None:
    played = on_fake("3.1.1/publish-qos-0/flags/0110", lenient)
    assert played.observed is not None
    assert played.observed.end is End.ALIVE
    assert verdicts(UnderTest.BROKER, [played]) != {}


def test_a_broker_that_falls_silent_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_run, "ANSWER_SECONDS", 0.05)
    played = on_fake("3.1.1/publish-qos-0/flags/0110", lambda data: b"\x20\2\0\0" if data[0] == 0x10 else b"")
    assert played.observed is not None
    assert played.observed.end is End.SILENT
    assert verdicts(UnderTest.BROKER, [played]) != {}


def test_a_broker_that_answers_rubbish_fails() -> None:
    played = on_fake("3.1.1/publish-qos-0/flags/0110", lambda data: lenient(data) if data[0] == 0x10 else b"\0\0")
    assert played.observed is not None
    assert played.observed.garbled
    assert verdicts(UnderTest.BROKER, [played]) != {}


def test_a_broker_that_refuses_everybody_cannot_be_tried() -> None:
    with pytest.raises(NoStart, match="an ordinary CONNECT"):
        on_fake("3.1.1/publish-qos-0/flags/0110", lambda _: b"\x20\2\0\5")


def test_the_watch_notices_a_message_that_does_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_run, "ANSWER_SECONDS", 0.05)

    def forgetful(data: bytes) -> bytes:
        return {0x10: b"\x20\2\0\0", 0x82: b"\x90\3\0\1\1"}.get(data[0], b"")

    async def run() -> str:
        server = await asyncio.get_running_loop().create_server(lambda: Fake(forgetful), "127.0.0.1", 0)
        watch = broker_run.Watch(Address("127.0.0.1", server.sockets[0].getsockname()[1], Transport.TCP), Version.V311)
        try:
            await watch.begin()
            return await watch.look()
        finally:
            watch.end()
            server.close()

    assert "did not arrive" in asyncio.run(run())


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_records_and_says_how_it_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case_id = "3.1.1/pingreq/flags/0001"
    assert main(["corpus", "--broker", "reference", "--case", case_id, "--out", str(tmp_path)]) == 0
    assert "reference: 2 results: 2 pass" in capsys.readouterr().out
    names = {one.scenario for one in read_records(tmp_path / "results.jsonl")}
    assert names == {"corpus/pingreq/flags/0001", "corpus/others-lose-nothing/batch-1"}
    assert (tmp_path / "report.html").is_file()


class Lenient(ReferenceSpec):
    """A broker of the folder, which closes for nothing."""

    name = "acme"


@pytest.mark.parametrize(("listed", "code"), [(True, 0), (False, 1)])
def test_what_a_broker_of_the_folder_is_known_to_do_is_known_to_the_command_too(
    listed: bool, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stays_open(cases: list[Case], *_: object) -> AsyncIterator[tuple[list[Played], str]]:
        yield [Played(case, Observed(End.ALIVE), "", 0.0) for case in cases], ""

    entry = "- {broker: acme, scenarios: [corpus/publish-qos-0/flags/*], rules: [reaction], reason: lenient}"
    (tmp_path / "known.yaml").write_text(entry if listed else "")
    monkeypatch.setitem(BROKERS, "acme", Lenient)
    folder = {"acme": SimpleNamespace(known_failures=tmp_path / "known.yaml")}
    monkeypatch.setattr(known_failures, "built_brokers", lambda: folder)
    monkeypatch.setattr(command, "play_all_on_broker", stays_open)
    options = ["--broker", "acme", "--case", "3.1.1/publish-qos-0/flags/0110", "--out", str(tmp_path / "out")]
    assert main(["corpus", *options]) == code


def test_the_command_lists_cases_with_their_statements(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "--broker", "reference", "--case", "5.0/connect/receive-maximum/zero", "--list"]) == 0
    assert capsys.readouterr().out == "5.0/connect/receive-maximum/zero  [MQTT5-U-6, MQTT-3.1.4-1]\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mqtt", "4.0"], "--mqtt 4.0: expected one of 3.1, 3.1.1, 5.0"),
        (["--case", "nothing/*"], "no case fits nothing/*"),
        (["--broker", "nobody"], "unknown broker 'nobody'"),
        (["--client", "nobody"], "unknown client 'nobody'"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", *options, "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
