"""A peer of the broker that is slow, floods it, or speaks something else costs the others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest
from net_peers import Peer, Run, everywhere, on_free_ports, peer, subscribe

from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Transport
from reference_broker.net.broker_connection import BrokerConnection
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer
from reference_broker.net.tls import TestCertificates
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    Connect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

pytestmark = pytest.mark.usefixtures("on_both_loops")


BAD_BYTES = {
    Transport.TCP: b"GET / HTTP/1.1\r\n\r\n",
    Transport.TLS: b"GET / HTTP/1.1\r\n\r\n",
    Transport.WS: b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\r\n\r\n",
    Transport.WSS: b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
}


@everywhere
def test_a_peer_that_speaks_something_else_gets_one_log_line_and_the_end(
    run: Run, transport: Transport, certificates: TestCertificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with BrokerServer(on_free_ports(certificates)) as server:
            address = server.addresses[transport]
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(BAD_BYTES[transport])
            await reader.read()
            writer.close()
            await writer.wait_closed()
            async with peer(address, Version.V311, "next") as client:
                assert await client.ask(PingReq()) == PingResp()

    with caplog.at_level(logging.INFO, "reference_broker"):
        run(main())
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("127.0.0.1:")


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.WS])
def test_many_publishers_together_lose_nothing_that_a_slower_subscriber_is_to_get(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    """Each has made the queue grow; then each sends at once a quarter of what there is room for."""
    publishers, each = 20, 250

    async def main() -> set[tuple[str, bytes]]:
        broker = BrokerConfig(maximum_inflight=1, queue_maximum_messages=1000, backpressure_seconds=60)
        async with (
            BrokerServer(on_free_ports(certificates, broker)) as server,
            peer(server.addresses[transport], Version.V311, "slower") as slower,
            contextlib.AsyncExitStack() as stack,
        ):
            await subscribe(slower, "#", QoS.AT_LEAST_ONCE)
            address = server.addresses[transport]
            peers = [
                await stack.enter_async_context(peer(address, Version.V311, f"p{number}"))
                for number in range(publishers)
            ]
            messages = {
                publisher: [Publish(f"p{number}", b"%d" % n, QoS.AT_LEAST_ONCE, packet_id=n + 1) for n in range(each)]
                for number, publisher in enumerate(peers)
            }
            for begin, end in ((0, 3), (3, 4), (4, each)):
                for publisher in peers:
                    publisher.send(*messages[publisher][begin:end])
                    for _ in range(begin, end if end < each else begin):
                        assert isinstance(await publisher.receive(), PubAck)
            received = set()
            while len(received) < publishers * each:
                message = await slower.receive()
                assert isinstance(message, Publish)
                received.add((message.topic, message.payload))
                slower.send(PubAck(message.packet_id or 0))
            return received

    received = run(asyncio.wait_for(main(), 60))
    assert len(received) == publishers * each


@everywhere
def test_a_subscriber_that_does_not_read_costs_bounded_memory_and_the_others_nothing(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    """Far more is published than the limit and the kernel's buffers hold together."""
    limit = 100_000

    async def main() -> None:
        broker = BrokerConfig(outgoing_maximum_bytes=limit, backpressure_seconds=0.01)
        async with (
            BrokerServer(on_free_ports(certificates, broker)) as server,
            peer(server.addresses[transport], Version.V311, "stalled") as stalled,
            peer(server.addresses[transport], Version.V311, "publisher") as publisher,
        ):
            await subscribe(stalled, "t")
            stalled.stream.pause_reading()
            (link,) = [link for link in server.connections if link.client_id == "stalled"]
            connection = server.connections[link]
            most = 0
            for _ in range(200):
                publisher.send(Publish("t", bytes(65_000)))
                assert await publisher.ask(PingReq()) == PingResp()
                assert connection._transport is not None
                most = max(most, link.held_bytes + connection._transport.get_write_buffer_size())
            assert connection.is_write_paused
            assert most < 3 * limit + 300_000

    run(main())


def test_a_publisher_is_held_back_for_a_slow_subscriber_and_nothing_is_lost(
    run: Run, certificates: TestCertificates
) -> None:
    messages, payload = 3000, bytes(4000)

    class Watched(BrokerServer):
        def pause(self, connection: BrokerConnection) -> None:
            super().pause(connection)
            self.has_paused.set()

        has_paused = asyncio.Event()

    async def main() -> None:
        broker = BrokerConfig(backpressure_seconds=5.0)
        async with (
            Watched(on_free_ports(certificates, broker)) as server,
            peer(server.address, Version.V311, "subscriber") as subscriber,
            peer(server.address, Version.V311, "publisher") as publisher,
        ):
            await subscribe(subscriber, "t")
            subscriber.stream.pause_reading()
            for _ in range(messages):
                publisher.send(Publish("t", payload))
            await server.has_paused.wait()
            subscriber.stream.resume_reading()
            for _ in range(messages):
                assert await subscriber.receive() == Publish("t", payload)
            assert not server._paused
            assert await publisher.ask(PingReq()) == PingResp()

    run(main())


def test_others_come_before_the_next_part_of_a_flood(run: Run) -> None:
    """uvloop would read from one connection up to 32 times before it looks at another."""

    class Transport(asyncio.Transport):
        reading = True

        def is_reading(self) -> bool:
            return self.reading

        def is_closing(self) -> bool:
            return False

        def pause_reading(self) -> None:
            self.reading = False

        def resume_reading(self) -> None:
            self.reading = True

        def write(self, data: bytes | bytearray | memoryview) -> None:
            pass

    async def main() -> None:
        connection, transport = BrokerConnection(BrokerServer(), None), Transport()
        connection.connection_made(transport)
        connection.data_received(encode(Connect(Version.V311, "flood"), Version.V311))
        assert transport.reading
        connection.data_received(encode(Publish("t", bytes(100)), Version.V311) * 2000)
        assert not transport.reading
        await asyncio.sleep(0)
        assert transport.reading

    run(main())


@pytest.mark.parametrize(("count", "first"), [(1, "subscriber"), (100, "publisher")])
def test_many_acknowledgements_leave_before_the_messages_they_are_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, count: int, first: str
) -> None:
    """So that the publisher goes on while the broker still writes; a single message is not made to wait."""
    written: list[str | None] = []
    write_pieces = BrokerConnection.write_pieces

    def noting(self: BrokerConnection, pieces: list[bytes | memoryview]) -> None:
        written.append(self.link.client_id)
        write_pieces(self, pieces)

    async def publish() -> None:
        async with (
            BrokerServer(ServerConfig(port=0)) as server,
            peer(server.address, Version.V5, "subscriber") as subscriber,
            peer(server.address, Version.V5, "publisher") as publisher,
        ):
            await subscribe(subscriber, "t", QoS.AT_LEAST_ONCE)
            monkeypatch.setattr(BrokerConnection, "write_pieces", noting)
            publisher.send(*[Publish("t", b"x", QoS.AT_LEAST_ONCE, packet_id=each + 1) for each in range(count)])
            for client in (publisher, subscriber):
                for _ in range(count):
                    assert isinstance(await client.receive(), PubAck | Publish)

    run(publish())
    assert written[0] == first
    assert set(written) == {"subscriber", "publisher"}


def test_messages_that_expire_cost_no_bystander_its_connection(run: Run) -> None:
    """[5.0 MQTT-3.3.2-5]: each is forgotten when its time is over, and that is a deadline of the broker's."""
    expired = Properties(message_expiry_interval=0)

    async def publish(client: Peer, name: int) -> None:
        for number in range(50):
            client.send(Publish(f"kept/{name}/{number}", b"x", retain=True, properties=expired))
            assert await client.ask(PingReq()) == PingResp()

    async def stand_by(client: Peer) -> None:
        for _ in range(50):
            assert await client.ask(PingReq()) == PingResp()

    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server, contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(peer(server.address, Version.V5, f"c{n}")) for n in range(12)]
            await asyncio.gather(
                *(publish(client, name) for name, client in enumerate(clients[:6])),
                *(stand_by(client) for client in clients[6:]),
            )

    run(main())


def test_peers_that_never_finish_their_handshake_cost_no_bystander_its_connection(
    run: Run, certificates: TestCertificates
) -> None:
    async def main() -> None:
        config = on_free_ports(certificates, BrokerConfig(connect_timeout_seconds=0.5))
        async with (
            BrokerServer(config) as server,
            peer(server.address, Version.V311, "bystander") as bystander,
            contextlib.AsyncExitStack() as stack,
        ):
            address = server.addresses[Transport.TLS]
            silent = []
            for _ in range(50):
                reader, writer = await asyncio.open_connection(address.host, address.port)
                stack.callback(writer.close)
                writer.write(b"\x16\x03\x01")  # how a ClientHello begins
                silent.append(asyncio.ensure_future(reader.read()))
            while not all(each.done() for each in silent):
                assert await bystander.ask(PingReq()) == PingResp()
            await asyncio.gather(*silent)

    run(main())
