"""Counting packets in a stream of bytes, without decoding them.

Belongs here: finding where packets begin. Does not belong here: what is in them (`wire.decode`).
"""

from __future__ import annotations

from reference_broker.broker.values.runs import run_length
from reference_broker.wire.types import PacketType

_LONGEST_HEADER = 5


class PacketCount:
    """Packets of one direction of one connection, added to `total` as soon as their headers are there."""

    __slots__ = ("_begun", "_rest_bytes", "_total")

    def __init__(self, total: Traffic) -> None:
        self._total = total
        self._begun = b""
        """A header that is not all there."""
        self._rest_bytes = 0
        """Bytes to come of a packet that is counted already."""

    def take(self, data: bytes) -> None:
        """The next bytes of the stream; what is no MQTT is counted as it comes."""
        total = self._total
        total.bytes += len(data)
        position = self._rest_bytes
        if position >= len(data):
            self._rest_bytes -= len(data)
            return
        if self._begun:
            data, self._begun = self._begun + data, b""
        end = len(data)
        while position < end:
            length, header = _remaining_length(data, position)
            if not header:
                self._begun = data[position : position + _LONGEST_HEADER]
                position = end
                break
            size = header + length
            count = 1
            if position + size < end:
                count = run_length(data, position, size, ((0, header),), (end - position) // size) or 1
            total.messages += count
            kind = data[position] >> 4
            if kind == PacketType.PUBLISH:
                total.publishes += count
            elif kind == PacketType.CONNECT:
                total.connects += count
            position += count * size
        self._rest_bytes = position - end


class Traffic:
    """What went one way, of all connections since the start."""

    __slots__ = ("bytes", "connects", "messages", "publishes")

    def __init__(self) -> None:
        self.bytes = 0
        """As they are inside TLS and WebSocket."""
        self.messages = 0
        """Packets of any type, as mosquitto calls them."""
        self.publishes = 0
        self.connects = 0


def _remaining_length(data: bytes, position: int) -> tuple[int, int]:
    """The remaining length of a packet and the size of its fixed header; 0 for that where it is not all there."""
    length = shift = 0
    for index in range(position + 1, min(position + _LONGEST_HEADER, len(data))):
        byte = data[index]
        length |= (byte & 0x7F) << shift
        if byte < 128 or index == position + _LONGEST_HEADER - 1:
            return length, index + 1 - position
        shift += 7
    return 0, 0
