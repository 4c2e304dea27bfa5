"""The broker on sockets, seen by whom its settings allow to.

Belongs here: counting what connections carry, and when figures are said; nothing of it where nobody wants to see any.
Does not belong here: the figures and where they go (`figures`, `sys_topics`, `metrics`), the log (`logs`).
"""

from __future__ import annotations

import asyncio

from reference_broker.access.server import Entrance, GuardedConnection, GuardedServer
from reference_broker.broker.outgoing.output import Buffer
from reference_broker.net.address import Address
from reference_broker.net.server import BrokerServer
from reference_broker.observe.config import ObservedConfig
from reference_broker.observe.counting import PacketCount
from reference_broker.observe.figures import Figures, Observer
from reference_broker.observe.metrics import MetricsPage
from reference_broker.observe.sys_topics import SysTopics


class ObservedServer(GuardedServer):
    """A broker that publishes how it is, and has a page about it."""

    def __init__(self, config: ObservedConfig) -> None:
        """Raises ConfigError for a file that cannot be used, and for a package that is missing."""
        super().__init__(config)
        self.metrics_address: Address | None = None
        self.observer = Observer(self.broker, self.now())
        self._observed = config
        self._sys: SysTopics | None = None
        self._sys_timer: asyncio.Handle | None = None
        self._page: MetricsPage | None = None
        if config.sys_interval_seconds:
            self._sys = SysTopics(self.broker, _own_version())
        if config.metrics_port is not None:
            self._page = MetricsPage(self.figures, lambda: self._is_open and not self.broker.store_is_full)
        if self._sys is not None or self._page is not None:
            self.connection_type = CountedConnection

    def figures(self) -> Figures:
        """What is to be seen now."""
        return self.observer.figures(self.now())

    async def start(self) -> None:
        """As any broker; raises ListenFailed for the page's port, too."""
        self.observer = Observer(self.broker, asyncio.get_running_loop().time())
        await super().start()
        try:
            if self._page is not None and self._observed.metrics_port is not None:
                self.metrics_address = await self._page.start(self._observed.metrics_host, self._observed.metrics_port)
        except BaseException:
            await self.close()
            raise
        self._say()

    async def close(self) -> None:
        """As any broker; the page is there until its last connection is gone, and says so."""
        if self._sys_timer is not None:
            self._sys_timer.cancel()
            self._sys_timer = None
        await super().close()
        if self._page is not None:
            self._page.close()

    def _say(self) -> None:
        if self._sys is not None:
            self._sys.publish(self.figures(), self.now())
            self.flush()
            self._sys_timer = asyncio.get_running_loop().call_later(self._observed.sys_interval_seconds, self._say)


class CountedConnection(GuardedConnection):
    """A connection whose packets are counted."""

    __slots__ = ("_received", "_sent")

    def __init__(self, server: BrokerServer, entrance: Entrance) -> None:
        super().__init__(server, entrance)
        assert isinstance(server, ObservedServer)
        server.observer.sockets += 1
        self._received = PacketCount(server.observer.received)
        self._sent = PacketCount(server.observer.sent)

    def on_data(self, data: bytes) -> None:
        """Count what came."""
        self._received.take(data)
        super().on_data(data)

    def write_pieces(self, pieces: list[Buffer]) -> None:
        """Count what leaves."""
        for piece in pieces:
            self._sent.take(bytes(piece))
        super().write_pieces(pieces)


def _own_version() -> str:
    from importlib import metadata  # noqa: PLC0415 - takes the broker a fifth of its start

    try:
        return metadata.version("mqtt-interop")
    except metadata.PackageNotFoundError:  # in a checkout that is not installed
        return "unknown"
