"""Waiting between reads: for whom it carries more, and never for anybody else. Time is made up but for the sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

import pytest
from net_peers import Run, peer, subscribe

from reference_broker.net.config import ServerConfig
from reference_broker.net.gathering import EACH_SECONDS, LONGEST_SECONDS, STEPS_SECONDS, Gathering
from reference_broker.net.server import BrokerServer
from reference_broker.wire.packets import PingReq, PingResp, Publish
from reference_broker.wire.types import QoS, Version

_PACKET_BYTES = 75


class Peer:
    """A peer and the loop that reads it: `rate` gives packets a second for the wait before each read."""

    def __init__(self, rate: Callable[[float], float], packet_bytes: int = _PACKET_BYTES) -> None:
        self.rate = rate
        self.packet_bytes = packet_bytes
        self.gathering = Gathering()
        self.now = 100.0
        self.wait = 0.0
        self.waited = 0.0

    def play(self, seconds: float) -> None:
        """Read until so much later; each read takes what came since the one before, and at least one packet."""
        end = self.now + seconds
        while self.now < end:
            rate = self.rate(self.wait)
            packets = max(1.0, rate * self.wait)
            self.now += packets / rate
            self.waited += self.wait
            self.wait = self.gathering.note(self, round(packets * self.packet_bytes), self.now)


def pays_for_waking(wait: float) -> float:
    """Sends as fast as it can, which is faster the less it has to wake somebody, up to 600,000 a second."""
    return 600_000 - 450_000 * max(0.0, 1 - wait / 200e-6)


def test_a_peer_that_gets_more_through_is_waited_for_as_long_as_that_grows() -> None:
    peer = Peer(pays_for_waking)
    peer.play(0.03)
    assert peer.wait == STEPS_SECONDS[-1]


def test_a_step_that_adds_nothing_is_taken_back() -> None:
    peer = Peer(lambda wait: 400_000 if wait >= STEPS_SECONDS[0] else 150_000)
    peer.play(0.03)
    assert peer.wait == STEPS_SECONDS[0]
    peer.play(0.2)
    assert peer.wait == STEPS_SECONDS[0]


@pytest.mark.parametrize("rate", [31_000, 90_000])
def test_a_peer_that_sends_as_fast_as_it_wants_to_is_hardly_ever_waited_for(rate: int) -> None:
    peer = Peer(lambda _wait: rate)
    peer.play(5)
    assert peer.waited < 0.005 * 5


def test_a_peer_that_waits_for_each_answer_is_hardly_ever_waited_for() -> None:
    peer = Peer(lambda wait: 1 / (25e-6 + wait))
    peer.play(5)
    assert peer.waited < 0.005 * 5


@pytest.mark.parametrize(("rate", "packet_bytes"), [(14_000, _PACKET_BYTES), (100_000, 1100)])
def test_nothing_is_tried_where_reads_are_rare_or_large(rate: int, packet_bytes: int) -> None:
    peer = Peer(lambda wait: rate * (1 + wait / 60e-6), packet_bytes)
    peer.play(1)
    assert peer.waited == 0


def test_when_the_flood_ends_so_does_the_waiting() -> None:
    peer = Peer(pays_for_waking)
    peer.play(0.03)
    peer.rate = lambda _wait: 5_000
    peer.play(0.009)  # what is left of the window, and one more
    assert peer.wait == 0
    peer.waited = 0
    peer.play(2)
    assert peer.waited == 0


def test_what_gets_through_without_waiting_is_looked_at_anew() -> None:
    """The peer changed meanwhile: it is as fast without."""
    peer = Peer(pays_for_waking)
    peer.play(0.03)
    peer.rate = lambda _wait: 600_000
    peer.play(1)
    assert peer.wait == 0


def test_a_trial_in_vain_is_repeated_later_and_later_but_within_seconds() -> None:
    peer = Peer(lambda _wait: 32_000)
    peer.play(8)
    peer.rate = pays_for_waking
    peer.play(4.1)
    assert peer.wait == STEPS_SECONDS[-1]


class Crowd:
    """Several senders and the loop that reads them: `rate` gives packets a second of all for the wait of each.

    Those that are not waited for are read as often as the loop comes round.
    """

    def __init__(self, count: int, rate: Callable[[float], float]) -> None:
        self.senders = [f"sender {number}" for number in range(count)]
        self.rate = rate
        self.gathering = Gathering()
        self.now = 100.0
        self.waits = dict.fromkeys(self.senders, 0.0)
        self.waited = 0.0

    @property
    def longest(self) -> float:
        """Whoever is waited for longest."""
        return max(self.waits.values())

    def play(self, seconds: float) -> None:
        """Read all so long, each as soon as may be; who is waited for is read with the others that are."""
        end = self.now + seconds
        while self.now < end:
            wait = self.longest
            round_seconds = wait or len(self.senders) * 2 / self.rate(0.0)  # two packets each
            self.now += round_seconds
            self.waited += wait
            if wait:
                self.gathering.note_waited(self.now)
            packets = self.rate(wait) * round_seconds / len(self.senders)
            for sender in self.senders:
                self.waits[sender] = self.gathering.note(sender, round(packets * _PACKET_BYTES), self.now)


def pays_for_segments(count: int) -> Callable[[float], float]:
    """Sends twice as fast where some tens of packets gather on each of so many connections."""
    return lambda wait: 400_000 if wait >= min(LONGEST_SECONDS, count * EACH_SECONDS) else 150_000


@pytest.mark.parametrize(("count", "wait"), [(10, 10 * EACH_SECONDS), (100, LONGEST_SECONDS), (400, LONGEST_SECONDS)])
def test_several_are_waited_for_as_long_as_it_takes_to_gather_as_much_on_each_and_no_longer_than_that(
    count: int, wait: float
) -> None:
    crowd = Crowd(count, pays_for_segments(count))
    crowd.play(0.2)
    assert crowd.longest == pytest.approx(wait)
    assert not crowd.gathering.is_for_one
    crowd.play(0.5)
    assert crowd.longest == pytest.approx(wait)


def test_who_sends_seldom_is_not_waited_for_while_others_are() -> None:
    crowd = Crowd(20, pays_for_segments(20))
    crowd.play(0.1)
    assert crowd.longest > 0
    assert crowd.gathering.note("bystander", 100, crowd.now) == 0


def test_who_is_read_much_less_often_than_those_who_send_is_not_waited_for_with_them() -> None:
    crowd = Crowd(20, pays_for_segments(20))
    wait = 0.0
    for _ in range(40):
        crowd.play(0.003)
        wait = crowd.gathering.note("seldom", 100, crowd.now)
    assert crowd.longest > 0
    assert wait == 0


def test_a_long_trial_of_several_that_wait_for_answers_ends_with_its_second_wait() -> None:
    crowd = Crowd(100, lambda wait: 100 / wait if wait else 100_000)
    while not crowd.longest:
        crowd.play(0.001)
    began = crowd.now
    while crowd.longest:
        crowd.play(0.0001)
    assert crowd.now - began < 2.5 * LONGEST_SECONDS


def test_who_has_much_to_read_is_not_waited_for() -> None:
    crowd = Crowd(20, pays_for_segments(20))
    crowd.play(0.1)
    assert crowd.gathering.note(crowd.senders[0], 65_536, crowd.now) == 0


def test_several_that_send_as_fast_as_they_want_to_are_hardly_ever_waited_for() -> None:
    crowd = Crowd(50, lambda _wait: 60_000)
    crowd.play(60)
    assert crowd.waited < 0.01 * 60


def test_several_that_wait_for_each_answer_are_hardly_ever_waited_for() -> None:
    crowd = Crowd(50, lambda wait: 50 / wait if wait else 100_000)
    crowd.play(60)
    assert crowd.waited < 0.01 * 60


def test_when_the_flood_of_several_ends_so_does_the_waiting() -> None:
    crowd = Crowd(20, pays_for_segments(20))
    crowd.play(0.1)
    assert crowd.longest > 0
    for _ in range(3):  # nobody sends, and then a single one does
        crowd.now += 1
        wait = crowd.gathering.note(crowd.senders[0], _PACKET_BYTES, crowd.now)
    assert wait == 0


def test_a_window_in_which_somebody_else_had_the_processor_decides_nothing() -> None:
    peer = Peer(pays_for_waking)
    peer.play(0.0085)
    assert peer.wait > 0
    peer.now += 0.05
    peer.play(0.03)
    assert peer.wait == STEPS_SECONDS[-1]


# --- on sockets ------------------------------------------------------------------------------------------------------


class Waits(Gathering):
    """Waits a moment for one client and for nobody else, whatever comes."""

    is_for_one = False
    waited = 0

    def __init__(self, server: BrokerServer, client_id: str) -> None:
        super().__init__()
        self._server, self._client_id = server, client_id

    def note(self, sender: Hashable, size_bytes: int, now: float) -> float:
        (client_id,) = [link.client_id for link in self._server.broker.links if id(link.adapter) == sender]
        return 0.01 if client_id == self._client_id else 0.0

    def note_waited(self, now: float) -> None:
        self.waited += 1


@pytest.mark.usefixtures("on_both_loops")
def test_who_is_waited_for_loses_nothing_and_others_are_served_meanwhile(run: Run) -> None:
    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            gathering = server._gathering = Waits(server, "flood")
            async with (
                peer(server.address, Version.V5, "flood") as flood,
                peer(server.address, Version.V5, "s") as other,
            ):
                await subscribe(other, "t", QoS.AT_MOST_ONCE)
                for number in range(5):
                    flood.send(Publish("t", bytes((number,))))
                    assert await flood.ask(PingReq()) == PingResp()
                    message = await other.receive()
                    assert isinstance(message, Publish)
                    assert message.payload == bytes((number,))
                before = gathering.waited
                assert await other.ask(PingReq()) == PingResp()
                assert gathering.waited - before <= 1
            assert gathering.waited

    run(main())


@pytest.mark.usefixtures("on_both_loops")
def test_who_goes_while_packets_gather_is_gone(run: Run) -> None:
    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            gathering = server._gathering = Waits(server, "flood")
            async with peer(server.address, Version.V5, "flood") as flood:
                flood.send(Publish("t", b"x"))
            async with peer(server.address, Version.V5, "s") as other:
                while server.connections.keys() - {link for link in server.broker.links if link.client_id == "s"}:  # noqa: ASYNC110  # sockets tell nobody
                    await asyncio.sleep(0.001)
                assert await other.ask(PingReq()) == PingResp()
            assert gathering.waited

    run(main())
