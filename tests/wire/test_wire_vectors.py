"""Bytes written by hand from the three specifications, for every packet and version.

Each vector is read whole, byte by byte and with another packet behind it; the canonical ones are also what we send.
"""

import pytest

from reference_broker.wire.decode import Reader, decode
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import MalformedPacket
from reference_broker.wire.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, RetainHandling, Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5
Q0, Q1, Q2 = QoS
ALL = (V31, V311, V5)
THREE = (V31, V311)

# (versions, bytes, packet): what the specification lays out and what we send ourselves.
CANONICAL = [
    # --- CONNECT: 3.1 section 3.1, variable header of 12 bytes; its example has user, password, will and keep alive 10
    (
        [V31],
        "10 23  00 06 4D 51 49 73 64 70  03  CE  00 0A  00 02 69 64  00 01 77  00 03 62 79 65  00 03 4A 6F 65"
        "  00 04 70 61 73 73",
        Connect(V31, "id", True, 10, "Joe", b"pass", Will("w", b"bye", Q1)),
    ),
    ([V31], "10 0F  00 06 4D 51 49 73 64 70  03  00  00 00  00 01 61", Connect(V31, "a", clean_start=False)),
    # --- CONNECT: 3.1.1 figure 3.6, variable header of 10 bytes with the same flags
    (
        [V311],
        "10 21  00 04 4D 51 54 54  04  CE  00 0A  00 02 69 64  00 01 77  00 03 62 79 65  00 03 4A 6F 65"
        "  00 04 70 61 73 73",
        Connect(V311, "id", True, 10, "Joe", b"pass", Will("w", b"bye", Q1)),
    ),
    # 3.1.1 3.1.3.1: a zero-byte client identifier; 3.1.3.5: a password is binary data
    ([V311], "10 0C  00 04 4D 51 54 54  04  02  00 00  00 00", Connect(V311, "")),
    (
        [V311],
        "10 12  00 04 4D 51 54 54  04  C0  FF FF  00 00  00 00  00 02 FF 00",
        Connect(V311, "", False, 65535, "", b"\xff\x00"),
    ),
    # 3.1.1 3.1.2.6, 3.1.2.7: Will QoS 2 and Will Retain, empty will message
    (
        [V311],
        "10 12  00 04 4D 51 54 54  04  36  00 00  00 01 61  00 01 77  00 00",
        Connect(V311, "a", will=Will("w", b"", Q2, retain=True)),
    ),
    # --- CONNECT: 5.0 figure 3-6, Session Expiry Interval of 10 in five bytes of properties
    (
        [V5],
        "10 14  00 04 4D 51 54 54  05  02  00 0A  05 11 00 00 00 0A  00 02 69 64",
        Connect(V5, "id", True, 10, properties=Properties(session_expiry_interval=10)),
    ),
    # 5.0 3.1.2.9: a password without a user name is allowed
    ([V5], "10 11  00 04 4D 51 54 54  05  42  00 00  00  00 00  00 02 70 77", Connect(V5, "", password=b"pw")),
    # 5.0 3.1.3.2: Will Properties stand before the will topic; here every one of them
    (
        [V5],
        "10 3F  00 04 4D 51 54 54  05  06  00 00  00  00 01 61"
        "  2A  01 01  02 00 00 00 3C  03 00 04 74 65 78 74  08 00 01 72  09 00 02 63 64  18 00 00 00 1E"
        "  26 00 01 6B 00 01 76  26 00 01 6B 00 01 77"
        "  00 01 77  00 01 78",
        Connect(
            V5,
            "a",
            will=Will(
                "w",
                b"x",
                properties=Properties(
                    payload_format_indicator=1,
                    message_expiry_interval=60,
                    content_type="text",
                    response_topic="r",
                    correlation_data=b"cd",
                    will_delay_interval=30,
                    user_property=(("k", "v"), ("k", "w")),
                ),
            ),
        ),
    ),
    # 5.0 3.1.2.11: every property of CONNECT (table order)
    (
        [V5],
        "10 30  00 04 4D 51 54 54  05  00  00 00"
        "  23  11 FF FF FF FF  15 00 01 6D  16 00 01 64  17 00  19 01  21 00 14  22 00 0A  26 00 01 6E 00 01 76"
        "  27 00 00 10 00"
        "  00 00",
        Connect(
            V5,
            "",
            clean_start=False,
            properties=Properties(
                session_expiry_interval=0xFFFFFFFF,
                authentication_method="m",
                authentication_data=b"d",
                request_problem_information=0,
                request_response_information=1,
                receive_maximum=20,
                topic_alias_maximum=10,
                user_property=(("n", "v"),),
                maximum_packet_size=4096,
            ),
        ),
    ),
    # --- CONNACK: 3.1 section 3.2; 3.1.1 section 3.2; 5.0 section 3.2
    (THREE, "20 02 00 00", ConnAck()),
    (THREE, "20 02 00 05", ConnAck(reason=5)),
    ([V311], "20 02 01 00", ConnAck(session_present=True)),
    ([V5], "20 03 01 00 00", ConnAck(session_present=True)),
    ([V5], "20 03 00 87 00", ConnAck(reason=0x87)),
    # 5.0 3.2.2.3: every property of CONNACK (table order)
    (
        [V5],
        "20 3E  00 00  3B"
        "  11 00 00 00 3C  12 00 01 61  13 00 1E  15 00 01 6D  16 00 00  1A 00 01 72  1C 00 01 73  1F 00 01 79"
        "  21 00 01  22 FF FF  24 01  25 00  26 00 01 6E 00 01 76  27 00 00 00 01  28 01  29 00  2A 01",
        ConnAck(
            properties=Properties(
                session_expiry_interval=60,
                assigned_client_identifier="a",
                server_keep_alive=30,
                authentication_method="m",
                authentication_data=b"",
                response_information="r",
                server_reference="s",
                reason_string="y",
                receive_maximum=1,
                topic_alias_maximum=65535,
                maximum_qos=1,
                retain_available=0,
                user_property=(("n", "v"),),
                maximum_packet_size=1,
                wildcard_subscription_available=1,
                subscription_identifier_available=0,
                shared_subscription_available=1,
            )
        ),
    ),
    # --- PUBLISH: 3.1 section 3.3 and 3.1.1 figure 3.11, topic "a/b" with identifier 10
    (THREE, "32 07  00 03 61 2F 62  00 0A", Publish("a/b", qos=Q1, packet_id=10)),
    (THREE, "30 07  00 03 61 2F 62  68 69", Publish("a/b", b"hi")),
    (THREE, "3D 08  00 03 61 2F 62  FF FF  00", Publish("a/b", b"\0", Q2, retain=True, dup=True, packet_id=65535)),
    (THREE, "31 05  00 03 61 2F 62", Publish("a/b", retain=True)),
    # 3.1.1 1.5.3: "A" and U+2A6D4 take five bytes; EF BB BF is U+FEFF wherever it stands [MQTT-1.5.3-3]
    (THREE, "30 07  00 05 41 F0 AA 9B 94", Publish("A\U0002a6d4")),
    (THREE, "30 05  00 03 EF BB BF", Publish("\ufeff")),
    # 5.0 figure 3-9: "a/b", identifier 10, no properties
    ([V5], "32 08  00 03 61 2F 62  00 0A  00", Publish("a/b", qos=Q1, packet_id=10)),
    ([V5], "30 08  00 03 61 2F 62  00  68 69", Publish("a/b", b"hi")),
    ([V5], "30 06  00 03 EF BB BF  00", Publish("\ufeff")),
    # 5.0 3.3.2.3.4: the name may be left out where an alias stands for it
    ([V5], "30 06  00 00  03 23 00 01", Publish("", properties=Properties(topic_alias=1))),
    # 5.0 3.3.2.3: every property of PUBLISH (table order), Subscription Identifier 268,435,455 in four bytes
    (
        [V5],
        "30 30  00 01 74"
        "  2B  01 00  02 00 00 00 05  03 00 01 63  08 00 03 72 2F 72  09 00 01 FF  0B 01  0B FF FF FF 7F  23 FF FF"
        "  26 00 01 6E 00 01 76  26 00 00 00 00"
        "  70",
        Publish(
            "t",
            b"p",
            properties=Properties(
                payload_format_indicator=0,
                message_expiry_interval=5,
                content_type="c",
                response_topic="r/r",
                correlation_data=b"\xff",
                subscription_identifier=(1, 268_435_455),
                topic_alias=65535,
                user_property=(("n", "v"), ("", "")),
            ),
        ),
    ),
    # --- PUBACK, PUBREC, PUBREL, PUBCOMP: 3.x sections 3.4 to 3.7; 5.0 3.4.2.1 leaves out reason and length for success
    (ALL, "40 02 00 01", PubAck(1)),
    (ALL, "50 02 FF FF", PubRec(65535)),
    (ALL, "62 02 01 00", PubRel(256)),
    (ALL, "70 02 00 0A", PubComp(10)),
    ([V31], "6A 02 00 07", PubRel(7, dup=True)),  # 3.1 2.1 DUP, MQTT31-13
    # 5.0 3.4.2.2.1: with a remaining length below 4 there is no property length
    ([V5], "40 03 00 01 10", PubAck(1, 0x10)),
    ([V5], "50 03 00 01 97", PubRec(1, 0x97)),
    ([V5], "62 03 00 01 92", PubRel(1, 0x92)),
    ([V5], "70 03 00 01 92", PubComp(1, 0x92)),
    ([V5], "40 08 00 01 87 04 1F 00 01 6E", PubAck(1, 0x87, Properties(reason_string="n"))),
    ([V5], "50 08 00 01 00 04 1F 00 01 6E", PubRec(1, 0, Properties(reason_string="n"))),
    ([V5], "62 0B 00 01 00 07 26 00 01 6E 00 01 76", PubRel(1, 0, Properties(user_property=(("n", "v"),)))),
    ([V5], "70 0B 00 01 92 07 26 00 01 6E 00 01 76", PubComp(1, 0x92, Properties(user_property=(("n", "v"),)))),
    # --- SUBSCRIBE: 3.1 section 3.8 and 3.1.1 figure 3.23: "a/b" at QoS 1 and "c/d" at QoS 2, identifier 10
    (
        THREE,
        "82 0E  00 0A  00 03 61 2F 62 01  00 03 63 2F 64 02",
        Subscribe(10, (Subscription("a/b", Q1), Subscription("c/d", Q2))),
    ),
    ([V31], "8A 06  00 0A  00 01 61 00", Subscribe(10, (Subscription("a"),), dup=True)),  # MQTT31-13
    # In 3.x `$share/...` is a filter like any other, here one no 5.0 server would take.
    (THREE, "82 0B  00 0A  00 06 24 73 68 61 72 65 00", Subscribe(10, (Subscription("$share"),))),
    (THREE, "82 0C  00 0A  00 07 24 73 68 61 72 65 2F 00", Subscribe(10, (Subscription("$share/"),))),
    # 5.0 3.8.3: options No Local, Retain As Published and Retain Handling; Subscription Identifier 1
    (
        [V5],
        "82 11  00 0A  02 0B 01  00 03 61 2F 62 01  00 03 63 2F 64 2E",
        Subscribe(
            10,
            (
                Subscription("a/b", Q1),
                Subscription(
                    "c/d", Q2, no_local=True, retain_as_published=True, retain_handling=RetainHandling.DO_NOT_SEND
                ),
            ),
            Properties(subscription_identifier=(1,)),
        ),
    ),
    (
        [V5],
        "82 10  00 0A  00  00 0A 24 73 68 61 72 65 2F 67 2F 23 10",
        Subscribe(10, (Subscription("$share/g/#", retain_handling=RetainHandling.SEND_IF_NEW),)),
    ),
    # --- SUBACK: 3.1 section 3.9, 3.1.1 figure 3.26, 5.0 section 3.9
    ([V31], "90 04  00 0A  00 02", SubAck(10, (0, 2))),
    ([V311], "90 05  00 0A  00 02 80", SubAck(10, (0, 2, 0x80))),
    ([V5], "90 05  00 0A  00  01 A2", SubAck(10, (1, 0xA2))),
    ([V5], "90 09  00 0A  04 1F 00 01 6E  87 8F", SubAck(10, (0x87, 0x8F), Properties(reason_string="n"))),
    # --- UNSUBSCRIBE: 3.1 section 3.10, 3.1.1 figure 3.29, 5.0 figure 3.30
    (THREE, "A2 0C  00 0A  00 03 61 2F 62  00 03 63 2F 64", Unsubscribe(10, ("a/b", "c/d"))),
    ([V31], "AA 07  00 0A  00 03 61 2F 62", Unsubscribe(10, ("a/b",), dup=True)),  # MQTT31-13
    ([V5], "A2 0D  00 0A  00  00 03 61 2F 62  00 03 63 2F 64", Unsubscribe(10, ("a/b", "c/d"))),
    (
        [V5],
        "A2 0D  00 0A  07 26 00 01 6E 00 01 76  00 01 23",
        Unsubscribe(10, ("#",), Properties(user_property=(("n", "v"),))),
    ),
    # --- UNSUBACK: 3.x has no payload; 5.0 section 3.11.3
    (THREE, "B0 02 00 0A", UnsubAck(10)),
    ([V5], "B0 05 00 0A 00 00 11", UnsubAck(10, (0, 0x11))),
    # --- PINGREQ, PINGRESP
    (ALL, "C0 00", PingReq()),
    (ALL, "D0 00", PingResp()),
    # --- DISCONNECT: 5.0 3.14.2.1 leaves out reason 0x00 and, with a remaining length below 2, the properties
    (ALL, "E0 00", Disconnect()),
    ([V5], "E0 01 04", Disconnect(0x04)),
    # 5.0 figure 3-24: Session Expiry Interval in a DISCONNECT
    ([V5], "E0 07 00 05 11 00 00 00 00", Disconnect(0, Properties(session_expiry_interval=0))),
    ([V5], "E0 06 9D 04 1C 00 01 73", Disconnect(0x9D, Properties(server_reference="s"))),
    # --- AUTH: 5.0 3.15.2
    ([V5], "F0 00", Auth()),
    (
        [V5],
        "F0 0A 18 08 15 00 01 6D 16 00 01 64",
        Auth(0x18, Properties(authentication_method="m", authentication_data=b"d")),
    ),
    ([V5], "F0 06 19 04 15 00 01 6D", Auth(0x19, Properties(authentication_method="m"))),
]

# What must or may be understood as well, although we would send it differently.
ACCEPTED = [
    # 3.1 3.1, MQTT31-9: both flags are set, the payload ends before the user name, or before the password
    ([V31], "10 0F  00 06 4D 51 49 73 64 70  03  C2  00 00  00 01 61", Connect(V31, "a")),
    ([V31], "10 12  00 06 4D 51 49 73 64 70  03  C2  00 00  00 01 61  00 01 75", Connect(V31, "a", username="u")),
    # 3.1 2.2: without its flag the value of a user name is disregarded
    ([V31], "10 12  00 06 4D 51 49 73 64 70  03  02  00 00  00 01 61  00 01 75", Connect(V31, "a")),
    # 3.1 2.2, MQTT31-12 and MQTT31-14: without a will its QoS and RETAIN are disregarded; bit 0 is not used
    ([V31], "10 0F  00 06 4D 51 49 73 64 70  03  3B  00 00  00 01 61", Connect(V31, "a")),
    # 3.1 3.1: fixed header flags are not used in CONNECT, CONNACK, PUBACK, ...
    ([V31], "1F 0F  00 06 4D 51 49 73 64 70  03  02  00 00  00 01 61", Connect(V31, "a")),
    ([V31], "4B 02 00 01", PubAck(1)),
    ([V31], "C8 00", PingReq()),
    # 3.1 3.2, MQTT31-6: the first byte of CONNACK is reserved
    ([V31], "20 02 01 00", ConnAck()),
    # 3.1 3.8, 3.9, MQTT31-14: the upper six bits of a QoS byte are not used
    ([V31], "82 06  00 0A  00 01 61 FD", Subscribe(10, (Subscription("a", Q1),))),
    ([V31], "83 06  00 0A  00 01 61 00", Subscribe(10, (Subscription("a"),))),
    ([V31], "90 03  00 0A  80", SubAck(10, (0x80,))),
    # 3.1 2.1: DUP applies above QoS 0, but nothing is said of a receiver that sees it at QoS 0
    ([V31], "38 03  00 01 61", Publish("a", dup=True)),
    # 3.x 2.1: a remaining length may be padded up to four bytes, nothing asks for the shortest form
    (THREE, "C0 80 00", PingReq()),
    (THREE, "40 82 80 80 00 00 01", PubAck(1)),
    # 5.0 3.4.2.1, 3.14.2.1: reason and an empty property length may be written out
    ([V5], "40 03 00 01 00", PubAck(1)),
    ([V5], "40 04 00 01 00 00", PubAck(1)),
    ([V5], "62 04 00 01 92 00", PubRel(1, 0x92)),
    ([V5], "E0 01 00", Disconnect()),
    ([V5], "E0 02 00 00", Disconnect()),
    # 5.0 2.2.2.2: properties stand in any order, repeated ones keep theirs
    (
        [V5],
        "30 14  00 01 74  10  26 00 01 7A 00 00  01 01  26 00 01 61 00 00  0B 02",
        Publish(
            "t",
            properties=Properties(
                payload_format_indicator=1, user_property=(("z", ""), ("a", "")), subscription_identifier=(2,)
            ),
        ),
    ),
]


def _cases(table):
    return [
        pytest.param(version, bytes.fromhex(data), packet, id=f"{version.label} {data[:38]}")
        for versions, data, packet in table
        for version in versions
    ]


EVERY = pytest.mark.parametrize(("version", "data", "packet"), _cases(CANONICAL + ACCEPTED))


@pytest.mark.parametrize(("version", "data", "packet"), _cases(CANONICAL))
def test_the_canonical_bytes_are_sent(version, data, packet):
    assert encode(packet, version) == data


@EVERY
def test_the_whole_packet_is_read(version, data, packet):
    assert decode(data, version) == packet


@EVERY
def test_the_packet_is_read_byte_by_byte(version, data, packet):
    reader = Reader(version)
    for byte in data[:-1]:
        reader.feed(bytes((byte,)))
        assert reader.next_packet() is None
    reader.feed(data[-1:])
    assert list(reader) == [packet]
    assert len(reader) == 0


@EVERY
def test_trailing_bytes_belong_to_the_next_packet(version, data, packet):
    reader = Reader(version)
    reader.feed(data + b"\xc0\x00" + data[:-1])
    assert list(reader) == [packet, PingReq()]
    assert len(reader) == len(data) - 1
    with pytest.raises(MalformedPacket):
        decode(data + b"\xc0\x00", version)


@EVERY
def test_a_cut_packet_is_malformed_and_nothing_else(version, data, packet):
    for size in range(len(data)):
        with pytest.raises(MalformedPacket):
            decode(data[:size], version)


def test_every_packet_type_has_a_vector_in_every_version_that_knows_it():
    seen = {(version, packet.type) for versions, _, packet in CANONICAL for version in versions}
    assert len(seen) == 14 + 14 + 15
