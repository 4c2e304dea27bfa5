"""`mqtt-interop probe`: what a broker does is found out, told, and written into a profile that can be used."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from interop.brokers.probe import Answer, Reaction
from interop.brokers.profile import load_profile
from interop.brokers.reference import ReferenceSpec
from interop.cli import main
from interop.probe import asking
from interop.probe.asking import Found, _contradictions, _product, find_out
from interop.probe.questions import QUESTIONS, _largest
from interop.probe.telling import document, profile, text
from interop.scenario.features import FEATURES
from reference_broker.net.address import Address, Login, Transport
from reference_broker.testing import running_broker
from reference_broker.wire.types import Version

FOUND = Found(
    address=Address("127.0.0.1", 1883, login=Login("vendor", b"s3cret")),
    name="acme",
    product_version="1.0",
    mqtt=("3.1.1", "5.0"),
    listeners={Transport.TCP: Address("127.0.0.1", 1883), Transport.WS: Address("127.0.0.1", 8080, Transport.WS)},
    announced={"receive_maximum": 20, "reason_string": "hello"},
    does={"qos1": True, "qos2": False, "retained": False},
    sizes={"longest topic": 65_535, "longest client id": 23, "largest packet": 16 * 1024 * 1024},
    sys_topics=3,
    unanswered={"wildcard": "no answer"},
    promised=("retained",),
    contradictions=("CONNACK does not deny retained (Retain Available), but it does not work",),
)


@pytest.fixture(autouse=True)
def _quick_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PORTS", dict.fromkeys(Transport, ()))
    monkeypatch.setattr("interop.probe.questions.QUIET_SECONDS", 0.1)


def found(settings: dict[str, Any], transport: Transport = Transport.TCP) -> Found:
    """What is found out of a reference broker with such settings."""

    async def ask() -> Found:
        broker = await ReferenceSpec().start(settings, transport=transport)
        try:
            return await find_out(broker.address(transport))
        finally:
            await broker.stop()

    return asyncio.run(ask())


def test_the_reference_broker_does_all_that_is_asked_for() -> None:
    it = found({"topic_alias_maximum": 5})
    assert (it.mqtt, list(it.listeners)) == (("3.1", "3.1.1", "5.0"), [Transport.TCP])
    assert {name for name, does in it.does.items() if does} == {*QUESTIONS, "topic-alias"}
    in_a_connect = it.sizes.pop("longest client id")
    assert 64 * 1024 - 1024 < in_a_connect < 64 * 1024  # as much of `maximum_connect_size` as the search's steps show
    assert it.sizes == {"longest topic": 65_535, "largest packet": 16 * 1024 * 1024}
    assert (it.unanswered, it.contradictions, it.lacks) == ({}, (), ())


def test_the_address_that_let_us_in_is_a_listener_however_late_the_answers_of_the_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nobody_in_time(address: Address, version: Version, *_: object) -> Answer:
        return Answer(version, address, Reaction.UNREACHED, reason="no answer within 1 s")

    monkeypatch.setattr(asking, "ask", nobody_in_time)
    (listener,) = found({}, Transport.WS).listeners.values()
    assert (listener.transport, listener.login) == (Transport.WS, None)


def test_tls_is_not_asked_for_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        nobody = held.getsockname()[1]
    asked = []

    async def noted(address: Address, version: Version, *_: object) -> Answer:
        asked.append(address.port)
        return Answer(version, address, Reaction.CLOSED)

    monkeypatch.setattr(asking, "PORTS", {**dict.fromkeys(Transport, ()), Transport.TLS: (nobody,)})
    monkeypatch.setattr(asking, "ask", noted)
    it = found({})
    assert asked == [it.address.port] * (len(Transport) - 1)


@pytest.mark.parametrize(
    ("settings", "lacks"),
    [
        ({"maximum_qos": 1}, "qos2"),
        ({"retain_available": False}, "retained"),
        ({"wildcard_subscription_available": False}, "wildcard"),
        ({"shared_subscription_available": False}, "shared-subscription"),
        ({"subscription_identifier_available": False}, "subscription-identifier"),
        ({"topic_alias_maximum": 0}, "topic-alias"),
        ({"allow_empty_client_id": False}, "assigned-client-id"),
    ],
)
def test_what_is_switched_off_is_found_lacking_and_agrees_with_connack(settings: dict[str, Any], lacks: str) -> None:
    it = found({"topic_alias_maximum": 5, **settings})
    assert lacks in it.lacks
    assert it.contradictions == ()


def test_limits_are_found_to_a_hundredth() -> None:
    it = found({"maximum_packet_size": 5_000})
    assert 4_900 <= it.sizes["largest packet"] <= 5_000
    assert it.announced["maximum_packet_size"] == 5_000


@pytest.mark.parametrize("largest", [64, 65, 1_000, 65_535])
def test_the_largest_that_is_taken_is_found_in_few_steps(largest: int) -> None:
    tried = []

    async def takes(size: int) -> bool:
        tried.append(size)
        return size <= largest

    assert largest - max(1, largest // 100) <= asyncio.run(_largest(takes, 64, 65_535)) <= largest
    assert len(tried) <= 18


def test_what_connack_denies_and_does_and_what_it_promises_and_does_not_are_findings() -> None:
    assert _contradictions(["retained"], ["wildcard"], {"retained": False, "wildcard": True}) == []
    assert _contradictions(["retained"], ["wildcard"], {"retained": True, "wildcard": False}) == [
        "CONNACK denies retained (Retain Available), but it works",
        "CONNACK does not deny wildcard (Wildcard Subscription Available), but it does not work",
    ]


def test_every_question_is_about_a_feature() -> None:
    assert set(QUESTIONS) <= set(FEATURES)


@pytest.mark.parametrize(
    ("told", "product"),
    [
        ("mosquitto version 2.0.11", ("mosquitto", "2.0.11")),
        ("acme/v1.2-rc1", ("acme", "1.2-rc1")),
        ("2.7.9", ("", "2.7.9")),
        ("", ("", "")),
    ],
)
def test_the_product_is_what_it_publishes_of_itself(told: str, product: tuple[str, str]) -> None:
    assert _product({"$SYS/broker/version": told} if told else {}) == product


# --- telling ----------------------------------------------------------------------------------------------------------


def test_a_person_reads_what_was_found_and_what_was_not() -> None:
    lines = list(text(FOUND))
    assert lines[0] == "127.0.0.1:1883: acme 1.0"
    assert "  largest packet    at least 16,777,216 bytes" in lines
    assert "  longest topic     65,535 bytes" in lines
    assert "  not found out: wildcard (no answer)" in lines
    assert lines[-1].startswith("  FINDING    CONNACK does not deny retained")


def test_a_profile_has_no_lack_that_connack_promises_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(profile(FOUND))
    said = load_profile(path)
    assert (said.name, said.version, said.mqtt) == ("acme", "1.0", ("3.1.1", "5.0"))
    assert said.lacks == ("qos2",)
    assert said.addresses[Transport.WS].url == "ws://127.0.0.1:8080/mqtt"
    assert said.settings == {"receive_maximum": 20}
    assert load_profile(path).login is None


def test_a_name_that_cannot_be_known_is_left_to_be_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(profile(dataclasses.replace(FOUND, name="", product_version="")))
    assert (load_profile(path).name, load_profile(path).version) == ("my-broker", "version unknown")


def test_no_telling_shows_the_login() -> None:
    assert not [each for each in (document(FOUND), profile(FOUND), *text(FOUND)) if "s3cret" in each]


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_profile_is_written_and_its_broker_agrees_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "acme.toml"
    with running_broker() as broker:
        assert main(["probe", "--broker", broker.address.host_and_port, "--write", str(path)]) == 0
        assert f"{path}: a profile to go on from" in capsys.readouterr().out
        assert main(["probe", "--broker-profile", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["findings"] == []
        assert main(["probe", "--broker", broker.address.host_and_port, "--write", str(path)]) == 2
        assert f"{path} is there already" in capsys.readouterr().err
        path.write_text(path.read_text().replace("lacks = [", 'lacks = ["retained", '))
        assert main(["probe", "--broker-profile", str(path)]) == 1
        assert "FINDING    my-broker: the profile says that it lacks retained" in capsys.readouterr().out


def test_nobody_there_exits_2_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--broker", "127.0.0.1:1"]) == 2
    assert "no broker at 127.0.0.1:1: connection refused" in capsys.readouterr().err
