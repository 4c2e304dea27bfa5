"""A few packets with a broker, by hand: for finding out what it can do.

Belongs here: connecting, sending one packet, waiting for another.
Does not belong here: what is asked (`interop.probe`), a client that follows the protocol (`reference_broker.client`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from interop.brokers.probe import ANSWER_SECONDS, Login, as_clause, leave
from reference_broker.net.address import Address
from reference_broker.net.errors import CertificateUnusable, ConnectFailed
from reference_broker.net.stream import Stream, dial
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError, RemoteError
from reference_broker.wire.packets import ConnAck, Connect, Disconnect, Packet, PingReq, PingResp
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import Version

Kind = TypeVar("Kind", bound=Packet)


class NoAnswer(Exception):
    """What was waited for did not come; the message says what came about instead."""


class Refusal(NoAnswer):
    """The broker said that it will not: DISCONNECT of 5.0 with its reason."""


class Conversation:
    """One connection that was let in; `connack` is what it was told."""

    def __init__(self, stream: Stream, version: Version) -> None:
        self._stream = stream
        self._version = version
        self._reader = Reader(version=version)
        self.connack = ConnAck()

    async def send(self, packet: Packet) -> None:
        """Write a packet; raises NoAnswer when the broker is gone, LocalError for what the version has not."""
        self._stream.write(encode(packet, self._version))
        try:
            await self._stream.drain()
        except ConnectionError:
            raise NoAnswer("the broker closed the connection") from None

    async def expect(self, kind: type[Kind], seconds: float = ANSWER_SECONDS) -> Kind:
        """The next packet of a kind, others left aside; raises NoAnswer."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    packet = await self._next()
                    if isinstance(packet, kind):
                        return packet
                    if isinstance(packet, Disconnect):
                        raise Refusal(f"DISCONNECT {packet.reason:#04x}")
        except TimeoutError:
            raise NoAnswer("no answer") from None

    async def _next(self) -> Packet:
        try:
            while (packet := self._reader.next_packet()) is None:
                data = await self._stream.read()
                if not data:
                    raise NoAnswer("the broker closed the connection")
                self._reader.feed(data)
        except (ConnectionError, RemoteError) as error:
            raise NoAnswer(str(error) or "the broker closed the connection") from None
        return packet

    async def settle(self, seconds: float = ANSWER_SECONDS) -> None:
        """Wait until the broker has seen to everything that was sent; raises NoAnswer."""
        await self.send(PingReq())
        await self.expect(PingResp, seconds)


@asynccontextmanager
async def conversation(
    address: Address,
    version: Version,
    login: Login = None,
    *,
    client_id: str | None = None,
    clean_start: bool = True,
    properties: Properties = NO_PROPERTIES,
    seconds: float = ANSWER_SECONDS,
) -> AsyncIterator[Conversation]:
    """Connect, and leave in order in the end; raises NoAnswer when not let in."""
    username, password = login or (None, None)
    connect = Connect(
        version,
        f"probe{secrets.token_hex(8)}" if client_id is None else client_id,
        clean_start=clean_start,
        keep_alive=60,
        username=username,
        password=None if password is None else password.encode("utf-8", "surrogateescape"),
        properties=properties,
    )
    try:
        first = encode(connect, version)
        stream = await dial(address, seconds)
    except (ConnectFailed, CertificateUnusable) as failure:
        raise NoAnswer(as_clause(getattr(failure, "reason", str(failure)))) from None
    except LocalError as problem:
        raise NoAnswer(str(problem)) from None
    try:
        talk = Conversation(stream, version)
        stream.write(first)
        talk.connack = await talk.expect(ConnAck, seconds)
        if talk.connack.reason != 0:
            raise NoAnswer(f"CONNACK {talk.connack.reason:#04x}")
        yield talk
        stream.write(encode(Disconnect(), version))
    finally:
        await leave(stream)
