"""Sessions: kept or not, resumed at every stage of QoS 1 and 2, expiry, takeover, offline queues."""

from __future__ import annotations

import pytest
from broker_bounds import kept_bytes
from broker_harness import ALL_VERSIONS, FOREVER, V5, V31, V311, Client, World, in_flight, kept, will

from reference_broker.broker import DropPolicy
from reference_broker.wire.packets import Disconnect, PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import QoS, ReasonCode


def present(version) -> bool:
    """What CONNACK says about a session that is there; 3.1 says nothing. [3.1 MQTT31-6]"""
    return version is not V31


# --- session present -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_kept_session_is_there_on_return(version):
    """[3.1.1 MQTT-3.1.2-4, MQTT-3.2.2-2, MQTT-3.2.2-3, 5.0 MQTT-3.1.2-5, MQTT-3.2.2-3]"""
    world = World()
    client = world.client("c", version, **kept(version))
    assert not client.connack.session_present
    client.subscribe("t")
    client.drop()
    assert client.connect(**kept(version)).session_present == present(version)
    world.client("p", V5).publish("t", b"x")
    assert client.payloads() == [b"x"]


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_clean_session_ends_with_its_connection(version):
    """[3.1.1 MQTT-3.1.2-6, 5.0 MQTT-4.1.0-2]"""
    world = World()
    client = world.client("c", version)
    client.subscribe("t")
    client.drop()
    assert "c" not in world.broker.house.sessions
    assert not client.connect(**kept(version)).session_present
    world.client("p", V5).publish("t", b"x")
    assert client.messages() == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_clean_start_discards_the_stored_session(version):
    """[3.1.1 MQTT-3.1.2-6, MQTT-3.2.2-1, 5.0 MQTT-3.1.2-4, MQTT-3.2.2-2]"""
    world = World()
    client = world.client("c", version, **kept(version))
    client.subscribe("t", qos=1)
    client.drop()
    world.client("p", V5).publish("t", b"x", 1)
    assert not client.connect(clean_start=True).session_present
    assert client.messages() == []


def test_clean_start_with_an_expiry_keeps_the_new_session():
    """[5.0 3.1.2.4]"""
    world = World()
    client = world.client("c", V5, clean_start=True, session_expiry_interval=10)
    client.drop()
    assert client.connect(clean_start=False).session_present


def test_clean_start_0_without_expiry_ends_with_the_connection():
    """[5.0 3.1.2.11.2]"""
    world = World()
    client = world.client("c", V5, clean_start=False)
    client.drop()
    assert not client.connect(clean_start=False).session_present


@pytest.mark.parametrize(("first", "second"), [(V31, V311), (V311, V5), (V5, V31), (V5, V311)])
def test_a_session_may_change_its_version(first, second):
    world = World()
    client = world.client("c", first, **kept(first))
    client.subscribe("t", qos=2)
    client.drop()
    world.client("p", V5).publish("t", b"x", 2, content_type="text")
    client.version = second
    assert client.connect(**kept(second)).session_present == present(second)
    (message,) = client.messages()
    assert message.properties.content_type == ("text" if second is V5 else None)


# --- expiry ----------------------------------------------------------------------------------------------------------


def test_a_session_ends_when_its_expiry_has_passed():
    """[5.0 MQTT-3.1.2-23, MQTT-4.1.0-2]"""
    world = World()
    client = world.client("c", V5, session_expiry_interval=10)
    world.advance(100)  # the interval begins when the connection ends [5.0 MQTT-4.1.0-1]
    client.drop()
    world.advance(9.9)
    assert client.connect(clean_start=False, session_expiry_interval=10).session_present
    client.drop()
    world.advance(10.1)
    assert not client.connect(clean_start=False, session_expiry_interval=10).session_present


def test_an_expiry_of_uint_max_never_comes():
    """[5.0 3.1.2.11.2]"""
    world = World()
    client = world.client("c", V5, session_expiry_interval=FOREVER)
    client.drop()
    world.advance(2.0 * FOREVER)
    assert client.connect(clean_start=False).session_present


def test_3x_sessions_end_at_the_configured_maximum_only():
    """[3.1.1 MQTT-4.1.0-1]"""
    world = World(session_expiry_maximum=60)
    client = world.client("c", V311, clean_start=False)
    client.drop()
    world.advance(59)
    assert client.connect(clean_start=False).session_present
    client.drop()
    world.advance(61)
    assert not client.connect(clean_start=False).session_present


def test_disconnect_changes_the_expiry():
    """[5.0 3.14.2.2.2]"""
    world = World()
    client = world.client("c", V5, session_expiry_interval=10)
    client.disconnect(session_expiry_interval=100)
    world.advance(99)
    assert client.connect(clean_start=False, session_expiry_interval=10).session_present
    client.disconnect(session_expiry_interval=0)
    assert "c" not in world.broker.house.sessions


def test_disconnect_may_not_make_a_session_last_that_would_not():
    """[5.0 3.14.2.2.2]"""
    world = World()
    watcher = world.client("w", V5)
    watcher.subscribe("gone")
    client = world.client("c", V5, will=will())
    client.send(Disconnect(0, client.connect_packet(session_expiry_interval=5).properties))
    assert client.expect(Disconnect).reason == ReasonCode.PROTOCOL_ERROR
    assert "c" not in world.broker.house.sessions
    assert watcher.payloads() == [b"will"]  # it was no valid DISCONNECT


def test_disconnect_with_expiry_0_is_allowed_to_everybody():
    world = World()
    world.client("c", V5).disconnect(session_expiry_interval=0)
    assert world.log == []


# --- takeover --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("clean_start", [True, False])
def test_a_second_connection_takes_the_client_id_over(version, clean_start):
    """[3.1.1 MQTT-3.1.4-2, 5.0 MQTT-3.1.4-3]"""
    world = World()
    old = world.client("c", version, **kept(version))
    old.subscribe("t")
    new = world.client("c", version, **(kept(version) | {"clean_start": clean_start}))
    assert old.closed
    if version is V5:
        assert old.expect(Disconnect).reason == ReasonCode.SESSION_TAKEN_OVER
    else:
        assert old.inbox == []
    assert new.connack.session_present == (not clean_start and present(version))
    old.drop()  # the old connection's end means nothing to the session
    assert world.broker.house.sessions.get("c").sender is new.link.sender
    world.client("p", V5).publish("t", b"x")
    assert new.payloads() == ([] if clean_start else [b"x"])


def test_taking_over_a_session_without_expiry_finds_none():
    """It ended with the connection that was closed. [5.0 3.1.4]"""
    world = World()
    world.client("c", V5)
    assert not world.client("c", V5, clean_start=False).connack.session_present


# --- every stage of QoS 1 and 2, resumed -----------------------------------------------------------------------------


def subscriber_with_message(world: World, version, qos: int) -> tuple[Client, Publish]:
    client = world.client("s", version, **kept(version))
    client.subscribe("t", qos=2)
    world.client("p", V5).publish("t", b"m", qos)
    (message,) = client.messages()
    return client, message


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("qos", [1, 2])
def test_an_unacknowledged_publish_is_sent_again_with_dup(version, qos):
    """[3.1.1 MQTT-4.4.0-1, MQTT-3.3.1-1, 5.0 MQTT-4.4.0-1, MQTT-3.3.1-1]"""
    world = World()
    client, message = subscriber_with_message(world, version, qos)
    for _ in range(3):
        client.drop()
        client.connect(**kept(version))
        (again,) = client.messages()
        assert again.dup
        assert (again.packet_id, again.payload, again.qos) == (message.packet_id, b"m", qos)


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_settled_qos_1_message_is_not_sent_again(version):
    """[5.0 MQTT-4.3.2-5]"""
    world = World()
    client, message = subscriber_with_message(world, version, 1)
    client.send(PubAck(message.packet_id))
    client.drop()
    client.connect(**kept(version))
    assert client.messages() == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_after_pubrec_pubrel_is_sent_again_and_never_publish(version):
    """[3.1.1 MQTT-4.3.3-1, 5.0 MQTT-4.3.3-6]"""
    world = World()
    client, message = subscriber_with_message(world, version, 2)
    client.send(PubRec(message.packet_id))
    client.expect(PubRel)
    for _ in range(2):
        client.drop()
        client.connect(**kept(version))
        assert client.expect(PubRel).packet_id == message.packet_id
    client.send(PubComp(message.packet_id))
    client.drop()
    client.connect(**kept(version))
    assert client.take() == []


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("lost", ["PUBREC", "PUBCOMP", "nothing"])
def test_an_incoming_qos_2_message_is_delivered_once_wherever_the_link_breaks(version, lost):
    """[3.1.1 MQTT-4.3.3-2, 5.0 MQTT-4.3.3-10, MQTT-4.3.3-11]"""
    world = World()
    watcher = world.client("w", V5)
    watcher.subscribe("t")
    client = world.client("p", version, **kept(version))
    client.send(Publish("t", b"m", QoS.EXACTLY_ONCE, packet_id=9))
    if lost == "PUBREC":
        client.drop()
        client.take()
        client.connect(**kept(version))
        client.send(Publish("t", b"m", QoS.EXACTLY_ONCE, dup=True, packet_id=9))
    assert client.expect(PubRec) == PubRec(9)
    client.send(PubRel(9))
    if lost == "PUBCOMP":
        client.drop()
        client.take()
        client.connect(**kept(version))
        client.send(PubRel(9))
    pubcomp = client.expect(PubComp)
    assert pubcomp.packet_id == 9
    # Nobody knows the identifier any more after a lost PUBCOMP, which only 5.0 can say. [5.0 3.7.2.1]
    assert pubcomp.reason == (0x92 if lost == "PUBCOMP" and version is V5 else 0)
    assert watcher.payloads() == [b"m"]


def test_messages_are_resumed_in_their_order():
    """[3.1.1 MQTT-4.6.0-1, 5.0 MQTT-4.6.0-1, MQTT-4.6.0-6]"""
    world = World()
    client = world.client("s", V311, clean_start=False)
    client.subscribe("t", qos=2)
    publisher = world.client("p", V311)
    for number in range(6):
        publisher.publish("t", b"%d" % number, 1 + number % 2)
    first = client.messages()
    client.drop()
    publisher.publish("t", b"6", 1)
    client.connect(clean_start=False)
    again = client.messages()
    assert [m.payload for m in again] == [b"%d" % number for number in range(7)]
    assert [m.packet_id for m in again[:6]] == [m.packet_id for m in first]
    assert [m.dup for m in again] == [True] * 6 + [False]


def test_an_error_settles_a_message_for_good():
    """[5.0 MQTT-4.4.0-2]"""
    world = World()
    for qos, refusal in ((1, PubAck), (2, PubRec)):
        client, message = subscriber_with_message(world, V5, qos)
        client.send(refusal(message.packet_id, 0x80))
        assert client.take() == []
        client.drop()
        client.connect(**kept(V5))
        assert client.take() == []


def test_pubrec_for_an_unknown_identifier_is_answered():
    """[5.0 3.6.2.1]"""
    world = World()
    client = world.client("c", V5)
    client.send(PubRec(77))
    assert client.expect(PubRel) == PubRel(77, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)
    client = world.client("d", V311)
    client.send(PubRec(77))
    assert client.expect(PubRel) == PubRel(77)
    client.send(PubAck(5), PubComp(6))
    assert not client.closed


def test_an_acknowledgement_of_the_wrong_kind_ends_the_connection():
    world = World()
    client, message = subscriber_with_message(world, V5, 2)
    client.send(PubAck(message.packet_id))
    assert client.expect(Disconnect).reason == ReasonCode.PROTOCOL_ERROR


def test_nothing_is_sent_again_on_a_living_connection():
    """[5.0 MQTT-4.4.0-1]"""
    world = World()
    client, _ = subscriber_with_message(world, V5, 1)
    world.advance(3600)
    assert client.messages() == []


# --- the queue of an absent client -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_qos_1_and_2_wait_for_an_absent_client_and_qos_0_does_not(version):
    """[3.1.1 MQTT-3.1.2-5, 5.0 4.1]"""
    world = World()
    client = world.client("s", version, **kept(version))
    client.subscribe("t", qos=2)
    client.drop()
    publisher = world.client("p", V5)
    for qos in (0, 1, 2):
        publisher.publish("t", b"%d" % qos, qos)
    client.connect(**kept(version))
    messages = client.messages()
    assert [(m.payload, m.qos, m.dup) for m in messages] == [(b"1", 1, False), (b"2", 2, False)]


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_what_comes_after_a_resumption_does_not_overtake_qos_0_messages_that_wait(version):
    """[3.1.1 MQTT-4.6.0-6, 5.0 MQTT-4.6.0-5]"""
    world = World(queue_qos0_offline=True, maximum_inflight=1)
    subscriber = world.client("sub", version, **kept(version))
    subscriber.subscribe("t", qos=1)
    subscriber.drop()
    publisher = world.client("pub")
    for payload, qos in ((b"first", 1), (b"second", 1), (b"waits", 0)):
        publisher.publish("t", payload, qos)
    subscriber.automatic = False
    subscriber.connect(**kept(version))
    publisher.publish("t", b"later", 0)
    subscriber.automatic = True
    for packet in list(subscriber.inbox):
        subscriber.acknowledge(packet)
    world.collect()
    assert subscriber.payloads() == [b"first", b"second", b"waits", b"later"]


def test_qos_0_waits_as_well_when_configured():
    world = World(queue_qos0_offline=True)
    client = world.client("s", V311, clean_start=False)
    client.subscribe("t", qos=2)
    client.drop()
    publisher = world.client("p", V5)
    for number, qos in enumerate((1, 0, 2, 0)):
        publisher.publish("t", b"%d" % number, qos)
    client.connect(clean_start=False)
    assert client.payloads() == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("policy", "left"), [(DropPolicy.NEWEST, [b"0", b"1", b"2"]), (DropPolicy.OLDEST, [b"2", b"3", b"4"])]
)
@pytest.mark.parametrize("bound", [{"queue_maximum_messages": 3}, {"queue_maximum_bytes": 3}])
def test_a_full_queue_drops_by_policy(policy, left, bound):
    world = World(queue_drop_policy=policy, **bound)
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=1)
    client.drop()
    publisher = world.client("p", V5)
    for number in range(5):
        publisher.publish("t", b"%d" % number, 1)
    client.connect(**kept(V5))
    assert client.payloads() == left
    assert world.broker.house.sessions.get("s").queue.size_bytes == 0


def test_expired_messages_make_room_in_a_full_queue():
    world = World(queue_maximum_messages=2)
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=1)
    client.drop()
    publisher = world.client("p", V5)
    publisher.publish("t", b"old", 1, message_expiry_interval=1)
    publisher.publish("t", b"lasting", 1)
    world.advance(2)
    publisher.publish("t", b"new", 1)
    client.connect(**kept(V5))
    assert client.payloads() == [b"lasting", b"new"]


def test_a_session_whose_messages_are_all_settled_takes_no_more_than_before_them_while_its_client_is_away():
    world = World()
    subscribers = [world.client(f"s{number}", V5, **kept(V5)) for number in range(50)]
    for subscriber in subscribers:
        subscriber.subscribe("t", qos=2)
        subscriber.drop()
    publisher = world.client("p", V5)

    def live() -> None:
        for qos in (1, 2):
            for number in range(30):
                publisher.publish("t", bytes((number,)), qos)
        for subscriber in subscribers:
            subscriber.automatic = True
            subscriber.connect(**kept(V5))
            assert in_flight(world, subscriber.client_id) == 0
            assert len([each for each in subscriber.take() if isinstance(each, Publish)]) == 60
            subscriber.drop()

    assert kept_bytes(live) < 50 * 3_000  # most of it the clients', each of which remembers what it read


def test_packet_identifiers_go_on_where_they_were_when_a_client_with_nothing_in_flight_returns():
    world = World()
    subscriber = world.client("s", V5, **kept(V5))
    subscriber.subscribe("t", qos=1)
    publisher = world.client("p", V5)
    seen = []
    for _ in range(3):
        publisher.publish("t", b"x", 1)
        message = subscriber.expect(Publish)
        seen.append(message.packet_id)
        subscriber.acknowledge(message)
        subscriber.drop()
        subscriber.connect(**kept(V5))
    assert seen == [1, 2, 3]


# --- message expiry --------------------------------------------------------------------------------------------------


def test_message_expiry_counts_the_time_in_the_queue():
    """[5.0 MQTT-3.3.2-5, MQTT-3.3.2-6]"""
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=1)
    client.drop()
    publisher = world.client("p", V5)
    publisher.publish("t", b"short", 1, message_expiry_interval=5)
    publisher.publish("t", b"long", 1, message_expiry_interval=60)
    world.advance(10.5)
    client.connect(**kept(V5))
    (message,) = client.messages()
    assert (message.payload, message.properties.message_expiry_interval) == (b"long", 50)


def test_message_expiry_passes_unchanged_to_who_is_there():
    world = World()
    client = world.client("s", V5)
    client.subscribe("t", qos=1)
    publisher = world.client("p", V5)
    for qos in (0, 1):
        for interval in (0, 7):
            publisher.publish("t", b"x", qos, message_expiry_interval=interval)
            (message,) = client.messages()
            assert message.properties.message_expiry_interval == interval


def test_expiry_does_not_stop_a_handshake_that_has_begun():
    """[5.0 MQTT-4.3.3-7, MQTT-4.3.3-13]"""
    world = World()
    client = world.client("s", V5, **kept(V5))
    client.subscribe("t", qos=2)
    world.client("p", V5).publish("t", b"x", 2, message_expiry_interval=5)
    (message,) = client.messages()
    client.drop()
    world.advance(3)
    client.connect(**kept(V5))
    (again,) = client.messages()
    assert again.properties.message_expiry_interval == 2
    client.drop()
    world.advance(100)
    client.connect(**kept(V5))
    (again,) = client.messages()
    assert (again.packet_id, again.dup) == (message.packet_id, True)
    assert again.properties.message_expiry_interval == 0


def test_shutdown_says_goodbye():
    """[5.0 3.14.2.1]"""
    world = World()
    new, old, silent = world.client("a", V5), world.client("b", V311), world.raw()
    world.broker.shutdown(world.now)
    world.collect()
    assert new.expect(Disconnect).reason == ReasonCode.SERVER_SHUTTING_DOWN
    assert old.closed
    assert silent.closed


def test_expiry_is_not_lengthened_by_the_clocks_fractions():
    """1000.1 + 7 - 1000.1 is a little more than 7."""
    world = World()
    world.now = 1000.1
    client = world.client("s", V5)
    client.subscribe("t")
    publisher = world.client("p", V5)
    for interval in range(1, 50):
        publisher.publish("t", b"x", message_expiry_interval=interval)
    assert [m.properties.message_expiry_interval for m in client.messages()] == list(range(1, 50))
