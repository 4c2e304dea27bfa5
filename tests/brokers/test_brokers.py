"""Every kind of broker starts, is where it says, stops; what cannot be had is told in one line."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import socket
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interop.brokers import process, programs
from interop.brokers.address import AddressSpec
from interop.brokers.broker import BrokerFault, BrokerNotThere, RunningBroker, UnknownBroker
from interop.brokers.process import ProcessSpec, Program, Wish
from interop.brokers.programs import EJABBERD, MOSQUITTO, NATS, RUMQTTD, RUMQTTD_311
from interop.brokers.reference import ReferenceSpec, broker_config
from interop.brokers.registry import broker_spec
from interop.brokers.scratch import Scratch
from reference_broker.broker.values.config import AccessRule, BrokerConfig, ChallengeMethod, DropPolicy
from reference_broker.net.address import Address, Transport
from reference_broker.net.stream import dial
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import Version

pytestmark = pytest.mark.usefixtures("on_both_loops")

TIMEOUT_SECONDS = 5.0
SOON_SECONDS = 0.1
V5 = Version.V5


def run(main: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await main

    return asyncio.run(bounded())


async def connack_of(address: Address, version: Version = V5, login: tuple[str, str] | None = None) -> ConnAck:
    """What a broker answers to CONNECT."""
    connect = Connect(version, "c", keep_alive=60)
    if login is not None:
        connect = replace(connect, username=login[0], password=login[1].encode())
    return await exchange(address, connect)


async def exchange(address: Address, connect: Connect) -> ConnAck:
    """What a broker answers to this CONNECT."""
    stream = await dial(address, TIMEOUT_SECONDS)
    try:
        stream.write(encode(connect, connect.version))
        packets = Reader(connect.version)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while (packet := packets.next_packet()) is None:
                packets.feed(await stream.read())
    finally:
        stream.abort()
        await stream.wait_closed()
    assert isinstance(packet, ConnAck)
    return packet


def is_listening(address: Address) -> bool:
    try:
        socket.create_connection((address.host, address.port), timeout=1).close()
    except OSError:
        return False
    return True


# --- the reference broker ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", Transport)
def test_the_reference_broker_listens_for_the_transport_it_was_started_for(transport: Transport) -> None:
    async def main() -> None:
        broker = await ReferenceSpec().start({}, transport=transport)
        address = broker.address(transport)
        assert (await connack_of(address)).reason == 0
        for other in set(Transport) - {transport}:
            with pytest.raises(BrokerFault, match=f"started without {other}$"):
                broker.address(other)
        await broker.stop()
        assert not is_listening(address)

    run(main())


def test_each_reference_broker_is_a_fresh_one_with_its_own_settings_and_log() -> None:
    async def main() -> None:
        spec = ReferenceSpec()
        limited, other = await spec.start({"maximum_qos": 1}), await spec.start({})
        assert (await connack_of(limited.address())).properties.maximum_qos == 1
        assert (await connack_of(other.address())).properties.maximum_qos is None
        reader, writer = await asyncio.open_connection(limited.address().host, limited.address().port)
        writer.write(b"\x00\x00")  # packet type 0 is reserved
        await writer.drain()
        reader_end = await reader.read()  # the broker closed the connection, so it has said why
        assert reader_end == b""
        assert "first byte 0x00" in limited.log
        assert other.log == ""
        writer.close()
        await limited.stop()
        await other.stop()

    run(main())


def test_settings_are_read_as_scenarios_write_them() -> None:
    config = broker_config(
        {
            "users": {"u": "p"},
            "access_rules": [{"topic_filter": "secret/#", "action": "publish"}],
            "authentication_methods": [{"method": "M", "challenge": "?", "response": "!"}],
            "queue_drop_policy": "oldest",
            "connack_user_property": [["k", "v"]],
            "connect_timeout_seconds": 1,
        }
    )
    assert config.users == {"u": "p"}
    assert isinstance(config.access_rules[0], AccessRule)
    assert config.authentication_methods == (ChallengeMethod("M", b"?", b"!"),)
    assert config.queue_drop_policy is DropPolicy.OLDEST
    assert config.connack_user_property == (("k", "v"),)
    assert broker_config({}) == BrokerConfig()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"maximum_qqos": 1}, "the broker has no setting maximum_qqos"),
        ({"maximum_qos": "high"}, "broker setting maximum_qos: .* not 'high'"),
        ({"maximum_qos": 3}, r"maximum_qos = 3 is not in 0\.\.2"),
        ({"access_rules": [{"topic_filter": "a/#/b"}]}, "a/#/b"),
    ],
)
def test_settings_that_cannot_be_are_told_in_one_line(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(BrokerFault, match=text) as caught:
        broker_config(settings)
    assert "\n" not in str(caught.value)


def test_the_reference_broker_honours_every_setting_and_transport() -> None:
    spec = broker_spec("reference")
    assert spec.settings == set(BrokerConfig.__dataclass_fields__)
    assert spec.transports == ("tcp", "tls", "ws", "wss")
    assert spec.versions == ("3.1", "3.1.1", "5.0")
    assert not spec.unsupported
    assert not spec.shared


# --- programs ---------------------------------------------------------------------------------------------------------

TINY = """
import pathlib, signal, socket, sys
port = int(pathlib.Path("port").read_text())
print("starting", flush=True)
listener = socket.create_server(("127.0.0.1", port))
signal.pause()
"""


def configure_tiny(wish: Wish) -> None:
    (wish.folder / "port").write_text(str(wish.port))


def program(body: str) -> Program:
    return Program(
        name="tiny",
        executable=sys.executable,
        arguments=("-S", "-c", body),
        configure=configure_tiny,
        version_arguments=("--version",),
        find_version=re.compile(r"Python (\S+)"),
        settings=frozenset({"maximum_qos"}),
    )


def test_a_program_is_shared_until_its_spec_is_closed() -> None:
    async def main() -> None:
        spec = ProcessSpec(program(TINY))
        first, second = await asyncio.gather(spec.start({}), spec.start({}))
        assert first.address() == second.address()
        assert first.version == ".".join(map(str, sys.version_info[:3]))
        await first.stop()
        assert is_listening(second.address())
        await spec.close()
        assert not is_listening(second.address())

    run(main())


@pytest.mark.parametrize(
    ("release", "changes", "lacks"),
    [
        ("3.0", {}, ("auth",)),
        ("99.1", {}, ("auth", "qos2")),
        ("3.0", {"find_version": re.compile(r"(Python)")}, ("auth", "qos2")),
        ("3.0", {"executable": "there-is-no-such-program"}, ("auth", "qos2")),
    ],
)
def test_a_program_lacks_what_came_with_a_later_release_than_the_one_that_is_installed(
    release: str, changes: dict[str, Any], lacks: tuple[str, ...]
) -> None:
    installed = replace(program(TINY), unsupported=("auth",), lacks_before={"qos2": release}, **changes)
    assert ProcessSpec(installed).unsupported == lacks


def test_a_program_that_ages_is_lent_so_often_and_ends_when_the_last_borrower_gives_it_back() -> None:
    async def main() -> None:
        spec = ProcessSpec(replace(program(TINY), cells_each=2))
        first, second, third = [await spec.start({}) for _ in range(3)]
        assert first.address() == second.address() != third.address()
        await first.stop()
        assert is_listening(second.address())
        await second.stop()
        assert not is_listening(second.address())
        assert is_listening(third.address())
        await spec.close()

    run(main())


def test_a_program_that_aged_ends_with_its_spec_though_somebody_has_it() -> None:
    async def main() -> None:
        spec = ProcessSpec(replace(program(TINY), cells_each=1))
        aged, fresh = await spec.start({}), await spec.start({})
        await spec.close()
        assert not is_listening(aged.address())
        assert not is_listening(fresh.address())

    run(main())


def test_a_program_with_settings_is_ones_own() -> None:
    async def main() -> None:
        spec = ProcessSpec(program(TINY))
        own, shared = await spec.start({"maximum_qos": 1}), await spec.start({})
        assert own.address() != shared.address()
        assert own.log == "starting\n"
        await own.stop()
        assert not is_listening(own.address())
        assert is_listening(shared.address())
        await spec.close()

    run(main())


def test_a_shared_program_that_died_is_started_again() -> None:
    async def main() -> None:
        spec = ProcessSpec(program(TINY))
        first = await spec.start({})
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        await asyncio.to_thread(os.waitid, os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
        second = await spec.start({})
        assert second.pid != first.pid
        assert is_listening(second.address())
        await spec.close()

    run(main())


def test_a_program_that_wrote_its_last_words_has_ended_though_its_process_goes_on() -> None:
    async def main() -> None:
        spec = ProcessSpec(replace(program(TINY), last_words=re.compile("that was all")))
        first = await spec.start({})
        assert first.end == ""
        (log,) = spec._scratch.folder.glob("1/log")
        log.write_text("starting\nthat was all\n")
        assert first.end == "in part, as it wrote"
        second = await spec.start({})
        assert second.pid != first.pid
        await spec.close()

    run(main())


def test_a_program_of_ones_own_is_lent_to_nobody() -> None:
    async def main() -> None:
        spec = ProcessSpec(program(TINY))
        own, shared = await spec.start_own({}), await spec.start({})
        assert own.address() != shared.address()
        await own.stop()
        assert is_listening(shared.address())
        await spec.close()

    run(main())


def test_only_brokers_we_start_can_be_had_alone() -> None:
    assert ProcessSpec(program(TINY)).exclusive
    assert ReferenceSpec().exclusive
    assert not AddressSpec(Address("127.0.0.1", 1883)).exclusive


def test_a_borrower_sees_the_log_since_it_borrowed() -> None:
    async def main() -> None:
        spec = ProcessSpec(program(TINY))
        first = await spec.start({})
        assert first.log == ""  # what it wrote before it listened is nobody's
        await spec.close()

    run(main())


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("import sys; sys.exit('port is cursed')", "tiny ended with status 1: port is cursed"),
        ("import signal; signal.pause()", "tiny did not listen within 0.1 s: it wrote nothing"),
    ],
)
def test_a_program_that_does_not_come_up_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, body: str, text: str
) -> None:
    if "pause" in body:
        monkeypatch.setattr(process, "START_SECONDS", SOON_SECONDS)

    with pytest.raises(BrokerNotThere, match=re.escape(text)):
        run(ProcessSpec(program(body)).start({}))


def test_a_program_has_as_long_to_listen_as_it_is_said_to_take() -> None:
    slow = replace(program("import signal; signal.pause()"), version="1", start_seconds=SOON_SECONDS)
    with pytest.raises(
        BrokerNotThere, match=re.escape(f"tiny did not listen within {SOON_SECONDS:g} s: it wrote nothing")
    ):
        run(ProcessSpec(slow).start({}))


def test_a_program_has_as_long_to_leave_as_it_is_said_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.0)
    leaving = TINY.replace("signal.pause()", "signal.signal(15, lambda *_: print('bye', flush=True)); signal.pause()")

    async def main() -> None:
        broker = await ProcessSpec(replace(program(leaving), stop_seconds=20.0)).start({"maximum_qos": 1})
        await broker.stop()
        assert broker.log == "starting\nbye\n"

    run(main())


def test_rabbitmq_is_told_to_be_missing_with_the_package_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_RABBITMQ", tmp_path / "rabbitmq-server")
    with pytest.raises(BrokerNotThere, match=re.escape("rabbitmq is not installed (Debian: rabbitmq-server)")):
        broker_spec("rabbitmq")


def test_rabbitmq_keeps_all_that_is_its_own_in_its_folder(tmp_path: Path) -> None:
    programs.RABBITMQ.configure(Wish(1, Transport.TCP, {}, tmp_path, None))
    settings = dict(re.findall(r'export (\w+)="(.*)"', (tmp_path / "start").read_text()))
    paths = [value for value in settings.values() if value.startswith("/") and value != "/dev/null"]
    assert len(paths) == 9
    assert all(Path(path).is_relative_to(tmp_path) for path in paths)
    assert settings["RABBITMQ_CONF_ENV_FILE"] == "/dev/null"
    assert settings["RABBITMQ_NODENAME"] == "interop1@localhost"


def test_a_program_that_does_not_leave_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", SOON_SECONDS)

    async def main() -> None:
        broker = await ProcessSpec(program("import signal; signal.signal(15, signal.SIG_IGN)\n" + TINY)).start(
            {"maximum_qos": 1}
        )
        await broker.stop()
        assert not is_listening(broker.address())

    run(main())


def test_a_program_that_is_not_installed_is_told_before_anything_starts() -> None:
    missing = Program("ghost", "no-such-broker", (), configure_tiny, (), re.compile("(x)"))
    with pytest.raises(BrokerNotThere, match="ghost is not installed: there is no program 'no-such-broker'"):
        ProcessSpec(missing).check()


def test_scratch_goes_away_with_its_owner() -> None:
    scratch = Scratch()
    folder = scratch.folder
    (folder / "file").write_text("x")
    del scratch
    assert not folder.exists()


@pytest.mark.parametrize("transport", Transport)
def test_mosquitto_is_configured_for_each_transport(tmp_path: Path, transport: Transport) -> None:
    certificates = Scratch().certificates() if transport.is_encrypted else None
    MOSQUITTO.configure(Wish(1234, transport, {"maximum_qos": 1, "retain_available": False}, tmp_path, certificates))
    lines = (tmp_path / "mosquitto.conf").read_text().splitlines()
    assert "listener 1234 127.0.0.1" in lines
    assert f"protocol {'websockets' if transport.is_websocket else 'mqtt'}" in lines
    assert any(line.startswith("certfile ") for line in lines) is transport.is_encrypted
    assert {"max_qos 1", "retain_available false"} <= set(lines)


@pytest.mark.skipif(process._find("mosquitto") is None, reason="mosquitto is not installed")
@pytest.mark.parametrize("transport", Transport)
def test_mosquitto_answers_on_each_transport(transport: Transport) -> None:
    async def main() -> None:
        spec = broker_spec("mosquitto")
        broker = await spec.start({"maximum_qos": 1}, transport=transport)
        assert re.match(r"\d+\.\d+", broker.version)
        assert (await connack_of(broker.address(transport))).properties.maximum_qos == 1
        await broker.stop()

    run(main())


@pytest.mark.parametrize("known", [NATS, RUMQTTD, RUMQTTD_311], ids=lambda known: known.name)
def test_a_program_is_told_to_listen_on_loopback_only(tmp_path: Path, known: Program) -> None:
    known.configure(Wish(1234, Transport.TCP, {}, tmp_path, None))
    (written,) = tmp_path.iterdir()
    text = written.read_text()
    assert "1234" in text
    assert "127.0.0.1" in text
    assert "0.0.0.0" not in text


@pytest.mark.parametrize("known", [EJABBERD, NATS, RUMQTTD, RUMQTTD_311], ids=lambda known: known.name)
def test_a_program_answers_in_a_version_it_is_said_to_speak(known: Program) -> None:
    async def main() -> None:
        try:
            spec = broker_spec(known.name)
            broker = await spec.start({})
        except BrokerNotThere as missing:
            pytest.skip(str(missing))
        assert re.match(r"\d+\.\d+", broker.version)
        assert (await connack_of(broker.address(), Version.from_label(known.versions[0]), known.login)).reason == 0
        await spec.close()

    run(main())


def test_ejabberd_without_its_libraries_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_EJABBERD_LIBRARIES", "/nowhere/ejabberd-*/ebin")
    with pytest.raises(BrokerNotThere, match=r"^ejabberd is not installed: there is no /nowhere/ejabberd-\*/ebin$"):
        EJABBERD.configure(Wish(1234, Transport.TCP, {}, tmp_path, None))


# --- addresses --------------------------------------------------------------------------------------------------------


def test_a_broker_at_an_address_is_used_as_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        spec = broker_spec(f"127.0.0.1:{port}")
        broker: RunningBroker = run(spec.start({}))
        assert broker.address() == Address("127.0.0.1", port)
        assert (spec.name, spec.shared, spec.settings) == (f"127.0.0.1:{port}", True, frozenset())
        run(broker.stop())
        assert is_listening(broker.address())


def test_how_far_away_a_broker_is_is_seen_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.2, 1.0, 1.05, 2.0, 2.06])  # three connections after the first, which is not timed
    with socket.create_server(("127.0.0.1", 0)) as listener:
        spec = AddressSpec(Address("127.0.0.1", listener.getsockname()[1]))
        assert spec.round_trip_seconds == 0.0
        monkeypatch.setattr("interop.brokers.address.time.monotonic", lambda: next(clock))
        spec.check()
    assert spec.round_trip_seconds == pytest.approx(0.06)


def test_an_address_is_for_its_own_transport() -> None:
    spec = AddressSpec(Address.parse("ws://127.0.0.1:9001/here"))
    assert (spec.name, spec.transports) == ("ws://127.0.0.1:9001/here", ("ws",))
    assert run(spec.start({}, transport=Transport.WS)).address(Transport.WS).path == "/here"
    with pytest.raises(BrokerNotThere, match="speaks ws, not tcp"):
        run(spec.start({}))


def test_nobody_at_an_address_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(BrokerNotThere) as caught:
        broker_spec(f"127.0.0.1:{port}")
    assert str(caught.value) == f"no broker at 127.0.0.1:{port}: connection refused"


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mosquito", "", "localhost", "mqtt://", "http://127.0.0.1:80", "127.0.0.1:99999"])
def test_what_is_no_broker_is_told_in_one_line(name: str) -> None:
    with pytest.raises(UnknownBroker) as caught:
        broker_spec(name)
    assert "\n" not in str(caught.value)


def test_the_choices_are_named() -> None:
    with pytest.raises(UnknownBroker) as caught:
        broker_spec("mosquito")
    assert str(caught.value).endswith(
        "expected one of ejabberd, mosquitto, nats, rabbitmq, rumqttd, rumqttd-3.1.1, aedes, amqtt, mochi, moquette, "
        "nats-2.15, rmqtt, reference, ticking, docker:IMAGE, HOST:PORT, mqtt://HOST:PORT"
    )


# --- going down and coming back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kill", [False, True])
def test_a_persistent_reference_broker_comes_back_with_what_it_had(kill: bool) -> None:
    async def main() -> bool:
        broker = await ReferenceSpec().start_own({}, persistent=True)
        connect = Connect(V5, "c", False, properties=Properties(session_expiry_interval=100))
        await exchange(broker.address(), connect)
        await broker.go_down(kill=kill)
        await broker.come_back()
        try:
            connack = await exchange(broker.address(), connect)
        finally:
            await broker.stop()
        return connack.session_present

    assert run(main())


SLOW_TO_LEAVE = """
import os, signal, socket, time

def leave(*_):
    time.sleep(%s)
    open("kept", "w").close()
    os._exit(0)

signal.signal(signal.SIGTERM, leave)
listener = socket.create_server(("127.0.0.1", int(open("port").read())))
while True:
    listener.accept()[0].close()
"""


def test_a_program_that_is_to_come_back_has_time_to_write_down_what_it_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.01)

    async def main() -> None:
        spec = ProcessSpec(program(SLOW_TO_LEAVE % 0.3))
        broker = await spec.start_own({}, persistent=True)
        await broker.go_down(kill=False)
        try:
            assert list(spec._scratch.folder.glob("*/kept"))
        finally:
            await broker.stop()

    run(main())


def test_a_program_that_does_not_leave_is_told_instead_of_being_killed_over_what_it_keeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.01)
    monkeypatch.setattr(process, "LEAVE_SECONDS", 0.05)

    async def main() -> None:
        broker = await ProcessSpec(program(SLOW_TO_LEAVE % 60)).start_own({}, persistent=True)
        try:
            with pytest.raises(BrokerFault, match=r"tiny did not end within 0\.05 s of SIGTERM"):
                await broker.go_down(kill=False)
        finally:
            await broker.stop()

    run(main())


def test_a_broker_that_keeps_nothing_cannot_be_restarted() -> None:
    running = AddressSpec(Address("127.0.0.1", 1))._running
    with pytest.raises(BrokerFault, match="cannot be restarted"):
        run(running.go_down(kill=True))


# --- what they consist of ---------------------------------------------------------------------------------------------


def test_a_program_has_the_digest_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mosquitto"
    program.write_bytes(b"program")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert broker_spec("mosquitto").digests() == {"mosquitto": hashlib.sha256(b"program").hexdigest()}
