"""The client core against the broker core, in memory, with cuts at any byte."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.client import ClientCore, ClientOptions, Closing, Message, Published, Session, State, Subscribed
from reference_broker.wire.packets import Publish, Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

pytestmark = pytest.mark.usefixtures("on_both_loops")


class Network:
    """One broker, several clients; bytes lie in pipes until `pump` carries them."""

    def __init__(self, **config):
        self.broker = Broker(BrokerConfig(**config), seed=1)
        self.log = []
        self.broker.log = self.log.append
        self.now = 1000.0
        self.peers = []

    def client(self, client_id, version=Version.V5, **options):
        peer = Peer(self, ClientOptions(client_id=client_id, version=version, **options))
        self.peers.append(peer)
        return peer

    def collect(self):
        for link, pieces, close in self.broker.take_output():
            for peer in self.peers:
                if peer.link is link:
                    peer.from_broker += b"".join(pieces)
                    peer.broker_closed |= close

    def pump(self):
        """Carry everything until nothing moves."""
        moved = True
        while moved:
            moved = sum(peer.step() for peer in self.peers) > 0  # every peer takes its step

    def advance(self, seconds):
        end = self.now + seconds
        while True:
            deadlines = [self.broker.next_deadline(), *(peer.core.next_deadline() for peer in self.peers)]
            due = [deadline for deadline in deadlines if deadline is not None and deadline <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            self.broker.handle_timer(self.now)
            for peer in self.peers:
                peer.core.handle_timer(self.now)
            self.collect()
            self.pump()
        self.now = end


class Peer:
    """One client with its session, over as many connections as it takes."""

    def __init__(self, network, options):
        self.network, self.options = network, options
        self.session = Session()
        self.events = []
        self.connect()

    def connect(self):
        self.link = self.network.broker.connect(self.network.now)
        self.core = ClientCore(self.options, self.session)
        self.from_broker, self.broker_closed, self.to_broker = b"", False, b""
        self.core.connect(self.network.now)

    def take(self):
        self.to_broker += self.core.data_to_send()
        self.events += self.core.take_events()

    def step(self, limit=None):
        """Carry at most `limit` bytes each way; whether anything moved."""
        self.take()
        data, self.to_broker = self.to_broker[:limit], self.to_broker[limit or len(self.to_broker) :]
        if data:
            self.link.receive_data(data, self.network.now)
        self.network.collect()
        answer, self.from_broker = self.from_broker[:limit], self.from_broker[limit or len(self.from_broker) :]
        if answer:
            self.core.receive_data(answer, self.network.now)
        if self.broker_closed and not self.from_broker and self.core.state is not State.CLOSED:
            self.core.connection_lost(self.network.now)
        self.take()
        return bool(data or answer)

    def cut(self):
        """Lose what is on the way in both directions."""
        self.take()
        self.core.connection_lost(self.network.now)
        self.take()
        self.link.connection_lost(self.network.now)
        self.network.collect()

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def payloads(self, qos=None):
        return [message.payload for message in self.of(Message) if qos is None or message.qos == qos]


def kept(version):
    expiry = {"properties": Properties(session_expiry_interval=3600)} if version is Version.V5 else {}
    return {"clean_start": False, **expiry}


@pytest.mark.parametrize("version", list(Version))
def test_every_qos_reaches_a_subscriber(version):
    network = Network()
    sub, pub = network.client("sub", version), network.client("pub", version)
    network.pump()
    sub.core.subscribe([Subscription("t/#", QoS.EXACTLY_ONCE)], network.now)
    network.pump()
    assert sub.of(Subscribed)[0].reasons == (2,)
    for qos in QoS:
        pub.core.publish(Publish("t/x", b"%d" % qos, qos), network.now)
    network.pump()
    assert [(m.payload, m.qos) for m in sub.of(Message)] == [(b"0", 0), (b"1", 1), (b"2", 2)]
    assert len(pub.of(Published)) == 3
    assert len(pub.session) == len(sub.session.inbound) == 0
    assert network.log == []


@pytest.mark.parametrize("version", list(Version))
def test_a_quiet_pair_stays_connected_by_keep_alive_alone(version):
    network = Network()
    client = network.client("c", version, keep_alive=10)
    network.pump()
    network.advance(100)
    assert client.core.state is State.CONNECTED


@pytest.mark.parametrize("aliases", [0, 2])
def test_quotas_aliases_and_sizes_of_both_ends_fit_together(aliases):
    network = Network(receive_maximum=2, topic_alias_maximum=aliases)
    limits = Properties(receive_maximum=1, topic_alias_maximum=2, maximum_packet_size=100)
    sub = network.client("sub", properties=limits)
    pub = network.client("pub", automatic_topic_aliases=True)
    network.pump()
    sub.core.subscribe([Subscription("#", QoS.EXACTLY_ONCE)], network.now)
    network.pump()
    for number in range(30):
        pub.core.publish(Publish(f"topic/{number % 4}", b"%d" % number, QoS(number % 3)), network.now)
    pub.core.publish(Publish("topic/0", bytes(200), QoS.AT_LEAST_ONCE), network.now)  # more than `sub` takes
    network.pump()
    assert sorted(map(int, sub.payloads())) == list(range(30))
    assert len(pub.of(Published)) == 31
    assert sub.core.state is pub.core.state is State.CONNECTED
    assert network.log == []


# Publish at QoS 1 or 2, carry some bytes of one peer, cut one peer and let it return at once.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from([1, 2])),
        st.tuples(st.sampled_from(["pub", "sub"]), st.integers(1, 40)),
        st.tuples(st.just("cut"), st.sampled_from(["pub", "sub"])),
    ),
    max_size=40,
)


@settings(max_examples=100)
@given(st.sampled_from(list(Version)), st.booleans(), steps)
def test_cuts_at_any_byte_lose_nothing_and_repeat_no_qos_2_message(version, manual, script):
    network = Network()
    peers = {
        "sub": network.client("sub", version, **kept(version), manual_acknowledgement=manual),
        "pub": network.client("pub", version, **kept(version)),
    }
    sub, pub = peers["sub"], peers["pub"]
    network.pump()
    sub.core.subscribe([Subscription("t", QoS.EXACTLY_ONCE)], network.now)
    network.pump()
    sent = {1: [], 2: []}

    def carry_on(peer):
        if peer.core.state is State.CLOSED:
            peer.connect()

    def acknowledge():
        for message in sub.of(Message):
            if manual and sub.core.state is State.CONNECTED:
                sub.core.acknowledge(message, network.now)

    for number, (step, value) in enumerate(script):
        if step == "publish" and pub.core.state is State.CONNECTED:
            sent[value].append(b"%d" % number)
            pub.core.publish(Publish("t", b"%d" % number, QoS(value)), network.now)
        elif step == "cut":
            peers[value].cut()
            carry_on(peers[value])
        elif step in peers:
            peers[step].step(value)
            acknowledge()
    for _ in range(3):
        network.pump()
        acknowledge()
        network.pump()
    assert sub.payloads(qos=2) == sent[2]
    assert list(dict.fromkeys(sub.payloads(qos=1))) == sent[1]
    assert len(pub.of(Published)) == len(sent[1]) + len(sent[2])
    assert len(pub.session) == len(sub.session.inbound) == len(sub.session.unanswered) == 0
    assert network.log == []


def test_a_session_taken_over_is_told_to_the_old_connection():
    network = Network()
    first = network.client("same")
    network.pump()
    second = network.client("same")
    network.pump()
    assert first.events[-1].reason == 0x8E
    assert first.core.closing is Closing.FLUSH
    assert second.core.state is State.CONNECTED


def test_the_broker_keeps_a_session_only_as_long_as_both_agree():
    network = Network()
    client = network.client("c", **kept(Version.V5))
    network.pump()
    client.core.disconnect(network.now, 0, Properties(session_expiry_interval=0))
    client.step()
    client.options = replace(client.options, clean_start=False)
    client.connect()
    network.pump()
    assert client.core.state is State.CONNECTED
    assert client.events[-1].session_present is False
