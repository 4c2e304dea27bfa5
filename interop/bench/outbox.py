"""What one publisher sends: stretches of its ring, as far as window and budget allow.

Belongs here: which bytes are next, and which packet identifiers are in use. Does not belong here: sockets (`peer`).
"""

from __future__ import annotations

from array import array
from sys import byteorder

from interop.bench.inbox import BadStream, acknowledgements
from interop.bench.stream import STAMP, TIME_OFFSET, Form, Ring, Topics, head_of, packet_id, ring
from reference_broker.wire.types import PacketType, QoS

_FREE, _SENT, _RELEASED = range(3)
_NEXT_STATE = {
    PacketType.PUBACK: (_SENT, _FREE),
    PacketType.PUBREC: (_SENT, _RELEASED),
    PacketType.PUBCOMP: (_RELEASED, _FREE),
}
"""The state a packet identifier must have for an acknowledgement, and has afterwards. [3.1.1 4.3, 5.0 4.3]"""


class Outbox:
    """A publisher's stream; `window` bounds its unfinished QoS 1 and 2 messages, `batch` the packets of one send."""

    def __init__(self, form: Form, topics: Topics, publisher: int, *, batch: int, window: int) -> None:
        self.sent = 0
        self.in_flight = 0
        self._qos = form.qos
        self._window = window
        self._refill = max(1, min(batch, window // 2))  # half a window at a time, or it falls to pieces
        self._publisher = publisher
        self._ring: Ring = ring(head_of(form, topics), topics, form.payload_bytes, publisher, numbered=True)
        self.packet_bytes = self._ring.packet_bytes
        self._batch = max(1, min(batch, self._ring.read_bytes // self.packet_bytes))
        self._view = memoryview(self._ring.stream)
        self._cycle = self._ring.cycle_bytes // self.packet_bytes
        self._position = 0
        self._states = bytearray(self._cycle)
        self._stamp_at = self.packet_bytes - form.payload_bytes

    def next_batch(self, allowed: int) -> memoryview:
        """The bytes of the next send, of at most `allowed` messages; they count as sent."""
        count = min(self._batch, allowed)
        if self._qos:
            room = self._window - self.in_flight
            count = self._reserve(min(count, room)) if room >= self._refill else 0
        if count <= 0:
            return self._view[:0]
        start = self._position * self.packet_bytes
        self._advance(count)
        return self._view[start : start + count * self.packet_bytes]

    def next_timed(self, now_ns: int) -> memoryview:
        """The next message, with the time; nothing while the window is full."""
        packet = bytearray(self.next_batch(1))
        if packet:
            packet[self._stamp_at + TIME_OFFSET : self._stamp_at + STAMP.size] = now_ns.to_bytes(8, "big")
        return memoryview(packet)

    def acknowledged(self, packet_type: PacketType, identifiers: bytes) -> bytes:
        """Take PUBACK, PUBREC or PUBCOMP; gives the PUBREL to send. Raises BadStream for what is not in use."""
        before, after = _NEXT_STATE[packet_type]
        if (packet_type is PacketType.PUBACK) != (self._qos is QoS.AT_LEAST_ONCE):
            raise BadStream(f"{packet_type.name} for QoS {self._qos}")
        numbers = array("H", identifiers)
        if byteorder == "little":
            numbers.byteswap()
        states, offset = self._states, packet_id(0)
        for number in numbers:
            index = number - offset
            if not 0 <= index < len(states) or states[index] != before:
                raise BadStream(f"{packet_type.name} for packet identifier {number}, which does not wait for one")
            states[index] = after
        if after == _FREE:
            self.in_flight -= len(numbers)
        return acknowledgements(PacketType.PUBREL, identifiers) if packet_type is PacketType.PUBREC else b""

    def _reserve(self, count: int) -> int:
        """Take the next packet identifiers, as many of `count` as are free in a row."""
        if count <= 0:
            return 0
        start = self._position
        wanted = self._states[start : start + count]  # a stretch ends where the ring begins again
        free = len(wanted) - len(wanted.lstrip(b"\0"))
        self._states[start : start + free] = bytes((_SENT,)) * free
        self.in_flight += free
        return free

    def _advance(self, count: int) -> None:
        self._position = (self._position + count) % self._cycle
        self.sent += count
