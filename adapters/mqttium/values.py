"""The contract's values in those of mqttium, there and back."""

from __future__ import annotations

import ssl
from typing import Any

import mqttium
from mqttium.api import AsyncClient, PublishMessage, ReconnectPolicy
from mqttium.packets import AuthPacket, ConnAckPacket, SubscribeOptions
from mqttium.types import Properties

from interop.drivers import contract
from interop.drivers.adapter import Unsuccessful

_NEVER_SECONDS = 1e6
_WAITS = ReconnectPolicy(initial_delay=_NEVER_SECONDS, max_delay=_NEVER_SECONDS)
"""Without a policy it gives up what is unfinished at a connection's end; with this one it waits for our `connect`."""
_APART = ("maximum_packet_size", "topic_alias_maximum", "receive_maximum")
_VERSIONS = {"3.1.1": mqttium.MQTTProtocolVersion.MQTTv311, "5.0": mqttium.MQTTProtocolVersion.MQTTv5}


def arguments(command: contract.Connect) -> dict[str, Any]:
    """What a client is made of."""
    will, given = command.will, command.properties
    return {
        "client_id": command.client_id,
        "protocol": _VERSIONS[command.mqtt],
        "clean_start": command.clean_start,
        "keepalive": command.keep_alive,
        "username": command.username,
        "password": command.password,
        "connect_properties": properties_of(given.model_copy(update=dict.fromkeys(_APART))),
        "will": will
        and PublishMessage(will.topic, will.payload, will.qos, will.retain, properties_of(will.properties)),
        "maximum_packet_size": given.maximum_packet_size,
        "topic_alias_maximum": given.topic_alias_maximum or 0,
        "max_inbound_inflight": given.receive_maximum,
        "manual_ack": command.manual_ack,
        "reconnect": _WAITS,
        "connect_timeout": _NEVER_SECONDS,
        "subscribe_timeout": _NEVER_SECONDS,
    }


async def connected(client: AsyncClient, command: contract.Connect) -> ConnAckPacket:
    """Connect a client."""
    trust = ssl.create_default_context(cafile=command.ca_file) if command.ca_file else None
    if command.transport in {"ws", "wss"}:
        url = f"{command.transport}://{command.host}:{command.port}{command.path}"
        return await client.connect_ws(url, ssl=trust)
    return await client.connect(command.host, command.port, ssl=trust)


def answer_to(asked: AuthPacket, data: bytes | None) -> AuthPacket:
    """What continues an authentication."""
    method = asked.properties.get("authentication_method") if asked.properties else None
    given = {"authentication_method": method, "authentication_data": data}
    return AuthPacket(0x18, Properties({name: value for name, value in given.items() if value is not None}))


def subscription(wanted: contract.SubscriptionRequest) -> tuple[str, SubscribeOptions]:
    """One topic filter with its options."""
    qos, handling = mqttium.QoS(wanted.qos), wanted.retain_handling
    return wanted.topic_filter, SubscribeOptions(qos, wanted.no_local, wanted.retain_as_published, handling)


def properties_of(given: contract.PropertyValues) -> Properties | None:
    """The contract's properties; they have the same names there."""
    values = given.model_dump(exclude_defaults=True)
    if identifiers := values.pop("subscription_identifier", ()):
        values["subscription_identifier"] = identifiers[0]
    return Properties(values) if values else None


def values_of(given: Properties | None) -> contract.PropertyValues | None:
    """The way back."""
    if given is None:
        return None
    values = dict(given.values)
    identifiers = values.get("subscription_identifier", ())
    values["subscription_identifier"] = (identifiers,) if isinstance(identifiers, int) else identifiers
    return contract.PropertyValues(**values)


def unsuccessful(problem: BaseException | None) -> Unsuccessful:
    """Why a connection did not come about."""
    if isinstance(problem, mqttium.ConnectRefusedError):
        properties = values_of(problem.properties)
        return Unsuccessful("refused", str(problem), reason=problem.reason_code, properties=properties)
    return Unsuccessful("failed" if isinstance(problem, mqttium.ConnectError) else "cut-off", str(problem))
