"""How much one side may send to the other: Receive Maximum and Maximum Packet Size. [5.0 4.9, 3.1.2.11, 3.2.2.3]

Belongs here: limits both sides announce, and counting against them.
Does not belong here: what only servers restrict (`limits`), topic aliases (`topic_aliases`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.rule import V5, Breach, Rule, must
from interop.judge.view import BROKER, CLIENT, Case, Talk, peer_limits
from interop.tap.trace import Sender
from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRec
from reference_broker.wire.types import is_error

RECEIVE_MAXIMUM = Rule(
    "receive-maximum",
    "no more QoS 1 and 2 messages are under way than the receiver's Receive Maximum",
    client={V5: must("MQTT-3.3.4-7", "MQTT-4.9.0-2")},
    broker={V5: must("MQTT-3.3.4-9", "MQTT-4.9.0-2")},
)
MAXIMUM_PACKET_SIZE = Rule(
    "maximum-packet-size",
    "no packet is larger than the receiver's Maximum Packet Size",
    client={V5: must("MQTT-3.2.2-15")},
    broker={V5: must("MQTT-3.1.2-24")},
)
RULES = (RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE)

_DEFAULT_RECEIVE_MAXIMUM = 65_535


def inspect(case: Case) -> Iterator[Breach]:
    """Count on every connection."""
    for talk in case.talks:
        for side in (CLIENT, BROKER):
            limits = peer_limits(talk, side)
            if limits is not None:
                yield from _quota(talk, side, limits.receive_maximum or _DEFAULT_RECEIVE_MAXIMUM)
                yield from _sizes(talk, side, limits.maximum_packet_size)


def _quota(talk: Talk, side: Sender, receive_maximum: int) -> Iterator[Breach]:
    """Unfinished are messages, by identifier: what acknowledges another one makes no room. [5.0 MQTT-3.3.4-7, -9]"""
    unfinished: set[int] = set()
    for event in talk.story(side):
        packet = event.packet
        if event.mine and isinstance(packet, Publish) and packet.packet_id is not None:
            if packet.packet_id not in unfinished and len(unfinished) >= receive_maximum:
                yield RECEIVE_MAXIMUM.broken(
                    side,
                    event.entry,
                    f"PUBLISH {packet.packet_id} is sent while {receive_maximum} are unfinished; more are not allowed",
                )
            unfinished.add(packet.packet_id)
        elif not event.mine and (
            isinstance(packet, PubAck | PubComp) or (isinstance(packet, PubRec) and is_error(packet.reason))
        ):
            unfinished.discard(packet.packet_id)


def _sizes(talk: Talk, side: Sender, maximum: int | None) -> Iterator[Breach]:
    """A client learns the limit from CONNACK: its CONNECT and AUTH before that are not measured. [5.0 3.2.2.3.6]"""
    told = talk.connack(CLIENT) if side is CLIENT else None
    for entry in talk.sent(side):
        if told is not None and entry.index < told[0].index:
            continue
        if maximum is not None and entry.packet is not None and len(entry.data) > maximum:
            message = f"{entry.packet.type.name} of {len(entry.data)} bytes, {maximum} are allowed"
            yield MAXIMUM_PACKET_SIZE.broken(side, entry, message)
