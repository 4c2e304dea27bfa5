"""A broker whose commits lag is killed after any of them: what was not committed is lost, and the books balance.

What was promised waits for its commit, as it does behind the adapter; clients come back, and send again what they have
to.
"""

from __future__ import annotations

import random
from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_broker.broker import Broker, BrokerConfig, Link
from reference_broker.client import ClientCore, ClientOptions, Connected, Message, Published, Session
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import Change
from reference_broker.wire.packets import Publish, Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version


class LaggingWorld:
    """A broker, a store that it gets ahead of, and its clients, each of which keeps its session."""

    def __init__(self, *, waits: bool = True) -> None:
        self.store = MemoryStore()
        self.waits = waits
        self.now = 0.0
        self.clients: list[KeptClient] = []
        self.start()

    def start(self) -> None:
        """On what is committed."""
        self.uncommitted: deque[tuple[int, list[Change]]] = deque()
        self.held: deque[tuple[int, Link, bytes]] = deque()
        self.ticket = self.committed = 0
        self.links: dict[Link, KeptClient] = {}
        self.broker = Broker(BrokerConfig(), seed=1, keeps=True)
        self.broker.load(self.now, 1_000_000.0 + self.now)
        while (wanted := self.broker.next_read()) is not None:
            self.broker.take_rows(wanted, self.store.read(*wanted, 1_000_000), self.now)
            self.turn()

    def turn(self) -> None:
        """What follows a call of the broker."""
        changes = self.broker.take_changes()
        ticket = 0
        if changes is not None:
            if changes.changes:
                self.ticket += 1
                self.uncommitted.append((self.ticket, changes.changes))
            ticket = self.ticket * (changes.is_promised and self.waits)
        for link, pieces, _ in self.broker.take_output():
            if ticket > self.committed or any(link is held for _, held, _ in self.held):
                self.held.append((ticket, link, b"".join(pieces)))
            else:
                self.links[link].take(b"".join(pieces))

    def commit(self, count: int) -> None:
        """The next changes are kept, and what waited for them leaves."""
        for _ in range(min(count, len(self.uncommitted))):
            self.committed, changes = self.uncommitted.popleft()
            self.store.commit(changes)
        while self.held and self.held[0][0] <= self.committed:
            _, link, data = self.held.popleft()
            self.links[link].take(data)

    def kill(self) -> None:
        """All that is not committed is lost; the clients come back to what starts then."""
        self.now += 1.0
        self.store = MemoryStore(self.store.rows)
        self.start()
        for client in self.clients:
            client.core.connection_lost(self.now)
            client.connect()

    def settle(self) -> None:
        """Until nobody has more to say."""
        while self.uncommitted or self.held or any(client.speak() for client in self.clients):
            self.commit(100)


class KeptClient:
    """A client whose session outlives the broker; it speaks when it is told to."""

    def __init__(self, world: LaggingWorld, name: str, version: Version) -> None:
        self.world = world
        self.name = name
        self.version = version
        self.session = Session()
        self.was_connected = False
        self.acknowledged: set[int] = set()
        self.got: list[bytes] = []
        world.clients.append(self)
        self.connect()

    def connect(self) -> None:
        # A client that saw no CONNACK cannot go on with a session that may be there. [5.0 MQTT-3.2.2-4]
        properties = Properties(session_expiry_interval=9999) if self.version is Version.V5 else Properties()
        clean = self.version is Version.V5 and not self.was_connected
        self.core = ClientCore(ClientOptions(self.name, self.version, clean, properties=properties), self.session)
        self.link = self.world.broker.connect(self.world.now, self.name)
        self.world.links[self.link] = self
        self.core.connect(self.world.now)
        self.speak()

    def speak(self) -> bool:
        """Send what there is to send; whether there was anything."""
        data = self.core.data_to_send()
        if data:
            self.link.receive_data(data, self.world.now)
            self.world.turn()
        return bool(data)

    def take(self, data: bytes) -> None:
        self.core.receive_data(data, self.world.now)
        for event in self.core.take_events():
            if isinstance(event, Connected):
                if self.was_connected and self.version is not Version.V31:  # whose CONNACK does not say
                    assert event.session_present, "an acknowledged session is gone"
                self.was_connected = True
            elif isinstance(event, Published):
                self.acknowledged.add(event.ticket)
            elif isinstance(event, Message):
                self.got.append(event.payload)


def play(seed: int, *, waits: bool = True) -> None:
    """Traffic, commits that lag, kills, and the books at the end."""
    rng = random.Random(seed)
    world = LaggingWorld(waits=waits)
    publishers = [KeptClient(world, f"p{version.label}", version) for version in Version]
    subscribers = [KeptClient(world, f"s{version.label}", version) for version in Version]
    world.settle()
    for each in subscribers:
        each.core.subscribe([Subscription("t/#", QoS.EXACTLY_ONCE)], world.now)
    world.settle()
    sent: dict[tuple[KeptClient, QoS], list[tuple[int, bytes]]] = {}
    number = 0
    for _ in range(60):
        action = rng.random()
        publisher = rng.choice(publishers)
        if action < 0.3 and publisher.was_connected and publisher.core.state == "connected":
            qos = QoS(rng.choice((1, 2)))
            for _ in range(rng.choice((1, 2, 7))):
                number += 1
                payload = b"%06d" % number
                ticket = publisher.core.publish(Publish(f"t/{publisher.name}", payload, qos), world.now)
                sent.setdefault((publisher, qos), []).append((ticket, payload))
        elif action < 0.65:
            rng.choice(world.clients).speak()
        elif action < 0.95:
            world.commit(rng.randrange(4))
        else:
            world.kill()
    world.kill()
    world.settle()
    for (publisher, qos), messages in sent.items():
        assert {ticket for ticket, _ in messages} <= publisher.acknowledged
        payloads = [payload for _, payload in messages]
        for subscriber in subscribers:
            got = [payload for payload in subscriber.got if payload in set(payloads)]
            assert list(dict.fromkeys(got)) == payloads, "a message is lost, or the order"
            if qos is QoS.EXACTLY_ONCE:
                assert max(Counter(got).values()) == 1


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_what_was_acknowledged_is_true_whatever_was_not_committed_when_the_broker_was_killed(seed):
    play(seed)


def test_without_waiting_for_commits_it_would_not_be() -> None:
    with pytest.raises(AssertionError, match="a message is lost"):
        play(2, waits=False)
