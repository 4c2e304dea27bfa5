"""Messages that an application was told more often than the broker delivered them.

Belongs here: counting both. Does not belong here: what a step makes of it (`told`, `play`).
"""

from __future__ import annotations

from interop.drivers.contract import MessageEvent
from interop.runner.player import Player
from interop.runner.stage import Stage
from interop.tap.trace import Sender, TraceEntry
from reference_broker.wire.packets import ConnAck, Publish, PubRel
from reference_broker.wire.types import QoS


def brought_by(stage: Stage, player: Player, event: MessageEvent) -> list[TraceEntry]:
    """The PUBLISH packets that may have brought a message: same payload, same topic (or a topic alias)."""
    return [
        entry
        for entry in stage.trace.publishes(player.name, event.topic, event.payload)
        if entry.delivered and entry.receiver is Sender.CLIENT
    ]


def who_repeats(stage: Stage, player: Player, event: MessageEvent) -> Sender | None:
    """The client, where its application was told a message again that the broker had only sent again; else nobody.

    A PUBLISH of QoS 2 whose identifier is not released yet is the same message, however often it comes.
    [3.1.1 MQTT-4.3.3-2, 5.0 MQTT-4.3.3-10]
    """
    packets = {entry.index for entry in brought_by(stage, player, event)}
    unreleased: set[int | None] = set()
    delivered = 0
    for entry in stage.entries(player.name):
        packet = entry.packet
        if entry.sender is not Sender.BROKER or not entry.delivered:
            continue
        if isinstance(packet, ConnAck) and not packet.session_present:
            unreleased.clear()
        elif isinstance(packet, PubRel):
            unreleased.discard(packet.packet_id)
        elif isinstance(packet, Publish) and entry.index in packets:
            delivered += packet.packet_id not in unreleased
            if packet.qos is QoS.EXACTLY_ONCE:
                unreleased.add(packet.packet_id)
    return Sender.CLIENT if player.inbox.told[event.topic, event.payload] > delivered else None
