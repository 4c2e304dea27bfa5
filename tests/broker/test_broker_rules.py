"""The file of rules, by itself and in a broker in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from broker_harness import V5, Client, World, kept

from reference_broker.access.config import GuardedConfig
from reference_broker.access.control import GuardedAccess
from reference_broker.access.rules import Rules
from reference_broker.broker import Broker
from reference_broker.broker.keeping.checks import Work
from reference_broker.broker.values.access import Claim, covers
from reference_broker.broker.values.config import Action, BrokerConfig
from reference_broker.net.config import ConfigError
from reference_broker.store.memory import MemoryStore
from reference_broker.wire.packets import Will
from reference_broker.wire.topics import matches
from reference_broker.wire.types import QoS, ReasonCode

USERS = {"alice": "a", "bob": "b"}


def read(folder: Path, text: str) -> Rules:
    file = folder / "rules"
    file.write_text(text)
    return Rules.read(file)


def guarded(folder: Path, text: str, users: dict[str, str] | None = USERS, **settings: object) -> World:
    (folder / "rules").write_text(text)
    broker = BrokerConfig(users=users, **settings)
    config = GuardedConfig(rules_file=folder / "rules", broker=broker)
    return World(Broker(broker, seed=1, access=GuardedAccess(config)))


def login(name: str) -> dict[str, object]:
    return {"username": name, "password": USERS[name].encode()}


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "read a",
            "expected user, anonymous, everybody, listener, publish, subscribe, both, deny, client-id, not 'read'",
        ),
        ("publish", "something is missing behind publish"),
        ("deny red a", "behind deny stand publish, subscribe or both, and a filter"),
        ("publish a/#/b", "#"),
        ("client-id x", "client-id stands below the user whose it is"),
        ("everybody else", "nothing stands behind everybody, not 'else'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"# rules\n{line}\n")
    assert str(caught.value).startswith(f"{tmp_path / 'rules'}, line 2: ")
    assert said in str(caught.value)


RULES = """
subscribe news/#
anonymous
both      guests/#
user alice
deny both home/alice/secret
both      home/%u/#
publish   report/%c/+
listener inside
both      plant/#
everybody
listener outside
publish   inbox
"""


@pytest.mark.parametrize(
    ("claim", "action", "topic", "may"),
    [
        (Claim("bob"), Action.SUBSCRIBE, "news/x", True),
        (Claim("bob"), Action.PUBLISH, "news/x", False),
        (Claim("bob"), Action.PUBLISH, "anything", False),
        (Claim("bob"), Action.PUBLISH, "guests/x", False),
        (Claim(None), Action.PUBLISH, "guests/x", True),
        (Claim("alice"), Action.PUBLISH, "home/alice/x", True),
        (Claim("alice"), Action.PUBLISH, "home/alice/secret", False),
        (Claim("alice"), Action.PUBLISH, "home/bob/x", False),
        (Claim("alice", "c"), Action.PUBLISH, "report/c/x", True),
        (Claim("alice", "d"), Action.PUBLISH, "report/c/x", False),
        (Claim("alice", "c", "inside"), Action.PUBLISH, "plant/x", True),
        (Claim("alice", "c", "outside"), Action.PUBLISH, "plant/x", False),
        (Claim("bob", "c", "inside"), Action.PUBLISH, "plant/x", False),
        (Claim("bob", "c", "outside"), Action.PUBLISH, "inbox", True),
        (Claim("bob", "c", "inside"), Action.PUBLISH, "inbox", False),
    ],
)
def test_the_first_rule_that_fits_decides_and_without_one_nothing_is_allowed(
    tmp_path: Path, claim: Claim, action: Action, topic: str, may: bool
) -> None:
    assert read(tmp_path, RULES).allow(action, claim, topic, matches) is may


@pytest.mark.parametrize("name", ["+", "#", "a/b", "", "$SYS"])
@pytest.mark.parametrize("mark", ["%u", "%c"])
def test_a_name_is_never_more_than_a_name(tmp_path: Path, mark: str, name: str) -> None:
    rules = read(tmp_path, f"both {mark}/#\n")
    claim = Claim(name, name)
    for topic in ("x/y", "a/b", "$SYS/y"):
        assert not rules.allow(Action.PUBLISH, claim, topic, matches)
    for topic_filter in ("+/#", "#", "+/x", "a/b/#", "$SYS/#"):
        assert not rules.allow(Action.SUBSCRIBE, claim, topic_filter, covers)


def test_a_name_may_look_like_a_mark(tmp_path: Path) -> None:
    rules = read(tmp_path, "both home/%u/%c\n")
    assert rules.allow(Action.PUBLISH, Claim("%c", "x"), "home/%c/x", matches)
    assert not rules.allow(Action.PUBLISH, Claim("%c", "x"), "home/x/x", matches)


# --- in a broker -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_no_rule_allows_is_refused_both_ways(tmp_path: Path, qos: int) -> None:
    """[5.0 3.4.2.1, 3.9.3]"""
    world = guarded(tmp_path, "both open/#\nuser alice\nsubscribe #\n")
    alice, bob = world.client("a", **login("alice")), world.client("b", **login("bob"))
    assert bob.subscribe("#", "open/+", "$share/g/closed", qos=2).reasons == (0x87, 2, 0x87)
    alice.subscribe("#", qos=2)
    answer = bob.publish("closed/x", b"1", qos)
    assert qos == 0 or answer.reason == ReasonCode.NOT_AUTHORIZED
    bob.publish("open/x", b"2", qos)
    assert (alice.payloads(), bob.payloads()) == ([b"2"], [b"2"])


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_streams_of_two_clients_of_one_user_are_told_apart(tmp_path: Path, qos: int) -> None:
    """What the fast path remembers of one holds for no other."""
    world = guarded(tmp_path, "publish %c/out\nuser alice\nsubscribe #\n")
    alice = world.client("a", **login("alice"))
    alice.subscribe("#", qos=2)
    for client_id in ("one", "two"):
        client = world.client(client_id, **login("bob"))
        for number in range(3):
            client.publish("one/out", b"%d" % number, qos)
    assert alice.payloads() == [b"0", b"1", b"2"]


def test_a_name_that_is_only_said_has_no_rights(tmp_path: Path) -> None:
    world = guarded(tmp_path, "user alice\nboth #\n", users=None)
    liar = world.client("c", username="alice")
    assert liar.subscribe("x").reasons == (0x87,)


def test_a_will_has_the_rights_of_its_client(tmp_path: Path) -> None:
    """[5.0 3.1.2.5]"""
    world = guarded(tmp_path, "publish will/%c\n")
    for topic, expected in (("will/x", 0x87), ("will/c", 0)):
        Client(world, "c", V5).connect(
            expect=expected, will=Will(topic, b"", QoS.AT_MOST_ONCE, False), **login("alice")
        )


def test_a_client_id_belongs_to_a_user(tmp_path: Path) -> None:
    """[5.0 5.4.2]"""
    world = guarded(tmp_path, "both #\nuser alice\nclient-id pump\nclient-id a-*\n")
    for client_id in ("pump", "a-1", "a-"):
        Client(world, client_id, V5).connect(expect=0x87, **login("bob"))
    owner = world.client("pump", **kept(V5), **login("alice"))
    Client(world, "pump", V5).connect(expect=0x87, **login("bob"))
    assert not owner.closed
    owner.disconnect()
    Client(world, "pump", V5).connect(expect=0x87, **login("bob"))
    owner.connect(**kept(V5), **login("alice"))
    assert owner.connack.session_present
    world.client("a", **login("bob"))


@pytest.mark.parametrize("qos", [1, 2])
def test_what_waits_is_not_handed_to_whom_may_not_read_it_any_more(tmp_path: Path, qos: int) -> None:
    world = guarded(tmp_path, "both #\n")
    reader = world.client("r", **kept(V5), **login("bob"))
    reader.subscribe("closing", "open", qos=qos)
    reader.disconnect()
    writer = world.client("w", **login("alice"))
    for topic in ("closing", "open"):
        writer.publish(topic, b"waits", qos)
    change(world, tmp_path, "user alice\nboth #\neverybody\nboth open\n")
    reader.connect(**kept(V5), **login("bob"))
    assert [message.topic for message in reader.messages()] == ["open"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_rules_that_change_hold_for_whom_is_there(tmp_path: Path, qos: int) -> None:
    world = guarded(tmp_path, "both #\n")
    reader, writer = world.client("r", **login("bob")), world.client("w", **login("alice"))
    reader.subscribe("t", "$share/g/s", qos=qos)
    for topic in ("t", "s"):
        writer.publish(topic, b"1", qos)
    change(world, tmp_path, "user alice\nboth #\n")
    for topic in ("t", "s"):
        writer.publish(topic, b"2", qos)
    change(world, tmp_path, "everybody\nboth #\n")
    for topic in ("t", "s"):
        writer.publish(topic, b"3", qos)
    assert reader.payloads() == [b"1", b"1", b"3", b"3"]
    assert not reader.closed


def change(world: World, folder: Path, text: str) -> None:
    (folder / "rules").write_text(text)
    access = world.broker.house.access
    assert isinstance(access, GuardedAccess)
    access.read_again()
    world.broker.ask_rules_again(world.now)
    world.collect()


def test_another_listener_has_other_rights_also_for_what_waits(tmp_path: Path) -> None:
    world = guarded(tmp_path, "listener tcp\nboth #\n")
    inside, outside = Client(world, "c", V5), Client(world, "c", V5)
    for client, name in ((inside, "tcp"), (outside, "ws")):
        client.open()
        client.link.listener = name
    inside.send(inside.connect_packet(**kept(V5), **login("alice")))
    inside.take()
    inside.subscribe("t", qos=1)
    inside.disconnect()
    writer = Client(world, "w", V5)
    writer.open()
    writer.link.listener = "tcp"
    writer.send(writer.connect_packet(**login("alice")))
    writer.take()
    writer.publish("t", b"waits", 1)
    outside.send(outside.connect_packet(**kept(V5), **login("alice")))
    assert [type(packet).__name__ for packet in outside.take()] == ["ConnAck"]


def test_a_restart_keeps_what_any_listener_would_let_a_session_have(tmp_path: Path) -> None:
    """Where its client came in is not kept; it is asked when it is back."""
    rules = read(tmp_path, "listener tcp\nsubscribe t\nlistener ws\ndeny both #\n")
    assert rules.allow(Action.SUBSCRIBE, Claim("bob", "c", None), "t", matches)
    assert not rules.allow(Action.SUBSCRIBE, Claim("bob", "c", None), "u", matches)
    assert not rules.allow(Action.SUBSCRIBE, Claim("bob", "c", "ws"), "t", matches)


@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_stored_is_not_handed_to_whom_may_not_read_it_any_more(tmp_path: Path, qos: int) -> None:
    """The broker was down while the rules changed."""

    def world(text: str, store: MemoryStore) -> World:
        (tmp_path / "rules").write_text(text)
        broker = BrokerConfig(users=USERS)
        config = GuardedConfig(rules_file=tmp_path / "rules", broker=broker)
        return World(Broker(broker, seed=1, access=GuardedAccess(config), keeps=True), store)

    before = world("both #\n", MemoryStore())
    reader = before.client("r", **kept(V5), **login("bob"))
    reader.subscribe("closing", "open", qos=qos)
    reader.disconnect()
    writer = before.client("w", **login("alice"))
    for topic in ("closing", "open"):
        writer.publish(topic, b"waits", qos)
    assert before.store is not None
    after = world("user alice\nboth #\neverybody\nboth open\n", MemoryStore(before.store.rows))
    returned = after.client("r", **kept(V5), **login("bob"))
    assert returned.connack.session_present
    assert [message.topic for message in returned.messages()] == ["open"]
    after.client("w", **login("alice")).publish("closing", b"later", qos)
    assert returned.messages() == []


# --- looking at a password elsewhere ---------------------------------------------------------------------------------


def test_a_client_waits_for_its_password_to_be_looked_at_and_nobody_else_does(tmp_path: Path) -> None:
    world, client, asked = asking(tmp_path)
    other = world.client("o")
    client.link.receive_data(b"\xc0\x00", world.now)  # PINGREQ, which need not wait for CONNACK [5.0 3.1.4]
    other.publish("t", b"x", 1)
    assert client.take() == []
    [(work, done)] = asked
    done(work(), world.now)
    world.collect()
    assert [type(packet).__name__ for packet in client.take()] == ["ConnAck", "PingResp"]


def test_what_came_while_a_password_was_looked_at_takes_turns(tmp_path: Path) -> None:
    world, client, asked = asking(tmp_path)
    client.link.receive_data(b"\xc0\x00" * 50, world.now)
    world.broker.is_turn_over = lambda: True
    [(work, done)] = asked
    done(work(), world.now)
    while client.link.has_more:
        world.collect()
        assert len(client.take()) <= 5
        client.link.receive_data(b"", world.now)
    world.collect()
    assert client.link.reader.next_packet() is None


def test_a_wrong_password_is_refused_once_it_was_looked_at(tmp_path: Path) -> None:
    """[5.0 MQTT-3.1.4-2]"""
    world = slow(tmp_path)
    client = Client(world, "c", V5)
    client.connect(expect=0x86, username="alice", password=b"wrong")
    assert client.closed


def test_who_is_gone_is_not_looked_at(tmp_path: Path) -> None:
    world, client, asked = asking(tmp_path)
    world.advance(11)
    assert client.closed
    [(work, done)] = asked
    assert work() is False
    done(True, world.now)
    assert "c" not in world.broker.house.sessions


class _Slow(GuardedAccess):
    def lengthy_check(self, claim: Claim, password: bytes | None):  # type: ignore[no-untyped-def]
        return None if claim.username is None else lambda: password == b"right"


def asking(folder: Path) -> tuple[World, Client, list[tuple[Work, Callable[[bool, float], None]]]]:
    """A client whose password is being looked at, and what was asked for."""
    world = slow(folder)
    asked: list[tuple[Work, Callable[[bool, float], None]]] = []
    world.broker.do_elsewhere = lambda work, done: asked.append((work, done))
    client = Client(world, "c", V5)
    client.open()
    client.send(client.connect_packet(username="alice", password=b"right"))
    return world, client, asked


def slow(folder: Path, **settings: int) -> World:
    (folder / "rules").write_text("both #\n")
    config = GuardedConfig(rules_file=folder / "rules")
    return World(Broker(BrokerConfig(**settings), seed=1, access=_Slow(config)))
