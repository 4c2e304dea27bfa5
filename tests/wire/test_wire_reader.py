"""The reader: versions, limits, frames, and what it notices before a packet is complete."""

import pytest

from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import MalformedPacket, ProtocolError, UnacceptableProtocolVersion
from reference_broker.wire.packets import Connect, Disconnect, PingReq, Publish
from reference_broker.wire.sender import Side
from reference_broker.wire.types import ReasonCode, Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5


def _reader(*data: bytes, version=None, **options):
    reader = Reader(version, **options)
    for piece in data:
        reader.feed(piece)
    return reader


@pytest.mark.parametrize("version", Version, ids=lambda version: version.label)
def test_packets_behind_a_connect_are_read_in_its_version(version):
    publish = Publish("a", b"\x01\x00")
    reader = _reader(encode(Connect(version, "a"), version) + encode(publish, version))
    assert reader.version is None
    assert reader.next_packet() == Connect(version, "a")
    assert reader.version is version
    assert reader.next_packet() == publish
    assert reader.next_packet() is None


def test_the_version_of_a_connection_is_that_of_its_first_connect():
    reader = _reader(encode(Connect(V311, "a"), V311), encode(Connect(V5, "b"), V5))
    assert [packet.version for packet in reader] == [V311, V5]
    assert reader.version is V311


@pytest.mark.parametrize("first", [b"\xc0\x00", b"GET / HTTP/1.1", b"\x00\x00", b"\xf0\x00", b"\x30\xff"])
def test_a_first_packet_other_than_connect_is_refused_at_its_second_byte(first):
    reader = _reader(first[:1])
    assert reader.next_packet() is None
    reader.feed(first[1:2])
    with pytest.raises(ProtocolError) as caught:
        reader.next_packet()
    assert (caught.value.reason, caught.value.statement) == (ReasonCode.PROTOCOL_ERROR, "5.0 MQTT-3.1.0-1")


def test_a_refused_connect_leaves_the_version_open():
    reader = _reader(bytes.fromhex("10 0C 00 04 4D 51 54 54 09 02 00 00 00 00"))
    with pytest.raises(UnacceptableProtocolVersion):
        reader.next_packet()
    assert reader.version is None


@pytest.mark.parametrize("version", Version, ids=lambda version: version.label)
def test_an_endless_remaining_length_is_noticed_at_its_fourth_byte(version):
    reader = _reader(b"\x30\x80\x80\x80", version=version)
    assert reader.next_packet() is None
    reader.feed(b"\x80")
    with pytest.raises(MalformedPacket) as caught:
        reader.next_packet()
    assert caught.value.reason == ReasonCode.MALFORMED_PACKET


def test_a_remaining_length_of_four_bytes_is_waited_for():
    reader = _reader(b"\x30\xff\xff\xff\x7f", b"\x00\x01a", version=V311)
    assert reader.next_packet() is None
    assert len(reader) == 8


@pytest.mark.parametrize(
    ("sender", "version", "statement"),
    [
        (None, V5, "5.0 MQTT-3.2.2-15"),
        (Side.CLIENT, V5, "5.0 MQTT-3.2.2-15"),
        (Side.SERVER, V5, "5.0 MQTT-3.1.2-24"),
        (Side.CLIENT, V311, ""),
    ],
)
def test_a_packet_above_the_maximum_size_is_refused_at_its_header(sender, version, statement):
    reader = _reader(b"\x30\x80\x02", version=version, maximum_packet_size=258, sender=sender)
    with pytest.raises(ProtocolError) as caught:
        reader.next_packet()
    assert (caught.value.reason, caught.value.statement) == (ReasonCode.PACKET_TOO_LARGE, statement)


def test_the_maximum_packet_size_counts_the_fixed_header_and_may_be_reached():
    """A remaining length of 256 takes two bytes, so the packet has 259. [5.0 3.1.2.11.4]"""
    publish = encode(Publish("t", bytes(252)), V5)
    assert len(publish) == 259
    assert _reader(publish, version=V5, maximum_packet_size=259).next_packet() is not None
    with pytest.raises(ProtocolError):
        _reader(publish, version=V5, maximum_packet_size=258).next_packet()


def test_a_connect_above_the_maximum_size_cites_no_version():
    with pytest.raises(ProtocolError) as caught:
        _reader(b"\x10\x80\x10", maximum_packet_size=100).next_packet()
    assert (caught.value.reason, caught.value.statement) == (ReasonCode.PACKET_TOO_LARGE, "")


def test_a_large_packet_in_many_pieces_is_joined_once():
    publish = encode(Publish("t", bytes(range(256)) * 4096), V311)
    reader = Reader(V311)
    for start in range(0, len(publish), 1000):
        assert reader.next_packet() is None
        reader.feed(publish[start : start + 1000])
    reader.feed(b"\xc0\x00")
    assert list(reader) == [Publish("t", bytes(range(256)) * 4096), PingReq()]


def test_what_is_fed_may_be_changed_afterwards():
    data = bytearray(encode(Publish("t", b"before"), V311))
    reader = _reader(data, version=V311)
    data[-6:] = b"after!"
    assert reader.next_packet() == Publish("t", b"before")


def test_a_peer_that_sends_what_is_not_its_own_is_refused_only_by_a_reader_that_knows_it():
    disconnect = encode(Disconnect(), V311)
    assert _reader(disconnect, version=V311).next_packet() == Disconnect()
    assert _reader(disconnect, version=V311, sender=Side.CLIENT).next_packet() == Disconnect()
    with pytest.raises(ProtocolError, match="DISCONNECT from a server"):
        _reader(disconnect, version=V311, sender=Side.SERVER).next_packet()


def test_frames_are_cut_byte_for_byte_whatever_they_hold():
    malformed = bytes.fromhex("36 80 00"), bytes.fromhex("00 00"), bytes.fromhex("C7 03 01 02 03"), b"\x10\x00"
    reader = _reader(b"".join(malformed) + b"\x30\x05\x00")
    frames = []
    while (frame := reader.next_frame()) is not None:
        frames.append(frame)
    assert tuple(frames) == malformed
    assert reader.take_rest() == b"\x30\x05\x00"


def test_bytes_without_an_end_can_be_taken_as_they_are():
    reader = _reader(b"\xc0\x00\x30\xff\xff", b"\xff\xff", b"more")
    assert reader.next_frame() == b"\xc0\x00"
    with pytest.raises(MalformedPacket):
        reader.next_frame()
    assert reader.take_rest() == b"\x30\xff\xff\xff\xffmore"
    assert len(reader) == 0
    reader.feed(b"\xd0\x00")
    assert reader.next_frame() == b"\xd0\x00"


def test_frames_and_packets_come_from_the_same_stream():
    reader = _reader(encode(Connect(V5, "a"), V5) + b"\xc0\x00\xe0\x00")
    assert isinstance(reader.next_packet(), Connect)
    assert reader.next_frame() == b"\xc0\x00"
    assert reader.next_packet() == Disconnect()


def test_the_next_type_can_be_seen_without_reading_it():
    reader = Reader(V5)
    assert reader.peek_type() is None
    reader.feed(b"")
    assert reader.peek_type() is None
    reader.feed(b"\xe0")
    assert reader.peek_type() == 14
    reader.feed(b"\x00\x30")
    assert reader.peek_type() == 14
    assert reader.next_packet() == Disconnect()
    assert reader.peek_type() == 3
