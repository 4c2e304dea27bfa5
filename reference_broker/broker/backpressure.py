"""Holding publishers back for subscribers that do not read, but not for ever.

Belongs here: which links wait for which, and until when.
Does not belong here: what is dropped meanwhile (`sending`), reading and writing (the adapter).

A subscriber whose output or queue piles up stops the publishers that feed it from being read, so that nothing is lost
while it is merely slower. After `backpressure_seconds` it is left behind: its publishers go on, and what does not fit
is dropped or queued within the bounds, until it has caught up. Answers are never dropped: who asks for more and more of
them without reading any is not read itself, however long that takes.

Output drains when the subscriber reads, a queue only when we read its acknowledgements. So who has messages to
acknowledge is read on, or two clients that feed each other could wait for each other; what it gets later are the
acknowledgements of its own messages, and a publisher sends only so many without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference_broker.broker.broker import Broker
    from reference_broker.broker.link import Link
    from reference_broker.broker.timers import Timer

_TOLERATED_BYTES = 512 * 1024
"""Output a paused link may hold before publishers wait for it."""

_ANSWERS_FACTOR = 2
"""How far above the bound for messages answers may bring a link before it is not read any more."""


_PILED_UP, _DRAINED = 0.5, 0.25
"""The parts of a queue's bounds above which publishers wait, and below which they go on."""


class _Congestion:
    __slots__ = ("is_its_own_doing", "publishers", "timer")

    def __init__(self) -> None:
        self.is_its_own_doing = False
        self.publishers: set[Link] = set()
        self.timer: Timer | None = None


class Backpressure:
    """Who waits for whom. `Link.reading_paused` and `Link.held_answers` are set and cleared here only."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._congested: dict[Link, _Congestion] = {}
        self._changed: set[Link] = set()
        """Whose queue to look at when the present read is over."""

    def held(self, link: Link) -> None:
        """More output is held for a link that does not read."""
        if link.held_bytes <= min(_TOLERATED_BYTES, self._broker.config.outgoing_maximum_bytes):
            return
        congestion = self._congestion(link)
        publisher = self._broker.active_link
        if publisher is link and link.held_bytes > _ANSWERS_FACTOR * self._broker.config.outgoing_maximum_bytes:
            congestion.is_its_own_doing = True  # messages to itself would have been dropped before
            link.reading_paused = True
        elif publisher is not None:
            self._hold_back(publisher, congestion)

    def queue_changed(self, link: Link) -> None:
        """More or fewer messages wait in the session of a connected link; looked at when the present read is over."""
        if self._broker.active_link is None:
            self.drained(link)
        elif link in self._congested or self._has_queued(link, _PILED_UP):
            self._changed.add(link)

    def read_done(self, publisher: Link) -> None:
        """All that a link sent has had its effect: it waits for the queues that grew too long."""
        if not self._changed:
            return
        changed, self._changed = self._changed, set()
        for link in changed:
            self.drained(link)
        for link in changed:
            if self._has_queued(link, _PILED_UP) and not publisher.is_closed():
                self._hold_back(publisher, self._congestion(link), reads_on=publisher.has_to_acknowledge())

    def drained(self, link: Link) -> None:
        """A link has read everything, or messages that waited in its session have left."""
        if link in self._congested and not link.held_bytes and not self._has_queued(link, _DRAINED):
            self.forget(link)

    def forget(self, link: Link) -> None:
        """Nobody waits for a link any more: it is closed, or has caught up."""
        congestion = self._congested.pop(link, None)
        if congestion is not None:
            if congestion.timer is not None:
                congestion.timer.cancel()
            self._release(congestion)
            self._reconsider(link)

    def _congestion(self, link: Link) -> _Congestion:
        congestion = self._congested.get(link)
        if congestion is None:
            congestion = self._congested[link] = _Congestion()
            deadline = self._broker.now + self._broker.config.backpressure_seconds
            congestion.timer = self._broker.timers.at(deadline, lambda _now: self._leave_behind(link))
        return congestion

    def _hold_back(self, publisher: Link, congestion: _Congestion, *, reads_on: bool = False) -> None:
        if congestion.timer is None:  # left behind
            return
        congestion.publishers.add(publisher)
        if not reads_on:
            publisher.reading_paused = True
        elif publisher.held_answers is None:
            publisher.held_answers = bytearray()

    def _has_queued(self, link: Link, part: float) -> bool:
        """Whether more waits in a link's session than this part of the bounds."""
        queue = link.session.queue if link.session is not None else None
        if queue is None:
            return False
        config = self._broker.config
        return len(queue) > part * config.queue_maximum_messages or queue.size_bytes > part * config.queue_maximum_bytes

    def is_waiting(self, link: Link) -> bool:
        """Whether a link is held back because of others."""
        return any(link in congestion.publishers for congestion in self._congested.values())

    def _leave_behind(self, link: Link) -> None:
        congestion = self._congested[link]
        congestion.timer = None  # nobody waits for it any more
        self._release(congestion)

    def _release(self, congestion: _Congestion) -> None:
        waited, congestion.publishers = congestion.publishers, set()
        for publisher in waited:
            self._reconsider(publisher)

    def _reconsider(self, link: Link) -> None:
        if self.is_waiting(link):
            return
        link.release_answers()
        own = self._congested.get(link)
        if link.reading_paused and not (own is not None and own.is_its_own_doing):
            link.reading_paused = False
            if link.keep_alive is not None:
                link.keep_alive.packet_received(self._broker.now)  # the silence was ours
