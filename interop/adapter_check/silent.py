"""A broker that lets clients in, or does not, and then says nothing: what they ask stays unanswered.

Belongs here: its connections and what came on them.
Does not belong here: what a client is expected to do then (`stages`).
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from reference_broker.net.address import Address, Transport
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import ConnAck, Connect, Packet


class Peer:
    """One connection of a client, its packets so far, and the answer to its CONNECT; None ends it instead."""

    def __init__(self, writer: asyncio.StreamWriter, answer: ConnAck | None) -> None:
        self._answer = answer
        self.packets: list[Packet] = []
        self.ended = asyncio.Event()
        self._writer = writer
        self._reader = Reader()

    def feed(self, data: bytes) -> None:
        """Take bytes of the client's, and answer when its CONNECT is complete; raises RemoteError."""
        self._reader.feed(data)
        while (packet := self._reader.next_packet()) is not None:
            self.packets.append(packet)
            if isinstance(packet, Connect):
                self._let_in(packet)

    def _let_in(self, connect: Connect) -> None:
        if self._answer is not None:
            self._writer.write(encode(self._answer, connect.version))
        if self._answer is None or self._answer.reason:  # who refuses closes, too [3.1.1 MQTT-3.2.2-5]
            self.close()

    def close(self) -> None:
        """End the connection without a word."""
        self._writer.close()


class SilentBroker:
    """A listener on loopback over TCP."""

    def __init__(self) -> None:
        self.address: Address
        self.answer: ConnAck | None = ConnAck()
        """What those who connect from now on get; None is the end of their connection."""
        self._peers: list[Peer] = []
        self._server: asyncio.Server

    @property
    def connections(self) -> int:
        """How many there were so far."""
        return len(self._peers)

    @property
    def peer(self) -> Peer:
        """The newest connection; there once a client was let in."""
        return self._peers[-1]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = Address("127.0.0.1", self._server.sockets[0].getsockname()[1], Transport.TCP)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, at: TracebackType | None) -> None:
        self._server.close()
        for peer in self._peers:
            peer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(writer, self.answer)
        self._peers.append(peer)
        with contextlib.suppress(OSError, RemoteError):
            while data := await reader.read(65536):
                peer.feed(data)
        writer.close()
        peer.ended.set()
