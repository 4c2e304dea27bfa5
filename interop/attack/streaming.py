"""Attacks by packets of clients: too large, too many, too dear, and answers that nobody reads.

Belongs here: what is gone when its packet is done with. Does not belong here: what stays (`keeping`), those who are not
let in (`opening`).
"""

from __future__ import annotations

import time
from functools import partial
from itertools import product
from typing import Final

from interop.attack.attacker import NOT_READ, V5, Scene
from interop.attack.attacks import HIGH, KIBI, MEBI, SLACK_BYTES, Attack
from reference_broker.net.address import Transport
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import PingReq, Publish, Subscribe, Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS
from reference_broker.wire.varint import encode_varint

_PINGS: Final = encode(PingReq(), V5) * 10_000
_FRAGMENTS: Final = b"\x02\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 20_000 + b"\x80\x80" + bytes(4)
"""A message of nothing in very many fragments. [RFC 6455 5.4]"""
_LARGE: Final = encode(Publish("t", bytes(250_000)), V5) * 12
_LARGE_FRAME: Final = b"\x82\xff" + len(_LARGE).to_bytes(8, "big") + bytes(4) + _LARGE
_CACHES_BYTES: Final = 80 * MEBI
_PUBLISH, _SUBSCRIBE = 0x30, 0x82


# --- single packets ---------------------------------------------------------------------------------------------------


def _begun(first: int, size_bytes: int, sent_bytes: int, count: int, scene: Scene) -> None:
    """Packets that say to be so large begin, each from a client of its own."""
    for _ in range(count):
        attacker = scene.connected()
        attacker.send(bytes((first,)) + encode_varint(size_bytes) + b"\x00\x01t" + bytes(sent_bytes))
        scene.read(0.0)
    scene.read(0.5)


def _many_properties(scene: Scene) -> None:
    properties = Properties(user_property=(("k", ""),) * 200_000)
    packet = encode(Publish("t", properties=properties), V5)
    for _ in range(5):
        scene.connected().send(packet)
    scene.read(0.5)


def _many_filters(scene: Scene) -> None:
    packet = encode(Subscribe(1, (Subscription("f"),) * 100_000), V5)
    for _ in range(5):
        scene.connected().send(packet)
    scene.read(1.0)


def _many_aliases(scene: Scene) -> None:
    for _ in range(4):
        attacker = scene.connected()
        for alias in range(1, 100):
            topic = f"{alias}/{'t' * 60_000}"
            attacker.say(Publish(topic, properties=Properties(topic_alias=alias)))
    scene.read(0.5)


# --- floods -----------------------------------------------------------------------------------------------------------


def _flood(data: bytes, times: int, scene: Scene, *, reads: bool = True) -> None:
    """One client sends this again and again, and reads what comes of it, or not."""
    attacker = scene.connected(reads=reads)
    for _ in range(times):
        if not attacker.send(data):
            break
        if reads:
            scene.read(0.0)
    if reads:
        scene.read(0.2)


def _hasty(data: bytes, scene: Scene) -> None:
    """So fast that a second is at most two seconds' worth of answers."""
    attacker = scene.connected()
    until = time.monotonic() + 1.0
    attacker.send(data)
    scene.read(until - time.monotonic())


def _unread(topic: str, count: int, scene: Scene) -> None:
    """Messages for three subscribers that read nothing."""
    for _ in range(3):
        scene.connected(reads=False).say(Subscribe(1, (Subscription(topic),)))
    publisher = scene.connected()
    packet = encode(Publish(topic, bytes(16 * KIBI)), V5) * 16
    for _ in range(count):
        publisher.send(packet)


def _overlapping(scene: Scene) -> None:
    """A message that matches 1,024 subscriptions carries as many identifiers. [5.0 MQTT-3.3.4-4]"""
    attacker = scene.connected()
    for number, levels in enumerate(product("+l", repeat=10)):
        properties = Properties(subscription_identifier=(2_500_000 + number,))
        attacker.say(Subscribe(1, (Subscription("/".join(levels)),), properties))
    attacker.until_answered("SUBACK", 1024)
    packets = encode(Publish("/".join("l" * 10)), V5) * 2000
    for _ in range(10):
        attacker.send(packets)


def _to_itself(scene: Scene) -> None:
    """Its own messages come back, and it acknowledges none."""
    attacker = scene.connected()
    attacker.subscribe(Subscription("self", QoS.AT_LEAST_ONCE))
    packets = encode(Publish("self", b"x", QoS.AT_LEAST_ONCE, packet_id=1), V5) * 5000
    for _ in range(20):
        attacker.send(packets)
        scene.read(0.0)
    scene.read(0.3)


def _kept(scene: Scene) -> None:
    """Retained messages, faster than a disk takes them."""
    attacker, name = scene.connected(), scene.new_name()
    for start in range(0, 600, 20):
        attacker.say(
            *(
                Publish(f"{name}/{number % 50}", bytes(256 * KIBI), QoS.AT_LEAST_ONCE, retain=True, packet_id=number)
                for number in range(start + 1, start + 21)
            )
        )
        scene.read(0.0)
    scene.read(0.3)


def _new_topics(scene: Scene) -> None:
    attacker = scene.connected()
    attacker.subscribe(Subscription("never"))
    for _ in range(2000):
        attacker.say(Publish(f"{scene.new_name()}/{'t' * 60_000}"))


def _denied(scene: Scene) -> None:
    """Each is worth a line of the log, and has a topic that fills it."""
    attacker = scene.connected()
    attacker.say(*(Publish(f"$SYS/{number}/{'t' * 1000}") for number in range(2000)))
    scene.read(0.3)


ATTACKS: Final = (
    Attack(
        "the others' turns: so long one peer's bytes are worked on at once, whatever is in them",
        "1,300,000 PINGREQ, and 3 MB of PUBLISH before each 130,000",
        partial(_flood, _LARGE + 13 * _PINGS, 10),
    ),
    Attack(
        "the others' turns: so many frames are taken apart at once, whatever came before",
        "600,000 fragments of nothing, and a frame of 3 MB before each 20,000",
        partial(_flood, _LARGE_FRAME + _FRAGMENTS, 30),
        transport=Transport.WS,
    ),
    Attack(
        "maximum_packets_per_second",
        "50,000 PINGREQ at once",
        partial(_hasty, _PINGS * 5),
        {"maximum_packets_per_second": 5000},
        at_most={"PINGRESP": 20_000},
        raised={"maximum_packets_per_second": HIGH},
    ),
    Attack(
        "maximum_bytes_per_second",
        "100,000 bytes of PINGREQ at once",
        partial(_hasty, _PINGS * 5),
        {"maximum_bytes_per_second": 10_000},
        at_most={"PINGRESP": 20_000},
        raised={"maximum_bytes_per_second": HIGH},
    ),
    Attack(
        "maximum_packet_size",
        "20 PUBLISH of 200 MiB each begin",
        partial(_begun, _PUBLISH, 200 * MEBI, 8 * MEBI, 20),
        {"maximum_packet_size": MEBI},
        "DISCONNECT 0x95",
        raised={"maximum_packet_size": 256 * MEBI},
    ),
    Attack(
        "maximum_control_size",
        "20 SUBSCRIBE of 200 MiB each begin",
        partial(_begun, _SUBSCRIBE, 200 * MEBI, 8 * MEBI, 20),
        expects="DISCONNECT 0x97",
        raised={"maximum_control_size": HIGH},
    ),
    Attack(
        "maximum_properties_size",
        "5 PUBLISH of 200,000 properties each",
        _many_properties,
        expects="DISCONNECT 0x97",
        raised={"maximum_properties_size": HIGH},
    ),
    Attack(
        "maximum_filters",
        "5 SUBSCRIBE of 100,000 filters each",
        _many_filters,
        expects="DISCONNECT 0x97",
        raised={"maximum_filters": HIGH},
    ),
    Attack(
        "incoming_maximum_bytes",
        "20 PUBLISH of 200 MiB each begin, and 8 MiB of each come",
        partial(_begun, _PUBLISH, 200 * MEBI, 8 * MEBI, 20),
        {"incoming_maximum_bytes": 32 * MEBI},
        "DISCONNECT 0x97",
        most_bytes=32 * MEBI + SLACK_BYTES,
        raised={"incoming_maximum_bytes": HIGH},
    ),
    Attack(
        "topic_alias_maximum",
        "4 clients have 99 aliases each for topics of 60 KB",
        _many_aliases,
        expects="DISCONNECT 0x94",
        most_bytes=4 * 32 * 64 * KIBI + _CACHES_BYTES + SLACK_BYTES,
        raised={"topic_alias_maximum": 65_535},
    ),
    Attack(
        "outgoing_maximum_bytes",
        "60 MiB of messages for each of 3 subscribers that do not read",
        partial(_unread, "unread", 240),
        {"outgoing_maximum_bytes": 4 * MEBI, "backpressure_seconds": 0.1},
        most_bytes=3 * 4 * MEBI + SLACK_BYTES,
        raised={"outgoing_maximum_bytes": HIGH},
    ),
    Attack(
        "answers to a client that does not read",
        "10,000,000 PINGREQ whose answers are not read",
        partial(_flood, _PINGS, 1000, reads=False),
        {"outgoing_maximum_bytes": 64 * KIBI, "backpressure_seconds": 0.1},
        NOT_READ,
    ),
    Attack(
        "output far larger than what was read for it (messages with more than 64 subscription identifiers)",
        "20,000 messages that carry 1,024 identifiers each, and are not read",
        _overlapping,
        most_bytes=32 * MEBI + SLACK_BYTES,
    ),
    Attack(
        "acknowledgements that wait for a subscriber",
        "100,000 messages to itself, acknowledged by none",
        _to_itself,
        {"maximum_inflight": 10, "queue_maximum_messages": 100},
    ),
    Attack(
        "pongs and TLS messages that are not read, more than the transport's buffer",
        "WebSocket pings whose pongs are not read",
        partial(_flood, (b"\x89\xfd" + bytes(4 + 125)) * 1000, 400, reads=False),
        expects=NOT_READ,
        transport=Transport.WS,
    ),
    Attack(
        "changes the store has not committed yet, output that waits for that",
        "600 retained messages of 256 KiB, on a disk",
        _kept,
        most_bytes=8 * MEBI + 64 * MEBI + 50 * 256 * KIBI + SLACK_BYTES,
        is_durable=True,
    ),
    Attack(
        "caches: routes, beginnings of PUBLISH packets",
        "2,000 topics of 60 KB",
        _new_topics,
        most_bytes=_CACHES_BYTES + SLACK_BYTES,
    ),
    Attack(
        "the log, by connection, of some 600 characters each",
        "2,000 messages that are refused, with topics of 1,000 bytes",
        _denied,
        {"dollar_topics_between_clients": False},
        at_most={"line of the log": 110},
    ),
)
