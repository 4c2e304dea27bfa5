"""Holding publishers back for subscribers that do not read, but not for ever.

Belongs here: which connections wait for which, and until when, settled behind each read from what was noted meanwhile
(`output.Round`). Does not belong here: what is dropped meanwhile (`sending`), reading and writing (the adapter).

A subscriber whose output or queue piles up stops the publishers that feed it from being read, so that nothing is lost
while it is merely slower. After `backpressure_seconds` it is left behind: its publishers go on, and what does not fit
is dropped or queued within the bounds, until it has caught up. Answers are never dropped: who asks for more and more of
them without reading any is not read itself, however long that takes.

Output drains when the subscriber reads, a queue only when we read its acknowledgements. So who has messages to
acknowledge is read on, or two clients that feed each other could wait for each other; what it gets later are the
acknowledgements of its own messages, and a publisher sends only so many without them.
"""

from __future__ import annotations

from reference_broker.broker.outgoing.output import Output, Round
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.timers import Timer, Timers

_TOLERATED_BYTES = 512 * 1024
"""Output a paused connection may hold before publishers wait for it."""

_ANSWERS_FACTOR = 2
"""How far above the bound for messages answers may bring a connection before it is not read any more."""


_PILED_UP, _DRAINED, _GROWS = 0.5, 0.25, 0.05
"""The parts of a queue's bounds above which publishers wait, below which they go on, and above which they are noted."""


class _Congestion:
    __slots__ = ("is_its_own_doing", "publishers", "timer")

    def __init__(self) -> None:
        self.is_its_own_doing = False
        self.publishers: set[Output] = set()
        self.timer: Timer | None = None


class Backpressure:
    """Who waits for whom. `Output.reading_paused` and `Output.held_answers` are set and cleared here only."""

    def __init__(self, config: BrokerConfig, timers: Timers, round_: Round) -> None:
        self._config = config
        self._timers = timers
        self._round = round_
        self._tolerated_bytes = min(_TOLERATED_BYTES, config.outgoing_maximum_bytes)
        self._congested: dict[Output, _Congestion] = {}
        self._feeding: dict[Output, set[Output]] = {}
        """Whose messages made a queue grow: they are held back together, or each would add to it once more."""
        self._resting: dict[Output, Timer] = {}
        """Who sent more than it may in its time, and when that is over."""

    def settle(self, publisher: Output | None = None) -> None:
        """All that `publisher` sent has had its effect, or all that time or nobody in particular brought about.

        It waits for whoever got output and does not read, and for the queues that grew too long.
        """
        round_ = self._round
        if round_.pressed:
            pressed, round_.pressed = round_.pressed, {}
            for output in pressed:
                self._press(output, publisher)
        if not round_.changed:
            return
        changed, round_.changed = round_.changed, {}
        for output in changed:
            self.drained(output)
        if publisher is None or publisher.is_closed():
            return
        for output in changed:
            if not self._has_queued(output, _GROWS):
                continue
            feeding = self._feeding.setdefault(output, set())
            feeding.add(publisher)
            if self._has_queued(output, _PILED_UP):
                congestion = self._congestion(output)
                if congestion.timer is not None:  # it is not left behind
                    for each in feeding - congestion.publishers:
                        self._hold_back(each, congestion, reads_on=each.has_to_acknowledge())

    def drained(self, output: Output) -> None:
        """Somebody has read everything, or messages that waited in its session have left."""
        if output in self._congested and not output.held_bytes and not self._has_queued(output, _DRAINED):
            self.forget(output)
        if output in self._feeding and not self._has_queued(output, _GROWS):
            del self._feeding[output]

    def rest(self, output: Output, until: float) -> None:
        """Do not read somebody before a time, which is never earlier than the last one."""
        if (timer := self._resting.get(output)) is not None:
            timer.cancel()
        output.reading_paused = True
        self._resting[output] = self._timers.at(until, lambda _now: self._wake(output))

    def _wake(self, output: Output) -> None:
        del self._resting[output]
        self._reconsider(output)

    def end(self, output: Output) -> None:
        """It is closed."""
        if (timer := self._resting.pop(output, None)) is not None:
            timer.cancel()
        self.forget(output)
        self._feeding.pop(output, None)
        for feeding in self._feeding.values():
            feeding.discard(output)

    def forget(self, output: Output) -> None:
        """Nobody waits for it any more: it is closed, or has caught up."""
        congestion = self._congested.pop(output, None)
        if congestion is not None:
            if congestion.timer is not None:
                congestion.timer.cancel()
            self._release(congestion)
            self._reconsider(output)

    def is_waiting(self, publisher: Output) -> bool:
        """Whether somebody is held back because of others, or rests."""
        return publisher in self._resting or any(
            publisher in congestion.publishers for congestion in self._congested.values()
        )

    def _press(self, output: Output, publisher: Output | None) -> None:
        """More output is held for somebody that does not read."""
        if output.held_bytes <= self._tolerated_bytes or output.is_closed():
            return
        congestion = self._congestion(output)
        if publisher is output and output.held_bytes > _ANSWERS_FACTOR * self._config.outgoing_maximum_bytes:
            congestion.is_its_own_doing = True  # messages to itself would have been dropped before
            output.reading_paused = True
        if publisher is not None:
            self._hold_back(publisher, congestion)

    def _congestion(self, output: Output) -> _Congestion:
        congestion = self._congested.get(output)
        if congestion is None:
            congestion = self._congested[output] = _Congestion()
            deadline = self._round.now + self._config.backpressure_seconds
            congestion.timer = self._timers.at(deadline, lambda _now: self._leave_behind(output))
        return congestion

    def _hold_back(self, publisher: Output, congestion: _Congestion, *, reads_on: bool = False) -> None:
        if congestion.timer is None:  # left behind
            return
        congestion.publishers.add(publisher)
        if not reads_on:
            publisher.reading_paused = True
        elif publisher.held_answers is None:
            publisher.held_answers = bytearray()

    def _has_queued(self, output: Output, part: float) -> bool:
        """Whether more waits in somebody's session than this part of the bounds."""
        queue = output.queue()
        if queue is None:
            return False
        config = self._config
        return len(queue) > part * config.queue_maximum_messages or queue.size_bytes > part * config.queue_maximum_bytes

    def _leave_behind(self, output: Output) -> None:
        congestion = self._congested[output]
        congestion.timer = None  # nobody waits for it any more
        self._release(congestion)

    def _release(self, congestion: _Congestion) -> None:
        waited, congestion.publishers = congestion.publishers, set()
        for publisher in waited:
            self._reconsider(publisher)

    def _reconsider(self, output: Output) -> None:
        if self.is_waiting(output):
            return
        output.release_answers()
        own = self._congested.get(output)
        if output.reading_paused and not (own is not None and own.is_its_own_doing):
            output.reading_paused = False
            output.reading_resumed(self._round.now)
