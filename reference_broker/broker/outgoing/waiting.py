"""What waits in one session, first in, first out: messages one by one, bursts as they came, and retained messages.

Belongs here: the three forms, and whose turn it is. The first two are given out as if they were messages one by one; of
the retained messages that subscriptions bring, which may be very many, only the next of each filter is held here.
Does not belong here: the queue's bounds (`mailbox`), sending (`sending`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

from reference_broker.broker.outgoing.bursts import Burst
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.broker.values.sizes import waiting_bytes
from reference_broker.broker.values.terms import Terms
from reference_broker.wire.types import QoS


class WaitingRun:
    """The part of a burst that waits for one session, from its message `first` to before `behind`."""

    __slots__ = ("behind", "burst", "first", "qos", "row", "terms")

    def __init__(self, burst: Burst, first: int, behind: int, qos: QoS, terms: Terms) -> None:
        """`qos` is what the session gets, `terms` why it gets it."""
        self.burst = burst
        self.first = first
        self.behind = behind
        self.qos = qos
        self.terms = terms
        self.row: bytes | None = None
        """The key under which the store has it."""

    def delivery(self, index: int) -> Delivery:
        """One of its messages on its way to the session."""
        terms = self.terms
        return Delivery(self.burst.message(index), self.qos, False, terms.subscription_ids, terms.share)


class WaitingRetained:
    """The retained messages that one SUBSCRIBE brings for one filter, looked up when their turn comes. [5.0 3.3.1.3]

    `upcoming` is the next one, None while it is not found yet, or when there is no more (`is_over`). Their turn is when
    `turn` entries have left the queue.
    """

    __slots__ = (
        "_messages",
        "is_over",
        "no_local",
        "qos",
        "record",
        "subscription_ids",
        "topic_filter",
        "turn",
        "upcoming",
    )

    def __init__(
        self,
        topic_filter: str,
        messages: Iterator[Message | None],
        qos: QoS,
        no_local: bool,
        subscription_ids: tuple[int, ...],
    ) -> None:
        """`topic_filter` is that of the subscription, `qos` what it was granted."""
        self.topic_filter = topic_filter
        self.qos = qos
        self.no_local = no_local
        self.subscription_ids = subscription_ids
        self.turn = 0
        self.record: BringingRecord | None = None
        """What the store is told of it."""
        self._messages = messages
        self.is_over = False
        self.upcoming: Message | None = None
        self.go_on()

    def go_on(self) -> None:
        """Look for the message behind `upcoming`, but not for long."""
        try:
            self.upcoming = next(self._messages)
        except StopIteration:
            self.upcoming = None
            self.is_over = True

    def delivery(self, message: Message) -> Delivery:
        """One of its messages on its way to the session; RETAIN is 1. [5.0 3.3.1.3, 3.1.1 MQTT-3.3.1-8]"""
        return Delivery(message, min(message.qos, self.qos), True, self.subscription_ids)


class WaitingKeeper(Protocol):
    """Who is told what waits no more."""

    def left(self, delivery: Delivery) -> None:
        """A message waits no more."""

    def run_advanced(self, waiting: WaitingRun) -> None:
        """Some messages of a run wait no more, or all."""


class BringingRecord(Protocol):
    """Who is told how far a subscription has come with its retained messages."""

    def brought(self, topic: str) -> None:
        """One of them has left."""

    def end(self) -> None:
        """There will be no more."""


_SECONDS_FOR_EACH = 50e-6
"""Of a message that waits, until it is looked at again whether its time is over, which takes a hundredth of that."""


class Queues:
    """What waits in all sessions together."""

    __slots__ = ("dropped", "messages", "size_bytes")

    def __init__(self) -> None:
        self.messages = 0
        self.size_bytes = 0
        self.dropped = 0
        """Messages that had no room, since the broker's start."""


class Waiting:
    """A queue of deliveries; its length is in messages, `size_bytes` that of their payloads and what is long beside.

    Retained messages that are still to be looked up, by filter in `retained`, are in neither figure.
    """

    __slots__ = (
        *("_count", "_entries", "_expiring", "_keeper", "_left", "_look_at", "_qos0", "_queues"),
        *("retained", "size_bytes"),
    )

    def __init__(
        self,
        deliveries: Iterable[Delivery] = (),
        keeper: WaitingKeeper | None = None,
        queues: Queues | None = None,
    ) -> None:
        """`keeper` is told what waits no more; `queues` is what this is a part of."""
        self._queues = queues or Queues()
        self._entries: deque[Delivery | WaitingRun] = deque()
        self._keeper = keeper
        self._left = 0
        """Entries that have left."""
        self.retained: dict[str, WaitingRetained] | None = None
        self._count = 0
        self._expiring = 0
        self._look_at = 0.0
        self._qos0 = 0
        self.size_bytes = 0
        for delivery in deliveries:
            self.append(delivery)

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return bool(self._entries or self.retained)

    def entries(self) -> list[Delivery | WaitingRun]:
        """All of it as it waits."""
        return list(self._entries)

    def append_all(self, entries: Iterable[Delivery | WaitingRun]) -> None:
        """What waited elsewhere more."""
        for entry in entries:
            if isinstance(entry, WaitingRun):
                self.append_run(entry)
            else:
                self.append(entry)

    def __iter__(self) -> Iterator[Delivery]:
        for entry in self._entries:
            if isinstance(entry, Delivery):
                yield entry
            else:
                yield from map(entry.delivery, range(entry.first, entry.behind))

    def append(self, delivery: Delivery) -> None:
        """One message more."""
        self._entries.append(delivery)
        self._expiring += delivery.message.expires_at is not None
        self._qos0 += not delivery.qos
        self._grow(1, waiting_bytes(delivery.message))

    def append_run(self, waiting: WaitingRun) -> None:
        """A run of messages more."""
        count = waiting.behind - waiting.first
        self._entries.append(waiting)
        self._grow(count, count * waiting.burst.payload_size)

    def discard(self) -> None:
        """It goes with its session, and counts no more."""
        self._grow(-self._count, -self.size_bytes)

    def _grow(self, messages: int, size_bytes: int) -> None:
        self._count += messages
        self._queues.messages += messages
        self.size_bytes += size_bytes
        self._queues.size_bytes += size_bytes

    def append_retained(self, waiting: WaitingRetained) -> None:
        """Retained messages more, in place of those still to come for the same filter: these are all of them again."""
        if self.retained is None:
            self.retained = {}
        self.remove_retained(waiting.topic_filter)
        self.retained[waiting.topic_filter] = waiting
        waiting.turn = self._left + len(self._entries)

    def ahead_of(self, waiting: WaitingRetained) -> int:
        """How many of the messages that wait have their turn before these retained ones."""
        entries = islice(self._entries, max(0, waiting.turn - self._left))
        return sum(entry.behind - entry.first if isinstance(entry, WaitingRun) else 1 for entry in entries)

    def due_retained(self) -> WaitingRetained | None:
        """The retained messages whose turn is before the messages that wait; None if it is not."""
        waiting = next(iter(self.retained.values()), None) if self.retained else None
        return waiting if waiting is not None and waiting.turn <= self._left else None

    def remove_retained(self, topic_filter: str) -> None:
        """No retained messages (more) for this filter."""
        removed = self.retained.pop(topic_filter, None) if self.retained is not None else None
        if removed is not None and removed.record is not None:
            removed.record.end()

    def remove_all_retained(self) -> None:
        """No retained messages (more) at all."""
        for topic_filter in list(self.retained or ()):
            self.remove_retained(topic_filter)

    def popleft(self) -> Delivery:
        """Take the message that waited longest; there is one."""
        entry = self._entries[0]
        if isinstance(entry, WaitingRun):
            delivery = entry.delivery(entry.first)
            self.drop_from_run(entry, 1)
            return delivery
        self._entries.popleft()
        self._left += 1
        self._expiring -= entry.message.expires_at is not None
        self._qos0 -= not entry.qos
        self._grow(-1, -waiting_bytes(entry.message))
        if self._keeper is not None:
            self._keeper.left(entry)
        return entry

    def first(self) -> Delivery:
        """The message that waited longest; there is one."""
        entry = self._entries[0]
        return entry.delivery(entry.first) if isinstance(entry, WaitingRun) else entry

    def first_run(self) -> WaitingRun | None:
        """The run whose messages waited longest, if it is one."""
        entry = self._entries[0] if self._entries else None
        return entry if isinstance(entry, WaitingRun) else None

    def drop_from_run(self, waiting: WaitingRun, count: int) -> None:
        """So many messages of `first_run` have left."""
        waiting.first += count
        self._grow(-count, -count * waiting.burst.payload_size)
        if waiting.first == waiting.behind:
            self._entries.popleft()
            self._left += 1
        if self._keeper is not None and count:
            self._keeper.run_advanced(waiting)

    def has_qos0(self) -> bool:
        """Whether QoS 0 messages wait; those of runs are none."""
        return self._qos0 > 0

    def may_expire(self) -> bool:
        """Whether there are messages that `drop_expired` may forget some day."""
        return self._expiring > 0

    def drop_expired(self, now: float) -> None:
        """Forget messages whose time is over: the first ones, or, where the first is not, all. [5.0 MQTT-3.3.2-5]

        Where each that comes asks again for so many as wait, looking at all would take all the time there is: it is
        done again after a while only.
        """
        if not self.may_expire():
            return
        left = self._left
        while self._entries and isinstance(first := self._entries[0], Delivery) and first.message.is_expired(now):
            self.popleft()
        if self._left == left and now >= self._look_at:
            self.take_out(lambda delivery: delivery.message.is_expired(now))
            self._look_at = now + len(self._entries) * _SECONDS_FOR_EACH

    def take_out(self, is_unwanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Take out some messages, wherever they wait; those of a run are all alike."""
        taken: list[Delivery] = []
        entries, self._entries = self._entries, deque()
        self._grow(-self._count, -self.size_bytes)
        self._expiring = self._qos0 = 0
        kept: list[int] = []
        for number, entry in enumerate(entries, self._left):
            if isinstance(entry, WaitingRun):
                if is_unwanted(entry.delivery(entry.first)):
                    taken += map(entry.delivery, range(entry.first, entry.behind))
                    entry.first = entry.behind
                    if self._keeper is not None:
                        self._keeper.run_advanced(entry)
                    continue
                self.append_run(entry)
            elif is_unwanted(entry):
                taken.append(entry)
                if self._keeper is not None:
                    self._keeper.left(entry)
                continue
            else:
                self.append(entry)
            kept.append(number)
        for waiting in (self.retained or {}).values():
            waiting.turn = self._left + bisect_left(kept, waiting.turn)
        return taken
