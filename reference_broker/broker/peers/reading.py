"""What a client's packet may be like before it is decoded: limits that its first bytes tell.

Belongs here: sizes by the kind of a packet, and counts that would be dear to find by decoding.
Does not belong here: the largest packet of all (`wire.decode`), what a decoded packet may say (`values.admission`).

Decoding takes many times a packet's size where it is made of the shortest filters or properties.
"""

from __future__ import annotations

from typing import Final

from reference_broker.broker.values.config import BrokerConfig
from reference_broker.wire.decode import Reader
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.rules import Rule
from reference_broker.wire.sender import Side
from reference_broker.wire.types import PacketType, ReasonCode, Version
from reference_broker.wire.varint import read_remaining_length

_SHORTEST_PACKET: Final = 2
_LONGEST_NAME: Final = 10
"""Bytes before the flags of a CONNECT, with the protocol's longer name: MQIsdp."""
_WILL_FLAG: Final = 0x04
_QOS_FLAGS: Final = 0x06
_UNQUESTIONED_BYTES: Final = 64
"""What is no larger is within every limit; `maximum_connect_size` is at least so much."""
_SHORTEST_FILTER: Final = 3


class PeerReader(Reader):
    """Cuts what one client sends into packets; raises also for those that are larger than their kind may be."""

    __slots__ = ("_config",)

    def __init__(self, version: Version | None, config: BrokerConfig, *, is_connected: bool) -> None:
        """`is_connected` when its CONNACK was sent: until then packets are no larger than a CONNECT with a will."""
        maximum = config.maximum_packet_size
        if not is_connected:
            before = max(config.maximum_connect_size, config.maximum_connect_size_with_will)
            maximum = before if maximum is None else min(maximum, before)
        super().__init__(version, maximum_packet_size=maximum, sender=Side.CLIENT)
        self._config = config

    def _next_span(self, *, any_type: bool = False) -> tuple[int, int] | None:
        span = super()._next_span(any_type=any_type)
        if span is None:
            if len(self._buffer) - self._position >= _SHORTEST_PACKET:
                self._check_beginning()
        elif span[1] - self._position > _UNQUESTIONED_BYTES:
            if self._buffer[self._position] >> 4 != PacketType.PUBLISH:
                self._check_beginning()
            self._check_whole(*span)
        return span

    def _check_beginning(self) -> None:
        """A packet that may not be there to its end is not larger than its kind may be; a PUBLISH always may."""
        header = read_remaining_length(self._buffer, self._position, self.version)
        if header is None:
            return
        remaining_length, body = header
        size = body - self._position + remaining_length
        kind, config = self._buffer[self._position] >> 4, self._config
        if kind == PacketType.CONNECT:
            if size > config.maximum_connect_size:
                self._check_connect(size, body)
        elif kind != PacketType.PUBLISH and size > config.maximum_control_size:
            raise _over_quota(f"{size} bytes of a packet that is no PUBLISH, more than {config.maximum_control_size}")

    def _check_connect(self, size: int, body: int) -> None:
        """Its flags say whether it has a will, which may need more."""
        data = self._buffer
        flags_at = body + 3 + int.from_bytes(data[body : body + 2], "big")
        is_undecided = flags_at >= len(data) and flags_at < body + _LONGEST_NAME
        if is_undecided:
            self._needed = len(self) + 1
        elif flags_at >= len(data) or not data[flags_at] & _WILL_FLAG:
            raise Rule.SERVER_PACKET_SIZE.broken(self.version, f"a CONNECT without will of {size} bytes")

    def _check_whole(self, body: int, end: int) -> None:
        kind = self._buffer[self._position] >> 4
        config = self._config
        if kind in (PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE):
            if (end - body) > _SHORTEST_FILTER * config.maximum_filters:
                self._check_filters(kind == PacketType.SUBSCRIBE, body, end)
        elif kind == PacketType.PUBLISH and self.version is Version.V5 and end - body > config.maximum_properties_size:
            topic_end = body + 2 + int.from_bytes(self._buffer[body : body + 2], "big")
            has_id = self._buffer[self._position] & _QOS_FLAGS
            size, _ = self._properties(topic_end + (2 if has_id else 0), end)
            if size > config.maximum_properties_size:
                raise _over_quota(f"{size} bytes of properties, more than {config.maximum_properties_size}")

    def _check_filters(self, has_options: bool, body: int, end: int) -> None:
        """Count filters by their lengths; what is malformed is left to decoding, as is what does not end."""
        data, maximum = self._buffer, self._config.maximum_filters
        position = body + 2
        if self.version is Version.V5:
            size, position = self._properties(position, end)
            position += size
        count = 0
        while position + 1 < end:
            position += 2 + int.from_bytes(data[position : position + 2], "big") + has_options
            count += 1
            if count > maximum:
                raise _over_quota(f"more than {maximum} filters in one packet")

    def _properties(self, position: int, end: int) -> tuple[int, int]:
        """How long the properties at `position` are, and where they begin."""
        header = read_remaining_length(self._buffer, position - 1, self.version) if position < end else None
        return (0, end) if header is None else header


def _over_quota(text: str) -> ProtocolError:
    return ProtocolError(text, "5.0 4.13", ReasonCode.QUOTA_EXCEEDED)
