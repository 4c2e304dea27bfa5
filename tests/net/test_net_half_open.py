"""What only the system can tell the broker: that a silent client's machine is gone, and how much memory is left."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from test_net_bounds import CONNACK, CONNECT, bystander, connection_of

from reference_broker.broker import Broker, BrokerConfig
from reference_broker.net import handles, memory
from reference_broker.net.config import ConfigError, ServerConfig
from reference_broker.net.memory import MemoryWatch, resident_bytes
from reference_broker.net.server import BrokerServer
from reference_broker.net.stream import dial

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.mark.parametrize(("seconds", "is_asked"), [(60, True), (None, False)])
def test_tcp_asks_whether_a_silent_client_is_there(run: Run, seconds: int | None, is_asked: bool) -> None:
    """A client with keep alive 0 whose machine is gone would stay for ever. [RFC 9293 3.8.4]"""

    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0, tcp_keepalive_seconds=seconds)) as server:
            stream = await dial(server.address)
            stream.write(CONNECT)
            assert await stream.read() == CONNACK
            transport = connection_of(server, stream)._transport
            assert transport is not None
            sock = transport.get_extra_info("socket")
            assert bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is is_asked
            if is_asked and hasattr(socket, "TCP_KEEPIDLE"):
                options = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT
                idle, interval, count = (sock.getsockopt(socket.IPPROTO_TCP, each) for each in options)
                assert 50 <= idle + interval * count <= 60
            stream.close()
            await stream.wait_closed()

    run(main())


def test_who_connects_too_often_is_read_later(run: Run) -> None:
    """Nothing is lost that it sent before."""

    async def main() -> None:
        config = ServerConfig(port=0, broker=BrokerConfig(maximum_connects_per_second=10))
        async with BrokerServer(config) as server:
            began = server.now()
            streams = []
            for number in range(12):
                streams.append(await dial(server.address))
                streams[-1].write(CONNECT.replace(b"\x01c", b"\x01" + bytes((97 + number,))))
            for stream in streams:
                assert await stream.read() == CONNACK
            assert server.now() - began > 0.1
            for stream in streams:
                stream.close()
                await stream.wait_closed()

    run(main())


def test_who_connects_too_often_gains_nothing_by_sending_at_once(run: Run) -> None:
    """Its CONNECT may be there before the broker has heard of its connection."""

    async def main() -> None:
        config = ServerConfig(port=0, broker=BrokerConfig(maximum_connects_per_second=10))
        async with BrokerServer(config) as server:
            with contextlib.ExitStack() as stack:
                for number in range(40):
                    peer = stack.enter_context(socket.create_connection((server.address.host, server.address.port)))
                    peer.sendall(CONNECT.replace(b"\x01c", b"\x01" + bytes((60 + number,))))
                for _ in range(200):  # turns of the loop
                    await asyncio.sleep(0)
                assert len(server.connections) == 40
                assert 10 <= server.broker.house.connected_count < 35

    run(main())


def test_who_comes_when_file_handles_run_out_is_closed_and_others_stay(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the system allows fewer from some time on; and the next one is let in when there is room again."""

    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            monkeypatch.setattr(handles.resource, "getrlimit", lambda _kind: (handles._LEFT + 2, 1 << 20))
            good = await bystander(server)
            second = await dial(server.address)
            with socket.create_connection((server.address.host, server.address.port)) as third:
                third.setblocking(False)
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.get_running_loop().sock_recv(third, 1) == b""
            await good.round_trips(3)
            second.close()
            await second.wait_closed()
            while len(server.connections) > 1:
                await good.round_trips(1)
            again = await dial(server.address)
            again.write(CONNECT)
            assert await again.read() == CONNACK
            for stream in (again, good.stream):
                stream.close()
                await stream.wait_closed()

    run(main())


def test_as_many_handles_are_asked_for_as_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(handles.resource, "getrlimit", lambda _kind: (1024, 4096))
    monkeypatch.setattr(handles.resource, "setrlimit", lambda _kind, limits: asked.append(limits))
    handles.ask_for_all()
    assert asked == [(4096, 4096)]


def test_the_broker_is_told_when_memory_is_full_and_when_it_is_not(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_LOOK_SECONDS", 0.0)
    sizes: Iterator[int | None] = iter([50, 101, 101, 101, 99, 100, None])
    seen: list[bool] = []

    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0, memory_maximum_bytes=None)) as server:
            broker = Broker()

            def measure() -> int | None:
                seen.append(broker.memory_is_full)
                return next(sizes)

            watch = MemoryWatch(broker, 100, measure)
            watch.look()
            good = await bystander(server)
            while next(iter(seen[6:]), None) is None:
                await good.round_trips(1)
            watch.end()
            good.stream.close()
            await good.stream.wait_closed()

    run(main())
    assert seen == [False, False, False, True, True, False, False]


def test_what_is_empty_is_put_away_while_clients_are_served(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            counts: list[int] = []
            monkeypatch.setattr(server.broker, "put_away", counts.append)
            good = await bystander(server)
            while len(counts) < 3:
                await good.round_trips(1)
            assert 0 < min(counts) <= max(counts) <= 1_000
            good.stream.close()
            await good.stream.wait_closed()

    run(main())


def test_the_process_knows_its_memory() -> None:
    size_bytes = resident_bytes()
    assert size_bytes is None or size_bytes > 10_000_000


def test_a_bound_of_nothing_is_none() -> None:
    for name in ("memory_maximum_bytes", "tcp_keepalive_seconds"):
        with pytest.raises(ConfigError, match=f"{name} = 0"):
            ServerConfig(**{name: 0})
