"""Rules for packets that are right in themselves and wrong where they come: direction, order, repetition.

Belongs here: whole packets out of place. Does not belong here: anything inside a packet.
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.corpus.making import ANY_ERROR, Bench, Fault, with_own_client_id
from interop.corpus.model import Case, Stage, UnderTest
from interop.corpus.shapes import Shape, connect, shapes
from reference_broker.wire.types import PacketType, Version

_P = PacketType
_BEFORE_CONNECT = Fault(v311=("MQTT-3.1.0-1",), v5=("MQTT-3.1.0-1",), codes=ANY_ERROR, level_31="may", parses=True)
_BEFORE_CONNACK = Fault(v311=("MQTT-3.2.0-1",), v5=("MQTT-3.2.0-1",), codes=ANY_ERROR, parses=True)
_SECOND_CONNECT = Fault(
    ("MQTT31-23",), ("MQTT-3.1.0-2",), ("MQTT-3.1.0-2",), codes=frozenset({0x81, 0x82, 0x84}), parses=True
)
_SECOND_CONNACK = Fault(v5=("MQTT-3.2.0-2",), codes=ANY_ERROR, parses=True)
_WRONG_WAY = Fault(codes=ANY_ERROR, parses=True)
_UNASKED_AUTH = Fault(v5=("MQTT5-U-61", "MQTT-4.12.0-7"), codes=ANY_ERROR, parses=True)
_UNASKED_AUTH_FROM_SERVER = Fault(v5=("MQTT5-U-61", "MQTT-4.12.0-6"), codes=ANY_ERROR, parses=True)
_AUTH_REASONS = {"success": 0x00, "continue": 0x18, "re-authenticate": 0x19}


def order(bench: Bench) -> Iterator[Case]:
    """All of this module's cases for one version and side."""
    its_own = shapes(bench.version, bench.tested)
    for shape in its_own:
        if shape.type not in (_P.CONNECT, _P.CONNACK, _P.AUTH):
            fault = _BEFORE_CONNECT if bench.tested is UnderTest.BROKER else _BEFORE_CONNACK
            yield bench.misplaced(shape.name, "first", shape.encoded(), Stage.FIRST, fault)
    yield from _the_wrong_way(bench, its_own)
    if bench.tested is UnderTest.BROKER:
        for version in Version:
            data = connect(version, bare=True).encoded()
            name = f"second-connect-{version.label}"
            yield with_own_client_id(bench.misplaced("connect", name, data, Stage.CONNECTED, _SECOND_CONNECT))
        data = connect(bench.version).encoded()
        name = "second-connect-with-everything"
        yield with_own_client_id(bench.misplaced("connect", name, data, Stage.CONNECTED, _SECOND_CONNECT))
    else:
        data = next(shape for shape in its_own if shape.type is _P.CONNACK).encoded()
        yield bench.misplaced("connack", "second-connack", data, Stage.CONNECTED, _SECOND_CONNACK)
    if bench.version is Version.V5:
        yield from _auth(bench)


def _the_wrong_way(bench: Bench, its_own: tuple[Shape, ...]) -> Iterator[Case]:
    """Packets that only who is under test may send."""
    other = UnderTest.CLIENT if bench.tested is UnderTest.BROKER else UnderTest.BROKER
    names = {shape.name for shape in its_own}
    for shape in shapes(bench.version, other):
        if shape.name in names:
            continue
        if shape.type is not _P.CONNECT or bench.tested is UnderTest.CLIENT:
            yield with_own_client_id(
                bench.misplaced(shape.name, "wrong-direction", shape.encoded(), Stage.CONNECTED, _WRONG_WAY)
            )
            yield with_own_client_id(
                bench.misplaced(shape.name, "wrong-direction-first", shape.encoded(), Stage.FIRST, _first(bench))
            )


def _first(bench: Bench) -> Fault:
    return _BEFORE_CONNECT if bench.tested is UnderTest.BROKER else _BEFORE_CONNACK


def _auth(bench: Bench) -> Iterator[Case]:
    fault = _UNASKED_AUTH if bench.tested is UnderTest.BROKER else _UNASKED_AUTH_FROM_SERVER
    for name, reason in _AUTH_REASONS.items():
        data = bytes((0xF0, 6, reason, 4)) + b"\x15\0\1m"
        yield bench.misplaced("auth", f"unasked-{name}", data, Stage.CONNECTED, fault)
        if bench.tested is UnderTest.BROKER:
            yield bench.misplaced("auth", f"unasked-{name}-first", data, Stage.FIRST, _BEFORE_CONNECT)
