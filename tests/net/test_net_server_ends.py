"""A broker on sockets starts and stops, and what it makes of the ends of connections."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import socket
import weakref
from typing import Any

import pytest
from net_peers import Run, everywhere, on_free_ports, peer, subscribe

from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer
from reference_broker.net.stream import AddressInUse, CertificateUnusable, ConnectFailed, dial
from reference_broker.net.tls import TestCertificates
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Publish,
    Will,
)
from reference_broker.wire.types import ReasonCode, Version

pytestmark = pytest.mark.usefixtures("on_both_loops")


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


def test_hundreds_of_brokers_start_and_stop_in_one_loop(run: Run, certificates: TestCertificates) -> None:
    async def main() -> None:
        for _ in range(200):
            async with (
                BrokerServer(ServerConfig(port=0)) as server,
                peer(server.address, Version.V311, "c") as client,
            ):
                assert await client.ask(PingReq()) == PingResp()

    run(main())


def test_what_a_connection_was_is_let_go_as_it_ends_and_not_when_garbage_is_looked_for(run: Run) -> None:
    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server:
            stream = await dial(server.address)
            stream.write(encode(Connect(Version.V311, "c"), Version.V311))
            await stream.read()
            gone = asyncio.Event()
            for connection in server.connections.values():
                weakref.finalize(connection._transport, gone.set)
            del connection
            stream.close()
            await stream.wait_closed()
            async with asyncio.timeout(5):
                await gone.wait()

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()
