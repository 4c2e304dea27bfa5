"""What the tests of sockets share: certificates, an event loop with a time limit, and the four transports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from reference_broker.net.tls import TestCertificates, make_test_certificates

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> TestCertificates:
    """Certificates for localhost, made once."""
    return make_test_certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture
def run(on_both_loops: None) -> Run:
    """Run a coroutine in a fresh event loop of either kind; fail after ten seconds, and on errors nobody looked at."""

    def run_until_done(main: Coroutine[Any, Any, Any]) -> Any:
        unhandled: list[dict[str, Any]] = []

        async def watched() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
            return await within(main)

        result = asyncio.run(watched())
        assert not unhandled, unhandled
        return result

    return run_until_done


async def within(awaitable: Awaitable[Any], seconds: float = 10.0) -> Any:
    """Await with a bound."""
    async with asyncio.timeout(seconds):
        return await awaitable
