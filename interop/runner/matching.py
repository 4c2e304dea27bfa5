"""Does what was seen fit what a scenario asks for? Properties, packets, messages.

Belongs here: pure comparisons between a scenario's values and decoded packets or a driver's events.
Does not belong here: waiting for something to be seen (`observe`), naming a broken statement (`interop.judge`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from interop.drivers.contract import PropertyValues
from interop.runner.names import Names
from interop.scenario.values import Hex, PacketPattern, Pattern, Payload, payload_bytes
from interop.tap.trace import TraceEntry
from reference_broker.wire.properties import PROPERTY_BY_NAME, Properties, PropertyType
from reference_broker.wire.types import PacketType

_TOPICS = {"topic", "response_topic"}
_KEEP_ALIVE_PACKETS = {PacketType.PINGREQ, PacketType.PINGRESP}


def property_value(name: str, written: Any, names: Names) -> Any:
    """The value a scenario's property stands for: bytes for binary data, tuples of pairs and numbers, full topics."""
    kind = PROPERTY_BY_NAME[name].type
    if kind is PropertyType.BINARY_DATA:
        return payload_bytes(Hex(**written) if isinstance(written, Mapping) else written)
    if kind is PropertyType.UTF8_STRING_PAIR:
        return tuple((str(key), str(value)) for key, value in written)
    if name == "subscription_identifier":
        return tuple(written) if isinstance(written, list | tuple) else (written,)
    if name in _TOPICS:
        return names.topic(written)
    return written


def property_values(written: Mapping[str, Any], names: Names) -> PropertyValues:
    """A scenario's property map as the contract's message."""
    return PropertyValues(**{name: property_value(name, value, names) for name, value in written.items()})


def wire_properties(written: Mapping[str, Any], names: Names) -> Properties:
    """A scenario's property map as the wire's value."""
    return Properties(**{name: property_value(name, value, names) for name, value in written.items()})


def property_mismatch(
    written: Mapping[str, Any],
    without: Iterable[str],
    seen: Properties | PropertyValues,
    names: Names,
    *,
    passed_on: bool = False,
) -> str | None:
    """What is wrong with the properties seen, or None when those asked for are there and those forbidden are not.

    Those of a message that was `passed_on` are the broker's: it counts its Message Expiry Interval down.
    """
    for name, value in written.items():
        wanted, got = property_value(name, value, names), getattr(seen, name)
        # The time it waited is taken off, and a clock of whole seconds may tick in any moment. [5.0 MQTT-3.3.2-6]
        if name == "message_expiry_interval" and passed_on and got == wanted - 1:
            continue
        if name == "user_property" and _is_subsequence(wanted, got):
            continue
        if name == "subscription_identifier" and sorted(wanted) == sorted(got):
            continue
        if wanted != got:
            return f"{name} is {shown(got)} instead of {shown(wanted)}"
    for name in without:
        if getattr(seen, name) not in (None, ()):
            return f"{name} is {shown(getattr(seen, name))} although it should be absent"
    return None


def _is_subsequence(wanted: Sequence[object], got: Sequence[object]) -> bool:
    """Whether all that is wanted is there, in this order; others may stand between."""
    remaining = iter(got)
    return all(each in remaining for each in wanted)


def shown(value: object) -> str:
    """A value for a one-line message."""
    if value in (None, ()):
        return "absent"
    if isinstance(value, bytes):
        return shown_payload(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {shown(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return repr(value)


def shown_payload(payload: bytes, longest: int = 40) -> str:
    """A payload for a one-line message: short text as it is, everything else by its size."""
    text = payload.decode("utf-8", "replace")
    if len(payload) <= longest and text.isprintable():
        return repr(text)
    return f"{len(payload)} bytes {payload[:8].hex(' ')}..."


def reason_fits(wanted: int | Sequence[int] | None, got: int) -> bool:
    """Whether a code is the one asked for, or among those."""
    return wanted is None or got == wanted or (not isinstance(wanted, int) and got in wanted)


def shown_reasons(reasons: int | Sequence[int] | None) -> str:
    """Codes for a one-line message, in hexadecimal as the specification prints them."""
    if reasons is None:
        return "none"
    listed = [reasons] if isinstance(reasons, int) else list(reasons)
    return " or ".join(f"0x{code:02X}" for code in listed)


_CODES = {"reason", "reason_other_than"}


def shown_pattern(pattern: Pattern) -> str:
    """A pattern as a scenario's author wrote it."""
    if isinstance(pattern, str):
        return pattern
    fields = pattern.model_dump(exclude_defaults=True, by_alias=True, exclude={"packet"})
    inner = ", ".join(
        f"{name}: {shown_reasons(value) if name in _CODES else shown(value)}" for name, value in fields.items()
    )
    return f"{pattern.packet}{{{inner}}}" if inner else pattern.packet


def shown_packet(entry: TraceEntry) -> str:
    """A packet by its name; what nobody can read by what its first byte announces."""
    if entry.packet is not None:
        return entry.packet.type.name
    announced = entry.data[0] >> 4 if entry.data else 0
    names = {each.value: each.name for each in PacketType}
    return f"a malformed {names.get(announced, 'packet')}"


def counts_on_the_wire(entry: TraceEntry, patterns: Sequence[Pattern]) -> bool:
    """Whether a packet counts for `exactly`: pings only do where a pattern lists one."""
    if entry.packet is None or entry.packet.type not in _KEEP_ALIVE_PACKETS:
        return True
    return any((p if isinstance(p, str) else p.packet) == entry.packet.type.name for p in patterns)


def fits(pattern: Pattern, entry: TraceEntry, names: Names) -> bool:
    """Whether a packet on the wire is what the pattern describes."""
    if entry.packet is None:
        return False
    if isinstance(pattern, str):
        return entry.packet.type.name == pattern
    if entry.packet.type.name != pattern.packet or pattern.sender not in (None, entry.sender.value):
        return False
    return _fields_fit(pattern, entry, names)


_PLAIN_FIELDS = (
    "qos", "dup", "retain", "packet_id", "reasons", "session_present", "clean_start", "keep_alive",
)  # fmt: skip


def _fields_fit(pattern: PacketPattern, entry: TraceEntry, names: Names) -> bool:
    packet = entry.packet
    for name in _PLAIN_FIELDS:
        wanted = getattr(pattern, name)
        if wanted is not None and getattr(packet, name, None) != wanted:
            return False
    if pattern.hex is not None and entry.data != bytes.fromhex(pattern.hex):
        return False
    if pattern.topic is not None and getattr(packet, "topic", None) != names.topic(pattern.topic):
        return False
    if pattern.client_id is not None and getattr(packet, "client_id", None) != names.client_id(pattern.client_id):
        return False
    if pattern.payload is not None and getattr(packet, "payload", None) != payload_bytes(pattern.payload):
        return False
    reason = getattr(packet, "reason", -1)
    if pattern.reason is not None and not reason_fits(pattern.reason, reason):
        return False
    if pattern.reason_other_than is not None and reason_fits(pattern.reason_other_than, reason):
        return False
    seen = getattr(packet, "properties", None)
    if pattern.one_identifier is not None and pattern.one_identifier not in getattr(
        seen, "subscription_identifier", ()
    ):
        return False
    if not (pattern.properties or pattern.present or pattern.without):
        return True
    if seen is None or any(getattr(seen, name) in (None, ()) for name in pattern.present):
        return False
    return property_mismatch(pattern.properties, pattern.without, seen, names) is None


class InOrder:
    """Patterns that packets have to fit in this order, with any others between; each packet is looked at once."""

    def __init__(self, patterns: Sequence[Pattern], names: Names) -> None:
        self._to_come = deque(patterns)
        self._names = names

    def look(self, entry: TraceEntry) -> None:
        """See the next packet."""
        if self._to_come and fits(self._to_come[0], entry, self._names):
            self._to_come.popleft()

    @property
    def missing(self) -> Pattern | None:
        """The first pattern that no packet fitted yet, in its turn."""
        return self._to_come[0] if self._to_come else None


def payloads_of(payload: Payload | None, payloads: Sequence[Payload]) -> tuple[bytes, ...]:
    """The payloads a step names, one or several."""
    if payloads:
        return tuple(payload_bytes(each) for each in payloads)
    return () if payload is None else (payload_bytes(payload),)
