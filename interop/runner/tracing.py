"""The recorded trace in the form results keep it.

Belongs here: one trace entry to one entry of the record.
Does not belong here: recording (`interop.tap`), showing (`reports`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from interop.tap.trace import Kind
from interop.tap.trace import TraceEntry as Seen
from reference_broker.wire.describe import describe, summary
from reports.record import TraceEntry

SHOWN_BYTES = 512
"""How many bytes of a packet a result keeps; its size is always kept."""


def trace_records(entries: Iterable[Seen], hide: Callable[[Seen], Seen] = lambda seen: seen) -> tuple[TraceEntry, ...]:
    """The entries of a trace, in order, each as `hide` leaves it."""
    return tuple(_record(hide(entry)) for entry in entries)


def _record(entry: Seen) -> TraceEntry:
    packet = entry.packet
    return TraceEntry(
        at=round(entry.at, 6),
        link=entry.link,
        connection=entry.connection,
        kind=entry.kind.value,
        sender=entry.sender.value,
        receiver=None if entry.receiver is None else entry.receiver.value,
        fate=entry.fate.value,
        packet=None if packet is None else packet.type.name,
        summary=" - ".join(part for part in (_headline(entry), entry.note) if part),
        fields={} if packet is None else describe(packet),
        hex=entry.data[:SHOWN_BYTES].hex(),
        size_bytes=len(entry.data),
    )


def _headline(entry: Seen) -> str:
    if entry.packet is not None:
        return summary(entry.packet)
    if entry.kind is Kind.MALFORMED:
        return f"{len(entry.data)} bytes that are no packet"
    return "" if entry.note else entry.kind.value
