"""Worlds from a seed: the same seed is the same run, the right pair breaks nothing, each invariant can be broken."""

from __future__ import annotations

import random

import pytest
from simulation_faults import CRASHES, FAULTS, JUDGE, LEAVES, SHARED, WILLS, broker_that

from interop.requirements.requirements import known
from interop.simulation import book, books_content, books_links, books_messages, medium
from interop.simulation import setup as simulation_setup
from interop.simulation.book import Book, Broken
from interop.simulation.books_links import Quota
from interop.simulation.books_messages import Acknowledged, ClientOrder
from interop.simulation.episode import replay, run_episode
from interop.simulation.keeping import RowKeeper
from interop.simulation.ledger import LONG_QUEUE, Ledger
from interop.simulation.script import Script
from interop.simulation.setup import PeerSetup, Setup
from interop.simulation.shrinking import shrunk, story
from interop.simulation.steps import CONNECTIONS, PUBLICATIONS, SUBSCRIPTIONS, Connection, Kind, Publication, Step
from interop.simulation.turns import Turns
from interop.simulation.wires import Pipe, Wire, number_of, payload_of
from interop.simulation.world import World
from reference_broker.broker import Broker, BrokerConfig
from reference_broker.client import Session
from reference_broker.client.events import Published
from reference_broker.wire.packets import PingReq, Publish
from reference_broker.wire.properties import NEVER_EXPIRES
from reference_broker.wire.types import QoS, Version

SEEDS = 30
STATEMENTS = [
    (version, statement)
    for module in (books_content, books_links, books_messages)
    for value in vars(module).values()
    if isinstance(value, dict) and value and all(isinstance(each, Version) for each in value)
    for version, statement in value.items()
]


def a_wire(version: Version = Version.V5) -> Wire:
    return Wire("peer0", 1, Broker().connect(0.0), version, 0.0)


def first_failure(does: str):
    """The first failure by the invariant that a broker with a fault is to break, from any of some seeds."""
    for seed in range(SEEDS):
        _, failure = run_episode(seed, 1_000, broker_that(does))
        if failure is not None and failure.book == FAULTS[does][0]:
            return failure
    return None


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_right_pair_breaks_no_invariant(seed):
    assert run_episode(seed, 1_000) == (1_000, None)


def test_no_rule_of_the_judge_accuses_the_right_pair_whether_or_not_clients_cease_to_read(monkeypatch):
    monkeypatch.setattr(simulation_setup, "JUDGED", 1.0)
    assert {Setup.drawn(random.Random(seed)).has_pauses for seed in range(6)} == {True, False}
    assert [run_episode(seed, 1_000)[1] for seed in range(6)] == [None] * 6


def test_the_same_seed_is_the_same_run():
    def drawn(seed: int) -> tuple[list[Step], float, dict[str, int]]:
        rng = random.Random(seed)
        world = World(Setup.drawn(rng))
        script = Script(world, rng)
        steps = [step for step in (script.next_step() for _ in range(500)) if world.do(step)]
        return steps, world.now, {name: len(seat.dues) for name, seat in world.ledger.seats.items()}

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_each_version_is_in_every_world():
    for seed in range(20):
        assert {peer.version for peer in Setup.drawn(random.Random(seed)).peers} == set(Version)


def test_all_that_can_be_done_is_done():
    kinds = set()
    for seed in range(6):
        rng = random.Random(seed)
        world = World(Setup.drawn(rng, has_crashes=seed % 2 == 1))
        script = Script(world, rng)
        kinds |= {step.kind for step in (script.next_step() for _ in range(1_000)) if world.do(step)}
    assert kinds == set(Kind)


def test_a_failing_run_fails_alike_when_its_steps_are_done_again():
    failure = first_failure("resends backwards")
    assert failure is not None
    assert replay(failure.seed, failure.setup, failure.steps, broker_that("resends backwards")) == failure
    again = run_episode(failure.seed, len(failure.steps), broker_that("resends backwards"))
    assert again[1] == failure


def test_a_step_that_makes_no_sense_is_left_out():
    setup = Setup.drawn(random.Random(0))
    nonsense = [
        Step(Kind.PUBLISH),
        Step(Kind.TO_CLIENT, amount=9),
        Step(Kind.NOTICE),
        Step(Kind.RESUME),
        Step(Kind.CUT),
    ]
    world = World(setup)
    assert [world.do(step) for step in nonsense] == [False] * len(nonsense)
    assert replay(0, setup, nonsense) is None


# --- invariants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("does", FAULTS)
def test_an_invariant_names_the_broker_that_breaks_it(does, monkeypatch):
    if FAULTS[does][0] == JUDGE:
        monkeypatch.setattr(simulation_setup, "JUDGED", 1.0)
    assert first_failure(does) is not None


def a_member_leaves(qos: int, *, is_held: bool = False, has_own: bool = False) -> tuple[Setup, list[Step]]:
    """Two members of a share; the one that is sent a message goes away for good before it can acknowledge it.

    `is_held`: the broker keeps what it promises, and the message still waits for that when the member goes. `has_own`:
    that member gets all messages for itself, too.
    """
    own = [n for n, each in enumerate(SUBSCRIPTIONS) if each.topic_filter == "+/x"]
    shares = [n for n, each in enumerate(SUBSCRIPTIONS) if each.topic_filter == "$share/s/only/+" and each.qos == 2]
    to_broker, to_client = (
        [Step(kind, peer, amount=1_000) for peer in range(2)] for kind in (Kind.TO_BROKER, Kind.TO_CLIENT)
    )
    config = BrokerConfig(queue_maximum_messages=LONG_QUEUE)
    return Setup((PeerSetup(Version.V5), PeerSetup(Version.V5)), config, has_crashes=is_held), [
        Step(Kind.CONNECT, 0, CONNECTIONS.index(Connection(expiry_seconds=0))),
        Step(Kind.CONNECT, 1),
        *to_broker,
        *[Step(Kind.COMMIT, amount=10)] * is_held,
        *to_client,
        *[Step(Kind.SUBSCRIBE, 0, each) for each in own[:has_own]],
        Step(Kind.SUBSCRIBE, 0, shares[0]),
        Step(Kind.PUBLISH, 1, PUBLICATIONS.index(Publication("only/x", QoS(qos))), 1),
        *to_broker,
        Step(Kind.SUBSCRIBE, 1, shares[0]),
        *to_broker,
        Step(Kind.CUT, 0),
    ]


@pytest.mark.parametrize("has_own", [False, True])
@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_a_member_of_a_share_leaves_is_dealt_with_as_its_qos_asks(qos, is_held, has_own):
    assert replay(0, *a_member_leaves(qos, is_held=is_held, has_own=has_own)) is None


@pytest.mark.parametrize("does", LEAVES)
def test_a_broker_that_deals_wrongly_with_what_a_member_leaves_is_named(does):
    failure = replay(0, *a_member_leaves(LEAVES[does][0]), broker_that(does))
    assert failure is not None
    assert failure.book == SHARED


def test_a_message_that_a_crash_forgot_lives_from_when_it_is_taken_over_again():
    """Not from when it was first, though it may have begun to come to who had a subscription then."""
    lasting = CONNECTIONS.index(Connection(expiry_seconds=NEVER_EXPIRES))
    wanted = next(n for n, each in enumerate(SUBSCRIPTIONS) if each.topic_filter == "r/+" and each.qos)
    sent = next(n for n, each in enumerate(PUBLICATIONS) if each.retain and each.qos == 1 and each.expiry_seconds)
    to_broker, to_client = (Step(kind, amount=1_000) for kind in (Kind.TO_BROKER, Kind.TO_CLIENT))
    comes_in = [Step(Kind.CONNECT, 0, lasting), to_broker, Step(Kind.COMMIT, amount=10), to_client]
    assert (
        replay(
            0,
            Setup((PeerSetup(Version.V5),), BrokerConfig(), has_crashes=True),
            [
                *comes_in,
                Step(Kind.SUBSCRIBE, 0, wanted),
                Step(Kind.PUBLISH, 0, sent, 1),
                to_broker,
                Step(Kind.CRASH, amount=1),
                *comes_in,
                Step(Kind.SUBSCRIBE, 0, wanted),
            ],
        )
        is None
    )


def test_a_broker_that_falls_over_is_no_broken_invariant():
    def make_broker(*_):
        raise RuntimeError("it fell over")

    _, failure = run_episode(0, 10, make_broker)
    assert failure is not None
    assert failure.is_crash
    assert "RuntimeError" in failure.book


def test_a_client_that_sends_its_messages_out_of_order_is_named():
    order = ClientOrder(Ledger(BrokerConfig()))
    order.broker_got(a_wire(), Publish("t", b"2", QoS.AT_LEAST_ONCE, packet_id=2))
    order.broker_got(a_wire(), Publish("t", b"1", QoS.AT_LEAST_ONCE, dup=True, packet_id=1))
    with pytest.raises(Broken, match=r"behind 2 \[5\.0 MQTT-4\.6\.0-1\]"):
        order.broker_got(a_wire(), Publish("t", b"1", QoS.AT_LEAST_ONCE, packet_id=1))


def test_a_client_that_exceeds_the_servers_receive_maximum_is_named():
    quota, wire = Quota(Ledger(BrokerConfig())), a_wire()
    wire.server_receive_maximum = 1
    quota.client_sent(wire, Publish("t", b"1", QoS.AT_LEAST_ONCE, packet_id=1))
    with pytest.raises(Broken, match=r"the client has 2 messages .* \[5\.0 MQTT-3\.3\.4-7\]"):
        quota.client_sent(wire, Publish("t", b"2", QoS.AT_LEAST_ONCE, packet_id=2))


def test_a_client_that_settles_a_message_twice_is_named():
    acknowledged, wire = Acknowledged(Ledger(BrokerConfig()), {}), a_wire()
    acknowledged.told(wire, Published(1, 1))
    with pytest.raises(Broken, match="told twice"):
        acknowledged.told(wire, Published(1, 1))


def test_a_client_whose_messages_are_never_released_is_named():
    session = Session()
    session.inbound.restore(1)
    with pytest.raises(Broken, match=r"1 QoS 2 messages are never released \[5\.0 MQTT-4\.3\.3-4\]"):
        Acknowledged(Ledger(BrokerConfig()), {"peer0": session}).settled()


@pytest.mark.parametrize(("version", "statement"), STATEMENTS)
def test_what_an_invariant_cites_is_a_statement(version, statement):
    assert known(version.label, statement)


def test_a_failure_cites_the_statement_of_its_version_or_of_the_next_that_has_one():
    class Any(Book):
        name = "any"

    broken = Any(Ledger(BrokerConfig())).broken
    assert str(broken("x", book.V311, {book.V311: "A-1", book.V5: "B-1"})) == "x [3.1.1 A-1]"
    assert str(broken("x", book.V31, {book.V5: "B-1"})) == "x [5.0 B-1]"
    assert str(broken("x", book.V5, {})) == "x"


def test_what_begins_with_no_number_is_no_messages_payload():
    assert [number_of(payload_of(number)) for number in range(1, 9)] == [*range(1, 9)]
    assert [number_of(payload) for payload in (b"", b"x", b" 1")] == [0, 0, 0]


def test_a_packet_has_arrived_with_its_last_byte():
    pipe = Pipe()
    pipe.data += b"abcdef"
    pipe.put(PingReq(), 2)
    pipe.put(PingReq(), 4)
    assert [(data, len(packets)) for data, packets in map(pipe.take, (1, 1, 3, 9))] == [
        (b"a", 0), (b"b", 1), (b"cde", 0), (b"f", 1),
    ]  # fmt: skip


# --- crashes ----------------------------------------------------------------------------------------------------------


class KeepsTooLate(RowKeeper):
    """Says that a turn is kept when only the one before is."""

    def commit(self, count: int) -> None:
        self._noted.appendleft(getattr(self, "_late", []))
        super().commit(count)
        self._late = self._noted.popleft()


class KeepsNoTime(RowKeeper):
    """Has the broker believe that no time passed while it was down."""

    def go_on(self, broker: Broker, now: float) -> None:
        """A new broker takes over."""
        load = broker.load
        broker.load = lambda now, _: load(now, 0.0)
        super().go_on(broker, now)


def test_a_broker_that_does_not_count_the_time_it_was_down_is_named(monkeypatch):
    monkeypatch.setattr(medium, "RowKeeper", KeepsNoTime)
    failures = (run_episode(seed, 1_000, has_crashes=True)[1] for seed in range(SEEDS))
    assert next(filter(None, failures)).book == WILLS


@pytest.mark.parametrize("does", CRASHES)
def test_an_invariant_names_the_broker_that_goes_on_wrongly_after_a_crash(does):
    book_name, first, _ = CRASHES[does]
    failures = (run_episode(seed, 500, broker_that(does), has_crashes=True)[1] for seed in range(first, first + SEEDS))
    assert book_name in (failure.book for failure in failures if failure is not None)


@pytest.mark.parametrize("seed", range(4))
def test_over_a_store_that_keeps_what_it_says_crashes_break_no_invariant(seed):
    assert run_episode(seed, 1_000, has_crashes=True) == (1_000, None)


def test_a_store_that_loses_what_was_acknowledged_is_named(monkeypatch):
    monkeypatch.setattr(medium, "RowKeeper", KeepsTooLate)
    failures = (run_episode(seed, 1_000, has_crashes=True)[1] for seed in range(SEEDS))
    failure = next(filter(None, failures))
    assert not failure.is_crash
    assert any(step.kind is Kind.CRASH for step in failure.steps)


def test_what_is_not_kept_does_not_leave_and_a_crash_takes_it_back():
    world = World(Setup((PeerSetup(Version.V5),), BrokerConfig(), has_crashes=True))
    connects, arrives = Step(Kind.CONNECT), Step(Kind.TO_BROKER, amount=1_000)
    back = Step(Kind.TO_CLIENT, amount=1_000)
    assert all(map(world.do, (connects, arrives)))
    assert not world.do(back)
    assert world.ledger.seats
    assert world.do(Step(Kind.CRASH))
    assert not world.ledger.seats
    assert all(map(world.do, (connects, arrives, Step(Kind.COMMIT, amount=100), back)))
    assert world.peers[0].is_connected
    assert world.do(Step(Kind.CRASH))
    assert world.ledger.seats


def with_a_will(*then: Step, delay_seconds: int = 0, is_kept: bool = True) -> tuple[Setup, list[Step]]:
    """A client that has a will connects, which is kept or not; then something happens, and a crash."""
    setup = Setup((PeerSetup(Version.V5),), BrokerConfig(queue_maximum_messages=LONG_QUEUE), has_crashes=True)
    connects = Step(Kind.CONNECT, 0, CONNECTIONS.index(Connection(will_delay_seconds=delay_seconds)))
    return setup, [
        connects,
        ARRIVES,
        *[COMMITTED] * is_kept,
        *then,
        Step(Kind.CRASH, amount=1),
        Step(Kind.WAIT, amount=60),
    ]


ARRIVES, COMES_BACK = Step(Kind.TO_BROKER, amount=1_000), Step(Kind.TO_CLIENT, amount=1_000)
CUT, COMMITTED = Step(Kind.CUT), Step(Kind.COMMIT, amount=100)
GOODBYE = (COMES_BACK, Step(Kind.DISCONNECT), Step(Kind.NOTICE))
CRASHES_WITH_A_WILL = {
    "open at the crash": (with_a_will(), "keeps no will over a restart"),
    "open at the crash, and delayed": (
        with_a_will(delay_seconds=30),
        "publishes wills as it starts, whatever their delay",
    ),
    "waiting at the crash": (with_a_will(CUT, COMMITTED, delay_seconds=30), "begins delays anew as it starts"),
    "published in a turn that was lost": (with_a_will(CUT), "keeps no will over a restart"),
    "published in a turn that was kept": (with_a_will(CUT, COMMITTED), "keeps a will that was published"),
    "deleted in a turn that was lost": (with_a_will(*GOODBYE), "keeps no will over a restart"),
    "deleted in a turn that was kept": (with_a_will(*GOODBYE, COMMITTED), "keeps a will that was published"),
}
"""Where its will is when the broker crashes, and a broker that gets that wrong."""


@pytest.mark.parametrize("where", CRASHES_WITH_A_WILL)
def test_a_will_is_published_exactly_when_due_through_a_crash(where):
    (setup, steps), does = CRASHES_WITH_A_WILL[where]
    assert replay(0, setup, steps) is None
    failure = replay(0, setup, steps, broker_that(does))
    assert failure is not None
    assert failure.book == WILLS


def test_a_will_whose_connect_was_lost_is_lost():
    setup, steps = with_a_will(is_kept=False)
    world = World(setup)
    assert all(map(world.do, steps))
    assert not world.ledger.accepted


def test_connections_open_at_a_crash_count_until_the_note_behind_the_last_that_was_kept_or_the_start():
    turns = Turns()
    for now in (0.0, 9.0, 14.0, 16.0):
        turns.over(now)
    turns.commit(3)
    assert turns.start(19.0)[0] == 15.0
    assert turns.start(20.0)[0] == 15.0  # nothing was kept since
    turns.over(20.0)
    turns.commit(1)
    assert turns.start(21.0)[0] == 21.0


def test_what_the_witness_acknowledged_in_a_turn_that_was_lost_comes_again_if_its_publication_was_kept():
    turns = Turns()
    turns.published(1)
    turns.over(0.0)
    turns.acknowledged(1)
    turns.published(2)
    turns.over(0.0)
    turns.acknowledged(2)
    turns.commit(1)
    assert turns.start(0.0)[1] == [1]


# --- shrinking --------------------------------------------------------------------------------------------------------


def test_a_failure_is_told_with_no_step_too_many():
    make_broker = broker_that("resends backwards")
    failure = first_failure("resends backwards")
    assert failure is not None
    fewest = shrunk(failure, make_broker)
    assert fewest.book == failure.book
    assert len(fewest.steps) < 20 < len(failure.steps)
    for number in range(len(fewest.steps)):
        rest = fewest.steps[:number] + fewest.steps[number + 1 :]
        other = replay(fewest.seed, fewest.setup, rest, make_broker)
        assert other is None or other.book != failure.book


def test_a_story_has_the_world_each_step_and_what_came_of_it():
    failure = first_failure("queues nothing")
    assert failure is not None
    told = list(story(failure))
    assert "Receive Maximum" in told[0]
    assert len(told) == len(failure.steps) + 3
    assert told[-1] == f"{failure.book}: {failure.sentence}"
