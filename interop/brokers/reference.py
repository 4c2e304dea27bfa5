"""The project's own broker, a fresh one for each cell, in the running event loop.

Belongs here: starting it with a scenario's settings, and again after it was ended on purpose.
Does not belong here: what a setting does (`reference_broker`).
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import TypeAdapter, ValidationError

from interop.brokers.broker import BrokerFault, BrokerSpec, RunningBroker
from interop.brokers.probe import Login
from interop.brokers.scratch import Scratch
from interop.installed import own_version
from reference_broker.broker.broker import Broker
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ServerConfig
from reference_broker.net.errors import ListenFailed
from reference_broker.net.server import BrokerServer
from reference_broker.net.websocket import WebSocketWrapping
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import Store
from reference_broker.wire.types import Version

LOG_LIMIT_LINES = 500

_PORT_FIELDS = {Transport.TCP: "port", Transport.TLS: "tls_port", Transport.WS: "ws_port", Transport.WSS: "wss_port"}
_CONFIG = TypeAdapter(BrokerConfig)


class ReferenceBroker(RunningBroker):
    """A started `BrokerServer`."""

    def __init__(
        self,
        make_broker: Callable[[], Broker],
        config: ServerConfig,
        files: Scratch,
        websocket_type: type[WebSocketWrapping] = WebSocketWrapping,
        store: Store | None = None,
    ) -> None:
        super().__init__("reference", own_version())
        self._websocket_type = websocket_type
        self._files = files  # its certificates are there as long as it is
        self._make_broker = make_broker
        self._config = config
        self._open_store = None if store is None else lambda _run_beside: store
        self._log: deque[str] = deque(maxlen=LOG_LIMIT_LINES)
        self._server = self._new_server()

    def _new_server(self) -> BrokerServer:
        server = BrokerServer(self._config, broker=self._make_broker(), open_store=self._open_store)
        server.websocket_type = self._websocket_type
        server.broker.log = self._log.append
        return server

    async def start(self) -> None:
        """Begin to listen; raises BrokerFault."""
        try:
            await self._server.start()
        except ListenFailed as problem:
            raise BrokerFault(f"the reference broker cannot listen: {problem}") from None

    @property
    def log(self) -> str:
        """One line for each peer that was refused or broke the rules."""
        return "".join(f"{line}\n" for line in self._log)

    def address(self, transport: Transport = Transport.TCP) -> Address:
        """Where it listens; raises BrokerFault for a transport it was not started with."""
        try:
            return self._server.addresses[transport]
        except KeyError:
            raise BrokerFault(f"the reference broker was started without {transport}") from None

    async def absence(self, version: Version, transport: Transport, login: Login) -> str:  # noqa: ARG002 - needs none
        """It is there as long as we are."""
        return ""

    async def stop(self) -> None:
        """Close listeners and connections."""
        await self._server.close()

    async def go_down(self, *, kill: bool) -> None:
        """Say goodbye, or be gone at once."""
        if kill:
            self._server.abort()
        else:
            await self._server.close()

    async def come_back(self) -> None:
        """Start anew on what was kept, at another port: the old one may be somebody else's by now."""
        self._server = self._new_server()
        await self.start()


class ReferenceSpec(BrokerSpec):
    """Starts reference brokers; a subclass may make brokers that are wrong on purpose."""

    name = "reference"
    settings = frozenset(field.name for field in dataclasses.fields(BrokerConfig))
    transports = tuple(transport.value for transport in Transport)
    shared = False
    exclusive = True
    websocket_type: type[WebSocketWrapping] = WebSocketWrapping

    def __init__(self) -> None:
        self._scratch = Scratch()

    async def start(self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP) -> ReferenceBroker:
        """Start one that listens for `transport` only; raises BrokerFault for settings that cannot be."""
        return await self._start(broker_config(settings), transport, None)

    async def start_own(
        self, settings: Mapping[str, Any], *, transport: Transport = Transport.TCP, persistent: bool = False
    ) -> ReferenceBroker:
        """As `start`; a `persistent` one keeps everything before it answers."""
        config = broker_config(settings)
        if not persistent:
            return await self._start(config, transport, None)
        return await self._start(config, transport, MemoryStore())

    async def _start(self, config: BrokerConfig, transport: Transport, store: Store | None) -> ReferenceBroker:
        server_config = self._server_config(config, transport)
        make_broker = partial(self._make_broker, config, keeps=store is not None)
        broker = ReferenceBroker(make_broker, server_config, self._scratch, self.websocket_type, store)
        await broker.start()
        return broker

    def _make_broker(self, config: BrokerConfig, *, keeps: bool) -> Broker:
        return Broker(config, keeps=keeps)

    def _server_config(self, config: BrokerConfig, transport: Transport) -> ServerConfig:
        given: dict[str, Any] = dict.fromkeys(_PORT_FIELDS.values()) | {_PORT_FIELDS[transport]: 0}
        given["memory_maximum_bytes"] = None  # the process is its worker's, and all its brokers' would look at it
        if not transport.is_encrypted:
            return ServerConfig(**given, broker=config)
        files = self._scratch.certificates()
        return ServerConfig(**given, broker=config, cert=files.cert_file, key=files.key_file, ca=files.ca_file)


def broker_config(settings: Mapping[str, Any]) -> BrokerConfig:
    """Settings as a scenario writes them, as a value; raises BrokerFault."""
    if unknown := sorted(set(settings) - ReferenceSpec.settings):
        raise BrokerFault(f"the broker has no setting {', '.join(unknown)}")
    try:
        return _CONFIG.validate_python(dict(settings))
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        if not first["loc"]:  # the value's own check, which names the setting itself
            raise BrokerFault(f"broker settings: {first['ctx']['error']}") from None
        where = ".".join(str(part) for part in first["loc"])
        raise BrokerFault(f"broker setting {where}: {first['msg']}, not {first['input']!r}") from None
