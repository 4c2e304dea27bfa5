"""What a session carries over from one connection to the next, or leaves to others, when its terms have changed:
messages that expired, identifiers under another Receive Maximum, filters that mean something else in another version.
"""

from __future__ import annotations

import pytest
from broker_harness import V5, Client, World, kept

from reference_broker.broker import Broker, BrokerConfig

SHARED = "$share/g/t"


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def world(request) -> World:
    return World(Broker(BrokerConfig(), seed=1, fast_path=request.param))


# --- shared messages that expired ------------------------------------------------------------------------------------


def members(world: World, **second) -> tuple[Client, Client]:
    """Two members of one shared subscription, both with a session that is kept."""
    one, two = world.client("one", V5, clean_start=False, session_expiry_interval=60), world.client("two", V5, **second)
    for client in (one, two):
        client.subscribe(SHARED, qos=2)
    return one, two


def waiting(world: World, one: Client, two: Client) -> None:
    """A message waits in the session of `one`, whose client is away; `two` joined later."""
    two.unsubscribe(SHARED)
    one.drop()
    world.client("p", V5).publish("t", b"x", 1, message_expiry_interval=10)
    two.subscribe(SHARED, qos=2)


def sent(world: World, one: Client, two: Client) -> None:
    """A message is in flight to `one`, whose client has not acknowledged it and is away."""
    world.client("p", V5).publish("t", b"x", 1, message_expiry_interval=10)
    assert one.payloads() == [b"x"]
    one.drop()
    assert two.take() == []


ENDS = {
    "clean-start": lambda world, one: one.connect(clean_start=True),
    "takeover": lambda world, one: (
        one.connect(clean_start=False, session_expiry_interval=60),
        one.take(),
        Client(world, "one", V5).connect(clean_start=True),
    ),
    "expiry": lambda world, one: world.advance(60),
}


@pytest.mark.parametrize("where", [waiting, sent])
@pytest.mark.parametrize("end", ENDS)
def test_an_expired_message_is_handed_to_no_other_member(world, where, end):
    """[5.0 MQTT-3.3.2-5]"""
    one, two = members(world)
    where(world, one, two)
    world.advance(10)
    ENDS[end](world, one)
    assert two.take() == []


@pytest.mark.parametrize("where", [waiting, sent])
@pytest.mark.parametrize("qos", [0, 1])
def test_who_inherits_a_message_is_told_what_is_left_of_its_lifetime(world, where, qos):
    """[5.0 MQTT-3.3.2-6]"""
    one, two = members(world)
    where(world, one, two)
    two.subscribe(SHARED, qos=qos)
    world.advance(7)
    one.connect(clean_start=True)
    (message,) = two.messages()
    assert (message.qos, message.properties.message_expiry_interval) == (qos, 3)


def test_each_heir_of_one_message_is_told_what_is_left_then(world):
    """[5.0 MQTT-3.3.2-6]"""
    absent = [world.client(name, V5, **kept(V5)) for name in ("a", "b")]
    for number, client in enumerate(absent):
        client.subscribe(f"$share/g{number}/t", qos=1)
        client.drop()
    world.client("p", V5).publish("t", b"x", 1, message_expiry_interval=100)
    heir = world.client("heir", V5)
    heir.subscribe("$share/g0/t", "$share/g1/t", qos=0)
    for client in absent:
        world.advance(30)
        client.connect(clean_start=True)
    assert [message.properties.message_expiry_interval for message in heir.messages()] == [70, 40]
