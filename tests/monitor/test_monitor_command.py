"""`mqtt-interop monitor` as a person uses it."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.cli import main
from interop.monitor.copier import Connection
from interop.monitor.recorder import Limits
from interop.monitor.telling import KEPT_RECORDS, Book
from reference_broker import AsyncClient, ClientOptions
from reference_broker.testing import running_broker
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Connect, Publish
from reference_broker.wire.types import QoS, Version
from reports.record import read_records

V311 = Version.V311
AGAIN = Publish("t", b"x", QoS.EXACTLY_ONCE, packet_id=1)


@pytest.fixture
def port_of_broker() -> Iterator[int]:
    with running_broker() as broker:
        yield broker.address.port


@contextmanager
def monitor(upstream: int, out: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = ["-m", "interop", "monitor", "--listen", "0", "--upstream", f"127.0.0.1:{upstream}", "--out", str(out)]
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.match(r"listening on mqtt://127.0.0.1:(\d+), carrying on", process.stdout.readline())
        assert found
        try:
            yield process, int(found[1])
        finally:
            process.kill()


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
        text, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    assert re.search(r'"twice" \(127\.0\.0\.1:\d+\) MUST client \[MQTT-3\.3\.1-1\] .* \| PUBLISH q2 id 1', text), text
    assert "1 connections, 6 packets, " in text
    assert "1 x MUST broken by the client: MQTT-3.3.1-1" in text
    (record,) = read_records(tmp_path / "results.jsonl")
    assert (record.verdict, record.blame, record.cites) == ("fail", "client", ("MQTT-3.3.1-1",))
    assert [entry.packet for entry in record.trace][1:3] == ["CONNECT", "CONNACK"]
    assert (tmp_path / "report.html").exists()


def test_what_breaks_nothing_ends_with_0(port_of_broker: int, tmp_path: Path) -> None:
    async def talk(port: int) -> None:
        async with AsyncClient(f"127.0.0.1:{port}", ClientOptions()) as client:
            await client.publish("t", b"x", qos=1)

    with monitor(port_of_broker, tmp_path) as (process, port):
        asyncio.run(talk(port))
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=10)
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
        (["--listen", "ws://h:1", "--upstream", "h:1"], "clients are taken over plain TCP only"),
        (["--listen", "1", "--upstream", "ftp://h"], "--upstream ftp://h: "),
        (["--listen", "1", "--upstream", "h:1", "--packets", "0"], "--packets and --seconds must be above 0"),
    ],
)
def test_wrong_options_are_one_line(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_connections_without_a_page_are_counted() -> None:
    book = Book("h:1", {})
    for number in range(KEPT_RECORDS + 2):
        book.ended(Connection(number, "peer", Limits()))
    assert len(book.records) == KEPT_RECORDS
    lines = list(book.summary())
    assert lines[0] == f"{KEPT_RECORDS + 2:,} connections, 0 packets, 0 bytes"
    assert "2 connections have no page: the report holds the first 1,000" in lines
