"""What talks to a broker on sockets in these tests: packets, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.stream import Stream, dial
from reference_broker.net.tls import TestCertificates
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Packet,
    SubAck,
    Subscribe,
    Subscription,
)
from reference_broker.wire.types import QoS, Version

Run = Callable[[Coroutine[Any, Any, Any]], Any]


everywhere = pytest.mark.parametrize("transport", list(Transport))


class Peer:
    """A client that sends and reads packets and knows nothing else."""

    def __init__(self, stream: Stream, version: Version) -> None:
        self.stream = stream
        self.version = version
        self._reader = Reader(version)

    def send(self, *packets: Packet) -> None:
        self.stream.write(b"".join(encode(packet, self.version) for packet in packets))

    async def receive(self) -> Packet | None:
        """Give the next packet; None once the broker ended the connection."""
        while (packet := self._reader.next_packet()) is None:
            data = await self.stream.read()
            if not data:
                return None
            self._reader.feed(data)
        return packet

    async def ask(self, packet: Packet) -> Packet | None:
        self.send(packet)
        return await self.receive()

    async def leave(self) -> None:
        self.stream.close()
        await self.stream.wait_closed()


@asynccontextmanager
async def peer(address: Address, version: Version, client_id: str, **fields: Any) -> AsyncIterator[Peer]:
    """Connect for a `with` block."""
    client = Peer(await dial(address), version)
    answer = await client.ask(Connect(version, client_id, **fields))
    assert isinstance(answer, ConnAck)
    assert answer.reason == 0
    try:
        yield client
    finally:
        await client.leave()


async def subscribe(client: Peer, topic_filter: str, qos: QoS = QoS.AT_MOST_ONCE) -> None:
    answer = await client.ask(Subscribe(1, (Subscription(topic_filter, qos),)))
    assert isinstance(answer, SubAck)
    assert answer.reasons == (qos,)


def on_free_ports(certificates: TestCertificates, broker: BrokerConfig | None = None) -> ServerConfig:
    """Listen with all four transports."""
    return ServerConfig(
        port=0,
        tls_port=0,
        ws_port=0,
        wss_port=0,
        cert=certificates.cert_file,
        key=certificates.key_file,
        ca=certificates.ca_file,
        broker=broker or BrokerConfig(),
    )
