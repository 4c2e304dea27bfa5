"""Rules for strings: UTF-8 in every string of every packet, topic names and topic filters.

Belongs here: what may stand in a string. [3.1 2.5, 3.1.1 1.5.3, 4.7, 5.0 1.5.4, 4.7, 4.8.2]
Does not belong here: strings that are cut off (`rules_framing`), strings of properties (`rules_properties`, which takes
the table of ill-formed ones from here).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from interop.corpus.making import Bench, Fault
from interop.corpus.model import Case, Reaction, answers, says
from interop.corpus.shapes import Kind, Shape, prefixed, shapes
from reference_broker.wire.types import PacketType, Version

_P = PacketType
_V5 = Version.V5

ILL_FORMED = {
    "byte-ff": b"\xff",
    "byte-fe": b"\xfe",
    "lone-continuation": b"\x80",
    "first-of-two": b"\xc3",
    "first-two-of-three": b"\xe2\x82",
    "first-three-of-four": b"\xf0\x9f\x98",
    "over-long-null": b"\xc0\x80",
    "over-long-slash": b"\xc0\xaf",
    "over-long-slash-in-three": b"\xe0\x80\xaf",
    "over-long-slash-in-four": b"\xf0\x80\x80\xaf",
    "high-surrogate": b"\xed\xa0\x80",
    "low-surrogate": b"\xed\xbf\xbf",
    "surrogate-pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "above-10ffff": b"\xf4\x90\x80\x80",
    "five-byte-form": b"\xf8\x88\x80\x80\x80",
}
"""Byte sequences that are no UTF-8, by what is wrong with them."""
UNUSUAL = {
    "byte-order-mark": b"\xef\xbb\xbf",
    "four-bytes": b"\xf0\x9f\x98\x80",
    "last-before-surrogates": b"\xed\x9f\xbf",
}
"""Byte sequences that are UTF-8, although they may not look it. [5.0 MQTT-1.5.4-3]"""

_ILL_FORMED = Fault(
    ("MQTT31-21",), ("MQTT-1.5.3-1",), ("MQTT-1.5.4-1",), frozenset({0x81, 0x82, 0x85, 0x90, 0x8F}), "may"
)
_NULL = Fault(("MQTT31-21",), ("MQTT-1.5.3-2",), ("MQTT-1.5.4-2",), frozenset({0x81, 0x82, 0x85, 0x90, 0x8F}), "may")
_FIELDS = {
    "client-identifier": (("MQTT-3.1.3-4",), ("MQTT-3.1.3-4",)),
    "will-topic": (("MQTT-3.1.3-10",), ("MQTT-3.1.3-11",)),
    "user-name": (("MQTT-3.1.3-11",), ("MQTT-3.1.3-12",)),
    "topic-name": (("MQTT-3.3.2-1",), ("MQTT-3.3.2-1",)),
}
_SAYS_MALFORMED = says(_P.CONNACK, {4})
"""In 3.1.1 return code 4 stands for "the data in the user name or password is malformed". [3.1.1 3.2.2.3]"""
_FILTERS = {_P.SUBSCRIBE: "MQTT-3.8.3-1", _P.UNSUBSCRIBE: "MQTT-3.10.3-1"}


def strings(bench: Bench) -> Iterator[Case]:
    """All of this module's cases for one version and side."""
    for shape in shapes(bench.version, bench.tested):
        for part in shape.of(Kind.STRING):
            if part.name == "protocol-name":
                continue
            for name, text in ILL_FORMED.items():
                yield _bad(bench, shape, part.name, name, b"a" + text + b"b", _ILL_FORMED)
            for name, text in (("null", b"a\0b"), ("null-alone", b"\0"), ("null-last", b"a\0")):
                yield _bad(bench, shape, part.name, name, text, _NULL)
            if part.name != "client-identifier":  # a server may limit those
                for name, text in UNUSUAL.items():
                    yield bench.good(shape, part.name, name, shape.replacing(part.name, prefixed(b"a" + text + b"b")))
        yield from _topics(bench, shape)


def _bad(bench: Bench, shape: Shape, field: str, name: str, text: bytes, fault: Fault) -> Case:
    data, in_field = shape.replacing(field, prefixed(text)), _in_field(fault, shape, field)
    if field == "user-name" and bench.version is Version.V311:
        return bench.either(shape, field, name, data, in_field, (_SAYS_MALFORMED,))
    return bench.bad(shape, field, name, data, in_field)


def _in_field(fault: Fault, shape: Shape, field: str) -> Fault:
    own = _FILTERS.get(shape.type)
    v311, v5 = ((own,), (own,)) if own else _FIELDS[field]
    return replace(fault, v311=(*fault.v311, *v311), v5=(*fault.v5, *v5))


# --- topic names and filters ------------------------------------------------------------------------------------------

_WILDCARD_NAMES = {
    "plus": b"+",
    "hash": b"#",
    "plus-level": b"a/+/b",
    "hash-level": b"a/#",
    "plus-inside": b"a+b",
    "hash-inside": b"a#b",
}
_TOPIC_CODES = frozenset({0x81, 0x82, 0x90})
_WILDCARD = Fault(("MQTT31-47",), ("MQTT-3.3.2-2", "MQTT-4.7.1-1"), ("MQTT-3.3.2-2", "MQTT-4.7.0-1"), _TOPIC_CODES)
_WILDCARD_WILL = Fault(("MQTT31-43",), ("MQTT-4.7.1-1",), ("MQTT-4.7.0-1",), _TOPIC_CODES, "may")
_EMPTY_NAME = Fault((), ("MQTT-4.7.3-1",), ("MQTT-4.7.3-1", "MQTT5-U-44"), _TOPIC_CODES)
_EMPTY_WILL = Fault((), ("MQTT-4.7.3-1",), ("MQTT-4.7.3-1",), _TOPIC_CODES, "may")
_GOOD_NAMES = {
    "slash": b"/",
    "slashes": b"//",
    "leading-slash": b"/a",
    "trailing-slash": b"a/",
    "space": b"a b",
    "dollar-inside": b"a/$b",
}

_FILTER_CODES = frozenset({0x81, 0x82, 0x8F})
_HASH = Fault(("MQTT31-43",), ("MQTT-4.7.1-2",), ("MQTT-4.7.1-1",), _FILTER_CODES)
_PLUS = Fault(("MQTT31-43",), ("MQTT-4.7.1-3",), ("MQTT-4.7.1-2",), _FILTER_CODES)
_EMPTY_FILTER = Fault((), ("MQTT-4.7.3-1",), ("MQTT-4.7.3-1",), _FILTER_CODES)
_BAD_FILTERS = {
    "empty": (b"", _EMPTY_FILTER),
    "hash-not-last": (b"a/#/b", _HASH),
    "hash-first-of-two": (b"#/a", _HASH),
    "hash-behind-a-letter": (b"a#", _HASH),
    "hash-before-a-letter": (b"a/#b", _HASH),
    "two-hashes": (b"##", _HASH),
    "hash-behind-a-plus": (b"+#", _HASH),
    "plus-behind-a-letter": (b"a+", _PLUS),
    "plus-before-a-letter": (b"+a", _PLUS),
    "plus-inside-a-level": (b"a/b+c/d", _PLUS),
    "two-pluses": (b"++", _PLUS),
    "plus-behind-a-letter-before-a-level": (b"a+/b", _PLUS),
}
_SHARE_NAME = Fault(v5=("MQTT-4.8.2-2",), codes=_FILTER_CODES)
_NO_SHARE_NAME = Fault(v5=("MQTT-4.8.2-1",), codes=_FILTER_CODES)
_BAD_SHARES = {
    "share-without-filter": (b"$share/g", _SHARE_NAME),
    "share-with-empty-filter": (b"$share/g/", _SHARE_NAME),
    "share-name-empty": (b"$share//t", _NO_SHARE_NAME),
    "share-name-with-plus": (b"$share/a+b/t", _SHARE_NAME),
    "share-name-with-hash": (b"$share/a#/t", _SHARE_NAME),
    "share-of-a-bad-filter": (b"$share/g/a#", _HASH),
    "share-of-a-bad-plus": (b"$share/g/a+", _PLUS),
}
_GOOD_FILTERS = {
    "hash": b"#",
    "plus": b"+",
    "hash-level": b"a/#",
    "plus-levels": b"+/+",
    "plus-then-hash": b"+/#",
    "slash": b"/",
    "slash-plus": b"/+",
    "dollar": b"$corpus/a",
    "share-alone": b"$shared",
}
_REFUSED_FILTER = answers(_P.SUBACK, range(0x80, 0x100))


def _topics(bench: Bench, shape: Shape) -> Iterator[Case]:
    for part in shape.of(Kind.STRING):
        if part.name in ("topic-name", "will-topic"):
            yield from _names(bench, shape, part.name)
        elif part.name.startswith("topic-filter"):
            yield from _filters(bench, shape, part.name)


def _names(bench: Bench, shape: Shape, field: str) -> Iterator[Case]:
    is_will = field == "will-topic"
    for name, topic in _WILDCARD_NAMES.items():
        fault = _WILDCARD_WILL if is_will else _WILDCARD
        yield bench.bad(shape, field, name, shape.replacing(field, prefixed(topic)), fault)
    yield bench.bad(shape, field, "empty", shape.replacing(field, b"\0\0"), _EMPTY_WILL if is_will else _EMPTY_NAME)
    for name, topic in _GOOD_NAMES.items():
        yield bench.good(shape, field, name, shape.replacing(field, prefixed(topic)))


def _filters(bench: Bench, shape: Shape, field: str) -> Iterator[Case]:
    bad = _BAD_FILTERS | (_BAD_SHARES if bench.version is _V5 else {})
    for name, (topic_filter, fault) in bad.items():
        data = shape.replacing(field, prefixed(topic_filter))
        if bench.version is not _V5 or shape.type is not _P.SUBSCRIBE:
            yield bench.either(shape, field, name, data, fault, _unsubscribed(bench, shape))
        else:  # SUBACK can say that one filter is invalid [5.0 3.9.3]
            yield bench.either(shape, field, name, data, fault, (_REFUSED_FILTER,))
    for name, topic_filter in _GOOD_FILTERS.items():
        yield bench.good(shape, field, name, shape.replacing(field, prefixed(topic_filter)))


def _unsubscribed(bench: Bench, shape: Shape) -> tuple[Reaction, ...]:
    if bench.version is _V5 and shape.type is _P.UNSUBSCRIBE:
        return (answers(_P.UNSUBACK, range(0x80, 0x100)),)
    return ()
