"""Stories about what one side may send the other, and about sessions and subscriptions."""

from __future__ import annotations

from judge_story import BROKER, CLIENT, V5, V31, V311, Story, breaks, keeps, q0, q1, q2, to

from interop.tap.trace import Fate, TraceEntry
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from reference_broker.wire.properties import Properties

# --- what one side may send the other ---------------------------------------------------------------------------------


@breaks("receive-maximum", CLIENT)
def a_client_does_not_wait_for_its_quota(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(answer=Properties(receive_maximum=2))
    one.client(q1(1, "a"))
    one.client(q2(2, "b"))
    one.broker(PubRec(2))
    one.client(PubRel(2))
    entry = one.client(q1(3, "c"))
    for packet_id in (1, 3):
        one.broker(PubAck(packet_id))
    one.broker(PubComp(2))
    return entry


@breaks("receive-maximum", BROKER)
def a_server_does_not_wait_for_its_quota(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(asks=Properties(receive_maximum=1))
    one.subscribe(to("t"))
    one.broker(q1(1, "a"))
    entry = one.broker(q1(2, "b"))
    one.client(PubAck(1))
    one.client(PubAck(2))
    return entry


@breaks("receive-maximum", CLIENT)
def what_settles_a_message_of_an_earlier_connection_makes_a_client_no_room(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.client(q2(1, "a"))
    one.broker(PubRec(1))
    one.client(PubRel(1), Fate.LOST)
    one.cut()
    one.connect_kept(present=True, answer=Properties(receive_maximum=1))
    one.client(PubRel(1))
    one.client(q1(2, "b"))
    one.broker(PubComp(1))
    entry = one.client(q1(3, "c"))
    for packet_id in (2, 3):
        one.broker(PubAck(packet_id))
    return entry


@keeps("receive-maximum")
def quota_comes_back_with_puback_pubcomp_and_a_pubrec_that_failed(story: Story) -> None:
    one = story.actor()
    one.connect(asks=Properties(receive_maximum=1), answer=Properties(receive_maximum=1))
    one.subscribe(to("t"))
    for payload in ("a", "b"):
        one.publish(q1(1, payload))
        one.publish(q2(2, payload))
        one.deliver(q2(1, payload))
        one.client(q0(payload + "0"))
    one.client(q2(3, "c"))
    one.broker(PubRec(3, 0x97))
    one.client(q1(4, "d"))
    one.broker(PubAck(4))


@keeps("receive-maximum")
def quota_begins_anew_with_the_connection(story: Story) -> None:
    one = story.actor()
    one.connect_kept(answer=Properties(receive_maximum=1))
    one.client(q1(1, "a"), Fate.LOST)
    one.cut()
    one.connect_kept(present=True, answer=Properties(receive_maximum=1))
    one.client(q1(1, "a", dup=True))
    one.broker(PubAck(1))


@keeps("receive-maximum")
def a_client_that_did_not_wait_for_connack_did_not_know(story: Story) -> None:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one"))
    one.client(q1(1, "a"))
    one.client(q1(2, "b"))
    one.broker(ConnAck(properties=Properties(receive_maximum=1)))
    one.client(q1(3, "c"))
    for packet_id in (1, 2, 3):
        one.broker(PubAck(packet_id))


@breaks("maximum-packet-size", CLIENT)
def a_client_sends_more_than_the_server_takes(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(answer=Properties(maximum_packet_size=30))
    return one.client(q0("x" * 40))


@breaks("maximum-packet-size", BROKER)
def a_server_sends_more_than_the_client_takes(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(asks=Properties(maximum_packet_size=30))
    one.subscribe(to("t"))
    return one.broker(q0("x" * 40))


@keeps("maximum-packet-size")
def a_packet_of_just_the_maximum_is_allowed(story: Story) -> None:
    one = story.actor()
    one.connect(asks=Properties(maximum_packet_size=30), answer=Properties(maximum_packet_size=30))
    entry = one.client(q0("x" * 24))
    assert len(entry.data) == 30
    one.inject(BROKER, q0("x" * 100))
    one.inject(CLIENT, q0("x" * 100))


@keeps("maximum-packet-size")
def a_connect_is_sent_before_its_limit_is_known(story: Story) -> None:
    one = story.actor("one" * 20)
    one.connect(answer=Properties(maximum_packet_size=30))


@breaks("maximum-qos", CLIENT)
def a_client_publishes_above_maximum_qos(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(answer=Properties(maximum_qos=0))
    entry = one.client(q1(1))
    one.close(BROKER)
    return entry


@breaks("retain-available", CLIENT)
def a_client_retains_where_it_cannot(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(answer=Properties(retain_available=0))
    entry = one.client(q0(retain=True))
    one.close(BROKER)
    return entry


@breaks("subscriptions-available", CLIENT, cites=("MQTT5-U-40",))
def a_client_uses_a_wildcard_where_there_are_none(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(answer=Properties(wildcard_subscription_available=0))
    entry = one.client(Subscribe(1, (to("a/#"),)))
    one.close(BROKER)
    return entry


@breaks("subscriptions-available", CLIENT, cites=("MQTT5-U-42",))
def a_client_shares_where_nothing_is_shared(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(answer=Properties(shared_subscription_available=0))
    entry = one.client(Subscribe(1, (to("$share/s/t"),)))
    one.close(BROKER)
    return entry


@breaks("subscriptions-available", CLIENT, cites=("MQTT5-U-41",))
def a_client_identifies_a_subscription_where_it_cannot(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(answer=Properties(subscription_identifier_available=0))
    entry = one.client(Subscribe(1, (to("t"),), Properties(subscription_identifier=(1,))))
    one.close(BROKER)
    return entry


@keeps("maximum-qos")
@keeps("retain-available")
@keeps("subscriptions-available")
def a_client_keeps_to_what_there_is(story: Story) -> None:
    one = story.actor()
    nothing = Properties(
        maximum_qos=1,
        retain_available=0,
        wildcard_subscription_available=0,
        subscription_identifier_available=0,
        shared_subscription_available=0,
    )
    one.connect(answer=nothing)
    one.publish(q1(1))
    one.subscribe(to("t", 2), granted=(1,))


# --- topic aliases ----------------------------------------------------------------------------------------------------


def alias(number: int) -> Properties:
    return Properties(topic_alias=number)


@breaks("topic-alias-maximum", CLIENT)
def a_client_uses_too_high_an_alias(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(answer=Properties(topic_alias_maximum=2))
    return one.client(q0(properties=alias(3)))


@breaks("topic-alias-maximum", BROKER)
def a_server_uses_too_high_an_alias(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(asks=Properties(topic_alias_maximum=2))
    one.subscribe(to("t"))
    return one.broker(q0(properties=alias(3)))


@breaks("no-topic-alias-allowed", CLIENT)
def a_client_uses_an_alias_without_leave(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.client(q0(properties=alias(1)))


@breaks("no-topic-alias-allowed", BROKER)
def a_server_uses_an_alias_without_leave(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    return one.broker(q0(properties=alias(1)))


@breaks("topic-alias-known", CLIENT)
def a_client_takes_an_alias_over_to_the_next_connection(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept(answer=Properties(topic_alias_maximum=2))
    one.client(q0("a", properties=alias(1)))
    one.leave()
    one.connect_kept(present=True, answer=Properties(topic_alias_maximum=2))
    return one.client(q0("b", topic="", properties=alias(1)))


@breaks("topic-alias-known", BROKER, cites=("MQTT5-U-46",))
def a_server_uses_an_alias_it_never_set(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(asks=Properties(topic_alias_maximum=2))
    one.subscribe(to("t"))
    return one.broker(q0("b", topic="", properties=alias(1)))


@keeps("topic-alias-maximum")
@keeps("no-topic-alias-allowed")
@keeps("topic-alias-known")
def aliases_are_set_used_and_changed(story: Story) -> None:
    one = story.actor()
    one.connect(asks=Properties(topic_alias_maximum=2), answer=Properties(topic_alias_maximum=1))
    one.subscribe(to("#"))
    for topic in ("a", "b"):
        one.client(q0("c" + topic, topic=topic, properties=alias(1)))
        one.client(q0("d" + topic, topic="", properties=alias(1)))
        one.broker(q0("e" + topic, topic=topic, properties=alias(2)))
        one.broker(q0("f" + topic, topic="", properties=alias(2)))


# --- sessions ---------------------------------------------------------------------------------------------------------


@breaks("session-present-when-kept", BROKER)
def a_server_loses_a_session(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.leave()
    return one.connect_kept(present=False)


@breaks("session-present-when-kept", BROKER)
def a_server_loses_a_session_at_takeover(story: Story) -> TraceEntry:
    one, two = story.actor(), story.actor("two", client_id="one")
    one.connect_kept()
    entry = two.connect_kept(present=False)
    if story.version is V5:
        one.broker(Disconnect(0x8E))
    one.close(BROKER)
    return entry


@breaks("no-session-present-when-gone", BROKER)
def a_server_resumes_a_clean_session(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.leave()
    return one.connect_kept(present=True)


@breaks("no-session-present-when-gone", BROKER, V5)
def a_server_resumes_an_expired_session(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept(asks=Properties(session_expiry_interval=1))
    one.leave()
    story.wait(3)
    return one.connect_kept(present=True)


@breaks("no-session-present-when-gone", BROKER, V5)
def a_server_ignores_the_expiry_in_disconnect(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.client(Disconnect(0, Properties(session_expiry_interval=0)))
    one.close()
    return one.connect_kept(present=True)


@keeps("session-present-when-kept")
@keeps("no-session-present-when-gone")
def sessions_come_and_go_as_asked(story: Story) -> None:
    one = story.actor()
    one.connect_kept()
    one.leave()
    one.connect_kept(present=True)
    one.leave()
    one.connect()
    one.leave()
    one.connect_kept(present=False)
    one.cut()
    one.open()
    one.client(Connect(story.version, "one", clean_start=True))
    one.cut()
    one.connect_kept(present=False)
    other = story.actor("two")
    other.connect_kept(present=False)


@breaks("takeover-closes", BROKER)
def a_server_has_a_client_twice(story: Story) -> TraceEntry:
    one, two = story.actor(), story.actor("two", client_id="one")
    one.connect()
    two.open()
    entry = two.client(Connect(story.version, "one"))
    two.broker(ConnAck())
    story.wait(4)
    two.leave()
    return entry


@breaks("takeover-says-why", BROKER)
def a_server_throws_a_client_out_without_a_word(story: Story) -> TraceEntry:
    one, two = story.actor(), story.actor("two", client_id="one")
    one.connect()
    two.connect()
    return one.close(BROKER)


@keeps("takeover-closes")
@keeps("takeover-says-why")
def a_server_moves_a_client(story: Story) -> None:
    one, two = story.actor(), story.actor("two", client_id="one")
    one.connect()
    two.connect()
    if story.version is V5:
        one.broker(Disconnect(0x8E), Fate.LOST)
    one.close(BROKER, Fate.LOST)
    story.wait(9)
    one.close(CLIENT, Fate.LOST)
    two.leave()


# --- SUBACK and UNSUBACK ----------------------------------------------------------------------------------------------


@breaks("suback-answers-subscribe", BROKER)
def a_server_grants_under_another_identifier(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(Subscribe(1, (to("t"),)))
    return one.broker(SubAck(2, (2,)))


@breaks("suback-count", BROKER)
def a_server_answers_one_filter_of_two(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.subscribe(to("a"), to("b"), granted=(2,))


@breaks("grants-what-was-asked", BROKER)
def a_server_grants_more_than_was_asked_for(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.subscribe(to("a", 0), to("b", 1), granted=(0, 2))


@breaks("unsuback-answers-unsubscribe", BROKER)
def a_server_ends_a_subscription_nobody_gave_up(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"), packet_id=4)
    return one.broker(UnsubAck(4, (0,) if story.version is V5 else ()))


@breaks("unsuback-count", BROKER)
def a_server_answers_one_of_two_filters_given_up(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(Unsubscribe(1, ("a", "b")))
    return one.broker(UnsubAck(1, (0,)))


@keeps("suback-answers-subscribe")
@keeps("suback-count")
@keeps("grants-what-was-asked")
@keeps("unsuback-answers-unsubscribe")
@keeps("unsuback-count")
def grants_are_lower_refused_or_just_right(story: Story) -> None:
    one = story.actor()
    one.connect()
    refused = 1 if story.version is V31 else 0x80 if story.version is V311 else 0x87
    one.subscribe(to("a", 2), to("b", 1), to("c", 1), granted=(0, 1, refused), packet_id=1)
    one.inject(BROKER, Subscribe(2, (to("t"),)))
    one.broker(SubAck(2, (2,)), Fate.DROPPED)
    one.client(Unsubscribe(3, ("a", "z")))
    one.broker(UnsubAck(3, (0, 0x11) if story.version is V5 else ()))
