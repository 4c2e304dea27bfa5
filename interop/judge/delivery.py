"""What a server forwards: to whom, with which QoS, once, in order, with which subscription identifiers.

Belongs here: deliveries against subscriptions and origins. [3.1.1 3.3, 3.8.4, 4.3.3, 4.6, 4.7, 5.0 the same]
Does not belong here: RETAIN (`retained`), properties (`message_properties`), wills (`will`).

Only sessions that are known from their beginning are looked at: an older one may have subscriptions nobody saw.
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.messages import Audience, Delivery, Grant, Messages, Origin, messages_of, new_deliveries
from interop.judge.rule import V5, V31, V311, Breach, Rule, must
from interop.judge.view import BROKER, Case, Talk
from reference_broker.wire.decode import decode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.header import DUP
from reference_broker.wire.packets import Publish
from reference_broker.wire.topics import matches
from reference_broker.wire.types import PacketType, QoS, Version

SUBSCRIBED = Rule(
    "delivers-what-is-subscribed",
    "a server sends a client only messages whose topic one of its subscriptions matches",
    broker={V31: must("MQTT31-44"), V311: must("MQTT-3.3.2-3"), V5: must("MQTT-3.3.2-3")},
)
DOLLAR_TOPICS = Rule(
    "wildcards-spare-dollar-topics",
    "a filter that begins with a wildcard does not match a topic that begins with $",
    broker={V311: must("MQTT-4.7.2-1"), V5: must("MQTT-4.7.2-1")},
)
STOPS_AFTER_UNSUBSCRIBE = Rule(
    "stops-after-unsubscribe",
    "a message that comes in after UNSUBACK is not sent for the subscription that was given up",
    broker={V31: must(section="3.10"), V311: must("MQTT-3.10.4-2"), V5: must("MQTT-3.10.4-2")},
)
GRANTED_QOS = Rule(
    "delivers-with-granted-qos",
    "a message is sent with the lower of its own QoS and the one granted",
    broker={V31: must("MQTT31-37"), V311: must("MQTT-3.8.4-6"), V5: must("MQTT-3.8.4-8")},
)
EXACTLY_ONCE = Rule(
    "qos2-not-forwarded-twice",
    "a QoS 2 message that came repeatedly before its PUBREL is forwarded once",
    broker={V31: must("MQTT31-35"), V311: must("MQTT-4.3.3-2"), V5: must("MQTT-4.3.3-10")},
)
ORDER = Rule(
    "forwards-in-order",
    "messages of one publisher with the same topic and QoS are forwarded in the order they came in",
    broker={V311: must("MQTT-4.6.0-6"), V5: must("MQTT-4.6.0-5")},
)
NO_LOCAL = Rule(
    "no-local",
    "a subscription with No Local gets nothing back that its own client published",
    broker={V5: must("MQTT-3.8.3-3")},
)
OWN_IDENTIFIERS = Rule(
    "own-subscription-identifiers",
    "a message carries only identifiers of subscriptions that match it",
    broker={V5: must("MQTT5-U-51")},
)
CARRIES_IDENTIFIER = Rule(
    "carries-subscription-identifier",
    "a message sent for a subscription with an identifier carries it",
    broker={V5: must("MQTT-3.3.4-3")},
)
HAS_PACKET_ID = Rule(
    "publish-has-packet-id",
    "a PUBLISH of QoS 1 or 2 has a packet identifier between its topic and what follows",
    broker={V31: must("MQTT31-42"), V311: must("MQTT-2.3.1-1"), V5: must("MQTT-2.2.1-4")},
)
RULES = (
    HAS_PACKET_ID,
    SUBSCRIBED,
    DOLLAR_TOPICS,
    STOPS_AFTER_UNSUBSCRIBE,
    GRANTED_QOS,
    EXACTLY_ONCE,
    ORDER,
    NO_LOCAL,
    OWN_IDENTIFIERS,
    CARRIES_IDENTIFIER,
)


_QOS_BITS = 0b0110


def inspect(case: Case) -> Iterator[Breach]:
    """Compare what every session was sent with what it subscribed to and where it came from."""
    messages = messages_of(case)
    for talk in case.talks:
        yield from _packet_ids(messages, talk)
    for audience in messages.audiences:
        if not audience.chain.is_complete:
            continue
        for delivery, topic in new_deliveries(audience):
            matching = [grant for grant in audience.matching(topic) if grant.asked.index < delivery.entry.index]
            if not matching:
                yield from _unasked(audience, delivery, topic)
                continue
            origin = messages.origin(topic, delivery.publish.payload)
            yield from _given_up(delivery, matching, origin)
            yield from _qos(audience, delivery, topic, matching, origin)
            yield from _local(audience, delivery, matching, origin)
            yield from _identifiers(delivery, matching)
        yield from _twice(messages, audience)
        yield from _order(messages, audience)


def _packet_ids(messages: Messages, talk: Talk) -> Iterator[Breach]:
    """Without a packet identifier the message's first two bytes stand in its place, and what is left is unknown."""
    for entry in talk.sent(BROKER):
        if not entry.data or entry.data[0] >> 4 != PacketType.PUBLISH or not entry.data[0] & _QOS_BITS:
            continue
        if isinstance(entry.packet, Publish) and messages.knows(entry.packet.topic, entry.packet.payload):
            continue
        try:
            read = decode(bytes([entry.data[0] & ~(_QOS_BITS | DUP)]) + entry.data[1:], talk.version)
        except RemoteError:
            continue
        if isinstance(read, Publish) and messages.knows(read.topic, read.payload):
            qos = (entry.data[0] & _QOS_BITS) >> 1
            yield HAS_PACKET_ID.broken(BROKER, entry, f"PUBLISH of QoS {qos} on {read.topic!r} without an identifier")


def _unasked(audience: Audience, delivery: Delivery, topic: str) -> Iterator[Breach]:
    if topic.startswith("$") and any(
        # Whatever stands in for $ shows whether the wildcard alone would have matched.
        matches(grant.subscription.topic_filter, "x" + topic[1:])
        for grant in audience.grants
        if not grant.was_refused and grant.subscription.topic_filter[0] in "#+"
    ):
        yield DOLLAR_TOPICS.broken(
            BROKER, delivery.entry, f"{topic!r} is sent for a filter that begins with a wildcard"
        )
    else:
        yield SUBSCRIBED.broken(BROKER, delivery.entry, f"no subscription matches {topic!r}")


def _given_up(delivery: Delivery, matching: list[Grant], origin: Origin | None) -> Iterator[Breach]:
    if origin is None or any(_is_standing(grant, origin) for grant in matching):
        return
    # One that was replaced by an earlier SUBSCRIBE than the message ends when that one does.
    ends = [grant.gone for grant in matching if not grant.was_replaced]
    if ends and all(end is not None and end.index < origin.entry.index for end in ends):
        message = f"the message on {origin.topic!r} came in after its subscription was given up"
        yield STOPS_AFTER_UNSUBSCRIBE.broken(BROKER, delivery.entry, message)


def _is_standing(grant: Grant, origin: Origin) -> bool:
    """Whether nobody had asked for an end of the subscription, nor for another in its place, when the message came."""
    return grant.given_up is None or grant.given_up.index > origin.entry.index


def _qos(
    audience: Audience, delivery: Delivery, topic: str, matching: list[Grant], origin: Origin | None
) -> Iterator[Breach]:
    qos = delivery.publish.qos
    most = max(grant.maximum_qos for grant in matching)
    if qos > most:
        yield GRANTED_QOS.broken(BROKER, delivery.entry, f"sent with QoS {int(qos)}, QoS {most} was granted")
        return
    grant = audience.only_grant(topic)
    if origin is None or grant is None or grant.code is None or grant.granted is None:
        return
    due = min(origin.publish.qos, grant.code)
    if grant.granted.index < origin.entry.index and qos != due:
        message = f"sent with QoS {int(qos)}: published with {int(origin.publish.qos)}, granted {grant.code}"
        yield GRANTED_QOS.broken(BROKER, delivery.entry, message)


def _local(audience: Audience, delivery: Delivery, matching: list[Grant], origin: Origin | None) -> Iterator[Breach]:
    if (
        origin is not None
        and origin.client_id == audience.chain.client_id
        and all(grant.subscription.no_local for grant in matching)
    ):
        yield NO_LOCAL.broken(BROKER, delivery.entry, f"its own message on {origin.topic!r} comes back")


def _identifiers(delivery: Delivery, matching: list[Grant]) -> Iterator[Breach]:
    if delivery.talk.version is not Version.V5:
        return
    carried = set(delivery.publish.properties.subscription_identifier)
    known = {grant.identifier for grant in matching}
    if foreign := carried - known:
        yield OWN_IDENTIFIERS.broken(BROKER, delivery.entry, f"no matching subscription has identifier {min(foreign)}")
    if not carried and None not in known:
        yield CARRIES_IDENTIFIER.broken(
            BROKER, delivery.entry, f"sent without identifier, its subscription has {min(filter(None, known))}"
        )


def _twice(messages: Messages, audience: Audience) -> Iterator[Breach]:
    for topic, payload in messages.repeated:
        if audience.only_grant(topic) is None:
            continue
        copies = [delivery for delivery in audience.copies(topic, payload) if not delivery.publish.retain]
        sources = len(messages.origins.get((topic, payload), ())) + len(messages.wills.get((topic, payload), ()))
        if len(copies) > sources:
            message = f"{len(copies)} copies of the message on {topic!r}, it was published {sources} times"
            yield EXACTLY_ONCE.broken(BROKER, copies[sources].entry, message)


def _order(messages: Messages, audience: Audience) -> Iterator[Breach]:
    """Compare each message with the latest one of its publisher, topic and QoS that was forwarded before."""
    latest: dict[tuple[str, int, str, QoS], Origin] = {}
    for delivery, topic in new_deliveries(audience):
        origin = messages.origin(topic, delivery.publish.payload)
        if origin is None or delivery.publish.retain or audience.only_grant(topic) is None:
            continue
        if delivery.publish.qos is not origin.publish.qos:
            continue
        source = (origin.talk.link, origin.talk.number, topic, origin.publish.qos)
        before = latest.get(source)
        if before is not None and before.entry.index > origin.entry.index:
            yield ORDER.broken(BROKER, delivery.entry, f"a later message on {topic!r} was forwarded before this one")
        else:
            latest[source] = origin
