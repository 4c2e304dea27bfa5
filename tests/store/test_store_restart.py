"""A broker that is stopped and started again goes on where it stood, from memory or from a file."""

from __future__ import annotations

import pytest

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.store.memory import MemoryStore
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Packet,
    PubAck,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Will,
)
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

V5, V311 = Version.V5, Version.V311


class Site:
    """A broker at a time, killed and started at will; what it was to keep is kept."""

    def __init__(self, unix_time: float = 1_000.0) -> None:
        self.store = MemoryStore()
        self.now = 100.0
        self.start(unix_time)

    @property
    def unix_time(self) -> float:
        """By the clock on the wall."""
        return self._zero + self.now

    def start(self, unix_time: float) -> None:
        self._zero = unix_time - self.now
        self.links: dict = {}
        self.broker = Broker(BrokerConfig(), keeps=True)
        self.broker.load(self.now, unix_time)
        while (wanted := self.broker.next_read()) is not None:
            self.broker.take_rows(wanted, self.store.read(*wanted, 1_000_000), self.now)
        self.keep()

    def restart(self, down_seconds: float = 0.0) -> None:
        """It is killed, nobody said goodbye; then another starts whose clock shows something else."""
        unix_time = self.unix_time + down_seconds
        self.now = 5_000_000.0
        self.start(unix_time)

    def keep(self) -> None:
        if (changes := self.broker.take_changes()) is not None:
            self.store.commit(changes.changes)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.broker.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.broker.handle_timer(self.now)
            self.keep()
        self.now = end

    def connect(self, client_id: str, version: Version = V5, **fields):
        link = self.broker.connect(self.now)
        self.links[link] = Reader(version)
        expiry = fields.pop("expiry", 1000)
        properties = Properties(session_expiry_interval=expiry) if version is V5 else NO_PROPERTIES
        connack, *rest = self.send(link, Connect(version, client_id, False, properties=properties, **fields))
        assert isinstance(connack, ConnAck)
        return link, connack.session_present, rest

    def lose(self, link) -> None:
        link.connection_lost(self.now)
        self.keep()

    def send(self, link, *packets: Packet) -> list[Packet]:
        for packet in packets:
            link.receive_data(encode(packet, link.version or packet.version), self.now)
        return self.received(link)

    def received(self, link) -> list[Packet]:
        self.keep()
        for other, pieces, _ in self.broker.take_output():
            if other in self.links:
                self.links[other].feed(b"".join(pieces))
        return list(self.links[link])


@pytest.fixture
def site() -> Site:
    return Site()


def publish(topic: str, payload: bytes, qos: int = 0, packet_id: int | None = None, **properties) -> Publish:
    return Publish(topic, payload, QoS(qos), packet_id=packet_id, properties=Properties(**properties))


def test_retained_messages_survive(site):
    """[3.1 MQTT31-49]"""
    link, _, _ = site.connect("p")
    kept = Publish("é/x", b"\x00kept", QoS.AT_LEAST_ONCE, True, packet_id=1, properties=Properties(content_type="c"))
    aging = Publish("aging", b"a", retain=True, properties=Properties(message_expiry_interval=100))
    site.send(link, kept, aging)
    site.advance(30)
    site.restart()
    link, _, _ = site.connect("s")
    _, *messages = site.send(link, Subscribe(1, (Subscription("#", QoS.EXACTLY_ONCE),)))
    found = {message.topic: message for message in messages}
    assert (found["é/x"].payload, found["é/x"].qos, found["é/x"].retain) == (b"\x00kept", 1, True)
    assert found["é/x"].properties.content_type == "c"
    assert found["aging"].properties.message_expiry_interval == 70
    site.advance(71)
    assert len(site.broker.house.retained) == 1


def test_a_session_survives_with_all_it_holds(site):
    """[3.1.1 4.1, 5.0 4.1]"""
    link, _, _ = site.connect("s")
    subscriptions = (Subscription("t/+", QoS.EXACTLY_ONCE), Subscription("$share/g/u", QoS.AT_LEAST_ONCE))
    site.send(link, Subscribe(1, subscriptions, Properties(subscription_identifier=(7,))))
    site.send(link, publish("other", b"x", 2, 99))  # received and not released
    publisher, _, _ = site.connect("p")
    for number in range(4):
        site.send(publisher, publish("t/x", b"%d" % number, 2, number + 1, user_property=(("a", "b"),)))
    first = [packet for packet in site.received(link) if isinstance(packet, Publish)]
    site.send(link, PubRec(first[0].packet_id))
    site.lose(link)
    site.send(publisher, publish("t/x", b"queued", 1, 77), publish("u", b"shared", 1, 78))
    site.restart()
    link, present, packets = site.connect("s")
    assert present
    assert packets[0] == PubRel(first[0].packet_id)
    assert [(p.packet_id, p.payload, p.dup) for p in packets[1:4]] == [
        (message.packet_id, message.payload, True) for message in first[1:]
    ]
    assert [(p.payload, p.dup, p.qos) for p in packets[4:]] == [(b"queued", False, 1), (b"shared", False, 1)]
    assert packets[1].properties == Properties(user_property=(("a", "b"),), subscription_identifier=(7,))
    assert site.send(link, publish("other", b"x", 2, 99)) == [PubRec(99)]  # still known, so not delivered again
    publisher, _, _ = site.connect("p")
    site.send(publisher, publish("t/y", b"new"), publish("u", b"new"))
    assert [packet.payload for packet in site.received(link)] == [b"new", b"new"]


@pytest.mark.parametrize("qos", [0, 1])
def test_the_rest_of_many_retained_messages_follows_after_the_restart(site, qos):
    """From where it stood, before what was published since the subscription, and behind what waited before it."""
    topics = [f"{first}/{n}" for n in range(10) for first in "ab"]
    publisher, _, _ = site.connect("p")
    site.send(publisher, *(Publish(topic, b"retained", QoS.AT_LEAST_ONCE, True, packet_id=1) for topic in topics))
    link = site.broker.connect(site.now)
    site.links[link] = Reader(V5)
    site.send(
        link, Connect(V5, "s", False, properties=Properties(session_expiry_interval=1000, receive_maximum=3)),
        Subscribe(1, (Subscription("live", QoS.AT_LEAST_ONCE),)),
    )  # fmt: skip
    site.send(publisher, *(publish("live", b"%d" % number, 1, 7) for number in range(5)))
    site.send(link, Subscribe(2, (Subscription("#", QoS(qos)),), Properties(subscription_identifier=(9,))))
    site.send(publisher, publish("live", b"5", 1, 7))
    sent = []
    for packet_id in range(1, 5 if qos else 2):
        sent += site.send(link, PubAck(packet_id))
    site.restart()
    link, present, again = site.connect("s")
    assert present
    again = [packet for packet in again if isinstance(packet, Publish)]
    assert [packet.payload for packet in again if packet.topic == "live"][-2:] == [b"4", b"5"]
    retained = [packet for packet in again if packet.retain]
    assert sorted({packet.topic for packet in (*sent, *retained) if packet.retain}) == sorted(topics)
    assert {packet.properties.subscription_identifier for packet in retained if not packet.dup} == {(9,)}
    assert {packet.qos for packet in retained} == {qos}
    assert again[-1].payload == b"5"
    new = [packet.topic for packet in retained if not packet.dup]
    assert len(new) == len(set(new))


def test_sessions_without_expiry_do_not(site):
    """[5.0 MQTT-4.1.0-2]"""
    site.connect("s", expiry=0)
    site.restart()
    assert not site.connect("s")[1]


def test_expiry_goes_on_from_where_it_stood(site):
    link, _, _ = site.connect("s", expiry=100)
    site.lose(link)
    site.connect("for ever", V311)
    site.advance(60)
    site.restart()
    site.advance(39)
    assert "s" in site.broker.house.sessions
    site.advance(2)
    assert "s" not in site.broker.house.sessions
    assert "for ever" in site.broker.house.sessions


def test_a_delayed_will_is_published_after_the_restart_unless_its_client_is_back(site):
    """[5.0 3.1.2.5, MQTT-3.1.3-9]"""
    for name in ("a", "b"):
        will = Will(name, b"gone", QoS.AT_LEAST_ONCE, True, Properties(will_delay_interval=50, content_type="w"))
        link, _, _ = site.connect(name, will=will)
        site.lose(link)
    site.advance(20)
    site.restart()
    site.connect("b")
    site.advance(29)
    assert len(site.broker.house.retained) == 0
    site.advance(2)
    (message,) = site.broker.house.retained
    assert (message.topic, message.properties) == ("a", Properties(content_type="w"))


def test_a_3x_filter_that_looks_shared_stays_what_it_is(site):
    link, _, _ = site.connect("s", V311)
    site.send(link, Subscribe(1, (Subscription("$share/g/t"),)))
    site.restart()
    link, _, _ = site.connect("s", V311)
    site.send(link, publish("t", b"no"), publish("$share/g/t", b"yes"))
    site.restart()  # and once more, from what was restored
    link, _, _ = site.connect("s", V311)
    assert [packet.payload for packet in site.send(link, publish("$share/g/t", b"yes"))] == [b"yes"]


def test_messages_age_while_no_broker_runs(site):
    """[5.0 MQTT-3.3.2-5, MQTT-3.3.2-6]"""
    site.start(unix_time=1_000.0)
    site.lose(site.connect("s")[0])
    subscriber, _, _ = site.connect("s")
    site.send(subscriber, Subscribe(1, (Subscription("t", QoS.AT_LEAST_ONCE),)))
    site.lose(subscriber)
    link, _, _ = site.connect("p")
    site.send(
        link,
        publish("t", b"short", 1, 1, message_expiry_interval=50),
        publish("t", b"long", 1, 2, message_expiry_interval=100),
        Publish("r", b"short", retain=True, properties=Properties(message_expiry_interval=50)),
    )
    site.advance(20)
    site.broker.shutdown(site.now)  # at 1,020 by the clock on the wall
    site.now = 7.0
    site.start(unix_time=1_060.0)
    _, present, waiting = site.connect("s")
    assert present
    assert [(each.payload, each.properties.message_expiry_interval) for each in waiting] == [(b"long", 40)]
    assert len(site.broker.house.retained) == 0


def test_a_clock_set_back_makes_no_message_younger(site):
    site.start(unix_time=1_000.0)
    link, _, _ = site.connect("p")
    site.send(link, Publish("r", b"x", retain=True, properties=Properties(message_expiry_interval=50)))
    site.advance(20)
    site.broker.shutdown(site.now)
    site.start(unix_time=5.0)
    link, _, _ = site.connect("s")
    _, message = site.send(link, Subscribe(1, (Subscription("r"),)))
    assert message.properties.message_expiry_interval == 30


def test_the_will_of_a_connection_that_a_crash_ended_is_published_though_its_session_is_gone(site):
    """[3.1.1 MQTT-3.1.2-8, 5.0 MQTT-3.1.2-8]"""
    site.connect("v", expiry=0, will=Will("gone", b"farewell", QoS.AT_LEAST_ONCE, True))
    site.restart()
    assert [message.payload for message in site.broker.house.retained] == [b"farewell"]
    assert not site.connect("v", expiry=0)[1]


def test_after_a_crash_no_identifier_is_given_again_that_a_message_had_which_left_before_it_was_kept(site):
    """[5.0 MQTT-2.2.1-4]"""
    link, _, _ = site.connect("s")
    site.send(link, Subscribe(1, (Subscription("t", QoS.AT_LEAST_ONCE),)))
    publisher, _, _ = site.connect("p")
    site.send(publisher, publish("t", b"kept", 1, 1))
    (kept,) = site.received(link)
    publisher.receive_data(encode(publish("t", b"lost", 1, 2), V5), site.now)
    for other, pieces, _ in site.broker.take_output():
        assert other.is_promise is (other is publisher)
        site.links[other].feed(b"".join(pieces))
    (lost,) = list(site.links[link])
    site.restart()
    link, present, packets = site.connect("s")
    assert present
    assert [(packet.payload, packet.packet_id) for packet in packets] == [(b"kept", kept.packet_id)]
    publisher, _, _ = site.connect("p")
    site.send(publisher, publish("t", b"new", 1, 2))
    (new,) = site.received(link)
    assert new.packet_id not in (kept.packet_id, lost.packet_id)
    site.send(link, PubAck(kept.packet_id), PubAck(new.packet_id))
    site.restart()
    link, _, _ = site.connect("s")
    publisher, _, _ = site.connect("p")
    site.send(publisher, publish("t", b"newer", 1, 3))
    assert site.received(link)[0].packet_id > new.packet_id


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize(("published", "leaves_at_once"), [(0, True), (1, False), (2, False)])
def test_at_qos_0_only_what_came_at_qos_0_leaves_before_it_is_kept(site, published, leaves_at_once, count):
    """Its publisher may send it again after a crash, and here it comes at most once. [5.0 4.3.1]"""
    link, _, _ = site.connect("s")
    site.send(link, Subscribe(1, (Subscription("t", QoS.AT_MOST_ONCE),)))
    publisher, _, _ = site.connect("p")
    packets = [publish("t", b"x", published, number if published else None) for number in range(1, count + 1)]
    publisher.receive_data(b"".join(encode(packet, V5) for packet in packets), site.now)
    outputs = {other: other.is_promise for other, _, _ in site.broker.take_output()}
    assert outputs[link] is not leaves_at_once


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("expiry", [0, 1000])
def test_at_qos_2_nothing_leaves_before_it_is_kept_whether_the_session_is_or_not(site, expiry, count):
    """Its publisher sends it again after a crash, and it comes once. [5.0 4.3.3]"""
    link, _, _ = site.connect("s", expiry=expiry)
    site.send(link, Subscribe(1, (Subscription("t", QoS.EXACTLY_ONCE),)))
    publisher, _, _ = site.connect("p")
    packets = [publish("t", b"x", 2, number) for number in range(1, count + 1)]
    publisher.receive_data(b"".join(encode(packet, V5) for packet in packets), site.now)
    assert {other: other.is_promise for other, _, _ in site.broker.take_output()}[link]
