"""The tap on real sockets: transports, ends, faults over reconnections, segments."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from tap_peers import (
    BROKER,
    CLIENT,
    CONNACK,
    CONNECT,
    PATIENCE_SECONDS,
    PUBACK,
    PUBLISH,
    V311,
    ended,
    read_exactly,
    run,
    tapped,
)

from interop.tap.link import How, Link, When
from interop.tap.trace import Fate, Kind, Sender, Trace
from reference_broker.net.address import Address, Transport
from reference_broker.net.stream import dial
from reference_broker.net.tls import TestCertificates, make_test_certificates
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Packet, PubAck, Publish
from reference_broker.wire.types import PacketType, Version

pytestmark = pytest.mark.usefixtures("on_both_loops")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> TestCertificates:
    return make_test_certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.mark.parametrize("transport", list(Transport))
def test_bytes_cross_both_ways_over_every_transport(transport: Transport, certificates: TestCertificates) -> None:
    async def story() -> None:
        async with tapped(transport, certificates if transport.is_encrypted else None) as peers:
            assert peers.address.transport is transport
            client, broker = await peers.connect()
            client.write(CONNECT)
            assert await read_exactly(broker, len(CONNECT)) == CONNECT
            broker.write(CONNACK)
            assert await read_exactly(client, len(CONNACK)) == CONNACK
            client.close()
            assert await ended(broker) == "FIN"
            assert peers.story() == [
                "1 open client forwarded",
                "1 packet client forwarded",
                "1 packet broker forwarded",
                "1 close client forwarded FIN",
            ]

    run(story)


@pytest.mark.parametrize("first", [CLIENT, BROKER])
@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_the_first_end_is_recorded_and_reaches_the_other_side_as_it_was(first: Sender, how: str) -> None:
    async def story() -> None:
        async with tapped() as peers:
            client, broker = await peers.connect()
            one, other = (client, broker) if first is CLIENT else (broker, client)
            if how == "FIN":
                one.close()
            else:
                one.abort()
            assert await ended(other) == how
            await peers.seen(2)
            assert peers.story()[1:] == [f"1 close {first} forwarded {how}"]
            assert not peers.link.is_open(CLIENT)
            assert not peers.link.is_open(BROKER)

    run(story)


@pytest.mark.parametrize("how", [How.FIN, How.RST])
@pytest.mark.parametrize("deliver", [False, True])
def test_a_cut_ends_both_sides_before_or_after_the_packet(how: How, deliver: bool) -> None:
    async def story() -> None:
        async with tapped() as peers:
            peers.link.cut(how, When(PacketType.PUBLISH, CLIENT), deliver)
            client, broker = await peers.connect()
            client.write(CONNECT + PUBLISH)
            await read_exactly(broker, len(CONNECT) + (len(PUBLISH) if deliver else 0))
            assert await ended(broker) == str(how)
            assert await ended(client) == str(how)
            fate = "forwarded" if deliver else "lost"
            assert peers.story()[2:] == [
                f"1 packet client {fate}",
                f"1 fault harness forwarded cut ({how}) at PUBLISH from client",
                f"1 close harness forwarded {how}",
            ]

    run(story)


def test_a_silent_connection_stays_open_on_both_sides_while_a_new_one_works() -> None:
    async def story() -> None:
        async with tapped() as peers:
            client, broker = await peers.connect()
            peers.link.cut(How.SILENCE)
            client.write(CONNECT)
            await peers.seen(3)
            assert peers.trace.entries[-1].fate is Fate.LOST
            new_client, new_broker = await peers.connect()
            new_client.write(CONNECT)
            await read_exactly(new_broker, len(CONNECT))
            assert not broker.peer_has_ended
            assert not client.peer_has_ended
            broker.close()
            await peers.seen(6)
            assert peers.story()[-1] == "1 close broker lost FIN"
            assert not client.peer_has_ended
            assert peers.link.connections == 2

    run(story)


def test_a_frozen_link_keeps_bytes_and_ends_until_it_thaws() -> None:
    async def story() -> None:
        async with tapped() as peers:
            client, broker = await peers.connect()
            peers.link.freeze()
            client.write(CONNECT)
            await peers.seen(3)
            client.close()
            await peers.seen(4)
            assert not broker.peer_has_ended
            assert not peers.link.is_open(CLIENT)
            assert peers.link.is_open(BROKER)
            peers.link.thaw()
            assert await read_exactly(broker, len(CONNECT)) == CONNECT
            assert await ended(broker) == "FIN"
            assert peers.story()[1:] == [
                "1 fault harness forwarded freeze",
                "1 packet client held",
                "1 close client held FIN",
                "1 fault harness released thaw",
                "1 packet client released",
                "1 close client released FIN",
            ]

    run(story)


def test_an_armed_fault_counts_over_reconnections_and_fires_once() -> None:
    async def story() -> None:
        async with tapped() as peers:
            peers.link.cut(How.FIN, When(PacketType.PUBLISH, CLIENT, nth=2))
            for _ in range(2):
                client, broker = await peers.connect()
                client.write(CONNECT + PUBLISH)
                arriving = CONNECT + PUBLISH if peers.link.connections == 1 else CONNECT
                assert await read_exactly(broker, len(arriving)) == arriving
                if peers.link.connections == 1:
                    client.close()
                assert await ended(broker) == "FIN"
            client, broker = await peers.connect()
            client.write(CONNECT + PUBLISH + PUBLISH)
            await read_exactly(broker, len(CONNECT) + 2 * len(PUBLISH))
            faults = [entry for entry in peers.trace if entry.kind is Kind.FAULT]
            assert [entry.connection for entry in faults] == [2]
            assert peers.trace.last_fault("pub") == faults[0].index

    run(story)


def test_a_delayed_packet_goes_when_its_time_has_come_and_keeps_its_place() -> None:
    async def story() -> None:
        async with tapped() as peers:
            peers.link.delay(When(PacketType.CONNECT, CLIENT), 0.05)
            client, broker = await peers.connect()
            client.write(CONNECT + PUBLISH)
            assert await read_exactly(broker, len(CONNECT) + len(PUBLISH)) == CONNECT + PUBLISH
            sent, released = peers.trace.sent_by(CLIENT, "pub")[0], peers.trace.received_by(BROKER, "pub")[0]
            assert 0.05 <= released.at - sent.at < 0.5

    run(story)


class Segments(asyncio.Protocol):
    """A peer that notes how many bytes each read gave it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.sizes.append(len(data))

    def eof_received(self) -> None:
        self.ended.set_result(None)


def test_split_bytes_arrive_in_segments_of_one_and_the_end_comes_behind_them() -> None:
    async def story() -> None:
        peer = Segments()
        server = await asyncio.get_running_loop().create_server(lambda: peer, "127.0.0.1", 0)
        upstream = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        link = Link("pub", upstream=upstream, version=V311, trace=Trace(time.monotonic))
        client = await dial(await link.open())
        link.split(CLIENT)
        client.write(CONNECT + PUBLISH)
        client.close()
        await asyncio.wait_for(peer.ended, PATIENCE_SECONDS)
        assert peer.sizes == [1] * len(CONNECT + PUBLISH)
        await link.close()
        await client.wait_closed()
        server.close()

    run(story)


def test_an_injected_packet_arrives_though_nobody_sent_it() -> None:
    async def story() -> None:
        async with tapped() as peers:
            with pytest.raises(RuntimeError, match="has not connected"):
                peers.link.inject(CLIENT, PUBACK)
            client, broker = await peers.connect()
            await peers.seen(1)
            peers.link.inject(CLIENT, PubAck(1))
            assert await read_exactly(client, len(PUBACK)) == PUBACK
            peers.link.inject(BROKER, PUBLISH[:3])
            assert await read_exactly(broker, 3) == PUBLISH[:3]
            packet, half = peers.trace.entries[-2:]
            assert (packet.kind, packet.sender, packet.receiver) == (Kind.PACKET, Sender.HARNESS, CLIENT)
            assert (half.kind, half.fate, half.receiver) == (Kind.MALFORMED, Fate.INJECTED, BROKER)
            assert not peers.trace.sent_by(CLIENT, "pub")
            assert not peers.trace.sent_by(BROKER, "pub")

    run(story)


def test_without_a_broker_the_connection_ends_and_the_trace_says_why() -> None:
    async def story() -> None:
        trace = Trace(time.monotonic)
        silent = socket.socket()  # has its port, so that nobody else gets it, and does not listen there
        silent.bind(("127.0.0.1", 0))
        upstream = Address(*silent.getsockname())
        link = Link("pub", upstream=upstream, version=V311, trace=trace)
        client = await dial(await link.open())
        assert await ended(client) == "FIN"
        close = trace.entries[-1]
        assert (close.kind, close.sender) == (Kind.CLOSE, Sender.HARNESS)
        assert close.note.startswith("no broker: ")
        assert str(upstream.port) in close.note
        assert not link.is_open(CLIENT)
        client.close()
        await link.close()
        silent.close()
        await client.wait_closed()

    run(story)


def test_a_fault_without_a_connection_leaves_a_line_and_nothing_else() -> None:
    async def story() -> None:
        async with tapped() as peers:
            peers.link.cut(How.FIN)
            peers.link.freeze()
            assert [entry.note for entry in peers.trace] == ["cut (FIN): no connection", "freeze: no connection"]
            client, broker = await peers.connect()
            client.write(CONNECT)
            assert await read_exactly(broker, len(CONNECT)) == CONNECT

    run(story)


def test_a_large_packet_crosses_whole_and_is_recorded_once() -> None:
    async def story() -> None:
        big = encode(Publish("t", bytes(3_000_000)), V311)
        async with tapped() as peers:
            client, broker = await peers.connect()
            client.write(big)
            assert await read_exactly(broker, len(big)) == big
            (entry,) = peers.trace.sent_by(CLIENT, "pub")
            packet: Packet | None = entry.packet
            assert isinstance(packet, Publish)
            assert len(packet.payload) == 3_000_000

    run(story)


def test_half_a_packet_is_passed_on_after_a_moment_but_recorded_when_complete() -> None:
    async def story() -> None:
        async with tapped() as peers:
            client, broker = await peers.connect()
            client.write(PUBLISH[:4])
            assert await read_exactly(broker, 4) == PUBLISH[:4]
            assert not peers.trace.sent_by(CLIENT, "pub")
            client.write(PUBLISH[4:])
            assert await read_exactly(broker, len(PUBLISH) - 4) == PUBLISH[4:]
            (entry,) = peers.trace.sent_by(CLIENT, "pub")
            assert entry.data == PUBLISH
            assert Reader(V311).version is V311

    run(story)


def test_a_rewrite_that_cannot_be_made_is_reported_and_changes_nothing() -> None:
    async def story() -> None:
        async with tapped() as peers:
            peers.link.rewrite(When(PacketType.PUBLISH, CLIENT), lambda packet: Publish("a/#"))
            client, broker = await peers.connect()
            client.write(PUBLISH)
            assert await read_exactly(broker, len(PUBLISH)) == PUBLISH
            (failure,) = peers.link.failures
            assert "wildcard" in str(failure)

    run(story)


def test_certificates_are_kept_out_of_a_plain_link(tmp_path: Path) -> None:
    async def story() -> None:
        async with tapped() as peers:
            assert peers.address.ca_file is None

    run(story)


def test_each_connection_is_known_by_the_version_that_was_asked_for_when_it_began() -> None:
    link = Link("one", upstream=Address("127.0.0.1", 1), version=Version.V311, trace=Trace(lambda: 0.0))
    assert (link.version, link.version_asked(0), link.version_asked(1)) == (Version.V311,) * 3
    link.speak(Version.V5)
    link.speak(Version.V31)  # nobody came in between
    assert [link.version_asked(number) for number in (0, 1, 2)] == [Version.V311, Version.V31, Version.V31]


def test_a_fault_that_was_forgotten_befalls_nothing() -> None:
    async def story() -> None:
        async with tapped() as peers:
            client, broker = await peers.connect()
            peers.link.drop(When(PacketType.CONNECT, CLIENT))
            peers.link.disarm()
            client.write(CONNECT)
            assert await read_exactly(broker, len(CONNECT)) == CONNECT

    run(story)


def test_a_link_listens_where_it_is_told_to() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        upstream, listening = Address("127.0.0.1", 1), Address("127.0.0.1", port)
        link = Link("actor", upstream=upstream, version=V311, trace=Trace(time.monotonic), listening=listening)
        assert await link.open() == listening
        await link.close()

    run(story)
