"""Packets the codec refuses, read on: what was wrong with them, and what they say all the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.tap.reading import Reading, decode_as_sent, read_on
from reference_broker.wire.decode import decode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import ConnAck, Connect, Packet, PubAck, Publish, SubAck
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5


def read(frame: str | bytes, version: Version = V5) -> Reading:
    data = bytes.fromhex(frame) if isinstance(frame, str) else frame
    with pytest.raises(RemoteError) as refused:
        decode(data, version)
    return read_on(data, version, refused.value)


ALIASES_5 = ConnAck(properties=Properties(topic_alias_maximum=5))
PROPERTIES = [
    pytest.param("20 06 00 00 03 21 00 00", ConnAck(), id="receive-maximum-0"),
    pytest.param("20 09 00 00 06 22 00 05 22 00 06", ALIASES_5, id="one-stands-twice"),
    pytest.param("20 09 00 00 06 23 00 01 22 00 05", ALIASES_5, id="one-of-another-packet"),
    pytest.param("20 09 00 00 06 22 00 05 7e 00 00", ALIASES_5, id="an-unknown-one-behind-a-known"),
    pytest.param("20 0b 00 00 08 25 02 22 00 05 24 02 27", ALIASES_5, id="values-out-of-range-and-one-cut-off"),
    pytest.param("90 07 00 01 03 21 00 05 00", SubAck(1, (0,)), id="suback"),
    pytest.param("30 0a 00 01 74 05 21 00 05 01 01 68", Publish(
        "t", b"h", QoS.AT_MOST_ONCE, properties=Properties(payload_format_indicator=1)), id="publish"),
    pytest.param("10 10 00 04 4d 51 54 54 05 02 00 3c 03 13 00 05 00 00", Connect(V5, "", True, 60), id="connect"),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "packet"), PROPERTIES)
def test_properties_that_cannot_stand_there_are_left_out(frame: str, packet: Packet) -> None:
    assert read(frame).packet == packet


OTHERS = [
    pytest.param("30 08 00 01 74 68 65 6c 6c 6f", V5, Publish("t", b"hello", QoS(0)), "5.0 MQTT-2.2.2-1",
                 id="publish-without-property-length"),
    pytest.param("32 0a 00 01 74 00 07 68 65 6c 6c 6f", V5, Publish("t", b"hello", QoS(1), packet_id=7),
                 "5.0 MQTT-2.2.2-1", id="publish-of-qos-1-without-property-length"),
    pytest.param("20 02 00 00", V5, ConnAck(), "5.0 MQTT-2.2.2-1", id="connack-without-property-length"),
    pytest.param("90 03 00 01 01", V5, SubAck(1, (1,)), None, id="suback-without-property-length"),
    pytest.param("20 03 00 00 00", V311, ConnAck(), "", id="connack-of-5.0-in-3.1.1"),
    pytest.param("40 04 00 01 00 00", V311, PubAck(1), "", id="puback-of-5.0-in-3.1.1"),
    pytest.param("20 02 81 00", V311, ConnAck(session_present=True), "", id="reserved-bits-of-connack"),
    pytest.param("20 02 01 05", V311, ConnAck(reason=5), "3.1.1 MQTT-3.2.2-4", id="session-present-with-an-error"),
    pytest.param("42 02 00 01", V311, PubAck(1), "3.1.1 MQTT-2.2.2-2", id="flags-of-puback"),
    pytest.param("38 04 00 01 74 68", V311, Publish("t", b"h", QoS(0)), "3.1.1 MQTT-3.3.1-2", id="dup-at-qos-0"),
    pytest.param("40 82 00 00 01", V5, PubAck(1), "5.0 MQTT-1.5.5-1", id="remaining-length-too-long"),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "version", "packet", "statement"), OTHERS)
def test_what_is_wrong_is_named_and_the_rest_is_read(
    frame: str, version: Version, packet: Packet, statement: str | None
) -> None:
    reading = read(frame, version)
    assert reading.packet == packet
    if statement is not None:
        assert reading.fault.statement == statement


@pytest.mark.parametrize("frame", ["36 05 00 01 74 00 01", "32 05 00 01 74 00 00", "f0 01 07", "20 05 00 00", "20"])
def test_what_nobody_can_put_right_is_no_packet(frame: str) -> None:
    assert read(frame, V311).packet is None


@given(st.binary(max_size=40), st.sampled_from(list(Version)))
def test_no_bytes_make_it_stumble(data: bytes, version: Version) -> None:
    for frame in (data, bytes([0x20, len(data)]) + data, bytes([0x32, len(data)]) + data):
        try:
            decode(frame, version)
        except RemoteError as refused:
            read_on(frame, version, refused)


@pytest.mark.parametrize("version", Version)
def test_a_refusal_of_the_version_is_read_in_the_form_of_3_1_1(version: Version) -> None:
    """Who does not speak 5.0 cannot answer in its form. [3.1.1 MQTT-3.1.2-2]"""
    assert decode_as_sent(b"\x20\x02\x00\x01", version) == ConnAck(False, 1)


@pytest.mark.parametrize("frame", ["20020000", "20020002", "20020101", "2003000100"])
def test_any_other_connack_of_5_0_has_the_form_of_5_0(frame: str) -> None:
    with pytest.raises(RemoteError):
        decode_as_sent(bytes.fromhex(frame), Version.V5)
