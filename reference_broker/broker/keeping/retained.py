"""Retained messages: whether one is kept, how many, and until when. [3.1.1 3.3.1.3, 5.0 3.3.1.3]

Belongs here: keeping or clearing the message of a topic, within the bounds, until it expires.
Does not belong here: finding them by filter (`retained_tree`), who gets them when (`peers.subscribing`,
`outgoing.waiting`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reference_broker.broker.keeping.retained_tree import RetainedTree
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.journal import Journal
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.rows import RETAINED, encode_message
from reference_broker.broker.values.sizes import retained_bytes
from reference_broker.broker.values.timers import Timer, Timers


class RetainedMessages(RetainedTree):
    """The retained messages of a broker, within its bounds."""

    def __init__(self, config: BrokerConfig, timers: Timers, journal: Journal | None = None) -> None:
        """`journal` takes note of what has to survive the broker."""
        super().__init__()
        self._journal = journal
        self.store_is_full = False
        """While nothing can be kept no message is retained."""
        self._since_start: set[str] | None = None
        """While those of the store are being taken in: topics that changed since the broker's start."""
        self._is_here: Callable[[str], bool] = lambda _topic_filter: True
        self._config = config
        self._timers = timers
        self._size_bytes = 0
        self.payload_bytes = 0
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
            self._keep(topic, None, is_promised=message.qos > 0)
            return True
        if self.store_is_full:
            return False
        limit = self._config.retained_maximum_messages
        if limit is not None and len(self) >= limit and last is None:
            return False
        more_bytes = retained_bytes(message) - (retained_bytes(last) if last is not None else 0)
        if more_bytes > 0 and self._size_bytes + more_bytes > self._config.retained_maximum_bytes:
            return False
        self._hold(last, message)
        self._keep(topic, message, is_promised=message.qos > 0)
        return True

    def match(self, topic_filter: str, now: float) -> Iterator[Message | None]:
        """As of the tree; those of the store are waited for."""
        found = super().match(topic_filter, now)
        return found if self._since_start is None else self._match_when_here(topic_filter, found)

    def begin_taking_in(self, is_here: Callable[[str], bool]) -> None:
        """Those of the store will come; `is_here` tells whether all that a filter matches did."""
        self._since_start = set()
        self._is_here = is_here

    def end_taking_in(self) -> None:
        """They have all come."""
        self._since_start = None

    def _match_when_here(self, topic_filter: str, found: Iterator[Message | None]) -> Iterator[Message | None]:
        while self._since_start is not None and not self._is_here(topic_filter):
            yield None
        yield from found

    def take_in(self, message: Message, now: float) -> None:
        """One of the store, which was there before all that changed since the broker's start."""
        topic = message.topic
        if self._since_start is None or topic in self._since_start:
            return
        if message.is_expired(now):
            self._keep(topic, None, is_promised=False)
        elif self.get(topic) is None:
            self._hold(None, message, is_old=True)

    def _hold(self, last: Message | None, message: Message, *, is_old: bool = False) -> None:
        self._account_for(last, message)
        self.set(message, is_old=is_old)
        if message.expires_at is not None:
            self._expiring[message.topic] = self._timers.at(message.expires_at, lambda _now: self._expire(message))

    def _keep(self, topic: str, message: Message | None, *, is_promised: bool) -> None:
        """Let the store have the message of a topic, or none."""
        if self._since_start is not None:
            self._since_start.add(topic)
        journal = self._journal
        if journal is None or (message is not None and not message.publisher):  # the broker's own is said anew
            return
        key = RETAINED + topic.encode()
        if message is None:
            journal.drop(key)
        else:
            journal.put(key, encode_message(message, journal.unix_time(message.accepted_at)))
        if is_promised:
            journal.promise()

    def _account_for(self, last: Message | None, message: Message | None) -> None:
        """One retained message takes another one's place; a timer would keep the old one until it expires."""
        if last is not None:
            self._size_bytes -= retained_bytes(last)
            self.payload_bytes -= len(last.payload)
            timer = self._expiring.pop(last.topic, None)
            if timer is not None:
                timer.cancel()
        if message is not None:
            self._size_bytes += retained_bytes(message)
            self.payload_bytes += len(message.payload)

    def _expire(self, message: Message) -> None:
        if self.get(message.topic) is message:
            self._account_for(message, None)
            self.clear(message.topic)
            self._keep(message.topic, None, is_promised=False)
