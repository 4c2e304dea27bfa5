"""One wrong broker or wrong client by itself, for whoever tests those.

Belongs here: a broker that listens until it is told to end, a client at a suite's command or on its own.
Does not belong here: what is wrong (`wrong_ends`), somebody else's suite (`suite`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator

from interop.drivers.adapter import main as serve_adapter
from interop.drivers.builtin import BuiltinAdapter
from interop.drivers.contract import (
    Connect,
    Disconnect,
    Publish,
    Subscribe,
    SubscriptionRequest,
    Unsubscribe,
)
from interop.drivers.driver import DriverFault
from interop.drivers.in_process import InProcessDriver
from interop.exit_codes import CommandError
from interop.mutants.mutant import Mutant
from interop.mutants.registry import MUTANTS
from interop.mutants.wrong_ends import WrongBroker, wrong_adapter
from interop.mutants.wrong_websocket import wrong_websocket
from interop.runner.verdict import REFERENCE_BROKER, REFERENCE_CLIENT
from interop.scenario.values import MqttLabel
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.net.address import Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.errors import ListenFailed
from reference_broker.net.server import BrokerServer

HOST = "127.0.0.1"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ANSWER_SECONDS = 5.0
_VERSIONS: tuple[MqttLabel, ...] = ("5.0", "3.1.1", "3.1")


def serve(name: str, port: int | None, say: Callable[[str], None]) -> None:
    """Be that mutant, or the right broker or client, until told to end; raises CommandError.

    A broker listens at the port. A client without one is an adapter that takes the commands of the contract from
    standard input; with one it connects there by itself, once in each version, and does a little of everything.
    """
    mutant = MUTANTS.get(name)
    side = mutant.side if mutant is not None else {REFERENCE_BROKER: "broker", REFERENCE_CLIENT: "client"}.get(name)
    if side is None:
        raise CommandError(
            f"--serve {name!r}: no such mutant, nor {REFERENCE_BROKER} or {REFERENCE_CLIENT}; see --list"
        )
    if side == "broker":
        asyncio.run(_serve_broker(mutant, 1883 if port is None else port, say))
        return
    adapter = BuiltinAdapter if mutant is None else wrong_adapter(mutant)
    if port is None:
        serve_adapter(adapter)
    else:
        asyncio.run(_live(adapter, port, say))


@contextlib.asynccontextmanager
async def listening(mutant: Mutant | None, port: int = 0) -> AsyncIterator[BrokerServer]:
    """A broker on loopback, with TCP at that port and WebSocket at any, without a mutant the right one."""
    logging.getLogger("reference_broker").addHandler(logging.NullHandler())  # what mutants provoke is no news
    config = BrokerConfig()
    server = BrokerServer(
        ServerConfig(host=HOST, port=port, ws_port=0, broker=config),
        broker=None if mutant is None else WrongBroker(mutant, config),
    )
    if mutant is not None:
        server.websocket_type = wrong_websocket(mutant)
    async with server:
        yield server


async def _serve_broker(mutant: Mutant | None, port: int, say: Callable[[str], None]) -> None:
    with _told_to_end() as told:
        try:
            async with listening(mutant, port) as server:
                for transport in (Transport.TCP, Transport.WS):
                    say(f"listening on {server.addresses[transport]}")
                await told.wait()
        except ListenFailed as error:
            raise CommandError(str(error)) from None


async def _live(adapter: type[BuiltinAdapter], port: int, say: Callable[[str], None]) -> None:
    """A client's life, once in each version; whatever the other side makes of it."""
    driver = await InProcessDriver.start(REFERENCE_CLIENT, adapter)
    try:
        for mqtt in _VERSIONS:
            say(f"connecting to {HOST}:{port} with MQTT {mqtt}")
            try:
                for command in _life(mqtt, port):
                    await driver.request(command, _ANSWER_SECONDS)
            except DriverFault as fault:
                say(f"{fault}")
                return
            await driver.reset()
    finally:
        await driver.close()


def _life(mqtt: MqttLabel, port: int) -> Iterator[Connect | Subscribe | Publish | Unsubscribe | Disconnect]:
    numbers = itertools.count(1)
    yield Connect(id=next(numbers), mqtt=mqtt, host=HOST, port=port, client_id="wrong", keep_alive=5)
    subscriptions = tuple(SubscriptionRequest(topic_filter=f"wrong/{qos}", qos=qos) for qos in (0, 1, 2))
    yield Subscribe(id=next(numbers), subscriptions=subscriptions)
    for qos in (0, 1, 2):
        yield Publish(id=next(numbers), topic=f"wrong/{qos}", payload=b"message", qos=qos)
    yield Unsubscribe(id=next(numbers), topic_filters=("wrong/0", "wrong/1", "wrong/2"))
    yield Disconnect(id=next(numbers))


@contextlib.contextmanager
def _told_to_end() -> Iterator[asyncio.Event]:
    """Set by SIGINT or SIGTERM."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, told.set)
    try:
        yield told
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
