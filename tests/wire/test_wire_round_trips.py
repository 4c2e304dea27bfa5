"""What the specification allows survives the wire; whatever else arrives is read or refused, never a crash."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_strategies import packets_of

from reference_broker.wire import property_codec
from reference_broker.wire.decode import Reader, decode
from reference_broker.wire.describe import describe, summary
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError, MalformedPacket, ProtocolError
from reference_broker.wire.packets import Publish
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import PacketType, Version

VERSIONS = pytest.mark.parametrize("version", Version, ids=lambda version: version.label)
TYPES = [
    pytest.param(version, packet_type, id=f"{version.label}-{packet_type.name}")
    for version in Version
    for packet_type in PacketType
    if packet_type is not PacketType.AUTH or version is Version.V5
]


@pytest.mark.parametrize(("version", "packet_type"), TYPES)
@given(data=st.data())
@settings(max_examples=15)
def test_a_packet_survives_the_wire(version, packet_type, data):
    packet = data.draw(packets_of(version, packet_type))
    assert decode(encode(packet, version), version) == packet


@VERSIONS
@given(data=st.data())
@settings(max_examples=40)
def test_a_stream_is_cut_into_its_packets_however_it_arrives(version, data):
    sent = data.draw(st.lists(packets_of(version), min_size=1, max_size=5))
    stream = b"".join(encode(packet, version) for packet in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = Reader(version)
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:end])
        received += reader
    assert received == sent


@VERSIONS
@given(data=st.data())
@settings(max_examples=40)
def test_a_cut_packet_is_malformed(version, data):
    encoded = encode(data.draw(packets_of(version)), version)
    size = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(MalformedPacket):
        decode(encoded[:size], version)


@VERSIONS
@given(data=st.data())
@settings(max_examples=40)
def test_a_body_cut_short_is_read_or_refused(version, data):
    """The remaining length agrees with the bytes, so every field's own length check is on its own."""
    encoded = encode(data.draw(packets_of(version)), version)
    body = encoded[-(len(encoded) - 2) :] if encoded[1] < 128 else encoded[3:]
    cut = body[: data.draw(st.integers(0, min(len(body), 127)))]
    _read_or_refuse(bytes((encoded[0], len(cut))) + cut, version)


@VERSIONS
@given(data=st.data())
@settings(max_examples=40)
def test_a_packet_with_wrong_bytes_is_read_or_refused(version, data):
    encoded = bytearray(encode(data.draw(packets_of(version)), version))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    _read_or_refuse(bytes(encoded), version)


@VERSIONS
@given(first=st.integers(0, 255), body=st.binary(max_size=40))
@settings(max_examples=40)
def test_random_bytes_are_read_or_refused(version, first, body):
    _read_or_refuse(bytes((first, len(body))) + body, version)


@given(data=st.binary(max_size=40))
@settings(max_examples=200)
def test_random_bytes_before_a_connect_are_refused(data):
    reader = Reader()
    reader.feed(data)
    try:
        for packet in reader:
            assert packet.type is PacketType.CONNECT or reader.version is not None
    except (MalformedPacket, ProtocolError):
        pass


def _read_or_refuse(data, version):
    try:
        packet = decode(data, version)
    except (MalformedPacket, ProtocolError):
        return
    describe(packet, version)
    assert summary(packet, version).startswith(packet.type.name)
    if packet.type is PacketType.CONNECT:
        version = packet.version
    try:
        again = encode(packet, version)
    except LocalError:
        assert version is Version.V31  # 3.1 lets receivers overlook what senders should not do
        return
    assert decode(again, version) == packet


def test_very_many_user_properties_are_read_in_linear_time():
    """A second's worth of copying would show here as minutes: each property is five bytes."""
    count = 100_000
    encoded = encode(Publish("t", properties=Properties(user_property=(("", ""),) * count)), Version.V5)
    assert len(decode(encoded, Version.V5).properties.user_property) == count


def test_many_identifiers_are_encoded_once_for_all_messages_that_carry_them() -> None:
    """A message that matches a thousand subscriptions took half a millisecond each time. [5.0 MQTT-3.3.4-4]"""
    properties = Properties(subscription_identifier=tuple(range(1, 1001)))
    property_codec._encode_many.cache_clear()
    for payload in (b"one", b"another"):
        packet = Publish("a", payload, properties=properties)
        assert decode(encode(packet, Version.V5), Version.V5) == packet
    assert property_codec._encode_many.cache_info().hits == 1
