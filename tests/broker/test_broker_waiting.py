"""What waits in a session is given out in order, whether it is kept message by message or as it came."""

from __future__ import annotations

import gc
from collections import deque

import pytest
from broker_harness import ALL_VERSIONS, V5, V311, World
from broker_twins import Twins, stream
from hypothesis import given
from hypothesis import strategies as st

from reference_broker.broker import DropPolicy
from reference_broker.broker.keeping.session import Session
from reference_broker.broker.outgoing.bursts import Burst
from reference_broker.broker.outgoing.forms import Form
from reference_broker.broker.outgoing.waiting import Waiting, WaitingRun
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.broker.values.terms import Terms
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import PubAck, Publish, Subscribe, Subscription
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

ONE = QoS.AT_LEAST_ONCE
PAYLOAD_BYTES = 8
TERMS = Terms(ONE, False, False, ())


def burst(first: int, count: int, version: Version) -> bytes:
    """Neighbouring QoS 1 packets whose payloads are numbers from `first`."""
    packets = (Publish("t", b"%08d" % n, ONE, packet_id=n + 1) for n in range(first, first + count))
    return b"".join(encode(packet, version) for packet in packets)


def kept(first: int, count: int) -> Burst:
    """The same as the fast path keeps it."""
    data = burst(first, count, V311)
    form = Form("t", NO_PROPERTIES)
    return Burst(data, 0, len(data) // count, count, 5, 7, form, ONE, False, 0.0, "p")


def single(number: int, interval: int | None, qos: QoS = ONE) -> Delivery:
    """A message by itself."""
    properties = Properties(message_expiry_interval=interval)
    return Delivery(Message("t", b"%08d" % number, qos, False, properties, 0.0), qos, retain=False)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("one"), st.sampled_from([None, 1, 100])),
        st.tuples(st.just("run"), st.integers(1, 6)),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("launch"), st.integers(1, 4)),
        st.tuples(st.just("qos 0"), st.just(100)),
        st.tuples(st.just("expire"), st.just(1)),
    ),
    max_size=40,
)


@given(STEPS)
def test_both_forms_are_one_queue(steps):
    """Against a plain list of payloads, expiry times and QoS."""
    waiting, model, number, now = Waiting(), deque(), 0, 0.0
    for step, value in steps:
        if step in {"one", "qos 0"}:
            qos = ONE if step == "one" else QoS.AT_MOST_ONCE
            waiting.append(single(number, value, qos))
            model.append((number, value, qos))
            number += 1
        elif step == "run":
            waiting.append_run(WaitingRun(kept(number, value), 0, value, ONE, TERMS))
            model.extend((each, None, ONE) for each in range(number, number + value))
            number += value
        elif step == "take":
            for _ in range(min(value, len(model))):
                assert waiting.popleft().message.payload == b"%08d" % model.popleft()[0]
        elif step == "launch" and (first := waiting.first_run()) is not None:
            count = min(value, first.behind - first.first)
            assert [first.delivery(first.first + n).message.payload for n in range(count)] == [
                b"%08d" % model.popleft()[0] for _ in range(count)
            ]
            waiting.drop_from_run(first, count)
        elif step == "expire":
            now += value
            waiting.drop_expired(now)
            is_first_over = bool(model) and model[0][1] == 1
            while model and model[0][1] == 1:
                model.popleft()
            if not is_first_over:
                model = deque(each for each in model if each[1] != 1)
        assert [delivery.message.payload for delivery in waiting] == [b"%08d" % each for each, *_ in model]
        assert waiting.has_qos0() is any(each[2] is QoS.AT_MOST_ONCE for each in model)
        assert len(waiting) == len(model)
        assert waiting.size_bytes == PAYLOAD_BYTES * len(model)


def test_for_each_message_that_has_no_room_not_all_that_wait_are_looked_at(monkeypatch):
    """Ten thousand that wait would take all the time there is, in each session that wants the message."""
    looked = []
    is_expired = Message.is_expired
    monkeypatch.setattr(Message, "is_expired", lambda message, now: looked.append(now) or is_expired(message, now))
    waiting = Waiting(single(number, 100 if number else None) for number in range(1000))
    for late in range(100):
        waiting.drop_expired(50 + late * 1e-5)
    assert len(looked) <= 1000 + 2 * 100
    waiting.drop_expired(101.0)
    assert len(waiting) == 1


def test_the_first_makes_room_as_soon_as_its_time_is_over_however_many_wait():
    waiting = Waiting(single(number, number + 1) for number in range(30_000))
    waiting.drop_expired(0.5)
    for seconds in range(1, 4):
        waiting.drop_expired(seconds - 0.5)
        waiting.drop_expired(float(seconds))
        assert len(waiting) == 30_000 - seconds


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_stream_that_outruns_the_quota_is_never_taken_apart(version, monkeypatch):
    """Message by message it would be a hundred times slower, and stay so while the publisher goes on."""
    world = World(maximum_inflight=10)
    subscriber, publisher = world.client("s", version), world.client("p", version)
    subscriber.subscribe("t", qos=1)
    made = []
    for module in ("outgoing.forms", "peers.publishing"):
        monkeypatch.setattr(f"reference_broker.broker.{module}.Message", lambda *fields: made.append(fields))
    received = []
    for first in range(0, 100, 50):
        publisher.send_bytes(burst(first, 50, version))
        messages = subscriber.messages()
        while messages:
            assert len(messages) <= 10  # [5.0 MQTT-3.3.4-9]
            received += [message.payload for message in messages]
            subscriber.send(*[PubAck(message.packet_id) for message in messages])
            messages = subscriber.messages()
    assert received == [b"%08d" % n for n in range(100)]
    assert made == []


@pytest.mark.parametrize("publisher_version", ALL_VERSIONS)
@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("identified", [False, True])
def test_a_stream_that_waits_is_given_to_the_next_connection(publisher_version, version, identified):
    """In order, in its version, with its subscription identifier. [5.0 MQTT-4.4.0-1, MQTT-4.6.0-6, MQTT-3.3.4-3]"""
    world = World(maximum_inflight=3)
    fields = {"clean_start": False, "session_expiry_interval": 100}
    subscriber, publisher = world.client("s", V5, **fields), world.client("p", publisher_version)
    subscriber.subscribe("t", qos=1, identifier=7 if identified else None)
    publisher.send_bytes(burst(0, 20, publisher_version))
    assert len(subscriber.messages()) == 3
    subscriber.drop()
    subscriber.version = version
    subscriber.automatic = True
    subscriber.connect(**(fields if version is V5 else {"clean_start": False}))
    messages = subscriber.messages()
    assert [message.payload for message in messages] == [b"%08d" % n for n in range(20)]
    assert [message.dup for message in messages] == [True] * 3 + [False] * 17
    expected = (7,) if identified and version is V5 else ()
    assert {message.properties.subscription_identifier for message in messages} == {expected}


def test_a_long_topic_is_not_kept_once_for_each_message():
    """The bound on the queue's bytes counts payloads."""
    world = World(maximum_inflight=1)
    subscriber, publisher = world.client("s", V311), world.client("p", V311)
    subscriber.subscribe("#", qos=1)
    topic = "t" * 300
    packets = [encode(Publish(topic, b"%d" % n, ONE, packet_id=n + 1), V311) for n in range(9)]
    publisher.send_bytes(b"".join(packets))
    queue = world.broker.house.sessions.get("s").queue
    assert len(queue) == 8
    assert queue.first_run() is None
    assert len({id(delivery.message.topic) for delivery in queue}) == 1


@pytest.mark.parametrize("bound", [{"queue_maximum_messages": 5}, {"queue_maximum_bytes": 5 * PAYLOAD_BYTES}])
def test_what_a_full_queue_has_no_room_for_is_not_looked_at(bound, monkeypatch):
    world = World(maximum_inflight=2, **bound)
    subscriber, publisher = world.client("s", V311), world.client("p", V311)
    subscriber.subscribe("t", qos=1)
    made = []
    monkeypatch.setattr("reference_broker.broker.outgoing.forms.Message", lambda *fields: made.append(fields))
    for first in (0, 50):
        publisher.send_bytes(burst(first, 50, V311))
    assert made == []
    subscriber.automatic = True
    first_two = subscriber.messages()
    subscriber.send(*[PubAck(message.packet_id) for message in first_two])
    assert [message.payload for message in first_two + subscriber.messages()] == [b"%08d" % n for n in range(7)]


def test_what_waits_for_one_session_does_not_keep_another_alive():
    world = World(maximum_inflight=1)
    subscriber, publisher = world.client("s", V311), world.client("p", V311)
    gone = world.client("ended here", V311)
    for client in (subscriber, gone):
        client.subscribe("t", qos=1)
    publisher.send_bytes(burst(0, 9, V311))
    gone.disconnect()
    publisher.send_bytes(burst(9, 9, V311))  # until the next message what is known of a topic is kept
    gc.collect()
    assert [each.client_id for each in gc.get_objects() if isinstance(each, Session)].count("ended here") == 0
    assert len(world.broker.house.sessions.get("s").queue) == 17


def test_what_waits_does_not_keep_the_rest_of_its_read():
    world = World(maximum_inflight=1)
    subscriber, publisher = world.client("s", V311), world.client("p", V311)
    subscriber.subscribe("t", qos=1)
    publisher.send_bytes(encode(Publish("elsewhere", bytes(100_000)), V311) + burst(0, 9, V311))
    waiting = world.broker.house.sessions.get("s").queue.first_run()
    assert len(waiting.burst.data) == len(burst(0, 9, V311))


@pytest.mark.parametrize("policy", DropPolicy)
def test_expired_messages_make_room_for_a_stream_too(policy):
    """[5.0 MQTT-3.3.2-5]"""
    twins = Twins(maximum_inflight=1, queue_maximum_messages=6, queue_drop_policy=policy)
    twins.connect("s", V5)
    twins.connect("p", V5)
    twins.feed("s", encode(Subscribe(1, (Subscription("t", ONE),)), V5), [])
    twins.feed("p", stream(1, 5, V5, Properties(message_expiry_interval=5)), [])
    twins.advance(10)
    twins.feed("p", stream(1, 9, V5), [])
    for client in twins.clients["s"]:
        client.automatic = True
        first = next(packet for packet in client.inbox if isinstance(packet, Publish))
        client.send(PubAck(first.packet_id))
    twins.compare()
    assert len([packet for packet in twins.clients["s"][0].inbox if isinstance(packet, Publish)]) == 1 + 6
