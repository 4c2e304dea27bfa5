"""Waiting between reads: for whom it carries more, and never for anybody else. All time is made up here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reference_broker.net.gathering import STEPS_SECONDS, Gathering

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
            self.wait = self.gathering.note(round(packets * self.packet_bytes), self.now)


def pays_for_waking(wait: float) -> float:
    """Sends as fast as it can, which is faster the less it has to wake somebody, up to 600,000 a second."""
    return 600_000 - 450_000 * max(0.0, 1 - wait / 200e-6)


def test_a_peer_that_gets_more_through_is_waited_for_as_long_as_that_grows() -> None:
    peer = Peer(pays_for_waking)
    peer.play(0.03)
    assert peer.wait == STEPS_SECONDS[-1]


def test_a_step_that_adds_nothing_is_taken_back() -> None:
    peer = Peer(lambda wait: 400_000 if wait >= STEPS_SECONDS[1] else 150_000)
    peer.play(0.03)
    assert peer.wait == STEPS_SECONDS[1]
    peer.play(0.2)
    assert peer.wait == STEPS_SECONDS[1]


@pytest.mark.parametrize("rate", [31_000, 90_000])
def test_a_peer_that_sends_as_fast_as_it_wants_to_is_hardly_ever_waited_for(rate: int) -> None:
    peer = Peer(lambda _wait: rate)
    peer.play(5)
    assert peer.waited < 0.005 * 5


def test_a_peer_that_waits_for_each_answer_is_hardly_ever_waited_for() -> None:
    peer = Peer(lambda wait: 1 / (25e-6 + wait))
    peer.play(5)
    assert peer.waited < 0.005 * 5


@pytest.mark.parametrize(("rate", "packet_bytes"), [(29_000, _PACKET_BYTES), (100_000, 1100)])
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
