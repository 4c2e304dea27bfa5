"""Brokers and clients that are wrong about how packets reach them: in WebSocket frames, in pieces, slowly.

Belongs here: faults below the packets, of both sides.
Does not belong here: packets (`broker_...`, `client_...`), where faults of frames take hold (`wrong_websocket`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from websockets.frames import Frame, Opcode

from interop.mutants.mutant import Hears, Says, around, table
from interop.mutants.words import when
from interop.mutants.wrong_websocket import Handshake
from reference_broker.client.core import ClientCore
from reference_broker.wire.decode import Reader
from reference_broker.wire.errors import RemoteError

_SUBPROTOCOL = re.compile(rb"sec-websocket-protocol:[^\r]*\r\n", re.IGNORECASE)


def _is(*opcodes: Opcode) -> Any:
    return lambda frame, _end: frame.opcode in opcodes


def _gone(_frame: Frame, _end: Any) -> None:
    return None


def _closing(frame: Frame, _end: Any) -> Frame:
    return replace(frame, opcode=Opcode.CLOSE, data=b"")


def _packets(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole packets in some bytes, and the rest."""
    reader = Reader()
    reader.feed(data)
    whole = []
    try:
        while (packet := reader.next_frame()) is not None:
            whole.append(packet)
    except RemoteError:
        pass
    return whole, reader.take_rest()


def _first_packet(frame: Frame, _end: Any) -> Frame:
    if frame.opcode is not Opcode.BINARY or not frame.fin:
        return frame
    whole, _ = _packets(bytes(frame.data))
    return replace(frame, data=whole[0]) if whole else frame


def _whole_packets(frame: Frame, _end: Any) -> Frame | None:
    """What begins or ends in another frame is nothing."""
    if frame.opcode is not Opcode.BINARY or not frame.fin:
        return frame
    whole, rest = _packets(bytes(frame.data))
    return replace(frame, data=b"".join(whole)) if rest else frame


def _over_after(*opcodes: Opcode, empty: bool = False) -> Any:
    """Once such a frame came inside a message the rest of that message is lost."""

    def change(frame: Frame, end: Any) -> Frame | None:
        if frame.opcode in (Opcode.BINARY, Opcode.TEXT):
            end.memory["over"] = False
        elif frame.opcode in opcodes and (not empty or not frame.data):
            end.memory["over"] = True
        return None if frame.opcode is Opcode.CONT and end.memory.get("over") else frame

    return change


def _as_text(frame: Frame, _end: Any) -> Frame:
    return replace(frame, opcode=Opcode.TEXT)


_UNNAMED = Says(Handshake, lambda handshake, _: Handshake(_SUBPROTOCOL.sub(b"", handshake.data)))

FRAMES = {
    "loses what continues a message": Hears(Frame, when(_is(Opcode.CONT), _gone)),
    "loses a message that a PING interrupts": Hears(Frame, _over_after(Opcode.PING)),
    "loses a message that a PONG interrupts": Hears(Frame, _over_after(Opcode.PONG)),
    "takes an empty fragment for the last": Hears(Frame, _over_after(Opcode.CONT, empty=True)),
    "ends the connection at an empty frame": Hears(Frame, when(
        lambda frame, _: frame.opcode is Opcode.BINARY and frame.fin and not frame.data, _closing)),
    "reads one packet of a message": Hears(Frame, _first_packet),
    "reads no packet that is in several messages": Hears(Frame, _whole_packets),
    "answers no WebSocket PING": Says(Frame, when(_is(Opcode.PONG), _gone)),
    "reads text as if it were binary": Hears(Frame, when(
        _is(Opcode.TEXT), lambda frame, _: replace(frame, opcode=Opcode.BINARY))),
    "sends its packets as text": Says(Frame, when(_is(Opcode.BINARY), _as_text)),
}  # fmt: skip


def _half_counts(real: Any, self: Any, data: bytes, now: float) -> None:
    real(self, data, now)
    if len(self._reader) and self._keep_alive is not None:
        self._keep_alive.packet_sent(now)
        self._keep_alive.packet_received(now)


def _forgets_half(real: Any, self: Any, data: bytes, now: float) -> None:
    real(self, data, now)
    self._reader.take_rest()


MUTANTS = [
    *table("broker", "connect/websocket_*", {f"broker {name}": fault for name, fault in FRAMES.items()}
           | {"broker chooses no sub-protocol": _UNNAMED}),
    *table("client", "connect/websocket_*", {f"client {name}": fault for name, fault in FRAMES.items()}
           | {"client offers no sub-protocol": _UNNAMED}),
    *table("client", "keep_alive delivery connect", {
        "does not ping while a packet arrives": around(ClientCore, "receive_data", _half_counts),
        "forgets half packets of a broker": around(ClientCore, "receive_data", _forgets_half),
    }),
]  # fmt: skip
