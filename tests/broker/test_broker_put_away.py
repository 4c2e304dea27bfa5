"""What a session that is put away no longer holds in memory, for its rows and for itself."""

from __future__ import annotations

import sys

import pytest
from broker_harness import V5, World, kept

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.broker.keeping.record import Record
from reference_broker.broker.outgoing.ledger import Ledger
from reference_broker.broker.values.journal import Journal
from reference_broker.store.memory import MemoryStore
from reference_broker.wire.packets import Publish, PubRel
from reference_broker.wire.types import QoS


def test_a_ledger_that_once_had_much_in_flight_is_as_small_as_a_new_one_when_it_is_put_away() -> None:
    """A dict stays as large as it once was."""
    ledger = Ledger(Journal(), b"1")
    for packet_id in range(1, 1000):
        ledger.was_released(packet_id)
    for packet_id in range(1, 1000):
        ledger.settled(packet_id)
    ledger.put_away()
    assert sys.getsizeof(ledger._flying) == sys.getsizeof({})


def test_a_ledger_that_is_put_away_still_knows_what_is_in_flight() -> None:
    ledger = Ledger(Journal(), b"1")
    ledger.was_released(7)
    ledger.put_away()
    ledger.settled(7)


def test_a_record_that_is_settled_lets_go_of_the_identifiers_it_was_told() -> None:
    """They are the session's, which forgets its own when it is put away."""
    received = {1, 2, 3}
    journal = Journal()
    before = sys.getrefcount(received)
    record = Record(journal, b"1")
    record.received((1,), received)
    assert sys.getrefcount(received) > before
    record.settle(journal)
    assert sys.getrefcount(received) == before


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("fast", [False, True])
def test_a_client_that_is_there_and_has_had_its_busiest_moment_keeps_nothing_of_it(keeps: bool, fast: bool) -> None:
    """Counted, not weighed: every set, dict and deque of the session is gone or as a new one's."""
    world = World(Broker(BrokerConfig(), seed=1, fast_path=fast, keeps=keeps), MemoryStore() if keeps else None)
    client = world.client("c", receive_maximum=10, **kept(V5))
    client.subscribe("#", qos=2)
    client.automatic = True
    for qos in (1, 2):
        sent = [Publish("t", b"x", QoS(qos), False, False, packet_id) for packet_id in range(1, 51)]
        client.send(*sent)
        client.send(*(PubRel(each.packet_id) for each in sent if qos == QoS.EXACTLY_ONCE))
    assert len([packet for packet in client.take() if isinstance(packet, Publish)]) == 100
    session = world.broker.house.sessions.get("c")
    assert session is not None
    assert session._inbound is not None
    assert session._outbound is not None
    world.broker.put_away(1)
    world.broker.put_away(1)
    assert (session.queue, session.flight, session._outbound, session._inbound) == (None, None, None, None)
    client.send(Publish("t", b"on", QoS.AT_LEAST_ONCE, False, False, 51))
    [message] = [packet for packet in client.take() if isinstance(packet, Publish)]
    assert message.packet_id == 101  # a late acknowledgement of another one is none of this


def test_what_is_under_way_is_not_put_away() -> None:
    world = World()
    client = world.client("c", receive_maximum=2, **kept(V5))
    client.subscribe("#", qos=2)
    client.send(*(Publish("t", b"%d" % each, QoS(2), False, False, each) for each in range(1, 6)))
    world.broker.put_away(1)
    world.broker.put_away(1)
    client.send(Publish("t", b"1", QoS(2), False, True, 1))  # a repeat, which is no news [5.0 MQTT-4.3.3-10]
    client.automatic = True
    for packet in list(client.inbox):
        client.acknowledge(packet)
    world.collect()
    assert [packet.payload for packet in client.inbox if isinstance(packet, Publish)] == [b"1", b"2", b"3", b"4", b"5"]


def test_all_sessions_have_their_turn_however_many_come_and_go() -> None:
    world = World()
    clients = [world.client(f"c{number}", **kept(V5)) for number in range(7)]
    for client in clients:
        client.subscribe("t", qos=1)
        client.automatic = True
    world.client("p").publish("t", b"x", 1)
    for number in range(4):
        world.broker.put_away(3)
        world.client(f"new{number}").disconnect()
    sessions = [world.broker.house.sessions.get(client.client_id) for client in clients]
    assert [session.flight or session._outbound for session in sessions if session is not None] == [None] * 7
