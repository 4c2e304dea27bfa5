"""The variable byte integer: remaining lengths, property lengths and identifiers, subscription identifiers.

Belongs here: its bytes. [3.1 2.1, 3.1.1 2.2.3, 5.0 1.5.5]
Does not belong here: what the number counts.
"""

from __future__ import annotations

from reference_broker.wire.errors import LocalError
from reference_broker.wire.rules import Rule
from reference_broker.wire.types import Version

MAXIMUM_VARINT = 268_435_455
_ONE_BYTE = tuple(bytes((value,)) for value in range(128))


def encode_varint(value: int) -> bytes:
    """`value` in the shortest encoding, 1 to 4 bytes; raises LocalError outside 0 to 268,435,455."""
    if 0 <= value < 128:
        return _ONE_BYTE[value]
    if not 0 <= value <= MAXIMUM_VARINT:
        raise LocalError(f"{value} does not fit a variable byte integer (0 to {MAXIMUM_VARINT:,})")
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def varint_size(value: int) -> int:
    """How many bytes the shortest encoding of `value` takes."""
    return 1 if value < 128 else 2 if value < 16_384 else 3 if value < 2_097_152 else 4


def decode_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The integer of a 5.0 packet at `position` and the position behind it; `data` is read up to `end`.

    Raises MalformedPacket when it runs over `end`, takes more than four bytes, or could be shorter. [5.0 MQTT-1.5.5-1]
    """
    if position < end and data[position] < 128:
        return data[position], position + 1
    value = shift = 0
    for index in range(position, min(position + 4, end)):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 128:
            if byte == 0:
                raise Rule.SHORTEST_ENCODING.broken(Version.V5)
            return value, index + 1
        shift += 7
    raise (Rule.TRUNCATED if end - position < 4 else Rule.INTEGER_LENGTH).broken(Version.V5)


def read_remaining_length(data: bytes, position: int, version: Version | None = None) -> tuple[int, int] | None:
    """The remaining length of the packet whose first byte is at `position`, and where its variable header begins.

    None while bytes are missing. Raises MalformedPacket as soon as the fourth byte announces a fifth. Padding is
    accepted here: only 5.0 forbids it, and `decode` checks it there.
    """
    if position + 1 < len(data) and data[position + 1] < 128:
        return data[position + 1], position + 2
    value = shift = 0
    for index in range(position + 1, min(position + 5, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 128:
            return value, index + 1
        shift += 7
    if shift == 28:
        raise Rule.REMAINING_LENGTH.broken(version)
    return None
