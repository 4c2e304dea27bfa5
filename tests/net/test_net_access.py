"""Users, certificates, listeners and SIGHUP on sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from conftest import Run

from reference_broker import AsyncClient, ClientOptions
from reference_broker.access.certificates import name_in
from reference_broker.access.config import Demand, GuardedConfig, Listener, Naming
from reference_broker.access.passwords import PasswordFile, new_user, write_user
from reference_broker.access.server import GuardedServer
from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Address, Transport
from reference_broker.net.broker_connection import LOGGER
from reference_broker.net.client import ConnectionEnded
from reference_broker.net.errors import ConnectFailed
from reference_broker.net.stream import dial
from reference_broker.net.tls import TestCertificates
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Connect, PingReq
from reference_broker.wire.types import ReasonCode, Version

pytestmark = pytest.mark.usefixtures("on_both_loops")


@dataclasses.dataclass
class Desk:
    """The files of an operator, and certificates of an authority of his."""

    folder: Path
    server: TestCertificates

    def __post_init__(self) -> None:
        self.authority = trustme.CA()
        self.users, self.rules, self.client_ca = (self.folder / each for each in ("users", "rules", "clients.pem"))
        self.authority.cert_pem.write_to_path(self.client_ca)
        self.rules.write_text("both #\n")

    def user(self, name: str, password: str) -> None:
        write_user(self.users, name, new_user(password, with_scram=False))

    def certificate(self, *names: str, common_name: str | None = None, by: trustme.CA | None = None) -> dict[str, Path]:
        made = (by or self.authority).issue_cert(*names, common_name=common_name)
        cert, key = self.folder / "client.pem", self.folder / "client.key"
        made.cert_chain_pems[0].write_to_path(cert)
        made.private_key_pem.write_to_path(key)
        return {"cert_file": cert, "key_file": key}

    def listener(self, name: str, transport: Transport = Transport.TLS, **more: object) -> Listener:
        return Listener(name, 0, transport=transport, **more)  # type: ignore[arg-type]

    def config(self, *listeners: Listener, **more: object) -> GuardedConfig:
        settings: dict[str, object] = {"port": None, "cert": self.server.cert_file, "key": self.server.key_file}
        return GuardedConfig(listener=listeners, **settings | more)  # type: ignore[arg-type]

    def trusting(self, address: Address, **more: object) -> Address:
        return dataclasses.replace(address, ca_file=self.server.ca_file, **more)  # type: ignore[arg-type]


@pytest.fixture
def desk(tmp_path: Path, certificates: TestCertificates) -> Desk:
    return Desk(tmp_path, certificates)


def options(username: str | None = None, password: str | None = None, **more: object) -> ClientOptions:
    return ClientOptions(username=username, password=password.encode() if password else None, **more)  # type: ignore[arg-type]


async def refusal(address: Address, with_options: ClientOptions | None = None) -> int:
    """The reason somebody is refused for; 0 for nobody is."""
    client = AsyncClient(address, with_options or options())
    try:
        await client.connect()
    except ConnectionEnded as error:
        return error.end.reason
    await client.disconnect()
    return 0


def test_a_password_of_the_file_lets_in(run: Run, desk: Desk) -> None:
    desk.user("alice", "secret")

    async def main() -> None:
        async with GuardedServer(desk.config(port=0, password_file=desk.users)) as server:
            address = server.address
            assert await refusal(address, options("alice", "secret")) == 0
            for wrong in (options("alice", "other"), options("alice"), options("nobody", "secret"), options()):
                assert await refusal(address, wrong) == ReasonCode.BAD_USER_NAME_OR_PASSWORD

    run(main())


def test_what_was_sent_while_the_password_was_looked_at_is_answered_turn_by_turn(run: Run, desk: Desk) -> None:
    """[5.0 3.1.4]: a client need not wait for CONNACK."""
    desk.user("alice", "secret")
    connect = Connect(Version.V5, "c", username="alice", password=b"secret")
    count = 20_000

    async def main() -> None:
        async with GuardedServer(desk.config(port=0, password_file=desk.users)) as server:
            stream = await dial(server.address)
            stream.write(encode(connect, Version.V5) + encode(PingReq(), Version.V5) * count)
            reader, got = Reader(Version.V5), 0
            while got < 1 + count:
                reader.feed(await stream.read())
                got += sum(1 for _ in reader)
            stream.close()
            await stream.wait_closed()

    run(main())


def test_a_client_id_in_use_is_no_other_users(run: Run, desk: Desk) -> None:
    """[5.0 5.4.2]"""
    for name in ("alice", "bob"):
        desk.user(name, name)

    async def main() -> None:
        server = GuardedServer(desk.config(port=0, password_file=desk.users))
        async with server, AsyncClient(server.address, options("alice", "alice", client_id="c")) as client:
            other = options("bob", "bob", client_id="c")
            assert await refusal(server.address, other) == ReasonCode.NOT_AUTHORIZED
            await client.publish("t", b"", qos=1)

    run(main())


def test_each_listener_has_its_own_rules(run: Run, desk: Desk) -> None:
    desk.rules.write_text("listener inside\nboth #\nlistener outside\nsubscribe news\n")

    async def main() -> None:
        listeners = [desk.listener(name, Transport.TCP) for name in ("inside", "outside")]
        async with GuardedServer(desk.config(*listeners, rules_file=desk.rules)) as server:
            inside, outside = server.listening
            async with AsyncClient(inside) as free, AsyncClient(outside) as bound:
                assert list((await bound.subscribe("news")).reasons) == [0]
                assert list((await bound.subscribe("#")).reasons) == [ReasonCode.NOT_AUTHORIZED]
                assert (await bound.publish("news", b"", qos=1)).reason == ReasonCode.NOT_AUTHORIZED
                await free.publish("news", b"all", qos=1)
                assert (await bound.receive()).payload == b"all"

    run(main())


def test_anonymous_is_each_listeners_own_affair(run: Run, desk: Desk) -> None:
    desk.user("alice", "secret")

    async def main() -> None:
        listeners = (desk.listener("a", Transport.TCP, allow_anonymous=True), desk.listener("b", Transport.TCP))
        async with GuardedServer(desk.config(*listeners, password_file=desk.users)) as server:
            assert [await refusal(each) for each in server.listening] == [0, ReasonCode.BAD_USER_NAME_OR_PASSWORD]

    run(main())


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.WSS])
@pytest.mark.parametrize(
    ("naming", "names", "common_name"),
    [(Naming.SUBJECT, ["x.example"], "alice"), (Naming.SAN, ["alice", "bob"], None)],
)
def test_a_certificates_name_is_the_user_name(
    run: Run, desk: Desk, transport: Transport, naming: Naming, names: list[str], common_name: str | None
) -> None:
    desk.rules.write_text("user alice\nboth home/%u/#\n")
    certificate = desk.certificate(*names, common_name=common_name)
    listener = desk.listener(
        "a", transport, client_ca=desk.client_ca, client_certificate=Demand.REQUIRED, username_from=naming
    )

    async def main() -> None:
        async with GuardedServer(desk.config(listener, rules_file=desk.rules)) as server:
            address = desk.trusting(server.address, **certificate)
            async with AsyncClient(address) as client:
                assert list((await client.subscribe("home/alice/#")).reasons) == [0]
                assert list((await client.subscribe("home/bob/#")).reasons) == [ReasonCode.NOT_AUTHORIZED]
            assert await refusal(address, options("alice", "ignored")) == 0
            assert await refusal(address, options("bob", "b")) == ReasonCode.BAD_USER_NAME_OR_PASSWORD

    run(main())


def test_who_shows_no_certificate_or_another_ones_does_not_come_in_where_it_is_required(run: Run, desk: Desk) -> None:
    foreign = desk.certificate("x", common_name="alice", by=trustme.CA())
    listener = desk.listener("a", client_ca=desk.client_ca, client_certificate=Demand.REQUIRED)

    async def main() -> None:
        async with GuardedServer(desk.config(listener)) as server:
            for shown in ({}, foreign):
                with pytest.raises((ConnectFailed, ConnectionError)):
                    await AsyncClient(desk.trusting(server.address, **shown)).connect()

    run(main())


def test_without_a_certificate_that_is_optional_a_password_is_needed(run: Run, desk: Desk) -> None:
    desk.user("bob", "secret")
    shown = desk.certificate("x", common_name="alice")
    listener = desk.listener(
        "a", client_ca=desk.client_ca, client_certificate=Demand.OPTIONAL, username_from=Naming.SUBJECT
    )

    async def main() -> None:
        async with GuardedServer(desk.config(listener, password_file=desk.users)) as server:
            address = desk.trusting(server.address)
            assert await refusal(address) == ReasonCode.BAD_USER_NAME_OR_PASSWORD
            assert await refusal(address, options("bob", "secret")) == 0
            assert await refusal(dataclasses.replace(address, **shown)) == 0

    run(main())


def test_a_certificate_without_a_name_lets_nobody_in(run: Run, desk: Desk) -> None:
    shown = desk.certificate("x")
    listener = desk.listener(
        "a", client_ca=desk.client_ca, client_certificate=Demand.REQUIRED, username_from=Naming.SUBJECT
    )

    async def main() -> None:
        async with GuardedServer(desk.config(listener)) as server:
            with pytest.raises(ConnectionError):
                await AsyncClient(desk.trusting(server.address, **shown)).connect()

    run(main())


def test_the_last_common_name_and_the_first_alternative_name_count() -> None:
    certificate = {
        "subject": ((("commonName", "first"),), (("organizationName", "o"),), (("commonName", "last"),)),
        "subjectAltName": (("IP Address", "1.2.3.4"), ("email", "a@b"), ("DNS", "x")),
    }
    assert name_in(certificate, Naming.SUBJECT) == "last"
    assert name_in(certificate, Naming.SAN) == "a@b"
    assert name_in({}, Naming.SUBJECT) is None
    assert name_in({}, Naming.SAN) is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((("IP Address", "1.2.3.4"), ("othername", "<unsupported>"), ("DirName", ())), None),
        ((("DNS", ""), ("DNS", "x")), None),
        ((("DNS", "x\0.good"),), None),
        ((("email", "a\nb"),), None),
        ((("URI", "urn:a/+/#"),), "urn:a/+/#"),
        ((("DNS", "*.example"),), "*.example"),
    ],
)
def test_a_name_is_taken_as_it_is_or_not_at_all(names: tuple[tuple[str, object], ...], expected: str | None) -> None:
    """A name is no user name that CONNECT could not have; what rules make of one with wildcards is theirs.

    [5.0 MQTT-1.5.4-2, 1.5.4]
    """
    assert name_in({"subjectAltName": names}, Naming.SAN) == expected
    subject = tuple((("commonName", name),) for kind, name in names if kind in ("DNS", "email", "URI"))[:1]
    assert name_in({"subject": subject}, Naming.SUBJECT) == expected


def test_tls_before_1_2_is_refused(run: Run, desk: Desk) -> None:
    """[RFC 8996]"""

    async def main() -> None:
        async with GuardedServer(desk.config(desk.listener("a"))) as server:
            [entrance] = server._entrances
            _, tls = entrance.wrap()
            assert tls is not None
            assert tls._tls.context.minimum_version is ssl.TLSVersion.TLSv1_2

    run(main())


# --- WebSocket -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "protocol", "status"),
    [
        ("https://good.example", "mqtt", 101),
        (None, "mqtt", 101),
        ("https://evil.example", "mqtt", 403),
        ("https://good.example", None, 400),
        ("https://good.example", "chat", 400),
    ],
)
def test_another_pages_origin_and_another_sub_protocol_are_refused(
    run: Run, desk: Desk, origin: str | None, protocol: str | None, status: int
) -> None:
    """[RFC 6455 10.2, 5.0 MQTT-6.0.0-3]"""

    async def main() -> None:
        async with GuardedServer(desk.config(ws_port=0, origins=("https://good.example",))) as server:
            address = server.address
            reader, writer = await asyncio.open_connection(address.host, address.port)
            lines = ["GET /mqtt HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade"]
            lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
            lines += [f"Origin: {origin}"] if origin else []
            lines += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
            writer.write("\r\n".join([*lines, "", ""]).encode())
            assert (await reader.readline()).split()[1] == b"%d" % status
            writer.close()

    run(main())


# --- SIGHUP ----------------------------------------------------------------------------------------------------------


def test_users_and_rules_are_read_again(run: Run, desk: Desk) -> None:
    for name in ("alice", "carol"):
        desk.user(name, "secret")

    async def main() -> None:
        config = desk.config(port=0, password_file=desk.users, rules_file=desk.rules)
        async with GuardedServer(config) as server, AsyncClient(server.address, options("alice", "secret")) as client:
            await client.subscribe("a")
            desk.user("bob", "b")
            write_user(desk.users, "carol", None)
            desk.rules.write_text("user alice\nboth b\n")
            assert server.read_again()
            assert await refusal(server.address, options("carol", "secret")) == ReasonCode.BAD_USER_NAME_OR_PASSWORD
            assert await refusal(server.address, options("bob", "b")) == 0
            assert (await client.publish("a", b"", qos=1)).reason == ReasonCode.NOT_AUTHORIZED
            assert (await client.publish("b", b"", qos=1)).reason != ReasonCode.NOT_AUTHORIZED

    run(main())


def test_a_new_certificate_is_for_whom_comes_next(run: Run, desk: Desk) -> None:
    cert, key, ca = (desk.folder / each for each in ("s.pem", "s.key", "s-ca.pem"))

    def certify() -> None:
        authority = trustme.CA()
        made = authority.issue_cert("127.0.0.1")
        made.cert_chain_pems[0].write_to_path(cert)
        made.private_key_pem.write_to_path(key)
        authority.cert_pem.write_to_path(ca)

    async def main() -> None:
        certify()
        async with GuardedServer(desk.config(tls_port=0, cert=cert, key=key)) as server:
            address = dataclasses.replace(server.address, ca_file=ca)
            async with AsyncClient(address) as early:
                certify()
                with pytest.raises(ConnectFailed):
                    await AsyncClient(address).connect()
                assert server.read_again()
                assert await refusal(address) == 0
                await early.publish("t", b"", qos=1)

    run(main())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda desk: desk.users.write_text("alice:plain\n"),
        lambda desk: desk.rules.write_text("red #\n"),
        lambda desk: desk.rules.write_text("listener nowhere\nboth #\n"),
        lambda desk: desk.client_ca.write_text("none"),
        lambda desk: desk.users.unlink(),
        lambda desk: desk.users.write_bytes(b"alice:\xff\n"),
        lambda desk: desk.users.unlink() or desk.users.mkdir(),
        lambda desk: desk.rules.write_bytes(b"both \xff\n"),
        lambda desk: desk.rules.unlink(),
        lambda desk: desk.client_ca.unlink(),
    ],
)
def test_what_cannot_be_used_changes_nothing(
    run: Run,
    desk: Desk,
    spoil: Callable[[Desk], object],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LOGGER, "propagate", True)
    desk.user("alice", "secret")
    listener = desk.listener("a", client_ca=desk.client_ca, client_certificate=Demand.OPTIONAL)
    config = desk.config(listener, port=0, password_file=desk.users, rules_file=desk.rules)

    async def main() -> None:
        async with GuardedServer(config) as server:
            spoil(desk)
            assert not server.read_again()
            async with AsyncClient(server.address, options("alice", "secret")) as client:
                assert (await client.publish("t", b"", qos=1)).reason != ReasonCode.NOT_AUTHORIZED

    run(main())
    [record] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.getMessage().startswith("nothing is taken over: ")
    assert "plain" not in record.getMessage()


def test_a_password_is_looked_at_beside_the_event_loop(run: Run, desk: Desk) -> None:
    """Argon2 takes long on purpose; a connected client does not feel it."""
    desk.user("alice", "secret")

    async def main() -> None:
        async with GuardedServer(desk.config(port=0, password_file=desk.users)) as server:
            looked_at, niceness = [], [os.getpriority(os.PRIO_PROCESS, 0)]
            real = server.control._passwords.is_right  # type: ignore[union-attr]

            def watched(username: str, password: bytes) -> bool:
                looked_at.append(threading.current_thread() is threading.main_thread())
                niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
                return real(username, password)

            server.control._passwords.is_right = watched  # type: ignore[union-attr, method-assign]
            assert await refusal(server.address, options("alice", "no")) == ReasonCode.BAD_USER_NAME_OR_PASSWORD
            assert looked_at == [False]
            assert niceness[0] < niceness[1] or niceness[0] == 19

    run(main())


def test_a_password_that_is_looked_at_when_the_broker_ends_is_no_error(
    run: Run, desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.user("alice", "secret")
    begun, over, told = threading.Event(), threading.Event(), threading.Event()

    def slow(_self: PasswordFile, _username: str, _password: bytes) -> bool:
        begun.set()
        over.wait(10)
        return True

    monkeypatch.setattr(PasswordFile, "is_right", slow)

    async def main() -> None:
        server = GuardedServer(desk.config(port=0, password_file=desk.users))
        async with server:
            attempt = asyncio.ensure_future(refusal(server.address, options("alice", "secret")))
            await asyncio.to_thread(begun.wait, 10)
        await asyncio.gather(attempt, return_exceptions=True)
        checker = server._checker
        threading.Thread(target=lambda: (over.wait(10), checker.shutdown(wait=True), told.set())).start()

    run(main())
    over.set()
    assert told.wait(10)
    assert [record for record in caplog.records if record.name.startswith("concurrent")] == []


def test_plain_users_of_the_settings_are_still_users(run: Run, desk: Desk) -> None:
    async def main() -> None:
        async with GuardedServer(desk.config(port=0, broker=BrokerConfig(users={"alice": "a"}))) as server:
            assert await refusal(server.address, options("alice", "a")) == 0
            assert await refusal(server.address, options("alice", "b")) == ReasonCode.BAD_USER_NAME_OR_PASSWORD

    run(main())
