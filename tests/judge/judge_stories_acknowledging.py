"""Stories about PUBACK, PUBREC, PUBREL, PUBCOMP and their order."""

from __future__ import annotations

from judge_story import ALL, BROKER, CLIENT, V5, Actor, Story, breaks, keeps, q1, q2, to

from interop.tap.trace import Fate, TraceEntry
from reference_broker.wire.packets import (
    PubAck,
    PubComp,
    PubRec,
    PubRel,
)

# --- PUBREL -----------------------------------------------------------------------------------------------------------


@breaks("pubrel-needs-pubrec", CLIENT)
def a_client_releases_too_early(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    entry = one.client(PubRel(1))
    one.broker(PubRec(1))
    one.broker(PubComp(1))
    return entry


@breaks("pubrel-needs-pubrec", BROKER)
def a_server_releases_nothing(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.broker(PubRel(9))
    one.client(PubComp(9))
    return entry


@breaks("pubrel-needs-pubrec", CLIENT)
def a_pubrec_that_was_dropped_does_not_count(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    one.broker(PubRec(1), Fate.DROPPED)
    entry = one.client(PubRel(1))
    one.broker(PubComp(1))
    return entry


@keeps("pubrel-needs-pubrec")
def pubrel_answers_every_pubrec_even_an_injected_one(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    one.broker(PubRec(1))
    one.inject(CLIENT, PubRec(1))
    one.inject(CLIENT, PubRec(9))
    one.client(PubRel(1))
    one.client(PubRel(1))
    one.client(PubRel(9, 0x92 if story.version is V5 else 0), Fate.DROPPED)
    one.broker(PubComp(1))
    one.broker(PubComp(1))


@breaks("answers-pubrec", CLIENT)
def a_client_does_not_release(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    entry = one.broker(PubRec(1))
    story.wait(4)
    one.close()
    return entry


@breaks("answers-pubrec", BROKER)
def a_server_does_not_release(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q2(1))
    entry = one.client(PubRec(1))
    story.wait(4)
    one.close()
    return entry


@keeps("answers-pubrec")
def a_pubrec_that_failed_or_got_lost_is_not_released(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    one.broker(PubRec(1, 0x97 if story.version is V5 else 0), Fate.FORWARDED if story.version is V5 else Fate.DROPPED)
    story.wait(9)
    one.close()


@breaks("pubrel-order", CLIENT)
def a_client_releases_out_of_order(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2(1, "a"))
    one.client(q2(2, "b"))
    one.broker(PubRec(1))
    one.broker(PubRec(2))
    entry = one.client(PubRel(2))
    one.client(PubRel(1))
    one.broker(PubComp(2))
    one.broker(PubComp(1))
    return entry


@breaks("pubrel-order", BROKER)
def a_server_releases_out_of_order(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q2(1, "a"))
    one.broker(q2(2, "b"))
    one.client(PubRec(1))
    one.client(PubRec(2))
    entry = one.broker(PubRel(2))
    one.broker(PubRel(1))
    one.client(PubComp(2))
    one.client(PubComp(1))
    return entry


@keeps("pubrel-order", *ALL)
def the_order_of_arrival_counts_not_that_of_sending(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q2(1, "a"))
    one.client(q2(2, "b"))
    one.broker(PubRec(1), Fate.HELD)
    one.broker(PubRec(2))
    one.broker(PubRec(1), Fate.RELEASED)
    one.client(PubRel(2))
    one.client(PubRel(1))
    one.broker(PubComp(2))
    one.broker(PubComp(1))


@breaks("pubrel-order", CLIENT)
def a_client_repeats_its_pubrels_out_of_order(story: Story) -> TraceEntry:
    one = story.actor()
    _release_second_before_first(one)
    one.connect_kept(present=True)
    entry = one.client(PubRel(1))
    one.client(PubRel(2))
    one.broker(PubComp(1))
    one.broker(PubComp(2))
    return entry


@breaks("pubrel-order", BROKER)
def a_server_repeats_its_pubrels_out_of_order(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect_kept()
    one.subscribe(to("t"))
    one.broker(q2(1, "a"))
    one.broker(q2(2, "b"))
    one.client(PubRec(1))
    one.client(PubRec(2))
    one.broker(PubRel(1))
    one.cut()
    one.connect_kept(present=True)
    entry = one.broker(PubRel(2))
    one.broker(PubRel(1))
    one.client(PubComp(2))
    one.client(PubComp(1))
    return entry


@breaks("pubrel-order", CLIENT)
def a_client_repeats_its_pubrels_out_of_order_the_second_time(story: Story) -> TraceEntry:
    one = story.actor()
    _release_second_before_first(one)
    one.connect_kept(present=True)
    one.client(PubRel(2))
    one.client(PubRel(1))
    one.cut()
    one.connect_kept(present=True)
    entry = one.client(PubRel(1))
    one.client(PubRel(2))
    one.broker(PubComp(1))
    one.broker(PubComp(2))
    return entry


@keeps("pubrel-order", *ALL)
def pubrels_are_repeated_in_the_order_of_the_pubrecs(story: Story) -> None:
    one = story.actor()
    _release_second_before_first(one)
    one.connect_kept(present=True)
    one.client(PubRel(2))
    one.client(PubRel(1))
    one.broker(PubComp(2))
    one.broker(PubComp(1))


@keeps("pubrel-order", *ALL)
def a_pubrec_lost_with_its_connection_has_no_place_in_the_order(story: Story) -> None:
    one = story.actor()
    one.connect_kept()
    one.client(q2(1, "a"))
    one.client(q2(2, "b"))
    one.broker(PubRec(2))
    one.client(PubRel(2))
    one.broker(PubRec(1))  # on its way when the connection ends, and never read
    one.cut()
    one.connect_kept(present=True)
    one.client(q2(1, "a", dup=True))
    one.broker(PubRec(1))
    one.client(PubRel(1))
    one.client(PubRel(2))
    one.cut()
    one.connect_kept(present=True)
    one.client(PubRel(2))
    one.client(PubRel(1))
    one.broker(PubComp(2))
    one.broker(PubComp(1))


@keeps("pubrel-order", *ALL)
def what_was_completed_has_no_place_in_the_order(story: Story) -> None:
    one = story.actor()
    _release_second_before_first(one)
    one.connect_kept(present=True)
    one.inject(CLIENT, PubComp(2))
    one.client(PubRel(1))
    one.client(q2(2, "anew"))
    one.broker(PubRec(2))
    one.client(PubRel(2))
    one.broker(PubComp(1))
    one.broker(PubComp(2))


@keeps("pubrel-order", *ALL)
def pubrels_may_follow_the_order_of_repeated_pubrecs(story: Story) -> None:
    one = story.actor()
    one.connect_kept()
    one.client(q2(1, "a"))
    one.client(q2(2, "b"))
    one.broker(PubRec(1))
    one.client(PubRel(1))
    one.broker(PubRec(2))
    one.client(PubRel(2))
    one.inject(CLIENT, PubRec(1))
    one.client(PubRel(1))
    one.cut()
    one.connect_kept(present=True)
    one.client(PubRel(2))
    one.client(PubRel(1))
    one.broker(PubComp(2))
    one.broker(PubComp(1))


@keeps("pubrel-order", *ALL)
def a_new_session_has_an_order_of_its_own(story: Story) -> None:
    one = story.actor()
    _release_second_before_first(one)
    one.connect()
    one.client(q2(1, "a"))
    one.client(q2(2, "b"))
    one.broker(PubRec(1))
    one.broker(PubRec(2))
    one.client(PubRel(1))
    one.client(PubRel(2))
    one.broker(PubComp(1))
    one.broker(PubComp(2))


def _release_second_before_first(one: Actor) -> None:
    """Two messages of a client's, whose PUBRECs come the wrong way round, are released and not completed."""
    one.connect_kept()
    one.client(q2(1, "a"))
    one.client(q2(2, "b"))
    one.broker(PubRec(2))
    one.client(PubRel(2))
    one.broker(PubRec(1))
    one.client(PubRel(1))
    one.cut()


# --- acknowledgements -------------------------------------------------------------------------------------------------


@breaks("acknowledges-what-came", CLIENT)
def a_client_acknowledges_what_never_came(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(3), Fate.DROPPED)
    return one.client(PubAck(3))


@breaks("acknowledges-what-came", BROKER)
def a_server_acknowledges_under_another_identifier(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    entry = one.broker(PubRec(2))
    one.client(PubRel(2))
    one.broker(PubComp(2))
    return entry


@breaks("acknowledges-what-came", BROKER)
def a_server_completes_what_was_not_released(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    one.broker(PubRec(1))
    entry = one.broker(PubComp(1))
    one.client(PubRel(1))
    return entry


@keeps("acknowledges-what-came")
@keeps("acknowledgement-fits-qos")
def injected_messages_are_acknowledged_too(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.inject(CLIENT, q1(1))
    one.client(PubAck(1), Fate.DROPPED)
    one.inject(CLIENT, PubRel(9))
    one.client(PubComp(9), Fate.DROPPED)
    one.inject(BROKER, q2(5))
    one.broker(PubRec(5), Fate.DROPPED)


@keeps("acknowledges-what-came")
def a_session_from_before_may_have_messages_nobody_saw(story: Story) -> None:
    one = story.actor()
    one.connect_kept(present=True)
    one.client(PubAck(4))
    one.broker(PubComp(5))


@breaks("acknowledgement-fits-qos", CLIENT)
def a_client_answers_qos_2_with_puback(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q2(1))
    return one.client(PubAck(1))


@breaks("acknowledgement-fits-qos", BROKER)
def a_server_answers_qos_2_with_puback(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2(1))
    return one.broker(PubAck(1))


@breaks("puback-order", CLIENT)
def a_client_acknowledges_qos_1_out_of_order(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(1, "a"))
    one.broker(q1(2, "b"))
    entry = one.client(PubAck(2))
    one.client(PubAck(1))
    return entry


@breaks("pubrec-order", CLIENT)
def a_client_acknowledges_qos_2_out_of_order(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q2(1, "a"))
    one.broker(q2(2, "b"))
    entry = one.client(PubRec(2))
    one.client(PubRec(1))
    for packet_id in (2, 1):
        one.broker(PubRel(packet_id))
        one.client(PubComp(packet_id))
    return entry


@keeps("puback-order", *ALL)
@keeps("pubrec-order", *ALL)
def each_qos_has_its_own_order_and_some_answers_never_come(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.subscribe(to("t"))
    one.broker(q1(1, "a"))
    one.broker(q2(2, "b"))
    one.broker(q1(3, "c"))
    one.broker(q2(4, "d"))
    one.client(PubRec(2))
    one.client(PubAck(3))
    one.client(PubRec(4))
    for packet_id in (2, 4):
        one.broker(PubRel(packet_id))
        one.client(PubComp(packet_id))
