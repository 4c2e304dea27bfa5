"""What one connection said, as far as it can be decoded, and what the judge finds in it. Without I/O or a clock.

Belongs here: cutting both directions into packets, when a connection is not judged any more, which findings are new.
Does not belong here: the bytes' way (`copier`), lines and records (`telling`).

Judged is what one connection shows by itself. A monitor sees the connections that go through it and no others, so it
cannot know where a message came from that a broker delivers, what is retained, which session there was before or whose
will is due: rules that need to know (`delivery`, `retained`, `message_properties`, `will`, `session`) are left out. So
is the guess why a broker ended a silent connection: the client may have come back elsewhere.

Judging is given up (`WhyNot`) as soon as it could be wrong: without its beginning nobody knows a connection's packet
identifiers in use, its quota or its aliases, and with one direction only nobody knows what was answered.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from interop.judge import Finding, judge
from interop.judge.keep_alive import SERVER_WAITS
from interop.judge.registry import ONE_CONNECTION, RULES
from interop.tap.lane import NOT_BINARY
from interop.tap.trace import Kind, Sender, Trace, TraceEntry
from interop.tap.websocket import Form, FrameReader, Opcode, Piece, Upgrade
from reference_broker.wire.decode import Reader, decode
from reference_broker.wire.errors import RemoteError, UnacceptableProtocolVersion
from reference_broker.wire.packets import Connect
from reference_broker.wire.types import PacketType, Version

LINK = "client"
"""The name of a trace's only link."""
STALL_SECONDS = 1.0
"""How long one side may leave bytes untaken before the times of the other's packets say nothing about it."""
_ENTRY_BYTES = 512
"""What an entry of a trace takes in memory besides its packet's bytes, which are there twice: as sent and decoded."""
_WITHDRAWN_KEPT = 10
"""How many findings that were refuted are remembered for the report."""
_CONNECT_BYTE = PacketType.CONNECT << 4


class WhyNot(StrEnum):
    """Why a connection is not judged any more."""

    LIMIT = "more than is kept of one connection"
    MEMORY = "more than is kept of all connections together"
    NO_MQTT = "no MQTT of a version known here"
    UNDECODED = "bytes that cannot be decoded"
    STALLED = "one side took no bytes for too long, so that times tell nothing"
    FAILED = "the monitor failed"
    UNSEEN = "bytes that nobody could see"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one connection is kept to be judged."""

    packets: int = 10_000
    size_bytes: int = 4 * 1024 * 1024


@dataclass(slots=True)
class Room:
    """The memory that the traces of all connections share."""

    left_bytes: int = 256 * 1024 * 1024


class Recorder:
    """One connection; `now` is in seconds on one clock, `beginning` on the same."""

    def __init__(self, beginning: float, limits: Limits, room: Room, *, has_frames: bool = False) -> None:
        """`has_frames`: what comes by are a WebSocket's handshake and frames, with the packets in them."""
        self.version: Version | None = None  # of its CONNECT
        self.client_id = ""
        self.packets = 0
        self.size_bytes = 0
        self.findings: list[Finding] = []
        self.withdrawn: deque[Finding] = deque(maxlen=_WITHDRAWN_KEPT)
        self.why_not: WhyNot | None = None
        self.detail = ""  # more about why not
        self.is_over = False
        self.until = 0.0
        """Until when nothing more came for sure, on the clock of `now`; a capture knows."""
        self.round_trip_seconds = 0.0
        """How long a packet to either side and its answer may be under way beyond where it is read."""
        self.knows_all = False
        """Whether the findings it takes were made with all connections there were in view."""
        self._limits = limits
        self._room = room
        self._taken_bytes = 0
        self._beginning = beginning
        self._trace = Trace(lambda: 0.0)  # never asked: each entry is given its time, in seconds since the beginning
        self._readers = {Sender.CLIENT: Reader(), Sender.BROKER: Reader()}
        upgrade = Upgrade() if has_frames else None
        self._upgrade = upgrade
        self._frames = {side: FrameReader(side is Sender.CLIENT, upgrade) for side in self._readers} if upgrade else {}
        self._ended: set[Sender] = set()
        self._began_at: dict[Sender, float] = {}  # when the packet not yet complete began, by who sends it
        self._blocked_since: dict[Sender, float] = {}
        self._kept_bytes = 0
        self._judged_entries = 0
        self._seen: set[tuple[str, Sender, int]] = set()
        self._record(Kind.OPEN, Sender.CLIENT, beginning)

    @property
    def trace(self) -> Trace:
        """What was kept."""
        return self._trace

    @property
    def seconds(self) -> float:
        """How long after the connection's beginning the last came that was kept."""
        return self._trace.entries[-1].at

    @property
    def not_judged(self) -> str:
        """Why the rest was only copied; empty while all is judged."""
        return ": ".join(part for part in (self.why_not, self.detail) if part)

    @property
    def has_news(self) -> bool:
        """Whether anything came that was not judged yet."""
        return self._judged_entries < len(self._trace)

    @property
    def is_settled(self) -> bool:
        """Whether all is judged that ever will be."""
        return (self.is_over or self.why_not is not None) and not self.has_news

    def entry(self, finding: Finding) -> TraceEntry:
        """The entry that shows a finding."""
        return self._trace.entries[finding.trace_index]

    # --- what comes by ------------------------------------------------------------------------------------------------

    def received(self, side: Sender, data: bytes, now: float) -> None:
        """Take bytes that side sent, which have gone on already."""
        self.size_bytes += len(data)
        if self.why_not is not None or self._is_stalled(now):
            return
        if side not in self._frames:
            self._read(side, data, now)
            self._note_begun(side, now)
            return
        frames = self._frames[side]
        if self._is_full(len(frames) + len(data)):
            return
        for piece in frames.feed(data):
            if self.why_not is None:
                self._take(side, piece, now)
        self._note_begun(side, now)

    def _take(self, side: Sender, piece: Piece, now: float) -> None:
        """Take one piece of what goes through a WebSocket."""
        assert self._upgrade is not None
        if piece.form is Form.DATA:
            self._read(side, piece.payload, now)
        elif self._upgrade.is_refused:
            self.stop(WhyNot.NO_MQTT, f"the broker answered the WebSocket handshake with HTTP {self._upgrade.status}")
        elif piece.form is Form.FOREIGN:
            self._record(Kind.MALFORMED, side, now, data=piece.payload or piece.raw, note=NOT_BINARY)
            self.stop(WhyNot.UNDECODED, NOT_BINARY)
        elif piece.form is Form.MALFORMED:
            self._record(Kind.FRAME, side, now, data=piece.payload, note=f"{piece.violation} [RFC 6455 5]")
        elif piece.opcode == Opcode.CLOSE and piece.form is Form.CONTROL:
            self.ended(side, "FIN", now)

    def _is_full(self, size_bytes: int) -> bool:
        """Stop where with so many bytes more there were too many."""
        if self._kept_bytes + size_bytes > self._limits.size_bytes:
            self.stop(WhyNot.LIMIT, f"{self._limits.size_bytes:,} bytes")
        return self.why_not is not None

    def _read(self, side: Sender, data: bytes, now: float) -> None:
        """Take MQTT's bytes."""
        reader = self._readers[side]
        if self._is_full(len(reader) + len(data)):
            return
        if self.version is None and side is Sender.BROKER:
            self.stop(WhyNot.NO_MQTT, "the broker spoke before a CONNECT")
            return
        reader.feed(data)
        try:
            while self.why_not is None and (frame := reader.next_frame()) is not None:
                self._hear(side, frame, now)
                self._began_at.pop(side, None)
        except RemoteError as error:  # the stream cannot be cut into packets any more
            self._give_up(side, reader.take_rest(), error, now)

    def ended(self, side: Sender, note: str, now: float) -> None:
        """Take that side's end of the connection; `note` is FIN, RST or what broke."""
        if self.why_not is not None or self._is_stalled(now):
            return  # what was said in between is not known, so the end tells nothing
        if side in self._ended:  # its CLOSE frame told so
            return
        self._ended.add(side)
        self._began_at.pop(side, None)
        if self.version is None:  # nobody can tell what it would have become
            if self.size_bytes:
                self.stop(WhyNot.NO_MQTT, "it ended before a CONNECT")
            return
        if rest := self._readers[side].take_rest():
            self._record(Kind.MALFORMED, side, now, data=rest, note="incomplete packet")
        self._record(Kind.CLOSE, side, now, note=note)

    def blocked(self, side: Sender, now: float) -> None:
        """Note that the other side takes no more of what that side sends."""
        self._blocked_since[side] = now

    def unblocked(self, side: Sender, now: float) -> None:
        """Note that it took everything."""
        self._is_stalled(now)
        self._blocked_since.pop(side, None)

    def stop(self, why: WhyNot, detail: str = "") -> None:
        """Keep no more of this connection."""
        self.why_not, self.detail = why, detail
        self._readers = {side: Reader() for side in self._readers}
        self._frames = {}

    def forget(self) -> None:
        """Let go of a trace that is settled."""
        self._trace.entries.clear()
        self._seen.clear()
        self.findings.clear()
        self.withdrawn.clear()
        self._judged_entries = 0
        self._room.left_bytes += self._taken_bytes
        self._taken_bytes = 0

    # --- what is wrong with it ----------------------------------------------------------------------------------------

    def new_findings(self) -> list[Finding]:
        """What the judge finds now and did not find before; nothing is done when nothing came since."""
        return self.take(*self.look()) if self.has_news else []

    def look(self) -> tuple[int, list[Finding]]:
        """Judge what there is: how many entries, and all that is wrong. Changes nothing, so any thread may do it."""
        entries = self._trace.entries[:]
        return len(entries), judge(
            entries,
            self.version or Version.V311,
            ONE_CONNECTION,
            until=self.until - self._beginning,
            round_trip_seconds=self.round_trip_seconds,
        )

    def take_back(self, found: list[Finding]) -> list[Finding]:
        """Give what was told and is refuted, because what was found now has it no more, and forget it."""
        still = {_key(each) for each in found}
        refuted = [each for each in self.findings if _key(each) not in still]
        for each in refuted:
            self.findings.remove(each)
            self._seen.discard(_key(each))
            self.withdrawn.append(each)
        return refuted

    def take(self, entries: int, found: list[Finding]) -> list[Finding]:
        """Keep what was found, and give what is new in it."""
        self._judged_entries = entries
        new = [each for each in found if _key(each) not in self._seen and self._is_certain(each)]
        self._seen.update(_key(each) for each in new)
        self.findings += new
        return new

    def _is_certain(self, finding: Finding) -> bool:
        """Whether nothing unseen could explain it.

        A client may have taken its own place elsewhere, and what is missing may be, or wait behind, a packet that is
        arriving: until that is there such a finding is held.
        """
        if not self.knows_all and finding.rule == SERVER_WAITS.name and self.entry(finding).kind is Kind.CLOSE:
            return False
        return not (RULES[finding.rule].waits and self._began_at)

    def _note_begun(self, side: Sender, now: float) -> None:
        """Note whether a packet of that side is on its way."""
        frames = self._frames.get(side, ())
        if len(self._readers[side]) or len(frames):
            self._began_at.setdefault(side, now)
        elif self.why_not is None:
            self._began_at.pop(side, None)

    def _is_stalled(self, now: float) -> bool:
        """Give up when bytes were left untaken: whoever sent them is read later than it spoke."""
        for side, since in self._blocked_since.items():
            if now - since > STALL_SECONDS and self.why_not is None:
                self.stop(WhyNot.STALLED, f"what the {side} sent")
        return self.why_not is not None

    def _hear(self, side: Sender, frame: bytes, now: float) -> None:
        if self.packets == self._limits.packets:
            self.stop(WhyNot.LIMIT, f"{self.packets:,} packets")
            return
        try:
            packet = decode(frame, self.version or Version.V311)
        except RemoteError as error:
            self._give_up(side, frame, error, now)
            return
        cost_bytes = _ENTRY_BYTES + 2 * len(frame)
        if cost_bytes > self._room.left_bytes:
            self.stop(WhyNot.MEMORY)
            return
        self._room.left_bytes -= cost_bytes
        self._taken_bytes += cost_bytes
        self._kept_bytes += len(frame)
        self.packets += 1
        if isinstance(packet, Connect) and self.version is None:
            self.version, self.client_id = packet.version, packet.client_id
        at = now - self._beginning
        began = self._began_at.get(side)
        began_at = None if began is None else began - self._beginning
        self._trace.record(
            LINK, 1, Kind.PACKET, side, at=at, packet=packet, data=frame, receiver=side.peer, began_at=began_at
        )

    def _give_up(self, side: Sender, data: bytes, error: RemoteError, now: float) -> None:
        """Note what cannot be decoded, once; before a CONNECT it is more likely another protocol."""
        if self.version is None and (data[0] != _CONNECT_BYTE or isinstance(error, UnacceptableProtocolVersion)):
            self.stop(WhyNot.NO_MQTT, str(error))
            return
        self._record(Kind.MALFORMED, side, now, data=data, note=str(error))
        self.stop(WhyNot.UNDECODED, str(error))

    def _record(self, kind: Kind, side: Sender, now: float, data: bytes = b"", note: str = "") -> None:
        receiver = side.peer if kind is Kind.MALFORMED else None
        at = now - self._beginning
        self._trace.record(LINK, 1, kind, side, at=at, data=data, note=note, receiver=receiver)


def _key(finding: Finding) -> tuple[str, Sender, int]:
    return finding.rule, finding.blame, finding.trace_index
