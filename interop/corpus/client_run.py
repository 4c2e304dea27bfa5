"""Cases towards a client: a raw server that each client is told to connect to, and that sends it the case.

Belongs here: the server, driving the client to where a case begins. Does not belong here: drivers (`interop.drivers`),
which cases (`cases`), verdicts (`results`).

Behind each case a QoS 1 PUBLISH follows in the same write. A client that closes never gets to it, one that goes on
acknowledges it: so nothing has to be waited for. [3.1.1 MQTT-4.5.0-2, 5.0 MQTT-4.5.0-2]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import cast

from interop.corpus.model import Case, End, NoStart, Observed, Played, Stage
from interop.corpus.wire import RawConnection
from interop.drivers import contract
from interop.drivers.driver import Driver, DriverFault
from interop.drivers.pool import DriverPool
from interop.scenario.values import MqttLabel
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, Packet, PubAck, Publish, PubRec
from reference_broker.wire.types import QoS, Version

AT_ONCE = 8
ANSWER_SECONDS = 2.0
"""How long a client may take; one that neither closes nor acknowledges costs this much."""
_HOST = "127.0.0.1"
_PROBE_ID = 40_000
_TOPIC = "corpus/t"


class _Server:
    """A listener for one client at a time."""

    def __init__(self) -> None:
        self.port = 0
        self.version = Version.V311
        self._server: asyncio.Server | None = None
        self._accepted: asyncio.Queue[RawConnection] = asyncio.Queue()

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, _HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def accept(self) -> RawConnection:
        """The next connection; raises TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._accepted.get()

    def forget(self) -> None:
        """Close connections nobody took."""
        while not self._accepted.empty():
            self._accepted.get_nowait().abort()

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    def _connection(self) -> RawConnection:
        return RawConnection(Reader(self.version), self._accepted.put_nowait)


async def play_on_client(case: Case, driver: Driver, server: _Server) -> Observed:
    """Bring the client to where the case begins and send it; raises NoStart, DriverFault."""
    server.version = case.version
    label = cast("MqttLabel", case.version.label)
    command = contract.Connect(id=driver.next_id(), mqtt=label, port=server.port, client_id="corpus", keep_alive=60)
    connecting = asyncio.create_task(driver.request(command, ANSWER_SECONDS * 2))
    requests = [connecting]
    connection = None
    try:
        try:
            connection = await server.accept()
        except TimeoutError:
            raise NoStart("the client did not connect") from None
        await _packet(connection, Connect, "CONNECT")
        data = case.data
        if case.stage is Stage.CONNECTED:
            connection.write(encode(ConnAck(), case.version))
            answer = await connecting
            if isinstance(answer, contract.ErrorEvent):
                raise NoStart(f"the client did not accept an ordinary CONNACK: {answer.detail or answer.error}")
            if case.packet_id_at is not None:
                packet_id = await _request(case, driver, connection, requests)
                data = _with_packet_id(data, case.packet_id_at, packet_id)
        return await _exchange(case, data, connection)
    finally:
        if connection is not None:
            connection.abort()
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)


async def _exchange(case: Case, data: bytes, connection: RawConnection) -> Observed:
    before = len(connection.packets)
    if case.split_at is not None:
        connection.write(data[: case.split_at])
        await asyncio.sleep(0.005)
        data = data[case.split_at :]
    probe = Publish("corpus/alive", b"alive?", QoS.AT_LEAST_ONCE, packet_id=_PROBE_ID)
    connection.write(data + encode(probe, case.version) if case.probe else data)

    def acknowledged() -> bool:
        some = connection.packets[before:]
        return bool(connection.garbled) or any(isinstance(one, PubAck) and one.packet_id == _PROBE_ID for one in some)

    if not await connection.until(acknowledged, ANSWER_SECONDS):
        return connection.observed(End.SILENT, before)
    return connection.observed(End.CLOSED if connection.closed else End.ALIVE, before)


async def _request(
    case: Case, driver: Driver, connection: RawConnection, requests: list[asyncio.Task[contract.AnyEvent]]
) -> int:
    """Have the client ask for what the case answers; gives the packet identifier it chose."""
    number = driver.next_id()
    commands: dict[str, contract.AnyCommand] = {
        "suback": contract.Subscribe(id=number, subscriptions=(contract.SubscriptionRequest(topic_filter=_TOPIC),)),
        "unsuback": contract.Unsubscribe(id=number, topic_filters=(_TOPIC,)),
        "puback": contract.Publish(id=number, topic=_TOPIC, qos=1),
        "pubrec": contract.Publish(id=number, topic=_TOPIC, qos=2),
        "pubcomp": contract.Publish(id=number, topic=_TOPIC, qos=2),
    }
    requests.append(asyncio.create_task(driver.request(commands[case.packet], ANSWER_SECONDS * 2)))
    await connection.until(lambda: len(connection.packets) > 1, ANSWER_SECONDS)
    packet_id: int | None = getattr(connection.packets[1], "packet_id", None) if len(connection.packets) > 1 else None
    if packet_id is None:
        raise NoStart("the client did not send its request")
    if case.packet == "pubcomp":
        connection.write(encode(PubRec(packet_id), case.version))
        if not await connection.until(lambda: len(connection.packets) > 2, ANSWER_SECONDS):
            raise NoStart("the client did not send PUBREL")
    return packet_id


async def _packet(connection: RawConnection, kind: type[Packet], name: str) -> None:
    await connection.until(lambda: bool(connection.packets), ANSWER_SECONDS)
    if not connection.packets or not isinstance(connection.packets[0], kind):
        raise NoStart(f"the client did not send {name}")


def _with_packet_id(data: bytes, at: int, packet_id: int) -> bytes:
    return data[:at] + packet_id.to_bytes(2, "big") + data[at + 2 :]


async def play_all_on_client(cases: Sequence[Case], name: str, pool: DriverPool) -> AsyncIterator[Played]:
    """Several clients of one name at once, each playing one case after the other, in whatever order they end."""
    waiting = iter(cases)
    done: asyncio.Queue[Played | None] = asyncio.Queue()

    async def worker() -> None:
        server = _Server()
        await server.start()
        try:
            for case in waiting:
                done.put_nowait(await _played(case, name, pool, server))
                server.forget()
        finally:
            server.close()
            done.put_nowait(None)

    async with asyncio.TaskGroup() as group:
        at_work = min(AT_ONCE, len(cases))
        for _ in range(at_work):
            group.create_task(worker())
        while at_work:
            played = await done.get()
            if played is None:
                at_work -= 1
            else:
                yield played


async def _played(case: Case, name: str, pool: DriverPool, server: _Server) -> Played:
    began = time.monotonic()
    observed, problem = None, ""
    try:
        driver = await pool.acquire(name)
        try:
            observed = await play_on_client(case, driver, server)
        finally:
            await pool.release(driver)
    except (NoStart, DriverFault) as error:
        problem = str(error)
    return Played(case, observed, problem, time.monotonic() - began)
