"""Rules for what every packet has: first byte, remaining length, an end.

Belongs here: mutations that need to know of a packet's fields only where they begin and end.
Does not belong here: the values of fields (`rules_fields`, `rules_strings`, `rules_properties`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.corpus.making import TRUNCATED, Bench, Fault
from interop.corpus.model import CLOSE, Case, Stage, UnderTest
from interop.corpus.shapes import Kind, Shape, shapes, varint
from reference_broker.wire.types import PacketType, Version

_P = PacketType
_V31, _V5 = Version.V31, Version.V5

_FLAGS_UNUSED_31 = ("MQTT31-14",)
_FLAGS = {
    _P.PUBREL: Fault(("MQTT31-13",), ("MQTT-3.6.1-1",), ("MQTT-3.6.1-1",)),
    _P.SUBSCRIBE: Fault(("MQTT31-13",), ("MQTT-3.8.1-1",), ("MQTT-3.8.1-1",)),
    _P.UNSUBSCRIBE: Fault(("MQTT31-13",), ("MQTT-3.10.1-1",), ("MQTT-3.10.1-1",)),
    _P.DISCONNECT: Fault(_FLAGS_UNUSED_31, ("MQTT-3.14.1-1",), ("MQTT-3.14.1-1",), level_31="may"),
    _P.AUTH: Fault(v5=("MQTT-3.15.1-1",)),
}
_OTHER_FLAGS = Fault(_FLAGS_UNUSED_31, ("MQTT-2.2.2-1", "MQTT-2.2.2-2"), ("MQTT-2.1.3-1",), level_31="may")
_QOS_3 = Fault(v311=("MQTT-3.3.1-4",), v5=("MQTT-3.3.1-4",))
_DUP_AT_QOS_0 = Fault(v311=("MQTT-3.3.1-2",), v5=("MQTT-3.3.1-2",), codes=frozenset({0x81, 0x82}))
_TOO_LONG_LENGTH = Fault(v5=("MQTT5-U-1",))
_PADDED_LENGTH = Fault(v5=("MQTT-1.5.5-1",))
_RESERVED_TYPE = Fault(codes=frozenset({0x81, 0x82}))
_EMPTY_AUTH = Fault(v5=("MQTT5-U-61",), codes=frozenset({0x81, 0x82}), parses=True)
_EMPTY_SUBSCRIBE = Fault(("MQTT31-23",), ("MQTT-3.8.3-3",), ("MQTT-3.8.3-2",), frozenset({0x81, 0x82}))
_EMPTY_UNSUBSCRIBE = Fault(("MQTT31-23",), ("MQTT-3.10.3-2",), ("MQTT-3.10.3-2",), frozenset({0x81, 0x82}))
_ANY_ENDS = {_P.SUBSCRIBE: _EMPTY_SUBSCRIBE, _P.UNSUBSCRIBE: _EMPTY_UNSUBSCRIBE}
_TRAILING = {"zero-byte": b"\0", "byte-ff": b"\xff", "three-bytes": b"\xff\xff\xff"}
_TRAILING_CONNECT = Fault(v311=("MQTT-3.1.2-18",), v5=("MQTT-3.1.2-16",), level_31="may")


def framing(bench: Bench) -> Iterator[Case]:
    """All of this module's cases for one version and side."""
    for shape in shapes(bench.version, bench.tested):
        # AUTH is wrong whatever it holds, because the CONNECT named no method; it makes a bad example of a good packet.
        if shape.type is not _P.AUTH:
            yield from _well_formed(bench, shape)
        yield from _flags(bench, shape)
        yield from _truncations(bench, shape)
        yield from _trailing(bench, shape)
        yield from _lengths(bench, shape)
    yield from _reserved_types(bench)


def _well_formed(bench: Bench, shape: Shape) -> Iterator[Case]:
    data = shape.encoded()
    yield bench.good(shape, "packet", "well-formed", data)
    for split_at in sorted({1, 2, len(data) // 2, len(data) - 1} - {0, len(data)}):
        yield bench.good(shape, "packet", f"in-two-pieces-{split_at}", data, split_at=split_at)


def _flags(bench: Bench, shape: Shape) -> Iterator[Case]:
    if shape.type is _P.PUBLISH:
        if shape.name == "publish-qos-0":
            yield from _publish_flags(bench, shape)
        return
    fault = _FLAGS.get(shape.type, _OTHER_FLAGS)
    for flags in range(16):
        if flags == shape.flags:
            continue
        data = shape.encoded(first_byte=shape.type << 4 | flags)
        name = f"{flags:04b}"
        if bench.version is not _V31:
            yield bench.bad(shape, "flags", name, data, fault)
        elif flags & 0b0110 == shape.flags and shape.type in (_P.PUBREL, _P.SUBSCRIBE, _P.UNSUBSCRIBE):
            yield bench.good(shape, "flags", name, data, cites=fault.v31)  # DUP; the last bit is unused
        else:
            yield bench.open_question(shape, "flags", name, data, fault)


def _publish_flags(bench: Bench, shape: Shape) -> Iterator[Case]:
    with_id = next(one for one in shapes(bench.version, bench.tested) if one.name == "publish-qos-1")
    for flags in (0b0110, 0b0111, 0b1110, 0b1111):
        for body, name in ((with_id.body, ""), (shape.body, "-without-packet-identifier")):
            data = shape.encoded(body, first_byte=_P.PUBLISH << 4 | flags)
            yield bench.bad(shape, "flags", f"{flags:04b}{name}", data, _QOS_3)
    for flags in (0b1000, 0b1001):
        data = shape.encoded(first_byte=_P.PUBLISH << 4 | flags)
        if bench.version is _V31:
            yield bench.open_question(shape, "flags", f"{flags:04b}", data, _DUP_AT_QOS_0)
        else:
            yield bench.bad(shape, "flags", f"{flags:04b}", data, _DUP_AT_QOS_0)


def _truncations(bench: Bench, shape: Shape) -> Iterator[Case]:
    """The packet shortened at every byte, its remaining length being right for what is left."""
    start = 0
    for number, part in enumerate(shape.parts):
        for kept in range(len(part.data)):
            data = shape.encoded(shape.body[: start + kept])
            name = f"ends-after-{kept}-of-{len(part.data)}"
            if (kept == 0 and part.optional) or (part.name == "payload"):
                yield bench.good(shape, part.name, name, data, cites=_short_connect(bench, shape))
            else:
                yield bench.bad(shape, part.name, name, data, _fault_of_end(shape, number, kept))
        start += len(part.data)


def _short_connect(bench: Bench, shape: Shape) -> tuple[str, ...]:
    return ("MQTT31-9",) if shape.type is _P.CONNECT and bench.version is _V31 else ()


def _fault_of_end(shape: Shape, number: int, kept: int) -> Fault:
    part = shape.parts[number]
    if shape.type is _P.AUTH and number == kept == 0:
        return _EMPTY_AUTH
    if part.name == "topic-filter-1" and kept == 0:
        return _ANY_ENDS[shape.type]
    return _MISSING.get((shape.type, part.name), TRUNCATED)


_MISSING = {
    (_P.CONNECT, "client-identifier"): Fault(v311=("MQTT-3.1.3-3",), v5=("MQTT-3.1.3-3",)),
    (_P.CONNECT, "will-topic"): Fault(v311=("MQTT-3.1.2-9",), v5=("MQTT-3.1.2-9",)),
    (_P.CONNECT, "will-payload"): Fault(v311=("MQTT-3.1.2-9",), v5=("MQTT-3.1.2-9",)),
    (_P.CONNECT, "user-name"): Fault(v311=("MQTT-3.1.2-19",), v5=("MQTT-3.1.2-17",)),
    (_P.CONNECT, "password"): Fault(v311=("MQTT-3.1.2-21",), v5=("MQTT-3.1.2-19",)),
    (_P.SUBACK, "reason-codes"): Fault(
        v311=("MQTT-3.8.4-5",), v5=("MQTT-3.8.4-6",), codes=frozenset({0x81, 0x82})
    ),
    (_P.UNSUBACK, "reason-codes"): Fault(v5=("MQTT-3.11.3-2",), codes=frozenset({0x81, 0x82})),
}  # fmt: skip


def _trailing(bench: Bench, shape: Shape) -> Iterator[Case]:
    if shape.of(Kind.REST):
        return
    fault = _TRAILING_CONNECT if shape.type is _P.CONNECT else TRUNCATED
    for name, more in _TRAILING.items():
        data = shape.encoded(shape.body + more)
        if bench.version is _V31 and shape.type in _LENIENT_31:
            yield bench.open_question(shape, "packet", f"followed-by-{name}", data, fault)
        else:
            yield bench.bad(shape, "packet", f"followed-by-{name}", data, fault)


_LENIENT_31 = frozenset({_P.CONNECT})


def _lengths(bench: Bench, shape: Shape) -> Iterator[Case]:
    body = shape.body
    length = varint(len(body))
    first = bytes((shape.first_byte,))
    for size in range(len(length) + 1, 5):
        padded = _padded(len(body), size)
        name = f"padded-to-{size}-bytes"
        if bench.version is _V5:
            yield bench.bad(shape, "remaining-length", name, first + padded + body, _PADDED_LENGTH)
        else:  # only 5.0 asks for the shortest form
            yield bench.good(shape, "remaining-length", name, first + padded + body, also=(CLOSE,))
    for size in (5, 6):
        data = first + _padded(len(body), size) + body
        yield bench.bad(shape, "remaining-length", f"in-{size}-bytes", data, _TOO_LONG_LENGTH)
    data = first + b"\xff\xff\xff\xff\x7f" + body
    yield bench.bad(shape, "remaining-length", "in-5-bytes-beyond-the-largest", data, _TOO_LONG_LENGTH)
    if body and not shape.of(Kind.REST):
        data = first + varint(len(body) - 1) + body
        yield bench.bad(shape, "remaining-length", "one-less", data, TRUNCATED)


def _padded(value: int, size: int) -> bytes:
    """A variable byte integer in more bytes than it takes."""
    encoded = bytes(value >> 7 * place & 127 | 128 for place in range(size))
    return encoded[:-1] + bytes((encoded[-1] & 127,))


def _reserved_types(bench: Bench) -> Iterator[Case]:
    numbers = (0,) if bench.version is _V5 else (0, 15)
    stages = {"": Stage.CONNECTED, "-first": Stage.FIRST}
    for number in numbers:
        for flags in range(16):
            for suffix, stage in stages.items():
                data = bytes((number << 4 | flags, 0))
                name = f"flags-{flags:04b}{suffix}"
                yield bench.misplaced(f"type-{number}", name, data, stage, _RESERVED_TYPE)
    if bench.tested is UnderTest.BROKER:
        yield bench.misplaced("type-0", "with-a-body", b"\0\2\0\1", Stage.CONNECTED, _RESERVED_TYPE)
