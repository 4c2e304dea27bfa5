"""The end of a session that has very many subscriptions: nobody waits for it, and nothing of it is left."""

from __future__ import annotations

import pytest
from broker_harness import V5, Client, World, kept

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.broker.keeping.routing import Router
from reference_broker.broker.values.rows import SUBSCRIPTION
from reference_broker.store.memory import MemoryStore
from reference_broker.wire.packets import Publish
from reference_broker.wire.types import QoS, ReasonCode

MANY = 1_600
KINDS = ("x/{}", "x/{}/#", "+/{}", "$share/g/x/{}", "$share/g/x/{}/+")


def filters(kinds: tuple[str, ...] = KINDS) -> list[str]:
    return [kind.format(number) for kind in kinds for number in range(MANY // len(kinds))]


def subscribe(client: Client, topic_filters: list[str]) -> None:
    for start in range(0, len(topic_filters), 400):
        client.subscribe(*topic_filters[start : start + 400], qos=1)


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many subscriptions went each time; the last is still counted."""
    counts = [0]
    forget = Router._forget

    def counted(self: Router, subscribed: object) -> str:
        counts[-1] += 1
        return forget(self, subscribed)  # type: ignore[arg-type]

    monkeypatch.setattr(Router, "_forget", counted)
    return counts


def let_go(world: World, slices: list[int]) -> None:
    """Let time pass, one deadline after the other."""
    while world.broker.house.router._ending_count:
        slices.append(0)
        deadline = world.broker.next_deadline()
        assert deadline is not None
        assert deadline - world.now < 0.1
        world.advance(deadline - world.now)


def test_very_many_subscriptions_go_in_slices_and_bring_nothing_from_the_end_on(slices: list[int]) -> None:
    """[5.0 MQTT-4.1.0-2] and others are served meanwhile."""
    world = World(no_matching_subscribers_reason=True)
    world.client("r").subscribe("other")
    router = world.broker.house.router
    before = router.size_bytes(), router.subscription_count
    leaver, sender = world.client("c", session_expiry_interval=0), world.client("p")
    subscribe(leaver, filters())
    assert sender.publish("x/1", b"", 1).reason == ReasonCode.SUCCESS  # type: ignore[union-attr]
    leaver.disconnect()
    assert sender.publish("x/1", b"", 1).reason == ReasonCode.NO_MATCHING_SUBSCRIBERS  # type: ignore[union-attr]
    let_go(world, slices)
    assert max(slices) <= 500
    assert sum(slices) == MANY
    assert (router.size_bytes(), router.subscription_count) == before
    assert sender.publish("x/1", b"", 1).reason == ReasonCode.NO_MATCHING_SUBSCRIBERS  # type: ignore[union-attr]


def test_who_comes_back_before_they_are_gone_has_its_own_and_keeps_them(slices: list[int]) -> None:
    world = World()
    client, sender = world.client("c", **kept(V5)), world.client("p")
    subscribe(client, filters())
    client = world.client("c", clean_start=True)
    last = filters()[-1].removeprefix("$share/g/").replace("+", "y")
    for topic_filter in ("x/319/#", "$share/g/x/319/+"):
        client.subscribe(topic_filter, qos=0)
    for _ in range(2):
        sender.publish(last, b"now", 0)
        assert client.payloads() == [b"now", b"now"]
        let_go(world, slices)
    assert world.broker.house.router.subscription_count == 2


@pytest.mark.parametrize("is_fast", [False, True])
@pytest.mark.parametrize("is_away", [False, True])
@pytest.mark.parametrize("count", [1, 40])
def test_another_member_of_a_share_gets_all_of_it_meanwhile(
    slices: list[int], count: int, is_away: bool, is_fast: bool
) -> None:
    """One by one, and as a stream. [5.0 4.8.2]"""
    world = World(Broker(BrokerConfig(), seed=1, fast_path=is_fast))
    leaver, member = world.client("c"), world.client("m", **kept(V5))
    sender = world.client("p")
    subscribe(leaver, filters(("$share/g/x/{}",)))
    member.subscribe(f"$share/g/x/{MANY - 1}", qos=1)
    if is_away:
        member.disconnect()
    leaver.drop()
    sender.send(*(Publish(f"x/{MANY - 1}", b"m", QoS(1), False, False, number) for number in range(1, count + 1)))
    if is_away:
        member.connect(**kept(V5))
    assert len(member.messages()) == count
    let_go(world, slices)


def test_the_store_has_none_of_them_from_the_end_on() -> None:
    world = World(store=MemoryStore())
    client = world.client("c", **kept(V5))
    subscribe(client, filters())
    assert world.store is not None
    assert len([key for key in world.store.rows if key.startswith(SUBSCRIPTION)]) == MANY
    client = world.client("c", clean_start=True, session_expiry_interval=100)
    client.subscribe("new")
    assert [key[9:] for key in world.store.rows if key.startswith(SUBSCRIPTION)] == [b"new"]
