"""The pieces by themselves: the tree of filters, the retained tree, timers, routes."""

from __future__ import annotations

from broker_harness import World
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_broker.broker.keeping.retained_tree import RetainedTree
from reference_broker.broker.keeping.topic_tree import TopicTree
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.timers import Timers
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.topics import matches
from reference_broker.wire.types import QoS

LEVEL = st.sampled_from(["a", "b", "", "$x"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = (
    st.tuples(st.lists(st.one_of(LEVEL, st.just("+")), max_size=3), st.sampled_from([["#"], ["+"], ["a"], [""]]))
    .map(lambda parts: "/".join(parts[0] + parts[1]))
    .filter(bool)
)


@settings(max_examples=120)
@given(
    entries=st.lists(st.tuples(FILTER, st.integers(0, 3)), max_size=12),
    removed=st.lists(st.tuples(FILTER, st.integers(0, 3)), max_size=6),
    topics=st.lists(TOPIC, min_size=1, max_size=5),
)
def test_the_tree_finds_what_matching_one_by_one_finds(entries, removed, topics):
    tree: TopicTree[int, tuple[str, int]] = TopicTree(lambda value: value[1])
    model = {}
    for topic_filter, key in entries:
        tree.set(topic_filter, (topic_filter, key))
        model[topic_filter, key] = True
    for topic_filter, key in [*removed, *entries[::3]]:
        tree.remove(topic_filter, key)
        model.pop((topic_filter, key), None)
    for topic in topics:
        assert sorted(tree.match(topic)) == sorted(entry for entry in model if matches(entry[0], topic))
    for topic_filter, key in list(model):
        tree.remove(topic_filter, key)
    assert tree._root.is_empty()
    assert tree._exact == {}


@settings(max_examples=120)
@given(topics=st.lists(TOPIC, max_size=12), cleared=st.lists(TOPIC, max_size=6), topic_filter=FILTER)
def test_the_retained_tree_finds_what_matching_one_by_one_finds(topics, cleared, topic_filter):
    retained = RetainedTree()
    for topic in topics:
        retained.set(Message(topic, b"x", QoS.AT_MOST_ONCE, True, NO_PROPERTIES, 0.0))
    for topic in cleared:
        retained.clear(topic)
    left = set(topics) - set(cleared)
    assert len(retained) == len(left)
    found = [message.topic for message in retained.match(topic_filter, 0.0)]
    assert sorted(found) == sorted(topic for topic in left if matches(topic_filter, topic))
    assert {message.topic for message in retained} == left
    for topic in left:
        retained.clear(topic)
    assert not retained._root.children


@settings(max_examples=100)
@given(
    timers=st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=200),
    steps=st.lists(st.integers(0, 5), max_size=8),
)
def test_timers_fire_in_order_once_and_never_early(timers, steps):
    heap = Timers()
    fired: list[tuple[int, int]] = []
    expected = []
    for number, (deadline, cancelled) in enumerate(timers):
        timer = heap.at(deadline, lambda now, entry=(deadline, number): fired.append(entry))
        if cancelled:
            timer.cancel()
        else:
            expected.append((deadline, number))
    now = 0
    for step in [*steps, 20]:
        now += step
        next_deadline = heap.next_deadline()
        before = len(fired)
        heap.run(now)
        assert (len(fired) > before) == (next_deadline is not None and next_deadline <= now)
        assert fired == [entry for entry in sorted(expected) if entry[0] <= now]
    assert heap.next_deadline() is None or now < 20


def test_a_timer_may_set_another_that_is_due():
    heap = Timers()
    fired = []
    heap.at(1, lambda now: heap.at(now, fired.append))
    heap.run(5)
    assert fired == [5]


def test_cancelled_timers_do_not_pile_up():
    heap = Timers()
    for number in range(10_000):
        heap.at(1e9 + number, lambda now: None).cancel()
    assert len(heap._heap) < 1000


# --- connections -----------------------------------------------------------------------------------------------------


def test_every_open_connection_is_known_once_from_the_first_byte_to_the_end():
    world = World()
    opening, client = world.raw(), world.client("c")
    assert sorted(map(id, world.broker.links)) == sorted([id(opening.link), id(client.link)])
    client.drop()
    assert world.broker.links == [opening.link]
    opening.drop()
    assert world.broker.links == []


def test_an_idle_connection_holds_nothing_that_it_does_not_use():
    world = World()
    client = world.client("c")
    client.subscribe("t")
    link, session = client.link, world.broker.house.sessions.get("c")
    assert (link._reader, link._output, session.queue, session._outbound, session._inbound) == (None,) * 5
