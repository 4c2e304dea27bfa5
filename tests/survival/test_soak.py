"""A soak in small: it passes with a broker that does right, and says what is wrong with one that does not."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from interop.survival.book import Book, Publication
from interop.survival.player import BrokerGone, Presence
from interop.survival.rounds import Patience, Rounds
from interop.survival.soak import Outcome, page, run
from reference_broker.client.core import ClientCore
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer
from reference_broker.wire.types import QoS


def outcome(sizes: list[int], handles: tuple[int, int] = (9, 9), seconds: float = 600.0) -> Outcome:
    """What is said of a broker whose memory was this in each tenth of the time."""
    made = Outcome("uvloop", "memory", 21, seconds, 100, *handles)
    made.sizes = [((place + 0.5) * seconds / 10, size << 20) for place, size in enumerate(sizes)]
    return made


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (outcome([1, 50, 100, *[100] * 6, 105]), []),
        (outcome([1, 50, 100, *[100] * 6, 106]), ["memory grew from 100.0 to 106.0 MiB"]),
        (outcome([1, 50, 100, *[100] * 6, 120], seconds=60.0), []),
        (outcome([1, 50, 100, *[100] * 6, 126], seconds=60.0), ["memory grew from 100.0 to 126.0 MiB"]),
        (outcome([100] * 10, handles=(9, 10)), ["9 file handles were 10 at the end"]),
    ],
)
def test_what_grows_is_said(made: Outcome, wrong: list[str]) -> None:
    assert made.faults() == wrong
    assert ("; ".join(wrong) or "nothing") in page([made], 7)


class _Broker:
    """In the place of a process: one in this loop."""

    is_running = True

    def __init__(self, port: int) -> None:
        self.port = port


def with_a_group(play: Callable[[BrokerServer, Rounds], Awaitable[None]]) -> None:
    """Have a group, of which nobody is connected yet, with a broker that is alive."""

    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            group = Rounds(_Broker(server.address.port), 1, Book("g/", 5.0))
            group.book.is_broker_alive = True
            await play(server, group)

    asyncio.run(main())


def test_groups_of_one_broker_do_not_hear_each_other() -> None:
    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            groups = [Rounds(_Broker(server.address.port), number, Book(f"g{number}/", 5.0)) for number in range(2)]
            await asyncio.gather(*(group.play(1.0, 0.3) for group in groups))
            found = await asyncio.gather(*(group.balance() for group in groups))
            assert found == [[], []]
            assert all(group.messages for group in groups)
            await asyncio.gather(*(group.leave() for group in groups))

    asyncio.run(main())


def test_who_is_dropped_and_did_nothing_wrong_is_a_fault() -> None:
    async def play(server: BrokerServer, group: Rounds) -> None:
        part = group._parts[0]
        await part.play(server.address.port, Random(1))
        next(iter(server.connections.values())).abandon()
        await part.until_lost()
        assert group.book.faults == [(part.name, "the broker dropped it, which did nothing wrong")]

    with_a_group(play)


def test_who_comes_later_than_the_broker_waits_is_not_wronged_and_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interop.survival.player._BROKER_WAITS_SECONDS", 0.0)

    async def play(server: BrokerServer, group: Rounds) -> None:
        let_in = server.broker.connect
        refused = iter([True, True])

        def connect(now: float, adapter: object) -> object:
            link = let_in(now, adapter)
            if next(refused, False):
                asyncio.get_running_loop().call_soon(adapter.abandon)
            return link

        monkeypatch.setattr(server.broker, "connect", connect)
        assert await group.balance() == []
        assert list(refused) == []

    with_a_group(play)


def test_a_will_whose_client_heard_no_answer_may_come_and_need_not() -> None:
    async def play(server: BrokerServer, group: Rounds) -> None:
        mortal = next(each for each in group._parts if each.name == "w5-back")
        connecting = asyncio.create_task(mortal._be_there(server.address.port))
        while not any(link.client_id == "g/w5-back" for link in server.broker.links):  # noqa: ASYNC110  # not heard yet
            await asyncio.sleep(0)
        mortal.drop()
        connecting.cancel()
        await mortal.until_lost()
        assert await group.balance() == []
        await mortal._be_there(server.address.port)  # with Clean Start: it ends the session, and the will comes
        assert await group.balance() == []
        assert "w5-back:0000001" in group.book.closed  # it came, once

    with_a_group(play)


def test_who_is_never_let_in_is_a_fault_and_ends_no_run() -> None:
    async def play(server: BrokerServer, group: Rounds) -> None:
        await server.close()
        assert await group.balance(0.1)
        assert ("reader", "was not let in and answered, tried 5 times") in group.book.faults

    with_a_group(play)


def test_a_connection_that_is_given_up_before_its_connect_was_dropped_by_nobody() -> None:
    async def play(server: BrokerServer, group: Rounds) -> None:
        part = group._parts[0]
        part._core = ClientCore(part.terms.options(part.name, clean=True, will=None), part.session)
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: part, server.address.host, server.address.port
        )
        transport.close()
        await part.until_lost()
        assert group.book.faults == []

    with_a_group(play)


def test_a_connection_that_is_given_up_before_its_connect_ends_no_session() -> None:
    async def play(server: BrokerServer, group: Rounds) -> None:
        part = next(each for each in group._parts if each.name == "s311")
        await part.connect(server.address.port)
        part.drop()
        await part.until_lost()
        connecting = asyncio.create_task(part.connect(server.address.port, clean=True))
        while part._transport is None:  # noqa: ASYNC110  # nothing tells the moment between TCP and CONNECT
            await asyncio.sleep(0)
        connecting.cancel()  # as a cut does
        part.drop()
        await part.until_lost()
        assert part.presence is Presence.YES

    with_a_group(play)


def test_who_is_gone_without_a_word_has_ended_no_session_by_what_it_says_then_or_said_right_before() -> None:
    async def play(server: BrokerServer, group: Rounds) -> None:
        part = next(each for each in group._parts if each.name == "ender5")
        await part.connect(server.address.port)
        part.drop()
        with pytest.raises(BrokerGone):
            await part.disconnect(is_session_over=True)
        await part.until_lost()
        assert part.presence is Presence.YES
        await part.connect(server.address.port)
        leaving = asyncio.create_task(part.disconnect(is_session_over=True))
        await asyncio.sleep(0)
        part.drop()
        await leaving
        assert part.presence is Presence.UNCERTAIN

    with_a_group(play)


def test_a_message_that_never_came_is_found() -> None:
    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            group = Rounds(_Broker(server.address.port), 1, Book("g/", 5.0))
            await group.play(0.3, 9.0)
            now = group.book.tell("made up")
            lost = Publication("p5:9999999", "m/p5/0", QoS.AT_LEAST_ONCE, "p5", 9_999_999, now, now)
            group.book.publications[lost.name] = lost
            settling = asyncio.create_task(group.balance(settle_seconds=0.5))
            found = await settling
            assert any("p5:9999999 was acknowledged and never came" in breach.text for _, breach in found)
            await group.leave()

    asyncio.run(main())


def test_what_is_owed_is_waited_for_while_anything_comes_and_not_for_ever() -> None:
    patience = Patience(20.0, now=0.0, happened=7)
    assert patience.is_left(19.0, 7)
    assert patience.is_left(19.5, 8)
    assert patience.is_left(39.0, 8)
    assert not patience.is_left(39.5, 8)
    assert all(patience.is_left(float(now), now) for now in range(40, 300))
    assert not patience.is_left(300.0, 300)


@pytest.mark.thorough
def test_a_soak_of_a_process_passes(capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse.Namespace(clients=21, seconds=2.0, loop="asyncio", store="memory", seed=5, out=None)
    assert run(options) == 0, capsys.readouterr().out
