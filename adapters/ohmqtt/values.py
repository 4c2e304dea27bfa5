"""The contract's values in those of ohmqtt, there and back."""

from __future__ import annotations

import ssl
from typing import Any

from ohmqtt.mqtt_spec import MQTTPropertyId
from ohmqtt.property import MQTTConnectProps, MQTTProperties, MQTTWillProps
from ohmqtt.subscriptions import RetainPolicy

from interop.drivers import contract

_SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "ws": "ws", "wss": "wss"}
_NAMES = {name: name.replace("_", "") for name in contract.PropertyValues.model_fields}
_THEIRS = {each.name.lower(): each.name for each in MQTTPropertyId}


def arguments(command: contract.Connect) -> dict[str, Any]:
    """What a connection is asked for with."""
    host = f"[{command.host}]" if ":" in command.host else command.host
    path = command.path if command.transport in {"ws", "wss"} else ""
    asked = {
        "address": f"{_SCHEMES[command.transport]}://{host}:{command.port}{path}",
        "client_id": command.client_id,
        "clean_start": command.clean_start,
        "keepalive_interval": command.keep_alive,
        "tls_context": ssl.create_default_context(cafile=command.ca_file) if command.ca_file else None,
        "username": command.username,
        "password": command.password,
        "connect_properties": properties_of(MQTTConnectProps, command.properties),
    }
    if (will := command.will) is not None:
        asked |= {"will_topic": will.topic, "will_payload": will.payload, "will_qos": will.qos}
        asked |= {"will_retain": will.retain, "will_properties": properties_of(MQTTWillProps, will.properties)}
    return asked


def subscription(command: contract.Subscribe) -> dict[str, Any]:
    """What one filter is asked for with."""
    wanted, given = command.subscriptions[0], command.properties
    return {
        "topic_filter": wanted.topic_filter,
        "max_qos": wanted.qos,
        "no_local": wanted.no_local,
        "retain_as_published": wanted.retain_as_published,
        "retain_policy": RetainPolicy(wanted.retain_handling),
        "sub_id": given.subscription_identifier[0] if given.subscription_identifier else None,
        "user_properties": given.user_property or None,
    }


def properties_of(kind: type[MQTTProperties], given: contract.PropertyValues) -> Any:
    """The contract's properties as those of a packet."""
    made = {_THEIRS[_NAMES[name]]: value for name, value in given.model_dump(exclude_defaults=True).items()}
    if identifiers := made.pop("SubscriptionIdentifier", ()):
        made["SubscriptionIdentifier"] = set(identifiers)
    return kind(**made)


def values_of(given: MQTTProperties) -> contract.PropertyValues:
    """The way back."""
    found = {name: getattr(given, _THEIRS[short], None) for name, short in _NAMES.items()}
    return contract.PropertyValues.model_validate({name: value for name, value in found.items() if value is not None})
