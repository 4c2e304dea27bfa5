"""Attacks that have the broker keep things: sessions, subscriptions, retained messages, queues.

Belongs here: what stays when its packet is done with. Does not belong here: packets themselves (`streaming`), those who
are not let in (`opening`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from interop.attack.attacker import RESUMED, Attacker, Scene
from interop.attack.attacks import HIGH, KIBI, MEBI, SLACK_BYTES, Attack
from reference_broker.wire.packets import Publish, PubRel, Subscribe, Subscription, Will
from reference_broker.wire.properties import NEVER_EXPIRES, Properties
from reference_broker.wire.types import QoS

_QUEUED: Final = 64 * KIBI
_KEPT: Final[Mapping[str, Any]] = {"session_expiry_interval": NEVER_EXPIRES}
_AT_ONCE: Final = 500
"""Packets of one write."""


def publish(attacker: Attacker, topics: list[str], payload: bytes = b"", *, retain: bool = False) -> None:
    """A message of QoS 1 to each topic, and wait for what they are answered."""
    for start in range(0, len(topics), _AT_ONCE):
        some = topics[start : start + _AT_ONCE]
        packets = [
            Publish(topic, payload, QoS.AT_LEAST_ONCE, retain, packet_id=number + 1)
            for number, topic in enumerate(some)
        ]
        attacker.say(*packets)
        attacker.until_answered("PUBACK", len(some))


# --- topics and filters -----------------------------------------------------------------------------------------------


def _long_topics(topic: str, scene: Scene) -> None:
    attacker = scene.connected()
    publish(attacker, [f"{topic}/{number}" for number in range(500)], retain=True)
    attacker.say(*(Subscribe(number + 1, (Subscription(f"{topic}/{number}"),)) for number in range(500)))
    attacker.until_answered("SUBACK", 500)


def _many_subscriptions(sessions: int, count: int, scene: Scene) -> None:
    name = scene.new_name()
    for _ in range(sessions):
        attacker = scene.connected(**_KEPT)
        for start in range(0, count, _AT_ONCE):
            filters = tuple(Subscription(f"{name}/{number}/+") for number in range(start, min(start + _AT_ONCE, count)))
            attacker.say(Subscribe(1, filters))
            attacker.until_answered("SUBACK", len(filters))


# --- sessions ---------------------------------------------------------------------------------------------------------


def _sessions_with_wills(scene: Scene) -> None:
    will = Will("will", bytes(60 * KIBI), QoS.AT_LEAST_ONCE, properties=Properties(will_delay_interval=1000))
    for _ in range(400):
        attacker = scene.connected(will=will, **_KEPT)
        attacker.close()


def _sessions_for_ever(scene: Scene) -> None:
    """Sessions of a second are asked for again after more than that."""
    names = [scene.new_name() for _ in range(100)]
    for name in names:
        scene.connected(name, **_KEPT).close()
    time.sleep(1.5)
    for name in names:
        scene.connected(name, clean_start=False, **_KEPT).close()


# --- retained messages ------------------------------------------------------------------------------------------------


def _many_retained(count: int, payload_bytes: int, scene: Scene) -> None:
    attacker, name = scene.connected(), scene.new_name()
    publish(attacker, [f"{name}/{number}" for number in range(count)], bytes(payload_bytes), retain=True)


# --- queues -----------------------------------------------------------------------------------------------------------


def _queues(sessions: int, count: int, payload_bytes: int, scene: Scene) -> None:
    """Messages for sessions that are away, and then all that waited for one of them."""
    name = scene.new_name()
    names = [f"{name}-{number}" for number in range(sessions)]
    for each in names:
        attacker = scene.connected(each, **_KEPT)
        attacker.subscribe(Subscription(name, QoS.AT_LEAST_ONCE))
        attacker.leave()
    publish(scene.connected(), [name] * count, bytes(payload_bytes))
    for each in names:  # whose session ends with this connection: another wave would find its memory taken
        scene.connected(each, clean_start=False)
    scene.read(0.5)


def _in_flight(count: int, payload_bytes: int, scene: Scene) -> None:
    """A subscriber that acknowledges nothing."""
    name = scene.new_name()
    attacker = scene.connected()
    attacker.subscribe(Subscription(name, QoS.AT_LEAST_ONCE))
    publisher = scene.connected()
    for _ in range(count):
        publisher.say(Publish(name, bytes(payload_bytes), QoS.AT_LEAST_ONCE, packet_id=1))
        scene.read(0.0)
    scene.read(1.5)


def _never_released(scene: Scene) -> None:
    """QoS 2 messages without PUBREL. [5.0 4.9]"""
    attacker = scene.connected()
    attacker.say(*(Publish("t", b"x", QoS.EXACTLY_ONCE, packet_id=number) for number in range(1, 3001)))
    attacker.say(PubRel(1))
    scene.read(0.5)


ATTACKS: Final = (
    Attack(
        "receive_maximum",
        "3,000 messages of QoS 2 are not released",
        _never_released,
        {"receive_maximum": 100},
        "DISCONNECT 0x93",
        {"PUBREC 0x10": 100},
        raised={"receive_maximum": 65_535},
    ),
    Attack(
        "maximum_topic_length",
        "500 retained messages and filters of 1,000 bytes",
        partial(_long_topics, "l" * 1000),
        {"maximum_topic_length": 256},
        "PUBACK 0x90",
        raised={"maximum_topic_length": 65_535},
    ),
    Attack(
        "maximum_topic_levels",
        "500 retained messages and filters of 1,000 levels",
        partial(_long_topics, "/".join("l" * 1000)),
        expects="SUBACK 0x8F",
        raised={"maximum_topic_levels": 65_536},
    ),
    Attack(
        "sessions_maximum_bytes",
        "400 sessions with wills of 60 KiB are left behind",
        _sessions_with_wills,
        {"sessions_maximum_bytes": 8 * MEBI},
        "CONNACK 0x97",
        most_bytes=8 * MEBI + SLACK_BYTES,
        raised={"sessions_maximum_bytes": HIGH},
    ),
    Attack(
        "session_expiry_maximum",
        "100 sessions that are to last for ever are left behind",
        _sessions_for_ever,
        {"session_expiry_maximum": 1},
        at_most={RESUMED: 0},
        raised={"session_expiry_maximum": NEVER_EXPIRES},
    ),
    Attack(
        "maximum_subscriptions",
        "one session subscribes 5,000 times",
        partial(_many_subscriptions, 1, 5000),
        {"maximum_subscriptions": 1000},
        "SUBACK 0x97",
        {"SUBACK 0x00": 1000},
        raised={"maximum_subscriptions": HIGH},
    ),
    Attack(
        "subscriptions_maximum_bytes",
        "20 sessions subscribe 2,000 times each",
        partial(_many_subscriptions, 20, 2000),
        {"subscriptions_maximum_bytes": 8 * MEBI},
        "SUBACK 0x97",
        most_bytes=8 * MEBI + SLACK_BYTES,
        raised={"subscriptions_maximum_bytes": HIGH},
    ),
    Attack(
        "queue_maximum_messages",
        "3,000 messages for a session that is away",
        partial(_queues, 1, 3000, 10),
        {"queue_maximum_messages": 500},
        at_most={"PUBLISH": 500},
        raised={"queue_maximum_messages": 10_000},
    ),
    Attack(
        "queue_maximum_bytes",
        "200 messages of 64 KiB for a session that is away",
        partial(_queues, 1, 200, _QUEUED),
        {"queue_maximum_bytes": 4 * MEBI},
        at_most={"PUBLISH": 4 * MEBI // _QUEUED},
        most_bytes=4 * MEBI + SLACK_BYTES,
        raised={"queue_maximum_bytes": HIGH},
    ),
    Attack(
        "queues_maximum_bytes",
        "200 messages of 64 KiB for each of 10 sessions that are away",
        partial(_queues, 10, 200, _QUEUED),
        {"queues_maximum_bytes": 8 * MEBI},
        at_most={"PUBLISH": 8 * MEBI // _QUEUED},
        most_bytes=8 * MEBI + SLACK_BYTES,
        raised={"queues_maximum_bytes": HIGH},
    ),
    Attack(
        "retained_maximum_messages",
        "5,000 retained messages",
        partial(_many_retained, 5000, 10),
        {"retained_maximum_messages": 1000},
        "PUBACK 0x97",
        {"PUBACK 0x10": 1000},
        raised={"retained_maximum_messages": HIGH},
    ),
    Attack(
        "retained_maximum_bytes",
        "500 retained messages of 64 KiB",
        partial(_many_retained, 500, _QUEUED),
        {"retained_maximum_bytes": 8 * MEBI},
        "PUBACK 0x97",
        {"PUBACK 0x10": 8 * MEBI // _QUEUED},
        most_bytes=8 * MEBI + SLACK_BYTES,
        raised={"retained_maximum_bytes": HIGH},
    ),
    Attack(
        "maximum_inflight",
        "a subscriber acknowledges none of 500 messages",
        partial(_in_flight, 500, 10),
        {"maximum_inflight": 20},
        at_most={"PUBLISH": 20},
        raised={"maximum_inflight": 1024},
    ),
    Attack(
        "inflight_maximum_bytes",
        "a subscriber acknowledges none of 100 messages of 200 KiB",
        partial(_in_flight, 100, 200 * KIBI),
        {"inflight_maximum_bytes": 2 * MEBI, "queue_maximum_bytes": 2 * MEBI},
        at_most={"PUBLISH": 2 * MEBI // (200 * KIBI) + 1},
        most_bytes=4 * MEBI + SLACK_BYTES,
        raised={"inflight_maximum_bytes": HIGH},
    ),
    Attack(
        "memory_maximum_bytes",
        "2,000 retained messages of 64 KiB",
        partial(_many_retained, 2000, _QUEUED),
        {"memory_maximum_bytes": 72 * MEBI},
        "PUBACK 0x97",
        most_bytes=72 * MEBI,  # less what it had before, and what comes between two looks
        raised={"memory_maximum_bytes": HIGH},
    ),
)
