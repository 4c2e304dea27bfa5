"""Paho's network loop inside asyncio, by Paho's interface for external event loops.

Belongs here: when Paho reads, writes and looks after its keep alive; and the socket beneath it.
Does not belong here: what comes of it (`paho`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client

_MISC_SECONDS = 1.0  # Paho asks for `loop_misc` every few seconds
_MISC_PER_KEEP_ALIVE = 20


class PahoLoop:
    """Serves one connection of a client at a time; `on_crash` is told when Paho raised, which ends the connection."""

    def __init__(self, log: Callable[[str], None], on_crash: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._log = log
        self._on_crash = on_crash
        self._client: Client | None = None
        self._sock: Any = None
        self._misc: asyncio.Handle | None = None
        self._keep_alive_seconds = 0

    @property
    def is_open(self) -> bool:
        """Whether Paho has a socket."""
        return self._sock is not None

    async def connect(self, client: Client, host: str, port: int, keep_alive: int, **more: Any) -> None:
        """Connect in a thread, as Paho blocks until TCP, TLS and WebSocket are open; CONNECT is sent on the way.

        Raises what Paho raises.
        """
        self._keep_alive_seconds = keep_alive
        opening = asyncio.ensure_future(asyncio.to_thread(client.connect, host, port, keep_alive, **more))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:  # the thread cannot be stopped, but what it brings is not wanted any more
            opening.add_done_callback(lambda _: _close(client.socket()))
            raise

    def serve(self, client: Client) -> bool:
        """Begin to serve a client that connected; False: it has lost its socket already."""
        self._client, self._sock = client, client.socket()
        if self._sock is None:
            return False
        with self._beneath() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each second packet waits for 40 ms
        client.on_socket_close = lambda *_: self.leave()
        client.on_socket_register_write = lambda *_: self._want_write()
        client.on_socket_unregister_write = lambda *_: self._want_no_write()
        self._loop.add_reader(self._sock, self._read)
        if client.want_write():
            self._want_write()
        self._look_after(min(_MISC_SECONDS, self._keep_alive_seconds / _MISC_PER_KEEP_ALIVE or _MISC_SECONDS))
        return True

    def leave(self) -> None:
        """Serve no more; the socket stays as it is."""
        if self._client is not None:  # or it would call us from the thread it connects in
            self._client.on_socket_close = None
            self._client.on_socket_register_write = None
            self._client.on_socket_unregister_write = None
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
        if self._misc is not None:
            self._misc.cancel()
        self._client = self._sock = None

    def close(self) -> None:
        """Close the socket without Paho being told."""
        sock = self._sock
        self.leave()
        _close(sock)

    def shut_down(self) -> None:
        """End the connection beneath Paho, which will notice."""
        with self._beneath() as sock:
            sock.shutdown(socket.SHUT_RDWR)

    def _beneath(self) -> socket.socket:
        """The TCP socket, whatever Paho wrapped around it."""
        return socket.socket(fileno=os.dup(self._sock.fileno()))

    def _want_write(self) -> None:
        if self._client is not None:
            self._loop.add_writer(self._sock, self._run, self._client.loop_write)

    def _want_no_write(self) -> None:
        if self._sock is not None:
            self._loop.remove_writer(self._sock)

    def _read(self) -> None:
        client = self._client
        if client is None:
            return
        self._run(client.loop_read)
        while self._sock is not None and hasattr(self._sock, "pending") and self._sock.pending():
            self._run(client.loop_read)  # TLS took more off the socket than Paho asked for

    def _look_after(self, seconds: float) -> None:
        def again() -> None:
            if self._client is not None:
                self._run(self._client.loop_misc)
            if self._client is not None:
                self._misc = self._loop.call_later(seconds, again)

        self._misc = self._loop.call_later(seconds, again)

    def _run(self, step: Callable[[], object]) -> None:
        """Do one step of Paho's loop; an exception ends it, as it ends the loop of any application."""
        try:
            step()
        except Exception:
            self._log(traceback.format_exc())
            self.close()
            self._on_crash()


def _close(sock: Any) -> None:
    if sock is not None:
        sock.close()
