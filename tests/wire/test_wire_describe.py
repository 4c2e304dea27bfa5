"""How packets are shown to people."""

import json

import pytest

from reference_broker.wire.describe import describe, summary
from reference_broker.wire.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PubAck,
    Publish,
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


@pytest.mark.parametrize(
    ("packet", "version", "line"),
    [
        (Publish("a/b", b"abcd", Q2, dup=True, packet_id=7), V5, 'PUBLISH q2 id 7 dup "a/b" 4 bytes'),
        (Publish("a", retain=True), V311, 'PUBLISH q0 retain "a" 0 bytes'),
        (Publish("", b"x", properties=Properties(topic_alias=3)), V5, 'PUBLISH q0 "" alias 3 1 bytes'),
        (Connect(V31, "me", keep_alive=30), V31, 'CONNECT 3.1 "me" clean keep alive 30'),
        (
            Connect(V5, "me", False, 0, "joe", b"secret", Will("gone", b"bye", Q1, retain=True)),
            V5,
            'CONNECT 5.0 "me" keep alive 0 user "joe" password will q1 retain "gone" 3 bytes',
        ),
        (ConnAck(session_present=True), V311, "CONNACK session present 0x00 Accepted"),
        (ConnAck(reason=0x87), V5, "CONNACK 0x87 Not authorized"),
        (PubAck(1), V5, "PUBACK id 1"),
        (PubAck(1, 0x10), V5, "PUBACK id 1 0x10 No matching subscribers"),
        (PubRel(2, dup=True), V31, "PUBREL id 2 dup"),
        (
            Subscribe(
                3,
                (Subscription("a/#", Q1), Subscription("b", Q0, True, True, RetainHandling.DO_NOT_SEND)),
            ),
            V5,
            'SUBSCRIBE id 3 "a/#" q1, "b" q0 no local retain as published retain handling 2',
        ),
        (SubAck(3, (1, 0x80)), V311, "SUBACK id 3 0x01 Granted QoS 1, 0x80 Failure"),
        (Unsubscribe(4, ("a", "b")), V311, 'UNSUBSCRIBE id 4 "a", "b"'),
        (UnsubAck(4), V311, "UNSUBACK id 4"),
        (UnsubAck(4, (0x11,)), V5, "UNSUBACK id 4 0x11 No subscription existed"),
        (PingReq(), V5, "PINGREQ"),
        (Disconnect(), V311, "DISCONNECT"),
        (Disconnect(), V5, "DISCONNECT 0x00 Normal disconnection"),
        (Auth(0x18), V5, "AUTH 0x18 Continue authentication"),
        (Publish('a"\n\u202eb\\'), V5, 'PUBLISH q0 "a\\u0022\\u000a\\u202eb\\u005c" 0 bytes'),
    ],
)
def test_a_packet_in_one_line(packet, version, line):
    assert summary(packet, version) == line


def test_a_publish_is_described_by_its_fields():
    held = Properties(content_type="text", correlation_data=b"\xff\x00", user_property=(("k", "v"), ("k", "w")))
    described = describe(Publish("a/b", b"hello", Q1, packet_id=7, properties=held), V5)
    assert described == {
        "type": "PUBLISH",
        "topic": "a/b",
        "payload": {"bytes": 5, "text": "hello"},
        "qos": 1,
        "retain": False,
        "dup": False,
        "packet_id": 7,
        "properties": {
            "content_type": "text",
            "correlation_data": {"bytes": 2, "hex": "ff 00"},
            "user_property": [["k", "v"], ["k", "w"]],
        },
    }
    assert json.loads(json.dumps(described)) == described


def test_a_connect_shows_its_will_but_not_its_secrets():
    held = Properties(authentication_method="m", authentication_data=b"token")
    packet = Connect(V5, "me", username="joe", password=b"secret", will=Will("gone", b"bye"), properties=held)
    described = describe(packet)
    assert described["version"] == "5.0"
    assert described["password"] == {"bytes": 6}
    assert described["properties"] == {"authentication_method": "m", "authentication_data": {"bytes": 5}}
    assert described["will"] == {"topic": "gone", "payload": {"bytes": 3, "text": "bye"}, "qos": 0, "retain": False}
    assert "secret" not in json.dumps(described)
    assert "token" not in json.dumps(described)


def test_reason_codes_have_number_and_name():
    assert describe(ConnAck(reason=4))["reason"] == {"code": 4, "name": "Bad user name or password"}
    assert describe(SubAck(1, (0, 0x80)), V311)["reasons"] == [
        {"code": 0, "name": "Granted QoS 0"},
        {"code": 0x80, "name": "Failure"},
    ]


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"", {"bytes": 0, "text": ""}),
        (b"a\nb\tc", {"bytes": 5, "text": "a\nb\tc"}),
        (b"a\x00", {"bytes": 2, "hex": "61 00"}),
        (b"\xc3", {"bytes": 1, "hex": "c3"}),
        (b"x" * 65, {"bytes": 65, "text": "x" * 64, "truncated": True}),
        (b"x" * 63 + "\u00e9".encode(), {"bytes": 65, "text": "x" * 63, "truncated": True}),
        (b"\xff" * 65, {"bytes": 65, "hex": " ".join(["ff"] * 64), "truncated": True}),
    ],
)
def test_a_payload_is_previewed_as_text_where_it_is_text(payload, shown):
    assert describe(Publish("a", payload))["payload"] == shown
