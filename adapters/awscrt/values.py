"""The contract's values in those of the AWS Common Runtime, there and back."""

from __future__ import annotations

from typing import Any

from awscrt import io, mqtt5

from interop.drivers import contract
from interop.drivers.adapter import Unsuccessful

_NAMES = {
    "correlation_data": "correlation_data_bytes",
    "session_expiry_interval": "session_expiry_interval_sec", "message_expiry_interval": "message_expiry_interval_sec",
    "server_keep_alive": "server_keep_alive_sec", "will_delay_interval": "will_delay_interval_sec",
    "user_property": "user_properties", "subscription_identifier": "subscription_identifiers",
    "wildcard_subscription_available": "wildcard_subscriptions_available",
    "subscription_identifier_available": "subscription_identifiers_available",
}  # fmt: skip


def trust(file: str) -> io.ClientTlsContext:
    """Trust the certificates in a file."""
    options = io.TlsContextOptions()
    options.override_default_trust_store_from_path(None, file)
    return io.ClientTlsContext(options)


def publish_packet(message: contract.Publish | contract.WillMessage) -> mqtt5.PublishPacket:
    """A message or a will."""
    made = fields(message.properties)
    made.pop("will_delay_interval_sec", None)
    return mqtt5.PublishPacket(message.payload, mqtt5.QoS(message.qos), message.retain, message.topic, **made)


def subscription(wanted: contract.SubscriptionRequest) -> mqtt5.Subscription:
    """One topic filter with its options; not with QoS 2, which there is not."""
    if wanted.qos == 2:
        raise Unsuccessful("unsupported", "it has no QoS 2")
    handling = mqtt5.RetainHandlingType(wanted.retain_handling)
    return mqtt5.Subscription(
        wanted.topic_filter, mqtt5.QoS(wanted.qos), wanted.no_local, wanted.retain_as_published, handling
    )


def fields(given: contract.PropertyValues) -> dict[str, Any]:
    """The contract's properties by the names of this library's packets."""
    present = given.model_dump(exclude_defaults=True)
    made = {_NAMES.get(name, name): value for name, value in present.items()}
    if "user_properties" in made:
        made["user_properties"] = users(given)
    if "payload_format_indicator" in made:
        made["payload_format_indicator"] = mqtt5.PayloadFormatIndicator(made["payload_format_indicator"])
    return made


def users(given: contract.PropertyValues) -> list[mqtt5.UserProperty]:
    """User Properties."""
    return [mqtt5.UserProperty(name, value) for name, value in given.user_property]


def values(packet: Any) -> contract.PropertyValues:
    """The way back, from any packet."""
    found = {name: getattr(packet, _NAMES.get(name, name), None) for name in contract.PropertyValues.model_fields}
    found["user_property"] = [(each.name, each.value) for each in packet.user_properties or ()]
    return contract.PropertyValues(**{name: value for name, value in found.items() if value is not None})
