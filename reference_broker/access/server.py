"""The broker on sockets, with an operator's users, rules, certificates and listeners.

Belongs here: which listener a connection came by and whom its certificate names, looking at passwords beside the event
loop, and SIGHUP's work.
Does not belong here: what is allowed (`control`), MQTT (`broker`), bytes (`net`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from reference_broker.access.certificates import name_in
from reference_broker.access.config import Demand, GuardedConfig, Listener, Naming
from reference_broker.access.control import GuardedAccess
from reference_broker.broker import Broker
from reference_broker.broker.values.seldom import Seldom
from reference_broker.net.address import Address
from reference_broker.net.broker_connection import LOGGER, BrokerConnection
from reference_broker.net.config import ConfigError
from reference_broker.net.errors import ListenFailed
from reference_broker.net.server import BrokerServer
from reference_broker.net.tls import TlsWrapping, server_context
from reference_broker.net.wrapping import Nested, Wrapping

Wrap = Callable[[], tuple[Wrapping | None, TlsWrapping | None]]
"""Makes what a new connection needs around MQTT, and of that the TLS; None for neither."""


_NICENESS = 5
"""A hash takes all cores for a moment; twice that, and it would take seconds where others keep the machine busy."""


@dataclass(slots=True)
class Entrance:
    """One open listener; `wrap` is another one after certificates have been read again."""

    listener: Listener
    wrap: Wrap


class GuardedServer(BrokerServer):
    """A broker that listens where, and lets in whom, its settings say."""

    connection_type: type[GuardedConnection]
    """What carries each client's bytes."""

    def __init__(self, config: GuardedConfig) -> None:
        """Raises ConfigError for a file that cannot be used."""
        self.control = GuardedAccess(config)
        self.connection_type = GuardedConnection
        super().__init__(config, broker=Broker(config.broker, keeps=config.store is not None, access=self.control))
        self.broker.do_elsewhere = self._do_elsewhere
        self.listening: list[Address] = []
        """Where it listens, in the order of its settings."""
        self._guarded = config
        self._entrances: list[Entrance] = []
        self._checker = ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=_yield_to_others)

    def read_again(self) -> bool:
        """Take over users, rules and certificates as they are now; who may not connect any more is disconnected.

        False, and a line in the log, where one of them cannot be used: then all stay as they were.
        """
        try:
            wraps = [self._wrap(entrance.listener) for entrance in self._entrances]
            self.control.read_again()
        except (ConfigError, ListenFailed) as error:
            LOGGER.error("nothing is taken over: %s", error)
            return False
        for entrance, wrap in zip(self._entrances, wraps, strict=True):
            entrance.wrap = wrap
        self.broker.ask_rules_again(self.now())
        self.flush()
        LOGGER.warning("users, rules and certificates are read again")
        return True

    async def close(self) -> None:
        """As any broker; passwords that are still to be looked at are not."""
        self._checker.shutdown(wait=False, cancel_futures=True)
        await super().close()

    async def _listen_everywhere(self) -> None:
        for listener, address in zip(self._guarded.entrances(), self._guarded.listeners(), strict=True):
            entrance = Entrance(listener, self._wrap(listener))
            self._entrances.append(entrance)
            self.listening.append(await self._accept(address, partial(self.connection_type, self, entrance)))

    def _wrap(self, listener: Listener) -> Wrap:
        def websocket() -> Wrapping:
            return self.websocket_type.server(self._maximum_frame_size(), listener.origins or ())

        transport = listener.transport
        if not transport.is_encrypted:
            return lambda: (websocket() if transport.is_websocket else None, None)
        assert listener.cert is not None
        assert listener.key is not None
        context = server_context(
            listener.cert,
            listener.key,
            client_ca_file=None if listener.client_certificate is Demand.NONE else listener.client_ca,
            requires_certificate=listener.client_certificate is Demand.REQUIRED,
        )

        def encrypted() -> tuple[Wrapping, TlsWrapping]:
            tls = TlsWrapping(context)
            return Nested(tls, websocket()) if transport.is_websocket else tls, tls

        return encrypted

    def _do_elsewhere(self, work: Callable[[], bool], done: Callable[[bool, float], None]) -> None:
        loop = asyncio.get_running_loop()

        def tell(future: Future[bool]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
                if not future.cancelled():
                    loop.call_soon_threadsafe(self._take_answer, future, done)

        self._checker.submit(work).add_done_callback(tell)

    def _take_answer(self, future: Future[bool], done: Callable[[bool, float], None]) -> None:
        error = future.exception()
        if error is not None:
            LOGGER.error("a password could not be looked at: %s", error)
        done(error is None and future.result(), self.now())
        self.flush()


def _yield_to_others() -> None:
    """Have the event loop run before this thread and those that a hash begins."""
    if sys.platform == "linux":  # where threads have a niceness of their own [sched(7)]
        os.nice(_NICENESS)


class GuardedConnection(BrokerConnection):
    """A connection that came by one listener."""

    __slots__ = ("_entrance",)

    _tls: Seldom[TlsWrapping | None] = Seldom(None)

    def __init__(self, server: BrokerServer, entrance: Entrance) -> None:
        wrapping, tls = entrance.wrap()
        super().__init__(server, wrapping)
        self._entrance = entrance
        self._tls = tls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the broker where the client came in."""
        super().connection_made(transport)
        self.link.listener = self._entrance.listener.name

    def on_open(self) -> None:
        """The handshake is over: before CONNECT it is known who is there."""
        listener = self._entrance.listener
        if self._tls is None or listener.username_from is Naming.NONE:
            return
        certificate = self._tls.peer_certificate()
        if not certificate:
            return  # it need not show one
        self.link.certified = name_in(certificate, listener.username_from)
        if self.link.certified is None:
            LOGGER.warning("%s: its certificate has no name (%s)", self.peer, listener.username_from)
            self.abandon()
