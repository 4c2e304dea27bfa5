"""What more and more connections cost each: `mqtt-interop bench --suite crowds`.

Every connection waits for one topic, so that one message goes to all; nothing else happens but what is measured. What
grows with the square, or has a step somewhere, shows in the columns, whose figures are for one connection.

Belongs here: the numbers of connections, and what is measured of each.
Does not belong here: holding connections (`connects`), the command line (`command`).
"""

from __future__ import annotations

import resource
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from interop.bench.cell import Cell, Mode
from interop.bench.connects import Crowd
from interop.bench.inbox import BadStream
from interop.bench.measure import Target
from interop.bench.peer import Handshake
from interop.bench.proc import Usage, usage
from interop.bench.table import in_words
from interop.bench.targets import running
from interop.exit_codes import CommandError
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import PingReq, Publish
from reference_broker.wire.types import Version

_VERSION = Version.V311
_TOPIC = "bench/all"
_NUMBERS = (1_250, 2_500, 5_000, 10_000, 20_000, 50_000)
_OTHER_FILES = 200
"""What a process has open besides its connections."""
_IDLE_SECONDS = 5.0
_STALL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class CrowdCost:
    """What so many connections cost; everything but `idle_cpu_share` is for one of them."""

    connections: int
    connect_us: float
    memory_bytes: float
    idle_cpu_share: float
    """Of one core, while nobody says anything."""
    broadcast_us: float
    """From one PUBLISH to the last who gets it."""
    broadcast_cpu_us: float
    ping_us: float
    """All send PINGREQ at once, until the last has its answer."""
    leave_cpu_us: float
    """All connections break at once."""


def numbers(*, quick: bool = False) -> list[int]:
    """How many connections are measured: as many as the system lets one process have, up to 50,000."""
    if quick:
        return [20, 40]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_FILES
    below = [number for number in _NUMBERS if number <= most]
    return below if below[-1:] == list(_NUMBERS[-1:]) else [*below, most // 100 * 100]


def measure_crowds(broker: str, crowds: Sequence[int], tell: Callable[[CrowdCost], None]) -> list[CrowdCost]:
    """Measure crowds of these numbers, each with a broker of its own; raises CommandError."""
    costs = []
    for connections in crowds:
        with running(broker) as target:
            try:
                cost = _measure(target, connections)
            except BadStream as problem:
                raise CommandError(f"{connections:,} connections: {problem}") from None
        tell(cost)
        costs.append(cost)
    return costs


def _measure(target: Target, connections: int) -> CrowdCost:
    crowd = Crowd(Cell(mode=Mode.IDLE, connections=connections), target.address, topic=_TOPIC)
    empty = _usage(target)
    began = time.monotonic()
    with closing(crowd):
        crowd.run()
        connect_seconds = time.monotonic() - began
        time.sleep(_IDLE_SECONDS / 5)
        full = _usage(target)
        time.sleep(_IDLE_SECONDS)
        idle = _usage(target)
        broadcast = encode(Publish(_TOPIC, bytes(64)), _VERSION)
        publisher = Handshake(target.address, _VERSION)
        publisher.connect("publisher")
        with closing(publisher.carrier):
            broadcast_seconds = _until_all_have(crowd, len(broadcast), lambda: publisher.carrier.send_all(broadcast))
            told = _usage(target)
            ping = encode(PingReq(), _VERSION)
            ping_seconds = _until_all_have(crowd, len(ping), lambda: crowd.say(ping))
            before = _usage(target)
        if crowd.drops:
            raise BadStream(f"{len(crowd.drops):,} were dropped, the first: {crowd.drops[0]}")
    left = _settled(target)
    return CrowdCost(
        connections,
        connect_seconds / connections * 1e6,
        (full.rss_bytes - empty.rss_bytes) / connections,
        (idle.cpu_seconds - full.cpu_seconds) / _IDLE_SECONDS,
        broadcast_seconds / connections * 1e6,
        (told.cpu_seconds - idle.cpu_seconds) / connections * 1e6,
        ping_seconds / connections * 1e6,
        (left.cpu_seconds - before.cpu_seconds) / connections * 1e6,
    )


def _until_all_have(crowd: Crowd, size_bytes: int, act: Callable[[], None]) -> float:
    """Seconds from an act until each connection has got so many bytes; raises BadStream."""
    with selectors.DefaultSelector() as selector:
        missing = 0
        for each in crowd.sockets():
            selector.register(each, selectors.EVENT_READ)
            missing += 1
        began = time.monotonic()
        act()
        while missing:
            events = selector.select(_STALL_SECONDS)
            if not events:
                raise BadStream(f"{missing:,} had nothing after {_STALL_SECONDS:g} s")
            for key, _ in events:
                sock = key.fileobj
                if len(sock.recv(4096)) != size_bytes:  # type: ignore[union-attr]
                    raise BadStream("somebody got something else than all others")
                missing -= 1
        return time.monotonic() - began


def _usage(target: Target) -> Usage:
    used = usage(target.pid)
    if used is None:
        raise CommandError("--suite crowds needs a broker whose process can be seen")
    return used


def _settled(target: Target) -> Usage:
    """Its usage once it does nothing more."""
    before = _usage(target)
    while True:
        time.sleep(_IDLE_SECONDS / 5)
        after = _usage(target)
        if after.cpu_seconds - before.cpu_seconds < 0.02:
            return after
        before = after


def crowds_table(costs: Sequence[CrowdCost]) -> list[list[str]]:
    """Cells of the table with its head."""
    head = [
        "connections", "to connect, us", "memory, bytes", "CPU while idle, % of a core", "a message to all, us",
        "the broker's CPU for it, us", "a PINGREQ of all, us", "the broker's CPU when all break, us",
    ]  # fmt: skip
    return [head, *(list(_cells(each)) for each in costs)]


def _cells(cost: CrowdCost) -> Iterator[str]:
    yield f"{cost.connections:,}"
    yield in_words(cost.connect_us)
    yield in_words(cost.memory_bytes)
    yield f"{cost.idle_cpu_share * 100:.1f}"
    yield from map(in_words, (cost.broadcast_us, cost.broadcast_cpu_us, cost.ping_us, cost.leave_cpu_us))
