"""One process of the load generator: its connections, in one loop.

Belongs here: when to send and when to read. Does not belong here: one connection (`peer`), the whole (`measure`).
"""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from interop.bench.cell import Cell
from interop.bench.inbox import BadStream, ClientDropped
from interop.bench.peer import Peer, PeerPlan
from interop.bench.share import Share
from interop.lifeline import end_with_parent
from reference_broker.net.address import Address

_BREATH_SECONDS = 0.0001
"""How long to wait before looking again whether deliveries made room for more."""

_IDLE_SECONDS = 0.02
_SLEEP_AT_MOST_SECONDS = 0.001
_UNBOUNDED = 1 << 60


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker saw: `failure` is one line, empty when all went well."""

    failure: str = ""
    lost: int = 0
    repeated: int = 0
    latencies_ns: tuple[int, ...] = ()
    cpu_seconds: float = 0.0
    drops: tuple[str, ...] = ()
    """A line for each client whose connection the broker ended."""


def work(index: int, plans: Sequence[PeerPlan], cell: Cell, address: Address, share: Share, parent: Connection) -> None:
    """Be a worker: connect, say None when ready, wait for the start time, run until told to stop, report."""
    end_with_parent()
    peers: list[Peer] = []
    try:
        for plan in plans:
            peers.append(Peer(plan, address))
        parent.send(None)
        start_ns: int = parent.recv()
        cpu_before = time.process_time()
        loop = Loop(index, peers, cell, share, start_ns)
        loop.run()
        parent.send(_report(peers, time.process_time() - cpu_before, loop.drops))
    except (BadStream, OSError) as problem:
        parent.send(Report(failure=str(problem)))
    except (EOFError, KeyboardInterrupt):  # the parent has gone
        pass
    finally:
        for peer in peers:
            peer.close()


def _report(peers: Sequence[Peer], cpu_seconds: float, drops: Sequence[str]) -> Report:
    return Report(
        lost=sum(peer.counts.lost for peer in peers),
        repeated=sum(peer.counts.repeated for peer in peers),
        latencies_ns=tuple(latency for peer in peers for latency in peer.counts.latencies_ns),
        cpu_seconds=cpu_seconds,
        drops=tuple(drops),
    )


class Loop:
    """The connections of a worker between start and stop."""

    def __init__(self, index: int, peers: Sequence[Peer], cell: Cell, share: Share, start_ns: int) -> None:
        self._index = index
        self._cell = cell
        self._share = share
        self._start_ns = start_ns
        self._stop_sending_ns = start_ns + int(cell.seconds * 1e9)
        self._senders = [peer for peer in peers if peer.outbox]
        self._connected = len(peers)
        self.drops: list[str] = []
        self._turn = 0
        self._timed_sent = 0
        self._selector = selectors.DefaultSelector()
        self._writing: set[Peer] = set()
        for peer in peers:
            self._selector.register(peer, selectors.EVENT_READ, peer)

    def run(self) -> None:
        """Send and read until the parent says stop."""
        time.sleep(max(0, self._start_ns - time.monotonic_ns()) / 1e9)
        pump = self._pump_at_rate if self._cell.is_latency else self._pump
        with contextlib.closing(self._selector):
            while not self._share.stop[0]:
                timeout = pump()
                if 0 < timeout <= _SLEEP_AT_MOST_SECONDS:  # finer than a selector waits
                    time.sleep(timeout)
                    timeout = 0
                self._wait(timeout)

    def _wait(self, timeout: float) -> None:
        """Read and write what can be."""
        delivered = 0
        for key, mask in self._selector.select(timeout):
            peer: Peer = key.data
            before = peer.counts.delivered
            try:
                if mask & selectors.EVENT_WRITE:
                    peer.flush()
                if mask & selectors.EVENT_READ:
                    peer.read()
                self._mind(peer)
            except ClientDropped as problem:
                self._drop(peer, problem)
            delivered += peer.counts.delivered - before
        if delivered:
            self._share.delivered[self._index] += delivered
            self._share.last_receipt_ns[self._index] = time.monotonic_ns()

    def _pump(self) -> float:
        """Send as much as may be sent; gives how long to wait for the sockets, in seconds."""
        senders = self._senders
        if not senders:
            return _IDLE_SECONDS
        if time.monotonic_ns() >= self._stop_sending_ns:
            return self._finish()
        allowed, sent, held_up = self._allowance(), 0, 0
        for peer in senders:
            assert peer.outbox is not None
            may = min(allowed, self._cell.messages - peer.outbox.sent) if self._cell.messages else allowed
            if peer.wants_write:
                held_up += 1
            elif may > 0:
                try:
                    sent += peer.publish(may)
                    self._mind(peer)
                except ClientDropped as problem:
                    self._drop(peer, problem)
        self._tell_sent()
        if sent:
            return 0
        if self._cell.messages and all(peer.outbox.sent >= self._cell.messages for peer in senders if peer.outbox):
            return self._finish()
        return _BREATH_SECONDS if self._cell.outstanding and held_up < len(senders) else _IDLE_SECONDS

    def _pump_at_rate(self) -> float:
        """Send what is due by now."""
        if not self._senders:
            return _IDLE_SECONDS
        while True:
            now_ns = time.monotonic_ns()
            if now_ns >= self._stop_sending_ns:
                return self._finish()
            due_ns = self._start_ns + int(self._timed_sent / self._cell.rate * 1e9)
            if now_ns < due_ns:
                self._tell_sent()
                return (due_ns - now_ns) / 1e9
            peer = self._senders[self._turn % len(self._senders)]
            try:
                sent = peer.publish_now()
                self._mind(peer)
            except ClientDropped as problem:
                self._drop(peer, problem)
                return _BREATH_SECONDS
            if not sent:
                return _BREATH_SECONDS
            self._turn += 1
            self._timed_sent += 1

    def _allowance(self) -> int:
        """How many messages each publisher may send now."""
        if not self._cell.outstanding:
            return _UNBOUNDED
        under_way = self._cell.expected_deliveries(self._share.sent) - sum(self._share.delivered)
        room = (self._cell.outstanding - under_way) / self._cell.deliveries_per_message
        return int(room / self._cell.publishers)

    def _finish(self) -> float:
        """Nothing more to send: say so once everything is out and acknowledged."""
        self._tell_sent()
        if not any(peer.wants_write or peer.outbox.in_flight for peer in self._senders if peer.outbox):
            self._share.senders_done[self._index] = 1
        return _IDLE_SECONDS

    def _tell_sent(self) -> None:
        for peer in self._senders:
            assert peer.outbox is not None
            self._share.sent[peer.publisher] = peer.outbox.sent

    def _drop(self, peer: Peer, problem: ClientDropped) -> None:
        """Go on without a client; raises BadStream when nobody is left to publish, or nobody at all."""
        if peer.outbox is not None:
            self._share.sent[peer.publisher] = peer.outbox.sent
            self._senders = [each for each in self._senders if each is not peer]
        self._selector.unregister(peer)
        self._writing.discard(peer)
        self.drops.append(str(problem))
        if len(self.drops) == self._connected or (peer.outbox is not None and not self._senders):
            raise BadStream(f"too many clients were dropped to go on, the first: {self.drops[0]}")

    def _mind(self, peer: Peer) -> None:
        """Have the selector watch for room exactly while a peer has something left to write."""
        if peer.wants_write != (peer in self._writing):
            if peer.wants_write:
                self._writing.add(peer)
                self._selector.modify(peer, selectors.EVENT_READ | selectors.EVENT_WRITE, peer)
            else:
                self._writing.discard(peer)
                self._selector.modify(peer, selectors.EVENT_READ, peer)
