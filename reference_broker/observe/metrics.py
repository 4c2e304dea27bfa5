"""A page for Prometheus and one for whoever asks whether the broker is well, on an HTTP port of their own.

Belongs here: the names of metrics, and answering two requests.
Does not belong here: the figures (`figures`), MQTT on WebSocket (`net.websocket`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from reference_broker.access.packages import package
from reference_broker.net.address import Address
from reference_broker.net.listening import bind
from reference_broker.observe.figures import Figures

_LONGEST_REQUEST = 8192
_SECONDS = 5.0
"""How long a request may take."""

_GAUGES: tuple[tuple[str, str, Callable[[Figures], float]], ...] = (
    ("mqtt_uptime_seconds", "Time since the broker's start.", lambda f: f.uptime_seconds),
    ("mqtt_clients_connected", "Connected clients.", lambda f: f.clients_connected),
    ("mqtt_clients_maximum", "Most clients that were seen connected at once.", lambda f: f.clients_maximum),
    ("mqtt_sessions", "Sessions, of connected clients and of absent ones.", lambda f: f.clients_total),
    ("mqtt_subscriptions", "Subscriptions of all sessions.", lambda f: f.subscriptions),
    ("mqtt_shared_subscriptions", "Shared subscriptions.", lambda f: f.shared_subscriptions),
    ("mqtt_retained_messages", "Retained messages.", lambda f: f.retained_messages),
    ("mqtt_stored_messages", "Retained messages, and those that wait in sessions.", lambda f: f.stored_messages),
    ("mqtt_stored_bytes", "Bytes of their payloads.", lambda f: f.stored_bytes),
)
_COUNTERS: tuple[tuple[str, str, Callable[[Figures], float]], ...] = (
    ("mqtt_sockets_opened", "Accepted network connections.", lambda f: f.sockets),
    ("mqtt_sessions_expired", "Sessions whose time was over.", lambda f: f.sessions_expired),
    (
        "mqtt_messages_dropped",
        "Messages without room in a queue, or to who did not read.",
        lambda f: f.messages_dropped,
    ),
    ("mqtt_connects_received", "CONNECT packets.", lambda f: f.received.connects),
    ("mqtt_packets_received", "Packets from clients.", lambda f: f.received.messages),
    ("mqtt_packets_sent", "Packets to clients.", lambda f: f.sent.messages),
    ("mqtt_publishes_received", "PUBLISH packets from clients.", lambda f: f.received.publishes),
    ("mqtt_publishes_sent", "PUBLISH packets to clients.", lambda f: f.sent.publishes),
    ("mqtt_received_bytes", "Bytes of MQTT from clients.", lambda f: f.received.bytes),
    ("mqtt_sent_bytes", "Bytes of MQTT to clients.", lambda f: f.sent.bytes),
)


class _Collector:
    """What prometheus_client asks for each page."""

    def __init__(self, figures: Callable[[], Figures], core: Any) -> None:
        self._figures = figures
        self._core = core

    def collect(self) -> Iterator[Any]:
        """Give each metric with its value."""
        figures = self._figures()
        for name, text, value in _GAUGES:
            yield self._core.GaugeMetricFamily(name, text, value=value(figures))
        for name, text, value in _COUNTERS:
            yield self._core.CounterMetricFamily(name, text, value=value(figures))


class MetricsPage:
    """Serves `/metrics` and `/health` until it is closed; `is_well` says whether the broker does its work."""

    def __init__(self, figures: Callable[[], Figures], is_well: Callable[[], bool]) -> None:
        """Raises ConfigError where the library is not installed."""
        core = package("prometheus_client.core", "a metrics port")
        self._library = package("prometheus_client", "a metrics port")
        self._registry = core.CollectorRegistry()
        self._registry.register(_Collector(figures, core))
        self._is_well = is_well
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> Address:
        """Listen; raises ListenFailed."""
        sock = bind(Address(host, port))
        self._server = await asyncio.start_server(self._serve, sock=sock, limit=_LONGEST_REQUEST)
        return Address(host, sock.getsockname()[1])

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(request.split(b"\r\n", 1)[0].split(b" ")))
                await writer.drain()
        writer.close()

    def _answer(self, request: list[bytes]) -> bytes:
        method, path = (*request, b"", b"")[:2]
        kind, status = "text/plain; charset=utf-8", "200 OK"
        if method not in (b"GET", b"HEAD"):
            status, body = "405 Method Not Allowed", b"only GET\n"
        elif path == b"/metrics":
            kind, body = self._library.CONTENT_TYPE_LATEST, self._library.generate_latest(self._registry)
        elif path == b"/health":
            is_well = self._is_well()
            status, body = (status, b"ok\n") if is_well else ("503 Service Unavailable", b"not well\n")
        else:
            status, body = "404 Not Found", b"there are /metrics and /health\n"
        lines = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
        head = "\r\n".join((*lines, "", "")).encode()
        return head if method == b"HEAD" else head + bytes(body)
