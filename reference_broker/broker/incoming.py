"""Incomplete packets: how many bytes of them all connections together may have sent.

Belongs here: counting them, and choosing who has to go when they are too many.
Does not belong here: one packet's size (`wire.decode`), or how many connections there are (`broker`).

Who holds most goes, whoever sent the last byte: clients that send what they began are not harmed by one that does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_broker.broker.config import BrokerConfig

if TYPE_CHECKING:
    from reference_broker.broker.link import Link


class Incoming:
    """Bytes of packets that have begun, by link; before CONNACK they have a bound of their own."""

    def __init__(self, config: BrokerConfig) -> None:
        self._opening = _Begun(config.opening_maximum_bytes)
        self._connected = _Begun(config.incoming_maximum_bytes)

    def opened(self, link: Link) -> None:
        """A link has its CONNACK."""
        self._opening.set(link, 0)

    def forget(self, link: Link) -> None:
        """A link is closed."""
        self._opening.set(link, 0)
        self._connected.set(link, 0)

    def changed(self, link: Link, size_bytes: int, *, is_opening: bool) -> Link | None:
        """A link holds so many bytes now; who has to go for that, if anybody."""
        begun = self._opening if is_opening else self._connected
        begun.set(link, size_bytes)
        return begun.largest() if begun.is_too_much() else None


class _Begun:
    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self._sizes: dict[Link, int] = {}
        self._total = 0

    def set(self, link: Link, size_bytes: int) -> None:
        self._total += size_bytes - self._sizes.pop(link, 0)
        if size_bytes:
            self._sizes[link] = size_bytes

    def is_too_much(self) -> bool:
        return self._total > self._maximum_bytes

    def largest(self) -> Link:
        return max(self._sizes, key=self._sizes.__getitem__)
