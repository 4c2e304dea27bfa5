"""What a maintainer gets of a defect: everything asked for, and a script that shows it again without us."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from socket import SHUT_WR, create_connection, create_server, socket

import pytest
from reports_samples import Tape, framed, record, showcase

from interop.cli import main
from reports.defects import Defect, find_defects
from reports.issue import issue
from reports.record import Finding, Record, TraceEntry, Verdict
from reports.replay import LIMIT_LINES, replay
from reports.write import write_all

CONNACK = framed(0x20, b"\x00\x00\x00")
STATEMENT = ("5.0", "MQTT-4.3.2-2")
SENTENCES = {STATEMENT: "PUBLISH is sent with an unused Packet Identifier"}


def defect_of(blame: str, trace: list[TraceEntry], **fields: object) -> Defect:
    finding = Finding(
        source="judge", rule="wrong-id", level="must", blame=blame, cites=(STATEMENT[1],),  # type: ignore[arg-type]
        message="acknowledges another packet", trace_index=len(trace) - 1,
    )  # fmt: skip
    made = record(
        verdict=Verdict.FAIL, blame=blame, reason=finding.message, findings=(finding,), trace=tuple(trace),
        cites=finding.cites, log="[broker]\nsaid why", **fields,
    )  # fmt: skip
    return find_defects([made])[0]


def published(payload: bytes = b"hi") -> Tape:
    """A client publishes with the identifier 7, and the broker acknowledges 8."""
    tape = Tape("5.0").connect("pub", "c")
    tape.packet("pub", "client", framed(0x32, b"\x00\x01t\x00\x07\x00" + payload), topic="t", qos=1, packet_id=7)
    return tape.packet("pub", "broker", framed(0x40, b"\x00\x08"), packet_id=8)


def run_script(defect: Defect, port: int, tmp_path: Path) -> Callable[[], list[str]]:
    """Start the replay; what is given waits for its end and has its lines."""
    script = replay(defect)
    assert script is not None
    file = tmp_path / "replay.py"
    file.write_text(script.text)
    process = subprocess.Popen([sys.executable, "-I", "-S", str(file), "127.0.0.1", str(port)], stdout=subprocess.PIPE)
    return lambda: process.communicate(timeout=20)[0].decode().splitlines()


# --- the script -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("defect", find_defects(showcase()), ids=lambda defect: f"defect {defect.number}")
def test_every_replay_is_short_and_needs_nothing_but_sockets(defect: Defect) -> None:
    script = replay(defect)
    if script is None:
        assert not any(entry.hex for entry in defect.smallest.trace)
        return
    assert len(script.text.splitlines()) < LIMIT_LINES
    imported = [each for each in ast.walk(ast.parse(script.text)) if isinstance(each, ast.Import | ast.ImportFrom)]
    assert [[name.name for name in each.names] for each in imported] == [["socket", "sys", "time"]]


def test_a_long_trace_makes_longer_lines_not_more_of_them() -> None:
    tape = published()
    for _ in range(200):
        tape.packet("pub", "client", b"\xc0\x00").packet("pub", "broker", b"\xd0\x00")
    script = replay(defect_of("broker", tape.entries))
    assert script is not None
    assert len(script.text.splitlines()) < LIMIT_LINES
    assert script.text.count("pub1,send,0,c000") == 200


def test_a_headline_with_quotes_and_backslashes_leaves_the_script_a_script() -> None:
    defect = defect_of("broker", published().entries)
    odd = type(defect)(**{name: getattr(defect, name) for name in defect.__slots__} | {"headline": 'a """ and \\'})
    script = replay(odd)
    assert script is not None
    ast.parse(script.text)


def test_what_was_cut_from_a_long_packet_is_sent_as_zeros() -> None:
    script = replay(defect_of("broker", published(b"x" * 400).entries))
    assert script is not None
    sent = next(line for line in script.text.splitlines() if ",send,0,32" in line).rpartition(",")[2]
    assert len(bytes.fromhex(sent)) == 409
    assert sent.endswith("00" * (409 - 256))


@pytest.mark.parametrize("fate", ["dropped", "held", "lost", "rewritten"])
def test_what_never_arrived_is_not_sent(fate: str) -> None:
    tape = published().packet("pub", "client", b"\xc0\x00", fate=fate).packet("pub", "broker", b"\xd0\x00")
    script = replay(defect_of("broker", tape.entries))
    assert script is not None
    assert ",send,0,c000" not in script.text


def test_a_cell_without_packets_has_no_replay() -> None:
    defect = defect_of("client", [])
    assert replay(defect) is None
    assert "## Replay" not in issue(defect)


def test_a_broker_gets_what_it_got_and_its_answers_are_shown_beside_the_recorded_ones(tmp_path: Path) -> None:
    got: list[bytes] = []

    def serve(listening: socket) -> None:
        connection, _ = listening.accept()
        with connection:
            got.append(connection.recv(1000))
            connection.sendall(CONNACK)
            got.append(connection.recv(1000))
            connection.sendall(framed(0x40, b"\x00\x07"))

    with closing(create_server(("127.0.0.1", 0))) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        lines = run_script(defect_of("broker", published().entries), listening.getsockname()[1], tmp_path)()
        thread.join()
    assert [data[0] for data in got] == [0x10, 0x32]
    assert "pub1 get PUBACK 40020007; recorded: 40020008" in lines
    assert lines[-1] == "pub1 get  the end; recorded: nothing more"


def test_a_client_is_acknowledged_by_the_identifier_it_chose_this_time(tmp_path: Path) -> None:
    tape = Tape("5.0").connect("sub", "c").subscribe("sub", "t", packet_id=1).packet("sub", "client", b"\xe0\x00")
    with closing(create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    ended = run_script(defect_of("client", tape.entries), port, tmp_path)
    client = connected(port)
    with client:
        client.sendall(bytes.fromhex(tape.entries[1].hex))
        assert client.recv(1000)[0] == 0x20
        client.sendall(framed(0x82, b"\x00\x2a\x00\x00\x01t\x02"))
        assert client.recv(1000) == framed(0x90, b"\x00\x2a\x00\x02")
        client.sendall(b"\xe0\x00")
        client.shutdown(SHUT_WR)
        lines = ended()
    assert "sub1 get DISCONNECT e000; recorded: e000" in lines


def connected(port: int) -> socket:
    """A connection as soon as the script listens."""
    while True:
        try:
            return create_connection(("127.0.0.1", port), 10)
        except ConnectionRefusedError:
            continue


# --- the text ---------------------------------------------------------------------------------------------------------


def test_the_issue_has_all_that_is_asked_for_in_the_order_it_is_read() -> None:
    defect = defect_of("broker", published().entries)
    text = issue(defect, SENTENCES)
    parts = (
        "# acknowledges another packet",
        "MQTT 5.0 [MQTT-4.3.2-2]: PUBLISH is sent with an unused Packet Identifier",
        "- broker: 0.1.0",
        "client -> broker",
        "3208000174000700",  # the bytes
        '"packet_id": 7',  # decoded
        "import socket, sys, time",
        defect.smallest.rerun,
        "said why",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


# --- the command ------------------------------------------------------------------------------------------------------


def results(folder: Path) -> tuple[str, list[Record]]:
    records = showcase()
    write_all(records, folder)
    return str(folder), records


def test_the_command_lists_defects_and_prints_one_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, records = results(tmp_path)
    defects = find_defects(records)
    assert main(["defect", "--results", folder]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(defects)
    assert main(["defect", "1", "--results", folder]) == 0
    assert capsys.readouterr().out.count(defects[0].smallest.rerun) >= 1
    assert main(["defect", "1", "--issue", "--results", folder]) == 0
    assert capsys.readouterr().out.startswith(f"# {defects[0].headline}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["99"], "there is no defect 99"), (["0"], "there is no defect 0"), (["--issue"], "say which, by its number")],
)
def test_a_defect_there_is_none_of_is_told_with_those_there_are(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = results(tmp_path)
    assert main(["defect", *arguments, "--results", folder]) == 2
    assert words in capsys.readouterr().err


def test_a_run_without_defects_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all([record(scenario="qos1/a")], tmp_path)
    assert main(["defect", "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no defects in {tmp_path}\n"
