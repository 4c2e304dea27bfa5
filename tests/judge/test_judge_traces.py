"""The judge on whole traces: healthy ones have no findings, no trace at all makes it stumble."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from judge_story import BROKER, CLIENT, V5, V31, V311, Actor, Story, q0, q1, q2, to

from interop.judge import RULES, judge
from interop.tap.trace import Fate, Sender
from reference_broker.wire.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import Version

VERSIONS = pytest.mark.parametrize("version", list(Version), ids=lambda version: version.label)


def a_day_in_the_life(story: Story) -> None:
    """Everything usual, with lost links, done right."""
    pub, sub = story.actor("pub"), story.actor("sub")
    pub.connect_kept(keep_alive=10, will=Will("gone", b"pub", retain=True))
    sub.connect_kept(keep_alive=10)
    sub.subscribe(to("t"), to("u/#", 1), to("gone", 0))
    pub.publish(q2(1, "a"))
    sub.deliver(q2(1, "a"))
    pub.publish(q1(2, "b", topic="u", retain=True))
    sub.deliver(q1(2, "b", topic="u"))
    story.wait(9)
    for one in (pub, sub):
        one.client(PingReq())
        one.broker(PingResp())
    _interrupted_delivery(story, pub, sub)
    sub.unsubscribe("t")
    pub.client(q0("nobody hears this"))
    pub.cut()
    sub.broker(q0("pub", topic="gone"))
    pub.connect_kept(present=True, keep_alive=10)
    pub.leave()
    sub.leave()
    sub.connect()
    sub.subscribe(to("gone", 0))
    sub.broker(q0("pub", topic="gone", retain=True))
    sub.leave()


def _interrupted_delivery(story: Story, pub: Actor, sub: Actor) -> None:
    pub.client(q2(3, "c"))
    pub.broker(PubRec(3))
    pub.client(PubRel(3))
    pub.broker(PubComp(3))
    sub.broker(q2(3, "c"))
    sub.client(PubRec(3), Fate.LOST)
    sub.cut()
    pub.publish(q1(4, "d"))
    sub.connect_kept(present=True, keep_alive=10)
    sub.broker(q2(3, "c", dup=True))
    sub.broker(q1(4, "d"))
    sub.client(PubRec(3))
    sub.client(PubAck(4))
    sub.broker(PubRel(3))
    sub.client(PubComp(3))


@VERSIONS
def test_a_healthy_trace_has_no_findings(version: Version) -> None:
    story = Story(version)
    a_day_in_the_life(story)
    assert story.findings() == []


@VERSIONS
def test_an_empty_trace_has_no_findings(version: Version) -> None:
    assert judge([], version) == []


def test_faults_of_the_harness_are_nobodys_findings() -> None:
    story = Story(V5)
    one = story.actor()
    one.connect()
    one.inject(BROKER, PubRel(7))
    one.broker(PubComp(7, 0x92))
    one.inject(CLIENT, q1(9, dup=True))
    one.client(PubAck(9))
    one.inject(CLIENT, b"\xf0\xff\xff\xff\xff\xff")
    one.client(Disconnect(0x81))
    one.close()
    assert story.findings() == []


def test_findings_come_in_the_order_of_the_trace() -> None:
    story = Story(V311)
    one = story.actor()
    one.connect()
    one.client(q1(1, "a"))
    one.client(q1(1, "b"))
    one.broker(PubRec(5))
    one.client(PubRel(6))
    indices = [finding.trace_index for finding in story.findings()]
    assert len(indices) >= 3
    assert indices == sorted(indices)


def test_what_a_broker_far_away_owes_is_missing_only_after_the_way_there_and_back() -> None:
    story = Story(V5)
    one = story.actor()
    one.connect()
    one.client(q1())
    assert judge(story.trace, story.version, until=story.now + 3.0)
    assert not judge(story.trace, story.version, until=story.now + 3.0, round_trip_seconds=0.4)
    assert judge(story.trace, story.version, until=story.now + 3.4, round_trip_seconds=0.4)


def test_a_broker_far_away_that_gives_a_client_up_may_not_have_its_last_packet_yet() -> None:
    story = Story(V5)
    one = story.actor()
    one.connect(keep_alive=2)
    story.wait(3.1)
    one.client(PingReq())
    story.wait(0.1)
    one.broker(Disconnect(0x8D))
    one.close(BROKER)
    assert "waits-for-keep-alive" in {finding.rule for finding in judge(story.trace, V5)}
    assert "waits-for-keep-alive" not in {finding.rule for finding in judge(story.trace, V5, round_trip_seconds=0.2)}


def test_what_was_waited_for_in_vain_up_to_the_end_is_missing() -> None:
    story = Story(V5)
    one = story.actor()
    one.connect()
    one.client(q1())
    assert not judge(story.trace, story.version)
    assert not judge(story.trace, story.version, until=story.now + 2.0)
    found = judge(story.trace, story.version, until=story.now + 3.0)
    assert [finding.rule for finding in found] == ["answers-qos1"]


def test_the_same_breach_is_found_once() -> None:
    story = Story(V31)
    one = story.actor()
    one.connect()
    one.broker(Disconnect())
    assert len(story.findings()) == 1


# --- any trace --------------------------------------------------------------------------------------------------------

_ids = st.integers(1, 3)
_versions = st.sampled_from(list(Version))
_packets: st.SearchStrategy[Packet | bytes] = st.one_of(
    st.builds(Connect, _versions, st.sampled_from(["a", "b", ""]), st.booleans(), st.sampled_from([0, 1])),
    st.builds(ConnAck, st.booleans(), st.sampled_from([0, 0, 0, 5])),
    st.builds(q0, st.sampled_from("xy"), retain=st.booleans()),
    st.builds(q1, _ids, st.sampled_from("xy"), dup=st.booleans()),
    st.builds(q2, _ids, st.sampled_from("xy"), dup=st.booleans()),
    st.builds(q0, topic=st.just(""), properties=st.just(Properties(topic_alias=1))),
    st.builds(PubAck, _ids),
    st.builds(PubRec, _ids, st.sampled_from([0, 0x80])),
    st.builds(PubRel, _ids),
    st.builds(PubComp, _ids),
    st.builds(Subscribe, _ids, st.just((to("t", 1),))),
    st.builds(SubAck, _ids, st.sampled_from([(0,), (1,), (0x80,), (0, 1)])),
    st.builds(Unsubscribe, _ids, st.just(("t",))),
    st.builds(UnsubAck, _ids, st.sampled_from([(), (0,)])),
    st.just(PingReq()),
    st.just(PingResp()),
    st.builds(Disconnect, st.sampled_from([0, 0x8E, 0x8D])),
    st.just(Auth(0x18)),
    st.binary(max_size=4),
)
_acts = st.one_of(
    st.tuples(st.just("say"), st.booleans(), _packets, st.sampled_from([fate for fate in Fate if fate != "injected"])),
    st.tuples(st.just("inject"), st.booleans(), _packets),
    st.tuples(st.sampled_from(["open", "close", "cut", "wait"]), st.booleans()),
)


@settings(max_examples=150)
@given(_versions, st.lists(st.tuples(st.booleans(), _acts), max_size=40))
@example(V31, [(True, ("open", False)), (True, ("say", False, b"", Fate.FORWARDED))])  # nothing, cut off
@example(
    V31,
    [
        (True, ("open", False)),
        (True, ("say", False, Disconnect(0x8D), Fate.FORWARDED)),
        (True, ("say", False, ConnAck(False, 0), Fate.FORWARDED)),
        (True, ("say", True, Connect(V31, "a", False, 1), Fate.FORWARDED)),
    ],
)  # a timeout before anything was heard
@example(
    V31,
    [
        (True, ("open", False)),
        (True, ("say", False, Disconnect(0), Fate.FORWARDED)),
        (True, ("say", False, Connect(V311, "a", False, 0), Fate.FORWARDED)),
    ],
)  # a statement of 5.0 only
def test_no_trace_makes_the_judge_stumble(version: Version, acts: list[tuple[bool, tuple[object, ...]]]) -> None:
    story = Story(version)
    actors = {True: story.actor("one"), False: story.actor("two")}
    for which, act in acts:
        _perform(story, actors[which], *act)
    for finding in story.findings():
        entry = story.trace.entries[finding.trace_index]
        assert finding.rule in RULES
        assert finding.blame in (CLIENT, BROKER)
        assert finding.link == entry.link


def _perform(story: Story, actor: Actor, verb: str, by_client: bool, *rest: object) -> None:
    side: Sender = CLIENT if by_client else BROKER
    if verb == "say":
        (actor.client if by_client else actor.broker)(*rest)  # type: ignore[arg-type]
    elif verb == "inject":
        actor.inject(side, *rest)  # type: ignore[arg-type]
    elif verb == "wait":
        story.wait(4)
    elif verb == "close":
        actor.close(side)
    else:
        getattr(actor, verb)()


def test_a_long_trace_is_judged_quickly() -> None:
    story = Story(V5)
    pub, sub = story.actor("pub"), story.actor("sub")
    pub.connect()
    sub.connect()
    sub.subscribe(to("t"))
    for number in range(1, 1001):
        pub.publish(q1(number, str(number)))
        sub.deliver(q1(number, str(number)))
    began = time.process_time()
    assert story.findings() == []
    assert time.process_time() - began < 1.0
