"""WebSocket frames of a server: from clients, unmasked by the run, and to them. [RFC 6455 5.2, 5.3]

Belongs here: where frames begin and end, and the payloads of neighbouring whole binary frames of one size.
Does not belong here: every other frame, and every rule of the WebSocket protocol (`websocket`, with its library).
"""

from __future__ import annotations

import struct

from websockets.utils import apply_mask as _apply_mask

from reference_broker.broker.runs import run_length

try:
    from websockets.speedups import apply_mask
except ImportError:  # where the library was installed without its extension
    apply_mask = _apply_mask

__all__ = ["apply_mask", "binary_header", "frame_size", "is_simple", "unmask_run"]

_FINAL_BINARY = 0x82
_MASKED = 0x80
_MASK_SIZE = 4
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
        header += _MASK_SIZE
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


def unmask_run(data: bytes, position: int, header: int, size: int) -> tuple[bytes, int]:
    """The payloads of the simple frame at `position` and of those after it with the same header, and where they end."""
    before_mask = header - _MASK_SIZE
    count = run_length(data, position, size, ((0, before_mask),), (len(data) - position) // size)
    end = position + count * size
    frames = struct.iter_unpack(f"{before_mask}x{_MASK_SIZE}s{size - header}s", data[position:end])
    return b"".join([apply_mask(payload, mask) for mask, payload in frames]), end
