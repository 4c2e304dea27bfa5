"""`mqtt-interop broker` under an operator: SIGHUP, draining, what it says and where."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from test_net_command import CONNACK, CONNECT, failure, listening_port, started

from reference_broker.access import packages
from reference_broker.access.passwords import new_user, write_user
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Connect, Publish, Subscribe, Subscription
from reference_broker.wire.types import QoS, Version

pytestmark = [pytest.mark.usefixtures("on_both_loops"), pytest.mark.thorough]


def attempt(port: int, username: str | None = None, password: bytes | None = None) -> int:
    """The return code of a CONNECT."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(encode(Connect(Version.V311, "c", username=username, password=password), Version.V311))
        return client.recv(100)[3]


def until(process: subprocess.Popen[str], text: str) -> str:
    """Read the log up to a line with a text in it."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"it never said {text!r}")


def test_sighup_has_the_users_read_again_and_disconnects_who_is_no_user_any_more(tmp_path: Path) -> None:
    file = tmp_path / "users"
    write_user(file, "alice", new_user("a", with_scram=False))
    with started("--port", "0", "--password-file", str(file)) as process:
        port = listening_port(process)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(encode(Connect(Version.V311, "c1", username="alice", password=b"a"), Version.V311))
            assert client.recv(100) == CONNACK
            assert attempt(port, "bob", b"b") == 4
            write_user(file, "bob", new_user("b", with_scram=False))
            process.send_signal(signal.SIGHUP)
            until(process, "users, rules and certificates are read again")
            assert attempt(port, "bob", b"b") == 0
            client.sendall(b"\xc0\x00")
            assert client.recv(100) == b"\xd0\x00"
            write_user(file, "alice", None)
            process.send_signal(signal.SIGHUP)
            assert client.recv(100) == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_drains_in_less_than_5_seconds_whoever_does_not_read(number: signal.Signals, tmp_path: Path) -> None:
    """It accepts no more, says why to whom 5.0 lets it, and keeps what it acknowledged. [5.0 3.14.2.1]"""
    with started("--port", "0", "--store", str(tmp_path / "s")) as process:
        address = ("127.0.0.1", listening_port(process))
        with (
            socket.create_connection(address, timeout=10) as deaf,
            socket.create_connection(address, timeout=10) as client,
        ):
            deaf.sendall(CONNECT + encode(Subscribe(1, (Subscription("#"),)), Version.V311))
            assert len(deaf.recv(9)) > 0
            client.sendall(encode(Connect(Version.V5, "c"), Version.V5))
            assert client.recv(100)[0] == 0x20
            client.sendall(encode(Publish("kept", b"x", QoS.AT_LEAST_ONCE, True, packet_id=1), Version.V5))
            assert client.recv(100)[0] == 0x40
            client.sendall(encode(Publish("big", bytes(8_000_000)), Version.V5))
            client.sendall(b"\xc0\x00")
            assert client.recv(100) == b"\xd0\x00"
            begin = time.monotonic()
            process.send_signal(number)
            farewell = client.recv(100)
            assert (farewell[0], farewell[2]) == (0xE0, 0x8B)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=10)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - begin < 5
    again = started("--port", "0", "--store", str(tmp_path / "s"))
    with again as process, socket.create_connection(("127.0.0.1", listening_port(process)), timeout=10) as client:
        client.sendall(CONNECT + encode(Subscribe(1, (Subscription("kept"),)), Version.V311))
        received = b""
        while b"kept" not in received:
            received += client.recv(100)


def test_the_metrics_are_where_it_says(tmp_path: Path) -> None:
    with started("--port", "0", "--metrics-port", "0", "--sys-interval-seconds", "10") as process:
        port = listening_port(process)
        assert process.stdout is not None
        said = re.fullmatch(r"metrics on (http://127\.0\.0\.1:\d+)/metrics\n", process.stdout.readline())
        assert said
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(CONNECT)
            assert client.recv(100) == CONNACK
            with urllib.request.urlopen(f"{said[1]}/metrics", timeout=10) as page:
                assert b"\nmqtt_clients_connected 1.0\n" in page.read()
            with urllib.request.urlopen(f"{said[1]}/health", timeout=10) as page:
                assert page.status == 200


def test_the_log_may_be_json_in_a_file(tmp_path: Path) -> None:
    with started("--port", "0", "--log-file", str(tmp_path / "log"), "--log-format", "json") as process:
        with socket.create_connection(("127.0.0.1", listening_port(process)), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(100) == b""
        process.terminate()
        assert process.communicate(timeout=10) == ("", "")
    [line] = (tmp_path / "log").read_text().splitlines()
    assert json.loads(line)["level"] == "warning"


def test_from_elsewhere_it_wants_users_or_a_word(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    exit_code, line = failure(capsys, "--host", "0.0.0.0", "--port", "0")
    assert exit_code == 2
    assert line == (
        "mqtt-interop broker: 0.0.0.0:0 would let in anybody who can reach it: give users (--password-file FILE),"
        " or say that it is meant: --allow-anonymous (in a file: allow_anonymous = true)"
    )


def test_the_environment_may_have_the_only_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_INTEROP_PASSWORD", "secret")
    with started("--port", "0") as process:
        port = listening_port(process)
        assert [attempt(port), attempt(port, "mqtt", b"other"), attempt(port, "mqtt", b"secret")] == [4, 4, 0]
    monkeypatch.setenv("MQTT_INTEROP_USERNAME", "lab")
    with started("--port", "0") as process:
        port = listening_port(process)
        assert [attempt(port, "mqtt", b"secret"), attempt(port, "lab", b"secret")] == [4, 0]


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--password-file", "alice:secret\n", "{file}, line 1: no user with a hash; mqtt-interop passwd {file} USER"),
        ("--password-file", None, "cannot read {file}: No such file or directory"),
        ("--rules-file", "\nread #\n", "{file}, line 2: expected user, anonymous, everybody, listener, publish,"),
        ("--rules-file", "listener lan\nboth #\n", "{file}: there is no listener 'lan'; there are tcp"),
        ("--log-file", None, "cannot log to {file}: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, text: str | None, said: str
) -> None:
    file = tmp_path / "folder" / "file"
    if text is not None:
        file.parent.mkdir()
        file.write_text(text)
    exit_code, line = failure(capsys, "--port", "0", option, str(file))
    assert exit_code == 2
    assert line.startswith("mqtt-interop broker: " + said.format(file=file))
    assert "secret" not in line


@pytest.mark.parametrize(
    ("options", "name", "extra"),
    [(["--password-file"], "argon2", "access"), (["--metrics-port"], "prometheus_client", "observe")],
)
def test_a_package_that_is_missing_is_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    name: str,
    extra: str,
) -> None:
    users = tmp_path / "users"
    write_user(users, "alice", new_user("a", with_scram=False))

    def missing(_module: str) -> None:
        raise ImportError

    monkeypatch.setattr(packages.importlib, "import_module", missing)
    value = str(users) if extra == "access" else "0"
    exit_code, line = failure(capsys, "--port", "0", *options, value)
    assert exit_code == 2
    assert f"({name})" in line
    assert line.endswith(f"pip install 'mqtt-interop[{extra}]'")


def test_pub_and_sub_prove_a_password_without_sending_it(tmp_path: Path) -> None:
    file = tmp_path / "users"
    write_user(file, "alice", new_user("a", with_scram=True))
    with started("--port", "0", "--password-file", str(file)) as process:
        command = [sys.executable, "-m", "reference_broker", "pub", "-p", str(listening_port(process)), "-t", "t"]
        command += ["-m", "x", "-u", "alice", "-V", "5", "--scram", "-q", "1"]
        for password, exit_code in (("a", 0), ("b", 0x87)):
            done = subprocess.run([*command, "-P", password], timeout=20, capture_output=True, check=False)
            assert done.returncode == exit_code, done.stderr
        assert done.stderr == b"Connection error: Not authorized (authentication failed)\n"
