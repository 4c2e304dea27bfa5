"""What a peer can make the server keep beneath MQTT: pongs it does not read, frames and requests without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Transport
from reference_broker.net.broker_connection import BrokerConnection
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer
from reference_broker.net.stream import Stream, dial
from reference_broker.net.tls import TestCertificates
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Connect, PingReq
from reference_broker.wire.types import Version

pytestmark = pytest.mark.thorough

Run = Callable[[Coroutine[Any, Any, Any]], Any]
V311 = Version.V311
CONNECT = encode(Connect(V311, "c"), V311)
CONNACK = b"\x20\x02\0\0"
PINGREQ, PINGRESP = encode(PingReq(), V311), b"\xd0\x00"
PINGS = Frame(Opcode.PING, b"p" * 125).serialize(mask=True) * 200
MOST_KEPT_BYTES = 2 * 262_144 + 131_072
"""The answers to one read more than what stops the reading, on either loop."""


class Bystander:
    """A client that behaves; each of its round trips is a turn of the broker's loop."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    async def round_trips(self, count: int) -> None:
        for _ in range(count):
            self.stream.write(PINGREQ)
            assert await self.stream.read() == PINGRESP


async def bystander(server: BrokerServer) -> Bystander:
    stream = await dial(server.addresses[Transport.TCP])
    stream.write(encode(Connect(V311, "bystander"), V311))
    assert await stream.read() == CONNACK
    return Bystander(stream)


def connection_of(server: BrokerServer, stream: Stream) -> BrokerConnection:
    assert stream._transport is not None
    host, port = stream._transport.get_extra_info("sockname")[:2]
    return next(each for each in server.connections.values() if each.peer == f"{host}:{port}")


def with_websocket(certificates: TestCertificates) -> ServerConfig:
    return ServerConfig(port=0, ws_port=0, wss_port=0, cert=certificates.cert_file, key=certificates.key_file,
                        ca=certificates.ca_file, broker=BrokerConfig(connect_timeout_seconds=60))  # fmt: skip


@pytest.mark.parametrize("transport", [Transport.WS, Transport.WSS])
@pytest.mark.parametrize("connected", [False, True], ids=["before CONNECT", "connected"])
def test_who_sends_pings_and_reads_no_pongs_is_not_read(
    run: Run, certificates: TestCertificates, transport: Transport, connected: bool
) -> None:
    """What was kept grew by what was sent. [RFC 6455 5.5.2]"""

    async def main() -> None:
        async with BrokerServer(with_websocket(certificates)) as server:
            good = await bystander(server)
            flood = await dial(server.addresses[transport])
            if connected:
                flood.write(CONNECT)
                assert await flood.read() == CONNACK
            connection = connection_of(server, flood)
            assert connection._transport is not None
            flood.pause_reading()
            sent_bytes = 0
            while not connection._owes_replies:
                if not flood.is_write_paused:
                    send_pings(flood, transport)
                    sent_bytes += len(PINGS)
                assert sent_bytes < 100 << 20
                await good.round_trips(1)
            kept_bytes = connection._transport.get_write_buffer_size()
            assert kept_bytes < MOST_KEPT_BYTES
            for _ in range(30):
                if not flood.is_write_paused:
                    send_pings(flood, transport)
                await good.round_trips(1)
            assert connection._transport.get_write_buffer_size() <= kept_bytes
            flood.resume_reading()  # and who reads them is read again
            flood.write(PINGREQ if connected else CONNECT)
            assert await flood.read() == (PINGRESP if connected else CONNACK)
            for stream in (flood, good.stream):
                stream.close()
                await stream.wait_closed()

    run(main())


def send_pings(stream: Stream, transport: Transport) -> None:
    """Over TLS the frames go into its records."""
    if transport is Transport.WS:
        write_frames(stream, PINGS)
    else:
        assert stream._wrapping is not None
        write_frames(stream, stream._wrapping._outer.send(PINGS))  # type: ignore[attr-defined]


def write_frames(stream: Stream, data: bytes) -> None:
    """Send bytes as they are, beneath the stream's own WebSocket."""
    assert stream._transport is not None
    stream._transport.write(data)


@pytest.mark.parametrize("opcode", [Opcode.BINARY, Opcode.PING, Opcode.TEXT], ids=lambda opcode: opcode.name)
def test_before_connack_no_large_frame_is_kept(run: Run, certificates: TestCertificates, opcode: Opcode) -> None:
    """A frame that is never whole was kept whole: 256 MiB by everybody who can reach the port."""

    async def main() -> None:
        async with BrokerServer(with_websocket(certificates)) as server:
            good = await bystander(server)
            flood = await dial(server.addresses[Transport.WS])
            link = connection_of(server, flood).link
            payload = b"\x10\xff\xff\x1f\x00\x04MQTT\x04" + bytes(1 << 20)
            wire = bytes((0x80 | opcode,)) + Frame(Opcode.BINARY, payload).serialize(mask=True)[1:]
            for start in range(0, len(wire), 65_536):
                write_frames(flood, wire[start : start + 65_536])
                await good.round_trips(1)
                assert link.is_closed() or link._reader is None or len(link._reader) <= 512 * 1024
            assert link.is_closed()
            flood.close()
            await flood.wait_closed()
            good.stream.close()
            await good.stream.wait_closed()

    run(main())


def test_a_large_frame_of_many_requests_is_answered_as_it_comes(run: Run, certificates: TestCertificates) -> None:
    """Kept until it is whole it would be one read of any size, with as many answers to who reads none."""

    async def main() -> None:
        async with BrokerServer(with_websocket(certificates)) as server:
            good = await bystander(server)
            flood = await dial(server.addresses[Transport.WS])
            flood.write(CONNECT)
            assert await flood.read() == CONNACK
            wire = Frame(Opcode.BINARY, PINGREQ * 100_000).serialize(mask=True)
            write_frames(flood, wire[:-1])
            received = 0
            while received < 2 * 99_000:
                received += len(await asyncio.wait_for(flood.read(), 5))
            await good.round_trips(1)
            for stream in (flood, good.stream):
                stream.close()
                await stream.wait_closed()

    run(main())
