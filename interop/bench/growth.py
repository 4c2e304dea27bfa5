"""What a broker's figures become when much is stored or connected: `mqtt-interop bench --suite growth`.

Two brokers of one kind run beside each other, one with next to nothing and one that has grown, and are measured in
turn, so that what else the machine does meets both.

Belongs here: making a broker grow, and what is measured before and after.
Does not belong here: measuring a cell (`measure`), holding connections (`connects`), the command line (`command`).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count, islice
from statistics import median

from interop.bench.cell import Cell, Mode
from interop.bench.connects import Crowd
from interop.bench.inbox import BadStream
from interop.bench.measure import Target, measure
from interop.bench.peer import Handshake
from interop.bench.proc import usage
from interop.bench.result import percentile
from interop.bench.table import in_words
from interop.bench.targets import running
from interop.exit_codes import CommandError
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import PingReq, Publish, Subscription, Unsubscribe
from reference_broker.wire.types import QoS, Version

_VERSION = Version.V311
_FILTERS_PER_PACKET = 1000
_SESSIONS = 100
_PAYLOAD = bytes(8)
_ACKNOWLEDGEMENT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is stored, and how often each thing is measured."""

    subscriptions: int = 1_000_000
    retained_levels: int = 100
    """Retained topics have three levels of so many names each."""
    clients: int = 10_000
    rounds: int = 7
    seconds: float = 1.0
    new_topics: int = 5_000


QUICK = Sizes(2_000, 10, 100, 1, 0.2, 200)


@dataclass(frozen=True, slots=True)
class Growth:
    """One figure before and after; `bound` says what it must be, in words, and `holds` whether it is."""

    what: str
    unit: str
    before: float
    grown: float
    bound: str = ""
    holds: bool = True


def measure_growth(broker: str, sizes: Sizes, tell: Callable[[Growth], None]) -> list[Growth]:
    """Measure everything with brokers of this name, and `tell` each figure at once; raises CommandError."""
    figures = []
    for part in (_subscriptions, _clients, _retained, _fairness):
        with ExitStack() as stack:
            small, large = (stack.enter_context(running(broker)) for _ in range(2))
            try:
                for figure in part(small, large, sizes):
                    tell(figure)
                    figures.append(figure)
            except BadStream as problem:
                raise CommandError(str(problem)) from None
    return figures


# --- many subscriptions -----------------------------------------------------------------------------------------------


def _subscriptions(small: Target, large: Target, sizes: Sizes) -> Iterator[Growth]:
    before = usage(large.pid)
    with ExitStack() as stack:
        for number in range(_SESSIONS):
            client = stack.enter_context(_client(large, f"many{number}"))
            share = range(number, sizes.subscriptions, _SESSIONS)
            filters = map(_filter, share)
            while some := list(islice(filters, _FILTERS_PER_PACKET)):
                client.subscribe([Subscription(each) for each in some])
        after = usage(large.pid)
        if before and after:
            each_bytes = (after.rss_bytes - before.rss_bytes) / sizes.subscriptions
            yield Growth(f"memory of one of {sizes.subscriptions:,} subscriptions", "bytes", 0.0, each_bytes)
        with _client(small, "one") as one:
            one.subscribe([Subscription(_filter(0))])
            yield from _busy_pair(f"{sizes.subscriptions:,} subscriptions stored", small, large, sizes)
            topics = count()
            matching = [
                (_microseconds_for_new_topics(small, topics, sizes), _microseconds_for_new_topics(large, topics, sizes))
                for _ in range(sizes.rounds)
            ]
    what = f"a PUBLISH to a topic never seen, among {sizes.subscriptions:,} subscriptions"
    yield Growth(what, "us", *_medians(matching), "microseconds", _medians(matching)[1] < 1000)


def _filter(number: int) -> str:
    """Half of them exact, half with a wildcard in the middle."""
    return f"growth/{number:07}/a" if number % 2 else f"growth/{number:07}/+/b"


def _microseconds_for_new_topics(target: Target, topics: Iterator[int], sizes: Sizes) -> float:
    """How long one takes, from QoS 1 PUBLISH to PUBACK, with many under way; each goes down the tree of filters."""
    packets = b"".join(
        encode(Publish(f"growth/{number:07}/c/d", _PAYLOAD, QoS.AT_LEAST_ONCE, packet_id=at + 1), _VERSION)
        for at, number in enumerate(islice(topics, sizes.new_topics))
    )
    with _client(target, "new-topics") as client:
        began = time.monotonic()
        client.carrier.send_all(packets)
        _receive(client, sizes.new_topics * _ACKNOWLEDGEMENT_BYTES)
        return (time.monotonic() - began) / sizes.new_topics * 1e6


# --- many clients -----------------------------------------------------------------------------------------------------


def _clients(small: Target, large: Target, sizes: Sizes) -> Iterator[Growth]:
    crowd = Crowd(Cell(mode=Mode.IDLE, connections=sizes.clients), large.address)
    with closing(crowd):
        crowd.run()
        yield from _busy_pair(f"{sizes.clients:,} idle clients connected", small, large, sizes)
        crowd.look_after_held()
        if crowd.drops:
            raise CommandError(f"{large.name} dropped {len(crowd.drops):,} idle clients, the first: {crowd.drops[0]}")


def _busy_pair(beside: str, small: Target, large: Target, sizes: Sizes) -> Iterator[Growth]:
    """Throughput, and the broker's CPU time for a delivery, which others on the machine do not spoil."""
    cell = Cell(seconds=sizes.seconds)
    rates, costs = [], []
    for _ in range(sizes.rounds):
        (small_rate, small_cost), (large_rate, large_cost) = (_run(cell, target) for target in (small, large))
        rates.append((small_rate, large_rate))
        costs.append((small_cost, large_cost))
    kept = median(grown / before for before, grown in rates)
    yield Growth(f"1 to 1, {beside}", "deliveries/s", *_medians(rates), "at least 80 %", kept >= 0.8)
    yield Growth(f"1 to 1, {beside}: CPU of the broker", "ns/delivery", *_medians(costs))


def _run(cell: Cell, target: Target) -> tuple[float, float]:
    before = usage(target.pid)
    result = measure(cell, target)
    after = usage(target.pid)
    if result.fell_short:
        raise CommandError(f"{target.name}: {result.flaws}")
    cost = (after.cpu_seconds - before.cpu_seconds) / result.delivered * 1e9 if before and after else 0.0
    return result.per_second, cost


# --- many retained messages -------------------------------------------------------------------------------------------


def _retained(small: Target, large: Target, sizes: Sizes) -> Iterator[Growth]:
    """Lookups that return few and many messages, in a broker that keeps just those and in one that keeps far more."""
    levels = sizes.retained_levels
    some, every = range(1), range(levels)
    filters = [
        ("growth/00/00/00", some, some, some),
        ("growth/00/00/+", some, some, every),
        ("growth/00/+/00", some, every, some),
        ("growth/+/00/00", every, some, some),
        ("growth/00/#", some, every, every),
    ]
    for _, *ranges in filters:
        _retain(small, *ranges)
    _retain(large, every, every, every)
    for topic_filter, first, second, third in filters:
        returned = len(first) * len(second) * len(third)
        times = [
            (_lookup(small, topic_filter, returned), _lookup(large, topic_filter, returned))
            for _ in range(max(3, sizes.rounds))
        ]
        what = f"{topic_filter}: {returned:,} retained messages, of {levels**3:,} kept"
        kept = median(grown / before for before, grown in times)
        yield Growth(what, "us/message", *_medians(times), "at most 4 times as long for each", kept <= 4)


def _retain(target: Target, first: range, second: range, third: range) -> None:
    with _client(target, "retain") as client:
        for a in first:
            client.carrier.send_all(b"".join(_retained_packet(a, b, c) for b in second for c in third))
            client.carrier.send_all(encode(PingReq(), _VERSION))
            _receive(client, 2)


def _retained_packet(a: int, b: int, c: int) -> bytes:
    return encode(Publish(f"growth/{a:02}/{b:02}/{c:02}", _PAYLOAD, retain=True), _VERSION)


def _lookup(target: Target, topic_filter: str, returned: int) -> float:
    """Microseconds from SUBSCRIBE to the last retained message, for each of them."""
    with _client(target, "lookup") as client:
        began = time.monotonic()
        client.subscribe([Subscription(topic_filter)])
        _receive(client, returned * len(_retained_packet(0, 0, 0)) - client.unread_bytes)
        elapsed = time.monotonic() - began
        client.carrier.send_all(encode(Unsubscribe(2, (topic_filter,)), _VERSION))
        _receive(client, _ACKNOWLEDGEMENT_BYTES)
    return elapsed / returned * 1e6


# --- fairness ---------------------------------------------------------------------------------------------------------

_FAIR_SECONDS = 0.05
_PING_EVERY_SECONDS = 0.004  # apart, so that each meets the flood at another moment
_FLOOD_SECONDS = 3.0


def _fairness(small: Target, large: Target, sizes: Sizes) -> Iterator[Growth]:
    """How long PINGRESP takes: with nobody else, and beside a client that floods one that does not read."""
    pings = max(20, int(_FLOOD_SECONDS * sizes.seconds / _PING_EVERY_SECONDS))
    alone = _ping_p99(small, pings)
    with _client(large, "stalled") as stalled, _client(large, "flood") as flood:
        stalled.subscribe([Subscription("flood/+")])
        thread = threading.Thread(target=_flood, args=(flood.carrier.send_all,), daemon=True)
        thread.start()
        beside = _ping_p99(large, pings)
        _shut(flood)
        thread.join()
    holds = beside < _FAIR_SECONDS
    yield Growth("p99 of PINGRESP beside a flood", "ms", alone * 1e3, beside * 1e3, "below 50 ms", holds)


def _flood(send: Callable[[bytes], None]) -> None:
    packets = encode(Publish("flood/t", bytes(64)), _VERSION) * 900
    with suppress(OSError):
        while True:
            send(packets)


def _shut(client: Handshake) -> None:
    with suppress(OSError), socket.socket(fileno=socket.dup(client.carrier.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)


def _ping_p99(target: Target, pings: int) -> float:
    took = []
    with _client(target, "ping") as client:
        for _ in range(pings):
            began = time.monotonic_ns()
            client.carrier.send_all(encode(PingReq(), _VERSION))
            _receive(client, 2)
            took.append(time.monotonic_ns() - began)
            time.sleep(_PING_EVERY_SECONDS)
    return percentile(sorted(took), 99) / 1e9


# --- small things -----------------------------------------------------------------------------------------------------


@contextmanager
def _client(target: Target, client_id: str) -> Iterator[Handshake]:
    """A connected client that talks packet by packet."""
    client = Handshake(target.address, _VERSION)
    try:
        client.connect(client_id)
        yield client
    finally:
        client.carrier.close()


def _receive(client: Handshake, size_bytes: int) -> None:
    """Wait for so many bytes, whatever they are."""
    buffer = memoryview(bytearray(1 << 18))
    while size_bytes > 0:
        received = client.carrier.receive_some(buffer[: min(size_bytes, len(buffer))])
        if not received:
            raise CommandError("the broker closed a connection")
        size_bytes -= received


def _medians(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return median(before for before, _ in pairs), median(grown for _, grown in pairs)


def growth_table(figures: Sequence[Growth]) -> list[list[str]]:
    """Cells of the table with its head."""
    head = ["what", "unit", "before", "grown", "grown / before", "must"]
    return [head, *map(_cells, figures)]


def _cells(figure: Growth) -> list[str]:
    ratio = f"{figure.grown / figure.before:.2f}" if figure.before else "-"
    bound = figure.bound if figure.holds else f"**{figure.bound}**"
    return [figure.what, figure.unit, in_words(figure.before), in_words(figure.grown), ratio, bound]
