"""The broker on sockets: all versions on all transports, and its timers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

import pytest
from net_peers import Peer, Run, everywhere, on_free_ports, peer, subscribe

from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.connection import Connection
from reference_broker.net.server import BrokerServer
from reference_broker.net.stream import dial
from reference_broker.net.tls import TestCertificates
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
)
from reference_broker.wire.types import QoS, Version

pytestmark = pytest.mark.usefixtures("on_both_loops")


@everywhere
def test_every_version_talks_to_every_other_on_one_port(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async with BrokerServer(on_free_ports(certificates)) as server, contextlib.AsyncExitStack() as stack:
            peers = {
                version: await stack.enter_async_context(peer(server.addresses[transport], version, version.label))
                for version in Version
            }
            for client in peers.values():
                await subscribe(client, "t/+", QoS.AT_LEAST_ONCE)
            for publisher in Version:
                publish = Publish(f"t/{publisher.label}", b"\x00\xff", QoS.AT_LEAST_ONCE, packet_id=7)
                peers[publisher].send(publish)
                for receiver, client in peers.items():
                    packets = [await client.receive() for _ in range(2 if receiver is publisher else 1)]
                    (message,) = [packet for packet in packets if isinstance(packet, Publish)]
                    assert (message.topic, message.payload, message.qos) == (publish.topic, b"\x00\xff", 1)
                    assert receiver is not publisher or PubAck(7) in packets
                    assert message.packet_id is not None
                    client.send(PubAck(message.packet_id))
            for client in peers.values():
                assert await client.ask(PingReq()) == PingResp()

    run(main())


def test_clients_on_different_transports_meet_in_one_broker(run: Run, certificates: TestCertificates) -> None:
    async def main() -> None:
        async with BrokerServer(on_free_ports(certificates)) as server, contextlib.AsyncExitStack() as stack:
            assert list(server.addresses) == list(Transport)
            assert server.address == server.addresses[Transport.TCP]
            peers = [
                await stack.enter_async_context(peer(address, Version.V5, transport))
                for transport, address in server.addresses.items()
            ]
            for client in peers:
                await subscribe(client, "#")
            peers[-1].send(Publish("from/wss", b"x"))
            for client in peers:
                assert await client.receive() == Publish("from/wss", b"x")

    run(main())


@everywhere
def test_packets_that_arrive_byte_by_byte_are_understood(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async with BrokerServer(on_free_ports(certificates)) as server:
            stream = await dial(server.addresses[transport])
            for byte in encode(Connect(Version.V311, "slow"), Version.V311) + encode(PingReq(), Version.V311):
                stream.write(bytes([byte]))
                await asyncio.sleep(0)
            client = Peer(stream, Version.V311)
            assert await client.receive() == ConnAck()
            assert await client.receive() == PingResp()
            await client.leave()

    run(main())


def test_timers_run_without_any_traffic(run: Run, certificates: TestCertificates) -> None:
    async def main() -> None:
        config = on_free_ports(certificates, BrokerConfig(connect_timeout_seconds=0.02))
        async with BrokerServer(config) as server:
            for address in server.addresses.values():  # where there is a handshake, it counts
                reader, writer = await asyncio.open_connection(address.host, address.port)
                with contextlib.suppress(ConnectionResetError):
                    assert len(await reader.read()) < 100
                writer.close()
                await writer.wait_closed()

    run(main())


def test_a_websocket_client_may_offer_the_old_sub_protocol_but_not_none(
    run: Run, certificates: TestCertificates
) -> None:
    request = (
        "GET /any/path HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{}\r\n"
    )

    async def ask(address: Address, header: str) -> bytes:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(request.format(header).encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        return answer

    async def main() -> None:
        async with BrokerServer(on_free_ports(certificates)) as server:
            address = server.addresses[Transport.WS]
            for offer, chosen in {"mqtt": b"mqtt", "mqttv3.1": b"mqttv3.1", "mqttv3.1, mqtt": b"mqtt"}.items():
                answer = await ask(address, f"Sec-WebSocket-Protocol: {offer}\r\n")
                assert answer.startswith(b"HTTP/1.1 101 ")
                assert b"Sec-WebSocket-Protocol: " + chosen + b"\r\n" in answer
            for header in ("", "Sec-WebSocket-Protocol: soap\r\n"):
                assert (await ask(address, header)).startswith(b"HTTP/1.1 400 ")

    run(main())


def test_any_client_that_trusts_the_authority_gets_tls_1_2_or_newer(run: Run, certificates: TestCertificates) -> None:
    async def main() -> None:
        context = ssl.create_default_context(cafile=certificates.ca_file)
        async with BrokerServer(on_free_ports(certificates)) as server:
            address = server.addresses[Transport.TLS]
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
            assert writer.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}
            writer.close()
            await writer.wait_closed()

    run(main())


def test_nagle_is_off_on_the_brokers_side(run: Run, certificates: TestCertificates) -> None:
    async def main() -> None:
        async with BrokerServer(on_free_ports(certificates)) as server, peer(server.address, Version.V311, "c"):
            (connection,) = server.connections.values()
            assert connection._transport is not None
            sock = connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1

    run(main())


# --- timers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.0004, 0.0006, 0.01])
def test_the_broker_is_woken_for_a_deadline_however_near_and_whatever_comes_meanwhile(run: Run, seconds: float) -> None:
    """uvloop's `call_at` gives a handle without a time for what is due or less than half a millisecond away."""

    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            fired: asyncio.Future[float] = asyncio.get_running_loop().create_future()
            deadline = server.now() + seconds
            server.broker.house.timers.at(server.now() + 60, lambda now: None)
            server.flush()
            server.broker.house.timers.at(deadline, fired.set_result)
            for _ in range(3):  # the first sets the timer, the others find it there
                server.flush()
            assert await fired >= deadline

    run(main())


def test_a_deadline_that_moves_away_leaves_the_timer_and_one_that_comes_nearer_replaces_it(run: Run) -> None:
    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            handles = []
            for seconds in (60.0, 120.0, 30.0):
                server.broker.house.timers.at(server.now() + seconds, lambda now: None)
                server.flush()
                assert server._timer is not None
                handles.append(server._timer)
            first, second, third = handles
            assert second is first
            assert first.cancelled()
            assert not third.cancelled()

    run(main())


def test_asyncio_reads_every_connection_into_one_buffer_and_uvloop_into_its_own(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffers = []
    real = Connection.get_buffer

    def get_buffer(connection: Connection, sizehint: int) -> memoryview:
        buffers.append(real(connection, sizehint).obj)
        return real(connection, sizehint)

    monkeypatch.setattr(Connection, "get_buffer", get_buffer)

    async def main() -> bool:
        async with (
            BrokerServer(ServerConfig(port=0)) as server,
            peer(server.address, Version.V5, "a") as one,
            peer(server.address, Version.V5, "b") as other,
        ):
            assert await one.ask(PingReq()) == await other.ask(PingReq()) == PingResp()
        return type(asyncio.get_running_loop()).__module__.startswith("asyncio")

    is_own = run(main())
    assert len({id(each) for each in buffers}) == is_own
