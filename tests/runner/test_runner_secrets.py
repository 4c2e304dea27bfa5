"""A broker's user name and password: used by every client, shown by nothing."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import forked
import pytest
from runner_matrix import ended, scenarios, started

from interop.brokers.address import AddressSpec
from interop.brokers.registry import broker_names, shown_command, shown_name
from interop.runner.cell import Cell
from interop.runner.secrets import Secret, without_password
from interop.scenario.load import load_scenarios
from interop.tap.trace import Kind, Sender, TraceEntry
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.net.address import Address
from reference_broker.net.config import ServerConfig
from reference_broker.testing import running_broker
from reference_broker.wire.decode import decode
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Connect
from reference_broker.wire.types import Version

USER, PASSWORD = "user-Zx81", "p@ss/wörd,Qv77%"
LOGIN = f"{quote(USER)}:{quote(PASSWORD, safe=',')}"
FORMS = [
    PASSWORD.encode(), quote(PASSWORD).encode(), quote(PASSWORD, safe="").encode(), quote(PASSWORD, safe=",").encode(),
    PASSWORD.encode().hex().encode(), PASSWORD.encode().hex(" ").encode(), b64encode(PASSWORD.encode()), b"Qv77",
]  # fmt: skip


def leaks(data: bytes) -> list[bytes]:
    return [form for form in FORMS if form in data]


def all_written(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, reports also as the browser unpacks them."""
    files = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path, data in list(files.items()):
        for number, piece in enumerate(_packed(data) if path.endswith(".html") else []):
            files[f"{path}#{number}"] = piece
    return files


def _packed(page: bytes) -> list[bytes]:
    found = []
    for piece in page.replace(b"<", b"\n").replace(b">", b"\n").split(b"\n"):
        try:
            found.append(zlib.decompress(b64decode(piece.strip(), validate=True)))
        except (ValueError, zlib.error):
            continue
    return found


def broker_with_login() -> ServerConfig:
    return ServerConfig(port=0, broker=BrokerConfig(users={USER: PASSWORD}, allow_anonymous=False))


def test_a_matrix_uses_the_login_of_the_brokers_address_and_shows_it_nowhere(tmp_path: Path) -> None:
    folder = scenarios(tmp_path, right=("t", 0.0), other=("a/b", 0.0), wrong=("x", 0.0))
    wrong = folder / "scenarios" / "delivery" / "wrong.yaml"
    wrong.write_text(wrong.read_text().replace("topic: x, payload: hello}", "topic: x, payload: never}"))
    with running_broker(broker_with_login()) as broker:
        url = f"mqtt://{LOGIN}@{broker.address.host_and_port}"
        clients = ("--client", "builtin", "--client", "paho", "--client", "gmqtt")
        with started(folder, "-n", "1", "-v", "--broker", url, *clients) as run:
            status, said = ended(run)
    assert status == 1, said
    assert leaks(said.encode()) == []
    with (folder / "out" / "results.jsonl").open() as lines:
        records = [json.loads(line) for line in lines]
    assert sorted(record["verdict"] for record in records) == ["fail"] * 3 + ["pass"] * 6
    shown = f"mqtt://{broker.address.host_and_port}"
    assert {record["broker"] for record in records} == {shown}
    assert all(f"--broker {shown} " in record["rerun"] for record in records)
    connects = [each for record in records for each in record["trace"] if each["packet"] == "CONNECT"]
    assert len(connects) >= 9
    for each in connects:
        packet = decode(bytes.fromhex(each["hex"]), Version.V311)
        assert isinstance(packet, Connect)
        assert (packet.username, packet.password) == ("*" * len(USER), b"*" * len(PASSWORD.encode()))
        assert USER not in json.dumps(each)
    written = all_written(folder / "out")
    assert any("report.html#" in path for path in written)
    assert {path: leaks(data) for path, data in written.items() if leaks(data)} == {}


@pytest.mark.parametrize(
    "command",
    [
        ("corpus", "--mqtt", "5.0", "--case", "5.0/puback*"),
        ("bench", "--seconds", "0.2"),
        ("bench", "connect", "--seconds", "0.2", "--connections", "20"),
    ],
)
def test_other_commands_use_it_as_well(tmp_path: Path, command: tuple[str, ...]) -> None:
    out = {"corpus": ("--out", str(tmp_path / "out")), "bench": ("--json", "b.json", "--html", "b.html")}[command[0]]
    with running_broker(broker_with_login()) as broker:
        url = f"mqtt://{LOGIN}@{broker.address.host_and_port}"
        run = forked.run("interop", *command, "--broker", url, *out, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert leaks((run.stdout + run.stderr).encode()) == []
    written = all_written(tmp_path)
    assert written
    assert {path: leaks(data) for path, data in written.items() if leaks(data)} == {}


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--broker", "mqtt://u:Qv77@127.0.0.1:1"),
        ("run", "--broker", "mqtt://u:Qv77@@127.0.0.1:1"),
        ("run", "--broker", "u:Qv77@127.0.0.1:1"),
        ("run", "--broker", "mqtt://u:Qv/77Qv77@127.0.0.1:1"),
        ("run", "--broker", "mqtt://u:Qv77#@127.0.0.1:1"),
        ("run", "--broker", "mqtt://u:a,Qv77@127.0.0.1:1"),
        ("run", "--broker", "mqtts://u:Qv77@127.0.0.1:x"),
        ("run", "--broker", "u:Qv77@nowhere"),
        ("run", "--broker", "http://u:Qv77@127.0.0.1:1"),
        ("run", "--broker", "mqtt://a:Qv77@127.0.0.1:1,mqtt://b:Qv77@127.0.0.1:1"),
        ("corpus", "--broker", "mqtt://u:Qv77@127.0.0.1:1"),
        ("bench", "--broker", "mqtt://u:Qv77@127.0.0.1:1"),
        ("monitor", "--listen", "0", "--upstream", "mqtt://u:Qv77@127.0.0.1:x"),
        ("monitor", "--listen", "0", "--for", "0.1", "--upstream", "mqtt://u:Qv77@127.0.0.1:1"),
        ("pub", "-L", "mqtt://u:Qv77@127.0.0.1:1/t", "-m", "x", "-d"),
        ("sub", "-L", "mqtt://u:Qv/77Qv77@127.0.0.1:1/t"),
    ],
)
def test_no_error_shows_it(tmp_path: Path, command: tuple[str, ...]) -> None:
    run = forked.run("interop", *command, cwd=tmp_path)
    assert run.returncode != 0 or command[0] == "monitor"
    assert "Qv77" not in run.stdout + run.stderr, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert all(b"Qv77" not in data for data in all_written(tmp_path).values())


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("reference", "reference"),
        ("127.0.0.1:1883", "127.0.0.1:1883"),
        ("u:p@127.0.0.1:1883", "127.0.0.1:1883"),
        ("mqtts://u:p@host", "mqtts://host"),
        ("ws://u@host:1/a", "ws://host:1/a"),
        ("ws://host:1/a@b", "ws://host:1/a@b"),
        ("docker:me@sha256:12", "docker:me@sha256:12"),
    ],
)
def test_a_name_is_shown_without_its_login(name: str, shown: str) -> None:
    assert shown_name(name) == shown
    assert shown_command(["run", f"--broker={name}", "-v"], [name]) == f"run --broker={shown} -v"


def test_a_comma_in_a_password_divides_nothing() -> None:
    assert broker_names(["reference,mqtt://u:a,b@h:1,x:2", "nats"]) == ("reference", "mqtt://u:a,b@h:1", "x:2", "nats")


def test_a_broker_with_a_login_is_not_asked_what_the_login_decides(tmp_path: Path) -> None:
    spec = AddressSpec(Address.parse("mqtt://u:p@127.0.0.1:1"))
    assert (spec.name, spec.login, spec.login_is_secret) == ("127.0.0.1:1", ("u", "p"), True)
    own = scenarios(tmp_path, own=("t", 0.0)) / "scenarios" / "delivery" / "own.yaml"
    own.write_text(own.read_text().replace("sub: {}", "sub: {username: alice, password: sesame}"))
    (loaded,) = load_scenarios([tmp_path / "scenarios"])
    needs = Cell(loaded, "builtin", spec.name, "5.0", "tcp").needs()
    assert "any-login" in needs
    assert "any-login" in spec.unsupported


def entry_of(packet: Connect, data: bytes | None = None) -> TraceEntry:
    frame = encode(packet, packet.version)
    return TraceEntry(0, 0.0, "c", 1, Kind.PACKET, Sender.CLIENT, packet=packet, data=frame if data is None else data)


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("client_id", ["c", "admin", "secret"])
def test_bytes_of_a_connect_keep_all_but_the_login(version: Version, client_id: str) -> None:
    packet = Connect(version, client_id, username="admin", password=b"secret")
    hidden = Secret(("admin", "secret")).entry(entry_of(packet))
    stars = replace(packet, username="*****", password=b"******")
    assert hidden.data == encode(stars, version)
    assert isinstance(hidden.packet, Connect)
    assert hidden.packet.username == "***"


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_connect_cut_short_shows_nothing_either(cut: int) -> None:
    packet = Connect(Version.V5, "c", username="admin", password=b"secret")
    frame = encode(packet, Version.V5)[:-cut]
    hidden = Secret(("admin", "secret")).entry(replace(entry_of(packet, frame), packet=None, kind=Kind.MALFORMED))
    assert len(hidden.data) == len(frame)
    assert b"secret"[:1] not in hidden.data


def test_another_ones_login_is_left_as_it_is() -> None:
    entry = entry_of(Connect(Version.V5, "c", username="alice", password=b"sesame"))
    assert Secret(("admin", "secret")).entry(entry) == entry


def test_texts_lose_a_secret_in_every_disguise() -> None:
    secret = Secret(("u", "pä ss%"))
    text = f"pä ss% {quote('pä ss%')} {b64encode('pä ss%'.encode()).decode()} {'pä ss%'.encode()!r} ok"
    assert secret.text(text).split() == ["***", "***", "***", "b'***'", "ok"]


def test_a_single_letter_is_left_out_where_it_stands_alone() -> None:
    assert Secret(("u", "a")).text("a cat said a") == "*** cat said ***"


def test_a_user_name_without_password_is_a_token() -> None:
    assert Secret(("token-1", None)).text("sent token-1") == "sent ***"


def test_the_monitor_keeps_no_clients_password() -> None:
    packet = Connect(Version.V311, "c", username="alice", password=b"sesame")
    assert without_password(entry_of(packet)).data == encode(replace(packet, password=b"******"), Version.V311)
