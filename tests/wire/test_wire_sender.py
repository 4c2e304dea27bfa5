"""Which side may send which packet, reason code and property."""

import pytest

from reference_broker.wire.errors import ProtocolError
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
    UnsubAck,
    Unsubscribe,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.sender import Side, check_sender
from reference_broker.wire.types import Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5
CLIENT, SERVER = Side.CLIENT, Side.SERVER

BOTH_SEND = [Publish("a"), PubAck(1), PubRec(1), PubRel(1), PubComp(1)]
CLIENTS_SEND = [Connect(V5, ""), Subscribe(1, ()), Unsubscribe(1, ()), PingReq()]
SERVERS_SEND = [ConnAck(), SubAck(1, (0,)), UnsubAck(1), PingResp()]


def _refused(packet, version, sender, statement=""):
    with pytest.raises(ProtocolError) as caught:
        check_sender(packet, version, sender)
    assert caught.value.statement == statement


@pytest.mark.parametrize("version", Version, ids=lambda version: version.label)
def test_packets_flow_in_their_direction(version):
    for packet in BOTH_SEND:
        check_sender(packet, version, CLIENT)
        check_sender(packet, version, SERVER)
    for packet in CLIENTS_SEND:
        check_sender(packet, version, CLIENT)
        _refused(packet, version, SERVER)
    for packet in SERVERS_SEND:
        check_sender(packet, version, SERVER)
        _refused(packet, version, CLIENT)


def test_a_server_sends_disconnect_in_5_0_only():
    for version in Version:
        check_sender(Disconnect(), version, CLIENT)
    check_sender(Disconnect(), V5, SERVER)
    _refused(Disconnect(), V31, SERVER)
    _refused(Disconnect(), V311, SERVER)


@pytest.mark.parametrize(
    ("packet", "only", "statement"),
    [
        (Disconnect(0x04), CLIENT, "5.0 MQTT-3.14.2-1"),
        (Disconnect(0x8E), SERVER, "5.0 MQTT-3.14.2-1"),
        (Disconnect(0x8C), SERVER, "5.0 MQTT-3.14.2-1"),
        (Disconnect(0x9A), SERVER, "5.0 MQTT-3.14.2-1"),
        (PubAck(1, 0x10), SERVER, "5.0 MQTT-3.4.2-1"),
        (PubRec(1, 0x10), SERVER, "5.0 MQTT-3.5.2-1"),
        (Auth(0x00), SERVER, "5.0 MQTT-3.15.2-1"),
        (Auth(0x19), CLIENT, "5.0 MQTT-3.15.2-1"),
        (Publish("a", properties=Properties(subscription_identifier=(1,))), SERVER, "5.0 MQTT-3.3.4-6"),
        (Disconnect(0, Properties(session_expiry_interval=0)), CLIENT, "5.0 MQTT-3.14.2-2"),
    ],
)
def test_one_side_alone_may_send(packet, only, statement):
    check_sender(packet, V5, only)
    _refused(packet, V5, SERVER if only is CLIENT else CLIENT, statement)


@pytest.mark.parametrize("packet", [Disconnect(0x93), Disconnect(0x9B), Auth(0x18), PubAck(1, 0x97), PubRel(1, 0x92)])
def test_both_sides_may_send(packet):
    """0x9B by a client: 5.0 3.3.4 demands it, although table 3-10 lists it for servers."""
    check_sender(packet, V5, CLIENT)
    check_sender(packet, V5, SERVER)
