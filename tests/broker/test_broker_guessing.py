"""Guessing passwords: after so many wrong ones none from that address is looked at, and nobody else notices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from broker_harness import V5, V31, V311, Client, World, will
from test_broker_rules import slow

from reference_broker.broker import BrokerConfig, ChallengeMethod
from reference_broker.broker.keeping.addresses import Addresses
from reference_broker.wire.packets import Auth, ConnAck
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import ReasonCode, Version

HERE, THERE = "192.0.2.1:1", "192.0.2.2:1"
WRONG, LATER = ReasonCode.BAD_USER_NAME_OR_PASSWORD, ReasonCode.CONNECTION_RATE_EXCEEDED


def attempt(world: World, password: bytes | None = b"wrong", peer: str = HERE, version: Version = V5, **more) -> int:
    """The answer to one that comes and goes."""
    client = Client(world, "", version)
    client.peer = peer
    client.open()
    username = None if password is None else "alice"
    client.send(client.connect_packet(username=username, password=password, client_id="c", **more))
    [connack] = client.take()
    assert isinstance(connack, ConnAck)
    client.drop()
    return connack.reason


def guarded(**settings) -> World:
    return World(users={"alice": "right"}, **settings)


def test_after_so_many_wrong_passwords_none_from_there_is_looked_at():
    """[5.0 3.2.2.2, 5.4.8]"""
    world = guarded(maximum_failed_logins_per_minute=6)
    assert [attempt(world) for _ in range(10)] == [WRONG] * 7 + [LATER] * 3
    assert attempt(world, b"right") == LATER
    assert attempt(world, b"right", THERE) == 0
    assert attempt(world, version=V311) == attempt(world, version=V31) == 3


def test_the_log_says_once_that_an_address_has_guessed_too_often():
    """Whoever keeps addresses out elsewhere needs no more than this line."""
    world = guarded(maximum_failed_logins_per_minute=6)
    for _ in range(10):
        attempt(world)
    line = "address 192.0.2.1: passwords are not looked at for 10.0 s, because too many were wrong"
    assert [each for each in world.log if each.startswith("address")] == [line]
    world.advance(10.1)
    attempt(world)
    assert len([each for each in world.log if each.startswith("address")]) == 2


def test_after_a_while_it_may_try_again_as_often_as_the_rate_says():
    world = guarded(maximum_failed_logins_per_minute=6)
    for _ in range(7):
        attempt(world)
    world.advance(9.9)
    assert attempt(world, b"right") == LATER
    world.advance(0.2)
    assert attempt(world, b"right") == 0
    assert [attempt(world) for _ in range(2)] == [WRONG, LATER]
    world.advance(70)
    assert [attempt(world) for _ in range(8)] == [WRONG] * 7 + [LATER]


def test_sixty_a_minute_unless_told_otherwise():
    world = guarded()
    assert [attempt(world) for _ in range(70)] == [WRONG] * 61 + [LATER] * 9


@pytest.mark.parametrize(
    ("settings", "peer"), [({"maximum_failed_logins_per_minute": None}, HERE), ({}, "broker.sock")]
)
def test_where_nothing_is_limited_or_there_is_no_address_all_are_looked_at(settings, peer):
    world = guarded(**settings)
    assert {attempt(world, peer=peer) for _ in range(200)} == {WRONG}
    assert attempt(world, b"right", peer) == 0


def test_right_passwords_and_none_are_no_guesses():
    world = guarded(maximum_failed_logins_per_minute=3)
    for _ in range(10):
        assert attempt(world, b"right") == 0
        assert attempt(world, None) == WRONG
    assert attempt(world) == WRONG


def test_who_has_no_password_comes_in_where_that_is_allowed_whatever_others_there_did():
    world = guarded(maximum_failed_logins_per_minute=3, allow_anonymous=True)
    for _ in range(10):
        attempt(world)
    assert attempt(world, None) == 0


# --- enhanced authentication -----------------------------------------------------------------------------------------


def challenged(**settings) -> World:
    return World(authentication_methods=(ChallengeMethod("demo", b"?", b"!"),), **settings)


def answer(world: World, data: bytes) -> tuple[Client, int]:
    client = Client(world, "c", V5)
    client.peer = HERE
    client.open()
    client.send(client.connect_packet(authentication_method="demo"))
    if isinstance(client.inbox[0], Auth):
        client.take()
        client.send(Auth(0x18, Properties(authentication_method="demo", authentication_data=data)))
    return client, client.take()[0].reason


def test_a_proof_that_is_wrong_is_a_guess():
    """[5.0 4.12]"""
    world = challenged(maximum_failed_logins_per_minute=3)
    reasons = [answer(world, b"wrong")[1] for _ in range(6)]
    assert reasons == [ReasonCode.NOT_AUTHORIZED] * 4 + [LATER] * 2


def test_who_has_many_proofs_looked_at_at_once_gains_nothing():
    world = challenged(maximum_failed_logins_per_minute=3)
    clients = [Client(world, f"{number}", V5) for number in range(10)]
    for client in clients:
        client.peer = HERE
        client.open()
        client.send(client.connect_packet(authentication_method="demo"))
        client.take()
    for client in clients:
        client.send(Auth(0x18, Properties(authentication_method="demo", authentication_data=b"wrong")))
    assert [client.take()[0].reason for client in clients] == [ReasonCode.NOT_AUTHORIZED] * 4 + [LATER] * 6


def test_a_proof_anew_that_is_wrong_is_a_guess():
    """[5.0 4.12.1]"""
    world = challenged(maximum_failed_logins_per_minute=3)
    for _ in range(4):
        client, reason = answer(world, b"!")
        assert reason == 0
        for step, data in ((0x19, None), (0x18, b"wrong")):
            client.send(Auth(step, Properties(authentication_method="demo", authentication_data=data)))
        assert client.closed
    assert answer(world, b"!")[1] == LATER


# --- passwords that take long ----------------------------------------------------------------------------------------


class Desk:
    """Where passwords are looked at, when the test says so."""

    def __init__(self, world: World) -> None:
        self.asked: list[tuple[Callable[[], bool], Callable[[bool, float], None]]] = []
        self.looked_at = 0
        self.world = world
        world.broker.do_elsewhere = lambda work, done: self.asked.append((work, done))

    def work(self) -> None:
        """Look at all that come."""
        while self.asked:
            [(work, done)] = self.asked
            self.asked.clear()
            is_right = work()
            self.looked_at += 1
            done(is_right, self.world.now)
            self.world.collect()


def crowd(world: World, count: int, password: bytes = b"wrong", **more) -> list[Client]:
    clients = []
    for number in range(count):
        client = Client(world, f"{number}", V5)
        client.peer = f"192.0.2.1:{number}"
        client.open()
        client.send(client.connect_packet(username="alice", password=password, **more))
        clients.append(client)
    return clients


def test_one_password_is_looked_at_at_a_time_and_in_order(tmp_path: Path):
    world = slow(tmp_path)
    desk = Desk(world)
    clients = crowd(world, 5, b"right")
    for place in range(5):
        assert [bool(client.inbox) for client in clients] == [True] * place + [False] * (5 - place)
        [(work, done)] = desk.asked
        desk.asked.clear()
        done(work(), world.now)
        world.collect()


def test_who_tries_many_at_once_gains_nothing(tmp_path: Path):
    """They were all there before the first of them was found to be wrong."""
    world = slow(tmp_path)
    desk = Desk(world)
    clients = crowd(world, 200)
    desk.work()
    reasons = [client.take()[0].reason for client in clients]
    assert reasons == [WRONG] * 61 + [LATER] * 139
    assert desk.looked_at == 61
    assert all(client.closed for client in clients)


def test_who_is_gone_by_its_turn_is_not_looked_at(tmp_path: Path):
    world = slow(tmp_path)
    desk = Desk(world)
    clients = crowd(world, 10, b"right")
    for client in clients[:9]:
        client.drop()
    desk.work()
    assert desk.looked_at == 2  # whose turn had begun, and who is still there
    assert clients[9].take()[0].reason == 0


def test_who_waits_for_its_password_is_not_let_in_yet(tmp_path: Path):
    """So the oldest goes when there are too many of them, and all go when it takes too long. [5.0 3.1.4]"""
    world = slow(tmp_path, maximum_half_open=100)
    Desk(world)
    clients = crowd(world, 150)
    assert [client.closed for client in clients] == [True] * 50 + [False] * 100
    world.advance(11)
    assert all(client.closed for client in clients)


def test_what_a_connect_holds_while_it_waits_counts_as_incomplete(tmp_path: Path):
    """Passwords of 64 KiB, and wills, of thousands who wait for their turn."""
    world = slow(tmp_path, opening_maximum_bytes=1_000_000)
    desk = Desk(world)
    large = crowd(world, 20, bytes(60_000), will=will(payload=bytes(60_000)))
    assert sum(not client.closed for client in large) == 8
    small = crowd(world, 20, b"right")
    assert not any(client.closed for client in small)
    desk.work()
    assert all(client.take()[0].reason == 0 for client in small)
    assert sum(world.broker.house.incoming._opening._sizes.values()) == 0


def test_addresses_that_guessed_are_forgotten_when_they_may_guess_again():
    addresses = Addresses(BrokerConfig())
    for number in range(30_000):
        peer = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:1"
        addresses.arrived(peer, float(number))
        addresses.failed(peer, float(number))
        addresses.left(peer)
    assert len(addresses) <= 10_000
