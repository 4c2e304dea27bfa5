"""Where rules make their cases: from a packet and what is wrong with it to what may happen.

Belongs here: the reactions each version asks for, by who is under test and when; the one place that builds a `Case`.
Does not belong here: which mutations there are (`rules_*`).

A version's text decides: 3.1.1 and 5.0 have a broker close at every violation, 3.1 hardly says anything. A client must
close in 3.1.1 and should in 5.0. [3.1.1 MQTT-4.8.0-1, 5.0 MQTT-4.13.1-1, MQTT5-U-64, MQTT5-U-65]
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from interop.corpus.model import (
    CLOSE,
    OPEN,
    Case,
    Expected,
    Reaction,
    Stage,
    UnderTest,
    answers,
    says,
)
from interop.corpus.shapes import CLIENT_ID, Shape
from interop.requirements.requirements import Level
from reference_broker.wire.types import PacketType, Version

_P = PacketType
_V31, _V311, _V5 = Version.V31, Version.V311, Version.V5

MALFORMED = frozenset({0x81})
ANY_ERROR = frozenset({0x81, 0x82})
"""Where the text names no code, or two sentences give two."""
UNSPECIFIED = 0x80
"""Allowed for every error: "the sender does not wish to reveal the reason". [5.0 2.4]"""
_ERRORS = frozenset(range(0x80, 0x100))


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong: the statements of each version, the codes of 5.0 that say so, how much 3.1 minds."""

    v31: tuple[str, ...] = ()
    v311: tuple[str, ...] = ()
    v5: tuple[str, ...] = ()
    codes: frozenset[int] = MALFORMED
    level_31: Level | None = None
    """None: "may", but an invalid CONNECT should end the connection. [3.1 MQTT31-46]"""
    parses: bool = False
    """Whether the packet is wrong only because of what came before it, or for who sent it."""

    def cites(self, version: Version) -> tuple[str, ...]:
        """The statements of a version."""
        return {_V31: self.v31, _V311: self.v311, _V5: self.v5}[version]


TRUNCATED = Fault()
"""A field runs over the packet's end, or something follows the last one."""

_SERVER_CLOSES = {_V31: (), _V311: ("MQTT-4.8.0-1",), _V5: ("MQTT-4.13.1-1",)}
_INVALID_CONNECT = {_V31: ("MQTT31-46",), _V311: ("MQTT-3.1.4-1",), _V5: ("MQTT-3.1.4-1",)}
_CLIENT_CLOSES = {_V31: (), _V311: ("MQTT-4.8.0-1",), _V5: ("MQTT5-U-65",)}

_CLIENT_LEVELS: dict[Version, Level] = {_V31: "may", _V311: "must", _V5: "should"}

_ANSWERED: dict[PacketType | None, dict[Version, tuple[str, ...]]] = {
    _P.CONNACK: {_V31: (), _V311: ("MQTT-3.1.4-4",), _V5: ("MQTT-3.1.4-5",)},
    _P.PUBACK: {_V31: ("MQTT31-33",), _V311: ("MQTT-4.3.2-2",), _V5: ("MQTT-4.3.2-4",)},
    _P.PUBREC: {_V31: ("MQTT31-33",), _V311: ("MQTT-4.3.3-2",), _V5: ("MQTT-4.3.3-8",)},
    _P.PUBCOMP: {_V31: ("MQTT31-34",), _V311: ("MQTT-4.3.3-2",), _V5: ("MQTT-4.3.3-11",)},
    _P.SUBACK: {_V31: ("MQTT31-36",), _V311: ("MQTT-3.8.4-1",), _V5: ("MQTT-3.8.4-1",)},
    _P.UNSUBACK: {_V31: ("MQTT31-38",), _V311: ("MQTT-3.10.4-4",), _V5: ("MQTT-3.10.4-4",)},
    None: {_V31: ("MQTT31-39",), _V311: ("MQTT-3.12.4-1",), _V5: ("MQTT-3.12.4-1",)},
}
_ALIVE_CLIENT = {_V31: ("MQTT31-33",), _V311: ("MQTT-4.5.0-2",), _V5: ("MQTT-4.5.0-2",)}
_AFTER_DISCONNECT = {_V31: ("MQTT31-51",), _V311: ("MQTT311-U-6",), _V5: ("MQTT5-U-69",)}


@dataclass(frozen=True, slots=True)
class Bench:
    """Makes the cases of one version and one side under test."""

    version: Version
    tested: UnderTest

    def bad(self, shape: Shape, field: str, mutation: str, data: bytes, fault: Fault = TRUNCATED) -> Case:
        """A packet that is not allowed."""
        stage = stage_of(shape)
        expected = self._refusal(stage, fault)
        return self._case(shape, field, mutation, data, stage, expected, malformed=not fault.parses)

    def misplaced(self, packet: str, mutation: str, data: bytes, stage: Stage, fault: Fault) -> Case:
        """A packet that is not allowed there; `mutation` says where, or what."""
        return Case(
            self.version, self.tested, packet, "order", mutation, stage, data, self._refusal(stage, fault),
            malformed=False,
        )  # fmt: skip

    def good(
        self,
        shape: Shape,
        field: str,
        mutation: str,
        data: bytes,
        *,
        cites: tuple[str, ...] = (),
        also: Iterable[Reaction] = (),
        split_at: int | None = None,
    ) -> Case:
        """A packet that is allowed, however odd; `also` are reactions that are right besides its answer."""
        expected = self._acceptance(shape, cites, frozenset(also))
        # Nothing may follow DISCONNECT. [3.1.1 MQTT-3.14.4-2, 5.0 MQTT-3.14.4-1]
        probe = shape.type is not _P.DISCONNECT
        return self._case(
            shape, field, mutation, data, stage_of(shape), expected, malformed=False, probe=probe, split_at=split_at
        )

    def open_question(self, shape: Shape, field: str, mutation: str, data: bytes, fault: Fault) -> Case:
        """A packet the version neither allows nor tells anyone to mind."""
        stage = stage_of(shape)
        reactions = frozenset({CLOSE, OPEN})
        expected = Expected("may", fault.cites(self.version), reactions, reactions)
        return self._case(shape, field, mutation, data, stage, expected, malformed=False)

    def either(
        self, shape: Shape, field: str, mutation: str, data: bytes, fault: Fault, also: Iterable[Reaction]
    ) -> Case:
        """A packet that is not allowed, but that may be answered as well."""
        stage = stage_of(shape)
        refusal, also = self._refusal(stage, fault), frozenset(also)
        expected = Expected(
            refusal.level, refusal.cites, refusal.allowed | also, refusal.preferred | also, refusal.preferred_cites
        )
        return self._case(shape, field, mutation, data, stage, expected, malformed=True)

    def _case(
        self,
        shape: Shape,
        field: str,
        mutation: str,
        data: bytes,
        stage: Stage,
        expected: Expected,
        *,
        malformed: bool,
        probe: bool = True,
        split_at: int | None = None,
    ) -> Case:
        case = Case(
            self.version, self.tested, shape.name, field, mutation, stage, data, expected, malformed, probe, split_at,
            self._packet_id_at(shape, field, data),
        )  # fmt: skip
        return with_own_client_id(case)

    def _packet_id_at(self, shape: Shape, field: str, data: bytes) -> int | None:
        """Where a client's own packet identifier has to stand: its requests are what these packets answer."""
        if self.tested is UnderTest.BROKER or shape.type not in PENDING or field == "packet-identifier":
            return None
        at = 1
        while at < len(data) and data[at] > 127:
            at += 1
        return at + 1 if data[at + 1 : at + 3] == b"\0\1" else None

    # --- what is allowed ---------------------------------------------------------------------------------------------

    def _refusal(self, stage: Stage, fault: Fault) -> Expected:
        codes = fault.codes | {UNSPECIFIED}
        if self.tested is UnderTest.CLIENT:
            return self._client_refusal(stage, fault, codes)
        first = stage is Stage.FIRST
        general = (_INVALID_CONNECT if first else _SERVER_CLOSES)[self.version]
        cites = tuple(dict.fromkeys((*fault.cites(self.version), *general)))
        level: Level = "must"
        allowed = {CLOSE}
        if self.version is _V31:
            level = fault.level_31 or ("should" if first else "may")
            allowed |= {says(_P.CONNACK, range(1, 6))} if first else set()
        if self.version is not _V5:
            return Expected(level, cites, frozenset(allowed), frozenset(allowed))
        if first:  # it may send CONNACK with a code first [5.0 MQTT5-U-66]
            preferred = frozenset({CLOSE, says(_P.CONNACK, codes)})
            return Expected(level, cites, frozenset({CLOSE, says(_P.CONNACK, _ERRORS)}), preferred, ("MQTT5-U-66",))
        preferred = frozenset({says(_P.DISCONNECT, codes)})
        return Expected(level, cites, frozenset({CLOSE, says(_P.DISCONNECT, _ERRORS)}), preferred, ("MQTT5-U-64",))

    def _client_refusal(self, stage: Stage, fault: Fault, codes: frozenset[int]) -> Expected:
        cites = tuple(dict.fromkeys((*fault.cites(self.version), *_CLIENT_CLOSES[self.version])))
        level = _CLIENT_LEVELS[self.version]
        allowed = frozenset({CLOSE, says(_P.DISCONNECT)})
        if self.version is not _V5:
            return Expected(level, cites, allowed, allowed)
        # Before a good CONNACK a client has nothing to say.
        preferred = frozenset({says(_P.DISCONNECT, codes)}) if stage is Stage.CONNECTED else allowed
        return Expected(level, cites, allowed, preferred, ("MQTT5-U-65",))

    def _acceptance(self, shape: Shape, cites: tuple[str, ...], also: frozenset[Reaction]) -> Expected:
        level: Level = "must"
        general: tuple[str, ...]
        if self.tested is UnderTest.CLIENT:
            allowed, general = {OPEN}, _ALIVE_CLIENT[self.version]
            if shape.type is _P.DISCONNECT:
                allowed, general, level = {CLOSE}, ("MQTT5-U-70",), "should"
        elif shape.type is _P.DISCONNECT:
            allowed, general, level = {CLOSE}, _AFTER_DISCONNECT[self.version], "should"
        else:
            codes = (0,) if shape.answer is _P.CONNACK else ()
            allowed = {answers(shape.answer, codes)} if shape.answer is not None else {OPEN}
            general = _ANSWERED[shape.answer][self.version]
            if shape.type in _UNASKED_ANSWERS:
                level = "may"  # nothing says what becomes of an answer nobody waits for
        reactions = frozenset(allowed) | also
        return Expected(level, tuple(dict.fromkeys((*cites, *general))), reactions, reactions)


_UNASKED_ANSWERS = frozenset({_P.PUBACK, _P.PUBREC, _P.PUBCOMP})
PENDING = frozenset({_P.SUBACK, _P.UNSUBACK, _P.PUBACK, _P.PUBREC, _P.PUBCOMP})
"""Packets that answer a request of the client's, which has to be under way."""


def stage_of(shape: Shape) -> Stage:
    """When a packet has its place."""
    return Stage.FIRST if shape.type in (_P.CONNECT, _P.CONNACK) else Stage.CONNECTED


def with_own_client_id(case: Case) -> Case:
    """The case with a client identifier of its own, because many run at once and none may take over another."""
    own = b"corpus-%08x" % zlib.crc32(case.id.encode())
    if CLIENT_ID not in case.data:
        return case
    return replace(case, data=case.data.replace(CLIENT_ID, own))
