"""Retained messages: whether one is kept, how many, and until when. [3.1.1 3.3.1.3, 5.0 3.3.1.3]

Belongs here: keeping or clearing the message of a topic, within the bounds, until it expires.
Does not belong here: finding them by filter (`retained_tree`), who gets them when (`peers.subscribing`,
`outgoing.waiting`).
"""

from __future__ import annotations

from reference_broker.broker.keeping.retained_tree import RetainedTree
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.sizes import retained_bytes
from reference_broker.broker.values.timers import Timer, Timers


class RetainedMessages(RetainedTree):
    """The retained messages of a broker, within its bounds."""

    def __init__(self, config: BrokerConfig, timers: Timers) -> None:
        super().__init__()
        self._config = config
        self._timers = timers
        self._size_bytes = 0
        self._expiring: dict[str, Timer] = {}
        """By topic, what ends a message that expires."""

    def keep(self, message: Message) -> bool:
        """Keep or clear the topic's retained message; False when there is no room. [5.0 MQTT-3.3.1-5 to -8]"""
        if not self._config.retain_available:
            return True
        topic = message.topic
        last = self.get(topic)
        if not message.payload:
            self._account_for(last, None)
            self.clear(topic)
            return True
        limit = self._config.retained_maximum_messages
        if limit is not None and len(self) >= limit and last is None:
            return False
        more_bytes = retained_bytes(message) - (retained_bytes(last) if last is not None else 0)
        if more_bytes > 0 and self._size_bytes + more_bytes > self._config.retained_maximum_bytes:
            return False
        self._account_for(last, message)
        self.set(message)
        if message.expires_at is not None:
            self._expiring[topic] = self._timers.at(message.expires_at, lambda _now: self._expire(message))
        return True

    def _account_for(self, last: Message | None, message: Message | None) -> None:
        """One retained message takes another one's place; a timer would keep the old one until it expires."""
        if last is not None:
            self._size_bytes -= retained_bytes(last)
            timer = self._expiring.pop(last.topic, None)
            if timer is not None:
                timer.cancel()
        if message is not None:
            self._size_bytes += retained_bytes(message)

    def _expire(self, message: Message) -> None:
        if self.get(message.topic) is message:
            self._account_for(message, None)
            self.clear(message.topic)
