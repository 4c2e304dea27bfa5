"""Byte streams to await, over all four transports: what the clients and the recording tap are built on.

Belongs here: `dial`, `listen` and `Stream`.
Does not belong here: MQTT; the broker's own connections (`server`), which never wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from reference_broker.net.address import Address
from reference_broker.net.connection import Connection, peer_of
from reference_broker.net.errors import (
    AddressInUse,
    BadPeer,
    CertificateUnusable,
    ConnectFailed,
    ListenFailed,
    reason_of,
)
from reference_broker.net.listening import client_wrapping, serve, server_wrapping
from reference_broker.net.websocket import WebSocketWrapping
from reference_broker.net.wrapping import Wrapping

__all__ = [
    "Address",
    "AddressInUse",
    "BadPeer",
    "CertificateUnusable",
    "ConnectFailed",
    "ListenFailed",
    "Listener",
    "Stream",
    "dial",
    "listen",
]

_UNREAD_LIMIT = 262_144  # bytes kept for `read` before we stop taking more from the peer


class Stream(Connection):
    """One connection as a stream of bytes; `peer` is the other end's `host:port`.

    `read` gives all that has come, up to some 512 KiB. One task may read and one may drain at a time.
    """

    __slots__ = ("_changed", "_lost", "_open", "_reading_paused", "_unread", "_unread_size", "error", "peer")

    def __init__(self, wrapping: Wrapping | None = None) -> None:
        super().__init__(wrapping)
        self.peer = ""
        self._open = False
        self.error: Exception | None = None  # why the connection ended out of order
        self._unread: list[bytes] = []
        self._unread_size = 0
        self._reading_paused = False
        self._lost = False
        self._changed: set[asyncio.Future[None]] = set()

    @property
    def is_closed(self) -> bool:
        """Whether `close` or `abort` was called or the connection was lost."""
        return self._closing

    async def read(self) -> bytes:
        """Wait for bytes; b"" once the peer ended with FIN or we closed.

        Bytes that came before an RST come first. Raises ConnectionResetError after RST, BadPeer (a ConnectionError)
        when the peer broke TLS or WebSocket.
        """
        while not self._unread:
            if self.error is not None:
                raise self.error
            if self.peer_has_ended or self._closing:
                return b""
            await self._change()
        data = self._unread[0] if len(self._unread) == 1 else b"".join(self._unread)
        self._unread.clear()
        self._unread_size = 0
        if not self._reading_paused:
            super().resume_reading()
        return data

    async def drain(self) -> None:
        """Wait until the peer has taken enough to write more; raises ConnectionResetError when it is gone."""
        while self.is_write_paused and not self._lost:
            await self._change()
        if self.error is not None:
            raise self.error

    async def wait_open(self) -> None:
        """Wait for the end of the handshake; raises ConnectionError when none comes about."""
        while not self._open:
            if self.error is not None:
                raise self.error
            if self.peer_has_ended or self._lost:
                handshake = self._wrapping.name if self._wrapping is not None else "TCP"
                raise ConnectionError(f"the peer closed the connection during the {handshake} handshake")
            await self._change()

    async def wait_closed(self) -> None:
        """Wait until the socket is closed, after `close` or `abort`."""
        while not self._lost:
            await self._change()

    def pause_reading(self) -> None:
        """Leave bytes in the socket, so that in the end the peer has to stop sending; `read` gives what came before."""
        self._reading_paused = True
        super().pause_reading()

    def resume_reading(self) -> None:
        """Take bytes from the socket again."""
        self._reading_paused = False
        if self._unread_size < _UNREAD_LIMIT:
            super().resume_reading()

    def close(self) -> None:
        """Send what was written, then the wrapping's goodbye, then FIN; what still arrives is thrown away."""
        super().close()
        self._notify()

    def abort(self) -> None:
        """Drop the connection at once with RST: the peer's read raises ConnectionResetError."""
        super().abort()
        self._notify()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the peer."""
        self.peer = peer_of(transport)
        super().connection_made(transport)

    def on_open(self) -> None:
        """Wake `wait_open`."""
        self._open = True
        self._notify()

    def on_data(self, data: bytes) -> None:
        """Keep bytes for `read`."""
        self._unread.append(data)
        self._unread_size += len(data)
        if self._unread_size >= _UNREAD_LIMIT:
            super().pause_reading()
        self._notify()

    def on_end(self) -> None:
        """Wake `read`."""
        self._notify()

    def on_bad_peer(self, error: BadPeer) -> None:
        """Let `read` raise it."""
        self.error = error

    def on_write_resumed(self) -> None:
        """Wake `drain`."""
        self._notify()

    def on_read_resumed(self) -> None:
        """Take bytes again if nobody wanted none."""
        if not self._reading_paused:
            self.resume_reading()

    def on_lost(self, error: Exception | None) -> None:
        """Wake everyone; a broken pipe is the same news as a reset."""
        self._lost = True
        if error is not None and self.error is None:
            self.error = ConnectionResetError(f"connection reset by {self.peer}")
        self._notify()

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._changed.add(waiter)
        try:
            await waiter
        finally:
            self._changed.discard(waiter)

    def _notify(self) -> None:
        for waiter in self._changed:
            if not waiter.done():
                waiter.set_result(None)


async def dial(
    address: Address, timeout_seconds: float = 10.0, *, websocket_type: type[WebSocketWrapping] = WebSocketWrapping
) -> Stream:
    """Connect, shake hands, and give the open stream.

    Raises ConnectFailed (or CertificateUnusable for `ca_file`) with one line: where to, and why not.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_seconds):
            stream = Stream(client_wrapping(address, websocket_type))
            if address.unix_socket is None:
                await loop.create_connection(lambda: stream, address.host, address.port)
            else:
                await loop.create_unix_connection(lambda: stream, str(address.unix_socket))
            try:
                await stream.wait_open()
            except BaseException:
                stream.abort()
                raise
    except TimeoutError:
        reason = f"no answer within {timeout_seconds:g} s"
    except CertificateUnusable:
        raise
    except (OSError, ValueError) as error:  # ValueError: a host that can be none
        reason = reason_of(error)
    else:
        return stream
    raise ConnectFailed(address.host_and_port, reason)


class Listener:
    """Accepts streams until closed; `address` has the port the system picked."""

    def __init__(self, address: Address, server: asyncio.Server, streams: _Streams) -> None:
        self.address = address
        self._server = server
        self._streams = streams

    async def close(self) -> None:
        """Accept no more, cancel the running `on_stream` handlers and close their streams."""
        self._server.close()
        await self._streams.close()


class _Streams:
    """The accepted connections of one listener and the tasks that handle them."""

    def __init__(self, on_stream: Callable[[Stream], Coroutine[Any, Any, None]]) -> None:
        self._on_stream = on_stream
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, wrapping: Wrapping | None) -> Stream:
        stream = Stream(wrapping)
        task = asyncio.get_running_loop().create_task(self._handle(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _task: stream.close())  # also when it was cancelled before its first step
        return stream

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _handle(self, stream: Stream) -> None:
        with contextlib.suppress(ConnectionError):  # the peer is gone, which ends the handler in order
            await stream.wait_open()
            await self._on_stream(stream)


async def listen(
    address: Address,
    on_stream: Callable[[Stream], Coroutine[Any, Any, None]],
    *,
    cert_file: Path | None = None,
    key_file: Path | None = None,
) -> Listener:
    """Accept connections and run `on_stream` for each, once its handshake is over; the stream closes when it returns.

    Raises AddressInUse, CertificateUnusable or another ListenFailed with one line that says why.
    """
    make_wrapping = server_wrapping(address, cert_file, key_file)
    streams = _Streams(on_stream)
    server, where = await serve(address, lambda: streams.accept(make_wrapping()))
    return Listener(where, server, streams)
