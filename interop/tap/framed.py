"""A crossing whose two sides speak MQTT in WebSocket frames. Without I/O or a clock.

Belongs here: handshake and frames that go on as they came, and frames of our own where a fault changed what is in them.
Does not belong here: reading frames (`websocket`), what befalls packets (`lane`, `crossing`).

A frame goes on as it is once all the MQTT bytes in it do; until then it waits, at most as long as a lane waits for half
a packet. As soon as a fault changes what is in it (or its sender's side is told to put it into other frames), its bytes
go on in frames of our own: a message for each packet, unless `Frames` say otherwise. PING, PONG and CLOSE pass where
they stand. To a side that is cut we say CLOSE ourselves, as a peer would. A frame that may not stand there, such as a
CLOSE in fragments, passes as well, and says nothing: its receiver has to fail the connection. [RFC 6455 5.4, 5.5]
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from interop.tap.crossing import Crossing, Effect, End
from interop.tap.faults import Frames, How, Plan
from interop.tap.lane import Write, foreign_entry, frame_entry
from interop.tap.trace import Fate, Kind, Sender, Trace
from interop.tap.websocket import Form, FrameReader, Opcode, Piece, Upgrade, frame
from reference_broker.wire.types import Version

OWN_PING = b"tap"
"""What a PING of ours carries: the PONG that answers it is for us."""

_EACH_ITS_OWN = Frames()
_NORMAL_CLOSURE = (1000).to_bytes(2, "big")  # RFC 6455 7.4.1
_NAMES = {Opcode.PING: "PING", Opcode.PONG: "PONG"}


@dataclass(slots=True)
class _Way:
    """The frames of one side: those that wait, and how far the lane let their bytes go."""

    reader: FrameReader
    waiting: deque[Piece] = field(default_factory=deque)
    unsent: bytes = b""
    """The MQTT bytes in them."""
    let_go: int = 0
    """How many of those the lane let go."""
    source_is_mid_message: bool = False
    """Whether the side sent fragments of a message and not its last."""
    is_mid_message: bool = False
    """Whether the peer got fragments of a message and not its last."""
    rest_is_ours: bool = False
    """Whether the message under way goes on in frames of our own to its end."""
    is_out_of_step: bool = False
    """Whether the peer missed a compressed message that later ones build on."""
    said_close: bool = False


class FramedCrossing(Crossing):
    """One connection of a link over WebSocket; takes and gives bytes of the connection below it.

    All `Write` effects are frames (or the handshake) already.
    """

    def __init__(self, trace: Trace, link: str, number: int, version: Version, plan: Plan) -> None:
        super().__init__(trace, link, number, version, plan)
        self._frames = plan.frames
        self._upgrade = Upgrade()
        self._ways = {
            side: _Way(FrameReader(side is Sender.CLIENT, self._upgrade)) for side in (Sender.CLIENT, Sender.BROKER)
        }
        self._is_ended = False  # by a side, without CLOSE

    def receive(self, side: Sender, data: bytes, now: float) -> list[Effect]:
        """Take bytes read from that side."""
        return [effect for piece in self._ways[side].reader.feed(data) for effect in self._take(side, piece, now)]

    def end(self, side: Sender, how: How, now: float, note: str = "") -> list[Effect]:
        """Take that side's end: FIN or RST; `note` says more."""
        way = self._ways[side]
        self._is_ended = self._is_ended or not way.said_close
        rest = way.reader.take_rest()
        before = self._pass_beneath(side, rest, now) if rest else []
        return self._reframed([*before, *super().end(side, how, now, note)], *self._ways)

    def handle_timer(self, now: float) -> list[Effect]:
        """Let go what is due."""
        effects: list[Effect] = []
        for side, way in self._ways.items():
            effects += self._carry(side, self._handle_timer_of(side, now))
            if way.let_go:  # the rest of the frame waits for a fault
                effects += self._reframed([], side)
        return effects

    def cut(self, how: How, now: float) -> list[Effect]:
        """End the connection now; a silent one stays open on both sides, connected to nothing."""
        return self._reframed(super().cut(how, now), *self._ways)

    def thaw(self, now: float) -> list[Effect]:
        """Let everything go that a freeze or a hold kept back."""
        return self._reframed(super().thaw(now), *self._ways)

    def inject(self, to: Sender, data: bytes, now: float, *, beneath: bool = False) -> list[Effect]:
        """Bytes that nobody sent go to that side, `beneath` the WebSocket if so wished."""
        return self._reframed(super().inject(to, data, now, beneath=beneath))

    # --- one piece ----------------------------------------------------------------------------------------------------

    def _take(self, side: Sender, piece: Piece, now: float) -> list[Effect]:
        if not self.is_open(side):
            return []
        if piece.form is Form.DATA:
            way = self._ways[side]
            way.waiting.append(piece)
            way.unsent += piece.payload
            way.source_is_mid_message = not piece.final
            return self._carry(side, super().receive(side, piece.payload, now) if piece.payload else [])
        if piece.form is Form.CONTROL and piece.opcode == Opcode.PONG and piece.payload == OWN_PING:
            self._record(Kind.FRAME, side, at=now, fate=Fate.DROPPED, data=piece.payload, note="PONG")
            return []
        effects = self._keep_place(side, piece, self._pass_beneath(side, piece.raw, now, piece))
        if piece.opcode == Opcode.CLOSE and piece.form is Form.CONTROL:
            self._ways[side].said_close = True
            effects = self._reframed([*effects, *super().end(side, How.FIN, now)], *self._ways)
        return effects

    def _pass_beneath(self, side: Sender, raw: bytes, now: float, piece: Piece | None = None) -> list[Effect]:
        entry = None
        if piece is not None and piece.form is Form.MALFORMED:
            entry = frame_entry(side, f"{piece.violation} [RFC 6455 5]", piece.payload)
        elif piece is not None and piece.opcode in _NAMES:
            entry = frame_entry(side, _NAMES[Opcode(piece.opcode)], piece.payload)
        elif piece is not None and piece.form is Form.FOREIGN and self._upgrade.is_done:
            entry = foreign_entry(side, piece.payload or raw)
        return self._carry_out(self._lanes[side].pass_beneath(raw, entry, now), now)

    def _keep_place(self, side: Sender, piece: Piece, effects: list[Effect]) -> list[Effect]:
        """A frame without MQTT goes behind those that wait before it."""
        waiting = self._ways[side].waiting
        if not waiting or not effects:
            return effects
        waiting.append(piece)
        return []

    def _carry(self, side: Sender, effects: list[Effect]) -> list[Effect]:
        """What follows from bytes of that side: its own frames, if nothing befell the bytes in them."""
        way = self._ways[side]
        out: list[bytes] = []
        for effect in effects:
            if not isinstance(effect, Write) or effect.to is side or effect.beneath:
                return self._reframed(effects, side)
            out.append(effect.data)
        data = out[0] if len(out) == 1 else b"".join(out)
        kept = self._lanes[side].unfinished_bytes
        if (
            side in self._frames
            or len(way.unsent) - way.let_go - len(data) != kept
            or not way.unsent.startswith(data, way.let_go)
        ):
            return self._reframed(effects, side)
        way.let_go += len(data)
        passed = b"".join(self._whole_frames(side, way))
        return [Write(side.peer, passed, beneath=True)] if passed else []

    def _whole_frames(self, side: Sender, way: _Way) -> Iterator[bytes]:
        """The frames that can go, because all that is in them does."""
        waiting = way.waiting
        while waiting:
            piece = waiting[0]
            size = len(piece.payload) if piece.form is Form.DATA else 0
            if size > way.let_go:
                return
            waiting.popleft()
            way.let_go -= size
            way.unsent = way.unsent[size:]
            if piece.form is not Form.DATA:
                yield piece.raw
                continue
            if piece.opcode != Opcode.CONTINUATION:
                way.rest_is_ours = piece.is_compressed and way.is_out_of_step
            if not way.rest_is_ours:
                way.is_mid_message = not piece.final
                yield piece.raw
            elif size:
                yield from self._in_frames(side, piece.payload, _EACH_ITS_OWN)

    # --- frames of our own --------------------------------------------------------------------------------------------

    def _reframed(self, effects: list[Effect], *changed: Sender) -> list[Effect]:
        """What is to go, in frames of our own; of a `changed` side, behind what waits for the rest of its frame."""
        done: list[Effect] = []
        for side in changed:
            if (way := self._ways[side]).waiting:
                done += [Write(side.peer, raw, beneath=True) for raw in self._give_up_frames(side, way)]
        position = 0
        while position < len(effects):
            effect = effects[position]
            position += 1
            if isinstance(effect, End):
                if self._says_close(effect):
                    goodbye = frame(Opcode.CLOSE, _NORMAL_CLOSURE, masked=effect.to is Sender.BROKER)
                    done.append(Write(effect.to, goodbye, beneath=True))
                done.append(effect)
                continue
            side = effect.to.peer
            if effect.beneath:
                done.append(effect)
                continue
            form = self._frames.get(side, _EACH_ITS_OWN)
            data = effect.data
            while form.together and position < len(effects) and _is_data_to(effects[position], effect.to):
                data += effects[position].data  # type: ignore[union-attr]  # a Write
                position += 1
            way = self._ways[side]
            way.is_out_of_step = self._upgrade.deflate is not None
            raws = [*self._end_message(side, way), *self._in_frames(side, data, form)]
            done += [Write(effect.to, raw, beneath=True) for raw in raws]
        return done

    def _give_up_frames(self, side: Sender, way: _Way) -> Iterator[bytes]:
        """The bytes that were let go of frames that will never be whole, and the frames without MQTT behind them."""
        data, beneath = way.unsent[: way.let_go], [piece.raw for piece in way.waiting if piece.form is not Form.DATA]
        way.waiting.clear()
        way.unsent, way.let_go = b"", 0
        way.rest_is_ours = way.source_is_mid_message
        yield from self._end_message(side, way)
        if data:
            yield from self._in_frames(side, data, self._frames.get(side, _EACH_ITS_OWN))
        yield from beneath

    def _end_message(self, side: Sender, way: _Way) -> Iterator[bytes]:
        """The last fragment of a message that will not go on."""
        if way.is_mid_message:
            way.is_mid_message = False
            way.rest_is_ours = way.source_is_mid_message
            yield frame(Opcode.CONTINUATION, masked=side is Sender.CLIENT)

    def _in_frames(self, side: Sender, data: bytes, form: Frames) -> Iterator[bytes]:
        masked = side is Sender.CLIENT
        step = form.frame_bytes or max(1, len(data))
        opcode = Opcode.BINARY
        for at in range(0, len(data), step):
            if at:
                yield from (_between(each, fragmented=form.fragmented, masked=masked) for each in form.between)
            final = not form.fragmented or at + step >= len(data)
            yield frame(opcode, data[at : at + step], final=final, masked=masked)
            if form.fragmented:
                opcode = Opcode.CONTINUATION

    def _says_close(self, effect: End) -> bool:
        way = self._ways[effect.to.peer]
        if effect.how is not How.FIN or not self._upgrade.is_done or self._is_ended or way.said_close:
            return False
        way.said_close = True
        return True


def _between(name: str, *, fragmented: bool, masked: bool) -> bytes:
    if name == "empty":
        return frame(Opcode.CONTINUATION if fragmented else Opcode.BINARY, final=not fragmented, masked=masked)
    return frame(Opcode[name.upper()], OWN_PING, masked=masked)


def _is_data_to(effect: Effect, to: Sender) -> bool:
    return isinstance(effect, Write) and effect.to is to and not effect.beneath
