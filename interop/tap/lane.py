"""One direction of one connection: bytes from its sender in, what goes on to the peer out. Without I/O or a clock.

Belongs here: cutting the stream into packets, decoding them for the trace, the faults that befall a single packet, and
the queue of what waits.
Does not belong here: what concerns both directions (`crossing`), sockets (`link`).

Bytes that cannot be decoded travel on as they are, but for a CONNACK that would end every cell before it begins. Once
the stream cannot be cut into packets any more, every read is passed on whole. A packet that stalls half-way is passed
on as far as it came, unless a fault waits for its kind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from interop.tap.faults import Action, Cut, Delay, Drop, Duplicate, Freeze, Hold, How, Plan, Rewrite
from interop.tap.reading import decode_as_sent, read_on
from interop.tap.trace import Fate, Kind, Sender, TraceEntry
from reference_broker.wire.decode import Reader, decode
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import ConnAck, Connect, Packet
from reference_broker.wire.types import PacketType, Version

STALL_SECONDS = 0.05
"""How long half a packet waits for its other half before it is passed on as it is."""
TICK_SECONDS = 0.1
"""How often a lane that is throttled lets some bytes go."""

NOT_BINARY = "WebSocket message that is not binary"
"""What the trace says of MQTT in other messages than binary ones. [3.1.1 MQTT-6.0.0-1, 5.0 MQTT-6.0.0-1]"""

_DUP = 0b1000
_ActionT = TypeVar("_ActionT", bound=Action)

Record = Callable[..., TraceEntry]
"""`Trace.record` for one connection: everything but link and connection."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes go to that side."""

    to: Sender
    data: bytes
    beneath: bool = False
    """Beneath the WebSocket, as they are: its handshake or whole frames."""


@dataclass(frozen=True, slots=True)
class End:
    """The connection to that side ends, after everything written to it (FIN) or at once (RST)."""

    to: Sender
    how: How


Effect = Write | End
Fired = Cut | Freeze
"""What one packet causes beyond itself, for both directions."""


@dataclass(frozen=True, slots=True)
class _Parcel:
    """What goes to the peer now or later: a packet, bytes, or (`end`) the end of the connection.

    `fate` is what the trace says when it goes after having waited. `already_passed` bytes went ahead of it.
    """

    kind: Kind
    sender: Sender
    packet: Packet | None = None
    data: bytes = b""
    note: str = ""
    fate: Fate = Fate.RELEASED
    end: How | None = None
    already_passed: int = 0
    number: int = 0
    due: float = 0.0
    began_at: float | None = None
    beneath: bool = False


class Lane:
    """The way from `sender` to its peer on one connection.

    The generators yield what follows from each packet before the next one is looked at, so that their consumer can
    freeze the lane in between. `version` is the one of the connection, set from outside when a CONNECT was seen.
    """

    def __init__(self, sender: Sender, version: Version, plan: Plan, record: Record) -> None:
        self.sender = sender
        self.version = version
        self.failures: list[Exception] = []  # rewrites that could not be carried out
        self._plan = plan
        self._record = record
        self._reader = Reader()
        self._framing_lost = False
        self._frozen = False
        self._silent = False
        self._queue: deque[_Parcel] = deque()
        self._held: list[_Parcel] = []
        self._numbers = 0
        self._already_passed = 0  # bytes of the packet not yet complete that were passed on
        self._stalls_at: float | None = None
        self._began_at: float | None = None  # when the packet not yet complete began

    @property
    def unfinished_bytes(self) -> int:
        """How many bytes of a packet not yet complete are kept."""
        return len(self._reader) - self._already_passed

    def receive(self, data: bytes, now: float) -> Iterator[Effect | Fired]:
        """Take bytes the sender sent."""
        if self._framing_lost:
            yield from self._ship(self._malformed(data, "after lost framing"), now)
            return
        self._reader.feed(data)
        while (frame := self._next_frame()) is not None:
            yield from self._take(frame, now)
            self._began_at = None
        if self._framing_lost and (rest := self._reader.take_rest()):
            yield from self._ship(self._malformed(rest, "framing lost"), now)
        if len(self._reader):
            self._stalls_at = now + STALL_SECONDS
            if self._began_at is None:
                self._began_at = now
        else:
            self._stalls_at = None

    def pass_beneath(self, data: bytes, entry: _Parcel | None, now: float) -> Iterator[Effect | Fired]:
        """Carry bytes in which there is no MQTT, behind what waits; `entry` is what the trace is told of them."""
        waits = self._frozen or bool(self._queue)
        if entry is not None:
            self._log(entry, now, Fate.LOST if self._silent else Fate.HELD if waits else Fate.FORWARDED)
        if self._silent:
            return
        if waits:
            self._queue.append(self._numbered(_Parcel(Kind.FRAME, self.sender, data=data, beneath=True)))
        else:
            yield Write(self.sender.peer, data, beneath=True)

    def end(self, how: How, note: str, now: float) -> Iterator[Effect | Fired]:
        """Take the sender's end of the connection."""
        if rest := self._reader.take_rest():
            yield from self._ship(self._malformed(rest, "incomplete packet"), now)
        self._stalls_at = None
        yield from self._ship(_Parcel(Kind.CLOSE, self.sender, note=note, end=how), now)

    def handle_timer(self, now: float) -> Iterator[Effect | Fired]:
        """Let go what was delayed until now, pass on what stalled."""
        yield from self._flush(now)
        if self._stalls_at is not None and now >= self._stalls_at:
            self._stalls_at = None
            yield from self._pass_partial()

    def next_deadline(self) -> float | None:
        """When `handle_timer` is due."""
        if self._frozen or self._silent:
            return None
        due = [self._queue[0].due] if self._queue else []
        if self._stalls_at is not None:
            due.append(self._stalls_at)
        return min(due, default=None)

    def freeze(self) -> None:
        """Keep everything from now on."""
        self._frozen = True

    def thaw(self, now: float) -> Iterator[Effect | Fired]:
        """Let everything go that was kept, in the order it was sent."""
        self._frozen = False
        self._queue = deque(sorted([*self._held, *self._queue], key=lambda parcel: parcel.number))
        self._held.clear()
        yield from self._flush(now)

    def silence(self) -> None:
        """Lose everything from now on, what is kept included."""
        self._silent = True
        self._queue.clear()
        self._held.clear()

    @property
    def is_silent(self) -> bool:
        """Whether nothing passes any more."""
        return self._silent

    # --- cutting into packets -----------------------------------------------------------------------------------------

    def _next_frame(self) -> bytes | None:
        if self._framing_lost:
            return None
        try:
            return self._reader.next_frame()
        except RemoteError:
            self._framing_lost = True
            return None

    def _decode(self, frame: bytes) -> _Parcel:
        passed, self._already_passed = self._already_passed, 0
        try:
            packet = decode_as_sent(frame, self.version)
        except RemoteError as error:
            reading = read_on(frame, self.version, error)
            return replace(self._malformed(frame, str(reading.fault)), packet=reading.packet, already_passed=passed)
        if isinstance(packet, Connect):
            self.version = packet.version
        return _Parcel(Kind.PACKET, self.sender, packet, frame, already_passed=passed, began_at=self._began_at)

    def _malformed(self, data: bytes, note: str) -> _Parcel:
        passed, self._already_passed = self._already_passed, 0
        return _Parcel(Kind.MALFORMED, self.sender, data=data, note=note, already_passed=passed)

    # --- one packet ---------------------------------------------------------------------------------------------------

    def _take(self, frame: bytes, now: float) -> Iterator[Effect | Fired]:
        parcel = self._decode(frame)
        kind = frame[0] >> 4
        # What went ahead cannot be called back, so nothing befalls the rest of such a packet.
        actions = [] if parcel.already_passed or self._silent else self._plan.due(kind, self.sender)
        if not actions:
            yield from self._ship(self._mended(parcel, now), now)
            return
        where = f"at {PacketType(kind).name} from {self.sender}"
        cut = _find(actions, Cut)
        freeze = _find(actions, Freeze)
        if freeze is not None and freeze.only_from in (None, self.sender):
            self._frozen = True
        if cut is not None and not cut.deliver:
            self._log(parcel, now, Fate.LOST)
        elif _find(actions, Drop):
            self._log(parcel, now, Fate.DROPPED)
        elif _find(actions, Hold):
            self._log(parcel, now, Fate.HELD)
            self._held.append(self._numbered(parcel))
        else:
            yield from self._ship_changed(parcel, actions, now)
        for action in actions:
            if not isinstance(action, Cut):
                self._record(Kind.FAULT, Sender.HARNESS, at=now, note=f"{action} {where}")
        if freeze is not None:
            yield freeze
        if cut is not None:
            yield from self._lose_rest(now)
            self._record(Kind.FAULT, Sender.HARNESS, at=now, note=f"{cut} {where}")
            yield cut

    def _ship_changed(self, parcel: _Parcel, actions: list[Action], now: float) -> Iterator[Effect | Fired]:
        rewrite = _find(actions, Rewrite)
        parcel = self._mended(parcel, now) if rewrite is None else self._rewritten(parcel, rewrite, now)
        if delay := _find(actions, Delay):
            parcel = replace(parcel, due=now + delay.seconds)
        yield from self._ship(parcel, now)
        if duplicate := _find(actions, Duplicate):
            yield from self._ship(self._copy(parcel, duplicate.dup), now)

    def _rewritten(self, parcel: _Parcel, rewrite: Rewrite, now: float) -> _Parcel:
        """The parcel in its place; one that cannot be made leaves the old one, and a failure behind."""
        try:
            if isinstance(rewrite.change, bytes):
                data = rewrite.change
            elif parcel.packet is None:
                raise ValueError(f"cannot rewrite what could not be decoded: {parcel.note}")
            else:
                data = encode(rewrite.change(parcel.packet), self.version)
        except ValueError as error:  # a LocalError is one
            self.failures.append(error)
            return parcel
        self._log(parcel, now, Fate.REWRITTEN)
        return replace(self._foreign(data), note="rewritten")

    def _mended(self, parcel: _Parcel, now: float) -> _Parcel:
        """A CONNACK of 5.0 that lets the client in and is wrong in itself, put right, so that the cell goes on.

        It stands in the trace as it was sent, for the judge. Any other packet goes on as it is.
        """
        connack = parcel.packet if parcel.kind is Kind.MALFORMED else None
        if not isinstance(connack, ConnAck) or connack.reason or self.version is not Version.V5:
            return parcel
        if parcel.already_passed or self._silent or self.sender is not Sender.BROKER:
            return parcel
        self._log(parcel, now, Fate.REWRITTEN)
        return replace(self._foreign(encode(connack, self.version)), note="mended")

    def _copy(self, parcel: _Parcel, dup: bool | None) -> _Parcel:
        data = parcel.data
        if dup is not None and data:
            data = bytes([data[0] | _DUP if dup else data[0] & ~_DUP]) + data[1:]
        return replace(self._foreign(data), note="duplicate")

    def _foreign(self, data: bytes) -> _Parcel:
        """Bytes of the harness as a parcel: a packet if they are exactly one that can be decoded."""
        try:
            packet = decode(data, self.version)
        except RemoteError as error:
            return _Parcel(Kind.MALFORMED, Sender.HARNESS, data=data, note=str(error), fate=Fate.INJECTED)
        return _Parcel(Kind.PACKET, Sender.HARNESS, packet, data, fate=Fate.INJECTED)

    def inject(self, data: bytes, now: float, *, arrives: bool, beneath: bool = False) -> Iterator[Effect]:
        """Bytes of the harness go to the peer, past everything that waits."""
        self._log(self._foreign(data), now, Fate.INJECTED if arrives else Fate.LOST)
        if arrives:
            yield Write(self.sender.peer, data, beneath)

    def _lose_rest(self, now: float) -> Iterator[Effect | Fired]:
        """What was read together with the packet at which the link is cut had been sent before it, and is lost."""
        self.silence()
        while (frame := self._next_frame()) is not None:
            yield from self._ship(self._decode(frame), now)

    # --- what waits ---------------------------------------------------------------------------------------------------

    def _ship(self, parcel: _Parcel, now: float) -> Iterator[Effect | Fired]:
        """Send a parcel on, or put it behind what waits already."""
        if self._silent:
            self._log(parcel, now, Fate.LOST)
        elif self._frozen or self._queue or parcel.due > now or self._is_throttled(parcel):
            if parcel.sender is not Sender.HARNESS:
                self._log(parcel, now, Fate.HELD if self._frozen else Fate.DELAYED)
            self._queue.append(self._numbered(replace(parcel, began_at=None)))
            yield from self._flush(now)
        else:
            self._log(parcel, now, parcel.fate if parcel.sender is Sender.HARNESS else Fate.FORWARDED)
            yield from self._go(parcel)

    def _flush(self, now: float) -> Iterator[Effect | Fired]:
        while self._queue and not self._frozen and self._queue[0].due <= now:
            parcel = self._queue.popleft()
            if rate := self._plan.rates.get(self.sender):
                first, rest = self._slice(parcel, rate, now)
                yield from first
                if rest is not None:
                    self._queue.appendleft(rest)
                    continue
            if not parcel.beneath:
                self._log(parcel, now, parcel.fate)
            yield from self._go(parcel)

    def _slice(self, parcel: _Parcel, rate: float, now: float) -> tuple[list[Effect], _Parcel | None]:
        """What of a throttled parcel goes now, and the rest of it; no rest when all that is left may go."""
        left = len(parcel.data) - parcel.already_passed
        if parcel.beneath or not left:
            return [], None
        step = max(1, int(rate * TICK_SECONDS))
        if parcel.began_at is None:
            return [], replace(parcel, began_at=now, due=now + min(step, left) / rate)
        if left <= step:
            return [], None
        passed = parcel.already_passed + step
        rest = replace(parcel, already_passed=passed, due=parcel.due + min(step, left - step) / rate)
        return [Write(self.sender.peer, parcel.data[parcel.already_passed : passed])], rest

    def _is_throttled(self, parcel: _Parcel) -> bool:
        return bool(self._plan.rates) and parcel.end is None and self.sender in self._plan.rates

    def _go(self, parcel: _Parcel) -> Iterator[Effect | Fired]:
        if parcel.end is None:
            yield Write(self.sender.peer, parcel.data[parcel.already_passed :], parcel.beneath)
        else:
            yield End(self.sender.peer, parcel.end)
            yield End(self.sender, parcel.end)

    def _pass_partial(self) -> Iterator[Effect | Fired]:
        packet_type = self._reader.peek_type()
        if self._frozen or self._silent or self._queue or packet_type is None or self.sender in self._plan.rates:
            return
        if self._plan.watches(packet_type, self.sender):
            return
        partial = self._reader.take_rest()
        self._reader.feed(partial)
        ahead, self._already_passed = self._already_passed, len(partial)
        yield Write(self.sender.peer, partial[ahead:])

    def _numbered(self, parcel: _Parcel) -> _Parcel:
        self._numbers += 1
        return replace(parcel, number=self._numbers)

    def _log(self, parcel: _Parcel, now: float, fate: Fate) -> None:
        self._record(
            parcel.kind,
            parcel.sender,
            at=now,
            fate=fate,
            packet=parcel.packet,
            data=parcel.data,
            note=parcel.note,
            receiver=None if parcel.kind is Kind.CLOSE else self.sender.peer,
            began_at=parcel.began_at,
        )


def frame_entry(sender: Sender, name: str, data: bytes) -> _Parcel:
    """What the trace is told of a WebSocket frame that has no MQTT in it."""
    return _Parcel(Kind.FRAME, sender, data=data, note=name)


def foreign_entry(sender: Sender, data: bytes) -> _Parcel:
    """What the trace is told of a WebSocket message that is not binary."""
    return _Parcel(Kind.MALFORMED, sender, data=data, note=NOT_BINARY)


def _find(actions: list[Action], kind: type[_ActionT]) -> _ActionT | None:
    return next((action for action in actions if isinstance(action, kind)), None)
