"""What can be seen of a broker on sockets: topics, the page for Prometheus, the log."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

from reference_broker import AsyncClient, ClientOptions
from reference_broker.access.passwords import new_user, write_user
from reference_broker.broker import BrokerConfig
from reference_broker.net.address import Address
from reference_broker.net.config import ConfigError
from reference_broker.net.errors import ListenFailed
from reference_broker.observe.config import LogFormat, ObservedConfig
from reference_broker.observe.logs import log_handler
from reference_broker.observe.server import ObservedServer
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import ReasonCode

pytestmark = pytest.mark.usefixtures("on_both_loops")


LOADS = ("1min", "5min", "15min")


def observed(**settings: Any) -> ObservedServer:
    return ObservedServer(ObservedConfig(port=0, **settings))


async def retained(client: AsyncClient, topic_filter: str = "$SYS/#") -> dict[str, str]:
    """All that a filter brings at once."""
    await client.subscribe(topic_filter)
    await client.publish("done", b"")
    found = {}
    await client.subscribe("done")
    await client.publish("done", b"")
    while (message := await client.receive()).topic != "done":
        found[message.topic.removeprefix("$SYS/broker/")] = message.payload.decode()
    return found


def test_mosquittos_names_have_their_figures(run: Run) -> None:
    async def main() -> None:
        async with observed(sys_interval_seconds=3600) as server, AsyncClient(server.address) as client:
            await client.publish("kept", b"x", qos=1, retain=True)
            await client.subscribe("a", "$share/g/b")
            server._say()
            said = await retained(client)
        assert said["clients/connected"] == said["clients/total"] == said["clients/maximum"] == "1"
        assert said["clients/disconnected"] == "0"
        assert said["subscriptions/count"] == "2"
        assert said["shared_subscriptions/count"] == "1"
        assert int(said["retained messages/count"]) > 1
        assert said["publish/messages/received"] == "1"
        assert said["messages/received"] == "3"  # CONNECT, PUBLISH, SUBSCRIBE
        assert said["messages/sent"] == "3"
        assert int(said["bytes/received"]) > 30
        assert said["uptime"].endswith(" seconds")
        assert said["version"].startswith("mqtt-interop version ")
        assert float(said["load/messages/received/1min"]) > float(said["load/messages/received/15min"]) > 0

    run(main())


def test_what_waits_was_dropped_and_expired_is_counted(run: Run) -> None:
    async def main() -> None:
        limits = BrokerConfig(queue_maximum_messages=2, session_expiry_maximum=1000)
        server = observed(sys_interval_seconds=3600, broker=limits)
        async with server, AsyncClient(server.address, ClientOptions(keep_alive=0)) as client:
            before = server.figures()  # of what it says itself
            away = ClientOptions("away", clean_start=False, properties=Properties(session_expiry_interval=1000))
            async with AsyncClient(server.address, away) as other:
                await other.subscribe("t", qos=1)
            for _ in range(5):
                await client.publish("t", b"12345", qos=1)
            await client.publish("kept", b"1234567", qos=1, retain=True)
            figures = server.figures()
            assert figures.messages_dropped == 3
            assert figures.stored_messages - before.stored_messages == 2 + 1
            assert figures.stored_bytes - before.stored_bytes == 2 * 5 + 7
            assert figures.sessions_expired == 0
            server.broker.handle_timer(server.now() + 1001)
            server._say()
            after = await retained(client)
            assert after["clients/expired"] == "1"
            assert after["publish/messages/dropped"] == "3"
            assert float(after["load/publish/dropped/1min"]) > 0
            assert server.broker.house.sessions.queues.messages == server.broker.house.sessions.queues.size_bytes == 0

    run(main())


def test_every_topic_is_in_the_page_and_no_other(run: Run) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sys-topics.md").read_text()
    said, _, _ = page.partition("left out")
    topics = re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (`.*?) \|", said, re.MULTILINE)))
    named = {topic.replace("+", minutes) for topic in topics for minutes in LOADS}

    async def main() -> None:
        async with observed(sys_interval_seconds=3600) as server, AsyncClient(server.address) as client:
            server._say()
            assert (await retained(client)).keys() == named

    run(main())


def test_what_did_not_change_is_not_said_again(run: Run) -> None:
    async def main() -> None:
        async with observed(sys_interval_seconds=3600) as server, AsyncClient(server.address) as client:
            server._say()
            await client.subscribe("$SYS/broker/version", "$SYS/broker/subscriptions/count")
            await client.receive()
            await client.receive()
            server._say()
            message = await client.receive()
            assert message.topic == "$SYS/broker/subscriptions/count"

    run(main())


def test_nobody_else_speaks_on_the_brokers_topics(run: Run) -> None:
    """[5.0 4.7.2, 3.1.1 MQTT311-U-7]"""

    async def main() -> None:
        for interval, reason in ((3600.0, ReasonCode.NOT_AUTHORIZED), (0.0, ReasonCode.NO_MATCHING_SUBSCRIBERS)):
            async with observed(sys_interval_seconds=interval) as server, AsyncClient(server.address) as client:
                for topic in ("$SYS/broker/uptime", "$SYS/x"):
                    assert (await client.publish(topic, b"x", qos=1, retain=True)).reason == reason
                assert (await client.publish("$other", b"", qos=1)).reason == ReasonCode.NO_MATCHING_SUBSCRIBERS

    run(main())


def test_the_brokers_own_messages_are_not_stored(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        speaking = observed(sys_interval_seconds=3600, store=tmp_path / "s")
        async with speaking, AsyncClient(speaking.address) as client:
            await client.publish("kept", b"x", qos=1, retain=True)
        async with observed(store=tmp_path / "s") as server, AsyncClient(server.address) as client:
            assert await retained(client) == {}
            assert await retained(client, "kept") == {"kept": "x"}

    run(main())


# --- the page --------------------------------------------------------------------------------------------------------


async def http(address: Address | None, request: bytes) -> tuple[int, str]:
    assert address is not None
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(request)
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def test_prometheus_has_its_page(run: Run) -> None:
    async def main() -> None:
        async with observed(metrics_port=0) as server, AsyncClient(server.address) as client:
            await client.publish("t", b"x", qos=1)
            status, page = await http(server.metrics_address, get("/metrics"))
        assert status == 200
        values = dict(line.split(" ") for line in page.splitlines() if not line.startswith("#"))
        assert values["mqtt_clients_connected"] == "1.0"
        assert values["mqtt_publishes_received_total"] == "1.0"
        assert float(values["mqtt_received_bytes_total"]) > 10

    run(main())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/health"), 200),
        (get("/"), 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"\r\n\r\n", 405),
        (b"HEAD /health HTTP/1.1\r\n\r\n", 200),
    ],
)
def test_there_are_two_pages(run: Run, request_bytes: bytes, status: int) -> None:
    async def main() -> None:
        async with observed(metrics_port=0) as server:
            assert (await http(server.metrics_address, request_bytes))[0] == status

    run(main())


def test_a_broker_that_can_keep_nothing_is_not_well(run: Run) -> None:
    async def main() -> None:
        async with observed(metrics_port=0) as server:
            server.broker.store_is_full = True
            assert (await http(server.metrics_address, get("/health")))[0] == 503

    run(main())


def test_a_request_without_end_is_cut_off(run: Run) -> None:
    async def main() -> None:
        async with observed(metrics_port=0) as server:
            address = server.metrics_address
            assert address is not None
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"x" * 20_000)
            with pytest.raises((ConnectionError, AssertionError)):
                assert await reader.read() == b"never"
            writer.close()

    run(main())


def test_nothing_is_counted_and_nothing_listens_unless_somebody_wants_to_see_it(run: Run) -> None:
    async def main() -> None:
        async with observed() as server, AsyncClient(server.address) as client:
            await client.publish("t", b"", qos=1)
            assert server.metrics_address is None
            assert server.figures().received.bytes == 0

    run(main())


def test_a_port_that_is_in_use_is_named(run: Run) -> None:
    async def main() -> None:
        async with observed(metrics_port=0) as server:
            assert server.metrics_address is not None
            with pytest.raises(ListenFailed, match=str(server.metrics_address.port)):
                await observed(metrics_port=server.metrics_address.port).start()

    run(main())


# --- the log ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", LogFormat)
def test_the_log_has_no_payload_and_no_secret(run: Run, tmp_path: Path, form: LogFormat) -> None:
    write_user(tmp_path / "users", "alice", new_user("pass-word", with_scram=False))
    (tmp_path / "rules").write_text("user alice\nboth open\n")
    config = ObservedConfig(
        port=0, password_file=tmp_path / "users", rules_file=tmp_path / "rules", log_file=tmp_path / "log",
        log_format=form,
    )  # fmt: skip
    logger, handler = logging.getLogger("reference_broker"), log_handler(config)
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)

    async def main() -> None:
        async with ObservedServer(config) as server:
            options = ClientOptions(username="alice", password=b"pass-word")
            async with AsyncClient(server.address, options) as client:
                await client.publish("closed", b"pay-load", qos=1)
                await client.subscribe("closed")
            with pytest.raises(ConnectionError):
                await AsyncClient(server.address, ClientOptions(username="alice", password=b"wrong-word")).connect()

    try:
        run(main())
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
    text = (tmp_path / "log").read_text()
    assert "refused to publish to 'closed'" in text
    assert "bad user name or password" in text
    for secret in ("pay-load", "pass-word", "wrong-word", "$argon2"):
        assert secret not in text
    if form is LogFormat.JSON:
        lines = [json.loads(line) for line in text.splitlines()]
        assert {frozenset(line) for line in lines} == {frozenset({"time", "level", "message"})}
        assert {"warning", "debug"} <= {line["level"] for line in lines}


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot log to .*none/log: No such file"):
        log_handler(ObservedConfig(log_file=tmp_path / "none" / "log"))


@pytest.mark.parametrize(
    "wrong", [{"sys_interval_seconds": -1.0}, {"metrics_port": 70_000}, {"log_file": Path("x"), "log_to_syslog": True}]
)
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ObservedConfig(**wrong)
