"""A broker, its clients and what lies between them, in virtual time: the way of bytes, and who is told of them.

Belongs here: what moves when something is done; what of a broker's output waits until it is kept.
Does not belong here: what is done (`world`), what is right (`ledger`, books), the clients (`peers`).

Time stands still within a step and goes on by a fixed fraction of a second between them, a power of two, so that sums
of times are exact and a deadline of the broker's is the ledger's, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from interop.simulation.book import Book, Broken
from interop.simulation.books_content import Content, Sizes
from interop.simulation.books_links import Endings, Memory, PacketIds, Quota, Sessions, Wills
from interop.simulation.books_messages import Acknowledged, ClientOrder, Copies, Expiry, ServerOrder, Shared
from interop.simulation.judged import Judged
from interop.simulation.keeping import Keeper, RowKeeper
from interop.simulation.ledger import Ledger
from interop.simulation.peers import Peer
from interop.simulation.setup import Setup
from interop.simulation.steps import (
    WILL_TOPIC,
)
from interop.simulation.wires import Wire, number_of
from reference_broker.broker import Broker, BrokerConfig
from reference_broker.broker.link import Link
from reference_broker.client import Connected
from reference_broker.client.core import Closing, State
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import Connect, Packet, PubAck, Publish, Subscribe, Subscription
from reference_broker.wire.properties import NEVER_EXPIRES, Properties
from reference_broker.wire.sender import Side
from reference_broker.wire.types import QoS, Version

WITNESS = "witness"

MakeBroker = Callable[[BrokerConfig, bool, bool], Broker]
"""Makes a broker from its settings, whether it has a fast path, and whether it tells what has to survive it."""


def reference_broker(config: BrokerConfig, fast_path: bool, keeps: bool) -> Broker:
    """The right one."""
    return Broker(config, seed=0, fast_path=fast_path, keeps=keeps)


class Medium:
    """One broker and its clients; a client that nobody disturbs, the witness, is sent every will at once.

    The witness stands beside the broker: it hears what others are told when it is kept. Where the broker crashes its
    session is kept before anything happens, so that it is told afterwards what was published before it was back.
    """

    def __init__(self, setup: Setup, make_broker: MakeBroker = reference_broker) -> None:
        self.now = 0.0
        self.setup = setup
        self.ledger = Ledger(setup.config, may_forget=setup.has_crashes)
        self._make_broker = make_broker
        self.broker = make_broker(setup.config, setup.fast_path, setup.has_crashes)
        self._keeper: Keeper | None = RowKeeper() if setup.has_crashes else None
        self._held: deque[list[tuple[Wire, bytes, float]]] = deque()
        """By turn that is not committed, what may not leave yet, and since when."""
        self._is_settling = False
        self.peers = [Peer(f"peer{n}", each, self._watched) for n, each in enumerate(setup.peers)]
        self.wires: dict[Link, Wire] = {}
        self._connections = 0
        self._messages = 0
        self._endings = Endings(self.ledger)
        self._memory = Memory(self.ledger, lambda: self.broker)
        wills = Wills(self.ledger)
        self._seen_by_witness = [wills.seen, self._witnessed]
        self._not_acknowledged: deque[tuple[int, int]] = deque()
        """Packet identifiers and numbers of wills that were sent to the witness."""
        self._acknowledged = Acknowledged(self.ledger, {peer.name: peer.session for peer in self.peers})
        self._retained: dict[str, int] = {}
        self._keep(
            [
                Content(self.ledger),
                Sizes(self.ledger),
                Copies(self.ledger),
                Shared(self.ledger),
                ServerOrder(self.ledger),
                ClientOrder(self.ledger),
                self._acknowledged,
                Expiry(self.ledger),
                PacketIds(self.ledger),
                Quota(self.ledger),
                wills,
                Sessions(self.ledger),
                self._endings,
                self._memory,
                *([Judged(self.ledger, has_pauses=setup.has_pauses)] if setup.is_judged else []),
            ]
        )
        if self._keeper is not None:
            self._keeper.go_on(self.broker, self.now)
        self._call_witness()
        # A will may be published while nobody can be connected: at the start of a broker.
        qos = QoS.AT_MOST_ONCE if self._keeper is None else QoS.AT_LEAST_ONCE
        self._hear_witness(Subscribe(1, (Subscription(WILL_TOPIC, qos),)))
        if self._keeper is not None:
            self._release(len(self._held))

    def _keep(self, books: list[Book]) -> None:
        """Have each hook call the books that have something to do there."""

        def listeners(hook: str) -> list[Any]:
            return [getattr(book, hook) for book in books if getattr(type(book), hook) is not getattr(Book, hook)]

        self._broker_got = listeners("broker_got")
        self._broker_sent = listeners("broker_sent")
        self._client_sent = listeners("client_sent")
        self._client_got = listeners("client_got")
        self._told = listeners("told")
        self._opened = listeners("opened")
        self._client_closed = listeners("client_closed")
        self._broker_lost = listeners("broker_lost")
        self._broker_closed = listeners("broker_closed")
        self._turn_over = listeners("turn_over")
        self._settled = listeners("settled")

    # --- time ---------------------------------------------------------------------------------------------------------

    def _pass_to(self, now: float) -> None:
        self.now = now
        ledger = self.ledger
        due = ledger.next_deadline()
        if due is not None and due <= now:
            ledger.pass_time(now)
        ledger.now = now
        due = self.broker.next_deadline()
        if due is not None and due <= now:
            self.broker.handle_timer(now)
            self._turn()
        for turn_over in self._turn_over:
            turn_over()

    # --- the broker's side --------------------------------------------------------------------------------------------

    def _open(self, name: str, version: Version) -> Wire:
        self._connections += 1
        link = self.broker.connect(self.now, name)
        wire = self.wires[link] = Wire(name, self._connections, link, version, self.now)
        for opened in self._opened:
            opened(wire)
        return wire

    def _arrive(self, wire: Wire, count: int) -> None:
        """So many bytes arrive at the broker."""
        data, packets = wire.up.take(count)
        for packet in packets:
            self.ledger.got(wire, packet)
            for broker_got in self._broker_got:
                broker_got(wire, packet)
        wire.link.receive_data(data, self.now)
        self._turn()
        wire.was_held_back = wire.was_held_back or wire.link.reading_paused

    def _lose(self, wire: Wire) -> None:
        """The broker learns that a connection is gone."""
        if wire.is_broker_up:
            for broker_lost in self._broker_lost:
                broker_lost(wire)
            self._forget(wire)
            wire.link.connection_lost(self.now)
            self._turn()

    def _forget(self, wire: Wire) -> None:
        self.ledger.lost(wire)
        wire.is_broker_up = False
        del self.wires[wire.link]
        if not wire.is_client_up:
            ghosts = next(peer.ghosts for peer in self.peers if peer.name == wire.name)
            ghosts.remove(wire)

    def _turn(self) -> None:
        """The broker has acted: take what it has to say; with a store it waits until that is kept."""
        broker, keeper = self.broker, self._keeper
        while True:
            has_to_wait = False
            if keeper is not None:
                has_to_wait = keeper.note(broker, self.now)
                self._held.append([])
            for link, pieces, close in broker.take_output():
                wire = self.wires.get(link)
                if wire is None:
                    continue
                if pieces:
                    self._say_or_hold(wire, b"".join(pieces), has_to_wait and link.is_promise)
                if close:
                    for broker_closed in self._broker_closed:
                        broker_closed(wire)
                    self._forget(wire)
                    link.connection_lost(self.now)
            self.ledger.turn_over()
            if not broker.has_output:
                break
        if self._is_settling and keeper is not None:
            self._release(len(self._held))
        if self._not_acknowledged:
            packet_id, number = self._not_acknowledged.popleft()
            self.ledger.acknowledged(number)
            self._hear_witness(PubAck(packet_id))  # which is the next turn

    def _say_or_hold(self, wire: Wire, data: bytes, has_to_wait: bool) -> None:
        written_at = self.now if wire.held_since is None else wire.held_since  # perhaps when its client ceased to read
        if (has_to_wait or wire.held_pieces) and wire is not self._witness:
            wire.held_pieces += 1
            self._held[-1].append((wire, data, written_at))
        else:
            self._say(wire, data, written_at)

    def _release(self, count: int) -> None:
        """So many turns more are kept: what they say may leave."""
        assert self._keeper is not None
        self._keeper.commit(count)
        self.ledger.commit(count)
        for _ in range(count):
            for wire, data, written_at in self._held.popleft():
                wire.held_pieces -= 1
                self._say(wire, data, written_at)

    def _call_witness(self) -> None:
        self._witness = self._open(WITNESS, Version.V5)
        lasting = Properties(session_expiry_interval=NEVER_EXPIRES)
        self._hear_witness(Connect(Version.V5, WITNESS, clean_start=False, properties=lasting))

    def _say(self, wire: Wire, data: bytes, written_at: float) -> None:
        wire.written_at = written_at
        reader, down = wire.reader, wire.down
        reader.feed(data)
        is_witness = wire.name == WITNESS
        is_carried = wire.is_client_up and not is_witness
        listeners = self._seen_by_witness if is_witness else self._broker_sent
        if is_carried:
            down.data += data
        before = len(reader)
        try:
            while (packet := reader.next_packet()) is not None:
                for broker_sent in listeners:
                    broker_sent(wire, packet)
                if is_carried:
                    after = len(reader)
                    down.put(packet, before - after)
                    before = after
        except RemoteError as error:
            raise Broken("the judge silent", f"{wire}: the broker sent what is no packet: {error}") from None

    # --- the clients' side --------------------------------------------------------------------------------------------

    def _watched(self, wire: Wire, side: Side, packet: Packet) -> None:
        for listener in self._client_sent if side is Side.CLIENT else self._client_got:
            listener(wire, packet)

    def _heed(self, peer: Peer) -> None:
        """Do what a client's core asks for: send, tell, close."""
        core, wire = peer.core, peer.wire
        assert core is not None
        assert wire is not None
        for event in core.take_events():
            if isinstance(event, Connected):
                peer.seat = wire.seat
            for told in self._told:
                told(wire, event)
        peer.send()
        if core.closing is not Closing.NO or core.state is State.CLOSED:
            self._part(peer)

    def _let_go(self, peer: Peer) -> None:
        """A client's connection is over, and it knows."""
        if peer.wire is not None:
            assert peer.core is not None
            peer.core.connection_lost(self.now)
            if peer.wire is not None:
                self._heed(peer)

    def _part(self, peer: Peer) -> None:
        wire = peer.wire
        assert wire is not None
        peer.wire = None
        wire.is_client_up = False
        for client_closed in self._client_closed:
            client_closed(wire)
        if wire.is_broker_up:
            peer.ghosts.append(wire)

    def _hear_witness(self, packet: Packet) -> None:
        self._witness.link.receive_data(encode(packet, Version.V5), self.now)
        self._turn()

    def _witnessed(self, _wire: Wire, packet: Packet) -> None:
        """What is sent to a witness that has subscribed to all topics, at the end: what was retained on each."""
        if not isinstance(packet, Publish):
            return
        if packet.retain:
            self._retained[packet.topic] = number_of(packet.payload)
        if packet.packet_id is not None:
            self._not_acknowledged.append((packet.packet_id, number_of(packet.payload)))
