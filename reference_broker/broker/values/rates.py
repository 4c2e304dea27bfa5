"""How often something may happen: a rate with some time's worth at once, and how many packets some bytes hold.

Belongs here: counting. Does not belong here: who is held back, and how (`outgoing.backpressure`).
"""

from __future__ import annotations

from typing import Final

from reference_broker.broker.values.config import BrokerConfig

_LONGEST_LENGTH: Final = 4
"""Bytes of a remaining length; more of them are refused elsewhere."""


class Rate:
    """So many of something in a second; who did nothing for `at_once_seconds` may do that time's worth at once."""

    __slots__ = ("_at_once_seconds", "_per_second", "settled_at")

    def __init__(self, per_second: float, at_once_seconds: float = 1.0) -> None:
        self._per_second = per_second
        self._at_once_seconds = at_once_seconds
        self.settled_at = float("-inf")
        """When what was done so far would have been done at this rate, begun so long ago."""

    def charge(self, amount: float, now: float) -> float:
        """So much is done now; the time from which more may be done, which may be over already."""
        begins = max(self.settled_at, now - self._at_once_seconds)
        self.settled_at = begins + amount / self._per_second
        return self.settled_at


class PacketCount:
    """How many packets begin in a stream of bytes, by their headers alone."""

    __slots__ = ("_begun", "_rest")

    def __init__(self) -> None:
        self._begun = b""
        """A header that is not all there."""
        self._rest = 0
        """Bytes to come of the last packet."""

    def feed(self, data: bytes) -> int:
        """How many headers end in the next bytes."""
        position, count = self._rest, 0
        if self._begun:
            data, self._begun = self._begun + data, b""
        size = len(data)
        while position < size:
            end = position + 1
            while end < size and data[end] > 127 and end - position < _LONGEST_LENGTH:
                end += 1
            if end >= size:
                self._begun = data[position:]
                position = size
                break
            length = 0
            for byte in reversed(data[position + 1 : end + 1]):
                length = length << 7 | byte & 0x7F
            position = end + 1 + length
            count += 1
        self._rest = position - size
        return count


class PeerRates:
    """What one connection may send in a second, in bytes and in packets."""

    __slots__ = ("_bytes", "_count", "_packets")

    def __init__(self, config: BrokerConfig) -> None:
        per_second = config.maximum_bytes_per_second
        self._bytes = None if per_second is None else Rate(per_second)
        per_second = config.maximum_packets_per_second
        self._packets = None if per_second is None else Rate(per_second)
        self._count = PacketCount()

    @classmethod
    def of(cls, config: BrokerConfig) -> PeerRates | None:
        """None where nothing is limited."""
        is_limited = config.maximum_bytes_per_second is not None or config.maximum_packets_per_second is not None
        return cls(config) if is_limited else None

    def charge(self, data: bytes, now: float) -> float:
        """These bytes came; the time from which more may be read."""
        until = now
        if self._bytes is not None:
            until = self._bytes.charge(len(data), now)
        if self._packets is not None:
            until = max(until, self._packets.charge(self._count.feed(data), now))
        return until
