"""The length-prefixed fields: UTF-8 encoded strings and binary data.

Belongs here: their bytes and the rules for characters. [3.1 2.5, 3.1.1 1.5.3, 5.0 1.5.4, 1.5.6]
Does not belong here: what a string means, such as topic names (`topics`).

Python's strict UTF-8 codec is the well-formedness the specifications demand: no surrogates, no overlong forms, nothing
above U+10FFFF; U+FEFF stays where it is. Control characters and non-characters are allowed (5.0 leaves it open).
3.1 obliges nobody to check; the same rules are applied there, because such a string could not be passed on to 3.1.1.
"""

from __future__ import annotations

from reference_broker.wire.rules import Rule
from reference_broker.wire.types import Version

MAXIMUM_FIELD_SIZE = 65_535


def encode_binary(value: bytes) -> bytes:
    """`value` behind its two-byte length; raises LocalError above 65,535 bytes."""
    if len(value) > MAXIMUM_FIELD_SIZE:
        raise Rule.STRING_LENGTH.forbids(found=f"{len(value)} bytes")
    return len(value).to_bytes(2, "big") + value


def encode_string(value: str) -> bytes:
    """`value` as UTF-8 behind its two-byte length; raises LocalError for U+0000, surrogates or above 65,535 bytes."""
    if "\0" in value:
        raise Rule.STRING_NULL.forbids(found=repr(value))
    try:
        encoded = value.encode()
    except UnicodeEncodeError as error:
        raise Rule.STRING_UTF8.forbids(found=repr(value)) from error
    return encode_binary(encoded)


def decode_binary(data: bytes, position: int, end: int, version: Version) -> tuple[bytes, int]:
    """The binary field at `position` and the position behind it; raises MalformedPacket when it runs over `end`."""
    start = position + 2
    if start <= end:
        behind = start + (data[position] << 8 | data[position + 1])
        if behind <= end:
            return data[start:behind], behind
    raise Rule.TRUNCATED.broken(version)


def decode_string(data: bytes, position: int, end: int, version: Version) -> tuple[str, int]:
    """The string at `position` and the position behind it; raises MalformedPacket for ill-formed or missing text."""
    start = position + 2
    if start > end:
        raise Rule.TRUNCATED.broken(version)
    behind = start + (data[position] << 8 | data[position + 1])
    if behind > end:
        raise Rule.TRUNCATED.broken(version)
    try:
        text = str(data[start:behind], "utf-8")
    except UnicodeDecodeError as error:
        raise Rule.STRING_UTF8.broken(version, repr(data[start:behind])) from error
    if "\0" in text:
        raise Rule.STRING_NULL.broken(version, repr(text))
    return text, behind
