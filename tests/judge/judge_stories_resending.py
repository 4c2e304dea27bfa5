"""Stories about packet identifiers, DUP and sending again."""

from __future__ import annotations

from judge_story import ALL, BROKER, CLIENT, V5, V31, V311, Story, breaks, keeps, q1, q2, to

from interop.tap.trace import Fate, TraceEntry
from reference_broker.wire.packets import (
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
)

# --- packet identifiers -----------------------------------------------------------------------------------------------


@breaks("packet-id-in-use", CLIENT)
def a_client_uses_an_identifier_twice(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q1(7, "first"))
    entry = one.client(q1(7, "second"))
    one.broker(PubAck(7))
    return entry


@breaks("packet-id-in-use", CLIENT)
def a_client_subscribes_with_the_identifier_of_a_publish(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q1(7))
    entry = one.client(Subscribe(7, (to("t"),)))
    one.broker(PubAck(7))
    one.broker(SubAck(7, (2,)))
    return entry


@breaks("packet-id-in-use", BROKER)
def a_server_uses_an_identifier_twice(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(7, "first"))
    entry = one.broker(q1(7, "second"))
    one.client(PubAck(7))
    return entry


@breaks("packet-id-in-use", CLIENT, V311, V5)
def a_client_forgets_its_session_and_begins_at_one_again(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.client(q1(1, "first"))
    one.cut()
    one.connect_kept(present=True)
    entry = one.client(q1(1, "second"))
    one.broker(PubAck(1))
    return entry


@keeps("packet-id-in-use", *ALL)
def identifiers_are_free_once_acknowledged_and_each_side_has_its_own(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"), packet_id=1)
    for payload in ("a", "b"):
        one.publish(q1(1, payload))
        one.publish(q2(1, payload))
        one.client(q1(1, payload + "!"))
        one.deliver(q2(1, payload))
        one.broker(PubAck(1))
        one.unsubscribe("u", packet_id=1)


@keeps("packet-id-in-use", *ALL)
def a_refused_message_and_a_new_session_free_identifiers(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q1(1, "a"))
    one.client(q2(2, "a"))
    one.client(Subscribe(3, (to("t"),)))
    one.cut()
    one.connect()
    one.client(q1(1, "b"))
    one.client(q2(2, "b"))
    one.client(Subscribe(3, (to("t"),)))
    if story.version is V5:
        one.broker(PubRec(2, 0x97))
        one.client(q2(2, "c"))


@keeps("packet-id-in-use", *ALL)
def an_acknowledgement_that_was_injected_counts(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q1(1, "a"), Fate.DROPPED)
    one.inject(CLIENT, PubAck(1))
    one.client(q1(1, "b"))
    one.broker(PubAck(1))


@keeps("packet-id-in-use", *ALL)
def after_an_answer_that_makes_no_sense_nobody_can_say(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q2(1, "a"), Fate.DROPPED)
    one.inject(CLIENT, PubAck(1))
    one.client(q1(1, "b"))
    one.broker(PubAck(1))


# --- DUP and sending again --------------------------------------------------------------------------------------------


@breaks("first-delivery-without-dup", CLIENT, V311, cites=("MQTT-4.3.2-1",))
@breaks("first-delivery-without-dup", CLIENT, V5, cites=("MQTT-4.3.2-2",))
def a_client_sends_dup_at_once(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.client(q1(1, dup=True))
    one.broker(PubAck(1))
    return entry


@breaks("first-delivery-without-dup", CLIENT, V311, cites=("MQTT-4.3.3-1",))
@breaks("first-delivery-without-dup", CLIENT, V5, cites=("MQTT-4.3.3-2",))
def a_client_sends_dup_at_once_at_qos_2(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    return one.publish(q2(1, dup=True))


@breaks("first-delivery-without-dup", BROKER, V311, cites=("MQTT-3.3.1-3", "MQTT-4.3.3-1"))
@breaks("first-delivery-without-dup", BROKER, V5, cites=("MQTT-3.3.1-3", "MQTT-4.3.3-2"))
def a_server_passes_dup_on(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    entry = one.broker(q2(1, dup=True))
    one.client(PubRec(1))
    one.broker(PubRel(1))
    one.client(PubComp(1))
    return entry


@keeps("first-delivery-without-dup", V31, V311)
def what_a_server_sends_again_may_cross_its_acknowledgement(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(1))
    story.wait(1)
    one.client(PubAck(1))
    one.broker(q1(1, dup=True))
    one.client(PubAck(1))


@breaks("resend-only-on-reconnect", BROKER, V5, cites=("MQTT-4.4.0-1",))
def what_crosses_its_acknowledgement_is_sent_again(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(1))
    story.wait(1)
    one.client(PubAck(1))
    entry = one.broker(q1(1, dup=True))
    one.client(PubAck(1))
    return entry


@breaks("first-delivery-without-dup", BROKER, V311, cites=("MQTT-3.3.1-3", "MQTT-4.3.2-1"))
@breaks("first-delivery-without-dup", BROKER, V5, cites=("MQTT-3.3.1-3", "MQTT-4.3.2-2"))
def what_comes_long_after_its_acknowledgement_crosses_nothing(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(1))
    one.client(PubAck(1))
    story.wait(1)
    entry = one.broker(q1(1, dup=True))
    one.client(PubAck(1))
    return entry


@breaks("first-delivery-without-dup", BROKER, V311, cites=("MQTT-3.3.1-3", "MQTT-4.3.2-1"))
@breaks("first-delivery-without-dup", BROKER, V5, cites=("MQTT-3.3.1-3", "MQTT-4.3.2-2"))
def another_message_crosses_nothing(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(1, "one"))
    one.client(PubAck(1))
    entry = one.broker(q1(1, "another", dup=True))
    one.client(PubAck(1))
    return entry


@keeps("first-delivery-without-dup", *ALL)
def what_was_sent_before_a_cut_nobody_knows(story: Story) -> None:
    one = story.actor()
    one.connect_kept()
    one.subscribe(to("t"))
    one.cut()
    one.connect_kept(present=True)
    one.client(q1(1, "c", dup=True))
    one.broker(q1(1, "b", dup=True))
    one.client(PubAck(1))
    one.broker(PubAck(1))


@breaks("new-session-is-new", CLIENT, V311)
@breaks("new-session-is-new", CLIENT, V5, cites=("MQTT-3.1.2-4",))
def a_client_resends_into_a_clean_session(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q1(1), Fate.LOST)
    one.cut()
    one.connect()
    entry = one.client(q1(1, dup=True))
    one.broker(PubAck(1))
    return entry


@breaks("new-session-is-new", CLIENT, V5, cites=("MQTT-3.2.2-5",))
def a_client_resends_though_its_session_was_lost(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q1(1), Fate.LOST)
    one.cut()
    one.connect_kept(present=False)
    entry = one.client(q1(1, dup=True))
    one.broker(PubAck(1))
    return entry


@breaks("new-session-is-new", CLIENT, V311)
@breaks("new-session-is-new", CLIENT, V5, cites=("MQTT-3.2.2-5",))
def a_client_releases_what_it_owed_a_session_that_was_lost(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    one.broker(PubRec(1))
    one.client(PubRel(1), Fate.LOST)
    one.cut()
    one.connect_kept(present=False)
    entry = one.client(PubRel(1))
    one.broker(PubComp(1, 0x92 if story.version is V5 else 0))
    return entry


@breaks("new-session-is-new", BROKER, V31, V311)
@breaks("new-session-is-new", BROKER, V5, cites=("MQTT-3.1.2-4",))
def a_server_releases_what_it_owed_a_session_that_is_over(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q2(1))
    one.client(PubRec(1))
    one.broker(PubRel(1), Fate.LOST)
    one.cut()
    one.connect()
    entry = one.broker(PubRel(1))
    one.client(PubComp(1, 0x92 if story.version is V5 else 0))
    return entry


@breaks("new-session-is-new", BROKER, V31, V311)
@breaks("new-session-is-new", BROKER, V5, cites=("MQTT-3.1.2-4",))
def a_server_resends_into_a_clean_session(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(1), Fate.LOST)
    one.cut()
    one.connect()
    one.subscribe(to("t"))
    entry = one.broker(q1(1, dup=True))
    one.client(PubAck(1))
    return entry


def somebody_ends_the_session(story: Story) -> None:
    """A clean connection with the same client identifier, which the client does not know of."""
    thief = story.actor("thief", "one")
    thief.connect()
    thief.cut()


@keeps("new-session-is-new", V311)
@keeps("first-delivery-without-dup", V311)
@keeps("pubrel-needs-pubrec", V311)
def a_client_of_a_server_that_lost_its_kept_session_may_go_on_with_what_it_has(story: Story) -> None:
    one = story.actor()
    one.connect_kept()
    one.client(q1(1), Fate.LOST)
    one.client(q2(2))
    one.broker(PubRec(2))
    one.client(PubRel(2), Fate.LOST)
    one.cut()
    somebody_ends_the_session(story)
    one.connect_kept(present=False)
    one.client(q1(1, dup=True))
    one.broker(PubAck(1))
    one.client(PubRel(2))
    one.broker(PubComp(2))


@keeps("new-session-is-new", V311)
@keeps("resends-unfinished", V311)
def a_client_of_a_server_that_lost_its_kept_session_may_begin_anew(story: Story) -> None:
    one = story.actor()
    one.connect_kept()
    one.client(q1(1), Fate.LOST)
    one.cut()
    somebody_ends_the_session(story)
    one.connect_kept(present=False)
    one.publish(q1(1, "another"))
    story.wait(5)


@breaks("new-session-is-new", CLIENT, V311)
def a_client_goes_on_with_a_lost_session_in_a_clean_one(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.client(q1(1), Fate.LOST)
    one.cut()
    somebody_ends_the_session(story)
    one.connect_kept(present=False)
    one.client(q1(1, dup=True), Fate.LOST)
    one.cut()
    one.connect()
    entry = one.client(q1(1, dup=True))
    one.broker(PubAck(1))
    return entry


@keeps("new-session-is-new", *ALL)
def an_application_may_publish_the_same_again(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q1(1), Fate.LOST)
    one.cut()
    one.connect()
    one.publish(q1(1))


@breaks("redelivery-with-dup", CLIENT)
def a_client_sends_again_without_dup(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.client(q1(1))
    one.cut()
    one.connect_kept(present=True)
    entry = one.client(q1(1))
    one.broker(PubAck(1))
    return entry


@breaks("redelivery-with-dup", BROKER)
def a_server_sends_again_without_dup(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.subscribe(to("t"))
    one.broker(q2(1), Fate.LOST)
    one.cut()
    one.connect_kept(present=True)
    return one.deliver(q2(1))


@breaks("resend-only-on-reconnect", CLIENT)
def a_client_loses_patience(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q1(1), Fate.HELD)
    story.wait(2)
    return one.client(q1(1, dup=True), Fate.HELD)


@breaks("resend-only-on-reconnect", CLIENT)
def a_client_repeats_pubrel(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    one.broker(PubRec(1))
    one.client(PubRel(1), Fate.DROPPED)
    story.wait(2)
    return one.client(PubRel(1), Fate.DROPPED)


@keeps("resend-only-on-reconnect")
def a_client_resumes_with_pubrel_and_answers_a_pubrec_that_is_repeated(story: Story) -> None:
    one = story.actor()
    one.connect_kept()
    one.client(q2(1))
    one.broker(PubRec(1))
    one.cut()
    one.connect_kept(present=True)
    one.broker(PubRec(1))
    one.client(PubRel(1))
    one.client(PubRel(1))
    one.broker(PubComp(1))
    one.broker(PubComp(1))
    one.leave()


@breaks("resend-only-on-reconnect", BROKER)
def a_server_loses_patience(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(1), Fate.DROPPED)
    story.wait(2)
    entry = one.broker(q1(1, dup=True))
    one.client(PubAck(1))
    return entry


@keeps("resend-only-on-reconnect")
@keeps("redelivery-with-dup", *ALL)
@keeps("resend-order", *ALL)
@keeps("resends-unfinished", *ALL)
@keeps("no-publish-after-pubrel", *ALL)
def both_sides_resume_in_order(story: Story) -> None:
    one = story.actor()
    one.connect_kept()
    one.subscribe(to("t"))
    one.client(q2(1, "a"))
    one.broker(PubRec(1))
    one.client(PubRel(1), Fate.LOST)
    one.client(q1(2, "b"), Fate.LOST)
    one.broker(q2(1, "c"), Fate.LOST)
    one.broker(q1(2, "d"), Fate.LOST)
    one.cut()
    one.connect_kept(present=True)
    one.client(PubRel(1))
    one.client(q1(2, "b", dup=True))
    one.broker(q2(1, "c", dup=True))
    one.broker(q1(2, "d", dup=True))
    one.broker(PubComp(1))
    one.broker(PubAck(2))
    one.client(PubRec(1))
    one.client(PubAck(2))
    one.broker(PubRel(1))
    one.client(PubComp(1))
    story.wait(9)
    one.leave()


@keeps("resends-unfinished", *ALL)
def a_new_session_has_nothing_to_resend(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q1(1), Fate.LOST)
    one.cut()
    one.connect()
    story.wait(9)
    one.leave()


@keeps("resends-unfinished", *ALL)
def a_short_connection_leaves_no_time_to_resend(story: Story) -> None:
    one = story.actor()
    one.connect_kept()
    one.client(q1(1), Fate.LOST)
    one.cut()
    one.connect_kept(present=True)
    one.cut()
    story.wait(9)
    one.open()


@breaks("resends-unfinished", CLIENT, V31, V311, V5)
def a_client_forgets_a_message(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.client(q1(1), Fate.LOST)
    one.cut()
    entry = one.connect_kept(present=True)
    story.wait(4)
    one.leave()
    return entry


@breaks("resends-unfinished", BROKER, V31, V311, V5)
def a_server_forgets_pubrel(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.subscribe(to("t"))
    one.broker(q2(1))
    one.client(PubRec(1))
    one.broker(PubRel(1), Fate.LOST)
    one.cut()
    entry = one.connect_kept(present=True)
    story.wait(4)
    one.leave()
    return entry


@breaks("resend-order", CLIENT)
def a_client_resends_backwards(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.client(q1(1, "a"), Fate.LOST)
    one.client(q1(2, "b"), Fate.LOST)
    one.cut()
    one.connect_kept(present=True)
    one.client(q1(2, "b", dup=True))
    entry = one.client(q1(1, "a", dup=True))
    one.broker(PubAck(2))
    one.broker(PubAck(1))
    return entry


@breaks("resend-order", BROKER)
def a_server_resends_backwards(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.subscribe(to("t"))
    one.broker(q1(1, "a"), Fate.LOST)
    one.broker(q1(2, "b"), Fate.LOST)
    one.cut()
    one.connect_kept(present=True)
    one.broker(q1(2, "b", dup=True))
    entry = one.broker(q1(1, "a", dup=True))
    one.client(PubAck(2))
    one.client(PubAck(1))
    return entry


@breaks("no-publish-after-pubrel", CLIENT)
def a_client_goes_back_to_publish(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.client(q2(1))
    one.broker(PubRec(1))
    one.client(PubRel(1), Fate.LOST)
    one.cut()
    one.connect_kept(present=True)
    entry = one.client(q2(1, dup=True))
    one.broker(PubRec(1))
    one.client(PubRel(1))
    one.broker(PubComp(1))
    return entry


@breaks("no-publish-after-pubrel", BROKER)
def a_server_goes_back_to_publish(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.subscribe(to("t"))
    one.broker(q2(1))
    one.client(PubRec(1))
    one.broker(PubRel(1), Fate.LOST)
    one.cut()
    one.connect_kept(present=True)
    entry = one.broker(q2(1, dup=True))
    one.client(PubRec(1))
    one.broker(PubRel(1))
    one.client(PubComp(1))
    return entry
