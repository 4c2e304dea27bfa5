"""`mqtt-interop judge` as a person uses it."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from capture_files import BROKER, CLIENT, Line, write_pcap
from hypothesis import given
from hypothesis import strategies as st

from interop.capture.connections import gathered
from interop.capture.judging import judge_each
from interop.capture.segments import BadCapture, Capture, Endpoint
from interop.capture.streams import conversations
from interop.cli import main
from interop.monitor.recorder import Limits
from interop.tap.websocket import Opcode, frame
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)
from reference_broker.wire.types import QoS, ReasonCode, Version
from reports.record import Verdict, read_records

V31, V311, V5 = Version.V31, Version.V311, Version.V5
HTTP = b"GET /mqtt HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"


def connected(version: Version = V311, client_id: str = "c", line: Line | None = None, keep_alive: int = 0) -> Line:
    line = (line or Line()).open()
    line.packet(line.client, Connect(version, client_id, keep_alive=keep_alive), version)
    return line.packet(line.broker, ConnAck(), version)


def publish(packet_id: int = 1, topic: str = "t") -> Publish:
    return Publish(topic, b"x", QoS.AT_LEAST_ONCE, packet_id=packet_id)


def twice(version: Version = V311, line: Line | None = None) -> Line:
    """A client that sends a PUBLISH again without DUP."""
    line = connected(version, line=line)
    return line.packet(line.client, publish(), version).packet(line.client, publish(), version)


def judge(tmp_path: Path, *lines: Line, options: tuple[str, ...] = (), kept_bytes: int | None = None) -> int:
    segments = sorted((each for line in lines for each in line.segments), key=lambda each: each.at)
    file = write_pcap(tmp_path / "field.pcap", segments, kept_bytes=kept_bytes)
    return main(["judge", str(file), "--out", str(tmp_path / "judged"), *options])


@pytest.mark.parametrize(("version", "code"), [(V31, 0), (V311, 1), (V5, 1)])
def test_a_broken_statement_is_a_line_a_page_and_exit_code_1(
    version: Version, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(tmp_path, twice(version)) == code
    out = capsys.readouterr().out
    assert f'"c" (10.1.0.1:40000) {"MUST" if code else "SHOULD"} client' in out
    assert "1 connections, 4 packets judged" in out
    (record,) = read_records(tmp_path / "judged" / "results.jsonl")
    assert (record.verdict, record.mqtt, record.broker) == (
        Verdict.FAIL if code else Verdict.WARN,
        version.label,
        "10.1.0.2:1883",
    )
    assert (tmp_path / "judged" / "report.html").exists()


def test_a_healthy_connection_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = connected().packet(CLIENT, publish()).packet(BROKER, PubAck(1)).packet(CLIENT, Disconnect()).close(CLIENT)
    assert judge(tmp_path, line) == 0
    assert "no statement broken" in capsys.readouterr().out


def test_ipv6_is_read(tmp_path: Path) -> None:
    assert judge(tmp_path, twice(line=Line(Endpoint("fd00::1", 40000), Endpoint("fd00::2", 1883)))) == 1


def test_websocket_frames_are_opened_fragments_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = Line().open().say(CLIENT, HTTP).say(BROKER, SWITCHING)

    def client(data: bytes) -> None:
        middle = len(data) // 2
        line.say(CLIENT, frame(Opcode.BINARY, data[:middle], final=False, masked=True))
        line.say(CLIENT, frame(Opcode.PING, b"still here", masked=True))
        line.say(CLIENT, frame(Opcode.CONTINUATION, data[middle:], masked=True))

    client(encode(Connect(V311, "web", keep_alive=0), V311))
    line.say(BROKER, frame(Opcode.BINARY, encode(ConnAck(), V311)))
    client(encode(publish(), V311))
    client(encode(publish(), V311))
    assert judge(tmp_path, line) == 1
    assert '"web"' in capsys.readouterr().out
    (record,) = read_records(tmp_path / "judged" / "results.jsonl")
    assert record.transport == "ws"


def test_what_cannot_be_judged_is_said_and_held_against_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def line(port: int) -> Line:
        return Line(Endpoint("10.1.0.1", port), Endpoint("10.1.0.2", 1000 + port))

    ssh = line(1).open().say(Endpoint("10.1.0.2", 1001), b"SSH-2.0\r\n")
    tls = line(2).open().say(Endpoint("10.1.0.1", 2), b"\x16\x03\x01\x00\x05hello")
    web = line(3).open().say(Endpoint("10.1.0.1", 3), b"GET / HTTP/1.1\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
    middle = twice(line=line(4))
    middle.segments = middle.segments[5:]
    scan = line(5).open()
    assert judge(tmp_path, ssh, tls, web, middle, scan) == 3
    *lines, last = capsys.readouterr().out.splitlines()
    assert sorted(lines) == [
        "1 connections not judged: TLS: with a key log of either side (SSLKEYLOGFILE) --key-log FILE opens it",
        "1 connections not judged: nobody said anything",
        "1 connections not judged: they began before the capture, so that nobody knows what is open in them",
        "2 connections not judged: no MQTT",
    ]
    assert last == "nothing to judge: no connection whose beginning is MQTT"


def test_what_follows_a_hole_is_not_judged_and_what_is_missing_there_is_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = connected().packet(CLIENT, publish()).packet(BROKER, PubAck(1)).wait(60).packet(CLIENT, publish(2))
    line.segments = [each for each in line.segments if each.data != encode(PubAck(1), V311)]
    assert judge(tmp_path, line) == 0
    assert (
        "not judged from here on: bytes that nobody could see: the capture does not have them"
        in capsys.readouterr().out
    )


def test_packets_of_which_only_the_beginning_was_kept_break_nothing(tmp_path: Path) -> None:
    line = connected().packet(CLIENT, Publish("t", bytes(500), QoS.AT_LEAST_ONCE, packet_id=1)).wait(60)
    assert judge(tmp_path, line.packet(CLIENT, publish(2)), kept_bytes=96) == 0


def test_what_nobody_answers_until_the_capture_ends_is_missing(tmp_path: Path) -> None:
    waiting = connected().packet(CLIENT, PingReq())
    other = Line(Endpoint("10.1.0.3", 40000), now=waiting.now + 30).open()
    assert judge(tmp_path, waiting, other) == 1


def test_several_connections_of_one_client_are_each_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = twice()
    second = twice(line=Line(Endpoint("10.1.0.1", 40001), now=first.now))
    assert judge(tmp_path, first, second) == 1
    assert "2 x MUST broken by the client: MQTT-3.3.1-1" in capsys.readouterr().out


def crossing() -> tuple[Line, Line]:
    """A subscriber that gets two messages of another client the wrong way round."""
    subscriber, other = connected(client_id="listening"), Line(Endpoint("10.1.0.3", 40000))
    subscriber.packet(CLIENT, Subscribe(1, (Subscription("t", QoS.AT_LEAST_ONCE),)))
    subscriber.packet(BROKER, SubAck(1, (ReasonCode.GRANTED_QOS_1,)))
    other.now = subscriber.now
    connected(client_id="other", line=other)
    for number in (1, 2):
        other.packet(other.client, Publish("t", b"%d" % number, QoS.AT_LEAST_ONCE, packet_id=number))
        other.packet(BROKER, PubAck(number))
    subscriber.now = other.now
    for number in (2, 1):
        subscriber.packet(BROKER, Publish("t", b"%d" % number, QoS.AT_LEAST_ONCE, packet_id=number))
        subscriber.packet(CLIENT, PubAck(number))
    return subscriber, other


def test_where_a_message_came_from_is_asked_only_where_all_connections_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(tmp_path, *crossing()) == 0
    assert judge(tmp_path, *crossing(), options=("--whole",)) == 1
    assert "MUST broken by the broker" in capsys.readouterr().out


def test_a_capture_is_not_whole_where_a_connection_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = Line(Endpoint("10.1.0.9", 40000)).open().say(Endpoint("10.1.0.9", 40000), b"\x16\x03\x01\x00\x05hello")
    assert judge(tmp_path, *crossing(), hidden, options=("--whole",)) == 0
    assert (
        "each connection is judged by itself, as the capture is not whole: 1 connections: TLS"
        in capsys.readouterr().out
    )


def test_a_capture_that_ends_within_a_packet_is_judged_up_to_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = twice().packet(CLIENT, PingReq()).packet(BROKER, PingResp())
    file = write_pcap(tmp_path / "whole.pcap", line.segments)
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(file.read_bytes()[:-60])  # the frame is 56 bytes behind 16 of its own header
    assert main(["judge", str(cut), "--out", str(tmp_path / "judged")]) == 1
    assert "1 x MUST broken by the client" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a capture at all", b"\x0a\x0d\x0d\x0arubbish"])
def test_a_file_that_is_no_capture_is_one_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert main(["judge", str(file), "--out", str(tmp_path / "judged")]) in (2, 3)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.out or said.err


@given(st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=6), st.integers(0, 1 << 16))
def test_whatever_became_of_its_bytes_a_capture_is_read_to_where_it_can_be(
    changes: list[tuple[int, int]], end: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write_pcap(Path(folder) / "broken.pcap", twice().segments)
        data = bytearray(file.read_bytes())
        for place, value in changes:
            data[place % len(data)] = value
        file.write_bytes(data[: end % len(data)])
        capture = Capture(file)
        with contextlib.suppress(BadCapture):
            found = gathered(conversations(capture.segments(), 1 << 16), None, Limits(), capture.until)
            list(judge_each(found))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", str(tmp_path / "none.pcap")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
