"""The broker as one object: connections and rows in, output, changes and deadlines out.

Belongs here: what an adapter calls.
Does not belong here: the protocol of a connection (`link`, `peers`), the way of a message (`keeping.exchange`), sockets
and clocks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from reference_broker.broker.fast.heads import Heads
from reference_broker.broker.keeping.checks import DoElsewhere
from reference_broker.broker.keeping.house import House
from reference_broker.broker.link import Link
from reference_broker.broker.outgoing.output import Buffer
from reference_broker.broker.peers.accepting import ask_again
from reference_broker.broker.values.access import AccessControl
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.timers import Timer
from reference_broker.store.records import Changes, KeyRange, Row, StoreError
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.types import ReasonCode

_REST_SECONDS = 0.001
"""How long others have the loop, when one has much more to say."""


class Broker:
    """A broker without sockets or clock. Times are seconds of any clock that only goes forward.

    An adapter calls `connect` for each accepted connection, feeds the link, writes what `take_output` returns after
    each call, and calls `handle_timer` when `next_deadline` is reached. `log` takes one line for each rejected peer.
    """

    link_type: type[Link] = Link
    """What `connect` makes."""

    def __init__(
        self,
        config: BrokerConfig | None = None,
        *,
        seed: int | None = None,
        fast_path: bool = True,
        keeps: bool = False,
        access: AccessControl | None = None,
    ) -> None:
        """`seed` makes the client ids the broker assigns repeatable.

        `fast_path` False has every packet decoded and handled by itself, as a broker that deviates on purpose needs.
        `keeps` gives the adapter what has to survive the broker (`take_changes`); call `load` before the first
        connection. `access` decides who may do what; None has the configuration decide.
        """
        self.house = House(config or BrokerConfig(), seed, keeps=keeps, access=access)
        self.heads: Heads | None = None
        """What the fast path remembers."""
        if fast_path:
            self.heads = Heads(self.house.config, self.house.access, self.house.admission, self.house.router)
        self._wake: Timer | None = None

    # --- what the adapter calls --------------------------------------------------------------------------------------

    @property
    def log(self) -> Callable[[str], None]:
        """What is done with each line about a peer; nothing until it is set."""
        return self.house.log.write

    @log.setter
    def log(self, write: Callable[[str], None]) -> None:
        self.house.log.write = write

    @property
    def do_elsewhere(self) -> DoElsewhere:
        """How what takes long is done, such as looking at a password; at once until it is set.

        Nothing else is asked for before what was asked for is said.
        """
        return self.house.checks.do_elsewhere

    @do_elsewhere.setter
    def do_elsewhere(self, do: DoElsewhere) -> None:
        self.house.checks.do_elsewhere = do

    @property
    def is_turn_over(self) -> Callable[[], bool]:
        """Asked between packets: whether others' are to be handled before the next of the same peer; never until set.

        A link that stopped has `has_more`, and goes on when it receives again.
        """
        return self.house.is_turn_over

    @is_turn_over.setter
    def is_turn_over(self, ask: Callable[[], bool]) -> None:
        self.house.is_turn_over = ask

    def load(self, now: float, unix_time: float) -> None:
        """Begin to take over what the adapter's store has: `next_read` says what, until `is_open` before anybody comes.

        `unix_time` (seconds) is now by the clock on the wall: by it, messages age and sessions expire while no broker
        runs. [5.0 MQTT-3.3.2-5, 3.1.2.11.2]
        """
        self.house.round.now = now
        if self.house.moving_in is not None:
            self.house.moving_in.begin(unix_time)

    @property
    def is_open(self) -> bool:
        """Whether clients may connect: all is here that has to be before the first one comes."""
        return self.house.moving_in is None or self.house.moving_in.is_open

    def next_read(self) -> KeyRange | None:
        """Which rows of the store are wanted next; None when all are here."""
        return None if self.house.moving_in is None else self.house.moving_in.next_read()

    def take_rows(self, covered: KeyRange, rows: Sequence[Row], now: float) -> None:
        """All rows there are in a range, which is the last `next_read` or a part of it, from its beginning.

        Raises StoreError for rows that no broker has written.
        """
        self.house.round.now = now
        assert self.house.moving_in is not None
        try:
            self.house.moving_in.take_rows(covered, rows, now)
        except (ValueError, LookupError, TypeError, ArithmeticError, struct.error, RemoteError) as error:
            text = f"the store has rows that this broker did not write ({error!r}): begin with another file"
            raise StoreError(text) from error

    def take_changes(self) -> Changes | None:
        """What has to survive the broker of what happened since the last call; None for nothing.

        To be called before `take_output`: where it `is_promised`, what that gives may leave only once this, and all
        that was given before, is kept; all but what is no promise, see `Link.is_promise`. What is not promised in any
        output may be kept later.
        """
        journal, round_ = self.house.journal, self.house.round
        if journal is None:
            return None
        self._finish_turn()
        round_.has_passed_on = False
        return journal.take(round_.now)

    def end_turn(self) -> bool:
        """Instead of `take_changes`, where changes stay here: whether what this turn says depends on them."""
        self._finish_turn()
        journal = self.house.journal
        return journal is not None and journal.end_turn()

    def _finish_turn(self) -> None:
        """Do what is still to be done in this turn, and may change something."""
        round_ = self.house.round
        if round_.resting:
            self._go_on()
        if round_.changed or round_.pressed:
            self.house.backpressure.settle()

    @property
    def may_come_to_nothing(self) -> bool:
        """Whether it is worth waiting with `take_changes` for clients that have just got messages."""
        return self.house.round.has_passed_on

    def has_come_to_nothing(self) -> bool:
        """Whether nothing is left to be kept: who got messages has acknowledged them all."""
        journal = self.house.journal
        return journal is None or journal.has_come_to_nothing()

    @property
    def store_is_full(self) -> bool:
        """Set by the adapter while nothing can be kept: what would have to be is refused."""
        return self.house.admission.store_is_full

    @store_is_full.setter
    def store_is_full(self, is_full: bool) -> None:
        self.house.admission.store_is_full = self.house.retained.store_is_full = is_full
        self.house.router.cut()  # what is remembered of topics would let them pass

    @property
    def memory_is_full(self) -> bool:
        """Set by the adapter while no memory is left: what would take more is refused."""
        return self.house.admission.memory_is_full

    @memory_is_full.setter
    def memory_is_full(self, is_full: bool) -> None:
        self.house.admission.memory_is_full = is_full
        self.house.router.cut()  # what is remembered of topics would let them pass

    def connect(self, now: float, adapter: object = "") -> Link:
        """A network connection was accepted.

        `adapter` is what the adapter has of it, to be found by the link: as a string the peer, `host:port`.
        """
        house = self.house
        house.round.now = now
        if len(house.opening) >= house.config.maximum_half_open:
            text = f"closed, because {len(house.opening)} connections have not been let in yet"
            oldest = next(iter(house.opening))
            oldest.log(text)
            oldest.disconnect(ReasonCode.SERVER_BUSY, text, now, publish_will=False)
        link = self.link_type(house, self.heads, now, adapter)
        peer = link.peer
        if (until := house.addresses.arrived(peer, now)) > now:
            house.backpressure.rest(link, until)
        if house.addresses.is_full(peer):
            link.log("closed, because too many connections come from its address")
            link.end(now, publish_will=False)
        return link

    @property
    def links(self) -> list[Link]:
        """All connections that are open."""
        connections: list[Any] = self.house.connections
        return connections

    def ask_rules_again(self, now: float) -> None:
        """Rules or users have changed: who may not connect any more is gone, and what waits is for whom may get it."""
        house = self.house
        house.round.now = now
        for link in self.links:
            ask_again(link, now)
        for session in house.sessions:
            house.sessions.ask_rules_again(session, now)
        house.router.cut()

    def take_output(self) -> list[tuple[Link, list[Buffer], bool]]:
        """What to write since the last call: for each link pieces of bytes, and whether to close it after them.

        Where `has_output` is true behind it, there is more to take, once this is written.
        """
        round_ = self.house.round
        if round_.resting and round_.journal is None:  # what they say may have to be kept before
            self._go_on()
        if round_.changed or round_.pressed:
            self.house.backpressure.settle()
        output = []
        swollen: list[Any] = round_.swollen  # links, here and below: `connect` makes them, and nobody else
        for link in swollen:
            link.shrink()
        dirty: list[Any] = round_.dirty
        round_.dirty = []
        round_.swollen_bytes.clear()
        for link in dirty:
            taken = link.take_output()
            if taken is not None:
                pieces, close = taken
                if pieces or close:
                    output.append((link, pieces, close))
        if swollen:
            round_.swollen = []
            for link in swollen:
                link.resume_writing()
            self.house.backpressure.settle()
        return output

    @property
    def has_output(self) -> bool:
        """Whether `take_output` has something to give."""
        return bool(self.house.round.dirty)

    def next_deadline(self) -> float | None:
        """When `handle_timer` has something to do; None if never."""
        return self.house.timers.next_deadline()

    def handle_timer(self, now: float) -> None:
        """Do what is due: keep alives, delayed wills, session and message expiry, timeouts."""
        self.house.round.now = now
        self.house.timers.run(now)

    def put_away(self, count: int) -> None:
        """Keep less memory for so many sessions, where they do not need it just now; others have their turn next."""
        self.house.sessions.put_away(count)

    def shutdown(self, now: float) -> None:
        """Close every connection, 5.0 ones with DISCONNECT 0x8B. [5.0 3.14.2.1]"""
        self.house.round.now = now
        for link in self.links:
            link.disconnect(ReasonCode.SERVER_SHUTTING_DOWN, "the broker is shutting down", now)

    def _go_on(self) -> None:
        """Let one sender go on, however many there are; if that is not all, have the adapter ask again soon."""
        round_ = self.house.round
        round_.resting.popleft()(round_.now)
        if round_.resting and (self._wake is None or self._wake.callback is None):
            self._wake = self.house.timers.at(round_.now + _REST_SECONDS, lambda _now: None)
