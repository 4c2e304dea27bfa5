"""A compact MQTT broker and client for 3.1, 3.1.1 and 5.0: a sans-IO core with thin asyncio adapters.

Belongs here: the names most programs need, each imported when it is first asked for: the core does without asyncio.
Does not belong here: everything else, which is imported from where it is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reference_broker.broker.values.config import BrokerConfig
    from reference_broker.client.options import ClientOptions
    from reference_broker.net.address import Address
    from reference_broker.net.blocking import BlockingClient
    from reference_broker.net.client import AsyncClient
    from reference_broker.net.config import ServerConfig
    from reference_broker.net.reconnection import Reconnection
    from reference_broker.net.server import BrokerServer
    from reference_broker.wire.packets import Will
    from reference_broker.wire.properties import Properties
    from reference_broker.wire.types import QoS, Version

__all__ = [
    "Address",
    "AsyncClient",
    "BlockingClient",
    "BrokerConfig",
    "BrokerServer",
    "ClientOptions",
    "Properties",
    "QoS",
    "Reconnection",
    "ServerConfig",
    "Version",
    "Will",
]

_HOMES = {
    "Address": "net.address",
    "AsyncClient": "net.client",
    "BlockingClient": "net.blocking",
    "BrokerConfig": "broker.values.config",
    "BrokerServer": "net.server",
    "ClientOptions": "client.options",
    "Properties": "wire.properties",
    "QoS": "wire.types",
    "Reconnection": "net.reconnection",
    "ServerConfig": "net.config",
    "Version": "wire.types",
    "Will": "wire.packets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
