"""The hot path: streams of PUBLISH packets and acknowledgements, walked in place.

One read holds up to thousands of packets. They are not decoded: an index walks the bytes, neighbours with the same
head (first byte, length, topic, properties) are one *run*, and neighbouring runs with the same receivers are one
*stretch*, which leaves to each of them as one slice of what came in (`forwarding`). Everything else goes packet by
packet through `dispatch.handle`, and that slow path is the definition: tests feed both the same traffic and compare
every byte.

What is skipped here, and why that is safe:
- decoding and validation: a head is remembered only after its first packet was decoded by the wire, and encoding it
  gives the same bytes, so every later packet with the same head is as valid, and forwarding its bytes is what encoding
  would give. What follows the head is payload, or a packet identifier that is looked at.
- matching and the right to publish: remembered with the head, and forgotten when subscriptions or rights change
  (`Router.cut`).
- objects: a message that is only passed on has none, nor has one that waits for a receiver's acknowledgements. A
  receiver that needs more than a slice (topic aliases, a limit on size, a full buffer, absence) gets messages made for
  it, and the slow path's treatment.
- bookkeeping packet by packet: identifiers and quota are counted by the run, messages in flight are kept as bytes.

What is left alone: packets of more than a mebibyte, retained messages, DUP, message expiry at QoS 1 and 2, inbound
aliases, No Local, more than one shared subscription or one beside a session's own, reason codes other than success,
anything before CONNACK.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from struct import unpack
from typing import Final

from reference_broker.broker.fast.forwarding import Forwarder, Run
from reference_broker.broker.fast.heads import NOBODY, Head, Heads
from reference_broker.broker.outgoing.bursts import Burst
from reference_broker.broker.outgoing.flight import Numbers, OnSettled
from reference_broker.broker.peers.dispatch import handle
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.runs import run_length
from reference_broker.wire.packets import Publish
from reference_broker.wire.types import QoS, Version

_PUBLISH_QOS0, _PUBLISH_QOS1, _PUBLISH_QOS2 = 0x30, 0x32, 0x34  # no DUP, no RETAIN
_PUBACK, _PUBREC, _PUBREL, _PUBCOMP = 0x40, 0x50, 0x62, 0x70
_QOS: Final = {_PUBLISH_QOS0: QoS.AT_MOST_ONCE, _PUBLISH_QOS1: QoS.AT_LEAST_ONCE, _PUBLISH_QOS2: QoS.EXACTLY_ONCE}

_SINGLES_BYTES: Final = 8192
_STRETCHES_AT_ONCE: Final = 16
"""How many bytes of short packets, and to how many sets of receivers, are one step; each may have thousands."""


def walk(link: Peer, heads: Heads, data: bytes, now: float, position: int = 0) -> int:
    """Handle the whole packets in `data` from `position`; returns where the first incomplete one begins.

    Raises what `dispatch.handle` raises, and stops when the link is closed. Stops between two packets when its turn is
    over, too, and says so with the link's `has_more`.
    """
    reader = _Walker(link, heads, data, now)
    try:
        end = reader.walk(position)
    finally:
        reader.flush()  # what came before counts even if the next packet is malformed
    if end > position and link.keep_alive is not None:
        link.keep_alive.packet_received(now)
    return end


def missing_bytes(begun: bytes, data: bytes) -> int:
    """How many bytes of `data` complete the packet that `begun` begins; 0 when they do not, or that is hard to tell."""
    head = begun + data[:4]
    length, body = (head[1], 2) if head[1] < 128 else _long_length(head, 0, len(head))
    missing = body + length - len(begun)
    return missing if body and 0 < missing <= len(data) else 0


def _long_length(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A remaining length of more than one byte and where it ends; 0 for where if it is not all there, or too long."""
    length = shift = 0
    for index in range(position + 1, min(position + 5, end)):
        byte = data[index]
        length |= (byte & 0x7F) << shift
        if byte < 128:
            return length, index + 1
        shift += 7
    return 0, 0


class _Walker(Forwarder):
    """One walk: what it reads, and the stretch of QoS 0 runs it has read and not yet forwarded."""

    __slots__ = ("_heads", "_known", "_receivers", "_runs", "_session")

    def __init__(self, link: Peer, heads: Heads, data: bytes, now: float) -> None:
        super().__init__(link, data, now)
        assert link.session is not None
        self._session = link.session
        self._heads = heads
        self._known = heads.of(link.session)
        self._runs: list[Run] = []
        self._receivers = NOBODY

    def walk(self, position: int) -> int:
        """As `walk` of the module, but for the stretch at the end, which is still to be forwarded."""
        data, end, is_turn_over = self._data, self._end, self._link.house.is_turn_over
        begin = position
        while position + 1 < end:
            if position > begin and is_turn_over():
                self._link.has_more = True
                break
            first, length = data[position], data[position + 1]
            if first == _PUBLISH_QOS0 and (singles_end := self.singles(position)) > position:
                position = singles_end
                continue
            body = position + 2
            if length > 127:  # a remaining length of more than one byte
                length, body = _long_length(data, position, end)
                if not body:
                    break
                if not data[body - 1]:
                    first = 0  # padded: not what encoding gives, and malformed in 5.0
            packet_end = body + length
            if packet_end > end:
                break
            if first in _QOS:
                consumed = self.publishes(first, position, body, packet_end)
            elif length == 2 and first in _ACKNOWLEDGEMENTS:
                consumed = self.acknowledgements(first, position)
            else:
                consumed = 0
            if not consumed:
                self.handle_plainly(data[position:packet_end])
                if self._link.is_closed():
                    return packet_end
                consumed = packet_end - position
            position += consumed
        return position

    def handle_plainly(self, data: bytes) -> None:
        """One packet by the slow path, which may change everything that is remembered."""
        self.flush()
        link = self._link
        handle(link, link.read(data), self._now)
        if not link.is_closed():
            self._known = self._heads.of(self._session)

    def singles(self, position: int) -> int:
        """Take short QoS 0 packets of known heads, each unlike the one before it, as runs of one; where that ends.

        This is for streams of many topics, where nothing can be done for more than one packet at a time.
        """
        data, known, longest = self._data, self._known, self._heads.longest_short
        end = min(self._end, position + _SINGLES_BYTES)
        is_v5, runs, receivers = self._is_v5, self._runs, self._receivers
        last = runs[-1][4] if runs else None
        stretches = _STRETCHES_AT_ONCE
        while position + 3 < end and data[position] == _PUBLISH_QOS0:
            length = data[position + 1]
            packet_end = position + 2 + length
            if length > longest or packet_end > end:
                break
            payload = position + 4 + data[position + 3]  # a topic of 256 bytes or more is in no short packet
            if is_v5:  # nor are properties of 128 bytes or more
                payload += 1 + data[payload] if payload < packet_end else 1
            if payload > packet_end:
                break
            head = known.get(data[position + 2 : payload])
            if head is None or head is last:
                break
            if head.receivers is not receivers:
                if not stretches:
                    break
                stretches -= 1
                self.flush()
                runs, receivers = self._runs, head.receivers
                self._receivers = receivers
            runs.append((position, packet_end - position, 1, payload - position, head))
            last = head
            position = packet_end
        return position

    def publishes(self, first: int, position: int, body: int, packet_end: int) -> int:
        """Take the run of PUBLISH packets that begins at `position`; returns its bytes, 0 to have it done plainly."""
        data = self._data
        size = packet_end - position
        if packet_end - body < 2 or size > self._heads.size_limit:
            return 0
        topic_end = body + 2 + (data[body] << 8 | data[body + 1])
        behind_id = topic_end if first == _PUBLISH_QOS0 else topic_end + 2
        payload = behind_id
        if self._is_v5:
            payload = self._properties_end(behind_id, packet_end)
        if payload > packet_end:
            return 0
        key = data[body:payload] if behind_id == topic_end else data[body:topic_end] + data[behind_id:payload]
        head = self._known.get(key)
        if head is None:
            if key in self._known:
                return 0
            head = self._learn(key, data[position:packet_end])
            if head is None:
                return 0
        if behind_id == topic_end:
            count = 1
            if data[packet_end : packet_end + payload - position] == data[position:payload]:
                room = (self._end - position) // size
                count = run_length(data, position, size, ((0, payload - position),), room)
            if head.receivers is not self._receivers:
                self.flush()
                self._receivers = head.receivers
            self._runs.append((position, size, count, payload - position, head))
            return count * size
        room = (self._end - position) // size
        spans = ((0, topic_end - position), (behind_id - position, payload - position))
        count = run_length(data, position, size, spans, room)
        run = (position, size, count, payload - position, head)
        return size * self._take_acknowledged(_QOS[first], run, topic_end - position)

    def _learn(self, key: bytes, data: bytes) -> Head | None:
        """Decode the first packet of its kind, and remember whether it and those like it can be done here."""
        link = self._link
        packet = link.read(data)
        assert isinstance(packet, Publish)
        assert link.version is not None
        head = self._heads.learn(self._session, link.version, key, packet, data)
        self._known = self._heads.of(self._session)
        return head

    def _properties_end(self, position: int, packet_end: int) -> int:
        """Where the properties at `position` end; behind the packet when that cannot be told simply."""
        data = self._data
        if position >= packet_end:
            return packet_end + 1
        length = data[position]
        if length < 128:
            return position + 1 + length
        if position + 1 >= packet_end or not 0 < data[position + 1] < 128:
            return packet_end + 1
        return position + 2 + (length & 0x7F | data[position + 1] << 7)

    def flush(self) -> None:
        """Forward the stretch that was read and not yet forwarded."""
        runs = self._runs
        if runs:
            receivers = self._receivers
            self._runs, self._receivers = [], NOBODY
            self.forward(runs, receivers)

    # --- QoS 1 and 2 from a publisher --------------------------------------------------------------------------------

    def _take_acknowledged(self, qos: QoS, run: Run, id_at: int) -> int:
        """Accept, deliver and acknowledge as many packets of a run as can be done simply; returns how many."""
        start, size, count, payload, head = run
        link, session, receivers = self._link, self._session, head.receivers
        targets, shared = receivers.targets, receivers.shared
        if head.form.expires or qos > head.highest_qos:
            return 0
        if not targets and shared is None and self._is_v5 and link.house.config.no_matching_subscribers_reason:
            return 0  # the acknowledgement says so
        own = next((target for target in targets if target.session is session), None)
        if (own is not None and own.qos is QoS.AT_MOST_ONCE) or (shared is not None and session in shared):
            return 0  # its own messages and acknowledgements would change places
        data = self._data
        last = start + (count - 1) * size + id_at
        high, low = data[start + id_at : last + 1 : size], data[start + id_at + 1 : last + 2 : size]
        encoded = bytearray(2 * count)
        encoded[::2], encoded[1::2] = high, low
        accept = _accept_qos1 if qos is QoS.AT_LEAST_ONCE else _accept_qos2
        accepted = accept(link, bytes(encoded))
        if not accepted:
            return 0
        self.flush()
        answers = bytearray((b"\x40\x02\0\0" if qos is QoS.AT_LEAST_ONCE else b"\x50\x02\0\0") * accepted)
        answers[2::4], answers[3::4] = high[:accepted], low[:accepted]
        burst = Burst(
            data, start, size, accepted, id_at, payload, head.form, qos, self._is_v5, self._now, link.client_id
        )
        self.forward_acknowledged(burst, receivers, own, bytes(answers))
        return accepted

    # --- acknowledgements --------------------------------------------------------------------------------------------

    def acknowledgements(self, first: int, position: int) -> int:
        """Take the run of four-byte acknowledgements of one kind at `position`; returns its bytes, or 0."""
        data = self._data
        count = run_length(data, position, 4, ((0, 2),), (self._end - position) // 4)
        packets = data[position : position + 4 * count]
        encoded = bytearray(2 * count)
        encoded[::2], encoded[1::2] = packets[2::4], packets[3::4]
        return 4 * _ACKNOWLEDGEMENTS[first](self, packets, bytes(encoded))

    def pubacks(self, _packets: bytes, encoded: bytes) -> int:
        flight = self._session.flight
        if flight is None:
            return 0
        return self._settle(flight.settle_publishes(encoded, QoS.AT_LEAST_ONCE, self._on_settled()))

    def pubrecs(self, packets: bytes, encoded: bytes) -> int:
        flight = self._session.flight
        if flight is None:
            return 0
        taken = 0
        ledger = self._session.ledger
        for packet_ids in flight.settle_publishes(encoded, QoS.EXACTLY_ONCE, self._on_settled()):
            begin, taken = taken, taken + len(packet_ids)
            released = Numbers(packet_ids, encoded[2 * begin : 2 * taken])
            flight.release(released)
            if ledger is not None:
                ledger.run_released(released)
        self._answer(packets, taken, _PUBREL)
        return taken

    def pubcomps(self, _packets: bytes, encoded: bytes) -> int:
        flight = self._session.flight
        if flight is None:
            return 0
        return self._settle(flight.settle_releases(encoded, self._on_settled()))

    def _on_settled(self) -> OnSettled | None:
        ledger = self._session.ledger
        return None if ledger is None else ledger.run_settled

    def _settle(self, done: list[Sequence[int]]) -> int:
        """These messages are done with, others may take their place; how many."""
        count = sum(map(len, done))
        if count:
            self.flush()
            self._link.parts()[1].settled(count, self._now)
        return count

    def pubrels(self, packets: bytes, encoded: bytes) -> int:
        link = self._link
        packet_ids = unpack(f">{len(encoded) // 2}H", encoded)
        taken = self._session.inbound.forget_known(packet_ids)
        if link.receive_quota is not None:
            for packet_id in packet_ids[:taken]:
                link.receive_quota.give_back(packet_id)
        self._answer(packets, taken, _PUBCOMP)
        return taken

    def _answer(self, packets: bytes, count: int, first: int) -> None:
        """Send the same identifiers back under another packet type."""
        if count:
            self.flush()
            answers = bytearray(packets[: 4 * count])
            answers[0::4] = bytes((first,)) * count
            self._link.write(bytes(answers))


_ACKNOWLEDGEMENTS: Final[dict[int, Callable[[_Walker, bytes, bytes], int]]] = {
    _PUBACK: _Walker.pubacks,
    _PUBREC: _Walker.pubrecs,
    _PUBREL: _Walker.pubrels,
    _PUBCOMP: _Walker.pubcomps,
}
"""By first byte: handles identifiers in order up to the first that needs the slow path, and returns how many."""


def _accept_qos1(link: Peer, encoded: bytes) -> int:
    """How many QoS 1 packets with these identifiers, from the first, need nothing but delivery and PUBACK."""
    session, _ = link.parts()
    quota = link.receive_quota  # None in 3.x
    if quota is not None and len(quota) >= quota.receive_maximum:
        return 0
    inbound: Container[int] = session.inbound if link.version is Version.V5 and len(session.inbound) else ()
    count = len(encoded) // 2
    if not inbound and b"\0\0" not in encoded:
        return count
    packet_ids = unpack(f">{count}H", encoded)
    return next((at for at, packet_id in enumerate(packet_ids) if not packet_id or packet_id in inbound), count)


def _accept_qos2(link: Peer, encoded: bytes) -> int:
    """Store the identifiers of new QoS 2 messages, from the first; how many."""
    inbound, quota = link.parts()[0].inbound, link.open_receive_quota()
    packet_ids = unpack(f">{len(encoded) // 2}H", encoded)
    if quota is None:
        return inbound.restore_new(packet_ids)
    accepted = inbound.restore_new(packet_ids[: quota.receive_maximum - len(quota)])
    for packet_id in packet_ids[:accepted]:
        quota.take(packet_id)
    return accepted
