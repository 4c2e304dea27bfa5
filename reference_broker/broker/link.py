"""The protocol state of one network connection.

Belongs here: cutting bytes into packets, which packet is allowed when, how a connection ends, and its output buffer.
Does not belong here: what each packet does (`connecting`, `publishing`, `subscribing`, `authenticating`), sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reference_broker.broker import accepting, authenticating, connecting, fastpath, publishing, subscribing
from reference_broker.broker.access import Authentication
from reference_broker.broker.config import NO_LIMIT
from reference_broker.broker.phase import Phase
from reference_broker.broker.sending import MUCH_BYTES, Sender, shortened
from reference_broker.broker.sessions import Session
from reference_broker.session.flow_control import ReceiveQuota
from reference_broker.session.keep_alive import ServerKeepAlive
from reference_broker.session.topic_aliases import InboundAliases
from reference_broker.wire.decode import Reader
from reference_broker.wire.errors import ProtocolError, RemoteError
from reference_broker.wire.packets import Connect, Disconnect, Packet, PingReq
from reference_broker.wire.reasons import SERVER_REASONS
from reference_broker.wire.sender import Sender as Side
from reference_broker.wire.types import PacketType, ReasonCode, Version

if TYPE_CHECKING:
    from reference_broker.broker.broker import Broker
    from reference_broker.broker.timers import Timer

_DISCONNECT_REASONS = SERVER_REASONS[PacketType.DISCONNECT]
_LARGE_PACKET = 65_536
"""An incomplete packet of this many bytes is left with the reader, which copies it once."""
_LARGE_READ = 65_536
"""A read of this many bytes is not copied to have the packet before it whole."""
_PINGRESP = b"\xd0\x00"


_LARGE_PIECE = 4096
"""Output of a peer that does not read is kept in pieces of at least so many bytes."""
_MOST_HELD_ANSWERS = 4 * 65_535
"""Bytes of acknowledgements for all identifiers there are."""
_MOST_LINES = 100
"""So much is logged of one connection."""

Buffer = bytes | bytearray | memoryview


class Link:
    """One accepted connection; an adapter moves its bytes and tells it the time.

    `reading_paused` asks the adapter to read no more until it is False again, which it looks up after each
    `Broker.take_output`. `writing_paused` is what the adapter said last.
    """

    __slots__ = (
        "_dirty",
        "_lines",
        "_output",
        "_reader",
        "_timer",
        "authentication",
        "broker",
        "client_id",
        "close_requested",
        "connect",
        "dropped_messages",
        "held_answers",
        "held_bytes",
        "inbound_aliases",
        "keep_alive",
        "peer",
        "phase",
        "reading_paused",
        "receive_quota",
        "requested_expiry",
        "sender",
        "session",
        "swollen_bytes",
        "version",
        "writing_paused",
    )

    def __init__(self, broker: Broker, now: float, peer: str) -> None:
        self.broker = broker
        self.peer = peer
        self.phase = Phase.AWAITING_CONNECT
        self.version: Version | None = None
        self.client_id: str | None = None
        self.connect: Connect | None = None
        """The CONNECT being authenticated; None when it is done with."""
        self.requested_expiry = 0
        """The Session Expiry Interval of CONNECT."""
        self.session: Session | None = None
        self.sender: Sender | None = None
        self.authentication: Authentication | None = None
        self.keep_alive: ServerKeepAlive | None = None
        self.receive_quota: ReceiveQuota | None = None
        self.inbound_aliases: InboundAliases | None = None
        self.reading_paused = False
        self.writing_paused = False
        self.held_bytes = 0
        """Output waiting because writing is paused."""
        self.swollen_bytes = 0
        """Output since the last `take_output` that is far more than what was read for it."""
        self.held_answers: bytearray | None = None
        """PUBACK and PUBREC packets waiting for a subscriber; None while they leave at once."""
        self.dropped_messages = 0
        """QoS 0 messages this client did not get because it did not read."""
        self.close_requested = False
        self._output: list[Buffer] | None = None
        self._dirty = False
        self._lines = 0
        self._reader: Reader | None = None
        deadline = now + broker.config.connect_timeout_seconds
        self._timer: Timer | None = broker.timers.at(deadline, self._connect_overdue)

    # --- what the adapter calls --------------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; never raises for what a peer can send. Nothing happens once the link is closed."""
        if self.is_closed():
            return
        self.broker.now = now
        self.broker.active_link = self
        begun_bytes = 0 if self._reader is None else len(self._reader)
        try:
            if self.broker.fast_path and self.phase is Phase.CONNECTED and begun_bytes < _LARGE_PACKET:
                self._receive_stream(data, now)
            else:
                self._receive_packets(data, now)
        except RemoteError as error:
            self.fail(error, now)
        finally:
            left_bytes = 0 if self._reader is None else len(self._reader)
            if not left_bytes:
                self._reader = None  # thousands of idle connections have nothing to read
            self.broker.backpressure.read_done(self)
            self.broker.active_link = None
            if (left_bytes or begun_bytes) and not self.is_closed():
                self._begun(left_bytes, now)

    def _begun(self, size_bytes: int, now: float) -> None:
        """So many bytes of an incomplete packet are there: some link may have to go for that."""
        largest = self.broker.incoming.changed(self, size_bytes, is_opening=self.phase is not Phase.CONNECTED)
        if largest is not None:
            text = "too many bytes of incomplete packets, most of them from here"
            largest.log(text)
            largest.disconnect(ReasonCode.QUOTA_EXCEEDED, text, now)

    def _receive_packets(self, data: bytes, now: float) -> None:
        """The slow path: one packet after the other."""
        reader = self.reader
        reader.feed(data)
        while not self.is_closed() and (packet := reader.next_packet()) is not None:
            self.handle(packet, now)

    def _receive_stream(self, data: bytes, now: float) -> None:
        """The fast path, which leaves the incomplete packet at the end to the reader."""
        position = 0
        if self._reader is not None:
            rest = self._reader.take_rest()
            position = fastpath.missing_bytes(rest, data) if len(data) >= _LARGE_READ else 0
            if position:
                fastpath.walk(self, rest + data[:position], now)
                if self.is_closed():
                    return
            else:
                data = rest + data
        position = fastpath.walk(self, data, now, position)
        if position < len(data) and not self.is_closed():
            self.reader.feed(data[position:])
            self.reader.next_packet()  # none yet, but its header may be wrong already

    def connection_lost(self, now: float) -> None:
        """The network connection is gone without DISCONNECT, or after this side closed it."""
        self.broker.now = now
        self.end(now, publish_will=True)
        self._output = None
        self.close_requested = False  # nothing is left to close

    def pause_writing(self) -> None:
        """The adapter's buffer is full: hold output back, within bounds."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """The adapter's buffer has drained: `Broker.take_output` has what was held back."""
        self.shrink()
        self.broker.backpressure.drained(self)
        if self._output:
            self._mark_dirty()
        if self.sender is not None and self.phase is Phase.CONNECTED:
            self.sender.pump(self.broker.now)

    def is_closed(self) -> bool:
        """Whether this side is done with the connection."""
        return self.phase is Phase.CLOSED

    # --- packets in --------------------------------------------------------------------------------------------------

    def handle(self, packet: Packet, now: float) -> None:
        """Let one packet have its effect; raises RemoteError when it is not allowed now."""
        handler = HANDLERS.get((self.phase, packet.type))
        if handler is None:
            raise self._unexpected(packet)
        if self.keep_alive is not None:
            self.keep_alive.packet_received(now)
        handler(self, packet, now)

    def _unexpected(self, packet: Packet) -> ProtocolError:
        if packet.type is PacketType.CONNECT:
            label = Version(self.version or Version.V5).label
            return ProtocolError("a second CONNECT", f"{label} MQTT-3.1.0-2" if label != "3.1" else "3.1 MQTT31-23")
        if self.phase is Phase.AUTHENTICATING:
            return ProtocolError(f"{packet.type.name} before CONNACK", "5.0 MQTT-3.1.2-30")
        return ProtocolError(f"{packet.type.name} from a client", "")

    @property
    def reader(self) -> Reader:
        """What cuts this peer's bytes into packets; it is there only while it has something to do."""
        if self._reader is None:
            maximum = self.broker.config.maximum_packet_size
            if self.phase is not Phase.CONNECTED:
                maximum = min(maximum or NO_LIMIT, self.broker.config.maximum_connect_size)
            self._reader = Reader(self.version, maximum_packet_size=maximum, sender=Side.CLIENT)
        return self._reader

    def read(self, data: bytes) -> Packet:
        """Decode one whole packet from this peer; raises RemoteError."""
        reader = self.reader
        reader.feed(data)
        packet = reader.next_packet()
        assert packet is not None
        return packet

    def parts(self) -> tuple[Session, Sender]:
        """Session and sender, which a connected link always has."""
        assert self.session is not None
        assert self.sender is not None
        return self.session, self.sender

    def has_to_acknowledge(self) -> bool:
        """Whether the peer has QoS 1 or 2 messages whose acknowledgements are still to come."""
        return self.sender is not None and self.sender.quota.available < self.sender.quota.receive_maximum

    def open_receive_quota(self) -> ReceiveQuota | None:
        """What the peer may have unacknowledged, made when it is first needed; None in 3.x. [5.0 MQTT-3.3.4-7]"""
        if self.receive_quota is None and self.version is Version.V5:
            self.receive_quota = ReceiveQuota(self.broker.config.receive_maximum)
        return self.receive_quota

    # --- packets out -------------------------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        """Append whole packets to the output."""
        if self.writing_paused:
            self._hold(data)
        elif self._output is None:
            self._output = [data]
        else:
            self._output.append(data)
        if not self._dirty:
            self._mark_dirty()

    def _hold(self, data: Buffer) -> None:
        """Append to the output of a peer that does not read: small pieces in one, or each would take 50 bytes more."""
        output = self._output = self._output or []
        last = output[-1] if output else None
        if len(data) >= _LARGE_PIECE:
            output.append(data)
        elif isinstance(last, bytearray) and len(last) < _LARGE_PIECE:
            last += data
        else:
            output.append(bytearray(data))
        self.held_bytes += len(data)
        self.broker.backpressure.held(self)

    def has_swollen(self, size_bytes: int) -> None:
        """So much was written for little that was read: past a bound it counts as if the peer did not read.

        Until the output is taken, because only then it is known whether the peer reads.
        """
        self.swollen_bytes += size_bytes
        if self.swollen_bytes > MUCH_BYTES and not self.writing_paused:
            self.writing_paused = True
            self.broker.swollen.append(self)

    def shrink(self) -> None:
        """The output is about to be taken."""
        self.writing_paused = False
        self.held_bytes = 0

    def answer(self, data: bytes) -> None:
        """Append PUBACK or PUBREC packets to the output, or keep them until `release_answers`."""
        if self.held_answers is None:
            self.write(data)
            return
        self.held_answers += data
        if len(self.held_answers) > _MOST_HELD_ANSWERS:  # more than a client can wait for: it does not wait
            self.release_answers()

    def release_answers(self) -> None:
        """Let answers leave, those held back first. [5.0 MQTT-4.6.0-2, MQTT-4.6.0-3]"""
        answers, self.held_answers = self.held_answers, None
        if answers and not self.is_closed():
            self.write(bytes(answers))

    def is_overfull(self) -> bool:
        """Whether the peer is so far behind that messages are dropped (QoS 0) or wait in the session."""
        return self.held_bytes >= self.broker.config.outgoing_maximum_bytes and self.writing_paused

    def has_room(self, size_bytes: int) -> bool:
        """Whether so many bytes of messages may be written, none of which `is_overfull` would have kept back."""
        return not self.writing_paused or self.held_bytes + size_bytes <= self.broker.config.outgoing_maximum_bytes

    def take_output(self) -> tuple[list[Buffer], bool] | None:
        """What to write, piece by piece, and whether to close afterwards; None while writing is paused."""
        self._dirty = False
        self.swollen_bytes = 0
        if self.writing_paused and not self.close_requested:
            return None
        pieces, self._output = self._output, None
        return pieces or [], self.close_requested

    def _mark_dirty(self) -> None:
        self._dirty = True
        self.broker.dirty.append(self)

    # --- the end -----------------------------------------------------------------------------------------------------

    def fail(self, error: RemoteError, now: float) -> None:
        """The peer broke the protocol: say so if that can be said, close. [5.0 MQTT-4.13.1-1, 3.1.1 MQTT-4.8.0-1]"""
        cause = f"{error} [{error.statement}]" if error.statement else str(error)
        self.log(cause)
        if self.phase is Phase.AWAITING_CONNECT or self.phase is Phase.AUTHENTICATING:
            accepting.answer_failed(self, error, self.reader.take_rest())
            self.end(now, publish_will=False)
        else:
            # An unknown protocol version in a second CONNECT, say, has no code of its own here.
            reason = error.reason if error.reason in _DISCONNECT_REASONS else ReasonCode.PROTOCOL_ERROR
            self.disconnect(reason, cause, now)

    def disconnect(self, reason: ReasonCode, text: str, now: float, *, publish_will: bool = True) -> None:
        """Close from this side, in 5.0 with a DISCONNECT that says why."""
        if self.is_closed():
            return
        if self.writing_paused:
            # The peer does not read: let go of what it would not get, so that the last packet has room.
            self._output = None
        if self.version is Version.V5 and self.sender is not None and self.phase is Phase.CONNECTED:
            self.sender.send(Disconnect(reason, self.sender.diagnostics(PacketType.DISCONNECT, text)))
        self.end(now, publish_will=publish_will)

    def end(self, now: float, *, publish_will: bool) -> None:
        """Close without another packet and leave the session; a second call does nothing."""
        if self.is_closed():
            return
        self.phase = Phase.CLOSED
        self.close_requested = True
        if self.dropped_messages:
            self.log(f"{self.dropped_messages} QoS 0 messages dropped, because it did not read")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.broker.backpressure.forget(self)
        self.broker.opening.pop(self, None)
        self.broker.incoming.forget(self)
        if not self._dirty:
            self._mark_dirty()
        session, self.session = self.session, None
        self.sender = None
        if session is not None:
            self.broker.link_count -= 1
            self.broker.sessions.leave(session, now, publish_will=publish_will)

    def log(self, what: str) -> None:
        """One line about this peer, not too long and not too often: who writes it chooses topics and how many."""
        self._lines += 1
        if self._lines > _MOST_LINES:
            return
        who = "before CONNECT" if self.client_id is None else f"client id {shortened(repr(self.client_id), 100)}"
        if self._lines == _MOST_LINES:
            what = "one of many lines about this connection, the last that is logged"
        self.broker.log(f"{self.peer or 'peer'}, {who}: {shortened(what)}")

    # --- time --------------------------------------------------------------------------------------------------------

    def connected(self, now: float, keep_alive: int) -> None:
        """CONNACK was sent: stop waiting for CONNECT, begin to watch the keep alive. [5.0 3.1.4]"""
        self.phase = Phase.CONNECTED
        self.broker.opening.pop(self, None)
        self.broker.incoming.opened(self)
        self.reader.maximum_packet_size = self.broker.config.maximum_packet_size
        assert self._timer is not None
        self._timer.cancel()
        self._timer = None
        if keep_alive:
            self.keep_alive = ServerKeepAlive(keep_alive, now)
            self._watch_keep_alive()

    def _watch_keep_alive(self) -> None:
        assert self.keep_alive is not None
        deadline = self.keep_alive.deadline()
        assert deadline is not None
        self._timer = self.broker.timers.at(deadline, self._keep_alive_due)

    def _keep_alive_due(self, now: float) -> None:
        """The timer is not moved by each packet: it looks when it fires, and goes on if there was one."""
        assert self.keep_alive is not None
        if self.reading_paused and self.broker.backpressure.is_waiting(self):
            self.keep_alive.packet_received(now)  # its silence is ours: we do not read
        if self.keep_alive.is_overdue(now):
            self.log("keep alive timeout")
            # As if the network had failed. [3.1.1 MQTT-3.1.2-24, 5.0 MQTT-3.1.2-22]
            self.disconnect(ReasonCode.KEEP_ALIVE_TIMEOUT, "keep alive timeout", now)
        else:
            self._watch_keep_alive()

    def _connect_overdue(self, now: float) -> None:
        self.log(
            "no complete CONNECT in time" if self.phase is Phase.AWAITING_CONNECT else "authentication not in time"
        )
        self.end(now, publish_will=False)


# --- the small handlers ----------------------------------------------------------------------------------------------


def _on_pingreq(link: Link, _packet: PingReq, _now: float) -> None:
    link.write(_PINGRESP)  # [5.0 MQTT-3.12.4-1]


def _on_disconnect(link: Link, packet: Disconnect, now: float) -> None:
    interval = packet.properties.session_expiry_interval
    if interval is not None and link.session is not None:
        if interval and not link.requested_expiry:
            raise ProtocolError("DISCONNECT gives a session an expiry it did not have", "5.0 3.14.2.2.2")
        link.session.expiry_interval = min(interval, link.broker.config.session_expiry_maximum)
    # Anything but 0x00 leaves the will to be published. [5.0 3.1.2.5, MQTT-3.14.4-3]
    link.end(now, publish_will=packet.reason != ReasonCode.SUCCESS)


def _on_acknowledgement(link: Link, packet: Any, now: float) -> None:
    assert link.sender is not None
    link.sender.acknowledged(packet, now)


HANDLERS: dict[tuple[Phase, PacketType], Callable[[Link, Any, float], None]] = {
    (Phase.AWAITING_CONNECT, PacketType.CONNECT): connecting.on_connect,
    (Phase.AUTHENTICATING, PacketType.AUTH): authenticating.on_auth_before_connack,
    (Phase.AUTHENTICATING, PacketType.DISCONNECT): _on_disconnect,
    (Phase.CONNECTED, PacketType.PUBLISH): publishing.on_publish,
    (Phase.CONNECTED, PacketType.PUBREL): publishing.on_pubrel,
    (Phase.CONNECTED, PacketType.PUBACK): _on_acknowledgement,
    (Phase.CONNECTED, PacketType.PUBREC): _on_acknowledgement,
    (Phase.CONNECTED, PacketType.PUBCOMP): _on_acknowledgement,
    (Phase.CONNECTED, PacketType.SUBSCRIBE): subscribing.on_subscribe,
    (Phase.CONNECTED, PacketType.UNSUBSCRIBE): subscribing.on_unsubscribe,
    (Phase.CONNECTED, PacketType.PINGREQ): _on_pingreq,
    (Phase.CONNECTED, PacketType.DISCONNECT): _on_disconnect,
    (Phase.CONNECTED, PacketType.AUTH): authenticating.on_auth,
}
"""Which packet is allowed in which phase, and what it does. What is not here is a protocol error."""
