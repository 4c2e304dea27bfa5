"""WebSocket frames of a server: from clients, unmasked by the run, and to them. [RFC 6455 5.2, 5.3]

Belongs here: where frames begin and end, and the payloads of neighbouring whole binary frames of one size.
Does not belong here: every other frame, and every rule of the WebSocket protocol (`websocket`, with its library).
"""

from __future__ import annotations

import struct

from websockets.frames import CloseCode
from websockets.utils import apply_mask as _apply_mask

from reference_broker.broker.values.runs import run_length

try:
    from websockets.speedups import apply_mask
except ImportError:  # where the library was installed without its extension
    apply_mask = _apply_mask

__all__ = ["apply_mask", "binary_header", "frame_size", "is_simple", "unmask_run"]

_FINAL_BINARY = 0x82
_FINAL, _RESERVED, _OPCODE = 0x80, 0x70, 0x0F
_CONTINUATION, _TEXT, _FIRST_CONTROL = 0, 1, 8
_OPCODES = {0, 1, 2, 8, 9, 10}
_LONGEST_CONTROL = 125
_MASKED = 0x80
MASK_SIZE = 4
_EXTENDED = 126, 127
"""Values of the 7-bit length that say that 2 or 8 bytes of length follow."""


def frame_size(data: bytes, position: int) -> tuple[int, int]:
    """Bytes of the header and of the whole frame at `position`; (0, 0) when the header is not all there."""
    available = len(data) - position
    if available < 2:
        return 0, 0
    length, header = data[position + 1] & 0x7F, 2
    if length in _EXTENDED:
        extended = 2 if length == _EXTENDED[0] else 8
        if available < header + extended:
            return 0, 0
        length = int.from_bytes(data[position + header : position + header + extended], "big")
        header += extended
    if data[position + 1] & _MASKED:
        header += MASK_SIZE
    return (header, header + length) if available >= header else (0, 0)


def binary_header(length: int) -> bytes:
    """What precedes so many bytes in a server's frame, which is not masked."""
    if length < _EXTENDED[0]:
        return bytes((_FINAL_BINARY, length))
    if length < 1 << 16:
        return struct.pack("!BBH", _FINAL_BINARY, _EXTENDED[0], length)
    return struct.pack("!BBQ", _FINAL_BINARY, _EXTENDED[1], length)


def is_simple(data: bytes, position: int) -> bool:
    """Whether the frame at `position` is one whole masked binary message."""
    return data[position] == _FINAL_BINARY and data[position + 1] >= _MASKED


def is_final(data: bytes, position: int) -> bool:
    """Whether the frame at `position` is the last or only one of its message."""
    return bool(data[position] & _FINAL)


def is_control(data: bytes, position: int) -> bool:
    """Whether the frame at `position` is a ping, a pong or the goodbye."""
    return data[position] & _OPCODE >= _FIRST_CONTROL


def is_refused_at_once(data: bytes, position: int) -> bool:
    """Whether the library refuses the frame at `position` for its first two bytes."""
    return data[position] & _OPCODE not in _OPCODES or data[position + 1] < _MASKED


def frame_violation(first: int, length: int, in_message: bool) -> tuple[CloseCode, str] | None:
    """What is wrong with a frame that begins with byte `first`, in words of the library, which waits for all of it."""
    opcode = first & _OPCODE
    if first & _RESERVED:
        return CloseCode.PROTOCOL_ERROR, "reserved bits must be 0"
    if opcode >= _FIRST_CONTROL:
        if length > _LONGEST_CONTROL:
            return CloseCode.PROTOCOL_ERROR, "control frame too long"
        if not first & _FINAL:
            return CloseCode.PROTOCOL_ERROR, "fragmented control frame"
    elif opcode == _CONTINUATION:
        if not in_message:
            return CloseCode.PROTOCOL_ERROR, "unexpected continuation frame"
    elif in_message:
        return CloseCode.PROTOCOL_ERROR, "expected a continuation frame"
    elif opcode == _TEXT:
        return CloseCode.UNSUPPORTED_DATA, "text frame; MQTT needs binary frames [5.0 MQTT-6.0.0-1]"
    return None


def unmask_run(data: bytes, position: int, header: int, size: int) -> tuple[bytes, int]:
    """The payloads of the simple frame at `position` and of those after it with the same header, and where they end."""
    before_mask = header - MASK_SIZE
    count = run_length(data, position, size, ((0, before_mask),), (len(data) - position) // size)
    end = position + count * size
    frames = struct.iter_unpack(f"{before_mask}x{MASK_SIZE}s{size - header}s", data[position:end])
    return b"".join([apply_mask(payload, mask) for mask, payload in frames]), end


def unmask_part(part: bytes, mask: bytes) -> tuple[bytes, bytes]:
    """The next bytes of a payload, and the mask for those behind them."""
    turn = len(part) % MASK_SIZE
    return apply_mask(part, mask), mask[turn:] + mask[:turn]
