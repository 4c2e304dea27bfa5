"""The fast path and the slow path give every client the same bytes, whatever the traffic."""

from __future__ import annotations

import random

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_broker.broker import AccessRule, Broker, BrokerConfig, DropPolicy
from reference_broker.broker.runs import run_length
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, RetainHandling, Version

TOPICS = ["a", "a/b", "a/c", "x/y/z", "$s/x", "deny/x", "long/" + "t" * 200]
FILTERS = ["#", "a/+", "a/b", "a", "+/y/#", "$s/#", "x/y/z", "long/#", "$share/g/a/#", "$share/g/x/#"]
PROPERTIES = [
    NO_PROPERTIES,
    NO_PROPERTIES,
    Properties(content_type="c"),
    Properties(user_property=(("k", "v"), ("k", "w"))),
    Properties(user_property=(("k", "v" * 150),)),
    Properties(message_expiry_interval=30),
    Properties(topic_alias=1),
    Properties(payload_format_indicator=1, response_topic="r", correlation_data=b"\x00"),
]


ACKNOWLEDGED_BY = {1: (PubAck,), 2: (PubRec, PubComp)}


class Twins:
    """Two brokers that differ in nothing but the path, fed the same."""

    def __init__(self, **config) -> None:
        self.worlds = [World(Broker(BrokerConfig(**config), seed=1, fast_path=fast)) for fast in (True, False)]
        self.clients: dict[str, list[Client]] = {}

    def connect(self, name: str, version: Version, **fields) -> None:
        if name not in self.clients:
            self.clients[name] = [Client(world, name, version) for world in self.worlds]
        for client in self.clients[name]:
            client.version = version
            client.reader = None
            client.open()
            client.send(client.connect_packet(**fields))
        self.compare()

    def feed(self, name: str, data: bytes, cuts: list[int]) -> None:
        for client in self.clients[name]:
            start = 0
            for cut in [*sorted(cuts), len(data)]:
                client.link.receive_data(data[start:cut], client.world.now)
                start = cut
            client.world.collect()
        self.compare()

    def each(self, name: str, what) -> None:
        for client in self.clients[name]:
            what(client)
            client.world.collect()
        self.compare()

    def advance(self, seconds: float) -> None:
        for world in self.worlds:
            world.advance(seconds)
        self.compare()

    def compare(self) -> None:
        for name, (fast, slow) in self.clients.items():
            assert fast.wire == slow.wire, name
            assert fast.closed == slow.closed, name
            assert fast.link.reading_paused == slow.link.reading_paused, name
        assert self.worlds[0].log == self.worlds[1].log


def burst(rng: random.Random, version: Version, ids: list[int]) -> list[Packet]:
    """Some neighbours that are alike, as real publishers send them, now and then with one that is not."""
    packets: list[Packet] = []
    topic, qos = rng.choice(TOPICS), QoS(rng.choice([0, 0, 0, 1, 1, 2, 2]))
    properties = rng.choice(PROPERTIES) if version is V5 else NO_PROPERTIES
    size = rng.choice([0, 1, 20, 20, 127, 130, 300])
    for _ in range(rng.choice([1, 2, 3, 5, 12, 40, 90])):
        if rng.random() < 0.02:
            size = rng.choice([0, 5, 200])
        if rng.random() < 0.02:
            packets.append(PingReq())
        odd = rng.random() < 0.02
        packet_id = None
        if qos:
            ids[0] = ids[0] % 400 + 1
            packet_id = ids[0]
        packets.append(
            Publish(
                "" if properties.topic_alias and packets else rng.choice(TOPICS) if odd else topic,
                rng.randbytes(size) if rng.random() < 0.5 else bytes(size),
                qos,
                rng.random() < 0.02,
                bool(qos) and rng.random() < 0.02,
                packet_id,
                properties,
            )
        )
    return packets


def answers(rng: random.Random, client: Client) -> list[Packet]:
    """What a client sends for what it got: mostly all of it in order, sometimes not all, sometimes an error."""
    packets: list[Packet] = []
    inbox, client.inbox = client.inbox, []
    for packet in inbox:
        if rng.random() < 0.03:
            continue
        reason = 0x80 if client.version is V5 and rng.random() < 0.02 else 0
        wrong = rng.random() < 0.003
        if isinstance(packet, Publish) and packet.qos and wrong:
            packets.append(rng.choice([PubAck, PubRec, PubComp])(packet.packet_id))
        elif isinstance(packet, Publish) and packet.qos == 1:
            packets.append(PubAck(packet.packet_id, reason))
        elif isinstance(packet, Publish) and packet.qos == 2:
            packets.append(PubRec(packet.packet_id, reason))
        elif isinstance(packet, PubRel):
            packets.append(PubComp(packet.packet_id))
        elif isinstance(packet, PubRec) and packet.reason < 0x80:
            packets.append(PubRel(packet.packet_id))
    if packets and rng.random() < 0.1:
        packets.append(rng.choice(packets))
    return packets


def subscription(rng: random.Random, version: Version) -> Packet:
    chosen = rng.sample(FILTERS, rng.choice([1, 1, 2]))
    if rng.random() < 0.3:
        return Unsubscribe(rng.randrange(1, 9), tuple(chosen))
    if version is not V5:
        return Subscribe(3, tuple(Subscription(f, QoS(rng.randrange(3))) for f in chosen))
    identifier = (rng.randrange(1, 300),) if rng.random() < 0.3 else ()
    options = tuple(
        Subscription(
            f,
            QoS(rng.randrange(3)),
            rng.random() < 0.1 and not f.startswith("$share"),
            rng.random() < 0.2,
            RetainHandling(rng.randrange(3)),
        )
        for f in chosen
    )
    return Subscribe(500, options, Properties(subscription_identifier=identifier))


def connect_fields(rng: random.Random, version: Version) -> dict:
    fields: dict = {"clean_start": rng.random() < 0.4, "keep_alive": rng.choice([0, 0, 60])}
    if rng.random() < 0.3:
        fields["username"] = rng.choice(["u", "v"])
    if version is V5:
        fields["session_expiry_interval"] = rng.choice([0, 100, 0xFFFFFFFF])
        for name, values in {
            "receive_maximum": [1, 3, 10],
            "maximum_packet_size": [60, 200],
            "topic_alias_maximum": [2],
        }.items():
            if rng.random() < 0.15:
                fields[name] = rng.choice(values)
    return fields


CONFIGS: list[dict] = [
    {},
    {},
    {"access_rules": (AccessRule("deny/#", username="u"),)},
    {"maximum_inflight": 20, "receive_maximum": 15},
    {"outgoing_maximum_bytes": 3000, "queue_maximum_messages": 30, "backpressure_seconds": 5.0},
    {"maximum_inflight": 7, "queue_maximum_messages": 25, "queue_drop_policy": DropPolicy.OLDEST},
    {"maximum_inflight": 3, "queue_maximum_bytes": 1500},
    {"queue_qos0_offline": True, "no_matching_subscribers_reason": False, "granted_qos_maximum": 1},
    {"maximum_packet_size": 250, "validate_payload_format": True, "maximum_inflight": 5},
]


class History:
    """One random history of some clients; raises when the twins part."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.twins = Twins(**rng.choice(CONFIGS))
        self.names = [f"c{number}" for number in range(rng.choice([2, 3, 5]))]
        self.ids = {name: [rng.randrange(400)] for name in self.names}
        for name in self.names:
            self.connect(name, rng.choice(ALL_VERSIONS))
            if not self.twins.clients[name][0].closed:
                self.subscribe(name)

    def run(self, steps: int) -> None:
        """Let things happen, then everybody reads what was held back."""
        actions = (
            [self.publish] * 70 + [self.answer] * 15 + [self.subscribe] * 7 + [self.drop] * 2 + [self.disconnect]
            + [self.pause] * 2 + [self.resume] * 2 + [self.wait]
        )  # fmt: skip
        for _ in range(steps):
            name = self.rng.choice(self.names)
            if not self.twins.clients[name][0].closed:
                self.rng.choice(actions)(name)
            elif self.rng.random() < 0.7:
                version = self.twins.clients[name][0].version
                self.connect(name, self.rng.choice([version, version, *ALL_VERSIONS]))
        for name in self.names:
            if not self.twins.clients[name][0].closed:
                self.resume(name)

    def connect(self, name: str, version: Version) -> None:
        if name in self.twins.clients:
            self.twins.clients[name][0].inbox.clear()
        self.twins.connect(name, version, **connect_fields(self.rng, version))

    def publish(self, name: str) -> None:
        client = self.twins.clients[name][0]
        packets: list[Packet] = []
        for _ in range(self.rng.choice([1, 1, 2, 4])):
            packets += burst(self.rng, client.version, self.ids[name])
            if self.rng.random() < 0.5:
                packets += answers(self.rng, client)
        self.send(name, packets)

    def answer(self, name: str) -> None:
        self.send(name, answers(self.rng, self.twins.clients[name][0]))

    def subscribe(self, name: str) -> None:
        version = self.twins.clients[name][0].version
        self.send(name, [subscription(self.rng, version), *burst(self.rng, version, self.ids[name])])

    def drop(self, name: str) -> None:
        self.twins.each(name, Client.drop)

    def disconnect(self, name: str) -> None:
        self.send(name, [Disconnect()])

    def pause(self, name: str) -> None:
        self.twins.each(name, lambda client: client.link.pause_writing())

    def resume(self, name: str) -> None:
        self.twins.each(name, lambda client: client.link.resume_writing())

    def wait(self, _name: str) -> None:
        self.twins.advance(self.rng.choice([0.5, 3, 40]))

    def send(self, name: str, packets: list[Packet]) -> None:
        version = self.twins.clients[name][0].version
        data = b"".join(encode(packet, version) for packet in packets)
        if not data:
            return
        if self.rng.random() < 0.01:
            damaged = bytearray(data)
            damaged[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
            data = bytes(damaged)
        pieces = self.rng.choice([0, 0, 0, 1, 3, 10])
        self.twins.feed(name, data, [self.rng.randrange(len(data)) for _ in range(pieces)])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_both_paths_give_every_client_the_same_bytes(seed):
    History(seed).run(40)


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


@settings(max_examples=25, deadline=None)
@given(
    qos=st.sampled_from(QoS),
    size=st.sampled_from([20, 200, 5_000]),
    cuts=st.lists(st.integers(1, 300_000), max_size=4),
    other=st.sampled_from([b"\xc0\x00", encode(Publish("u", b"x" * 130), V5), b"\xf0\x00", b"\x30\xff\xff\xff\xff"]),
    at=st.integers(0, 1500),
)
def test_large_reads_cut_anywhere_give_the_same_bytes(qos, size, cuts, other, at):
    """A packet that one read begins and a large one completes, and slices of what came in instead of copies."""
    twins = Twins(maximum_inflight=65_535, outgoing_maximum_bytes=200_000)
    twins.connect("s", V5)
    twins.connect("t", V311)
    twins.connect("p", V5)
    twins.feed("s", encode(Subscribe(1, (Subscription("#", qos),)), V5), [])
    twins.feed("t", encode(Subscribe(1, (Subscription("t", QoS(0)),)), V311), [])
    count = 300_000 // size
    packets = [
        encode(Publish("t", b"%04d" % n + bytes(size), qos, packet_id=n % 65_535 + 1 if qos else None), V5)
        for n in range(count)
    ]
    packets.insert(min(at, count), other)
    data = b"".join(packets)
    twins.feed("p", data, [min(cut, len(data)) for cut in cuts])


# --- the fast path is really taken, or this file would prove nothing ------------------------------


def stream(qos: int, count: int, version: Version, properties: Properties = NO_PROPERTIES, topic: str = "t") -> bytes:
    return b"".join(
        encode(Publish(topic, b"%08d" % n, QoS(qos), packet_id=n + 1 if qos else None, properties=properties), version)
        for n in range(count)
    )


@pytest.mark.parametrize("publisher_version", ALL_VERSIONS)
@pytest.mark.parametrize("subscriber_version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("identifier", [None, 7])
def test_streams_do_not_take_the_slow_path(publisher_version, subscriber_version, qos, identifier, monkeypatch):
    world = World(maximum_inflight=65_535)
    subscriber, publisher = world.client("s", subscriber_version), world.client("p", publisher_version)
    subscriber.subscribe("t", qos=qos, identifier=identifier if subscriber_version is V5 else None)
    made = []
    for module in ("forwarding", "bursts", "publishing"):
        monkeypatch.setattr(f"reference_broker.broker.{module}.Message", lambda *fields: made.append(fields))
    handled = []
    handle = type(publisher.link).handle
    monkeypatch.setattr(
        type(publisher.link), "handle", lambda link, packet, now: (handled.append(packet), handle(link, packet, now))
    )
    world.broker.active_link = None
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
        assert len(world.broker.sessions.get("s").flight) == 0
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
    monkeypatch.setattr("reference_broker.broker.forwarding.Message", lambda *fields: made.append(fields))
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
    for module in ("forwarding", "bursts"):
        monkeypatch.setattr(f"reference_broker.broker.{module}.Message", lambda *fields: made.append(fields))
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
    session = world.broker.sessions.get("s")
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
    for packet_id in (3, 4, 1, 2):  # 1 is the older one; 3 and 4 come before their turn
        twins.feed("s", encode(PubRec(packet_id), V311), [])
    twins.each("s", Client.drop)
    for client in twins.clients["s"]:
        client.inbox.clear()
    twins.connect("s", V311, clean_start=False)
    released = [packet.packet_id for packet in twins.clients["s"][0].inbox if isinstance(packet, PubRel)]
    assert released == [3, 4, 1, 2]


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
    for module in ("broker.flight", "session.packet_ids"):
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
    monkeypatch.setattr("reference_broker.broker.forwarding.Message", lambda *fields: made.append(fields))
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
    monkeypatch.setattr("reference_broker.broker.heads._REMEMBERED_HEADS", 10)
    world = World()
    subscriber, publisher = world.client("s", V311), world.client("p", V311)
    subscriber.subscribe("#")
    for number in range(100):
        publisher.publish(f"t/{number}", b"x")
    assert len(subscriber.messages()) == 100
    assert len(world.broker.heads.of(publisher.link)) <= 10


@settings(max_examples=200, deadline=None)
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
