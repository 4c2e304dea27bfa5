"""How long to wait between reads, so that packets that come one by one are read together.

Belongs here: finding out how much waiting carries more, and from whom, from what was read and when.
Does not belong here: waiting itself (`server`), any MQTT.

A peer that sends each packet by itself wakes the broker for each, and pays for the waking; while nobody waits in the
kernel's poll its sends cost a fraction. Network cards wait with their interrupts for the same reason. Whether more gets
through is tried, because only that tells a peer that would send faster from one that sends as fast as it wants to, or
that waits for each answer: those would get nothing but the delay.

Where several send, what counts is how many packets gather on each connection: beyond some tens the sender's system
keeps those that follow for one segment, and sending costs a fraction again.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum, auto
from typing import Final

STEPS_SECONDS: Final = (60e-6, 120e-6, 240e-6)
"""What is tried for one sender, each step after the one before was worth it; most systems add some 50 microseconds."""
EACH_SECONDS: Final = 200e-6
"""What is tried for several, for each of them."""
LONGEST_SECONDS: Final = 0.02
"""No packet is left unread longer."""

_WINDOW_SECONDS: Final = 0.004
_WINDOW_OF_SEVERAL_SECONDS: Final = 0.012
"""So long what is read is counted before anything is decided, and once more a wait: it comes in gusts."""
_LONG_SECONDS: Final = 0.006
"""After longer waits the first gust tells much."""
_MOST_WINDOWS: Final = 3
"""A window that took so much longer tells nothing: somebody else had the processor."""
_FREQUENT_PER_SECOND: Final = 15_000
_SMALL_BYTES: Final = 1024
"""Reads so frequent and, on average, so small are worth a trial."""
_RARELY: Final = 4
"""Who is read so many times less often than another does not belong to those who send."""
_ENOUGH_BYTES: Final = 65_536
"""Who had so much to read is not made to wait."""
_GAIN: Final = 1.1
_FURTHER_GAIN: Final = 1.05
"""So much more has to get through by the first step than without, and by each further one than by that before."""
_LOOK_AFTER_SECONDS: Final = 0.4
_LOOK_AT_SEVERAL_AFTER_SECONDS: Final = 1.0
"""After so long it is looked at anew what gets through without waiting."""
_DRAINING_SECONDS: Final = 0.008
_SHORTEST_PAUSE_SECONDS: Final = 0.25
_SHORTEST_PAUSE_OF_SEVERAL_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 4.0
_LONGEST_PAUSE_OF_SEVERAL_SECONDS: Final = 16.0
"""How long nothing is tried after a trial in vain; each one doubles it."""


class _Phase(Enum):
    """What the windows are counted for."""

    LOOKING = auto()
    """Whether reads are frequent and small."""
    COUNTING = auto()
    """How much gets through without waiting, and from whom."""
    BEGINNING = auto()
    """Nothing: what comes was not waited for all the time."""
    TRYING = auto()
    SETTLED = auto()
    DRAINING = auto()
    """Nothing: what comes gathered before."""


class Gathering:
    """Counts the reads of one event loop; tell it of each one by `note`."""

    __slots__ = (
        "_began",
        "_bytes",
        "_counts",
        "_earliest_trial",
        "_floor",
        "_look_at",
        "_pause_seconds",
        "_phase",
        "_reads",
        "_senders",
        "_steps",
        "_wait_seconds",
        "_wanted",
        "_window_seconds",
    )

    def __init__(self) -> None:
        self._phase = _Phase.LOOKING
        self._wait_seconds = 0.0
        self._steps: tuple[float, ...] = ()
        """What was found worth it, and behind it what is tried now."""
        self._senders: frozenset[Hashable] = frozenset()
        """Whom it is waited for, where those are several."""
        self._counts: dict[Hashable, int] | None = None
        self._floor = 0.0
        """Less than so many bytes a second would get through without waiting, too."""
        self._wanted = 0.0
        """So many bytes a second make the step that is tried worth it."""
        self._began = 0.0
        self._window_seconds = _WINDOW_SECONDS
        self._reads = 0
        self._bytes = 0
        self._look_at = 0.0
        self._earliest_trial = 0.0
        self._pause_seconds = _SHORTEST_PAUSE_SECONDS

    @property
    def is_for_one(self) -> bool:
        """Whether there is one sender, so that the whole loop may wait; else each of several is read later."""
        return not self._senders

    def note(self, sender: Hashable, size_bytes: int, now: float) -> float:
        """Count one read; gives how many seconds to wait before the next one of this sender."""
        self._reads += 1
        self._bytes += size_bytes
        if self._counts is not None:
            self._counts[sender] = self._counts.get(sender, 0) + 1
        if now - self._began >= self._window_seconds:
            self._end_window(now)
        if self._senders and (sender not in self._senders or size_bytes >= _ENOUGH_BYTES):
            return 0.0
        return self._wait_seconds

    def note_waited(self, now: float) -> None:
        """Several were waited for and are read next: what they sent meanwhile is in the next window."""
        if not self._senders:
            return
        seconds = now - self._began
        is_over = self._phase is _Phase.BEGINNING or seconds >= _WINDOW_OF_SEVERAL_SECONDS + self._wait_seconds
        if self._phase is _Phase.TRYING and self._wait_seconds > _LONG_SECONDS:
            is_over = is_over or 2 * self._bytes < self._wanted * seconds  # who waits for answers is not kept longer
        if is_over:
            self._end_window(now)

    def _end_window(self, now: float) -> None:
        seconds = max(now - self._began, 1e-9)
        rate = self._bytes / seconds
        is_worth_it = self._reads >= _FREQUENT_PER_SECOND * seconds and self._bytes < _SMALL_BYTES * self._reads
        match self._phase:
            case _Phase.LOOKING if is_worth_it and now >= self._earliest_trial:
                self._count()
            case _Phase.COUNTING:
                self._begin(rate, is_worth_it)
            case _Phase.BEGINNING:
                self._phase = _Phase.TRYING
            case _Phase.TRYING if seconds < _MOST_WINDOWS * self._window_seconds:
                self._judge(rate, now)
            case _Phase.SETTLED if rate < self._floor or now >= self._look_at:
                self._look_anew()
            case _Phase.DRAINING:
                self._count()
        self._began = now
        self._reads = self._bytes = 0

    def _count(self) -> None:
        self._window_seconds = _WINDOW_SECONDS
        self._phase = _Phase.COUNTING
        self._counts = {}

    def _begin(self, rate: float, is_worth_it: bool) -> None:
        counts = self._counts or {}
        often = max(counts.values(), default=0)
        senders = [sender for sender, count in counts.items() if _RARELY * count > often]
        if is_worth_it and len(senders) > 1 and self._window_seconds == _WINDOW_SECONDS:
            self._window_seconds = _WINDOW_OF_SEVERAL_SECONDS  # so soon chance decides who belongs to them
            return
        self._counts = None
        self._window_seconds = _WINDOW_SECONDS
        if not is_worth_it:
            self._phase = _Phase.LOOKING
            return
        self._floor = self._wanted = _GAIN * rate
        if len(senders) == 1:
            self._phase = _Phase.TRYING
            self._wait_for(STEPS_SECONDS[:1])
        else:
            self._phase = _Phase.BEGINNING
            self._senders = frozenset(senders)
            self._wait_for((min(LONGEST_SECONDS, EACH_SECONDS * len(senders)),))

    def _wait_for(self, steps: tuple[float, ...]) -> None:
        self._steps = steps
        self._wait_seconds = steps[-1] if steps else 0.0
        self._window_seconds = _WINDOW_SECONDS
        if self._senders:  # their windows end when they are read again, unless nobody is
            self._window_seconds = _WINDOW_OF_SEVERAL_SECONDS + 4 * self._wait_seconds

    def _judge(self, rate: float, now: float) -> None:
        count = len(self._steps)
        if rate < self._wanted:
            self._wait_for(self._steps[:-1])
            self._settle(now)
        elif not self._senders and count < len(STEPS_SECONDS):
            self._wanted = _FURTHER_GAIN * rate
            self._wait_for(STEPS_SECONDS[: count + 1])
        else:
            self._settle(now)

    def _settle(self, now: float) -> None:
        if self._steps:
            self._phase = _Phase.SETTLED
            self._look_at = now + (_LOOK_AT_SEVERAL_AFTER_SECONDS if self._senders else _LOOK_AFTER_SECONDS)
            self._pause_seconds = _SHORTEST_PAUSE_SECONDS
            return
        pause, longest = self._pause_seconds, _LONGEST_PAUSE_SECONDS
        if self._senders:  # a trial takes longer
            pause, longest = max(pause, _SHORTEST_PAUSE_OF_SEVERAL_SECONDS), _LONGEST_PAUSE_OF_SEVERAL_SECONDS
        self._earliest_trial = now + pause
        self._pause_seconds = min(2 * pause, longest)
        self._senders = frozenset()
        self._wait_for(())
        self._phase = _Phase.LOOKING

    def _look_anew(self) -> None:
        is_for_one = self.is_for_one
        self._senders = frozenset()
        self._wait_for(())
        if is_for_one:
            self._count()
        else:
            self._phase = _Phase.DRAINING
            self._window_seconds = _DRAINING_SECONDS
