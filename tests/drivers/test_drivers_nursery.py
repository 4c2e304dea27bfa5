"""Adapters by fork are adapters like any other: their own process, their own end, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from interop.drivers import contract
from interop.drivers.driver import Driver, DriverCrashed
from interop.drivers.nursery import CAN_FORK, Nursery
from interop.drivers.pool import DriverPool
from interop.drivers.process import ProcessDriver
from interop.drivers.registry import DriverStarter

pytestmark = [
    pytest.mark.usefixtures("on_both_loops"),
    pytest.mark.skipif(not CAN_FORK, reason="this system cannot fork"),
]

TINY = """
import os, sys
from interop.drivers import contract
from interop.drivers.adapter import Adapter

class Tiny(Adapter):
    drops = 0

    @classmethod
    def hello(cls):
        print("hello from", os.getpid())
        return contract.HelloEvent(client="tiny", version="1", mqtt=("5.0",))

    async def drop(self, command):
        Tiny.drops += 1
        raise RuntimeError(f"{Tiny.drops}")

    async def auth(self, command):
        os._exit(7)

    async def abandon(self):
        pass

ADAPTER = Tiny
"""


def with_nursery(tmp_path: Path, use: Callable[[Nursery], Awaitable[None]], source: str = TINY) -> None:
    (tmp_path / "tiny_adapter.py").write_text(source)
    root = Path(contract.__file__).parents[2]

    async def main() -> None:
        nursery = Nursery("tiny_adapter", {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"})
        try:
            async with asyncio.timeout(15):
                await use(nursery)
        finally:
            await nursery.close()

    asyncio.run(main())


async def adapter(nursery: Nursery) -> ProcessDriver:
    return await ProcessDriver.adopt("tiny", await nursery.spawn())


async def ask(driver: Driver, kind: type[contract.Drop] | type[contract.Auth]) -> contract.AnyEvent:
    return await driver.request(kind(id=driver.next_id()), 5.0)


def test_each_child_is_a_process_with_state_and_log_of_its_own(tmp_path: Path) -> None:
    async def use(nursery: Nursery) -> None:
        first, second = await asyncio.gather(adapter(nursery), adapter(nursery))
        assert first.pid != second.pid
        assert os.getpgid(first.pid) == first.pid
        for driver, details in ((first, ["RuntimeError: 1", "RuntimeError: 2"]), (second, ["RuntimeError: 1"])):
            for detail in details:
                answer = await ask(driver, contract.Drop)
                assert isinstance(answer, contract.ErrorEvent)
                assert answer.detail == detail
        for driver in (first, second):
            await driver.close()
            assert driver.exit_status == 0
            assert f"hello from {driver.pid}" in driver.log

    with_nursery(tmp_path, use)


def test_how_a_child_ended_is_told(tmp_path: Path) -> None:
    async def use(nursery: Nursery) -> None:
        left, killed = await adapter(nursery), await adapter(nursery)
        with pytest.raises(DriverCrashed, match="exit status 7"):
            await ask(left, contract.Auth)
        os.kill(killed.pid, signal.SIGKILL)
        with pytest.raises(DriverCrashed, match="ended by SIGKILL"):
            await ask(killed, contract.Drop)
        await left.close()
        await killed.close()
        still_good = await adapter(nursery)
        await still_good.close()

    with_nursery(tmp_path, use)


@pytest.mark.parametrize("source", ["raise ImportError('there is no such library')", "ADAPTER = no_such_name"])
def test_an_adapter_that_cannot_be_loaded_is_told_with_its_log(tmp_path: Path, source: str) -> None:
    async def use(nursery: Nursery) -> None:
        for _ in range(2):  # whether it was asked before its end or after it
            with pytest.raises(DriverCrashed, match="tiny_adapter cannot be loaded") as caught:
                await nursery.spawn()
            if not _:
                assert "no such library" in caught.value.log or "no_such_name" in caught.value.log
        assert not nursery.is_open

    with_nursery(tmp_path, use, source)


def test_a_nursery_that_died_is_replaced() -> None:
    async def main() -> None:
        pool = DriverPool()
        first = await pool.acquire("builtin-process")
        [nursery] = pool._starter._nurseries.values()
        nursery._process.kill()
        await asyncio.wait({nursery._listening})
        second = await pool.acquire("builtin-process")
        assert second is not first
        assert isinstance(await first.request(contract.Drop(id=first.next_id()), 5.0), contract.Dropped)
        await pool.release(first)
        await pool.close()
        assert nursery._process.poll() is not None

    asyncio.run(main())


def test_a_closed_pool_leaves_no_process_behind() -> None:
    async def main() -> list[int]:
        pool = DriverPool()
        drivers = await asyncio.gather(*(pool.acquire("paho") for _ in range(3)))
        [nursery] = pool._starter._nurseries.values()
        pids = [nursery._process.pid]
        for driver in drivers:
            assert isinstance(driver, ProcessDriver)
            pids.append(driver.pid)
        await pool.close()
        return pids

    for pid in asyncio.run(main()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_was_loaded_ahead_and_not_asked_for_is_ended_and_what_was_asked_for_is_not(tmp_path: Path) -> None:
    (tmp_path / "tiny_adapter.py").write_text(TINY)
    root = Path(contract.__file__).parents[2]
    ahead = Nursery("tiny_adapter", {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"})
    process = ahead._process
    assert ahead.is_open
    assert ahead.abandon()
    assert process.returncode == -signal.SIGKILL

    async def use(nursery: Nursery) -> None:
        driver = await adapter(nursery)
        assert not nursery.abandon()
        await driver.close()

    with_nursery(tmp_path, use)


def test_a_client_that_is_loaded_ahead_is_loaded_once_and_one_of_a_strangers_not_at_all() -> None:
    starter = DriverStarter({"mine": "command:no-such-program"})
    starter.load_ahead(["paho", "mine", "builtin"])

    async def main() -> None:
        ahead = dict(starter._nurseries)
        assert list(ahead) == ["interop.drivers.paho"]
        driver = await starter.start("paho")
        assert starter._nurseries == ahead
        await driver.close()
        await starter.close()

    asyncio.run(main())
