"""The network between tap and broker, on its own: its text, when things arrive, where PUBLISH packets begin."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.tap.network import LOOPBACK, BadNetwork, Network, PublishFinder, Timetable, network_of
from interop.tap.websocket import Opcode, frame
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, PubAck, Publish, SubAck
from reference_broker.wire.types import Version

V311 = Version.V311
SUBACK, PUBACK = encode(SubAck(1, (0,)), V311), encode(PubAck(1), V311)
PUBLISH = encode(Publish("t", b"x"), V311)
LONG_PUBLISH = encode(Publish("t", bytes([0x30] * 300)), V311)  # each byte of it looks like a PUBLISH
HANDSHAKE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


# --- the text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("delay=50ms jitter=20ms", Network(delay_seconds=0.05, jitter_seconds=0.02)),
        ("  jitter=0.1s   delay=1s seed=7", Network(delay_seconds=1.0, jitter_seconds=0.1, seed=7)),
        ("to-subscriber=40ms", Network(to_subscriber_seconds=0.04)),
        ("pieces=1", Network(piece_bytes=1)),
        ("gather", Network(gather_seconds=0.005)),
        ("gather=20ms answers=together", Network(gather_seconds=0.02, answers_together=True)),
    ],
)
def test_a_network_is_read_and_written_as_the_same(text: str, network: Network) -> None:
    assert Network.parse(text) == network
    assert Network.parse(str(network)) == network


def test_without_the_option_there_is_no_network_and_it_has_no_text() -> None:
    assert network_of(None) == LOOPBACK
    assert str(LOOPBACK) == ""
    assert not LOOPBACK.is_distant
    assert LOOPBACK.round_trip_seconds == 0.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names nothing; expected delay=50ms, jitter=20ms, to-subscriber=40ms, pieces=1 (bytes), gather or"),
        ("loss=3", "there is no 'loss'; expected delay=50ms, "),
        ("delay=50", "delay=50: expected delay=50ms"),
        ("delay", "delay: expected delay=50ms"),
        ("delay=-5ms", "delay=-5ms: expected delay=50ms"),
        ("jitter=1.2s", "jitter=1.2s: expected jitter=20ms, at most 1s"),
        ("delay=1ms delay=2ms", "delay is given twice"),
        ("pieces=0", "pieces=0: expected pieces=1 (bytes)"),
        ("answers=late", "answers=late: expected answers=together"),
        ("pieces=1 gather", "give one of them"),
        ("pieces=1 answers=together", "give one of them"),
        ("delay=5ms seed=3", "seed chooses a course of the jitter; give jitter=20ms, too"),
    ],
)
def test_what_is_no_network_is_told_in_one_line_that_says_what_is_expected(text: str, says: str) -> None:
    with pytest.raises(BadNetwork) as problem:
        Network.parse(text)
    assert says in str(problem.value)
    assert str(problem.value).startswith("--network")
    assert "\n" not in str(problem.value)


def test_the_round_trip_is_the_longest_there_can_be() -> None:
    assert Network.parse("delay=50ms jitter=20ms").round_trip_seconds == pytest.approx(0.14)
    assert Network.parse("delay=50ms to-subscriber=40ms").round_trip_seconds == pytest.approx(0.14)
    assert Network.parse("gather=5ms").round_trip_seconds == pytest.approx(0.01)
    assert Network.parse("pieces=1").round_trip_seconds == 0.0


# --- when things arrive -----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 0.1), st.sampled_from([0.0, 0.04])), min_size=1), st.integers(0, 1000))
def test_what_is_sent_first_arrives_first_and_nothing_before_its_delay(
    sent: list[tuple[float, float]], seed: int
) -> None:
    timetable = Timetable(0.05, 0.2, Random(seed))
    now, latest = 0.0, 0.0
    for pause_seconds, more_seconds in sent:
        now += pause_seconds
        arrival = timetable.arrival(now, more_seconds)
        assert arrival >= max(latest, now + 0.05 + more_seconds)
        assert arrival <= max(latest, now + 0.25 + more_seconds)
        latest = arrival


def test_a_journey_is_the_same_each_time_and_another_with_another_seed_or_name() -> None:
    def course(text: str, journey: str) -> list[float]:
        timetable = Network.parse(text).timetable(journey)
        return [timetable.arrival(float(moment)) for moment in range(5)]

    assert course("jitter=20ms", "pub 1") == course("jitter=20ms", "pub 1")
    assert course("jitter=20ms", "pub 1") != course("jitter=20ms", "pub 2")
    assert course("jitter=20ms", "pub 1") != course("jitter=20ms seed=1", "pub 1")


# --- where a PUBLISH begins -------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([SUBACK, PUBACK, PUBLISH, LONG_PUBLISH]), max_size=6), st.lists(st.integers(1, 700)))
def test_a_publish_is_found_where_it_begins_however_the_bytes_come(packets: list[bytes], sizes: list[int]) -> None:
    stream, finder, position = b"".join(packets), PublishFinder(has_frames=False), 0
    begins = [
        sum(map(len, packets[:place])) for place, packet in enumerate(packets) if packet in (PUBLISH, LONG_PUBLISH)
    ]
    for size in [*sizes, len(stream)]:
        data = stream[position : position + size]
        inside = [place for place in begins if position <= place < position + len(data)]
        parts = finder.cut(data)
        assert b"".join(part for part, _ in parts) == data
        assert [has for _, has in parts if has] == [True] * bool(inside)
        if inside:
            assert parts[-1] == (data[inside[0] - position :], True)
        position += len(data)


def test_bytes_that_are_no_packets_pass_without_a_publish() -> None:
    finder = PublishFinder(has_frames=False)
    assert finder.cut(b"\x20\xff\xff\xff\xff\x7f" + PUBLISH) == [(b"\x20\xff\xff\xff\xff\x7f" + PUBLISH, False)]
    assert finder.cut(PUBLISH) == [(PUBLISH, False)]


def test_over_websocket_the_read_counts_in_which_the_frame_ends() -> None:
    finder = PublishFinder(has_frames=True)
    quiet, loud = frame(Opcode.BINARY, SUBACK), frame(Opcode.BINARY, PUBACK + PUBLISH)
    assert finder.cut(HANDSHAKE + quiet) == [(HANDSHAKE + quiet, False)]
    assert finder.cut(loud[:5]) == [(loud[:5], False)]
    assert finder.cut(loud[5:]) == [(loud[5:], True)]
    halves = frame(Opcode.BINARY, PUBLISH[:1], final=False), frame(Opcode.CONTINUATION, PUBLISH[1:])
    assert [finder.cut(half)[0][1] for half in halves] == [True, False]
    assert finder.cut(frame(Opcode.BINARY, encode(ConnAck(), V311)))[0][1] is False
