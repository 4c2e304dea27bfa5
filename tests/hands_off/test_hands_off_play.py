"""A hands-off test with a device on a socket: records, the live page, and what was not reached."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest

from interop.hands_off.page import Board, LivePage
from interop.hands_off.play import Device, play_hands_off
from interop.hands_off.scene import Patience
from reference_broker.client import ClientOptions
from reference_broker.net.address import Address
from reference_broker.net.client import AsyncClient, Reconnection
from reference_broker.net.errors import ListenFailed
from reports.record import Record, Verdict

pytestmark = pytest.mark.usefixtures("on_both_loops")

PATIENCE = Patience(person=0.3, device=1.0, longest_keep_alive=1, long_run=0.2)
WIDGET = Device("widget", "3.1", Address("127.0.0.1", 0))


async def device(address: str) -> None:
    options = ClientOptions(client_id="dev", clean_start=False)
    with contextlib.suppress(ConnectionError):
        async with AsyncClient(address, options, reconnection=Reconnection(0.05)) as client:
            await client.subscribe("cmd", qos=1)
            await client.publish("state", b"on", qos=1)
            await client.receive()
            await asyncio.Event().wait()


def played(*stages: str, with_device: bool = True) -> tuple[list[Record], list[str]]:
    """The records, and what the terminal said."""
    said: list[str] = []
    devices: list[asyncio.Task[None]] = []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("the device connects to ") and with_device:
            devices.append(asyncio.ensure_future(device(line.split()[4].rstrip(";"))))

    async def main() -> list[Record]:
        records = await play_hands_off(WIDGET, stages, PATIENCE, say)
        for each in devices:
            each.cancel()
        await asyncio.gather(*devices, return_exceptions=True)
        return records

    return asyncio.run(main()), said


def test_what_a_device_does_is_recorded_stage_by_stage() -> None:
    records, said = played(
        "connects", "subscribes", "publishes", "acknowledges", "reconnects", "keeps_alive", "runs_long"
    )
    assert [(record.scenario, record.verdict.value) for record in records] == [
        ("device/connects", "pass"),
        ("device/subscribes", "pass"),
        ("device/publishes", "pass"),
        ("device/acknowledges", "pass"),
        ("device/reconnects", "pass"),
        ("device/keeps_alive", "setup-failed"),
        ("device/runs_long", "pass"),
        ("device/keeps_to_the_protocol", "pass"),
    ]
    assert records[5].reason == "the device's keep alive is 60 s; no more than 1 s are waited for"
    assert {(record.client, record.mqtt, record.implementations["client"]) for record in records} == {
        ("widget", "5.0", "widget 3.1")
    }
    assert [entry.packet for entry in records[0].trace][1:3] == ["CONNECT", "CONNACK"]
    assert "NOW: Leave the device alone: its connection is cut." in said
    assert "pass: reconnects" in said


def test_a_device_that_never_connects_is_waited_for_once() -> None:
    records, said = played("connects", "publishes", "reconnects", with_device=False)
    assert {record.verdict for record in records} == {Verdict.SETUP_FAILED}
    assert [record.reason for record in records] == [
        "the device did not connect within 0.3 s",
        "the device never connected",
        "the device never connected",
    ]
    assert said[-1] == "not reached: reconnects: the device never connected"


async def get(url: str, path: str, method: str = "GET") -> tuple[str, str]:
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return head.splitlines()[0], body


def test_the_live_page_shows_what_to_do_now_and_nothing_else_is_served() -> None:
    async def main() -> list[tuple[str, str]]:
        board = Board("widget <3>", "127.0.0.1:1883", "Press reset.", [("It connects", "pass", "")])
        live = LivePage(board)
        url = await live.open()
        try:
            asked = [("/", "GET"), ("/state", "GET"), ("/etc/passwd", "GET"), ("/", "POST")]
            return [await get(url, path, method) for path, method in asked]
        finally:
            await live.close()

    (first, page), (_, state), missing, posted = asyncio.run(main())
    assert first == "HTTP/1.1 200 OK"
    assert "widget &lt;3&gt;" in page
    assert json.loads(state) == {"now": "Press reset.", "stages": [["It connects", "pass", ""]]}
    assert missing[0] == posted[0] == "HTTP/1.1 404 Not Found"


def test_a_port_of_the_page_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenFailed, match=rf"cannot listen on 127\.0\.0\.1:{port}: the port is already in use"):
            asyncio.run(LivePage(Board("", "", "", [])).open(port))
