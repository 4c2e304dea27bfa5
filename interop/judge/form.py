"""Rules a single packet can break: its layout, its direction, and the version it speaks.

Belongs here: what the codec refuses, reported with the statement the codec names.
Does not belong here: rules that need more than one packet.
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.rule import V5, V31, V311, Breach, Rule, must
from interop.judge.view import BROKER, CLIENT, Case, Talk
from interop.tap.lane import NOT_BINARY
from interop.tap.reading import read_on
from interop.tap.trace import Kind, Sender, TraceEntry
from reference_broker.wire import rules, sender
from reference_broker.wire.decode import decode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.types import Version

_EVERYWHERE = {V31: must(), V311: must(), V5: must()}  # which statement it was depends on the packet
WELL_FORMED = Rule(
    "well-formed",
    "every packet is laid out as the specification says, with values it allows",
    both=_EVERYWHERE,
)
DIRECTION = Rule(
    "direction",
    "each side sends only the packets, reason codes and properties that flow its way",
    both=_EVERYWHERE,
)
BINARY = Rule(
    "binary-frames",
    "over WebSocket packets travel in binary messages",
    both={V311: must("MQTT-6.0.0-1"), V5: must("MQTT-6.0.0-1")},
)
VERSION = Rule(
    "version",
    "the client speaks the version it was asked to speak",
    client={V31: must("MQTT31-1"), V311: must(section="3.1.2.2"), V5: must(section="3.1.2.2")},
)
RULES = (WELL_FORMED, DIRECTION, BINARY, VERSION)

_UNREADABLE = ("incomplete packet", "after lost framing")  # ends of streams, which break no rule by themselves
_EMPTY_SUBACK = b"\x90\x02"  # in 3.1 nobody says what answers an empty SUBSCRIBE [MQTT31-23]
_WIRE_SENDERS = {CLIENT: sender.Side.CLIENT, BROKER: sender.Side.SERVER}


def statements(version: Version) -> set[str]:
    """All numbered statements these rules can name for a version."""
    return {number for rule in rules.Rule for number in _ids(rule.statement(version))}


def inspect(case: Case) -> Iterator[Breach]:
    """Decode again what could not be decoded, check who sent the rest."""
    for talk in case.talks:
        for side in (CLIENT, BROKER):
            for entry in talk.sent(side):
                if entry.kind is Kind.MALFORMED:
                    yield from _malformed(talk, side, entry)
                else:
                    yield from _misdirected(talk, side, entry)
        connect = talk.connect(CLIENT)
        if connect is not None and connect[1].version is not talk.cell_version:
            spoken = connect[1].version.label
            yield VERSION.broken(CLIENT, connect[0], f"CONNECT speaks {spoken} instead of {talk.cell_version.label}")


def _malformed(talk: Talk, side: Sender, entry: TraceEntry) -> Iterator[Breach]:
    if entry.note in _UNREADABLE or (talk.version is Version.V31 and entry.data[:2] == _EMPTY_SUBACK):
        return
    if entry.note == NOT_BINARY:
        yield BINARY.broken(side, entry, entry.note)
        return
    try:
        decode(entry.data, talk.version)
    except RemoteError as error:
        fault = read_on(entry.data, talk.version, error).fault
        yield WELL_FORMED.broken(side, entry, str(fault), _ids(fault.statement))


def _misdirected(talk: Talk, side: Sender, entry: TraceEntry) -> Iterator[Breach]:
    assert entry.packet is not None  # it is not malformed
    try:
        sender.check_sender(entry.packet, talk.version, _WIRE_SENDERS[side])
    except RemoteError as error:
        yield DIRECTION.broken(side, entry, str(error), _ids(error.statement))


def _ids(statement: str) -> tuple[str, ...]:
    """The number in `5.0 MQTT-1.5.5-1`."""
    return tuple(statement.split()[1:])
