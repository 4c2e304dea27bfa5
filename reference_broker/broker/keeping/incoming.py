"""Incomplete packets: how many bytes of them all connections together may have sent.

Belongs here: counting them, and choosing who has to go when they are too many.
Does not belong here: one packet's size (`wire.decode`), or how many connections there are (`house`).

Who holds most goes, whoever sent the last byte: clients that send what they began are not harmed by one that does not.
"""

from __future__ import annotations

from reference_broker.broker.outgoing.output import Output
from reference_broker.broker.values.config import BrokerConfig


class Incoming:
    """Bytes of packets that have begun, by connection; before CONNACK they have a bound of their own."""

    def __init__(self, config: BrokerConfig) -> None:
        self._opening = _Begun(config.opening_maximum_bytes)
        self._connected = _Begun(config.incoming_maximum_bytes)

    def opened(self, output: Output) -> None:
        """A connection has its CONNACK."""
        self._opening.set(output, 0)

    def forget(self, output: Output) -> None:
        """A connection is closed."""
        self._opening.set(output, 0)
        self._connected.set(output, 0)

    def changed(self, output: Output, size_bytes: int, *, is_opening: bool) -> Output | None:
        """A connection holds so many bytes now; who has to go for that, if anybody."""
        begun = self._opening if is_opening else self._connected
        begun.set(output, size_bytes)
        return begun.largest() if begun.is_too_much() else None


class _Begun:
    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self._sizes: dict[Output, int] = {}
        self._total = 0

    def set(self, output: Output, size_bytes: int) -> None:
        self._total += size_bytes - self._sizes.pop(output, 0)
        if size_bytes:
            self._sizes[output] = size_bytes

    def is_too_much(self) -> bool:
        return self._total > self._maximum_bytes

    def largest(self) -> Output:
        return max(self._sizes, key=self._sizes.__getitem__)
