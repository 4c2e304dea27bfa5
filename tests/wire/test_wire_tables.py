"""The tables against the specification's own tables, written down here a second time by hand."""

import csv
from pathlib import Path

import pytest

from reference_broker.wire.errors import LocalError, MalformedPacket
from reference_broker.wire.properties import PROPERTY_RULES, WILL, Properties, PropertyType
from reference_broker.wire.reasons import CLIENT_REASONS, REASONS, SERVER_REASONS, reason_name
from reference_broker.wire.rules import Rule
from reference_broker.wire.types import PacketType, Version
from reference_broker.wire.utf8 import encode_string
from reference_broker.wire.varint import decode_varint, encode_varint, read_remaining_length, varint_size

V31, V311, V5 = Version.V31, Version.V311, Version.V5

# 5.0 table 2-4: identifier, name, type, packets
TABLE_2_4 = """
1  | payload format indicator          | byte         | PUBLISH WILL
2  | message expiry interval           | four byte    | PUBLISH WILL
3  | content type                      | string       | PUBLISH WILL
8  | response topic                    | string       | PUBLISH WILL
9  | correlation data                  | binary       | PUBLISH WILL
11 | subscription identifier           | variable     | PUBLISH SUBSCRIBE
17 | session expiry interval           | four byte    | CONNECT CONNACK DISCONNECT
18 | assigned client identifier        | string       | CONNACK
19 | server keep alive                 | two byte     | CONNACK
21 | authentication method             | string       | CONNECT CONNACK AUTH
22 | authentication data               | binary       | CONNECT CONNACK AUTH
23 | request problem information       | byte         | CONNECT
24 | will delay interval               | four byte    | WILL
25 | request response information      | byte         | CONNECT
26 | response information              | string       | CONNACK
28 | server reference                  | string       | CONNACK DISCONNECT
31 | reason string                     | string       | CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH
33 | receive maximum                   | two byte     | CONNECT CONNACK
34 | topic alias maximum               | two byte     | CONNECT CONNACK
35 | topic alias                       | two byte     | PUBLISH
36 | maximum qos                       | byte         | CONNACK
37 | retain available                  | byte         | CONNACK
38 | user property                     | string pair  | CONNECT CONNACK PUBLISH WILL PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH
39 | maximum packet size               | four byte    | CONNECT CONNACK
40 | wildcard subscription available   | byte         | CONNACK
41 | subscription identifier available | byte         | CONNACK
42 | shared subscription available     | byte         | CONNACK
"""  # noqa: E501  # the specification's table has rows of this length
TYPES = {
    "byte": PropertyType.BYTE,
    "two byte": PropertyType.TWO_BYTE_INTEGER,
    "four byte": PropertyType.FOUR_BYTE_INTEGER,
    "variable": PropertyType.VARIABLE_BYTE_INTEGER,
    "string": PropertyType.UTF8_STRING,
    "string pair": PropertyType.UTF8_STRING_PAIR,
    "binary": PropertyType.BINARY_DATA,
}


def test_the_properties_are_those_of_table_2_4():
    expected = []
    for row in TABLE_2_4.strip().splitlines():
        identifier, name, kind, places = (cell.strip() for cell in row.split("|"))
        where = {WILL if place == "WILL" else PacketType[place] for place in places.split()}
        expected.append((int(identifier), name.replace(" ", "_"), TYPES[kind], where))
    assert [(rule.identifier, rule.name, rule.type, rule.places) for rule in PROPERTY_RULES] == expected


def test_every_property_has_a_field_and_a_repeatable_one_holds_a_tuple():
    empty = Properties()
    assert {rule.name for rule in PROPERTY_RULES} == set(Properties.__dataclass_fields__)
    assert {rule.name for rule in PROPERTY_RULES if getattr(empty, rule.name) == ()} == {
        rule.name for rule in PROPERTY_RULES if rule.repeatable
    }
    assert empty.present() == {}


# 5.0 tables 3-1, 3-4 to 3-11 and table 2-6 (0x8C in DISCONNECT), 3.1.1 table 3.1 and 3.9.3
CODES = {
    "CONNACK": "00 80 81 82 83 84 85 86 87 88 89 8A 8C 90 95 97 99 9A 9B 9C 9D 9F",
    "PUBACK": "00 10 80 83 87 90 91 97 99",
    "PUBREC": "00 10 80 83 87 90 91 97 99",
    "PUBREL": "00 92",
    "PUBCOMP": "00 92",
    "SUBACK": "00 01 02 80 83 87 8F 91 97 9E A1 A2",
    "UNSUBACK": "00 11 80 83 87 8F 91",
    "DISCONNECT": "00 04 80 81 82 83 87 89 8B 8C 8D 8E 8F 90 93 94 95 96 97 98 99 9A 9B 9C 9D 9E 9F A0 A1 A2",
    "AUTH": "00 18 19",
}


def test_properties_show_only_what_is_there():
    assert repr(Properties()) == "Properties()"
    shown = Properties(content_type="a", payload_format_indicator=0, user_property=(("k", "v"),))
    assert repr(shown) == "Properties(payload_format_indicator=0, content_type='a', user_property=(('k', 'v'),))"
    assert eval(repr(shown)) == shown


def test_the_reason_codes_are_those_of_each_packets_table():
    expected = {PacketType[name]: frozenset(bytes.fromhex(codes)) for name, codes in CODES.items()}
    assert REASONS[V5] == expected
    assert REASONS[V311] == {PacketType.CONNACK: frozenset(range(6)), PacketType.SUBACK: {0, 1, 2, 0x80}}
    assert REASONS[V31] == {PacketType.CONNACK: frozenset(range(6)), PacketType.SUBACK: {0, 1, 2}}


def test_each_code_of_a_packet_both_sides_send_has_a_sender():
    for packet_type, codes in CLIENT_REASONS.items():
        assert codes | SERVER_REASONS.get(packet_type, REASONS[V5][packet_type]) == REASONS[V5][packet_type]
    clients = "00 04 80 81 82 83 90 93 94 95 96 97 98 99"  # 5.0 table 3-10, "Client or Server" and "Client"
    assert CLIENT_REASONS[PacketType.DISCONNECT] == frozenset(bytes.fromhex(clients)) | {0x9B}
    assert SERVER_REASONS[PacketType.DISCONNECT] == REASONS[V5][PacketType.DISCONNECT] - {0x04}


@pytest.mark.parametrize(
    ("packet_type", "code", "version", "name"),
    [
        (PacketType.CONNACK, 0, V311, "Accepted"),
        (PacketType.CONNACK, 0, V5, "Success"),
        (PacketType.CONNACK, 5, None, "Not authorized"),
        (PacketType.CONNACK, 0x87, None, "Not authorized"),
        (PacketType.CONNACK, 1, V31, "Unacceptable protocol version"),
        (PacketType.CONNACK, 9, V311, "unknown"),
        (PacketType.SUBACK, 0, V5, "Granted QoS 0"),
        (PacketType.SUBACK, 2, V311, "Granted QoS 2"),
        (PacketType.SUBACK, 0x80, V311, "Failure"),
        (PacketType.SUBACK, 0x80, V5, "Unspecified error"),
        (PacketType.DISCONNECT, 0, V5, "Normal disconnection"),
        (PacketType.DISCONNECT, 0x9B, None, "QoS not supported"),
        (PacketType.PUBREL, 0x92, V5, "Packet identifier not found"),
        (PacketType.PUBACK, 0x7F, V5, "unknown"),
    ],
)
def test_reason_codes_have_names(packet_type, code, version, name):
    assert reason_name(packet_type, code, version) == name


def test_no_rule_is_the_same_as_another():
    assert len(Rule.__members__) == len(list(Rule))


@pytest.mark.parametrize(("version", "table"), [(V31, "mqtt31"), (V311, "mqtt311"), (V5, "mqtt5")])
def test_every_statement_a_rule_cites_exists_in_its_version(version, table):
    path = Path(__file__).parents[2] / "interop" / "requirements" / f"{table}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        known = {f"{version.label} {row['id']}" for row in csv.DictReader(file)}
    cited = {statement for rule in Rule if (statement := rule.statement(version))}
    assert cited
    assert cited <= known


def test_before_a_connect_only_a_statement_of_both_newer_versions_is_cited():
    assert Rule.CONNECT_FIRST.statement(None) == "5.0 MQTT-3.1.0-1"
    assert Rule.STRING_UTF8.statement(None) == ""


# 3.1 2.1, 3.1.1 table 2.4, 5.0 table 1-1
@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (127, "7F"),
        (128, "80 01"),
        (321, "C1 02"),
        (16_383, "FF 7F"),
        (16_384, "80 80 01"),
        (2_097_151, "FF FF 7F"),
        (2_097_152, "80 80 80 01"),
        (268_435_455, "FF FF FF 7F"),
    ],
)
def test_variable_byte_integers_are_those_of_the_table(value, encoded):
    data = bytes.fromhex(encoded)
    assert encode_varint(value) == data
    assert varint_size(value) == len(data)
    assert decode_varint(b"x" + data + b"x", 1, len(data) + 2) == (value, len(data) + 1)
    assert read_remaining_length(b"\x30" + data + b"x", 0) == (value, len(data) + 1)
    for size in range(len(data)):
        assert read_remaining_length(b"\x30" + data[:size], 0) is None
        with pytest.raises(MalformedPacket):
            decode_varint(data, 0, size)


@pytest.mark.parametrize("value", [-1, 268_435_456])
def test_a_variable_byte_integer_has_bounds(value):
    with pytest.raises(LocalError):
        encode_varint(value)


def test_a_string_has_its_length_in_bytes_before_it():
    assert encode_string("OTWP") == b"\0\4OTWP"  # 3.1 2.5
    assert encode_string("A\U0002a6d4") == b"\0\5A\xf0\xaa\x9b\x94"  # 3.1.1 1.5.3
    assert len(encode_string("\u00e9" * 32_767)) == 65_536
