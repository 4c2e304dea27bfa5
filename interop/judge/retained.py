"""The RETAIN flag of what a server sends: live, or because a subscription was made.

Belongs here: RETAIN against when a message came in and when it was subscribed to. [3.1.1 3.3.1.3, 5.0 3.3.1.3, 3.8.3.1]
Does not belong here: which messages are kept, which only a scenario can say.
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.messages import Audience, Delivery, Grant, Origin, messages_of, new_deliveries
from interop.judge.rule import V5, V31, V311, Breach, Rule, must, should
from interop.judge.view import BROKER, Case
from reference_broker.wire.types import RetainHandling, Version

LIVE_IS_NOT_RETAINED = Rule(
    "live-without-retain",
    "a message for a subscription that was there before it has RETAIN 0, unless Retain As Published was asked for",
    broker={V31: should("MQTT31-28"), V311: must("MQTT-3.3.1-9"), V5: must("MQTT-3.3.1-12")},
)
RETAIN_AS_PUBLISHED = Rule(
    "retain-as-published",
    "with Retain As Published a message keeps the RETAIN flag it was published with",
    broker={V5: must("MQTT-3.3.1-13")},
)
STORED_IS_RETAINED = Rule(
    "stored-with-retain",
    "a message sent because a subscription was made has RETAIN 1",
    broker={V31: should("MQTT31-28"), V311: must("MQTT-3.3.1-8"), V5: must("MQTT5-U-43")},
)
NOTHING_STORED = Rule(
    "retain-handling-2",
    "with Retain Handling 2 no stored message is sent",
    broker={V5: must("MQTT-3.3.1-11")},
)
RULES = (LIVE_IS_NOT_RETAINED, RETAIN_AS_PUBLISHED, STORED_IS_RETAINED, NOTHING_STORED)


def inspect(case: Case) -> Iterator[Breach]:
    """Look at the RETAIN flag of every message whose origin is certain."""
    messages = messages_of(case)
    for audience in messages.audiences:
        if not audience.chain.is_complete:
            continue
        for delivery, topic in new_deliveries(audience):
            matching = audience.matching(topic)
            if not matching or any(grant.is_shared for grant in matching):
                continue
            yield from _never_stored(delivery, matching)
            origin = messages.origin(topic, delivery.publish.payload)
            if origin is not None and _is_live(delivery, matching, origin):
                yield from _live(delivery, matching, origin)
            elif origin is not None and _is_stored(audience, topic, origin):
                yield from _stored(delivery, origin)


def _is_live(delivery: Delivery, matching: list[Grant], origin: Origin) -> bool:
    """Whether every subscription was acknowledged before the message came in, and none was made anew since."""
    return all(
        grant.granted is not None and grant.granted.index < origin.entry.index
        for grant in matching
        if grant.asked.index < delivery.entry.index
    )


def _live(delivery: Delivery, matching: list[Grant], origin: Origin) -> Iterator[Breach]:
    publish = delivery.publish
    keeps = {grant.subscription.retain_as_published for grant in matching}
    if delivery.talk.version is not Version.V5:
        keeps = {False}
    if keeps == {False} and publish.retain:
        yield LIVE_IS_NOT_RETAINED.broken(
            BROKER, delivery.entry, "RETAIN 1 on a message sent to a standing subscription"
        )
    elif keeps == {True} and publish.retain != origin.publish.retain:
        message = f"RETAIN {int(publish.retain)}, published with {int(origin.publish.retain)}"
        yield RETAIN_AS_PUBLISHED.broken(BROKER, delivery.entry, message)


def _is_stored(audience: Audience, topic: str, origin: Origin) -> bool:
    """Whether the broker was done with the message, and kept it, before anything was subscribed to."""
    taken = origin.taken
    return (
        taken is not None
        and origin.publish.retain
        and all(grant.asked.index > taken.index for grant in audience.matching(topic))
    )


def _stored(delivery: Delivery, origin: Origin) -> Iterator[Breach]:
    if not delivery.publish.retain:
        message = f"RETAIN 0 on a stored message of {origin.topic!r}, sent for a new subscription"
        yield STORED_IS_RETAINED.broken(BROKER, delivery.entry, message)


def _never_stored(delivery: Delivery, matching: list[Grant]) -> Iterator[Breach]:
    options = [grant.subscription for grant in matching]
    if delivery.publish.retain and all(
        option.retain_handling is RetainHandling.DO_NOT_SEND and not option.retain_as_published for option in options
    ):
        yield NOTHING_STORED.broken(BROKER, delivery.entry, "RETAIN 1, but no stored messages were asked for")
