"""Whether the broker of a cell is there: what is looked at when a cell is over, and when a run has nobody left to try.

Belongs here: how a broker is noticed to have gone away in a cell, and how often it may before the run ends.
Does not belong here: asking it (`interop.brokers.probe`), what else a cell comes to (`verdict`).

What is seen of a broker that went away is held against nobody: a connection that ends without a DISCONNECT, a message
that never comes are what every dead process does. Why it went away may be its own fault all the same; so the cell says
when that was, and whether it had the broker to itself.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from interop.brokers.probe import as_clause
from interop.runner.cell import Cell
from interop.runner.failures import BrokerGone, RunIsOver
from interop.runner.stage import Stage
from interop.tap.trace import Kind, Sender, Trace
from reference_broker.net.address import Transport
from reference_broker.wire.types import Version
from reports.record import Record

PROCESS_ENDED = "the broker's process ended"
"""How the reason of such a cell begins."""
IN_A_ROW = 5
"""How many cells have to miss a broker, one after the other, before no more are played."""


class NobodyThere(RunIsOver):
    """The run cannot go on, because a `broker` is gone for good; the message says how that showed."""

    def __init__(self, broker: str, why: str) -> None:
        super().__init__(why)
        self.broker = broker


async def check_presence(cell: Cell, stage: Stage, *, is_bad: bool) -> None:
    """Raise BrokerGone when the broker went away before the cell was over, or was never there.

    A broker whose process we see is looked at. Any other is asked where the cell came out bad, or where the broker
    closed every connection: that may be what the scenario is about, or the end of its process.
    """
    broker = stage.broker
    assert broker is not None
    for_good, why = not broker.is_renewed, _unreached(cell, stage)
    if not broker.end and (why or is_bad or _has_closed_all(stage.trace)):
        version, transport = Version.from_label(cell.mqtt), Transport(cell.transport)
        why = await broker.absence(version, transport, stage.login) or why
    if end := broker.end:
        where = "in this cell, which had it to itself" if cell.is_alone else "while this cell was under way"
        ended = f"{PROCESS_ENDED} {end}{_at(stage.trace)}, {where}"
        raise BrokerGone(ended, for_good=for_good, died_alone=cell.is_alone)
    if why:
        raise BrokerGone(f"the broker {why}{_at(stage.trace, ', last heard of')}", for_good=for_good)


def _unreached(cell: Cell, stage: Stage) -> str:
    """Why the tap had no broker to go on to, if it once had none but for a restart that the scenario asks for."""
    links = () if cell.loaded.scenario.is_restarted() else stage.links.values()
    words = (
        f"could not be reached at {link.upstream.host_and_port}: {as_clause(link.unreached)}"
        for link in links
        if link.unreached
    )
    return next(words, "")


def last_heard(trace: Trace) -> float | None:
    """When the broker last sent or closed something, on the trace's clock; None when it never did."""
    return max((entry.at for entry in trace.entries if entry.sender is Sender.BROKER), default=None)


def _at(trace: Trace, words: str = "") -> str:
    heard = last_heard(trace)
    return "" if heard is None else f"{words} at {heard:.1f} s"


def _has_closed_all(trace: Trace) -> bool:
    """Whether nothing is open any more, and the last thing to happen on each connection was the broker's end of it."""
    ends = {(entry.link, entry.connection): entry for entry in trace.entries}
    closed = [entry.kind is Kind.CLOSE and entry.sender is Sender.BROKER for entry in ends.values()]
    return bool(closed) and all(closed)


@dataclass(slots=True)
class _Seen:
    """What one worker knows of one broker."""

    missed: float = -math.inf
    in_a_row: int = 0


class Presence:
    """What the cells of a worker found of their brokers; `over` says that no more need be played.

    Moments are of the monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: defaultdict[str, _Seen] = defaultdict(_Seen)
        self.over: NobodyThere | None = None

    def heard(self, broker: str, moment: float) -> None:
        """It sent something at that moment."""
        seen = self._seen[broker]
        if moment > seen.missed:
            seen.in_a_row = 0

    def missed(self, broker: str, began: float, why: str) -> None:
        """A cell that began at that moment found it gone; cells that were under way together count once."""
        seen = self._seen[broker]
        if began < seen.missed:
            return
        seen.missed = self._clock()
        seen.in_a_row += 1
        if seen.in_a_row >= IN_A_ROW and self.over is None:
            self.over = NobodyThere(broker, f"{broker} is gone, as {seen.in_a_row} cells in a row found ({why})")


def last_alive(records: Iterable[Record], broker: str) -> str:
    """When any cell last heard of a broker, as the end of a sentence on it."""
    moments = [
        datetime.fromisoformat(record.started_at) + timedelta(seconds=entry.at)
        for record in records
        if record.broker == broker and record.started_at
        for entry in record.trace
        if entry.sender == "broker"
    ]
    return f"it was last alive at {max(moments):%Y-%m-%d %H:%M:%S} UTC" if moments else "no cell ever heard of it"
