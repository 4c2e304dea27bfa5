"""What can be done to a broker and its clients: does one step after the other, and brings all to an end.

Belongs here: what each kind of step does.
Does not belong here: which step comes next (`script`), how bytes move (`medium`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from interop.simulation.book import Broken
from interop.simulation.medium import Medium
from interop.simulation.peers import Peer
from interop.simulation.steps import (
    CONNECTIONS,
    GOODBYES,
    PUBLICATIONS,
    SUBSCRIPTIONS,
    Connection,
    Kind,
    Step,
    identifier_of,
)
from interop.simulation.wires import Wire
from reference_broker.wire.packets import Disconnect, Publish, Subscribe, Subscription
from reference_broker.wire.properties import Properties

STEP_SECONDS = 1 / 1024
ALL_BYTES = 1 << 30


class World(Medium):
    """One broker and its clients. `do` each step; `settle` at the end. Both raise Broken."""

    # --- steps --------------------------------------------------------------------------------------------------------

    def do(self, step: Step) -> bool:
        """Do a step; False where it makes no sense, and then nothing has happened. Raises Broken."""
        peer = self.peers[step.peer]
        if not self._STEPS[step.kind](self, peer, step):
            return False
        self._pass_to(self.now + STEP_SECONDS)
        return True

    def _connect(self, peer: Peer, step: Step) -> bool:
        self._let_go(peer)
        self._begin(peer, CONNECTIONS[step.choice])
        return True

    def _begin(self, peer: Peer, row: Connection) -> None:
        self._messages += 1
        wire = self._open(peer.name, peer.version)
        is_other = self.ledger.seats.get(peer.name, peer.seat) is not peer.seat
        peer.connect(wire, row, self._messages, self.now, is_other=is_other)
        peer.send()

    def _publish(self, peer: Peer, step: Step) -> bool:
        if not peer.is_connected:
            return False
        for _ in range(step.amount):
            self._messages += 1
            peer.publish(PUBLICATIONS[step.choice], self._messages, self.now)
        self._heed(peer)
        return True

    def _subscribe(self, peer: Peer, step: Step) -> bool:
        if not peer.is_connected:
            return False
        peer.subscribe(SUBSCRIPTIONS[step.choice], identifier_of(step.choice), self.now)
        self._heed(peer)
        return True

    def _unsubscribe(self, peer: Peer, step: Step) -> bool:
        if not peer.is_connected:
            return False
        peer.unsubscribe(SUBSCRIPTIONS[step.choice].topic_filter, self.now)
        self._heed(peer)
        return True

    def _disconnect(self, peer: Peer, step: Step) -> bool:
        if not peer.is_connected:
            return False
        peer.disconnect(GOODBYES[step.choice], self.now)
        self._heed(peer)
        return True

    def _to_broker(self, peer: Peer, step: Step) -> bool:
        wire = peer.wire
        if wire is None or not wire.up.data or not wire.is_broker_up:
            return False
        if wire.link.reading_paused:
            wire.was_held_back = True
            return False
        self._arrive(wire, step.amount)
        return True

    def _to_client(self, peer: Peer, step: Step) -> bool:
        wire = peer.wire
        if wire is None or peer.is_paused or not (wire.down.data or _is_at_end(wire)):
            return False
        data, _ = wire.down.take(step.amount)
        core = peer.core
        assert core is not None
        core.receive_data(data, self.now)
        if _is_at_end(wire) and not wire.down.data:
            core.connection_lost(self.now)
        self._heed(peer)
        return True

    def _cut(self, peer: Peer, _step: Step) -> bool:
        wire = peer.wire
        if wire is None:
            return False
        self._let_go(peer)
        self._lose(wire)
        return True

    def _vanish(self, peer: Peer, _step: Step) -> bool:
        if peer.wire is None:
            return False
        self._let_go(peer)
        return True

    def _notice(self, peer: Peer, step: Step) -> bool:
        if not peer.ghosts:
            return False
        wire = peer.ghosts[0]
        # A CONNECT this late may begin a session behind its client's back.
        if not step.choice and wire.seat is not None and wire.is_broker_up and not wire.link.reading_paused:
            self._arrive(wire, ALL_BYTES)
        self._lose(wire)
        return True

    def _pause(self, peer: Peer, _step: Step) -> bool:
        if peer.wire is None or peer.is_paused or not peer.wire.is_broker_up:
            return False
        peer.is_paused = True
        peer.wire.held_since = self.now
        peer.wire.link.pause_writing()
        return True

    def _resume(self, peer: Peer, _step: Step) -> bool:
        if peer.wire is None or not peer.is_paused:
            return False
        peer.is_paused = False
        if peer.wire.is_broker_up:
            peer.wire.link.resume_writing()
            self._turn()
            peer.wire.held_since = None
        return True

    def _wait(self, _peer: Peer, step: Step) -> bool:
        self.wait(step.amount)
        return True

    def wait(self, seconds: float) -> None:
        """Let time pass, and each deadline on the way have its moment."""
        until = self.now + seconds
        while True:
            deadlines = [each for each in self._deadlines() if each is not None and each <= until]
            if not deadlines:
                break
            self._pass_to(max(self.now, min(deadlines)))
            for peer in self.peers:
                self._tick(peer)
        self._pass_to(until)
        for wire in self.wires.values():
            self._endings.overdue(wire)

    def _deadlines(self) -> Iterable[float | None]:
        yield self.broker.next_deadline()
        yield self.ledger.next_deadline()
        for peer in self.peers:
            if peer.wire is not None and peer.core is not None:
                yield peer.core.next_deadline()

    def _tick(self, peer: Peer) -> None:
        core = peer.core
        if peer.wire is None or core is None:
            return
        deadline = core.next_deadline()
        if deadline is not None and deadline <= self.now:
            core.handle_timer(self.now)
            self._heed(peer)

    def _commit(self, _peer: Peer, step: Step) -> bool:
        if self._keeper is None or not self._held:
            return False
        self._release(min(step.amount, len(self._held)))
        return True

    def _crash(self, _peer: Peer, step: Step) -> bool:
        """All that is not kept is lost, and every connection; some time later another broker goes on."""
        if self._keeper is None:
            return False
        for turn in self._held:
            for wire, _, _ in turn:
                wire.held_pieces = 0
        self._held.clear()
        for wire in self.wires.values():
            wire.is_broker_up = False
        self.wires.clear()
        for peer in self.peers:
            peer.ghosts.clear()
        self.now += step.amount
        self.ledger.crash(self.now)
        self.broker = self._make_broker(self.setup.config, self.setup.fast_path, True)
        self._keeper.go_on(self.broker, self.now)
        self._call_witness()
        return True

    # --- the end ------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Connect everybody, let everything arrive, and look at what is left; then have all leave, and look again."""
        self._is_settling = True
        if self._keeper is not None:
            self._release(len(self._held))
        for peer in self.peers:
            while peer.ghosts:
                self._notice(peer, Step(Kind.NOTICE))
            self._resume(peer, Step(Kind.RESUME))
            if peer.wire is not None and not (peer.is_connected and peer.wire.is_broker_up):
                self._cut(peer, Step(Kind.CUT))
            if peer.wire is None:
                self._begin(peer, Connection())
        self._calm()
        for settled in self._settled:
            settled()
        self._hear_witness(Subscribe(2, (Subscription("#"),)))
        self._acknowledged.retained(self._retained)
        for peer in self.peers:
            self._leave_for_good(peer)
        for topic in list(self.ledger.retained):
            self._hear_witness(Publish(topic, retain=True))
        self._witness.said_goodbye = True
        self._hear_witness(Disconnect(properties=Properties(session_expiry_interval=0)))
        self._memory.emptied()

    def _leave_for_good(self, peer: Peer) -> None:
        self._let_go(peer)
        for ghost in list(peer.ghosts):
            self._lose(ghost)
        self._begin(peer, Connection(clean_start=True, expiry_seconds=0))
        self._calm()
        if peer.is_connected:
            self._disconnect(peer, Step(Kind.DISCONNECT))
            for ghost in list(peer.ghosts):
                self._arrive(ghost, ALL_BYTES)
                self._lose(ghost)

    def _calm(self) -> None:
        """Let bytes arrive until nothing moves any more."""
        up, down = Step(Kind.TO_BROKER, amount=ALL_BYTES), Step(Kind.TO_CLIENT, amount=ALL_BYTES)
        for _ in range(_PATIENCE):
            has_moved = False
            for peer in self.peers:
                has_moved |= self._to_broker(peer, up)
                has_moved |= self._to_client(peer, down)
            self._pass_to(self.now + STEP_SECONDS)
            if not has_moved and not any(wire.link.reading_paused for wire in self.wires.values()):
                return
        raise Broken("nothing acknowledged lost", "clients and broker go on for ever, though nobody publishes")

    _STEPS: ClassVar[dict[Kind, Callable[[World, Peer, Step], bool]]] = {
        Kind.CONNECT: _connect,
        Kind.PUBLISH: _publish,
        Kind.SUBSCRIBE: _subscribe,
        Kind.UNSUBSCRIBE: _unsubscribe,
        Kind.DISCONNECT: _disconnect,
        Kind.TO_BROKER: _to_broker,
        Kind.TO_CLIENT: _to_client,
        Kind.CUT: _cut,
        Kind.VANISH: _vanish,
        Kind.NOTICE: _notice,
        Kind.PAUSE: _pause,
        Kind.RESUME: _resume,
        Kind.WAIT: _wait,
        Kind.COMMIT: _commit,
        Kind.CRASH: _crash,
    }


_PATIENCE = 20_000


def _is_at_end(wire: Wire) -> bool:
    """Whether nothing more can come from the broker than what is under way."""
    return not wire.is_broker_up and not wire.held_pieces
