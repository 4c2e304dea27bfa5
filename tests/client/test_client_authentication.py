import pytest
from scripted import Client, connected

from reference_broker.client import AuthChallenge, Authenticated, Cause, Connected, State
from reference_broker.wire.errors import LocalError
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import Version

METHOD = Properties(authentication_method="m", authentication_data=b"1")
ACCEPTED = "20 07 00 00 04 15 00 01 6d"


def challenge(reason, data):
    return f"f0 0a {reason:02x} 08 15 00 01 6d 16 00 01 {data:02x}"


def authenticated():
    return Client(properties=METHOD).connected(ACCEPTED)


def test_a_challenge_before_connack_is_answered_with_0x18():  # 5.0 MQTT-4.12.0-2, -3, -5
    client = Client(client_id="a", properties=METHOD)
    assert client.sent() == "10 16 00 04 4d 51 54 54 05 02 00 3c 08 15 00 01 6d 16 00 01 31 00 01 61"
    client.receive(challenge(0x18, 0x32))
    (event,) = client.news()
    assert isinstance(event, AuthChallenge)
    assert event.data == b"2"
    client.core.authenticate(b"3", client.now, Properties(user_property=(("k", "v"),)))
    assert client.sent() == "f0 11 18 0f 15 00 01 6d 16 00 01 33 26 00 01 6b 00 01 76"
    client.receive("20 0b 00 00 08 15 00 01 6d 16 00 01 34")
    (event,) = client.news()
    assert isinstance(event, Connected)
    assert event.properties.authentication_data == b"4"


def test_several_rounds_are_possible():
    client = Client(properties=METHOD)
    client.sent()
    for _ in range(3):
        client.receive(challenge(0x18, 0x32))
        client.core.authenticate(None, client.now)
        assert client.sent() == "f0 06 18 04 15 00 01 6d"
    client.receive(ACCEPTED)
    assert client.core.state is State.CONNECTED


def test_re_authentication_begins_with_0x19_and_ends_with_0x00():  # 5.0 MQTT-4.12.1-1
    client = authenticated()
    client.core.authenticate(b"5", client.now)
    assert client.sent() == "f0 0a 19 08 15 00 01 6d 16 00 01 35"
    client.receive(challenge(0x18, 0x36))
    client.core.authenticate(b"7", client.now)
    assert client.sent() == "f0 0a 18 08 15 00 01 6d 16 00 01 37"
    client.receive(challenge(0x00, 0x38))
    _, event = client.news()
    assert isinstance(event, Authenticated)
    assert event.data == b"8"
    client.core.authenticate(b"9", client.now)
    assert client.sent().startswith("f0 0a 19")


def test_other_packets_flow_during_re_authentication():  # 5.0 4.12.1
    client = authenticated()
    client.core.authenticate(b"5", client.now)
    client.publish(qos=0)
    assert client.sent().endswith("30 05 00 01 74 00 78")
    assert client.receive("32 06 00 01 74 00 01 00") == "40 02 00 01"


def test_without_a_method_there_is_nothing_to_authenticate():  # 5.0 MQTT-4.12.0-7
    client = connected()
    with pytest.raises(LocalError):
        client.core.authenticate(b"", client.now)


def test_it_has_to_be_the_clients_turn():
    client = Client(properties=METHOD)
    client.sent()
    with pytest.raises(LocalError):
        client.core.authenticate(b"", client.now)
    client = authenticated()
    client.core.authenticate(b"", client.now)
    with pytest.raises(LocalError):
        client.core.authenticate(b"", client.now)


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        ("f0 06 18 04 15 00 01 6e", "another method"),  # 5.0 MQTT-4.12.0-5
        ("20 07 00 00 04 15 00 01 6e", "another method"),
        ("20 03 00 00 00", "no method"),
        ("f0 06 00 04 15 00 01 6d", "Success before CONNACK"),
        ("f0 06 19 04 15 00 01 6d", "a server does not re-authenticate"),
    ],
)
def test_what_a_server_may_not_say_before_connack_closes(packet, why):
    client = Client(properties=METHOD)
    client.sent()
    assert client.receive(packet) == "e0 01 82", why
    assert client.end.cause is Cause.BAD_PACKET


def test_a_connack_with_a_method_nobody_asked_for_closes():  # 5.0 MQTT-4.12.0-6
    client = Client()
    client.sent()
    assert client.receive(ACCEPTED) == "e0 01 82"


def test_a_refusal_need_not_repeat_the_method():
    client = Client(properties=METHOD)
    client.receive("20 03 00 8c 00")
    assert client.end.cause is Cause.REFUSED


def test_an_auth_out_of_the_blue_closes():  # only the client begins a re-authentication [5.0 4.12.1]
    client = authenticated()
    assert client.receive(challenge(0x18, 0x31)) == "e0 01 82"


def test_3_1_1_knows_no_auth():
    client = connected(version=Version.V311)
    with pytest.raises(LocalError):
        client.core.authenticate(b"", client.now)
