"""What other projects' tests use: the fixtures, the context manager, and real clients against both."""

from __future__ import annotations

import queue
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from net_peers import on_free_ports

import reference_broker
from reference_broker import BlockingClient, ClientOptions
from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.errors import AddressInUse, ListenFailed
from reference_broker.net.tls import TestCertificates
from reference_broker.testing import RunningBroker, running_broker

pytestmark = pytest.mark.usefixtures("on_both_loops")

ROOT = Path(reference_broker.__file__).parents[1]
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a"


@pytest.fixture(scope="module")
def everywhere(on_both_loops: None, certificates: TestCertificates) -> Iterator[RunningBroker]:
    with running_broker(on_free_ports(certificates)) as broker:
        yield broker


def test_the_context_manager_runs_a_broker_beside_blocking_code() -> None:
    before = set(threading.enumerate())  # a neighbour's broker may be running
    with running_broker() as broker:
        address = broker.address
        with socket.create_connection((address.host, address.port), timeout=10) as client:
            client.sendall(CONNECT)
            assert client.recv(100) == b"\x20\x02\x00\x00"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port), timeout=10)
    assert not set(threading.enumerate()) - before


def test_the_context_manager_takes_settings() -> None:
    with (
        running_broker(ServerConfig(port=0, broker=BrokerConfig(refuse_connect=3))) as broker,
        socket.create_connection((broker.address.host, broker.address.port), timeout=10) as client,
    ):
        client.sendall(CONNECT)
        assert client.recv(100) == b"\x20\x02\x00\x03"


def test_the_context_manager_raises_what_the_server_raises() -> None:
    with (
        running_broker() as broker,
        pytest.raises(AddressInUse),
        running_broker(ServerConfig(port=broker.address.port)),
    ):
        raise AssertionError


def test_the_file_of_a_unix_socket_is_taken_over_from_who_is_gone_and_from_nobody_else(tmp_path: Path) -> None:
    config = ServerConfig(unix=tmp_path / "broker.sock")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(config.unix))
    with running_broker(config) as broker:
        assert broker.address.unix_socket == config.unix
        with pytest.raises(AddressInUse, match=r"broker\.sock: the file is there already"), running_broker(config):
            raise AssertionError
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(config.unix))
            client.sendall(CONNECT)
            assert client.recv(9) == b"\x20\x02\0\0"
    (tmp_path / "broker.sock").write_text("no socket")
    with pytest.raises(AddressInUse, match="the file is there already"), running_broker(config):
        raise AssertionError
    absent = ServerConfig(unix=tmp_path / "none" / "broker.sock")
    with pytest.raises(ListenFailed, match=r"broker\.sock: No such file or directory"), running_broker(absent):
        raise AssertionError


def test_the_fixtures_work_in_another_project(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["reference_broker.testing"]\n'
        "import pytest\n"
        "from reference_broker.testing import BrokerConfig, ServerConfig\n"
        "@pytest.fixture(scope='session')\n"
        "def mqtt_session_broker_config():\n"
        "    return ServerConfig(port=0, broker=BrokerConfig(refuse_connect=4))\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import socket\n"
        "import pytest\n"
        "from reference_broker.testing import BrokerConfig, ServerConfig\n"
        "ports = set()\n"
        "@pytest.mark.parametrize('run', [1, 2])\n"
        "def test_default(mqtt_broker, run):\n"
        "    with socket.create_connection((mqtt_broker.host, mqtt_broker.port)) as client:\n"
        f"        client.sendall({CONNECT!r})\n"
        "        assert client.recv(9) == b'\\x20\\x02\\0\\0'\n"
        "@pytest.fixture(scope='module')\n"
        "def port_of_module(mqtt_session_broker):\n"
        "    return mqtt_session_broker.port\n"
        "@pytest.mark.parametrize('run', [1, 2])\n"
        "def test_one_for_all(mqtt_session_broker, mqtt_broker, port_of_module, run):\n"
        "    assert mqtt_session_broker.port == port_of_module != mqtt_broker.port\n"
        "    ports.add(mqtt_session_broker.port)\n"
        "    assert len(ports) == 1\n"
        "    with socket.create_connection((mqtt_session_broker.host, mqtt_session_broker.port)) as client:\n"
        f"        client.sendall({CONNECT!r})\n"
        "        assert client.recv(9) == b'\\x20\\x02\\0\\4'\n"
        "class TestOther:\n"
        "    @pytest.fixture\n"
        "    def mqtt_broker_config(self):\n"
        "        return ServerConfig(port=0, broker=BrokerConfig(refuse_connect=3))\n"
        "    def test_refused(self, mqtt_broker):\n"
        "        with socket.create_connection((mqtt_broker.host, mqtt_broker.port)) as client:\n"
        f"            client.sendall({CONNECT!r})\n"
        "            assert client.recv(9) == b'\\x20\\x02\\0\\3'\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr


PROTOCOLS = {"3.1": paho.MQTTv31, "3.1.1": paho.MQTTv311, "5.0": paho.MQTTv5}


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_paho_publishes_and_receives(everywhere: RunningBroker, transport: Transport, protocol: str) -> None:
    address = everywhere.addresses[transport]
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2,
        f"paho-{protocol}",
        protocol=PROTOCOLS[protocol],
        transport="websockets" if transport.is_websocket else "tcp",
    )
    if transport.is_encrypted:
        client.tls_set(str(address.ca_file))
    subscribed = threading.Event()
    received: queue.Queue[paho.MQTTMessage] = queue.Queue()
    client.on_connect = lambda *_: client.subscribe(f"paho/{transport}/{protocol}", 2)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: received.put(message)
    client.connect(address.host, address.port)
    client.loop_start()
    try:
        assert subscribed.wait(10)
        for qos in (0, 1, 2):
            client.publish(f"paho/{transport}/{protocol}", bytes([qos]) * 100_000, qos)
        for qos in (0, 1, 2):
            message = received.get(timeout=10)
            assert (message.payload, message.qos) == (bytes([qos]) * 100_000, qos)
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="mosquitto's clients are not installed")
@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
def test_mosquittos_clients_publish_and_receive(everywhere: RunningBroker, transport: Transport, version: str) -> None:
    address = everywhere.addresses[transport]
    common = ["-h", "localhost", "-p", str(address.port), "-V", version, "-q", "2"]
    if transport.is_encrypted:
        common += ["--cafile", str(address.ca_file)]
    topic = f"mosquitto/{transport}/{version}"
    subprocess.run(["mosquitto_pub", *common, "-t", topic, "-m", "kept", "-r"], timeout=10, check=True)
    received = subprocess.run(
        ["mosquitto_sub", *common, "-t", topic, "-C", "1", "-W", "5", "-v"],
        timeout=10,
        check=True,
        capture_output=True,
        text=True,
    )
    assert received.stdout == f"{topic} kept\n"


def test_an_address_of_a_running_broker_is_what_its_clients_need(everywhere: RunningBroker) -> None:
    assert everywhere.address == everywhere.addresses[Transport.TCP]
    assert {address.transport for address in everywhere.addresses.values()} == set(Transport)
    assert isinstance(everywhere.address, Address)


def test_the_background_broker_survives_an_exception_in_the_block() -> None:
    with pytest.raises(LookupError), running_broker() as broker:
        raise LookupError
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((broker.address.host, broker.address.port))


def test_a_client_uses_the_login_of_its_url_unless_it_has_its_own() -> None:
    config = ServerConfig(port=0, broker=BrokerConfig(users={"ann": "se same"}, allow_anonymous=False))
    with running_broker(config) as broker:
        url = f"mqtt://ann:se%20same@{broker.address.host_and_port}"
        with BlockingClient(url):
            pass
        with pytest.raises(ConnectionError), BlockingClient(url, ClientOptions(username="bob", password=b"x")):
            pass
