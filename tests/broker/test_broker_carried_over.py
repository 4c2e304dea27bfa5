"""What a session carries over from one connection to the next, or leaves to others, when its terms have changed:
messages that expired, identifiers under another Receive Maximum, filters that mean something else in another version.
"""

from __future__ import annotations

from itertools import permutations

import pytest
from broker_harness import ALL_VERSIONS, V5, V311, Client, World, in_flight, kept

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import ReasonCode

SHARED = "$share/g/t"


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def world(request) -> World:
    return World(Broker(BrokerConfig(), seed=1, fast_path=request.param))


# --- shared messages that expired ------------------------------------------------------------------------------------


def members(world: World, **second) -> tuple[Client, Client]:
    """Two members of one shared subscription, both with a session that is kept."""
    one, two = world.client("one", V5, clean_start=False, session_expiry_interval=60), world.client("two", V5, **second)
    for client in (one, two):
        client.subscribe(SHARED, qos=2)
    return one, two


def waiting(world: World, one: Client, two: Client) -> None:
    """A message waits in the session of `one`, whose client is away; `two` joined later."""
    two.unsubscribe(SHARED)
    one.drop()
    world.client("p", V5).publish("t", b"x", 1, message_expiry_interval=10)
    two.subscribe(SHARED, qos=2)


def sent(world: World, one: Client, two: Client) -> None:
    """A message is in flight to `one`, whose client has not acknowledged it and is away."""
    world.client("p", V5).publish("t", b"x", 1, message_expiry_interval=10)
    assert one.payloads() == [b"x"]
    one.drop()
    assert two.take() == []


ENDS = {
    "clean-start": lambda world, one: one.connect(clean_start=True),
    "takeover": lambda world, one: (
        one.connect(clean_start=False, session_expiry_interval=60),
        one.take(),
        Client(world, "one", V5).connect(clean_start=True),
    ),
    "expiry": lambda world, one: world.advance(60),
}


@pytest.mark.parametrize("where", [waiting, sent])
@pytest.mark.parametrize("end", ENDS)
def test_an_expired_message_is_handed_to_no_other_member(world, where, end):
    """[5.0 MQTT-3.3.2-5]"""
    one, two = members(world)
    where(world, one, two)
    world.advance(10)
    ENDS[end](world, one)
    assert two.take() == []


@pytest.mark.parametrize("where", [waiting, sent])
@pytest.mark.parametrize("qos", [0, 1])
def test_who_inherits_a_message_is_told_what_is_left_of_its_lifetime(world, where, qos):
    """[5.0 MQTT-3.3.2-6]"""
    one, two = members(world)
    where(world, one, two)
    two.subscribe(SHARED, qos=qos)
    world.advance(7)
    one.connect(clean_start=True)
    (message,) = two.messages()
    assert (message.qos, message.properties.message_expiry_interval) == (qos, 3)


def test_each_heir_of_one_message_is_told_what_is_left_then(world):
    """[5.0 MQTT-3.3.2-6]"""
    absent = [world.client(name, V5, **kept(V5)) for name in ("a", "b")]
    for number, client in enumerate(absent):
        client.subscribe(f"$share/g{number}/t", qos=1)
        client.drop()
    world.client("p", V5).publish("t", b"x", 1, message_expiry_interval=100)
    heir = world.client("heir", V5)
    heir.subscribe("$share/g0/t", "$share/g1/t", qos=0)
    for client in absent:
        world.advance(30)
        client.connect(clean_start=True)
    assert [message.properties.message_expiry_interval for message in heir.messages()] == [70, 40]


# --- acknowledgements of what was not sent on this connection --------------------------------------------------------


def resumed(world: World, qos: int, count: int = 3, waiting: int = 3, receive_maximum: int = 2) -> Client:
    """A client that had `count` messages in flight, was cut, and is back under another Receive Maximum."""
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=qos)
    publisher = world.client("p", V5)
    for number in range(count):
        publisher.publish("t", b"%d" % number, qos)
    assert len(client.messages()) == count
    client.drop()
    for number in range(count, count + waiting):
        publisher.publish("t", b"%d" % number, qos)
    client.connect(**kept(V5), receive_maximum=receive_maximum)
    return client


@pytest.mark.parametrize("reason", [0, ReasonCode.UNSPECIFIED_ERROR])
def test_puback_of_what_was_not_sent_here_frees_no_place(world, reason):
    """[5.0 MQTT-3.3.4-9]"""
    client = resumed(world, 1)
    first, second = client.messages()
    client.send(PubAck(3, reason))
    assert client.take() == []
    client.send(PubAck(first.packet_id))
    (fourth,) = client.messages()
    assert (fourth.payload, fourth.dup) == (b"3", False)  # the third was acknowledged, and is not sent again
    client.send(PubAck(second.packet_id))
    assert client.payloads() == [b"4"]


def test_pubrec_with_an_error_of_what_was_not_sent_here_frees_no_place(world):
    """[5.0 MQTT-3.3.4-9]"""
    client = resumed(world, 2)
    first, _ = client.messages()
    client.send(PubRec(3, ReasonCode.UNSPECIFIED_ERROR))
    assert client.take() == []
    client.send(PubRec(first.packet_id, ReasonCode.UNSPECIFIED_ERROR))
    assert client.payloads() == [b"3"]


def test_pubcomp_of_what_was_not_sent_here_frees_no_place(world):
    """[5.0 MQTT-3.3.4-9, MQTT-4.3.3-6]"""
    client = resumed(world, 2)
    first, _ = client.messages()
    client.send(PubRec(3))
    assert client.take() == [PubRel(3)]
    client.send(PubRec(first.packet_id, ReasonCode.UNSPECIFIED_ERROR))
    assert client.take() == []  # two are under way: the second and, from its PUBREL on, the third
    client.send(PubComp(3))
    assert client.payloads() == [b"3"]  # and not the third once more, behind its PUBREL


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_messages_wait_for_as_many_pubcomps_as_there_are_pubrels_too_many(world, order):
    """[5.0 MQTT-3.3.4-9, MQTT-3.3.4-10]"""
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=2)
    publisher = world.client("p", V5)
    for number in range(6):
        publisher.publish("t", b"%d" % number, 2)
        if number == 2:
            client.send(PubRec(1), PubRec(2), PubRec(3))
            client.drop()
    client.take()
    client.connect(**kept(V5), receive_maximum=2)
    assert client.take() == [PubRel(1), PubRel(2), PubRel(3)]
    arrived = []
    for packet_id in order:
        client.send(PubComp(packet_id))
        arrived.append(client.payloads())
    assert arrived == [[], [b"3"], [b"4"]]
    client.send(PubRec(4))
    assert client.take() == [PubRel(4)]
    client.send(PubComp(4))
    assert client.payloads() == [b"5"]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_second_acknowledgement_frees_no_second_place(world, qos):
    """[5.0 MQTT-3.3.4-9]"""
    client = resumed(world, qos, count=2, waiting=4)
    first, _ = client.messages()
    if qos == 1:
        acknowledgement = PubAck(first.packet_id)
        client.send(acknowledgement, acknowledgement, acknowledgement)
        assert client.payloads() == [b"2"]
        return
    client.send(PubRec(first.packet_id), PubRec(first.packet_id))
    assert client.take() == [PubRel(first.packet_id)] * 2
    client.send(*[PubComp(first.packet_id)] * 3)
    assert client.payloads() == [b"2"]


def test_whatever_is_acknowledged_in_whatever_order_the_quota_is_kept_and_all_arrive(world):
    """[5.0 MQTT-3.3.4-9]"""
    client = resumed(world, 1, count=6, waiting=6)
    open_ids, arrived = {message.packet_id for message in client.messages()}, 2
    for packet_id in (5, 3, *range(1, 13)):
        client.send(PubAck(packet_id))
        open_ids.discard(packet_id)
        new = [message.packet_id for message in client.messages()]
        open_ids.update(new)
        arrived += len(new)
        assert len(open_ids) <= 2
    assert in_flight(world, "s") == 0
    assert arrived == 10  # 3 and 5 were acknowledged before they were sent again


# --- one session, two versions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [(V311, V5), (V5, V311)], ids=["3.1.1-5.0", "5.0-3.1.1"])
@pytest.mark.parametrize("last", ALL_VERSIONS)
def test_a_filter_subscribed_in_two_versions_is_one_subscription(world, versions, last):
    """[3.1.1 MQTT-3.8.4-3, 5.0 MQTT-3.10.4-2]"""
    for version in versions:
        client = world.client("s", version, **kept(version))
        client.subscribe(SHARED, qos=1)
        client.drop()
    client = world.client("s", last, **kept(last))
    publisher = world.client("p", V5)
    publisher.publish("t", b"shared", 1)
    publisher.publish(SHARED, b"plain", 1)
    assert client.payloads() == ([b"shared"] if versions[1] is V5 else [b"plain"])
    client.unsubscribe(SHARED)
    publisher.publish("t", b"shared", 1)
    publisher.publish(SHARED, b"plain", 1)
    assert client.take() == []
    assert world.broker.house.router.route("t").shared == ()


@pytest.mark.parametrize("versions", [(V311, V5), (V5, V311)], ids=["3.1.1-5.0", "5.0-3.1.1"])
def test_a_session_that_has_ended_is_no_member_any_more(world, versions):
    """[5.0 MQTT-3.1.2-4, 4.8.2]"""
    for version in versions:
        client = world.client("s", version, **kept(version))
        client.subscribe(SHARED, qos=1)
        client.drop()
    world.client("s", V5, clean_start=True).drop()
    other = world.client("other", V5, **kept(V5))
    other.subscribe(SHARED, qos=1)
    other.drop()  # of absent members, any may be chosen
    publisher = world.client("p", V5)
    for number in range(4):
        publisher.publish("t", b"%d" % number, 1)
    other.connect(**kept(V5))
    assert other.payloads() == [b"0", b"1", b"2", b"3"]
    assert publisher.publish(SHARED, b"plain", 1) == PubAck(5, ReasonCode.NO_MATCHING_SUBSCRIBERS)


def test_retain_as_published_of_5_0_does_not_reach_3_1_1(world):
    """[3.1.1 MQTT-3.3.1-9]"""
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=1, retain_as_published=True)
    publisher = world.client("p", V5)
    client.drop()
    publisher.publish("t", b"waited", 1, retain=True)
    client = world.client("s", V311, **kept(V311))
    publisher.publish("t", b"live", 1, retain=True)
    assert [(message.payload, message.retain) for message in client.messages()] == [
        (b"waited", False),
        (b"live", False),
    ]
    client.drop()
    client = world.client("s", V5, **kept(V5))
    client.take()
    publisher.publish("t", b"live", 1, retain=True)
    assert [(message.payload, message.retain) for message in client.messages()] == [(b"live", True)]


def test_no_local_and_identifiers_survive_a_stay_in_3_1_1(world):
    """[5.0 MQTT-3.3.4-3, MQTT-3.8.3-3]"""
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=1, identifier=7, no_local=True)
    client.drop()
    client = world.client("s", V311, **kept(V311))
    client.publish("t", b"own", 1)
    world.client("p", V5).publish("t", b"other", 1)
    assert client.payloads() == [b"other"]
    client.drop()
    client = world.client("s", V5, **kept(V5))
    (again,) = client.messages()
    assert isinstance(again, Publish)
    assert again.properties.subscription_identifier == (7,)
