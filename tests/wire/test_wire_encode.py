"""What our own side may not send is refused before a byte leaves."""

import pytest

from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
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
from reference_broker.wire.types import QoS, Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5
ALL = (V31, V311, V5)
THREE = (V31, V311)
NEWER = (V311, V5)
Q0, Q1, Q2 = QoS
TOO_LONG = "a" * 65_536

REFUSED = [
    # packet identifiers, QoS and DUP
    (ALL, Publish("a", qos=Q1), "packet identifier"),
    (ALL, Publish("a", qos=Q1, packet_id=0), "packet identifier"),
    (ALL, Publish("a", qos=Q2, packet_id=65_536), "packet identifier"),
    (ALL, Publish("a", packet_id=1), "no packet identifier"),
    (ALL, Publish("a", qos=3, packet_id=1), "QoS is 0, 1 or 2"),
    (ALL, Publish("a", dup=True), "DUP is 0 at QoS 0"),
    (ALL, PubAck(0), "packet identifier"),
    (THREE, UnsubAck(0), "packet identifier"),
    ([V5], UnsubAck(0, (0,)), "packet identifier"),
    (NEWER, PubRel(1, dup=True), "flags of PUBREL"),
    (NEWER, Subscribe(1, (Subscription("a"),), dup=True), "flags of SUBSCRIBE"),
    (NEWER, Unsubscribe(1, ("a",), dup=True), "flags of UNSUBSCRIBE"),
    # topic names and filters
    (ALL, Publish("a/#"), "no wildcards"),
    (ALL, Publish("+"), "no wildcards"),
    (THREE, Publish(""), "at least one character"),
    ([V5], Publish(""), "a topic name or a topic alias"),
    (ALL, Publish("a\0"), "U\\+0000"),
    (ALL, Publish("\ud800"), "well-formed UTF-8"),
    (ALL, Publish(TOO_LONG), "65,535 bytes"),
    (ALL, Subscribe(1, (Subscription("a#"),)), "# stands alone"),
    (ALL, Unsubscribe(1, ("a+",)), "whole level"),
    (ALL, Unsubscribe(1, ("",)), "at least one character"),
    ([V5], Subscribe(1, (Subscription("$share//a"),)), "share name"),
    ([V5], Unsubscribe(1, ("$share/g",)), "share name"),
    # payloads
    (ALL, Subscribe(1, ()), "at least one topic filter"),
    (ALL, Unsubscribe(1, ()), "at least one topic filter"),
    (ALL, SubAck(1, ()), "a code for each"),
    ([V5], UnsubAck(1, ()), "a code for each"),
    (ALL, Subscribe(1, (Subscription("a", 3),)), "0, 1 or 2"),
    ([V5], Subscribe(1, (Subscription("a", retain_handling=3),)), "Retain Handling"),
    ([V5], Subscribe(1, (Subscription("$share/g/a", no_local=True),)), "No Local"),
    (THREE, Subscribe(1, (Subscription("a", no_local=True),)), "reserved bits"),
    (THREE, Subscribe(1, (Subscription("a", retain_as_published=True),)), "reserved bits"),
    # CONNECT
    ([V5], Connect(V5, TOO_LONG), "65,535 bytes"),
    ([V5], Connect(V311, "a"), "cannot be sent as 5.0"),
    ([V311], Connect(V311, "a", keep_alive=65_536), "Keep Alive"),
    ([V311], Connect(V311, "a", keep_alive=-1), "Keep Alive"),
    ([V31], Connect(V31, "a", password=b"p"), "a password comes with a user name"),
    ([V311], Connect(V311, "a", password=b"p"), "a password comes with a user name"),
    ([V31], Connect(V31, "a", username="u", password=b"\xff"), "a password is a string"),
    ([V31], Connect(V31, "a", will=Will("w", "\u00e9".encode())), "7-bit ASCII"),
    ([V311], Connect(V311, "a", will=Will("w/+")), "no wildcards"),
    ([V311], Connect(V311, "a", will=Will("")), "at least one character"),
    ([V5], Connect(V5, "a", will=Will("w", qos=3)), "Will QoS"),
    ([V311], Connect(V311, "a", will=Will("w", bytes(65_536))), "65,535 bytes"),
    ([V5], Connect(V5, "a", properties=Properties(authentication_data=b"")), "comes with a method"),
    # codes
    (THREE, ConnAck(reason=6), "code of its table"),
    ([V5], ConnAck(reason=1), "code of its table"),
    ([V31], ConnAck(session_present=True), "no Session Present"),
    (NEWER, ConnAck(session_present=True, reason=2), "Session Present 0"),
    ([V5], ConnAck(properties=Properties(authentication_data=b"")), "comes with a method"),
    ([V31], SubAck(1, (0x80,)), "codes of its table"),
    ([V311], SubAck(1, (0x87,)), "codes of its table"),
    ([V5], SubAck(1, (0x11,)), "codes of its table"),
    ([V5], UnsubAck(1, (0x01,)), "reasons of its table"),
    (THREE, UnsubAck(1, (0,)), "no reason codes"),
    (THREE, PubAck(1, 0x10), "no reason code"),
    ([V5], PubAck(1, 0x92), "reason of its table"),
    ([V5], PubRec(1, 0x82), "reason of its table"),
    ([V5], PubRel(1, 0x80), "reason of its table"),
    ([V5], PubComp(1, 0x91), "reason of its table"),
    (THREE, Disconnect(0x04), "no reason code"),
    ([V5], Disconnect(0x01), "reason of its table"),
    ([V5], Auth(0x01, Properties(authentication_method="m")), "reason of its table"),
    ([V5], Auth(0x18), "names the authentication method"),
    (THREE, Auth(), "AUTH does not exist"),
    # properties
    (THREE, Publish("a", properties=Properties(content_type="text")), "no properties; asked for content_type"),
    (THREE, PubAck(1, properties=Properties(reason_string="n")), "no properties"),
    (THREE, Disconnect(properties=Properties(reason_string="n")), "no properties"),
    ([V5], Publish("a", properties=Properties(receive_maximum=1)), "receive_maximum in PUBLISH"),
    ([V5], Connect(V5, "a", properties=Properties(will_delay_interval=1)), "will_delay_interval in CONNECT"),
    (
        [V5],
        Connect(V5, "a", will=Will("w", properties=Properties(topic_alias=1))),
        "topic_alias in WILL",
    ),
    ([V5], Publish("a", properties=Properties(topic_alias=0)), "topic alias is 1 to 65,535"),
    ([V5], Publish("a", properties=Properties(topic_alias=65_536)), "topic alias is 1 to 65,535"),
    ([V5], Publish("a", properties=Properties(payload_format_indicator=2)), "within its range"),
    ([V5], Publish("a", properties=Properties(message_expiry_interval=2**32)), "within its range"),
    ([V5], Publish("a", properties=Properties(message_expiry_interval=-1)), "within its range"),
    ([V5], Publish("a", properties=Properties(subscription_identifier=(0,))), "within its range"),
    ([V5], Publish("a", properties=Properties(subscription_identifier=(268_435_456,))), "within its range"),
    ([V5], Publish("a", properties=Properties(response_topic="r/#")), "response topic has no wildcards"),
    ([V5], Publish("a", properties=Properties(response_topic="")), "response topic has at least"),
    ([V5], Publish("a", properties=Properties(user_property=(("n\0", ""),))), "U\\+0000"),
    (
        [V5],
        Subscribe(1, (Subscription("a"),), Properties(subscription_identifier=(1, 2))),
        "subscription_identifier 2 times",
    ),
]


@pytest.mark.parametrize(
    ("version", "packet", "message"),
    [
        pytest.param(version, packet, message, id=f"{version.label}-{packet.type.name}-{message[:30]}")
        for versions, packet, message in REFUSED
        for version in versions
    ],
)
def test_a_forbidden_packet_is_refused(version, packet, message):
    with pytest.raises(LocalError, match=message):
        encode(packet, version)


def test_a_refusal_cites_the_statement_of_the_version():
    with pytest.raises(LocalError, match=r"\[3\.1\.1 MQTT-3\.3\.2-2\]$"):
        encode(Publish("#"), V311)
    with pytest.raises(LocalError, match=r"\[5\.0 MQTT-3\.3\.2-8\]$"):
        encode(Publish("a", properties=Properties(topic_alias=0)), V5)


@pytest.mark.parametrize("version", Version, ids=lambda version: version.label)
@pytest.mark.parametrize("client_id", ["", "x" * 24])
def test_a_client_identifier_the_server_may_refuse_can_be_sent(version, client_id):
    assert client_id.encode() in encode(Connect(version, client_id, clean_start=False), version)


def test_an_equal_but_other_empty_properties_value_is_no_property():
    assert encode(Publish("a", properties=Properties()), V311) == encode(Publish("a"), V311)
    assert encode(Publish("a", properties=Properties()), V5) == encode(Publish("a"), V5)
