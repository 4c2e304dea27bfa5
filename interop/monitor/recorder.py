"""What one connection said, as far as it can be decoded, and what the judge finds in it. Without I/O or a clock.

Belongs here: cutting both directions into packets, the limits of what is kept, which findings are new.
Does not belong here: the bytes' way (`copier`), lines and records (`telling`).

Judged is what one connection shows by itself. A monitor sees the connections that go through it and no others, so it
cannot know where a message came from that a broker delivers, what is retained, which session there was before or whose
will is due: rules that need to know (`delivery`, `retained`, `message_properties`, `will`, `session`) are left out.

A connection may go on for days, so a trace has a limit. Beyond it the connection is no longer judged: without its
beginning nobody knows its identifiers in use, its quota or its aliases. The same holds for what comes after bytes that
cannot be decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from interop.judge import Finding, judge
from interop.judge.registry import ONE_CONNECTION
from interop.tap.trace import Kind, Sender, Trace, TraceEntry
from reference_broker.wire.decode import Reader, decode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import Connect
from reference_broker.wire.types import Version

LINK = "client"
"""The name of a trace's only link."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one connection is kept to be judged."""

    packets: int = 10_000
    size_bytes: int = 4 * 1024 * 1024


@dataclass(slots=True)
class _Ear:
    """One direction: its reader, until bytes come that it cannot understand."""

    reader: Reader = field(default_factory=Reader)
    is_deaf: bool = False


class Recorder:
    """One connection; `now` is in seconds on one clock, `beginning` on the same."""

    def __init__(self, beginning: float, limits: Limits) -> None:
        self.version: Version | None = None  # of its CONNECT
        self.client_id = ""
        self.packets = 0
        self.size_bytes = 0
        self.findings: list[Finding] = []
        self.not_judged = ""  # why the rest was only copied
        self.is_over = False
        self._limits = limits
        self._trace = Trace(lambda: beginning)
        self._ears = {Sender.CLIENT: _Ear(), Sender.BROKER: _Ear()}
        self._kept_bytes = 0
        self._judged_entries = 0
        self._seen: set[tuple[str, Sender, int]] = set()
        self._record(Kind.OPEN, Sender.CLIENT, beginning)

    @property
    def has_undecoded(self) -> bool:
        """Whether bytes came that are no packet."""
        return any(entry.kind is Kind.MALFORMED for entry in self._trace)

    @property
    def trace(self) -> Trace:
        """What was kept."""
        return self._trace

    def entry(self, finding: Finding) -> TraceEntry:
        """The entry that shows a finding."""
        return self._trace.entries[finding.trace_index]

    def received(self, side: Sender, data: bytes, now: float) -> None:
        """Take bytes that side sent, which have gone on already."""
        self.size_bytes += len(data)
        ear = self._ears[side]
        if ear.is_deaf or self.not_judged:
            return
        if self._kept_bytes + len(ear.reader) + len(data) > self._limits.size_bytes:
            self.stop(self._beyond_limit)
            return
        ear.reader.feed(data)
        try:
            while not self.not_judged and (frame := ear.reader.next_frame()) is not None:
                self._hear(side, frame, now)
        except RemoteError as error:  # the stream cannot be cut into packets any more
            self._give_up(side, ear.reader.take_rest(), str(error), now)

    def ended(self, side: Sender, note: str, now: float) -> None:
        """Take that side's end of the connection; `note` is FIN, RST or what broke."""
        if self.not_judged:
            return  # what was said in between is not known, so the end tells nothing
        ear = self._ears[side]
        if rest := ear.reader.take_rest():
            self._record(Kind.MALFORMED, side, now, data=rest, note="incomplete packet")
        self._record(Kind.CLOSE, side, now, note=note)

    def new_findings(self) -> list[Finding]:
        """What the judge finds now and did not find before; nothing is done when nothing came since."""
        if self._judged_entries == len(self._trace):
            return []
        self._judged_entries = len(self._trace)
        found = judge(self._trace, self.version or Version.V311, ONE_CONNECTION)
        new = [each for each in found if (each.rule, each.blame, each.trace_index) not in self._seen]
        self._seen.update((each.rule, each.blame, each.trace_index) for each in new)
        self.findings += new
        return new

    def _hear(self, side: Sender, frame: bytes, now: float) -> None:
        if self.packets == self._limits.packets:
            self.stop(self._beyond_limit)
            return
        self._kept_bytes += len(frame)
        try:
            packet = decode(frame, self.version or Version.V311)
        except RemoteError as error:
            self._give_up(side, frame, str(error), now)
            return
        self.packets += 1
        if isinstance(packet, Connect) and self.version is None:
            self.version, self.client_id = packet.version, packet.client_id
        self._trace.record(LINK, 1, Kind.PACKET, side, at=now, packet=packet, data=frame, receiver=side.peer)

    @property
    def _beyond_limit(self) -> str:
        return f"only its first {self.packets:,} packets were judged, the rest was copied"

    def stop(self, why: str) -> None:
        """Keep no more of this connection."""
        self.not_judged = why
        self._ears = {side: _Ear(is_deaf=True) for side in self._ears}

    def _give_up(self, side: Sender, data: bytes, why: str, now: float) -> None:
        """Note what cannot be decoded, once; from here on this direction is only copied."""
        ear = self._ears[side]
        ear.is_deaf = True
        ear.reader = Reader()
        self._record(Kind.MALFORMED, side, now, data=data, note=why)

    def _record(self, kind: Kind, side: Sender, now: float, data: bytes = b"", note: str = "") -> None:
        receiver = side.peer if kind is Kind.MALFORMED else None
        self._trace.record(LINK, 1, kind, side, at=now, data=data, note=note, receiver=receiver)
