"""`mqtt-interop monitor` as a person uses it."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import forked
import pytest

from interop.cli import main
from interop.judge import Finding
from interop.monitor.copier import Connection, Route
from interop.monitor.recorder import Limits, Recorder, Room, WhyNot
from interop.monitor.telling import KEPT_RECORDS, Book, finding_line, notice_lines
from interop.monitor.watch import Watch
from interop.tap.trace import Sender
from reference_broker import AsyncClient, ClientOptions
from reference_broker.net.address import Address
from reference_broker.net.tls import make_test_certificates
from reference_broker.testing import running_broker
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, Packet, PingReq, PingResp, PubAck, Publish
from reference_broker.wire.types import QoS, Version
from reports.record import read_records

pytestmark = pytest.mark.usefixtures("on_both_loops")

V311 = Version.V311
AGAIN = Publish("t", b"x", QoS.EXACTLY_ONCE, packet_id=1)


@pytest.fixture
def port_of_broker() -> Iterator[int]:
    with running_broker() as broker:
        yield broker.address.port


@contextmanager
def monitor(upstream: int, out: Path, *options: str, listen: str = "0") -> Iterator[tuple[forked.Forked, int]]:
    where = ["--listen", listen, "--upstream", f"127.0.0.1:{upstream}", "--out", str(out)]
    with forked.start("interop", "monitor", *where, *options) as process:
        found = re.match(r"listening on \w+://127.0.0.1:(\d+)(?:/mqtt)?, carrying on", process.stdout.readline())
        assert found
        yield process, int(found[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_summary_and_report(number: signal.Signals, port_of_broker: int, tmp_path: Path) -> None:
    with (
        monitor(port_of_broker, tmp_path) as (process, port),
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        client.sendall(encode(Connect(V311, "twice"), V311))
        assert client.recv(4)
        for _ in range(2):
            client.sendall(encode(AGAIN, V311))
            assert client.recv(4)
        process.send_signal(number)
        text = process.communicate(timeout=10)
    assert process.returncode == 1
    assert re.search(r'"twice" \(127\.0\.0\.1:\d+\) MUST client \[MQTT-3\.3\.1-1\] .* \| PUBLISH q2 id 1', text), text
    assert "1 connections, 6 packets judged, " in text
    assert "1 x MUST broken by the client: MQTT-3.3.1-1" in text
    (record,) = read_records(tmp_path / "results.jsonl")
    assert (record.verdict, record.blame, record.cites) == ("fail", "client", ("MQTT-3.3.1-1",))
    assert [entry.packet for entry in record.trace][1:3] == ["CONNECT", "CONNACK"]
    assert (tmp_path / "report.html").exists()


def test_behind_a_network_it_takes_longer_and_the_record_says_so(port_of_broker: int, tmp_path: Path) -> None:
    with (
        monitor(port_of_broker, tmp_path, "--network", "delay=40ms") as (process, port),
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        began = time.monotonic()
        client.sendall(encode(Connect(V311, "far"), V311))
        assert client.recv(4)
        assert time.monotonic() - began >= 0.08
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    (record,) = read_records(tmp_path / "results.jsonl")
    assert (record.verdict, record.network) == ("pass", "delay=40ms")


def test_a_network_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "--listen", "0", "--upstream", "127.0.0.1:1", "--network", "delay=2h"]) == 2
    assert "--network: delay=2h: expected delay=50ms" in capsys.readouterr().err


def test_what_breaks_nothing_ends_with_0(port_of_broker: int, tmp_path: Path) -> None:
    async def talk(port: int) -> None:
        async with AsyncClient(f"127.0.0.1:{port}", ClientOptions()) as client:
            await client.publish("t", b"x", qos=1)

    with monitor(port_of_broker, tmp_path) as (process, port):
        asyncio.run(talk(port))
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=10)
    assert (process.returncode, "no statement broken" in text) == (0, True), text


def test_a_port_in_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["monitor", "--listen", str(port), "--upstream", "127.0.0.1:1", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"127.0.0.1:{port}" in line


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--listen", "x:y", "--upstream", "h:1"], "--listen x:y: "),
        (["--listen", "mqtts://h:1", "--upstream", "h:1"], "--cert and --key belong to a --listen of mqtts or wss"),
        (["--listen", "1", "--upstream", "h:1", "--cert", "c", "--key", "k"], "--cert and --key belong to"),
        (["--listen", "mqtts://h:1", "--upstream", "h:1", "--cert", "c"], "--cert and --key belong to"),
        (["--listen", "mqtts://127.0.0.1:0", "--upstream", "h:1", "--cert", "c", "--key", "k"], "c: No such file"),
        (["--listen", "0", "--upstream", "mqtts://h:1", "--ca-file", "nowhere.pem"], "nowhere.pem: No such file"),
        (["--listen", "1", "--upstream", "ftp://h"], "--upstream ftp://h: "),
        (["--listen", "1", "--upstream", "h:1", "--packets", "0"], "--packets and --for must be above 0"),
    ],
)
def test_wrong_options_are_one_line(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["monitor", *options, "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_it_ends_by_itself_after_the_time_given(tmp_path: Path) -> None:
    with monitor(1, tmp_path, "--for", "0.01") as (process, _):
        text = process.communicate(timeout=10)
    assert (process.returncode, text) == (0, "0 connections, 0 packets judged, 0 bytes\nno statement broken\n")


def test_a_broker_that_is_away_is_a_line_and_the_monitor_goes_on(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens
        nobody = silent.getsockname()[1]
        with monitor(nobody, tmp_path) as (process, port):
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", port)) as client:
                    assert client.recv(1) == b""
            told = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            text = process.communicate(timeout=10)
    assert f"not carried on: cannot connect to 127.0.0.1:{nobody}: Connection refused" in told
    assert f"2 connections not carried on: cannot connect to 127.0.0.1:{nobody}" in text, (told, text)
    assert {record.verdict for record in read_records(tmp_path / "results.jsonl")} == {"setup-failed"}


@pytest.mark.parametrize("scheme", ["ws", "mqtts", "wss"])
def test_clients_are_taken_over_every_transport(scheme: str, port_of_broker: int, tmp_path: Path) -> None:
    made = make_test_certificates(tmp_path / "certificates")
    shown = ["--cert", str(made.cert_file), "--key", str(made.key_file)] if scheme != "ws" else []

    async def talk(port: int) -> None:
        address = Address.parse(f"{scheme}://127.0.0.1:{port}", ca_file=made.ca_file)
        async with AsyncClient(address, ClientOptions()) as client:
            await client.publish("t", b"x", qos=1)

    with monitor(port_of_broker, tmp_path / "out", *shown, listen=f"{scheme}://127.0.0.1:0") as (process, port):
        asyncio.run(talk(port))
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=10)
    assert (process.returncode, "1 connections, 5 packets judged" in text) == (0, True), text


def test_a_reader_of_the_lines_that_left_costs_neither_traffic_nor_report(port_of_broker: int, tmp_path: Path) -> None:
    with monitor(port_of_broker, tmp_path) as (process, port):
        process.stdout.close()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(encode(Connect(V311, "c"), V311))
            assert client.recv(4)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    assert (tmp_path / "report.html").exists()


def test_quiet_tells_only_the_summary(port_of_broker: int, tmp_path: Path) -> None:
    with (
        monitor(port_of_broker, tmp_path, "--quiet") as (process, port),
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        client.sendall(encode(AGAIN, V311))
        assert client.recv(4) == b""
        process.send_signal(signal.SIGTERM)
        text = process.communicate(timeout=10)
    assert process.returncode == 1
    assert text.startswith("1 connections, ")


# --- words and counts -------------------------------------------------------------------------------------------------


def connection(number: int = 1) -> Connection:
    return Connection(number, "peer:1", "h:1", "tcp", Recorder(0.0, Limits(), Room()), 0.0)


def say(known: Connection, side: Sender, packet: Packet) -> None:
    known.recorder.received(side, encode(packet, V311), known.began + 0.1)


def test_what_others_chose_can_neither_end_a_line_nor_colour_it() -> None:
    known = connection()
    say(known, Sender.CLIENT, Connect(V311, "evil\n\x1b[31m", keep_alive=0))
    say(known, Sender.BROKER, ConnAck())
    for _ in range(2):
        say(known, Sender.CLIENT, Publish("a\nb", b"\x1b", QoS.AT_LEAST_ONCE, packet_id=1))
    known.problem = "no\x07way"
    known.recorder.stop(WhyNot.FAILED, "a\nb")
    (finding,) = known.recorder.new_findings()
    for text in (finding_line(known, finding), *notice_lines(known)):
        assert text.isprintable()


def test_connections_without_a_page_are_counted() -> None:
    book = Book({})
    for number in range(KEPT_RECORDS + 2):
        book.settled(connection(number))
        book.ended(connection(number))
    assert len(book.records) == KEPT_RECORDS
    lines = list(book.summary())
    assert lines[0] == f"{KEPT_RECORDS + 2:,} connections, 0 packets judged, 0 bytes"
    assert f"2 connections have no page in the report: it holds {KEPT_RECORDS} of a kind" in lines


def test_healthy_connections_take_no_page_from_one_that_broke_something() -> None:
    book = Book({})
    for number in range(KEPT_RECORDS):
        book.settled(connection(number))
    late = connection(KEPT_RECORDS)
    say(late, Sender.CLIENT, AGAIN)
    assert late.recorder.new_findings()
    book.settled(late)
    assert book.records[-1].title == late.name


def test_a_page_shows_the_beginning_and_what_is_around_a_finding() -> None:
    known = connection()
    say(known, Sender.CLIENT, Connect(V311, "c", keep_alive=0))
    say(known, Sender.BROKER, ConnAck())
    for number in range(1, 501):
        say(known, Sender.CLIENT, Publish(f"t/{number}", b"", QoS.AT_LEAST_ONCE, packet_id=number))
        say(known, Sender.BROKER, PubAck(number if number != 400 else 1))
    book = Book({})
    found = known.recorder.new_findings()
    book.settled(known)
    (record,) = book.records
    assert len(record.trace) < 100
    assert [entry.packet for entry in record.trace[1:3]] == ["CONNECT", "CONNACK"]
    for finding, kept in zip(found, record.findings, strict=True):
        assert kept.trace_index is not None
        shown = record.trace[kept.trace_index]
        assert shown.hex == known.recorder.entry(finding).data.hex()


def test_a_rule_that_stumbles_ends_the_judging_of_one_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    stumbling, healthy = connection(1), connection(2)
    monkeypatch.setattr(stumbling.recorder, "look", lambda: 1 // 0)
    book = Book({})
    watch = Watch(Route(Address("h", 1), Address("h", 2)), Limits(), book, lambda _: None)
    for known in (stumbling, healthy):
        watch.opened(known)
    asyncio.run(watch.judge_all())
    assert (stumbling.recorder.why_not, healthy.recorder.why_not) == (WhyNot.FAILED, None)
    assert book.totals.not_judged == {WhyNot.FAILED: 1}


def test_a_connection_that_is_told_leaves_nothing_behind() -> None:
    known = connection()
    say(known, Sender.CLIENT, Connect(V311, "c"))
    watch = Watch(Route(Address("h", 1), Address("h", 2)), Limits(), Book({}), lambda _: None)
    watch.opened(known)
    known.recorder.stop(WhyNot.LIMIT)
    asyncio.run(watch.judge_all())
    assert (len(known.recorder.trace), known.is_told) == (0, True)
    asyncio.run(watch.judge_all())
    assert watch.book.totals.not_judged == {WhyNot.LIMIT: 1}


def test_a_round_looks_only_where_something_came(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    quiet, busy = connection(1), connection(2)
    watch = Watch(Route(Address("h", 1), Address("h", 2)), Limits(), Book({}), lambda _: None)
    for known in (quiet, busy):
        watch.opened(known)
        monkeypatch.setattr(known.recorder, "look", partial(_noting, looked, known))
    asyncio.run(watch.judge_all())
    assert looked == [quiet.name, busy.name]
    looked.clear()
    say(busy, Sender.CLIENT, AGAIN)
    asyncio.run(watch.judge_all())
    asyncio.run(watch.judge_all())
    assert looked == [busy.name]


def _noting(looked: list[str], known: Connection) -> tuple[int, list[Finding]]:
    looked.append(known.name)
    return type(known.recorder).look(known.recorder)


def test_what_later_packets_refute_is_withdrawn_in_lines_sums_and_report() -> None:
    known, said = connection(), []
    book = Book({})
    watch = Watch(Route(Address("h", 1), Address("h", 2)), Limits(), book, said.append)
    watch.opened(known)

    def at(seconds: float, side: Sender, packet: Packet) -> None:
        known.recorder.received(side, encode(packet, V311), known.began + seconds)

    at(0.0, Sender.CLIENT, Connect(V311, "c", keep_alive=2))
    at(0.0, Sender.BROKER, ConnAck())
    for seconds in (1.9, 3.8, 5.7, 7.6):
        at(seconds, Sender.CLIENT, PingReq())
    asyncio.run(watch.judge_all())
    assert sum(book.totals.broken.values()) == 1
    for _ in range(4):
        at(8.0, Sender.BROKER, PingResp())
    asyncio.run(watch.judge_all())
    assert [text.split()[3] for text in said] == ["SHOULD", "withdrawn:"]
    assert not book.totals.broken
    known.recorder.is_over = True
    asyncio.run(watch.judge_all())
    assert list(book.summary())[-2:] == ["1 x withdrawn, because later packets refuted it", "no statement broken"]
    (record,) = book.records
    assert (record.verdict, record.findings, record.log.count("withdrawn: ")) == ("pass", (), 1)
