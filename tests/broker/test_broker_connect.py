"""CONNECT and CONNACK: who is let in, what CONNACK says, how refusals look in each version."""

from __future__ import annotations

import pytest
from broker_harness import ALL_VERSIONS, V5, V31, V311, Client, World, kept, will

from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import ConnAck, Connect, Disconnect, PingReq, Publish
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import ReasonCode


def refused(world: World, client_id: str, version, expect: int, **fields) -> Client:
    client = Client(world, client_id, version)
    client.connect(expect=expect, **fields)
    assert client.closed
    assert not client.connack.session_present
    assert client.client_id not in world.broker.house.sessions
    return client


def refused_silently(world: World, version, **fields) -> None:
    client = Client(world, fields.pop("client_id", "c"), version)
    client.open()
    client.send(client.connect_packet(**fields))
    assert client.closed
    assert client.inbox == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_valid_connect_is_accepted_with_zero(version):
    """[3.1.1 MQTT-3.1.4-4, 5.0 MQTT-3.1.4-5]"""
    client = World().client("c", version)
    assert client.connack == ConnAck(False, 0, client.connack.properties)


def test_connack_tells_nothing_that_is_default():
    client = World(topic_alias_maximum=0).client("c", V5)
    assert client.connack.properties == NO_PROPERTIES


def test_connack_announces_every_limit():
    """[5.0 3.2.2.3]"""
    world = World(
        receive_maximum=5, maximum_qos=1, retain_available=False, maximum_packet_size=500, topic_alias_maximum=7,
        wildcard_subscription_available=False, subscription_identifier_available=False,
        shared_subscription_available=False, server_keep_alive=9, session_expiry_maximum=60,
        response_information="reply/", connack_user_property=(("a", "b"),),
    )  # fmt: skip
    client = world.client("c", V5, session_expiry_interval=100, request_response_information=1)
    assert client.connack.properties == Properties(
        receive_maximum=5, maximum_qos=1, retain_available=0, maximum_packet_size=500, topic_alias_maximum=7,
        wildcard_subscription_available=0, subscription_identifier_available=0, shared_subscription_available=0,
        server_keep_alive=9, session_expiry_interval=60, response_information="reply/c", user_property=(("a", "b"),),
    )  # fmt: skip


def test_response_information_only_when_asked():
    """[5.0 MQTT-3.1.2-28]"""
    world = World(response_information="reply/")
    assert world.client("a", V5).connack.properties.response_information is None
    asked_no = world.client("b", V5, request_response_information=0)
    assert asked_no.connack.properties.response_information is None
    asked = world.client("c", V5, request_response_information=1)
    assert asked.connack.properties.response_information == "reply/c"


def test_session_expiry_is_announced_only_when_it_differs():
    """[5.0 3.2.2.3.2]"""
    world = World(session_expiry_maximum=60)
    assert world.client("a", V5, session_expiry_interval=60).connack.properties.session_expiry_interval is None
    assert world.client("b", V5, session_expiry_interval=61).connack.properties.session_expiry_interval == 60


def test_limits_stay_unsaid_in_3x():
    for version in (V31, V311):
        world = World(maximum_qos=1, server_keep_alive=5, receive_maximum=1)
        client = Client(world, "c", version)
        client.connect()
        assert client.wire == b"\x20\x02\x00\x00"


# --- client ids ------------------------------------------------------------------------------------------------------


def test_empty_client_id_is_assigned_a_new_one_in_5():
    """[5.0 MQTT-3.1.3-6, MQTT-3.1.3-7, MQTT-3.2.2-16]"""
    world = World()
    ids = [world.client("", V5).connack.properties.assigned_client_identifier for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(client_id in world.broker.house.sessions for client_id in ids)


def test_assigned_client_id_can_be_used_to_return():
    """[5.0 MQTT-3.1.3-7]"""
    world = World()
    client = world.client("", V5, **kept(V5))
    client.client_id = client.connack.properties.assigned_client_identifier
    client.drop()
    connack = client.connect(**kept(V5))
    assert connack.session_present
    assert connack.properties.assigned_client_identifier is None


def test_empty_client_id_with_clean_session_works_in_311():
    """[3.1.1 MQTT-3.1.3-6]"""
    world = World()
    world.client("", V311)
    world.client("", V311)
    assert len(world.broker.house.sessions) == 2


def test_empty_client_id_with_a_kept_session_is_refused_in_311():
    """[3.1.1 MQTT-3.1.3-8]"""
    refused(World(), "", V311, 0x02, clean_start=False)


@pytest.mark.parametrize("clean_start", [True, False])
def test_empty_client_id_is_refused_in_31(clean_start):
    """[3.1 MQTT31-5]"""
    refused(World(), "", V31, 0x02, clean_start=clean_start)


def test_empty_client_ids_can_be_forbidden():
    """[3.1.1 MQTT-3.1.3-9, 5.0 MQTT-3.1.3-8]"""
    refused(World(allow_empty_client_id=False), "", V311, 0x02)
    refused(World(allow_empty_client_id=False), "", V5, 0x85)


def test_long_client_id_is_a_matter_of_configuration_in_31():
    """[3.1 MQTT31-4]"""
    World().client("x" * 24, V31)
    World(enforce_client_id_length_31=True).client("ö" * 23, V31)
    refused(World(enforce_client_id_length_31=True), "x" * 24, V31, 0x02)
    World(enforce_client_id_length_31=True).client("x" * 24, V311)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "v3_code", "v5_code"),
    [
        (0x01, 0x01, 0x84),
        (0x02, 0x02, 0x85),
        (0x03, 0x03, 0x88),
        (0x04, 0x04, 0x86),
        (0x05, 0x05, 0x87),
        (0x89, 0x03, 0x89),
        (0x8A, 0x05, 0x8A),
        (0x9F, 0x03, 0x9F),
        (0x9C, None, 0x9C),
    ],
)
def test_every_client_can_be_refused(code, v3_code, v5_code):
    """A return code of one generation has its like in the other, or the refusal is silent. [3.1.1 MQTT-3.2.2-6]"""
    world = World(refuse_connect=code)
    refused(world, "c", V5, v5_code)
    for version in (V31, V311):
        if v3_code is None:
            refused_silently(world, version)
        else:
            refused(world, "c", version, v3_code)


def test_server_reference_goes_with_use_another_server():
    """[5.0 4.11]"""
    client = refused(World(refuse_connect=0x9C, server_reference="other:1883"), "c", V5, 0x9C)
    assert client.connack.properties.server_reference == "other:1883"
    client = refused(World(refuse_connect=0x88, server_reference="other:1883"), "c", V5, 0x88)
    assert client.connack.properties.server_reference is None


def test_a_will_beyond_the_brokers_ability_is_refused():
    """[5.0 MQTT-3.2.2-12, MQTT-3.2.2-13]"""
    refused(World(maximum_qos=1), "c", V5, 0x9B, will=will(qos=2))
    refused(World(retain_available=False), "c", V5, 0x9A, will=will(retain=True))
    refused_silently(World(maximum_qos=1), V311, will=will(qos=2))
    World(maximum_qos=1).client("c", V5, will=will(qos=1))


def test_a_will_payload_that_is_not_utf8_is_refused_when_checked():
    """[5.0 3.1.3.2.3]"""
    bad = will(payload=b"\xff", payload_format_indicator=1)
    refused(World(validate_payload_format=True), "c", V5, 0x99, will=bad)
    World().client("c", V5, will=bad)


def test_too_many_clients_are_refused_but_a_takeover_is_not_one_more():
    world = World(maximum_connections=1)
    world.client("a", V5)
    refused(world, "b", V5, 0x97)
    refused(world, "b", V311, 0x03)
    second = world.client("a", V5)
    second.drop()
    world.client("b", V311)


def test_what_follows_a_refused_connect_has_no_effect():
    """[3.1.1 MQTT-3.1.4-5, 5.0 MQTT-3.1.4-6]"""
    world = World(users={"u": "p"}, allow_anonymous=True)
    watcher = world.client("w", V5)
    watcher.subscribe("#")
    bad = world.raw(V5)
    bad.send(bad.connect_packet(username="u", password=b"wrong"), Publish("t", b"sneaked in"))
    assert bad.expect(ConnAck).reason == 0x86
    bad.send(Publish("t", b"sneaked in"))
    assert watcher.messages() == []


def test_packets_may_follow_connect_at_once():
    """[3.1.1 3.1.4, 5.0 3.1.4]"""
    world = World()
    watcher = world.client("w", V5)
    watcher.subscribe("#")
    for version in (V311, V5):
        eager = world.raw(version)
        eager.client_id = f"eager{version}"
        eager.send(eager.connect_packet(), Publish("t", b"eager"))
        assert watcher.payloads() == [b"eager"]


# --- malformed, unknown, at the wrong time ---------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 1, 2, 3, 6, 84, 255])
def test_a_bad_protocol_level_is_answered_0x01(level):
    """[3.1.1 MQTT-3.1.2-2]"""
    client = World().raw(V311)
    client.send_bytes(b"\x10\x0d\x00\x04MQTT" + bytes([level]) + b"\x02\x00\x00\x00\x01c")
    assert client.wire == b"\x20\x02\x00\x01"
    assert client.closed


@pytest.mark.parametrize(
    "behind", [b"", b"\xff" * 5, b"\x02\x00\x3c\x00\x00\x01c", b"\x02\x00\x3c\x05\x7e\x00\x00\x00\x00\x00\x01c"]
)
def test_what_a_later_version_puts_behind_its_level_is_not_looked_at(behind):
    """[3.1.1 MQTT-3.1.2-2, 5.0 MQTT-3.1.2-2]"""
    client = World().raw(V311)
    client.send_bytes(bytes([0x10, 7 + len(behind)]) + b"\x00\x04MQTT\x06" + behind)
    assert client.wire == b"\x20\x02\x00\x01"
    assert client.closed


def test_a_bad_level_of_the_old_name_is_answered_0x01():
    """[3.1 MQTT31-2]"""
    client = World().raw(V311)
    client.send_bytes(b"\x10\x0f\x00\x06MQIsdp\x04\x02\x00\x00\x00\x01c")
    assert client.wire == b"\x20\x02\x00\x01"


def test_an_unknown_protocol_name_is_not_answered():
    """[3.1.1 MQTT-3.1.2-1, 5.0 MQTT-3.1.2-1]"""
    client = World().raw(V311)
    client.send_bytes(b"\x10\x0d\x00\x04MQXX\x04\x02\x00\x00\x00\x01c")
    assert (client.wire, client.closed) == (b"", True)


@pytest.mark.parametrize("version", [V311, V5])
def test_a_malformed_connect_is_answered_in_5_only(version):
    """Reserved bit of the connect flags. [3.1.1 MQTT-3.1.2-3, MQTT-3.1.4-1, 5.0 MQTT-3.1.2-3, MQTT-3.1.4-1]"""
    world = World()
    client = world.raw(version)
    data = bytearray(encode(Connect(version, "c"), version))
    data[9] |= 1
    client.send_bytes(bytes(data))
    assert client.closed
    if version is V5:
        assert client.expect(ConnAck).reason == ReasonCode.MALFORMED_PACKET
    else:
        assert client.wire == b""
    assert len(world.log) == 1
    assert "peer-raw" in world.log[0]
    assert "MQTT-3.1.2-3" in world.log[0]


@pytest.mark.parametrize("first", [PingReq(), Publish("t", b"x"), Disconnect()])
@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_the_first_packet_is_connect(version, first):
    """[3.1.1 MQTT-3.1.0-1, 5.0 MQTT-3.1.0-1]"""
    world = World()
    watcher = world.client("w", V5)
    watcher.subscribe("#")
    client = world.raw(version)
    client.send(first)
    assert (client.wire, client.closed) == (b"", True)
    assert watcher.messages() == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_second_connect_ends_the_connection(version):
    """[3.1.1 MQTT-3.1.0-2, 5.0 MQTT-3.1.0-2]"""
    world = World()
    watcher = world.client("w", V5)
    watcher.subscribe("gone")
    client = world.client("c", version, will=will())
    client.send(client.connect_packet())
    assert client.closed
    if version is V5:
        assert client.expect(Disconnect).reason == ReasonCode.PROTOCOL_ERROR
    else:
        assert client.inbox == []
    assert watcher.payloads() == [b"will"]


def test_a_second_connect_of_an_unknown_version_is_a_protocol_error():
    client = World().client("c", V5)
    client.send_bytes(b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x00\x00\x01c")
    assert client.expect(Disconnect).reason == ReasonCode.PROTOCOL_ERROR


def test_a_connection_without_connect_is_closed_in_time():
    """[3.1.1 3.1.4, 5.0 3.1.4]"""
    world = World(connect_timeout_seconds=5)
    silent, half = world.raw(), world.raw()
    half.send_bytes(b"\x10\x0d\x00\x04MQ")
    connected = world.client("c", V5)
    world.advance(4.9)
    assert not silent.closed
    world.advance(0.2)
    assert silent.closed
    assert half.closed
    assert not connected.closed
    assert len(world.log) == 2


def test_connack_leaves_out_what_would_make_it_too_large():
    """[5.0 MQTT-3.2.2-19, MQTT-3.2.2-20]"""
    world = World(connack_user_property=(("name", "v" * 100),), topic_alias_maximum=0)
    small = world.client("a", V5, maximum_packet_size=100)
    assert small.connack.properties.user_property == ()
    large = world.client("b", V5, maximum_packet_size=200)
    assert large.connack.properties.user_property == (("name", "v" * 100),)


def test_a_client_no_connack_fits_is_closed():
    world = World(server_keep_alive=5)
    client = Client(world, "c", V5)
    client.open()
    client.send(client.connect_packet(maximum_packet_size=5))
    assert client.closed
    assert client.wire == b""
    assert "c" not in world.broker.house.sessions


def test_a_refusal_carries_a_reason_string_unless_told_not_to():
    client = refused(World(users={}), "c", V5, 0x86)
    assert client.connack.properties.reason_string
    client = refused(World(users={}, reason_strings=False), "c", V5, 0x86)
    assert client.connack.properties.reason_string is None


@pytest.mark.parametrize(
    "settings",
    [
        {"receive_maximum": 0},
        {"maximum_qos": 3},
        {"granted_qos_maximum": -1},
        {"server_keep_alive": 65536},
        {"refuse_connect": 0x18},
        {"maximum_inflight": 0},
        {"topic_alias_maximum": 70_000},
    ],
)
def test_settings_the_wire_cannot_say_are_refused(settings):
    with pytest.raises(LocalError, match=next(iter(settings))):
        World(**settings)


def test_no_disconnect_comes_before_a_connack_that_was_held_back():
    """[5.0 MQTT-3.2.0-1, MQTT-3.14.0-1]"""
    world = World()
    slow = world.raw()
    slow.link.pause_writing()
    slow.send(slow.connect_packet(client_id="same"))
    world.client("same")
    assert slow.closed
    assert slow.take() == []


def test_a_disconnect_comes_in_place_of_what_was_held_back_behind_the_connack():
    world = World()
    slow = world.client("same")
    slow.link.pause_writing()
    world.client("same")
    assert slow.expect(Disconnect).reason == ReasonCode.SESSION_TAKEN_OVER


def test_who_came_later_is_waited_for_as_long_though_others_were_let_in():
    """[3.1.1 3.1.4, 5.0 3.1.4]"""
    world = World(connect_timeout_seconds=5)
    let_in = world.client("c", V5)
    first = world.raw()
    world.advance(3)
    second = world.raw()
    world.advance(2.1)
    assert (first.closed, second.closed) == (True, False)
    world.advance(2.8)
    assert not second.closed
    world.advance(0.2)
    assert second.closed
    assert not let_in.closed
