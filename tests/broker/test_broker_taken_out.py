"""Users and rules are read again while clients are connected: who may not connect any more is gone, all others stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from broker_harness import ALL_VERSIONS, V5, Client, World, kept, will

from reference_broker.access.config import GuardedConfig
from reference_broker.access.control import GuardedAccess
from reference_broker.access.passwords import User, new_user, write_user
from reference_broker.access.scram import SCRAM
from reference_broker.broker import Broker
from reference_broker.wire.packets import Auth, ConnAck, Disconnect
from reference_broker.wire.types import ReasonCode

GONE = ReasonCode.ADMINISTRATIVE_ACTION
RULES = "both #\n"


@pytest.fixture(scope="module")
def line() -> User:
    """A user whose password is `right`; hashing takes its time, so there is one for all."""
    return new_user("right", with_scram=True)


class Office:
    """Files, and a broker that reads them."""

    def __init__(self, folder: Path, line: User) -> None:
        self.users, self.rules = folder / "users", folder / "rules"
        self.rules.write_text(RULES)
        for name in ("alice", "bob"):
            write_user(self.users, name, line)
        self.config = GuardedConfig(password_file=self.users, rules_file=self.rules)
        self.access = GuardedAccess(self.config)
        self.world = World(Broker(seed=1, access=self.access))

    def client(self, username: str, version=V5, **more) -> Client:
        return self.world.client(username, version, username=username, password=b"right", **more)

    def read_again(self) -> None:
        self.access.read_again()
        self.world.broker.ask_rules_again(self.world.now)
        self.world.collect()


@pytest.fixture
def office(tmp_path: Path, line: User) -> Office:
    return Office(tmp_path, line)


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_who_is_not_in_the_file_any_more_is_disconnected(office: Office, version):
    """For what an administrator did, not for a request that is not authorized. [5.0 3.14.2.1]"""
    alice, bob = office.client("alice", version), office.client("bob", version)
    write_user(office.users, "alice", None)
    office.read_again()
    assert alice.closed
    assert [packet.reason for packet in alice.take()] == ([GONE] if version is V5 else [])
    assert not bob.closed
    bob.subscribe("t", qos=1)
    bob.publish("t", b"x", 1)
    assert bob.payloads() == [b"x"]


def test_who_has_another_password_now_is_disconnected(office: Office, line: User):
    alice, bob = office.client("alice"), office.client("bob")
    write_user(office.users, "alice", new_user("other", with_scram=False))
    office.read_again()
    assert alice.expect(Disconnect).reason == GONE
    assert not bob.closed


def test_whose_client_id_is_another_users_now_is_disconnected(office: Office):
    alice, bob = office.client("alice"), office.client("bob")
    office.rules.write_text(f"{RULES}user bob\nclient-id alice\n")
    office.read_again()
    assert alice.expect(Disconnect).reason == GONE
    assert not bob.closed


@pytest.mark.parametrize(
    "change",
    [
        lambda office: None,
        lambda office: write_user(office.users, "carol", User("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g")),
        lambda office: office.rules.write_text("user alice\nsubscribe #\n"),
    ],
    ids=["nothing", "one more user", "other rules"],
)
def test_who_may_still_connect_stays(office: Office, change: Callable[[Office], object]):
    clients = [office.client("alice"), office.client("bob")]
    change(office)
    office.read_again()
    assert [client.closed for client in clients] == [False, False]


def test_who_came_by_a_certificate_is_nobody_of_the_file(office: Office):
    client = Client(office.world, "c", V5)
    client.open()
    client.link.certified = "alice"
    client.send(client.connect_packet())
    write_user(office.users, "alice", None)
    office.read_again()
    assert not client.closed


def test_who_has_not_said_who_it_is_stays(office: Office):
    raw = office.world.raw()
    office.rules.write_text("user bob\nclient-id *\n")
    office.read_again()
    assert not raw.closed


def test_a_password_that_was_looked_at_meanwhile_lets_nobody_in_who_is_taken_out(office: Office):
    """It was the right one when the looking began."""
    asked = []
    office.world.broker.do_elsewhere = lambda work, done: asked.append((work, done))
    client = Client(office.world, "c", V5)
    client.open()
    client.send(client.connect_packet(username="alice", password=b"right"))
    [(work, done)] = asked
    assert work()
    write_user(office.users, "alice", None)
    office.read_again()
    assert client.expect(ConnAck).reason == ReasonCode.NOT_AUTHORIZED
    done(True, office.world.now)
    assert "c" not in office.world.broker.house.sessions


def test_a_proof_that_was_begun_lets_nobody_in_who_is_taken_out(office: Office):
    """[5.0 4.12]"""
    client = Client(office.world, "c", V5)
    client.open()
    first = b"n,,n=alice,r=rOprNGfwEbeRWgbNEkqO"
    client.send(client.connect_packet(authentication_method=SCRAM, authentication_data=first))
    client.expect(Auth)
    write_user(office.users, "alice", None)
    office.read_again()
    assert client.expect(ConnAck).reason == ReasonCode.NOT_AUTHORIZED


def test_the_session_stays_for_who_is_let_in_again_and_the_will_is_sent(office: Office, line: User):
    """As at any end that is not the client's own. [5.0 MQTT-3.1.2-8]"""
    bob = office.client("bob")
    bob.subscribe("gone")
    alice = office.client("alice", will=will("gone", b"will"), **kept(V5))
    alice.subscribe("t", qos=1)
    write_user(office.users, "alice", None)
    office.read_again()
    assert bob.payloads() == [b"will"]
    write_user(office.users, "alice", line)
    office.read_again()
    assert office.client("alice", **kept(V5)).connack.session_present
