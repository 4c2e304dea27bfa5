"""Lending and reuse: cheap, bounded, and never a driver that is not as good as new."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from interop.drivers import contract
from interop.drivers.adapter import Adapter, CommandLoop, Pending, Unsuccessful
from interop.drivers.contract import Command
from interop.drivers.driver import Driver, DriverCrashed, DriverFault, DriverRubbish
from interop.drivers.in_process import InProcessDriver
from interop.drivers.pool import DriverPool
from interop.drivers.registry import DRIVERS, DriverStarter, UnknownDriver, check_driver_name

pytestmark = pytest.mark.usefixtures("on_both_loops")

MINIMAL = Path(contract.__file__).parent / "examples" / "minimal.py"


class Echo(Adapter):
    """Publishes are answered when `drop` comes; `disconnect` goes wrong."""

    alive = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        type(self).alive += 1
        self.abandoned = False

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        return contract.HelloEvent(client="echo", version="1", mqtt=("5.0",))

    async def publish(self, command: contract.Publish) -> contract.Published:
        number = self.deliver(topic=command.topic, payload=command.payload)
        await self.pending.expect(number)
        return contract.Published()

    async def drop(self, command: contract.Drop) -> contract.Dropped:
        self.pending.settle(1)
        return contract.Dropped()

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:
        raise Unsuccessful("refused", "not now", reason=command.reason)

    async def connect(self, command: contract.Connect) -> contract.Connected:
        raise ConnectionRefusedError("nobody there")

    async def abandon(self) -> None:
        type(self).alive -= 1
        self.deliver(topic="from the grave", payload=b"")


def run(main: Any) -> Any:
    return asyncio.run(asyncio.wait_for(main, 10))


async def echo() -> InProcessDriver:
    return await InProcessDriver.start("echo", Echo)


async def ask(driver: Driver, kind: type[Command], **fields: Any) -> Any:
    return await driver.request(kind(id=driver.next_id(), **fields), 2.0)  # type: ignore[arg-type]  # any command


# --- in process -------------------------------------------------------------------------------------------------------


def test_in_process_has_the_same_face_as_a_process() -> None:
    async def main() -> None:
        driver = await echo()
        assert driver.hello.client == "echo"
        waiting = asyncio.create_task(ask(driver, contract.Publish, topic="t", payload=b"x"))
        _, message = await driver.events.get()
        assert message == contract.MessageEvent(message=1, topic="t", payload=b"x")
        assert isinstance(await ask(driver, contract.Drop), contract.Dropped)
        assert isinstance(await waiting, contract.Published)
        refused = await ask(driver, contract.Disconnect, reason=135)
        assert (refused.error, refused.reason, refused.detail) == ("refused", 135, "not now")
        assert (await ask(driver, contract.Auth)).error == "unsupported"
        await driver.close()

    run(main())


def test_no_network_is_a_failure_and_not_worth_a_traceback() -> None:
    async def main() -> None:
        driver = await echo()
        failed = await ask(driver, contract.Connect, mqtt="5.0", port=1)
        assert (failed.error, failed.detail) == ("failed", "nobody there")
        assert driver.log == ""

    run(main())


def test_reset_makes_another_client_and_nothing_of_the_old_one_is_heard() -> None:
    async def main() -> None:
        driver = await echo()
        waiting = asyncio.create_task(ask(driver, contract.Publish, topic="old"))
        await driver.events.get()
        await driver.reset()
        answer = await waiting
        assert answer.error == "cut-off"
        assert driver.events.empty()  # not even what it says while it is abandoned
        assert Echo.alive == 1
        fresh = asyncio.create_task(ask(driver, contract.Publish, topic="new"))
        _, message = await driver.events.get()
        assert message == contract.MessageEvent(message=1, topic="new")
        fresh.cancel()
        await driver.close()

    Echo.alive = 0
    run(main())


def test_answers_that_outlive_a_connection_are_cut_off_with_the_session_only() -> None:
    async def main() -> None:
        pending = Pending()
        brief, lasting = pending.expect("subscribe"), pending.expect("publish", outlives_connection=True)
        pending.cut_off()
        assert isinstance(brief.exception(), Unsuccessful)
        assert not lasting.done()
        pending.cut_off(everything=True)
        assert isinstance(lasting.exception(), Unsuccessful)
        assert not pending.settle("publish")

    run(main())


def test_a_command_loop_answers_each_command_once() -> None:
    async def main() -> None:
        answers: list[contract.AnyEvent] = []
        loop = CommandLoop(Echo, answers.append, print)
        for command in (contract.Hello(id=1), contract.Drop(id=2), contract.Ack(id=3, message=1)):
            loop.take(command)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [(answer.id, answer.event) for answer in answers] == [(1, "hello"), (2, "dropped"), (3, "error")]
        await loop.close()

    run(main())


# --- the pool ---------------------------------------------------------------------------------------------------------


def test_a_driver_is_used_again_after_it_was_reset() -> None:
    async def main() -> None:
        pool = DriverPool(start=lambda _name: echo())
        first = await pool.acquire("echo")
        first.events.put_nowait((0.0, contract.MessageEvent(message=1, topic="left over")))
        await pool.release(first)
        second = await pool.acquire("echo")
        assert second is first
        assert second.events.empty()
        assert await pool.acquire("echo") is not first
        await pool.close()

    run(main())


def test_drivers_of_one_name_are_bounded_and_the_next_one_waits() -> None:
    async def main() -> None:
        pool = DriverPool(limit=2, start=lambda _name: echo())
        lent = [await pool.acquire("echo"), await pool.acquire("echo")]
        waiting = asyncio.create_task(pool.acquire("echo"))
        other = await pool.acquire("another name")
        assert not waiting.done()
        await pool.release(lent[0])
        assert await waiting is lent[0]
        await pool.release(other)
        await pool.close()

    run(main())


def test_a_faulty_driver_is_closed_and_replaced() -> None:
    async def main() -> None:
        pool = DriverPool(limit=1, start=lambda _name: echo())
        first = await pool.acquire("echo")
        first._fail(DriverRubbish("gone bad"))
        await pool.release(first)
        second = await pool.acquire("echo")
        assert second is not first
        await pool.release(second)
        second._fail(DriverCrashed("died on the shelf"))
        third = await pool.acquire("echo")
        assert third is not second
        await pool.close()

    run(main())


def test_a_driver_that_cannot_be_reset_is_replaced() -> None:
    class Stuck(Echo):
        async def abandon(self) -> None:
            raise RuntimeError("it will not let go")

    async def main() -> None:
        pool = DriverPool(limit=1, start=lambda _name: InProcessDriver.start("stuck", Stuck))
        first = await pool.acquire("stuck")
        await pool.release(first)
        assert isinstance(first.fault, DriverRubbish)
        assert await pool.acquire("stuck") is not first

    run(main())


def test_a_start_that_fails_does_not_use_up_the_pool() -> None:
    starts = [DriverCrashed("no"), DriverCrashed("no")]

    async def start(_name: str) -> Driver:
        if starts:
            raise starts.pop()
        return await echo()

    async def main() -> None:
        pool = DriverPool(limit=1, start=start)
        for _ in range(2):
            with pytest.raises(DriverFault):
                await pool.acquire("echo")
        await pool.release(await pool.acquire("echo"))
        await pool.close()

    run(main())


def test_release_after_close_is_harmless() -> None:
    async def main() -> None:
        pool = DriverPool(start=lambda _name: echo())
        driver = await pool.acquire("echo")
        await pool.close()
        await pool.release(driver)

    run(main())


# --- names ------------------------------------------------------------------------------------------------------------


def test_an_unknown_client_is_told_in_one_line_with_the_choices() -> None:
    with pytest.raises(UnknownDriver) as caught:
        check_driver_name("pahoo")
    text = str(caught.value)
    assert "\n" not in text
    assert all(name in text for name in DRIVERS)
    for name in ("command:", "command:'unfinished"):
        with pytest.raises(UnknownDriver):
            check_driver_name(name)


def test_any_command_can_be_a_client() -> None:
    async def main() -> None:
        driver = await DriverStarter().start(f"command:{sys.executable} -S '{MINIMAL}'")
        assert driver.hello.client == "minimal"
        await driver.close()

    run(main())
