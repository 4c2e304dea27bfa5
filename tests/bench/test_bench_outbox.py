"""What a publisher sends: whole packets, in order, as many as window and packet identifiers allow."""

from __future__ import annotations

import pytest

from interop.bench.inbox import BadStream
from interop.bench.outbox import Outbox
from interop.bench.stream import Form, Topics
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Publish, PubRel
from reference_broker.wire.types import PacketType, QoS, Version

TOPICS = Topics()


def outbox(qos: int = 0, *, batch: int = 10, window: int = 4, topics: Topics = TOPICS) -> Outbox:
    return Outbox(Form(qos=QoS(qos)), topics, 3, batch=batch, window=window)


def packets(data: memoryview | bytes) -> list[Publish]:
    reader = Reader(Version.V311)
    reader.feed(bytes(data))
    found = [packet for packet in reader if isinstance(packet, Publish)]
    assert not len(reader)
    return found


def identifiers(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def test_a_batch_is_so_many_whole_messages_and_the_next_goes_on_behind_it() -> None:
    box = outbox(batch=10)
    sent = packets(box.next_batch(1000)) + packets(box.next_batch(3))
    assert box.sent == len(sent) == 13
    assert sent == [Form().message(TOPICS, 3, position) for position in range(13)]


def test_topics_are_taken_in_turn() -> None:
    box = outbox(topics=Topics(group=7, count=3))
    names = [packet.topic for packet in packets(box.next_batch(4))]
    assert names == ["bench/007/00000", "bench/007/00001", "bench/007/00002", "bench/007/00000"]


def test_the_window_bounds_unfinished_messages_and_an_acknowledgement_makes_room() -> None:
    box = outbox(1, window=4)
    assert [packet.packet_id for packet in packets(box.next_batch(100))] == [1, 2, 3, 4]
    assert not box.next_batch(100)
    assert box.acknowledged(PacketType.PUBACK, identifiers(1, 3)) == b""
    assert [packet.packet_id for packet in packets(box.next_batch(100))] == [5, 6]


def test_qos_2_makes_room_at_pubcomp_and_answers_pubrec() -> None:
    box = outbox(2, window=2)
    box.next_batch(100)
    released = b"".join(encode(PubRel(number), Version.V311) for number in (1, 2))
    assert box.acknowledged(PacketType.PUBREC, identifiers(1, 2)) == released
    assert box.in_flight == 2
    box.acknowledged(PacketType.PUBCOMP, identifiers(1))
    assert box.in_flight == 1


def test_an_identifier_in_use_is_not_used_again_when_the_ring_begins_again() -> None:
    box = outbox(1, window=60_000, batch=5000)
    sent = 0
    while data := box.next_batch(5000):
        sent += len(packets(data))
    assert sent == TOPICS.cycle
    box.acknowledged(PacketType.PUBACK, identifiers(2, 3))  # but not 1, which is next
    assert not box.next_batch(5000)
    box.acknowledged(PacketType.PUBACK, identifiers(1))
    assert [packet.packet_id for packet in packets(box.next_batch(5000))] == [1, 2, 3]


@pytest.mark.parametrize(
    ("qos", "kind", "number"),
    [
        (1, PacketType.PUBACK, 9),
        (1, PacketType.PUBACK, 0),
        (1, PacketType.PUBREC, 1),
        (2, PacketType.PUBACK, 1),
        (2, PacketType.PUBCOMP, 1),
    ],
)
def test_an_acknowledgement_nobody_waits_for_is_refused(qos: int, kind: PacketType, number: int) -> None:
    box = outbox(qos)
    box.next_batch(4)
    with pytest.raises(BadStream):
        box.acknowledged(kind, identifiers(number))


def test_a_timed_message_carries_its_time() -> None:
    (message,) = packets(outbox().next_timed(123_456_789))
    assert int.from_bytes(message.payload[6:14], "big") == 123_456_789
