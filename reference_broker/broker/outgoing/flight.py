"""QoS 1 and QoS 2 messages in flight that the fast path sent: kept as the bytes that left.

Belongs here: the compact form. Does not belong here: sending and acknowledging (`fast.fastpath`), the plain form
(`session.delivery`), turning the one into the other (`mailbox`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from reference_broker.broker.values.journal import Body
from reference_broker.broker.values.rows import EntryRow
from reference_broker.session.packet_ids import HIGHEST_PACKET_ID
from reference_broker.wire.types import QoS

_LARGEST_RUN = 16_384
"""Bytes kept as one piece: what one message that is never acknowledged can hold in memory."""


class Numbers:
    """Packet identifiers in the order they were sent, as numbers and as they stand in a packet; `settled` are done."""

    __slots__ = ("body", "encoded", "key", "packet_ids", "row", "settled")

    def __init__(self, packet_ids: Sequence[int], encoded: bytes) -> None:
        self.packet_ids = packet_ids
        self.encoded = encoded
        self.settled = 0
        self.key: bytes | None = None
        """Where the store has it, if it does: as `row`, which needs `body`."""
        self.row: EntryRow | None = None
        self.body: Body | None = None


OnSettled = Callable[[Numbers], None]


class Origin(NamedTuple):
    """What packets of a shared subscription do not say, and who gets them next has to know. [5.0 4.8.2]"""

    share: str
    qos: QoS
    """At which they were published."""


class SentRun(Numbers):
    """Neighbouring packets as they left: `size` bytes each, the `order`th piece of its flight."""

    __slots__ = ("data", "order", "origin", "qos", "size")

    def __init__(
        self,
        packet_ids: Sequence[int],
        encoded: bytes,
        data: bytes,
        size: int,
        order: int,
        qos: QoS,
        origin: Origin | None,
    ) -> None:
        super().__init__(packet_ids, encoded)
        self.data = data
        self.size = size
        self.order = order
        self.qos = qos
        self.origin = origin

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """What is not settled: identifier and bytes of each packet."""
        for index in range(self.settled, len(self.packet_ids)):
            yield self.packet_ids[index], self.data[index * self.size : (index + 1) * self.size]


class Flight:
    """Messages in the order they were sent: `publishes` wait for PUBACK or PUBREC, `releases` for PUBCOMP.

    A peer acknowledges in that order [5.0 MQTT-4.6.0-2, MQTT-4.6.0-3], so that many identifiers are compared at once;
    one that does not has its session unpacked.
    """

    __slots__ = ("_count", "publishes", "releases")

    def __init__(self) -> None:
        # Made when first needed: most sessions get messages of one QoS, and an empty deque is not small.
        self.publishes: dict[QoS, deque[SentRun]] = {}
        self.releases: deque[Numbers] | tuple[()] = ()
        self._count = 0

    def __len__(self) -> int:
        everything = chain(*self.publishes.values(), self.releases)
        return sum(len(numbers.packet_ids) - numbers.settled for numbers in everything)

    def begins_within(self, last: int, count: int) -> bool:
        """Whether one of the `count` identifiers that follow `last`, the latest of this flight, is still in it."""
        for waiting in (*self.publishes.values(), self.releases):
            if waiting:
                oldest: Numbers = waiting[0]
                if (oldest.packet_ids[oldest.settled] - last - 1) % HIGHEST_PACKET_ID < count:
                    return True
        return False

    def add(
        self,
        data: bytes,
        size: int,
        packet_ids: Sequence[int],
        encoded: bytes,
        qos: QoS,
        origin: Origin | None = None,
    ) -> list[SentRun]:
        """Keep packets of `size` bytes that have left; `encoded` are their identifiers. Gives the runs they became."""
        runs: list[SentRun] = []
        most = len(packet_ids) if len(data) <= _LARGEST_RUN else max(1, _LARGEST_RUN // size)
        for first in range(0, len(packet_ids), most):
            behind = first + most
            run = SentRun(
                packet_ids[first:behind],
                encoded[2 * first : 2 * behind],
                data[first * size : behind * size],
                size,
                self._count,
                qos,
                origin,
            )
            self._count += 1
            runs.append(run)
        self.publishes.setdefault(qos, deque()).extend(runs)
        return runs

    def release(self, numbers: Numbers) -> None:
        """PUBREC came for these: they wait for PUBCOMP."""
        if isinstance(self.releases, tuple):
            self.releases = deque()
        self.releases.append(numbers)

    def settle_publishes(self, encoded: bytes, qos: QoS, on_settled: OnSettled | None = None) -> list[Sequence[int]]:
        """Forget messages of this QoS, up to the first identifier whose turn it is not; the identifiers done with.

        `on_settled` is told of each run of which some was.
        """
        return _settle(self.publishes.get(qos, ()), encoded, on_settled)

    def settle_releases(self, encoded: bytes, on_settled: OnSettled | None = None) -> list[Sequence[int]]:
        """Forget released messages, as `settle_publishes`."""
        return _settle(self.releases, encoded, on_settled)

    def in_order(self) -> list[SentRun]:
        """All runs of messages as they were sent."""
        return sorted(chain(*self.publishes.values()), key=lambda run: run.order)


def _settle(waiting: deque[Any] | tuple[()], encoded: bytes, on_settled: OnSettled | None) -> list[Sequence[int]]:
    done: list[Sequence[int]] = []
    position = 0
    while waiting and position < len(encoded):
        numbers = waiting[0]
        begin = numbers.settled
        expected = numbers.encoded[2 * begin : 2 * begin + len(encoded) - position]
        came = encoded[position : position + len(expected)]
        alike = len(expected) if came == expected else _alike(came, expected)
        numbers.settled += alike // 2
        if numbers.settled == len(numbers.packet_ids):
            waiting.popleft()
        if alike:
            if on_settled is not None:
                on_settled(numbers)
            done.append(numbers.packet_ids[begin : begin + alike // 2])
        if alike < len(expected):
            break
        position += alike
    return done


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes whole identifiers have in common at the beginning."""
    return next(at for at in range(0, len(one), 2) if one[at : at + 2] != other[at : at + 2])
