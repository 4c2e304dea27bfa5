"""Stories about what one side may send the other: quota, sizes, what is available, topic aliases."""

from __future__ import annotations

from judge_story import BROKER, CLIENT, Story, breaks, keeps, q0, q1, q2, to

from interop.tap.trace import Fate, TraceEntry
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    Subscribe,
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
