"""The load generator against a broker in this process: so many messages, all of them there. Nothing is timed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from interop.bench.cell import Cell, Mode
from interop.bench.connects import measure_connections
from interop.bench.crowds import CrowdCost, measure_crowds
from interop.bench.growth import Growth, Sizes, measure_growth
from interop.bench.measure import Target, measure
from interop.bench.peer import connect_packet
from interop.bench.sink import running_sink
from interop.cli import main
from interop.exit_codes import FELL_SHORT, HARNESS_FELL_SHORT
from reference_broker.broker import Broker, Link
from reference_broker.broker.link import Buffer
from reference_broker.net.address import Address, Transport
from reference_broker.net.tls import make_test_certificates
from reference_broker.testing import BrokerConfig, ServerConfig, running_broker
from reference_broker.wire.types import QoS, Version

pytestmark = pytest.mark.thorough

LONG_SECONDS = 60.0
"""The number of messages ends a cell, long before this."""


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with running_broker() as server:
        yield Target("reference", "", server.address)


@pytest.mark.parametrize(
    "cell",
    [
        Cell(qos=QoS.EXACTLY_ONCE, messages=500),
        Cell(mode=Mode.FAN_IN, publishers=3, messages=400, batch=1, qos=QoS.AT_LEAST_ONCE),
        Cell(mode=Mode.MESH, publishers=3, messages=300, outstanding=100),
        Cell(mode=Mode.FAN_OUT, topics=10, exact_subscribers=3, messages=55),
        Cell(version=Version.V5, user_properties=4, subscription_identifier=7, messages=300),
        Cell(subscriber_version=Version.V5, messages=300),
    ],
    ids=lambda cell: f"{cell.mode}-qos{cell.qos}-{cell.version.label}",
)
def test_everything_that_was_sent_arrives(target: Target, cell: Cell) -> None:
    result = measure(replace(cell, seconds=LONG_SECONDS), target)
    assert result.failure == ""
    assert result.sent == cell.publishers * cell.messages
    assert result.delivered == cell.expected_deliveries([cell.messages] * cell.publishers)
    assert (result.lost, result.repeated) == (0, 0)


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.WS])
def test_everything_arrives_over_other_transports(transport: Transport, tmp_path: Path) -> None:
    files = make_test_certificates(tmp_path / "certificates")
    config = ServerConfig(port=None, ws_port=0, tls_port=0, cert=files.cert_file, key=files.key_file, ca=files.ca_file)
    cell = Cell(transport=transport, messages=3000, seconds=LONG_SECONDS, qos=QoS.AT_LEAST_ONCE)
    with running_broker(config) as server:
        result = measure(cell, Target("reference", "", server.addresses[transport]))
    assert (result.failure, result.delivered, result.lost) == ("", 3000, 0)


def test_latency_is_measured_for_every_message_sent_at_a_rate(target: Target) -> None:
    result = measure(Cell(rate=200.0, seconds=0.5), target)
    assert result.sent == result.delivered > 0
    assert result.latency is not None
    assert 0 < result.latency.p50_us <= result.latency.p99_us <= result.latency.max_us


@pytest.mark.parametrize("mode", [Mode.CONNECT, Mode.IDLE])
def test_every_connection_is_accepted(target: Target, mode: Mode) -> None:
    result = measure_connections(Cell(mode=mode, connections=40, at_a_time=7), target)
    assert result.failure == ""
    assert result.per_second > 0


@pytest.mark.parametrize("cell", [Cell(mode=Mode.FAN_IN, publishers=3), Cell(publishers=2, qos=QoS.AT_LEAST_ONCE)])
def test_the_sink_copies_everything(cell: Cell) -> None:
    with running_sink() as sink:
        result = measure(replace(cell, messages=500, seconds=LONG_SECONDS), sink)
    assert (result.failure, result.lost, result.repeated) == ("", 0, 0)
    assert result.delivered == 500 * cell.publishers


def test_a_broker_that_refuses_is_a_failure_of_the_result(target: Target) -> None:
    with running_broker(ServerConfig(port=0, broker=BrokerConfig(maximum_qos=0))) as server:
        result = measure(
            Cell(qos=QoS.AT_LEAST_ONCE, messages=1, seconds=LONG_SECONDS), Target("reference", "", server.address)
        )
    assert result.failure
    assert result.delivered == 0


# --- clients that are dropped -----------------------------------------------------------------------------------------


Cut = Callable[[str, int], None]


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    """Have brokers end the connections of clients whose id fits, behind their answer of that number."""

    def cut_off(client_id: str, number: int) -> None:
        answers: Counter[Link] = Counter()
        take_output = Broker.take_output

        def has_to_go(link: Link) -> bool:
            answers[link] += 1
            return answers[link] == number and re.search(client_id, link.client_id or "") is not None

        def cutting(broker: Broker) -> list[tuple[Link, list[Buffer], bool]]:
            return [(link, pieces, close or has_to_go(link)) for link, pieces, close in take_output(broker)]

        monkeypatch.setattr(Broker, "take_output", cutting)

    monkeypatch.setattr("interop.bench.measure._STALL_SECONDS", 1.0)
    return cut_off


@pytest.mark.parametrize("qos", [QoS.AT_MOST_ONCE, QoS.AT_LEAST_ONCE])
def test_a_subscriber_that_is_dropped_is_counted_and_the_others_go_on(cut: Cut, target: Target, qos: QoS) -> None:
    cut("s1$", 5)
    cell = Cell(mode=Mode.FAN_OUT, subscribers=3, messages=2000, batch=20, qos=qos, seconds=0.1)
    result = measure(cell, target)
    assert (result.failure, result.dropped) == ("", 1)
    assert "s1: the broker closed the connection" in result.first_drop
    assert result.delivered >= 2 * result.sent > 0
    assert result.fell_short


def test_a_publisher_that_is_dropped_is_counted_and_the_others_go_on(cut: Cut, target: Target) -> None:
    cut("p1$", 2)
    cell = Cell(mode=Mode.FAN_IN, publishers=3, messages=400, batch=1, qos=QoS.AT_LEAST_ONCE, seconds=0.1)
    result = measure(cell, target)
    assert (result.failure, result.dropped) == ("", 1)
    assert "p1: " in result.first_drop
    assert result.delivered >= 800


def test_a_publisher_at_a_rate_that_is_dropped_is_counted(cut: Cut, target: Target) -> None:
    cut("p1$", 2)
    cell = Cell(mode=Mode.FAN_IN, publishers=3, rate=500.0, qos=QoS.AT_LEAST_ONCE, seconds=0.2)
    result = measure(cell, target)
    assert (result.failure, result.dropped) == ("", 1)
    assert result.latency is not None


def test_a_worker_whose_clients_are_all_dropped_is_a_failure(cut: Cut, target: Target) -> None:
    cut("s0$", 3)
    result = measure(Cell(messages=100_000, batch=10, seconds=LONG_SECONDS), target)
    assert "too many clients were dropped to go on, the first: " in result.failure


@pytest.mark.parametrize(("mode", "answer"), [(Mode.CONNECT, 1), (Mode.IDLE, 1), (Mode.IDLE, 2)])
def test_connections_that_are_dropped_are_counted(cut: Cut, target: Target, mode: Mode, answer: int) -> None:
    """With their CONNACK, or, behind their SUBACK, while they are held."""
    cut("c[34]$", answer)
    result = measure_connections(Cell(mode=mode, connections=9, at_a_time=3), target)
    assert result.failure == ""
    assert result.dropped == 2 or mode is Mode.CONNECT  # which may be quicker to leave than to be cut off
    assert result.per_second > 0


def test_a_dropped_client_makes_the_command_fail_and_is_told(cut: Cut, capsys: pytest.CaptureFixture[str]) -> None:
    cut("c4$", 2)
    with running_broker() as server:
        assert main(["bench", "idle", "--connections", "9", "--broker", server.address.host_and_port]) == FELL_SHORT
    assert "dropped 1 clients, the first: the broker closed the connection of" in capsys.readouterr().out


def test_a_broker_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--broker", "127.0.0.1:1"]) == HARNESS_FELL_SHORT
    assert capsys.readouterr().err == "mqtt-interop: no broker at 127.0.0.1:1: connection refused\n"


def test_a_broker_that_has_grown_is_measured_beside_one_that_has_not() -> None:
    sizes = Sizes(subscriptions=300, retained_levels=3, clients=5, rounds=1, seconds=0.05, new_topics=20)
    told: list[Growth] = []
    figures = measure_growth("reference", sizes, told.append)
    assert told == figures
    assert all(figure.grown > 0 for figure in figures if figure.unit != "ns/delivery")
    assert [figure.what for figure in figures if "retained" in figure.what][-1].startswith("growth/00/#: 9 retained")


def test_a_crowd_is_told_one_message_by_a_broker_of_its_own_and_nobody_is_dropped() -> None:
    told: list[CrowdCost] = []
    costs = measure_crowds("reference", [3, 5], told.append)
    assert told == costs
    assert [cost.connections for cost in costs] == [3, 5]
    assert all(min(cost.connect_us, cost.broadcast_us, cost.ping_us) > 0 for cost in costs)


@pytest.mark.parametrize("version", [Version.V311, Version.V5])
def test_a_durable_client_has_a_session_that_is_kept(version: Version) -> None:
    address = Address("127.0.0.1", 1883)
    kept = connect_packet(address, version, "c", is_kept=True)
    assert not kept.clean_start
    assert (kept.properties.session_expiry_interval or 0) > 0 or version is not Version.V5
    assert connect_packet(address, version, "c").clean_start


@pytest.mark.parametrize("version", [Version.V311, Version.V5])
def test_a_durable_cell_leaves_no_session_in_which_the_next_ones_messages_would_wait(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(BrokerConfig())
    monkeypatch.setattr("reference_broker.net.server.Broker", lambda *_, **__: broker)
    cell = Cell(qos=QoS.AT_LEAST_ONCE, messages=300, version=version, is_durable=True, seconds=LONG_SECONDS)
    with running_broker() as server:
        result = measure(cell, Target("reference", "", server.address))
    assert result.delivered == 300
    assert list(broker.house.sessions) == []


def test_a_durable_cell_is_measured_with_the_reference_broker_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--durable", "--against", "mosquitto"]) == 2
    assert "--durable measures messages of the reference broker alone" in capsys.readouterr().err
