"""What leaves by one connection: the bytes not yet taken, and holding them back.

Belongs here: the output buffer with its bounds, acknowledgements that wait, and what of all this the connections of a
broker share (`Round`). `peers.peer` extends it to the whole connection; what only that can do is abstract here.
Does not belong here: packets (`sending`), who waits for whom (`backpressure`), what came in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from reference_broker.broker.outgoing.waiting import Waiting
from reference_broker.broker.values.access import AccessControl
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.journal import Journal
from reference_broker.broker.values.seldom import Seldom
from reference_broker.wire.types import ReasonCode

Buffer = bytes | bytearray | memoryview

MUCH_BYTES = 1024 * 1024
"""So many bytes of packets that swelled (see `Output.has_swollen`) may a connection have before they are taken."""
_LARGE_PIECE = 4096
"""Output of a peer that does not read is kept in pieces of at least so many bytes."""
_MOST_HELD_ANSWERS = 4 * 65_535
"""Bytes of acknowledgements for all identifiers there are."""


class Round:
    """What the connections of a broker note down for each other, until one read is done and the output is taken."""

    __slots__ = (
        "access",
        "changed",
        "config",
        "dirty",
        "dropped",
        "has_passed_on",
        "journal",
        "now",
        "outgoing_maximum_bytes",
        "pressed",
        "resting",
        "swollen",
        "swollen_bytes",
    )

    def __init__(self, config: BrokerConfig, access: AccessControl, journal: Journal | None = None) -> None:
        self.config = config
        self.access = access
        self.journal = journal
        """Takes note of what has to survive the broker."""
        self.has_passed_on = False
        """Whether messages left that have to be kept only until they are acknowledged, since changes were taken."""
        self.outgoing_maximum_bytes = config.outgoing_maximum_bytes
        self.now = 0.0
        """The latest time the broker was told."""
        self.dropped = 0
        """QoS 0 messages that somebody did not get because it did not read, since the broker's start."""
        self.dirty: list[Output] = []
        """Who may have output, in the order they got it."""
        self.swollen: list[Output] = []
        """Whose output is held until it is taken, see `Output.has_swollen`."""
        self.swollen_bytes: dict[Output, int] = {}
        """Output since it was last taken that is far more than what was read for it."""
        self.pressed: dict[Output, None] = {}
        """Who got output and does not read, since backpressure was last settled."""
        self.changed: dict[Output, None] = {}
        """In whose session more or fewer messages wait, since then."""
        self.resting: deque[Callable[[float], None]] = deque()
        """Who has much more to say, and goes on with it when the turn comes: others have theirs first."""


class Output(ABC):
    """The outgoing half of one connection, as those below the connection see it.

    `reading_paused` asks the adapter to read no more until it is False again, `writing_paused` is what the adapter said
    last.
    """

    __slots__ = (
        "_dirty",
        "_output",
        "_promises",
        "close_requested",
        "is_promise",
        "reading_paused",
        "round",
        "seldom_set",
        "writing_paused",
    )

    held_bytes = Seldom(0)
    """Output waiting because writing is paused."""
    held_answers: Seldom[bytearray | None] = Seldom(None)
    """PUBACK and PUBREC packets waiting for a subscriber; None while they leave at once."""
    dropped_messages = Seldom(0)
    """QoS 0 messages this client did not get because it did not read."""

    def __init__(self, round_: Round) -> None:
        self.seldom_set: dict[str, Any] | None = None
        self.round = round_
        self.reading_paused = False
        self.writing_paused = False
        self.close_requested = False
        self.is_promise = False
        """Whether what was taken last depends on what changed, and may leave only once that is kept."""
        self._promises = False
        self._output: list[Buffer] | None = None
        self._dirty = False

    # --- what only the whole connection can do -----------------------------------------------------------------------

    @abstractmethod
    def is_closed(self) -> bool:
        """Whether this side is done with the connection."""

    @abstractmethod
    def queue(self) -> Waiting | None:
        """What waits in the session, None for nothing."""

    @abstractmethod
    def has_to_acknowledge(self) -> bool:
        """Whether the peer has QoS 1 or 2 messages whose acknowledgements are still to come."""

    @abstractmethod
    def reading_resumed(self, now: float) -> None:
        """The peer is read again: that it was silent was our doing."""

    @abstractmethod
    def disconnect(self, reason: ReasonCode, text: str, now: float, *, publish_will: bool = True) -> None:
        """Close from this side, in 5.0 with a DISCONNECT that says why."""

    @abstractmethod
    def opening_overdue(self, now: float) -> None:
        """It took too long until it was let in."""

    @abstractmethod
    def log(self, what: str) -> None:
        """One line about this peer."""

    # --- packets out -------------------------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        """Append whole packets to the output."""
        self._promises = True
        self.pass_on(data)

    def pass_on(self, data: Buffer) -> None:
        """Append messages that need not be kept before they leave: they came at QoS 0, or may come again."""
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
        self.round.pressed[self] = None

    def has_swollen(self, size_bytes: int) -> None:
        """So much was written for little that was read: past a bound it counts as if the peer did not read.

        Until the output is taken, because only then it is known whether the peer reads.
        """
        grown = self.round.swollen_bytes
        grown[self] = grown.get(self, 0) + size_bytes
        if grown[self] > MUCH_BYTES and not self.writing_paused:
            self.writing_paused = True
            self.round.swollen.append(self)

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
            self.depend()
            self.write(bytes(answers))

    def depend(self) -> None:
        """What leaves now was promised in an earlier turn, which may still have to be kept."""
        if self.round.journal is not None:
            self.round.journal.promise()

    def drop(self, count: int) -> None:
        """So many QoS 0 messages are not for this client, because it does not read."""
        self.dropped_messages += count
        self.round.dropped += count

    def is_overfull(self) -> bool:
        """Whether the peer is so far behind that messages are dropped (QoS 0) or wait in the session."""
        return self.writing_paused and self.held_bytes >= self.round.outgoing_maximum_bytes

    def has_room(self, size_bytes: int) -> bool:
        """Whether so many bytes of messages may be written, none of which `is_overfull` would have kept back."""
        return not self.writing_paused or self.held_bytes + size_bytes <= self.round.outgoing_maximum_bytes

    def take_output(self) -> tuple[list[Buffer], bool] | None:
        """What to write, piece by piece, and whether to close afterwards; None while writing is paused."""
        self._dirty = False
        if self.writing_paused and not self.close_requested:
            return None
        pieces, self._output = self._output, None
        self.is_promise, self._promises = self._promises or self.close_requested, False
        return pieces or [], self.close_requested

    def _mark_dirty(self) -> None:
        self._dirty = True
        self.round.dirty.append(self)
