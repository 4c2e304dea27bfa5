"""`$SYS/broker/...`: the figures as retained messages, by the names mosquitto gave them.

Belongs here: names and texts; docs/sys-topics.md says which of mosquitto's are left out, and why.
Does not belong here: the figures (`figures`), who may read them (the rules).
"""

from __future__ import annotations

from collections import defaultdict

from reference_broker.broker import Broker
from reference_broker.broker.values.message import Message
from reference_broker.observe.figures import Figures, Loads
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import QoS

PREFIX = "$SYS/broker/"


class SysTopics:
    """Publishes what has changed since the last time."""

    def __init__(self, broker: Broker, version: str) -> None:
        self._broker = broker
        self._said: dict[str, str] = {}
        self._loads: defaultdict[str, Loads] = defaultdict(Loads)
        self._version = f"mqtt-interop version {version}"
        self._said_at = 0.0
        broker.house.access.publishes_sys = True

    def publish(self, figures: Figures, now: float) -> None:
        """Say it, to subscribers and for those to come."""
        texts = self._texts(figures) | self._load_texts(figures)
        exchange = self._broker.house.exchange
        self._broker.house.round.now = now
        for name, text in texts.items():
            if self._said.get(name) != text:
                self._said[name] = text
                topic = PREFIX + name
                exchange.accept(Message(topic, text.encode(), QoS.AT_MOST_ONCE, True, NO_PROPERTIES, now, ""), now)

    def _texts(self, figures: Figures) -> dict[str, str]:
        received, sent = figures.received, figures.sent
        return {
            "version": self._version,
            "uptime": f"{figures.uptime_seconds:.0f} seconds",
            "clients/connected": str(figures.clients_connected),
            "clients/disconnected": str(figures.clients_total - figures.clients_connected),
            "clients/total": str(figures.clients_total),
            "clients/maximum": str(figures.clients_maximum),
            "subscriptions/count": str(figures.subscriptions),
            "shared_subscriptions/count": str(figures.shared_subscriptions),
            "clients/expired": str(figures.sessions_expired),
            "retained messages/count": str(figures.retained_messages),
            "store/messages/count": str(figures.stored_messages),
            "store/messages/bytes": str(figures.stored_bytes),
            "messages/received": str(received.messages),
            "messages/sent": str(sent.messages),
            "publish/messages/received": str(received.publishes),
            "publish/messages/sent": str(sent.publishes),
            "publish/messages/dropped": str(figures.messages_dropped),
            "bytes/received": str(received.bytes),
            "bytes/sent": str(sent.bytes),
        }

    def _load_texts(self, figures: Figures) -> dict[str, str]:
        seconds = figures.uptime_seconds - self._said_at
        if seconds <= 0:
            return {}
        self._said_at = figures.uptime_seconds
        texts = {}
        for name, total in _counters(figures).items():
            for minutes, average in self._loads[name].take(total, seconds).items():
                texts[f"load/{name}/{minutes}min"] = f"{average:.2f}"
        return texts


def _counters(figures: Figures) -> dict[str, int]:
    received, sent = figures.received, figures.sent
    return {
        "messages/received": received.messages,
        "messages/sent": sent.messages,
        "publish/received": received.publishes,
        "publish/sent": sent.publishes,
        "publish/dropped": figures.messages_dropped,
        "bytes/received": received.bytes,
        "bytes/sent": sent.bytes,
        "sockets": figures.sockets,
        "connections": received.connects,
    }
