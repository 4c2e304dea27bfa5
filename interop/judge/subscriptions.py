"""SUBACK and UNSUBACK: for which request, how many codes, which grant.

Belongs here: what a server answers to SUBSCRIBE and UNSUBSCRIBE.
Does not belong here: answers that never come (`answers`), what a subscription then delivers (`delivery`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.rule import V5, V31, V311, Breach, Rule, must
from interop.judge.view import BROKER, Case, Event, Talk
from reference_broker.wire.packets import SubAck, Subscribe, UnsubAck, Unsubscribe
from reference_broker.wire.types import Version, is_error

SUBACK_ID = Rule(
    "suback-answers-subscribe",
    "SUBACK has the identifier of a SUBSCRIBE",
    broker={V31: must("MQTT31-36"), V311: must("MQTT-2.3.1-7", "MQTT-3.8.4-2"), V5: must("MQTT-3.8.4-2")},
)
SUBACK_COUNT = Rule(
    "suback-count",
    "SUBACK has one code for each topic filter",
    broker={V31: must("MQTT31-36"), V311: must("MQTT-3.8.4-5"), V5: must("MQTT-3.8.4-6")},
)
GRANT = Rule(
    "grants-what-was-asked",
    "SUBACK grants no higher QoS than was asked for",
    broker={V31: must("MQTT31-36"), V311: must("MQTT-3.8.4-5"), V5: must("MQTT-3.8.4-7")},
)
UNSUBACK_ID = Rule(
    "unsuback-answers-unsubscribe",
    "UNSUBACK has the identifier of an UNSUBSCRIBE",
    broker={V31: must("MQTT31-38"), V311: must("MQTT-2.3.1-7", "MQTT-3.10.4-4"), V5: must("MQTT-3.10.4-5")},
)
UNSUBACK_COUNT = Rule(
    "unsuback-count",
    "UNSUBACK has one code for each topic filter",
    broker={V5: must("MQTT-3.11.3-2")},
)
RULES = (SUBACK_ID, SUBACK_COUNT, GRANT, UNSUBACK_ID, UNSUBACK_COUNT)


def inspect(case: Case) -> Iterator[Breach]:
    """Compare every answer with its request."""
    for talk in case.talks:
        yield from _answers(talk)


def _answers(talk: Talk) -> Iterator[Breach]:
    subscribes: dict[int, Subscribe] = {}
    unsubscribes: dict[int, Unsubscribe] = {}
    for event in talk.story(BROKER):
        packet = event.packet
        if not event.mine and isinstance(packet, Subscribe):
            subscribes[packet.packet_id] = packet
        elif not event.mine and isinstance(packet, Unsubscribe):
            unsubscribes[packet.packet_id] = packet
        elif event.mine and isinstance(packet, SubAck):
            yield from _suback(event, packet, subscribes.get(packet.packet_id))
        elif event.mine and isinstance(packet, UnsubAck):
            yield from _unsuback(talk, event, packet, unsubscribes.get(packet.packet_id))


def _suback(event: Event, suback: SubAck, subscribe: Subscribe | None) -> Iterator[Breach]:
    if subscribe is None:
        yield SUBACK_ID.broken(BROKER, event.entry, f"SUBACK {suback.packet_id} answers no SUBSCRIBE")
        return
    asked = subscribe.subscriptions
    if len(suback.reasons) != len(asked):
        message = f"{len(suback.reasons)} codes for {len(asked)} topic filters"
        yield SUBACK_COUNT.broken(BROKER, event.entry, message)
        return
    for code, subscription in zip(suback.reasons, asked, strict=True):
        if code > subscription.qos and not is_error(code):
            message = f"QoS {code} granted for {subscription.topic_filter!r}, {int(subscription.qos)} was asked for"
            yield GRANT.broken(BROKER, event.entry, message)


def _unsuback(talk: Talk, event: Event, unsuback: UnsubAck, unsubscribe: Unsubscribe | None) -> Iterator[Breach]:
    if unsubscribe is None:
        yield UNSUBACK_ID.broken(BROKER, event.entry, f"UNSUBACK {unsuback.packet_id} answers no UNSUBSCRIBE")
    elif talk.version is Version.V5 and len(unsuback.reasons) != len(unsubscribe.topic_filters):
        message = f"{len(unsuback.reasons)} codes for {len(unsubscribe.topic_filters)} topic filters"
        yield UNSUBACK_COUNT.broken(BROKER, event.entry, message)
