"""A broker for the tests of MQTT programs: pytest fixtures and a context manager.

Belongs here: running a `BrokerServer` in a background thread, and the fixtures.
Does not belong here: anything only this project's own tests need.

Switch the fixtures on in a `conftest.py`::

    pytest_plugins = ["reference_broker.testing"]

and use them::

    def test_my_client(mqtt_broker):
        connect_to(mqtt_broker.host, mqtt_broker.port)

Every test gets a fresh broker on a free port of 127.0.0.1. To change its settings, override `mqtt_broker_config`::

    @pytest.fixture
    def mqtt_broker_config():
        return ServerConfig(port=0, ws_port=0, broker=BrokerConfig(maximum_qos=1))

`mqtt_session_broker` is one broker for the whole run (of each worker of pytest-xdist), for fixtures of a wider scope
and for programs that take long to connect. What a test leaves there, the next one finds: retained messages, sessions
and subscriptions. So tests use topics and client identifiers of their own. Its settings are
`mqtt_session_broker_config`, a fixture with `scope="session"`.

In asynchronous tests `async with BrokerServer(config) as server:` does the same without a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import pytest

from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer

__all__ = [
    "BrokerConfig",
    "RunningBroker",
    "ServerConfig",
    "mqtt_broker",
    "mqtt_broker_config",
    "mqtt_session_broker",
    "mqtt_session_broker_config",
    "running_broker",
]


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """Where a running broker listens: `address` is the TCP one where there is one."""

    address: Address
    addresses: dict[Transport, Address]


@contextlib.contextmanager
def running_broker(config: ServerConfig | None = None) -> Iterator[RunningBroker]:
    """Run a broker in a background thread for a `with` block; by default on a free port of 127.0.0.1.

    Raises what `BrokerServer.start` raises: AddressInUse, CertificateUnusable or another ListenFailed.
    """
    started: Future[tuple[RunningBroker, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with BrokerServer(config or ServerConfig(port=0)) as server:
            stopped = asyncio.Event()
            where = RunningBroker(server.address, dict(server.addresses))
            started.set_result((where, asyncio.get_running_loop(), stopped))
            await stopped.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="mqtt-broker", daemon=True)
    thread.start()
    where, loop, stopped = started.result()
    try:
        yield where
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()


@pytest.fixture
def mqtt_broker_config() -> ServerConfig:
    """Settings of `mqtt_broker`; override it to change them."""
    return ServerConfig(port=0)


@pytest.fixture
def mqtt_broker(mqtt_broker_config: ServerConfig) -> Iterator[Address]:
    """Run a fresh broker for one test and give its address."""
    with running_broker(mqtt_broker_config) as broker:
        yield broker.address


@pytest.fixture(scope="session")
def mqtt_session_broker_config() -> ServerConfig:
    """Settings of `mqtt_session_broker`; override it, in the same scope, to change them."""
    return ServerConfig(port=0)


@pytest.fixture(scope="session")
def mqtt_session_broker(mqtt_session_broker_config: ServerConfig) -> Iterator[Address]:
    """Run one broker for all tests and give its address; what one test leaves there, the next one finds."""
    with running_broker(mqtt_session_broker_config) as broker:
        yield broker.address
