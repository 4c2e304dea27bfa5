"""The protocol state of one network connection, and its end.

Belongs here: what is known about the peer, its log lines, its timers, and how a connection ends.
Does not belong here: what each packet does (`connecting`, `publishing`, `subscribing`, `authenticating`) and when it is
allowed (`dispatch`), bytes that come in (`link`) or go out (`outgoing.output`), sockets.
"""

from __future__ import annotations

from abc import abstractmethod

from reference_broker.broker.keeping.house import House
from reference_broker.broker.keeping.session import Session
from reference_broker.broker.outgoing.output import Output
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.outgoing.waiting import Waiting
from reference_broker.broker.peers.reading import PeerReader
from reference_broker.broker.values.access import Claim, Proof
from reference_broker.broker.values.log import shortened
from reference_broker.broker.values.phase import Phase
from reference_broker.broker.values.rates import PeerRates
from reference_broker.broker.values.seldom import Seldom
from reference_broker.broker.values.timers import Timer
from reference_broker.session.flow_control import ReceiveQuota
from reference_broker.session.keep_alive import ServerKeepAlive
from reference_broker.session.topic_aliases import InboundAliases
from reference_broker.wire.decode import Reader
from reference_broker.wire.packets import Connect, Disconnect, Packet
from reference_broker.wire.types import PacketType, ReasonCode, Version

_MOST_LINES = 100
"""So much is logged of one connection."""


class KeepAlive(ServerKeepAlive):
    """A keep alive and when it is looked at."""

    __slots__ = ("timer",)

    def __init__(self, keep_alive: int, now: float) -> None:
        super().__init__(keep_alive, now)
        self.timer: Timer | None = None


class Peer(Output):
    """One accepted connection, as the packets of its peer see it."""

    __slots__ = (
        "_reader",
        "adapter",
        "client_id",
        "connect",
        "has_more",
        "house",
        "keep_alive",
        "listener",
        "phase",
        "receive_quota",
        "requested_expiry",
        "sender",
        "session",
        "version",
    )

    certified: Seldom[str | None] = Seldom(None)
    """Whom a certificate proved the peer to be; set by the adapter."""
    authentication: Seldom[Proof | None] = Seldom(None)
    inbound_aliases: Seldom[InboundAliases | None] = Seldom(None)
    _lines = Seldom(0)
    _rates: Seldom[PeerRates | None] = Seldom(None)

    def __init__(self, house: House, now: float, adapter: object) -> None:
        """`adapter` is what an adapter has of it: as a string the peer, `host:port`, or empty."""
        super().__init__(house.round)
        self.house = house
        self.adapter = adapter
        self.has_more = False
        """Whether packets that came are still to be handled: it was others' turn."""
        self.phase = Phase.AWAITING_CONNECT
        self.version: Version | None = None
        self.listener = ""
        """Where it came in; empty where that makes no difference. Set by the adapter."""
        self.client_id: str | None = None
        self.connect: Connect | None = None
        """The CONNECT being authenticated; None when it is done with."""
        self.requested_expiry = 0
        """The Session Expiry Interval of CONNECT."""
        self.session: Session | None = None
        self.sender: Sender | None = None
        self.keep_alive: KeepAlive | None = None
        self.receive_quota: ReceiveQuota | None = None
        if house.limits_rates:
            self._rates = PeerRates.of(house.config)
        self._reader: Reader | None = None
        house.opening.add(self, now)

    @property
    def peer(self) -> str:
        """Who is at the other end, for the log, and to count connections by address."""
        return str(self.adapter)

    def is_closed(self) -> bool:
        """Whether this side is done with the connection."""
        return self.phase is Phase.CLOSED

    @property
    def reader(self) -> Reader:
        """What cuts this peer's bytes into packets; it is there only while it has something to do."""
        if self._reader is None:
            is_connected = self.phase is Phase.CONNECTED
            self._reader = PeerReader(self.version, self.house.config, is_connected=is_connected)
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

    def claim(self, connect: Connect) -> Claim:
        """Who the sender of a CONNECT says to be."""
        return Claim(connect.username, self.client_id or "", self.listener, self.certified)

    def has_to_acknowledge(self) -> bool:
        """Whether the peer has QoS 1 or 2 messages whose acknowledgements are still to come."""
        return self.sender is not None and self.sender.has_unsettled()

    def open_receive_quota(self) -> ReceiveQuota | None:
        """What the peer may have unacknowledged, made when it is first needed; None in 3.x. [5.0 MQTT-3.3.4-7]"""
        if self.receive_quota is None and self.version is Version.V5:
            self.receive_quota = ReceiveQuota(self.house.config.receive_maximum)
        return self.receive_quota

    def queue(self) -> Waiting | None:
        """What waits in the session, None for nothing."""
        return self.session.queue if self.session is not None else None

    def reading_resumed(self, now: float) -> None:
        """The peer is read again: that it was silent was our doing."""
        if self.keep_alive is not None:
            self.keep_alive.packet_received(now)

    @abstractmethod
    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes from the peer, which may be none: then what came before is gone on with."""

    # --- the end -----------------------------------------------------------------------------------------------------

    def disconnect(self, reason: ReasonCode, text: str, now: float, *, publish_will: bool = True) -> None:
        """Close from this side, in 5.0 with a DISCONNECT that says why."""
        if self.is_closed():
            return
        has_connack = True
        if self.writing_paused:
            # The peer does not read: let go of what it would not get, so that the last packet has room.
            has_connack = not self._holds_connack()
            self._output = None
        # [5.0 MQTT-3.14.0-1]
        if self.version is Version.V5 and self.sender is not None and self.phase is Phase.CONNECTED and has_connack:
            self.sender.send(Disconnect(reason, self.sender.diagnostics(PacketType.DISCONNECT, text)))
        self.end(now, publish_will=publish_will)

    def _holds_connack(self) -> bool:
        return self._output is not None and self._output[0][0] >> 4 == PacketType.CONNACK

    def end(self, now: float, *, publish_will: bool) -> None:
        """Close without another packet and leave the session; a second call does nothing."""
        if self.is_closed():
            return
        self.phase = Phase.CLOSED
        self.close_requested = True
        if self.dropped_messages:
            self.log(f"{self.dropped_messages} QoS 0 messages dropped, because it did not read")
        if self.keep_alive is not None and self.keep_alive.timer is not None:
            self.keep_alive.timer.cancel()
        self.house.backpressure.end(self)
        self.house.opening.discard(self)
        self.house.incoming.forget(self)
        self._reader = None  # the adapter waits for the peer's end of the connection, which may hold what it has sent
        self.house.addresses.left(self.peer)
        if not self._dirty:
            self._mark_dirty()
        session, self.session = self.session, None
        self.sender = None
        if session is not None:
            self.house.connected_count -= 1
            self.house.sessions.leave(session, now, publish_will=publish_will)

    def log(self, what: str) -> None:
        """One line about this peer, not too long and not too often: who writes it chooses topics and how many."""
        self._lines += 1
        if self._lines > _MOST_LINES:
            return
        who = "before CONNECT" if self.client_id is None else f"client id {shortened(repr(self.client_id), 100)}"
        if self._lines == _MOST_LINES:
            what = "one of many lines about this connection, the last that is logged"
        self.house.log.write(f"{self.peer or 'peer'}, {who}: {shortened(what)}")

    # --- time --------------------------------------------------------------------------------------------------------

    def connected(self, now: float, keep_alive: int) -> None:
        """CONNACK was sent: stop waiting for CONNECT, begin to watch the keep alive. [5.0 3.1.4]"""
        self.phase = Phase.CONNECTED
        self.house.opening.discard(self)
        self.house.incoming.opened(self)
        self.reader.maximum_packet_size = self.house.config.maximum_packet_size
        if keep_alive:
            self.keep_alive = KeepAlive(keep_alive, now)
            self._watch_keep_alive()

    def _watch_keep_alive(self) -> None:
        assert self.keep_alive is not None
        deadline = self.keep_alive.deadline()
        assert deadline is not None
        self.keep_alive.timer = self.house.timers.at(deadline, self._keep_alive_due)

    def _keep_alive_due(self, now: float) -> None:
        """The timer is not moved by each packet: it looks when it fires, and goes on if there was one."""
        assert self.keep_alive is not None
        if self.reading_paused and self.house.backpressure.is_waiting(self):
            self.keep_alive.packet_received(now)  # its silence is ours: we do not read
        if self.keep_alive.is_overdue(now):
            self.log("keep alive timeout")
            # As if the network had failed. [3.1.1 MQTT-3.1.2-24, 5.0 MQTT-3.1.2-22]
            self.disconnect(ReasonCode.KEEP_ALIVE_TIMEOUT, "keep alive timeout", now)
        else:
            self._watch_keep_alive()

    def opening_overdue(self, now: float) -> None:
        """It took too long until it was let in."""
        self.log(
            "no complete CONNECT in time" if self.phase is Phase.AWAITING_CONNECT else "authentication not in time"
        )
        self.end(now, publish_will=False)
