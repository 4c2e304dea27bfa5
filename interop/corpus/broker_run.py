"""Cases towards a broker: a raw client that sends each, and two healthy clients that show that the broker goes on.

Belongs here: connections and time limits. Does not belong here: which cases (`cases`), verdicts (`results`).

Behind each case a PINGREQ follows in the same write. A broker that closes never gets to it, one that goes on answers
it: so nothing has to be waited for.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from interop.corpus.model import Case, End, NoStart, Observed, Played, Stage, fits
from interop.corpus.wire import RawConnection
from reference_broker.net.address import Address
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, PingResp, PubAck, Publish, Subscribe, Subscription
from reference_broker.wire.types import QoS, Version

AT_ONCE = 50
BATCH = 500
ANSWER_SECONDS = 4.0
"""How long a broker may take; one that neither closes nor answers costs this much."""
GRACE_SECONDS = 0.3
"""How long an answer may come behind that to a later PINGREQ."""
PIECE_SECONDS = 0.005
_PINGREQ = b"\xc0\x00"
_ALIVE = "corpus/alive"


Login = tuple[str, str | None] | None
"""The user name and password a broker asks of everybody, or none."""


async def play_on_broker(case: Case, address: Address, login: Login = None) -> Observed:
    """Send one case; raises NoStart."""
    connection = await _connected_to(address, case.version)
    try:
        before = 0
        if case.stage is Stage.CONNECTED:
            await _introduce(connection, case.version, login)
            before = len(connection.packets)
        return await _exchange(case, connection, before)
    finally:
        connection.abort()


async def _exchange(case: Case, connection: RawConnection, before: int) -> Observed:
    if case.split_at is not None:
        connection.write(case.data[: case.split_at])
        await asyncio.sleep(PIECE_SECONDS)
    rest = case.data[case.split_at or 0 :]
    asks = case.probe and case.stage is Stage.CONNECTED
    connection.write(rest + _PINGREQ if asks else rest)
    if case.stage is Stage.FIRST:
        # A client of 3.1 sends nothing before CONNACK, and those of later versions need not. [3.1 MQTT31-24]
        await connection.until(lambda: bool(connection.packets or connection.garbled), ANSWER_SECONDS)
        if connection.packets and isinstance(connection.packets[0], ConnAck) and connection.packets[0].reason == 0:
            connection.write(_PINGREQ)

    def pinged() -> bool:
        return bool(connection.garbled) or any(isinstance(packet, PingResp) for packet in connection.packets)

    if not await connection.until(pinged, ANSWER_SECONDS):
        return connection.observed(End.SILENT, before)
    if not connection.closed:

        def answered() -> bool:
            return any(fits(one, connection.observed(End.ALIVE, before)) for one in case.expected.allowed)

        await connection.until(answered, GRACE_SECONDS)
    return connection.observed(End.CLOSED if connection.closed else End.ALIVE, before)


async def _connected_to(address: Address, version: Version) -> RawConnection:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            _, connection = await loop.create_connection(
                lambda: RawConnection(Reader(version)), address.host, address.port
            )
    except (OSError, TimeoutError) as error:
        raise NoStart(f"no connection to {address.host_and_port}: {error}") from None
    return connection


_numbers = itertools.count(1)


async def _introduce(connection: RawConnection, version: Version, login: Login) -> None:
    connect = Connect(version, f"corpus-c{next(_numbers)}", keep_alive=60)
    if login is not None:
        password = None if login[1] is None else login[1].encode("utf-8", "surrogateescape")
        connect = replace(connect, username=login[0], password=password)
    connection.write(encode(connect, version))
    await connection.until(lambda: bool(connection.packets), ANSWER_SECONDS)
    first = connection.packets[0] if connection.packets else None
    if not isinstance(first, ConnAck) or first.reason:
        raise NoStart(f"the broker answered an ordinary CONNECT with {first or 'nothing'}")


class Watch:
    """Two healthy clients: one subscribes, the other publishes; what one says the other has to hear."""

    def __init__(self, address: Address, version: Version, login: Login = None) -> None:
        self._address = address
        self._version = version
        self._login = login
        self._publisher: RawConnection | None = None
        self._subscriber: RawConnection | None = None
        self._sent = 0

    async def begin(self) -> None:
        """Connect and subscribe; raises NoStart."""
        self._subscriber = subscriber = await _connected_to(self._address, self._version)
        await _introduce(subscriber, self._version, self._login)
        self._publisher = await _connected_to(self._address, self._version)
        await _introduce(self._publisher, self._version, self._login)
        request = Subscribe(1, (Subscription(_ALIVE, QoS.AT_LEAST_ONCE),))
        subscriber.write(encode(request, self._version))
        if not await subscriber.until(lambda: len(subscriber.packets) > 1, ANSWER_SECONDS):
            raise NoStart("the broker did not answer an ordinary SUBSCRIBE")

    async def look(self) -> str:
        """Publish a message that has to arrive; says what was lost, or nothing."""
        publisher, subscriber = self._publisher, self._subscriber
        assert publisher is not None
        assert subscriber is not None
        self._sent += 1
        said = str(self._sent).encode()
        publisher.write(encode(Publish(_ALIVE, said, QoS.AT_LEAST_ONCE, packet_id=self._sent), self._version))

        def heard() -> bool:
            return any(isinstance(packet, Publish) and packet.payload == said for packet in subscriber.packets)

        arrived = await subscriber.until(heard, ANSWER_SECONDS)
        for packet in subscriber.packets:
            if isinstance(packet, Publish) and packet.packet_id is not None and packet.payload == said:
                subscriber.write(encode(PubAck(packet.packet_id), self._version))
        if publisher.closed or subscriber.closed:
            return "the connection of a client that did nothing wrong was closed"
        return "" if arrived else f"message {self._sent} of a client that did nothing wrong did not arrive"

    def end(self) -> None:
        """Close both."""
        for connection in (self._publisher, self._subscriber):
            if connection is not None:
                connection.abort()


def version_of_watch(cases: Sequence[Case]) -> Version:
    """The version the healthy clients speak: the newest of the cases, which the broker has to know for them."""
    return max((case.version for case in cases), default=Version.V311)


async def play_all_on_broker(
    cases: Sequence[Case], address: Address, login: Login = None
) -> AsyncIterator[tuple[list[Played], str]]:
    """Batch by batch: what each case came to, and what the healthy clients lost meanwhile; raises NoStart."""
    watch = Watch(address, version_of_watch(cases), login)
    await watch.begin()
    free = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> Played:
        async with free:
            began = time.monotonic()
            try:
                observed, problem = await play_on_broker(case, address, login), ""
            except NoStart as error:
                observed, problem = None, str(error)
            return Played(case, observed, problem, time.monotonic() - began)

    try:
        for start in range(0, len(cases), BATCH):
            meanwhile = asyncio.create_task(watch.look())
            played = await asyncio.gather(*(one(case) for case in cases[start : start + BATCH]))
            yield played, await meanwhile or await watch.look()
    finally:
        watch.end()
