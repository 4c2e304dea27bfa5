"""What the tests of the client's sockets share: a broker, a scripted server, a bounded event loop."""

import asyncio

import pytest

from reference_broker.net.address import Address, Transport
from reference_broker.net.blocking import BlockingClient
from reference_broker.net.config import ServerConfig
from reference_broker.net.stream import listen
from reference_broker.net.tls import make_test_certificates
from reference_broker.testing import running_broker
from reference_broker.wire.decode import Reader
from reference_broker.wire.types import Version


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return make_test_certificates(tmp_path_factory.mktemp("client") / "certificates")


@pytest.fixture(scope="module")
def broker(on_both_loops, certificates):
    """The addresses of one broker on all transports; tests use topics and client identifiers of their own."""
    config = ServerConfig(
        port=0,
        tls_port=0,
        ws_port=0,
        wss_port=0,
        cert=certificates.cert_file,
        key=certificates.key_file,
        ca=certificates.ca_file,
    )
    with running_broker(config) as running:
        yield running.addresses


@pytest.fixture(scope="module")
def address(broker):
    return broker[Transport.TCP]


@pytest.fixture
def at(address):
    """The options that say where the broker is."""
    return ["-h", address.host, "-p", str(address.port)]


@pytest.fixture
def listener(address):
    with BlockingClient(address) as client:
        yield client


@pytest.fixture
def run(on_both_loops):
    """Run a coroutine for at most ten seconds; fail on errors nobody looked at."""

    def run_until_done(main):
        unhandled = []

        async def bounded():
            asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
            async with asyncio.timeout(10):
                return await main

        result = asyncio.run(bounded())
        assert not unhandled, unhandled
        return result

    return run_until_done


class ScriptedServer:
    """Accepts connections and runs one script after the other, a script for each connection."""

    def __init__(self, *scripts):
        self._scripts = list(scripts)
        self.connections = 0
        self.failures = []
        self.address = None
        self._listener = None

    async def __aenter__(self):
        self._listener = await listen(Address("127.0.0.1", 0), self._serve)
        self.address = self._listener.address
        return self

    async def __aexit__(self, *_):
        await self._listener.close()
        assert not self.failures, self.failures

    async def _serve(self, stream):
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        try:
            await script(Conversation(stream))
        except ConnectionError:
            pass
        except AssertionError as error:
            self.failures.append(error)  # the listener's task is nobody's to await


class Conversation:
    """The server's end of one connection, in hexadecimal."""

    def __init__(self, stream):
        self.stream = stream
        self._reader = Reader(Version.V5)

    async def expect(self, start):
        """Wait for the next packet, which begins like this; returns it."""
        while (frame := self._reader.next_frame()) is None:
            data = await self.stream.read()
            assert data, f"the client ended instead of sending {start}"
            self._reader.feed(data)
        packet = frame.hex(" ")
        assert packet.startswith(start), packet
        return packet

    async def accept(self, connack="20 03 00 00 00"):
        await self.expect("10")
        self.send(connack)

    def send(self, text):
        self.stream.write(bytes.fromhex(text))

    async def wait_for_end(self):
        """Read until the client ends; returns what it still sent."""
        received = self._reader.take_rest()
        while data := await self.stream.read():
            received += data
        return received.hex(" ")


@pytest.fixture
def scripted_server():
    return ScriptedServer
