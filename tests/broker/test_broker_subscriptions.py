"""Subscriptions: filters, what is granted, overlaps, options, identifiers, shared ones, and their removal."""

from __future__ import annotations

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World, kept

from reference_broker.wire.packets import Disconnect, PubAck, Publish, PubRec, PubRel, SubAck, Subscribe, Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, ReasonCode

MATCHES = [
    ("sport/tennis/#", "sport/tennis", True),
    ("sport/tennis/#", "sport/tennis/player/ranking", True),
    ("sport/#", "sport", True),
    ("#", "sport", True),
    ("#", "/", True),
    ("#", "$SYS/x", False),
    ("+/x", "$SYS/x", False),
    ("$SYS/#", "$SYS/x", True),
    ("$SYS/#", "$SYS", True),
    ("$SYS/+", "$SYS/x", True),
    ("+/$SYS", "a/$SYS", True),
    ("a/+", "a/$SYS", True),
    ("sport/tennis/+", "sport/tennis/player1", True),
    ("sport/tennis/+", "sport/tennis/player1/ranking", False),
    ("sport/+", "sport", False),
    ("sport/+", "sport/", True),
    ("+/+", "/finance", True),
    ("/+", "/finance", True),
    ("+", "/finance", False),
    ("+/tennis/#", "sport/tennis/a/b", True),
    ("a/+/+/d/#", "a/b/c/d", True),
    ("a//b", "a//b", True),
    ("a/+/b", "a//b", True),
    ("a/b", "a/B", False),
    ("a", "a/", False),
    ("é", "e\u0301", False),
]


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize(("topic_filter", "topic", "expected"), MATCHES)
def test_filters_match_as_the_specification_says(version, topic_filter, topic, expected):
    """[3.1.1 MQTT-4.7.1-1 to MQTT-4.7.3-4, 5.0 MQTT-4.7.0-1 to MQTT-4.7.3-4]"""
    world = World()
    client = world.client("s", version)
    client.subscribe(topic_filter)
    client.publish(topic, b"x")
    assert client.payloads() == ([b"x"] if expected else [])


# --- SUBACK ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_suback_answers_each_filter_in_order(version):
    """[3.1.1 MQTT-3.8.4-1 to -5, MQTT-3.9.3-1, 5.0 MQTT-3.8.4-1 to -7, MQTT-3.9.3-1]"""
    client = World().client("s", version)
    subscriptions = tuple(Subscription(f"t/{q}", QoS(q)) for q in (2, 0, 1))
    client.send(Subscribe(4711, subscriptions))
    assert client.expect(SubAck) == SubAck(4711, (2, 0, 1))


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize("setting", ["granted_qos_maximum", "maximum_qos"])
def test_a_lower_qos_may_be_granted(setting, limit):
    """[3.1.1 MQTT-3.8.4-6, 5.0 MQTT-3.2.2-10, MQTT-3.8.4-7]"""
    world = World(**{setting: limit})
    client = world.client("s", V5)
    assert client.subscribe("t", qos=2).reasons == (limit,)
    world.client("p", V311).publish("t", b"x", limit if setting == "maximum_qos" else 2)
    (message,) = client.messages()
    assert message.qos == limit


@pytest.mark.parametrize(
    ("settings", "topic_filter", "identifier", "reason"),
    [
        ({"wildcard_subscription_available": False}, "a/#", None, 0xA2),
        ({"shared_subscription_available": False}, "$share/g/a", None, 0x9E),
        ({"subscription_identifier_available": False}, "a", 1, 0xA1),
    ],
)
def test_asking_for_what_is_not_available_is_a_protocol_error(settings, topic_filter, identifier, reason):
    """[5.0 3.2.2.3.11 to 3.2.2.3.13]"""
    world = World(**settings)
    client = world.client("s", V5)
    properties = Properties(subscription_identifier=(identifier,) if identifier else ())
    client.send(Subscribe(1, (Subscription(topic_filter),), properties))
    assert client.expect(Disconnect).reason == reason


def test_wildcards_refused_in_3x():
    """[3.1.1 MQTT-3.8.3-2, 3.1 MQTT31-7]"""
    world = World(wildcard_subscription_available=False)
    newer, older = world.client("a", V311), world.client("b", V31)
    assert newer.subscribe("a/#", "a", qos=1).reasons == (0x80, 1)
    assert older.subscribe("a/#", "b", qos=1).reasons == (1, 1)
    newer.publish("a/x", b"x")
    assert newer.messages() == []
    assert older.messages() == []


@pytest.mark.parametrize("version", [V31, V311])
def test_share_has_no_meaning_in_3x(version):
    world = World()
    client, other = world.client("s", version), world.client("o", version)
    for member in (client, other):
        member.subscribe("$share/g/t")
    world.client("p", V5).publish("t", b"x")
    assert client.messages() == []
    world.client("p2", V5).publish("$share/g/t", b"y")
    assert (client.payloads(), other.payloads()) == ([b"y"], [b"y"])


# --- overlapping subscriptions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_overlapping_subscriptions_bring_one_copy_at_the_highest_qos(version):
    """[3.1.1 MQTT-3.3.5-1, 5.0 MQTT-3.3.4-2]"""
    world = World()
    client = world.client("s", version)
    for topic_filter, qos in (("#", 0), ("a/+", 2), ("a/b", 1)):
        client.subscribe(topic_filter, qos=qos)
    world.client("p", V5).publish("a/b", b"x", 2)
    (message,) = client.messages()
    assert message.qos == 2


def test_the_one_copy_has_all_subscription_identifiers():
    """[5.0 MQTT-3.3.4-3, MQTT-3.3.4-4]"""
    world = World()
    client = world.client("s", V5)
    for topic_filter, identifier in (("#", 5), ("a/+", None), ("a/b", 268_435_455), ("+/b", 5)):
        client.subscribe(topic_filter, identifier=identifier)
    for qos in (0, 1):
        client.publish("a/b", b"x", qos)
        (message,) = client.messages()
        assert sorted(message.properties.subscription_identifier) == [5, 5, 268_435_455]
    client.publish("c", b"x")
    (message,) = client.messages()
    assert message.properties.subscription_identifier == (5,)


def test_identifiers_are_kept_with_the_session_and_replaced_with_the_subscription():
    """[5.0 3.8.4]"""
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", identifier=1, qos=1)
    publisher = world.client("p", V5)
    client.drop()
    publisher.publish("t", b"x", 1)
    client.connect(**kept(V5))
    assert client.messages()[0].properties.subscription_identifier == (1,)
    client.subscribe("t", identifier=2)
    publisher.publish("t", b"x")
    assert client.messages()[0].properties.subscription_identifier == (2,)
    client.subscribe("t")
    publisher.publish("t", b"x")
    assert client.messages()[0].properties.subscription_identifier == ()


# --- options ---------------------------------------------------------------------------------------------------------


def test_no_local_keeps_a_clients_own_messages_away():
    """[5.0 MQTT-3.8.3-3]"""
    world = World()
    client, other = world.client("s", V5, **kept(V5)), world.client("o", V5)
    client.subscribe("t/#", no_local=True, qos=1)
    other.subscribe("t/#", qos=1)
    assert client.publish("t/1", b"own", 1).reason == 0
    other.publish("t/1", b"other", 1)
    assert client.payloads() == [b"other"]
    assert other.payloads() == [b"own", b"other"]
    # An overlapping subscription without No Local still brings it, with its own identifier only.
    client.subscribe("t/1", identifier=9)
    client.publish("t/1", b"own", 1)
    (message,) = client.messages()
    assert (message.qos, message.properties.subscription_identifier) == (0, (9,))


def test_no_local_is_about_the_client_id_not_the_connection():
    """[5.0 MQTT-3.8.3-3]"""
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", no_local=True, qos=1)
    client.publish("t", b"own", 1)
    client.drop()
    client.connect(**kept(V5))
    client.publish("t", b"own", 1)
    assert client.messages() == []


def test_nobody_else_is_a_reason_code_as_well():
    world = World()
    client = world.client("s", V5)
    client.subscribe("t", no_local=True)
    assert client.publish("t", b"own", 1).reason == ReasonCode.NO_MATCHING_SUBSCRIBERS


# --- replacing and removing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_subscribing_again_replaces(version):
    """[3.1.1 MQTT-3.8.4-3, 5.0 MQTT-3.8.4-3]"""
    world = World()
    client = world.client("s", version)
    client.subscribe("t", qos=0)
    client.subscribe("t", qos=2)
    world.client("p", V5).publish("t", b"x", 2)
    (message,) = client.messages()
    assert message.qos == 2
    client.unsubscribe("t")
    world.client("q", V5).publish("t", b"x", 2)
    assert client.messages() == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("topic_filter", ["t/1", "t/+", "t/#", "#", "+/1"])
def test_unsubscribe_stops_messages(version, topic_filter):
    """[3.1.1 MQTT-3.10.4-1, -2, -4, -5, 5.0 MQTT-3.10.4-1, -2, -4, -5]"""
    world = World()
    client = world.client("s", version)
    client.subscribe(topic_filter)
    client.publish("t/1", b"before")
    ack = client.unsubscribe(topic_filter)
    client.publish("t/1", b"after")
    assert client.payloads() == [b"before"]
    assert ack.reasons == ((0,) if version is V5 else ())


def test_unsubscribe_compares_filters_literally():
    """[5.0 MQTT-3.10.4-1, MQTT-3.11.3-1, MQTT-3.11.3-2]"""
    world = World()
    client = world.client("s", V5)
    client.subscribe("a/+", "a/b")
    assert client.unsubscribe("a/#", "a/b", "A/+").reasons == (0x11, 0x00, 0x11)
    client.publish("a/b", b"x")
    assert client.payloads() == [b"x"]


def test_what_has_begun_is_completed_after_unsubscribe():
    """[5.0 MQTT-3.10.4-3]"""
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=2)
    client.publish("t", b"x", 2)
    (message,) = client.messages()
    client.unsubscribe("t")
    client.drop()
    client.connect(**kept(V5))
    (again,) = client.messages()
    assert again.dup
    client.send(PubRec(message.packet_id))
    client.expect(PubRel)


def test_a_removed_filter_leaves_its_relatives():
    world = World()
    one, two = world.client("1", V5), world.client("2", V5)
    one.subscribe("a/+/c", "a/#")
    two.subscribe("a/+/c")
    one.unsubscribe("a/+/c")
    one.publish("a/b/c", b"x")
    assert (one.payloads(), two.payloads()) == ([b"x"], [b"x"])
    two.unsubscribe("a/+/c")
    one.publish("a/b/c", b"y")
    assert (one.payloads(), two.payloads()) == ([b"y"], [])


def test_a_used_identifier_is_refused_in_5():
    """[5.0 MQTT-2.2.1-3, 3.9.3]"""
    client = World().client("c", V5)
    client.send(Publish("t", b"x", QoS.EXACTLY_ONCE, packet_id=5))
    client.take()
    client.send(Subscribe(5, (Subscription("t"), Subscription("u"))))
    assert client.expect(SubAck).reasons == (0x91, 0x91)
    client.send(Publish("t", b"x", QoS.AT_LEAST_ONCE, packet_id=5))
    assert client.expect(PubAck).reason == 0x91


# --- reason codes of publishing --------------------------------------------------------------------------------------


def test_puback_and_pubrec_tell_when_nobody_subscribes():
    """[5.0 3.4.2.1, 3.5.2.1]"""
    world = World()
    client = world.client("p", V5)
    for qos in (1, 2):
        assert client.publish("t", b"x", qos).reason == 0x10
    client.subscribe("t")
    for qos in (1, 2):
        assert client.publish("t", b"x", qos).reason == 0
    silent = World(no_matching_subscribers_reason=False).client("p", V5)
    assert silent.publish("t", b"x", 1).reason == 0


# --- shared subscriptions --------------------------------------------------------------------------------------------


def members(world: World, count: int, topic_filter: str = "$share/g/t/#", qos: int = 2) -> list[Client]:
    clients = [world.client(f"m{number}", V5, **kept(V5)) for number in range(count)]
    for client in clients:
        assert client.subscribe(topic_filter, qos=qos).reasons == (qos,)
    return clients


def test_each_message_goes_to_one_member_in_turn():
    """[5.0 4.8.2]"""
    world = World()
    clients = members(world, 3)
    publisher = world.client("p", V5)
    for number in range(6):
        publisher.publish("t/x", b"%d" % number)
    received = [client.payloads() for client in clients]
    assert sorted(payload for payloads in received for payload in payloads) == [b"%d" % number for number in range(6)]
    assert [len(payloads) for payloads in received] == [2, 2, 2]


def test_groups_and_plain_subscriptions_get_their_own_copies():
    """[5.0 4.8.2]"""
    world = World()
    (member,) = members(world, 1)
    member.subscribe("$share/h/t/+", "t/1", "t/#", qos=0)
    world.client("p", V5).publish("t/1", b"x")
    # One for each shared subscription, and one for the plain ones together.
    assert member.payloads() == [b"x"] * 3


def test_a_message_follows_the_granted_qos_and_identifier_of_the_member_chosen():
    """[5.0 MQTT-4.8.2-3, 3.3.4]"""
    world = World()
    low, high = world.client("low", V5), world.client("high", V5)
    low.subscribe("$share/g/t", qos=0, identifier=1)
    high.subscribe("$share/g/t", qos=2, identifier=2)
    publisher = world.client("p", V5)
    for _ in range(2):
        publisher.publish("t", b"x", 2)
    (at_low,), (at_high,) = low.messages(), high.messages()
    assert (at_low.qos, at_low.properties.subscription_identifier) == (0, (1,))
    assert (at_high.qos, at_high.properties.subscription_identifier) == (2, (2,))


def test_connected_members_come_before_absent_ones():
    world = World()
    one, two = members(world, 2)
    one.drop()
    publisher = world.client("p", V5)
    for _ in range(4):
        publisher.publish("t/x", b"x", 1)
    assert len(two.messages()) == 4
    two.drop()
    for _ in range(4):
        publisher.publish("t/x", b"y", 1)
    one.connect(**kept(V5))
    two.connect(**kept(V5))
    waited = [m.payload for m in one.messages() + two.messages() if not m.dup]
    assert waited == [b"y"] * 4


def test_no_retained_messages_for_a_shared_subscription():
    """[5.0 4.8.2]"""
    world = World()
    world.client("p", V5).publish("t/x", b"retained", retain=True)
    for client in members(world, 2):
        assert client.messages() == []


def test_subscribing_twice_counts_once():
    """[5.0 4.8.2]"""
    world = World()
    one, two = members(world, 2)
    one.subscribe("$share/g/t/#", qos=1)
    publisher = world.client("p", V5)
    for _ in range(4):
        publisher.publish("t/x", b"x", 2)
    assert [m.qos for m in one.messages()] == [1, 1]
    one.unsubscribe("$share/g/t/#")
    for _ in range(4):
        publisher.publish("t/x", b"x")
    assert one.messages() == []
    assert len(two.messages()) == 6


def test_unsubscribing_needs_the_whole_filter():
    world = World()
    (one,) = members(world, 1)
    assert one.unsubscribe("t/#", "$share/h/t/#", "$share/g/t/#").reasons == (0x11, 0x11, 0)
    assert world.client("p", V5).publish("t/x", b"x", 1).reason == ReasonCode.NO_MATCHING_SUBSCRIBERS


def test_a_cut_qos_2_delivery_is_completed_to_the_same_member():
    """[5.0 MQTT-4.8.2-4]"""
    world = World()
    one, two = members(world, 2)
    world.client("p", V5).publish("t/x", b"x", 2)
    (message,) = one.messages()
    one.drop()
    assert two.messages() == []
    one.connect(**kept(V5))
    (again,) = one.messages()
    assert (again.packet_id, again.dup) == (message.packet_id, True)


def test_a_cut_qos_2_delivery_goes_to_nobody_else_when_the_session_ends():
    """[5.0 MQTT-4.8.2-5]"""
    world = World()
    one, two = members(world, 2)
    world.client("p", V5).publish("t/x", b"x", 2)
    assert one.payloads() == [b"x"]
    one.drop()
    one.connect(clean_start=True)
    assert (one.messages(), two.messages()) == ([], [])


def test_an_unacknowledged_qos_1_message_goes_to_another_member_when_the_session_ends():
    """[5.0 4.8.2, SHOULD]"""
    world = World()
    one, two = members(world, 2)
    world.client("p", V5).publish("t/x", b"x", 1)
    assert one.payloads() == [b"x"]
    one.drop()
    one.connect(clean_start=True)
    assert two.payloads() == [b"x"]


def test_messages_not_yet_sent_go_to_another_member_when_the_session_ends():
    world = World()
    one, two = members(world, 2)
    one.drop()
    one.connect(clean_start=False, session_expiry_interval=60, receive_maximum=1)
    publisher = world.client("p", V5)
    for number in range(4):
        publisher.publish("t/x", b"%d" % number, 2)
    assert one.payloads() == [b"0"]  # its second message waits for quota
    assert two.payloads() == [b"1", b"3"]
    one.drop()
    one.connect(clean_start=True)
    assert two.payloads() == [b"2"]


@pytest.mark.parametrize(("qos", "answer"), [(1, PubAck), (2, PubRec)])
def test_a_message_a_member_refuses_is_discarded(qos, answer):
    """[5.0 MQTT-4.8.2-6]"""
    world = World()
    one, two = members(world, 2)
    world.client("p", V5).publish("t/x", b"x", qos)
    (message,) = one.messages()
    one.send(answer(message.packet_id, 0x83))
    one.drop()
    one.connect(clean_start=True)
    assert (one.take(), two.take()) == ([], [])


@pytest.mark.parametrize("topic_filter", ["$share/g", "$share/g/", "$share//t", "$share/+/t", "$share/a#/t"])
def test_ill_formed_shared_filters_end_the_connection(topic_filter):
    """[5.0 MQTT-4.8.2-1, MQTT-4.8.2-2]"""
    client = World().client("c", V5)
    body = b"\x00\x01\x00" + len(topic_filter).to_bytes(2, "big") + topic_filter.encode() + b"\x00"
    client.send_bytes(b"\x82" + bytes([len(body)]) + body)
    assert client.expect(Disconnect).reason >= 0x80
