"""Passwords, the access list, and enhanced authentication."""

from __future__ import annotations

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World, kept

from reference_broker.broker import AccessRule, Action, ChallengeMethod
from reference_broker.broker.values.access import covers
from reference_broker.wire.packets import Auth, ConnAck, Disconnect, PubAck, Publish, SubAck, Subscribe, Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.topics import matches
from reference_broker.wire.types import QoS, ReasonCode

CHALLENGE = ChallengeMethod("demo", b"what is it?", b"it is me", b"welcome")


# --- passwords -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize(
    ("username", "password", "accepted"),
    [
        ("anna", b"secret", True),
        ("anna", b"wrong", False),
        ("anna", None, False),
        ("nobody", b"secret", False),
        (None, None, False),
    ],
)
def test_passwords(version, username, password, accepted):
    """[3.1.1 MQTT-3.2.2-5, 5.0 MQTT-3.1.4-2]"""
    world = World(users={"anna": "secret"})
    client = Client(world, "c", version)
    refusal = 0x86 if version is V5 else 0x04
    client.connect(expect=0 if accepted else refusal, username=username, password=password)
    assert client.closed == (not accepted)


def test_anonymous_clients_may_be_let_in_beside_users():
    world = World(users={"anna": "secret"}, allow_anonymous=True)
    world.client("c", V311)
    Client(world, "d", V311).connect(expect=0x04, username="anna", password=b"wrong")


def test_a_password_without_a_user_name_is_legal_in_5():
    """[5.0 3.1.2.9]"""
    World().client("c", V5, password=b"token")


# --- the access list -------------------------------------------------------------------------------------------------

RULES = (
    AccessRule("open/#", allow=True),
    AccessRule("secret/#", username="anna", allow=True),
    AccessRule("secret/#"),
    AccessRule("read/only", Action.PUBLISH),
    AccessRule("write/only", Action.SUBSCRIBE),
)


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_forbidden_publish_reaches_nobody_and_is_acknowledged(version, qos):
    """[3.1.1 MQTT-3.3.5-2, 3.1 MQTT31-8, 5.0 3.4.2.1]"""
    world = World(access_rules=RULES)
    anna, bob = world.client("a", V5, username="anna"), world.client("b", version)
    anna.subscribe("#", qos=2)
    for topic in ("secret/x", "read/only"):
        answer = bob.publish(topic, b"x", qos, retain=True)
        if qos:
            assert answer.reason == (ReasonCode.NOT_AUTHORIZED if version is V5 else 0)
    assert anna.messages() == []
    assert len(world.broker.house.retained) == 0
    assert not bob.closed
    assert len(world.log) == 2
    bob.publish("open/x", b"allowed", qos)
    anna.publish("secret/x", b"allowed", qos)
    assert anna.payloads() == [b"allowed", b"allowed"]


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_clients_can_be_kept_from_exchanging_messages_on_dollar_topics(version):
    """[3.1.1 MQTT311-U-7, 5.0 MQTT5-U-67]"""
    world = World(dollar_topics_between_clients=False)
    talker, listener = world.client("t", version), world.client("l", V5)
    listener.subscribe("$private/#", "a/#", qos=2)
    for qos in (0, 1, 2):
        answer = talker.publish("$private/x", b"hidden", qos, retain=True)
        if qos:
            assert answer.reason == (ReasonCode.NOT_AUTHORIZED if version is V5 else 0)
    talker.publish("a/$private", b"seen", 1)
    assert listener.payloads() == [b"seen"]
    assert len(world.broker.house.retained) == 0


def test_a_forbidden_qos_2_publish_may_be_sent_anew_with_its_identifier():
    """[5.0 MQTT-4.3.3-9]"""
    world = World(access_rules=(AccessRule("no"),))
    client = world.client("c", V5)
    client.subscribe("#")
    client.send(Publish("no", b"x", QoS.EXACTLY_ONCE, packet_id=3))
    client.take()
    client.send(Publish("yes", b"y", QoS.EXACTLY_ONCE, packet_id=3))
    assert [packet.payload for packet in client.take() if isinstance(packet, Publish)] == [b"y"]


@pytest.mark.parametrize(("version", "refusal"), [(V5, 0x87), (V311, 0x80), (V31, 1)])
def test_a_forbidden_subscription(version, refusal):
    """[3.1.1 MQTT-3.8.4-5, 3.1 MQTT31-7, 5.0 3.9.3]"""
    world = World(access_rules=RULES)
    client = world.client("c", version)
    client.send(Subscribe(1, tuple(Subscription(f, QoS(1)) for f in ("secret/x/+", "fine", "secret/#", "write/only"))))
    assert client.expect(SubAck).reasons == (refusal, 1, refusal, refusal)
    anna = world.client("a", V5, username="anna")
    anna.publish("secret/x/y", b"x")
    anna.publish("fine", b"x")
    assert [m.topic for m in client.messages()] == ["fine"]


def test_a_wider_filter_does_not_bring_what_is_forbidden():
    world = World(access_rules=RULES)
    anna, bob = world.client("a", V5, username="anna"), world.client("b", V5)
    anna.publish("secret/kept", b"x", retain=True)
    bob.subscribe("#", "+/kept", "$share/g/#")
    assert bob.messages() == []
    for topic in ("secret/x", "write/only", "fine"):
        anna.publish(topic, b"x")
    assert {m.topic for m in bob.messages()} == {"fine"}


def test_a_session_that_returns_as_somebody_else_has_other_rights():
    world = World(access_rules=RULES)
    client = world.client("c", V5, username="anna", **kept(V5))
    client.subscribe("secret/#")
    anna = world.client("a", V5, username="anna")
    anna.publish("secret/x", b"1")
    assert client.payloads() == [b"1"]
    client.disconnect()
    client.connect(username="bob", **kept(V5))
    anna.publish("secret/x", b"2")
    client.disconnect()
    client.connect(username="anna", **kept(V5))
    anna.publish("secret/x", b"3")
    assert client.payloads() == [b"3"]


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/b", "$SYS/b", False),
        ("a/#", "a", True),
        ("a/#", "a/+/c", True),
        ("a/+", "a/#", False),
        ("a/+", "a/+", True),
        ("a/+", "a/b", True),
        ("a/b", "a/+", False),
        ("a/b/#", "a/#", False),
        ("+/b", "a/b", True),
        ("a", "a/b", False),
        ("a/b", "a", False),
    ],
)
def test_a_filter_covers_another_when_it_matches_all_its_topics(wide, narrow, expected):
    assert covers(wide, narrow) == expected
    if expected and not set(narrow) & set("#+"):
        assert matches(wide, narrow)


def test_payloads_that_are_not_the_utf8_they_are_said_to_be():
    """[5.0 3.3.2.3.2]"""
    world = World(validate_payload_format=True)
    client = world.client("c", V5)
    client.subscribe("#")
    assert client.publish("t", b"\xff", 1, payload_format_indicator=1).reason == ReasonCode.PAYLOAD_FORMAT_INVALID
    assert client.publish("t", b"\xff", 2, payload_format_indicator=1).reason == ReasonCode.PAYLOAD_FORMAT_INVALID
    client.publish("t", b"\xff", payload_format_indicator=0)
    client.publish("t", "é".encode(), payload_format_indicator=1)
    assert client.payloads() == [b"\xff", "é".encode()]
    client.publish("t", b"\xff", payload_format_indicator=1)
    assert client.expect(Disconnect).reason == ReasonCode.PAYLOAD_FORMAT_INVALID


# --- enhanced authentication -----------------------------------------------------------------------------------------


def auth(reason: int, data: bytes | None = None, method: str | None = "demo") -> Auth:
    return Auth(reason, Properties(authentication_method=method, authentication_data=data))


def challenged(**connect) -> tuple[World, Client]:
    world = World(authentication_methods=(CHALLENGE,), users={"anna": "secret"})
    client = Client(world, "c", V5)
    client.open()
    client.send(client.connect_packet(authentication_method="demo", **connect))
    assert client.expect(Auth) == auth(0x18, b"what is it?")
    return world, client


def authenticated() -> tuple[World, Client]:
    world, client = challenged()
    client.send(auth(0x18, b"it is me"))
    client.take()
    return world, client


def test_an_unknown_method_is_refused():
    """[5.0 MQTT-4.12.0-1]"""
    for methods in ((), (CHALLENGE,)):
        client = Client(World(authentication_methods=methods), "c", V5)
        client.connect(expect=0x8C, authentication_method="other")
        assert client.closed


def test_the_right_answer_lets_in():
    """[5.0 MQTT-4.12.0-2, MQTT-4.12.0-5]"""
    _, client = challenged()
    client.send(auth(0x18, b"it is me"))
    connack = client.expect(ConnAck)
    assert connack.reason == 0
    assert connack.properties.authentication_method == "demo"
    assert connack.properties.authentication_data == b"welcome"


@pytest.mark.parametrize("answer", [b"wrong", None])
def test_a_wrong_answer_does_not(answer):
    """[5.0 MQTT-4.12.0-4]"""
    world, client = challenged()
    client.send(auth(0x18, answer))
    assert client.expect(ConnAck).reason == ReasonCode.NOT_AUTHORIZED
    assert client.closed
    assert "c" not in world.broker.house.sessions


def test_no_method_no_auth():
    """[5.0 MQTT-4.12.0-6, MQTT-4.12.0-7]"""
    world = World(authentication_methods=(CHALLENGE,))
    client = world.client("c", V5)
    assert client.connack.properties.authentication_method is None
    client.send(auth(0x19))
    assert client.expect(Disconnect).reason == ReasonCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (auth(0x18, b"it is me", "other"), ReasonCode.BAD_AUTHENTICATION_METHOD),
        (auth(0x19, b"it is me"), ReasonCode.PROTOCOL_ERROR),
        (Publish("t", b"x"), ReasonCode.PROTOCOL_ERROR),
        (Subscribe(1, (Subscription("t"),)), ReasonCode.PROTOCOL_ERROR),
    ],
)
def test_only_the_right_auth_may_come_before_connack(packet, reason):
    """[5.0 MQTT-3.1.2-30, MQTT-4.12.0-3, MQTT-4.12.0-5]"""
    world, client = challenged()
    client.send(packet)
    assert client.expect(ConnAck).reason == reason  # no DISCONNECT before CONNACK [5.0 MQTT-3.14.0-1]
    assert client.closed
    assert "c" not in world.broker.house.sessions


def test_the_client_may_give_up():
    """[5.0 4.12]"""
    world, client = challenged()
    client.send(Disconnect())
    assert client.closed
    assert client.inbox == []
    assert "c" not in world.broker.house.sessions


def test_authentication_takes_no_longer_than_a_connect_may():
    _, client = challenged()
    client.world.advance(11)
    assert client.closed


def test_nothing_is_taken_over_before_authentication():
    world, client = challenged()
    current = Client(world, "c", V5)
    current.connect(username="anna", password=b"secret")
    client.send(auth(0x18, b"wrong"))
    assert not current.closed
    late = Client(world, "c", V5)
    late.open()
    late.send(late.connect_packet(authentication_method="demo"), auth(0x18, b"it is me"))
    assert [type(packet) for packet in late.take()] == [Auth, ConnAck]
    assert current.closed


def test_reauthentication():
    """[5.0 4.12.1, MQTT-4.12.0-5]"""
    _, client = authenticated()
    for _ in range(2):
        client.send(auth(0x19))
        assert client.expect(Auth) == auth(0x18, b"what is it?")
        client.send(Publish("t", b"x", QoS.AT_LEAST_ONCE, packet_id=1))  # other packets flow meanwhile
        client.expect(PubAck)
        client.send(auth(0x18, b"it is me"))
        assert client.expect(Auth) == auth(0x00, b"welcome")


def test_failed_reauthentication_ends_the_connection():
    """[5.0 MQTT-4.12.1-2]"""
    _, client = authenticated()
    client.send(auth(0x19), auth(0x18, b"wrong"))
    assert [type(packet) for packet in client.inbox] == [Auth, Disconnect]
    assert client.inbox[1].reason == ReasonCode.NOT_AUTHORIZED
    assert client.closed


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (auth(0x19, None, "other"), ReasonCode.BAD_AUTHENTICATION_METHOD),
        (auth(0x18, b"it is me"), ReasonCode.PROTOCOL_ERROR),
    ],
)
def test_reauthentication_begins_with_0x19_and_the_same_method(packet, reason):
    """[5.0 MQTT-4.12.1-1]"""
    _, client = authenticated()
    client.send(packet)
    assert client.expect(Disconnect).reason == reason
