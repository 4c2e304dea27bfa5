"""The broker on sockets: all versions on all transports, starting and stopping, and peers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerConnection, BrokerServer
from reference_broker.net.stream import AddressInUse, CertificateUnusable, ConnectFailed, Stream, dial
from reference_broker.net.tls import TestCertificates
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import Change, StoreFull
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
    Will,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import ConnectReturnCode, QoS, ReasonCode, Version, is_error

pytestmark = pytest.mark.usefixtures("on_both_loops")

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


def test_the_context_manager_frees_its_ports(run: Run, certificates: TestCertificates) -> None:
    async def main() -> None:
        async with BrokerServer(on_free_ports(certificates)) as server:
            addresses = server.addresses
        for address in addresses.values():
            with pytest.raises(ConnectFailed, match="Connection refused"):
                await dial(address)
        again = dataclasses.replace(on_free_ports(certificates), port=addresses[Transport.TCP].port)
        async with BrokerServer(again) as server:
            assert server.address == addresses[Transport.TCP]

    run(main())


def test_a_port_in_use_is_named_and_leaves_no_other_listener_open(run: Run, certificates: TestCertificates) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
            port = taken.getsockname()[1]
            other = free.getsockname()[1]
            free.close()
            server = BrokerServer(dataclasses.replace(on_free_ports(certificates), port=other, wss_port=port))
            with pytest.raises(AddressInUse, match=f"cannot listen on 127.0.0.1:{port}: the port is already in use"):
                await server.start()
            with pytest.raises(ConnectFailed, match="Connection refused"):
                await dial(Address("127.0.0.1", other))

    run(main())


def test_a_certificate_that_cannot_be_read_is_named(run: Run, certificates: TestCertificates) -> None:
    async def main() -> None:
        missing = certificates.cert_file.with_name("absent.pem")
        server = BrokerServer(dataclasses.replace(on_free_ports(certificates), cert=missing))
        with pytest.raises(CertificateUnusable, match=f"cannot read {missing}: No such file or directory"):
            await server.start()

    run(main())


@everywhere
def test_shutting_down_tells_5_0_clients_why_and_ends_every_connection(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        server = BrokerServer(on_free_ports(certificates))
        await server.start()
        address = server.addresses[transport]
        async with peer(address, Version.V5, "new") as new, peer(address, Version.V311, "old") as old:
            closing = asyncio.create_task(server.close())
            goodbye = await new.receive()
            assert isinstance(goodbye, Disconnect)
            assert goodbye.reason == ReasonCode.SERVER_SHUTTING_DOWN
            assert await new.receive() is None
            assert await old.receive() is None
            for client in (new, old):
                assert client.stream.error is None
                client.stream.close()
            await closing
        assert not server.connections

    run(main())


def test_shutting_down_does_not_wait_for_clients_that_never_end(
    run: Run, certificates: TestCertificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reference_broker.net.server._GOODBYE_SECONDS", 0.01)

    async def main() -> None:
        server = BrokerServer(on_free_ports(certificates))
        await server.start()
        async with peer(server.address, Version.V311, "frozen") as frozen:
            frozen.stream.pause_reading()
            await server.close()

    run(main())


def test_a_disconnected_client_gets_fin_though_it_was_still_sending(run: Run, certificates: TestCertificates) -> None:
    """What the broker said last must reach the client: RST would make it lose that."""

    async def main() -> None:
        config = on_free_ports(certificates, BrokerConfig(maximum_packet_size=1000))
        async with BrokerServer(config) as server, peer(server.address, Version.V5, "big") as client:
            client.send(Publish("t", bytes(3_000_000)))
            goodbye = await client.receive()
            assert isinstance(goodbye, Disconnect)
            assert goodbye.reason == ReasonCode.PACKET_TOO_LARGE
            assert await client.receive() is None

    run(main())


@pytest.mark.parametrize("ending", ["close", "abort"])
@everywhere
def test_a_client_that_goes_without_disconnect_leaves_its_will(
    run: Run, transport: Transport, certificates: TestCertificates, ending: str
) -> None:
    async def main() -> None:
        async with (
            BrokerServer(on_free_ports(certificates)) as server,
            peer(server.address, Version.V5, "watcher") as watcher,
        ):
            await subscribe(watcher, "gone")
            async with peer(server.addresses[transport], Version.V5, "victim", will=Will("gone", b"w")) as victim:
                getattr(victim.stream, ending)()
                assert await watcher.receive() == Publish("gone", b"w")

    run(main())


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.WS])
def test_a_disconnect_that_came_before_a_reset_counts(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    """A client that closes with messages unread resets the connection behind its goodbye. [MQTT-3.14.4-3]"""

    async def main() -> None:
        config = on_free_ports(certificates)
        async with BrokerServer(config) as server, peer(server.address, Version.V5, "watcher") as watcher:
            await subscribe(watcher, "#")
            async with peer(server.addresses[transport], Version.V5, "going", will=Will("gone", b"w")) as going:
                await subscribe(going, "to/going")
                (connection,) = [c for link, c in server.connections.items() if link.client_id == "going"]
                connection.pause_reading()
                going.send(Disconnect())
                going.stream.abort()
                await going.stream.wait_closed()
                watcher.send(Publish("to/going", b"1"))
                assert await watcher.receive() == Publish("to/going", b"1")
                watcher.send(Publish("to/nobody", b"2"))
                assert await watcher.receive() == Publish("to/nobody", b"2")

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


def test_a_text_frame_ends_the_connection_and_leaves_the_will(
    run: Run, certificates: TestCertificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with (
            BrokerServer(on_free_ports(certificates)) as server,
            peer(server.address, Version.V5, "watcher") as watcher,
        ):
            await subscribe(watcher, "gone")
            address = server.addresses[Transport.WS]
            async with peer(address, Version.V5, "victim", will=Will("gone", b"w")) as victim:
                websocket: Any = victim.stream._wrapping
                websocket._protocol.send_text(b"no")
                victim.stream._write_reply(websocket)
                assert await watcher.receive() == Publish("gone", b"w")
                assert await victim.receive() is None

    run(main())
    (line,) = caplog.messages
    assert "MQTT-6.0.0-1" in line


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


def test_hundreds_of_brokers_start_and_stop_in_one_loop(run: Run, certificates: TestCertificates) -> None:
    async def main() -> None:
        for _ in range(200):
            async with (
                BrokerServer(ServerConfig(port=0)) as server,
                peer(server.address, Version.V311, "c") as client,
            ):
                assert await client.ask(PingReq()) == PingResp()

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


# --- a store ---------------------------------------------------------------------------------------------------------


def retained_in(store: MemoryStore) -> list[bytes]:
    return [value[-5:-1] for key, value in store.rows.items() if key.startswith(b"r")]


def keeping(store: MemoryStore) -> BrokerServer:
    return BrokerServer(ServerConfig(port=0), open_store=lambda _run_beside: store)


def test_nothing_is_acknowledged_that_is_not_kept_and_a_server_that_aborts_keeps_nothing_more(run: Run) -> None:
    async def main() -> list[list[bytes]]:
        store = MemoryStore()
        server = keeping(store)
        await server.start()
        peer = Peer(await dial(server.address), Version.V5)
        await peer.ask(Connect(Version.V5, "c", will=Will("gone", b"will", QoS.AT_LEAST_ONCE, True)))
        assert isinstance(await peer.ask(Publish("t", b"kept", QoS.AT_LEAST_ONCE, True, packet_id=1)), PubAck)
        kept = retained_in(store)
        server.abort()
        with contextlib.suppress(ConnectionError):
            assert await peer.receive() is None
        with pytest.raises(ConnectFailed):
            await dial(server.address)
        await peer.leave()
        return [kept, retained_in(store)]

    assert run(main()) == [[b"kept"], [b"kept"]]


class FullDisk(MemoryStore):
    """Has no room, when told so."""

    is_full = False

    def commit(self, changes: Sequence[Change]) -> None:
        if self.is_full:
            raise StoreFull("state.db: no space left on device: make room")
        super().commit(changes)


def test_what_cannot_be_kept_is_refused_and_the_rest_is_served(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[Packet | None]:
        store = FullDisk()
        async with keeping(store) as server:
            first = Peer(await dial(server.address), Version.V5)
            await first.ask(Connect(Version.V5, "first"))
            other = Peer(await dial(server.address), Version.V5)
            await other.ask(Connect(Version.V5, "other"))
            store.is_full = True
            retained = Publish("t", b"lost", QoS.AT_LEAST_ONCE, True, packet_id=1)
            seen: list[Packet | None] = [await first.ask(retained)]
            seen.append(await other.ask(retained))
            seen.append(await other.ask(Publish("t", b"nobody keeps it", QoS.AT_LEAST_ONCE, packet_id=2)))
            old = Peer(await dial(server.address), Version.V311)
            seen.append(await old.ask(Connect(Version.V311, "old", clean_start=False)))
            store.is_full = False
            for peer in (first, other, old):
                await peer.leave()
        return seen

    refused, second, third, old = run(main())
    assert isinstance(refused, Disconnect)
    assert refused.reason == ReasonCode.QUOTA_EXCEEDED
    assert isinstance(second, PubAck)
    assert second.reason == ReasonCode.QUOTA_EXCEEDED
    assert isinstance(third, PubAck)
    assert not is_error(third.reason)
    assert old == ConnAck(False, ConnectReturnCode.SERVER_UNAVAILABLE)
    assert "no space left on device" in caplog.text
