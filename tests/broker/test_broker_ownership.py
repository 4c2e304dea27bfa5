"""Whose a session is: what waits in it, what is sent again and what it subscribes to reach only who may have that."""

from __future__ import annotations

import pytest
from broker_harness import ALL_VERSIONS, V5, V311, Client, World, kept, will

from reference_broker.broker import AccessRule, Action, ChallengeMethod
from reference_broker.store.memory import MemoryStore
from reference_broker.wire.packets import Auth, ConnAck, Disconnect, PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, ReasonCode, Version

RULES = (AccessRule("secret/#", username="alice", allow=True), AccessRule("secret/#"))
USERS = {"alice": "a", "bob": "b"}
CLAIMED = {"access_rules": RULES}
"""User names are what clients say."""
PROVED = {"access_rules": RULES, "users": USERS, "allow_anonymous": True}
both = pytest.mark.parametrize("settings", [CLAIMED, PROVED], ids=["claimed", "proved"])


def login(name: str | None) -> dict:
    return {} if name is None else {"username": name, "password": USERS[name].encode()}


def come_back(world: World, name: str | None, version: Version = V5, client_id: str = "c", **fields) -> Client:
    return world.client(client_id, version, **login(name), **kept(version), **fields)


def absent(world: World, *filters: str, version: Version = V5, qos: int = 2) -> None:
    """The session of alice, who was connected as `c`."""
    client = come_back(world, "alice", version)
    client.subscribe(*filters, qos=qos)
    client.drop()


def received(client: Client) -> list[bytes]:
    client.automatic = True
    client.world.advance(0.1)
    return [packet.payload for packet in client.take() if isinstance(packet, Publish)]


@both
@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("other", ["bob", None])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_waits_reaches_nobody_who_may_not_have_it(settings, version, other, qos):
    """[5.0 5.4.2, 3.1.1 5.4.2]"""
    world = World(**settings)
    absent(world, "secret/#", "open", version=version)
    publisher = world.client("p", V5, **login("alice"))
    publisher.publish("secret/x", b"secret", qos)
    publisher.publish("open", b"open", qos)
    client = come_back(world, other, version)
    publisher.publish("secret/x", b"live", qos)
    assert client.connack.session_present == (settings is CLAIMED and version is not Version.V31)
    assert received(client) == ([b"open"] if settings is CLAIMED else [])


@both
@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_in_flight_is_not_sent_again_to_somebody_else(settings, qos):
    world = World(**settings)
    client = come_back(world, "alice")
    client.subscribe("secret/#", qos=2)
    publisher = world.client("p", V5, **login("alice"))
    publisher.publish("secret/x", b"secret", qos)
    sent = client.expect(Publish)
    client.drop()
    other = come_back(world, "bob")
    if qos == 2 and settings is CLAIMED:  # the identifier has to come free
        assert other.expect(PubRel).packet_id == sent.packet_id
        other.send(PubComp(sent.packet_id))
    assert other.take() == []
    assert len(world.broker.house.sessions.get("c").outbound) == 0


def test_a_pubrel_that_is_owed_is_sent_whoever_comes_back():
    """It carries nothing of the message. [5.0 MQTT-4.4.0-1]"""
    world = World(**CLAIMED)
    client = come_back(world, "alice")
    client.subscribe("secret/#", qos=2)
    world.client("p", V5, **login("alice")).publish("secret/x", b"secret", 2)
    packet_id = client.expect(Publish).packet_id
    client.send(PubRec(packet_id))
    client.expect(PubRel)
    client.drop()
    assert come_back(world, "bob").expect(PubRel).packet_id == packet_id


def test_a_kept_subscription_brings_nothing_to_a_user_who_may_not_make_it():
    """Not even what a rule about a narrower filter lets it receive; who may make it, hears it again."""
    rules = (AccessRule("a/open", allow=True), AccessRule("a/#", username="bob"))
    world = World(access_rules=rules)
    absent(world, "a/#", "$share/g/a/#", "b")
    publisher = world.client("p", V5)
    bob = come_back(world, "bob")
    assert bob.subscribe("a/#").reasons == (ReasonCode.NOT_AUTHORIZED,)
    for topic in ("a/open", "a/x", "b"):
        publisher.publish(topic, topic.encode())
    assert bob.payloads() == [b"b"]
    bob.drop()
    alice = come_back(world, "alice")
    publisher.publish("a/open", b"again")
    assert alice.payloads() == [b"again", b"again"]  # by either subscription
    assert alice.unsubscribe("a/#", "$share/g/a/#").reasons == (0, 0)


def test_what_waited_of_a_shared_subscription_goes_to_a_member_who_may_have_it():
    """[5.0 4.8.2]"""
    world = World(**CLAIMED)
    absent(world, "$share/g/secret/#", qos=1)
    world.client("p", V5, **login("alice")).publish("secret/x", b"secret", 1)
    member = world.client("m", V5, **login("alice"))
    member.subscribe("$share/g/secret/#", qos=1)
    assert come_back(world, "bob").take() == []
    assert member.payloads() == [b"secret"]


@pytest.mark.parametrize("settings", [CLAIMED, {"access_rules": (AccessRule("other"),)}], ids=["secret", "open"])
def test_what_waits_as_it_came_is_withheld_as_well_and_leaves_the_rest_in_order(settings):
    """A burst waits as one piece."""
    world = World(maximum_inflight=1, **settings)
    client = come_back(world, "alice")
    client.subscribe("secret/#", "open", qos=1)
    publisher = world.client("p", V5, **login("alice"))
    for topic in ("open", "secret/x", "open"):
        publisher.send(*[Publish(topic, b"%d" % n, QoS(1), packet_id=n + 1) for n in range(20)])
    client.drop()
    expected = [b"%d" % n for n in range(20)]
    may = settings is not CLAIMED
    bob = come_back(world, "bob")
    bob.automatic = True
    bob.acknowledge(bob.inbox[0])
    world.collect()
    assert received(bob) == expected * (3 if may else 2)


# --- taking over -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "refusal"), [(V5, 0x87), (V311, 0x05), (Version.V31, 0x05)])
def test_a_connected_user_is_not_thrown_out_by_another(version, refusal):
    world = World(**PROVED)
    alice = come_back(world, "alice", version)
    for name in ("bob", None):
        intruder = Client(world, "c", version)
        intruder.connect(expect=refusal, **login(name))
        assert intruder.closed
    assert not alice.closed
    again = come_back(world, "alice", version)
    assert alice.closed
    assert not again.closed


def test_a_client_without_a_user_name_gives_way_to_a_user():
    world = World(**PROVED)
    nobody = come_back(world, None)
    nobody.subscribe("open")
    alice = come_back(world, "alice")
    assert nobody.expect(Disconnect).reason == ReasonCode.SESSION_TAKEN_OVER
    assert not alice.connack.session_present


def test_the_session_of_another_user_is_discarded_and_said_so():
    world = World(**PROVED)
    absent(world, "open", qos=1)
    publisher = world.client("p", V5)
    publisher.publish("open", b"1", 1)
    bob = come_back(world, "bob")
    assert not bob.connack.session_present
    assert bob.take() == []
    assert any("session of another user" in line for line in world.log)
    bob.subscribe("open")
    bob.drop()
    assert not come_back(world, "alice").connack.session_present


@pytest.mark.parametrize("settings", [{}, {"users": USERS}, {"users": USERS, "allow_anonymous": True}])
def test_without_rules_nobody_is_told_apart(settings):
    world = World(**settings)
    absent(world, "t", qos=1)
    world.client("p", V5, **login("bob")).publish("t", b"x", 1)
    bob = come_back(world, "bob")
    assert bob.connack.session_present
    assert bob.payloads() == [b"x"]
    alice = come_back(world, "alice")
    assert bob.closed
    assert alice.connack.session_present


def test_a_client_returns_to_its_own_session():
    for name in ("alice", None):
        world = World(**PROVED)
        client = come_back(world, name)
        client.subscribe("open", qos=1)
        client.drop()
        world.client("p", V5).publish("open", b"x", 1)
        client = come_back(world, name)
        assert client.connack.session_present
        assert client.payloads() == [b"x"]


# --- other rules after a restart -------------------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [1, 2])
def test_rules_that_changed_over_a_restart_hold_for_what_was_kept(qos):
    world = World(store=MemoryStore())
    client = world.client("c", V5, username="bob", **kept(V5))
    client.subscribe("#", "secret/#", qos=2)
    publisher = world.client("p", V5)
    publisher.publish("secret/x", b"in flight", qos)
    client.expect(Publish)
    client.drop()
    publisher.publish("secret/x", b"waiting", qos)
    publisher.publish("open", b"open", qos)
    world = world.restarted(access_rules=RULES)
    client = world.client("c", V5, username="bob", **kept(V5))
    assert client.connack.session_present
    world.client("p", V5, username="alice").publish("secret/x", b"live", qos)
    assert received(client) == [b"open"]


def test_a_will_is_published_by_the_rules_of_the_day():
    world = World(store=MemoryStore())
    for client_id, topic in (("c", "secret/x"), ("d", "open")):
        world.client(client_id, V5, username="bob", will=will(topic, will_delay_interval=10), **kept(V5)).drop()
    world = world.restarted(access_rules=RULES)
    watcher = world.client("w", V5, username="alice")
    watcher.subscribe("secret/#", "open")
    world.advance(11)
    assert [message.topic for message in watcher.messages()] == ["open"]
    assert any("will" in line for line in world.log)


# --- whom a method proves --------------------------------------------------------------------------------------------

NOBODY_IN_PARTICULAR = ChallengeMethod("demo", b"?", b"me")
ALICE = ChallengeMethod("demo", b"?", b"me", username="alice")


def by_method(world: World, expect: int = 0, **connect) -> Client:
    client = Client(world, "c", V5)
    client.open()
    client.send(client.connect_packet(authentication_method="demo", **connect))
    if isinstance(client.inbox[0], Auth):
        client.take()
        client.send(Auth(0x18, Properties(authentication_method="demo", authentication_data=b"me")))
    connack = client.expect(ConnAck)
    assert connack.reason == expect
    return client


@pytest.mark.parametrize(
    ("method", "connect", "may"),
    [
        (NOBODY_IN_PARTICULAR, {}, False),
        (NOBODY_IN_PARTICULAR, {"username": "alice"}, False),  # said, and not proved
        (NOBODY_IN_PARTICULAR, login("alice"), True),
        (ALICE, {}, True),
        (ALICE, {"username": "bob"}, True),  # who answers is alice, whatever it says
        (ALICE, login("bob"), False),
    ],
)
def test_a_user_name_beside_a_method_counts_only_when_it_is_proved(method, connect, may):
    """[5.0 4.12, 3.1.4]"""
    client = by_method(World(authentication_methods=(method,), **PROVED), **connect)
    publisher = client.world.client("p", V5, **login("alice"))
    reason = client.subscribe("secret/#").reasons[0]
    publisher.publish("secret/x", b"x")
    assert (reason == 0) == may
    assert client.payloads() == [b"x"] * may
    assert (client.publish("secret/y", b"", 1).reason != ReasonCode.NOT_AUTHORIZED) == may


def test_a_wrong_password_beside_a_method_is_refused():
    """[5.0 MQTT-3.1.4-2]"""
    world = World(authentication_methods=(ALICE,), **PROVED)
    by_method(world, 0x86, username="alice", password=b"wrong")
    by_method(world, 0x86, username="nobody", password=b"a")


def test_the_will_of_a_client_is_its_proved_users_will():
    """[5.0 3.1.2.5]"""
    world = World(authentication_methods=(NOBODY_IN_PARTICULAR,), **PROVED)
    by_method(world, 0x87, username="alice", will=will("secret/x"))


def test_nobody_learns_of_the_rules_without_a_password():
    client = Client(World(**PROVED), "c", V5)
    client.connect(expect=0x86, username="alice", password=b"wrong", will=will("secret/x"))


def test_a_publish_only_rule_leaves_what_waits_alone():
    world = World(access_rules=(AccessRule("t", Action.PUBLISH, username="bob"),))
    absent(world, "t", qos=1)
    world.client("p", V5).publish("t", b"x", 1)
    bob = come_back(world, "bob")
    bob.send(PubAck(bob.expect(Publish).packet_id))
    assert bob.publish("t", b"x", 1).reason == ReasonCode.NOT_AUTHORIZED


def test_an_identifier_of_a_withheld_message_is_free_again():
    """A message of the same identifier is a new one for the receiver. [5.0 MQTT-4.3.3-10]"""
    world = World(**CLAIMED, maximum_inflight=1)
    client = come_back(world, "alice")
    client.subscribe("secret/#", "open", qos=2)
    publisher = world.client("p", V5, **login("alice"))
    publisher.publish("secret/x", b"secret", 2)
    client.drop()
    publisher.publish("open", b"open", 2)
    bob = come_back(world, "bob")
    (pubrel,) = [packet for packet in bob.take() if isinstance(packet, PubRel)]
    bob.send(PubComp(pubrel.packet_id))
    message = bob.expect(Publish)
    assert (message.payload, message.qos) == (b"open", QoS.EXACTLY_ONCE)
