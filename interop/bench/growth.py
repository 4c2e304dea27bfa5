"""Whether the reference broker stays fast when it holds much: a million subscriptions, a million retained messages,
ten thousand clients.

Belongs here: filling a broker or its parts, and measuring the same thing empty and full.
Does not belong here: the comparison with other brokers (`compare`), one stream's measurement (`measure`).

What clients feel is measured over sockets: a busy pair beside what is held. What a look-up costs is measured on the
broker's own structures, because a socket costs more than the look-up.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from statistics import median

from interop.bench.cell import Cell, Mode
from interop.bench.connects import Crowd
from interop.bench.document import Machine, this_machine
from interop.bench.inbox import BadStream
from interop.bench.measure import Target, measure
from interop.bench.table import short
from interop.bench.targets import REFERENCE, running
from interop.exit_codes import CommandError
from reference_broker.broker.access import AccessControl
from reference_broker.broker.config import BrokerConfig
from reference_broker.broker.message import Message
from reference_broker.broker.retained import RetainedMessages
from reference_broker.broker.routing import Router
from reference_broker.broker.sessions import Session
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, SubAck, Subscribe, Subscription
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import QoS, Version

_V311 = Version.V311
_FILTERS_AT_ONCE = 1000
_SITES = 1000
_LOOKED_UP = 20_000
_REPEAT = 3
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is held."""

    subscriptions: int = 1_000_000
    retained: int = 1_000_000
    clients: int = 10_000


@dataclass(frozen=True, slots=True)
class Growth:
    """One thing that was measured: in words, the figure with its unit, and what is aimed at, empty where nothing is."""

    what: str
    figure: str
    aim: str = ""
    reached: bool = True


@dataclass(frozen=True, slots=True)
class GrowthRun:
    """A whole run."""

    date: str
    machine: Machine
    results: tuple[Growth, ...]


def growth(seconds: float, size: Size, say: Callable[[str], None]) -> GrowthRun:
    """Measure everything, telling of each figure; raises CommandError when the broker fails."""
    results = []
    for one in chain(_pair_beside(seconds, size), look_ups(size)):
        results.append(one)
        say(line(one))
    return GrowthRun(datetime.now(UTC).isoformat(timespec="seconds"), this_machine(), tuple(results))


def line(one: Growth) -> str:
    """One result as a line of text."""
    aim = f" ({one.aim}{'' if one.reached else ': MISSED'})" if one.aim else ""
    return f"{one.what}: {one.figure}{aim}"


def to_json(run: GrowthRun) -> str:
    """The run as JSON."""
    return json.dumps(asdict(run), indent=1) + "\n"


def page(run: GrowthRun) -> str:
    """The run as Markdown."""
    machine = run.machine
    rows = "".join(
        f"| {one.what} | {one.figure if one.reached else f'**{one.figure}**'} | {one.aim} |\n" for one in run.results
    )
    return (
        "# What the reference broker holds\n\n"
        f"{run.date[:10]}, {machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}. "
        "Made by `mqtt-interop bench --growth`; `growth.json` has the same. **Bold** misses its aim.\n\n"
        f"| what | measured | aim |\n|---|---|---|\n{rows}"
    )


# --- over sockets -----------------------------------------------------------------------------------------------------


def _pair_beside(seconds: float, size: Size) -> Iterator[Growth]:
    """A busy pair alone, beside a million subscriptions of others, and beside ten thousand idle clients."""
    with running(REFERENCE) as target:
        one = _pair(target, seconds)
        yield Growth("deliveries of a busy pair, QoS 0, nothing else there", f"{short(one)}/s")
        with closing(_subscribe(target, size.subscriptions)):
            many = _pair(target, seconds)
        yield Growth(
            f"the same beside {size.subscriptions:,} subscriptions of others",
            f"{short(many)}/s, {many / one:.0%}",
            "at least 80%",
            many >= 0.8 * one,
        )
    with running(REFERENCE) as target:
        one = _pair(target, seconds)
        crowd = Crowd(Cell(mode=Mode.IDLE, connections=size.clients, at_a_time=50), target.address)
        try:
            crowd.run()
            many = _pair(target, seconds)
        except (BadStream, OSError) as problem:
            raise CommandError(f"the idle clients: {problem}") from None
        finally:
            crowd.close()
        yield Growth(
            f"the same beside {size.clients:,} idle clients",
            f"{short(many)}/s, {many / one:.0%}",
            "at least 80%",
            many >= 0.8 * one,
        )


def _pair(target: Target, seconds: float) -> float:
    results = [measure(Cell(name="a busy pair", seconds=seconds), target) for _ in range(_REPEAT)]
    if problem := next((result.failure for result in results if result.failure), ""):
        raise CommandError(f"the busy pair: {problem}")
    return median(result.per_second for result in results)


def _subscribe(target: Target, count: int) -> socket.socket:
    """A connection that holds so many subscriptions, none of which a bench topic matches."""
    link = socket.create_connection((target.address.host, target.address.port), _PATIENCE_SECONDS)
    reader = Reader(_V311)
    _ask(link, reader, Connect(version=_V311, client_id="holder"), ConnAck)
    filters = list(_filters(count))
    for begin in range(0, count, _FILTERS_AT_ONCE):
        some = tuple(Subscription(each) for each in filters[begin : begin + _FILTERS_AT_ONCE])
        _ask(link, reader, Subscribe(1, some), SubAck)
    return link


def _ask(link: socket.socket, reader: Reader, packet: Connect | Subscribe, answer: type[ConnAck | SubAck]) -> None:
    link.sendall(encode(packet, _V311))
    while (said := reader.next_packet()) is None:
        data = link.recv(65_536)
        if not data:
            raise CommandError("the broker closed the connection that subscribes")
        reader.feed(data)
    if not isinstance(said, answer):
        raise CommandError(f"the broker answered {said}")


def _filters(count: int) -> Iterator[str]:
    """Filters of many sites and devices, every tenth with wildcards."""
    for number in range(count):
        site = f"site/{number % _SITES}"
        yield f"{site}/device/{number}/temperature" if number % 10 else f"{site}/+/{number}/#"


# --- the broker's own structures --------------------------------------------------------------------------------------


def look_ups(size: Size) -> Iterator[Growth]:
    """What it costs to find who gets a message, and which retained messages a filter matches."""
    yield from _matching(size)
    yield from _retained(size)


def _matching(size: Size) -> Iterator[Growth]:
    for count in (1, size.subscriptions):
        router = Router(AccessControl(BrokerConfig()))
        session = Session("holder", _V311)
        for number, each in enumerate(_filters(count)):
            if number % _FILTERS_AT_ONCE == 0:
                session = Session(f"holder-{number}", _V311)
            router.subscribe(session, Subscription(each), QoS.AT_MOST_ONCE, 0, None, each)
        topics = [f"site/{n % _SITES}/device/{n}/temperature" for n in range(0, 7919 * _LOOKED_UP, 7919)]
        began = time.perf_counter()
        for topic in topics:
            router.route(topic)
        microseconds = (time.perf_counter() - began) / len(topics) * 1e6
        yield Growth(
            f"matching a topic never seen before against {count:,} subscriptions",
            f"{microseconds:.1f} µs",
            "microseconds",
            microseconds < 100,
        )


_LOOKUPS = ("site/7/device/7/temperature", "site/7/device/+/temperature", "site/7/#", "#")


def _retained(size: Size) -> Iterator[Growth]:
    retained = RetainedMessages()
    for number in range(size.retained):
        topic = f"site/{number % _SITES}/device/{number}/temperature"
        retained.set(Message(topic, b"21.5", QoS.AT_MOST_ONCE, True, NO_PROPERTIES, 0.0))
    for topic_filter in _LOOKUPS:
        began = time.perf_counter()
        found = sum(1 for _ in retained.match(topic_filter, 0.0))
        microseconds = (time.perf_counter() - began) * 1e6
        each = microseconds / max(1, found)
        yield Growth(
            f"finding the {found:,} of {size.retained:,} retained messages that match {topic_filter}",
            f"{microseconds:,.0f} µs, {each:.1f} µs each",
            "in proportion to what is found",
            each < 100,
        )
