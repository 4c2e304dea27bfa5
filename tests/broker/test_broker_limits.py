"""Receive Maximum, Maximum Packet Size, topic aliases, Request Problem Information and slow clients."""

from __future__ import annotations

import pytest
from broker_harness import V5, V311, World, kept

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import (
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, ReasonCode

# --- Receive Maximum -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("receive_maximum", [1, 2, 5])
def test_the_clients_receive_maximum_is_kept(receive_maximum):
    """[5.0 MQTT-3.3.4-9, MQTT-4.9.0-1, MQTT-4.9.0-2]"""
    world = World()
    client = world.client("s", V5, receive_maximum=receive_maximum)
    client.subscribe("t", qos=2)
    publisher = world.client("p", V5)
    for number in range(10):
        publisher.publish("t", b"%d" % number, 1 + number % 2)
    received = client.messages()
    assert len(received) == receive_maximum
    while len(received) < 10:
        # PUBREC does not free quota, PUBACK and PUBCOMP do. [5.0 4.9]
        oldest = received[len(received) - receive_maximum]
        if oldest.qos == 1:
            client.send(PubAck(oldest.packet_id))
        else:
            client.send(PubRec(oldest.packet_id))
            client.expect(PubRel)
            client.send(PubComp(oldest.packet_id))
        received += client.messages()
    assert [message.payload for message in received] == [b"%d" % number for number in range(10)]


def test_a_refused_message_frees_quota():
    """[5.0 4.9]"""
    world = World()
    client = world.client("s", V5, receive_maximum=1)
    client.subscribe("t", qos=2)
    publisher = world.client("p", V5)
    for qos in (2, 1, 1):
        publisher.publish("t", b"x", qos)
    client.send(PubRec(client.expect(Publish).packet_id, 0x80))
    client.send(PubAck(client.expect(Publish).packet_id, 0x80))
    client.expect(Publish)


def test_only_publish_at_qos_1_and_2_waits_for_quota():
    """[5.0 MQTT-3.3.4-10, MQTT-4.9.0-3]"""
    world = World()
    client = world.client("s", V5, receive_maximum=1)
    client.subscribe("t", qos=2)
    publisher = world.client("p", V5)
    for qos in (1, 1, 0):
        publisher.publish("t", b"%d" % qos, qos)
    assert [message.qos for message in client.messages()] == [1, 0]
    client.send(PingReq(), Subscribe(9, (Subscription("u"),)), Publish("v", b"", QoS.AT_LEAST_ONCE, packet_id=3))
    assert [type(packet) for packet in client.take()] == [PingResp, SubAck, PubAck]


def test_quota_starts_anew_with_each_connection_and_holds_for_what_is_sent_again():
    """[5.0 4.9, MQTT-4.4.0-1]"""
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=2)
    publisher = world.client("p", V5)
    for number in range(5):
        publisher.publish("t", b"%d" % number, 2)
    received = client.messages()
    client.send(PubRec(received[0].packet_id))
    client.expect(PubRel)
    client.drop()
    client.connect(**kept(V5), receive_maximum=2)
    pubrel, publish = client.take()
    assert (type(pubrel), publish.payload, publish.dup) == (PubRel, b"1", True)
    client.send(PubComp(pubrel.packet_id))
    assert client.payloads() == [b"2"]
    client.send(PubRec(publish.packet_id))
    client.expect(PubRel)
    client.send(PubComp(publish.packet_id))
    assert client.payloads() == [b"3"]


def test_pubrel_is_never_held_back_but_its_messages_still_count():
    """[5.0 MQTT-3.3.4-9, MQTT-3.3.4-10]"""
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=2)
    publisher = world.client("p", V5)
    for number in range(6):
        publisher.publish("t", b"%d" % number, 2)
    received = client.messages()
    for message in received[:4]:
        client.send(PubRec(message.packet_id))
    client.take()
    client.drop()
    client.connect(**kept(V5), receive_maximum=2)
    assert [type(packet) for packet in client.take()] == [PubRel] * 4
    unfinished = 0
    for message in reversed(received[:4]):
        client.send(PubComp(message.packet_id))
        unfinished += len(client.messages())
        assert unfinished <= 2
    assert unfinished == 2


def test_one_publish_too_many_ends_the_connection():
    """[5.0 MQTT-3.3.4-7]"""
    for qos in (1, 2):
        client = World(receive_maximum=2).client("p", V5)
        for packet_id in (1, 2):
            client.send(Publish("t", b"", QoS.EXACTLY_ONCE, packet_id=packet_id))
        client.send(Publish("t", b"", QoS.EXACTLY_ONCE, dup=True, packet_id=2))  # a repeat is not one more
        assert [type(packet) for packet in client.take()] == [PubRec] * 3
        client.send(Publish("t", b"", QoS(qos), packet_id=3))
        assert client.expect(Disconnect).reason == ReasonCode.RECEIVE_MAXIMUM_EXCEEDED


def test_finished_publishes_do_not_count():
    client = World(receive_maximum=1).client("p", V5)
    for _ in range(3):
        client.publish("t", b"", 1)
        client.publish("t", b"", 2)
    assert not client.closed


def test_a_refused_qos_2_publish_does_not_count():
    """[5.0 4.9, MQTT-4.3.3-9]"""
    world = World(receive_maximum=1, retained_maximum_messages=0)
    client = world.client("p", V5)
    for _ in range(3):
        client.send(Publish("t", b"x", QoS.EXACTLY_ONCE, retain=True, packet_id=7))
        assert client.expect(PubRec).reason == ReasonCode.QUOTA_EXCEEDED


def test_3x_knows_no_receive_maximum():
    client = World(receive_maximum=1).client("p", V311)
    for packet_id in range(1, 50):
        client.send(Publish("t", b"", QoS.EXACTLY_ONCE, packet_id=packet_id))
    assert len(client.take()) == 49


def test_the_broker_bounds_what_is_in_flight_by_itself():
    world = World(maximum_inflight=3)
    client = world.client("s", V311)
    client.subscribe("t", qos=1)
    publisher = world.client("p", V311)
    for _ in range(5):
        publisher.publish("t", b"x", 1)
    first = client.messages()
    assert len(first) == 3
    for message in first:
        client.send(PubAck(message.packet_id))
    assert len(client.messages()) == 2


def test_packet_identifiers_are_not_reused_while_in_flight():
    """[3.1.1 MQTT-2.3.1-4, 5.0 MQTT-2.2.1-4]"""
    world = World(maximum_inflight=65_535)
    client = world.client("s", V311)
    client.subscribe("t", qos=1)
    publisher = world.client("p", V311)
    publisher.publish("t", b"stays", 1)
    (stays,) = client.messages()
    ids = world.broker.house.sessions.get("s").outbound
    for _ in range(3):
        publisher.publish("t", b"goes", 1)
        (message,) = client.messages()
        assert message.packet_id != stays.packet_id
        client.send(PubAck(message.packet_id))
    assert stays.packet_id in ids
    assert len(ids) == 1


# --- Maximum Packet Size ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_too_large_for_a_client_is_dropped_as_if_delivered(qos):
    """[5.0 MQTT-3.1.2-24, MQTT-3.1.2-25]"""
    world = World()
    small = world.client("small", V5, maximum_packet_size=60, receive_maximum=1, **kept(V5))
    large = world.client("large", V5)
    for client in (small, large):
        client.subscribe("t", qos=2)
    publisher = world.client("p", V5)
    overhead = len(encode(Publish("t", b"", QoS(qos), packet_id=1 if qos else None), V5))
    fits, too_large = b"x" * (60 - overhead), b"x" * (61 - overhead)
    for payload in (too_large, too_large, fits, b"y"):
        publisher.publish("t", payload, qos)
    assert len(large.messages()) == 4
    first = small.messages()
    assert first[0].payload == fits
    if qos == 1:
        small.send(PubAck(first[0].packet_id))
        assert small.payloads() == [b"y"]
    session = world.broker.house.sessions.get("small")
    assert len(session.outbound) == (1 if qos else 0)
    assert len(session.inflight) == (1 if qos else 0)


def test_a_queued_message_meets_the_limit_of_the_next_connection():
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=2)
    publisher = world.client("p", V5)
    publisher.publish("t", b"x" * 100, 1)
    publisher.publish("t", b"in flight", 1)
    assert len(client.messages()) == 2
    client.drop()
    publisher.publish("t", b"y" * 100, 1)
    publisher.publish("t", b"small", 1)
    client.connect(**kept(V5), maximum_packet_size=50)
    assert client.payloads() == [b"in flight", b"small"]
    assert len(world.broker.house.sessions.get("s").outbound) == 2


@pytest.mark.parametrize("version", [V311, V5])
def test_a_packet_too_large_for_the_broker_ends_the_connection(version):
    """[5.0 MQTT-3.2.2-15]"""
    world = World(maximum_packet_size=50)
    client = world.client("c", version)
    overhead = len(encode(Publish("t", b"x" * 10), version)) - 10
    client.subscribe("t")
    client.publish("t", b"x" * (50 - overhead))
    assert len(client.messages()) == 1
    client.publish("t", b"x" * (51 - overhead))
    assert client.closed
    if version is V5:
        assert client.expect(Disconnect).reason == ReasonCode.PACKET_TOO_LARGE


def test_the_limit_is_enforced_before_the_packet_is_there():
    client = World(maximum_packet_size=50).client("c", V311)
    client.send_bytes(b"\x30\xff\xff\xff\x7f")
    assert client.closed


def test_acknowledgements_lose_their_reason_string_first():
    """[5.0 MQTT-3.4.2-2, MQTT-3.9.2-1, MQTT-3.14.2-3]"""
    world = World(retained_maximum_messages=0, shared_subscription_available=False)
    client = world.client("c", V5, maximum_packet_size=20)
    assert client.publish("t", b"x", 1, retain=True) == PubAck(1, ReasonCode.QUOTA_EXCEEDED)
    client.send(Subscribe(1, (Subscription("$share/g/t"),)))
    assert client.expect(Disconnect) == Disconnect(ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)


def test_an_answer_that_fits_in_no_way_is_not_sent():
    """[5.0 MQTT-3.1.2-24]"""
    client = World(topic_alias_maximum=0).client("c", V5, maximum_packet_size=10)
    client.send(Subscribe(1, tuple(Subscription(f"t/{number}") for number in range(20))))
    assert client.take() == []
    assert not client.closed


# --- topic aliases ---------------------------------------------------------------------------------------------------


def test_the_broker_understands_aliases_up_to_its_maximum():
    """[5.0 MQTT-3.3.2-12, 3.3.4]"""
    world = World(topic_alias_maximum=2)
    watcher = world.client("w", V5)
    watcher.subscribe("#")
    client = world.client("p", V5)
    for topic, alias in (("a", 1), ("b", 2), ("", 1), ("", 2), ("c", 1), ("", 1)):
        client.publish(topic, b"x", topic_alias=alias)
    messages = watcher.messages()
    assert [message.topic for message in messages] == ["a", "b", "a", "b", "c", "c"]
    assert all(message.properties.topic_alias is None for message in messages)


def test_aliases_end_with_the_connection():
    """[5.0 MQTT-3.3.2-7]"""
    world = World()
    client = world.client("p", V5, **kept(V5))
    client.publish("a", b"x", topic_alias=1)
    client.drop()
    client.connect(**kept(V5))
    client.publish("", b"x", topic_alias=1)
    assert client.expect(Disconnect).reason == ReasonCode.PROTOCOL_ERROR


@pytest.mark.parametrize(("maximum", "alias"), [(2, 3), (0, 1), (65_534, 65_535)])
def test_an_alias_above_the_maximum_is_invalid(maximum, alias):
    """[5.0 3.3.4, MQTT-3.3.2-9]"""
    client = World(topic_alias_maximum=maximum).client("p", V5)
    client.publish("a", b"x", topic_alias=alias)
    assert client.expect(Disconnect).reason == ReasonCode.TOPIC_ALIAS_INVALID


def test_alias_zero_is_invalid():
    """[5.0 MQTT-3.3.2-8]"""
    client = World().client("p", V5)
    client.send_bytes(b"\x30\x07\x00\x01t\x03\x23\x00\x00")
    assert client.expect(Disconnect).reason == ReasonCode.TOPIC_ALIAS_INVALID


@pytest.mark.parametrize("qos", [0, 1])
def test_the_broker_uses_aliases_where_the_client_allows_them(qos):
    """[5.0 MQTT-3.1.2-26, MQTT-3.1.2-27, MQTT-3.3.2-11]"""
    world = World(outgoing_topic_alias_maximum=2)
    client = world.client("s", V5, topic_alias_maximum=5)
    none = world.client("n", V5)
    for subscriber in (client, none):
        subscriber.subscribe("#", qos=qos)
    publisher = world.client("p", V5)
    for topic in ("a", "b", "c", "a", "b", "c"):
        publisher.publish(topic, b"x", qos)
    seen = [(message.topic, message.properties.topic_alias) for message in client.messages()]
    assert seen == [("a", 1), ("b", 2), ("c", None), ("", 1), ("", 2), ("c", None)]
    assert [message.topic for message in none.messages()] == ["a", "b", "c", "a", "b", "c"]


def test_messages_sent_again_set_their_aliases_anew():
    """[5.0 MQTT-3.3.2-7]"""
    world = World()
    client = world.client("s", V5, **kept(V5), topic_alias_maximum=5)
    client.subscribe("t", qos=1)
    publisher = world.client("p", V5)
    for _ in range(2):
        publisher.publish("t", b"x", 1)
    assert [message.topic for message in client.messages()] == ["t", ""]
    client.drop()
    client.connect(**kept(V5), topic_alias_maximum=1)
    assert [(message.topic, message.dup) for message in client.messages()] == [("t", True), ("", True)]
    client.drop()
    client.connect(**kept(V5))
    assert [message.topic for message in client.messages()] == ["t", "t"]


def test_an_alias_does_not_make_a_packet_too_large():
    """[5.0 MQTT-3.1.2-24]"""
    world = World()
    client = world.client("s", V5, topic_alias_maximum=5, maximum_packet_size=60)
    client.subscribe("#")
    publisher = world.client("p", V5)
    overhead = len(encode(Publish("t", b""), V5))
    for size in range(60 - overhead - 4, 60 - overhead + 1):
        publisher.publish("t", b"x" * size)
    publisher.publish("t", b"x")
    assert len(client.messages()) == 6
    # Each topic was set before its alias stood alone, or the reader above had no name for it.


# --- Request Problem Information -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "given"), [(None, True), (1, True), (0, False)])
def test_reason_strings_only_where_wanted(wanted, given):
    """[5.0 MQTT-3.1.2-29]"""
    world = World(retained_maximum_messages=0)
    client = world.client("c", V5, request_problem_information=wanted)
    for qos in (1, 2):
        refusal = client.publish("t", b"x", qos, retain=True)
        assert (refusal.properties.reason_string is not None) == given
    client.send(client.connect_packet())
    assert client.expect(Disconnect).properties.reason_string  # DISCONNECT may have one all the same


def test_properties_are_the_publishers_own():
    """[5.0 MQTT-3.3.2-4, -15 to -18, -20]"""
    sent = {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "answers/here",
        "correlation_data": b"\x00\xff",
        "user_property": (("z", "1"), ("a", "2"), ("z", "1")),
    }
    world = World()
    client = world.client("s", V5)
    client.subscribe("t", qos=2)
    for qos in (0, 1, 2):
        world.client("p", V5).publish("t", b"x", qos, **sent)
        (message,) = client.messages()
        assert message.properties == Properties(**sent)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_the_receivers_version_cannot_carry_counts_as_delivered(qos, monkeypatch):
    """A 3.1.1 packet of the largest size has no room for the properties of 5.0."""

    def refuse(packet, version):
        if isinstance(packet, Publish) and packet.payload == b"huge" and version is V5:
            raise LocalError("268435456 does not fit")
        return encode(packet, version)

    monkeypatch.setattr("reference_broker.broker.outgoing.sending.encode", refuse)
    monkeypatch.setattr("reference_broker.broker.values.message.encode", refuse)
    # The fast path leaves packets of that size alone.
    world = World(Broker(BrokerConfig(maximum_inflight=1), fast_path=False))
    new, old, publisher = world.client("n", V5), world.client("o", V311), world.client("p", V311)
    for client in (new, old):
        client.subscribe("t", qos=2)
        client.automatic = True
    for payload in (b"huge", b"small"):
        publisher.publish("t", payload, qos)
    assert [m.payload for m in new.inbox if isinstance(m, Publish)] == [b"small"]
    assert [m.payload for m in old.inbox if isinstance(m, Publish)] == [b"huge", b"small"]
    assert len(world.broker.house.sessions.get("n").outbound) == 0
