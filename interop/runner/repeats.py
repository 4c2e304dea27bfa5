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
    """Who made more messages of one; nobody, where nobody is known to have.

    The client, where its application was told a message again that the broker had only sent again. The broker, where
    it passed a PUBLISH of QoS 2 on again that it had only been sent again.

    A PUBLISH of QoS 2 whose identifier is not released yet is the same message, however often it comes.
    [3.1.1 MQTT-4.3.3-2, 5.0 MQTT-4.3.3-10]
    """
    brought = brought_by(stage, player, event)
    delivered = _as_messages(stage, player.name, brought, Sender.BROKER)
    if player.inbox.told[event.topic, event.payload] > delivered:
        return Sender.CLIENT
    sent, messages = list[TraceEntry](), 0
    for name in stage.players:
        of_link = [each for each in stage.trace.publishes(name, event.topic, event.payload) if _is_taken(each)]
        messages += _as_messages(stage, name, of_link, None)
        sent += of_link
    is_repeated = messages < len(sent) and all(_qos(each) is QoS.EXACTLY_ONCE for each in sent)
    is_live = not any(isinstance(each.packet, Publish) and each.packet.retain for each in brought)
    return Sender.BROKER if is_repeated and is_live and delivered > messages else None


def _as_messages(stage: Stage, link: str, publishes: list[TraceEntry], sender: Sender | None) -> int:
    """How many messages these PUBLISH packets of a link are to whom they reach; no `sender`: all that a broker got."""
    indices = {entry.index for entry in publishes}
    unreleased: set[int | None] = set()
    messages = 0
    for entry in stage.entries(link):
        packet = entry.packet
        if isinstance(packet, ConnAck) and entry.delivered and not packet.session_present:
            unreleased.clear()
        elif not (entry.sender is sender and entry.delivered if sender else _is_taken(entry)):
            continue
        elif isinstance(packet, PubRel):
            unreleased.discard(packet.packet_id)
        elif isinstance(packet, Publish) and entry.index in indices:
            messages += packet.packet_id not in unreleased
            if packet.qos is QoS.EXACTLY_ONCE:
                unreleased.add(packet.packet_id)
    return messages


def _is_taken(entry: TraceEntry) -> bool:
    """Whether it reached the broker."""
    return entry.delivered and entry.receiver is Sender.BROKER


def _qos(entry: TraceEntry) -> QoS | None:
    return entry.packet.qos if isinstance(entry.packet, Publish) else None
