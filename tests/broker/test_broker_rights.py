"""Who has which rights once something has changed: rules, users, listeners, and who a session's client is.

Belongs here: a broker in virtual time with files of rules and users. Does not belong here: what a line of rules means
(`test_broker_rules`), sockets and SIGHUP (`test_net_access`).
"""

from __future__ import annotations

from pathlib import Path

import pytest
import scramp
from broker_harness import V5, V311, Client, World, kept, will
from test_broker_rules import change, guarded, login

from reference_broker.access.config import GuardedConfig, Listener
from reference_broker.access.control import GuardedAccess
from reference_broker.access.passwords import User, new_user, write_user
from reference_broker.access.scram import SCRAM
from reference_broker.broker import Broker
from reference_broker.broker.values.config import BrokerConfig, ChallengeMethod
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Auth, ConnAck, Disconnect, Packet, Publish, PubRel
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, ReasonCode, Version

ALICE_ONLY = "user alice\nboth #\nuser bob\nboth open\n"


# --- whose a session is ----------------------------------------------------------------------------------------------


def test_with_users_of_the_settings_and_rules_of_a_file_a_session_is_one_users(tmp_path: Path) -> None:
    """[5.0 5.4.2]"""
    world = guarded(tmp_path, "both #\n")
    owner = world.client("c", **kept(V5), **login("alice"))
    owner.subscribe("t", qos=1)
    Client(world, "c", V5).connect(expect=ReasonCode.NOT_AUTHORIZED, **login("bob"))
    assert not owner.closed
    owner.disconnect()
    world.client("w", **login("alice")).publish("t", b"for alice", 1)
    other = world.client("c", **kept(V5), **login("bob"))
    assert not other.connack.session_present
    assert other.messages() == []


def test_the_will_of_a_session_discarded_for_another_user_has_the_rights_of_its_own(tmp_path: Path) -> None:
    """[5.0 3.1.3.2.2]"""
    world = guarded(tmp_path, "user alice\npublish alices\nuser bob\npublish bobs\nsubscribe #\n")
    reader = world.client("r", **login("bob"))
    reader.subscribe("#", qos=1)
    delayed = will("alices", will_delay_interval=50)
    world.client("c", session_expiry_interval=100, will=delayed, **login("alice")).drop()
    assert reader.messages() == []
    world.client("c", **login("bob"))
    assert [message.topic for message in reader.messages()] == ["alices"]


# --- rules that change -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_delayed", [False, True])
def test_a_will_is_published_by_the_rules_of_that_moment(tmp_path: Path, is_delayed: bool) -> None:
    world = guarded(tmp_path, "both #\n")
    reader = world.client("r", **login("alice"))
    reader.subscribe("#", qos=1)
    delay = {"will_delay_interval": 5} if is_delayed else {}
    mortal = world.client("m", will=will("w", retain=True, **delay), session_expiry_interval=100, **login("bob"))
    if is_delayed:
        mortal.drop()
    change(world, tmp_path, ALICE_ONLY)
    if not is_delayed:
        mortal.drop()
    world.advance(10)
    assert reader.messages() == []
    assert world.broker.house.retained.get("w") is None
    assert [line for line in world.log if "not allowed to publish its will" in line]


@pytest.mark.parametrize("version", [V311, V5])
def test_retained_messages_come_by_the_rules_also_by_a_wider_filter(tmp_path: Path, version: Version) -> None:
    world = guarded(tmp_path, "user alice\nboth #\nuser bob\ndeny subscribe secret/#\nsubscribe #\n")
    alice = world.client("a", **login("alice"))
    for topic in ("secret/x", "secret", "open"):
        alice.publish(topic, b"r", 1, retain=True)
    bob = world.client("b", version, **login("bob"))
    bob.subscribe("#", "+/x", "+", qos=1)
    assert {message.topic for message in bob.messages()} == {"open"}


def test_retained_messages_that_are_still_to_come_when_the_rules_change_do_not(tmp_path: Path) -> None:
    world = guarded(tmp_path, "both #\n")
    alice = world.client("a", **login("alice"))
    for number in range(40):
        alice.publish(f"t/{number}", b"r", 1, retain=True)
    bob = world.client("b", receive_maximum=1, **login("bob"))
    bob.subscribe("t/#", qos=1)
    [first] = bob.messages()
    change(world, tmp_path, ALICE_ONLY)
    bob.acknowledge(first)
    world.collect()
    assert bob.messages() == []


def stream(client: Client, topic: str, qos: int, count: int, first: int = 1) -> None:
    """So many messages in one read, which go by the fast path, and are released at QoS 2."""
    ids = range(first, first + count)
    client.send_bytes(b"".join(encode(Publish(topic, b"x", QoS(qos), False, False, each), V5) for each in ids))
    client.take()
    if qos == QoS.EXACTLY_ONCE:
        client.send_bytes(b"".join(encode(PubRel(each), V5) for each in ids))
        client.take()


@pytest.mark.parametrize("in_flight", [3, 50])
@pytest.mark.parametrize("qos", [1, 2])
def test_a_stream_in_flight_is_not_sent_again_to_whom_may_not_read_it_any_more(
    tmp_path: Path, qos: int, in_flight: int
) -> None:
    """And what waits behind it goes on, as soon as its client is back."""
    world = guarded(tmp_path, "both #\n")
    bob = world.client("b", receive_maximum=in_flight, **kept(V5), **login("bob"))
    bob.subscribe("closed", "open", qos=2)
    alice = world.client("a", **login("alice"))
    stream(alice, "closed", qos, 50)
    stream(alice, "open", qos, 50, first=51)
    assert [message.topic for message in bob.messages()] == ["closed"] * in_flight
    change(world, tmp_path, ALICE_ONLY)
    bob.drop()
    bob.connect(receive_maximum=in_flight, **kept(V5), **login("bob"))
    for packet in bob.inbox:
        bob.acknowledge(packet)
    bob.automatic = True
    world.collect()
    assert [packet.topic for packet in bob.take() if isinstance(packet, Publish)] == ["open"] * 50
    assert world.broker.house.sessions.queues.size_bytes == 0


@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_in_flight_when_the_rules_changed_takes_no_place_for_ever(tmp_path: Path, qos: int) -> None:
    """Its client acknowledges what it got before. [5.0 MQTT-3.3.4-9]"""
    world = guarded(tmp_path, "both #\n")
    bob = world.client("b", receive_maximum=2, **login("bob"))
    bob.subscribe("closed", "open", qos=2)
    alice = world.client("a", **login("alice"))
    stream(alice, "closed", qos, 2)
    got = bob.messages()
    change(world, tmp_path, ALICE_ONLY)
    bob.automatic = True
    for message in got:
        bob.acknowledge(message)
    world.collect()
    bob.take()
    stream(alice, "open", qos, 5, first=11)
    assert [packet.topic for packet in bob.take() if isinstance(packet, Publish)] == ["open"] * 5


@pytest.mark.parametrize("qos", [1, 2])
def test_a_share_whose_member_may_not_read_any_more_goes_to_who_may(tmp_path: Path, qos: int) -> None:
    """[5.0 4.8.2]"""
    world = guarded(tmp_path, "both #\n")
    bob = world.client("b", **kept(V5), **login("bob"))
    bob.subscribe("$share/g/closed", qos=2)
    bob.disconnect()
    alice = world.client("a", **login("alice"))
    stream(alice, "closed", qos, 20)
    member = world.client("m", **login("alice"))
    member.subscribe("$share/g/closed", qos=2)
    change(world, tmp_path, ALICE_ONLY)
    assert len(member.messages()) == 20
    stream(alice, "closed", qos, 20, first=31)
    assert len(member.messages()) == 20
    bob.connect(**kept(V5), **login("bob"))
    assert bob.inbox == []


# --- who proves to be whom -------------------------------------------------------------------------------------------


class Users:
    """A file of users with a broker in virtual time, and proofs of SCRAM."""

    def __init__(self, folder: Path, *names: str, **settings: object) -> None:
        (folder / "rules").write_text("both home/%u\n")
        self._file = folder / "users"
        self._user = new_user("secret", with_scram=True)
        for name in names:
            self.write(name, self._user)
        listener = Listener("tcp", 0, allow_anonymous=False)
        broker = BrokerConfig(**settings)  # type: ignore[arg-type]
        config = GuardedConfig(
            password_file=self._file, rules_file=folder / "rules", listener=(listener,), port=None, broker=broker
        )
        self.access = GuardedAccess(config)
        self.world = World(Broker(broker, seed=1, access=self.access))

    def write(self, name: str, user: User | None) -> None:
        """Into the file, or with None out of it."""
        write_user(self._file, name, user)

    def read_again(self) -> None:
        """As at SIGHUP."""
        self.access.read_again()
        self.world.broker.ask_rules_again(self.world.now)
        self.world.collect()

    def begin(self, name: str, certified: str | None = None) -> Proving:
        """Somebody connects who has said nothing yet but that it will prove who it is."""
        client = Client(self.world, name, V5)
        client.open()
        client.link.listener, client.link.certified = "tcp", certified
        client.send(client.connect_packet(authentication_method=SCRAM))
        client.take()
        return Proving(client, name)


class Proving:
    """The client's half of SCRAM, step by step."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self._exchange = scramp.ScramClient([SCRAM], name, "secret")

    def say_who(self) -> None:
        """The first message; the answer is a challenge."""
        [answer] = self._send(self._exchange.get_client_first())
        assert isinstance(answer, Auth)
        self._exchange.set_server_first((answer.properties.authentication_data or b"").decode())

    def prove(self) -> int:
        """The second message; the reason of the CONNACK."""
        [answer] = self._send(self._exchange.get_client_final())
        assert isinstance(answer, ConnAck)
        return answer.reason

    def _send(self, message: str) -> list[Packet]:
        properties = Properties(authentication_method=SCRAM, authentication_data=message.encode())
        self.client.send(Auth(ReasonCode.CONTINUE_AUTHENTICATION, properties))
        return self.client.take()


def test_a_proof_that_began_before_a_user_was_taken_out_lets_nobody_in(tmp_path: Path) -> None:
    users = Users(tmp_path, "alice", "bob")
    early, late, other = users.begin("bob"), users.begin("bob"), users.begin("alice")
    early.say_who()
    users.write("bob", None)
    users.read_again()
    assert early.client.closed
    late.say_who()  # nobody learns that there is no such user
    assert late.prove() == ReasonCode.NOT_AUTHORIZED
    other.say_who()
    assert other.prove() == ReasonCode.SUCCESS


def test_a_proof_that_began_before_a_user_was_added_is_by_the_new_file(tmp_path: Path) -> None:
    users = Users(tmp_path, "alice")
    late = users.begin("bob")
    users.write("bob", new_user("secret", with_scram=True))
    users.read_again()
    late.say_who()
    assert late.prove() == ReasonCode.SUCCESS


def test_who_proved_by_a_password_to_be_another_user_than_the_certificates_goes_with_that_user(tmp_path: Path) -> None:
    users = Users(tmp_path, "bob")
    of_both, of_certificate = users.begin("bob", certified="alice"), Client(users.world, "a", V5)
    of_both.say_who()
    assert of_both.prove() == ReasonCode.SUCCESS
    assert of_both.client.subscribe("home/bob").reasons == (0,)
    of_certificate.open()
    of_certificate.link.listener, of_certificate.link.certified = "tcp", "alice"
    of_certificate.send(of_certificate.connect_packet())
    of_certificate.take()
    users.write("bob", None)
    users.read_again()
    [goodbye] = of_both.client.take()
    assert isinstance(goodbye, Disconnect)
    assert goodbye.reason == ReasonCode.ADMINISTRATIVE_ACTION
    assert not of_certificate.closed


def test_a_certificate_says_who_it_is_where_the_method_does_not(tmp_path: Path) -> None:
    method = ChallengeMethod("M", b"?", b"!")
    users = Users(tmp_path, "bob", authentication_methods=(method,))
    client = Client(users.world, "c", V5)
    client.open()
    client.link.listener, client.link.certified = "tcp", "alice"
    client.send(client.connect_packet(authentication_method="M"))
    client.send(
        Auth(ReasonCode.CONTINUE_AUTHENTICATION, Properties(authentication_method="M", authentication_data=b"!"))
    )
    client.take()
    assert client.subscribe("home/alice").reasons == (0,)
