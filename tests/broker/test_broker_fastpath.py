"""Streams are taken by the fast path, and every client gets from it what the slow path would give."""

from __future__ import annotations

import random

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World
from broker_twins import ACKNOWLEDGED_BY, Twins, stream
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_broker.broker import AccessRule
from reference_broker.broker.fast import fastpath
from reference_broker.broker.peers import dispatch
from reference_broker.broker.values.runs import run_length
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_stream_cut_at_every_byte(version, qos):
    packets = [Publish("t", bytes([65 + n]) * (n % 3), QoS(qos), packet_id=n + 1 if qos else None) for n in range(6)]
    data = b"".join(encode(packet, version) for packet in packets)
    for cut in range(len(data)):
        twins = Twins()
        twins.connect("s", V5)
        twins.connect("p", version)
        twins.feed("s", encode(Subscribe(1, (Subscription("t", QoS(2)),)), V5), [])
        twins.feed("p", data, [cut])
        assert sum(isinstance(packet, Publish) for packet in twins.clients["s"][0].inbox) == 6


@settings(max_examples=25)
@given(
    qos=st.sampled_from(QoS),
    size=st.sampled_from([50, 200, 5_000]),
    cuts=st.lists(st.integers(1, 150_000), max_size=4),
    other=st.sampled_from([b"\xc0\x00", encode(Publish("u", b"x" * 130), V5), b"\xf0\x00", b"\x30\xff\xff\xff\xff"]),
    at=st.integers(0, 1500),
)
def test_large_reads_cut_anywhere_give_the_same_bytes(qos, size, cuts, other, at):
    """A packet that one read begins and a large one completes, and slices of what came in instead of copies."""
    twins = Twins(maximum_inflight=65_535, outgoing_maximum_bytes=100_000)
    twins.connect("s", V5)
    twins.connect("t", V311)
    twins.connect("p", V5)
    twins.feed("s", encode(Subscribe(1, (Subscription("#", qos),)), V5), [])
    twins.feed("t", encode(Subscribe(1, (Subscription("t", QoS(0)),)), V311), [])
    count = 150_000 // size
    packets = [
        encode(Publish("t", b"%04d" % n + bytes(size), qos, packet_id=n % 65_535 + 1 if qos else None), V5)
        for n in range(count)
    ]
    packets.insert(min(at, count), other)
    data = b"".join(packets)
    twins.feed("p", data, [min(cut, len(data)) for cut in cuts])


# --- the fast path is really taken, or this file would prove nothing ------------------------------


@pytest.mark.parametrize("publisher_version", ALL_VERSIONS)
@pytest.mark.parametrize("subscriber_version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("identifier", [None, 7])
def test_streams_do_not_take_the_slow_path(publisher_version, subscriber_version, qos, identifier, monkeypatch):
    world = World(maximum_inflight=65_535)
    subscriber, publisher = world.client("s", subscriber_version), world.client("p", publisher_version)
    subscriber.subscribe("t", qos=qos, identifier=identifier if subscriber_version is V5 else None)
    made = []
    for module in ("outgoing.forms", "peers.publishing"):
        monkeypatch.setattr(f"reference_broker.broker.{module}.Message", lambda *fields: made.append(fields))
    handled = []
    monkeypatch.setattr(
        fastpath, "handle", lambda link, packet, now: (handled.append(packet), dispatch.handle(link, packet, now))
    )
    publisher.send_bytes(stream(qos, 500, publisher_version))
    assert (handled, made) == ([], [])
    messages = [packet for packet in subscriber.take() if isinstance(packet, Publish)]
    expected = (identifier,) if identifier and subscriber_version is V5 else ()
    assert {message.properties.subscription_identifier for message in messages} == {expected}
    assert [message.payload for message in messages] == [b"%08d" % n for n in range(500)]
    assert len({message.packet_id for message in messages}) == (500 if qos else 1)
    if qos:
        for kind in ACKNOWLEDGED_BY[qos]:
            subscriber.send(*[kind(message.packet_id) for message in messages])
        assert handled == []
        assert len(world.broker.house.sessions.get("s").flight) == 0
    if qos == 2:
        publisher.take()
        publisher.send(*[PubRel(packet_id) for packet_id in range(1, 501)])
        assert handled == []
        assert [packet.packet_id for packet in publisher.take()] == list(range(1, 501))


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("quota", [500, 30])
def test_what_a_client_publishes_to_itself_stays_between_its_acknowledgements(version, qos, quota, monkeypatch):
    """As one by one: each message, if it may leave, before the acknowledgement of the packet it came in."""
    twins = Twins(maximum_inflight=quota, queue_maximum_messages=300)
    for name in ("c", "other"):
        twins.connect(name, version)
        twins.feed(name, encode(Subscribe(1, (Subscription("t", QoS(qos)),)), version), [])
    twins.clients["c"][0].inbox.clear()
    made = []
    monkeypatch.setattr("reference_broker.broker.outgoing.forms.Message", lambda *fields: made.append(fields))
    twins.feed("c", stream(qos, 100, version), [])
    kinds = [type(packet) for packet in twins.clients["c"][0].inbox]
    answer = ACKNOWLEDGED_BY[qos][0]
    assert kinds == [Publish, answer] * min(quota, 100) + [answer] * max(0, 100 - quota)
    assert made == []


def share(twins: Twins, name: str, qos: int, identifier: tuple[int, ...] = ()) -> None:
    """A client that is a member of a shared subscription, which only 5.0 has."""
    twins.connect(name, V5)
    properties = Properties(subscription_identifier=identifier)
    twins.feed(name, encode(Subscribe(1, (Subscription("$share/g/t", QoS(qos)),), properties), V5), [])


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("cut", [[], [20], [400, 800]])
def test_a_stream_to_a_shared_subscription_is_dealt_out_in_turns(version, qos, cut, monkeypatch):
    """The members' turns go on from read to read. [5.0 4.8.2]"""
    twins = Twins()
    for name in "abc":
        share(twins, name, qos)
    twins.connect("all", V5)
    twins.feed("all", encode(Subscribe(1, (Subscription("#", QoS(qos)),)), V5), [])
    twins.connect("p", version)
    made = []
    monkeypatch.setattr("reference_broker.broker.outgoing.forms.Message", lambda *fields: made.append(fields))
    twins.feed("p", stream(qos, 100, version), cut)
    assert made == []
    got = {
        name: [packet.payload for packet in twins.clients[name][0].inbox if isinstance(packet, Publish)]
        for name in ("a", "b", "c", "all")
    }
    assert got["all"] == [b"%08d" % n for n in range(100)]
    assert [got["abc"[n % 3]][n // 3] for n in range(100)] == got["all"]


@pytest.mark.parametrize("identifier", [(), (7,)])
@pytest.mark.parametrize("quota", [1024, 5])
def test_what_a_member_leaves_is_handed_on_as_it_was_published(identifier, quota):
    """Neither its lower QoS nor its subscription identifier goes with it. [5.0 4.8.2, MQTT-4.8.2-3, MQTT-3.3.4-3]"""
    twins = Twins(maximum_inflight=quota)
    share(twins, "a", 1, identifier)
    twins.connect("p", V5)
    twins.feed("p", stream(2, 20, V5), [])
    share(twins, "b", 2)
    for client in twins.clients["b"]:
        client.automatic = True
    twins.each("a", Client.drop)
    messages = [packet for packet in twins.clients["b"][0].inbox if isinstance(packet, Publish)]
    assert [message.payload for message in messages] == [b"%08d" % n for n in range(20)]
    assert {(message.qos, message.properties.subscription_identifier) for message in messages} == {(2, ())}


@pytest.mark.parametrize("qos", [1, 2])
def test_acknowledging_an_older_message_leaves_the_stream_behind_it_compact(qos):
    """One message sent the plain way made all that followed plain, for as long as something was in flight."""
    world = World()
    subscriber, publisher = world.client("s", V311), world.client("p", V311)
    subscriber.subscribe("t", qos=qos)
    publisher.send(Publish("t", b"again", QoS(qos), packet_id=900, dup=True))  # DUP: left to the slow path
    publisher.send_bytes(stream(qos, 100, V311))
    older, *others = subscriber.messages()
    for kind in ACKNOWLEDGED_BY[qos]:
        subscriber.send(kind(older.packet_id))
    session = world.broker.house.sessions.get("s")
    assert (len(session.outbound), len(session.flight)) == (0, 100)
    for kind in ACKNOWLEDGED_BY[qos]:
        subscriber.send(*[kind(message.packet_id) for message in others])
    assert len(session.flight) == 0


def test_releases_keep_their_order_beside_an_older_message():
    """[3.1.1 MQTT-4.6.0-4, 5.0 MQTT-4.6.0-4]"""
    twins = Twins()
    twins.connect("s", V311, clean_start=False)
    twins.connect("p", V311)
    twins.feed("s", encode(Subscribe(1, (Subscription("t", QoS(2)),)), V311), [])
    twins.feed("p", encode(Publish("t", b"again", QoS(2), packet_id=900, dup=True), V311), [])
    twins.feed("p", stream(2, 10, V311), [])
    for packet_id in (2, 3, 1, 4):  # 1 is the older one, whose turn was first
        twins.feed("s", encode(PubRec(packet_id), V311), [])
    twins.each("s", Client.drop)
    for client in twins.clients["s"]:
        client.inbox.clear()
    twins.connect("s", V311, clean_start=False)
    released = [packet.packet_id for packet in twins.clients["s"][0].inbox if isinstance(packet, PubRel)]
    assert released == [2, 3, 1, 4]


def test_what_the_fast_path_sent_is_resumed_in_order():
    """[3.1.1 MQTT-4.4.0-1, 5.0 MQTT-4.4.0-1, MQTT-4.6.0-1]"""
    world = World()
    subscriber, publisher = world.client("s", V311, clean_start=False), world.client("p", V31)
    subscriber.subscribe("t", qos=2)
    publisher.send_bytes(stream(2, 20, V31))
    first = subscriber.messages()
    subscriber.send(*[PubRec(message.packet_id) for message in first[5:10]])
    assert len(subscriber.take()) == 5
    subscriber.drop()
    subscriber.connect(clean_start=False)
    again = subscriber.take()
    assert [packet.packet_id for packet in again[:5]] == [message.packet_id for message in first[5:10]]
    assert [packet.payload for packet in again[5:]] == [b"%08d" % n for n in (*range(5), *range(10, 20))]
    assert all(packet.dup for packet in again[5:])


@pytest.mark.parametrize("kept_back", [[], [1], [2, 30], [49, 50]])
def test_packet_identifiers_go_round_and_leave_out_those_in_flight(kept_back, monkeypatch):
    """[3.1.1 MQTT-2.3.1-2, 5.0 MQTT-2.2.1-3]"""
    for module in ("broker.outgoing.mailbox", "broker.outgoing.flight", "session.packet_ids"):
        monkeypatch.setattr(f"reference_broker.{module}.HIGHEST_PACKET_ID", 50)
    twins = Twins()
    twins.connect("s", V311)
    twins.connect("p", V311)
    twins.feed("s", encode(Subscribe(1, (Subscription("t", QoS(2)),)), V311), [])
    subscriber = twins.clients["s"][0]
    ids = []
    for qos in (2, 1, 1, 2, 1, 1, 1, 2, 1, 1):
        subscriber.inbox.clear()
        twins.feed("p", stream(qos, 17, V311), [])
        twins.feed("p", b"".join(encode(PubRel(number + 1), V311) for number in range(17)), [])
        got = [packet.packet_id for packet in subscriber.inbox if isinstance(packet, Publish)]
        ids += got
        answered = [number for number in got if number not in kept_back]
        for kind in ACKNOWLEDGED_BY[qos]:
            twins.feed("s", b"".join(encode(kind(number), V311) for number in answered), [])
    assert len(ids) == 170
    assert all(ids.count(number) == 1 for number in kept_back)


@pytest.mark.parametrize("version", [V311, V5])
def test_a_full_buffer_drops_a_stretch_and_counts_it(version, monkeypatch):
    twins = Twins(outgoing_maximum_bytes=1000, backpressure_seconds=0)
    for name in ("s", "t"):
        twins.connect(name, version)
        twins.feed(name, encode(Subscribe(1, (Subscription("#", QoS(0)),)), version), [])
    twins.connect("p", V311)
    twins.feed("p", stream(0, 3, V311), [])
    twins.each("s", lambda client: client.link.pause_writing())
    packet_bytes = len(encode(Publish("t", bytes(8)), version))
    kept = -(-1000 // packet_bytes)  # the one that fills the buffer is the last
    twins.feed("p", stream(0, 20, V311), [])  # all have room
    twins.feed("p", stream(0, 100, V311), [])  # some have
    twins.feed("p", stream(0, 300, V311), [])  # none has
    for client in twins.clients["s"]:
        assert client.link.dropped_messages == 420 - kept
    made = []
    monkeypatch.setattr("reference_broker.broker.outgoing.forms.Message", lambda *fields: made.append(fields))
    twins.clients["p"][0].send_bytes(stream(0, 50, V311))
    assert made == []
    twins.clients["p"][1].send_bytes(stream(0, 50, V311))
    twins.each("s", lambda client: client.link.resume_writing())
    assert len(twins.clients["s"][0].inbox) == 2 + 3 + kept  # CONNACK, SUBACK, what came before
    twins.feed("p", stream(0, 10, V311), [])
    twins.each("s", Client.drop)
    assert [line.split(": ", 1)[1] for line in twins.worlds[0].log] == [
        f"{470 - kept} QoS 0 messages dropped, because it did not read"
    ]
    assert [len(client.inbox) for client in twins.clients["t"]] == [485, 485]


@pytest.mark.parametrize("quota", [1024, 5])
def test_a_session_that_returns_in_5_0_gets_what_its_3_1_1_connection_could_not_carry(quota):
    """User properties and subscription identifiers, in flight and waiting. [5.0 MQTT-3.3.2-17, MQTT-3.3.4-3]"""
    twins = Twins(maximum_inflight=quota)
    kept = {"clean_start": False, "session_expiry_interval": 100}
    twins.connect("s", V5, **kept)
    twins.connect("p", V5)
    for topic, identifier in (("t", (7,)), ("u", ())):
        subscribe = Subscribe(1, (Subscription(topic, QoS(1)),), Properties(subscription_identifier=identifier))
        twins.feed("s", encode(subscribe, V5), [])
    twins.each("s", Client.drop)
    twins.connect("s", V311, clean_start=False)
    user_property = (("k", "v"),)
    twins.feed("p", stream(1, 20, V5), [])
    twins.feed("p", stream(1, 20, V5, Properties(user_property=user_property), topic="u"), [])
    twins.each("s", Client.drop)
    for client in twins.clients["s"]:
        client.inbox.clear()
        client.automatic = True
    twins.connect("s", V5, **kept)
    messages = [packet for packet in twins.clients["s"][0].inbox if isinstance(packet, Publish)]
    expected = [Properties(subscription_identifier=(7,))] * 20 + [Properties(user_property=user_property)] * 20
    assert [message.properties for message in messages] == expected


def test_expiry_of_a_stream_goes_on_while_it_is_in_flight():
    """[5.0 MQTT-3.3.2-6]"""
    world = World()
    fields = {"clean_start": False, "session_expiry_interval": 1000}
    subscriber, publisher = world.client("s", V5, **fields), world.client("p", V5)
    subscriber.subscribe("t", qos=2)
    publisher.send_bytes(stream(1, 20, V5, Properties(message_expiry_interval=100)))
    subscriber.drop()
    subscriber.take()
    world.advance(30)
    subscriber.connect(**fields)
    assert [message.properties.message_expiry_interval for message in subscriber.messages()] == [70] * 20


def test_rights_and_subscriptions_are_looked_at_again_when_they_change():
    world = World(access_rules=(AccessRule("t", username="u"),))
    subscriber, publisher = world.client("s", V311, username="s"), world.client("p", V311, username="p")
    forbidden = world.client("u", V311, username="u")
    subscriber.subscribe("t")
    for client in (publisher, forbidden, publisher, forbidden):
        client.send_bytes(stream(0, 3, V311))
    assert len(subscriber.messages()) == 6
    subscriber.unsubscribe("t")
    publisher.send_bytes(stream(0, 3, V311))
    assert subscriber.messages() == []
    subscriber.subscribe("#")
    publisher.send_bytes(stream(0, 3, V311))
    assert len(subscriber.messages()) == 3


def test_a_padded_length_is_never_passed_on():
    """[5.0 MQTT-1.5.5-1]"""
    padded = b"\x30\x84\x00\x00\x01tx"
    for version in (V311, V5):
        world = World()
        subscriber, publisher = world.client("s", V311), world.client("p", version)
        subscriber.subscribe("#")
        good = encode(Publish("t", b"x"), version)
        publisher.send_bytes(good * 3 + (padded if version is V311 else b"\x30\x85\x00\x00\x01t\x00x"))
        assert subscriber.wire.endswith(encode(Publish("t", b"x"), V311))
        assert publisher.closed == (version is V5)
        acknowledged = world.client("a", version)
        acknowledged.send_bytes(b"\x40\x82\x00\x00\x01")
        assert acknowledged.closed == (version is V5)


def test_remembered_heads_are_bounded(monkeypatch):
    monkeypatch.setattr("reference_broker.broker.fast.heads._REMEMBERED_HEADS", 10)
    world = World()
    subscriber, publisher = world.client("s", V311), world.client("p", V311)
    subscriber.subscribe("#")
    for number in range(100):
        publisher.publish(f"t/{number}", b"x")
    assert len(subscriber.messages()) == 100
    assert len(world.broker.heads.of(publisher.link.session)) <= 10


@settings(max_examples=200)
@given(
    alike=st.integers(1, 120),
    after=st.integers(0, 30),
    head=st.binary(min_size=1, max_size=12),
    size=st.integers(12, 30),
    hole=st.integers(0, 11),
    where=st.integers(0, 11),
    before=st.integers(0, 5),
)
def test_a_run_ends_where_a_packet_differs(alike, after, head, size, hole, where, before):
    rng = random.Random(1)

    def packet(beginning: bytes) -> bytes:
        body = bytearray(beginning + rng.randbytes(size - len(beginning)))
        if hole < len(beginning):
            body[hole] = rng.randrange(256)
        return bytes(body)

    spans = ((0, min(hole, len(head))), (min(hole + 1, len(head)), len(head)))
    other = bytearray(head)
    other[where % len(head)] ^= 0x40
    differs = where % len(head) != hole
    data = bytes(before) + b"".join(
        [packet(head) for _ in range(alike)] + [packet(bytes(other))] + [packet(head) for _ in range(after)]
    )
    found = run_length(data, before, size, spans, alike + 1 + after)
    assert found == (alike if differs else alike + 1 + after)


@pytest.mark.parametrize(("qos", "wrong"), [(1, PubRec), (1, PubComp), (2, PubAck), (2, PubComp)])
def test_a_wrong_kind_of_acknowledgement_is_noticed_in_a_stream_too(qos, wrong):
    world = World()
    subscriber, publisher = world.client("s", V5), world.client("p", V5)
    subscriber.subscribe("t", qos=2)
    publisher.send_bytes(stream(qos, 20, V5))
    messages = subscriber.messages()
    subscriber.send(wrong(messages[10].packet_id))
    assert subscriber.expect(Disconnect).reason == 0x82
