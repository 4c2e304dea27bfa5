"""One actor's link on real sockets: a listener that takes the client's connections on to the broker.

Belongs here: streams, timers, and the faults as the runner asks for them.
Does not belong here: what happens to a packet (`lane`) or a connection (`crossing`), what it means (`interop.judge`).

TLS ends here; what is inside it goes on as it is, WebSocket frames included. Everything runs in one event loop. A fault
`now` befalls the link's newest connection; an armed one (`when`) waits over reconnections until it fires. Connections
are independent: while an old one is silent or frozen, a new one works.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from typing import ClassVar

from interop.tap.crossing import Crossing
from interop.tap.distant import Distant
from interop.tap.faults import (
    Action,
    Armed,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Frames,
    Freeze,
    Hold,
    How,
    Plan,
    Rewrite,
    When,
)
from interop.tap.framed import FramedCrossing
from interop.tap.lane import Effect, Write
from interop.tap.network import LOOPBACK, Network
from interop.tap.reach import outlet_to, reach
from interop.tap.trace import Kind, Sender, Trace
from reference_broker.net.address import Address
from reference_broker.net.errors import ConnectFailed
from reference_broker.net.stream import Listener, Stream, listen
from reference_broker.net.tls import TestCertificates
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Packet
from reference_broker.wire.types import PacketType, Version

__all__ = ["How", "Link", "When"]

NOTICE_SECONDS = 0.3
"""How long a broker is waited for to close a connection that has ended."""


_BEGINNING = frozenset({PacketType.CONNECT, PacketType.CONNACK})


class Link:
    """The way of one actor to the broker at `upstream`, over the same transport; entries go to `trace` under `name`.

    `version` is used to decode a connection until its CONNECT tells. `server_tls` is what the client gets to see over
    TLS; without it `open` raises CertificateUnusable there. `network` lies between here and the broker; the same
    `journey` takes the same course through it.
    """

    HOST: ClassVar[str] = "127.0.0.1"

    def __init__(
        self,
        name: str,
        *,
        upstream: Address,
        version: Version,
        trace: Trace,
        server_tls: TestCertificates | None = None,
        network: Network = LOOPBACK,
        journey: str = "",
        listening: Address | None = None,
    ) -> None:
        """`listening`: host and port to listen on; else a port of this machine that the system picks."""
        self.name = name
        self._host, self._port = (self.HOST, 0) if listening is None else (listening.host, listening.port)
        self.network = network
        self._journey = journey
        self.upstream = upstream
        self.trace = trace
        self._versions = [version]  # by connection, from 0 on, as far as any was asked for
        self._server_tls = server_tls
        self._plan = Plan()
        self._split: set[Sender] = set()
        self._address = upstream
        self._passages: list[_Passage] = []
        self._listener: Listener | None = None
        self.unreached = ""
        """Why the broker could not be connected to, the last time that happened."""

    async def open(self) -> Address:
        """Listen, unless it does already; gives what the client connects to. Raises ListenFailed."""
        if self._listener is not None:
            return self._address
        tls = self._server_tls
        own = dataclasses.replace(self.upstream, host=self._host, port=self._port, ca_file=tls.ca_file if tls else None)
        listener = await listen(
            own.beneath_websocket,
            self._serve,
            cert_file=tls.cert_file if tls else None,
            key_file=tls.key_file if tls else None,
        )
        self._listener = listener
        self._address = dataclasses.replace(own, port=listener.address.port)
        return self._address

    async def close(self) -> None:
        """End all connections, silent ones too, and the listener; a peer that does not end its side is cut off."""
        if self._listener is not None:
            await self._listener.close()
        await asyncio.gather(*(passage.wait_closed() for passage in self._passages))

    @property
    def version(self) -> Version:
        """The one a new connection is asked to speak."""
        return self._versions[-1]

    def version_asked(self, connection: int) -> Version:
        """The one that a connection, by number, was asked to speak when it began."""
        return self._versions[min(connection, len(self._versions) - 1)]

    def speak(self, version: Version) -> None:
        """New connections are to speak this version; those there are were asked for what they were."""
        asked = self._versions
        asked += [asked[-1]] * (self.connections + 1 - len(asked))
        asked[self.connections + 1 :] = [version]

    async def broker_notices(self, within_seconds: float = NOTICE_SECONDS) -> None:
        """Wait until the broker has closed a connection that ended, but no longer than that.

        It reads other connections while the end of this one is on its way: what is published next would be for a client
        that is still there.
        """
        if self._passages:
            await self._passages[-1].wait_for_broker(within_seconds)

    @property
    def connections(self) -> int:
        """How many network connections the client opened so far; the newest has that number."""
        return len(self._passages)

    @property
    def failures(self) -> list[Exception]:
        """Rewrites that could not be carried out: the harness's or the scenario's mistake."""
        return [failure for passage in self._passages for failure in passage.crossing.failures]

    @property
    def carries(self) -> bool:
        """Whether what is sent on the newest connection may still arrive."""
        return bool(self._passages) and self._passages[-1].crossing.carries

    @property
    def is_over(self) -> bool:
        """Whether there were connections and each has ended for both sides: nothing is on its way on any of them."""
        return bool(self._passages) and not any(passage.is_alive for passage in self._passages)

    def is_open(self, side: Sender) -> bool:
        """Whether that side's newest connection is open: neither it nor the tap has ended it."""
        return bool(self._passages) and self._passages[-1].crossing.is_open(side)

    # --- faults -------------------------------------------------------------------------------------------------------

    def cut(self, how: How, when: When | None = None, deliver: bool = False) -> None:
        """End the connection by FIN, RST or silence; `deliver` lets the packet through first."""
        if when is not None:
            self.arm(when, Cut(how, deliver))
        elif newest := self._newest(str(Cut(how))):
            newest.perform(newest.crossing.cut(how, self.trace.clock()))

    def freeze(self, only_from: Sender | None = None, when: When | None = None) -> None:
        """Stop bytes both ways, or those from one side; what is sent meanwhile waits."""
        freeze = Freeze(only_from)
        if when is not None:
            self.arm(when, freeze)
        elif newest := self._newest(str(freeze)):
            newest.crossing.freeze(freeze, self.trace.clock())

    def thaw(self) -> None:
        """Let go what freeze and hold kept back, on every connection, in the order it was sent."""
        self._plan.end_holds()
        for passage in self._passages:
            if passage.is_alive:
                passage.perform(passage.crossing.thaw(self.trace.clock()))

    def hold(self, when: When) -> None:
        """Keep the packet back until `thaw`; others pass it."""
        self.arm(when, Hold())

    def drop(self, when: When) -> None:
        """Never deliver the packet."""
        self.arm(when, Drop())

    def duplicate(self, when: When, dup: bool | None = None) -> None:
        """Deliver the packet twice; `dup` sets or clears DUP in the copy."""
        self.arm(when, Duplicate(dup))

    def delay(self, when: When, seconds: float) -> None:
        """Deliver the packet that much later; what follows in its direction waits behind it."""
        self.arm(when, Delay(seconds))

    def rewrite(self, when: When, change: Callable[[Packet], Packet] | bytes) -> None:
        """Deliver a changed packet, or bytes, in the packet's place."""
        self.arm(when, Rewrite(change))

    def split(self, sender: Sender) -> None:
        """From now on bytes from that side arrive one by one, each in a segment (and frame) of its own."""
        self._split.add(sender)
        if self.upstream.transport.is_websocket:
            self._plan.frames[sender] = Frames(frame_bytes=1)
        self._note(f"split what the {sender} sends")

    def reframe(self, sender: Sender, frames: Frames) -> None:
        """From now on bytes from that side arrive in other WebSocket frames."""
        self._plan.frames[sender] = frames
        self._note(f"other frames for what the {sender} sends")

    def throttle(self, sender: Sender, bytes_per_second: float) -> None:
        """From now on bytes from that side arrive no faster than that."""
        self._plan.rates[sender] = bytes_per_second
        self._note(f"throttle what the {sender} sends to {bytes_per_second:g} bytes/s")

    def inject(self, to: Sender, data: bytes | Packet, *, beneath: bool = False) -> None:
        """A packet, or any bytes, arrive at that side of the newest connection though nobody sent them.

        `beneath` puts them beneath the WebSocket: they are frames then, not what is in one.
        Raises LocalError for a packet the specification forbids to send (give its bytes), RuntimeError when there was
        no connection yet.
        """
        if not self._passages:
            raise RuntimeError(f"cannot inject: {self.name} has not connected yet")
        newest = self._passages[-1]
        raw = data if isinstance(data, bytes) else encode(data, newest.crossing.version)
        newest.perform(newest.crossing.inject(to, raw, self.trace.clock(), beneath=beneath))

    def arm(self, when: When, action: Action) -> None:
        """Let any fault wait for a packet: of the connection there is, or of the next one."""
        begins_one = when.packet in _BEGINNING
        here = self.carries and not begins_one
        self._plan.arm(when, action, self.connections + (not here))

    def disarm(self) -> None:
        """Forget the armed faults that have not fired."""
        self._plan.forget()

    @property
    def outstanding(self) -> list[Armed]:
        """The armed faults that are to fire before the newest connection is left, and have not."""
        return self._plan.outstanding(self.connections)

    # --- connections --------------------------------------------------------------------------------------------------

    def _newest(self, fault: str) -> _Passage | None:
        """The connection a fault befalls; without one the trace tells that it fired into the void."""
        if self._passages and self._passages[-1].is_alive:
            return self._passages[-1]
        self._note(f"{fault}: no connection")
        return None

    def _note(self, note: str) -> None:
        self.trace.record(self.name, self.connections, Kind.FAULT, Sender.HARNESS, note=note)

    async def _serve(self, client: Stream) -> None:
        passage = _Passage(self, client)
        self._passages.append(passage)
        self.trace.record(self.name, self.connections, Kind.OPEN, Sender.CLIENT)
        await passage.run()

    def new_crossing(self) -> Crossing:
        """The core of the next connection."""
        kind = FramedCrossing if self.upstream.transport.is_websocket else Crossing
        return kind(self.trace, self.name, self.connections + 1, self.version, self._plan)

    async def reach(self, number: int) -> Stream | Distant:
        """Connect to the broker for that connection; raises ConnectFailed."""
        upstream = self.upstream
        journey = f"{self._journey} {self.name} {number}"
        has_frames = upstream.transport.is_websocket
        return await reach(upstream.beneath_websocket, self.network, journey, has_frames=has_frames)

    def segment_bytes(self, sender: Sender, data: bytes) -> int:
        """How many bytes of what that side sent go at a time where they go one by one, else 0; a frame stays whole."""
        if sender not in self._split:
            return 0
        return len(data) if self.upstream.transport.is_websocket else 1


class _Passage:
    """One connection: two streams, its timer, and the core that decides."""

    def __init__(self, link: Link, client: Stream) -> None:
        self.crossing = link.new_crossing()
        self._link = link
        self._clock = link.trace.clock
        self._client = client
        self._outlets = {Sender.CLIENT: outlet_to(Sender.CLIENT, client, link.network)}
        self._distant: Distant | None = None
        self._timer: asyncio.Handle | None = None

    @property
    def is_alive(self) -> bool:
        """Whether one of its sides is still open."""
        return self.crossing.is_open(Sender.CLIENT) or self.crossing.is_open(Sender.BROKER)

    async def run(self) -> None:
        """Carry bytes until both sides have ended."""
        try:
            broker = await self._link.reach(self.crossing.number)
        except ConnectFailed as error:
            self._link.unreached = error.reason
            self.perform(self.crossing.refuse(str(error), self._clock()))
            return
        if isinstance(broker, Distant):
            self._distant = broker
        self._outlets[Sender.BROKER] = outlet_to(Sender.BROKER, broker, self._link.network)
        if not self.crossing.is_open(Sender.BROKER):  # cut in between
            broker.close()
            return
        try:
            async with asyncio.TaskGroup() as readers:
                readers.create_task(self._read(Sender.CLIENT, self._client))
                readers.create_task(self._read(Sender.BROKER, broker))
        finally:
            self.crossing.give_up(self._clock())
            if self._timer is not None:
                self._timer.cancel()
            for outlet in self._outlets.values():
                outlet.close()

    def perform(self, effects: Iterable[Effect]) -> None:
        """Carry out what the core decided, and set the timer for what it waits for."""
        for effect in effects:
            outlet = self._outlets.get(effect.to)
            if outlet is None:  # a fault hit while the broker was being dialled
                continue
            if isinstance(effect, Write):
                outlet.write(effect.data, self._link.segment_bytes(effect.to.peer, effect.data))
            else:
                outlet.end(effect.how)
        self._set_timer()

    async def wait_closed(self) -> None:
        """Wait for the sockets' end, a moment in order, then by RST."""
        if self._distant is not None:
            self._distant.hang_up()
        await asyncio.gather(*(outlet.wait_closed() for outlet in self._outlets.values()))

    async def wait_for_broker(self, within_seconds: float) -> None:
        """Wait for the end of the broker's socket, a moment."""
        outlet = self._outlets.get(Sender.BROKER)
        if outlet is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_seconds):
                    await outlet.ended()

    async def _read(self, side: Sender, stream: Stream | Distant) -> None:
        peer = self._outlets[side.peer]
        while True:
            try:
                data = await stream.read()
            except ConnectionResetError:
                self.perform(self.crossing.end(side, How.RST, self._clock()))
                return
            except ConnectionError as error:  # TLS broken; the text says by what
                self.perform(self.crossing.end(side, How.FIN, self._clock(), str(error)))
                return
            now = self._clock()
            if not data:
                if not stream.is_closed:
                    self.perform(self.crossing.end(side, How.FIN, now))
                return
            self.perform(self.crossing.receive(side, data, now))
            with contextlib.suppress(ConnectionError):  # its own reader tells
                await peer.drain()

    def _set_timer(self) -> None:
        deadline = self.crossing.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and self.is_alive:
            delay_seconds = max(0.0, deadline - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.perform(self.crossing.handle_timer(self._clock()))
