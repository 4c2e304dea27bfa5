"""TCP put together: order, retransmissions, holes, and who is the broker."""

from __future__ import annotations

from dataclasses import replace

from capture_files import BROKER, CLIENT, Line, numbered
from hypothesis import given
from hypothesis import strategies as st

from interop.capture.segments import Endpoint, Segment
from interop.capture.streams import Conversation, conversations
from reference_broker.wire.packets import ConnAck, Connect
from reference_broker.wire.types import Version

LIMIT = 1 << 20


def one(segments: list[Segment]) -> Conversation:
    (conversation,) = conversations(numbered(segments), LIMIT)
    return conversation


def said(conversation: Conversation, *, by_client: bool) -> bytes:
    return conversation.first_bytes(of_client=by_client, limit_bytes=LIMIT)


def unknown(conversation: Conversation) -> list[bool]:
    return [each.is_client for each in conversation.heard if each.unknown]


@given(st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_whatever_order_segments_come_in_and_however_often_their_bytes_are_heard_once(
    pieces: list[bytes], random: object
) -> None:
    line = Line().open()
    for piece in pieces:
        line.say(CLIENT, piece)
    beginning, rest = line.segments[:3], line.segments[3:]
    shuffled = rest + rest[: len(rest) // 2]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    conversation = one([*beginning, *shuffled])
    assert said(conversation, by_client=True) == b"".join(pieces)
    assert unknown(conversation) == []


def test_bytes_are_heard_when_all_before_them_are() -> None:
    line = Line().open().say(CLIENT, b"first").say(CLIENT, b"second")
    first, second = line.segments[3:]
    late = replace(first, at=second.at + 1)
    heard = one([*line.segments[:3], second, late]).heard
    assert [(each.data, each.at) for each in heard] == [(b"first", late.at), (b"second", late.at)]


def test_bytes_sent_again_in_other_pieces_are_heard_once() -> None:
    line = Line().open().say(CLIENT, b"abc").say(CLIENT, b"def")
    both = replace(line.segments[3], data=b"abcdef", size_bytes=6)
    assert said(one([*line.segments[:4], both, line.segments[4]]), by_client=True) == b"abcdef"


def test_after_a_hole_nothing_of_either_side_is_known() -> None:
    line = Line().open().say(CLIENT, b"known").say(CLIENT, b"lost").say(BROKER, b"answer").say(CLIENT, b"behind")
    segments = [each for each in line.segments if each.data != b"lost"]
    conversation = one(segments)
    assert said(conversation, by_client=True) == b"known"
    (place,) = [place for place, each in enumerate(conversation.heard) if each.unknown]
    assert [each.data for each in conversation.heard[:place]] == [b"known"]  # the answer may be to what is lost


def test_what_was_acknowledged_was_sent_even_if_nobody_captured_it() -> None:
    line = Line().open().say(CLIENT, b"question").say(BROKER, b"lost").acknowledge(CLIENT)
    assert unknown(one([each for each in line.segments if each.data != b"lost"])) == [False]


def test_one_direction_alone_tells_nothing() -> None:
    line = Line().open().say(CLIENT, b"a").say(BROKER, b"b").say(CLIENT, b"c")
    conversation = one([each for each in line.segments if each.source == CLIENT])
    assert conversation.heard[0].unknown


def test_a_segment_of_which_only_the_beginning_was_kept_is_a_hole() -> None:
    line = Line().open().say(CLIENT, b"0123456789").say(CLIENT, b"more")
    line.segments[3] = replace(line.segments[3], data=b"0123")
    conversation = one(line.segments)
    assert unknown(conversation) == [True]
    assert b"more" not in said(conversation, by_client=True)


def test_a_capture_that_begins_in_the_middle_knows_what_came_next() -> None:
    line = Line().open().say(CLIENT, b"before").say(BROKER, b"x").say(CLIENT, b"after")
    conversation = one(line.segments[4:])
    assert (said(conversation, by_client=True), conversation.is_whole) == (b"after", False)


def test_the_broker_is_the_one_that_was_connected_to() -> None:
    strange = Line(client=Endpoint("10.1.0.1", 1883), broker=Endpoint("10.1.0.2", 50000)).open()
    assert one(strange.segments).broker.port == 50000
    assert one(strange.segments[1:]).broker.port == 50000  # its SYN was missed


def test_without_a_handshake_the_broker_is_the_one_that_got_a_connect() -> None:
    strange = Line(client=Endpoint("10.1.0.1", 1883), broker=Endpoint("10.1.0.2", 50000)).open()
    strange.packet(strange.client, Connect(Version.V311, "c")).packet(strange.broker, ConnAck())
    assert one(strange.segments[3:]).broker.port == 50000


def test_a_port_used_again_is_another_connection() -> None:
    first = Line(first=100).open().say(CLIENT, b"first").close(CLIENT).close(BROKER)
    second = Line(first=5000, now=first.now).open().say(CLIENT, b"second")
    found = conversations(numbered([*first.segments, *second.segments]), LIMIT)
    assert [said(each, by_client=True) for each in found] == [b"first", b"second"]


def test_a_syn_sent_again_is_the_same_connection() -> None:
    line = Line().open().say(CLIENT, b"x")
    assert said(one([line.segments[0], *line.segments]), by_client=True) == b"x"


def test_ends_are_told_apart() -> None:
    line = Line().open().say(CLIENT, b"x").close(CLIENT).close(BROKER, reset=True)
    assert [(each.is_client, each.end) for each in one(line.segments).heard if each.end] == [
        (True, "FIN"),
        (False, "RST"),
    ]


def test_the_way_there_and_back_is_measured_by_the_handshake_and_by_what_was_sent_again() -> None:
    line = Line()
    line.open()
    assert round(one(line.segments).round_trip_seconds, 3) == 0.002
    line.say(CLIENT, b"lost behind the capture")
    again = replace(line.segments[-1], at=line.segments[-1].at + 3)
    assert round(one([*line.segments, again]).round_trip_seconds, 3) == 3.002


def test_of_an_endless_connection_only_so_much_is_kept() -> None:
    line = Line().open()
    for _ in range(100):
        line.say(CLIENT, b"x" * 100).acknowledge(BROKER)
    (conversation,) = conversations(line.segments, 1000)
    assert len(said(conversation, by_client=True)) <= 1100
    assert unknown(conversation) == [True]
