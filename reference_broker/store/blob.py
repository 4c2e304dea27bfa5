"""Changes as one run of bytes, for a journal.

Belongs here: writing and reading them. Does not belong here: where the bytes are kept (`sqlite`).

The number of changes, then the lengths of key and value of each (four bytes each, little-endian; two lengths that no
value has stand for the removals), then keys and values, all behind each other: so both ways are a few calls for any
number of changes, which counts, because it is done for every answer that waits for the disk.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

from reference_broker.store.records import Change, Removal

_LENGTHS = {Removal.ONE: 0xFFFF_FFFF, Removal.ALL: 0xFFFF_FFFE}
_REMOVALS = {length: removal for removal, length in _LENGTHS.items()}


class BadBlob(ValueError):
    """These bytes are no changes."""


def encode_changes(changes: Sequence[Change]) -> bytes:
    """The changes as bytes."""
    pieces: list[Any] = list(chain.from_iterable(changes))
    lengths = array("I", [len(piece) if piece.__class__ is bytes else _LENGTHS[piece] for piece in pieces])
    content = [piece for piece in pieces if piece.__class__ is bytes]
    return b"".join((len(changes).to_bytes(4, "little"), _little_endian(lengths).tobytes(), *content))


def decode_changes(blob: bytes) -> list[Change]:
    """The changes in these bytes; raises BadBlob."""
    count = int.from_bytes(blob[:4], "little")
    at = 4 + 8 * count
    if len(blob) < at:
        raise BadBlob
    lengths = _little_endian(array("I", blob[4:at]))
    sizes = [0 if length in _REMOVALS else length for length in lengths]
    ends = list(accumulate(sizes, initial=at))
    if ends[-1] != len(blob):
        raise BadBlob
    keys = [blob[begin:end] for begin, end in zip(ends[:-1:2], ends[1::2], strict=True)]
    values = [blob[begin:end] for begin, end in zip(ends[1::2], ends[2::2], strict=True)]
    if not _REMOVALS.keys().isdisjoint(lengths):
        return [
            (key, _REMOVALS.get(length, value)) for key, value, length in zip(keys, values, lengths[1::2], strict=True)
        ]
    return list(zip(keys, values, strict=True))


def _little_endian(lengths: array[int]) -> array[int]:
    """From this machine's order of bytes or back."""
    if sys.byteorder == "big":
        lengths.byteswap()
    return lengths
