"""SCRAM-SHA-256 between broker and client: each proves the password to the other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import scramp
from conftest import Run

from reference_broker import AsyncClient, ClientOptions
from reference_broker.access.config import GuardedConfig
from reference_broker.access.passwords import PasswordFile, ScramKeys, new_user, write_user
from reference_broker.access.scram import SCRAM, ScramProof
from reference_broker.access.scram_client import NotTheServer, ScramClient
from reference_broker.access.server import GuardedServer
from reference_broker.broker.values.access import AuthenticationResult
from reference_broker.net.client import ConnectionEnded
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import ReasonCode

pytestmark = pytest.mark.usefixtures("on_both_loops")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("scram") / "users"
    for name in ("alice", "bob"):
        write_user(file, name, new_user(f"{name}'s", with_scram=True))
    write_user(file, "plain", new_user("plain's", with_scram=False))
    return file


def guarded(users: Path, rules: str = "both #\n") -> GuardedServer:
    file = users.parent / "rules"
    file.write_text(rules)
    return GuardedServer(GuardedConfig(port=0, password_file=users, rules_file=file))


def test_who_knows_the_password_is_let_in_as_its_user(run: Run, users: Path) -> None:
    async def main() -> None:
        async with (
            guarded(users, "both home/%u\n") as server,
            ScramClient(server.address, "alice", "alice's") as client,
        ):
            assert list((await client.subscribe("home/alice")).reasons) == [0]
            assert list((await client.subscribe("home/bob")).reasons) == [ReasonCode.NOT_AUTHORIZED]

    run(main())


@pytest.mark.parametrize("login", [("alice", "bob's"), ("nobody", "x"), ("plain", "plain's")])
def test_who_does_not_know_it_is_refused(run: Run, users: Path, login: tuple[str, str]) -> None:
    """[5.0 MQTT-4.12.0-4]"""

    async def main() -> None:
        async with guarded(users) as server:
            with pytest.raises(ConnectionEnded) as caught:
                await ScramClient(server.address, *login).connect()
            assert caught.value.end.reason == ReasonCode.NOT_AUTHORIZED

    run(main())


def test_both_sides_prove_themselves_again(run: Run, users: Path) -> None:
    """[5.0 4.12.1]"""

    async def main() -> None:
        async with guarded(users) as server, ScramClient(server.address, "alice", "alice's") as client:
            for _ in range(2):
                await client.prove_again()
            await client.publish("t", b"", qos=1)

    run(main())


@pytest.mark.parametrize("login", [("alice", "wrong"), ("bob", "bob's")])
def test_who_proves_to_be_somebody_else_is_disconnected(run: Run, users: Path, login: tuple[str, str]) -> None:
    """[5.0 MQTT-4.12.1-2]"""

    async def main() -> None:
        async with guarded(users) as server:
            client = ScramClient(server.address, "alice", "alice's")
            await client.connect()
            client._login = login
            with pytest.raises(ConnectionEnded) as caught:
                await client.prove_again()
            assert caught.value.end.reason == ReasonCode.NOT_AUTHORIZED

    run(main())


def test_a_server_that_does_not_know_the_password_is_left(
    run: Run, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lies(_self: ScramProof, _data: bytes | None, real: Any = ScramProof.step) -> Any:
        result, data = real(_self, _data)
        is_last = result is AuthenticationResult.SUCCESS
        return result, b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" if is_last else data

    async def main() -> None:
        async with guarded(users) as server:
            client = ScramClient(server.address, "alice", "alice's")
            await client.connect()
            monkeypatch.setattr(ScramProof, "step", lies)
            with pytest.raises(ConnectionEnded) as caught:
                await client.prove_again()
            assert isinstance(caught.value.__cause__, NotTheServer)
            with pytest.raises(ConnectionEnded) as caught:
                await ScramClient(server.address, "alice", "alice's").connect()
            assert isinstance(caught.value.__cause__, NotTheServer)

    run(main())


def test_the_name_of_connect_does_not_count(run: Run, users: Path) -> None:
    """The user name is only what was proved."""

    async def main() -> None:
        async with guarded(users, "both home/%u\n") as server:
            client = ScramClient(server.address, "bob", "bob's")
            client.options = dataclasses.replace(client.options, username="alice")
            async with client:
                assert list((await client.subscribe("home/alice")).reasons) == [ReasonCode.NOT_AUTHORIZED]
                assert list((await client.subscribe("home/bob")).reasons) == [0]

    run(main())


def test_the_method_is_unknown_where_nobody_may_use_it(run: Run, tmp_path: Path) -> None:
    """[5.0 MQTT-4.12.0-1]"""
    write_user(tmp_path / "users", "plain", new_user("plain's", with_scram=False))

    async def main() -> None:
        async with guarded(tmp_path / "users") as server:
            with pytest.raises(ConnectionEnded) as caught:
                await ScramClient(server.address, "plain", "plain's").connect()
            assert caught.value.end.reason == ReasonCode.BAD_AUTHENTICATION_METHOD

    run(main())


def test_the_first_message_may_come_in_auth(run: Run, users: Path) -> None:
    """Authentication Data in CONNECT is left open. [5.0 3.1.2.11.10]"""
    exchange = scramp.ScramClient([SCRAM], "alice", "alice's")

    def answer(challenge: Any) -> bytes:
        if challenge.data is None:
            return exchange.get_client_first().encode()
        exchange.set_server_first(challenge.data.decode())
        return exchange.get_client_final().encode()

    async def main() -> None:
        async with guarded(users) as server:
            options = ClientOptions(properties=Properties(authentication_method=SCRAM))
            async with AsyncClient(server.address, options, authenticator=answer):
                pass

    run(main())


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"n,,", b"n,,n=,r=", b"n,,n=a", b"p=x,,n=a,r=b", b"a" * 65_535, b"n,,n=a=,r=b"]
)
def test_what_is_no_message_of_scram_proves_nothing(users: Path, data: bytes) -> None:
    keys_of = PasswordFile.read(users).scram_keys
    proof = ScramProof(keys_of)
    assert proof.step(data)[0] is AuthenticationResult.FAILURE
    assert proof.finished
    assert proof.step(data)[0] is AuthenticationResult.FAILURE
    begun = ScramProof(keys_of)
    assert begun.step(b"n,,n=alice,r=nonce")[0] is AuthenticationResult.CONTINUE
    assert begun.step(data)[0] is AuthenticationResult.FAILURE


def test_nobody_learns_which_users_there_are(users: Path) -> None:
    """[RFC 5802 5.1]"""
    keys_of = PasswordFile.read(users).scram_keys
    first = [ScramProof(keys_of).step(b"n,,n=%s,r=x" % name)[1] for name in (b"nobody", b"nobody", b"plain")]
    salts = [dict(part.split(b"=", 1) for part in message.split(b","))[b"s"] for message in first if message]
    assert salts[0] == salts[1] != salts[2]


def test_keys_are_read_as_they_were_written(users: Path) -> None:
    keys = PasswordFile.read(users).scram_keys("alice")
    assert ScramKeys.parse(keys.text()) == keys


def test_another_password_ends_the_old_ones_keys(tmp_path: Path) -> None:
    file = tmp_path / "users"
    for with_scram in (True, False):
        write_user(file, "alice", new_user("secret", with_scram=with_scram))
    assert not PasswordFile.read(file).has_scram
