"""Rules for the properties of 5.0, driven by the specification's table of them. [5.0 2.2.2]

Belongs here: each property in each packet: allowed or not, once or twice, its type, its range, its strings, its end.
Does not belong here: the table itself (`reference_broker.wire.properties`), other fields of a packet.
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.corpus.making import ANY_ERROR, TRUNCATED, Bench, Fault
from interop.corpus.model import OPEN, Case, Reaction, UnderTest, says
from interop.corpus.rules_strings import ILL_FORMED
from interop.corpus.shapes import USER_PROPERTY, Kind, Part, Shape, prefixed, property_block, shapes
from reference_broker.wire.properties import PROPERTY_RULES, WILL, PropertyRule, PropertyType
from reference_broker.wire.types import PacketType, Version

_P, _T = PacketType, PropertyType
Place = PacketType | str

_ZERO_BYTES = {_T.BYTE: 1, _T.TWO_BYTE_INTEGER: 2, _T.FOUR_BYTE_INTEGER: 4, _T.VARIABLE_BYTE_INTEGER: 1}
"""How many bytes a zero takes."""

_SAMPLES = {
    _T.BYTE: b"\1",
    _T.TWO_BYTE_INTEGER: b"\0\x64",
    _T.FOUR_BYTE_INTEGER: b"\0\0\4\0",
    _T.VARIABLE_BYTE_INTEGER: b"\1",
    _T.UTF8_STRING: prefixed(b"value"),
    _T.UTF8_STRING_PAIR: prefixed(b"name") + prefixed(b"value"),
    _T.BINARY_DATA: prefixed(b"\1\2\3"),
}
_UNKNOWN = (0x00, 0x04, 0x0A, 0x0D, 0x10, 0x14, 0x1B, 0x1D, 0x1E, 0x20, 0x2B, 0x7F)


def properties(bench: Bench) -> Iterator[Case]:
    """All of this module's cases for one side; none before 5.0."""
    if bench.version is not Version.V5:
        return
    for shape in shapes(bench.version, bench.tested):
        for part in shape.of(Kind.PROPERTIES):
            site = _Site(bench, shape, part)
            yield from site.lengths()
            yield from site.identifiers()
            for rule in PROPERTY_RULES:
                yield from site.of(rule)
        yield from _beside_other_fields(bench, shape)


class _Site:
    """One place where properties stand: in a packet, or in a will."""

    def __init__(self, bench: Bench, shape: Shape, part: Part) -> None:
        self.bench, self.shape, self.part = bench, shape, part
        self.place = shape.place(part)
        # AUTH names a method, always; what is wrong then is wrong besides.
        self._before = b"\x15\0\1m" if shape.type is _P.AUTH else b""

    def of(self, rule: PropertyRule) -> Iterator[Case]:
        """Everything about one property here."""
        if self.place not in rule.places:
            yield self._bad(rule, "not-allowed-here", self._one(rule), _NOT_HERE)
            return
        before = b"" if rule.name == "authentication_method" else self._before
        if self.place not in rule.repeatable:
            yield self._bad(rule, "twice", before + self._one(rule) * 2, self._once(rule))
        yield from self._out_of_range(rule, before)
        yield from self._strings(rule, before)
        value = self._sample(rule)
        for kept in range(len(value)):
            content = before + bytes((rule.identifier,)) + value[:kept]
            yield self._bad(rule, f"ends-after-{kept}-of-{len(value)}", content, _WRONG_TYPE)
        if self.shape.type is not _P.AUTH:
            yield from self._alone(rule)

    def lengths(self) -> Iterator[Case]:
        """The property length itself."""
        shape, name = self.shape, self.part.name
        block = self.part.data
        mutations = {
            "one-less": bytes((block[0] - 1,)) + block[1:],
            "beyond-the-packet": b"\x7f" + block[1:],
            "padded-to-2-bytes": bytes((block[0] | 128, 0)) + block[1:],
            "padded-to-4-bytes": bytes((block[0] | 128, 128, 128, 0)) + block[1:],
            "in-5-bytes": bytes((block[0] | 128, 128, 128, 128, 0)) + block[1:],
        }
        faults = {"padded-to-2-bytes": _PADDED, "padded-to-4-bytes": _PADDED, "in-5-bytes": _PADDED}
        for mutation, data in mutations.items():
            fault = faults.get(mutation, TRUNCATED)
            yield self.bench.bad(shape, f"{name}-length", mutation, shape.replacing(name, data), fault)
        if not self.part.optional and self.part.name != "will-properties" and shape.type is not _P.AUTH:
            yield self.bench.bad(shape, f"{name}-length", "left-out", shape.replacing(name, b""), _NO_LENGTH)
        if shape.type is not _P.AUTH:
            yield self.bench.good(shape, f"{name}-length", "zero", shape.replacing(name, b"\0"))

    def identifiers(self) -> Iterator[Case]:
        """Identifiers nobody has."""
        for identifier in _UNKNOWN:
            data = self._packet(self._before + bytes((identifier, 0)))
            yield self.bench.bad(self.shape, f"{self.part.name}-identifier", f"{identifier:02x}", data, _NOT_HERE)
        for name, (encoded, fault) in _ODD_IDENTIFIERS.items():
            content = self._before + encoded + prefixed(b"k") + prefixed(b"v")
            yield self.bench.bad(self.shape, f"{self.part.name}-identifier", name, self._packet(content), fault)

    # --- one property ------------------------------------------------------------------------------------------------

    def _out_of_range(self, rule: PropertyRule, before: bytes) -> Iterator[Case]:
        values: dict[str, bytes] = {}
        width = _ZERO_BYTES.get(rule.type, 0)
        if rule.minimum:
            values["zero"] = bytes(width)
        if rule.maximum is not None:
            values |= {f"{value:02x}": bytes((value,)) for value in (rule.maximum + 1, 0x80, 0xFF)}
        for name, value in values.items():
            fault = Fault(
                v5=_RANGES.get((self.place, rule.name), self._once(rule).v5),
                codes=ANY_ERROR | _RANGE_CODES.get(rule.name, frozenset()),
            )
            content = before + bytes((rule.identifier,)) + value
            if rule.name == "payload_format_indicator":  # "either of" 0 and 1, and no word on others [5.0 3.3.2.3.2]
                data = self._packet(content)
                yield self.bench.open_question(self.shape, self._field(rule), name, data, fault)
            else:
                yield self._bad(rule, name, content, fault)
        if rule.type is _T.VARIABLE_BYTE_INTEGER:
            for name, value in (("padded", b"\x81\x00"), ("in-5-bytes", b"\x81\x80\x80\x80\x01")):
                yield self._bad(rule, name, before + bytes((rule.identifier,)) + value, _PADDED)

    def _strings(self, rule: PropertyRule, before: bytes) -> Iterator[Case]:
        texts = {**ILL_FORMED, "null": b"\0"}
        for name, text in texts.items():
            bad, good = prefixed(b"a" + text + b"b"), prefixed(b"v")
            forms: dict[str, bytes] = {}
            if rule.type is _T.UTF8_STRING:
                forms[name] = bad
            elif rule.type is _T.UTF8_STRING_PAIR:
                forms |= {f"name-{name}": bad + good, f"value-{name}": good + bad}
            fault = _string_fault(rule, is_null=name == "null")
            for mutation, value in forms.items():
                yield self._bad(rule, mutation, before + bytes((rule.identifier,)) + value, fault)
        if rule.name == "response_topic":
            for name, topic in (("hash", b"a/#"), ("plus", b"+/a")):
                fault = Fault(v5=("MQTT-3.3.2-14",), codes=_TOPIC_CODES)
                yield self._bad(rule, name, before + bytes((rule.identifier,)) + prefixed(topic), fault)
            empty = Fault(v5=("MQTT-4.7.3-1",), codes=_TOPIC_CODES)
            yield self._bad(rule, "empty", before + bytes((rule.identifier,)) + prefixed(b""), empty)

    def _alone(self, rule: PropertyRule) -> Iterator[Case]:
        """The property as it should be, which may still be wrong from this sender."""
        tested, key = self.bench.tested, (self.place, rule.name)
        if fault := _NEVER[tested].get(key):
            yield self._bad(rule, "out-of-place", self._one(rule), fault)
        elif key not in _LEFT_OUT[tested]:
            also = _ALSO.get((tested, *key), ())
            data = self._packet(self._one(rule))
            yield self.bench.good(self.shape, self._field(rule), "valid", data, also=also)
            if self.place in rule.repeatable:
                repeated = self._packet(self._one(rule) * 2)
                yield self.bench.good(self.shape, self._field(rule), "valid-twice", repeated, also=also)

    # --- bytes -------------------------------------------------------------------------------------------------------

    def _sample(self, rule: PropertyRule) -> bytes:
        # A session that did not outlive its connection cannot be made to at its end. [5.0 MQTT5-U-59]
        return (
            bytes(4) if (self.place, rule.name) == (_P.DISCONNECT, "session_expiry_interval") else _SAMPLES[rule.type]
        )

    def _one(self, rule: PropertyRule) -> bytes:
        return bytes((rule.identifier,)) + self._sample(rule)

    def _packet(self, content: bytes) -> bytes:
        return self.shape.replacing(self.part.name, property_block(content))

    def _field(self, rule: PropertyRule) -> str:
        prefix = "will-" if self.place == WILL else ""
        name = rule.name.replace("_", "-")
        return name if name.startswith(prefix) else prefix + name

    def _bad(self, rule: PropertyRule, mutation: str, content: bytes, fault: Fault) -> Case:
        return self.bench.bad(self.shape, self._field(rule), mutation, self._packet(content), fault)

    def _once(self, rule: PropertyRule) -> Fault:
        number = _STATEMENTS.get((self.place, rule.name))
        return Fault(v5=(f"MQTT5-U-{number}",) if number else (), codes=ANY_ERROR)


def _beside_other_fields(bench: Bench, shape: Shape) -> Iterator[Case]:
    """Properties that are wrong for what else the packet, or an earlier one, holds or lacks."""

    def bad(field: str, mutation: str, body: bytes, fault: Fault) -> Case:
        return bench.bad(shape, field, mutation, shape.encoded(body), fault)

    if shape.type is _P.AUTH:
        without = shape.body[:1] + property_block(USER_PROPERTY)
        yield bad("authentication-method", "missing", without, _NO_METHOD)
        yield bad("authentication-method", "missing-without-properties", shape.body[:1] + b"\0", _NO_METHOD)
    elif shape.name == "publish-qos-0":
        yield bad("topic-alias", "unknown-without-topic", b"\0\0" + property_block(b"\x23\0\1") + b"x", _UNKNOWN_ALIAS)
    elif shape.type is _P.DISCONNECT and bench.tested is UnderTest.BROKER:
        late = property_block(b"\x11\0\0\0\x1e")
        yield bad("session-expiry-interval", "after-none-in-connect", b"\0" + late, _LATE_EXPIRY)


# --- what the text says of each ---------------------------------------------------------------------------------------

_NOT_HERE = Fault(v5=("MQTT5-U-2",), codes=ANY_ERROR)
_WRONG_TYPE = Fault(v5=("MQTT5-U-3",))
_PADDED = Fault(v5=("MQTT-1.5.5-1",))
_NO_METHOD = Fault(v5=("MQTT5-U-62",), codes=ANY_ERROR)
_UNKNOWN_ALIAS = Fault(v5=("MQTT5-U-46",), codes=ANY_ERROR | {0x94}, parses=True)
_LATE_EXPIRY = Fault(v5=("MQTT5-U-59",), codes=ANY_ERROR, parses=True)
_NO_LENGTH = Fault(v5=("MQTT-2.2.2-1",), codes=ANY_ERROR)
_ODD_IDENTIFIERS = {
    "two-bytes": (b"\x80\x01", _NOT_HERE),
    "padded": (b"\xa6\x00", _PADDED),
    "in-5-bytes": (b"\xa6\x80\x80\x80\x00", _PADDED),
}
"""Identifiers as variable byte integers; the last two would be a User Property's."""
_RANGES: dict[tuple[Place, str], tuple[str, ...]] = {
    (_P.PUBLISH, "topic_alias"): ("MQTT-3.3.2-8",),
    (_P.SUBSCRIBE, "subscription_identifier"): ("MQTT5-U-53",),
}
"""Where the range has a statement of its own."""
_TOPIC_CODES = ANY_ERROR | {0x90}
_RANGE_CODES = {"topic_alias": frozenset({0x94})}

_STATEMENTS: dict[tuple[Place, str], int] = {
    (_P.CONNECT, "session_expiry_interval"): 5, (_P.CONNECT, "receive_maximum"): 6,
    (_P.CONNECT, "maximum_packet_size"): 7, (_P.CONNECT, "topic_alias_maximum"): 8,
    (_P.CONNECT, "request_response_information"): 9, (_P.CONNECT, "request_problem_information"): 10,
    (_P.CONNECT, "authentication_method"): 11, (_P.CONNECT, "authentication_data"): 12,
    (WILL, "will_delay_interval"): 17, (WILL, "payload_format_indicator"): 18, (WILL, "message_expiry_interval"): 19,
    (WILL, "content_type"): 20, (WILL, "response_topic"): 21, (WILL, "correlation_data"): 22,
    (_P.CONNACK, "session_expiry_interval"): 25, (_P.CONNACK, "receive_maximum"): 26, (_P.CONNACK, "maximum_qos"): 27,
    (_P.CONNACK, "retain_available"): 28, (_P.CONNACK, "maximum_packet_size"): 29,
    (_P.CONNACK, "assigned_client_identifier"): 30, (_P.CONNACK, "topic_alias_maximum"): 31,
    (_P.CONNACK, "reason_string"): 32, (_P.CONNACK, "wildcard_subscription_available"): 33,
    (_P.CONNACK, "subscription_identifier_available"): 34, (_P.CONNACK, "shared_subscription_available"): 35,
    (_P.CONNACK, "server_keep_alive"): 36, (_P.CONNACK, "response_information"): 37,
    (_P.CONNACK, "server_reference"): 38, (_P.CONNACK, "authentication_method"): 39,
    (_P.CONNACK, "authentication_data"): 39, (_P.PUBLISH, "topic_alias"): 45, (_P.PUBLISH, "response_topic"): 47,
    (_P.PUBLISH, "correlation_data"): 48, (_P.PUBLISH, "subscription_identifier"): 49,
    (_P.PUBLISH, "content_type"): 50, (_P.PUBACK, "reason_string"): 52, (_P.PUBREC, "reason_string"): 52,
    (_P.PUBREL, "reason_string"): 52, (_P.PUBCOMP, "reason_string"): 52, (_P.SUBSCRIBE, "subscription_identifier"): 54,
    (_P.SUBACK, "reason_string"): 57, (_P.UNSUBACK, "reason_string"): 57,
    (_P.DISCONNECT, "session_expiry_interval"): 60, (_P.DISCONNECT, "reason_string"): 60,
    (_P.DISCONNECT, "server_reference"): 60, (_P.AUTH, "authentication_method"): 62,
    (_P.AUTH, "authentication_data"): 63, (_P.AUTH, "reason_string"): 63,
}  # fmt: skip
"""The unnumbered "Protocol Error to include it more than once", which also gives the range: n of `MQTT5-U-n`."""

_STRING_STATEMENTS = {
    "response_topic": ("MQTT-3.3.2-13",),
    "content_type": ("MQTT-3.3.2-19",),
    "user_property": ("MQTT-1.5.7-1",),
}


def _string_fault(rule: PropertyRule, *, is_null: bool) -> Fault:
    general = "MQTT-1.5.4-2" if is_null else "MQTT-1.5.4-1"
    return Fault(v5=(general, *_STRING_STATEMENTS.get(rule.name, ())), codes=ANY_ERROR)


_NEVER: dict[UnderTest, dict[tuple[Place, str], Fault]] = {
    UnderTest.BROKER: {
        (_P.PUBLISH, "subscription_identifier"): Fault(v5=("MQTT-3.3.4-6",), codes=ANY_ERROR, parses=True),
        (_P.CONNECT, "authentication_data"): Fault(v5=("MQTT5-U-12",), codes=ANY_ERROR),
    },
    UnderTest.CLIENT: {
        (_P.PUBLISH, "topic_alias"): Fault(v5=("MQTT-3.1.2-27",), codes=frozenset({0x82, 0x94}), parses=True),
        (_P.DISCONNECT, "session_expiry_interval"): Fault(v5=("MQTT-3.14.2-2",), codes=ANY_ERROR, parses=True),
    },
}
"""Properties that are listed for a packet, but not for this sender, or not without another."""

_LEFT_OUT: dict[UnderTest, frozenset[tuple[Place, str]]] = {
    # Server Reference makes no sense from a client, but no sentence forbids it.
    UnderTest.BROKER: frozenset({(_P.DISCONNECT, "server_reference")}),
    # These answer something the CONNECT did not ask for.
    UnderTest.CLIENT: frozenset({
        (_P.CONNACK, "authentication_method"), (_P.CONNACK, "authentication_data"),
        (_P.CONNACK, "response_information"),
        (_P.CONNACK, "assigned_client_identifier"), (_P.CONNACK, "server_reference"),
    }),
}  # fmt: skip

_ALSO: dict[tuple[UnderTest, Place, str], tuple[Reaction, ...]] = {
    # Whether it takes aliases, or knows the method, is the broker's business.
    (UnderTest.BROKER, _P.PUBLISH, "topic_alias"): (says(_P.DISCONNECT, (0x94,)), OPEN),
    (UnderTest.BROKER, _P.CONNECT, "authentication_method"): (says(_P.CONNACK, (0x8C, 0x87)),),
}
