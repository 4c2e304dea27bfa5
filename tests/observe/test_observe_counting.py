"""Packets are counted without being decoded, however they are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_broker.observe.counting import PacketCount, Traffic
from reference_broker.observe.figures import Loads
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Connect, PingReq, Publish
from reference_broker.wire.types import QoS, Version

PACKETS = {
    "connect": encode(Connect(Version.V5, "c"), Version.V5),
    "ping": encode(PingReq(), Version.V5),
    "short": encode(Publish("t", b"x"), Version.V5),
    "with id": encode(Publish("t", b"x", QoS.AT_LEAST_ONCE, packet_id=7), Version.V5),
    "long": encode(Publish("t", bytes(300)), Version.V5),
    "longer": encode(Publish("t", bytes(20_000)), Version.V5),
}


def counted(pieces: list[bytes]) -> Traffic:
    total = Traffic()
    count = PacketCount(total)
    for piece in pieces:
        count.take(piece)
    return total


@given(names=st.lists(st.sampled_from(sorted(PACKETS)), max_size=12), cuts=st.lists(st.integers(0, 2**20), max_size=12))
def test_every_packet_counts_once_wherever_the_stream_is_cut(names: list[str], cuts: list[int]) -> None:
    stream = b"".join(PACKETS[name] for name in names)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[begin:end] for begin, end in itertools.pairwise(places)]
    total = counted(pieces)
    publishes = len([name for name in names if name not in ("connect", "ping")])
    assert (total.bytes, total.messages) == (len(stream), len(names))
    assert (total.publishes, total.connects) == (publishes, names.count("connect"))


@pytest.mark.parametrize("piece", [1, 2, 3, 5])
def test_streams_of_like_packets_are_counted_by_the_run(piece: int) -> None:
    stream = PACKETS["with id"] * 1000
    assert counted([stream]).publishes == 1000
    assert counted([stream[at : at + piece] for at in range(0, len(stream), piece)]).publishes == 1000


@pytest.mark.parametrize("noise", [b"\xff" * 1000, b"GET / HTTP/1.1\r\n\r\n", b"\x10", b""])
def test_what_is_no_mqtt_does_no_harm(noise: bytes) -> None:
    assert counted([noise]).bytes == len(noise)


def test_a_load_forgets_slowly_and_comes_to_what_lasts() -> None:
    loads = Loads()
    averages = {}
    for number in range(1, 2000):
        averages = loads.take(number * 10, 10.0)  # one a second
    assert averages[1] == pytest.approx(60.0)
    assert averages[15] == pytest.approx(60.0, rel=0.01)
    after = loads.take(19_990, 60.0)
    assert after[1] < after[5] < after[15] < 60
