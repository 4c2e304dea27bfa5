"""Stories about what a server passes on from one client to another."""

from __future__ import annotations

from judge_story import ALL, BROKER, CLIENT, V5, V31, V311, Actor, Story, breaks, keeps, q0, q1, q2, to

from interop.tap.trace import TraceEntry
from reference_broker.wire.decode import decode
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    Packet,
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
from reference_broker.wire.types import QoS


def publisher_and_subscriber(story: Story, *topics: object, **rest: object) -> tuple[Actor, Actor]:
    """Two connected clients, the second with subscriptions (by default to `t`)."""
    pub, sub = story.actor("pub"), story.actor("sub")
    pub.connect()
    sub.connect()
    sub.subscribe(*(topics or (to("t"),)), **rest)  # type: ignore[arg-type]
    return pub, sub


# --- in which form ----------------------------------------------------------------------------------------------------


def without_packet_id(story: Story, qos: int) -> Packet | bytes:
    """`hello` on `t` with this QoS and no packet identifier, as its receiver reads it."""
    plain = encode(q0("hello"), story.version)
    data = bytes([plain[0] | qos << 1]) + plain[1:]
    return data if story.version is V5 else decode(data, story.version)


@breaks("publish-has-packet-id", BROKER, V31, V311)
@breaks("publish-has-packet-id", BROKER, V5, also=("well-formed",))
def a_server_leaves_the_packet_identifier_out(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story)
    pub.publish(q1(1, "hello"))
    return sub.broker(without_packet_id(story, 1))


@breaks("publish-has-packet-id", BROKER, V31, V311)
@breaks("publish-has-packet-id", BROKER, V5, also=("well-formed",))
def a_server_leaves_the_packet_identifier_of_a_will_out(story: Story) -> TraceEntry:
    pub, sub = story.actor("pub"), story.actor("sub")
    sub.connect()
    sub.subscribe(to("t"))
    pub.connect(will=Will("t", b"hello", QoS.EXACTLY_ONCE))
    pub.cut()
    return sub.broker(without_packet_id(story, 2))


@keeps("publish-has-packet-id")
def what_begins_like_another_message_has_an_identifier_all_the_same(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story)
    pub.publish(q1(1, "hello"))
    pub.publish(q1(2, "llo"))
    sub.deliver(q1(1, "hello"))
    sub.deliver(q1(0x6865, "llo"))


# --- to whom ----------------------------------------------------------------------------------------------------------


@breaks("delivers-what-is-subscribed", BROKER)
def a_server_sends_what_nobody_asked_for(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story, to("a/+"))
    pub.client(q0(topic="b/c"))
    return sub.broker(q0(topic="b/c"))


@breaks("delivers-what-is-subscribed", BROKER, V311, V5)
def a_server_remembers_subscriptions_of_a_session_that_is_gone(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story)
    sub.leave()
    sub.connect()
    pub.client(q0())
    return sub.broker(q0())


@keeps("delivers-what-is-subscribed")
def a_server_sends_what_was_asked_for_even_before_suback(story: Story) -> None:
    pub, sub = story.actor("pub"), story.actor("sub")
    pub.connect()
    sub.connect()
    sub.client(Subscribe(1, (to("a/#", 1),)))
    pub.client(q0(topic="a"))
    sub.broker(q0(topic="a"))
    sub.broker(SubAck(1, (1,)))
    sub.inject(CLIENT, q0(topic="zzz"))


@keeps("delivers-what-is-subscribed")
def shares_deliver_too(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story, to("$share/s/t"))
    pub.client(q0())
    sub.broker(q0())


@keeps("delivers-what-is-subscribed")
def an_old_session_has_subscriptions_nobody_saw(story: Story) -> None:
    sub = story.actor("sub")
    sub.connect_kept(present=True)
    sub.broker(q0(topic="elsewhere"))


@breaks("wildcards-spare-dollar-topics", BROKER)
def a_server_sends_dollar_topics_to_everyone(story: Story) -> TraceEntry:
    _, sub = publisher_and_subscriber(story, to("#"))
    return sub.broker(q0(topic="$SYS/uptime"))


@keeps("wildcards-spare-dollar-topics")
def dollar_topics_go_to_who_names_them(story: Story) -> None:
    _, sub = publisher_and_subscriber(story, to("$SYS/#"))
    sub.broker(q0(topic="$SYS/uptime"))


@breaks("stops-after-unsubscribe", BROKER)
def a_server_goes_on_after_unsuback(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story)
    sub.unsubscribe("t")
    pub.client(q0())
    return sub.broker(q0())


@breaks("stops-after-unsubscribe", BROKER, V311, V5)
def a_server_takes_the_subscription_up_again_when_the_session_is_resumed(story: Story) -> TraceEntry:
    pub, sub = story.actor("pub"), story.actor("sub")
    pub.connect()
    sub.connect_kept()
    sub.subscribe(to("t"))
    sub.unsubscribe("t")
    sub.cut()
    sub.connect_kept(present=True)
    pub.client(q0())
    return sub.broker(q0())


@keeps("stops-after-unsubscribe")
def what_came_before_unsuback_may_still_be_sent(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story)
    sub.client(Unsubscribe(5, ("t",)))
    pub.client(q0("a"))
    sub.broker(UnsubAck(5, (0,) if story.version is V5 else ()))
    sub.broker(q0("a"))
    sub.subscribe(to("t"))
    pub.client(q0("b"))
    sub.broker(q0("b"))


@keeps("stops-after-unsubscribe")
def a_subscription_that_is_renewed_was_not_given_up(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story)
    pub.client(q0("a"))
    sub.broker(q0("a"))
    sub.subscribe(to("t", 0))
    sub.unsubscribe("t")


@keeps("stops-after-unsubscribe")
def a_subscription_that_is_replaced_behind_a_message_stood_when_it_came(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story)
    sub.unsubscribe("t")
    sub.subscribe(to("t", 1))
    pub.client(q0("a"))
    sub.broker(q0("a"))
    sub.subscribe(to("t", 2))


# --- how --------------------------------------------------------------------------------------------------------------


@breaks("delivers-with-granted-qos", BROKER)
def a_server_sends_with_more_than_it_granted(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story, to("t", 2), granted=(0,))
    pub.publish(q1(1))
    return sub.deliver(q1(1))


@breaks("delivers-with-granted-qos", BROKER)
def a_server_sends_with_less_than_it_granted(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story)
    pub.publish(q2(1))
    return sub.deliver(q1(1))


@breaks("delivers-with-granted-qos", BROKER)
def a_server_sends_with_more_than_was_published(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story)
    pub.client(q0())
    return sub.deliver(q1(1))


@keeps("delivers-with-granted-qos")
def the_lower_qos_wins_and_overlapping_filters_may_differ(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story, to("t", 0), to("+", 2), to("u", 1))
    pub.publish(q2(1, "a"))
    sub.deliver(q2(1, "a"))
    pub.publish(q2(1, "b", topic="u"))
    sub.deliver(q2(1, "b", topic="u"))
    pub.client(q0("c"))
    sub.broker(q0("c"))


@breaks("qos2-not-forwarded-twice", BROKER)
def a_server_forwards_a_repeated_message_again(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story)
    pub.client(q2(1))
    pub.inject(BROKER, q2(1, dup=True))
    sub.deliver(q2(1))
    return sub.deliver(q2(2))


@keeps("qos2-not-forwarded-twice")
def a_repeated_message_is_forwarded_once_and_a_new_one_again(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story)
    pub.client(q2(1))
    pub.inject(BROKER, q2(1, dup=True))
    sub.deliver(q2(1))
    pub.broker(PubRec(1))
    pub.client(PubRel(1))
    pub.broker(PubComp(1))
    pub.publish(q2(1))
    sub.deliver(q2(2))


@breaks("forwards-in-order", BROKER)
def a_server_turns_messages_round(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story)
    pub.client(q0("a"))
    pub.client(q0("b"))
    sub.broker(q0("b"))
    return sub.broker(q0("a"))


@keeps("forwards-in-order", *ALL)
def only_one_publisher_one_topic_and_one_qos_have_an_order(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story, to("#"))
    other = story.actor("other")
    other.connect()
    pub.client(q0("a"))
    pub.client(q0("b", topic="u"))
    pub.client(q1(1, "c"))
    other.client(q0("d"))
    sub.broker(q0("d"))
    sub.deliver(q1(1, "c"))
    sub.broker(q0("b", topic="u"))
    sub.broker(q0("a"))
    pub.broker(PubAck(1))


@breaks("no-local", BROKER)
def a_server_sends_a_client_its_own_message(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t", no_local=True))
    one.client(q0())
    return one.broker(q0())


@keeps("no-local", *ALL)
def no_local_is_about_ones_own_messages(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story, to("t", no_local=story.version is V5))
    pub.client(q0("a"))
    sub.broker(q0("a"))
    pub.subscribe(to("t"))
    pub.client(q0("b"))
    pub.broker(q0("b"))


def identified(*numbers: int) -> Properties:
    return Properties(subscription_identifier=numbers)


@breaks("own-subscription-identifiers", BROKER)
def a_server_sends_a_foreign_identifier(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story, identifier=3)
    sub.subscribe(to("u"), identifier=4)
    pub.client(q0())
    return sub.broker(q0(properties=identified(3, 4)))


@breaks("carries-subscription-identifier", BROKER)
def a_server_forgets_an_identifier(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story, identifier=3)
    pub.client(q0())
    return sub.broker(q0())


@keeps("own-subscription-identifiers")
@keeps("carries-subscription-identifier")
def identifiers_are_those_of_the_matching_subscriptions(story: Story) -> None:
    pub, sub = publisher_and_subscriber(story, identifier=3)
    sub.subscribe(to("+"), identifier=4)
    sub.subscribe(to("u"))
    pub.client(q0("a"))
    sub.broker(q0("a", properties=identified(3, 4)))
    pub.client(q0("b", topic="u"))
    sub.broker(q0("b", topic="u", properties=identified(4)))
    sub.broker(q0("b", topic="u"))
