"""The way of the bytes: every connection that comes in is carried on to the broker, unchanged.

Belongs here: sockets, back-pressure, how ends are passed on.
Does not belong here: what the bytes mean (`recorder`).

Bytes are written on before anybody looks at them, so looking at them delays nothing but the bytes behind them. A reader
that is slow stops its writer: no more is read before the peer has taken what was. TLS is the monitor's own on each
side, and knows no half-closed connection. WebSocket is the two peers' own, handshake and frames, where both sides of
the route speak it; only a route between one that does and one that does not has to translate. A network lies where the
tap has it: here is the clients' neighbour, and far away is the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interop.monitor.recorder import Limits, Recorder, Room, WhyNot
from interop.tap.distant import Distant
from interop.tap.faults import How
from interop.tap.network import LOOPBACK, Network
from interop.tap.outlet import Outlet
from interop.tap.reach import outlet_to, reach
from interop.tap.trace import Sender
from reference_broker.net.address import Address
from reference_broker.net.errors import CertificateUnusable, ConnectFailed
from reference_broker.net.stream import Listener, Stream, listen


class Connection:
    """One client's connection and what is known of it; `recorder` has it from `began`, in seconds since 1970."""

    def __init__(self, number: int, peer: str, broker: str, transport: str, recorder: Recorder, began: float) -> None:
        self.number = number
        self.peer = peer
        self.broker = broker
        self.transport = transport
        self.began = began
        self.problem = ""  # why it was not carried on
        self.is_told = False  # its record is written
        self.recorder = recorder

    @property
    def name(self) -> str:
        """How a person knows it: client identifier and address."""
        known = self.recorder.client_id
        return f'"{known}" ({self.peer})' if known else f"connection {self.number} ({self.peer})"


@dataclass(frozen=True, slots=True)
class Route:
    """Where clients connect to, with the certificate they are shown there if it is TLS, and where the broker is."""

    listening: Address
    upstream: Address
    cert_file: Path | None = None
    key_file: Path | None = None
    network: Network = LOOPBACK
    """What lies between here and the broker."""

    @property
    def has_frames(self) -> bool:
        """Whether WebSocket frames go through as they are."""
        return self.listening.transport.is_websocket and self.upstream.transport.is_websocket


class Copier:
    """Carries each connection on along its route; `opened` is told of each."""

    def __init__(self, route: Route, limits: Limits, opened: Callable[[Connection], None]) -> None:
        self._route = route
        self._limits = limits
        self._room = Room()
        self._opened = opened
        self._count = 0
        self._listener: Listener | None = None

    async def open(self) -> Address:
        """Listen; gives the address with its port. Raises ListenFailed."""
        route = self._route
        self._listener = await listen(
            self._beneath(route.listening), self._serve, cert_file=route.cert_file, key_file=route.key_file
        )
        return dataclasses.replace(route.listening, port=self._listener.address.port)

    async def close(self) -> None:
        """Accept no more and end all connections."""
        if self._listener is not None:
            await self._listener.close()

    def _beneath(self, address: Address) -> Address:
        return address.beneath_websocket if self._route.has_frames else address

    async def _serve(self, client: Stream) -> None:
        self._count += 1
        recorder = Recorder(time.monotonic(), self._limits, self._room, has_frames=self._route.has_frames)
        recorder.round_trip_seconds = self._route.network.round_trip_seconds
        broker = self._route.upstream
        connection = Connection(
            self._count, client.peer, broker.host_and_port, str(broker.transport), recorder, time.time()
        )
        self._opened(connection)
        try:
            await self._carry(connection, client)
        finally:
            connection.recorder.is_over = True

    async def _carry(self, connection: Connection, client: Stream) -> None:
        route, network = self._route, self._route.network
        address, journey = self._beneath(route.upstream), f"monitor {connection.number}"
        try:
            broker = await reach(address, network, journey, has_frames=route.has_frames, half_closes=True)
        except (ConnectFailed, CertificateUnusable) as error:
            connection.problem = str(error)
            return
        to_client, to_broker = (
            outlet_to(side, stream, network, half_closes=True)
            for side, stream in ((Sender.CLIENT, client), (Sender.BROKER, broker))
        )
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_copy(connection.recorder, Sender.CLIENT, client, to_broker))
                ways.create_task(_copy(connection.recorder, Sender.BROKER, broker, to_client))
        finally:
            to_client.close()
            to_broker.close()
            if isinstance(broker, Distant):
                broker.hang_up()


async def _copy(recorder: Recorder, side: Sender, source: Stream | Distant, target: Outlet) -> None:
    """Carry one direction to its end."""
    while True:
        try:
            data = await source.read()
        except ConnectionError as error:
            recorder.ended(side, "RST" if isinstance(error, ConnectionResetError) else str(error), time.monotonic())
            target.end(How.RST)
            return
        now = time.monotonic()
        if not data:
            if not source.is_closed:  # its own end, not ours
                recorder.ended(side, "FIN", now)
            target.end(How.FIN)
            await target.written()
            return
        target.write(data)
        try:
            recorder.received(side, data, now)
        except Exception as error:  # whatever it is, the bytes go on
            recorder.stop(WhyNot.FAILED, f"{type(error).__name__}: {error}")
        if target.is_write_paused:
            recorder.blocked(side, now)
            with contextlib.suppress(ConnectionError):  # its own reader tells
                await target.drain()
            recorder.unblocked(side, time.monotonic())
