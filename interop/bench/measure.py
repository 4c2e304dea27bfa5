"""One cell against one broker: starts the workers, watches their counters, adds up their reports.

Belongs here: begin and end of a measurement. Does not belong here: starting brokers (`brokers`), tables (`table`).
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Self

from interop.bench.cell import Cell
from interop.bench.inbox import BadStream
from interop.bench.proc import Usage, usage
from interop.bench.result import Latency, Result
from interop.bench.share import Share
from interop.bench.worker import Report, work
from reference_broker.net.address import Address

_READY_SECONDS = 60.0
_LEAD_SECONDS = 0.05  # all workers begin at one moment, which they have to know before
_STALL_SECONDS = 5.0
"""How long nothing may arrive, with messages still missing, before they are called lost."""

_POLL_SECONDS = 0.05
"""How often the counters are looked at; each look takes a processor from somebody, which the 99th percentile shows."""

_END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A broker that listens; `pid` where it is a process of this machine."""

    name: str
    version: str
    address: Address
    pid: int | None = None


def measure(cell: Cell, target: Target) -> Result:
    """Run a cell; a broker that breaks the protocol gives a result with a `failure`."""
    try:
        with Crew(cell, target.address) as crew:
            crew.wait_until_ready()
            before, began_ns = usage(target.pid), crew.start()
            crew.wait_until_delivered(began_ns)
            after, seconds = usage(target.pid), (time.monotonic_ns() - began_ns) / 1e9
            reports = crew.reports()
    except BadStream as problem:
        return Result(cell.name, target.name, target.version, failure=str(problem), offered_per_second=cell.rate)
    return _result(cell, target, crew.share, reports, began_ns, seconds, (before, after))


class Crew:
    """The workers of a measurement."""

    def __init__(self, cell: Cell, address: Address) -> None:
        self._cell = cell
        plans = cell.plans()
        context = multiprocessing.get_context("spawn")
        self.share = Share.make(context, cell.publishers, len(plans))
        self._senders = [any(peer.publishing for peer in peers) for peers in plans]
        self._pipes: list[Connection] = []
        self._processes: list[SpawnProcess] = []
        for index, peers in enumerate(plans):
            ours, theirs = context.Pipe()
            arguments = (index, peers, cell, address, self.share, theirs)
            process = context.Process(target=work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.share.stop[0] = 1
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_END_SECONDS if kind is None else 1.0)
            if process.is_alive():
                process.kill()
                process.join()

    def wait_until_ready(self) -> None:
        """Wait until every connection stands and every subscription is granted."""
        for pipe in self._pipes:
            self._hear(pipe, _READY_SECONDS)

    def start(self) -> int:
        """Begin; gives the time in nanoseconds."""
        began_ns = time.monotonic_ns() + int(_LEAD_SECONDS * 1e9)
        for pipe in self._pipes:
            pipe.send(began_ns)
        time.sleep(_LEAD_SECONDS)
        return began_ns

    def wait_until_delivered(self, began_ns: int) -> None:
        """Wait until all that was sent has come, or nothing comes any more."""
        share, progress, moved_ns = self.share, (0, 0), began_ns
        while True:
            time.sleep(_POLL_SECONDS)
            for pipe in self._pipes:
                if pipe.poll():  # nobody reports yet unless something is wrong
                    self._hear(pipe, 0)
            now_ns, state = time.monotonic_ns(), (sum(share.sent), sum(share.delivered))
            if state != progress:
                progress, moved_ns = state, now_ns
            done = all(done for done, sends in zip(share.senders_done, self._senders, strict=True) if sends)
            if done and state[1] >= self._cell.expected_deliveries(share.sent):
                return
            quiet = (now_ns - moved_ns) / 1e9 > _STALL_SECONDS
            if quiet and (now_ns - began_ns) / 1e9 > self._cell.seconds:
                return

    def reports(self) -> list[Report]:
        """Stop the workers; gives what they saw."""
        self.share.stop[0] = 1
        return [self._hear(pipe, _END_SECONDS) for pipe in self._pipes]

    @staticmethod
    def _hear(pipe: Connection, seconds: float) -> Any:
        """What a worker says: None when it is ready, a report at the end; raises BadStream with its failure."""
        try:
            if not pipe.poll(seconds):
                raise BadStream("a worker of the load generator does not answer")
            said: Report | None = pipe.recv()
        except (EOFError, ConnectionResetError):
            raise BadStream("a worker of the load generator ended") from None
        if said is not None and said.failure:
            raise BadStream(said.failure)
        return said


def _result(
    cell: Cell,
    target: Target,
    share: Share,
    reports: list[Report],
    began_ns: int,
    seconds: float,
    broker: tuple[Usage | None, Usage | None],
) -> Result:
    delivered = sum(share.delivered)
    took = (max(share.last_receipt_ns) - began_ns) / 1e9 if delivered else seconds
    before, after = broker
    drops = [drop for report in reports for drop in report.drops]
    return Result(
        cell=cell.name,
        broker=target.name,
        broker_version=target.version,
        seconds=took,
        sent=sum(share.sent),
        delivered=delivered,
        dropped=len(drops),
        first_drop=drops[0] if drops else "",
        lost=max(0, cell.expected_deliveries(share.sent) - delivered),
        repeated=sum(report.repeated for report in reports),
        per_second=delivered / took if took else 0.0,
        latency=Latency.of([latency for report in reports for latency in report.latencies_ns]),
        broker_cores=(after.cpu_seconds - before.cpu_seconds) / seconds if before and after else None,
        rss_bytes=after.rss_bytes if after else None,
        generator_cores=max(report.cpu_seconds for report in reports) / seconds,
        offered_per_second=cell.rate,
    )
