"""Every rule a single packet can break: the bytes that break it, how it is reported and which statement is cited."""

import pytest

from reference_broker.wire.decode import Reader, decode
from reference_broker.wire.errors import MalformedPacket, ProtocolError, UnacceptableProtocolVersion
from reference_broker.wire.packets import PingReq
from reference_broker.wire.rules import Rule
from reference_broker.wire.types import ReasonCode, Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5
MALFORMED = (MalformedPacket, 0x81)
ERROR = (ProtocolError, 0x82)
NAME = (ProtocolError, 0x90)
FILTER = (ProtocolError, 0x8F)

CONNECT_311 = "00 04 4D 51 54 54  04"
CONNECT_5 = "00 04 4D 51 54 54  05"
CONNECT_31 = "00 06 4D 51 49 73 64 70  03"

# (rule, version, bytes, how it is reported, statement)
BROKEN = [
    # --- fixed header ------------------------------------------------------------------------------------------------
    (Rule.REMAINING_LENGTH, V311, "30 FF FF FF FF", MALFORMED, ""),
    (Rule.REMAINING_LENGTH, V5, "30 80 80 80 80 01", MALFORMED, ""),
    (Rule.SHORTEST_ENCODING, V5, "C0 80 00", MALFORMED, "5.0 MQTT-1.5.5-1"),
    (Rule.SHORTEST_ENCODING, V5, "40 82 80 80 00 00 01", MALFORMED, "5.0 MQTT-1.5.5-1"),
    (Rule.PACKET_TYPE, V31, "00 00", MALFORMED, ""),
    (Rule.PACKET_TYPE, V311, "00 00", MALFORMED, ""),
    (Rule.PACKET_TYPE, V5, "00 00", MALFORMED, ""),
    (Rule.PACKET_TYPE, V31, "F0 00", MALFORMED, ""),
    (Rule.PACKET_TYPE, V311, "F0 00", MALFORMED, ""),
    (Rule.HEADER_FLAGS, V311, f"11 0C {CONNECT_311} 02 00 00 00 00", MALFORMED, "3.1.1 MQTT-2.2.2-2"),
    (Rule.HEADER_FLAGS, V5, f"18 0D {CONNECT_5} 02 00 00 00 00 00", MALFORMED, "5.0 MQTT-2.1.3-1"),
    (Rule.HEADER_FLAGS, V311, "22 02 00 00", MALFORMED, "3.1.1 MQTT-2.2.2-2"),
    (Rule.HEADER_FLAGS, V5, "42 02 00 01", MALFORMED, "5.0 MQTT-2.1.3-1"),
    (Rule.HEADER_FLAGS, V311, "51 02 00 01", MALFORMED, "3.1.1 MQTT-2.2.2-2"),
    (Rule.HEADER_FLAGS, V5, "74 02 00 01", MALFORMED, "5.0 MQTT-2.1.3-1"),
    (Rule.HEADER_FLAGS, V311, "92 03 00 01 00", MALFORMED, "3.1.1 MQTT-2.2.2-2"),
    (Rule.HEADER_FLAGS, V311, "B8 02 00 01", MALFORMED, "3.1.1 MQTT-2.2.2-2"),
    (Rule.HEADER_FLAGS, V311, "C1 00", MALFORMED, "3.1.1 MQTT-2.2.2-2"),
    (Rule.HEADER_FLAGS, V5, "D4 00", MALFORMED, "5.0 MQTT-2.1.3-1"),
    (Rule.PUBREL_FLAGS, V31, "60 02 00 01", MALFORMED, ""),
    (Rule.PUBREL_FLAGS, V311, "60 02 00 01", MALFORMED, "3.1.1 MQTT-3.6.1-1"),
    (Rule.PUBREL_FLAGS, V311, "6A 02 00 01", MALFORMED, "3.1.1 MQTT-3.6.1-1"),
    (Rule.PUBREL_FLAGS, V5, "6A 02 00 01", MALFORMED, "5.0 MQTT-3.6.1-1"),
    (Rule.SUBSCRIBE_FLAGS, V31, "84 06 00 0A 00 01 61 00", MALFORMED, ""),
    (Rule.SUBSCRIBE_FLAGS, V311, "8A 06 00 0A 00 01 61 00", MALFORMED, "3.1.1 MQTT-3.8.1-1"),
    (Rule.SUBSCRIBE_FLAGS, V5, "80 07 00 0A 00 00 01 61 00", MALFORMED, "5.0 MQTT-3.8.1-1"),
    (Rule.UNSUBSCRIBE_FLAGS, V31, "A0 05 00 0A 00 01 61", MALFORMED, ""),
    (Rule.UNSUBSCRIBE_FLAGS, V311, "AA 05 00 0A 00 01 61", MALFORMED, "3.1.1 MQTT-3.10.1-1"),
    (Rule.UNSUBSCRIBE_FLAGS, V5, "A3 06 00 0A 00 00 01 61", MALFORMED, "5.0 MQTT-3.10.1-1"),
    (Rule.DISCONNECT_FLAGS, V311, "E1 00", MALFORMED, "3.1.1 MQTT-3.14.1-1"),
    (Rule.DISCONNECT_FLAGS, V5, "E8 00", MALFORMED, "5.0 MQTT-3.14.1-1"),
    (Rule.AUTH_FLAGS, V5, "F2 00", MALFORMED, "5.0 MQTT-3.15.1-1"),
    # --- lengths within the packet -----------------------------------------------------------------------------------
    (Rule.TRUNCATED, V311, "30 04 00 03 61 2F", MALFORMED, ""),
    (Rule.TRUNCATED, V311, "30 01 00", MALFORMED, ""),
    (Rule.TRUNCATED, V311, "40 01 00", MALFORMED, ""),
    (Rule.TRUNCATED, V311, "32 04 00 01 61 00", MALFORMED, ""),
    (Rule.TRUNCATED, V311, "20 01 00", MALFORMED, ""),
    (Rule.TRUNCATED, V311, "82 05 00 0A 00 01 61", MALFORMED, ""),
    (Rule.TRUNCATED, V311, f"10 09 {CONNECT_311} 02 00", MALFORMED, ""),
    (Rule.TRUNCATED, V311, "10 03 00 04 4D", MALFORMED, ""),
    (Rule.TRUNCATED, V311, "10 06 00 04 4D 51 54 54", MALFORMED, ""),
    (Rule.TRUNCATED, V5, "30 05 00 01 74 02 01", MALFORMED, ""),
    (Rule.TRUNCATED, V5, "30 05 00 01 74 01 01", MALFORMED, ""),
    (Rule.TRUNCATED, V5, "40 06 00 01 00 02 26 00", MALFORMED, ""),
    (Rule.TRUNCATED, V5, "30 08 00 01 74 04 02 00 00 00", MALFORMED, ""),
    # Correlation Data, a string and an integer that run over the property length into the payload
    (Rule.TRUNCATED, V5, "30 09 00 01 74 04 09 00 02 61 62", MALFORMED, ""),
    (Rule.TRUNCATED, V5, "30 09 00 01 74 04 03 00 02 61 62", MALFORMED, ""),
    (Rule.TRUNCATED, V5, "30 09 00 01 74 04 02 00 00 00 3C", MALFORMED, ""),
    # a will message one byte short
    (Rule.TRUNCATED, V311, f"10 11 {CONNECT_311} 06 00 00 00 00 00 01 77 00 01", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V31, "40 03 00 01 00", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V311, "62 04 00 01 00 00", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V311, "20 03 00 00 00", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V311, "B0 03 00 01 00", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V311, "E0 01 00", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V311, "C0 01 00", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V5, "D0 01 00", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V5, "40 05 00 01 00 00 00", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V5, "20 04 00 00 00 00", MALFORMED, ""),
    (Rule.TRAILING_BYTES, V5, "E0 03 00 00 00", MALFORMED, ""),
    # a user name behind a payload whose flags promise none [MQTT-3.1.2-18]
    (Rule.TRAILING_BYTES, V311, f"10 0F {CONNECT_311} 02 00 00 00 00 00 01 75", MALFORMED, ""),
    # --- strings -----------------------------------------------------------------------------------------------------
    # surrogate U+D800, overlong "/", a lone continuation byte, five-byte form, above U+10FFFF
    (Rule.STRING_UTF8, V311, "30 05 00 03 ED A0 80", MALFORMED, "3.1.1 MQTT-1.5.3-1"),
    (Rule.STRING_UTF8, V5, "30 06 00 03 ED A0 80 00", MALFORMED, "5.0 MQTT-1.5.4-1"),
    (Rule.STRING_UTF8, V31, "30 04 00 02 C0 AF", MALFORMED, ""),
    (Rule.STRING_UTF8, V311, "30 03 00 01 80", MALFORMED, "3.1.1 MQTT-1.5.3-1"),
    (Rule.STRING_UTF8, V311, "30 07 00 05 F8 88 80 80 80", MALFORMED, "3.1.1 MQTT-1.5.3-1"),
    (Rule.STRING_UTF8, V5, "30 07 00 04 F4 90 80 80 00", MALFORMED, "5.0 MQTT-1.5.4-1"),
    (Rule.STRING_UTF8, V311, f"10 0D {CONNECT_311} 02 00 00 00 01 FF", MALFORMED, "3.1.1 MQTT-1.5.3-1"),
    (Rule.STRING_UTF8, V311, "82 06 00 0A 00 01 FF 00", MALFORMED, "3.1.1 MQTT-1.5.3-1"),
    (Rule.STRING_UTF8, V5, "40 0B 00 01 00 07 26 00 01 6E 00 01 FF", MALFORMED, "5.0 MQTT-1.5.4-1"),
    (Rule.STRING_NULL, V31, "30 05 00 03 61 00 62", MALFORMED, ""),
    (Rule.STRING_NULL, V311, "30 05 00 03 61 00 62", MALFORMED, "3.1.1 MQTT-1.5.3-2"),
    (Rule.STRING_NULL, V5, "30 06 00 03 61 00 62 00", MALFORMED, "5.0 MQTT-1.5.4-2"),
    (Rule.STRING_NULL, V311, "A2 05 00 0A 00 01 00", MALFORMED, "3.1.1 MQTT-1.5.3-2"),
    # --- topic names and filters -------------------------------------------------------------------------------------
    (Rule.PUBLISH_TOPIC_WILDCARD, V31, "30 05 00 03 61 2F 23", NAME, ""),
    (Rule.PUBLISH_TOPIC_WILDCARD, V311, "30 05 00 03 61 2F 23", NAME, "3.1.1 MQTT-3.3.2-2"),
    (Rule.PUBLISH_TOPIC_WILDCARD, V5, "30 04 00 01 2B 00", NAME, "5.0 MQTT-3.3.2-2"),
    (Rule.TOPIC_EMPTY, V31, "30 02 00 00", NAME, ""),
    (Rule.TOPIC_EMPTY, V311, "30 02 00 00", NAME, "3.1.1 MQTT-4.7.3-1"),
    (Rule.TOPIC_OR_ALIAS, V5, "30 03 00 00 00", ERROR, ""),
    (Rule.TOPIC_EMPTY, V5, f"10 12 {CONNECT_5} 06 00 00 00 00 00 00 00 00 00 00", NAME, "5.0 MQTT-4.7.3-1"),
    (Rule.TOPIC_WILDCARD, V311, f"10 11 {CONNECT_311} 06 00 00 00 00 00 01 23 00 00", NAME, "3.1.1 MQTT-4.7.1-1"),
    (Rule.TOPIC_WILDCARD, V5, f"10 13 {CONNECT_5} 06 00 00 00 00 00 00 00 01 2B 00 00", NAME, "5.0 MQTT-4.7.0-1"),
    (Rule.FILTER_EMPTY, V31, "82 05 00 0A 00 00 00", FILTER, ""),
    (Rule.FILTER_EMPTY, V311, "82 05 00 0A 00 00 00", FILTER, "3.1.1 MQTT-4.7.3-1"),
    (Rule.FILTER_EMPTY, V5, "A2 05 00 0A 00 00 00", FILTER, "5.0 MQTT-4.7.3-1"),
    (Rule.FILTER_MULTI_LEVEL, V31, "82 07 00 0A 00 02 61 23 00", FILTER, ""),
    (Rule.FILTER_MULTI_LEVEL, V311, "82 08 00 0A 00 03 23 2F 61 00", FILTER, "3.1.1 MQTT-4.7.1-2"),
    (Rule.FILTER_MULTI_LEVEL, V5, "82 09 00 0A 00 00 03 23 2F 61 00", FILTER, "5.0 MQTT-4.7.1-1"),
    (Rule.FILTER_SINGLE_LEVEL, V31, "82 07 00 0A 00 02 61 2B 00", FILTER, ""),
    (Rule.FILTER_SINGLE_LEVEL, V311, "A2 06 00 0A 00 02 2B 61", FILTER, "3.1.1 MQTT-4.7.1-3"),
    (Rule.FILTER_SINGLE_LEVEL, V5, "A2 07 00 0A 00 00 02 2B 61", FILTER, "5.0 MQTT-4.7.1-2"),
    # $share//a
    (Rule.SHARE_NAME_EMPTY, V5, "82 0F 00 0A 00 00 09 24 73 68 61 72 65 2F 2F 61 00", FILTER, "5.0 MQTT-4.8.2-1"),
    # $share/g, $share/g/, $share/+/a
    (Rule.SHARE_NAME, V5, "82 0E 00 0A 00 00 08 24 73 68 61 72 65 2F 67 00", FILTER, "5.0 MQTT-4.8.2-2"),
    (Rule.SHARE_NAME, V5, "82 0F 00 0A 00 00 09 24 73 68 61 72 65 2F 67 2F 00", FILTER, "5.0 MQTT-4.8.2-2"),
    (Rule.SHARE_NAME, V5, "A2 0F 00 0A 00 00 0A 24 73 68 61 72 65 2F 2B 2F 61", FILTER, "5.0 MQTT-4.8.2-2"),
    # $share/g/a#
    (
        Rule.FILTER_MULTI_LEVEL,
        V5,
        "82 11 00 0A 00 00 0B 24 73 68 61 72 65 2F 67 2F 61 23 00",
        FILTER,
        "5.0 MQTT-4.7.1-1",
    ),
    (Rule.RESPONSE_TOPIC_WILDCARD, V5, "30 08 00 01 74 04 08 00 01 23", ERROR, "5.0 MQTT-3.3.2-14"),
    (Rule.RESPONSE_TOPIC_EMPTY, V5, "30 07 00 01 74 03 08 00 00", ERROR, "5.0 MQTT-4.7.3-1"),
    # --- CONNECT -----------------------------------------------------------------------------------------------------
    (Rule.CONNECT_RESERVED, V311, f"10 0C {CONNECT_311} 03 00 00 00 00", MALFORMED, "3.1.1 MQTT-3.1.2-3"),
    (Rule.CONNECT_RESERVED, V5, f"10 0D {CONNECT_5} 03 00 00 00 00 00", MALFORMED, "5.0 MQTT-3.1.2-3"),
    (Rule.WILL_QOS, V31, f"10 13 {CONNECT_31} 1E 00 00 00 00 00 01 77 00 00", MALFORMED, ""),
    (Rule.WILL_QOS, V311, f"10 11 {CONNECT_311} 1E 00 00 00 00 00 01 77 00 00", MALFORMED, "3.1.1 MQTT-3.1.2-14"),
    (Rule.WILL_QOS, V5, f"10 13 {CONNECT_5} 1E 00 00 00 00 00 00 00 01 77 00 00", MALFORMED, "5.0 MQTT-3.1.2-12"),
    (Rule.WILL_QOS_WITHOUT_WILL, V311, f"10 0C {CONNECT_311} 0A 00 00 00 00", MALFORMED, "3.1.1 MQTT-3.1.2-13"),
    (Rule.WILL_QOS_WITHOUT_WILL, V5, f"10 0D {CONNECT_5} 12 00 00 00 00 00", MALFORMED, "5.0 MQTT-3.1.2-11"),
    (Rule.WILL_RETAIN_WITHOUT_WILL, V311, f"10 0C {CONNECT_311} 22 00 00 00 00", MALFORMED, "3.1.1 MQTT-3.1.2-15"),
    (Rule.WILL_RETAIN_WITHOUT_WILL, V5, f"10 0D {CONNECT_5} 22 00 00 00 00 00", MALFORMED, "5.0 MQTT-3.1.2-13"),
    (Rule.WILL_FIELDS, V31, f"10 0E {CONNECT_31} 06 00 00 00 00", MALFORMED, ""),
    (Rule.WILL_FIELDS, V311, f"10 0C {CONNECT_311} 06 00 00 00 00", MALFORMED, "3.1.1 MQTT-3.1.2-9"),
    (Rule.WILL_FIELDS, V5, f"10 0D {CONNECT_5} 06 00 00 00 00 00", MALFORMED, "5.0 MQTT-3.1.2-9"),
    (Rule.TRUNCATED, V311, f"10 0F {CONNECT_311} 06 00 00 00 00 00 01 77", MALFORMED, ""),
    (Rule.USER_NAME_FIELD, V311, f"10 0C {CONNECT_311} 82 00 00 00 00", MALFORMED, "3.1.1 MQTT-3.1.2-19"),
    (Rule.USER_NAME_FIELD, V5, f"10 0D {CONNECT_5} 82 00 00 00 00 00", MALFORMED, "5.0 MQTT-3.1.2-17"),
    (Rule.PASSWORD_FIELD, V311, f"10 0F {CONNECT_311} C2 00 00 00 00 00 01 75", MALFORMED, "3.1.1 MQTT-3.1.2-21"),
    (Rule.PASSWORD_FIELD, V5, f"10 0D {CONNECT_5} 42 00 00 00 00 00", MALFORMED, "5.0 MQTT-3.1.2-19"),
    (Rule.PASSWORD_WITHOUT_USER_NAME, V31, f"10 11 {CONNECT_31} 42 00 00 00 00 00 01 70", MALFORMED, ""),
    (
        Rule.PASSWORD_WITHOUT_USER_NAME,
        V311,
        f"10 0F {CONNECT_311} 42 00 00 00 00 00 01 70",
        MALFORMED,
        "3.1.1 MQTT-3.1.2-22",
    ),
    # --- CONNACK -----------------------------------------------------------------------------------------------------
    (Rule.CONNACK_FLAGS, V311, "20 02 02 00", MALFORMED, ""),
    (Rule.CONNACK_FLAGS, V5, "20 03 80 00 00", MALFORMED, "5.0 MQTT-3.2.2-1"),
    (Rule.SESSION_PRESENT, V311, "20 02 01 02", ERROR, "3.1.1 MQTT-3.2.2-4"),
    (Rule.SESSION_PRESENT, V5, "20 03 01 87 00", ERROR, "5.0 MQTT-3.2.2-6"),
    # --- PUBLISH -----------------------------------------------------------------------------------------------------
    (Rule.PUBLISH_QOS, V31, "36 05 00 01 61 00 01", MALFORMED, ""),
    (Rule.PUBLISH_QOS, V311, "36 05 00 01 61 00 01", MALFORMED, "3.1.1 MQTT-3.3.1-4"),
    (Rule.PUBLISH_QOS, V5, "36 06 00 01 61 00 01 00", MALFORMED, "5.0 MQTT-3.3.1-4"),
    (Rule.PUBLISH_DUP, V311, "38 03 00 01 61", MALFORMED, "3.1.1 MQTT-3.3.1-2"),
    (Rule.PUBLISH_DUP, V5, "38 04 00 01 61 00", MALFORMED, "5.0 MQTT-3.3.1-2"),
    (Rule.PACKET_ID, V31, "32 05 00 01 61 00 00", ERROR, ""),
    (Rule.PACKET_ID, V311, "32 05 00 01 61 00 00", ERROR, "3.1.1 MQTT-2.3.1-1"),
    (Rule.PACKET_ID, V5, "34 06 00 01 61 00 00 00", ERROR, "5.0 MQTT-2.2.1-3"),
    (Rule.PACKET_ID, V311, "40 02 00 00", ERROR, "3.1.1 MQTT-2.3.1-1"),
    (Rule.PACKET_ID, V311, "50 02 00 00", ERROR, "3.1.1 MQTT-2.3.1-1"),
    (Rule.PACKET_ID, V311, "62 02 00 00", ERROR, "3.1.1 MQTT-2.3.1-1"),
    (Rule.PACKET_ID, V311, "70 02 00 00", ERROR, "3.1.1 MQTT-2.3.1-1"),
    (Rule.PACKET_ID, V311, "82 06 00 00 00 01 61 00", ERROR, "3.1.1 MQTT-2.3.1-1"),
    (Rule.PACKET_ID, V311, "90 03 00 00 00", ERROR, "3.1.1 MQTT-2.3.1-1"),
    (Rule.PACKET_ID, V311, "A2 05 00 00 00 01 61", ERROR, "3.1.1 MQTT-2.3.1-1"),
    (Rule.PACKET_ID, V311, "B0 02 00 00", ERROR, "3.1.1 MQTT-2.3.1-1"),
    # --- SUBSCRIBE and UNSUBSCRIBE -----------------------------------------------------------------------------------
    (Rule.SUBSCRIBE_EMPTY, V31, "82 02 00 0A", ERROR, ""),
    (Rule.SUBSCRIBE_EMPTY, V311, "82 02 00 0A", ERROR, "3.1.1 MQTT-3.8.3-3"),
    (Rule.SUBSCRIBE_EMPTY, V5, "82 03 00 0A 00", ERROR, "5.0 MQTT-3.8.3-2"),
    (Rule.SUBSCRIBE_RESERVED, V311, "82 06 00 0A 00 01 61 04", MALFORMED, "3.1.1 MQTT-3.8.3-4"),
    (Rule.SUBSCRIBE_RESERVED, V311, "82 06 00 0A 00 01 61 80", MALFORMED, "3.1.1 MQTT-3.8.3-4"),
    (Rule.SUBSCRIBE_RESERVED, V5, "82 07 00 0A 00 00 01 61 40", MALFORMED, "5.0 MQTT-3.8.3-5"),
    (Rule.SUBSCRIBE_RESERVED, V5, "82 07 00 0A 00 00 01 61 80", MALFORMED, "5.0 MQTT-3.8.3-5"),
    (Rule.SUBSCRIBE_QOS_3, V31, "82 06 00 0A 00 01 61 03", MALFORMED, ""),
    (Rule.SUBSCRIBE_QOS_3, V311, "82 06 00 0A 00 01 61 03", MALFORMED, "3.1.1 MQTT-3.8.3-4"),
    (Rule.MAXIMUM_QOS_3, V5, "82 07 00 0A 00 00 01 61 03", ERROR, ""),
    (Rule.RETAIN_HANDLING, V5, "82 07 00 0A 00 00 01 61 30", ERROR, ""),
    (
        Rule.SHARED_NO_LOCAL,
        V5,
        "82 10 00 0A 00 00 0A 24 73 68 61 72 65 2F 67 2F 61 04",
        ERROR,
        "5.0 MQTT-3.8.3-4",
    ),
    (Rule.UNSUBSCRIBE_EMPTY, V31, "A2 02 00 0A", ERROR, ""),
    (Rule.UNSUBSCRIBE_EMPTY, V311, "A2 02 00 0A", ERROR, "3.1.1 MQTT-3.10.3-2"),
    (Rule.UNSUBSCRIBE_EMPTY, V5, "A2 03 00 0A 00", ERROR, "5.0 MQTT-3.10.3-2"),
    (Rule.SUBACK_EMPTY, V311, "90 02 00 0A", ERROR, "3.1.1 MQTT-3.8.4-5"),
    (Rule.SUBACK_EMPTY, V5, "90 03 00 0A 00", ERROR, "5.0 MQTT-3.8.4-6"),
    (Rule.UNSUBACK_EMPTY, V5, "B0 03 00 0A 00", ERROR, "5.0 MQTT-3.11.3-2"),
    # --- reason codes ------------------------------------------------------------------------------------------------
    (Rule.CONNACK_REASON, V31, "20 02 00 06", ERROR, ""),
    (Rule.CONNACK_REASON, V311, "20 02 00 06", ERROR, "3.1.1 MQTT-3.2.2-6"),
    (Rule.CONNACK_REASON, V5, "20 03 00 01 00", ERROR, "5.0 MQTT-3.2.2-8"),
    (Rule.PUBACK_REASON, V5, "40 03 00 01 92", ERROR, "5.0 MQTT-3.4.2-1"),
    (Rule.PUBREC_REASON, V5, "50 03 00 01 01", ERROR, "5.0 MQTT-3.5.2-1"),
    (Rule.PUBREL_REASON, V5, "62 03 00 01 80", ERROR, "5.0 MQTT-3.6.2-1"),
    (Rule.PUBCOMP_REASON, V5, "70 03 00 01 10", ERROR, "5.0 MQTT-3.7.2-1"),
    (Rule.SUBACK_REASON, V31, "90 03 00 0A 03", ERROR, "3.1 MQTT31-7"),
    (Rule.SUBACK_REASON, V311, "90 04 00 0A 01 03", ERROR, "3.1.1 MQTT-3.9.3-2"),
    (Rule.SUBACK_REASON, V311, "90 03 00 0A 87", ERROR, "3.1.1 MQTT-3.9.3-2"),
    (Rule.SUBACK_REASON, V5, "90 05 00 0A 00 00 11", ERROR, "5.0 MQTT-3.9.3-2"),
    (Rule.UNSUBACK_REASON, V5, "B0 04 00 0A 00 01", ERROR, "5.0 MQTT-3.11.3-2"),
    (Rule.DISCONNECT_REASON, V5, "E0 01 01", ERROR, "5.0 MQTT-3.14.2-1"),
    (Rule.AUTH_REASON, V5, "F0 02 01 00", ERROR, "5.0 MQTT-3.15.2-1"),
    # --- properties --------------------------------------------------------------------------------------------------
    (Rule.PROPERTY_LENGTH, V5, "30 03 00 01 61", MALFORMED, "5.0 MQTT-2.2.2-1"),
    (Rule.PROPERTY_LENGTH, V5, "20 02 00 00", MALFORMED, "5.0 MQTT-2.2.2-1"),
    (Rule.PROPERTY_LENGTH, V5, "B0 02 00 0A", MALFORMED, "5.0 MQTT-2.2.2-1"),
    (Rule.PROPERTY_LENGTH, V5, "F0 01 18", MALFORMED, "5.0 MQTT-2.2.2-1"),
    (Rule.SHORTEST_ENCODING, V5, "30 05 00 01 61 80 00", MALFORMED, "5.0 MQTT-1.5.5-1"),
    (Rule.SHORTEST_ENCODING, V5, "30 07 00 01 61 03 81 00 00", MALFORMED, "5.0 MQTT-1.5.5-1"),
    (Rule.SHORTEST_ENCODING, V5, "30 07 00 01 61 03 0B 81 00", MALFORMED, "5.0 MQTT-1.5.5-1"),
    (Rule.INTEGER_LENGTH, V5, "30 0A 00 01 61 06 0B 80 80 80 80 01", MALFORMED, ""),
    (Rule.INTEGER_LENGTH, V5, "30 08 00 01 61 FF FF FF FF 7F", MALFORMED, ""),
    # an unknown identifier; one of another packet; Will Delay Interval outside the will
    (Rule.PROPERTY_PLACE, V5, "30 06 00 01 61 02 7F 00", MALFORMED, ""),
    (Rule.PROPERTY_PLACE, V5, "30 07 00 01 61 03 21 00 01", MALFORMED, ""),
    (Rule.PROPERTY_PLACE, V5, f"10 12 {CONNECT_5} 02 00 00 05 18 00 00 00 01 00 00", MALFORMED, ""),
    (Rule.PROPERTY_PLACE, V5, "62 06 00 01 00 02 01 01", MALFORMED, ""),
    # Receive Maximum, Subscription Identifier in SUBSCRIBE, Payload Format Indicator, Reason String twice
    (Rule.PROPERTY_ONCE, V5, "20 09 00 00 06 21 00 01 21 00 01", ERROR, ""),
    (Rule.PROPERTY_ONCE, V5, "82 0B 00 0A 04 0B 01 0B 02 00 01 61 00", ERROR, ""),
    (Rule.PROPERTY_ONCE, V5, "30 08 00 01 61 04 01 00 01 00", ERROR, ""),
    (Rule.PROPERTY_ONCE, V5, "40 0A 00 01 00 06 1F 00 00 1F 00 00", ERROR, ""),
    # Receive Maximum 0, Maximum Packet Size 0, Subscription Identifier 0, Maximum QoS 2, Request Problem Information 2
    (Rule.PROPERTY_RANGE, V5, "20 06 00 00 03 21 00 00", ERROR, ""),
    (Rule.PROPERTY_RANGE, V5, "20 08 00 00 05 27 00 00 00 00", ERROR, ""),
    (Rule.PROPERTY_RANGE, V5, "82 09 00 0A 02 0B 00 00 01 61 00", ERROR, ""),
    (Rule.PROPERTY_RANGE, V5, "20 05 00 00 02 24 02", ERROR, ""),
    (Rule.PROPERTY_RANGE, V5, f"10 0F {CONNECT_5} 02 00 00 02 17 02 00 00", ERROR, ""),
    (Rule.TOPIC_ALIAS_ZERO, V5, "30 07 00 01 61 03 23 00 00", (ProtocolError, 0x94), "5.0 MQTT-3.3.2-8"),
    (Rule.AUTHENTICATION_DATA, V5, f"10 11 {CONNECT_5} 02 00 00 04 16 00 01 64 00 00", ERROR, ""),
    (Rule.AUTHENTICATION_DATA, V5, "20 06 00 00 03 16 00 00", ERROR, ""),
    (Rule.AUTHENTICATION_METHOD, V5, "F0 02 18 00", ERROR, "5.0 MQTT-4.12.0-5"),
]

# What only our own side can ask for (a LocalError, see test_wire_encode.py), or what takes more than the packet alone.
NOT_DECIDED_BY_DECODE = {
    Rule.CONNECT_FIRST, Rule.SERVER_PACKET_SIZE, Rule.CLIENT_PACKET_SIZE,  # test_wire_reader.py
    Rule.PACKET_DIRECTION, Rule.PUBACK_REASON_DIRECTION, Rule.PUBREC_REASON_DIRECTION,  # test_wire_sender.py
    Rule.DISCONNECT_REASON_DIRECTION, Rule.AUTH_REASON_DIRECTION,
    Rule.CLIENT_SUBSCRIPTION_IDENTIFIER, Rule.SERVER_SESSION_EXPIRY,
    Rule.STRING_LENGTH, Rule.PUBLISH_PACKET_ID, Rule.KEEP_ALIVE, Rule.SESSION_PRESENT_UNKNOWN,
    Rule.WILL_MESSAGE_ASCII, Rule.PASSWORD_TEXT,
}  # fmt: skip

CASES = pytest.mark.parametrize(
    ("rule", "version", "data", "reported", "statement"),
    [pytest.param(*case, id=f"{case[0].name}-{case[1].label}-{case[2][:60]}") for case in BROKEN],
)


@CASES
def test_the_broken_rule_is_named_with_its_reason_and_statement(rule, version, data, reported, statement):
    error_class, reason = reported
    with pytest.raises(error_class) as caught:
        decode(bytes.fromhex(data), version)
    assert str(caught.value).startswith(rule.value.text)
    assert (type(caught.value), caught.value.reason, caught.value.statement) == (error_class, reason, statement)


@CASES
def test_packets_before_the_malformed_one_are_read_and_the_error_stays(rule, version, data, reported, statement):
    reader = Reader(version)
    reader.feed(b"\xc0\x00\xc0\x00" + bytes.fromhex(data))
    assert [reader.next_packet(), reader.next_packet()] == [PingReq(), PingReq()]
    for _ in range(2):
        with pytest.raises(reported[0]) as caught:
            reader.next_packet()
        assert caught.value.statement == statement
        reader.feed(b"\xc0\x00")


def test_every_rule_has_bytes_that_break_it():
    assert {case[0] for case in BROKEN} == set(Rule) - NOT_DECIDED_BY_DECODE


def test_every_statement_of_a_rule_has_bytes_in_its_version():
    cited = {(rule, version) for rule in Rule for version in Version if rule.statement(version)}
    shown = {(rule, version) for rule, version, _, _, statement in BROKEN if statement}
    # an empty name in a 5.0 PUBLISH is an alias' business; the will shows it
    assert {pair for pair in cited if pair[0] not in NOT_DECIDED_BY_DECODE} <= shown


@pytest.mark.parametrize(
    ("data", "name", "level", "statement"),
    [
        ("10 0C 00 04 4D 51 54 54 03 02 00 00 00 00", b"MQTT", 3, "3.1.1 MQTT-3.1.2-2"),
        ("10 0C 00 04 4D 51 54 54 06 02 00 00 00 00", b"MQTT", 6, "3.1.1 MQTT-3.1.2-2"),
        ("10 0C 00 04 4D 51 54 54 84 02 00 00 00 00", b"MQTT", 0x84, "3.1.1 MQTT-3.1.2-2"),
        ("10 0E 00 06 4D 51 49 73 64 70 04 02 00 00 00 00", b"MQIsdp", 4, "3.1 MQTT31-2"),
        ("10 0C 00 04 6D 71 74 74 04 02 00 00 00 00", b"mqtt", 4, "3.1.1 MQTT-3.1.2-1"),
        ("10 07 00 04 41 4D 51 50 00", b"AMQP", 0, "3.1.1 MQTT-3.1.2-1"),
        ("10 06 00 03 FF FE FD 00", b"\xff\xfe\xfd", 0, "3.1.1 MQTT-3.1.2-1"),
    ],
)
def test_another_protocol_or_level_is_told_apart_from_a_broken_packet(data, name, level, statement):
    with pytest.raises(UnacceptableProtocolVersion) as caught:
        decode(bytes.fromhex(data), None)
    error = caught.value
    assert (error.protocol_name, error.protocol_level, error.statement) == (name, level, statement)
    assert error.reason == ReasonCode.UNSUPPORTED_PROTOCOL_VERSION
