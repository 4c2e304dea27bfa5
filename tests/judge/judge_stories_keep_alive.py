"""Stories about keep alive and answers that are owed."""

from __future__ import annotations

from judge_story import BROKER, CLIENT, V5, Story, breaks, keeps, q0, q1, q2, to

from interop.tap.trace import Fate, TraceEntry
from reference_broker.wire.packets import (
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    PubRec,
    PubRel,
    Subscribe,
    Unsubscribe,
)
from reference_broker.wire.properties import Properties

# --- keep alive -------------------------------------------------------------------------------------------------------


@breaks("keeps-alive", CLIENT)
def a_client_is_silent_for_too_long(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(keep_alive=4)
    story.wait(5.6)
    entry = one.client(PingReq())
    one.broker(PingResp())
    return entry


@breaks("keeps-alive", CLIENT, V5)
def a_client_does_not_heed_the_servers_keep_alive(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(keep_alive=60, answer=Properties(server_keep_alive=2))
    story.wait(3.6)
    entry = one.client(PingReq())
    one.broker(PingResp())
    return entry


@breaks("keeps-alive", CLIENT)
def a_client_falls_silent_for_good(story: Story) -> TraceEntry:
    one, two = story.actor(), story.actor("two")
    one.connect(keep_alive=4)
    entry = one.client(q0())
    story.wait(5.6)
    two.connect()
    return entry


@keeps("keeps-alive")
def a_client_pings_in_time_and_may_close_when_it_likes(story: Story) -> None:
    one = story.actor()
    one.connect(keep_alive=4)
    for _ in range(3):
        story.wait(4)
        one.client(PingReq())
        one.broker(PingResp())
    one.leave()
    story.wait(60)
    one.connect()
    story.wait(60)
    one.leave()


@keeps("keeps-alive")
def a_client_takes_long_to_send_what_it_began_in_time(story: Story) -> None:
    one = story.actor()
    one.connect(keep_alive=4)
    began_at = story.now + 3.9
    story.wait(20)
    one.client(q0(), began_at=began_at)
    story.wait(4)
    one.leave()


@keeps("ends-silent-connection")
def a_server_may_wait_for_the_rest_of_a_packet(story: Story) -> None:
    one = story.actor()
    one.connect(keep_alive=2)
    one.client(q0(), Fate.DELAYED)
    for _ in range(5):
        story.wait(1.9)
        one.client(PingReq(), Fate.DELAYED)
    one.client(q0(), Fate.RELEASED, began_at=story.now - 9)
    for _ in range(5):
        one.client(PingReq(), Fate.RELEASED)
        one.broker(PingResp())
    one.leave()


@keeps("waits-for-keep-alive")
def a_server_need_not_wait_for_the_rest_of_a_packet(story: Story) -> None:
    one = story.actor()
    one.connect(keep_alive=2)
    one.client(q0(), Fate.DELAYED)
    story.wait(3.0)
    one.close(BROKER)


@keeps("gives-up-without-pingresp")
def a_client_waits_for_a_ping_behind_a_packet_that_takes_long(story: Story) -> None:
    one = story.actor()
    one.connect(keep_alive=2)
    one.subscribe(to("t"))
    for _ in range(5):
        story.wait(1.9)
        one.client(PingReq())
    one.broker(q0(), began_at=story.now - 9)
    for _ in range(5):
        one.broker(PingResp())
    one.leave()


@breaks("gives-up-without-pingresp", CLIENT)
def a_client_waits_for_a_ping_for_ever(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(keep_alive=2)
    story.wait(2)
    entry = one.client(PingReq())
    one.broker(PingResp(), Fate.DROPPED)
    for _ in range(4):
        story.wait(1.9)
        one.client(q0())
    return entry


@keeps("gives-up-without-pingresp")
def a_client_closes_without_pingresp(story: Story) -> None:
    one = story.actor()
    one.connect(keep_alive=2)
    story.wait(2)
    one.client(PingReq(), Fate.LOST)
    story.wait(3.9)
    one.close(CLIENT, Fate.LOST)


@breaks("waits-for-keep-alive", BROKER, V5)
def a_server_times_out_too_early(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(keep_alive=2)
    story.wait(2.1)
    entry = one.broker(Disconnect(0x8D))
    one.close(BROKER)
    return entry


@breaks("waits-for-keep-alive", BROKER)
def a_server_closes_a_silent_connection_too_early(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(keep_alive=2)
    story.wait(2.1)
    return one.close(BROKER)


@keeps("waits-for-keep-alive")
def a_server_waits_one_and_a_half_times(story: Story) -> None:
    one = story.actor()
    one.connect(keep_alive=2)
    story.wait(3.0)
    one.close(BROKER, Fate.HELD)


@keeps("waits-for-keep-alive")
def a_server_may_close_for_other_reasons(story: Story) -> None:
    one = story.actor()
    one.connect(keep_alive=2)
    story.wait(0.4)
    one.close(BROKER)
    one.connect(keep_alive=2)
    story.wait(2.1)
    one.leave()


@breaks("ends-silent-connection", BROKER)
def a_server_puts_up_with_silence(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect(keep_alive=2)
    entry = one.client(q0())
    story.wait(1.9)
    one.client(PingReq(), Fate.HELD)
    story.wait(1.9)
    one.client(PingReq(), Fate.HELD)
    story.wait(1.9)
    one.client(PingReq(), Fate.HELD)
    story.wait(0.5)
    one.close(CLIENT)
    return entry


@keeps("ends-silent-connection")
def a_server_ends_a_frozen_connection(story: Story) -> None:
    one = story.actor()
    one.connect(keep_alive=2)
    story.wait(1.9)
    one.client(PingReq(), Fate.HELD)
    story.wait(1.3)
    one.close(BROKER, Fate.HELD)
    story.wait(1)
    one.close(CLIENT, Fate.HELD)


# --- answers ----------------------------------------------------------------------------------------------------------


@breaks("answers-connect", BROKER)
def a_server_does_not_answer_connect(story: Story) -> TraceEntry:
    one = story.actor()
    one.open()
    entry = one.client(Connect(story.version, "one"))
    story.wait(4)
    one.close()
    return entry


@breaks("answers-qos1", BROKER)
def a_server_does_not_answer_qos_1(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.client(q1())
    story.wait(4)
    one.leave()
    return entry


@breaks("answers-qos2", BROKER)
def a_server_does_not_answer_qos_2(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.client(q2())
    story.wait(4)
    one.leave()
    return entry


@breaks("answers-pubrel", BROKER)
def a_server_does_not_answer_pubrel(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    one.client(q2())
    one.broker(PubRec(1))
    entry = one.client(PubRel(1))
    story.wait(4)
    one.leave()
    return entry


@breaks("answers-subscribe", BROKER)
def a_server_does_not_answer_subscribe(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.client(Subscribe(1, (to("t"),)))
    story.wait(4)
    one.leave()
    return entry


@breaks("answers-unsubscribe", BROKER)
def a_server_does_not_answer_unsubscribe(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.client(Unsubscribe(1, ("t",)))
    story.wait(4)
    one.leave()
    return entry


@breaks("answers-pingreq", BROKER)
def a_server_does_not_answer_a_ping(story: Story) -> TraceEntry:
    one = story.actor()
    one.connect()
    entry = one.client(PingReq())
    story.wait(4)
    one.leave()
    return entry


@keeps("answers-connect")
@keeps("answers-qos1")
@keeps("answers-qos2")
@keeps("answers-pubrel")
@keeps("answers-subscribe")
@keeps("answers-unsubscribe")
@keeps("answers-pingreq")
def an_answer_that_was_dropped_was_given(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q1())
    one.broker(PubAck(1), Fate.DROPPED)
    one.client(PingReq())
    one.broker(PingResp(), Fate.HELD)
    story.wait(9)
    one.leave()


@keeps("answers-connect")
@keeps("answers-qos1")
@keeps("answers-qos2")
@keeps("answers-pubrel")
@keeps("answers-subscribe")
@keeps("answers-unsubscribe")
@keeps("answers-pingreq")
def a_request_that_never_arrived_needs_no_answer(story: Story) -> None:
    one = story.actor()
    one.open()
    one.client(Connect(story.version, "one"), Fate.DROPPED)
    story.wait(4)
    one.close()
    one.connect()
    one.client(q1(1), Fate.DROPPED)
    one.client(q2(2), Fate.HELD)
    one.client(Subscribe(4, (to("t"),)), Fate.LOST)
    one.client(Unsubscribe(5, ("t",)), Fate.LOST)
    one.client(PingReq(), Fate.LOST)
    story.wait(9)
    one.leave()


@keeps("answers-pubrel")
def a_server_that_closes_owes_nothing(story: Story) -> None:
    one = story.actor()
    one.connect()
    one.client(q2())
    one.broker(PubRec(1))
    one.client(PubRel(1))
    one.close(BROKER)
    story.wait(9)
    one.connect()
