"""Neighbouring packets that begin alike, as bytes: how many there are, found a column at a time, and parts of them.

Belongs here: comparing, picking and putting other beginnings before bytes at equal distances.
Does not belong here: what the bytes mean.
"""

from __future__ import annotations

from itertools import chain, starmap

_FEW = 4
_FIRST_BATCH = 128
_GROWTH = 8

Span = tuple[int, int]
"""The first byte of a part and the one behind it, counted from a packet's start."""


def run_length(data: bytes, start: int, size: int, alike: tuple[Span, ...], maximum: int) -> int:
    """How many packets of `size` bytes, from `start`, have the first one's bytes in the spans `alike`; at least 1.

    `data` holds `maximum` packets of that size. The first few are compared one by one. If they are alike, the same byte
    of many packets is compared at once: a slice with a step, against one value repeated, both at the speed of C.
    """
    if maximum == 1:
        return 1
    few = min(maximum, _FEW)
    for count in range(1, few):
        shift = count * size
        for first, behind in alike:
            if data[start + shift + first : start + shift + behind] != data[start + first : start + behind]:
                return count
    count = few
    batch = _FIRST_BATCH
    while count < maximum:
        candidates = min(batch, maximum - count)
        same = _same_columns(data, start, start + count * size, size, alike, candidates)
        count += same
        if same < candidates:
            break
        batch *= _GROWTH
    return count


def _same_columns(data: bytes, model: int, start: int, size: int, alike: tuple[Span, ...], count: int) -> int:
    """How many of `count` packets from `start` are like the one at `model`."""
    for offset in chain.from_iterable(starmap(range, alike)):
        value = data[model + offset : model + offset + 1]
        column = data[start + offset : start + offset + (count - 1) * size + 1 : size]
        if column != value * count:
            count -= len(column.lstrip(value))
            if not count:
                break
    return count


def every(data: bytes, start: int, size: int, count: int, first: int, step: int) -> bytes:
    """Of `count` packets of `size` bytes from `start`, every `step`th from number `first`."""
    if step == 1:
        return data[start + first * size : start + count * size]
    return b"".join([data[at : at + size] for at in range(start + first * size, start + count * size, step * size)])


def behind(beginning: bytes, data: bytes, start: int, size: int, count: int, payload_at: int) -> bytes:
    """What follows `payload_at` in each of `count` packets of `size` bytes from `start`, behind another beginning."""
    first, length = start + payload_at, size - payload_at
    payloads = [data[at : at + length] for at in range(first, first + count * size, size)]
    return beginning + beginning.join(payloads)


def interleaved(packets: bytes, size: int, answers: bytes) -> bytes:
    """Each packet of `size` bytes, and four bytes of the answers behind it."""
    starts = range(0, len(packets), size)
    return b"".join([packets[at : at + size] + answers[4 * n : 4 * n + 4] for n, at in enumerate(starts)])
