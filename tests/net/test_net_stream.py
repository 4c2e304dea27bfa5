"""Streams over all four transports: bytes, back-pressure, and the two ways to end."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reference_broker.net import connection
from reference_broker.net.address import Address, Transport
from reference_broker.net.stream import AddressInUse, CertificateUnusable, ConnectFailed, Stream, dial, listen
from reference_broker.net.tls import TestCertificates

pytestmark = pytest.mark.usefixtures("on_both_loops")

Run = Callable[[Coroutine[Any, Any, Any]], Any]
over_all = pytest.mark.parametrize("transport", list(Transport))
wrapped = pytest.mark.parametrize("transport", [Transport.TLS, Transport.WS, Transport.WSS])
encrypted = pytest.mark.parametrize("transport", [Transport.TLS, Transport.WSS])

LOCALHOST = "127.0.0.1"


@asynccontextmanager
async def listening(
    transport: Transport, certificates: TestCertificates, on_stream: Callable[[Stream], Coroutine[Any, Any, None]]
) -> AsyncIterator[Address]:
    """Listen for a `with` block and give the address a client needs."""
    listener = await listen(
        Address(LOCALHOST, 0, transport, ca_file=certificates.ca_file),
        on_stream,
        cert_file=certificates.cert_file,
        key_file=certificates.key_file,
    )
    try:
        yield listener.address
    finally:
        await listener.close()


@asynccontextmanager
async def connected(transport: Transport, certificates: TestCertificates) -> AsyncIterator[tuple[Stream, Stream]]:
    """Give both ends of one connection: the one that dialled and the one that was accepted."""
    accepted: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()

    async def keep(stream: Stream) -> None:
        accepted.set_result(stream)
        await stream.wait_closed()

    async with listening(transport, certificates, keep) as address:
        near = await dial(address)
        far = await accepted
        try:
            yield near, far
        finally:
            for stream in (near, far):
                stream.abort()
                await stream.wait_closed()


async def read_exactly(stream: Stream, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        chunk = await stream.read()
        assert chunk, f"the stream ended after {len(got)} of {size} bytes"
        got += chunk
    return bytes(got)


@over_all
def test_bytes_arrive_in_order_both_ways(run: Run, transport: Transport, certificates: TestCertificates) -> None:
    async def main() -> None:
        async with connected(transport, certificates) as (near, far):
            for one, other in ((near, far), (far, near)):
                for piece in (b"\x00", b"one", b"two" * 1000):
                    one.write(piece)
                assert await read_exactly(other, 3004) == b"\x00one" + b"two" * 1000

    run(main())


@over_all
def test_nagle_is_off_at_both_ends(run: Run, transport: Transport, certificates: TestCertificates) -> None:
    async def main() -> None:
        async with connected(transport, certificates) as ends:
            for end in ends:
                assert end._transport is not None
                sock = end._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1

    run(main())


@over_all
def test_peer_is_the_other_ends_host_and_port(run: Run, transport: Transport, certificates: TestCertificates) -> None:
    async def main() -> None:
        async with connected(transport, certificates) as (near, far):
            assert near._transport is not None
            port = near._transport.get_extra_info("sockname")[1]
            assert far.peer == f"{LOCALHOST}:{port}"
            assert near.peer.startswith(f"{LOCALHOST}:")

    run(main())


@over_all
@pytest.mark.parametrize("closer", ["near", "far"])
def test_close_flushes_then_the_peer_reads_the_end(
    run: Run, transport: Transport, certificates: TestCertificates, closer: str
) -> None:
    async def main() -> None:
        async with connected(transport, certificates) as ends:
            one, other = ends if closer == "near" else ends[::-1]
            data = bytes(range(256)) * 4096
            one.write(data)
            one.close()
            assert await read_exactly(other, len(data)) == data
            assert await other.read() == b""
            assert await other.read() == b""
            assert other.error is None
            other.close()
            await other.wait_closed()
            await one.wait_closed()
            assert one.error is None

    run(main())


@over_all
@pytest.mark.parametrize("closer", ["near", "far"])
def test_abort_makes_the_peers_read_fail(
    run: Run, transport: Transport, certificates: TestCertificates, closer: str
) -> None:
    async def main() -> None:
        async with connected(transport, certificates) as ends:
            one, other = ends if closer == "near" else ends[::-1]
            one.write(b"last words")
            assert await other.read() == b"last words"
            one.abort()
            with pytest.raises(ConnectionResetError, match=other.peer):
                await other.read()
            with pytest.raises(ConnectionResetError):
                await other.drain()

    run(main())


@over_all
def test_bytes_on_their_way_to_a_closing_end_do_not_turn_its_fin_into_a_reset(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    """A peer in the middle of sending still gets the last words, e.g. a DISCONNECT with its reason."""

    async def main() -> None:
        async with connected(transport, certificates) as (near, far):
            far.pause_reading()
            near.write(b"x" * 3_000_000)
            far.write(b"reason")
            far.close()
            assert await near.read() == b"reason"
            assert await near.read() == b""
            assert near.error is None

    run(main())


@over_all
def test_a_closed_end_goes_away_though_its_peer_never_ends(
    run: Run, transport: Transport, certificates: TestCertificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.01)

    async def main() -> None:
        async with connected(transport, certificates) as (near, far):
            far.pause_reading()
            near.close()
            await near.wait_closed()

    run(main())


@over_all
def test_a_closed_end_goes_away_though_its_peer_ended_and_never_reads(
    run: Run, transport: Transport, certificates: TestCertificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.01)

    async def main() -> None:
        async with connected(transport, certificates) as (near, far):
            far.pause_reading()
            while not near.is_write_paused:
                near.write(bytes(65_536))
            assert far._transport is not None
            far._transport.write_eof()
            assert await near.read() == b""
            near.close()
            await near.wait_closed()

    run(main())


@over_all
def test_a_write_beyond_what_the_peer_takes_waits_in_drain(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async with connected(transport, certificates) as (near, far):
            far.pause_reading()
            data = bytes(range(256)) * 64
            written = 0
            while not near.is_write_paused:
                near.write(data)
                written += len(data)
                await asyncio.sleep(0)
            draining = asyncio.create_task(near.drain())
            await asyncio.sleep(0)
            assert not draining.done()
            far.resume_reading()
            assert await read_exactly(far, written) == data * (written // len(data))
            await draining

    run(main())


@over_all
def test_a_reader_that_does_not_read_stops_the_writer(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async with connected(transport, certificates) as (near, far):
            written = 0
            while not near.is_write_paused:
                near.write(bytes(65_536))
                written += 65_536
                await asyncio.sleep(0)
            assert far._unread_size < 2_000_000
            assert len(await read_exactly(far, written)) == written

    run(main())


@over_all
def test_bytes_that_arrive_one_by_one_are_all_there(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async with connected(transport, certificates) as (near, far):
            for byte in range(100):
                near.write(bytes([byte]))
                assert await far.read() == bytes([byte])

    run(main())


@over_all
def test_a_handshake_that_arrives_byte_by_byte_succeeds(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async def echo(stream: Stream) -> None:
            while data := await stream.read():
                stream.write(data)

        async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1000):
                for byte in data:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0)
            writer.write_eof()

        async with listening(transport, certificates, echo) as address:

            async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                far_reader, far_writer = await asyncio.open_connection(LOCALHOST, address.port)
                await asyncio.gather(trickle(reader, far_writer), trickle(far_reader, writer))
                far_writer.close()
                writer.close()

            server = await asyncio.start_server(proxy, LOCALHOST, 0)
            port = server.sockets[0].getsockname()[1]
            stream = await dial(dataclasses.replace(address, port=port))
            stream.write(b"hello")
            assert await read_exactly(stream, 5) == b"hello"
            stream.close()
            assert await stream.read() == b""
            await stream.wait_closed()
            server.close()

    run(main())


@over_all
def test_the_listener_tells_the_port_it_got_and_refuses_it_to_others(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async def nothing(stream: Stream) -> None:
            raise AssertionError

        async with listening(transport, certificates, nothing) as address:
            assert address.port != 0
            with pytest.raises(AddressInUse, match=f"{LOCALHOST}:{address.port}: the port is already in use"):
                await listen(address, nothing, cert_file=certificates.cert_file, key_file=certificates.key_file)

    run(main())


@over_all
def test_a_closed_listener_accepts_nobody_and_ends_its_streams(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async def forever(stream: Stream) -> None:
            await asyncio.Event().wait()

        async with listening(transport, certificates, forever) as address:
            stream = await dial(address)
        assert await stream.read() == b""
        stream.close()
        await stream.wait_closed()
        with pytest.raises(ConnectFailed, match=f"cannot connect to {LOCALHOST}:{address.port}: Connection refused"):
            await dial(address)

    run(main())


@wrapped
def test_a_peer_that_never_answers_the_handshake_costs_the_timeout_and_no_more(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        with socket.create_server((LOCALHOST, 0)) as silent:
            address = Address(LOCALHOST, silent.getsockname()[1], transport, ca_file=certificates.ca_file)
            with pytest.raises(ConnectFailed, match=f"{LOCALHOST}:{address.port}: no answer within 0.05 s"):
                await dial(address, timeout_seconds=0.05)

    run(main())


@wrapped
@pytest.mark.parametrize("answer", [b"", b"\x20\x02\x00\x00", b"HTTP/1.1 404 Not Found\r\n\r\n"])
def test_a_peer_that_speaks_something_else_is_named_with_the_handshake_that_failed(
    run: Run, transport: Transport, certificates: TestCertificates, answer: bytes
) -> None:
    async def main() -> None:
        async def other(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(other, LOCALHOST, 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match=r"127.0.0.1:\d+: .*(TLS|WebSocket|reset)"):
            await dial(Address(LOCALHOST, port, transport, ca_file=certificates.ca_file))
        server.close()

    run(main())


@over_all
def test_a_handler_that_fails_is_reported_and_its_stream_closed(
    transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> list[dict[str, Any]]:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

        async def broken(stream: Stream) -> None:
            await stream.read()
            raise LookupError("a bug in the handler")

        async with listening(transport, certificates, broken) as address:
            stream = await dial(address)
            stream.write(b"go")
            assert await stream.read() == b""
            stream.close()
            await stream.wait_closed()
        return reported

    (report,) = asyncio.run(asyncio.wait_for(main(), 10))
    assert isinstance(report["exception"], LookupError)


@encrypted
def test_a_client_without_the_ca_file_refuses_the_server(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async def nothing(stream: Stream) -> None:
            raise AssertionError

        async with listening(transport, certificates, nothing) as address:
            with pytest.raises(ConnectFailed, match="TLS handshake failed: certificate verify failed: "):
                await dial(dataclasses.replace(address, ca_file=None))

    run(main())


@encrypted
def test_the_certificate_holds_for_localhost_too_and_no_other_name(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async def nothing(stream: Stream) -> None:
            stream.close()

        everywhere = Address("0.0.0.0", 0, transport, ca_file=certificates.ca_file)
        listener = await listen(everywhere, nothing, cert_file=certificates.cert_file, key_file=certificates.key_file)
        stream = await dial(dataclasses.replace(listener.address, host="localhost"))
        assert await stream.read() == b""
        stream.close()
        await stream.wait_closed()
        with pytest.raises(ConnectFailed, match="certificate verify failed"):
            await dial(dataclasses.replace(listener.address, host="127.0.0.2"))
        await listener.close()

    run(main())


@pytest.mark.parametrize("transport", [Transport.TLS])
def test_tls_older_than_1_2_is_refused(run: Run, transport: Transport, certificates: TestCertificates) -> None:
    async def main() -> None:
        async def nothing(stream: Stream) -> None:
            raise AssertionError

        old = ssl.create_default_context(cafile=certificates.ca_file)
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        async with listening(transport, certificates, nothing) as address:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(LOCALHOST, address.port, ssl=old)

    run(main())


@encrypted
def test_certificates_that_cannot_be_used_are_named(
    run: Run, transport: Transport, certificates: TestCertificates
) -> None:
    async def main() -> None:
        async def nothing(stream: Stream) -> None:
            raise AssertionError

        here = Address(LOCALHOST, 0, transport)
        missing = certificates.key_file.with_name("missing.pem")
        for cert_file, key_file, expected in [
            (certificates.cert_file, missing, f"cannot read {missing}: No such file or directory"),
            (certificates.key_file, certificates.key_file, f"cannot use certificate {certificates.key_file}"),
            (None, None, "needs a certificate and its key"),
        ]:
            with pytest.raises(CertificateUnusable, match=expected):
                await listen(here, nothing, cert_file=cert_file, key_file=key_file)
        with pytest.raises(CertificateUnusable, match=r"cannot read .*missing\.pem"):
            await dial(Address(LOCALHOST, 1, transport, ca_file=missing))

    run(main())
