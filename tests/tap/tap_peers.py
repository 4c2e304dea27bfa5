"""A link between a listener that plays the broker and streams that play the client, on real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from interop.tap.link import Link
from interop.tap.network import LOOPBACK, Network
from interop.tap.trace import Sender, Trace
from reference_broker.net.address import Address, Transport
from reference_broker.net.stream import Stream, dial, listen
from reference_broker.net.tls import TestCertificates
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, PubAck, Publish
from reference_broker.wire.types import QoS, Version

CLIENT, BROKER = Sender.CLIENT, Sender.BROKER
V311 = Version.V311
CONNECT = encode(Connect(V311, "c"), V311)
CONNACK = encode(ConnAck(), V311)
PUBLISH = encode(Publish("t", b"x", QoS.AT_LEAST_ONCE, packet_id=1), V311)
PUBACK = encode(PubAck(1), V311)
PATIENCE_SECONDS = 3.0


class Peers:
    """A link between a listener we play the broker on and streams we play the client on."""

    def __init__(self, link: Link, address: Address, trace: Trace) -> None:
        self.link = link
        self.address = address
        self.trace = trace
        self.accepted: asyncio.Queue[Stream] = asyncio.Queue()
        self.clients: list[Stream] = []

    async def connect(self) -> tuple[Stream, Stream]:
        client = await dial(self.address)
        self.clients.append(client)
        return client, await asyncio.wait_for(self.accepted.get(), PATIENCE_SECONDS)

    async def seen(self, count: int) -> None:
        while len(self.trace) < count:
            assert await self.trace.changed(len(self.trace), self.trace.clock() + PATIENCE_SECONDS), self.trace.entries

    def story(self) -> list[str]:
        return [f"{e.connection} {e.kind} {e.sender} {e.fate} {e.note}".rstrip() for e in self.trace]


@asynccontextmanager
async def tapped(
    transport: Transport = Transport.TCP, tls: TestCertificates | None = None, network: Network = LOOPBACK
) -> AsyncIterator[Peers]:
    trace = Trace(time.monotonic)
    accepted: asyncio.Queue[Stream] = asyncio.Queue()
    streams: list[Stream] = []

    async def on_stream(stream: Stream) -> None:
        await accepted.put(stream)
        streams.append(stream)
        await stream.wait_closed()

    server = await listen(
        Address("127.0.0.1", 0, transport, ca_file=tls.ca_file if tls else None),
        on_stream,
        cert_file=tls.cert_file if tls else None,
        key_file=tls.key_file if tls else None,
    )
    link = Link("pub", upstream=server.address, version=V311, trace=trace, server_tls=tls, network=network)
    peers = Peers(link, await link.open(), trace)
    peers.accepted = accepted
    try:
        yield peers
    finally:
        for stream in (*peers.clients, *streams):
            stream.abort()
        await link.close()
        await server.close()
        for stream in (*peers.clients, *streams):
            await stream.wait_closed()


async def read_exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = await asyncio.wait_for(stream.read(), PATIENCE_SECONDS)
        assert chunk, f"stream ended after {data!r}"
        data += chunk
    return data


async def ended(stream: Stream) -> str:
    try:
        data = await asyncio.wait_for(stream.read(), PATIENCE_SECONDS)
    except ConnectionResetError:
        return "RST"
    return "FIN" if data == b"" else repr(data)


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))  # type: ignore[arg-type]  # a coroutine function is passed
