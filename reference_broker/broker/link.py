"""What an adapter holds of one network connection: bytes in, and the way they take.

Belongs here: cutting bytes into packets, by the fast path or the plain one, and what an adapter tells.
Does not belong here: what is known about the peer (`peers.peer`), what packets do (`peers.dispatch`), sockets.
"""

from __future__ import annotations

from reference_broker.broker.fast import fastpath
from reference_broker.broker.fast.heads import Heads
from reference_broker.broker.keeping.house import House
from reference_broker.broker.outgoing.output import Buffer
from reference_broker.broker.peers import accepting, dispatch
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.phase import Phase
from reference_broker.broker.values.sizes import connect_bytes
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.reasons import SERVER_REASONS
from reference_broker.wire.types import PacketType, ReasonCode

__all__ = ["Buffer", "Link"]

_DISCONNECT_REASONS = SERVER_REASONS[PacketType.DISCONNECT]
_OPENING = (Phase.AWAITING_CONNECT, Phase.AWAITING_CHECK, Phase.AUTHENTICATING, Phase.AWAITING_SESSION)
_WAITING = (Phase.CLOSED, Phase.AWAITING_CHECK, Phase.AWAITING_SESSION)
_LARGE_PACKET = 65_536
"""An incomplete packet of this many bytes is left with the reader, which copies it once."""
_LARGE_READ = 65_536
"""A read of this many bytes is not copied to have the packet before it whole."""


class Link(Peer):
    """One accepted connection; an adapter moves its bytes and tells it the time.

    `reading_paused` asks the adapter to read no more until it is False again, which it looks up after each
    `Broker.take_output`. `writing_paused` is what the adapter said last.
    """

    __slots__ = ("_heads",)

    def __init__(self, house: House, heads: Heads | None, now: float, adapter: object) -> None:
        """`heads` is what the fast path remembers; None to have every packet decoded and handled by itself."""
        super().__init__(house, now, adapter)
        self._heads = heads

    handle = dispatch.handle

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; never raises for what a peer can send. Nothing happens once the link is closed.

        Where the adapter says when a turn is over, it stops then between two packets: `has_more` says so, and it goes
        on when it is called again, with no bytes if none came.
        """
        had_more, self.has_more = self.has_more, False
        if self.is_closed():
            return
        round_ = self.round
        round_.now = now
        if self.house.limits_rates and self._rates is not None and (until := self._rates.charge(data, now)) > now:
            self.house.backpressure.rest(self, until)
        begun_bytes = 0 if self._reader is None or had_more else len(self._reader)
        try:
            if self._heads is not None and self.phase is Phase.CONNECTED and begun_bytes < _LARGE_PACKET:
                self._receive_stream(self._heads, data, now)
            else:
                self._receive_packets(data, now)
        except RemoteError as error:
            self.fail(error, now)
        finally:
            left_bytes = 0 if self._reader is None else len(self._reader)
            if not left_bytes:
                self._reader = None  # thousands of idle connections have nothing to read
            elif self.has_more:
                left_bytes = 0  # no incomplete packet that others are not to wait for
            if self.connect is not None:  # it is still to be let in, and what it said is kept until then
                left_bytes += connect_bytes(self.connect)
            if round_.changed or round_.pressed:
                self.house.backpressure.settle(self)
            if (left_bytes or begun_bytes) and not self.is_closed():
                self._begun(left_bytes, now)

    def _begun(self, size_bytes: int, now: float) -> None:
        """So many bytes of an incomplete packet are there: some link may have to go for that."""
        largest = self.house.incoming.changed(self, size_bytes, is_opening=self.phase is not Phase.CONNECTED)
        if largest is not None:
            text = "too many bytes of incomplete packets, most of them from here"
            largest.log(text)
            largest.disconnect(ReasonCode.QUOTA_EXCEEDED, text, now)

    def has_to_wait(self) -> bool:
        """Whether no packet is taken from the peer: it is closed, or its password or session has to be seen first."""
        return self.phase in _WAITING

    def _receive_packets(self, data: bytes, now: float) -> None:
        """The slow path: one packet after the other."""
        reader = self.reader
        reader.feed(data)
        while not self.has_to_wait() and (packet := reader.next_packet()) is not None:
            self.handle(packet, now)
            if self.house.is_turn_over() and len(reader):
                self.has_more = True
                break

    def _receive_stream(self, heads: Heads, data: bytes, now: float) -> None:
        """The fast path, which leaves the incomplete packet at the end to the reader."""
        position = 0
        if self._reader is not None:
            rest = self._reader.take_rest()
            position = fastpath.missing_bytes(rest, data) if len(data) >= _LARGE_READ else 0
            if position:
                fastpath.walk(self, heads, rest + data[:position], now)
                if self.is_closed():
                    return
            else:
                data = rest + data
        position = fastpath.walk(self, heads, data, now, position)
        if position < len(data) and not self.is_closed():
            self.reader.feed(data[position:])
            if not self.has_more:
                self.reader.next_packet()  # none yet, but its header may be wrong already

    def connection_lost(self, now: float) -> None:
        """The network connection is gone without DISCONNECT, or after this side closed it."""
        self.round.now = now
        self.end(now, publish_will=True)
        self._output = None
        self.close_requested = False  # nothing is left to close

    def pause_writing(self) -> None:
        """The adapter's buffer is full: hold output back, within bounds."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """The adapter's buffer has drained: `Broker.take_output` has what was held back."""
        self.shrink()
        self.house.backpressure.drained(self)
        if self._output:
            self.depend()
            self._mark_dirty()
        if self.sender is not None and self.phase is Phase.CONNECTED:
            self.sender.pump(self.round.now)

    def fail(self, error: RemoteError, now: float) -> None:
        """The peer broke the protocol: say so if that can be said, close. [5.0 MQTT-4.13.1-1, 3.1.1 MQTT-4.8.0-1]"""
        cause = f"{error} [{error.statement}]" if error.statement else str(error)
        self.log(cause)
        if self.phase in _OPENING:
            accepting.answer_failed(self, error, self.reader.take_rest())
            self.end(now, publish_will=False)
        else:
            # An unknown protocol version in a second CONNECT, say, has no code of its own here.
            reason = error.reason if error.reason in _DISCONNECT_REASONS else ReasonCode.PROTOCOL_ERROR
            self.disconnect(reason, cause, now)
