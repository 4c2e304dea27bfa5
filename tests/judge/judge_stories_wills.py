"""Stories about wills: published when due, once, and not otherwise."""

from __future__ import annotations

from judge_story import ALL, BROKER, CLIENT, V5, Actor, Story, breaks, keeps, q1, q2, to

from interop.tap.trace import Fate, TraceEntry
from reference_broker.wire.packets import (
    PubRec,
    PubRel,
    Will,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS

_WILL = Will("gone", b"will", QoS.AT_LEAST_ONCE)


def victim_and_watcher(story: Story, will: Will = _WILL) -> tuple[Actor, Actor]:
    victim, watcher = story.actor("victim"), story.actor("watcher")
    watcher.connect()
    watcher.subscribe(to("gone", 1))
    victim.connect(will=will)
    return victim, watcher


def gone(packet_id: int = 1, **rest: object) -> TraceEntry | object:
    return q1(packet_id, "will", topic="gone", **rest)


@breaks("no-will-after-disconnect", BROKER)
def a_server_publishes_a_will_after_goodbye(story: Story) -> TraceEntry:
    victim, watcher = victim_and_watcher(story)
    victim.leave()
    return watcher.deliver(gone())  # type: ignore[arg-type]


@breaks("no-will-after-disconnect", BROKER)
def a_server_publishes_the_will_of_the_living(story: Story) -> TraceEntry:
    victim, watcher = victim_and_watcher(story)
    entry = watcher.deliver(gone())  # type: ignore[arg-type]
    story.wait(9)
    victim.leave()
    return entry


@breaks("will-once", BROKER)
def a_server_publishes_a_will_twice(story: Story) -> TraceEntry:
    victim, watcher = victim_and_watcher(story)
    victim.close(CLIENT, note="RST")
    watcher.deliver(gone())  # type: ignore[arg-type]
    return watcher.deliver(gone(2))  # type: ignore[arg-type]


@breaks("will-published", BROKER)
def a_server_forgets_a_will(story: Story) -> TraceEntry:
    victim, watcher = victim_and_watcher(story)
    entry = victim.close(CLIENT, note="RST")
    story.wait(4)
    watcher.leave()
    return entry


@keeps("no-will-after-disconnect")
@keeps("will-once", *ALL)
@keeps("will-published")
def a_will_is_published_once_when_its_client_dies(story: Story) -> None:
    victim, watcher = victim_and_watcher(story)
    victim.cut()
    watcher.deliver(gone())  # type: ignore[arg-type]
    story.wait(9)
    watcher.leave()


@keeps("will-published")
def a_will_that_was_cancelled_stays_unpublished(story: Story) -> None:
    victim, watcher = victim_and_watcher(story)
    victim.leave()
    story.wait(9)
    watcher.leave()


@keeps("will-published", V5)
def a_client_that_comes_back_in_time_stops_its_delayed_will(story: Story) -> None:
    late = Will("gone", b"will", QoS.AT_LEAST_ONCE, properties=Properties(will_delay_interval=5))
    victim, watcher = victim_and_watcher(story, late)
    victim.cut()
    story.wait(2)
    victim.connect()
    story.wait(9)
    watcher.leave()


@keeps("will-published")
def a_will_may_wait_for_a_subscriber_that_acknowledges_nothing(story: Story) -> None:
    victim, watcher = victim_and_watcher(story)
    watcher.subscribe(to("t", 2))
    pub = story.actor("pub")
    pub.connect()
    pub.publish(q2(1, "a"))
    watcher.broker(q2(1, "a"))
    victim.close(CLIENT, note="RST")
    story.wait(9)
    watcher.client(PubRec(1))
    watcher.broker(PubRel(1))
    story.wait(9)
    watcher.close(CLIENT, note="RST")


@breaks("will-published", BROKER)
def a_server_forgets_a_will_while_its_subscriber_gets_something_else(story: Story) -> TraceEntry:
    victim, watcher = victim_and_watcher(story)
    watcher.subscribe(to("t", 2))
    pub = story.actor("pub")
    pub.connect()
    entry = victim.close(CLIENT, note="RST")
    story.wait(4)
    pub.publish(q1(1, "a"))
    watcher.broker(q1(1, "a"))
    story.wait(9)
    return entry


@keeps("will-published")
def a_frozen_client_is_not_dead_yet(story: Story) -> None:
    victim, watcher = victim_and_watcher(story)
    victim.close(CLIENT, Fate.HELD)
    story.wait(9)
    watcher.leave()
