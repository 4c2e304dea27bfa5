"""Stories of the rules about sessions, takeovers and the answers to SUBSCRIBE and UNSUBSCRIBE."""

from __future__ import annotations

from judge_story import BROKER, CLIENT, V5, V31, V311, Story, breaks, keeps, to

from interop.tap.trace import Fate, TraceEntry
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Disconnect,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from reference_broker.wire.properties import Properties

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
