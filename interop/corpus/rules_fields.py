"""Rules for the values of fields that are neither strings nor properties.

Belongs here: protocol name and version, connect flags, packet identifiers, subscription options, reason codes.
Does not belong here: the fixed header (`rules_framing`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.corpus.making import ANY_ERROR, MALFORMED, Bench, Fault
from interop.corpus.model import Case, UnderTest, says
from interop.corpus.shapes import Kind, Part, Shape, connect, prefixed, shapes
from reference_broker.wire.reasons import CLIENT_REASONS, SERVER_REASONS, V5_REASONS
from reference_broker.wire.types import PacketType, ReasonCode, Version

_P = PacketType
_V31, _V311, _V5 = Version.V31, Version.V311, Version.V5


def fields(bench: Bench) -> Iterator[Case]:
    """All of this module's cases for one version and side."""
    for shape in shapes(bench.version, bench.tested):
        yield from _packet_id_zero(bench, shape)
        yield from _subscription_options(bench, shape)
        if bench.version is _V5:
            yield from _reason_codes(bench, shape)
    if bench.tested is UnderTest.BROKER:
        yield from _protocol(bench)
        yield from _connect_flags(bench)
    else:
        yield from _connack(bench)
        if bench.version is not _V5:
            yield from _suback(bench)


# --- CONNECT ----------------------------------------------------------------------------------------------------------

_NAMES = {
    "empty": b"",
    "lower-case": b"mqtt",
    "one-letter-off": b"MQTX",
    "one-letter-more": b"MQTTT",
    "one-letter-less": b"MQT",
    "with-null": b"MQT\0",
    "not-utf8": b"MQT\xff",
    "http": b"HTTP",
    "amqp": b"AMQP",
    "old-name-in-lower-case": b"mqisdp",
}
_PROTOCOL_CODES = frozenset({0x81, 0x82, 0x84})
_NAME = Fault(("MQTT31-2",), ("MQTT-3.1.2-1",), ("MQTT-3.1.2-1",), _PROTOCOL_CODES)
_LEVEL = Fault(("MQTT31-2",), ("MQTT-3.1.2-2",), ("MQTT-3.1.2-2",), _PROTOCOL_CODES)
_LEVELS = (0, 1, 2, 6, 7, 8, 127, 255)
_UNACCEPTABLE = says(_P.CONNACK, (1,))
"""3.1.1 demands it for a level; a server cannot know which version a stranger would read. [3.1.1 MQTT-3.1.2-2]"""


def _protocol(bench: Bench) -> Iterator[Case]:
    shape = connect(bench.version, bare=True)
    for name, text in _NAMES.items():
        data = shape.replacing("protocol-name", prefixed(text))
        yield bench.either(shape, "protocol-name", name, data, _NAME, (_UNACCEPTABLE,))
    for level in _LEVELS:
        data = shape.replacing("protocol-version", bytes((level,)))
        yield bench.either(shape, "protocol-version", str(level), data, _LEVEL, (_UNACCEPTABLE,))


_RESERVED_FLAG = Fault(("MQTT31-14",), ("MQTT-3.1.2-3",), ("MQTT-3.1.2-3",))
_WILL_QOS_3 = Fault((), ("MQTT-3.1.2-14",), ("MQTT-3.1.2-12",))
_QOS_WITHOUT_WILL = Fault(("MQTT31-12",), ("MQTT-3.1.2-13", "MQTT-3.1.2-11"), ("MQTT-3.1.2-11",), ANY_ERROR)
_RETAIN_WITHOUT_WILL = Fault(("MQTT31-12",), ("MQTT-3.1.2-15", "MQTT-3.1.2-11"), ("MQTT-3.1.2-13",), ANY_ERROR)
_FLAGS_WITHOUT_WILL = {
    "will-qos-1-without-will": (0x0A, _QOS_WITHOUT_WILL),
    "will-qos-2-without-will": (0x12, _QOS_WITHOUT_WILL),
    "will-qos-3-without-will": (0x1A, _QOS_WITHOUT_WILL),
    "will-retain-without-will": (0x22, _RETAIN_WITHOUT_WILL),
    "will-retain-and-qos-without-will": (0x2A, _RETAIN_WITHOUT_WILL),
}
_ABSENT = {
    "will-flag-without-will": (0x06, Fault((), ("MQTT-3.1.2-9",), ("MQTT-3.1.2-9",))),
    "user-name-flag-without-user-name": (0x82, Fault(("MQTT31-9",), ("MQTT-3.1.2-19",), ("MQTT-3.1.2-17",))),
    "both-flags-without-fields": (0xC2, Fault(("MQTT31-9",), ("MQTT-3.1.2-19",), ("MQTT-3.1.2-17",))),
}
_PASSWORD_ALONE = Fault((), ("MQTT-3.1.2-22",), (), level_31="may")
_BAD_CREDENTIALS = says(_P.CONNACK, (0x86, 0x87))
_UNUSED_USER_NAME = Fault((), ("MQTT-3.1.2-18",), ("MQTT-3.1.2-16",), level_31="may")
_UNUSED_PASSWORD = Fault((), ("MQTT-3.1.2-20",), ("MQTT-3.1.2-18",), level_31="may")


def _connect_flags(bench: Bench) -> Iterator[Case]:
    bare, full = connect(bench.version, bare=True), connect(bench.version)
    is_31 = bench.version is _V31
    field = "connect-flags"

    def flags(shape: Shape, value: int, more: bytes = b"") -> bytes:
        return shape.encoded(
            b"".join(bytes((value,)) if part.name == field else part.data for part in shape.parts) + more
        )

    reserved = bench.open_question if is_31 else bench.bad
    yield reserved(bare, field, "reserved-bit", flags(bare, 0x03), _RESERVED_FLAG)
    yield reserved(full, field, "reserved-bit-with-everything", flags(full, 0xC7), _RESERVED_FLAG)
    yield bench.bad(full, field, "will-qos-3", flags(full, 0xDE), _WILL_QOS_3)
    yield bench.bad(full, field, "will-qos-3-retained", flags(full, 0xFE), _WILL_QOS_3)
    for name, (value, fault) in _FLAGS_WITHOUT_WILL.items():
        if is_31 and value & 0x18 == 0x18:  # a value that means nothing, in bits nobody looks at
            yield bench.open_question(bare, field, name, flags(bare, value), fault)
        elif is_31:
            yield bench.good(bare, field, name, flags(bare, value), cites=fault.v31)
        else:
            yield bench.bad(bare, field, name, flags(bare, value), fault)
    for name, (value, fault) in _ABSENT.items():
        if is_31 and value & 0x80:
            yield bench.good(bare, field, name, flags(bare, value), cites=fault.v31)
        else:
            yield bench.bad(bare, field, name, flags(bare, value), fault)
    alone = flags(bare, 0x42, prefixed(b"pass"))
    if bench.version is _V5:  # new in 5.0 [5.0 3.1.2.9]
        yield bench.good(bare, field, "password-alone", alone, also=(_BAD_CREDENTIALS,))
    else:
        password = bench.open_question if is_31 else bench.bad
        yield password(bare, field, "password-alone", alone, _PASSWORD_ALONE)
    unused = bench.open_question if is_31 else bench.bad
    yield unused(full, field, "user-name-and-password-without-flags", flags(full, 0x06), _UNUSED_USER_NAME)
    yield unused(full, field, "password-without-flag", flags(full, 0x86), _UNUSED_PASSWORD)
    for value in (0x02, 0x00):
        yield bench.good(bare, field, f"bare-{value:02x}", flags(bare, value))
    for value in (0xC6, 0xCE, 0xD6, 0xE6, 0xC4):
        yield bench.good(full, field, f"everything-{value:02x}", flags(full, value))


# --- packet identifiers, subscription options -------------------------------------------------------------------------

_ZERO_REQUEST = Fault(("MQTT31-42",), ("MQTT-2.3.1-1",), ("MQTT-2.2.1-3",), ANY_ERROR)
_ZERO_DELIVERY = Fault(("MQTT31-42",), ("MQTT-2.3.1-1",), ("MQTT-2.2.1-4",), ANY_ERROR)
_ZERO_ANSWER = Fault(("MQTT31-42",), ("MQTT-2.3.1-6",), ("MQTT-2.2.1-5",), ANY_ERROR)
_ZERO_GRANT = Fault(("MQTT31-42",), ("MQTT-2.3.1-7",), ("MQTT-2.2.1-6",), ANY_ERROR)
_REQUESTS = frozenset({_P.PUBLISH, _P.SUBSCRIBE, _P.UNSUBSCRIBE})


def _packet_id_zero(bench: Bench, shape: Shape) -> Iterator[Case]:
    if not any(part.name == "packet-identifier" for part in shape.parts):
        return
    if shape.type in (_P.SUBACK, _P.UNSUBACK):
        fault = _ZERO_GRANT
    elif shape.type not in _REQUESTS:
        fault = _ZERO_ANSWER
    else:
        fault = _ZERO_REQUEST if bench.tested is UnderTest.BROKER else _ZERO_DELIVERY
    field = "packet-identifier"
    yield bench.bad(shape, field, "zero", shape.replacing(field, b"\0\0"), fault)
    if shape.type in _REQUESTS:
        yield bench.good(shape, field, "largest", shape.replacing(field, b"\xff\xff"))


_RESERVED_OPTIONS = Fault(("MQTT31-14",), ("MQTT-3.8.3-4",), ("MQTT-3.8.3-5",), ANY_ERROR)
_QOS_3 = Fault(("MQTT31-41",), ("MQTT-3.8.3-4",), ("MQTT5-U-55",), ANY_ERROR, level_31="should")
_RETAIN_HANDLING_3 = Fault(v5=("MQTT5-U-56",), codes=ANY_ERROR)
_SHARED_NO_LOCAL = Fault(v5=("MQTT-3.8.3-4",), codes=ANY_ERROR)
_OPTIONS_5 = {
    0x03: _QOS_3,
    0x07: _QOS_3,
    0x2F: _QOS_3,
    0x30: _RETAIN_HANDLING_3,
    0x31: _RETAIN_HANDLING_3,
    0x3C: _RETAIN_HANDLING_3,
    0x40: _RESERVED_OPTIONS,
    0x80: _RESERVED_OPTIONS,
    0xC0: _RESERVED_OPTIONS,
    0xFF: _RESERVED_OPTIONS,
    0x41: _RESERVED_OPTIONS,
}
_OPTIONS_3 = {
    0x03: _QOS_3,
    **dict.fromkeys((0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x81, 0xFC, 0x06), _RESERVED_OPTIONS),
}


def _subscription_options(bench: Bench, shape: Shape) -> Iterator[Case]:
    is_5 = bench.version is _V5
    for part in shape.parts:
        if not part.name.startswith("subscription-options"):
            continue
        for value, fault in (_OPTIONS_5 if is_5 else _OPTIONS_3).items():
            data = shape.replacing(part.name, bytes((value,)))
            lenient = bench.version is _V31 and value != 0x03
            made = bench.open_question if lenient else bench.bad
            yield made(shape, part.name, f"{value:02x}", data, fault)
        for value in (0, 1, 2, *((0x04, 0x08, 0x10, 0x20, 0x2E) if is_5 else ())):
            yield bench.good(shape, part.name, f"{value:02x}", shape.replacing(part.name, bytes((value,))))
    if is_5 and shape.type is _P.SUBSCRIBE:
        body = b"\0\1\0" + prefixed(b"$share/g/corpus") + b"\x04"
        yield bench.bad(shape, "subscription-options-1", "no-local-on-a-share", shape.encoded(body), _SHARED_NO_LOCAL)


# --- reason codes -----------------------------------------------------------------------------------------------------

_REASON_STATEMENTS = {
    _P.CONNACK: "MQTT-3.2.2-8",
    _P.PUBACK: "MQTT-3.4.2-1",
    _P.PUBREC: "MQTT-3.5.2-1",
    _P.PUBREL: "MQTT-3.6.2-1",
    _P.PUBCOMP: "MQTT-3.7.2-1",
    _P.SUBACK: "MQTT-3.9.3-2",
    _P.UNSUBACK: "MQTT-3.11.3-2",
    _P.DISCONNECT: "MQTT-3.14.2-1",
    _P.AUTH: "MQTT-3.15.2-1",
}
_UNDEFINED = frozenset({0x03, 0x05, 0x0F, 0x7F, 0xA3, 0xFE, 0xFF})
_TRIED = sorted(_UNDEFINED | frozenset(ReasonCode))


def _reason_codes(bench: Bench, shape: Shape) -> Iterator[Case]:
    part = next((part for part in shape.parts if part.name.startswith("reason-code")), None)
    if part is None:
        return
    allowed = V5_REASONS[shape.type]
    directed = (CLIENT_REASONS if bench.tested is UnderTest.BROKER else SERVER_REASONS).get(shape.type, allowed)
    statement = _REASON_STATEMENTS[shape.type]
    for code in _TRIED:
        data = shape.replacing(part.name, bytes((code,)))
        name = f"{code:02x}"
        if code not in directed:
            fault = Fault(v5=(statement,), codes=ANY_ERROR, parses=code in allowed)
            yield bench.bad(shape, part.name, name, data, fault)
        elif code and shape.type not in (_P.AUTH, _P.CONNACK):
            yield bench.good(shape, part.name, name, data)
    if part.kind is Kind.BYTE and shape.type is not _P.CONNACK:
        yield from _short_forms(bench, shape, part, directed)


def _short_forms(bench: Bench, shape: Shape, part: Part, directed: frozenset[int]) -> Iterator[Case]:
    """A reason code without a property length behind it. [5.0 3.4.2.2.1, 3.14.2.2.1]"""
    before = shape.body[: 2 if shape.parts[0].name == "packet-identifier" else 0]
    for code in (0x01, 0x42, 0xFF):
        if code not in directed:
            fault = Fault(v5=(_REASON_STATEMENTS[shape.type],), codes=ANY_ERROR)
            yield bench.bad(shape, part.name, f"{code:02x}-alone", shape.encoded(before + bytes((code,))), fault)


_CONNACK_FLAGS = Fault(("MQTT31-6",), (), ("MQTT-3.2.2-1",), MALFORMED)
_PRESENT = Fault((), ("MQTT-3.2.2-4",), ("MQTT-3.2.2-6",), ANY_ERROR)
_CONNACK_CODES = Fault((), ("MQTT-3.2.2-6",), ())


def _connack(bench: Bench) -> Iterator[Case]:
    shape = next(one for one in shapes(bench.version, bench.tested) if one.type is _P.CONNACK)
    for bit in range(1, 8):
        data = shape.replacing("acknowledge-flags", bytes((1 << bit,)))
        if bench.version is _V31:  # a reserved byte, which the client does not look at [3.1 MQTT31-6]
            yield bench.good(shape, "acknowledge-flags", f"bit-{bit}", data, cites=("MQTT31-6",))
        else:
            yield bench.bad(shape, "acknowledge-flags", f"bit-{bit}", data, _CONNACK_FLAGS)
    if bench.version is not _V31:
        refused = b"\x01\x87" if bench.version is _V5 else b"\x01\x05"
        data = shape.encoded(refused + shape.body[2:])
        yield bench.bad(shape, "acknowledge-flags", "session-present-with-an-error", data, _PRESENT)
    if bench.version is not _V5:
        for code in (6, 7, 127, 128, 135, 255):
            yield bench.bad(
                shape, "reason-code", f"{code:02x}", shape.replacing("reason-code", bytes((code,))), _CONNACK_CODES
            )


_SUBACK_CODES = Fault(("MQTT31-7",), ("MQTT-3.9.3-2",), ())


def _suback(bench: Bench) -> Iterator[Case]:
    shape = next(one for one in shapes(bench.version, bench.tested) if one.type is _P.SUBACK)
    for code in (3, 4, 0x7F, 0x80, 0x81, 0xFF):
        data = shape.replacing("reason-codes", bytes((code,)))
        if bench.version is _V31:
            yield bench.open_question(shape, "reason-codes", f"{code:02x}", data, _SUBACK_CODES)
        elif code == 0x80:
            yield bench.good(shape, "reason-codes", "failure", data)
        else:
            yield bench.bad(shape, "reason-codes", f"{code:02x}", data, _SUBACK_CODES)
