"""The monitor between two sockets: what goes in comes out, whatever it is, and the ends are passed on."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interop.monitor.copier import Connection, Copier, Route
from interop.monitor.recorder import Limits
from interop.tap.network import LOOPBACK, Network
from interop.tap.trace import Kind, Sender
from interop.tap.websocket import Opcode, frame
from reference_broker.net.address import Address, Transport
from reference_broker.net.stream import Stream, dial, listen
from reference_broker.net.tls import TestCertificates, make_test_certificates
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect
from reference_broker.wire.types import Version

pytestmark = pytest.mark.usefixtures("on_both_loops")

PATIENCE_SECONDS = 5.0
ANYWHERE = Address("127.0.0.1", 0)
DELAY_SECONDS = 0.03
FAR = Network(DELAY_SECONDS)
NETWORKS = [LOOPBACK, FAR, Network(piece_bytes=1), Network(gather_seconds=0.005)]
behind_each_network = pytest.mark.parametrize("network", NETWORKS, ids=lambda each: str(each) or "none")


class Middle:
    """A copier, a stream at its client's end and one at its broker's."""

    def __init__(self, client: Stream, broker: Stream, connection: Connection) -> None:
        self.client = client
        self.broker = broker
        self.connection = connection


@asynccontextmanager
async def middle(network: Network = LOOPBACK) -> AsyncIterator[Middle]:
    accepted: asyncio.Queue[Stream] = asyncio.Queue()
    over = asyncio.Event()

    async def serve(stream: Stream) -> None:
        accepted.put_nowait(stream)
        await over.wait()

    opened: list[Connection] = []
    upstream = await listen(ANYWHERE, serve)
    copier = Copier(Route(ANYWHERE, upstream.address, network=network), Limits(), opened.append)
    client = await dial(await copier.open())
    try:
        broker = await asyncio.wait_for(accepted.get(), PATIENCE_SECONDS)
        yield Middle(client, broker, opened[0])
    finally:
        over.set()
        client.abort()
        await copier.close()
        await upstream.close()


def play(story: Callable[[Middle], Awaitable[None]], network: Network = LOOPBACK) -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), middle(network) as between:
            await story(between)

    asyncio.run(run())


async def everything(stream: Stream, size: int) -> bytes:
    got = b""
    while len(got) < size:
        data = await stream.read()
        if not data:
            break
        got += data
    return got


_WRITES = st.lists(st.binary(min_size=1, max_size=300), max_size=8)
_HELLO, _WELCOME = encode(Connect(Version.V311, "c"), Version.V311), encode(ConnAck(), Version.V311)


@settings(max_examples=25)
@given(
    _WRITES | _WRITES.map(lambda writes: [_HELLO, *writes]), _WRITES | _WRITES.map(lambda writes: [_WELCOME, *writes])
)
def test_no_byte_is_changed_whatever_it_is(sent: list[bytes], answered: list[bytes]) -> None:
    async def story(between: Middle) -> None:
        for data in sent:
            between.client.write(data)
        for data in answered:
            between.broker.write(data)
        assert await everything(between.broker, len(b"".join(sent))) == b"".join(sent)
        assert await everything(between.client, len(b"".join(answered))) == b"".join(answered)

    play(story)


@behind_each_network
def test_fin_is_passed_on_and_the_other_direction_stays_open(network: Network) -> None:
    async def story(between: Middle) -> None:
        between.client.write(b"last words")
        between.client.write_eof()
        assert await everything(between.broker, 99) == b"last words"
        between.broker.write(b"I heard")
        between.broker.close()
        assert await everything(between.client, 99) == b"I heard"

    play(story, network)


@behind_each_network
def test_rst_is_passed_on_as_rst(network: Network) -> None:
    async def story(between: Middle) -> None:
        between.broker.write(b"x")
        await between.client.read()
        between.client.abort()
        with pytest.raises(ConnectionResetError):
            await everything(between.broker, 1)

    play(story, network)


def test_behind_a_network_each_way_takes_its_delay_and_the_recorder_is_the_client_s_neighbour() -> None:
    async def story(between: Middle) -> None:
        between.client.write(_HELLO)
        await everything(between.broker, len(_HELLO))
        reached = time.monotonic()
        between.broker.write(_WELCOME)
        await everything(between.client, len(_WELCOME))
        assert time.monotonic() - reached >= DELAY_SECONDS
        recorder = between.connection.recorder
        opened, connect, connack = (each.at for each in recorder.trace.entries)
        assert connect - opened >= DELAY_SECONDS  # until the broker is reached
        assert connack - connect >= recorder.round_trip_seconds == 2 * DELAY_SECONDS

    play(story, FAR)


def test_an_rst_stands_in_the_trace() -> None:
    async def story(between: Middle) -> None:
        between.client.write(_HELLO)
        await between.broker.read()
        between.broker.abort()
        with pytest.raises(ConnectionResetError):
            await between.client.read()
        ending = between.connection.recorder.trace.entries[-1]
        assert (ending.kind, ending.sender, ending.note) == (Kind.CLOSE, Sender.BROKER, "RST")

    play(story)


@behind_each_network
def test_a_reader_that_is_slow_stops_its_writer(network: Network) -> None:
    async def story(between: Middle) -> None:
        between.broker.pause_reading()
        chunk = bytes(65_536)
        written = 0
        while not between.client.is_write_paused and written < 512 * len(chunk):
            between.client.write(chunk)
            written += len(chunk)
            await asyncio.sleep(0)
        assert between.client.is_write_paused  # before 32 MiB were taken from us
        between.broker.resume_reading()
        assert len(await everything(between.broker, written)) == written

    play(story, network)


def test_bytes_have_left_before_anybody_looks_at_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> bytes:
        seen = b""
        looked = asyncio.Event()

        def look(*_: object) -> None:  # nothing else runs meanwhile: what the broker gets now was sent before
            nonlocal seen
            looked.set()
            seen = broker.recv(99)

        monkeypatch.setattr("interop.monitor.recorder.Recorder.received", look)
        with socket.create_server(("127.0.0.1", 0)) as upstream:
            copier = Copier(Route(ANYWHERE, Address(*upstream.getsockname())), Limits(), lambda _: None)
            client = await dial(await copier.open())
            broker, _ = await asyncio.to_thread(upstream.accept)
            with broker:
                broker.settimeout(PATIENCE_SECONDS)
                client.write(b"hello")
                await looked.wait()
            await copier.close()
            client.abort()
        return seen

    assert asyncio.run(run()) == b"hello"


def test_a_fault_of_the_recorder_costs_nobody_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(between: Middle) -> None:
        monkeypatch.setattr(type(between.connection.recorder), "received", _fails)
        between.client.write(b"hello")
        assert await everything(between.broker, 5) == b"hello"
        assert between.connection.recorder.not_judged == "the monitor failed: ZeroDivisionError: a bug"

    play(story)


def _fails(*_: object) -> None:
    raise ZeroDivisionError("a bug")


def test_a_broker_that_is_not_there_is_said_and_ends_the_client() -> None:
    async def run(port: int) -> Connection:
        opened: list[Connection] = []
        copier = Copier(Route(ANYWHERE, Address("127.0.0.1", port)), Limits(), opened.append)
        client = await dial(await copier.open())
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await client.read() == b""
        await copier.close()
        client.close()
        return opened[0]

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens
        port = silent.getsockname()[1]
        connection = asyncio.run(run(port))
    assert connection.problem == f"cannot connect to 127.0.0.1:{port}: Connection refused"
    assert connection.recorder.is_over


@asynccontextmanager
async def between_websockets(tls: TestCertificates | None) -> AsyncIterator[tuple[Middle, Copier]]:
    """As `middle`, over ws or wss, with streams that are below the WebSocket at both ends."""
    accepted: asyncio.Queue[Stream] = asyncio.Queue()
    over = asyncio.Event()

    async def serve(stream: Stream) -> None:
        accepted.put_nowait(stream)
        await over.wait()

    kind = Transport.WSS if tls else Transport.WS
    cert, key = (tls.cert_file, tls.key_file) if tls else (None, None)
    anywhere = Address("127.0.0.1", 0, kind, ca_file=tls.ca_file if tls else None)
    opened: list[Connection] = []
    upstream = await listen(anywhere.beneath_websocket, serve, cert_file=cert, key_file=key)
    route = Route(anywhere, dataclasses.replace(anywhere, port=upstream.address.port), cert, key)
    copier = Copier(route, Limits(), opened.append)
    address = await copier.open()
    assert address.transport is kind
    client = await dial(address.beneath_websocket)
    try:
        broker = await asyncio.wait_for(accepted.get(), PATIENCE_SECONDS)
        yield Middle(client, broker, opened[0]), copier
    finally:
        over.set()
        client.abort()
        await copier.close()
        await upstream.close()


@pytest.mark.parametrize("encrypted", [False, True])
def test_handshake_and_frames_pass_byte_for_byte_and_are_read_from_a_copy(encrypted: bool, tmp_path: Path) -> None:
    request = b"GET /own?path HTTP/1.1\r\nHost: me\r\nsec-websocket-protocol: mqttv3.1, mqtt\r\nX-Own: 1\r\n\r\n"
    response = b"HTTP/1.1 101 OK\r\nSec-WebSocket-Protocol: mqtt\r\nX-Other: 2\r\n\r\n"
    said = frame(Opcode.BINARY, _HELLO[:3], final=False, masked=True) + frame(Opcode.PONG, b"p", masked=True)
    said += frame(Opcode.CONTINUATION, _HELLO[3:], masked=True)
    answered = frame(Opcode.PING, b"own") + frame(Opcode.BINARY, _WELCOME[:1], final=False)
    answered += frame(Opcode.PING) + frame(Opcode.CONTINUATION, _WELCOME[1:]) + frame(Opcode.CLOSE, b"\x03\xe9bye")

    async def story() -> None:
        tls = make_test_certificates(tmp_path / "certificates") if encrypted else None
        async with asyncio.timeout(PATIENCE_SECONDS), between_websockets(tls) as (between, _):
            for data, source, target in (
                (request, between.client, between.broker),
                (response, between.broker, between.client),
                (said, between.client, between.broker),
                (answered, between.broker, between.client),
            ):
                source.write(data)
                assert await everything(target, len(data)) == data
            recorder = between.connection.recorder
            assert (recorder.packets, recorder.client_id, recorder.why_not) == (2, "c", None)
            assert [each.kind for each in recorder.trace] == [Kind.OPEN, Kind.PACKET, Kind.PACKET, Kind.CLOSE]

    asyncio.run(story())


def test_a_refusal_passes_as_it_is() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"

    async def story() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), between_websockets(None) as (between, _):
            between.client.write(b"GET / HTTP/1.1\r\n\r\n")
            await everything(between.broker, 18)
            between.broker.write(refusal)
            between.broker.write_eof()
            assert await everything(between.client, len(refusal) + 1) == refusal
            assert between.connection.recorder.not_judged.endswith("HTTP 403")

    asyncio.run(story())
