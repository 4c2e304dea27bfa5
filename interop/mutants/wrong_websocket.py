"""The WebSocket of either side that commits a mutant's faults.

Belongs here: where faults of frames and of the handshake take hold of the right WebSocket.
Does not belong here: the faults (`mutant`), the mutants (`websocket_frames`), faults of packets (`wrong_ends`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode

from interop.mutants.mutant import Hears, Mutant, Says
from reference_broker.net.websocket import WebSocketWrapping


@dataclass(frozen=True)
class Handshake:
    """The request or response of the upgrade, as it leaves."""

    data: bytes


_OPCODE = 0x0F


class WrongWebSocket(WebSocketWrapping):
    """A WebSocket with faults; `memory` is for what a fault has to remember."""

    mutant: Mutant

    def __init__(self, *arguments: Any) -> None:
        self.memory: dict[Any, Any] = {}
        super().__init__(*arguments)

    def send(self, data: bytes) -> bytes:
        """Put bytes in frames as they are mistold."""
        masked = isinstance(self._protocol, ClientProtocol)
        frames = self._changed(Says, Frame(Opcode.BINARY, data))
        return self.take_reply() + b"".join(each.serialize(mask=masked) for each in frames)

    def take_reply(self) -> bytes:
        """Give what the library has to say, as it is mistold."""
        return b"".join(chunk for said in self._protocol.data_to_send() for chunk in self._said(said))

    def _said(self, data: bytes) -> list[bytes]:
        if data[:4] in (b"GET ", b"HTTP"):
            return [each.data for each in self._changed(Says, Handshake(data))]
        if not data:
            return []
        kept = self._changed(Says, Frame(Opcode(data[0] & _OPCODE), b""))
        return [data] if kept else []

    def _take_frames(self, data: bytes, payloads: list[bytes]) -> None:
        self._give_library(data, payloads)  # one by one: the short cut knows no faults

    def _take_frame(self, frame: Frame, payloads: list[bytes]) -> None:
        for heard in self._changed(Hears, frame):
            super()._take_frame(heard, payloads)

    def _changed(self, kind: type, value: Any) -> list[Any]:
        values = [value]
        for fault in self.mutant.of(kind):
            if isinstance(value, fault.kind):
                values = [each for one in values for each in _listed(fault.change(one, self))]
        return values


def _listed(answer: Any) -> list[Any]:
    if answer is None:
        return []
    return list(answer) if isinstance(answer, tuple) else [answer]


def wrong_websocket(mutant: Mutant) -> type[WebSocketWrapping]:
    """The WebSocket of a mutant: the right one where nothing is wrong with it."""
    if not any(fault.kind in (Frame, Handshake) for kind in (Says, Hears) for fault in mutant.of(kind)):
        return WebSocketWrapping
    return type("WrongWebSocketOfOne", (WrongWebSocket,), {"mutant": mutant})
