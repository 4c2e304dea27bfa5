"""The network between tap and broker on real sockets: time, order, ends, pieces, what comes together."""

from __future__ import annotations

import asyncio
import time

import pytest
from tap_peers import BROKER, CLIENT, CONNACK, CONNECT, PUBACK, PUBLISH, V311, ended, read_exactly, run, tapped

from interop.tap.distant import MOST_UNDER_WAY_BYTES
from interop.tap.link import How, Link, When
from interop.tap.network import Network
from interop.tap.trace import Kind, Sender, Trace
from reference_broker.net.address import Address, Transport
from reference_broker.net.stream import Stream, dial, listen
from reference_broker.net.tls import TestCertificates, make_test_certificates
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Publish
from reference_broker.wire.types import PacketType

pytestmark = pytest.mark.usefixtures("on_both_loops")

DELAY_SECONDS = 0.03
FAR = Network(delay_seconds=DELAY_SECONDS)
UNSTEADY = Network(jitter_seconds=0.01)
IN_PIECES = Network(piece_bytes=1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> TestCertificates:
    return make_test_certificates(tmp_path_factory.mktemp("tls") / "certificates")


async def reads(stream: Stream, size: int) -> list[bytes]:
    """What each read gave, until there are that many bytes."""
    found: list[bytes] = []
    while sum(map(len, found)) < size:
        data = await stream.read()  # at once, or the next piece would be there as well
        assert data, f"ended after {sum(map(len, found))} bytes"
        found.append(data)
    return found


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("network", [FAR, IN_PIECES, Network(gather_seconds=0.005)], ids=str)
def test_bytes_cross_both_ways_and_the_end_behind_them_over_every_transport(
    transport: Transport, network: Network, certificates: TestCertificates
) -> None:
    async def story() -> None:
        async with tapped(transport, certificates if transport.is_encrypted else None, network) as peers:
            client, broker = await peers.connect()
            client.write(CONNECT)
            assert await read_exactly(broker, len(CONNECT)) == CONNECT
            broker.write(CONNACK)
            assert await read_exactly(client, len(CONNACK)) == CONNACK
            client.write(PUBLISH * 3)
            client.close()
            assert await read_exactly(broker, 3 * len(PUBLISH)) == PUBLISH * 3
            assert await ended(broker) == "FIN"

    run(story)


def test_each_way_takes_the_delay_and_so_does_the_connection() -> None:
    async def story() -> None:
        async with tapped(network=FAR) as peers:
            began = time.monotonic()
            client, broker = await peers.connect()
            assert time.monotonic() - began >= DELAY_SECONDS
            client.write(CONNECT)
            await read_exactly(broker, len(CONNECT))
            reached = time.monotonic()
            broker.write(CONNACK)
            await read_exactly(client, len(CONNACK))
            there, back = peers.trace.sent_by(CLIENT, "pub")[0].at, peers.trace.sent_by(BROKER, "pub")[0].at
            assert reached - there >= DELAY_SECONDS
            assert back - reached >= DELAY_SECONDS

    run(story)


@pytest.mark.parametrize("how", [How.FIN, How.RST])
@pytest.mark.parametrize("network", [FAR, UNSTEADY, IN_PIECES, Network(gather_seconds=0.005)], ids=str)
def test_a_cut_behind_a_packet_reaches_the_broker_behind_it(how: How, network: Network) -> None:
    async def story() -> None:
        async with tapped(network=network) as peers:
            peers.link.cut(how, When(PacketType.PUBLISH, CLIENT), deliver=True)
            client, broker = await peers.connect()
            client.write(CONNECT + PUBLISH)
            assert await read_exactly(broker, len(CONNECT + PUBLISH)) == CONNECT + PUBLISH
            assert await ended(broker) == str(how)
            assert await ended(client) == str(how)

    run(story)


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_the_broker_s_end_comes_behind_what_it_sent_and_as_late(how: str) -> None:
    async def story() -> None:
        async with tapped(network=FAR) as peers:
            client, broker = await peers.connect()
            client.write(CONNECT)
            await read_exactly(broker, len(CONNECT))
            broker.write(CONNACK)
            await asyncio.sleep(0.005)  # what an RST overtakes in the kernel is none of ours
            began = time.monotonic()
            if how == "FIN":
                broker.close()
            else:
                broker.abort()
            assert await read_exactly(client, len(CONNACK)) == CONNACK
            assert await ended(client) == how
            closing = peers.trace.closed_by(BROKER, "pub", 1)
            assert closing is not None
            assert closing.note == how
            assert closing.at - began >= DELAY_SECONDS

    run(story)


def test_what_the_client_still_gets_after_its_own_end_is_nobody_s_packet() -> None:
    async def story() -> None:
        async with tapped(network=FAR) as peers:
            client, broker = await peers.connect()
            client.write(CONNECT)
            await read_exactly(broker, len(CONNECT))
            broker.write(CONNACK)
            client.close()
            assert await ended(broker) == "FIN"
            broker.close()
            await peers.link.broker_notices()
            assert [entry.kind for entry in peers.trace] == [Kind.OPEN, Kind.PACKET, Kind.CLOSE]

    run(story)


def test_only_a_publish_to_a_subscriber_is_late_and_what_follows_stays_behind_it() -> None:
    async def story() -> None:
        async with tapped(network=Network(to_subscriber_seconds=0.2)) as peers:
            client, broker = await peers.connect()
            client.write(CONNECT)
            await read_exactly(broker, len(CONNECT))
            began = time.monotonic()
            broker.write(CONNACK + PUBLISH + PUBACK)
            await read_exactly(client, len(CONNACK + PUBLISH + PUBACK))
            connack, publish, puback = (entry.at - began for entry in peers.trace.sent_by(BROKER, "pub"))
            assert connack < publish - 0.05
            assert publish >= 0.2
            assert puback >= publish

    run(story)


@pytest.mark.parametrize("receiver", [CLIENT, BROKER])
@pytest.mark.parametrize("network", [IN_PIECES, Network(delay_seconds=0.01, piece_bytes=1)], ids=str)
def test_pieces_arrive_one_by_one_at_either_side(receiver: Sender, network: Network) -> None:
    async def story() -> None:
        async with tapped(network=network) as peers:
            client, broker = await peers.connect()
            sender, target = (broker, client) if receiver is CLIENT else (client, broker)
            sender.write(PUBLISH)
            assert await reads(target, len(PUBLISH)) == [PUBLISH[at : at + 1] for at in range(len(PUBLISH))]

    run(story)


def test_a_large_packet_begins_and_ends_in_pieces_and_is_whole() -> None:
    async def story() -> None:
        packet = encode(Publish("t", bytes(range(256)) * 1_000), V311)
        async with tapped(network=IN_PIECES) as peers:
            client, broker = await peers.connect()
            client.write(packet)
            found = await reads(broker, len(packet))
            assert b"".join(found) == packet
            assert [len(each) for each in (*found[:60], *found[-60:])] == [1] * 120

    run(story)


def test_many_packets_at_once_are_not_held_up_by_pieces() -> None:
    async def story() -> None:
        async with tapped(network=IN_PIECES) as peers:
            client, broker = await peers.connect()
            client.write(PUBLISH * 3_000)
            found = await reads(broker, len(PUBLISH) * 3_000)
            assert b"".join(found) == PUBLISH * 3_000
            assert [len(each) for each in found[:900]] == [1] * 900
            assert len(found) < 4_000 < len(PUBLISH) * 3_000

    run(story)


@pytest.mark.parametrize(
    ("network", "receiver"),
    [
        (Network(gather_seconds=0.05), BROKER),
        (Network(gather_seconds=0.05), CLIENT),
        (Network(answers_together=True), CLIENT),
    ],
    ids=str,
)
def test_what_comes_together_is_one_read(network: Network, receiver: Sender) -> None:
    async def story() -> None:
        async with tapped(network=network) as peers:
            client, broker = await peers.connect()
            sender, target = (broker, client) if receiver is CLIENT else (client, broker)
            peers.link.throttle(receiver, 1_000_000)  # of the other way: packets go one by one, nothing else changes
            sender.write(PUBLISH * 20)
            assert await reads(target, 20 * len(PUBLISH)) == [PUBLISH * 20]

    run(story)


@pytest.mark.parametrize("network", [FAR, Network(piece_bytes=60_000)], ids=str)
def test_a_peer_that_does_not_read_stops_the_sender_and_a_bounded_amount_is_kept(network: Network) -> None:
    async def story() -> None:
        payload = bytes(60_000)
        packet = encode(Publish("t", payload), V311)
        async with tapped(network=network) as peers:
            client, broker = await peers.connect()
            broker.pause_reading()
            sent = 0
            while sent < 120 * MOST_UNDER_WAY_BYTES:
                client.write(packet)
                try:
                    await asyncio.wait_for(client.drain(), 0.3)
                except TimeoutError:
                    break
                sent += len(packet)
            assert sent < 100 * MOST_UNDER_WAY_BYTES  # the kernel holds some, for each of two connections
            peers.link.cut(How.RST)  # and it does not wait for who does not read
            assert await ended(client) == "RST"
            broker.resume_reading()
            with pytest.raises(ConnectionResetError):
                await reads(broker, 2 * sent)

    run(story)


def test_a_link_that_closes_waits_for_nothing_that_is_under_way() -> None:
    async def story() -> None:
        began = time.monotonic()
        async with tapped(network=Network(delay_seconds=1.0)) as peers:
            peers.clients.append(await dial(peers.address))
            await peers.seen(1)
        assert time.monotonic() - began < 0.9

    run(story)


def test_a_broker_that_is_not_there_is_missed_a_round_trip_later() -> None:
    async def nobody(stream: Stream) -> None:
        await stream.wait_closed()

    async def story() -> None:
        server = await listen(Address("127.0.0.1", 0), nobody)
        await server.close()
        trace = Trace(time.monotonic)
        link = Link("pub", upstream=server.address, version=V311, trace=trace, network=FAR)
        began = time.monotonic()
        client = await dial(await link.open())
        assert await ended(client) == "FIN"
        assert trace.entries[-1].note.startswith("no broker: ")
        assert trace.entries[-1].at - began >= 2 * DELAY_SECONDS
        client.close()
        await link.close()
        await client.wait_closed()

    run(story)
