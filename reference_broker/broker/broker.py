"""The broker as one object: connections in, output and deadlines out, state saved.

Belongs here: what an adapter calls.
Does not belong here: the protocol of a connection (`link`, `peers`), the way of a message (`keeping.exchange`), sockets
and clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reference_broker.broker.fast.heads import Heads
from reference_broker.broker.keeping.house import House
from reference_broker.broker.keeping.persistence import restore_snapshot, take_snapshot
from reference_broker.broker.link import Link
from reference_broker.broker.outgoing.output import Buffer
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.timers import Timer
from reference_broker.store import Store, StoreError
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
        store: Store | None = None,
    ) -> None:
        """`seed` makes the client ids the broker assigns repeatable.

        `fast_path` False has every packet decoded and handled by itself, as a broker that deviates on purpose needs.
        `store` keeps sessions and retained messages over restarts: call `load` before the first connection.
        """
        self.house = House(config or BrokerConfig(), seed)
        self.heads: Heads | None = None
        """What the fast path remembers."""
        if fast_path:
            self.heads = Heads(self.house.config, self.house.access, self.house.admission, self.house.router)
        self._wake: Timer | None = None
        self._store = store
        self._unix_time_at_zero: float | None = None

    # --- what the adapter calls --------------------------------------------------------------------------------------

    @property
    def log(self) -> Callable[[str], None]:
        """What is done with each line about a peer; nothing until it is set."""
        return self.house.log.write

    @log.setter
    def log(self, write: Callable[[str], None]) -> None:
        self.house.log.write = write

    def load(self, now: float, unix_time: float | None = None) -> None:
        """Take over what the store holds, and save to it from now on; raises StoreError. Nothing without a store.

        `unix_time` (seconds) is now by the clock on the wall: by it, messages age while no broker runs.
        [5.0 MQTT-3.3.2-5]
        """
        self.house.round.now = now
        if self._store is None:
            return
        snapshot = self._store.load()
        down_seconds = 0.0
        if unix_time is not None:
            self._unix_time_at_zero = unix_time - now
            if snapshot.saved_at is not None:
                down_seconds = max(0.0, unix_time - snapshot.saved_at)
        restore_snapshot(self.house, snapshot, now, down_seconds)
        self.house.timers.run(now)  # what was due at once, e.g. a will, is due before anybody comes
        if not self.saves_before_answering:
            self.house.timers.at(now + self.house.config.store_interval_seconds, self._save_regularly)

    @property
    def saves_before_answering(self) -> bool:
        """Whether the adapter has to call `save` each time before it writes what `take_output` gives."""
        return self._store is not None and not self.house.config.store_interval_seconds

    def save(self, now: float) -> None:
        """Save what has to survive the broker; raises StoreError. Nothing without a store."""
        if self._store is not None:
            if self.house.round.resting and self.saves_before_answering:
                self._go_on()  # it is an answer
            saved_at = None if self._unix_time_at_zero is None else self._unix_time_at_zero + now
            self._store.save(take_snapshot(self.house, now, saved_at))

    def connect(self, now: float, peer: str = "") -> Link:
        """A network connection was accepted; `peer` names it in the log."""
        house = self.house
        house.round.now = now
        if len(house.opening) >= house.config.maximum_half_open:
            text = f"closed, because {len(house.opening)} connections have not been let in yet"
            oldest = next(iter(house.opening))
            oldest.log(text)
            oldest.disconnect(ReasonCode.SERVER_BUSY, text, now, publish_will=False)
        link = self.link_type(house, self.heads, now, peer)
        house.opening[link] = None
        return link

    @property
    def links(self) -> list[Link]:
        """All connections that are open."""
        connections: list[Any] = self.house.connections
        return connections

    def take_output(self) -> list[tuple[Link, list[Buffer], bool]]:
        """What to write since the last call: for each link pieces of bytes, and whether to close it after them.

        Where `has_output` is true behind it, there is more to take, once this is written.
        """
        round_ = self.house.round
        if round_.resting and not self.saves_before_answering:
            self._go_on()
        if round_.changed or round_.pressed:
            self.house.backpressure.settle()
        output = []
        swollen: list[Any] = round_.swollen  # links, here and below: `connect` makes them, and nobody else
        for link in swollen:
            link.shrink()
        dirty: list[Any] = round_.dirty
        round_.dirty = []
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

    def shutdown(self, now: float) -> None:
        """Close every connection, 5.0 ones with DISCONNECT 0x8B, and save. [5.0 3.14.2.1]"""
        self.house.round.now = now
        for link in self.links:
            link.disconnect(ReasonCode.SERVER_SHUTTING_DOWN, "the broker is shutting down", now)
        self.save(now)

    def _go_on(self) -> None:
        """Let one sender go on, however many there are; if that is not all, have the adapter ask again soon."""
        round_ = self.house.round
        round_.resting.popleft()(round_.now)
        if round_.resting and (self._wake is None or self._wake.callback is None):
            self._wake = self.house.timers.at(round_.now + _REST_SECONDS, lambda _now: None)

    def _save_regularly(self, now: float) -> None:
        try:
            self.save(now)
        except StoreError as error:
            self.house.log.write(f"state not saved: {error}")
        self.house.timers.at(now + self.house.config.store_interval_seconds, self._save_regularly)
