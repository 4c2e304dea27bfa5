"""The recorded trace in the form results keep it.

Belongs here: one trace entry to one entry of the record, and which are kept of very many.
Does not belong here: recording (`interop.tap`), showing (`reports`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice, pairwise

from interop.tap.trace import Kind
from interop.tap.trace import TraceEntry as Seen
from reference_broker.wire.describe import describe, summary
from reports.record import Finding, TraceEntry

SHOWN_BYTES = 512
"""How many bytes of a packet a result keeps; its size is always kept."""

KEPT_ENTRIES = 4000
"""How many entries a result keeps of a longer trace: half from its beginning, half from its end, and some more."""

FINDINGS_SHOWN, AROUND_A_FINDING = 20, 50
"""Around how many findings entries are kept in any case, and how many on either side of one."""

Hide = Callable[[Seen], Seen]


def _as_it_is(seen: Seen) -> Seen:
    return seen


def trace_records(entries: Iterable[Seen], hide: Hide = _as_it_is) -> tuple[TraceEntry, ...]:
    """The entries of a trace, in order, each as `hide` leaves it."""
    return tuple(_record(hide(entry)) for entry in entries)


def kept(
    trace: Sequence[Seen], findings: Iterable[Finding], hide: Hide = _as_it_is
) -> tuple[tuple[TraceEntry, ...], tuple[Finding, ...]]:
    """What a result keeps of a whole trace, and its findings with their places in that.

    A very long trace is kept in parts, with a `gap` wherever some is left out.
    """
    found = tuple(findings)
    if len(trace) <= KEPT_ENTRIES:
        return trace_records(trace, hide), found
    records: list[TraceEntry] = []
    places: dict[int | None, int] = {}
    for index, following in pairwise((*_worth_keeping(len(trace), found), len(trace))):
        places[index] = len(records)
        records.append(_record(hide(trace[index])))
        if following > index + 1:
            records.append(_gap(trace[index + 1], following - index - 1))
    return tuple(records), tuple(
        each.model_copy(update={"trace_index": places.get(each.trace_index)}) for each in found
    )


def _worth_keeping(entries: int, findings: Iterable[Finding]) -> list[int]:
    """The indices of what is kept of so many entries; the last one is."""
    half = KEPT_ENTRIES // 2
    worth = {*range(half), *range(entries - half, entries)}
    shown = (each.trace_index for each in findings if each.trace_index is not None)
    for index in islice(shown, FINDINGS_SHOWN):
        worth.update(range(max(0, index - AROUND_A_FINDING), min(entries, index + AROUND_A_FINDING + 1)))
    return sorted(worth)


def _gap(first: Seen, entries: int) -> TraceEntry:
    """Stands for entries that are left out, of all links."""
    return TraceEntry(
        at=round(first.at, 6),
        link=first.link,
        connection=first.connection,
        kind="gap",
        sender="harness",
        summary=f"{entries:,} {'entry' if entries == 1 else 'entries'} left out",
    )


def _record(entry: Seen) -> TraceEntry:
    packet = entry.packet
    return TraceEntry(
        at=round(entry.at, 6),
        began_at=None if entry.began_at is None else round(entry.began_at, 6),
        link=entry.link,
        connection=entry.connection,
        kind=str(entry.kind),  # as `value`, but by no call into Python
        sender=str(entry.sender),
        receiver=None if entry.receiver is None else str(entry.receiver),
        fate=str(entry.fate),
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
