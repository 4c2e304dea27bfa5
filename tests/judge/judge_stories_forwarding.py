"""Stories about what a server passes on from one client to another."""

from __future__ import annotations

from judge_story import ALL, BROKER, CLIENT, V5, V31, V311, Actor, Story, breaks, keeps, q0, q1, q2, to

from interop.tap.trace import Fate, TraceEntry
from reference_broker.wire.decode import decode
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    Disconnect,
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
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, RetainHandling


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


# --- RETAIN -----------------------------------------------------------------------------------------------------------


@breaks("live-without-retain", BROKER)
def a_server_leaves_retain_on_a_live_message(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story)
    pub.client(q0(retain=True))
    return sub.broker(q0(retain=True))


@breaks("retain-as-published", BROKER)
def a_server_takes_retain_away(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story, to("t", retain_as_published=True))
    pub.client(q0(retain=True))
    return sub.broker(q0())


@breaks("retain-as-published", BROKER)
def a_server_adds_retain(story: Story) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story, to("t", retain_as_published=True))
    pub.client(q0())
    return sub.broker(q0(retain=True))


@breaks("stored-with-retain", BROKER)
def a_server_sends_a_stored_message_as_live(story: Story) -> TraceEntry:
    pub, sub = story.actor("pub"), story.actor("sub")
    pub.connect()
    sub.connect()
    pub.publish(q1(1, retain=True))
    sub.subscribe(to("t"))
    return sub.deliver(q1(1))


@breaks("retain-handling-2", BROKER)
def a_server_sends_stored_messages_nobody_wanted(story: Story) -> TraceEntry:
    pub, sub = story.actor("pub"), story.actor("sub")
    pub.connect()
    sub.connect()
    pub.publish(q1(1, retain=True))
    sub.subscribe(to("t", retain_handling=RetainHandling.DO_NOT_SEND))
    return sub.deliver(q1(1, retain=True))


@keeps("live-without-retain")
@keeps("retain-as-published")
@keeps("stored-with-retain")
@keeps("retain-handling-2")
def retain_tells_stored_from_live(story: Story) -> None:
    pub, sub = story.actor("pub"), story.actor("sub")
    pub.connect()
    sub.connect()
    pub.publish(q1(1, "stored", retain=True))
    sub.subscribe(to("t"))
    sub.deliver(q1(1, "stored", retain=True))
    pub.publish(q1(1, "live", retain=True))
    sub.deliver(q1(1, "live"))
    if story.version is V5:
        handling = RetainHandling.DO_NOT_SEND
        sub.subscribe(to("u", retain_as_published=True, retain_handling=handling))
        pub.client(q0("as it was", topic="u", retain=True))
        sub.broker(q0("as it was", topic="u", retain=True))


@keeps("live-without-retain")
@keeps("stored-with-retain")
def a_message_that_crosses_the_subscribe_may_be_either(story: Story) -> None:
    pub, sub = story.actor("pub"), story.actor("sub")
    pub.connect()
    sub.connect()
    pub.client(q1(1, "a", retain=True))
    sub.client(Subscribe(1, (to("t"),)))
    pub.broker(PubAck(1))
    pub.client(q0("b", retain=True))
    sub.broker(SubAck(1, (2,)))
    sub.deliver(q1(1, "a"))
    sub.broker(q0("b", retain=True))


# --- properties -------------------------------------------------------------------------------------------------------

_SAID = Properties(
    payload_format_indicator=1,
    content_type="text",
    response_topic="r",
    correlation_data=b"c",
    user_property=(("a", "1"), ("a", "2")),
)


def forwarded(story: Story, said: Properties, passed_on: Properties, seconds: float = 0.0) -> TraceEntry:
    pub, sub = publisher_and_subscriber(story)
    pub.client(q0(properties=said))
    story.wait(seconds)
    return sub.broker(q0(properties=passed_on))


@breaks("message-properties-unchanged", BROKER, cites=("MQTT-3.3.2-20",))
def a_server_changes_the_content_type(story: Story) -> TraceEntry:
    return forwarded(story, Properties(content_type="text"), Properties(content_type="TEXT"))


@breaks("message-properties-unchanged", BROKER, cites=("MQTT-3.3.2-16",))
def a_server_drops_correlation_data(story: Story) -> TraceEntry:
    return forwarded(story, Properties(correlation_data=b"c"), NO_PROPERTIES)


@breaks("message-properties-unchanged", BROKER, cites=("MQTT-3.3.2-17",))
def a_server_adds_a_user_property(story: Story) -> TraceEntry:
    return forwarded(story, NO_PROPERTIES, Properties(user_property=(("by", "me"),)))


@breaks("message-properties-unchanged", BROKER, cites=("MQTT-3.3.2-18",))
def a_server_sorts_user_properties(story: Story) -> TraceEntry:
    said, sorted_ = (("b", "1"), ("a", "2")), (("a", "2"), ("b", "1"))
    return forwarded(story, Properties(user_property=said), Properties(user_property=sorted_))


@breaks("message-expiry-counts-down", BROKER)
def a_server_does_not_count_expiry_down(story: Story) -> TraceEntry:
    interval = Properties(message_expiry_interval=10)
    return forwarded(story, interval, interval, seconds=4)


@breaks("message-expiry-counts-down", BROKER)
def a_server_drops_expiry(story: Story) -> TraceEntry:
    return forwarded(story, Properties(message_expiry_interval=10), NO_PROPERTIES)


@breaks("message-expiry-counts-down", BROKER)
def a_server_makes_expiry_up(story: Story) -> TraceEntry:
    return forwarded(story, NO_PROPERTIES, Properties(message_expiry_interval=10))


@breaks("expired-message-not-sent", BROKER)
def a_server_sends_what_expired(story: Story) -> TraceEntry:
    return forwarded(story, Properties(message_expiry_interval=1), Properties(message_expiry_interval=0), seconds=4)


@keeps("message-properties-unchanged")
@keeps("message-expiry-counts-down")
@keeps("expired-message-not-sent")
def a_server_passes_everything_on_and_counts_expiry_down(story: Story) -> None:
    forwarded(story, _SAID, _SAID)
    pub, sub = story.actor("pub2"), story.actor("sub2")
    pub.connect()
    sub.connect()
    sub.subscribe(to("u"))
    pub.client(q0(topic="u", properties=Properties(message_expiry_interval=10)))
    story.wait(4)
    sub.broker(q0(topic="u", properties=Properties(message_expiry_interval=6)))


@breaks("no-problem-information", BROKER)
def a_server_explains_what_nobody_wants_explained(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(asks=Properties(request_problem_information=0))
    one.client(q1(1))
    return one.broker(PubAck(1, 0x10, Properties(reason_string="nobody there")))


@breaks("no-response-information", BROKER)
def a_server_informs_without_being_asked(story: Story) -> TraceEntry:
    return story.actor().connect(answer=Properties(response_information="r/"))


@keeps("no-problem-information")
@keeps("no-response-information")
def a_server_explains_where_it_may(story: Story) -> None:
    one, two = story.actor(), story.actor("two")
    why = Properties(reason_string="why", user_property=(("a", "b"),))
    one.connect(asks=Properties(request_problem_information=0), answer=why)
    one.broker(Disconnect(0x8B, why))
    one.close(BROKER)
    two.connect(
        asks=Properties(request_response_information=1), answer=Properties(response_information="r/", reason_string="y")
    )
    two.client(q1(1))
    two.broker(PubAck(1, 0x10, why))


# --- wills ------------------------------------------------------------------------------------------------------------

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
