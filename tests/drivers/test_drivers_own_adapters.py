"""Our own adapters as processes: what they print is no answer, and they end with their input."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from interop.drivers import contract
from interop.drivers.process import ProcessDriver

pytestmark = pytest.mark.usefixtures("on_both_loops")

TIMEOUT_SECONDS = 5.0

CHATTY = """
import os
from interop.drivers import contract
from interop.drivers.adapter import Adapter, main

class Chatty(Adapter):
    @classmethod
    def hello(cls):
        print("a library says hello")
        return contract.HelloEvent(client="chatty", version="1", mqtt=("5.0",))

    async def abandon(self):
        pass

    async def drop(self, command):
        os.system("echo so does a program")
        return contract.Dropped()

    async def ack(self, command):
        raise RuntimeError("no cheese")

main(Chatty)
"""


def test_what_libraries_print_goes_to_the_log_and_exceptions_too() -> None:
    root = str(Path(contract.__file__).parents[2])

    async def main() -> None:
        adapter = await ProcessDriver.start("chatty", [sys.executable, "-c", CHATTY], env={"PYTHONPATH": root})
        try:
            assert isinstance(
                await adapter.request(contract.Drop(id=adapter.next_id()), TIMEOUT_SECONDS), contract.Dropped
            )
            answer = await adapter.request(contract.Ack(id=adapter.next_id(), message=1), TIMEOUT_SECONDS)
            assert isinstance(answer, contract.ErrorEvent)
            assert (answer.error, answer.detail) == ("failed", "RuntimeError: no cheese")
        finally:
            await adapter.close()
        assert "a library says hello" in adapter.log
        assert "so does a program" in adapter.log
        assert "Traceback" in adapter.log

    asyncio.run(main())


@pytest.mark.parametrize("module", ["interop.drivers.examples.minimal", "interop.drivers.gmqtt"])
def test_an_adapter_ends_when_its_input_does(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=b'{"id": 1, "do": "hello"}\n',
        capture_output=True,
        timeout=10,
        check=True,
        cwd=Path(contract.__file__).parents[2],
    )
    assert done.stdout.count(b"\n") == 1
