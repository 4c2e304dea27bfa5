"""Stories about what a server says with a message it sends on: RETAIN and properties."""

from __future__ import annotations

from judge_stories_forwarding import publisher_and_subscriber
from judge_story import BROKER, V5, Story, breaks, keeps, q0, q1, to

from interop.tap.trace import TraceEntry
from reference_broker.wire.packets import (
    Disconnect,
    PubAck,
    SubAck,
    Subscribe,
)
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import RetainHandling


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
