"""A broker that is stopped and started again goes on where it stood, from memory or from a file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.store import MemoryStore, Snapshot, SqliteStore, StoreError
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
    """A broker at a time, restarted at will."""

    def __init__(self, store) -> None:
        self.store = store
        self.now = 100.0
        self.links: dict = {}
        self.start()

    def start(self, unix_time: float | None = None) -> None:
        self.broker = Broker(BrokerConfig(store_interval_seconds=60), store=self.store)
        self.broker.load(self.now, unix_time)

    def restart(self) -> None:
        """Stop, wait, start with another clock."""
        self.broker.shutdown(self.now)
        self.now = 5_000_000.0
        self.start()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.broker.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.broker.handle_timer(self.now)
        self.now = end

    def connect(self, client_id: str, version: Version = V5, **fields):
        link = self.broker.connect(self.now)
        self.links[link] = Reader(version)
        expiry = fields.pop("expiry", 1000)
        properties = Properties(session_expiry_interval=expiry) if version is V5 else NO_PROPERTIES
        connack, *rest = self.send(link, Connect(version, client_id, False, properties=properties, **fields))
        assert isinstance(connack, ConnAck)
        return link, connack.session_present, rest

    def send(self, link, *packets: Packet) -> list[Packet]:
        for packet in packets:
            link.receive_data(encode(packet, link.version or packet.version), self.now)
        return self.received(link)

    def received(self, link) -> list[Packet]:
        for other, pieces, _ in self.broker.take_output():
            if other in self.links:
                self.links[other].feed(b"".join(pieces))
        return list(self.links[link])


@pytest.fixture(params=["memory", "sqlite"])
def site(request, tmp_path: Path) -> Site:
    return Site(MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "state.db"))


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
    link.connection_lost(site.now)
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


def test_a_file_from_before_a_table_was_added_is_read(tmp_path):
    path = tmp_path / "state.db"
    site = Site(SqliteStore(path))
    site.connect("s")
    site.broker.shutdown(site.now)
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE bringing")
    site.start()
    assert "s" in site.broker.house.sessions


def test_sessions_without_expiry_do_not(site):
    """[5.0 MQTT-4.1.0-2]"""
    site.connect("s", expiry=0)
    site.restart()
    assert not site.connect("s")[1]


def test_expiry_goes_on_from_where_it_stood(site):
    link, _, _ = site.connect("s", expiry=100)
    link.connection_lost(site.now)
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
        link.connection_lost(site.now)
    site.advance(20)
    site.restart()
    site.connect("b")
    site.advance(29)
    assert len(site.broker.house.retained) == 0
    site.advance(2)
    (message,) = site.broker.house.retained
    assert (message.topic, message.properties) == ("a", Properties(content_type="w"))


def test_state_is_saved_as_time_passes(site):
    link, _, _ = site.connect("p")
    site.send(link, Publish("t", b"x", retain=True))
    site.advance(61)
    site.start()  # as after a crash: nobody said goodbye
    assert len(site.broker.house.retained) == 1


def test_a_3x_filter_that_looks_shared_stays_what_it_is(site):
    link, _, _ = site.connect("s", V311)
    site.send(link, Subscribe(1, (Subscription("$share/g/t"),)))
    site.restart()
    link, _, _ = site.connect("s", V311)
    site.send(link, publish("t", b"no"), publish("$share/g/t", b"yes"))
    site.restart()  # and once more, from what was restored
    link, _, _ = site.connect("s", V311)
    assert [packet.payload for packet in site.send(link, publish("$share/g/t", b"yes"))] == [b"yes"]


def test_a_file_of_another_kind_is_not_overwritten_by_mistake(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be taken for one " * 10)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        SqliteStore(text).load()
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE something (x)")
    with pytest.raises(StoreError, match=r"other\.db"):
        SqliteStore(other).load()


def test_no_file_is_an_empty_snapshot_and_a_missing_folder_an_error(tmp_path):
    assert SqliteStore(tmp_path / "none.db").load() == Snapshot()
    with pytest.raises(StoreError, match="cannot be written"):
        SqliteStore(tmp_path / "no" / "folder.db").save(Snapshot())


def test_a_snapshot_is_replaced_wholly(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    site = Site(store)
    link, _, _ = site.connect("p")
    site.send(link, Publish("t", b"x", retain=True))
    site.broker.save(site.now)
    assert len(store.load().retained) == 1
    site.send(link, Publish("t", b"", retain=True))
    site.broker.save(site.now)
    assert store.load().retained == ()


def test_a_store_that_fails_does_not_stop_the_broker(tmp_path):
    site = Site(SqliteStore(tmp_path / "state.db"))
    site.store.path = tmp_path / "no" / "folder.db"
    lines: list[str] = []
    site.broker.log = lines.append
    site.advance(121)
    assert len(lines) == 2
    assert "cannot be written" in lines[0]


def test_messages_age_while_no_broker_runs(site):
    """[5.0 MQTT-3.3.2-5, MQTT-3.3.2-6]"""
    site.start(unix_time=1_000.0)
    site.connect("s")[0].connection_lost(site.now)
    subscriber, _, _ = site.connect("s")
    site.send(subscriber, Subscribe(1, (Subscription("t", QoS.AT_LEAST_ONCE),)))
    subscriber.connection_lost(site.now)
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
    site.broker.save(site.now)
    site.start()  # as after a crash: nobody said goodbye
    assert [message.payload for message in site.broker.house.retained] == [b"farewell"]
    assert not site.connect("v", expiry=0)[1]


def test_a_file_of_before_the_time_was_noted_is_read(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    store.save(Snapshot(saved_at=3.0))
    assert store.load().saved_at == 3.0
    with sqlite3.connect(store.path) as database:
        database.execute("DROP TABLE saved")
    assert store.load() == Snapshot()


def test_an_interval_of_0_leaves_saving_to_whoever_writes_the_answers():
    broker = Broker(BrokerConfig(store_interval_seconds=0), store=MemoryStore())
    broker.load(0.0)
    assert broker.saves_before_answering
    assert broker.next_deadline() is None
    assert not Broker(BrokerConfig(store_interval_seconds=0)).saves_before_answering
