"""What waits in one session, first in, first out: messages one by one, and bursts as they came.

Belongs here: the two forms, and giving either out as if it were messages one by one.
Does not belong here: the queue's bounds (`sessions`), sending (`sending`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from reference_broker.broker.bursts import Burst
from reference_broker.broker.message import Delivery
from reference_broker.broker.sizes import waiting_bytes
from reference_broker.wire.types import QoS

if TYPE_CHECKING:
    from reference_broker.broker.routing import Target


class WaitingRun:
    """The part of a burst that waits for one session, from its message `first` to before `behind`."""

    __slots__ = ("behind", "burst", "first", "qos", "target")

    def __init__(self, burst: Burst, first: int, behind: int, qos: QoS, target: Target) -> None:
        """`qos` is what the session gets, `target` why it gets it."""
        self.burst = burst
        self.first = first
        self.behind = behind
        self.qos = qos
        self.target = target

    def delivery(self, index: int) -> Delivery:
        """One of its messages on its way to the session."""
        target = self.target
        return Delivery(self.burst.message(index), self.qos, False, target.subscription_ids, target.shared)


class Waiting:
    """A queue of deliveries; its length is in messages, `size_bytes` that of their payloads and what is long beside."""

    __slots__ = ("_count", "_entries", "_expiring", "size_bytes")

    def __init__(self, deliveries: Iterable[Delivery] = ()) -> None:
        self._entries: deque[Delivery | WaitingRun] = deque()
        self._count = 0
        self._expiring = 0
        self.size_bytes = 0
        for delivery in deliveries:
            self.append(delivery)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Delivery]:
        for entry in self._entries:
            if isinstance(entry, Delivery):
                yield entry
            else:
                yield from map(entry.delivery, range(entry.first, entry.behind))

    def append(self, delivery: Delivery) -> None:
        """One message more."""
        self._entries.append(delivery)
        self._count += 1
        self._expiring += delivery.message.expires_at is not None
        self.size_bytes += waiting_bytes(delivery.message)

    def append_run(self, waiting: WaitingRun) -> None:
        """A run of messages more."""
        count = waiting.behind - waiting.first
        self._entries.append(waiting)
        self._count += count
        self.size_bytes += count * (waiting.burst.payload_size)

    def popleft(self) -> Delivery:
        """Take the message that waited longest; there is one."""
        entry = self._entries[0]
        if isinstance(entry, WaitingRun):
            delivery = entry.delivery(entry.first)
            self.drop_from_run(entry, 1)
            return delivery
        self._entries.popleft()
        self._count -= 1
        self._expiring -= entry.message.expires_at is not None
        self.size_bytes -= waiting_bytes(entry.message)
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
        self._count -= count
        self.size_bytes -= count * (waiting.burst.payload_size)
        if waiting.first == waiting.behind:
            self._entries.popleft()

    def may_expire(self) -> bool:
        """Whether there are messages that `drop_expired` may forget some day."""
        return self._expiring > 0

    def drop_expired(self, now: float) -> None:
        """Forget the messages whose time is over. [5.0 MQTT-3.3.2-5]"""
        if self.may_expire():
            self.take_out(lambda delivery: delivery.message.is_expired(now))

    def take_out(self, is_unwanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Take out some messages, wherever they wait; those of a run are all alike."""
        taken: list[Delivery] = []
        entries, self._entries = self._entries, deque()
        self._count = self._expiring = self.size_bytes = 0
        for entry in entries:
            if isinstance(entry, WaitingRun):
                if is_unwanted(entry.delivery(entry.first)):
                    taken += map(entry.delivery, range(entry.first, entry.behind))
                else:
                    self.append_run(entry)
            elif is_unwanted(entry):
                taken.append(entry)
            else:
                self.append(entry)
        return taken
