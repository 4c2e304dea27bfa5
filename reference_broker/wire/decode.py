"""Bytes -> packets: one packet, or a stream cut into packets.

Belongs here: the fixed header, and the order of the steps; each packet type's decoder is in `decoders`. Everything that
can be decided from a single packet is decided; every rule broken raises from the table in `rules`.
Does not belong here: who may send what (`sender`, which `Reader` applies when it is told who its peer is), and rules
that need a session or a connection: packet identifiers in use, topic alias maximums, a second CONNECT, quotas.

A server reads with `Reader()`, whose version becomes that of the CONNECT; a client reads with `Reader(version)`.
"""

from __future__ import annotations

from collections.abc import Iterator

from reference_broker.wire.decoders import DECODERS, Decoder, read_protocol
from reference_broker.wire.errors import MalformedPacket, ProtocolError
from reference_broker.wire.header import FIXED_FLAGS, PACKET_TYPES
from reference_broker.wire.packets import Connect, Packet
from reference_broker.wire.rules import Rule
from reference_broker.wire.sender import Side, check_sender
from reference_broker.wire.types import PacketType, Version
from reference_broker.wire.varint import read_remaining_length, varint_size

_CONNECT = int(PacketType.CONNECT)
_SMALL_PIECE = 1024
"""Pieces of fewer bytes are joined at once: each would take more memory than it holds."""
_V5 = Version.V5


def _by_first_byte(version: Version) -> tuple[Decoder | None, ...]:
    """The decoder for each first byte, None where the type or its flags are wrong."""

    def decoder(first: int) -> Decoder | None:
        packet_type = PACKET_TYPES[first >> 4]
        if packet_type is None or (packet_type is PacketType.AUTH and version is not _V5):
            return None
        fixed = FIXED_FLAGS[version][packet_type]
        return DECODERS[packet_type] if first & 0x0F & fixed.mask == fixed.value else None

    return tuple(map(decoder, range(256)))


# A tuple, because hashing an enumeration member costs more than reading a short packet.
_DECODER_BY_VERSION = tuple(_by_first_byte(Version(level)) if level in set(Version) else () for level in range(6))


def decode(data: bytes, version: Version | None) -> Packet:
    """The packet that `data` holds from first byte to last, fixed header included.

    A CONNECT brings its own version; None as version allows nothing else. Raises MalformedPacket, ProtocolError, and
    for a CONNECT of another protocol UnacceptableProtocolVersion.
    """
    header = read_remaining_length(data, 0, version)
    if header is None:
        raise Rule.TRUNCATED.broken(version, f"{len(data)} bytes")
    remaining_length, body = header
    end = body + remaining_length
    if end != len(data):
        rule = Rule.TRUNCATED if end > len(data) else Rule.TRAILING_BYTES
        raise rule.broken(version, f"{len(data)} bytes for a packet of {end}")
    return _decode_framed(data, 0, body, end, version)


def _decode_framed(data: bytes, start: int, body: int, end: int, version: Version | None) -> Packet:
    first = data[start]
    if first >> 4 == _CONNECT:
        version, body = read_protocol(data, body, end)
    elif version is None:
        raise Rule.CONNECT_FIRST.broken(None, f"first byte {first:#04x}")
    decoder = _DECODER_BY_VERSION[version][first]
    if decoder is None:
        raise _first_byte_violation(first, version)
    packet, position = decoder(data, body, end, first & 0x0F, version)
    if position != end:
        raise Rule.TRAILING_BYTES.broken(version, f"{end - position} bytes more in {packet.type.name}")
    if version is _V5 and data[start + 1] > 127:
        _check_shortest(data, start, end)
    return packet


def _first_byte_violation(first: int, version: Version) -> MalformedPacket | ProtocolError:
    packet_type = PACKET_TYPES[first >> 4]
    if packet_type is None or (packet_type is PacketType.AUTH and version is not _V5):
        return Rule.PACKET_TYPE.broken(version, f"type {first >> 4}")
    return FIXED_FLAGS[version][packet_type].rule.broken(version, f"first byte {first:#04x}")


def _check_shortest(data: bytes, start: int, end: int) -> None:
    """The remaining length is a variable byte integer in 5.0, so it is as short as can be. [5.0 MQTT-1.5.5-1]"""
    size = 1
    while data[start + size] > 127:
        size += 1
    if size != varint_size(end - start - 1 - size):
        raise Rule.SHORTEST_ENCODING.broken(_V5, f"a remaining length in {size} bytes")


class Reader:
    """Cuts a stream of bytes into packets, in order; knows nothing of sockets.

    `version` is None until a CONNECT was read, or given for a client's side, and may be set. `maximum_packet_size`
    counts the fixed header [5.0 3.1.2.11.4] and is enforced as soon as the header is there. `sender` names the peer:
    then packets it may not send are refused too. An error is raised when its packet's turn comes, and again on every
    further call, because a stream cannot be trusted behind it.
    """

    __slots__ = (
        "_buffer",
        "_needed",
        "_pending",
        "_pending_size",
        "_position",
        "maximum_packet_size",
        "sender",
        "version",
    )

    def __init__(
        self,
        version: Version | None = None,
        *,
        maximum_packet_size: int | None = None,
        sender: Side | None = None,
    ) -> None:
        self.version = version
        self.maximum_packet_size = maximum_packet_size
        self.sender = sender
        self._buffer = b""
        self._position = 0
        # Bytes behind the buffer wait unjoined until a packet is complete, so a large one is copied once.
        self._pending: list[bytes | bytearray] = []
        self._pending_size = 0
        self._needed = 2

    def feed(self, data: bytes) -> None:
        """Add bytes as they arrived."""
        if not data:
            return
        if self._position == len(self._buffer) and not self._pending:
            self._buffer = bytes(data)
            self._position = 0
        else:
            last = self._pending[-1] if self._pending else None
            if len(data) >= _SMALL_PIECE:
                self._pending.append(bytes(data))
            elif isinstance(last, bytearray):
                last += data
            else:
                self._pending.append(bytearray(data))
            self._pending_size += len(data)

    def __len__(self) -> int:
        """How many bytes were fed and not yet read as packets."""
        return len(self._buffer) - self._position + self._pending_size

    def __iter__(self) -> Iterator[Packet]:
        """The complete packets at hand, ending where more bytes are needed."""
        while (packet := self.next_packet()) is not None:
            yield packet

    def next_packet(self) -> Packet | None:
        """The next packet, or None until more bytes are fed; raises MalformedPacket and ProtocolError."""
        span = self._next_span()
        if span is None:
            return None
        body, end = span
        packet = _decode_framed(self._buffer, self._position, body, end, self.version)
        version = self.version
        if version is None:
            assert isinstance(packet, Connect)  # nothing else is decoded without a version
            version = packet.version
        if self.sender is not None:
            check_sender(packet, version, self.sender)
        self.version = version
        self._advance(end)
        return packet

    def next_frame(self) -> bytes | None:
        """The next packet's bytes as they are, or None until more are fed; looks at nothing but the header.

        Raises MalformedPacket for a remaining length without end and ProtocolError for a packet above
        `maximum_packet_size`; `take_rest` then gives what is there.
        """
        span = self._next_span(any_type=True)
        if span is None:
            return None
        frame = self._buffer[self._position : span[1]]
        self._advance(span[1])
        return frame

    def peek_type(self) -> int | None:
        """The number of the next packet's type (0 to 15), or None when no byte is at hand."""
        if self._position < len(self._buffer):
            return self._buffer[self._position] >> 4
        return self._pending[0][0] >> 4 if self._pending else None

    def take_rest(self) -> bytes:
        """Everything fed and not yet read, which the reader forgets."""
        self._join()
        rest = self._buffer[self._position :]
        self._buffer, self._position, self._needed = b"", 0, 2
        return rest

    def _next_span(self, *, any_type: bool = False) -> tuple[int, int] | None:
        """Where the next packet's variable header begins and where it ends, if it is complete in the buffer."""
        available = len(self._buffer) - self._position + self._pending_size
        if available < self._needed:
            return None
        if self._pending:
            self._join()
        buffer, position = self._buffer, self._position
        if not any_type and self.version is None and buffer[position] >> 4 != _CONNECT:
            raise Rule.CONNECT_FIRST.broken(None, f"first byte {buffer[position]:#04x}")
        header = read_remaining_length(buffer, position, self.version)
        if header is None:
            self._needed = available + 1
            return None
        remaining_length, body = header
        size = body - position + remaining_length
        if self.maximum_packet_size is not None and size > self.maximum_packet_size:
            rule = Rule.CLIENT_PACKET_SIZE if self.sender is Side.SERVER else Rule.SERVER_PACKET_SIZE
            raise rule.broken(self.version, f"{size} bytes, more than {self.maximum_packet_size}")
        if available < size:
            self._needed = size
            return None
        return body, body + remaining_length

    def _advance(self, end: int) -> None:
        self._needed = 2
        if end == len(self._buffer):
            self._buffer, self._position = b"", 0
        else:
            self._position = end

    def _join(self) -> None:
        if self._pending:
            self._buffer = b"".join((memoryview(self._buffer)[self._position :], *self._pending))
            self._position = 0
            self._pending.clear()
            self._pending_size = 0
