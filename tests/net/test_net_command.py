"""`mqtt-interop broker` as a process: what it prints, how it stops, and what it says when it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import reference_broker
from reference_broker import command
from reference_broker.command import broker
from reference_broker.net.config import ServerConfig
from reference_broker.net.tls import TestCertificates
from reference_broker.store.records import StoreError, StoreFull

pytestmark = pytest.mark.usefixtures("on_both_loops")

ROOT = Path(reference_broker.__file__).parents[1]
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a"
CONNACK = b"\x20\x02\x00\x00"


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `python -m reference_broker` for a `with` block, with every warning shown.

    Not in development mode: its asyncio also tells what took more than 0.1 s, such as a file on a busy disk.
    """
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(
        [sys.executable, "-W", "default", "-m", "reference_broker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def listening_port(process: subprocess.Popen[str], scheme: str = "mqtt") -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(rf"listening on {scheme}://127\.0\.0\.1:(\d+)(/mqtt)?\n", line)
    assert match, line
    return int(match[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_where_it_listens_serves_and_stops_cleanly(number: signal.Signals) -> None:
    with started("broker", "--port", "0") as process:
        port = listening_port(process)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(CONNECT)
            assert client.recv(100) == CONNACK
            process.send_signal(number)
            assert client.recv(100) == b""
        stdout, stderr = process.communicate(timeout=10)
        assert (process.returncode, stdout, stderr) == (0, "", "")


def test_it_prints_one_line_for_each_listener(certificates: TestCertificates, tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text("port = 1\ntls_port = 0\nws_port = 0\nwss_port = 0\n")
    certificate = ["--cert", str(certificates.cert_file), "--key", str(certificates.key_file)]
    with started("--config", str(file), "--port", "0", *certificate) as process:
        ports = {listening_port(process, scheme) for scheme in ("mqtt", "mqtts", "ws", "wss")}
        assert len(ports) == 4
        assert 1 not in ports
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_it_serves_a_unix_socket_and_removes_the_file_when_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "broker.sock"
    with started("--unix", str(file)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"listening on mqtt+unix:{file}\n"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(file))
            client.sendall(CONNECT)
            assert client.recv(100) == CONNACK
        process.terminate()
        assert process.wait(timeout=10) == 0
    assert not file.exists()


def test_each_bad_peer_costs_one_log_line_unless_told_to_be_quiet() -> None:
    for options, lines in (([], 1), (["--quiet"], 0)):
        with started("--port", "0", *options) as process:
            with socket.create_connection(("127.0.0.1", listening_port(process)), timeout=10) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert client.recv(100) == b""
            process.terminate()
            _, stderr = process.communicate(timeout=10)
            assert len(stderr.splitlines()) == lines, stderr
            assert lines == 0 or "127.0.0.1:" in stderr


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command in this process, where it cannot start; give its exit code and its one line."""
    try:
        exit_code = broker.main(arguments)
    except SystemExit as usage:
        exit_code = int(str(usage.code))
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return exit_code, line


def test_a_port_in_use_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        expected = f"mqtt-interop broker: cannot listen on 127.0.0.1:{port}: the port is already in use"
        assert failure(capsys, "--port", str(port)) == (1, expected)


def test_a_certificate_that_is_missing_or_unreadable_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    exit_code, line = failure(capsys, "--port", "0", "--tls-port", "0")
    assert (exit_code, line) == (2, "mqtt-interop broker: tls_port needs a certificate and its key (cert and key)")
    missing = tmp_path / "none.pem"
    exit_code, line = failure(capsys, "--port", "0", "--tls-port", "0", "--cert", str(missing), "--key", str(missing))
    assert (exit_code, line) == (1, f"mqtt-interop broker: cannot read {missing}: No such file or directory")


def test_a_wrong_settings_file_or_option_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "broker.toml"
    file.write_text("prot = 1883")
    exit_code, line = failure(capsys, "--config", str(file))
    assert exit_code == 2
    assert line.startswith(f"mqtt-interop broker: {file}: unknown key 'prot', did you mean 'port'? allowed are ")
    assert failure(capsys, "--maximum-qos", "3") == (2, "mqtt-interop broker: maximum_qos = 3 is not in 0..2")
    exit_code, line = failure(capsys, "--port", "many")
    assert (exit_code, line) == (2, "mqtt-interop broker: argument --port: invalid int value: 'many'")
    assert failure(capsys, "--prot", "1") == (2, "mqtt-interop broker: unrecognized arguments: --prot 1")


def test_an_unknown_command_is_refused_and_the_known_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["brokr"]) == 2
    assert "unknown command 'brokr'; expected one of broker, passwd, pub, sub" in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    options = {
        "host",
        "port",
        "tls-port",
        "ws-port",
        "wss-port",
        "cert",
        "key",
        "store",
        "config",
        "log-level",
        "verbose",
        "quiet",
    }
    for option in options | {name.replace("_", "-") for name, _, _ in [*broker._LIMITS, *broker._KEEPING]}:
        assert f"--{option} " in text or f"--{option}\n" in text, option


KEPT_CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01a"
RETAINED_PUBLISH = b"\x31\x05\x00\x01tup"
SUBSCRIBE = b"\x82\x06\x00\x01\x00\x01t\x00"


def exchange(port: int, *sent_and_expected: tuple[bytes, bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        for sent, expected in sent_and_expected:
            client.sendall(sent)
            received = b""
            while len(received) < len(expected):
                received += client.recv(100) or pytest.fail(f"closed after {received!r}")
            assert received == expected


def test_a_store_keeps_sessions_and_retained_messages_over_a_restart(tmp_path: Path) -> None:
    suback, publish_and_echo = b"\x90\x03\x00\x01\x00", (RETAINED_PUBLISH, b"\x30\x05\x00\x01tup")
    arguments = ("--port", "0", "--store", str(tmp_path / "state.sqlite"))
    with started(*arguments) as process:
        exchange(listening_port(process), (KEPT_CONNECT, CONNACK), (SUBSCRIBE, suback), publish_and_echo)
        process.terminate()
        _, stderr = process.communicate(timeout=10)
        assert (process.returncode, stderr) == (0, "")
    with started(*arguments) as process:
        session_present = b"\x20\x02\x01\x00"
        exchange(listening_port(process), (KEPT_CONNECT, session_present), (SUBSCRIBE, suback + RETAINED_PUBLISH))


def test_a_store_that_cannot_be_used_is_one_line_and_exit_code_2_and_is_left_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("Dear broker, " * 100)
    exit_code, line = failure(capsys, "--port", "0", "--store", str(text))
    assert (exit_code, line) == (
        2,
        f"mqtt-interop broker: {text} is no store but a file of another kind: choose another store",
    )
    assert text.read_text() == "Dear broker, " * 100
    nowhere = tmp_path / "none" / "state.sqlite"
    exit_code, line = failure(capsys, "--port", "0", "--store", str(nowhere))
    assert exit_code == 2
    assert line.startswith(f"mqtt-interop broker: {nowhere} cannot be made (No such file or directory)")


def test_an_end_with_something_not_kept_is_one_line_and_exit_code_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unkept(_config: ServerConfig) -> StoreError:
        return StoreFull("state.db cannot grow, because its disk is full")

    monkeypatch.setattr(broker, "_serve", unkept)
    line = "mqtt-interop broker: state.db cannot grow, because its disk is full"
    assert failure(capsys) == (3, line)
