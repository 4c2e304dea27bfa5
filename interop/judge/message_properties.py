"""Properties a server passes on, keeps back or adds. [5.0 3.3.2.3, 3.1.2.11]

Belongs here: a message's properties from publisher to subscriber, and those a CONNECT asked for or against.
Does not belong here: subscription identifiers (`delivery`), aliases (`topic_aliases`), misplaced ones (`form`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from interop.judge.messages import Delivery, Origin, messages_of, new_deliveries
from interop.judge.rule import V5, Breach, Rule, must
from interop.judge.view import BROKER, Case, Talk
from reference_broker.wire.types import PacketType, QoS, Version

_PASSED_ON = {
    "payload_format_indicator": "MQTT-3.3.2-4",
    "response_topic": "MQTT-3.3.2-15",
    "correlation_data": "MQTT-3.3.2-16",
    "user_property": "MQTT-3.3.2-17",
    "content_type": "MQTT-3.3.2-20",
}
_ORDER_OF_USER_PROPERTIES = "MQTT-3.3.2-18"

UNCHANGED = Rule(
    "message-properties-unchanged",
    "a server passes on what the publisher said about the message, unchanged and in order",
    broker={V5: must(*_PASSED_ON.values(), _ORDER_OF_USER_PROPERTIES)},
)
EXPIRY_COUNTS_DOWN = Rule(
    "message-expiry-counts-down",
    "the Message Expiry Interval that is passed on is the publisher's less the time in the server",
    broker={V5: must("MQTT-3.3.2-6")},
    clocked=True,
)
EXPIRED_IS_NOT_SENT = Rule(
    "expired-message-not-sent",
    "a message whose Message Expiry Interval has passed is not sent",
    broker={V5: must("MQTT-3.3.2-5")},
    clocked=True,
)
PROBLEM_INFORMATION = Rule(
    "no-problem-information",
    "with Request Problem Information 0 only PUBLISH, CONNACK and DISCONNECT have a Reason String or User Property",
    broker={V5: must("MQTT-3.1.2-29")},
)
RESPONSE_INFORMATION = Rule(
    "no-response-information",
    "Response Information is sent only to a client that asked for it",
    broker={V5: must("MQTT-3.1.2-28")},
)
RULES = (UNCHANGED, EXPIRY_COUNTS_DOWN, EXPIRED_IS_NOT_SENT, PROBLEM_INFORMATION, RESPONSE_INFORMATION)

_MAY_EXPLAIN = frozenset({PacketType.PUBLISH, PacketType.CONNACK, PacketType.DISCONNECT})
_MARGIN_SECONDS = 1.5
"""A server may round seconds either way, and the tap reads a little later than it decides."""


def inspect(case: Case) -> Iterator[Breach]:
    """Compare messages with their origins, and answers with what CONNECT asked for."""
    for audience in messages_of(case).audiences:
        for delivery, topic in new_deliveries(audience):
            origin = messages_of(case).origin(topic, delivery.publish.payload)
            if origin is not None and origin.talk.version is delivery.talk.version is Version.V5:
                yield from _passed_on(delivery, origin)
                yield from _expiry(delivery, origin)
    for talk in case.talks:
        yield from _asked_for(talk)


def _passed_on(delivery: Delivery, origin: Origin) -> Iterator[Breach]:
    for name, statement in _PASSED_ON.items():
        published = getattr(origin.publish.properties, name)
        sent = getattr(delivery.publish.properties, name)
        if published == sent:
            continue
        if name == "user_property" and sorted(published) == sorted(sent):
            statement = _ORDER_OF_USER_PROPERTIES  # noqa: PLW2901 - the same fields in another order break another one
        yield UNCHANGED.broken(BROKER, delivery.entry, f"{name} {sent!r}, published with {published!r}", (statement,))


def _expiry(delivery: Delivery, origin: Origin) -> Iterator[Breach]:
    published = origin.publish.properties.message_expiry_interval
    sent = delivery.publish.properties.message_expiry_interval
    if published is None:
        if sent is not None:
            yield EXPIRY_COUNTS_DOWN.broken(BROKER, delivery.entry, f"expiry {sent} s, published without")
        return
    if origin.publish.qos is QoS.EXACTLY_ONCE and (origin.taken is None or origin.taken.at - origin.entry.at > 1):
        return  # whether the time counts from PUBLISH or PUBREL is the server's choice
    waited = delivery.entry.at - origin.entry.at
    late_seconds = _MARGIN_SECONDS + delivery.talk.round_trip_seconds  # of which the broker knows nothing
    if waited > published + late_seconds:
        message = f"sent {waited:.1f} s after it came in, it expired after {published} s"
        yield EXPIRED_IS_NOT_SENT.broken(BROKER, delivery.entry, message)
        return
    least, most = math.floor(published - waited - _MARGIN_SECONDS), math.ceil(published - waited + late_seconds)
    if sent is None or not least <= sent <= min(most, published):
        message = f"expiry {sent} s after {waited:.1f} s, published with {published} s"
        yield EXPIRY_COUNTS_DOWN.broken(BROKER, delivery.entry, message)


def _asked_for(talk: Talk) -> Iterator[Breach]:
    connect = talk.connect(BROKER)
    if connect is None or talk.version is not Version.V5:
        return
    wishes = connect[1].properties
    for entry in talk.sent(BROKER):
        properties = getattr(entry.packet, "properties", None)
        if entry.packet is None or properties is None:
            continue
        explains = properties.reason_string is not None or properties.user_property
        if wishes.request_problem_information == 0 and explains and entry.packet.type not in _MAY_EXPLAIN:
            message = f"{entry.packet.type.name} has a Reason String or User Property"
            yield PROBLEM_INFORMATION.broken(BROKER, entry, message)
        if properties.response_information is not None and not wishes.request_response_information:
            yield RESPONSE_INFORMATION.broken(BROKER, entry, "CONNACK has Response Information nobody asked for")
