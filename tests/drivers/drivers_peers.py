"""What real clients are tried against: the reference broker, and one that a test plays packet by packet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from interop.drivers import contract
from interop.drivers.contract import AnyEvent, Command, PropertyValues
from interop.drivers.driver import Driver
from reference_broker.net.address import Address, Transport
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Packet
from reference_broker.wire.types import Version

TIMEOUT_SECONDS = 5.0
KEPT = PropertyValues(session_expiry_interval=300)

AnyPacket = TypeVar("AnyPacket")


class Actor:
    """A driver with a version and an address."""

    def __init__(self, driver: Driver, mqtt: str, address: Address) -> None:
        self.driver = driver
        self.mqtt: Any = mqtt
        self.address = address

    async def ask(self, kind: type[Command], **fields: Any) -> Any:
        """The answer to a command."""
        return await self.driver.request(kind(id=self.driver.next_id(), **fields), TIMEOUT_SECONDS)  # type: ignore[arg-type]  # any command

    def begin(self, kind: type[Command], **fields: Any) -> asyncio.Task[Any]:
        """A command whose answer comes later."""
        return asyncio.create_task(self.ask(kind, **fields))

    async def connect(self, *, kept: bool = False, **fields: Any) -> Any:
        """CONNECT to the actor's address."""
        address = self.address
        defaults = {
            "transport": address.transport.value,
            "host": address.host,
            "port": address.port,
            "path": address.path,
            "ca_file": str(address.ca_file) if address.ca_file else None,
            "client_id": f"c-{id(self)}",
            "clean_start": not kept,
            "properties": KEPT if kept and self.mqtt == "5.0" else contract.NONE,
        }
        return await self.ask(contract.Connect, mqtt=self.mqtt, **(defaults | fields))

    async def subscribe(self, topic_filter: str, qos: int = 0) -> Any:
        """One filter."""
        return await self.ask(contract.Subscribe, subscriptions=({"topic_filter": topic_filter, "qos": qos},))

    async def next_event(self) -> AnyEvent:
        """What came unasked, the oldest first."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return (await self.driver.events.get())[1]

    async def settle(self) -> None:
        """A round trip: what the adapter had to say before is here after it."""
        await self.ask(contract.Hello)


class Played:
    """One connection of a client with a broker that the test plays."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.packets = Reader()

    async def receive(self, kind: type[AnyPacket]) -> AnyPacket:
        """The client's next packet, which has to be one of these."""
        packet = await self.next()
        assert isinstance(packet, kind), packet
        return packet

    async def next(self) -> Packet | None:
        """The client's next packet; None at the end of the connection."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while (packet := self.packets.next_packet()) is None:
                data = b""
                with contextlib.suppress(ConnectionResetError):
                    data = await self.reader.read(65536)
                if not data:
                    return None
                self.packets.feed(data)
        return packet

    def send(self, *packets: Packet) -> None:
        """Packets of the broker."""
        assert self.packets.version is not None
        self.writer.write(b"".join(encode(packet, self.packets.version) for packet in packets))

    @property
    def version(self) -> Version:
        """The version of the client's CONNECT."""
        assert self.packets.version is not None
        return self.packets.version


class PlayedBroker:
    """A listener whose connections the test plays, one after another."""

    def __init__(self, address: Address, connections: asyncio.Queue[Played]) -> None:
        self.address = address
        self.connections = connections

    async def accept(self) -> Played:
        """The next connection."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self.connections.get()

    async def accept_connect(self, kind: type[AnyPacket], **connack: Any) -> tuple[Played, AnyPacket]:
        """The next connection, its CONNECT answered."""
        played = await self.accept()
        connect = await played.receive(kind)
        played.send(ConnAck(**connack))
        return played, connect


@contextlib.asynccontextmanager
async def played_broker() -> AsyncIterator[PlayedBroker]:
    """Listen; every connection ends with the block."""
    connections: asyncio.Queue[Played] = asyncio.Queue()
    everything: list[Played] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        everything.append(Played(reader, writer))
        connections.put_nowait(everything[-1])

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield PlayedBroker(Address("127.0.0.1", port, Transport.TCP), connections)
    finally:
        server.close()
        for played in everything:
            played.writer.close()
            with contextlib.suppress(ConnectionError):
                await played.writer.wait_closed()
