"""However many retained messages a subscription brings: all arrive, in order with live ones, a few held at a time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from broker_harness import ALL_VERSIONS, V5, V311, Client, World, kept
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_broker.broker import AccessRule, Broker, BrokerConfig, DropPolicy
from reference_broker.broker.keeping.retained_tree import RetainedTree
from reference_broker.broker.values.message import Message
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Publish, SubAck, Subscribe, Subscription
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.topics import matches
from reference_broker.wire.types import QoS, RetainHandling

pytestmark = pytest.mark.thorough

BREATHS = 100.0
"""More than all the breaths of a test take."""
AT_ONCE_BYTES = 256 * 1024
"""More than leaves at once, if no single message is larger."""


def world_with(count: int, qos: int = 1, *, fast_path: bool = True, size: int = 0, **settings) -> World:
    """A broker with so many retained messages on `r/0`, `r/1`, ..., each of which says its number."""
    world = World(Broker(BrokerConfig(**settings), seed=1, fast_path=fast_path))
    for number in range(count):
        payload = b"%d" % number + bytes(size)
        world.broker.house.retained.keep(
            Message(f"r/{number}", payload, QoS(qos), True, NO_PROPERTIES, world.now, "publisher"),
        )
    return world


def numbers(messages: list) -> list[int]:
    """Which of the retained messages these are, in order of arrival."""
    assert all(isinstance(message, Publish) for message in messages), messages
    return [int(message.topic.partition("/")[2]) for message in messages if message.retain]


def reader(world: World, name: str = "s", version=V5, **connect) -> Client:
    """A client that acknowledges at once."""
    client = Client(world, name, version)
    client.automatic = True
    client.connect(**connect)
    return client


def rest(client: Client) -> list[Publish]:
    """Acknowledge from now on, and what has come then, what came before included."""
    client.automatic = True
    for packet in client.inbox:
        client.acknowledge(packet)
    client.world.collect()
    client.world.advance(BREATHS)
    return publishes(client)


def publishes(client: Client) -> list[Publish]:
    """The PUBLISH packets of what arrived."""
    return [packet for packet in client.take() if isinstance(packet, Publish)]


# --- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_all_arrive_beyond_window_and_queue(version, qos):
    """[3.1.1 MQTT-3.3.1-6, 5.0 MQTT-3.3.1-9]"""
    world = world_with(300, 2, maximum_inflight=20, queue_maximum_messages=100)
    client = reader(world, version=version)
    client.subscribe("r/#", qos=qos)
    world.advance(BREATHS)
    arrived = publishes(client)
    assert numbers(arrived) == list(range(300))
    assert {message.qos for message in arrived} == {qos}


@pytest.mark.parametrize("qos", [0, 1])
def test_more_arrive_than_the_queue_holds(qos):
    """[5.0 MQTT-3.3.1-9]"""
    world = world_with(12_500, qos)
    client = reader(world)
    client.subscribe("#", qos=2)
    world.advance(BREATHS)
    assert numbers(publishes(client)) == list(range(12_500))


@pytest.mark.parametrize("qos", [1, 2])
def test_receive_maximum_is_kept_and_all_arrive(qos):
    """[5.0 MQTT-3.3.4-9, MQTT-3.3.1-9]"""
    world = world_with(300, qos)
    client = world.client("s", V5, receive_maximum=5)
    client.subscribe("r/+", qos=2)
    arrived = []
    while now := publishes(client):
        assert len(now) <= 5
        arrived += now
        for message in now:
            client.acknowledge(message)
        if qos == 2:
            world.collect()
            for packet in client.take():
                client.acknowledge(packet)
        world.collect()
    assert numbers(arrived) == list(range(300))


def test_every_filter_brings_its_own():
    """[5.0 MQTT-3.3.1-9, MQTT-3.8.4-5]"""
    world = world_with(500, maximum_inflight=10)
    client = reader(world)
    client.subscribe("r/+", "r/#", "r/7", qos=1)
    world.advance(BREATHS)
    assert numbers(publishes(client)) == [*range(500), *range(500), 7]


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_the_flag_is_set_on_what_waited_too(version):
    """[3.1 MQTT31-13, 3.1.1 MQTT-3.3.1-8]"""
    world = world_with(30, 1, maximum_inflight=1)
    client = reader(world, version=version)
    client.subscribe("#", qos=1)
    world.advance(BREATHS)
    arrived = publishes(client)
    assert len(arrived) == 30
    assert all(message.retain for message in arrived)


# --- a few at a time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [100, 128, 129, 1000])
def test_an_adapter_that_asks_for_output_once_after_each_call_gets_all(count):
    """As one with sockets does."""
    world = world_with(count, 0)
    client = world.client("s", V5)
    client.link.receive_data(encode(Subscribe(1, (Subscription("#", QoS.AT_MOST_ONCE),)), V5), world.now)
    for link, pieces, _ in world.broker.take_output():
        world.clients[link].take_bytes(b"".join(pieces), False)
    while (deadline := world.broker.next_deadline()) is not None:
        world.now = deadline
        world.broker.handle_timer(world.now)
        for link, pieces, _ in world.broker.take_output():
            world.clients[link].take_bytes(b"".join(pieces), False)
    assert len(publishes(client)) == count


@pytest.mark.parametrize("qos", [0, 1])
def test_others_get_their_turn_while_many_are_sent(qos):
    """A read that brings 20,000 of them sends a few hundred, and the rest by and by."""
    world = world_with(20_000, qos)
    client = world.client("s", V5)
    client.link.receive_data(b"\x82\x09\x00\x01\x00\x00\x03r/#" + bytes([qos]), world.now)
    ((_, pieces, _),) = world.broker.take_output()
    assert sum(map(len, pieces)) <= AT_ONCE_BYTES
    assert len(pieces) <= 300
    deadline = world.broker.next_deadline()
    assert deadline is not None
    assert world.now < deadline <= world.now + 0.01


def test_others_get_their_turn_while_many_are_looked_at_in_vain():
    world = World()
    for number in range(20_000):
        world.broker.house.retained.keep(Message(f"a/{number}/b", b"x", QoS(0), True, NO_PROPERTIES, world.now))
    world.broker.house.retained.keep(Message("a/last/c", b"x", QoS(0), True, NO_PROPERTIES, world.now))
    client = world.client("s", V5)
    filters = (Subscription("+/+/c", QoS.AT_MOST_ONCE), Subscription("a/+/c", QoS.AT_MOST_ONCE))
    before = time.process_time()
    client.link.receive_data(encode(Subscribe(1, filters), V5), world.now)
    began = time.process_time()
    world.collect()
    assert isinstance(client.inbox[0], SubAck)
    world.advance(BREATHS)
    assert [message.topic for message in publishes(client)] == ["a/last/c"] * 2
    assert began - before < (time.process_time() - began) / 3


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_nothing_is_held_for_a_client_that_does_not_read(qos):
    world = world_with(1000, qos, size=5000)
    client = reader(world)
    client.link.pause_writing()
    client.subscribe = lambda *_, **__: client.send(Subscribe(1, (Subscription("#", QoS.EXACTLY_ONCE),)))
    client.subscribe()
    world.advance(BREATHS)
    assert client.link.held_bytes <= 100
    arrived = []
    for _ in range(2000):
        client.link.resume_writing()
        client.link.pause_writing()
        world.advance(0.01)
        assert client.link.held_bytes <= AT_ONCE_BYTES
        if len(arrived) == 1000:
            break
        client.link.resume_writing()
        world.collect()
        arrived += publishes(client)
    assert numbers(arrived) == list(range(1000))


@pytest.mark.parametrize("filters", [["r/0"] * 1000, ["r/0", "#", "r/#", "r/+", "+/0", "+/+", "+/#"] * 100])
def test_one_large_message_asked_for_often_in_one_packet_is_held_a_few_times(filters):
    """A SUBSCRIBE of some kilobytes never costs gigabytes."""
    world = world_with(1, 0, size=1_000_000)
    client = world.client("s", V5)
    subscribe = Subscribe(1, tuple(Subscription(topic_filter, QoS.AT_MOST_ONCE) for topic_filter in filters))
    client.link.receive_data(encode(subscribe, V5), world.now)
    ((_, pieces, _),) = world.broker.take_output()
    assert sum(map(len, pieces)) <= 2_100_000
    client.link.pause_writing()
    world.advance(BREATHS)
    assert client.link.held_bytes == 0
    session = world.broker.house.sessions.get("s")
    assert session is not None
    assert session.queue is None or len(session.queue.retained) <= len(set(filters))


def test_nothing_is_left_behind_when_all_have_left():
    """Neither a queue nor a place in the store."""
    world = world_with(1000)
    client = reader(world)
    client.subscribe("#", qos=1)
    world.advance(BREATHS)
    session = world.broker.house.sessions.get("s")
    assert session is not None
    assert session.queue is None
    assert world.broker.house.retained._waiting_at == {}
    assert client.link.sender.is_plain


@pytest.mark.parametrize("end", ["unsubscribe", "clean-start", "drop"])
def test_the_store_forgets_who_wanted_the_rest(end):
    world = world_with(100)
    client = world.client("s", V5, receive_maximum=1)
    client.subscribe("#", qos=1)
    assert len(world.broker.house.retained._waiting_at) == 1
    if end == "unsubscribe":
        client.unsubscribe("#")
    elif end == "clean-start":
        world.client("s", V5, clean_start=True)
    else:
        client.drop()
    assert world.broker.house.retained._waiting_at == {}


# --- carried over ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("how", ["cut", "takeover"])
def test_what_a_kept_session_has_not_got_follows_after_its_return(version, qos, how):
    """Once each; what was in flight is sent again as any other message. [5.0 4.1, MQTT-4.4.0-1]"""
    world = world_with(1000, 2, maximum_inflight=10)
    client = world.client("s", version, **kept(version))
    client.subscribe("#", qos=qos)
    first = client.messages()
    if how == "cut":
        client.drop()
    client = reader(world, version=version, **kept(version))
    world.advance(BREATHS)
    again = publishes(client)
    dups = [message for message in again if message.dup]
    assert numbers(dups) == (numbers(first) if qos else [])
    assert numbers(first) + numbers([message for message in again if not message.dup]) == list(range(1000))


def test_a_session_that_returns_in_another_version_gets_the_rest():
    world = world_with(100, 1)
    client = world.client("s", V5, receive_maximum=1, **kept(V5))
    client.subscribe("#", qos=1, identifier=7)
    client.drop()
    client = reader(world, version=V311, **kept(V311))
    world.advance(BREATHS)
    assert numbers(publishes(client)) == list(range(100))


def test_all_that_has_arrived_is_not_sent_again_at_resumption():
    """[5.0 3.3.1.3: a retained message comes with a subscription, not with a connection]"""
    world = world_with(300)
    client = reader(world, **kept(V5))
    client.subscribe("#", qos=1)
    world.advance(BREATHS)
    assert len(publishes(client)) == 300
    client.drop()
    client.connect(**kept(V5))
    assert client.take() == []


# --- in order with live messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize("live_qos", [0, 1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_live_message_is_followed_by_no_older_retained_one(fast_path, qos, live_qos):
    """[5.0 MQTT-4.6.0-5, MQTT-4.6.0-6]"""
    world = world_with(2000, qos, fast_path=fast_path)
    client = world.client("s", V5, receive_maximum=1)
    client.link.receive_data(encode(Subscribe(1, (Subscription("#", QoS.EXACTLY_ONCE),)), V5), world.now)
    publisher = world.client("p", V5)
    packets = [Publish("r/1990", b"live", QoS(live_qos), packet_id=n if live_qos else None) for n in (1, 2)]
    publisher.link.receive_data(b"".join(encode(packet, V5) for packet in packets), world.now)
    on_topic = [message for message in rest(client) if message.topic == "r/1990"]
    assert [(message.payload, message.retain) for message in on_topic] == [
        (b"1990", True),
        (b"live", False),
        (b"live", False),
    ]


@pytest.mark.parametrize("live_qos", [0, 1, 2])
def test_what_replaces_a_retained_message_on_the_way_comes_once(live_qos):
    """As it was published, and not as retained too. The replaced one is gone."""
    world = world_with(2000, 1)
    client = world.client("s", V5, receive_maximum=1)
    client.subscribe("#", qos=2)
    publisher = world.client("p", V5)
    publisher.publish("r/1990", b"newer", live_qos)
    publisher.publish("r/1990", b"newest", live_qos, retain=True)
    publisher.publish("r/1991", b"", live_qos, retain=True)
    publisher.publish("r/new", b"new", live_qos, retain=True)
    messages = rest(client)
    assert [message.payload for message in messages if message.topic == "r/1990"] == [b"newer", b"newest"]
    assert [message.payload for message in messages if message.topic == "r/1991"] == [b""]
    assert [message.payload for message in messages if message.topic == "r/new"] == [b"new"]
    assert len(messages) == 2000 - 2 + 4


def test_what_replaces_it_at_qos_0_is_kept_for_who_is_away():
    """A message that the rest of the retained ones leaves out, because it came later, comes as a live one."""
    world = world_with(20, 1)
    client = world.client("s", V5, receive_maximum=1, **kept(V5))
    client.subscribe("#", qos=1)
    client.drop()
    publisher = world.client("p", V5)
    publisher.publish("r/10", b"passing")
    publisher.publish("r/10", b"newer", retain=True)
    client = reader(world, **kept(V5))
    world.advance(BREATHS)
    messages = publishes(client)
    assert [message.payload for message in messages if message.topic == "r/10"] == [b"newer"]
    assert len(messages) == 20


def test_messages_that_waited_before_the_subscription_come_before():
    world = world_with(3, 1)
    client = world.client("s", V5, receive_maximum=1)
    client.automatic = True
    client.subscribe("live", qos=1)
    publisher = world.client("p", V5)
    client.automatic = False
    publisher.send(*[Publish("live", b"%d" % n, QoS.AT_LEAST_ONCE, packet_id=n) for n in (1, 2, 3)])
    client.subscribe("r/#", qos=1)
    publisher.send(Publish("live", b"4", QoS.AT_LEAST_ONCE, packet_id=4))
    client.automatic = True
    (first,) = client.take()
    client.acknowledge(first)
    world.collect()
    assert [message.payload for message in publishes(client)] == [b"2", b"3", b"0", b"1", b"2", b"4"]


def test_messages_that_expire_in_the_queue_do_not_change_whose_turn_it_is():
    world = world_with(2, 1, queue_maximum_messages=3)
    client = world.client("s", V5, receive_maximum=1)
    client.subscribe("live", qos=1)
    publisher = world.client("p", V5)
    for number, expiry in enumerate((100, 1, 100)):
        publisher.publish("live", b"before %d" % number, 1, message_expiry_interval=expiry)
    client.subscribe("r/#", qos=1)
    publisher.publish("live", b"behind 3", 1, message_expiry_interval=1)
    world.advance(2)
    publisher.publish("live", b"behind 4", 1)
    publisher.publish("live", b"behind 5", 1)
    client.automatic = True
    (first,) = client.take()
    client.acknowledge(first)
    world.collect()
    assert [message.payload for message in publishes(client)] == [b"before 2", b"0", b"1", b"behind 4", b"behind 5"]


def test_the_oldest_that_waits_is_dropped_and_no_retained_message():
    world = world_with(10, 1, queue_maximum_messages=2, queue_drop_policy=DropPolicy.OLDEST)
    client = world.client("s", V5, receive_maximum=1)
    client.subscribe("#", qos=1)
    publisher = world.client("p", V5)
    for number in range(5):
        publisher.publish("live", b"%d" % number, 1)
    client.automatic = True
    client.acknowledge(client.take()[0])
    world.collect()
    messages = publishes(client)
    assert numbers(messages) == list(range(1, 10))
    assert [message.payload for message in messages if not message.retain] == [b"3", b"4"]


class Watched:
    """Publishers whose messages count up, and one subscriber that is slow, is cut and comes back."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.world = World(Broker(BrokerConfig(maximum_inflight=5), seed=1, fast_path=self.rng.random() < 0.5))
        self.publisher = self.world.client("p", V5)
        self.number = 0
        self.last: dict[str, int] = {}
        self.seen: dict[str, list[tuple[int, bool]]] = {}
        self.topics = [f"a/{n}" for n in range(self.rng.choice([3, 20, 60]))]
        for topic in self.topics:
            self.publish(topic, retain=True)
        self.client = self.world.client("s", V5, **kept(V5))
        self.subscribe()

    def publish(self, topic: str | None = None, *, retain: bool | None = None) -> None:
        self.number += 1
        topic = topic or self.rng.choice(self.topics)
        retain = self.rng.random() < 0.5 if retain is None else retain
        self.publisher.publish(topic, b"%d" % self.number, self.rng.choice([1, 2]), retain=retain)
        self.last[topic] = self.number

    def subscribe(self) -> None:
        self.client.send(Subscribe(1, (Subscription("#", QoS(2)),)))

    def read(self) -> None:
        for packet in self.client.take():
            if isinstance(packet, Publish):
                seen, message = self.seen.setdefault(packet.topic, []), (int(packet.payload), packet.retain)
                if not packet.dup or message not in seen:
                    seen.append(message)
                self.client.acknowledge(packet)
            elif not isinstance(packet, SubAck):
                self.client.acknowledge(packet)
        self.world.collect()

    def cut(self) -> None:
        self.read()
        self.client.drop()
        self.client.take()
        for _ in range(self.rng.randrange(4)):
            self.publish()
        self.client.connect(**kept(V5))

    def run(self) -> None:
        actions: list[Callable[[], None]] = [self.publish] * 5 + [self.read] * 4 + [self.cut]
        for _ in range(60):
            self.rng.choice(actions)()
            self.world.advance(0.0005)
        for _ in range(200):
            self.read()
            self.world.advance(0.01)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_no_topic_ever_goes_back_and_the_last_message_arrives(seed):
    watched = Watched(seed)
    watched.run()
    for topic, last in watched.last.items():
        seen = [number for number, _ in watched.seen[topic]]
        assert seen == sorted(set(seen)), (topic, watched.seen[topic])
        assert seen[-1] == last


# --- subscriptions that change on the way ----------------------------------------------------------------------------


def test_unsubscribe_ends_what_was_to_come():
    """[3.1.1 MQTT-3.10.4-2, 5.0 MQTT-3.10.4-2]"""
    for version in ALL_VERSIONS:
        world = world_with(100, 1, maximum_inflight=1)
        client = world.client("s", version)
        client.subscribe("r/#", "live", qos=1)
        world.client("p", V5).publish("live", b"live", 0)
        client.unsubscribe("r/#")
        (message,) = client.messages()
        client.acknowledge(message)
        world.collect()
        assert client.payloads() == [b"live"]
        client.subscribe("r/#", qos=1, **({"retain_handling": RetainHandling.DO_NOT_SEND} if version is V5 else {}))
        assert len(client.messages()) == (0 if version is V5 else 1)


def test_a_second_subscribe_brings_all_of_them_again():
    """[3.1.1 MQTT-3.8.4-3, 5.0 MQTT-3.8.4-3]"""
    world = world_with(50, 1, maximum_inflight=10)
    client = world.client("s", V5)
    client.subscribe("#", qos=1)
    before = client.take()
    client.subscribe("#", qos=1)
    client.automatic = True
    for message in before:
        client.acknowledge(message)
    world.collect()
    assert numbers(publishes(client)) == list(range(50))


@pytest.mark.parametrize("handling", [RetainHandling.DO_NOT_SEND, RetainHandling.SEND_IF_NEW])
def test_a_second_subscribe_that_wants_none_takes_none_away(handling):
    """They come at the QoS that is granted now. [5.0 MQTT-3.8.4-4, MQTT-3.8.4-8]"""
    world = world_with(50, 1, maximum_inflight=10)
    client = world.client("s", V5)
    client.subscribe("#", qos=1)
    before = client.take()
    client.subscribe("#", qos=0, retain_handling=handling, identifier=9)
    for message in before:
        client.acknowledge(message)
    world.collect()
    rest = client.take()
    assert numbers([*before, *rest]) == list(range(50))
    assert {message.qos for message in rest} == {0}
    assert {message.properties.subscription_identifier for message in rest} == {(9,)}


def test_what_expires_or_may_not_be_received_or_is_ones_own_is_left_out():
    """[5.0 MQTT-3.3.2-5, MQTT-3.8.3-3]"""
    world = World(maximum_inflight=1, access_rules=(AccessRule("secret/#", allow=False),))
    for number in range(4):
        name = ("own", "secret/x", "short", "long")[number]
        interval = {"short": 5, "long": 10}.get(name)
        properties = Properties(message_expiry_interval=interval)
        publisher = "s" if name == "own" else "p"
        for topic in (f"{name}/a", f"{name}/b"):
            world.broker.house.retained.keep(Message(topic, b"x", QoS(1), True, properties, world.now, publisher))
    client = world.client("s", V5)
    client.subscribe("+/a", "#", qos=1, no_local=True)
    arrived = []
    while messages := publishes(client):
        for message in messages:
            arrived.append((message.topic, message.properties.message_expiry_interval))
            world.advance(6 if len(arrived) == 1 else 0)
            client.acknowledge(message)
        world.collect()
    assert arrived == [("short/a", 5), ("long/a", 4), ("long/a", 4), ("long/b", 4)]


# --- the store -------------------------------------------------------------------------------------------------------

LEVEL = st.sampled_from(["a", "b", "", "$x"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=3).map("/".join).filter(bool)
FILTER = st.sampled_from(["#", "+", "a/#", "+/b", "a/+/b", "+/#", "$x/#", "a/b", "+/+", "/#"])


@settings(max_examples=100)
@given(
    before=st.lists(TOPIC, max_size=12),
    topic_filter=FILTER,
    changes=st.lists(st.tuples(st.sampled_from(["next", "next", "set", "clear"]), TOPIC), max_size=30),
)
def test_whatever_changes_meanwhile_each_message_that_stays_is_found_once(before, topic_filter, changes):
    retained = RetainedTree()

    def put(topic: str) -> Message:
        message = Message(topic, b"x", QoS.AT_MOST_ONCE, True, NO_PROPERTIES, 0.0)
        retained.set(message)
        return message

    there = {topic: put(topic) for topic in before}
    walks = [retained.match(topic_filter, 0.0) for _ in range(2)]
    abandoned = retained.match(topic_filter, 0.0)
    next(abandoned, None)
    found: list[list[Message]] = [[], []]
    touched = set()
    for what, topic in changes:
        if what == "next":
            found[0] += [message for message in [next(walks[0], None)] if message is not None]
        else:
            touched.add(topic)
            put(topic) if what == "set" else retained.clear(topic)
    for begun, walk in zip(found, walks, strict=True):
        each = [*begun, *walk]
        topics = [message.topic for message in each]
        assert len(topics) == len(set(topics))
        assert all(there.get(message.topic) is message for message in each)
        wanted = {topic for topic in there if matches(topic_filter, topic)}
        assert wanted - touched <= set(topics) <= (wanted if begun else wanted - touched)
    del abandoned
    assert retained._waiting_at == {}


@pytest.mark.parametrize("rule", ["r/#", "r/3/#"])
def test_the_rest_reaches_no_other_user_who_may_not_have_it(rule):
    """Neither by a subscription that user may not make, nor on a topic it may not receive."""
    world = world_with(6, maximum_inflight=1, access_rules=(AccessRule(rule, username="bob"),))
    client = world.client("s", V5, username="alice", **kept(V5))
    client.subscribe("r/#", qos=1)
    assert numbers(client.messages()) == [0]
    client.drop()
    client = reader(world, username="bob", **kept(V5))
    world.advance(BREATHS)
    assert set(numbers(publishes(client))) <= ({0} if rule == "r/#" else {0, 1, 2, 4, 5})
    assert world.broker.house.retained._waiting_at == {}
