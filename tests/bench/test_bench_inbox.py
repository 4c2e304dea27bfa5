"""What the load generator says of a received stream: every message counted, every flaw seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interop.bench.inbox import Arrivals, BadStream, ClientDropped, Counts, Expected, Inbox
from interop.bench.stream import Form, Topics
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import PubAck, PubRec, PubRel
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

TOPICS = Topics()
PLAIN = Form()


def packet(form: Form, position: int, publisher: int = 0, *, topics: Topics = TOPICS, **changes: object) -> bytes:
    return encode(replace(form.message(topics, publisher, position), **changes), form.version)


def inbox(form: Form = PLAIN, publishers: int = 1, **expected: object) -> tuple[Inbox, Counts]:
    counts = Counts()
    wanted = Expected(form, TOPICS, tuple(range(publishers)))
    return Inbox(Arrivals(replace(wanted, **expected), counts), None), counts


def feed(box: Inbox, data: bytes, now_ns: int = 0) -> bytes:
    with box.space() as space:
        space[: len(data)] = data
    return box.take(len(data), now_ns)


def test_a_stream_in_order_is_counted_and_nothing_is_missing() -> None:
    box, counts = inbox()
    feed(box, b"".join(packet(PLAIN, position) for position in range(100)))
    assert (counts.delivered, counts.lost, counts.repeated) == (100, 0, 0)


def test_a_stream_cut_anywhere_counts_the_same() -> None:
    box, counts = inbox()
    data = b"".join(packet(PLAIN, position) for position in range(5))
    for byte in data:
        feed(box, bytes((byte,)))
    assert (counts.delivered, counts.lost, counts.repeated) == (5, 0, 0)


def test_a_ring_begins_again() -> None:
    box, counts = inbox()
    for position in range(TOPICS.cycle + 3):
        feed(box, packet(PLAIN, position % TOPICS.cycle))
    assert (counts.delivered, counts.lost, counts.repeated) == (TOPICS.cycle + 3, 0, 0)


def test_a_gap_is_lost_messages() -> None:
    box, counts = inbox()
    feed(box, b"".join(packet(PLAIN, position) for position in (0, 1, 5, 6)))
    assert (counts.delivered, counts.lost, counts.repeated) == (4, 3, 0)


def test_a_message_that_comes_twice_is_repeated_and_not_delivered_again() -> None:
    box, counts = inbox()
    feed(box, b"".join(packet(PLAIN, position) for position in (0, 1, 1, 2, 0, 3)))
    assert (counts.delivered, counts.lost, counts.repeated) == (4, 0, 2)


def test_publishers_between_each_other_are_each_in_their_own_order() -> None:
    box, counts = inbox(publishers=3)
    order = [(0, 0), (0, 1), (2, 0), (1, 0), (0, 2), (2, 1), (2, 2), (1, 2)]
    feed(box, b"".join(packet(PLAIN, position, publisher) for publisher, position in order))
    assert (counts.delivered, counts.lost, counts.repeated) == (8, 1, 0)


def test_a_changed_byte_in_a_payload_is_seen() -> None:
    box, _ = inbox()
    data = bytearray(b"".join(packet(PLAIN, position) for position in range(50)))
    data[-1] ^= 1
    with pytest.raises(BadStream, match="not the message that was published"):
        feed(box, bytes(data))


def test_a_message_of_somebody_else_is_seen() -> None:
    box, _ = inbox(publishers=2)
    with pytest.raises(BadStream, match="publisher 2, whom nobody asked for"):
        feed(box, packet(PLAIN, 0, 2))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"retain": True}, "retain is True, not False"),
        ({"topic": "bench/000/00001"}, "topic is"),
        ({"payload": b"x" * 63}, "a payload of 63 bytes, not 64"),
    ],
)
def test_a_first_message_that_is_not_what_was_published_is_refused(changes: dict[str, object], named: str) -> None:
    box, _ = inbox()
    with pytest.raises(BadStream, match=named):
        feed(box, packet(PLAIN, 0, **changes))


def test_a_retain_flag_on_a_later_message_is_refused() -> None:
    box, _ = inbox()
    with pytest.raises(BadStream):
        feed(box, packet(PLAIN, 0) + packet(PLAIN, 1, retain=True))


def test_properties_may_come_in_any_order() -> None:
    properties = Properties(user_property=(("a", "b"), ("c", "d")), subscription_identifier=(7,))
    form = Form(Version.V5, properties=properties)
    box, counts = inbox(form)
    ours = packet(form, 0)
    start = ours.index(b"\x0b\x07")
    moved = [each[:start] + each[start + 2 : -64] + b"\x0b\x07" + each[-64:] for each in (ours, packet(form, 1))]
    assert moved[0] != ours
    feed(box, b"".join(moved))
    assert (counts.delivered, counts.lost) == (2, 0)


def test_qos_1_is_acknowledged_in_order_whatever_the_identifiers() -> None:
    form = Form(qos=QoS.AT_LEAST_ONCE)
    box, counts = inbox(form)
    numbers = (9, 300, 1)
    data = b"".join(packet(form, position, packet_id=number) for position, number in enumerate(numbers))
    assert feed(box, data) == b"".join(encode(PubAck(number), Version.V311) for number in numbers)
    assert counts.delivered == 3


def test_qos_2_is_answered_packet_by_packet_in_a_mixed_stream() -> None:
    form = Form(qos=QoS.EXACTLY_ONCE)
    box, counts = inbox(form)
    data = packet(form, 0, packet_id=5) + encode(PubRel(4), Version.V311) + packet(form, 1, packet_id=6)
    expected = encode(PubRec(5), Version.V311) + b"\x70\x02\x00\x04" + encode(PubRec(6), Version.V311)
    assert feed(box, data) == expected
    assert counts.delivered == 2


def test_latency_is_the_time_of_receipt_less_the_time_in_the_payload() -> None:
    box, counts = inbox(timed=True)
    messages = []
    for position, sent_ns in enumerate((1_000, 1_500)):
        payload = bytearray(PLAIN.message(TOPICS, 0, position).payload)
        payload[6:14] = sent_ns.to_bytes(8, "big")
        messages.append(packet(PLAIN, position, payload=bytes(payload)))
    feed(box, b"".join(messages), now_ns=5_000)
    assert counts.latencies_ns == [4_000, 3_500]
    assert (counts.delivered, counts.lost) == (2, 0)


def test_a_subscriber_of_one_topic_gets_that_ones_messages_only() -> None:
    topics = Topics(count=4)
    box, counts = inbox(topics=topics, only=1)
    feed(box, b"".join(packet(PLAIN, position, topics=topics) for position in (1, 5, 13)))
    assert (counts.delivered, counts.lost) == (3, 1)


def test_a_disconnect_means_that_the_client_is_dropped() -> None:
    box, _ = inbox(Form(Version.V5))
    with pytest.raises(ClientDropped, match="unexpected DISCONNECT: e0 02 8e 00"):
        feed(box, b"\xe0\x02\x8e\x00")
