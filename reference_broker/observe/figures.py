"""What there is to know of a running broker, as one value.

Belongs here: asking the broker, at a cost that does not grow with what it holds, and rates over the last minutes.
Does not belong here: counting on the wire (`counting`), where figures go (`sys_topics`, `metrics`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from reference_broker.broker import Broker
from reference_broker.observe.counting import Traffic

MINUTES = (1, 5, 15)


@dataclass(frozen=True, slots=True)
class Figures:
    """A broker at one moment; `uptime_seconds` and what is received and sent count from its start."""

    uptime_seconds: float
    clients_connected: int
    clients_total: int
    clients_maximum: int
    subscriptions: int
    shared_subscriptions: int
    retained_messages: int
    sessions_expired: int
    messages_dropped: int
    """For want of room in a queue, or to a client that did not read."""
    stored_messages: int
    """Retained ones, and those that wait in sessions, in each that they wait in."""
    stored_bytes: int
    """Their payloads, and of those that wait also topics and properties that are long."""
    sockets: int
    received: Traffic
    sent: Traffic


class Observer:
    """Sees one broker; `received`, `sent` and `sockets` are for whoever carries its bytes."""

    def __init__(self, broker: Broker, now: float) -> None:
        self.received = Traffic()
        self.sent = Traffic()
        self.sockets = 0
        self._broker = broker
        self._started_at = now
        self._clients_maximum = 0

    def figures(self, now: float) -> Figures:
        """What is to be seen now."""
        house = self._broker.house
        self._clients_maximum = max(self._clients_maximum, house.connected_count)
        return Figures(
            uptime_seconds=now - self._started_at,
            clients_connected=house.connected_count,
            clients_total=len(house.sessions),
            clients_maximum=self._clients_maximum,
            subscriptions=house.router.subscription_count,
            shared_subscriptions=house.router.shared_count,
            retained_messages=len(house.retained),
            sessions_expired=house.sessions.expired_count,
            messages_dropped=house.sessions.queues.dropped + house.round.dropped,
            stored_messages=len(house.retained) + house.sessions.queues.messages,
            stored_bytes=house.retained.payload_bytes + house.sessions.queues.size_bytes,
            sockets=self.sockets,
            received=self.received,
            sent=self.sent,
        )


class Loads:
    """How much of something happened a minute, as averages over the last minutes that forget slowly."""

    def __init__(self) -> None:
        self._last = 0
        self._averages = dict.fromkeys(MINUTES, 0.0)

    def take(self, total: int, seconds: float) -> dict[int, float]:
        """So many there were in all, so long after the last time; the averages by minutes, as mosquitto's."""
        a_minute = (total - self._last) * 60 / seconds
        self._last = total
        for minutes, average in self._averages.items():
            kept = math.exp(-seconds / (60 * minutes))
            self._averages[minutes] = a_minute + kept * (average - a_minute)
        return self._averages
