"""What a server's CONNACK says it does not offer, and a client uses all the same. [5.0 3.2.2.3]

Belongs here: Maximum QoS, Retain Available, and the three kinds of subscriptions a server may not have.
Does not belong here: limits both sides have (`flow_control`, `topic_aliases`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.rule import V5, Breach, Rule, must
from interop.judge.view import CLIENT, Case, peer_limits
from reference_broker.wire.packets import Packet, Publish, Subscribe
from reference_broker.wire.properties import Properties
from reference_broker.wire.topics import SHARE_PREFIX

MAXIMUM_QOS = Rule(
    "maximum-qos",
    "a client publishes with no higher QoS than the server's Maximum QoS",
    client={V5: must("MQTT-3.2.2-11")},
)
RETAIN_AVAILABLE = Rule(
    "retain-available",
    "a client retains nothing at a server without Retain Available",
    client={V5: must("MQTT-3.2.2-14")},
)
SUBSCRIPTIONS_AVAILABLE = Rule(
    "subscriptions-available",
    "a client asks for no kind of subscription the server does not have",
    client={V5: must("MQTT5-U-40", "MQTT5-U-41", "MQTT5-U-42")},
)
RULES = (MAXIMUM_QOS, RETAIN_AVAILABLE, SUBSCRIPTIONS_AVAILABLE)


def inspect(case: Case) -> Iterator[Breach]:
    """Compare what clients send with what their CONNACK said."""
    for talk in case.talks:
        offered = peer_limits(talk, CLIENT)
        if offered is None:
            continue
        for entry in talk.sent(CLIENT):
            if entry.packet is not None:
                for rule, ids, message in _beyond(entry.packet, offered):
                    yield rule.broken(CLIENT, entry, message, ids)


def _beyond(packet: Packet, offered: Properties) -> Iterator[tuple[Rule, tuple[str, ...] | None, str]]:
    if isinstance(packet, Publish):
        if offered.maximum_qos is not None and packet.qos > offered.maximum_qos:
            yield MAXIMUM_QOS, None, f"PUBLISH with QoS {int(packet.qos)}, {offered.maximum_qos} is the maximum"
        if offered.retain_available == 0 and packet.retain:
            yield RETAIN_AVAILABLE, None, "PUBLISH with RETAIN 1"
    elif isinstance(packet, Subscribe):
        filters = [each.topic_filter for each in packet.subscriptions]
        if offered.subscription_identifier_available == 0 and packet.properties.subscription_identifier:
            yield SUBSCRIPTIONS_AVAILABLE, ("MQTT5-U-41",), "SUBSCRIBE with a Subscription Identifier"
        if offered.shared_subscription_available == 0 and any(each.startswith(SHARE_PREFIX) for each in filters):
            yield SUBSCRIPTIONS_AVAILABLE, ("MQTT5-U-42",), "SUBSCRIBE for a shared subscription"
        if offered.wildcard_subscription_available == 0 and any("#" in each or "+" in each for each in filters):
            yield SUBSCRIPTIONS_AVAILABLE, ("MQTT5-U-40",), "SUBSCRIBE with a wildcard"
