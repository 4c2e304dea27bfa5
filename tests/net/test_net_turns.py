"""Whatever one peer sends, the others have their turn: work is limited by what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from test_net_bounds import (
    CONNACK,
    CONNECT,
    PINGREQ,
    PINGRESP,
    V311,
    Bystander,
    Run,
    bystander,
    connection_of,
    with_websocket,
    write_frames,
)
from websockets.frames import Frame, Opcode

from reference_broker.net.address import Address, Transport
from reference_broker.net.broker_connection import BrokerConnection
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer
from reference_broker.net.stream import Stream, dial
from reference_broker.net.tls import TestCertificates
from reference_broker.net.turns import FEWEST_BYTES, MOST_BYTES, RUNS_OF_FRAMES, TURN_SECONDS, Share
from reference_broker.net.websocket import WebSocketWrapping
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Publish, Subscribe, Subscription
from reference_broker.wire.types import QoS

pytestmark = pytest.mark.thorough

P99_SECONDS = 0.1
TINY_FRAGMENTS = Frame(Opcode.BINARY, b"", fin=False).serialize(mask=True) + (
    Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 200_000
)


def test_a_share_grows_while_it_is_cheap_and_shrinks_when_it_is_dear() -> None:
    share = Share()
    assert share.size_bytes == FEWEST_BYTES
    for _ in range(20):
        share.took(0.0)
    assert share.size_bytes == MOST_BYTES
    for _ in range(20):
        share.took(TURN_SECONDS)
    assert share.size_bytes == FEWEST_BYTES
    share.took(TURN_SECONDS / 4)
    assert share.size_bytes == FEWEST_BYTES


def test_shares_of_dear_bytes_last_no_longer_than_a_turn_each() -> None:
    """By counting: at any cost of a byte up to a turn's for the smallest share, none is longer."""
    for byte_seconds in (1e-9, 1e-7, 1e-6, 4e-6):
        share = Share()
        longest = 0.0
        for _ in range(100):
            seconds = share.size_bytes * byte_seconds
            longest = max(longest, seconds)
            share.took(seconds)
        assert longest <= TURN_SECONDS, byte_seconds


def test_frames_are_taken_apart_by_so_many_runs_at_once_and_none_is_lost() -> None:
    wrapping = WebSocketWrapping.server()
    client = WebSocketWrapping.client(Address("127.0.0.1", 1, Transport.WS))
    wrapping.receive(client.take_reply())
    assert wrapping.is_open
    wrapping.steps_at_once = RUNS_OF_FRAMES
    payloads = [bytes([number % 251]) * (number % 7) for number in range(2000)]
    inside = wrapping.receive(b"".join(Frame(Opcode.BINARY, each).serialize(mask=True) for each in payloads))
    calls = 1
    while wrapping.has_more:
        inside += wrapping.receive(b"")
        calls += 1
    assert inside == b"".join(payloads)
    assert calls == -(-len(payloads) // RUNS_OF_FRAMES)


def pings(count: int) -> bytes:
    return Frame(Opcode.PONG, b"").serialize(mask=True) * count


LARGE = encode(Publish("s", bytes(250_000)), V311) * 12
LARGE_FRAME = Frame(Opcode.BINARY, LARGE).serialize(mask=True)
"""What is cheap for its bytes, which tells nothing of what comes next."""

FLOODS: dict[str, tuple[Transport, Callable[[], bytes]]] = {
    "fragments of nothing": (Transport.WS, lambda: TINY_FRAGMENTS),
    "pongs": (Transport.WS, lambda: pings(100_000)),
    "PINGREQ": (Transport.TCP, lambda: PINGREQ * 200_000),
    "SUBSCRIBE": (Transport.TCP, lambda: encode(Subscribe(1, (Subscription("s"),)), V311) * 30_000),
    "PINGREQ behind what is cheap": (Transport.TCP, lambda: (LARGE + PINGREQ * 130_000) * 4),
    "pongs behind what is cheap": (Transport.WS, lambda: (LARGE_FRAME + pings(40_000)) * 4),
    "DUP": (Transport.TCP, lambda: encode(Publish("s", b"", QoS.AT_LEAST_ONCE, dup=True, packet_id=1), V311) * 30_000),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_what_is_dear_stalls_nobody(run: Run, certificates: TestCertificates, name: str) -> None:
    """The round trip of a bystander, while another sends what costs most for its bytes."""
    transport, make = FLOODS[name]
    data = make()

    async def main() -> None:
        async with BrokerServer(with_websocket(certificates)) as server:
            good = await bystander(server)
            flood = await dial(server.addresses[transport])
            flood.write(CONNECT)
            assert await flood.read() == CONNACK
            connection = connection_of(server, flood)
            write_frames(flood, data)
            trips = await round_trips_while(good, lambda: flood.is_write_paused or is_behind(connection))
            assert len(trips) > 6  # it did take turns
            assert sorted(trips)[len(trips) * 99 // 100] < P99_SECONDS
            flood.abort()
            await flood.wait_closed()
            good.stream.close()
            await good.stream.wait_closed()

    run(main())


def is_behind(connection: BrokerConnection) -> bool:
    return connection._is_behind()


async def round_trips_while(good: Bystander, is_going_on: Callable[[], bool]) -> list[float]:
    """Seconds of work done during each, of broker and clients together, while something goes on and for a few more."""
    trips: list[float] = []
    after = 0
    while len(trips) < 2000 and after < 5:
        began = time.process_time()
        await good.round_trips(1)
        trips.append(time.process_time() - began)
        after += not is_going_on()
    return trips


def test_what_waits_for_its_turn_is_done_to_the_end_and_in_order(run: Run) -> None:
    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            stream = await dial(server.address)
            stream.write(CONNECT)
            assert await stream.read() == CONNACK
            stream.write(PINGREQ * 40_000 + encode(Publish("t", b"", QoS.AT_LEAST_ONCE, packet_id=7), V311))
            expected = PINGRESP * 40_000 + b"\x40\x02\x00\x07"
            assert await read_exactly(stream, len(expected)) == expected
            stream.close()
            await stream.wait_closed()

    run(main())


def test_who_is_gone_before_its_turn_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            good = await bystander(server)
            stream = await dial(server.address)
            stream.write(CONNECT)
            assert await stream.read() == CONNACK
            connection = connection_of(server, stream)
            stream.write(PINGREQ * 300_000)
            while not is_behind(connection):
                await good.round_trips(1)
            connection.abandon()
            while len(server.connections) > 1:
                await good.round_trips(1)
            stream.abort()
            await stream.wait_closed()
            good.stream.close()
            await good.stream.wait_closed()

    run(main())


async def read_exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.read()
    return data
